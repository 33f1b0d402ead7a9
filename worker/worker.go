// Package worker does one run: it lists the dataset's images, plans what to do
// with every item of a source, holds the plan against the guards, saves in
// batches that are committed before they are sent, and records every answer.
//
// [Plan] makes a plan alone. [Sync] makes one and applies it. [Undo] is a sync whose source
// is what another run replaced, [PlanUndo] its plan. [Verify] reads back instead of saving.
// [Abandon] gives up what is in flight.
//
// The promise: a run that was killed at any moment is finished by the same
// command. A batch in flight is sent again with the same bytes under the same
// idempotency key, so the service answers it without executing it a second
// time; then the plan is made anew, and what the run has saved already is
// recognized and kept.
package worker

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

// Connection is what a run works with: the service, the state, and the gate of its requests.
type Connection struct {
	Client *pictograph.Client
	Store  *store.Store
	Pacer  *quota.Pacer
}

// Opener opens the source of a run. The dataset is asked for meanwhile.
type Opener func() (convert.Source, error)

// Opened is a source that is open.
func Opened(src convert.Source) Opener { return func() (convert.Source, error) { return src, nil } }

// run is one process's work on a run, whatever its kind.
type run struct {
	*dataset.Access
	store  *store.Store
	source string // names the source in the state
	record store.Run

	onFinding func(convert.Finding) // may be nil
	reporting sync.Mutex            // held while it is called
}

// report hands findings of a planned item on, or of the source where its number is 0, and
// returns them as the state keeps them.
func (r *run) report(item int64, found ...convert.Finding) (kept []store.Finding) {
	r.reporting.Lock()
	defer r.reporting.Unlock()
	for _, f := range found {
		if r.onFinding != nil {
			r.onFinding(f)
		}
		kept = append(kept, dataset.FindingOf(item, f))
	}
	return kept
}

func newRun(c Connection, o Common) *run {
	return &run{Access: dataset.New(c.Client, c.Store, c.Pacer, o.Options), store: c.Store, source: o.Source, onFinding: o.OnFinding}
}

// open opens the dataset, and the source meanwhile: one that cannot be read is told of
// first, and stops the asking. opened is called when the source is there.
func (r *run) open(ctx context.Context, open Opener, opened func(convert.Source)) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var opening sync.WaitGroup
	var sourceErr error
	opening.Go(func() {
		var src convert.Source
		if src, sourceErr = open(); sourceErr != nil {
			stop()
			return
		}
		opened(src)
	})
	err := r.Open(asking)
	opening.Wait()
	return cmp.Or(sourceErr, err)
}

// begin begins the run in the state, or goes on with it.
func (r *run) begin(ctx context.Context, kind store.RunKind) (err error) {
	var resumed bool
	if r.record, resumed, err = r.store.OpenRun(ctx, r.Ref, kind, r.source, r.Now()); err != nil {
		return err
	}
	r.Began = r.record.StartedAt
	if err := r.store.Note(ctx, r.record.ID, r.NoteBegin); err != nil {
		return err
	}
	r.Log.Info().Str("run", r.record.ID).Bool("resumed", resumed).Str("dataset", r.Ref.Name).Str("source", r.source).Msg("run opened")
	return nil
}

// end records how this process leaves the run and sums the run up. It must work after ctx
// has ended. done is the outcome of one that came to its end; add completes the summary.
func (r *run) end(ctx context.Context, err error, worked time.Duration, done func(Summary) store.Outcome, add func(context.Context, *Summary) error) (Summary, error) {
	ctx = context.WithoutCancel(ctx)
	if r.record.ID == "" {
		return Summary{Dataset: r.Dataset, Source: r.source, Requests: r.Pacer.Sent(), Seconds: worked.Seconds()}, err
	}
	totals, totalsErr := r.store.Totals(ctx, r.record.ID)
	s := Summarize(r.record, totals)
	s.Requests, s.Seconds, s.Notes = r.Pacer.Sent(), worked.Seconds(), r.Notes()
	if totalsErr = cmp.Or(totalsErr, add(ctx, &s)); totalsErr != nil {
		return s, errors.Join(err, totalsErr)
	}
	outcome, reason := done(s), ""
	if err != nil {
		outcome, reason = outcomeOfError(err)
	}
	s.Outcome = string(outcome)
	recordErr := r.store.RecordOutcome(ctx, r.record.ID, totals, outcome, reason, s.Requests, worked, r.Now())
	if recordErr == nil && err == nil {
		recordErr = r.store.PruneUnchanged(ctx, r.record.ID)
	}
	if recordErr == nil && err == nil && r.Session == nil {
		recordErr = r.store.DropReadings(ctx)
	}
	return s, errors.Join(err, recordErr)
}

// outcomeOfError is how an error leaves a run, and why.
func outcomeOfError(err error) (store.Outcome, string) {
	switch {
	case errors.Is(err, dataset.ErrInterrupted) || errors.Is(err, context.Canceled):
		return store.Interrupted, ""
	case errors.Is(err, ErrGuard):
		return store.Refused, err.Error()
	}
	return store.Stopped, err.Error()
}

// finished is the outcome of a run whose images count.
func finished(ignoreUnmatched bool) func(Summary) store.Outcome {
	return func(s Summary) store.Outcome {
		if s.Images.Failed > 0 || s.Uploads != nil && s.Uploads.Failed > 0 || s.Images.Unmatched > 0 && !ignoreUnmatched || s.Images.Edited > 0 {
			return store.WithFailures
		}
		return store.Done
	}
}

func planned(Summary) store.Outcome { return store.Planned }

// addClasses adds to a summary which classes the run adds.
func (r *run) addClasses(ctx context.Context, s *Summary) error {
	classes, err := r.store.Classes(ctx, r.record.ID)
	for _, c := range classes {
		s.Classes = append(s.Classes, c.Name)
	}
	return err
}
