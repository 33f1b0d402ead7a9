package yolo

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/convert/labeltest"
	"pictosync/pictograph"
)

// yoloLinesOf returns the result without ids, which are UUIDs.
func yoloLinesOf(r convert.Result) []string {
	list := labeltest.Lines(r.Annotations)
	for i, line := range list {
		list[i] = line[strings.Index(line, " ")+1:]
	}
	return list
}

func TestYOLOLines(t *testing.T) {
	detect := Converter{Classes: map[int]string{0: "cat", 2: "dog", 7: " "}, Task: Detect}
	segment, scored, tracked, both, scoreFirst := detect, detect, detect, detect, detect
	segment.Task = Segment
	scored.Trailer.Confidence, tracked.Trailer.ID, both.Trailer = true, true, trailer{Confidence: true, ID: true}
	scoreFirst.Columns = columns{columnConfidence, columnBox}
	angled := Converter{Classes: detect.Classes, Task: OBB, Columns: columns{columnBox, columnAngle}}
	tracks := Converter{Classes: detect.Classes, Task: Detect, Columns: columns{columnBox, columnConfidence, columnID}}
	boxed := Converter{Classes: detect.Classes, Task: Segment, Columns: columns{columnBox, columnPolygon, columnConfidence}}
	bothSegments := both
	bothSegments.Task = Segment
	pose3 := Converter{Classes: map[int]string{0: "person"}, Task: Pose, KeypointCount: 3, KeypointDims: 3, KeypointNames: []string{"nose", "eye"}}
	scoredPose, unclearPose := pose3, pose3
	scoredPose.Third, unclearPose.Third = thirdScore, thirdUnclear
	pose2 := Converter{Classes: map[int]string{0: "person"}, Task: Pose, KeypointCount: 3, KeypointDims: 2}
	unnamed1 := Converter{Classes: map[int]string{0: "person"}, Task: Pose, KeypointCount: 1, KeypointDims: 3}
	pose1 := Converter{Classes: map[int]string{0: "person"}, Task: Pose, KeypointCount: 1, KeypointDims: 3, KeypointNames: []string{"tip"}}
	obb := Converter{Classes: map[int]string{0: "ship"}, Task: OBB}
	tests := []struct {
		name     string
		yolo     Converter
		label    string
		want     []string // image of 200 x 100
		findings []convert.Kind
		dropped  int
	}{
		{name: "empty", yolo: detect, label: ""},
		{name: "only whitespace", yolo: detect, label: "\ufeff \r\n\t\n\n"},
		{name: "box", yolo: detect, label: "0 0.5 0.5 0.25 0.5\n", want: []string{"cat bbox {75 25 50 50}"}},
		{name: "box and confidence", yolo: scored, label: "2 0.5 0.5 0.25 0.5 0.75", want: []string{"dog bbox {75 25 50 50} confidence 0.75"}},
		{name: "polygon", yolo: segment, label: "0 0 0 0.5 0 0.5 1", want: []string{"cat polygon [[{0 0} {100 0} {100 100}]] in {0 0 100 100}"}},
		{name: "polygon of four points", yolo: segment, label: "0 0 0 0.5 0 0.5 1 0 1", want: []string{"cat polygon [[{0 0} {100 0} {100 100} {0 100}]] in {0 0 100 100}"}},
		{name: "polygon without extent", yolo: segment, label: "0 0 0 0.5 0 0.25 0", want: []string{"cat polygon [[{0 0} {100 0} {50 0}]]"}},
		{
			name: "tolerated spellings", yolo: detect,
			label: "\ufeff0 0.5 0.5 0.25 0.5\r\n\t2.0  .5\t5e-1 +0.25 0.50 \r\r\n 0 0.5 0.5 0.25 0.5\u00a0",
			want:  []string{"cat bbox {75 25 50 50}", "dog bbox {75 25 50 50}", "cat bbox {75 25 50 50}"},
		},
		{
			name: "classes out of the list", yolo: detect,
			label:    "1 0.5 0.5 0.25 0.5\n-1 0.5 0.5 0.25 0.5\n7 0.5 0.5 0.25 0.5\n0.5 0.5 0.5 0.25 0.5\n1e30 0.5 0.5 0.25 0.5",
			findings: []convert.Kind{convert.KindUnknownClass, convert.KindUnknownClass, convert.KindUnknownClass, convert.KindNumber, convert.KindNumber}, dropped: 5,
		},
		{
			name: "what is no number", yolo: detect,
			label:    "cat 0.5 0.5 0.25 0.5\n0 0.5 x 0.25 0.5\n0 nan 0.5 0.25 0.5\n0 0.5 inf 0.25 0.5\n0 1e999 0.5 0.25 0.5\n0 0x1p-2 0.5 0.25 0.5\n0 0.5 \xff 0.25 0.5\n0 0,5 0,5 0,25 0,5\nnan 0.5 0.5 0.25 0.5",
			findings: slices.Repeat([]convert.Kind{convert.KindNumber}, 9), dropped: 9,
		},
		{
			name: "wrong counts", yolo: segment, label: "0\n0 0.1\n0 0.1 0.2 0.3\n0 .1 .2 .3 .4 .5\n0 .1 .2 .3 .4 .5 .6 .7\n0 .1 .2 .3 .4 .5 .6 .7 .8 .9\n",
			findings: slices.Repeat([]convert.Kind{convert.KindCount}, 6), dropped: 6,
		},
		{name: "boxes alone", yolo: detect, label: "0 .5 .5 .2 .2 .9\n0 .5 .5 .2 .2 .9 7\n0 .1 .1 .2 .1 .2 .2 .1 .2", findings: slices.Repeat([]convert.Kind{convert.KindCount}, 3), dropped: 3},
		{name: "box without extent", yolo: detect, label: "0 0.5 0.5 0 0.5\n0 0.5 0.5 0.5 -0.5", findings: []convert.Kind{convert.KindBox, convert.KindCoordinateRange}, dropped: 2},
		{
			name: "coordinates outside are lost", yolo: segment, label: "0 1.5 0.5 0.25 0.5\n0 0 0 -0.5 0 0.5 1\n0 0.5 0.5 1.00001 1\n0 100 50 50 25\n0 1 1 1 1.2 3 4",
			want:     []string{"cat bbox {-0.0010000000000047748 0 200.002 100}"},
			findings: slices.Repeat([]convert.Kind{convert.KindCoordinateRange}, 4), dropped: 4,
		},
		{name: "a score that is none", yolo: scored, label: "0 0.5 0.5 0.25 0.5 12\n0 0.5 0.5 0.25 0.5 45.5\n0 .5 .5 .2 .2 .5 7", findings: []convert.Kind{convert.KindConfidence, convert.KindConfidence, convert.KindCount}, dropped: 3},
		{name: "UTF-16", label: "\xff\xfe0\x00 \x001\x00\n\x00\n\x002\x00\r\x00\n\x00", findings: []convert.Kind{convert.KindUnreadable}, dropped: 2},
		{name: "UTF-16 without a mark", label: "0\x00\n\x001\x00", findings: []convert.Kind{convert.KindUnreadable}, dropped: 2},
		{name: "nothing in UTF-16", label: "\xfe\xff"},
		{name: "ids", yolo: tracked, label: "0 0.5 0.5 0.25 0.5 12\n0 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5 0.5\n0 0.5 0.5 0.25 0.5 -2\n0 0.5 0.5 0.25 0.5 -1", want: []string{"cat bbox {75 25 50 50} map[track_id:12]", "cat bbox {75 25 50 50}", "cat bbox {75 25 50 50}"}, findings: []convert.Kind{convert.KindNumber, convert.KindNumber}, dropped: 2},
		{
			name: "scores and ids", yolo: both, label: "0 0.5 0.5 0.25 0.5 0.75 3\n0 0.5 0.5 0.25 0.5 0.75\n0 0.5 0.5 0.25 0.5 3 0.75",
			want: []string{"cat bbox {75 25 50 50} confidence 0.75 map[track_id:3]", "cat bbox {75 25 50 50} confidence 0.75"}, findings: []convert.Kind{convert.KindConfidence}, dropped: 1,
		},
		{
			name: "polygons with scores and ids", yolo: bothSegments, label: "0 0 0 0.5 0 0.5 1 0.75 3\n0 0 0 0.5 0 0.5 1 .25\n0 0 0 0.5 0 0.5 1",
			want: []string{"cat polygon [[{0 0} {100 0} {100 100}]] in {0 0 100 100} confidence 0.75 map[track_id:3]", "cat polygon [[{0 0} {100 0} {100 100}]] in {0 0 100 100} confidence 0.25"}, findings: []convert.Kind{convert.KindBox}, dropped: 1,
		},
		{name: "columns", yolo: scoreFirst, label: "0 0.75 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5", want: []string{"cat bbox {75 25 50 50} confidence 0.75"}, findings: []convert.Kind{convert.KindCount}, dropped: 1},
		{
			name: "columns that lines lack", yolo: tracks, label: "0 0.5 0.5 0.25 0.5 0.75 3\n0 0.5 0.5 0.25 0.5 0.75\n0 0.5 0.5 0.25 0.5\n0 .1 .1 .1\n0 .5 .5 .2 .2 .5 3 1",
			want:     []string{"cat bbox {75 25 50 50} confidence 0.75 map[track_id:3]", "cat bbox {75 25 50 50} confidence 0.75", "cat bbox {75 25 50 50}"},
			findings: []convert.Kind{convert.KindCount, convert.KindCount}, dropped: 2,
		},
		{
			name: "angles", yolo: angled, label: "YOLO_OBB\n0 0.5 0.5 0.25 0.25 90\n0 0.5 0.5 0.25 0.25 400\n0 100 50 20 10 30\n0 .5 .5 0 .5 3",
			want: []string{"cat bbox {87.5 25 25 50} turned {100 50 50 25 90}"}, findings: []convert.Kind{convert.KindAngle, convert.KindCoordinateRange, convert.KindBox}, dropped: 3,
		},
		{
			name: "polygons behind their boxes", yolo: boxed, label: "0 .25 .5 .5 1 0 0 .5 0 .5 1 .75\n0 .3 .5 .5 1 0 0 .5 0 .5 1 .75\n0 .25 .5 .5 1 0 0 .5 0 .5 .75\n0 2 .5 .5 1 0 0 .5 0 .5 1 .75\n0 .25 .5 .5 1",
			want:     slices.Repeat([]string{"cat polygon [[{0 0} {100 0} {100 100}]] in {0 0 100 100} confidence 0.75"}, 2),
			findings: []convert.Kind{convert.KindGeometry, convert.KindCount, convert.KindCoordinateRange, convert.KindCount}, dropped: 3,
		},
		{name: "a header that tells of angles", yolo: detect, label: "\n YOLO_OBB\r\n0 0.5 0.5 0.25 0.25 90\n0 0.5 0.5 0.25 0.25", findings: []convert.Kind{convert.KindAngle, convert.KindAngle}, dropped: 2},
		{
			name: "poses", yolo: pose3,
			label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 1 0 0 0\n0 0.5 0.5 0.25 0.5 0 0 0 0 0 0 0.5 0.5 2",
			want:  []string{"nose keypoint {20 10} of 1", "eye keypoint {40 20} of 1 map[occluded:true]", "joint_2 keypoint {100 50} of 2"},
		},
		{name: "a pose without placed keypoints is a box", yolo: pose3, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 0 0 0 0 0 0 0", want: []string{"person bbox {75 25 50 50}"}, findings: []convert.Kind{convert.KindVisibility}},
		{name: "a pose of two numbers a keypoint", yolo: pose2, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 0 0 0.2 0", want: []string{"joint_0 keypoint {20 10} of 1", "joint_2 keypoint {40 0} of 1"}},
		{name: "negative keypoints are not placed", yolo: pose2, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 -1 -1 -1 -1", want: []string{"joint_0 keypoint {20 10} of 1"}, findings: []convert.Kind{convert.KindKeypointAbsent}},
		{name: "keypoints outside", yolo: pose2, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 -1 -1 0.2 1.5", findings: []convert.Kind{convert.KindCoordinateRange}, dropped: 1},
		{name: "keypoints that are not labelled lie anywhere", yolo: pose3, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2 -7 9 0 -1 -1 -1", want: []string{"nose keypoint {20 10} of 1"}, findings: []convert.Kind{convert.KindKeypointAbsent, convert.KindVisibility}},
		{name: "keypoints with scores", yolo: scoredPose, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 0.75 0.2 0.2 1 0 0 0\n0 0.5 0.5 0.25 0.5 0.1 0.1 0.75 0.2 0.2 2 0 0 0", want: []string{"nose keypoint {20 10} of 1 confidence 0.75", "eye keypoint {40 20} of 1 confidence 1"}, findings: []convert.Kind{convert.KindKeypoints}, dropped: 1},
		{name: "a score among visibilities", yolo: pose3, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 0.75 0.2 0.2 1 0 0 0", findings: []convert.Kind{convert.KindKeypoints}, dropped: 1},
		{name: "scores or visibilities, which nothing tells", yolo: unclearPose, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 1 0.2 0.2 1 0 0 0", findings: []convert.Kind{convert.KindKeypoints}, dropped: 1},
		{name: "a lone point with a name", yolo: pose1, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2", want: []string{"tip keypoint {20 10} of 1"}},
		{name: "a lone point without one is named for its class", yolo: unnamed1, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2", want: []string{"person keypoint {20 10} of 0"}, findings: []convert.Kind{convert.KindGeometry}},
		{name: "visibility that is none", yolo: pose1, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 7", findings: []convert.Kind{convert.KindKeypoints}, dropped: 1},
		{name: "no pose by its count", yolo: pose3, label: "0 0.5 0.5 0.25 0.5 0.1 0.1 2\n0 .1 .2 .3 .4 .5 .6", findings: []convert.Kind{convert.KindCount, convert.KindCount}, dropped: 2},
		{name: "poses need kpt_shape", yolo: Converter{Classes: pose1.Classes, Task: Pose, KeypointCount: 2}, label: "0 .1 .2 .3 .4\n0 .1 .2 .3 .4 .5 .6", want: []string{"person bbox {-10 0 60 40}"}, findings: []convert.Kind{convert.KindOutside, convert.KindCount}, dropped: 1},
		{
			name: "oriented boxes, either way round", yolo: obb, label: "0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n0 0.1 0.2 0.1 0.6 0.3 0.6 0.3 0.2",
			want: []string{"ship bbox {20 20 40 40} turned {40 40 40 40 0}", "ship bbox {20 20 40 40} turned {40 40 40 40 90}"},
		},
		{name: "oriented boxes turn clockwise", yolo: obb, label: "0 0.5625 0.25 0.5625 0.75 0.4375 0.75 0.4375 0.25", want: []string{"ship bbox {87.5 25 25 50} turned {100 50 50 25 90}"}},
		{name: "no rectangle", yolo: obb, label: "0 0.1 0.2 0.3 0.2 0.32 0.6 0.1 0.6", want: []string{"ship bbox {19.517368 19.444043 42.965264000000005 41.111914} turned {41 40 42 40.09975124224178 358.602819}"}, findings: []convert.Kind{convert.KindOrientedBox}},
		{name: "no quadrilateral", yolo: obb, label: "0 0.1 0.2 0.3 0.2 0.1 0.6 0.3 0.6\n0 .1 .1 .1 .1 .1 .1 .1 .1\n0 .1 .1 .2 .2 .3 .3 .4 .4\n0 .1 .2 .3 .4 .5 .6", findings: []convert.Kind{convert.KindBox, convert.KindBox, convert.KindBox, convert.KindCount}, dropped: 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := test.yolo.Image("labels/a.txt", "images/a.jpg", convert.Size{Width: 200, Height: 100}, []byte(test.label))
			labeltest.Compare(t, "annotations", yoloLinesOf(r), test.want)
			labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), test.findings)
			if r.LeftOut != test.dropped {
				t.Errorf("dropped %d, want %d", r.LeftOut, test.dropped)
			}
		})
	}
}

func TestYOLOFindingsNameTheLine(t *testing.T) {
	y := Converter{Classes: map[int]string{0: "cat"}}
	r := y.Image("labels/a.txt", "a.jpg", convert.Size{Width: 1, Height: 1}, []byte("\n0 .1 .1 .1 .1\r\n\r\n0 x\n"))
	if len(r.Findings) != 1 || r.Findings[0].At != "line 4" || r.Findings[0].File != "labels/a.txt" || r.Findings[0].Image != "a.jpg" {
		t.Errorf("findings %+v", r.Findings)
	}
}

func TestYOLONeedsSize(t *testing.T) {
	y := Converter{Classes: map[int]string{0: "cat"}}
	r := y.Image("a.txt", "a.jpg", convert.Size{}, []byte("0 .1 .1 .1 .1"))
	labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), []convert.Kind{convert.KindUnknownSize})
	if r.LeftOut != 1 || len(r.Annotations) > 0 {
		t.Errorf("got %+v", r)
	}
	if r := y.Image("a.txt", "a.jpg", convert.Size{}, []byte("\n")); r.LeftOut != 0 || len(r.Findings) > 0 {
		t.Errorf("an empty label gives %+v", r)
	}
}

func TestYOLOIDs(t *testing.T) {
	y := Converter{Classes: map[int]string{0: "cat", 1: "dog"}}
	ids := func(image, label string) []string {
		var list []string
		for _, a := range y.Image("a.txt", image, convert.Size{Width: 200, Height: 100}, []byte(label)).Annotations {
			list = append(list, a.ID)
		}
		return list
	}
	first := ids("a.jpg", "0 .5 .5 .2 .2\n0 .5 .5 .2 .2\n")
	if first[0] == first[1] {
		t.Error("equal lines have one id")
	}
	labeltest.Compare(t, "ids after spelling, class and a line below changed", ids("a.jpg", "1 0.50 5e-1 .2 .2\r\n1 .1 .1 .1 .1")[:1], first[:1])
	if ids("b.jpg", "0 .5 .5 .2 .2")[0] == first[0] {
		t.Error("two images share an id")
	}
	if ids("a.jpg", "0 .5 .5 .2 .3")[0] == first[0] {
		t.Error("another box has the id")
	}
}

// Time and memory are linear in the label, or this would not end.
func TestYOLOLargeLabels(t *testing.T) {
	y := Converter{Classes: map[int]string{0: "cat"}}
	for name, label := range map[string]string{
		"one long line":        "0" + strings.Repeat(" 0.25 0.75", 300_000),
		"one long field":       "0 " + strings.Repeat("1", 3_000_000),
		"blanks":               strings.Repeat(" \t", 1_500_000),
		"blank lines":          strings.Repeat("\n", 3_000_000),
		"zeros, as of a crash": strings.Repeat("\x00", 3_000_000),
	} {
		r := y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, []byte(label))
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
	y := Converter{Classes: map[int]string{0: "person", 1: "horse"}, Task: Pose, KeypointCount: 2, KeypointDims: 2, KeypointNames: []string{"nose", "tail"}}
	r := y.Image("a.txt", "a.jpg", convert.Size{Width: 10, Height: 10}, []byte("1 .5 .5 .5 .5 .1 .1 0 0\n0 .5 .5 .5 .5"))
	var got []string
	for _, c := range r.Classes {
		line := c.Name + " " + string(c.Type)
		if c.Skeleton != nil {
			line += fmt.Sprint(" ", c.Skeleton.Nodes[0].Name, c.Skeleton.Nodes[1].Name, c.Skeleton.Edges, c.Skeleton.Edges != nil)
		}
		got = append(got, line)
	}
	labeltest.Compare(t, "classes", got, []string{"horse keypoint nosetail[] true", "nose keypoint", "tail keypoint", "person bbox"})
}

func TestYOLOOutside(t *testing.T) {
	tests := []struct {
		outside  convert.Outside
		want     []string
		findings []convert.Kind
	}{
		{"", []string{"ship bbox {-20 40 40 20}", "ship bbox {80 40 40 20}"}, []convert.Kind{convert.KindOutside, convert.KindCoordinateRange}},
		{convert.OutsideClip, []string{"ship bbox {0 40 20 20}", "ship bbox {80 40 40 20}"}, []convert.Kind{convert.KindOutside, convert.KindCoordinateRange}},
		{convert.OutsideReport, []string{"ship bbox {80 40 40 20}"}, []convert.Kind{convert.KindOutsideLeftOut, convert.KindCoordinateRange}},
	}
	for _, test := range tests {
		y := Converter{Classes: map[int]string{0: "ship"}, Task: OBB, Options: convert.Options{Outside: test.outside}}
		r := y.Image("a.txt", "a.jpg", convert.Size{Width: 200, Height: 100}, []byte("0 0 .5 .2 .2\n0 -.05 .4 .05 .4 .05 .6 -.05 .6\n0 .5 .5 .2 .2"))
		labeltest.Compare(t, "annotations", yoloLinesOf(r), test.want)
		labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), test.findings)
	}
}

// Boxes that are kept are told of where they reach outside by more than a pixel and more
// than a hundredth, as those of COCO are.
func TestYOLOTellsOfBoxesOutside(t *testing.T) {
	for line, want := range map[string][]convert.Kind{
		"0 0.02 0.5 0.2 0.2":        {convert.KindOutside},
		"0 0.09 0.5 0.2 0.2":        nil, // by a hundredth
		"0 0.5 0.99 0.2 0.06":       {convert.KindOutside},
		"0 0.00001 0.5 0.00002 0.2": nil,
	} {
		r := (&Converter{Classes: map[int]string{0: "ship"}}).Image("a.txt", "a.jpg", convert.Size{Width: 200, Height: 100}, []byte(line))
		if len(r.Annotations) != 1 {
			t.Errorf("%s: %d annotations", line, len(r.Annotations))
		}
		labeltest.Compare(t, line, labeltest.Kinds(r.Findings), want)
	}
	turned := Converter{Classes: map[int]string{0: "ship"}, Task: OBB, Columns: columns{columnBox, columnAngle}}
	r := turned.Image("a.txt", "a.jpg", convert.Size{Width: 200, Height: 100}, []byte("0 .5 .5 .9 .1 90"))
	labeltest.Compare(t, "a turned box", labeltest.Kinds(r.Findings), []convert.Kind{convert.KindOutside})
}

// A keypoint that is called not labelled and has coordinates is not left out in silence.
func TestYOLOKeypointsNotLabelled(t *testing.T) {
	y := Converter{Classes: map[int]string{0: "person"}, Task: Pose, KeypointCount: 3, KeypointDims: 3}
	r := y.Image("a.txt", "a.jpg", convert.Size{Width: 200, Height: 100}, []byte("0 .5 .5 .4 .4 .4 .4 0 .5 .5 0 .6 .6 0\n0 .5 .5 .4 .4 0 0 0 .5 .5 2 0 0 0"))
	if len(r.Findings) != 1 || r.Findings[0].Kind != convert.KindVisibility || r.Findings[0].Count != 3 || r.Findings[0].At != "line 1" {
		t.Errorf("findings %+v", r.Findings)
	}
}

// An oriented box is written as its own corners, also where lines are polygons.
func TestYOLOWritesTheCornersOfOrientedBoxes(t *testing.T) {
	turned := pictograph.OrientedBox{CX: 50, CY: 50, W: 40, H: 20, Angle: 90}
	r := convert.Result{Size: convert.Size{Width: 100, Height: 100}, Annotations: []pictograph.Annotation{{ID: "1", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 40, Y: 30, W: 20, H: 40}, Oriented: &turned}}}}
	r.Classes = []pictograph.Class{{Name: "car", Type: pictograph.TypeBBox}}
	for _, task := range []Task{Segment, OBB} {
		catalog := convert.NewCatalog(nil)
		catalog.Add(r)
		w, err := NewWriter(catalog, task)
		if err != nil {
			t.Fatal(err)
		}
		if label, _, _, _, err := w.Image("a.jpg", r); err != nil || string(label) != "0 0.6 0.3 0.6 0.7 0.4 0.7 0.4 0.3\n" {
			t.Errorf("%s: %q, %v", task, label, err)
		}
	}
}

// An oriented box comes back from its corners, whichever corner is the first
// and whichever way round they are walked.
func TestOrientedBoxReproducesCorners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := convert.Size{Width: rapid.IntRange(100, 20000).Draw(t, "width"), Height: rapid.IntRange(100, 20000).Draw(t, "height")}
		most := float64(min(size.Width, size.Height)) / 4
		want := pictograph.OrientedBox{
			CX: rapid.Float64Range(0.25, 0.75).Draw(t, "cx") * float64(size.Width), CY: rapid.Float64Range(0.25, 0.75).Draw(t, "cy") * float64(size.Height),
			W: rapid.Float64Range(1, most).Draw(t, "w"), H: rapid.Float64Range(1, most).Draw(t, "h"),
			Angle: rapid.Float64Range(0, 359.999).Draw(t, "angle"),
		}
		source := geometry.Corners(want)
		first := rapid.IntRange(0, 3).Draw(t, "first")
		step := rapid.SampledFrom([]int{1, 3}).Draw(t, "way round")
		label := "0"
		var walked geometry.Quadrilateral
		for i := range 4 {
			p := source[(first+i*step)%4]
			walked[i] = p
			label += fmt.Sprintf(" %.9f %.9f", p.X/float64(size.Width), p.Y/float64(size.Height))
		}
		y := Converter{Classes: map[int]string{0: "ship"}, Task: OBB}
		r := y.Image("a.txt", "a.jpg", size, []byte(label))
		if len(r.Annotations) != 1 {
			t.Fatalf("%s: %+v", label, r.Findings)
		}
		got := r.Annotations[0].Geometry.(pictograph.BBox)
		if got.Oriented.Angle < 0 || got.Oriented.Angle >= 360 {
			t.Fatalf("angle %v", got.Oriented.Angle)
		}
		if off := walked.Farthest(geometry.Corners(*got.Oriented)); off > 0.01 {
			t.Fatalf("corners are off by %v px: %+v", off, got.Oriented)
		}
		around := geometry.Enclosure(source[:])
		for i, d := range []float64{got.Box.X - around.X, got.Box.Y - around.Y, got.Box.W - around.W, got.Box.H - around.H} {
			if math.Abs(d) > 0.01 {
				t.Fatalf("side %d of the box %v is off by %v", i, got.Box, d)
			}
		}
	})
}

// Corners computed with the SDK's obb_corners.
func TestCorners(t *testing.T) {
	got := geometry.Corners(pictograph.OrientedBox{CX: 10, CY: 10, W: 8, H: 4, Angle: 30})
	want := geometry.Quadrilateral{{X: 7.535898384862245, Y: 6.267949192431122}, {X: 14.464101615137755, Y: 10.267949192431123}, {X: 12.464101615137755, Y: 13.732050807568877}, {X: 5.535898384862245, Y: 9.732050807568877}}
	for i := range got {
		if geometry.Distance(got[i], want[i]) > 1e-6 {
			t.Errorf("corner %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestYOLOReadings(t *testing.T) {
	pose := statement{Task: Pose, KeypointCount: 2, KeypointDims: 3}
	for _, c := range []struct {
		name   string
		stated statement
		labels []string
		want   string // readings, "; " between
	}{
		{"nothing", statement{}, nil, ""},
		{"boxes", statement{}, []string{"0 .5 .5 .2 .2"}, "boxes"},
		{"boxes, some with a score", statement{}, []string{"0 .5 .5 .2 .2\n0 .5 .5 .2 .2 .9", "0 1 x 1 1\n0 1 1 1\n"}, "boxes with a score"},
		{"scores that may be ids", statement{}, []string{"0 .5 .5 .2 .2 1", "0 .5 .5 .2 .2 1"}, "boxes with a score; boxes with an id"},
		{"an id is once in a file", statement{}, []string{"0 .5 .5 .2 .2 1.0\n0 .4 .4 .2 .2 1.0"}, "boxes with a score"},
		{"whole ones are no scores", statement{}, []string{"0 .5 .5 .2 .2 1\n0 .4 .4 .2 .2 1"}, "boxes with a score; boxes with an id"},
		{"nor are zeros", statement{Task: Detect}, []string{"0 .5 .5 .2 .2 0.0\n0 .4 .4 .2 .2 0.0"}, "boxes with a score; boxes with an id"},
		{"nor zeros and ones", statement{}, []string{"0 .5 .5 .2 .2 0\n0 .4 .4 .2 .2 1\n0 .3 .4 .2 .2 1"}, "boxes with a score; boxes with an id"},
		{"but with others", statement{}, []string{"0 .5 .5 .2 .2 0\n0 .4 .4 .2 .2 1\n0 .3 .4 .2 .2 .5"}, "boxes with a score"},
		{"polygons and ones", statement{Task: Segment}, []string{"0 .1 .1 .9 .1 .9 .8 1\n0 .1 .1 .9 .1 .9 .9 1"}, "polygons with a score; polygons with an id"},
		{"scores or angles", statement{Task: OBB}, []string{"0 .5 .5 .2 .2 .3\n0 .4 .4 .2 .2 .7"}, "boxes with a score; boxes with an angle"},
		{"an angle and a score, or a score and an id", statement{Task: OBB}, []string{"0 .5 .5 .2 .2 .3 1", "0 .4 .4 .2 .2 .7 1"}, "boxes with score and id; boxes with an angle with a score"},
		{"four corners are no angles", statement{Task: OBB}, []string{"0 .1 .1 .3 .1 .3 .3 .1 .3"}, "oriented boxes of four points"},
		{"boxes before polygons", statement{Task: Segment}, []string{"0 .2 .2 .2 .2 .1 .1 .3 .1 .3 .3\n0 .201 .2 .2 .2 .1 .1 .3 .1 .3 .3 .1 .3"}, "polygons; polygons behind their boxes"},
		{"no boxes before polygons", statement{Task: Segment}, []string{"0 .2 .2 .2 .2 .1 .1 .3 .1 .3 .3\n0 .21 .2 .2 .2 .1 .1 .3 .1 .3 .3 .1 .3"}, "polygons"},

		{"ids", statement{}, []string{"0 .5 .5 .2 .2 1\n0 .5 .5 .2 .2 2", "0 .5 .5 .2 .2 2\n0 .5 .5 .1 .1"}, "boxes with an id"},
		{"one id or whole angle", statement{}, []string{"0 .5 .5 .2 .2 45"}, "boxes with an id; boxes with an angle"},
		{"ids or whole angles", statement{}, []string{"0 .5 .5 .2 .2 45\n0 .5 .5 .2 .2 90", "0 .5 .5 .2 .2 0\n0 .5 .5 .2 .2 90\n0 .5 .5 .1 .1"}, "boxes with an id; boxes with an angle"},
		{"ids or angles of one object a file", statement{}, []string{"0 .5 .5 .2 .2 1", "0 .5 .5 .2 .2 2", "0 .5 .5 .2 .2 2"}, "boxes with an id; boxes with an angle"},
		{"angles, one of them twice in a file", statement{}, []string{"0 .5 .5 .2 .2 45\n0 .5 .5 .2 .2 45", "0 .5 .5 .2 .2 90"}, "boxes with an angle"},
		{"ids of no tracker", statement{}, []string{"0 .5 .5 .2 .2 -1\n0 .5 .5 .2 .2 -1"}, "boxes with an id; boxes with an angle"},
		{"a score before the box", statement{}, []string{"0 .93 .5 .5 .2 .2", "0 .2 .3 .3 .1 .1\n0 .5 .5 .1 .1"}, "boxes with a score; boxes behind a score"},
		{"a score before the box, each out of the image otherwise", statement{}, []string{"0 .93 .5 .5 .2 .2\n0 .99 .5 .9 .2 .2"}, "boxes with a score; boxes behind a score"},
		{"a score on either side", statement{}, []string{"0 .43 .5 .5 .2 .2", "0 .51 .3 .3 .1 .1"}, "boxes with a score"},
		{"a box out of its image, and no score before it", statement{}, []string{"0 .9 .5 .5 .2 .2", "0 .5 .1 .2 .2 .9"}, "boxes with a score"},
		{"ids beyond a full turn", statement{}, []string{"0 .5 .5 .2 .2 1\n0 .5 .5 .2 .2 361", "0 .5 .5 .2 .2 45"}, "boxes with an id"},
		{"ids from 0", statement{}, []string{"0 .5 .5 .2 .2 0\n0 .5 .5 .2 .2 1\n0 .5 .5 .2 .2 2", "0 .5 .5 .2 .2 1\n0 .5 .5 .2 .2 2"}, "boxes with an id"},
		{"ids that go on from file to file", statement{}, slices.Repeat([]string{"0 .5 .5 .2 .2 200\n0 .5 .5 .2 .2 211\n0 .4 .5 .2 .2 240"}, 7), "boxes with an id"},
		{"angles in degrees", statement{}, []string{"0 .5 .5 .2 .2 45.0", "0 .5 .5 .2 .2 30.0"}, "boxes with an angle"},
		{"angles in radians", statement{}, []string{"0 .5 .5 .2 .2 -0.4\n0 .5 .5 .2 .2 0.8"}, "boxes with an angle"},
		{"few angles beyond 1", statement{}, []string{strings.Repeat("0 .5 .5 .2 .2 .7\n", 99), "0 .5 .5 .2 .2 1.2"}, "boxes with a score; boxes with an angle"},
		{"tracks", statement{}, []string{"0 .5 .5 .2 .2 .91 1\n0 .2 .2 .1 .1 .80 2", "0 .5 .5 .2 .2 .91 1"}, "boxes with score and id"},
		{"tracks, some not taken up yet", statement{}, []string{"0 .5 .5 .2 .2 .91\n0 .2 .2 .1 .1 .80 2"}, "boxes with score and id"},
		{"triangles", statement{}, []string{"0 .1 .1 .9 .1 .9 .8", "0 .1 .1 .9 .9 .9 .8"}, "polygons"},
		{"triangles or tracks", statement{}, []string{"0 .5 .5 .2 .2 .9 1"}, "polygons; poses of one keypoint (2 numbers); boxes with score and id"},
		{"triangles, stated", statement{Task: Segment}, []string{"0 .5 .5 .2 .2 .9 1"}, "polygons"},
		{"a polygon to the edge", statement{}, []string{"0 .2 .2 .1 .1 .1 .3 .3 .3 0 1"}, "polygons; poses of 3 keypoints (2 numbers each); poses of 2 keypoints (3 numbers each)"},
		{"a square to the corner", statement{}, []string{"0 .2 .2 .1 .1 .1 .3 .3 .3 1 1"}, "polygons; poses of 3 keypoints (2 numbers each); poses of 2 keypoints (3 numbers each); polygons with score and id; oriented boxes of four points with score and id; poses of 2 keypoints (2 numbers each) with score and id"},
		{"a square to the corner, stated", statement{Task: Segment}, []string{"0 .2 .2 .1 .1 .1 .3 .3 .3 1 1"}, "polygons"},
		{"boxes and polygons", statement{}, []string{"0 .5 .5 .2 .2", "0 .1 .1 .2 .1 .2 .2 .1 .2 .1 .3\n0 .1 .1 .2 .1 .2 .2"}, "polygons"},
		{"four points", statement{}, []string{"0 .1 .1 .3 .1 .3 .3 .1 .4"}, "polygons; oriented boxes of four points; poses of 2 keypoints (2 numbers each); poses of one keypoint (3 numbers) with a score"},
		{"four points and boxes", statement{}, []string{"0 .1 .1 .3 .1 .3 .3 .1 .4", "0 .5 .5 .2 .2"}, "polygons; oriented boxes of four points; poses of 2 keypoints (2 numbers each); poses of one keypoint (3 numbers) with a score"},
		{"an odd line among boxes", statement{}, []string{strings.Repeat("0 .5 .5 .2 .2\n", 6), "0 .1 .1 .2 .2 .3 .3 .4"}, "boxes"},
		{"four points among others", statement{}, []string{"0 .1 .1 .3 .1 .3 .3 .1 .4", "0 .1 .1 .2 .1 .2 .2 .1 .2 .1 .3"}, "polygons"},
		{"four corners, score and id", statement{}, []string{"0 .1 .1 .3 .1 .3 .3 .1 .4 .9 2", "0 .1 .1 .3 .1 .3 .3 .1 .4 .9 3"}, "polygons with score and id; oriented boxes of four points with score and id; poses of 2 keypoints (2 numbers each) with score and id"},
		{"landmarks", statement{}, []string{"0 .5 .5 .4 .4 .42 .45 .58 .45 .5 .5 .44 .6 .56 .6"}, "polygons; poses of 5 keypoints (2 numbers each); poses of 3 keypoints (3 numbers each) with a score"},
		{"landmarks that are not placed", statement{}, []string{"0 .5 .5 .4 .4 .42 .45 .58 .45 .5 .5 .44 .6 .56 .6", "0 .5 .5 .4 .4 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1"}, "poses of 5 keypoints (2 numbers each)"},
		{"landmarks and boxes", statement{}, []string{"0 .5 .5 .4 .4 .42 .45 .58 .45 .5 .5 .44 .6 .56 .6", "0 .5 .5 .4 .4"}, "polygons; poses of 5 keypoints (2 numbers each); poses of 3 keypoints (3 numbers each) with a score"},
		{"keypoints with visibility", statement{}, []string{"0 .5 .5 .4 .4 .42 .45 2 .58 .45 1 0 0 0"}, "poses of 3 keypoints (3 numbers each)"},
		{"points that are no box", statement{}, []string{"0 .1 .1 .5 .1 .2 .2 .1 .6 .5 .9"}, "polygons"},
		{"points far from what may be their box", statement{}, []string{"0 .1 .1 .2 .1 .2 .2 .1 .6 .5 .9"}, "polygons; poses of 3 keypoints (2 numbers each); poses of 2 keypoints (3 numbers each)"},
		{"polygons with a score", statement{}, []string{"0 .1 .1 .3 .1 .3 .3 .5", "0 .1 .1 .3 .1 .3 .3 .1 .4 .5"}, "polygons with a score"},
		{"polygons, one cut off", statement{}, []string{strings.Repeat("0 .1 .1 .3 .1 .3 .3\n0 .1 .1 .3 .1 .3 .3 .1 .4 .1 .2\n", 20), "0 .1 .1 .3 .1 .3 .3 .1 .4 .1"}, "polygons"},
		{"this and that", statement{}, []string{"0 .5 .5 .2 .2 9\n0 .1 .1 .2 .1 .2 .2 .1"}, ""},
		{"pixels say nothing", statement{}, []string{"0 320 240 100 50", "0 .5 .5 .2 .2"}, "boxes"},
		{"a header says nothing", statement{}, []string{"YOLO_OBB\n0 .5 .5 .2 .2 .1", "0 .5 .5 .2 .2"}, "boxes"},
		{"stated poses", pose, []string{"0 .5 .5 .2 .2 .5 .5 2 .4 .4 1"}, "poses of 2 keypoints (3 numbers each)"},
		{"stated poses with score and id", pose, []string{"0 .5 .5 .2 .2 .5 .5 2 .4 .4 1 .9 4"}, "poses of 2 keypoints (3 numbers each) with score and id"},
		{"stated poses of another count", pose, []string{"0 .5 .5 .2 .2 .5 .5 2 .4 .4 1 .4 .4 2"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // both ways round
				var e evidence
				for _, label := range c.labels {
					e.addFile("a.txt", []byte(label))
				}
				var got []string
				for _, r := range e.allReadings(c.stated) {
					got = append(got, r.String())
				}
				if got := strings.Join(got, "; "); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				slices.Reverse(c.labels)
			}
		})
	}
}

// All boxes that can be two corners, of which one can hardly be centre and size, are not
// read unasked; a box that cannot be corners, or none that leaves its image, is.
func TestYOLOCorners(t *testing.T) {
	for _, c := range []struct {
		name, label, columns string
	}{
		{"two", "0 .3 .3 .31 .31\n0 .1 .1 .25 .25\n", "class,box"},
		{"with a score", "0 .3 .3 .31 .31 .5\n0 .1 .1 .25 .25 .25\n", "class,box,confidence"},
		{"hardly out of the image", "0 .3 .3 .31 .31\n0 .1 .1 .21 .21\n", ""},
		{"one alone", "0 .1 .1 .9 .9\n", ""},
		{"one that is none", strings.Repeat("0 .1 .1 .9 .9\n", 50) + "0 .9 .9 .2 .2\n", ""},
		{"top left and size", "0 .3 .3 .2 .2\n0 .1 .1 .5 .05\n", "class,box"},
		{"hardly out of the image by top left", "0 .3 .3 .2 .2\n0 .1 .1 .22 .05\n", ""},
		{"some beyond the image by top left", "0 .9 .3 .2 .2\n0 .1 .1 .5 .05\n", ""},
		{"few out of the image by top left", "0 .3 .3 .2 .2\n0 .1 .1 .5 .05\n" + strings.Repeat("0 .3 .3 .2 .2\n", 9), ""},
		{"sides", "0 .3 .4 .2 .5\n0 .1 .15 .25 .95\n", "class,box"},
		{"polygons", "0 .1 .1 .9 .9 .2 .9\n0 .3 .3 .31 .31 .2 .5\n0 .1 .1 .9 .9 .2 .9 .3 .3 .4 .4\n", ""},
	} {
		var e evidence
		e.addFile("a.txt", []byte(c.label))
		readings := e.allReadings(statement{})
		if len(readings) != 1 {
			t.Fatalf("%s: %v", c.name, readings)
		}
		other, example := e.otherNotation(readings[0])
		if columns := readings[0].columns(); (other != nil) != (c.columns != "") || other != nil && (columns != c.columns || !strings.HasPrefix(example, "a.txt line 2: 0 .1 .1")) {
			t.Errorf("%s: %q, %q, %v", c.name, columns, example, other)
		}
	}
}

func TestYOLOColumns(t *testing.T) {
	for text, want := range map[string]string{
		"class,box,confidence,id": "", "class, Box ,angle": "", "class,id,polygon": "", "class,box,points,id": "",
		"box,class": "first column", "box": "first column", "class": "neither box nor polygon", "class,box,box": "twice", "class,box,score": "must be one of",
		"class,box,polygon": "", "class,box,polygon,points": "points belong", "class,box,polygon,angle": "angle belongs", "class,points": "neither", "class,polygon,points": "points belong", "class,polygon,angle": "angle belongs",
	} {
		_, err := parseColumns(strings.Split(text, ","))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestYOLOReasonsSayWhatItLooksLike(t *testing.T) {
	y := Converter{Classes: map[int]string{0: "a", 1: "b", 2: "c"}, Task: Detect}
	for line, want := range map[string]string{
		"0 320 240 100 50":          "looks like pixels: 320 240 100 50 in an image of 640×480",
		"3 .5 .5 .2 .2":             "class 3 is not in the list of 3, which is counted from 0",
		"0 .5 .5 .2 .2 .9":          "--columns",
		"0 .5 .5 .2 1.5":            "coordinate 4 is 1.5, outside 0 to 1",
		"0 .1 .1 .2 .1 .2 .2":       "--columns",
		"0 .1 .1 .2 .1 .2 .2 .1 .2": "--task segment",

		"0 .2 .2 .2 .2 .1 .1 .3 .1 .3 .3": "--columns class,box,polygon",
	} {
		r := y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, []byte(line))
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Reason, want) {
			t.Errorf("%s: %+v, want %q", line, r.Findings, want)
		}
	}
}
