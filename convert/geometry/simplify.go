package geometry

import (
	"math"

	"pictosync/pictograph"
)

// Simplify leaves out points of a polygon's rings such that none of those left
// out is farther than tolerance pixels from the ring that remains (the
// algorithm of Ramer, Douglas and Peucker, from the two points that are far
// apart). A hole that would collapse is left as it is, as is an outer ring.
func Simplify(p pictograph.Polygon, tolerance float64) pictograph.Polygon {
	rings := make([][]pictograph.Point, len(p.Rings))
	for i, ring := range p.Rings {
		rings[i] = simplifyRing(ring, tolerance)
	}
	p.Rings = rings
	return p
}

func simplifyRing(ring []pictograph.Point, tolerance float64) []pictograph.Point {
	far := farthestFrom(ring, ring[0])
	keep := make([]bool, len(ring)+1)
	closed := append(append(make([]pictograph.Point, 0, len(ring)+1), ring...), ring[0])
	first := 0
	for i := range keep {
		// Long stretches are cut, since the algorithm may take quadratic time.
		if i%maxStretch == 0 || i == far || i == len(ring) {
			keep[i] = true
			keepBetween(closed, keep, first, i, tolerance)
			first = i
		}
	}
	var kept []pictograph.Point
	for i, p := range ring {
		if keep[i] {
			kept = append(kept, p)
		}
	}
	if len(kept) < 3 || Area(kept) == 0 || Area(kept) > 0 != (Area(ring) > 0) {
		return ring
	}
	return kept
}

const maxStretch = 1024 // points

func farthestFrom(ring []pictograph.Point, from pictograph.Point) (far int) {
	most := -1.0
	for i, p := range ring {
		if d := Distance(p, from); d > most {
			far, most = i, d
		}
	}
	return far
}

// keepBetween marks the points between two kept ones that have to stay. It
// works off a list of its own: rings may be long enough to exhaust a stack.
func keepBetween(points []pictograph.Point, keep []bool, first, last int, tolerance float64) {
	todo := [][2]int{{first, last}}
	for len(todo) > 0 {
		first, last := todo[len(todo)-1][0], todo[len(todo)-1][1]
		todo = todo[:len(todo)-1]
		far, most := 0, tolerance
		for i := first + 1; i < last; i++ {
			if d := toSegment(points[i], points[first], points[last]); d > most {
				far, most = i, d
			}
		}
		if far > 0 {
			keep[far] = true
			todo = append(todo, [2]int{first, far}, [2]int{far, last})
		}
	}
}

// toSegment is the distance of a point from a line segment.
func toSegment(p, a, b pictograph.Point) float64 {
	dx, dy := b.X-a.X, b.Y-a.Y
	length := float64(dx*dx) + float64(dy*dy)
	if length == 0 {
		return Distance(p, a)
	}
	t := (float64((p.X-a.X)*dx) + float64((p.Y-a.Y)*dy)) / length
	t = math.Max(0, math.Min(1, t))
	return Distance(p, pictograph.Point{X: a.X + float64(t*dx), Y: a.Y + float64(t*dy)})
}
