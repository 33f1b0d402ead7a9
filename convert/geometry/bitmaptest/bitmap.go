// Package bitmaptest has masks as pictures of characters, for tests to compare with.
package bitmaptest

import (
	"fmt"
	"strings"
)

// Bitmap is a mask pixel by pixel, for tests to compare with: [y][x].
type Bitmap [][]bool

// NewBitmap is one without a pixel set.
func NewBitmap(width, height int) Bitmap {
	b := make(Bitmap, height)
	for y := range b {
		b[y] = make([]bool, width)
	}
	return b
}

// counts are the bitmap's run lengths as COCO defines them: down the columns,
// outside first.
func (b Bitmap) counts() (counts []int) {
	inside, n := false, 0
	for x := range b[0] {
		for y := range b {
			if b[y][x] != inside {
				counts = append(counts, n)
				inside, n = !inside, 0
			}
			n++
		}
	}
	return append(counts, n)
}

// RLE is the bitmap in COCO's uncompressed form.
func (b Bitmap) RLE() string {
	return fmt.Sprintf(`{"size":[%d,%d],"counts":%s}`, len(b), len(b[0]), strings.ReplaceAll(fmt.Sprint(b.counts()), " ", ","))
}

// Compressed is the bitmap's RLE with counts as a string, after the definition
// of COCO's rleToString.
func (b Bitmap) Compressed() string {
	counts := b.counts()
	var s []byte
	for i, x := range counts {
		if i > 2 {
			x -= counts[i-2]
		}
		for more := true; more; {
			c := x & 0x1f
			x >>= 5
			more = x != 0
			if c&0x10 != 0 {
				more = x != -1
			}
			if more {
				c |= 0x20
			}
			s = append(s, byte(c+48))
		}
	}
	return fmt.Sprintf(`{"size":[%d,%d],"counts":%q}`, len(b), len(b[0]), s)
}

// String draws it, a line a row.
func (b Bitmap) String() string {
	var s strings.Builder
	for _, row := range b {
		for _, in := range row {
			s.WriteByte(".#"[map[bool]int{true: 1}[in]])
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// Regions counts the 4-connected regions by flooding.
func (b Bitmap) Regions() (n int) {
	seen := NewBitmap(len(b[0]), len(b))
	for y := range b {
		for x := range b[y] {
			if !b[y][x] || seen[y][x] {
				continue
			}
			n++
			seen[y][x] = true
			for todo := [][2]int{{x, y}}; len(todo) > 0; {
				at := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				for _, d := range [][2]int{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
					x, y := at[0]+d[0], at[1]+d[1]
					if x >= 0 && y >= 0 && y < len(b) && x < len(b[0]) && b[y][x] && !seen[y][x] {
						seen[y][x] = true
						todo = append(todo, [2]int{x, y})
					}
				}
			}
		}
	}
	return n
}
