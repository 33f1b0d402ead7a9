package formats

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/coco"
	"pictosync/convert/geometry"
	"pictosync/convert/geometry/bitmaptest"
	"pictosync/convert/labeltest"
	"pictosync/convert/yolo"
	"pictosync/pictograph"
)

// drawn are canonical annotations as a format can hold them.
type drawer struct {
	*rapid.T
	size convert.Size
	next int
}

func (d *drawer) id() string {
	d.next++
	return rapid.SampledFrom([]string{
		fmt.Sprint(d.next), fmt.Sprint(d.next * 1000), fmt.Sprintf("00000000-0000-4000-8000-%012d", d.next), fmt.Sprintf("a-%d", d.next), fmt.Sprintf("x y %d-7", d.next), fmt.Sprintf("0%d", d.next),
	}).Draw(d.T, "id")
}

func (d *drawer) coordinate(max int) float64 {
	if rapid.Bool().Draw(d.T, "whole") {
		return float64(rapid.IntRange(0, max).Draw(d.T, "px"))
	}
	return math.Round(rapid.Float64Range(0, float64(max)).Draw(d.T, "px")*1000) / 1000
}

func (d *drawer) point() pictograph.Point {
	return pictograph.Point{X: d.coordinate(d.size.Width), Y: d.coordinate(d.size.Height)}
}

func (d *drawer) box() pictograph.Box {
	w, h := float64(rapid.IntRange(1, d.size.Width).Draw(d.T, "w")), float64(rapid.IntRange(1, d.size.Height).Draw(d.T, "h"))
	return pictograph.Box{X: rapid.Float64Range(0, float64(d.size.Width)-w).Draw(d.T, "x"), Y: rapid.Float64Range(0, float64(d.size.Height)-h).Draw(d.T, "y"), W: w, H: h}
}

func (d *drawer) ring() []pictograph.Point {
	ring := make([]pictograph.Point, rapid.IntRange(3, 7).Draw(d.T, "points"))
	different := map[pictograph.Point]bool{}
	for i := range ring {
		ring[i] = d.point()
		different[ring[i]] = true
	}
	if len(different) < 3 {
		d.Skip("a ring that encloses nothing")
	}
	return ring
}

func (d *drawer) polygon() pictograph.Polygon {
	p := pictograph.Polygon{Rings: [][]pictograph.Point{d.ring()}}
	p.Box = geometry.Enclosure(p.Rings[0])
	return p
}

func (d *drawer) details(a pictograph.Annotation) pictograph.Annotation {
	a.Name = rapid.SampledFrom([]string{"car", "truck", "traffic light", "Ünïcode \"x\""}).Draw(d.T, "class")
	if rapid.Bool().Draw(d.T, "scored") {
		score := rapid.Float64Range(0, 1).Draw(d.T, "score")
		a.Confidence = &score
	}
	switch rapid.IntRange(0, 3).Draw(d.T, "attributes") {
	case 0:
		a.Attributes = map[string]any{"color": "red"}
	case 1:
		a.Attributes = map[string]any{"iscrowd": "true"}
	}
	return a
}

var keypointNames = []string{"nose", "tail", "paw"}

// pose are the keypoints of one instance, in the order of their category.
func (d *drawer) pose(instance int) (out []pictograph.Annotation) {
	base := d.id()
	for _, name := range keypointNames {
		if len(out) > 0 && rapid.Bool().Draw(d.T, "absent") {
			continue
		}
		a := pictograph.Annotation{ID: fmt.Sprintf("%s-%d", base, len(out)), Name: name, Geometry: pictograph.Keypoint{Point: d.point(), Instance: instance}}
		if rapid.Bool().Draw(d.T, "occluded") {
			a.Attributes = map[string]any{"occluded": "true"}
		}
		out = append(out, a)
	}
	if rapid.IntRange(0, 4).Draw(d.T, "odd ids") == 0 {
		for i := range out {
			out[i].ID = d.id()
		}
	}
	return out
}

var animal = pictograph.Class{Name: "animal", Type: pictograph.TypeKeypoint,
	Skeleton: &pictograph.Skeleton{Nodes: []pictograph.SkeletonNode{{Name: "nose"}, {Name: "tail"}, {Name: "paw"}}, Edges: [][2]int{{0, 1}, {1, 2}}}}

// classesOf are the classes that a converter would name for annotations.
func classesOf(annotations []pictograph.Annotation, poses bool) []pictograph.Class {
	r := canonical.ResultOf(canonical.Image{Annotations: annotations})
	if poses {
		return append(r.Classes, animal)
	}
	return r.Classes
}

func unique(annotations []pictograph.Annotation) bool {
	ids := map[string]bool{}
	for _, a := range annotations {
		if ids[a.ID] {
			return false
		}
		ids[a.ID] = true
	}
	return true
}

// throughCOCO writes images as COCO and reads them again.
func throughCOCO(t interface{ Fatalf(string, ...any) }, images []convert.Result) (out []convert.Result, findings []convert.Finding) {
	c := convert.NewCatalog(nil)
	for _, r := range images {
		c.Add(r)
	}
	w := coco.NewWriter(c)
	categories, err := w.Categories()
	if err != nil {
		t.Fatalf("categories: %v", err)
	}
	seen := map[float64]bool{}
	reader, found, err := coco.NewConverter(categories, "x.json", convert.Options{})
	if err != nil || len(found) > 0 {
		t.Fatalf("categories %s: %v %v", categories, err, found)
	}
	for i, r := range images {
		_, annotations, _, _, lost, err := w.Image(fmt.Sprintf("%d.jpg", i), r)
		if err != nil {
			t.Fatalf("image: %v", err)
		}
		for _, a := range annotations {
			var entry map[string]any
			if err := json.Unmarshal(a, &entry); err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			if id := entry["id"].(float64); seen[id] {
				t.Fatalf("two annotations have the id %v", id)
			} else {
				seen[id] = true
			}
		}
		findings = append(findings, lost...)
		out = append(out, reader.Image(fmt.Sprintf("%d.jpg", i), r.Size, annotations))
	}
	return out, findings
}

// What COCO can hold comes back from it as it was: ids, classes, confidences,
// attributes, instances, and holes along pixel edges.
func TestThroughCOCO(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawer{T: t, size: convert.Size{Width: rapid.IntRange(2, 60).Draw(t, "width"), Height: rapid.IntRange(2, 60).Draw(t, "height")}}
		var images []convert.Result
		for range rapid.IntRange(1, 3).Draw(t, "images") {
			r := convert.Result{Size: d.size}
			instances := 0
			for range rapid.IntRange(0, 5).Draw(t, "objects") {
				switch rapid.IntRange(0, 4).Draw(t, "shape") {
				case 0:
					r.Annotations = append(r.Annotations, d.details(pictograph.Annotation{ID: d.id(), Geometry: pictograph.BBox{Box: d.box()}}))
				case 1:
					r.Annotations = append(r.Annotations, d.details(pictograph.Annotation{ID: d.id(), Geometry: d.polygon()}))
				case 2: // several rings of one annotation
					a := d.details(pictograph.Annotation{})
					base := d.id()
					for part := range rapid.IntRange(2, 4).Draw(t, "parts") {
						a.ID, a.Geometry = fmt.Sprintf("%s-%d", base, part), d.polygon()
						r.Annotations = append(r.Annotations, a)
					}
				case 3:
					instances++
					pose := d.pose(instances)
					r.Annotations = append(r.Annotations, pose...)
					if !rapid.Bool().Draw(t, "box beside") {
						break
					}
					var points []pictograph.Point
					for _, a := range pose {
						points = append(points, a.Geometry.(pictograph.Keypoint).Point)
					}
					around, _ := geometry.Bounds(points)
					if box := d.box(); box != around { // which is written where there is none
						if r.Boxes == nil {
							r.Boxes = make(map[int]pictograph.Box)
						}
						r.Boxes[instances] = box
					}
				case 4: // the regions of a mask, with holes
					b := bitmaptest.NewBitmap(d.size.Width, d.size.Height)
					for range rapid.IntRange(1, 40).Draw(t, "pixels") {
						x, y := rapid.IntRange(0, d.size.Width-1).Draw(t, "x"), rapid.IntRange(0, d.size.Height-1).Draw(t, "y")
						for dy := range 4 {
							for dx := range 4 {
								if y+dy < d.size.Height && x+dx < d.size.Width {
									b[y+dy][x+dx] = !b[y+dy][x+dx]
								}
							}
						}
					}
					var m geometry.Mask
					if err := m.Unmarshal([]byte(b.RLE())); err != nil {
						t.Fatalf("mask: %v", err)
					}
					a, base := d.details(pictograph.Annotation{}), d.id()
					polygons := m.Trace()
					holes := slices.ContainsFunc(polygons, func(p pictograph.Polygon) bool { return len(p.Rings) > 1 })
					for part, p := range polygons {
						p.Box = geometry.Enclosure(p.Rings[0])
						a.ID, a.Geometry = partOfMask(base, part, len(polygons)), p
						if holes || len(polygons) < 2 {
							r.Annotations = append(r.Annotations, a)
						}
					}
				}
			}
			if !unique(r.Annotations) {
				t.Skip("two drawn ids are the same")
			}
			r.Classes = classesOf(r.Annotations, instances > 0)
			images = append(images, r)
		}
		back, findings := throughCOCO(t, images)
		if len(findings) > 0 {
			t.Fatalf("findings: %v", findings)
		}
		for i := range images {
			if got, want := labeltest.Encode(t, back[i].Annotations), labeltest.Encode(t, images[i].Annotations); got != want {
				t.Fatalf("image %d came back as\n%s\nand was\n%s\n%v", i, got, want, back[i].Findings)
			}
			if fmt.Sprint(back[i].Boxes) != fmt.Sprint(images[i].Boxes) {
				t.Fatalf("the boxes of image %d came back as %v and were %v", i, back[i].Boxes, images[i].Boxes)
			}
			line, err := canonical.Image{Image: "a", Annotations: back[i].Annotations, Boxes: back[i].Boxes}.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			if read, err := canonical.Parse(line); err != nil || fmt.Sprint(read.Boxes) != fmt.Sprint(back[i].Boxes) || labeltest.Encode(t, read.Annotations) != labeltest.Encode(t, back[i].Annotations) {
				t.Fatalf("%s is read as %+v, %v", line, read, err)
			}
		}
	})
}

// throughYOLO writes one image as a label file and reads it again.
func throughYOLO(t interface{ Fatalf(string, ...any) }, r convert.Result, task yolo.Task) (convert.Result, []convert.Finding) {
	c := convert.NewCatalog(nil)
	c.Add(r)
	w, err := yolo.NewWriter(c, task)
	if err != nil {
		t.Fatalf("writer: %v", err)
	}
	label, _, _, findings, err := w.Image("a.jpg", r)
	if err != nil {
		t.Fatalf("image: %v", err)
	}
	y := yolo.Converter{Classes: map[int]string{}, Task: w.Task(), KeypointCount: len(w.Keypoints()), KeypointDims: 3, KeypointNames: w.Keypoints()}
	for n, name := range w.Classes() {
		y.Classes[n] = name
	}
	return y.Image("a.txt", "a.jpg", r.Size, label), findings
}

// What YOLO can hold comes back from it within the precision of doubles; of
// ids, confidences and attributes it says that they are lost.
func TestThroughYOLO(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawer{T: t, size: convert.Size{Width: rapid.IntRange(2, 5000).Draw(t, "width"), Height: rapid.IntRange(2, 5000).Draw(t, "height")}}
		task := rapid.SampledFrom(yolo.Tasks).Draw(t, "task")
		r := convert.Result{Size: d.size}
		for i := range rapid.IntRange(1, 5).Draw(t, "objects") {
			a := pictograph.Annotation{ID: fmt.Sprint(i), Name: rapid.SampledFrom([]string{"car", "truck"}).Draw(t, "class")}
			switch task {
			case yolo.Detect:
				a.Geometry = pictograph.BBox{Box: d.box()}
			case yolo.Segment:
				p := d.polygon()
				if p.Box == nil {
					t.Skip("a polygon without extent")
				}
				a.Geometry = p
			case yolo.OBB:
				o := pictograph.OrientedBox{CX: 2500, CY: 2500, W: rapid.Float64Range(1, 900).Draw(t, "w"), H: rapid.Float64Range(1, 900).Draw(t, "h"), Angle: rapid.Float64Range(0, 359.999).Draw(t, "angle")}
				d.size, r.Size = convert.Size{Width: 5000, Height: 5000}, convert.Size{Width: 5000, Height: 5000}
				q := geometry.Corners(o)
				a.Geometry = pictograph.BBox{Box: *geometry.Enclosure(q[:]), Oriented: &o}
			case yolo.Pose:
				r.Annotations = append(r.Annotations, d.pose(i+1)...)
				continue
			}
			r.Annotations = append(r.Annotations, a)
		}
		r.Classes = classesOf(r.Annotations, task == yolo.Pose)
		back, findings := throughYOLO(t, r, task)
		findings = slices.DeleteFunc(findings, func(f convert.Finding) bool { // a box that was made is told
			return task == yolo.Pose && strings.Contains(f.Reason, "its keypoints have no extent")
		})
		if len(findings) > 0 || len(back.Findings) > 0 {
			t.Fatalf("findings: %v %v", findings, back.Findings)
		}
		if len(back.Annotations) != len(r.Annotations) {
			t.Fatalf("%d annotations came back of %d", len(back.Annotations), len(r.Annotations))
		}
		for i, a := range r.Annotations {
			b := back.Annotations[i]
			if a.Name != b.Name || fmt.Sprint(a.Attributes) != fmt.Sprint(b.Attributes) {
				t.Fatalf("%v %v came back as %v %v", a.Name, a.Attributes, b.Name, b.Attributes)
			}
			if far := apart(t, a.Geometry, b.Geometry); far > tolerated(task) {
				t.Fatalf("%+v came back as %+v, %v px off", a.Geometry, b.Geometry, far)
			}
		}
	})
}

// tolerated is in pixels, for images of 5,000.
func tolerated(task yolo.Task) float64 {
	if task == yolo.OBB {
		return 0.01
	}
	return 1e-9
}

// apart is how far the corners or points of two geometries are apart at most.
func apart(t interface{ Fatalf(string, ...any) }, a, b pictograph.Geometry) (far float64) {
	if a.Type() != b.Type() {
		t.Fatalf("a %s came back as a %s", a.Type(), b.Type())
	}
	points := func(g pictograph.Geometry) []pictograph.Point {
		switch g := g.(type) {
		case pictograph.BBox:
			if g.Oriented != nil {
				q := exactCorners(*g.Oriented)
				return q[:]
			}
			return cornersOf(g.Box)
		case pictograph.Polygon:
			return slices.Concat(g.Rings...)
		case pictograph.Keypoint:
			return []pictograph.Point{g.Point}
		}
		return nil
	}
	p, q := points(a), points(b)
	if len(p) != len(q) {
		t.Fatalf("%d points came back as %d", len(p), len(q))
	}
	if box, ok := a.(pictograph.BBox); ok && box.Oriented != nil { // may begin at another corner
		best := math.Inf(1)
		for turn := range 4 {
			far = 0
			for i := range p {
				far = max(far, geometry.Distance(p[i], q[(i+turn)%4]))
			}
			best = min(best, far)
		}
		return best
	}
	for i := range p {
		far = max(far, geometry.Distance(p[i], q[i]))
	}
	return far
}

// exactCorners are an oriented box's corners by the definition.
func exactCorners(o pictograph.OrientedBox) (q [4]pictograph.Point) {
	a := o.Angle * math.Pi / 180
	for i, s := range [4][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
		x, y := s[0]*o.W/2, s[1]*o.H/2
		q[i] = pictograph.Point{X: o.CX + x*math.Cos(a) - y*math.Sin(a), Y: o.CY + x*math.Sin(a) + y*math.Cos(a)}
	}
	return q
}

// What a format cannot hold is a finding, and an image of which nothing can be
// written is a failure: an empty entry would clear it when it is read again.
func TestLostInExport(t *testing.T) {
	size := convert.Size{Width: 100, Height: 100}
	score := 0.5
	square := []pictograph.Point{{X: 10, Y: 10}, {X: 20, Y: 10}, {X: 20, Y: 20}, {X: 10, Y: 20}}
	hole := []pictograph.Point{{X: 12.5, Y: 12}, {X: 12.5, Y: 14}, {X: 14, Y: 14}}
	box := pictograph.Annotation{ID: "1", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 1, W: 2, H: 2}}, Confidence: &score}
	turned := pictograph.Annotation{ID: "2", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 1, W: 2, H: 2}, Oriented: &pictograph.OrientedBox{CX: 2, CY: 2, W: 1, H: 1, Angle: 45}}}
	ring := pictograph.Annotation{ID: "3", Name: "car", Geometry: pictograph.Polygon{Rings: [][]pictograph.Point{square, hole}}}
	line := pictograph.Annotation{ID: "4", Name: "lane", Geometry: pictograph.Polyline{Path: square}}
	keypoint := pictograph.Annotation{ID: "5", Name: "nose", Geometry: pictograph.Keypoint{Point: square[0], Instance: 1}}
	outside := pictograph.Annotation{ID: "6", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 90, Y: 90, W: 20, H: 20}}}
	for _, c := range []struct {
		name        string
		annotations []pictograph.Annotation
		to          yolo.Task // "" is COCO
		want        []convert.Kind
		fails       bool
	}{
		{"an oriented box in COCO", []pictograph.Annotation{turned}, "", []convert.Kind{convert.KindOtherShape}, false},
		{"a hole between pixels in COCO", []pictograph.Annotation{ring}, "", []convert.Kind{convert.KindMaskFilled}, false},
		{"a polyline in COCO", []pictograph.Annotation{box, line}, "", []convert.Kind{convert.KindPolyline}, false},
		{"a polyline alone in COCO", []pictograph.Annotation{line}, "", []convert.Kind{convert.KindPolyline}, true},
		{"a confidence in YOLO", []pictograph.Annotation{box}, yolo.Detect, []convert.Kind{convert.KindLostDetail}, false},
		{"a polygon for detect", []pictograph.Annotation{ring}, yolo.Detect, []convert.Kind{convert.KindOtherShape}, false},
		{"a hole for segment", []pictograph.Annotation{ring}, yolo.Segment, []convert.Kind{convert.KindOtherShape}, false},
		{"a box for segment", []pictograph.Annotation{turned}, yolo.Segment, []convert.Kind{convert.KindOtherShape}, false},
		{"a polygon for obb", []pictograph.Annotation{turned, ring}, yolo.OBB, []convert.Kind{convert.KindLostShape}, false},
		{"a polygon alone for obb", []pictograph.Annotation{ring}, yolo.OBB, []convert.Kind{convert.KindLostShape}, true},
		{"keypoints for detect", []pictograph.Annotation{turned, keypoint}, yolo.Detect, []convert.Kind{convert.KindOtherShape, convert.KindLostShape}, false},
		{"a box beyond the edge", []pictograph.Annotation{outside}, yolo.Detect, []convert.Kind{convert.KindOtherShape}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := convert.Result{Size: size, Annotations: c.annotations}
			r.Classes = classesOf(c.annotations, slices.ContainsFunc(c.annotations, func(a pictograph.Annotation) bool { return a.ID == "5" }))
			catalog := convert.NewCatalog(nil)
			catalog.Add(r)
			var findings []convert.Finding
			var err error
			if c.to == "" {
				_, _, _, _, findings, err = coco.NewWriter(catalog).Image("a.jpg", r)
			} else {
				w, writerErr := yolo.NewWriter(catalog, c.to)
				if writerErr != nil {
					t.Fatal(writerErr)
				}
				_, _, _, findings, err = w.Image("a.jpg", r)
			}
			var kinds []convert.Kind
			for _, f := range findings {
				kinds = append(kinds, f.Kind)
				if f.Reason == "" || f.Action == "" || f.Image != "a.jpg" {
					t.Errorf("an incomplete finding: %+v", f)
				}
			}
			if !slices.Equal(kinds, c.want) || (err != nil) != c.fails {
				t.Errorf("findings %v and error %v, want %v and %v", kinds, err, c.want, c.fails)
			}
		})
	}
}

// partOfMask is the id of one of a mask's regions.
func partOfMask(base string, part, parts int) string {
	if parts == 1 {
		return base
	}
	return fmt.Sprintf("%s-%d", base, part)
}

// cornersOf are the corners of a box, clockwise on the screen from the left top one.
func cornersOf(b pictograph.Box) []pictograph.Point {
	return []pictograph.Point{{X: b.X, Y: b.Y}, {X: b.X + b.W, Y: b.Y}, {X: b.X + b.W, Y: b.Y + b.H}, {X: b.X, Y: b.Y + b.H}}
}

func TestClassMap(t *testing.T) {
	m, err := convert.ParseClassMap([]byte("car: vehicle\ntruck: vehicle\nignore: ~\nnose: snout\n1: one\n"))
	if err != nil {
		t.Fatal(err)
	}
	at := pictograph.BBox{Box: pictograph.Box{W: 1, H: 1}}
	r := convert.Result{}
	for i, name := range []string{"car", "truck", "ignore", "ignore", "cat", "1"} {
		r.Annotations = append(r.Annotations, pictograph.Annotation{ID: fmt.Sprint(i), Name: name, Geometry: at})
	}
	r.Classes = append(classesOf(r.Annotations, true), pictograph.Class{Name: "ignore", Type: pictograph.TypeBBox})
	m.Apply(&r, "f", "i")
	var names []string
	for _, a := range r.Annotations {
		names = append(names, a.Name)
	}
	var classes []string
	for _, c := range r.Classes {
		classes = append(classes, c.Name)
		if c.Skeleton != nil && c.Skeleton.Nodes[0].Name != "snout" {
			t.Errorf("the keypoint is still %s", c.Skeleton.Nodes[0].Name)
		}
	}
	if got := fmt.Sprint(names, classes); got != "[vehicle vehicle cat one] [vehicle cat one animal]" {
		t.Errorf("got %s", got)
	}
	if len(r.Findings) != 1 || r.Findings[0].Kind != convert.KindMappedAway || !strings.Contains(r.Findings[0].Reason, "2 annotations") {
		t.Errorf("findings %+v", r.Findings)
	}
	if animal.Skeleton.Nodes[0].Name != "nose" {
		t.Error("the source's skeleton was changed")
	}
	for _, bad := range []string{"a: [b]", "a: ' '", "a: {nam: b}", "a: {id: -1}", "a: {id: x}", "a: {id: 1}\nb: {id: 1}", "a: b\na: c", "a: {name: x, id: 1}\nb: {name: x, id: 2}", "- a", "a: [", "7"} {
		if _, err := convert.ParseClassMap([]byte(bad)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
