// Package progress tells how far work on many images is.
package progress

import (
	"fmt"
	"sync"
)

// Progress is how far the work is.
type Progress struct {
	Phase  string // listing, planning, saving
	Done   int    // images
	Total  int    // images, 0 while unknown
	Failed int    // images
	Note   string // what is done meanwhile that Done does not count; "" is nothing
}

// Tracker turns counts into progress. The zero value reports to nobody. It may be used by
// several goroutines.
type Tracker struct {
	Report func(Progress) // told one at a time; it must not block

	mu  sync.Mutex
	now Progress
}

func (t *Tracker) update(change func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.now)
	if t.Report != nil {
		t.Report(t.now)
	}
}

// Begin begins a phase of so many images, 0 where that is not known.
func (t *Tracker) Begin(phase string, total int) {
	t.update(func(p *Progress) { *p = Progress{Phase: phase, Total: total} })
}

// Note says what is done meanwhile.
func (t *Tracker) Note(format string, args ...any) {
	t.update(func(p *Progress) { p.Note = fmt.Sprintf(format, args...) })
}

// Add counts images that are done, and how many of them failed.
func (t *Tracker) Add(done, failed int) {
	t.update(func(p *Progress) {
		p.Done += done
		p.Failed += failed
	})
}
