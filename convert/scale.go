package convert

import (
	"math"

	"pictosync/convert/geometry"
	"pictosync/pictograph"
)

// SameShape reports whether two sizes are those of one picture, scaled: each side is
// the other's in one ratio, within a pixel.
func SameShape(a, b Size) bool {
	if !a.Known() || !b.Known() {
		return false
	}
	ratio := float64(b.Width) / float64(a.Width)
	other := float64(b.Height) / float64(a.Height)
	return math.Abs(float64(a.Height)*ratio-float64(b.Height)) <= 1 || math.Abs(float64(a.Width)*other-float64(b.Width)) <= 1
}

// Scale scales the annotations to another size of their image.
func (r *Result) Scale(to Size) {
	x, y := float64(to.Width)/float64(r.Size.Width), float64(to.Height)/float64(r.Size.Height)
	box := func(b pictograph.Box) pictograph.Box {
		return pictograph.Box{X: b.X * x, Y: b.Y * y, W: b.W * x, H: b.H * y}
	}
	points := func(list []pictograph.Point) []pictograph.Point {
		scaled := make([]pictograph.Point, len(list))
		for i, p := range list {
			scaled[i] = pictograph.Point{X: p.X * x, Y: p.Y * y}
		}
		return scaled
	}
	enclosing := func(b *pictograph.Box) *pictograph.Box {
		if b == nil {
			return nil
		}
		scaled := box(*b)
		return &scaled
	}
	for i := range r.Annotations {
		a := &r.Annotations[i]
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			g.Box = box(g.Box)
			if g.Oriented != nil {
				oriented := *g.Oriented
				// One factor for both sides, or it would be no rectangle: they differ by
				// what rounding to whole pixels does.
				oriented.CX, oriented.CY = oriented.CX*x, oriented.CY*y
				oriented.W, oriented.H = oriented.W*math.Sqrt(x*y), oriented.H*math.Sqrt(x*y)
				g.Oriented = &oriented
				corners := geometry.Corners(oriented)
				if enclosure, ok := geometry.Bounds(corners[:]); ok {
					g.Box = enclosure
				}
			}
			a.Geometry = g
		case pictograph.Polygon:
			rings := make([][]pictograph.Point, len(g.Rings))
			for n, ring := range g.Rings {
				rings[n] = points(ring)
			}
			g.Rings, g.Box = rings, enclosing(g.Box)
			a.Geometry = g
		case pictograph.Polyline:
			g.Path, g.Box = points(g.Path), enclosing(g.Box)
			a.Geometry = g
		case pictograph.Keypoint:
			g.Point = pictograph.Point{X: g.Point.X * x, Y: g.Point.Y * y}
			a.Geometry = g
		}
	}
	for instance, b := range r.Boxes {
		r.Boxes[instance] = box(b)
	}
	r.Size = to
}
