package view

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"pictosync/compare"
	"pictosync/pictograph"
)

// Shape is one annotation as a page draws and lists it.
type Shape struct {
	N      int    // number on the page, from 0
	Side   string // before or after
	Change string // added, removed, changed or unchanged
	Class  string
	Type   string // box, oriented, polygon, polyline, keypoint
	Colour string
	// Path is the outline, as SVG draws it; of a keypoint X, Y is the point instead.
	Path   string
	X, Y   string
	Hollow bool // an occluded keypoint
	LabelX string
	LabelY string
	Text   string // what it is and where, in one line
	Area   float64
}

// Bone joins two keypoints of one object.
type Bone struct {
	Side, Change   string
	Colour         string
	X1, Y1, X2, Y2 string
}

// Drawing is what is drawn over one image.
type Drawing struct {
	Width, Height string
	Shapes        []Shape
	Bones         []Bone
	Counts        map[string]int // by change
}

// draw makes the drawing of an image. Large shapes come first, so that small ones lie
// above and can be pointed at.
func draw(p Picture) Drawing {
	w, h := p.size()
	d := Drawing{Width: number(w), Height: number(h), Counts: make(map[string]int)}
	oneSided := !p.BeforeKnown || !p.AfterKnown
	for n, c := range p.changes() {
		kind := string(c.Kind)
		if oneSided {
			kind = "shown"
		}
		d.Counts[kind]++
		if c.Before != nil && (p.BeforeKnown || !p.AfterKnown) {
			d.add(n, "before", kind, *c.Before, c)
		}
		if c.After != nil && p.AfterKnown {
			d.add(n, "after", kind, *c.After, c)
		}
	}
	if p.BeforeKnown {
		d.Bones = append(d.Bones, bones("before", p.Before, p.Skeletons)...)
	}
	if p.AfterKnown {
		d.Bones = append(d.Bones, bones("after", p.After, p.Skeletons)...)
	}
	sortByArea(d.Shapes)
	return d
}

func (d *Drawing) add(n int, side, kind string, a pictograph.Annotation, c compare.Change) {
	s := Shape{N: n, Side: side, Change: kind, Class: text(a.Name), Colour: colour(a.Name), Text: text(strings.TrimLeft(c.Line(), "=~+- "))}
	b := compare.Bounds(a)
	s.LabelX, s.LabelY, s.Area = number(b.X), number(b.Y), b.W*b.H
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		s.Type = "box"
		corners := []pictograph.Point{{X: g.Box.X, Y: g.Box.Y}, {X: g.Box.X + g.Box.W, Y: g.Box.Y}, {X: g.Box.X + g.Box.W, Y: g.Box.Y + g.Box.H}, {X: g.Box.X, Y: g.Box.Y + g.Box.H}}
		if g.Oriented != nil {
			s.Type, corners = "oriented", Corners(*g.Oriented)
		}
		s.Path = outline([][]pictograph.Point{corners}, true)
	case pictograph.Polygon:
		s.Type, s.Path = "polygon", outline(g.Rings, true)
	case pictograph.Polyline:
		s.Type, s.Path = "polyline", outline([][]pictograph.Point{g.Path}, false)
	case pictograph.Keypoint:
		s.Type, s.X, s.Y = "keypoint", number(g.Point.X), number(g.Point.Y)
		s.Hollow = a.Attributes["occluded"] == "true"
	}
	d.Shapes = append(d.Shapes, s)
}

// Corners are the corners of an oriented box, clockwise on the screen.
func Corners(o pictograph.OrientedBox) []pictograph.Point {
	sin, cos := math.Sincos(o.Angle * math.Pi / 180)
	corners := make([]pictograph.Point, 0, 4)
	for _, c := range [][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		x, y := c[0]*o.W/2, c[1]*o.H/2
		corners = append(corners, pictograph.Point{X: o.CX + x*cos - y*sin, Y: o.CY + x*sin + y*cos})
	}
	return corners
}

// outline is a path of SVG.
func outline(rings [][]pictograph.Point, closed bool) string {
	var b strings.Builder
	for _, ring := range rings {
		for i, p := range ring {
			switch i {
			case 0:
				b.WriteByte('M')
			case 1:
				b.WriteByte('L')
			default:
				b.WriteByte(' ')
			}
			b.WriteString(number(p.X))
			b.WriteByte(',')
			b.WriteString(number(p.Y))
		}
		if closed && len(ring) > 0 {
			b.WriteByte('Z')
		}
	}
	return b.String()
}

// bones are the edges of the skeletons between keypoints that are there.
func bones(side string, annotations []pictograph.Annotation, skeletons []pictograph.Skeleton) (all []Bone) {
	if len(skeletons) == 0 {
		return nil
	}
	type keypoint struct {
		instance int
		name     string
	}
	points := make(map[keypoint]pictograph.Point)
	var instances []int
	seen := make(map[int]bool)
	for _, a := range annotations {
		k, ok := a.Geometry.(pictograph.Keypoint)
		if !ok || k.Instance == 0 {
			continue
		}
		points[keypoint{k.Instance, a.Name}] = k.Point
		if !seen[k.Instance] {
			seen[k.Instance] = true
			instances = append(instances, k.Instance)
		}
	}
	for _, instance := range instances {
		for _, s := range skeletons {
			for _, e := range s.Edges {
				if e[0] < 0 || e[1] < 0 || e[0] >= len(s.Nodes) || e[1] >= len(s.Nodes) {
					continue
				}
				from, ok := points[keypoint{instance, s.Nodes[e[0]].Name}]
				to, both := points[keypoint{instance, s.Nodes[e[1]].Name}]
				if ok && both {
					all = append(all, Bone{Side: side, Colour: colour(s.Nodes[e[0]].Name), X1: number(from.X), Y1: number(from.Y), X2: number(to.X), Y2: number(to.Y)})
				}
			}
		}
	}
	return all
}

// sortByArea puts large shapes below small ones, and points above all.
func sortByArea(shapes []Shape) {
	slices.SortStableFunc(shapes, func(a, b Shape) int { return cmp.Compare(b.Area, a.Area) })
}

func typeOf(a pictograph.Annotation) string {
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			return "oriented"
		}
		return "box"
	default:
		return string(g.Type())
	}
}
