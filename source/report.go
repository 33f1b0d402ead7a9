package source

import (
	"sync"

	"pictosync/convert"
)

// reporter tells what is wrong with the source itself. A source is walked more
// than once, so the same finding is told only the first time.
type reporter struct {
	tell func(convert.Finding)

	mu   sync.Mutex
	told map[convert.Finding]bool
}

func newReporter(tell func(convert.Finding)) *reporter {
	if tell == nil {
		tell = func(convert.Finding) {}
	}
	return &reporter{tell: tell, told: make(map[convert.Finding]bool)}
}

func (r *reporter) report(f convert.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[f] {
		return
	}
	r.told[f] = true
	r.tell(f)
}
