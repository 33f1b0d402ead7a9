package worker

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/internal/progress"
	"pictosync/store"
)

// applier saves what a plan left pending.
type applier struct {
	*planner
	removed removals
	// refused are images that the service refused, one by one, since the last that it
	// took.
	refused  atomic.Int32
	byExport bool           // what images had is read by an export
	finished map[string]int // images of batches that were in flight, by run
	sending  chan struct{}  // holds as many as there are batches in flight
	writable chan struct{}  // closed when the dataset has the classes
}

// newApplier applies what a planner plans.
func newApplier(p *planner) *applier {
	p.applies = true
	return &applier{planner: p, sending: make(chan struct{}, p.Concurrency), writable: make(chan struct{})}
}

// nearby bounds how far apart two pending items may be for one walk to visit
// both; a larger gap is jumped by starting a new walk behind it.
const nearby = 2 * chunkItems

// apply adds the classes and sends what the plan left pending. Labels of which too much is
// pending are converted again, so that neither memory nor the state ever holds them all. The
// first batches are built while the classes are added.
func (a *applier) apply(ctx context.Context, plan store.PlanSummary) error {
	if plan.Saves == 0 {
		return a.makeWritable(ctx)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := a.makeWritable(ctx); err != nil {
			a.Halt(err)
		}
	})
	a.Tracker.Begin("saving", plan.Saves)
	savers := pond.NewPool(a.Concurrency+committing, pond.WithQueueSize(1))
	b := batcher{applier: a, savers: savers}
	reads := a.readings(plan)
	images := reads
	a.Tracker.Expect(progress.Reading, a.ReadBy.Cost(images))
	a.Tracker.Expect(progress.Saving, (plan.Saves+a.BatchImages-1)/a.BatchImages)
	err := a.readBefore(images)
	if err == nil && a.byExport {
		images = 0
	}
	a.Tracker.Expect(progress.Reading, images)
	if err == nil {
		err = a.buildBatches(ctx, &b, plan.Saves, reads)
	}
	if err == nil {
		err = b.flush(ctx)
	}
	savers.StopAndWait()
	writing.Wait()
	if cause := context.Cause(a.Stopping); cause != nil {
		return cause
	}
	return err
}

// makeWritable adds the classes to the dataset. Nothing is written to it before.
func (a *applier) makeWritable(ctx context.Context) error {
	if err := a.Persist(a.createClasses); err != nil {
		return err
	}
	if err := a.store.SetPhase(ctx, a.record.ID, store.Saving); err != nil {
		return err
	}
	close(a.writable)
	return nil
}

// awaitClasses returns when the dataset has the classes, or why the run stops.
func (a *applier) awaitClasses() error {
	select {
	case <-a.writable:
	case <-a.Stopping.Done():
	}
	return context.Cause(a.Stopping)
}

// committing is how many batches may be committing beyond those in flight.
const committing = 2

// chunkBytes bounds the annotations of a chunk that is saved: a few chunks are in memory,
// and the batches in flight.
const chunkBytes = defaultBatchBytes

// buildBatches goes through the pending items. The labels of a chunk are converted
// while those before it are handed to the savers, unless to convert them asks the
// service: that is done as shortly as can be before the save.
func (a *applier) buildBatches(ctx context.Context, b *batcher, pending, reads int) error {
	// Where images are read first a chunk costs a request an image before its first save: no
	// more of them than fill a batch, so that a killed process loses little.
	limit := chunkItems
	if a.backsUp() || reads > 0 {
		limit = a.BatchImages
	}
	chunks := a.pendingRows(pending, limit)
	if len(a.OnlyClasses) > 0 {
		for rows, err := range chunks {
			var next []toSave
			if err == nil {
				next, err = a.convertChunk(a.Stopping, rows)
			}
			if err == nil {
				err = a.batchConverted(ctx, b, next)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	for next, err := range parallel.Map(a.Stopping, 1, chunks, a.convertChunk) {
		if err == nil {
			err = a.batchConverted(ctx, b, next)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pendingRows goes through what the plan left to be dealt with, so many rows, at most
// limit at a time: those that one walk of the source visits.
func (r *run) pendingRows(pending, limit int) iter.Seq2[[]store.Item, error] {
	return func(yield func([]store.Item, error) bool) {
		var after int64
		for pending > 0 {
			rows, err := r.store.Pending(r.Stopping, r.record.ID, after, min(limit, pending))
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rows) == 0 {
				return
			}
			rows = untilGap(rows)
			after = rows[len(rows)-1].Seq
			pending -= len(rows)
			if !yield(rows, nil) {
				return
			}
		}
	}
}

// toSave is a planned image, with what is saved on it.
type toSave struct {
	row   store.Item
	item  convert.Item
	image store.Image
	converted
}

// convertChunk finds the items and images of planned rows, and converts their labels.
func (a *applier) convertChunk(ctx context.Context, rows []store.Item) ([]toSave, error) {
	if whole, ok := a.src.(convert.FileBacked); ok && !whole.Unchanged() {
		a.hold(a.src)
		a.payloads.drop()
	}
	items, err := findItems(ctx, a.src, rows)
	if err != nil {
		return nil, err
	}
	found, err := a.store.ImagesByRef(ctx, imageRefs(rows))
	if err != nil {
		return nil, err
	}
	images := make(map[string]store.Image, len(found))
	for _, i := range found {
		images[i.ID] = i
	}
	chunk := make([]toSave, len(rows))
	for i, row := range rows {
		chunk[i] = toSave{row: row, item: items[itemKey(row)], image: images[row.ImageID]}
	}
	i := 0
	for c, err := range parallel.Map(ctx, a.Convert, parallel.Each(chunk), a.convertAgain) {
		if err != nil {
			return nil, err
		}
		chunk[i].converted = c
		i++
	}
	return chunk, nil
}

// convertAgain converts the labels of a planned image for its save, unless they are kept.
func (a *applier) convertAgain(ctx context.Context, i toSave) (converted, error) {
	if i.item.Image == "" || i.item.Err != nil {
		return converted{err: fmt.Errorf("the labels of %s were there when the run was planned and are not any more", i.row.Image)}, nil
	}
	if labels, kept := a.payloads.take(i.row); kept {
		return converted{encoded: labels, hash: i.row.Hash}, nil
	}
	return a.load(ctx, i.item, i.image, true)
}

// untilGap are the rows at the beginning that one walk visits, and whose annotations
// fit into a chunk.
func untilGap(rows []store.Item) []store.Item {
	bytes := 0
	for i, row := range rows {
		bytes += row.Bytes
		if i > 0 && (row.Seq-rows[i-1].Seq > nearby || bytes > chunkBytes) {
			return rows[:i]
		}
	}
	return rows
}

// findItems walks the source for the items of planned rows. An item that is no
// longer there is left out.
func findItems(ctx context.Context, src convert.Source, rows []store.Item) (map[string]convert.Item, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	wanted := make(map[string]bool, len(rows))
	found := make(map[string]convert.Item, len(rows))
	for _, row := range rows {
		if row.Pruned {
			found[itemKey(row)] = departedItem(row.ImageID, row.Path)
			continue
		}
		wanted[row.Image] = true
	}
	if len(wanted) == 0 {
		return found, nil
	}
	for item, err := range src.Items(ctx, rows[0].After) {
		if err != nil {
			return nil, err
		}
		if wanted[item.Image] {
			if _, twice := found[item.Image]; !twice {
				found[item.Image] = item
			}
			if len(found) == len(rows) {
				break
			}
		}
	}
	return found, context.Cause(ctx)
}

// itemKey is what the item of a planned row is found by: its name, or for an image
// that left the source what no name can be.
func itemKey(row store.Item) string {
	if row.Pruned {
		return departedCursor + row.ImageID
	}
	return row.Image
}

// batchConverted puts a chunk into batches.
func (a *applier) batchConverted(ctx context.Context, b *batcher, chunk []toSave) error {
	next := make([]toSave, 0, len(chunk))
	for _, i := range chunk {
		if a.Stopping.Err() != nil {
			return context.Cause(a.Stopping)
		}
		row, err := a.recheck(i)
		if err != nil {
			return err
		}
		if row.Outcome != store.ItemPending {
			a.Tracker.Add(1, failures(row))
			continue
		}
		i.row = row
		next = append(next, i)
	}
	next, err := a.backUp(next)
	if err != nil {
		return err
	}
	for _, i := range next {
		if err := b.add(ctx, i.row, i.encoded); err != nil {
			return err
		}
	}
	return nil
}

func imageRefs(rows []store.Item) []int64 {
	refs := make([]int64, len(rows))
	for i, row := range rows {
		refs[i] = row.ImageRef
	}
	return refs
}

func failures(i store.Item) int {
	if i.Outcome == store.ItemFailed {
		return 1
	}
	return 0
}

// recheck holds an item's labels against its plan. Labels that changed since
// are planned again; where they now need a class that was not planned for, the
// image is left to the next run.
func (a *applier) recheck(i toSave) (store.Item, error) {
	planned, c := i.row, i.converted
	if c.err == nil && c.hash == planned.Hash {
		return planned, nil
	}
	if err := a.awaitClasses(); err != nil { // they are asked for
		return planned, err
	}
	again, err := a.decide(i.item, match{image: i.image}, c)
	if err != nil {
		return planned, err
	}
	again.Seq, again.Image, again.ImageID, again.ImageRef, again.Path = planned.Seq, planned.Image, planned.ImageID, planned.ImageRef, planned.Path
	if again.Outcome == store.ItemPending && a.Expect != "" {
		again.Plan, again.Outcome, again.Reason = store.PlanFailed, store.ItemFailed, "its labels changed since the plan that is kept; make a new plan with `pictosync plan`"
	}
	if again.Outcome == store.ItemPending {
		if err := a.guardChanged(planned, again); err != nil {
			return planned, err
		}
		for _, class := range c.classes {
			if !a.hasClass(class.Name) {
				again.Plan, again.Outcome = store.PlanFailed, store.ItemFailed
				again.Reason = fmt.Sprintf("its labels changed while the run was going on and now use class %q; run again", class.Name)
				break
			}
		}
	}
	var found store.PlanChunk
	for _, f := range c.findings {
		f.Path = i.image.Path
		found.Findings = append(found.Findings, a.report(again.Seq, f)...)
	}
	if len(found.Findings) > 0 {
		if err := a.store.AddPlan(a.Stopping, a.record.ID, found); err != nil {
			return planned, err
		}
	}
	return again, a.store.SetItem(a.Stopping, a.record.ID, again)
}

func (p *planner) hasClass(name string) bool {
	for _, c := range p.Classes {
		if c.Name == name {
			return true
		}
	}
	return false
}
