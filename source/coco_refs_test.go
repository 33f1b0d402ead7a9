package source

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// However annotations came together, each image has its own, in file order.
func TestRefs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, count := range []int{0, 1, 12, refPiece, refPiece + 1, 3*refPiece + 5} {
		for _, slots := range []int{1, 2, 1000} {
			var all refs
			want := make([][]span, slots)
			start := int64(0)
			for range count {
				s := span{start, uint32(1 + r.IntN(9))}
				start += int64(s.length)
				slot := r.IntN(slots)
				all.add(ref{s.start, s.length, int32(slot)})
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
