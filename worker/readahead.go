package worker

import (
	"context"
	"sync"
	"sync/atomic"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/store"
)

// walked is an item of the walk of a source.
type walked struct {
	convert.Item
	findings []convert.Finding // that the source reported on the way to it
	early    *converted        // nil where it was not converted on the way
	err      error             // that ended the walk
	picture  string            // the file of an image that no label names
	splits   []string          // of that, as the source calls them
}

// walk goes through a source, and converts its items before the plan asks for them
// where that comes to the same: while the dataset is listed, and while parts of the plan are
// recorded.
type walk struct {
	items  chan walked
	cancel context.CancelFunc
	done   sync.WaitGroup
	// unsized is set when the size of an image turns out to be known to the
	// listing alone: the others' are most likely too.
	unsized atomic.Bool
}

// walkAhead is how far the walk may be ahead, in images: some thousand are listed in
// the time in which as many are converted.
const walkAhead = 8000

// convertsAlike reports whether labels come to the same whenever they are
// converted, and whatever their images have.
func (p *planner) convertsAlike() bool {
	_, whole := p.src.(convert.FileBacked)
	return whole && len(p.OnlyClasses) == 0
}

// startWalk begins the walk, unless that is begun. Who made the planner closes it.
func (p *planner) startWalk() {
	if p.walk != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.Stopping)
	w := &walk{items: make(chan walked, walkAhead), cancel: cancel}
	p.walk = w
	alike := p.convertsAlike()
	items := func(yield func(walked, error) bool) {
		for item, err := range p.src.Items(ctx, "") {
			if !yield(walked{Item: item, findings: p.SourceFindings(), err: err}, nil) || err != nil {
				return
			}
		}
	}
	convertEarly := func(ctx context.Context, item walked) (walked, error) {
		if !alike || item.err != nil || item.Err != nil || w.unsized.Load() {
			return item, nil
		}
		c, err := p.load(ctx, item.Item, store.Image{}, false)
		if err == nil && c.err == nil && !c.sized.Known() {
			w.unsized.Store(true)
		}
		item.early = &c
		return item, err
	}
	w.done.Go(func() {
		defer close(w.items)
		for item, err := range parallel.Map(ctx, p.Convert, items, convertEarly) {
			if err != nil {
				item = walked{err: err}
			}
			select {
			case w.items <- item:
			case <-ctx.Done():
				return
			}
			if item.err != nil {
				return
			}
		}
	})
}

// chunks are the items of the walk, as many as are planned together.
func (w *walk) chunks(yield func([]walked, error) bool) {
	parallel.Chunks(func(yield func(walked, error) bool) {
		for item := range w.items {
			if !yield(item, item.err) {
				return
			}
		}
	}, chunkItems)(yield)
}

// end stops the walk and waits for it.
func (w *walk) end() {
	w.cancel()
	w.done.Wait()
}

// hold keeps what the source reads from open until the run ends, or opens it anew.
func (p *planner) hold(src convert.Source) {
	p.src = src
	if p.release != nil {
		p.release()
	}
	p.release = convert.Hold(src)
}

// close ends the walk, and lets go of the source.
func (p *planner) close() {
	if p.walk != nil {
		p.walk.end()
	}
	if p.release != nil {
		p.release()
	}
}
