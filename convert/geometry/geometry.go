// Package geometry computes with the shapes of annotations: boxes and oriented boxes, polygon
// rings, and run-length encoded masks, which it fills, traces and simplifies.
package geometry

import (
	"math"

	"pictosync/pictograph"
)

// Products that are added to something are wrapped in float64(…) throughout:
// the conversion forbids fused multiply-add, which some processors have and
// others lack, and payloads must be the same bytes everywhere.

// EdgeTolerance is how far, as a part of the image's side, a coordinate may
// reach outside before it counts as outside: what rounding to four decimals
// can do to a normalized coordinate.
const EdgeTolerance = 1e-4

// Finite reports whether all values are.
func Finite(values ...float64) bool {
	const exponent = 0x7ff << 52 // all ones in infinities and what is no number
	for _, v := range values {
		if math.Float64bits(v)&exponent == exponent {
			return false
		}
	}
	return true
}

// Enclosure returns the axis-aligned box around points, nil if it would be
// without width or height: the service wants both positive.
func Enclosure(points []pictograph.Point) *pictograph.Box {
	if box, ok := Bounds(points); ok {
		return &box
	}
	return nil
}

// Bounds is the enclosure; ok is false where there is none.
func Bounds(points []pictograph.Point) (box pictograph.Box, ok bool) {
	x0, y0 := math.Inf(1), math.Inf(1)
	x1, y1 := math.Inf(-1), math.Inf(-1)
	for _, p := range points {
		x0, x1 = min(x0, p.X), max(x1, p.X)
		y0, y1 = min(y0, p.Y), max(y1, p.Y)
	}
	box = pictograph.Box{X: x0, Y: y0, W: x1 - x0, H: y1 - y0}
	return box, box.W > 0 && box.H > 0 && Finite(box.W, box.H)
}

// ReachesOutside reports whether a box leaves an image by more than rounding.
func ReachesOutside(box pictograph.Box, width, height int) bool {
	w, h := float64(width), float64(height)
	dx, dy := float64(w*EdgeTolerance), float64(h*EdgeTolerance)
	return box.X < -dx || box.Y < -dy || box.X+box.W > w+dx || box.Y+box.H > h+dy
}

// Clip cuts a box off at the image's edges; what is left may have no extent.
func Clip(box pictograph.Box, width, height int) pictograph.Box {
	x0, y0 := max(box.X, 0), max(box.Y, 0)
	x1 := min(box.X+box.W, float64(width))
	y1 := min(box.Y+box.H, float64(height))
	return pictograph.Box{X: x0, Y: y0, W: x1 - x0, H: y1 - y0}
}

// Quadrilateral is four corners in pixels, walked around the shape.
type Quadrilateral [4]pictograph.Point

// Convex reports whether the corners go once round a shape that has an area:
// every turn bends the same way.
func (q Quadrilateral) Convex() bool {
	var left, right int
	for i := range q {
		a, b, c := q[i], q[(i+1)%4], q[(i+2)%4]
		switch turn := float64((b.X-a.X)*(c.Y-b.Y)) - float64((b.Y-a.Y)*(c.X-b.X)); {
		case turn > 0:
			right++
		case turn < 0:
			left++
		}
	}
	return left == 4 || right == 4
}

// OrientedBox fits a rotated rectangle: its centre is the mean of the corners,
// its extents are the means of opposite sides, and its angle is that of all
// four sides together, so that a short first side, badly rounded, does not
// turn a long box. A rectangle comes back as it is.
//
// The angle is rounded, which moves the corners of a box of 10,000 pixels by
// less than 0.0002.
func (q Quadrilateral) OrientedBox() pictograph.OrientedBox {
	along := pictograph.Point{X: q[1].X - q[0].X + q[2].X - q[3].X, Y: q[1].Y - q[0].Y + q[2].Y - q[3].Y}
	across := pictograph.Point{X: q[3].X - q[0].X + q[2].X - q[1].X, Y: q[3].Y - q[0].Y + q[2].Y - q[1].Y}
	if float64(along.X*across.Y) < float64(along.Y*across.X) { // walked anticlockwise
		across = pictograph.Point{X: -across.X, Y: -across.Y}
	}
	angle := math.Atan2(along.Y-across.X, along.X+across.Y) * (180 / math.Pi)
	angle = Round(angle)
	if angle < 0 {
		angle += 360
	}
	return pictograph.OrientedBox{
		CX:    (q[0].X + q[1].X + q[2].X + q[3].X) / 4,
		CY:    (q[0].Y + q[1].Y + q[2].Y + q[3].Y) / 4,
		W:     (Distance(q[0], q[1]) + Distance(q[3], q[2])) / 2,
		H:     (Distance(q[1], q[2]) + Distance(q[0], q[3])) / 2,
		Angle: angle + 0, // no negative zero
	}
}

// Round takes degrees and pixels to the nearest millionth: trigonometric
// functions may differ in the last bit between processors, payloads must not.
func Round(v float64) float64 {
	const grid = 1e6
	return math.Round(v*grid) / grid
}

// Corners walks an oriented box from the corner that is top left at angle 0,
// clockwise.
func Corners(o pictograph.OrientedBox) Quadrilateral {
	sin, cos := math.Sincos(o.Angle * (math.Pi / 180))
	var q Quadrilateral
	for i, sign := range [4][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		dx, dy := sign[0]*o.W/2, sign[1]*o.H/2
		q[i] = pictograph.Point{
			X: Round(o.CX + float64(dx*cos) - float64(dy*sin)),
			Y: Round(o.CY + float64(dx*sin) + float64(dy*cos)),
		}
	}
	return q
}

// Farthest is how far the corners of two quadrilaterals are apart at most,
// whichever way round the second is walked.
func (q Quadrilateral) Farthest(other Quadrilateral) float64 {
	same, mirrored := 0.0, 0.0
	for i := range q {
		same = max(same, Distance(q[i], other[i]))
		mirrored = max(mirrored, Distance(q[i], other[[4]int{3, 2, 1, 0}[i]]))
	}
	return min(same, mirrored)
}

// Distance is how far two points are apart.
func Distance(a, b pictograph.Point) float64 {
	dx, dy := b.X-a.X, b.Y-a.Y
	return math.Sqrt(float64(dx*dx) + float64(dy*dy))
}

// Enclosing reports whether a ring has three different points: one of three
// whose last repeats the first, to close it, encloses nothing.
func Enclosing(ring []pictograph.Point) bool {
	a, b := ring[0], ring[0]
	for _, p := range ring[1:] {
		switch {
		case p == a:
		case b == a:
			b = p
		case p != b:
			return true
		}
	}
	return false
}

// Sound reports whether a box has an extent and is finite.
func Sound(box pictograph.Box) bool {
	return box.W > 0 && box.H > 0 && Finite(box.X, box.Y, box.W, box.H, box.X+box.W, box.Y+box.H)
}

// BoxesDiffer reports whether an edge of one box is away from the other's by more than
// pixels and also by more than a share of the side.
func BoxesDiffer(a, b pictograph.Box, pixels, share float64) bool {
	x, y := max(pixels, share*max(a.W, b.W)), max(pixels, share*max(a.H, b.H))
	return math.Abs(a.X-b.X) > x || math.Abs(a.X+a.W-b.X-b.W) > x || math.Abs(a.Y-b.Y) > y || math.Abs(a.Y+a.H-b.Y-b.H) > y
}

// Overlap is the intersection of two boxes over their union.
func Overlap(a, b pictograph.Box) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return float64(w*h) / (float64(a.W*a.H) + float64(b.W*b.H) - float64(w*h))
}

// LeastOverlap is how much two boxes of one object share at least, as intersection over union.
const LeastOverlap = 0.1

// Apart reports whether two boxes can hardly be of one object.
func Apart(a, b pictograph.Box) bool {
	return Sound(a) && Sound(b) && Overlap(a, b) < LeastOverlap && BoxesDiffer(a, b, 2, 0.02)
}

// AllBeside reports whether all of some points lie outside a box by more than half of its sides,
// and by more than some pixels.
func AllBeside(points []pictograph.Point, box pictograph.Box) bool {
	if !(box.W > 0 && box.H > 0) || !Finite(box.X, box.Y, box.W, box.H) {
		return false
	}
	const pixels = 16
	dx, dy := max(box.W/2, pixels), max(box.H/2, pixels)
	for _, p := range points {
		if p.X >= box.X-dx && p.X <= box.X+box.W+dx && p.Y >= box.Y-dy && p.Y <= box.Y+box.H+dy {
			return false
		}
	}
	return len(points) > 0
}

// Off reports whether a shape lies outside an image altogether.
func Off(box pictograph.Box, width, height int) bool {
	out := max(-(box.X + box.W), box.X-float64(width), -(box.Y + box.H), box.Y-float64(height))
	return out > 0 || out == 0 && (box.W > 0 && box.H > 0)
}

// Covers reports whether a ring has a point inside.
func Covers(ring []pictograph.Point, p pictograph.Point) (inside bool) {
	before := ring[len(ring)-1]
	for _, q := range ring {
		if (q.Y > p.Y) != (before.Y > p.Y) && p.X < q.X+(before.X-q.X)*(p.Y-q.Y)/(before.Y-q.Y) {
			inside = !inside
		}
		before = q
	}
	return inside
}

// Length is that of a ring's outline.
func Length(ring []pictograph.Point) (length float64) {
	last := ring[len(ring)-1]
	for _, p := range ring {
		length += math.Hypot(p.X-last.X, p.Y-last.Y)
		last = p
	}
	return length
}
