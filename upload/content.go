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
	err  error // of the file
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
	return &content{from: from, size: up.Size, hash: sha256.New()}, nil
}

func (c *content) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.hash.Write(b[:n])
	c.read += int64(n)
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
