package upload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"pictosync/store"
)

// content is a file on its way, whose checksum is taken.
type content struct {
	from io.ReadCloser
	size int64
	read int64
	hash hash.Hash
	// parts tells whether it is cut off; nil where its checksum is known.
	parts *follower
	err   error // of the file
}

// open opens the file of an upload, which must be what was planned.
func (u *Uploader) open(ctx context.Context, up store.Upload) (*content, error) {
	from, stat, err := u.Files.Open(ctx, up.File)
	if err != nil {
		return nil, err
	}
	if stat.Size != up.Size || stat.Stamp != up.Stamp {
		from.Close()
		return nil, fmt.Errorf("the file changed since the plan was made (%d bytes then, %d now); run again", up.Size, stat.Size)
	}
	c := &content{from: from, size: up.Size, hash: sha256.New()}
	if up.SHA256 == (store.Hash{}) { // a backup has what the dataset had, whatever that was
		c.parts = follow(up.ContentType)
	}
	return c, nil
}

// Read holds back the last bytes of a file that turns out to be cut off: the storage, which was
// told its size, takes nothing of it.
func (c *content) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.hash.Write(b[:n])
	c.read += int64(n)
	if c.parts != nil {
		c.parts.Write(b[:n])
		if c.read == c.size && !c.parts.whole() {
			c.err = errCutOff
			return 0, c.err
		}
	}
	switch {
	case c.read > c.size, errors.Is(err, io.EOF) && c.read < c.size:
		err = ErrChanged
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func (c *content) Close() error { return c.from.Close() }

// sum is the checksum of what was sent.
func (c *content) sum() (sum store.Hash, err error) {
	if c.read != c.size {
		return sum, fmt.Errorf("the storage took %d bytes of %d; run again", c.read, c.size)
	}
	return store.Hash(c.hash.Sum(nil)), nil
}
