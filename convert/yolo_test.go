package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/pictograph"
)

// yoloLinesOf returns the result without ids, which are UUIDs.
func yoloLinesOf(r Result) []string {
	list := lines(r.Annotations)
	for i, line := range list {
		list[i] = line[strings.Index(line, " ")+1:]
	}
	return list
}

func TestYOLOLines(t *testing.T) {
	detect := YOLO{Classes: map[int]string{0: "cat", 2: "dog", 7: " "}, Task: YOLODetect}
	pose3 := YOLO{Classes: map[int]string{0: "person"}, Task: YOLOPose, KeypointCount: 3, KeypointDims: 3, KeypointNames: []string{"nose", "eye"}}
	pose2 := YOLO{Classes: map[int]string{0: "person"}, Task: YOLOPose, KeypointCount: 3, KeypointDims: 2}
	pose1 := YOLO{Classes: map[int]string{0: "person"}, Task: YOLOPose, KeypointCount: 1, KeypointDims: 3, KeypointNames: []string{"tip"}}
	obb := YOLO{Classes: map[int]string{0: "ship"}, Task: YOLOOBB}
	tests := []struct {
		name     string
		yolo     YOLO
		label    string
		want     []string // image of 200 x 100
		findings []Kind
		dropped  int
	}{
		{name: "empty", yolo: detect, label: ""},
		{name: "only whitespace", yolo: detect, label: "\ufeff \r\n\t\n\n"},
		{name: "box", yolo: detect, label: "0 0.5 0.5 0.25 0.5\n", want: []string{"cat bbox {75 25 50 50}"}},
		{name: "box and confidence", yolo: detect, label: "2 0.5 0.5 0.25 0.5 0.75", want: []string{"dog bbox {75 25 50 50} confidence 0.75"}},
		{name: "polygon", yolo: detect, label: "0 0 0 0.5 0 0.5 1", want: []string{"cat polygon [[{0 0} {100 0} {100 100}]] in {0 0 100 100}"}},
		{name: "polygon of four points", yolo: detect, label: "0 0 0 0.5 0 0.5 1 0 1", want: []string{"cat polygon [[{0 0} {100 0} {100 100} {0 100}]] in {0 0 100 100}"}},
		{name: "polygon without extent", yolo: detect, label: "0 0 0 0.5 0 0.25 0", want: []string{"cat polygon [[{0 0} {100 0} {50 0}]]"}},
		{
			name: "tolerated spellings", yolo: detect,
			label: "\ufeff0 0.5 0.5 0.25 0.5\r\n\t2.0  .5\t5e-1 +0.25 0.50 \r\r\n 0 0.5 0.5 0.25 0.5\u00a0",
			want:  []string{"cat bbox {75 25 50 50}", "dog bbox {75 25 50 50}", "cat bbox {75 25 50 50}"},
		},
		{
			name: "classes out of the list", yolo: detect,
			label:    "1 0.5 0.5 0.25 0.5\n-1 0.5 0.5 0.25 0.5\n7 0.5 0.5 0.25 0.5\n0.5 0.5 0.5 0.25 0.5\n1e30 0.5 0.5 0.25 0.5",
			findings: []Kind{KindUnknownClass, KindUnknownClass, KindUnknownClass, KindNumber, KindNumber}, dropped: 5,
		},
		{
			name: "what is no number", yolo: detect,
			label:    "cat 0.5 0.5 0.25 0.5\n0 0.5 x 0.25 0.5\n0 nan 0.5 0.25 0.5\n0 0.5 inf 0.25 0.5\n0 1e999 0.5 0.25 0.5\n0 0x1p-2 0.5 0.25 0.5\n0 0.5 \xff 0.25 0.5\n0 0,5 0,5 0,25 0,5\nnan 0.5 0.5 0.25 0.5",
			findings: slices.Repeat([]Kind{KindNumber}, 9), dropped: 9,
		},
		{
			name: "wrong counts", yolo: detect, label: "0\n0 0.1\n0 0.1 0.2 0.3\n0 .1 .2 .3 .4 .5 .6 .7\n0 1 2 3 4 5 6 7 8 9\n",
			findings: slices.Repeat([]Kind{KindCount}, 5), dropped: 5,
		},
		{name: "box without extent", yolo: detect, label: "0 0.5 0.5 0 0.5\n0 0.5 0.5 0.5 -0.5", findings: []Kind{KindBox, KindCoordinateRange, KindBox}, dropped: 2},
		{
			name: "coordinates outside are kept", yolo: detect, label: "0 1.5 0.5 0.25 0.5\n0 0 0 -0.5 0 0.5 1\n0 0.5 0.5 1.00001 1",
			want:     []string{"cat bbox {275 25 50 50}", "cat polygon [[{0 0} {-100 0} {100 100}]] in {-100 0 200 100}", "cat bbox {-0.0010000000000047748 0 200.002 100}"},
			findings: []Kind{KindCoordinateRange, KindCoordinateRange},
		},
		{name: "confidence of a class that is none", yolo: detect, label: "0 0.5 0.5 0.25 0.5 12", want: []string{"cat bbox {75 25 50 50}"}, findings: []Kind{KindConfidence}},
		{
			name: "poses", yolo: pose3,
			label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 1 0 0 0\n0 0.5 0.5 0.25 0.5 0 0 0 0 0 0 0.5 0.5 2",
			want:  []string{"nose keypoint {20 10} of 1", "eye keypoint {40 20} of 1 map[occluded:true]", "joint_2 keypoint {100 50} of 2"},
		},
		{name: "a pose without placed joints is a box", yolo: pose3, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 0 0 0 0 0 0 0", want: []string{"person bbox {75 25 50 50}"}},
		{name: "a pose of two numbers a joint", yolo: pose2, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 0 0 0.2 0", want: []string{"joint_0 keypoint {20 10} of 1", "joint_2 keypoint {40 0} of 1"}},
		{name: "negative joints are not placed", yolo: pose2, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 -1 -1 0.2 1.5", want: []string{"joint_0 keypoint {20 10} of 1", "joint_2 keypoint {40 150} of 1"}, findings: []Kind{KindCoordinateRange, KindCoordinateRange}},
		{name: "a lone point is named for its class", yolo: pose1, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2", want: []string{"person keypoint {20 10} of 0"}},
		{name: "visibility that is none", yolo: pose1, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 7", want: []string{"person keypoint {20 10} of 0"}, findings: []Kind{KindVisibility}},
		{name: "no pose by its count", yolo: pose3, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2\n0 .1 .2 .3 .4 .5 .6", findings: []Kind{KindCount, KindCount}, dropped: 2},
		{name: "poses need kpt_shape", yolo: YOLO{Classes: pose1.Classes, Task: YOLOPose, KeypointCount: 2}, label: "0 .1 .2 .3 .4\n0 .1 .2 .3 .4 .5 .6", want: []string{"person bbox {-10 0 60 40}"}, findings: []Kind{KindCount}, dropped: 1},
		{
			name: "oriented boxes, either way round", yolo: obb, label: "0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n0 0.1 0.2 0.1 0.6 0.3 0.6 0.3 0.2",
			want: []string{"ship bbox {20 20 40 40} turned {40 40 40 40 0}", "ship bbox {20 20 40 40} turned {40 40 40 40 90}"},
		},
		{name: "oriented boxes turn clockwise", yolo: obb, label: "0 0.5625 0.25 0.5625 0.75 0.4375 0.75 0.4375 0.25", want: []string{"ship bbox {87.5 25 25 50} turned {100 50 50 25 90}"}},
		{name: "no rectangle", yolo: obb, label: "0 0.1 0.2 0.3 0.2 0.32 0.6 0.1 0.6", want: []string{"ship bbox {19.517368 19.444043 42.965264000000005 41.111914} turned {41 40 42 40.09975124224178 358.602819}"}, findings: []Kind{KindOrientedBox}},
		{name: "no quadrilateral", yolo: obb, label: "0 0.1 0.2 0.3 0.2 0.1 0.6 0.3 0.6\n0 .1 .1 .1 .1 .1 .1 .1 .1\n0 .1 .1 .2 .2 .3 .3 .4 .4\n0 .1 .2 .3 .4 .5 .6", findings: []Kind{KindBox, KindBox, KindBox, KindCount}, dropped: 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := test.yolo.Image("labels/a.txt", "images/a.jpg", Size{Width: 200, Height: 100}, []byte(test.label))
			compare(t, "annotations", yoloLinesOf(r), test.want)
			compare(t, "findings", kinds(r.Findings), test.findings)
			if r.LeftOut != test.dropped {
				t.Errorf("dropped %d, want %d", r.LeftOut, test.dropped)
			}
		})
	}
}

func TestYOLOFindingsNameTheLine(t *testing.T) {
	y := YOLO{Classes: map[int]string{0: "cat"}}
	r := y.Image("labels/a.txt", "a.jpg", Size{1, 1}, []byte("\n0 .1 .1 .1 .1\r\n\r\n0 x\n"))
	if len(r.Findings) != 1 || r.Findings[0].At != "line 4" || r.Findings[0].File != "labels/a.txt" || r.Findings[0].Image != "a.jpg" {
		t.Errorf("findings %+v", r.Findings)
	}
}

func TestYOLONeedsSize(t *testing.T) {
	y := YOLO{Classes: map[int]string{0: "cat"}}
	r := y.Image("a.txt", "a.jpg", Size{}, []byte("0 .1 .1 .1 .1"))
	compare(t, "findings", kinds(r.Findings), []Kind{KindUnknownSize})
	if r.LeftOut != 1 || len(r.Annotations) > 0 {
		t.Errorf("got %+v", r)
	}
	if r := y.Image("a.txt", "a.jpg", Size{}, []byte("\n")); r.LeftOut != 0 || len(r.Findings) > 0 {
		t.Errorf("an empty label gives %+v", r)
	}
}

func TestYOLOIDs(t *testing.T) {
	y := YOLO{Classes: map[int]string{0: "cat", 1: "dog"}}
	ids := func(image, label string) []string {
		var list []string
		for _, a := range y.Image("a.txt", image, Size{200, 100}, []byte(label)).Annotations {
			list = append(list, a.ID)
		}
		return list
	}
	first := ids("a.jpg", "0 .5 .5 .2 .2\n0 .5 .5 .2 .2\n")
	if first[0] == first[1] {
		t.Error("equal lines have one id")
	}
	compare(t, "ids after spelling, class and a line below changed", ids("a.jpg", "1 0.50 5e-1 .2 .2\r\n1 .1 .1 .1 .1")[:1], first[:1])
	if ids("b.jpg", "0 .5 .5 .2 .2")[0] == first[0] {
		t.Error("two images share an id")
	}
	if ids("a.jpg", "0 .5 .5 .2 .3")[0] == first[0] {
		t.Error("another box has the id")
	}
}

// Time and memory are linear in the label, or this would not end.
func TestYOLOLargeLabels(t *testing.T) {
	y := YOLO{Classes: map[int]string{0: "cat"}}
	for name, label := range map[string]string{
		"one long line":        "0" + strings.Repeat(" 0.25 0.75", 300_000),
		"one long field":       "0 " + strings.Repeat("1", 3_000_000),
		"blanks":               strings.Repeat(" \t", 1_500_000),
		"blank lines":          strings.Repeat("\n", 3_000_000),
		"zeros, as of a crash": strings.Repeat("\x00", 3_000_000),
	} {
		r := y.Image("a.txt", "a.jpg", Size{640, 480}, []byte(label))
		if len(r.Annotations)+r.LeftOut > 1 || len(r.Findings) != r.LeftOut {
			t.Errorf("%s: %d annotations, %d dropped, %d findings", name, len(r.Annotations), r.LeftOut, len(r.Findings))
		}
		for _, f := range r.Findings {
			if len(f.Reason) > 300 {
				t.Errorf("%s: a reason of %d bytes", name, len(f.Reason))
			}
		}
	}
}

func TestYOLOPoseClasses(t *testing.T) {
	y := YOLO{Classes: map[int]string{0: "person", 1: "horse"}, Task: YOLOPose, KeypointCount: 2, KeypointDims: 2, KeypointNames: []string{"nose", "tail"}}
	r := y.Image("a.txt", "a.jpg", Size{10, 10}, []byte("1 .5 .5 .5 .5 .1 .1 0 0\n0 .5 .5 .5 .5"))
	var got []string
	for _, c := range r.Classes {
		line := c.Name + " " + string(c.Type)
		if c.Skeleton != nil {
			line += fmt.Sprint(" ", c.Skeleton.Nodes[0].Name, c.Skeleton.Nodes[1].Name, c.Skeleton.Edges, c.Skeleton.Edges != nil)
		}
		got = append(got, line)
	}
	compare(t, "classes", got, []string{"horse keypoint nosetail[] true", "nose keypoint", "tail keypoint", "person bbox"})
}

func TestYOLOOutside(t *testing.T) {
	ship := "ship bbox {-10 40 20 20} turned {0 50 20 20 0}"
	tests := []struct {
		outside  Outside
		want     []string
		findings []Kind
	}{
		{"", []string{"ship bbox {-20 40 40 20}", ship, "ship bbox {80 40 40 20}"}, []Kind{KindCoordinateRange}},
		{OutsideClip, []string{"ship bbox {0 40 20 20}", ship, "ship bbox {80 40 40 20}"}, []Kind{KindOutside, KindCoordinateRange, KindOutside}},
		{OutsideReport, []string{"ship bbox {80 40 40 20}"}, []Kind{KindOutsideLeftOut, KindCoordinateRange, KindOutsideLeftOut}},
	}
	for _, test := range tests {
		y := YOLO{Classes: map[int]string{0: "ship"}, Task: YOLOOBB, Options: Options{Outside: test.outside}}
		r := y.Image("a.txt", "a.jpg", Size{200, 100}, []byte("0 0 .5 .2 .2\n0 -.05 .4 .05 .4 .05 .6 -.05 .6\n0 .5 .5 .2 .2"))
		compare(t, "annotations", yoloLinesOf(r), test.want)
		compare(t, "findings", kinds(r.Findings), test.findings)
	}
}

// An oriented box comes back from its corners, whichever corner is the first
// and whichever way round they are walked.
func TestOrientedBoxReproducesCorners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := Size{Width: rapid.IntRange(1, 20000).Draw(t, "width"), Height: rapid.IntRange(1, 20000).Draw(t, "height")}
		want := pictograph.OrientedBox{
			CX: rapid.Float64Range(0, 1).Draw(t, "cx") * float64(size.Width), CY: rapid.Float64Range(0, 1).Draw(t, "cy") * float64(size.Height),
			W: rapid.Float64Range(1, 3000).Draw(t, "w"), H: rapid.Float64Range(1, 3000).Draw(t, "h"),
			Angle: rapid.Float64Range(0, 359.999).Draw(t, "angle"),
		}
		source := corners(want)
		first := rapid.IntRange(0, 3).Draw(t, "first")
		step := rapid.SampledFrom([]int{1, 3}).Draw(t, "way round")
		label := "0"
		var walked quadrilateral
		for i := range 4 {
			p := source[(first+i*step)%4]
			walked[i] = p
			label += fmt.Sprintf(" %.9f %.9f", p.X/float64(size.Width), p.Y/float64(size.Height))
		}
		y := YOLO{Classes: map[int]string{0: "ship"}, Task: YOLOOBB}
		r := y.Image("a.txt", "a.jpg", size, []byte(label))
		if len(r.Annotations) != 1 {
			t.Fatalf("%s: %+v", label, r.Findings)
		}
		got := r.Annotations[0].Geometry.(pictograph.BBox)
		if got.Oriented.Angle < 0 || got.Oriented.Angle >= 360 {
			t.Fatalf("angle %v", got.Oriented.Angle)
		}
		if off := walked.farthest(corners(*got.Oriented)); off > 0.01 {
			t.Fatalf("corners are off by %v px: %+v", off, got.Oriented)
		}
		around := enclosure(source[:])
		for i, d := range []float64{got.Box.X - around.X, got.Box.Y - around.Y, got.Box.W - around.W, got.Box.H - around.H} {
			if math.Abs(d) > 0.01 {
				t.Fatalf("side %d of the box %v is off by %v", i, got.Box, d)
			}
		}
	})
}

// Corners computed with the SDK's obb_corners.
func TestCorners(t *testing.T) {
	got := corners(pictograph.OrientedBox{CX: 10, CY: 10, W: 8, H: 4, Angle: 30})
	want := quadrilateral{{X: 7.535898384862245, Y: 6.267949192431122}, {X: 14.464101615137755, Y: 10.267949192431123}, {X: 12.464101615137755, Y: 13.732050807568877}, {X: 5.535898384862245, Y: 9.732050807568877}}
	for i := range got {
		if distance(got[i], want[i]) > 1e-6 {
			t.Errorf("corner %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestYOLOShapes(t *testing.T) {
	tests := []struct {
		labels []string
		want   YOLOShapes
		task   YOLOTask
	}{
		{nil, YOLOShapes{}, YOLODetect},
		{[]string{"0 1 1 1 1\n0 1 1 1 1 1", "0 1 x 1 1\n0 1 1 1\n"}, YOLOShapes{Boxes: 1, BoxesWithConfidence: 1, Other: 2}, YOLODetect},
		{[]string{"0 1 1 1 1", "0 1 1 1 1 1 1"}, YOLOShapes{Boxes: 1, Polygons: 1}, YOLOSegment},
		{[]string{"0 1 1 1 1 1 1 1 1", "0 1 1 1 1 1 1 1 1 1 1"}, YOLOShapes{FourPoints: 1, Polygons: 1}, YOLOSegment},
		{[]string{"0 1 1 1 1 1 1 1 1\n\n", "0 1 1 1 1"}, YOLOShapes{FourPoints: 1, Boxes: 1}, YOLOSegment},
		{[]string{"0 1 1 1 1 1 1 1 1\r\n0 1 1 1 1 1 1 1 1", "", "0 1"}, YOLOShapes{FourPoints: 2, Other: 1}, ""},
	}
	for _, test := range tests {
		var s YOLOShapes
		for _, label := range test.labels {
			s.Add([]byte(label))
		}
		task, err := s.Task()
		if s != test.want || task != test.task || (err == nil) != (test.task != "") {
			t.Errorf("%q: %+v, task %q, error %v", test.labels, s, task, err)
		}
		if err != nil && !strings.Contains(err.Error(), "--task") {
			t.Errorf("error %q does not say what to do", err)
		}
	}
}
