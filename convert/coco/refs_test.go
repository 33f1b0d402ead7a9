package coco

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pictosync/source"
)

// However annotations came together, each image has its own, in file order.
func TestRefs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, count := range []int{0, 1, 12, refPiece, refPiece + 1, 3*refPiece + 5} {
		for _, slots := range []int{1, 2, 1000} {
			var all refs
			want := make([][]source.Span, slots)
			start := int64(0)
			for range count {
				s := source.Span{Start: start, Length: uint32(1 + r.IntN(9))}
				start += int64(s.Length)
				slot := r.IntN(slots)
				all.add(ref{s.Start, s.Length, int32(slot)})
				want[slot] = append(want[slot], s)
			}
			first := uint32(0)
			for slot, end := range all.group(slots) {
				if got := all.spans(nil, first, end); !slices.Equal(got, want[slot]) {
					t.Errorf("%d annotations, %d images: image %d has %d annotations, want %d", count, slots, slot, len(got), len(want[slot]))
					break
				}
				first = end
			}
			if int(first) != all.count || all.count != count {
				t.Errorf("%d annotations came to %d, of which %d are an image's", count, all.count, first)
			}
		}
	}
}

// An id has one slot however it is written, and whether it is low or not.
func TestIDSlots(t *testing.T) {
	for _, size := range []int64{0, 10 * 256, 1 << 20} {
		s := newIDSlots(size)
		for _, same := range []string{`7 7.0 "7" 7e0 70e-1`, `0 -0 "0"`, `"007"`, `"a"`, `9 9`, `10 10`, `11 11`, `123456789012345678 "123456789012345678"`, `1234567890123456789 "1234567890123456789"`, `"-1" -1`} {
			want := int32(s.count)
			for _, raw := range strings.Fields(same) {
				if got, err := s.ofRaw([]byte(raw)); err != nil || got != want {
					t.Errorf("%s of %s has slot %d, not %d, %v", raw, same, got, want, err)
				}
			}
		}
		told := make(map[int32]bool)
		check := func(id ID, slot int32) {
			if s.of(id) != slot || told[slot] {
				t.Errorf("%q has slot %d, and %d", id, slot, s.of(id))
			}
			told[slot] = true
		}
		s.each(func(id wholeID, slot int32) { check(id.cocoID(), slot) }, check)
		if len(told) != s.count {
			t.Errorf("%d of %d ids told", len(told), s.count)
		}
	}
}
