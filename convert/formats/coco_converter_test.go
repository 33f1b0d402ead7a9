package formats

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/coco"
	"pictosync/convert/labeltest"
	"pictosync/convert/yolo"
	"pictosync/pictograph"
)

// Shapes are read as what they plainly are; what may be two things is left out.
func TestSegmentationsAsTheyAreWritten(t *testing.T) {
	const square = "polygon [[{10 10} {60 10} {60 50}]] in {10 10 50 40}"
	for _, c := range []struct {
		segmentation string
		want         []string
		findings     []convert.Kind
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
		{`[{"size":[480,640],"counts":[4810,40,440,40,440,40,440,40,440,40,440,40,299950]}]`, []string{"polygon [[{16 10} {16 50} {10 50} {10 10}]] in {10 10 6 40}"}, []convert.Kind{convert.KindGeometry}},
		// nothing
		{`{}`, []string{"bbox {10 10 50 40}"}, nil}, {`""`, []string{"bbox {10 10 50 40}"}, nil}, {`[]`, []string{"bbox {10 10 50 40}"}, nil},
		{`[[]]`, []string{"bbox {10 10 50 40}"}, nil}, {`[[],[]]`, []string{"bbox {10 10 50 40}"}, nil}, {`[[[]]]`, []string{"bbox {10 10 50 40}"}, nil}, {`null`, []string{"bbox {10 10 50 40}"}, nil},
		// what may be several things, or nothing that is known
		{`[10,10,60,50]`, nil, []convert.Kind{convert.KindRing}}, {`[[10,10,60,50]]`, nil, []convert.Kind{convert.KindRing}}, {`[[10,10],[60,50]]`, nil, []convert.Kind{convert.KindRing}}, {`[[10,10]]`, nil, []convert.Kind{convert.KindRing}},
		{`[[[10,10,60,10,60,50],[20,20,30,20,30,30]]]`, nil, []convert.Kind{convert.KindRing}}, {`[[[[10,10],[60,10],[60,50]],[[20,20],[30,20],[30,30]]]]`, nil, []convert.Kind{convert.KindRing}},
		{`[[10,10,1],[60,10,1],[60,50,1]]`, nil, []convert.Kind{convert.KindRing}}, {`[10,10,[60,10,60,50]]`, nil, []convert.Kind{convert.KindRing}}, {`"[[10,10,60,10,60,50]]"`, nil, []convert.Kind{convert.KindRing}},
		{`7`, nil, []convert.Kind{convert.KindRing}}, {`[{"a":1}]`, nil, []convert.Kind{convert.KindMask}}, {`[{"x":1,"y":2},{"x":1}]`, nil, []convert.Kind{convert.KindRing}}, {`[10,10,60,10,60,50,7]`, nil, []convert.Kind{convert.KindCount}},
		{`["10",10,60,10,60,50]`, nil, []convert.Kind{convert.KindNumber}}, {`[10,NaN,60,10,60,50]`, nil, []convert.Kind{convert.KindNumber}}, {strings.Repeat("[", 50) + "1" + strings.Repeat("]", 50), nil, []convert.Kind{convert.KindRing}},
		{`[{"size":[480,640],"counts":[307200]},{"size":[480,640],"counts":[307200]}]`, nil, []convert.Kind{convert.KindRing}},
		// partly usable
		{`[[10,10,60,10,60,50],[1,2]]`, []string{square}, []convert.Kind{convert.KindRing}},
		// another place than the image, or than the bbox
		{`[[4810,40,440,40,440,41,439,42,438,43]]`, nil, []convert.Kind{convert.KindRing}}, {`[[10,10,60,10,60,-200]]`, nil, []convert.Kind{convert.KindRing}}, {`[[300,300,360,300,360,350]]`, nil, []convert.Kind{convert.KindRing}},
		{`[[0.1,0.1,0.6,0.1,0.6,0.5]]`, nil, []convert.Kind{convert.KindRing}},
	} {
		conv := cocoOf(t, labeltest.TestCategories, convert.Options{})
		r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 7, "category_id": 1, "segmentation": `+c.segmentation+`, "bbox": [10, 10, 50, 40]}`))
		var got []string
		for _, line := range labeltest.Lines(r.Annotations) {
			_, line, _ = strings.Cut(line, " cat ")
			got = append(got, line)
		}
		if !slices.Equal(got, c.want) || !slices.Equal(labeltest.Kinds(r.Findings), c.findings) || r.LeftOut != 1-min(len(c.want), 1) {
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
	if r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(all...)); len(r.Findings) != 3 {
		t.Errorf("%d findings", len(r.Findings))
	}
}

// Boxes that are most likely in another notation are left out, all of the image.
func TestBoxNotations(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     convert.Size
		boxes    []string
		taken    int
		findings []convert.Kind
	}{
		{"pixels", convert.Size{Width: 640, Height: 480}, []string{"10,10,50,60", "600,400,40,80"}, 2, nil},
		{"normalized", convert.Size{Width: 640, Height: 480}, []string{"0.1,0.1,0.5,0.6", "0.6,0.4,0.4,0.6"}, 0, []convert.Kind{convert.KindBoxNotation}},
		{"normalized, one alone", convert.Size{Width: 640, Height: 480}, []string{"0,0,1,1"}, 0, []convert.Kind{convert.KindBoxNotation}},
		{"normalized, without a size", convert.Size{}, []string{"0.1,0.1,0.5,0.6"}, 0, []convert.Kind{convert.KindBoxNotation}},
		{"one box of a pixel among others", convert.Size{Width: 640, Height: 480}, []string{"0,0,1,1", "10,10,50,60"}, 2, nil},
		{"a small image", convert.Size{Width: 10, Height: 10}, []string{"0,0,1,1"}, 1, nil},
		{"corners", convert.Size{Width: 640, Height: 480}, []string{"10,10,50,60", "500,300,630,470"}, 0, []convert.Kind{convert.KindBoxNotation}},
		{"corners, one alone", convert.Size{Width: 640, Height: 480}, []string{"500,300,630,470"}, 0, []convert.Kind{convert.KindBoxNotation}},
		{"beyond the image, and no corners", convert.Size{Width: 640, Height: 480}, []string{"600,400,100,80"}, 1, []convert.Kind{convert.KindOutside}},
		{"beyond the image, and another no corners", convert.Size{Width: 640, Height: 480}, []string{"100,100,600,80", "10,10,5,5"}, 2, []convert.Kind{convert.KindOutside}},
		{"beyond by rounding", convert.Size{Width: 640, Height: 480}, []string{"600,400,40.5,80.2"}, 1, nil},
		{"outside altogether", convert.Size{Width: 640, Height: 480}, []string{"700,100,50,60", "10,10,5,5"}, 1, []convert.Kind{convert.KindOffImage}},
		{"five numbers", convert.Size{Width: 640, Height: 480}, []string{"10,10,50,60,30"}, 0, []convert.Kind{convert.KindCount}},
		{"six numbers", convert.Size{Width: 640, Height: 480}, []string{"10,10,50,60,30,7"}, 0, []convert.Kind{convert.KindCount}},
		{"four corners", convert.Size{Width: 640, Height: 480}, []string{"100,100,200,100,200,150,100,150"}, 1, nil},
		{"four corners that are none", convert.Size{Width: 640, Height: 480}, []string{"100,100,200,150,200,100,100,150"}, 0, []convert.Kind{convert.KindBox}},
		{"four corners that are no rectangle", convert.Size{Width: 640, Height: 480}, []string{"100,100,200,100,220,150,100,150"}, 1, []convert.Kind{convert.KindOrientedBox}},
	} {
		var all []string
		for i, box := range c.boxes {
			all = append(all, fmt.Sprintf(`{"id": %d, "category_id": 1, "bbox": [%s]}`, i+1, box))
		}
		r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", c.size, labeltest.Raws(all...))
		if len(r.Annotations) != c.taken || !slices.Equal(labeltest.Kinds(r.Findings), c.findings) || r.LeftOut != len(c.boxes)-c.taken {
			t.Errorf("%s: %q, %d left out, %+v", c.name, labeltest.Lines(r.Annotations), r.LeftOut, r.Findings)
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
		r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 1, "bbox": [350,300,100,100], "attributes": {"rotation": `+rotation+`}}`))
		labeltest.Compare(t, rotation, labeltest.Lines(r.Annotations), []string{"1 cat bbox " + want})
	}
	r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 1, "segmentation": [[1,2,30,2,30,40]], "attributes": {"rotation": 45, "a": 1}}`))
	labeltest.Compare(t, "a polygon", labeltest.Lines(r.Annotations), []string{"1 cat polygon [[{1 2} {30 2} {30 40}]] in {1 2 29 38} map[a:1 rotation:45]"})
}

// Skeletons are counted from 1, or from 0 where only that fits.
func TestSkeletonBase(t *testing.T) {
	for _, c := range []struct {
		edges    string
		want     [][2]int
		findings []convert.Kind
	}{
		{`[[1,2],[2,3]]`, [][2]int{{0, 1}, {1, 2}}, nil},
		{`[[0,1],[1,2]]`, [][2]int{{0, 1}, {1, 2}}, []convert.Kind{convert.KindSkeletonBase}},
		{`[[0,2]]`, [][2]int{{0, 2}}, []convert.Kind{convert.KindSkeletonBase}},
		{`[[0,1],[2,3]]`, [][2]int{{1, 2}}, []convert.Kind{convert.KindSkeletonEdge}},
	} {
		conv, findings, err := coco.NewConverter([]byte(`[{"id": 1, "name": "cat", "keypoints": ["a", "b", "c"], "skeleton": `+c.edges+`}]`), "a.json", convert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		labeltest.Compare(t, c.edges, conv.Categories["1"].Skeleton.Edges, c.want)
		labeltest.Compare(t, c.edges, labeltest.Kinds(findings), c.findings)
	}
}

// The keypoints of results have scores, or a constant, and are never hidden.
func TestKeypointResults(t *testing.T) {
	for _, c := range []struct {
		keypoints string
		want      []string
		findings  []convert.Kind
	}{
		{`1,2,1, 3,4,1, 5,6,1`, []string{"nose {1 2} 0.9", "eye {3 4} 0.9", "ear {5 6} 0.9"}, nil},
		{`1,2,0.5, 3,4,0.031, 5,6,1.0`, []string{"nose {1 2} 0.5 map[instance_score:0.90]", "eye {3 4} 0.031 map[instance_score:0.90]", "ear {5 6} 1 map[instance_score:0.90]"}, nil},
		{`1,2,0, 3,4,0, 0,0,0`, []string{"nose {1 2} 0.9", "eye {3 4} 0.9"}, nil},
		{`1,2,2, 0,0,0, 5,6,1`, []string{"nose {1 2} 0.9", "ear {5 6} 0.9"}, nil},
		{`1,2,7.5, 3,4,3.5, 5,6,1`, []string{"nose {1 2} 0.9", "eye {3 4} 0.9", "ear {5 6} 0.9"}, []convert.Kind{convert.KindVisibility}},
		{`[1,2,0.5], [3,4,0], [0,0,0]`, []string{"nose {1 2} 0.5 map[instance_score:0.90]", "eye {3 4} 0 map[instance_score:0.90]"}, nil},
		{`1,2,0.5, NaN,4,0.5, 5,6,0.25`, []string{"nose {1 2} 0.5 map[instance_score:0.90]", "ear {5 6} 0.25 map[instance_score:0.90]"}, []convert.Kind{convert.KindNumber}},
	} {
		conv := cocoOf(t, labeltest.TestCategories, convert.Options{})
		conv.TakeResults()
		r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"image_id": 1, "category_id": 5, "score": 0.90, "keypoints": [`+c.keypoints+`]}`))
		var got []string
		for _, a := range r.Annotations {
			line := fmt.Sprint(a.Name, " ", a.Geometry.(pictograph.Keypoint).Point, " ", *a.Confidence)
			if a.Attributes != nil {
				line += fmt.Sprint(" ", a.Attributes)
			}
			got = append(got, line)
		}
		labeltest.Compare(t, c.keypoints, got, c.want)
		labeltest.Compare(t, c.keypoints, labeltest.Kinds(r.Findings), c.findings)
		if len(r.Findings) > 0 {
			continue
		}
		// Out to COCO and back the scores are what they were.
		again, findings := throughCOCO(t, []convert.Result{r})
		if len(findings) > 0 || labeltest.Encode(t, again[0].Annotations) != labeltest.Encode(t, r.Annotations) {
			t.Errorf("%s came back as\n%s\nand was\n%s\n%v", c.keypoints, labeltest.Encode(t, again[0].Annotations), labeltest.Encode(t, r.Annotations), findings)
		}
	}
}

// Two numbers a keypoint are no triplets, also where they can be counted off as such.
func TestPairsOfKeypoints(t *testing.T) {
	for keypoints, want := range map[string][]convert.Kind{`10,20,30,40,50,60`: {convert.KindCount}, `[10,20],[30,40],[50,60]`: {convert.KindNumber}, `10,20,2,40,50,0,0,0,0`: {convert.KindVisibility}, `10,20,30,40`: {convert.KindCount, convert.KindKeypoints}, `10,20,30,40,50,60,70,80,2`: {convert.KindKeypoints, convert.KindGeometry}} {
		r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 5, "keypoints": [`+keypoints+`], "bbox": [1,2,30,40]}`))
		labeltest.Compare(t, keypoints, labeltest.Kinds(r.Findings), want)
	}
}

// The box given beside keypoints goes along to every format that can hold it.
func TestBoxesBesideKeypoints(t *testing.T) {
	conv := cocoOf(t, labeltest.TestCategories, convert.Options{})
	r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(
		`{"id": 1, "category_id": 5, "keypoints": [110,110,2, 0,0,0, 150,160,1], "bbox": [100, 100, 80, 90]}`,
		`{"id": 2, "category_id": 5, "keypoints": [310,110,2, 0,0,0, 0,0,0], "bbox": [300, 100, 80, 90]}`,
		`{"id": 3, "category_id": 5, "keypoints": [10,10,2, 20,20,2, 0,0,0], "bbox": [0, 0, 0, 0]}`,
		`{"id": 4, "category_id": 5, "keypoints": [10,10,2, 20,20,2, 0,0,0], "bbox": [1, 2, 3]}`,
		`{"id": 5, "category_id": 1, "bbox": [1, 2, 30, 40]}`,
	))
	r.Size = convert.Size{Width: 640, Height: 480}
	labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), []convert.Kind{convert.KindCount})
	if want := map[int]pictograph.Box{1: *labeltest.Box(100, 100, 80, 90), 2: *labeltest.Box(300, 100, 80, 90)}; fmt.Sprint(r.Boxes) != fmt.Sprint(want) {
		t.Fatalf("boxes %v", r.Boxes)
	}
	line, err := canonical.Image{Image: "a.jpg", Size: r.Size, Annotations: r.Annotations, Boxes: r.Boxes}.Append(nil)
	if err != nil || !strings.HasSuffix(string(line), `],"boxes":[{"instance_id":1,"x":100,"y":100,"w":80,"h":90},{"instance_id":2,"x":300,"y":100,"w":80,"h":90}]}`) {
		t.Fatalf("%s %v", line, err)
	}
	whole, err := canonical.Parse(line)
	if err != nil || fmt.Sprint(whole.Boxes) != fmt.Sprint(r.Boxes) {
		t.Errorf("%v %v", err, whole.Boxes)
	}
	for _, wrong := range []string{`"boxes":[]`, `"boxes":{}`, `"boxes":[{"instance_id":1}]`, `"boxes":[{"instance_id":9,"x":1,"y":1,"w":1,"h":1}]`, `"boxes":[{"instance_id":1,"x":1,"y":1,"w":0,"h":1}]`,
		`"boxes":[{"instance_id":1,"x":1,"y":1,"w":1,"h":1},{"instance_id":1,"x":1,"y":1,"w":1,"h":1}]`, `"boxes":[{"instance_id":1,"x":1,"y":1,"w":1,"h":1,"z":1}]`, `"boxes":[{"instance_id":1,"x":"1","y":1,"w":1,"h":1}]`,
		`"slots":[{"instance_id":1,"joints":0}]`, `"slots":[{"instance_id":1,"joints":1.5}]`, `"slots":[]`} {
		text := string(line[:strings.LastIndex(string(line), `,"boxes"`)]) + "," + wrong + "}"
		if _, err := canonical.Parse([]byte(text)); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
	back := canonical.ResultOf(whole)
	catalog := convert.NewCatalog(nil)
	catalog.Add(back)
	_, objects, _, left, findings, err := coco.NewWriter(catalog).Image("a.jpg", back)
	if err != nil || left != 0 || len(findings) > 0 || !strings.Contains(string(objects[0]), `"bbox":[100,100,80,90]`) || !strings.Contains(string(objects[2]), `"bbox":[10,10,10,10]`) {
		t.Errorf("COCO: %s %d %v %v", objects, left, findings, err)
	}
	for task, want := range map[yolo.Task]string{
		yolo.Detect: "1 0.21875 0.3020833333333333 0.125 0.1875\n1 0.53125 0.3020833333333333 0.125 0.1875\n1 0.0234375 0.03125 0.015625 0.020833333333333332\n1 0.0234375 0.03125 0.015625 0.020833333333333332\n0 0.025 0.04583333333333333 0.046875 0.08333333333333333\n",
	} {
		catalog := convert.NewCatalog(nil)
		catalog.Add(r)
		w, err := yolo.NewWriter(catalog, task)
		if err != nil {
			t.Fatal(err)
		}
		label, _, left, findings, err := w.Image("a.jpg", r)
		if string(label) != want || left != 0 || err != nil || !slices.Equal(labeltest.Kinds(findings), []convert.Kind{convert.KindOtherShape, convert.KindOtherShape, convert.KindLostDetail}) {
			t.Errorf("%s: %s %d %v %v", task, label, left, findings, err)
		}
	}
}

// Keypoints without names are named by their number, and go back to it.
func TestNumberedKeypoints(t *testing.T) {
	conv := cocoOf(t, `[{"id": 1, "name": "person"}, {"id": 2, "name": "dog", "keypoints": ["nose", "tail"]}]`, convert.Options{})
	triplets := make([]float64, 3*136)
	for _, slot := range []int{0, 5, 127} {
		triplets[3*slot], triplets[3*slot+1], triplets[3*slot+2] = float64(slot+1), 7, 2
	}
	text, _ := json.Marshal(triplets)
	r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(
		`{"id": 1, "category_id": 1, "keypoints": `+string(text)+`}`,
		`{"id": 2, "category_id": 2, "keypoints": [1,2,2, 3,4,2]}`,
		`{"id": 3, "category_id": 1, "keypoints": [0,0,0, 9,9,2]}`,
	))
	r.Size = convert.Size{Width: 640, Height: 480}
	var names []string
	for _, a := range r.Annotations {
		names = append(names, a.Name)
	}
	labeltest.Compare(t, "names", names, []string{"person_0", "person_5", "person_127", "nose", "tail", "person_1"})
	line, err := canonical.Image{Image: "a.jpg", Annotations: r.Annotations, Slots: r.Slots}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := canonical.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]convert.Result{"direct": r, "canonical": canonical.ResultOf(read)} {
		catalog := convert.NewCatalog(nil)
		catalog.Add(r)
		_, objects, _, left, findings, err := coco.NewWriter(catalog).Image("a.jpg", r)
		if err != nil || left != 0 || len(findings) > 0 {
			t.Fatalf("%s: %d %v %v", what, left, findings, err)
		}
		var first struct{ Keypoints []float64 }
		if json.Unmarshal(objects[0], &first); !slices.Equal(first.Keypoints, triplets) {
			t.Errorf("%s: %v", what, first.Keypoints)
		}
	}
}

// The parts of COCO-WholeBody are keypoints of their object.
func TestWholeBody(t *testing.T) {
	conv := cocoOf(t, labeltest.TestCategories, convert.Options{})
	r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 5, "keypoints": [1,2,2, 0,0,0, 5,6,1], "foot_kpts": [7,8,2, 0,0,0, 9,9,1], "righthand_kpts": [0,0,0, 4,4,2], "face_kpts": [], "bbox": [1,2,30,40]}`))
	r.Size = convert.Size{Width: 640, Height: 480}
	labeltest.Compare(t, "joints", labeltest.Lines(r.Annotations), []string{"1-0 nose keypoint {1 2} of 1", "1-1 ear keypoint {5 6} of 1 map[occluded:true]", "1-2 foot_0 keypoint {7 8} of 1",
		"1-3 foot_2 keypoint {9 9} of 1 map[occluded:true]", "1-4 righthand_1 keypoint {4 4} of 1"})
	labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), nil)
	again, findings := throughCOCO(t, []convert.Result{r})
	if len(findings) > 0 || labeltest.Encode(t, again[0].Annotations) != labeltest.Encode(t, r.Annotations) {
		t.Errorf("came back as\n%s\n%v", labeltest.Encode(t, again[0].Annotations), findings)
	}
}

// All geometries of an annotation are one object again in COCO, and one line in YOLO.
func TestAllGeometriesAreJoined(t *testing.T) {
	const objects = `{"id": 1, "category_id": 5, "keypoints": [110,110,2, 0,0,0, 150,160,1], "segmentation": [[100,100,130,100,130,190],[150,100,180,100,180,190]], "bbox": [100, 100, 80, 90]}
{"id": 2, "category_id": 1, "segmentation": [[100,100,180,100,180,190]], "bbox": [100, 100, 80, 90], "score": 0.5}`
	conv := cocoOf(t, labeltest.TestCategories, convert.Options{AllGeometries: true})
	r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(strings.Split(objects, "\n")...))
	r.Size = convert.Size{Width: 640, Height: 480}
	if len(r.Annotations) != 7 || len(r.Findings) > 0 {
		t.Fatalf("%q %v", labeltest.Lines(r.Annotations), r.Findings)
	}
	for what, r := range map[string]convert.Result{"direct": r, "canonical": canonical.ResultOf(canonical.Image{Annotations: r.Annotations, Size: r.Size})} {
		catalog := convert.NewCatalog(nil)
		catalog.Add(r)
		_, out, _, left, findings, err := coco.NewWriter(catalog).Image("a.jpg", r)
		if err != nil || left != 0 || len(findings) > 0 || len(out) != 2 {
			t.Fatalf("%s: %s %d %v %v", what, out, left, findings, err)
		}
		for i, want := range []string{`"segmentation":[[100,100,130,100,130,190],[150,100,180,100,180,190]]`, `"segmentation":[[100,100,180,100,180,190]]`} {
			if !strings.Contains(string(out[i]), want) || !strings.Contains(string(out[i]), `"bbox":[100,100,80,90]`) || strings.Contains(string(out[i]), "keypoints") != (i == 0) {
				t.Errorf("%s: %s", what, out[i])
			}
		}
		for _, task := range []yolo.Task{yolo.Detect, yolo.Segment} {
			w, err := yolo.NewWriter(catalog, task)
			if err != nil {
				t.Fatal(err)
			}
			if label, _, left, _, err := w.Image("a.jpg", r); strings.Count(string(label), "\n") != 2 || left != 0 || err != nil {
				t.Errorf("%s as %s: %q %d %v", what, task, label, left, err)
			}
		}
	}
}

// Members that nothing carries over are told once an image, or kept.
func TestMembers(t *testing.T) {
	annotations := labeltest.Raws(`{"id": 1, "category_id": 1, "bbox": [1,2,30,40], "track_id": 4, "extra": {"a": 1}, "tags": ["x", 2, true], "none": null, "area": 1, "num_keypoints": 0}`,
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
		r := cocoOf(t, labeltest.TestCategories, convert.Options{KeepMembers: convert.NewMembers(c.keep...)}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, annotations)
		var attributes, findings []string
		for _, a := range r.Annotations {
			attributes = append(attributes, fmt.Sprint(a.Attributes))
		}
		for _, f := range r.Findings {
			findings = append(findings, fmt.Sprint(f.Cause, " ", f.Count))
		}
		labeltest.Compare(t, fmt.Sprint(c.keep), attributes, c.attributes)
		labeltest.Compare(t, fmt.Sprint(c.keep), findings, c.findings)
	}
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf(`{"id": %d, "category_id": 1, "bbox": [1,2,30,40], "k%d": 1}`, i, i))
	}
	r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(many...))
	if n := len(r.Findings); n != 101 || r.Findings[n-1].Cause != "…" || r.Findings[n-1].Count != 200 {
		t.Errorf("%d findings, the last %+v", n, r.Findings[n-1])
	}
}

// What a format cannot hold is counted by the source's annotations.
func TestLeftOutOfFormats(t *testing.T) {
	conv := cocoOf(t, labeltest.TestCategories, convert.Options{})
	r := conv.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(
		`{"id": 1, "category_id": 1, "segmentation": [[100,100,130,100,130,190],[150,100,180,100,180,190]]}`, `{"id": 2, "category_id": 1, "bbox": [5,2,30,40]}`))
	r.Size = convert.Size{Width: 640, Height: 480}
	catalog := convert.NewCatalog(nil)
	catalog.Add(r)
	w, err := yolo.NewWriter(catalog, yolo.OBB)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, left, findings, err := w.Image("a.jpg", r); left != 1 || err != nil || !slices.Equal(labeltest.Kinds(findings), []convert.Kind{convert.KindLostShape}) {
		t.Errorf("%d left out, %v %v", left, findings, err)
	}
}

// A mask that is not what its bbox is of was most likely encoded otherwise.
func TestMaskAndItsBox(t *testing.T) {
	conv := cocoOf(t, labeltest.TestCategories, convert.Options{})
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
		want             []convert.Kind
	}{
		{"right", "20,30,40,40", `, "area": 1600`, columns, nil},
		{"along the rows", "20,30,40,40", `, "area": 1600`, rows, []convert.Kind{convert.KindMask}},
		{"inverted", "20,30,40,40", "", inverted, []convert.Kind{convert.KindMask}},
		{"far off", "80,80,15,15", "", columns, []convert.Kind{convert.KindMask}},
		{"a bbox that is about right", "22,30,45,40", "", columns, []convert.Kind{convert.KindGeometry}},
		{"and an area of the same", "22,30,45,40", `, "area": 1800`, columns, []convert.Kind{convert.KindGeometry}},
		{"and an area of something else", "22,30,45,40", `, "area": 700`, columns, []convert.Kind{convert.KindMask}},
		{"an area of something else alone", "20,30,40,40", `, "area": 700`, columns, []convert.Kind{convert.KindMaskArea}},
	} {
		counts, _ := json.Marshal(c.counts)
		r := conv.Image("a.jpg", convert.Size{Width: 100, Height: 100}, labeltest.Raws(fmt.Sprintf(`{"id": 1, "category_id": 1, "segmentation": {"size": [100,100], "counts": %s}, "bbox": [%s]%s}`, counts, c.bbox, c.more)))
		labeltest.Compare(t, c.name, labeltest.Kinds(r.Findings), c.want)
		if lost := slices.Contains(c.want, convert.KindMask); lost != (r.LeftOut == 1) {
			t.Errorf("%s: %d left out", c.name, r.LeftOut)
		}
	}
}

// A box is not turned by what may be an angle, and not taken upright either.
func TestAnglesThatNothingTellsOf(t *testing.T) {
	for more, want := range map[string][]convert.Kind{
		`"attributes": {"rotation": "steep"}`: {convert.KindAngle}, `"attributes": {"rotation": true}`: {convert.KindAngle}, `"attributes": {"Rotation": 45}`: {convert.KindAngle}, `"attributes": {"angle": "0.5"}`: {convert.KindAngle},
		`"attributes": {"theta": 0, "angle": "front"}`: nil, `"angle": 30`: {convert.KindMember, convert.KindAngle}, `"theta": -0.5`: {convert.KindMember, convert.KindAngle}, `"rotation": "45"`: {convert.KindMember, convert.KindAngle}, `"rotation": 0`: {convert.KindMember},
	} {
		r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 1, "bbox": [350,300,100,100], `+more+`}`))
		got := labeltest.Kinds(r.Findings)
		slices.Sort(got)
		slices.Sort(want)
		labeltest.Compare(t, more, got, want)
		if lost := slices.Contains(want, convert.KindAngle); lost != (r.LeftOut == 1) {
			t.Errorf("%s: %d left out", more, r.LeftOut)
		}
	}
	r := cocoOf(t, labeltest.TestCategories, convert.Options{KeepMembers: convert.NewMembers("angle")}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 1, "bbox": [350,300,100,100], "angle": 30}`))
	labeltest.Compare(t, "kept", labeltest.Lines(r.Annotations), []string{"1 cat bbox {350 300 100 100} map[angle:30]"})
}

// Keypoints outside the image are left out, others of the object kept.
func TestKeypointsOutside(t *testing.T) {
	for keypoints, want := range map[string][]convert.Kind{
		`10,10,2, 643,20,2, 0,0,0`: {}, `10,10,2, 700,20,2, 0,0,0`: {convert.KindOffImage}, `10,10,2, 20,-9,1, 0,0,0`: {convert.KindOffImage}, `700,10,2, 800,20,2, 0,0,0`: {convert.KindOffImage},
	} {
		r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 5, "keypoints": [`+keypoints+`]}`))
		if got := labeltest.Kinds(r.Findings); !slices.Equal(got, want) || len(r.Annotations) != 2-strings.Count(keypoints, "00,")-strings.Count(keypoints, "-9") {
			t.Errorf("%s: %v, %q", keypoints, r.Findings, labeltest.Lines(r.Annotations))
		}
	}
}

// A box whose area is that between two corners is given by these.
func TestAreaOfCorners(t *testing.T) {
	for annotation, want := range map[string][]convert.Kind{
		`"bbox": [10,20,110,70], "area": 5000`: {convert.KindBoxNotation}, `"bbox": [10,20,110,70], "area": 5151`: {convert.KindBoxNotation}, `"bbox": [10,20,110,70], "area": 7700`: nil,
		`"bbox": [10,20,110,70], "area": 6000`: nil, `"bbox": [1,1,110,70], "area": 7521`: nil, `"bbox": [10,20,110,70], "area": 5000, "segmentation": [[10,20,120,20,120,90]]`: nil,
	} {
		r := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(`{"id": 1, "category_id": 1, `+annotation+`}`))
		labeltest.Compare(t, annotation, labeltest.Kinds(r.Findings), want)
	}
}

// cocoOf is a converter of categories that are sound.
func cocoOf(t testing.TB, categories string, o convert.Options) *coco.Converter {
	t.Helper()
	c, _, err := coco.NewConverter([]byte(categories), "a.json", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
