package worker

import (
	"sync/atomic"

	"pictosync/dataset"
)

// payloadBytes bounds the annotations that are kept between plan and save: enough
// for some thousand images, which then are converted once and not twice.
const payloadBytes = 48 << 20

// payloads are encoded annotations that were converted for the plan and are about
// to be saved, by the number of their item. What does not fit is dropped, and
// converted again when its batch is built; so is everything when the source
// changes meanwhile.
type payloads struct {
	room  atomic.Int64
	bySeq map[int64]encoded // the plan's and then the save's, one after the other
}

// encoded are an image's annotations as they are sent; nil where they are not kept.
type encoded struct {
	payload []byte
	prints  dataset.Prints // of the annotations
}

// keeps takes room for annotations of a size, where there is as much.
func (p *payloads) keeps(size int) bool {
	if p.room.Add(-int64(size)) >= 0 {
		return true
	}
	p.room.Add(int64(size))
	return false
}

// release gives up annotations that room was taken for.
func (p *payloads) release(c *converted) {
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

// drop drops everything.
func (p *payloads) drop() {
	for seq := range p.bySeq {
		p.take(seq)
	}
}
