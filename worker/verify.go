package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/parallel"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/store"
)

// VerifyOptions say what is compared, and how.
type VerifyOptions struct {
	Common
	// Sample is the part of the images that is compared, the same ones in every run; 0 is
	// all of them.
	Sample float64
}

// verifier reads back what the images have and compares it with the labels.
type verifier struct {
	*planner
	// believed are the images that are as the labels say by an export.
	believed   store.Refs
	believedMu sync.Mutex
}

// Verify reads back what the images of a dataset have and compares it with a source. What
// was compared stays compared when the run is resumed. It stops as Plan does.
func Verify(ctx context.Context, stop <-chan struct{}, c Connection, open Opener, o VerifyOptions) (Summary, error) {
	v := &verifier{planner: newPlanner(c, Options{Common: o.Common})}
	v.sample = o.Sample
	v.judge = v.toCompare
	v.UnknownClasses = ignoreUnknown
	worked, err := v.Work(ctx, stop, func(ctx context.Context) error {
		defer v.close()
		if err := v.open(ctx, open, v.hold); err != nil {
			return err
		}
		if err := v.begin(ctx, store.RunVerify); err != nil {
			return err
		}
		if err := v.prepare(ctx); err != nil {
			return err
		}
		return v.verify(ctx)
	})
	return v.end(ctx, err, worked, finished(o.IgnoreUnmatched), func(context.Context, *Summary) error { return nil })
}

// prepare plans what is compared. A run that was stopped goes on where it was, and comes
// back to what the listing shows to be another since.
func (v *verifier) prepare(ctx context.Context) error {
	if v.onFinding == nil && v.record.Phase == store.Saving && v.record.Fingerprint == v.fingerprint() {
		unlock, err := v.LockListing()
		if err != nil {
			return err
		}
		defer unlock()
		if err := v.List(nil); err != nil {
			return err
		}
		return v.store.CompareAgain(ctx, v.record.ID)
	}
	v.startWalk()
	if err := v.listAndPlan(); err != nil {
		return err
	}
	if err := v.refuseIncomplete(ctx); err != nil {
		return err
	}
	return v.store.SetPhase(ctx, v.record.ID, store.Saving)
}

// sampled reports whether an image is in the sample: the same ones in every run, whatever
// the order.
func (v *verifier) sampled(image string) bool {
	return v.sample <= 0 || v.sample >= 1 || dataset.Turn(image) < v.sample
}

// toCompare makes of a planned item one that is to be compared.
func (v *verifier) toCompare(i *store.Item, _ store.Image, _ bool) error {
	i.Outcome, i.Reason = store.ItemPending, ""
	if !v.sampled(i.Image) {
		i.Outcome = store.ItemSkipped
	}
	return nil
}

// verify compares what is still to be compared.
func (v *verifier) verify(ctx context.Context) error {
	plan, err := v.store.PlanSummary(ctx, v.Ref, v.record.ID)
	if err != nil {
		return err
	}
	v.Tracker.Begin("verifying", plan.Saves)
	v.Tracker.Expect(progress.Saving, 0)
	v.Tracker.Expect(progress.Reading, v.ReadBy.Cost(plan.Saves))
	if v.Worth(plan.Saves) {
		ok, err := v.readWhole()
		if err != nil {
			return err
		}
		left := plan.Saves
		if ok {
			left = 0
		}
		v.Tracker.Expect(progress.Reading, left)
	}
	err = v.compareAll(plan.Saves)
	if err == nil && v.ExportLied() && v.believed.Len() > 0 {
		err = v.compareBelieved()
	}
	if err != nil {
		return err
	}
	return v.FreeExport()
}

// compareBelieved compares again what was found to be as the labels say by an export that
// was wrong of others.
func (v *verifier) compareBelieved() error {
	again := 0
	for row, err := range v.store.Items(v.Stopping, v.record.ID) {
		if err != nil {
			return err
		}
		if row.Outcome != store.ItemUnchanged || !v.believed.Has(row.ImageRef) {
			continue
		}
		row.Outcome = store.ItemPending
		if err := v.store.SetItem(v.Stopping, v.record.ID, row); err != nil {
			return err
		}
		again++
	}
	v.Tracker.Begin("verifying", again)
	return v.compareAll(again)
}

// compareAll compares the images that are left.
func (v *verifier) compareAll(left int) error {
	for rows, err := range v.pendingRows(left, chunkItems) {
		if err != nil {
			return err
		}
		items, err := findItems(v.Stopping, v.src, rows)
		if err != nil {
			return err
		}
		if err := v.compareRows(rows, items); err != nil {
			return err
		}
	}
	return nil
}

// compareRows compares some images. What took a request is recorded at once, what an export
// says together with the others.
func (v *verifier) compareRows(rows []store.Item, items map[string]convert.Item) error {
	compare := func(_ context.Context, row store.Item) (store.Item, error) { return v.compare(row, items[row.Image]) }
	var done []store.Item
	record := func() error {
		err := v.store.SetItems(v.Stopping, v.record.ID, done)
		done = done[:0]
		return err
	}
	for row, err := range parallel.Map(v.Stopping, v.Concurrency, parallel.Each(rows), compare) {
		if err != nil {
			return err
		}
		done = append(done, row)
		if !v.believes(row.ImageRef) {
			if err := record(); err != nil {
				return err
			}
		}
		v.Tracker.Add(1, failures(row))
	}
	return record()
}

// believes reports whether an image is as the labels say by an export.
func (v *verifier) believes(ref int64) bool {
	v.believedMu.Lock()
	defer v.believedMu.Unlock()
	return v.believed.Has(ref)
}

// readWhole reads what is to be compared by an export of the dataset.
func (v *verifier) readWhole() (ok bool, err error) {
	var wanted func(dataset.Exported) bool
	if v.sample <= 0 || v.sample >= 1 {
		wanted = func(dataset.Exported) bool { return true }
	} else {
		refs, err := v.pendingRefs()
		if err != nil {
			return false, err
		}
		wanted = func(i dataset.Exported) bool { return refs.Has(i.Image.Ref) }
	}
	// A difference is confirmed when it is found.
	return v.FetchExport(v.record.ID, func(images []dataset.Exported, at time.Time) error {
		readings := make([]store.Reading, 0, len(images))
		for _, i := range images {
			if wanted(i) {
				readings = append(readings, store.Reading{ImageRef: i.Image.Ref, Count: i.Count, Annotations: i.Content.Annotations, Differs: differs(i.Image, i.Content)})
			}
		}
		return v.store.AddReadings(v.Stopping, readings, at)
	})
}

// pendingRefs are the images that the plan left to be dealt with.
func (r *run) pendingRefs() (store.Refs, error) {
	var refs store.Refs
	var after int64
	for {
		rows, err := r.store.Pending(r.Stopping, r.record.ID, after, chunkItems)
		if err != nil {
			return refs, err
		}
		for _, row := range rows {
			refs.Add(row.ImageRef)
			after = row.Seq
		}
		if len(rows) < chunkItems {
			return refs, nil
		}
	}
}

// compare reads one image back.
func (v *verifier) compare(row store.Item, item convert.Item) (store.Item, error) {
	row.Outcome = store.ItemFailed
	if item.Image == "" {
		row.Reason = "its labels were there when the run was planned and are not any more"
		return row, nil
	}
	images, err := v.store.ImagesByID(v.Stopping, v.Ref, []string{row.ImageID})
	if err != nil {
		return row, err
	}
	var listed convert.Size
	if len(images) == 1 {
		listed = sizeOf(images[0])
	}
	result, err := v.src.Load(v.Stopping, item, listed)
	if err == nil {
		err = v.Accepted.Refusal(result)
	}
	if err != nil {
		row.Reason = err.Error()
		return row, nil
	}
	var there []pictograph.Annotation
	asTold := func(c dataset.Content) bool {
		there, err = pictograph.DecodeAnnotations(c.Annotations)
		return err == nil && sameAnnotations(result.Annotations, there)
	}
	var saved []store.Hash
	if len(images) == 1 && images[0].Saved != nil {
		saved = append(saved, images[0].Saved.Hash)
	}
	content, err := v.ReadOrKnown(row.ImageRef, row.ImageID, row.Path, row.ListedCount, asTold, saved...)
	if unreadable, ok := errors.AsType[dataset.UnreadableError](err); ok {
		row.Reason = unreadable.Reason
		return row, nil
	}
	if err != nil {
		return row, err
	}
	if !content.ByExport {
		v.Tracker.Did(progress.Reading, 1)
		if len(images) == 1 {
			if err := v.noteDiffers(images[0], content); err != nil {
				return row, err
			}
		}
	}
	if there, err = pictograph.DecodeAnnotations(content.Annotations); err != nil {
		return row, fmt.Errorf("compare %s: %w", row.Image, err)
	}
	if sameAnnotations(result.Annotations, there) {
		row.Outcome = store.ItemUnchanged
		if content.ByExport {
			v.believedMu.Lock()
			v.believed.Add(row.ImageRef)
			v.believedMu.Unlock()
		}
		return row, nil
	}
	row.Reason = difference(result.Annotations, there)
	if row.Plan == store.PlanUnchanged {
		row.Plan = store.PlanDrifted // which the count alone did not show
	}
	return row, nil
}

// differs reports whether an image has something else than was last saved on it from here,
// which its count does not show.
func differs(image store.Image, c dataset.Content) bool {
	return image.Saved != nil && image.Saved.Count == c.Count && image.Saved.Hash != c.Hash
}

// noteDiffers keeps what was read of an image that differs, or did: later plans go by it.
func (v *verifier) noteDiffers(image store.Image, c dataset.Content) error {
	r := store.Reading{ImageRef: image.Ref, Count: c.Count, Annotations: c.Annotations, Differs: differs(image, c)}
	if _, differed := v.differing[image.Ref]; !r.Differs && !differed {
		return nil
	}
	return v.store.AddReadings(v.Stopping, []store.Reading{r}, v.Now())
}

// sameAnnotations reports whether two lists are the same, ids included: their order does not
// count, nor who the service says made them.
func sameAnnotations(want, got []pictograph.Annotation) bool {
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
	for _, a := range want {
		if other, ok := there[a.ID]; !ok || other != encode(a) {
			return false
		}
		delete(there, a.ID)
	}
	return len(there) == 0
}

// difference says in what two lists differ, which are not the same, in the words that
// `plan --diff` has for it.
func difference(want, got []pictograph.Annotation) string {
	changes := compare.Annotations(got, want)
	n := compare.Count(changes)
	if n[compare.Unchanged] == len(changes) {
		if slices.ContainsFunc(changes, func(c compare.Change) bool { return c.Before.ID != c.After.ID }) {
			return "the dataset differs from the labels: its annotations say the same and have other ids"
		}
		return "the dataset differs from the labels: its annotations say the same and are written in another way"
	}
	first := slices.IndexFunc(changes, func(c compare.Change) bool { return c.Kind != compare.Unchanged })
	return fmt.Sprintf("the dataset differs from the labels: to say the same, %s would be added, %d removed, %d changed (the first: %s)",
		annotationsText(n[compare.Added]), n[compare.Removed], n[compare.Changed], changes[first].Line())
}
