package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"pictosync/pictograph"
)

// outage knows for how long the service has answered no request of the run. It is one
// for all that the run asks, whoever asks: an outage that lasts too long stops the run.
type outage struct {
	mu    sync.Mutex
	since time.Time // of the first request that failed since the last answer; zero is none
	saves int       // batches that were answered
	alone int       // images that the service failed on, one by one, since the last of them
	// refused are images that the service refused, one by one, since the last that it
	// took.
	refused atomic.Int32
	// notRead are images that the service could not say of what they have, since the last of
	// which it could.
	notRead atomic.Int32
}

func (o *outage) failed(now time.Time) (since time.Time, saves int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = now
	}
	return o.since, o.saves
}

func (o *outage) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since = time.Time{}
}

func (o *outage) saved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.saves++
	o.alone = 0
}

// maxRefused is how many images in a row the service refuses, one by one, before the rest
// of what it refused with them is not sent again: two requests an image would be spent on
// being told the same.
const maxRefused = 8

// failedAlone counts an image that the service cannot save, and reports whether there were
// too many in a row to be the images' fault.
func (o *outage) failedAlone() (tooMany bool) {
	const most = 3
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alone++
	return o.alone > most
}

// persist tries again what failed for reasons that pass, for as long as an
// outage may last. The client has done its own retries by then.
func (r *run) persist(try func(context.Context) error) error {
	for {
		err := try(r.stopping)
		if err == nil || !passes(err) {
			if r.stopping.Err() == nil {
				r.outage.answered()
			}
			return err
		}
		since, _ := r.outage.failed(r.Now())
		left := r.MaxOutage - r.Now().Sub(since)
		if left <= 0 {
			err = outageError{r.MaxOutage, err}
			r.halt(err)
			return err
		}
		pause := min(r.OutagePause, left)
		r.Log.Warn().Err(err).Str("again_in", pause.Round(time.Millisecond).String()).Msg("trying again")
		if err := r.pause(pause); err != nil {
			return err
		}
	}
}

// pause waits before the next try, or returns why the run stops.
func (r *run) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.stopping.Done():
		return context.Cause(r.stopping)
	}
}

// outageError stops a run.
type outageError struct {
	after time.Duration
	err   error
}

func (e outageError) Error() string {
	return fmt.Sprintf("the service could not be reached for %s; the same command resumes the run: %v", e.after, e.err)
}
func (e outageError) Unwrap() error { return e.err }

func passes(err error) bool {
	return errors.Is(err, pictograph.ErrNetwork) || errors.Is(err, pictograph.ErrServer) || errors.Is(err, pictograph.ErrRateLimited)
}

// poisonError is an error of the service's own that a batch gets while it answers other
// requests: one of its images may be what it fails on, and to wait would hold up all that
// comes after.
type poisonError struct{ error }

func (e poisonError) Unwrap() error { return nil } // what it is does not pass

// triesOfABatch is how often a batch is tried, other batches being saved meanwhile, before
// one of its images is taken for what the service fails on.
const triesOfABatch = 3

// poison tells of an error that a batch got for the n-th time, savesBefore batches having
// been answered when it got it first, whether it is a poisonError.
func (r *run) poison(err error, n, savesBefore int) error {
	var api *pictograph.APIError
	if !errors.As(err, &api) || api.Status < 500 && api.Status != http.StatusConflict {
		return err
	}
	since, saves := r.outage.failed(r.Now())
	others := saves > savesBefore && n >= triesOfABatch
	over := r.Now().Sub(since) >= r.MaxOutage || api.Status == http.StatusConflict
	if (others || over) && r.isUp() {
		return poisonError{err}
	}
	return err
}

// unreadable tells of an error that the reading of an image got for the n-th time whether it
// is a poisonError. Too many images in a row are not the images' fault.
func (r *run) unreadable(err error, n int) error {
	const most = 3
	if n < triesOfABatch || !passes(err) || errors.Is(err, pictograph.ErrRateLimited) || r.outage.notRead.Load() >= most || !r.isUp() {
		return err
	}
	r.outage.notRead.Add(1)
	return poisonError{err}
}

// isUp reports whether the service answers another request.
func (r *run) isUp() bool {
	_, err := r.client.Dataset(r.stopping, r.dataset.ID)
	return err == nil
}
