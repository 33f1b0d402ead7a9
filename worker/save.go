package worker

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/alitto/pond/v2"

	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// nearby bounds how far apart two pending items may be for one walk to visit
// both; a larger gap is jumped by starting a new walk behind it.
const nearby = 2 * stretch

// save adds the classes and sends what the plan left pending, so many images. The
// labels are converted again, so that neither memory nor the state ever holds them
// all. The first batches are built while the classes are added.
func (r *run) save(ctx context.Context, pending int) error {
	r.writable = make(chan struct{})
	if pending == 0 {
		return r.makeWritable(ctx)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := r.makeWritable(ctx); err != nil {
			r.halt(err)
		}
	})
	r.progress.begin("saving", pending)
	converters := pond.NewResultPool[converted](r.Convert)
	defer converters.StopAndWait()
	r.sending = make(chan struct{}, r.Save)
	savers := pond.NewPool(r.Save+waiting, pond.WithQueueSize(1))
	b := batcher{run: r, ctx: ctx, savers: savers}
	err := r.buildBatches(&b, converters, pending)
	if err == nil {
		err = b.flush()
	}
	if err == nil { // while the last answers are awaited
		r.letGoSource()
		r.settling.Go(r.store.Settle)
	}
	savers.StopAndWait()
	writing.Wait()
	if cause := context.Cause(r.stopping); cause != nil {
		return cause
	}
	return err
}

// makeWritable adds the classes to the dataset. Nothing is written to it before.
func (r *run) makeWritable(ctx context.Context) error {
	if err := r.persist(r.createClasses); err != nil {
		return err
	}
	if err := r.store.SetPhase(ctx, r.record.ID, store.Saving); err != nil {
		return err
	}
	close(r.writable)
	return nil
}

// awaitClasses returns when the dataset has the classes, or why the run stops.
func (r *run) awaitClasses() error {
	select {
	case <-r.writable:
	case <-r.stopping.Done():
	}
	return context.Cause(r.stopping)
}

// waiting is how many batches are committed, and the answers to how many are, while
// as many others as may be are on their way.
const waiting = 2

// portion is some of what is to be saved, in the order of the plan. Its labels are
// being converted, or were kept since they were planned.
type portion struct {
	rows     []store.Item
	items    map[string]source.Item // by itemKey; those that are no longer there are left out
	images   map[string]store.Image // by id
	payloads []encoded              // by row; nil where they are converted
	tasks    []pond.ResultTask[converted]
}

// portionsAhead is how many portions may wait, their labels being converted, while
// the one before them is handed to the savers and the one behind them is looked up.
const portionsAhead = 2

// portionBytes bounds the annotations of a portion: of those that wait, the one
// before and the one behind are in memory, and the batches that are on their way.
const portionBytes = defaultBatchBytes

// buildBatches goes through the pending items. The labels of a portion are converted
// while those before it are handed to the savers, unless to convert them asks the
// service: that is done as short as can be before the save.
func (r *run) buildBatches(b *batcher, converters pond.ResultPool[converted], pending int) error {
	portions := r.portions(converters, pending)
	if len(r.OnlyClasses) == 0 {
		portions = goAhead(portions, portionsAhead)
	}
	for p, err := range portions {
		if err == nil {
			err = r.batchPortion(b, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// portions begins to convert what the plan left pending, a portion at a time.
func (r *run) portions(converters pond.ResultPool[converted], pending int) iter.Seq2[portion, error] {
	// With backups a portion costs a request an image before its first save: no
	// more of them than fill a batch, so that a killed process loses little.
	limit := stretch
	if r.Backup == BackupAuto || r.Backup == BackupAlways {
		limit = r.BatchImages
	}
	return func(yield func(portion, error) bool) {
		for rows, err := range r.pendingRows(pending, limit) {
			p := portion{rows: rows}
			if err == nil {
				err = r.convertPortion(&p, converters)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// pendingRows goes through what the plan left to be dealt with, so many rows, at most
// limit at a time: those that one walk of the source visits.
func (r *run) pendingRows(pending, limit int) iter.Seq2[[]store.Item, error] {
	return func(yield func([]store.Item, error) bool) {
		var after int64
		for pending > 0 {
			rows, err := r.store.Pending(r.stopping, r.record.ID, after, min(limit, pending))
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

// goAhead goes on with a sequence while what it yielded is worked on: so many steps
// wait for their turn, and one more is being made.
func goAhead[T any](seq iter.Seq2[T, error], steps int) iter.Seq2[T, error] {
	type step struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		next, done := make(chan step, steps), make(chan struct{})
		var walk sync.WaitGroup
		walk.Go(func() {
			defer close(next)
			for value, err := range seq {
				select {
				case next <- step{value, err}:
				case <-done:
					return
				}
			}
		})
		defer walk.Wait()
		defer close(done)
		for s := range next {
			if !yield(s.value, s.err) {
				return
			}
		}
	}
}

// convertPortion finds the items and images of a portion's rows and begins to convert
// their labels.
func (r *run) convertPortion(p *portion, converters pond.ResultPool[converted]) error {
	if whole, ok := r.src.(source.Whole); ok && !whole.Unchanged() {
		r.kept.drop()
		r.holdSource()
	}
	p.payloads = make([]encoded, len(p.rows))
	var again []store.Item
	for i, row := range p.rows {
		if p.payloads[i] = r.kept.take(row.Seq); p.payloads[i].payload == nil {
			again = append(again, row)
		}
	}
	var err error
	if p.items, err = r.findItems(again); err != nil {
		return err
	}
	images, err := r.store.ImagesByRef(r.stopping, imageRefs(p.rows))
	if err != nil {
		return err
	}
	p.images = make(map[string]store.Image, len(images))
	for _, i := range images {
		p.images[i.ID] = i
	}
	p.tasks = make([]pond.ResultTask[converted], len(p.rows))
	for i, row := range p.rows {
		item, ok := p.items[itemKey(row)]
		if p.payloads[i].payload != nil || !ok || item.Err != nil {
			continue
		}
		image := p.images[row.ImageID]
		p.tasks[i] = converters.Submit(func() converted {
			if r.stopping.Err() != nil {
				return converted{err: r.stopping.Err()}
			}
			return r.load(r.stopping, item, image, func(int) bool { return true })
		})
	}
	return nil
}

// untilGap are the rows at the beginning that one walk visits, and whose annotations
// fit into a portion.
func untilGap(rows []store.Item) []store.Item {
	bytes := 0
	for i, row := range rows {
		bytes += row.Bytes
		if i > 0 && (row.Seq-rows[i-1].Seq > nearby || bytes > portionBytes) {
			return rows[:i]
		}
	}
	return rows
}

// findItems walks the source for the items of planned rows. An item that is no
// longer there is left out.
func (r *run) findItems(rows []store.Item) (map[string]source.Item, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	wanted := make(map[string]bool, len(rows))
	found := make(map[string]source.Item, len(rows))
	for _, row := range rows {
		if row.Pruned {
			found[itemKey(row)] = leftItem(row.ImageID, row.Path)
			continue
		}
		wanted[row.Image] = true
	}
	if len(wanted) == 0 {
		return found, nil
	}
	for item, err := range r.src.Items(r.stopping, rows[0].After) {
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
	return found, context.Cause(r.stopping)
}

// itemKey is what the item of a planned row is found by: its name, or for an image
// that left the source what no name can be.
func itemKey(row store.Item) string {
	if row.Pruned {
		return leftCursor + row.ImageID
	}
	return row.Image
}

// batchPortion puts a portion into batches.
func (r *run) batchPortion(b *batcher, p portion) (err error) {
	next := make([]ready, 0, len(p.rows))
	for i, row := range p.rows {
		var c converted
		switch {
		case p.payloads[i].payload != nil:
			c = converted{encoded: p.payloads[i], hash: row.Hash}
		case p.tasks[i] == nil:
			c.err = fmt.Errorf("the labels of %s were there when the run was planned and are not any more", row.Image)
		default:
			if c, err = p.tasks[i].Wait(); err != nil {
				return fmt.Errorf("convert %s: %w", row.Image, err)
			}
			if c.fatal != nil {
				return c.fatal
			}
		}
		if r.stopping.Err() != nil {
			return context.Cause(r.stopping)
		}
		image := p.images[row.ImageID]
		if row, err = r.recheck(row, p.items[itemKey(row)], image, c); err != nil {
			return err
		}
		if row.Outcome != store.ItemPending {
			r.progress.add(1, failures(row))
			continue
		}
		next = append(next, ready{row: row, labels: c.encoded, image: image, there: c.backup})
	}
	if next, err = r.backUp(next); err != nil {
		return err
	}
	for _, i := range next {
		if err := b.add(i.row, i.labels); err != nil {
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
func (r *run) recheck(planned store.Item, item source.Item, image store.Image, c converted) (store.Item, error) {
	if c.err == nil && c.hash == planned.Hash {
		return planned, nil
	}
	if err := r.awaitClasses(); err != nil { // they are asked for
		return planned, err
	}
	again := r.decide(item, match{image: image}, c)
	again.Seq, again.Image, again.ImageID, again.ImageRef, again.Path = planned.Seq, planned.Image, planned.ImageID, planned.ImageRef, planned.Path
	if again.Outcome == store.ItemPending && r.Expect != "" {
		again.Plan, again.Outcome, again.Reason = store.PlanFailed, store.ItemFailed, "its labels changed since the plan that is kept; make a new plan with `pictosync plan`"
	}
	if again.Outcome == store.ItemPending {
		if err := r.guardChanged(planned, again); err != nil {
			return planned, err
		}
		for _, class := range c.classes {
			if !r.hasClass(class.Name) {
				again.Plan, again.Outcome = store.PlanFailed, store.ItemFailed
				again.Reason = fmt.Sprintf("its labels changed while the run was going on and now use class %q; run again", class.Name)
				break
			}
		}
	}
	return again, r.store.SetItem(r.stopping, r.record.ID, again)
}

func (r *run) hasClass(name string) bool {
	for _, c := range r.classes {
		if c.Name == name {
			return true
		}
	}
	return false
}

// batcher gathers images into bulk saves and hands each to the savers. It is
// used by one goroutine.
type batcher struct {
	run    *run
	ctx    context.Context
	savers pond.Pool

	entries []pictograph.BulkEntry
	images  []store.BatchImage
	bytes   int
}

// bodies are what batches are put together in, each in one that was another's.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// entryOverhead is what an entry takes in a bulk save's body beside its
// annotations: keys, quotes, braces and a UUID.
const entryOverhead = 96

func (b *batcher) add(row store.Item, labels encoded) error {
	size := len(labels.payload) + entryOverhead
	if len(b.images) > 0 && b.bytes+size > b.run.BatchBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.entries = append(b.entries, pictograph.BulkEntry{ImageID: row.ImageID, Annotations: labels.payload})
	b.images = append(b.images, store.BatchImage{Item: row.Seq, ImageID: row.ImageID, ImageRef: row.ImageRef, Hash: row.Hash, Count: row.Count, ListedCount: row.ListedCount, Prints: labels.prints})
	b.bytes += size
	if len(b.images) < b.run.BatchImages {
		return nil
	}
	return b.flush()
}

// flush hands the gathered images to the savers; it blocks while they are all
// busy.
func (b *batcher) flush() error {
	if len(b.images) == 0 {
		return nil
	}
	r := b.run
	body, images := bodies.Get().(*[]byte), b.images
	*body = pictograph.AppendBulkSave((*body)[:0], b.entries)
	b.entries, b.images, b.bytes = b.entries[:0], make([]store.BatchImage, 0, len(images)), 0
	err := b.savers.Go(func() {
		defer bodies.Put(body)
		if err := r.deliver(b.ctx, *body, images); err != nil {
			r.halt(err)
		}
	})
	if err != nil {
		return fmt.Errorf("hand a batch to the savers: %w", err)
	}
	return context.Cause(r.stopping)
}
