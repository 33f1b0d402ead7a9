package convert

import (
	"sync"
)

// Reporter tells what is wrong with the source itself. A source is walked more
// than once, so the same finding is told only the first time.
type Reporter struct {
	tell func(Finding)

	mu   sync.Mutex
	told map[Finding]bool
}

// NewReporter tells each finding once; tell may be nil.
func NewReporter(tell func(Finding)) *Reporter {
	if tell == nil {
		tell = func(Finding) {}
	}
	return &Reporter{tell: tell, told: make(map[Finding]bool)}
}

// Report tells a finding, unless it was told before.
func (r *Reporter) Report(f Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[f] {
		return
	}
	r.told[f] = true
	r.tell(f)
}
