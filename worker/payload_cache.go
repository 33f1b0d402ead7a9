package worker

import (
	"sync"

	"pictosync/store"
)

// cacheBytes bounds the annotations that are kept from the plan to the save.
const cacheBytes = 32 << 20

// payloadCache are annotations that were encoded for the plan and are to be saved, up to
// [cacheBytes] of them: those of most sources need not be converted a second time when they
// are first brought. What is beyond is; so is all of a source that changed, and what later runs
// of the source save, which is little of it.
type payloadCache struct {
	mu   sync.Mutex
	off  bool
	used int
	by   map[int64]cachedPayload // the number of the planned item
}

type cachedPayload struct {
	encoded
	hash store.Hash
}

// room reserves room for so many bytes.
func (k *payloadCache) room(bytes int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off || k.used+bytes > cacheBytes {
		return false
	}
	k.used += bytes
	return true
}

// put keeps what there is room for, until it is taken.
func (k *payloadCache) put(item int64, c converted) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.off {
		return
	}
	if k.by == nil {
		k.by = make(map[int64]cachedPayload)
	}
	k.by[item] = cachedPayload{c.encoded, c.hash}
}

// free gives room back.
func (k *payloadCache) free(bytes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used -= bytes
}

// take is what is kept of an item, which it is no more; nothing where it is not what is to be
// saved any more.
func (k *payloadCache) take(row store.Item) (e encoded, kept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.by[row.Seq]
	delete(k.by, row.Seq)
	k.used -= len(p.payload)
	return p.encoded, p.payload != nil && p.hash == row.Hash
}

// drop forgets all, and keeps nothing any more.
func (k *payloadCache) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.by, k.off = nil, true
}
