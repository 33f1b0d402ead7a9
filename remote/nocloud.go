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
