package source

import (
	"errors"
	"math"

	"pictosync/convert"
)

// idSlots numbers image ids in the order in which they are first asked for. There
// are millions of questions and the ids are mostly whole numbers, so those are not
// made text first, and the lower ones are looked up in a list.
type idSlots struct {
	low    []int32 // 1 + slot by id; 0 for ids that were not asked for
	whole  map[wholeID]int32
	others map[convert.COCOID]int32
	count  int
}

// newIDSlots is for a file of a size in bytes: the list of low ids is a small part
// of that, and most of it is never touched.
func newIDSlots(size int64) *idSlots {
	const bytesAnID, most = 256, 1 << 24
	return &idSlots{low: make([]int32, min(size/bytesAnID, most)), whole: make(map[wholeID]int32), others: make(map[convert.COCOID]int32)}
}

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
	if id < wholeID(len(s.low)) {
		slot := &s.low[id]
		if *slot == 0 {
			*slot = s.next() + 1
		}
		return *slot - 1
	}
	slot, ok := s.whole[id]
	if !ok {
		slot = s.next()
		s.whole[id] = slot
	}
	return slot
}

func (s *idSlots) next() int32 {
	const most = math.MaxInt32 - 1
	if s.count == most {
		panic(scanFailure{errors.New("has more image ids than can be counted")})
	}
	s.count++
	return int32(s.count - 1)
}

// addTo gives every id a slot of other and returns those, by slot here.
func (s *idSlots) addTo(other *idSlots) []int32 {
	slots := make([]int32, s.count)
	s.each(func(id wholeID, slot int32) { slots[slot] = other.ofWhole(id) },
		func(id convert.COCOID, slot int32) { slots[slot] = other.of(id) })
	return slots
}

// each calls whole for every id that is a whole number, and text for the others.
func (s *idSlots) each(whole func(wholeID, int32), text func(convert.COCOID, int32)) {
	for id, slot := range s.low {
		if slot > 0 {
			whole(wholeID(id), slot-1)
		}
	}
	for id, slot := range s.whole {
		whole(id, slot)
	}
	for id, slot := range s.others {
		text(id, slot)
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
