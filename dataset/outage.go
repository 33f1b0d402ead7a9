package dataset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pictosync/internal/progress"
	"pictosync/pictograph"
)

// outage knows for how long the service has answered no request. It is one for all that is
// asked, whoever asks: an outage that lasts too long stops the work.
type outage struct {
	mu    sync.Mutex
	since time.Time // of the first request that failed since the last answer; zero is none
	saves int       // batches that were answered
	told  bool      // that it does not answer
	alone int       // images that the service failed on, one by one, since the last of them
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

// answered notes an answer, and reports whether it was told that none came.
func (o *outage) answered() (told bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	told = o.told
	o.since, o.told = time.Time{}, false
	return told
}

// tell reports whether it is to be told for the first time that the service does not answer.
func (o *outage) tell() (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first = !o.told
	o.told = true
	return first
}

func (o *outage) saved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.saves++
	o.alone = 0
}

// FailedAlone counts an image that the service cannot save, and reports whether there were
// too many since a batch was last answered to be the images' fault.
func (a *Access) FailedAlone() (tooMany bool) {
	const most = 3
	o := &a.outage
	o.mu.Lock()
	defer o.mu.Unlock()
	o.alone++
	return o.alone > most
}

// SendBatch sends a batch until the service answers it. A PoisonError is one that it fails on
// while it answers other requests. A request under way is finished when the work stops: only
// ctx ends it.
func (a *Access) SendBatch(ctx context.Context, body []byte, key string) (result pictograph.BulkResult, err error) {
	tries, failures, savesBefore := 0, 0, 0
	err = a.Persist(func(context.Context) (err error) {
		if result, err = a.Client.BulkSaveBody(ctx, body, key); err == nil {
			a.outage.saved()
			return nil
		}
		tries++
		api, answered := errors.AsType[*pictograph.APIError](err)
		if answered && tries == 1 && api.Attempts == 1 && mayNot(err) {
			return NotDoneError{err}
		}
		if tries == 1 {
			_, savesBefore = a.outage.failed(a.Now())
		}
		if !answered || api.Status < 500 && !isOfTheBatch(api) { // a lost answer says nothing against the batch
			return err
		}
		failures++
		if a.isPoison(api, failures, savesBefore) {
			return PoisonError{err}
		}
		return err
	})
	return result, err
}

// Persist tries again what failed for reasons that pass, for as long as an
// outage may last. The client has done its own retries by then.
func (a *Access) Persist(try func(context.Context) error) error {
	for {
		err := try(a.Stopping)
		if err == nil || !passes(err) {
			if a.Stopping.Err() == nil && a.outage.answered() {
				a.Tracker.Holds(progress.Hold{})
			}
			return err
		}
		if api, refused := errors.AsType[*pictograph.APIError](err); refused && api.RetryAfter > a.MaxOutage {
			continue // the gate says until when the service wants to be left alone
		}
		since, _ := a.outage.failed(a.Now())
		left := a.MaxOutage - a.Now().Sub(since)
		if left <= 0 {
			err = outageError{a.MaxOutage, err}
			a.Halt(err)
			return err
		}
		pause := min(a.OutagePause, left)
		a.tellOutage(since, pause, err)
		if err := a.pause(pause); err != nil {
			return err
		}
	}
}

// tellOutage says that the service does not answer: the first time as a warning.
func (a *Access) tellOutage(since time.Time, pause time.Duration, err error) {
	level := zerolog.InfoLevel
	if a.outage.tell() {
		level = zerolog.WarnLevel
	}
	a.Log.WithLevel(level).Err(err).Str("again_in", pause.Round(time.Millisecond).String()).Msg("trying again")
	now := a.Now()
	a.Tracker.Holds(progress.Hold{Kind: progress.Outage, Why: fmt.Sprintf("service down for %.0f s", now.Sub(since).Seconds()), Until: now.Add(pause)})
}

// pause waits before the next try, or returns why the run stops.
func (a *Access) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.Stopping.Done():
		return context.Cause(a.Stopping)
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

// PoisonError is an error of the service's own that a batch gets while it answers other
// requests: one of its images may be what it fails on, and to wait would hold up all that
// comes after.
type PoisonError struct{ Err error }

func (e PoisonError) Error() string { return e.Err.Error() } // there is no Unwrap: what it is does not pass

// NotDoneError is the answer to a batch that was sent once and whose key may not save: nothing
// of it was done.
type NotDoneError struct{ Err error }

func (e NotDoneError) Error() string { return e.Err.Error() }
func (e NotDoneError) Unwrap() error { return e.Err }

func mayNot(err error) bool {
	return errors.Is(err, pictograph.ErrUnauthorized) || errors.Is(err, pictograph.ErrForbidden)
}

// triesOfABatch is how often a batch is tried, other batches being saved meanwhile, before
// one of its images is taken for what the service fails on.
const triesOfABatch = 3

// isPoison tells of an answer that the service fails on a batch, or refuses it, the n-th to that,
// whether the batch is what it fails on; savesBefore batches had been answered when it failed first.
func (a *Access) isPoison(answer *pictograph.APIError, n, savesBefore int) bool {
	since, saves := a.outage.failed(a.Now())
	others := saves > savesBefore && n >= triesOfABatch
	over := a.Now().Sub(since) >= a.MaxOutage || isOfTheBatch(answer)
	return (others || over) && a.isUp()
}

// isOfTheBatch reports whether an answer is a refusal that may be one image's and that no other
// handling is for: not the key's or its account's, nor one of the bytes or their number.
func isOfTheBatch(err *pictograph.APIError) bool {
	switch err.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusRequestTimeout,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
		return false
	}
	return err.Status >= 400 && err.Status < 500
}

// PersistAlone is [Access.Persist] of what is read of one image. A PoisonError is one that the
// service fails on, or refuses, while it answers other requests.
func (a *Access) PersistAlone(read func(context.Context) error) error {
	tries := 0
	return a.Persist(func(ctx context.Context) error {
		err := read(ctx)
		if err == nil {
			a.outage.notRead.Store(0)
			return nil
		}
		tries++
		return a.unreadable(err, tries)
	})
}

// unreadable tells of an error that the reading of an image got for the n-th time whether it
// is a PoisonError. Too many images in a row are not the images' fault.
func (a *Access) unreadable(err error, n int) error {
	const most = 3
	failing := n >= triesOfABatch && passes(err) && !errors.Is(err, pictograph.ErrRateLimited)
	if !failing && !isOfTheImage(err) || a.outage.notRead.Load() >= most || !a.isUp() {
		return err
	}
	a.outage.notRead.Add(1)
	return PoisonError{err}
}

// isOfTheImage reports whether the service refuses to show one image for a reason that may be the
// image's: not for the key's or its account's, and not since it is gone or asks for a pause.
func isOfTheImage(err error) bool {
	api, refused := errors.AsType[*pictograph.APIError](err)
	if !refused || api.Status == http.StatusNotFound {
		return false
	}
	return isOfTheBatch(api) || api.Status == http.StatusBadRequest || api.Status == http.StatusUnprocessableEntity
}

// isUp reports whether the service answers another request.
func (a *Access) isUp() bool {
	_, err := a.Client.Dataset(a.Stopping, a.Ref.ID)
	return err == nil
}
