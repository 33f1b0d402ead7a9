package view

import (
	"cmp"
	"math"
	"slices"
	"strconv"
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
	// Over says that it is removed where the same outline is added, which shows between its dashes.
	Over   bool
	LabelX string
	LabelY string
	Area   float64
	box    pictograph.Box
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

// drawingOf makes the drawing of an image. Large shapes come first, so that small ones lie
// above and can be pointed at. Points that are nearer than grain, in pixels of the image,
// are drawn as one; 0 draws all.
func drawingOf(p Picture, changes []compare.Change, grain float64) Drawing {
	w, h := p.size()
	d := Drawing{Width: number(w), Height: number(h), Counts: make(map[string]int)}
	oneSided := !p.BeforeKnown || !p.AfterKnown
	for n, c := range changes {
		kind := string(c.Kind)
		if oneSided {
			kind = "shown"
		}
		d.Counts[kind]++
		if c.Before != nil && (p.BeforeKnown || !p.AfterKnown) {
			d.add(n, "before", kind, *c.Before, grain)
		}
		if c.After != nil && p.AfterKnown {
			d.add(n, "after", kind, *c.After, grain)
		}
	}
	if p.BeforeKnown {
		d.Bones = append(d.Bones, bones("before", p.Before, p.Skeletons)...)
	}
	if p.AfterKnown {
		d.Bones = append(d.Bones, bones("after", p.After, p.Skeletons)...)
	}
	sortByArea(d.Shapes)
	d.markOver()
	return d
}

// markOver marks what is removed where the same outline is added, as where a class was
// corrected.
func (d *Drawing) markOver() {
	added := make(map[string]bool)
	for _, s := range d.Shapes {
		if s.Change == string(compare.Added) && s.Path != "" {
			added[s.Path] = true
		}
	}
	for i := range d.Shapes {
		s := &d.Shapes[i]
		s.Over = s.Change == string(compare.Removed) && added[s.Path]
	}
}

func (d *Drawing) add(n int, side, kind string, a pictograph.Annotation, grain float64) {
	s := Shape{N: n, Side: side, Change: kind, Class: text(a.Name), Colour: colour(a.Name)}
	b := compare.Bounds(a)
	s.box, s.Area = b, b.W*b.H
	f := formOf(a)
	s.Type = f.kind
	if f.kind == "keypoint" {
		s.X, s.Y, s.Hollow = number(f.at.X), number(f.at.Y), f.hollow
	} else {
		s.Path = outline(f.rings, f.closed, grain)
	}
	d.Shapes = append(d.Shapes, s)
}

// form is the shape of an annotation, however it is drawn.
type form struct {
	kind   string // box, oriented, polygon, polyline, keypoint
	rings  [][]pictograph.Point
	closed bool
	at     pictograph.Point // of a keypoint
	hollow bool             // an occluded keypoint
}

func formOf(a pictograph.Annotation) form {
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			return form{kind: "oriented", rings: [][]pictograph.Point{Corners(*g.Oriented)}, closed: true}
		}
		b := g.Box
		return form{kind: "box", rings: [][]pictograph.Point{{{X: b.X, Y: b.Y}, {X: b.X + b.W, Y: b.Y}, {X: b.X + b.W, Y: b.Y + b.H}, {X: b.X, Y: b.Y + b.H}}}, closed: true}
	case pictograph.Polygon:
		return form{kind: "polygon", rings: g.Rings, closed: true}
	case pictograph.Polyline:
		return form{kind: "polyline", rings: [][]pictograph.Point{g.Path}}
	case pictograph.Keypoint:
		return form{kind: "keypoint", at: g.Point, hollow: occluded(a)}
	}
	return form{}
}

// Extent is the type of an annotation as pages name it, and how large its box is.
func Extent(a pictograph.Annotation) (kind string, w, h float64) {
	if g, ok := a.Geometry.(pictograph.BBox); ok && g.Oriented != nil {
		return "oriented", g.Oriented.W, g.Oriented.H
	}
	b := compare.Bounds(a)
	return formOf(a).kind, b.W, b.H
}

// occluded reports whether a joint is labelled and not visible.
func occluded(a pictograph.Annotation) bool {
	switch v := a.Attributes["occluded"].(type) {
	case string:
		return v == "true"
	case bool:
		return v
	}
	return false
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
func outline(rings [][]pictograph.Point, closed bool, grain float64) string {
	var b strings.Builder
	place := number
	if grain >= 1 {
		place = func(v float64) string { return strconv.Itoa(int(math.Round(v))) }
	}
	for _, ring := range rings {
		written := 0
		var last pictograph.Point
		for i, p := range ring {
			if i > 0 && i < len(ring)-1 && math.Abs(p.X-last.X) < grain && math.Abs(p.Y-last.Y) < grain {
				continue
			}
			last = p
			switch written {
			case 0:
				b.WriteByte('M')
			case 1:
				b.WriteByte('L')
			default:
				b.WriteByte(' ')
			}
			written++
			b.WriteString(place(p.X))
			b.WriteByte(',')
			b.WriteString(place(p.Y))
		}
		if closed && len(ring) > 0 {
			b.WriteByte('Z')
		}
	}
	return b.String()
}

// bones are the edges of the skeletons between keypoints that are there.
func bones(side string, annotations []pictograph.Annotation, skeletons []pictograph.Skeleton) (all []Bone) {
	for _, l := range limbs(annotations, skeletons) {
		all = append(all, Bone{Side: side, Colour: colour(l.name), X1: number(l.from.X), Y1: number(l.from.Y), X2: number(l.to.X), Y2: number(l.to.Y)})
	}
	return all
}

// limb joins two keypoints of one object; it has the colour of the first.
type limb struct {
	name     string
	from, to pictograph.Point
}

func limbs(annotations []pictograph.Annotation, skeletons []pictograph.Skeleton) (all []limb) {
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
				if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= len(s.Nodes) {
					continue
				}
				name := s.Nodes[e[0]].Name
				from, ok := points[keypoint{instance, name}]
				to, both := points[keypoint{instance, s.Nodes[e[1]].Name}]
				if ok && both {
					all = append(all, limb{name, from, to})
				}
			}
		}
	}
	return all
}

// sortByArea puts large shapes below small ones, and points above all. Of two in one place what
// is added lies below.
func sortByArea(shapes []Shape) {
	below := func(s Shape) int {
		if s.Change == string(compare.Added) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(shapes, func(a, b Shape) int { return cmp.Or(cmp.Compare(b.Area, a.Area), below(a)-below(b)) })
}

// placeNames places the names of classes, which are so many pixels of the image high: within
// the image, and below one another where they would overlap.
func (d *Drawing) placeNames(w, h, size float64) {
	const most, lower, wide = 400, 6, 0.62 // names that are moved, how often, and how wide a letter is
	type place struct{ x, y float64 }
	placed := make(map[string]place)
	var taken []pictograph.Box
	for i := range d.Shapes {
		s := &d.Shapes[i]
		key := strconv.Itoa(s.N) + s.Class
		at, known := placed[key]
		if !known {
			width := wide * size * float64(len([]rune(s.Class)))
			at = place{s.box.X, s.box.Y - size/4}
			if s.Path == "" {
				at.x, at.y = at.x+size/2, at.y+size/2
			}
			at.x, at.y = max(0, min(at.x, w-width)), max(size, min(at.y, h-size/4))
			box := pictograph.Box{X: at.x, Y: at.y - size, W: width, H: size}
			for n := 0; n < lower && len(taken) < most && slices.ContainsFunc(taken, func(t pictograph.Box) bool { return overlap(t, box) }) && box.Y+2*size < h; n++ {
				box.Y += size
			}
			at.y = box.Y + size
			taken = append(taken, box)
			placed[key] = at
		}
		s.LabelX, s.LabelY = number(at.x), number(at.y)
	}
}

func overlap(a, b pictograph.Box) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func typeOf(a pictograph.Annotation) string { return formOf(a).kind }
