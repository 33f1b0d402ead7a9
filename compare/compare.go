// Package compare pairs what an image has with what it is to have, so that a person
// sees changes instead of two lists: a box that moved by two pixels is one change, not
// one annotation less and one more.
//
// Annotations with one id are a pair. Those that are left are paired where nothing but
// their ids differs, and then within their class and type, those that overlap most
// first. What is left then was removed or added.
package compare

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"

	"pictosync/pictograph"
)

// Kind is what became of an annotation.
type Kind string

// Kinds of changes.
const (
	Added     Kind = "added"
	Removed   Kind = "removed"
	Changed   Kind = "changed"
	Unchanged Kind = "unchanged"
)

// Change is one annotation before, after, or both.
type Change struct {
	Kind   Kind                   `json:"kind"`
	Before *pictograph.Annotation `json:"before,omitempty"`
	After  *pictograph.Annotation `json:"after,omitempty"`
	// IoU is how much of the two enclosing boxes together is in both, 0 to 1; of a pair.
	IoU float64 `json:"iou,omitempty"`
}

// The least overlap of two annotations of one class that are taken for one, and how far
// apart two keypoints may be, in pixels.
const (
	leastOverlap = 0.25
	nearPixels   = 32
)

// Annotations pairs what an image has with what it is to have. The changes come in the
// order of after, and then what was removed in the order of before.
func Annotations(before, after []pictograph.Annotation) []Change {
	partner := make([]int, len(after)) // the place in before, -1 for none
	taken := make([]bool, len(before))
	pair := func(b, a int) { partner[a], taken[b] = b, true }
	byID := make(map[string]int, len(before))
	for b, one := range before {
		byID[one.ID] = b
	}
	for a := range after {
		partner[a] = -1
		if b, ok := byID[after[a].ID]; ok && !taken[b] {
			pair(b, a)
		}
	}
	pairEqual(before, after, partner, taken, pair)
	pairOverlapping(before, after, partner, taken, pair)
	changes := make([]Change, 0, len(after))
	for a := range after {
		b := partner[a]
		if b < 0 {
			changes = append(changes, Change{Kind: Added, After: &after[a]})
			continue
		}
		c := Change{Kind: Changed, Before: &before[b], After: &after[a], IoU: overlap(Bounds(before[b]), Bounds(after[a]))}
		if same(before[b], after[a]) {
			c.Kind, c.IoU = Unchanged, 1
		}
		changes = append(changes, c)
	}
	for b := range before {
		if !taken[b] {
			changes = append(changes, Change{Kind: Removed, Before: &before[b]})
		}
	}
	return changes
}

// Count counts changes by kind.
func Count(changes []Change) map[Kind]int {
	n := make(map[Kind]int, 4)
	for _, c := range changes {
		n[c.Kind]++
	}
	return n
}

// same reports whether two annotations say the same: their ids do not count, nor who the
// service says made them.
func same(a, b pictograph.Annotation) bool {
	return a.Name == b.Name && confidence(a) == confidence(b) && reflect.DeepEqual(plain(a.Geometry), plain(b.Geometry)) &&
		maps.EqualFunc(a.Attributes, b.Attributes, func(a, b any) bool { return reflect.DeepEqual(a, b) }) && slices.EqualFunc(a.AttributeList, b.AttributeList, func(a, b any) bool { return reflect.DeepEqual(a, b) })
}

func confidence(a pictograph.Annotation) float64 {
	if a.Confidence == nil {
		return 1
	}
	return *a.Confidence
}

// plain is a geometry without the enclosing box that the service computes.
func plain(g pictograph.Geometry) pictograph.Geometry {
	switch g := g.(type) {
	case pictograph.Polygon:
		g.Box = nil
		return g
	case pictograph.Polyline:
		g.Box = nil
		return g
	}
	return g
}

// pairEqual pairs what differs in nothing but the id.
func pairEqual(before, after []pictograph.Annotation, partner []int, taken []bool, pair func(b, a int)) {
	free := make(map[place][]int)
	for b, one := range before {
		if !taken[b] {
			at := placeOf(one)
			free[at] = append(free[at], b)
		}
	}
	for a, one := range after {
		if partner[a] >= 0 {
			continue
		}
		candidates := free[placeOf(one)]
		if i := slices.IndexFunc(candidates, func(b int) bool { return !taken[b] && same(before[b], one) }); i >= 0 {
			pair(candidates[i], a)
		}
	}
}

// place is where annotations that may be equal both are.
type place struct {
	group
	box pictograph.Box
}

// group is what annotations are paired within.
type group struct {
	name string
	of   pictograph.Type
}

func placeOf(a pictograph.Annotation) place { return place{groupOf(a), Bounds(a)} }

func groupOf(a pictograph.Annotation) group { return group{a.Name, a.Geometry.Type()} }

type candidate struct {
	b, a int
	iou  float64
}

// pairOverlapping pairs what overlaps most first, within each class and type.
func pairOverlapping(before, after []pictograph.Annotation, partner []int, taken []bool, pair func(b, a int)) {
	type row struct {
		boxes  []int   // places in before, from left to right, so that only neighbours are compared
		widest float64 // of them
	}
	boxes := make([]pictograph.Box, len(before))
	free := make(map[group]*row)
	for b, one := range before {
		if taken[b] {
			continue
		}
		boxes[b] = Bounds(one)
		r := free[groupOf(one)]
		if r == nil {
			r = new(row)
			free[groupOf(one)] = r
		}
		r.boxes, r.widest = append(r.boxes, b), max(r.widest, boxes[b].W)
	}
	left := func(b int, x float64) int { return cmp.Compare(boxes[b].X, x) }
	for _, r := range free {
		slices.SortFunc(r.boxes, func(a, b int) int { return left(a, boxes[b].X) })
	}
	var candidates []candidate
	for a, one := range after {
		if partner[a] >= 0 {
			continue
		}
		r, box := free[groupOf(one)], Bounds(one)
		if r == nil {
			continue
		}
		start, _ := slices.BinarySearchFunc(r.boxes, box.X-r.widest-nearPixels, left)
		end, _ := slices.BinarySearchFunc(r.boxes, box.X+box.W+nearPixels, left)
		for _, b := range r.boxes[start:max(start, end)] {
			if iou := likeness(before[b], one); iou >= leastOverlap {
				candidates = append(candidates, candidate{b, a, iou})
			}
		}
	}
	slices.SortStableFunc(candidates, func(x, y candidate) int { return cmp.Compare(y.iou, x.iou) })
	for _, c := range candidates {
		if partner[c.a] < 0 && !taken[c.b] {
			pair(c.b, c.a)
		}
	}
}

// likeness is how much two annotations of one class look like one, 0 to 1.
func likeness(a, b pictograph.Annotation) float64 {
	p, point := a.Geometry.(pictograph.Keypoint)
	q, other := b.Geometry.(pictograph.Keypoint)
	if point && other {
		return 1 - math.Hypot(p.Point.X-q.Point.X, p.Point.Y-q.Point.Y)/nearPixels
	}
	return overlap(Bounds(a), Bounds(b))
}

// overlap is the intersection of two boxes over their union.
func overlap(a, b pictograph.Box) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if !(w > 0 && h > 0) {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}

// Bounds is the box around an annotation.
func Bounds(a pictograph.Annotation) pictograph.Box {
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		return g.Box
	case pictograph.Polygon:
		return around(g.Rings...)
	case pictograph.Polyline:
		return around(g.Path)
	case pictograph.Keypoint:
		return pictograph.Box{X: g.Point.X, Y: g.Point.Y}
	}
	return pictograph.Box{}
}

func around(rings ...[]pictograph.Point) pictograph.Box {
	left, top, right, bottom := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, ring := range rings {
		for _, p := range ring {
			left, top, right, bottom = min(left, p.X), min(top, p.Y), max(right, p.X), max(bottom, p.Y)
		}
	}
	if left > right {
		return pictograph.Box{}
	}
	return pictograph.Box{X: left, Y: top, W: right - left, H: bottom - top}
}
