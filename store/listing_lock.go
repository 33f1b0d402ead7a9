package store

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/flock"
)

// LockListing has this process alone work with the listings of the datasets: from their
// making until what is decided by them is recorded. waiting is called once where another
// process is at it. The operating system releases the lock when the process ends.
func (s *Store) LockListing(ctx context.Context, waiting func()) (unlock func(), err error) {
	const often = 100 * time.Millisecond
	lock := flock.New(s.path+".listing.lock", flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err == nil && !held {
		waiting()
		_, err = lock.TryLockContext(ctx, often)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the listing in the state %s: %w", s.path, err)
	}
	return func() { lock.Close() }, nil
}
