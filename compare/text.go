package compare

import (
	"fmt"
	"math"
	"strconv"

	"pictosync/pictograph"
)

// Line is a change in one line: "~ car 120,80 64×40 → 122,80 64×40 IoU 0.94".
func (c Change) Line() string {
	switch c.Kind {
	case Added:
		return "+ " + c.After.Name + " " + shape(*c.After)
	case Removed:
		return "- " + c.Before.Name + " " + shape(*c.Before)
	case Unchanged:
		return "= " + c.After.Name + " " + shape(*c.After)
	}
	before, after := shape(*c.Before), shape(*c.After)
	line := "~ " + c.Before.Name
	if c.Before.Name != c.After.Name {
		line += " → " + c.After.Name
	}
	switch {
	case before != after:
		line += " " + before + " → " + after
	case c.Before.Name != c.After.Name:
		line += " " + after
	default:
		line += " " + after + c.finer()
	}
	if c.Before.Geometry.Type() != pictograph.TypeKeypoint && before != after {
		line += " IoU " + strconv.FormatFloat(math.Floor(c.IoU*100)/100, 'f', 2, 64) // never 1.00 for what differs
	}
	return line
}

// finer says what differs where the rounded shapes are the same.
func (c Change) finer() string {
	if confidence(*c.Before) != confidence(*c.After) {
		return fmt.Sprintf(" confidence %s → %s", number(confidence(*c.Before), 2), number(confidence(*c.After), 2))
	}
	b, a := *c.Before, *c.After
	b.Geometry, b.Confidence, a.Confidence = a.Geometry, nil, nil
	if !same(b, a) {
		return " (its attributes differ)"
	}
	return " (by less than half a pixel)"
}

// shape is where an annotation is and how large, in pixels that are rounded to what
// matters.
func shape(a pictograph.Annotation) string {
	box := Bounds(a)
	place := fmt.Sprintf("%s,%s %s×%s", number(box.X, 0), number(box.Y, 0), number(box.W, 0), number(box.H, 0))
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if o := g.Oriented; o != nil {
			return fmt.Sprintf("%s,%s %s×%s turned by %s°", number(o.CX, 0), number(o.CY, 0), number(o.W, 0), number(o.H, 0), number(o.Angle, 1))
		}
		return place
	case pictograph.Polygon:
		points := 0
		for _, ring := range g.Rings {
			points += len(ring)
		}
		if holes := len(g.Rings) - 1; holes > 0 {
			return fmt.Sprintf("%s polygon of %d points, %d of its rings holes", place, points, holes)
		}
		return fmt.Sprintf("%s polygon of %d points", place, points)
	case pictograph.Polyline:
		return fmt.Sprintf("%s line of %d points", place, len(g.Path))
	case pictograph.Keypoint:
		return fmt.Sprintf("%s,%s", number(g.Point.X, 0), number(g.Point.Y, 0))
	}
	return place
}

func number(v float64, digits int) string {
	scale := math.Pow(10, float64(digits))
	if v = math.Round(v*scale) / scale; v == 0 {
		v = 0 // not -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
