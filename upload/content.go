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
	up   store.Upload // whose file it is
	read int64
	hash hash.Hash
	// parts tells whether it is cut off, and of what size it is.
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
	return &content{from: from, up: up, hash: sha256.New(), parts: follow(up.ContentType)}, nil
}

// Read holds back the last bytes of a file that turns out to be wrong: the storage, which was
// told its size, takes nothing of it.
func (c *content) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.hash.Write(b[:n])
	c.read += int64(n)
	c.parts.Write(b[:n])
	if c.read == c.up.Size {
		if c.err = c.wrong(); c.err != nil {
			return 0, c.err
		}
	}
	switch {
	case c.read > c.up.Size, errors.Is(err, io.EOF) && c.read < c.up.Size:
		err = ErrChanged
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// wrong says what is wrong with the picture, all of which was read. A backup has what the dataset
// had, whether that was all of a picture or not.
func (c *content) wrong() error {
	switch {
	case c.up.SHA256 == (store.Hash{}) && !c.parts.whole():
		return errCutOff
	case c.parts.turned(c.up.Width, c.up.Height):
		return errTurned
	}
	return nil
}

func (c *content) Close() error { return c.from.Close() }

// sum is the checksum of what was sent.
func (c *content) sum() (sum store.Hash, err error) {
	if c.read != c.up.Size {
		return sum, fmt.Errorf("the storage took %d bytes of %d; run again", c.read, c.up.Size)
	}
	return store.Hash(c.hash.Sum(nil)), nil
}
