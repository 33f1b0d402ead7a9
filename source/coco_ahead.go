package source

import (
	"bytes"
	"io"
	"sync/atomic"
)

// aheadOf is the size of a file whose halves are scanned at the same time, in bytes.
const aheadOf = 16 << 20

// aheadScan scans the second half of a file while the first is scanned, as if it
// were annotations. Where an annotation starts there is a guess: what was found counts only
// if the scan of the first half comes to that very byte as the start of an
// annotation. From there on both would find the same.
type aheadScan struct {
	start   int64         // of the first annotation, as guessed
	depth   int           // of the scanner there
	stopped atomic.Bool   // it is of no use any more
	done    chan struct{} // closed at the end

	// Valid when done:
	indexer cocoIndexer
	count   int
	end     int64 // of the last annotation
}

// scanAhead begins a scan in a file of a size whose list of annotations has
// elements at a depth; nil if it is small. It begins before the middle, since the
// other one has the images to read too, which mostly stand first.
func scanAhead(file io.ReaderAt, size int64, depth int) *aheadScan {
	if size < aheadOf {
		return nil
	}
	start := guessObject(file, size/5*2)
	if start == 0 {
		return nil
	}
	a := &aheadScan{start: start, depth: depth, done: make(chan struct{}), indexer: cocoIndexer{
		file: &cocoFile{}, reporter: newReporter(nil), reports: make(kindCounts), beyond: make(kindCounts), slots: newIDSlots(size)}}
	go func() {
		defer close(a.done)
		a.scan(io.NewSectionReader(file, start, size-start))
	}()
	return a
}

// guessObject is the place of an opening brace that stands behind a closing one
// and a comma, soon after offset; 0 if there is none.
func guessObject(file io.ReaderAt, offset int64) int64 {
	window := make([]byte, 64<<10)
	n, _ := file.ReadAt(window, offset)
	window = window[:n]
	for i := 0; ; {
		next := bytes.IndexByte(window[i:], '}')
		if next < 0 {
			return 0
		}
		i += next + 1
		comma := blanksEnd(window, i)
		if comma == len(window) || window[comma] != ',' {
			continue
		}
		if brace := blanksEnd(window, comma+1); brace < len(window) && window[brace] == '{' {
			return offset + int64(brace)
		}
	}
}

// scan goes on until the list ends, or something is there that has to be
// reported: that is left to the one who scans from the beginning.
func (a *aheadScan) scan(r io.Reader) {
	scanJSON(r, func(s *jsonScanner) {
		s.depth = a.depth
		for !a.stopped.Load() && s.token() == '{' {
			before := a.indexer.refs.count
			a.indexer.annotation(s, 0)
			if len(a.indexer.reports) > 0 || a.indexer.file.panoptic || a.indexer.refs.count == before {
				a.indexer.refs.drop(before)
				return
			}
			a.count, a.end = a.count+1, a.start+s.offset()
			if s.token() != ',' {
				return
			}
			s.pos++
		}
	})
	// An error is one that the other scan meets too.
	a.indexer.refs.drop(a.count)
}

// stop ends the scan and waits for that. A nil *aheadScan is at its end.
func (a *aheadScan) stop() {
	if a != nil {
		a.stopped.Store(true)
		<-a.done
	}
}

// adopt takes over what was found and returns how many annotations that is; the
// scanner goes on behind them.
func (x *cocoIndexer) adopt(a *aheadScan, s *jsonScanner) int {
	<-a.done
	if a.count == 0 {
		return 0
	}
	slots := a.indexer.slots.addTo(x.slots)
	a.indexer.refs.each(func(r *ref) {
		r.start += a.start
		r.slot = slots[r.slot]
	})
	for key := range a.indexer.links {
		if x.links == nil {
			x.links = make(map[string]bool)
		}
		x.links[key] = true
	}
	x.refs.append(a.indexer.refs)
	s.jump(a.end)
	return a.count
}
