//go:build nocloud

package remote

import (
	"context"
	"errors"
	"net/url"
)

func (c *Copy) fromBucket(context.Context, *url.URL) error {
	return &Error{Op: "read", Address: c.Address, Err: errors.New("this build knows no buckets"), Advice: "build without -tags nocloud"}
}

func (b *Backups) unknown() error {
	return &Error{Op: "write", Address: b.Address, Err: errors.New("this build knows no buckets"), Advice: "build without -tags nocloud"}
}

// Pull is not there.
func (b *Backups) Pull(context.Context) error { return b.unknown() }

// Push is not there.
func (b *Backups) Push(context.Context) (sent, kept int, err error) { return 0, 0, b.unknown() }
