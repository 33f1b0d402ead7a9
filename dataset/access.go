// Package dataset is what every command does with a dataset of the service: it finds the
// dataset, brings the state's listing of its images up to date, reads what an image has,
// and goes on trying while the service is out of reach for a while. Runs and backups are
// built on it.
//
// An [Access] is one process's work on one dataset. Its promise: a listing that is short or
// does not end forgets no image; what the service fails on alone holds nothing else up; and
// when it is asked to stop, the requests in flight are finished and no other is sent.
package dataset

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pictosync/convert"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

// Options say which dataset is worked on, and how.
type Options struct {
	// Dataset is the name or id of the dataset.
	Dataset string
	// Create has a dataset that is not there be made once what is to be done with it is
	// decided: see Missing. ForceCreate makes it also where its name is near another's.
	Create, ForceCreate bool
	// HowMade says how a dataset that is not there comes to be; "" is the constant of that name.
	HowMade string
	// Service names the service in the state: its base URL, or "sandbox".
	Service string
	// Concurrency is how many requests are sent at the same time. 0 means the default.
	Concurrency int
	// MaxOutage is how long the service may be out of reach before the work
	// stops, resumable. 0 means the default.
	MaxOutage time.Duration
	// OutagePause is the wait between two tries of a request that the client
	// has given up on. 0 means the default.
	OutagePause time.Duration
	// Unattended waits also for a service that is out of reach when the work
	// begins: a person is rather told.
	Unattended bool
	// ReadBy says how it is found out what many images have. The zero value is ReadImage.
	ReadBy ReadPolicy
	// Holder is the kind of command whose exports this is: of each kind one at a time is at
	// work on a state. "" is those that save.
	Holder string
	// Session is shared with the work before and behind it. May be nil.
	Session *Session
	// PollPause is the wait before an export is first looked at. 0 follows the dataset's size.
	PollPause time.Duration
	// Command is the command line that does the same, which the run keeps; without arguments
	// it is not known.
	Command store.Command
	// Progress is told how far the work is; it must not block. May be nil.
	Progress func(progress.Progress)
	Log      zerolog.Logger
	Now      func() time.Time
}

// DefaultConcurrency is how many requests are sent at the same time.
const DefaultConcurrency = 4

const (
	defaultMaxOutage = 10 * time.Minute
	defaultPause     = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.MaxOutage <= 0 {
		o.MaxOutage = defaultMaxOutage
	}
	if o.OutagePause <= 0 {
		o.OutagePause = defaultPause
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// ErrInterrupted is returned by work that was asked to stop; the same command
// resumes it.
var ErrInterrupted = errors.New("interrupted; the same command resumes the run")

// Access is one process's work on a dataset.
type Access struct {
	Options
	Client  *pictograph.Client
	Pacer   *quota.Pacer
	Tracker progress.Tracker

	// Of the dataset, once it is open: as the state knows it, as the service showed it, and
	// its classes, as the service has them now.
	Ref     store.Dataset
	Shown   pictograph.Dataset
	Classes []pictograph.Class
	// Missing says that the dataset is yet to be made: it has no id, and no images.
	Missing bool
	// Short is why the listing is not whole; nil where it is.
	Short *convert.Finding
	// Stopping is done when the work should take on nothing more. Halt ends it, and says why.
	Stopping context.Context
	Halt     context.CancelCauseFunc

	// Began is when the run was begun: what was read since may be decided by.
	Began time.Time
	// ExportedAt is when the export was asked for that was last read.
	ExportedAt time.Time

	store  *store.Store
	outage outage
	trust  trust
	notes  notes
}

// notes are sentences about how the work was done, for its summary.
type notes struct {
	mu   sync.Mutex
	said []string
}

// Note says a sentence about how the work is done, once.
func (a *Access) Note(sentence string) {
	a.notes.mu.Lock()
	defer a.notes.mu.Unlock()
	if slices.Contains(a.notes.said, sentence) {
		return
	}
	a.notes.said = append(a.notes.said, sentence)
	a.Log.Warn().Str("dataset", a.Ref.Name).Msg(sentence)
}

// Notes are the sentences that were said.
func (a *Access) Notes() []string {
	a.notes.mu.Lock()
	defer a.notes.mu.Unlock()
	return slices.Clone(a.notes.said)
}

// New begins work on a dataset. The gate of its requests is closed when it ends.
func New(client *pictograph.Client, st *store.Store, pacer *quota.Pacer, o Options) *Access {
	o = o.withDefaults()
	a := &Access{Options: o, Client: client, Pacer: pacer, store: st}
	a.Tracker.Report, a.Tracker.Takes, a.Tracker.Now = o.Progress, pacer.Takes, o.Now
	pacer.OnWait = a.showWait
	return a
}

// showWait says that requests wait for the quota.
func (a *Access) showWait(w quota.Waiting) {
	switch {
	case w.Until.IsZero():
		a.Tracker.Holds(progress.Hold{})
	case w.Refused:
		a.Tracker.Holds(progress.Hold{Kind: progress.Quota, Why: "the service wants to be left alone", Until: w.Until})
	case w.Paced:
		a.Tracker.Holds(progress.Hold{Kind: progress.Pace, Why: "the quota (" + w.Quota.Said() + ") sets the pace", Until: w.Until})
	default:
		a.Tracker.Holds(progress.Hold{Kind: progress.Quota, Why: "waiting for the quota (" + w.Quota.Said() + ")", Until: w.Until})
	}
}

// Work does something until it is done or asked to stop: when stop is closed the requests
// in flight are finished and it ends with ErrInterrupted; when ctx ends it stops at once.
func (a *Access) Work(ctx context.Context, stop <-chan struct{}, do func(context.Context) error) (worked time.Duration, err error) {
	stopping, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	a.Stopping, a.Halt = stopping, halt

	var waiter sync.WaitGroup
	ended := make(chan struct{})
	waiter.Go(func() {
		select {
		case <-stop:
			halt(ErrInterrupted)
		case <-stopping.Done():
		case <-ended:
		}
		a.Pacer.Stop()
	})
	defer waiter.Wait()
	defer close(ended)

	start := a.Now()
	err = do(ctx)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(stopping), ErrInterrupted) {
		err = ErrInterrupted
	}
	return a.Now().Sub(start), err
}

// NoteBegin notes of a run with which options its process works on it, and what its requests
// are held to.
func (a *Access) NoteBegin(n *store.Notes) {
	if len(a.Command.Args) > 0 {
		n.Command = &a.Command
	}
	if allowed := a.Pacer.Quota(); allowed != (quota.Quota{}) {
		n.Quota = allowed.Said()
	}
}
