package worker

import (
	"context"

	"pictosync/dataset"
	"pictosync/store"
)

// Abandoned is what became of the batches of a run that were given up.
type Abandoned struct {
	Batches int `json:"batches"`
	Saved   int `json:"saved"`  // images that have what was sent
	Failed  int `json:"failed"` // and those that do not
}

// Abandon gives up the batches of a run whose answers do not come: what their images have
// is read, and what was saved is recorded as such.
func Abandon(ctx context.Context, stop <-chan struct{}, c Connection, of store.Run, o dataset.Options) (given Abandoned, err error) {
	a := newApplier(newPlanner(c, Options{Common: Common{Options: o}}))
	a.Ref, a.record = of.Dataset, of
	_, err = a.Work(ctx, stop, func(ctx context.Context) error {
		open, err := a.store.OpenBatches(ctx, of.Dataset)
		if err != nil {
			return err
		}
		for _, b := range open {
			if b.Run != of.ID {
				continue
			}
			b.Account = a.Pacer.Account()
			saved, err := a.giveUp(ctx, b, "the batch was given up, and the image does not have what was sent")
			if err != nil {
				return err
			}
			given.Batches++
			given.Saved += saved
			given.Failed += len(b.Images) - saved
		}
		return nil
	})
	return given, err
}
