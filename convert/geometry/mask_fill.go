package geometry

import (
	"math"
	"slices"

	"pictosync/pictograph"
)

// FillPolygons is the mask of the pixels whose centres polygons cover: each by
// the even-odd rule, and all of them together.
func FillPolygons(polygons []pictograph.Polygon, width, height int) (*Mask, error) {
	m, err := NewMask(width, height)
	if err != nil {
		return nil, err
	}
	columns := make([][][2]int, width) // [top, bottom) of every column
	for _, p := range polygons {
		crossings := make(map[int][]float64) // y, by column
		for _, ring := range p.Rings {
			last := ring[len(ring)-1]
			for _, q := range ring {
				cross(crossings, last, q, width)
				last = q
			}
		}
		for x, ys := range crossings {
			slices.Sort(ys)
			for i := 0; i+1 < len(ys); i += 2 {
				top, bottom := pixelFrom(ys[i], height), pixelFrom(ys[i+1], height)
				if top < bottom {
					columns[x] = append(columns[x], [2]int{top, bottom})
				}
			}
		}
	}
	for x, runs := range columns {
		slices.SortFunc(runs, func(a, b [2]int) int { return a[0] - b[0] })
		for i := 0; i < len(runs); {
			top, bottom := runs[i][0], runs[i][1]
			for i++; i < len(runs) && runs[i][0] <= bottom; i++ {
				bottom = max(bottom, runs[i][1])
			}
			if err := m.Add(x, top, bottom); err != nil {
				return nil, err
			}
		}
	}
	m.CloseColumns(m.Width)
	return m, nil
}

// cross notes where an edge crosses the centres of columns.
func cross(crossings map[int][]float64, a, b pictograph.Point, width int) {
	if a.X > b.X {
		a, b = b, a
	}
	for x := pixelFrom(a.X, width); x < pixelFrom(b.X, width); x++ {
		t := (float64(x) + 0.5 - a.X) / (b.X - a.X)
		crossings[x] = append(crossings[x], a.Y+float64(t*(b.Y-a.Y)))
	}
}

// pixelFrom is the first of n pixels whose centre is not before v.
func pixelFrom(v float64, n int) int {
	return int(math.Max(0, math.Min(float64(n), math.Ceil(v-0.5))))
}

// OnPixelEdges reports whether a mask holds polygons exactly: all edges are
// upright or level, on whole numbers, and in the image.
func OnPixelEdges(polygons []pictograph.Polygon, width, height int) bool {
	for _, p := range polygons {
		for _, ring := range p.Rings {
			last := ring[len(ring)-1]
			for _, q := range ring {
				if q.X != math.Trunc(q.X) || q.Y != math.Trunc(q.Y) || q.X != last.X && q.Y != last.Y ||
					q.X < 0 || q.Y < 0 || q.X > float64(width) || q.Y > float64(height) {
					return false
				}
				last = q
			}
		}
	}
	return true
}
