package source

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// However annotations came together, each image has its own, in file order.
func TestRefs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, sizes := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {5, 7}, {refPiece, 3}, {refPiece - 1, 2 * refPiece}, {refPiece + 1, refPiece + 1}, {10, 3*refPiece + 5}} {
		for _, slots := range []int{1, 2, 1000} {
			var parts [2]refs // as found by two scans
			want := make([][]span, slots)
			start := int64(0)
			for part, n := range sizes {
				for range n {
					s := span{start, uint32(1 + r.IntN(9))}
					start += int64(s.length)
					slot := r.IntN(slots)
					parts[part].add(ref{s.start, s.length, int32(slot)})
					want[slot] = append(want[slot], s)
				}
			}
			all := parts[0]
			all.append(parts[1])
			first := uint32(0)
			for slot, end := range all.group(slots) {
				if got := all.spans(nil, first, end); !slices.Equal(got, want[slot]) {
					t.Errorf("%d and %d annotations, %d images: image %d has %d annotations, want %d", sizes[0], sizes[1], slots, slot, len(got), len(want[slot]))
					break
				}
				first = end
			}
			if int(first) != all.count || all.count != sizes[0]+sizes[1] {
				t.Errorf("%d and %d annotations came to %d, of which %d are an image's", sizes[0], sizes[1], all.count, first)
			}
		}
	}
}
