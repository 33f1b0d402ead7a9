package convert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pictosync/pictograph"
)

// Shapes are read as what they plainly are; what may be two things is left out.
func TestSegmentationsAsTheyAreWritten(t *testing.T) {
	const square = "polygon [[{10 10} {60 10} {60 50}]] in {10 10 50 40}"
	for _, c := range []struct {
		segmentation string
		want         []string
		findings     []Kind
	}{
		{`[[10,10,60,10,60,50]]`, []string{square}, nil},
		{`[10,10,60,10,60,50]`, []string{square}, nil},
		{`[[10,10],[60,10],[60,50]]`, []string{square}, nil},
		{`[ [10, 10] , [60,10],[60,50], [] ]`, []string{square}, nil},
		{`[[[10,10],[60,10],[60,50]]]`, []string{square}, nil},
		{`[[[10,10,60,10,60,50]]]`, []string{square}, nil},
		{`[[[[10,10],[60,10],[60,50]]]]`, []string{square}, nil},
		{`[{"x":10,"y":10},{"x":60,"y":10},{"y":50,"x":60}]`, []string{square}, nil},
		{`[[{"x":10,"y":10},{"x":60,"y":10},{"y":50,"x":60}]]`, []string{square}, nil},
		{`[[[10,10],[30,10],[30,50]],[[31,10],[60,10],[60,50]]]`, []string{"polygon [[{10 10} {30 10} {30 50}]] in {10 10 20 40}", "polygon [[{31 10} {60 10} {60 50}]] in {31 10 29 40}"}, nil},
		{`[{"size":[480,640],"counts":[4810,40,440,40,440,40,440,40,440,40,440,40,299950]}]`, []string{"polygon [[{16 10} {16 50} {10 50} {10 10}]] in {10 10 6 40}"}, []Kind{KindGeometry}},
		// nothing
		{`{}`, []string{"bbox {10 10 50 40}"}, nil}, {`""`, []string{"bbox {10 10 50 40}"}, nil}, {`[]`, []string{"bbox {10 10 50 40}"}, nil},
		{`[[]]`, []string{"bbox {10 10 50 40}"}, nil}, {`[[],[]]`, []string{"bbox {10 10 50 40}"}, nil}, {`[[[]]]`, []string{"bbox {10 10 50 40}"}, nil}, {`null`, []string{"bbox {10 10 50 40}"}, nil},
		// what may be several things, or nothing that is known
		{`[10,10,60,50]`, nil, []Kind{KindRing}}, {`[[10,10,60,50]]`, nil, []Kind{KindRing}}, {`[[10,10],[60,50]]`, nil, []Kind{KindRing}}, {`[[10,10]]`, nil, []Kind{KindRing}},
		{`[[[10,10,60,10,60,50],[20,20,30,20,30,30]]]`, nil, []Kind{KindRing}}, {`[[[[10,10],[60,10],[60,50]],[[20,20],[30,20],[30,30]]]]`, nil, []Kind{KindRing}},
		{`[[10,10,1],[60,10,1],[60,50,1]]`, nil, []Kind{KindRing}}, {`[10,10,[60,10,60,50]]`, nil, []Kind{KindRing}}, {`"[[10,10,60,10,60,50]]"`, nil, []Kind{KindRing}},
		{`7`, nil, []Kind{KindRing}}, {`[{"a":1}]`, nil, []Kind{KindMask}}, {`[{"x":1,"y":2},{"x":1}]`, nil, []Kind{KindRing}}, {`[10,10,60,10,60,50,7]`, nil, []Kind{KindCount}},
		{`["10",10,60,10,60,50]`, nil, []Kind{KindNumber}}, {`[10,NaN,60,10,60,50]`, nil, []Kind{KindNumber}}, {strings.Repeat("[", 50) + "1" + strings.Repeat("]", 50), nil, []Kind{KindRing}},
		{`[{"size":[480,640],"counts":[307200]},{"size":[480,640],"counts":[307200]}]`, nil, []Kind{KindRing}},
		// partly usable
		{`[[10,10,60,10,60,50],[1,2]]`, []string{square}, []Kind{KindRing}},
		// another place than the image, or than the bbox
		{`[[4810,40,440,40,440,41,439,42,438,43]]`, nil, []Kind{KindRing}}, {`[[10,10,60,10,60,-200]]`, nil, []Kind{KindRing}}, {`[[300,300,360,300,360,350]]`, nil, []Kind{KindRing}},
		{`[[0.1,0.1,0.6,0.1,0.6,0.5]]`, nil, []Kind{KindRing}},
	} {
		conv := cocoOf(t, testCategories, Options{})
		r := conv.Image("a.jpg", Size{640, 480}, raws(`{"id": 7, "category_id": 1, "segmentation": `+c.segmentation+`, "bbox": [10, 10, 50, 40]}`))
		var got []string
		for _, line := range lines(r.Annotations) {
			_, line, _ = strings.Cut(line, " cat ")
			got = append(got, line)
		}
		if !slices.Equal(got, c.want) || !slices.Equal(kinds(r.Findings), c.findings) || r.LeftOut != 1-min(len(c.want), 1) {
			t.Errorf("%s\n is %q, %d left out: %+v\nwant %q, %v", c.segmentation, got, r.LeftOut, r.Findings, c.want, c.findings)
		}
	}
}

// A fault that ten thousand numbers share is one finding.
func TestOneFindingAnAnnotationAndCause(t *testing.T) {
	ring := "[" + strings.TrimSuffix(strings.Repeat("1,2],[", 4000), ",[") + ",7]"
	var all []string
	for i := range 3 {
		all = append(all, fmt.Sprintf(`{"id": %d, "category_id": 1, "segmentation": [%s]}`, i, ring))
	}
	if r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(all...)); len(r.Findings) != 3 {
		t.Errorf("%d findings", len(r.Findings))
	}
}

// Boxes that are most likely in another notation are left out, all of the image.
func TestBoxNotations(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     Size
		boxes    []string
		taken    int
		findings []Kind
	}{
		{"pixels", Size{640, 480}, []string{"10,10,50,60", "600,400,40,80"}, 2, nil},
		{"normalized", Size{640, 480}, []string{"0.1,0.1,0.5,0.6", "0.6,0.4,0.4,0.6"}, 0, []Kind{KindBoxNotation}},
		{"normalized, one alone", Size{640, 480}, []string{"0,0,1,1"}, 0, []Kind{KindBoxNotation}},
		{"normalized, without a size", Size{}, []string{"0.1,0.1,0.5,0.6"}, 0, []Kind{KindBoxNotation}},
		{"one box of a pixel among others", Size{640, 480}, []string{"0,0,1,1", "10,10,50,60"}, 2, nil},
		{"a small image", Size{10, 10}, []string{"0,0,1,1"}, 1, nil},
		{"corners", Size{640, 480}, []string{"10,10,50,60", "500,300,630,470"}, 0, []Kind{KindBoxNotation}},
		{"corners, one alone", Size{640, 480}, []string{"500,300,630,470"}, 0, []Kind{KindBoxNotation}},
		{"beyond the image, and no corners", Size{640, 480}, []string{"600,400,100,80"}, 1, []Kind{KindOutside}},
		{"beyond the image, and another no corners", Size{640, 480}, []string{"100,100,600,80", "10,10,5,5"}, 2, []Kind{KindOutside}},
		{"beyond by rounding", Size{640, 480}, []string{"600,400,40.5,80.2"}, 1, nil},
		{"outside altogether", Size{640, 480}, []string{"700,100,50,60", "10,10,5,5"}, 1, []Kind{KindOffImage}},
		{"five numbers", Size{640, 480}, []string{"10,10,50,60,30"}, 0, []Kind{KindCount}},
		{"six numbers", Size{640, 480}, []string{"10,10,50,60,30,7"}, 0, []Kind{KindCount}},
		{"four corners", Size{640, 480}, []string{"100,100,200,100,200,150,100,150"}, 1, nil},
		{"four corners that are none", Size{640, 480}, []string{"100,100,200,150,200,100,100,150"}, 0, []Kind{KindBox}},
		{"four corners that are no rectangle", Size{640, 480}, []string{"100,100,200,100,220,150,100,150"}, 1, []Kind{KindOrientedBox}},
	} {
		var all []string
		for i, box := range c.boxes {
			all = append(all, fmt.Sprintf(`{"id": %d, "category_id": 1, "bbox": [%s]}`, i+1, box))
		}
		r := cocoOf(t, testCategories, Options{}).Image("a.jpg", c.size, raws(all...))
		if len(r.Annotations) != c.taken || !slices.Equal(kinds(r.Findings), c.findings) || r.LeftOut != len(c.boxes)-c.taken {
			t.Errorf("%s: %q, %d left out, %+v", c.name, lines(r.Annotations), r.LeftOut, r.Findings)
		}
	}
}

// CVAT's boxes are turned by an attribute.
func TestRotationAttribute(t *testing.T) {
	for rotation, want := range map[string]string{
		`45`:    "{329.289322 279.289322 141.42135599999995 141.42135599999995} turned {400 350 100 100 45}",
		`-90`:   "{350 300 100 100} turned {400 350 100 100 270}",
		`360.0`: "{350 300 100 100}", `0`: "{350 300 100 100}", `-720`: "{350 300 100 100}",
		`" 45.0"`: "{329.289322 279.289322 141.42135599999995 141.42135599999995} turned {400 350 100 100 45}", `"0"`: "{350 300 100 100}", `""`: "{350 300 100 100} map[rotation:]", `null`: "{350 300 100 100} map[rotation:<nil>]",
		`405`: "{329.289322 279.289322 141.42135599999995 141.42135599999995} turned {400 350 100 100 45}",
	} {
		r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 1, "bbox": [350,300,100,100], "attributes": {"rotation": `+rotation+`}}`))
		compare(t, rotation, lines(r.Annotations), []string{"1 cat bbox " + want})
	}
	r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 1, "segmentation": [[1,2,30,2,30,40]], "attributes": {"rotation": 45, "a": 1}}`))
	compare(t, "a polygon", lines(r.Annotations), []string{"1 cat polygon [[{1 2} {30 2} {30 40}]] in {1 2 29 38} map[a:1 rotation:45]"})
}

// Skeletons are counted from 1, or from 0 where only that fits.
func TestSkeletonBase(t *testing.T) {
	for _, c := range []struct {
		edges    string
		want     [][2]int
		findings []Kind
	}{
		{`[[1,2],[2,3]]`, [][2]int{{0, 1}, {1, 2}}, nil},
		{`[[0,1],[1,2]]`, [][2]int{{0, 1}, {1, 2}}, []Kind{KindSkeletonBase}},
		{`[[0,2]]`, [][2]int{{0, 2}}, []Kind{KindSkeletonBase}},
		{`[[0,1],[2,3]]`, [][2]int{{1, 2}}, []Kind{KindSkeletonEdge}},
	} {
		conv, findings, err := NewCOCO([]byte(`[{"id": 1, "name": "cat", "keypoints": ["a", "b", "c"], "skeleton": `+c.edges+`}]`), "a.json", Options{})
		if err != nil {
			t.Fatal(err)
		}
		compare(t, c.edges, conv.categories["1"].skeleton.Edges, c.want)
		compare(t, c.edges, kinds(findings), c.findings)
	}
}

// The joints of results have scores, or a constant, and are never hidden.
func TestKeypointResults(t *testing.T) {
	for _, c := range []struct {
		joints   string
		want     []string
		findings []Kind
	}{
		{`1,2,1, 3,4,1, 5,6,1`, []string{"nose {1 2} 0.9", "eye {3 4} 0.9", "ear {5 6} 0.9"}, nil},
		{`1,2,0.5, 3,4,0.031, 5,6,1.0`, []string{"nose {1 2} 0.5 map[instance_score:0.90]", "eye {3 4} 0.031 map[instance_score:0.90]", "ear {5 6} 1 map[instance_score:0.90]"}, nil},
		{`1,2,0, 3,4,0, 0,0,0`, []string{"nose {1 2} 0.9", "eye {3 4} 0.9"}, nil},
		{`1,2,2, 0,0,0, 5,6,1`, []string{"nose {1 2} 0.9", "ear {5 6} 0.9"}, nil},
		{`1,2,7.5, 3,4,3.5, 5,6,1`, []string{"nose {1 2} 0.9", "eye {3 4} 0.9", "ear {5 6} 0.9"}, []Kind{KindVisibility}},
		{`[1,2,0.5], [3,4,0], [0,0,0]`, []string{"nose {1 2} 0.5 map[instance_score:0.90]", "eye {3 4} 0 map[instance_score:0.90]"}, nil},
		{`1,2,0.5, NaN,4,0.5, 5,6,0.25`, []string{"nose {1 2} 0.5 map[instance_score:0.90]", "ear {5 6} 0.25 map[instance_score:0.90]"}, []Kind{KindNumber}},
	} {
		conv := cocoOf(t, testCategories, Options{})
		conv.TakeResults()
		r := conv.Image("a.jpg", Size{640, 480}, raws(`{"image_id": 1, "category_id": 5, "score": 0.90, "keypoints": [`+c.joints+`]}`))
		var got []string
		for _, a := range r.Annotations {
			line := fmt.Sprint(a.Name, " ", a.Geometry.(pictograph.Keypoint).Point, " ", *a.Confidence)
			if a.Attributes != nil {
				line += fmt.Sprint(" ", a.Attributes)
			}
			got = append(got, line)
		}
		compare(t, c.joints, got, c.want)
		compare(t, c.joints, kinds(r.Findings), c.findings)
		if len(r.Findings) > 0 {
			continue
		}
		// Out to COCO and back the scores are what they were.
		again, findings := throughCOCO(t, []Result{r})
		if len(findings) > 0 || encode(t, again[0].Annotations) != encode(t, r.Annotations) {
			t.Errorf("%s came back as\n%s\nand was\n%s\n%v", c.joints, encode(t, again[0].Annotations), encode(t, r.Annotations), findings)
		}
	}
}

// Two numbers a joint are no triplets, also where they can be counted off as such.
func TestPairsOfJoints(t *testing.T) {
	for joints, want := range map[string][]Kind{`10,20,30,40,50,60`: {KindCount}, `[10,20],[30,40],[50,60]`: {KindNumber}, `10,20,2,40,50,0,0,0,0`: {KindVisibility}, `10,20,30,40`: {KindCount, KindVisibility}, `10,20,30,40,50,60,70,80,2`: {KindVisibility}} {
		r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 5, "keypoints": [`+joints+`], "bbox": [1,2,30,40]}`))
		compare(t, joints, kinds(r.Findings), want)
	}
}

// The box given beside joints goes along to every format that can hold it.
func TestBoxesBesideJoints(t *testing.T) {
	conv := cocoOf(t, testCategories, Options{})
	r := conv.Image("a.jpg", Size{640, 480}, raws(
		`{"id": 1, "category_id": 5, "keypoints": [110,110,2, 0,0,0, 150,160,1], "bbox": [100, 100, 80, 90]}`,
		`{"id": 2, "category_id": 5, "keypoints": [310,110,2, 0,0,0, 0,0,0], "bbox": [300, 100, 80, 90]}`,
		`{"id": 3, "category_id": 5, "keypoints": [10,10,2, 20,20,2, 0,0,0], "bbox": [0, 0, 0, 0]}`,
		`{"id": 4, "category_id": 5, "keypoints": [10,10,2, 20,20,2, 0,0,0], "bbox": [1, 2, 3]}`,
		`{"id": 5, "category_id": 1, "bbox": [1, 2, 30, 40]}`,
	))
	r.Size = Size{640, 480}
	compare(t, "findings", kinds(r.Findings), []Kind{KindCount})
	if want := map[int]pictograph.Box{1: *box(100, 100, 80, 90), 2: *box(300, 100, 80, 90)}; fmt.Sprint(r.Boxes) != fmt.Sprint(want) {
		t.Fatalf("boxes %v", r.Boxes)
	}
	line, err := CanonicalImage{Image: "a.jpg", Size: r.Size, Annotations: r.Annotations, Boxes: r.Boxes}.Append(nil)
	if err != nil || !strings.HasSuffix(string(line), `],"boxes":[{"instance_id":1,"x":100,"y":100,"w":80,"h":90},{"instance_id":2,"x":300,"y":100,"w":80,"h":90}]}`) {
		t.Fatalf("%s %v", line, err)
	}
	whole, err := ParseCanonical(line)
	if err != nil || fmt.Sprint(whole.Boxes) != fmt.Sprint(r.Boxes) {
		t.Errorf("%v %v", err, whole.Boxes)
	}
	for _, wrong := range []string{`"boxes":[]`, `"boxes":{}`, `"boxes":[{"instance_id":1}]`, `"boxes":[{"instance_id":9,"x":1,"y":1,"w":1,"h":1}]`, `"boxes":[{"instance_id":1,"x":1,"y":1,"w":0,"h":1}]`,
		`"boxes":[{"instance_id":1,"x":1,"y":1,"w":1,"h":1},{"instance_id":1,"x":1,"y":1,"w":1,"h":1}]`, `"boxes":[{"instance_id":1,"x":1,"y":1,"w":1,"h":1,"z":1}]`, `"boxes":[{"instance_id":1,"x":"1","y":1,"w":1,"h":1}]`,
		`"slots":[{"instance_id":1,"joints":0}]`, `"slots":[{"instance_id":1,"joints":1.5}]`, `"slots":[]`} {
		text := string(line[:strings.LastIndex(string(line), `,"boxes"`)]) + "," + wrong + "}"
		if _, err := ParseCanonical([]byte(text)); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
	back := CanonicalResult(whole)
	catalog := NewCatalog(nil)
	catalog.Add(back)
	_, objects, left, findings, err := NewCOCOWriter(catalog).Image("a.jpg", back)
	if err != nil || left != 0 || len(findings) > 0 || !strings.Contains(string(objects[0]), `"bbox":[100,100,80,90]`) || !strings.Contains(string(objects[2]), `"bbox":[10,10,10,10]`) {
		t.Errorf("COCO: %s %d %v %v", objects, left, findings, err)
	}
	for task, want := range map[YOLOTask]string{
		YOLODetect: "1 0.21875 0.3020833333333333 0.125 0.1875\n1 0.53125 0.3020833333333333 0.125 0.1875\n1 0.0234375 0.03125 0.015625 0.020833333333333332\n1 0.0234375 0.03125 0.015625 0.020833333333333332\n0 0.025 0.04583333333333333 0.046875 0.08333333333333333\n",
	} {
		catalog := NewCatalog(nil)
		catalog.Add(r)
		w, err := NewYOLOWriter(catalog, task)
		if err != nil {
			t.Fatal(err)
		}
		label, left, findings, err := w.Image("a.jpg", r)
		if string(label) != want || left != 0 || err != nil || !slices.Equal(kinds(findings), []Kind{KindOtherShape, KindOtherShape, KindLostDetail}) {
			t.Errorf("%s: %s %d %v %v", task, label, left, findings, err)
		}
	}
}

// Joints without names are named by their number, and go back to it.
func TestNumberedJoints(t *testing.T) {
	conv := cocoOf(t, `[{"id": 1, "name": "person"}, {"id": 2, "name": "dog", "keypoints": ["nose", "tail"]}]`, Options{})
	triplets := make([]float64, 3*136)
	for _, slot := range []int{0, 5, 127} {
		triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2] = float64(slot+1), 7, 2
	}
	text, _ := json.Marshal(triplets)
	r := conv.Image("a.jpg", Size{640, 480}, raws(
		`{"id": 1, "category_id": 1, "keypoints": `+string(text)+`}`,
		`{"id": 2, "category_id": 2, "keypoints": [1,2,2, 3,4,2]}`,
		`{"id": 3, "category_id": 1, "keypoints": [0,0,0, 9,9,2]}`,
	))
	r.Size = Size{640, 480}
	var names []string
	for _, a := range r.Annotations {
		names = append(names, a.Name)
	}
	compare(t, "names", names, []string{"person_0", "person_5", "person_127", "nose", "tail", "person_1"})
	line, err := CanonicalImage{Image: "a.jpg", Annotations: r.Annotations, Slots: r.Slots}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseCanonical(line)
	if err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]Result{"direct": r, "canonical": CanonicalResult(read)} {
		catalog := NewCatalog(nil)
		catalog.Add(r)
		_, objects, left, findings, err := NewCOCOWriter(catalog).Image("a.jpg", r)
		if err != nil || left != 0 || len(findings) > 0 {
			t.Fatalf("%s: %d %v %v", what, left, findings, err)
		}
		var first struct{ Keypoints []float64 }
		if json.Unmarshal(objects[0], &first); !slices.Equal(first.Keypoints, triplets) {
			t.Errorf("%s: %v", what, first.Keypoints)
		}
	}
}

// The parts of COCO-WholeBody are joints of their object.
func TestWholeBody(t *testing.T) {
	conv := cocoOf(t, testCategories, Options{})
	r := conv.Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 5, "keypoints": [1,2,2, 0,0,0, 5,6,1], "foot_kpts": [7,8,2, 0,0,0, 9,9,1], "righthand_kpts": [0,0,0, 4,4,2], "face_kpts": [], "bbox": [1,2,30,40]}`))
	r.Size = Size{640, 480}
	compare(t, "joints", lines(r.Annotations), []string{"1-0 nose keypoint {1 2} of 1", "1-1 ear keypoint {5 6} of 1 map[occluded:true]", "1-2 foot_0 keypoint {7 8} of 1",
		"1-3 foot_2 keypoint {9 9} of 1 map[occluded:true]", "1-4 righthand_1 keypoint {4 4} of 1"})
	compare(t, "findings", kinds(r.Findings), nil)
	again, findings := throughCOCO(t, []Result{r})
	if len(findings) > 0 || encode(t, again[0].Annotations) != encode(t, r.Annotations) {
		t.Errorf("came back as\n%s\n%v", encode(t, again[0].Annotations), findings)
	}
}

// All geometries of an annotation are one object again in COCO, and one line in YOLO.
func TestAllGeometriesAreJoined(t *testing.T) {
	const objects = `{"id": 1, "category_id": 5, "keypoints": [110,110,2, 0,0,0, 150,160,1], "segmentation": [[100,100,130,100,130,190],[150,100,180,100,180,190]], "bbox": [100, 100, 80, 90]}
{"id": 2, "category_id": 1, "segmentation": [[100,100,180,100,180,190]], "bbox": [100, 100, 80, 90], "score": 0.5}`
	conv := cocoOf(t, testCategories, Options{AllGeometries: true})
	r := conv.Image("a.jpg", Size{640, 480}, raws(strings.Split(objects, "\n")...))
	r.Size = Size{640, 480}
	if len(r.Annotations) != 7 || len(r.Findings) > 0 {
		t.Fatalf("%q %v", lines(r.Annotations), r.Findings)
	}
	for what, r := range map[string]Result{"direct": r, "canonical": CanonicalResult(CanonicalImage{Annotations: r.Annotations, Size: r.Size})} {
		catalog := NewCatalog(nil)
		catalog.Add(r)
		_, out, left, findings, err := NewCOCOWriter(catalog).Image("a.jpg", r)
		if err != nil || left != 0 || len(findings) > 0 || len(out) != 2 {
			t.Fatalf("%s: %s %d %v %v", what, out, left, findings, err)
		}
		for i, want := range []string{`"segmentation":[[100,100,130,100,130,190],[150,100,180,100,180,190]]`, `"segmentation":[[100,100,180,100,180,190]]`} {
			if !strings.Contains(string(out[i]), want) || !strings.Contains(string(out[i]), `"bbox":[100,100,80,90]`) || strings.Contains(string(out[i]), "keypoints") != (i == 0) {
				t.Errorf("%s: %s", what, out[i])
			}
		}
		for _, task := range []YOLOTask{YOLODetect, YOLOSegment} {
			w, err := NewYOLOWriter(catalog, task)
			if err != nil {
				t.Fatal(err)
			}
			if label, left, _, err := w.Image("a.jpg", r); strings.Count(string(label), "\n") != 2 || left != 0 || err != nil {
				t.Errorf("%s as %s: %q %d %v", what, task, label, left, err)
			}
		}
	}
}

// Members that nothing carries over are told once an image, or kept.
func TestMembers(t *testing.T) {
	annotations := raws(`{"id": 1, "category_id": 1, "bbox": [1,2,30,40], "track_id": 4, "extra": {"a": 1}, "tags": ["x", 2, true], "none": null, "area": 1, "num_keypoints": 0}`,
		`{"id": 2, "category_id": 1, "bbox": [5,2,30,40], "track_id": 5, "attributes": {"track_id": 9}, "tags": [[1]]}`)
	for _, c := range []struct {
		keep       []string
		attributes []string
		findings   []string
	}{
		{nil, []string{"map[]", "map[track_id:9]"}, []string{"track_id 2", "extra 1", "tags 2"}},
		{[]string{"track_id"}, []string{"map[track_id:4]", "map[track_id:9]"}, []string{"extra 1", "tags 2", "track_id 1"}},
		{[]string{"all"}, []string{"map[tags:[x 2 true] track_id:4]", "map[track_id:9]"}, []string{"extra 1", "track_id 1", "tags 1"}},
	} {
		r := cocoOf(t, testCategories, Options{KeepMembers: c.keep}).Image("a.jpg", Size{640, 480}, annotations)
		var attributes, findings []string
		for _, a := range r.Annotations {
			attributes = append(attributes, fmt.Sprint(a.Attributes))
		}
		for _, f := range r.Findings {
			findings = append(findings, fmt.Sprint(f.Cause, " ", f.Count))
		}
		compare(t, fmt.Sprint(c.keep), attributes, c.attributes)
		compare(t, fmt.Sprint(c.keep), findings, c.findings)
	}
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf(`{"id": %d, "category_id": 1, "bbox": [1,2,30,40], "k%d": 1}`, i, i))
	}
	r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(many...))
	if n := len(r.Findings); n != 101 || r.Findings[n-1].Cause != "…" || r.Findings[n-1].Count != 200 {
		t.Errorf("%d findings, the last %+v", n, r.Findings[n-1])
	}
}

// What a format cannot hold is counted by the source's annotations.
func TestLeftOutOfFormats(t *testing.T) {
	conv := cocoOf(t, testCategories, Options{})
	r := conv.Image("a.jpg", Size{640, 480}, raws(
		`{"id": 1, "category_id": 1, "segmentation": [[100,100,130,100,130,190],[150,100,180,100,180,190]]}`, `{"id": 2, "category_id": 1, "bbox": [5,2,30,40]}`))
	r.Size = Size{640, 480}
	catalog := NewCatalog(nil)
	catalog.Add(r)
	w, err := NewYOLOWriter(catalog, YOLOOBB)
	if err != nil {
		t.Fatal(err)
	}
	if _, left, findings, err := w.Image("a.jpg", r); left != 1 || err != nil || !slices.Equal(kinds(findings), []Kind{KindLostShape}) {
		t.Errorf("%d left out, %v %v", left, findings, err)
	}
}

// A mask that is not what its bbox is of was most likely encoded otherwise.
func TestMaskAndItsBox(t *testing.T) {
	conv := cocoOf(t, testCategories, Options{})
	rows := make([]int, 0, 81) // of a square from 20,30 to 60,70 in 100×100, along the rows
	for y := range 40 {
		rows = append(rows, map[bool]int{true: 3020, false: 60}[y == 0], 40)
	}
	rows = append(rows, 3040)
	columns := slices.Clone(rows)
	columns[0], columns[len(columns)-1] = 2030, 4030
	inverted := append([]int{0}, columns...)
	for _, c := range []struct {
		name, bbox, more string
		counts           []int
		want             []Kind
	}{
		{"right", "20,30,40,40", `, "area": 1600`, columns, nil},
		{"along the rows", "20,30,40,40", `, "area": 1600`, rows, []Kind{KindMask}},
		{"inverted", "20,30,40,40", "", inverted, []Kind{KindMask}},
		{"far off", "80,80,15,15", "", columns, []Kind{KindMask}},
		{"a bbox that is about right", "22,30,45,40", "", columns, []Kind{KindGeometry}},
		{"and an area of the same", "22,30,45,40", `, "area": 1800`, columns, []Kind{KindGeometry}},
		{"and an area of something else", "22,30,45,40", `, "area": 700`, columns, []Kind{KindMask}},
		{"an area of something else alone", "20,30,40,40", `, "area": 700`, columns, nil},
	} {
		counts, _ := json.Marshal(c.counts)
		r := conv.Image("a.jpg", Size{100, 100}, raws(fmt.Sprintf(`{"id": 1, "category_id": 1, "segmentation": {"size": [100,100], "counts": %s}, "bbox": [%s]%s}`, counts, c.bbox, c.more)))
		compare(t, c.name, kinds(r.Findings), c.want)
		if lost := slices.Contains(c.want, KindMask); lost != (r.LeftOut == 1) {
			t.Errorf("%s: %d left out", c.name, r.LeftOut)
		}
	}
}

// A box is not turned by what may be an angle, and not taken upright either.
func TestAnglesThatNothingTellsOf(t *testing.T) {
	for more, want := range map[string][]Kind{
		`"attributes": {"rotation": "steep"}`: {KindAngle}, `"attributes": {"rotation": true}`: {KindAngle}, `"attributes": {"Rotation": 45}`: {KindAngle}, `"attributes": {"angle": "0.5"}`: {KindAngle},
		`"attributes": {"theta": 0, "angle": "front"}`: nil, `"angle": 30`: {KindMember, KindAngle}, `"theta": -0.5`: {KindMember, KindAngle}, `"rotation": "45"`: {KindMember, KindAngle}, `"rotation": 0`: {KindMember},
	} {
		r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 1, "bbox": [350,300,100,100], `+more+`}`))
		got := kinds(r.Findings)
		slices.Sort(got)
		slices.Sort(want)
		compare(t, more, got, want)
		if lost := slices.Contains(want, KindAngle); lost != (r.LeftOut == 1) {
			t.Errorf("%s: %d left out", more, r.LeftOut)
		}
	}
	r := cocoOf(t, testCategories, Options{KeepMembers: []string{"angle"}}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 1, "bbox": [350,300,100,100], "angle": 30}`))
	compare(t, "kept", lines(r.Annotations), []string{"1 cat bbox {350 300 100 100} map[angle:30]"})
}

// Joints outside the image are left out, others of the object kept.
func TestJointsOutside(t *testing.T) {
	for joints, want := range map[string][]Kind{
		`10,10,2, 643,20,2, 0,0,0`: {}, `10,10,2, 700,20,2, 0,0,0`: {KindOffImage}, `10,10,2, 20,-9,1, 0,0,0`: {KindOffImage}, `700,10,2, 800,20,2, 0,0,0`: {KindOffImage},
	} {
		r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 5, "keypoints": [`+joints+`]}`))
		if got := kinds(r.Findings); !slices.Equal(got, want) || len(r.Annotations) != 2-strings.Count(joints, "00,")-strings.Count(joints, "-9") {
			t.Errorf("%s: %v, %q", joints, r.Findings, lines(r.Annotations))
		}
	}
}

// A box whose area is that between two corners is given by these.
func TestAreaOfCorners(t *testing.T) {
	for annotation, want := range map[string][]Kind{
		`"bbox": [10,20,110,70], "area": 5000`: {KindBoxNotation}, `"bbox": [10,20,110,70], "area": 5151`: {KindBoxNotation}, `"bbox": [10,20,110,70], "area": 7700`: nil,
		`"bbox": [10,20,110,70], "area": 6000`: nil, `"bbox": [1,1,110,70], "area": 7521`: nil, `"bbox": [10,20,110,70], "area": 5000, "segmentation": [[10,20,120,20,120,90]]`: nil,
	} {
		r := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{640, 480}, raws(`{"id": 1, "category_id": 1, `+annotation+`}`))
		compare(t, annotation, kinds(r.Findings), want)
	}
}

// A box that reaches far beyond its image is believed where the areas say that its numbers
// are width and height and nearly all of the file's boxes cannot be corners.
func TestBoxesBeyondTheImageWithTheirAreas(t *testing.T) {
	size := Size{Width: 640, Height: 480}
	beyond := func(area int) [][]byte {
		return [][]byte{fmt.Appendf(nil, `{"id":1,"image_id":1,"category_id":1,"bbox":[200,150,460,320],"area":%d}`, area)}
	}
	for _, test := range []struct {
		others, area int
		taken        bool
	}{{30, 460 * 320, true}, {30, 260 * 170, false}, {30, 0, false}, {0, 460 * 320, false}} {
		c, _, err := NewCOCO([]byte(`[{"id":1,"name":"a"}]`), "a.json", Options{})
		if err != nil {
			t.Fatal(err)
		}
		var sample Corners
		sample.Look("beyond.jpg", size, beyond(test.area))
		for range test.others {
			sample.Look("plain.jpg", size, [][]byte{[]byte(`{"id":1,"image_id":1,"category_id":1,"bbox":[300,200,60,70]}`)})
		}
		c.Suspect(&sample)
		if r := c.Image("beyond.jpg", size, beyond(test.area)); (len(r.Annotations) == 1) != test.taken {
			t.Errorf("%+v: %d annotations, %+v", test, len(r.Annotations), r.Findings)
		}
	}
}

// cocoOf is a converter of categories that are sound.
func cocoOf(t testing.TB, categories string, o Options) *COCO {
	t.Helper()
	c, _, err := NewCOCO([]byte(categories), "a.json", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
