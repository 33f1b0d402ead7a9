// Package progress tells how far work on many images is: its phases one by one, and all of it
// as one, counted in requests, which are what it has to wait for.
package progress

import (
	"fmt"
	"sync"
	"time"
)

// Progress is how far the work is.
type Progress struct {
	Phase  string // listing, planning, saving
	Done   int    // images of the phase
	Total  int    // images of the phase, 0 while unknown
	Failed int    // images
	Note   string // what is done meanwhile that Done does not count; "" is nothing
	Hold   Hold   // what the work waits for; the zero value is nothing

	// Of the whole work: requests that are done, and all there are, 0 while unknown. Left is
	// how long the rest takes, 0 while unknown; AtLeast says that there will be more to do
	// than is known yet, before there is a plan.
	Requests, AllRequests int
	Left                  time.Duration
	AtLeast               bool
}

// Hold is something that all of the work waits for.
type Hold struct {
	Kind  HoldKind
	Why   string
	Until time.Time // when it goes on, or is tried again
}

// HoldKind is what kind of thing is waited for: of one kind it is said once for a while.
type HoldKind string

// What work waits for.
const (
	Quota  HoldKind = "quota"
	Pace   HoldKind = "pace" // each request has to wait, and none for long
	Outage HoldKind = "outage"
)

// Part is a kind of the work's requests.
type Part int

// The parts of work, in their order.
const (
	Listing Part = iota
	Reading
	Saving
	parts
)

// Tracker turns counts into progress. The zero value reports to nobody. It may be used by
// several goroutines.
type Tracker struct {
	Report func(Progress) // told one at a time; it must not block
	// Takes is how long so many requests take at least, and Now the time. Both may be nil.
	Takes func(requests int) time.Duration
	Now   func() time.Time

	mu    sync.Mutex
	now   Progress
	begun time.Time
	// When Left was last worked out, and how many requests were done then.
	reckoned time.Time
	counted  int
	work     [parts]struct {
		known     bool
		all, done float64 // requests
	}
}

func (t *Tracker) update(change func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.now)
	if t.Report == nil {
		return
	}
	t.whole()
	t.Report(t.now)
}

// whole sums up the whole work; t.mu is held.
func (t *Tracker) whole() {
	done, all, known := 0.0, 0.0, true
	for _, w := range t.work {
		known = known && w.known
		all += max(w.all, w.done)
		done += w.done
	}
	t.now.Requests, t.now.AllRequests, t.now.AtLeast = int(done), 0, !known
	if known {
		t.now.AllRequests = int(all + 0.999)
	}
	if t.Now == nil || t.begun.IsZero() {
		return
	}
	if now := t.Now(); int(done) != t.counted || now.Sub(t.reckoned) >= time.Second {
		t.counted, t.reckoned = int(done), now
		t.reckon(done, all-done)
	}
}

// reckon works out how long the rest takes; t.mu is held.
func (t *Tracker) reckon(done, rest float64) {
	t.now.Left = 0
	if passed := t.Now().Sub(t.begun); done >= 1 && passed > 0 {
		t.now.Left = time.Duration(float64(passed) * rest / done)
	}
	if t.Takes != nil { // what was fast while there was quota left is no measure
		t.now.Left = max(t.now.Left, t.Takes(int(rest+0.999)))
	}
}

// Expect says how many requests a part of the work takes; known parts that are done take none
// more. Once all parts are known, the whole is; until then what is known of it is the least.
func (t *Tracker) Expect(p Part, requests int) {
	t.update(func(*Progress) {
		if t.begun.IsZero() && t.Now != nil {
			t.begun = t.Now()
		}
		w := &t.work[p]
		w.known, w.all = true, w.done+float64(requests)
		t.counted = -1
	})
}

// Did counts requests of a part that are done: a share of one for an image that shares it with
// others.
func (t *Tracker) Did(p Part, requests float64) {
	t.update(func(*Progress) { t.work[p].done += requests })
}

// Begin begins a phase of so many images, 0 where that is not known.
func (t *Tracker) Begin(phase string, total int) {
	t.update(func(p *Progress) {
		*p = Progress{Phase: phase, Total: total, Hold: p.Hold, Left: p.Left, AtLeast: p.AtLeast}
	})
}

// Note says what is done meanwhile.
func (t *Tracker) Note(format string, args ...any) {
	t.update(func(p *Progress) { p.Note = fmt.Sprintf(format, args...) })
}

// Holds says what the work waits for; the zero value is nothing.
func (t *Tracker) Holds(h Hold) {
	t.update(func(p *Progress) { p.Hold = h })
}

// Add counts images that are done, and how many of them failed.
func (t *Tracker) Add(done, failed int) {
	t.update(func(p *Progress) {
		p.Done += done
		p.Failed += failed
	})
}
