package worker

import (
	"context"

	"pictosync/pictograph"
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
func Abandon(ctx context.Context, stop <-chan struct{}, client *pictograph.Client, st *store.Store, pacer *Pacer, of store.Run, o Options) (a Abandoned, err error) {
	r := &run{Options: o.withDefaults(), client: client, store: st, pacer: pacer, dataset: of.Dataset, record: of}
	_, err = r.work(ctx, stop, func(ctx context.Context) error {
		open, err := st.OpenBatches(ctx, of.Dataset)
		if err != nil {
			return err
		}
		for _, b := range open {
			if b.Run != of.ID {
				continue
			}
			b.Account = pacer.account
			saved, err := r.giveUp(ctx, b, "the batch was given up, and the image does not have what was sent")
			if err != nil {
				return err
			}
			a.Batches++
			a.Saved += saved
			a.Failed += len(b.Images) - saved
		}
		return nil
	})
	return a, err
}
