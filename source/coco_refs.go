package source

import (
	"errors"
	"math"

	"pictosync/convert"
)

// idSlots numbers image ids in the order in which they are first asked for. There
// are millions of questions and the ids are mostly whole numbers, so those are not
// made text first.
type idSlots struct {
	whole  map[wholeID]int32
	others map[convert.COCOID]int32
}

func newIDSlots() *idSlots {
	return &idSlots{whole: make(map[wholeID]int32), others: make(map[convert.COCOID]int32)}
}

func (s *idSlots) len() int { return len(s.whole) + len(s.others) }

// ofRaw is the slot of an id as it stands in JSON.
func (s *idSlots) ofRaw(raw []byte) (int32, error) {
	if id, ok := wholeIDOf(raw); ok {
		return s.ofWhole(id), nil
	}
	id, err := convert.ParseCOCOID(raw)
	if err != nil {
		return 0, err
	}
	return s.of(id), nil
}

func (s *idSlots) of(id convert.COCOID) int32 {
	if whole, ok := wholeIDOf([]byte(id)); ok {
		return s.ofWhole(whole)
	}
	slot, ok := s.others[id]
	if !ok {
		slot = s.next()
		s.others[id] = slot
	}
	return slot
}

func (s *idSlots) ofWhole(id wholeID) int32 {
	slot, ok := s.whole[id]
	if !ok {
		slot = s.next()
		s.whole[id] = slot
	}
	return slot
}

func (s *idSlots) next() int32 {
	if s.len() == math.MaxInt32 {
		panic(scanFailure{errors.New("has more image ids than can be counted")})
	}
	return int32(s.len())
}

// each calls slot for every id.
func (s *idSlots) each(slot func(id convert.COCOID, slot int32)) {
	for id, n := range s.whole {
		slot(id.cocoID(), n)
	}
	for id, n := range s.others {
		slot(id, n)
	}
}

// ref is where an annotation stands, and the slot of its image.
type ref struct {
	start  int64
	length uint32
	slot   int32
}

// refs are annotations in file order, kept in pieces: growing one list would hold
// it twice for a moment.
type refs struct {
	pieces [][]ref
	count  int
}

func (r *refs) add(a ref) {
	const piece = 1 << 15
	last := len(r.pieces) - 1
	if last < 0 || len(r.pieces[last]) == piece {
		r.pieces = append(r.pieces, make([]ref, 0, piece))
		last++
	}
	r.pieces[last] = append(r.pieces[last], a)
	r.count++
}

// each calls do for every annotation, which it may change.
func (r *refs) each(do func(*ref)) {
	for _, piece := range r.pieces {
		for i := range piece {
			do(&piece[i])
		}
	}
}

// drop leaves out all but the first n.
func (r *refs) drop(n int) {
	for r.count > n {
		last := len(r.pieces) - 1
		some := min(r.count-n, len(r.pieces[last]))
		r.pieces[last] = r.pieces[last][:len(r.pieces[last])-some]
		r.count -= some
		if len(r.pieces[last]) == 0 {
			r.pieces = r.pieces[:last]
		}
	}
}

// append adds those of others behind.
func (r *refs) append(others refs) {
	r.pieces = append(r.pieces, others.pieces...)
	r.count += others.count
}
