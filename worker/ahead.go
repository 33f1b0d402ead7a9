package worker

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/alitto/pond/v2"

	"pictosync/source"
	"pictosync/store"
)

// ahead walks a source, and converts its items before the plan asks for them
// where that comes to the same: while the dataset is listed, and while parts of
// the plan are committed. What the walk comes upon waits in order, a number of
// stretches at most; annotations that find no room in the meantime are let go.
type ahead struct {
	items chan aheadItem
	pool  pond.ResultPool[converted]

	cancel context.CancelFunc
	walk   sync.WaitGroup
	// unsized is set when the size of an image turns out to be known to the
	// listing alone: the others' are most likely too.
	unsized atomic.Bool
}

// aheadStretches is how far the walk is ahead: some thousand images are listed in
// the time in which as many are converted.
const aheadStretches = 16

// aheadItem is an item of the walk, or the error that ended it.
type aheadItem struct {
	source.Item
	err      error
	findings []sourceFinding            // that the source reported on the way to it
	task     pond.ResultTask[converted] // nil where the item is not converted yet
}

// convertsAlike reports whether labels come to the same whenever they are
// converted, and whatever their images have.
func (r *run) convertsAlike() bool {
	_, whole := r.src.(source.Whole)
	return whole && len(r.OnlyClasses) == 0
}

// lookAhead begins to walk. Who begins it ends it.
func (r *run) lookAhead(ctx context.Context) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{items: make(chan aheadItem, aheadStretches*stretch), pool: pond.NewResultPool[converted](r.Convert), cancel: cancel}
	whole := r.convertsAlike()
	a.walk.Go(func() {
		defer close(a.items)
		for item, err := range r.src.Items(ctx, "") {
			next := aheadItem{Item: item, err: err, findings: r.sourceFindings()}
			if whole && err == nil && item.Err == nil && !a.unsized.Load() {
				next.task = a.pool.Submit(func() converted { return a.convert(ctx, r, item) })
			}
			select {
			case a.items <- next:
			case <-ctx.Done():
				return
			}
		}
	})
	return a
}

func (a *ahead) convert(ctx context.Context, r *run, item source.Item) converted {
	if ctx.Err() != nil {
		return converted{err: ctx.Err()}
	}
	// An answer of the service that has come is taken before the next image: without
	// this it waits until the scheduler interrupts a conversion, 10 ms later.
	runtime.Gosched()
	c := r.load(ctx, item, store.Image{}, r.kept.keeps)
	if c.err == nil && !c.sized.Known() {
		a.unsized.Store(true)
	}
	return c
}

// end stops the walk and waits for it.
func (a *ahead) end() {
	a.cancel()
	a.walk.Wait()
	a.pool.StopAndWait()
}

// keptBytes bounds the annotations that are kept between plan and save: enough
// for some thousand images, which then are converted once and not twice.
const keptBytes = 48 << 20

// payloads are encoded annotations that were converted for the plan and are about
// to be saved, by the number of their item. What does not fit is let go, and
// converted again when its batch is built; so is everything when the source
// changes meanwhile.
type payloads struct {
	room  atomic.Int64
	bySeq map[int64]encoded // the plan's and then the save's, one after the other
}

// encoded are an image's annotations as they are sent; nil where they are not kept.
type encoded struct {
	payload []byte
	prints  prints // of the annotations
}

// keeps takes room for annotations of a size, where there is as much.
func (p *payloads) keeps(size int) bool {
	if p.room.Add(-int64(size)) >= 0 {
		return true
	}
	p.room.Add(int64(size))
	return false
}

// letGo gives up annotations that room was taken for.
func (p *payloads) letGo(c *converted) {
	p.room.Add(int64(len(c.payload)))
	c.payload = nil
}

// put keeps annotations that room was taken for until they are taken.
func (p *payloads) put(seq int64, labels encoded) {
	if labels.payload != nil {
		p.bySeq[seq] = labels
	}
}

// take hands annotations over, where they are there.
func (p *payloads) take(seq int64) encoded {
	labels := p.bySeq[seq]
	p.room.Add(int64(len(labels.payload)))
	delete(p.bySeq, seq)
	return labels
}

// drop lets everything go.
func (p *payloads) drop() {
	for seq := range p.bySeq {
		p.take(seq)
	}
}
