package worker

import "sync"

// keptBytes bounds the annotations that are kept from the plan to the save.
const keptBytes = 32 << 20

// keptPayloads are annotations that were encoded for the plan and are to be saved, up to
// [keptBytes] of them: those of most sources need not be converted a second time. What is
// beyond is; so is all of a source that changed.
type keptPayloads struct {
	mu   sync.Mutex
	used int
	by   map[int64]encoded // the number of the planned item
}

// room reserves room for so many bytes.
func (k *keptPayloads) room(bytes int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.used+bytes > keptBytes {
		return false
	}
	k.used += bytes
	return true
}

// put keeps what there is room for, until it is taken.
func (k *keptPayloads) put(item int64, e encoded) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil {
		k.by = make(map[int64]encoded)
	}
	k.by[item] = e
}

// free gives room back.
func (k *keptPayloads) free(bytes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used -= bytes
}

// take is what is kept of an item, which it is no more.
func (k *keptPayloads) take(item int64) (e encoded, kept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, kept = k.by[item]
	delete(k.by, item)
	k.used -= len(e.payload)
	return e, kept
}

// drop forgets all.
func (k *keptPayloads) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.by, k.used = nil, 0
}
