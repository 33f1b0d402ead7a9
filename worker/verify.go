package worker

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// sampled reports whether an image is in the sample of a verification: the
// same ones in every run, whatever the order.
func (r *run) sampled(image string) bool {
	if r.Sample <= 0 || r.Sample >= 1 {
		return true
	}
	return turnOf(image) < r.Sample
}

// turnOf spreads names over 0 to 1, each always at the same place.
func turnOf(name string) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	// FNV's low bits are mixed best.
	return float64(h.Sum64()&(1<<32-1)) / math.MaxUint32
}

// toVerify makes of a planned item one that is to be compared.
func (r *run) toVerify(i *store.Item) {
	switch i.Plan {
	case store.PlanUnmatched, store.PlanAmbiguous, store.PlanFailed:
		return
	}
	i.Outcome, i.Reason = store.ItemPending, ""
	if !r.sampled(i.Image) {
		i.Outcome = store.ItemSkipped
	}
}

// verify reads back what the images have and compares it with the labels. What
// was compared stays compared when the run is resumed.
func (r *run) verify(ctx context.Context) error {
	pending, err := r.store.CountPending(ctx, r.record.ID)
	if err != nil {
		return err
	}
	r.progress.begin("verifying", pending)
	pool := pond.NewResultPool[store.Item](r.Save)
	defer pool.StopAndWait()
	for rows, err := range r.pendingRows(pending, stretch) {
		if err != nil {
			return err
		}
		found, err := r.findItems(rows)
		if err != nil {
			return err
		}
		tasks := make([]pond.ResultTask[store.Item], len(rows))
		for n, row := range rows {
			tasks[n] = pool.SubmitErr(func() (store.Item, error) { return r.compare(row, found[row.Image]) })
		}
		for _, task := range tasks {
			row, err := task.Wait()
			if err != nil {
				return err
			}
			if err := r.store.SetItem(r.stopping, r.record.ID, row); err != nil {
				return err
			}
			r.progress.add(1, failures(row))
		}
	}
	return nil
}

// compare reads one image back.
func (r *run) compare(row store.Item, item source.Item) (store.Item, error) {
	row.Outcome = store.ItemFailed
	if item.Image == "" {
		row.Reason = "its labels were there when the run was planned and are not any more"
		return row, nil
	}
	images, err := r.store.ImagesByID(r.stopping, r.dataset, []string{row.ImageID})
	if err != nil {
		return row, err
	}
	var listed convert.Size
	if len(images) == 1 {
		listed = convert.Size{Width: images[0].Width, Height: images[0].Height}
	}
	result, err := r.src.Load(r.stopping, item, listed)
	if err == nil {
		err = r.Accepted.Refusal(result)
	}
	if err != nil {
		row.Reason = err.Error()
		return row, nil
	}
	k := r.read(ready{row: row})
	switch {
	case k.fatal != nil:
		return row, k.fatal
	case k.reason != "":
		row.Reason = k.reason
		return row, nil
	}
	there, err := pictograph.DecodeAnnotations(k.backup.Annotations)
	if err != nil {
		return row, fmt.Errorf("compare %s: %w", row.Image, err)
	}
	if row.Reason = difference(result.Annotations, there); row.Reason == "" {
		row.Outcome = store.ItemUnchanged
	} else if row.Plan == store.PlanUnchanged {
		row.Plan = store.PlanDrifted // which the count alone did not show
	}
	return row, nil
}

// difference says in which annotations two lists differ, "" if in none: their
// order does not count, nor who the service says made them.
func difference(want, got []pictograph.Annotation) string {
	encode := func(a pictograph.Annotation) string {
		a.CreatedBy = ""
		data, err := a.Append(nil)
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	there := make(map[string]string, len(got))
	for _, a := range got {
		there[a.ID] = encode(a)
	}
	missing, changed := 0, 0
	first := ""
	note := func(id string) {
		if first == "" {
			first = id
		}
	}
	for _, a := range want {
		switch other, ok := there[a.ID]; {
		case !ok:
			missing++
			note(a.ID)
		case other != encode(a):
			changed++
			note(a.ID)
		}
		delete(there, a.ID)
	}
	if missing+changed+len(there) == 0 {
		return ""
	}
	for _, a := range got {
		if _, extra := there[a.ID]; extra {
			note(a.ID)
		}
	}
	return fmt.Sprintf("the dataset differs from the labels: %d annotations missing, %d changed, %d more than there should be (the first: %s)", missing, changed, len(there), first)
}
