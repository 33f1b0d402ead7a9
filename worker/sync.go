package worker

import (
	"context"
	"errors"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/upload"
)

// Plan decides what a sync with the same options would do, and writes nothing to the
// service. When stop is closed the requests in flight are finished and it ends with
// [dataset.ErrInterrupted]; when ctx ends it stops at once.
//
// The summary is true as far as the run came, also beside an error.
func Plan(ctx context.Context, stop <-chan struct{}, c Connection, open Opener, o Options) (Summary, error) {
	p := newPlanner(c, o)
	worked, err := p.Work(ctx, stop, func(ctx context.Context) error {
		defer p.close()
		if err := p.open(ctx, open, p.readAhead); err != nil {
			return err
		}
		if err := p.begin(ctx, store.RunPlan); err != nil {
			return err
		}
		if err := p.recordSource(ctx); err != nil {
			return err
		}
		return p.planAndGuard()
	})
	return p.end(ctx, err, worked, planned, p.addClasses)
}

// Sync brings the labels of a source into the dataset: it makes a plan, holds it against
// the limits and applies it. It stops as Plan does.
func Sync(ctx context.Context, stop <-chan struct{}, c Connection, open Opener, o Options) (Summary, error) {
	p := newPlanner(c, o)
	a := newApplier(p)
	worked, err := p.Work(ctx, stop, func(ctx context.Context) error {
		defer p.close()
		if err := p.open(ctx, open, p.readAhead); err != nil {
			return err
		}
		if err := a.finishInFlight(ctx); err != nil {
			return err
		}
		if err := p.begin(ctx, store.RunSync); err != nil {
			return err
		}
		a.tellFinished()
		if err := p.recordSource(ctx); err != nil {
			return err
		}
		p.owns = true
		return a.planAndApply(ctx)
	})
	return p.end(ctx, err, worked, finished(o.IgnoreUnmatched), p.addClasses)
}

// readAhead begins to convert what will most likely be planned.
func (p *planner) readAhead(src convert.Source) {
	p.hold(src)
	p.startWalk()
}

// recordSource says which source the images are from that the run saves or finds unchanged.
func (p *planner) recordSource(ctx context.Context) (err error) {
	p.sourceRef, err = p.store.SetSource(ctx, p.record.ID, p.source+p.Narrowed)
	return err
}

func (p *planner) planAndGuard() error {
	if err := p.listAndPlan(); err != nil {
		return err
	}
	_, err := p.guard(p.Stopping)
	return err
}

func (a *applier) planAndApply(ctx context.Context) error {
	if err := a.listAndPlan(); err != nil {
		return err
	}
	summary, err := a.guard(a.Stopping)
	if errors.Is(err, ErrGuard) {
		return errors.Join(err, a.FreeExport())
	}
	if err != nil {
		return err
	}
	a.removed.n = summary.Lost()
	if err := a.createDataset(ctx, summary); err != nil {
		return err
	}
	if summary, err = a.uploadImages(ctx, summary); err != nil {
		return err
	}
	if err := a.apply(ctx, summary); err != nil {
		return err
	}
	if a.SetSplits {
		if err := a.setSplits(ctx); err != nil {
			return err
		}
	}
	return a.FreeExport()
}

// listAndPlan makes the plan. Labels are converted while the images are listed, where that
// is begun already.
func (p *planner) listAndPlan() error {
	unlock, err := p.LockListing()
	if err != nil {
		return err
	}
	defer unlock()
	if before, err := p.store.LastFound(p.Stopping, p.Ref, p.record); err != nil {
		return err
	} else if before > 0 {
		p.payloads.drop()
	}
	var meta func(pictograph.Image) []byte
	if p.uploading() { // files are held against it
		meta = dataset.MetaOf
	}
	if err := p.List(meta); err != nil {
		return err
	}
	if p.applies {
		if err := upload.Settle(p.Stopping, p.Access, p.store); err != nil {
			return err
		}
	}
	if err := p.compareWithExport(); err != nil {
		return err
	}
	return p.plan(p.Stopping)
}
