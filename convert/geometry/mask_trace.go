package geometry

import (
	"slices"

	"pictosync/pictograph"
)

// Trace returns the outlines of a mask along the edges of its pixels, so that
// filling them gives back the mask exactly: a polygon for each region of pixels
// that share edges (4-connected), its outer ring first and then its holes.
// Outer rings go clockwise as seen (y points down), holes anticlockwise.
// Collinear points are left out.
//
// Regions that touch at a corner only are two polygons. Within a region rings
// touch at corners at most, and no ring passes a point twice: where one would,
// it is split there.
//
// Runs have a top and a bottom edge, each one pixel long, and everything else
// of an outline is the vertical stretches between those; so tracing is finding
// the edge that follows each edge, which two neighbouring columns tell. Time
// and memory are linear in the number of runs.
func (m *Mask) Trace() []pictograph.Polygon { return new(Tracer).Trace(m, new(Slab[pictograph.Point])) }

// Tracer traces one mask after the other. The edges of the run i are 2i (its top,
// walked to the right) and 2i+1 (its bottom, walked to the left): the mask is always
// on the right hand.
type Tracer struct {
	*Mask
	next    []int32 // edge after each edge, -1-edge once it is walked
	region  []int32 // union-find over runs
	polygon []int32 // of the region of a run; -1 before it has one
	corners bool    // pixels touch at a corner somewhere
	ring    []pictograph.Point
}

// Trace takes the points of the outlines from a slab.
func (t *Tracer) Trace(m *Mask, points *Slab[pictograph.Point]) []pictograph.Polygon {
	runs := len(m.Runs)
	t.Mask, t.corners = m, false
	t.next, t.region, t.polygon = slices.Grow(t.next[:0], 2*runs)[:2*runs], slices.Grow(t.region[:0], runs)[:runs], slices.Grow(t.polygon[:0], runs)[:runs]
	for i := range t.region {
		t.region[i], t.polygon[i] = int32(i), -1
	}
	for x := range m.Width {
		t.linkTops(x)
		t.linkBottoms(x)
		t.joinRegions(x)
	}
	return t.polygons(points)
}

func top(run int32) int32    { return 2 * run }
func bottom(run int32) int32 { return 2*run + 1 }

// linkTops finds what follows the top edges of a column, at their right ends.
func (t *Tracer) linkTops(x int) {
	runs, first := t.column(x)
	right, firstRight := t.column(x + 1)
	j := 0 // first run on the right that ends below the edge
	for i, r := range runs {
		for j < len(right) && right[j].bottom <= r.top {
			j++
		}
		self := first + int32(i)
		var s *maskRun
		if j < len(right) {
			s = &right[j]
		}
		beside := firstRight + int32(j)
		switch {
		case s != nil && s.top < r.top: // up along s
			if i > 0 && runs[i-1].bottom > s.top {
				t.next[top(self)] = bottom(self - 1)
				continue
			}
			t.corners = t.corners || i > 0 && runs[i-1].bottom == s.top
			t.next[top(self)] = top(beside)
		case s != nil && s.top == r.top: // straight on
			t.next[top(self)] = top(beside)
		default: // down along r
			t.corners = t.corners || j > 0 && right[j-1].bottom == r.top || s != nil && s.top == r.bottom
			if s != nil && s.top < r.bottom {
				t.next[top(self)] = top(beside)
				continue
			}
			t.next[top(self)] = bottom(self)
		}
	}
}

// linkBottoms finds what follows the bottom edges of a column, at their left
// ends: linkTops turned by half a circle.
func (t *Tracer) linkBottoms(x int) {
	runs, first := t.column(x)
	left, firstLeft := t.column(x - 1)
	j := len(left) - 1 // last run on the left that begins above the edge
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		for j >= 0 && left[j].top >= r.bottom {
			j--
		}
		self := first + int32(i)
		var s *maskRun
		if j >= 0 {
			s = &left[j]
		}
		beside := firstLeft + int32(j)
		switch {
		case s != nil && s.bottom > r.bottom: // down along s
			if i+1 < len(runs) && runs[i+1].top < s.bottom {
				t.next[bottom(self)] = top(self + 1)
				continue
			}
			t.corners = t.corners || i+1 < len(runs) && runs[i+1].top == s.bottom
			t.next[bottom(self)] = bottom(beside)
		case s != nil && s.bottom == r.bottom: // straight on
			t.next[bottom(self)] = bottom(beside)
		default: // up along r
			t.corners = t.corners || j+1 < len(left) && left[j+1].top == r.bottom || s != nil && s.bottom == r.top
			if s != nil && s.bottom > r.top {
				t.next[bottom(self)] = bottom(beside)
				continue
			}
			t.next[bottom(self)] = top(self)
		}
	}
}

// joinRegions joins the runs of a column with those on the right that they
// share an edge with.
func (t *Tracer) joinRegions(x int) {
	runs, first := t.column(x)
	right, firstRight := t.column(x + 1)
	for i, j := 0, 0; i < len(runs) && j < len(right); {
		if min(runs[i].bottom, right[j].bottom) > max(runs[i].top, right[j].top) {
			a, b := t.find(first+int32(i)), t.find(firstRight+int32(j))
			t.region[max(a, b)] = min(a, b)
		}
		if runs[i].bottom < right[j].bottom {
			i++
		} else {
			j++
		}
	}
}

// find is the first run of a run's region.
func (t *Tracer) find(run int32) int32 {
	for t.region[run] != run {
		t.region[run] = t.region[t.region[run]]
		run = t.region[run]
	}
	return run
}

// polygons walks all rings and gathers those of each region.
func (t *Tracer) polygons(points *Slab[pictograph.Point]) []pictograph.Polygon {
	var polygons []pictograph.Polygon
	for edge := range t.next {
		if t.next[edge] < 0 {
			continue
		}
		at := &t.polygon[t.find(int32(edge)/2)]
		if *at < 0 {
			*at = int32(len(polygons))
			polygons = append(polygons, pictograph.Polygon{})
		}
		of := &polygons[*at].Rings
		t.walk(int32(edge))
		if !t.corners {
			ring := points.Take(len(t.ring))
			copy(ring, t.ring)
			addRing(of, ring)
			continue
		}
		for _, ring := range splitRing(t.ring) {
			addRing(of, ring)
		}
	}
	return polygons
}

// addRing adds a ring, the outer one before the others.
func addRing(rings *[][]pictograph.Point, ring []pictograph.Point) {
	*rings = append(*rings, ring)
	if Area(ring) > 0 {
		(*rings)[0], (*rings)[len(*rings)-1] = (*rings)[len(*rings)-1], (*rings)[0]
	}
}

// ends are the points that an edge is walked from and to.
func (t *Tracer) ends(edge int32) (from, to pictograph.Point) {
	r := t.Runs[edge/2]
	x := float64(r.x)
	if edge%2 == 0 {
		return pictograph.Point{X: x, Y: float64(r.top)}, pictograph.Point{X: x + 1, Y: float64(r.top)}
	}
	return pictograph.Point{X: x + 1, Y: float64(r.bottom)}, pictograph.Point{X: x, Y: float64(r.bottom)}
}

// walk puts the corners of the ring that an edge belongs to into t.ring.
func (t *Tracer) walk(first int32) {
	t.ring = t.ring[:0]
	_, to := t.ends(first)
	for edge := first; ; {
		after := t.next[edge]
		t.next[edge] = -1 - after
		from, next := t.ends(after)
		if from != to {
			t.ring = append(t.ring, to, from)
		}
		to = next
		if edge = after; edge == first {
			return
		}
	}
}

// splitRing takes a ring that passes points twice apart into rings that do not.
func splitRing(ring []pictograph.Point) (rings [][]pictograph.Point) {
	var path []pictograph.Point
	at := make(map[pictograph.Point]int, len(ring)) // places in path
	for _, p := range ring {
		i, passed := at[p]
		if !passed {
			at[p] = len(path)
			path = append(path, p)
			continue
		}
		for _, q := range path[i+1:] {
			delete(at, q)
		}
		rings = append(rings, append([]pictograph.Point(nil), path[i:]...))
		path = path[:i+1]
	}
	return append(rings, path)
}

// Area is twice the area of a ring, positive if it goes clockwise as seen.
func Area(ring []pictograph.Point) float64 {
	var sum float64
	last := ring[len(ring)-1]
	for _, p := range ring {
		sum += float64(last.X*p.Y) - float64(p.X*last.Y)
		last = p
	}
	return sum
}
