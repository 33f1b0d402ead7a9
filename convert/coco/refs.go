package coco

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"

	"pictosync/internal/scan"
	"pictosync/source"
)

// idSlots numbers image ids in the order in which they are first asked for. There
// are millions of questions and the ids are mostly whole numbers, so those are not
// made text first, and the lower ones are looked up in a list.
type idSlots struct {
	low    []int32 // 1 + slot by id; 0 for ids that were not asked for
	whole  map[wholeID]int32
	others map[ID]int32
	count  int
}

// newIDSlots is for a file of a size in bytes: the list of low ids is a small part
// of that, and most of it is never touched.
func newIDSlots(size int64) *idSlots {
	const bytesAnID, most = 256, 1 << 24
	return &idSlots{low: make([]int32, min(size/bytesAnID, most)), whole: make(map[wholeID]int32), others: make(map[ID]int32)}
}

// ofRaw is the slot of an id as it stands in JSON.
func (s *idSlots) ofRaw(raw []byte) (int32, error) {
	if id, ok := wholeIDOf(raw); ok {
		return s.ofWhole(id), nil
	}
	id, err := parseID(raw)
	if err != nil {
		return 0, err
	}
	return s.of(id), nil
}

func (s *idSlots) of(id ID) int32 {
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
		scan.Stop(errors.New("has more image ids than can be counted"))
	}
	s.count++
	return int32(s.count - 1)
}

// each calls whole for every id that is a whole number, and text for the others.
func (s *idSlots) each(whole func(wholeID, int32), text func(ID, int32)) {
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

// wholeID is an id that is a whole number of up to 18 digits, written as
// numbers are.
type wholeID uint64

// wholeIDOf reads such an id.
func wholeIDOf(raw []byte) (id wholeID, ok bool) {
	const longest = 18
	if len(raw) == 0 || len(raw) > longest || raw[0] == '0' && len(raw) > 1 {
		return 0, false
	}
	for _, c := range raw {
		if c-'0' > 9 {
			return 0, false
		}
		id = id*10 + wholeID(c-'0')
	}
	return id, true
}

func (id wholeID) cocoID() ID { return ID(strconv.FormatUint(uint64(id), 10)) }

// ref is where an annotation stands, and the slot of its image.
type ref struct {
	start  int64
	length uint32
	slot   int32
}

// refs are annotations, in file order at first. There may be tens of millions, so
// they are kept in pieces (to grow one list would hold it twice for a moment) and are
// grouped where they are.
type refs struct {
	pieces [][]ref // all but the last are full
	count  int
}

const (
	refBits  = 15
	refPiece = 1 << refBits // refs
)

func (r *refs) at(i int) *ref { return &r.pieces[i>>refBits][i&(refPiece-1)] }

func (r *refs) add(a ref) {
	if r.count&(refPiece-1) == 0 {
		r.pieces = append(r.pieces, make([]ref, 0, refPiece))
	}
	last := &r.pieces[len(r.pieces)-1]
	*last = append(*last, a)
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

// group brings those of each slot together, in the order of the slots; within one
// they are in no order. Those of slot n stand from ends[n-1] to ends[n].
func (r *refs) group(slots int) (ends []uint32) {
	ends = make([]uint32, slots)
	r.each(func(r *ref) { ends[r.slot]++ })
	next := make([]uint32, slots) // place to be filled, by slot
	sum := uint32(0)
	for slot, count := range ends {
		next[slot] = sum
		sum += count
		ends[slot] = sum
	}
	for slot := range ends {
		for next[slot] < ends[slot] {
			here := r.at(int(next[slot]))
			place := &next[here.slot]
			there := r.at(int(*place))
			*here, *there = *there, *here
			*place++
		}
	}
	return ends
}

// spans appends where the annotations from one to another stand, in file order.
func (r *refs) spans(dst []source.Span, first, end uint32) []source.Span {
	before := len(dst)
	for i := first; i < end; i++ {
		ref := r.at(int(i))
		dst = append(dst, source.Span{Start: ref.start, Length: ref.length})
	}
	slices.SortFunc(dst[before:], func(a, b source.Span) int { return cmp.Compare(a.Start, b.Start) })
	return dst
}
