package coco

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/labeltest"
	"pictosync/pictograph"
)

func mustCOCO(t testing.TB, categories string, o convert.Options) *Converter {
	t.Helper()
	c, findings, err := NewConverter([]byte(categories), "labels.json", o)
	if err != nil || len(findings) > 0 {
		t.Fatalf("NewCOCO: %v, findings %v", err, findings)
	}
	return c
}

func TestCOCOAnnotations(t *testing.T) {
	tests := []struct {
		name        string
		annotations []string
		want        []string
		findings    []convert.Kind
		dropped     int
	}{
		{
			name:        "box",
			annotations: []string{`{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1.5, -2, 3e1, 4], "area": 120, "score": 0.25}`},
			want:        []string{"7 cat bbox {1.5 -2 30 4} confidence 0.25"},
		},
		{
			name:        "ids and categories may be strings, and integers written in any way",
			annotations: []string{`{"id": "a/7", "category_id": "1", "bbox": [1, 2, 3, 4]}`, `{"id": 8.0, "category_id": "s", "bbox": [1, 2, 3, 4]}`, `{"id": 9, "category_id": 0.0, "bbox": [1, 2, 3, 4]}`},
			want:        []string{"a/7 cat bbox {1 2 3 4}", "8 tip bbox {1 2 3 4}", "9 zero bbox {1 2 3 4}"},
		},
		{
			name:        "one ring keeps the id, and wins over the box",
			annotations: []string{`{"id": 7, "category_id": 1, "bbox": [1, 2, 4, 6], "segmentation": [[1, 2, 5, 2, 5, 8]]}`},
			want:        []string{"7 cat polygon [[{1 2} {5 2} {5 8}]] in {1 2 4 6}"},
		},
		{
			name:        "rings are polygons of their own, numbered over the usable ones",
			annotations: []string{`{"id": 7, "category_id": 1, "segmentation": [[0,0,2,0,2,2], [1,1], [4,4,6,4,6,7]]}`},
			want:        []string{"7-0 cat polygon [[{0 0} {2 0} {2 2}]] in {0 0 2 2}", "7-1 cat polygon [[{4 4} {6 4} {6 7}]] in {4 4 2 3}"},
			findings:    []convert.Kind{convert.KindRing},
		},
		{
			name:        "a ring without extent has no box",
			annotations: []string{`{"id": 7, "category_id": 1, "segmentation": [[1,1, 2,1, 3,1]]}`},
			want:        []string{"7 cat polygon [[{1 1} {2 1} {3 1}]]"},
		},
		{
			name:        "which of an odd count of coordinates is missing nothing tells",
			annotations: []string{`{"id": 7, "category_id": 1, "segmentation": [[0,0,2,0,2,2,9]]}`},
			findings:    []convert.Kind{convert.KindCount},
			dropped:     1,
		},
		{
			name:        "the box never stands in for rings that cannot be used",
			annotations: []string{`{"id": 7, "category_id": 1, "segmentation": [[0,0,2,1e999,2,2], [1, "2", 3, 4, 5, 6], [1,2]], "bbox": [1,2,3,4]}`, `{"id": 8, "category_id": 1, "segmentation": [[0,0,2,0,2,2], 3], "bbox": [1,2,3,4]}`},
			findings:    []convert.Kind{convert.KindNumber, convert.KindRing, convert.KindRing},
			dropped:     2,
		},
		{
			name:        "an empty segmentation says nothing",
			annotations: []string{`{"id": 7, "category_id": 1, "segmentation": [[]], "bbox": [1,2,3,4]}`, `{"id": 8, "category_id": 1, "segmentation": [], "bbox": [1,2,3,4]}`},
			want:        []string{"7 cat bbox {1 2 3 4}", "8 cat bbox {1 2 3 4}"},
		},
		{
			name:        "a mask is dropped, never a box in its stead",
			annotations: []string{`{"id": 7, "category_id": 1, "iscrowd": 1, "segmentation": {"size": "?"}, "bbox": [1,2,3,4]}`},
			findings:    []convert.Kind{convert.KindMask},
			dropped:     1,
		},
		{
			name: "poses are numbered over placed keypoints and over the image",
			annotations: []string{
				`{"id": 7, "category_id": 5, "keypoints": [1,2,2, 0,0,0, 5,6,1], "bbox": [1,2,3,4], "segmentation": [[0,0,2,0,2,2]], "score": 0.5, "attributes": {"a": "b"}}`,
				`{"id": 8, "category_id": 5, "keypoints": [0,0,0, 3,4,2, 0,0,0]}`,
			},
			want: []string{
				"7-0 nose keypoint {1 2} of 1 confidence 0.5 map[a:b]",
				"7-1 ear keypoint {5 6} of 1 confidence 0.5 map[a:b occluded:true]",
				"8-0 eye keypoint {3 4} of 2",
			},
			findings: []convert.Kind{convert.KindGeometry},
		},
		{
			name:        "a lone point without keypoint names is a landmark of no instance",
			annotations: []string{`{"id": 7, "category_id": 9, "keypoints": [1,2,2]}`, `{"id": 8, "category_id": "s", "keypoints": [1,2,1]}`, `{"id": 9, "category_id": 5, "keypoints": [3,4,2, 0,0,0, 0,0,0]}`},
			want:        []string{"7-0 landmark keypoint {1 2} of 0", "8-0 tip keypoint {1 2} of 0 map[occluded:true]", "9-0 nose keypoint {3 4} of 1"},
		},
		{
			name:        "keypoints that the category does not name are named by their number",
			annotations: []string{`{"id": 7, "category_id": 9, "keypoints": [1,2,2, 3,4,2]}`, `{"id": 8, "category_id": 9, "keypoints": [1,1,2, 0,0,0, 0,0,0, 9,9,2]}`},
			want: []string{
				"7-0 landmark_0 keypoint {1 2} of 1", "7-1 landmark_1 keypoint {3 4} of 1",
				"8-0 landmark_0 keypoint {1 1} of 2", "8-1 landmark_3 keypoint {9 9} of 2",
			},
			findings: []convert.Kind{convert.KindKeypointName, convert.KindKeypointName},
		},
		{
			name:        "what is no visibility is left out",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,3, 3,4,-1, 5,6,1.5]}`, `{"id": 8, "category_id": 5, "keypoints": [1,2,0.5], "bbox": [1,2,3,4]}`},
			want:        []string{"8 person bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindKeypoints, convert.KindNoGeometry, convert.KindKeypoints},
			dropped:     1,
		},
		{
			name:        "a keypoint at no finite place is left out, one that is not labelled may be anywhere",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,2, NaN,NaN,0, 5,Infinity,2]}`},
			want:        []string{"7-0 nose keypoint {1 2} of 1"},
			findings:    []convert.Kind{convert.KindNumber},
		},
		{
			name:        "fewer keypoints than the category names, or more, are not taken",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,2, 5,6,2], "bbox": [1,2,3,4]}`, `{"id": 8, "category_id": 5, "keypoints": [1,2,2, 5,6,2, 7,8,2, 9,9,2]}`, `{"id": 9, "category_id": 5, "keypoints": [0,0,0], "bbox": [1,2,3,4]}`},
			want:        []string{"9 person bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindCount, convert.KindCount},
			dropped:     2,
		},
		{
			name: "keypoints that are not labelled and have coordinates are told",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,2, 5,6,0, 0,0,0], "num_keypoints": 1}`, `{"id": 8, "category_id": 5, "keypoints": [1,2,2, 5,6,0, 7,8,0], "num_keypoints": 2}`,
				`{"id": 9, "category_id": 5, "keypoints": [1,2,0, 5,6,0, 7,8,0], "bbox": [1,2,3,4]}`, `{"id": 10, "category_id": 5, "keypoints": [1,2,2, 0,0,0, 0,0,0], "num_keypoints": 2}`},
			want:     []string{"7-0 nose keypoint {1 2} of 1", "8-0 nose keypoint {1 2} of 2", "9 person bbox {1 2 3 4}", "10-0 nose keypoint {1 2} of 3"},
			findings: []convert.Kind{convert.KindVisibility, convert.KindKeypoints, convert.KindVisibility, convert.KindKeypoints},
		},
		{
			name: "fewer keypoints than the annotation counts, also where it has none, and more",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,2, 5,6,2, 0,0,0], "num_keypoints": 5}`, `{"id": 8, "category_id": 5, "bbox": [1,2,3,4], "num_keypoints": 3}`,
				`{"id": 9, "category_id": 5, "keypoints": [], "bbox": [1,2,3,4], "num_keypoints": 3}`, `{"id": 10, "category_id": 5, "keypoints": [1,2,2, 5,6,2, 0,0,0], "num_keypoints": 1}`},
			want:     []string{"7-0 nose keypoint {1 2} of 1", "7-1 eye keypoint {5 6} of 1", "8 person bbox {1 2 3 4}", "9 person bbox {1 2 3 4}", "10-0 nose keypoint {1 2} of 2", "10-1 eye keypoint {5 6} of 2"},
			findings: []convert.Kind{convert.KindKeypoints, convert.KindKeypoints, convert.KindKeypoints, convert.KindKeypointCount},
		},
		{
			name:        "numbers of a category without keypoints that may be two a keypoint",
			annotations: []string{`{"id": 7, "category_id": 1, "keypoints": [10,20,30,40,50,60]}`, `{"id": 8, "category_id": 1, "keypoints": [10,20,1,40,50,2], "num_keypoints": 3}`, `{"id": 9, "category_id": 1, "keypoints": [1,2,3]}`},
			want:        []string{"8-0 cat_0 keypoint {10 20} of 1 map[occluded:true]", "8-1 cat_1 keypoint {40 50} of 1"},
			findings:    []convert.Kind{convert.KindCount, convert.KindKeypoints, convert.KindKeypointName, convert.KindKeypoints, convert.KindNoGeometry},
			dropped:     2,
		},
		{
			name:        "numbers that make no triplet are left out",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,2, 5]}`},
			want:        []string{"7-0 nose keypoint {1 2} of 1"},
			findings:    []convert.Kind{convert.KindCount},
		},
		{
			name:        "keypoints that are no numbers leave the box",
			annotations: []string{`{"id": 7, "category_id": 5, "keypoints": [1,2,null], "bbox": [1,2,3,4]}`, `{"id": 8, "category_id": 5, "keypoints": "x", "bbox": [1,2,3,4]}`},
			want:        []string{"7 person bbox {1 2 3 4}", "8 person bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindNumber, convert.KindKeypoints},
		},
		{
			name: "boxes that cannot be used",
			annotations: []string{
				`{"id": 1, "category_id": 1, "bbox": [1,2,0,4]}`, `{"id": 2, "category_id": 1, "bbox": [1,2,3,-4]}`,
				`{"id": 3, "category_id": 1, "bbox": [1,2,3]}`, `{"id": 4, "category_id": 1, "bbox": [1,2,3,"4"]}`,
				`{"id": 5, "category_id": 1, "bbox": [1,NaN,3,4]}`, `{"id": 6, "category_id": 1, "bbox": {"x": 1}}`,
				`{"id": 7, "category_id": 1}`, `{"id": 8, "category_id": 1, "bbox": []}`, `{"id": 9, "category_id": 1, "bbox": [1,2,true,3]}`,
			},
			findings: []convert.Kind{convert.KindBox, convert.KindBox, convert.KindCount, convert.KindNumber, convert.KindNumber, convert.KindBox, convert.KindNoGeometry, convert.KindNoGeometry, convert.KindNumber},
			dropped:  9,
		},
		{
			name:        "annotations of no known category",
			annotations: []string{`{"id": 1, "category_id": 2, "bbox": [1,2,3,4]}`, `{"id": 2, "bbox": [1,2,3,4]}`, `{"id": 3, "category_id": null, "bbox": [1,2,3,4]}`, `{"id": 4, "category_id": [], "bbox": [1,2,3,4]}`},
			findings:    []convert.Kind{convert.KindUnknownClass, convert.KindUnknownClass, convert.KindUnknownClass, convert.KindUnknownClass},
			dropped:     4,
		},
		{
			name:        "scores that are no confidence",
			annotations: []string{`{"id": 1, "category_id": 1, "bbox": [1,2,3,4], "score": 97}`, `{"id": 2, "category_id": 1, "bbox": [1,2,3,4], "score": NaN}`, `{"id": 3, "category_id": 1, "bbox": [1,2,3,4], "score": "0.5"}`, `{"id": 4, "category_id": 1, "bbox": [1,2,3,4], "score": null}`},
			want:        []string{"1 cat bbox {1 2 3 4}", "2 cat bbox {1 2 3 4}", "3 cat bbox {1 2 3 4}", "4 cat bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindConfidence, convert.KindConfidence, convert.KindConfidence},
		},
		{
			name:        "attributes and crowds",
			annotations: []string{`{"id": 1, "category_id": 1, "bbox": [1,2,3,4], "attributes": {"occluded": true}, "iscrowd": 1}`, `{"id": 2, "category_id": 1, "bbox": [1,2,3,4], "attributes": ["a"], "iscrowd": 0}`, `{"id": 3, "category_id": 1, "bbox": [1,2,3,4], "attributes": {}, "iscrowd": 2}`, `{"id": 4, "category_id": 1, "bbox": [1,2,3,4], "attributes": []}`},
			want:        []string{"1 cat bbox {1 2 3 4} map[iscrowd:true occluded:true]", "2 cat bbox {1 2 3 4}", "3 cat bbox {1 2 3 4}", "4 cat bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindAttributes, convert.KindCrowd},
		},
		{
			name:        "attributes stay as they are written, but for what no double holds",
			annotations: []string{`{"id": 1, "category_id": 1, "bbox": [1,2,3,4], "attributes": {"n": 12345678901234567890, "x": 1.50}}`, `{"id": 2, "category_id": 1, "bbox": [1,2,3,4], "attributes": {"n": [{"m": NaN}]}}`, `{"id": 3, "category_id": 1, "bbox": [1,2,3,4], "attributes": {"n": 1e999}}`},
			want:        []string{"1 cat bbox {1 2 3 4} map[n:12345678901234567890 x:1.50]", "2 cat bbox {1 2 3 4}", "3 cat bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindAttributes, convert.KindAttributes},
		},
		{
			name: "keys that stand twice, with one value or several",
			annotations: []string{`{"id": 1, "category_id": 1, "bbox": [1,2,3,4], "\u0062box": [1,2,3,4]}`, `{"id": 2, "category_id": 1, "bbox": [1,2,3,4], "attributes": {"a": "1", "a": "1"}}`,
				`{"id": 3, "category_id": 1, "bbox": [9,9,9,9], "bbox": [1,2,3,4]}`, `{"id": 4, "category_id": 1, "bbox": [1,2,3,4], "attributes": {"a": "1", "b": 2, "a": "2"}}`,
				`{"id": 5, "category_id": 1, "segmentation": {"size": [1,1], "counts": [0,1], "counts": [1]}}`, `{"id": 6, "image_id": 7, "image_id": 7, "category_id": 1, "bbox": [1,2,3,4]}`},
			want:     []string{"1 cat bbox {1 2 3 4}", "2 cat bbox {1 2 3 4} map[a:1]", "4 cat bbox {1 2 3 4}", "6 cat bbox {1 2 3 4}"},
			findings: []convert.Kind{convert.KindDuplicateKey, convert.KindDuplicateKey, convert.KindInvalidJSON, convert.KindAttributes, convert.KindMask, convert.KindDuplicateKey},
			dropped:  2,
		},
		{
			name:        "what is no object",
			annotations: []string{`7`, `{"id": 1`, `{"id": 1} {}`, ``, "{\"id\": \"\xff\", \"category_id\": 1, \"bbox\": [1,2,3,4]}", strings.Repeat(`[`, 100_000), `{"a": ` + strings.Repeat(`[`, 100_000)},
			findings:    slices.Repeat([]convert.Kind{convert.KindInvalidJSON}, 7),
			dropped:     7,
		},
		{
			name:        "NaN in what is not read does no harm",
			annotations: []string{`{"id": 1, "category_id": 1, "bbox": [1,2,3,4], "area": NaN, "note": "NaN"}`},
			want:        []string{"1 cat bbox {1 2 3 4}"},
			findings:    []convert.Kind{convert.KindMember},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustCOCO(t, labeltest.TestCategories, convert.Options{})
			r := c.Image("a.jpg", convert.Size{Width: 640, Height: 480}, labeltest.Raws(test.annotations...))
			labeltest.Compare(t, "annotations", labeltest.Lines(r.Annotations), test.want)
			labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), test.findings)
			if r.LeftOut != test.dropped {
				t.Errorf("dropped %d, want %d", r.LeftOut, test.dropped)
			}
			for _, f := range r.Findings {
				if f.File != "labels.json" || f.Image != "a.jpg" || f.At == "" || f.Reason == "" || f.Action == "" {
					t.Errorf("finding says too little: %+v", f)
				}
			}
		})
	}
}

func TestCOCOIDs(t *testing.T) {
	c := mustCOCO(t, labeltest.TestCategories, convert.Options{})
	boxAt := func(id string, x int) string {
		return fmt.Sprintf(`{%s "category_id": 1, "bbox": [%d,2,3,4]}`, id, x)
	}
	r := c.Image("a.jpg", convert.Size{}, labeltest.Raws(
		`{"id": 1, "category_id": 1, "segmentation": [[0,0,2,0,2,2], [4,4,6,4,6,7]]}`,
		boxAt(`"id": "1-0",`, 1), boxAt(`"id": 7,`, 1), boxAt(`"id": "7",`, 2), boxAt(``, 3), boxAt(`"id": null,`, 3), boxAt(`"id": " ",`, 3),
		boxAt(`"score": 1,`, 3),
	))
	labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), []convert.Kind{convert.KindDuplicateID, convert.KindDuplicateID, convert.KindMissingID, convert.KindMissingID, convert.KindMissingID})
	ids := map[string]bool{}
	for _, a := range r.Annotations {
		if ids[a.ID] {
			t.Errorf("id %s is there twice", a.ID)
		}
		ids[a.ID] = true
	}
	for _, id := range []string{"1-0", "1-1", "7"} {
		if !ids[id] {
			t.Errorf("id %s is gone", id)
		}
	}
	if len(ids) != 9 || r.LeftOut != 0 {
		t.Errorf("%d ids, %d dropped", len(ids), r.LeftOut)
	}

	again := c.Image("a.jpg", convert.Size{}, labeltest.Raws(boxAt(``, 3)))
	moved := c.Image("b.jpg", convert.Size{}, labeltest.Raws(boxAt(``, 3)))
	if first := c.Image("a.jpg", convert.Size{}, labeltest.Raws(boxAt(``, 3))).Annotations[0].ID; first != again.Annotations[0].ID || first == moved.Annotations[0].ID {
		t.Errorf("ids %s, %s in another file, %s on another image", first, again.Annotations[0].ID, moved.Annotations[0].ID)
	}
}

func TestCOCOServesSeveralGoroutines(t *testing.T) {
	c := mustCOCO(t, labeltest.TestCategories, convert.Options{})
	annotations := labeltest.Raws(`{"id": 7, "category_id": 5, "keypoints": [1,2,2, 0,0,0, 5,6,1], "attributes": {"a": "b"}}`, `{"id": 8, "category_id": 1, "segmentation": [[0,0,2,0,2,2]]}`)
	want := labeltest.Lines(c.Image("a.jpg", convert.Size{}, annotations).Annotations)
	results := make(chan convert.Result)
	for range 4 {
		go func() { results <- c.Image("a.jpg", convert.Size{}, annotations) }()
	}
	for range 4 {
		labeltest.Compare(t, "annotations", labeltest.Lines((<-results).Annotations), want)
	}
}

// A made-up id is part of the promise: the same labels give the same
// payload in every version of the tool. Computed with Python's uuid.uuid5 and
// struct.pack(">4d").
func TestAnnotationIDIsStable(t *testing.T) {
	got := new(convert.IDTexts).AnnotationID("dir/a.jpg", 3, 0, []pictograph.Geometry{pictograph.BBox{Box: *labeltest.Box(1, 2, 3, 4)}})
	if want := "2e12eb66-576a-596e-907a-4a4034c5b13d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCOCOClasses(t *testing.T) {
	c := mustCOCO(t, labeltest.TestCategories, convert.Options{})
	r := c.Image("a.jpg", convert.Size{}, labeltest.Raws(
		`{"id": 1, "category_id": 5, "bbox": [1,2,3,4]}`,
		`{"id": 2, "category_id": 1, "segmentation": [[0,0,2,0,2,2]]}`,
		`{"id": 3, "category_id": 5, "keypoints": [1,2,2, 0,0,0, 0,0,0]}`,
		`{"id": 4, "category_id": 5, "keypoints": [1,2,2, 3,4,2, 0,0,0]}`,
		`{"id": 5, "category_id": 9, "keypoints": [1,2,2]}`,
		`{"id": 6, "category_id": 0, "bbox": [1,2,0,0]}`,
	))
	var got []string
	for _, class := range r.Classes {
		line := class.Name + " " + string(class.Type)
		if s := class.Skeleton; s != nil {
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			line += " " + string(text)
		}
		got = append(got, line)
	}
	labeltest.Compare(t, "classes", got, []string{
		"person bbox", "cat polygon",
		`person keypoint {"nodes":[{"name":"nose"},{"name":"eye"},{"name":"ear"}],"edges":[[0,1],[1,2]]}`,
		"nose keypoint", "eye keypoint", "ear keypoint", "landmark keypoint",
	})
}

func TestCOCOOutside(t *testing.T) {
	annotations := labeltest.Raws(
		`{"id": 1, "category_id": 1, "bbox": [-5, 10, 20, 20]}`,
		`{"id": 2, "category_id": 1, "bbox": [90, 70, 20, 20]}`,
		`{"id": 3, "category_id": 1, "bbox": [0, 0, 100.005, 80]}`,
		`{"id": 4, "category_id": 1, "bbox": [200, 0, 5, 5]}`,
		`{"id": 5, "category_id": 1, "segmentation": [[-5,0, 10,0, 10,10], [50,50, 60,50, 60,60]]}`,
	)
	tests := []struct {
		outside  convert.Outside
		size     convert.Size
		want     []string
		findings []convert.Kind
		dropped  int
	}{
		{outside: "", size: convert.Size{Width: 100, Height: 80}, want: []string{"1 {-5 10 20 20}", "2 {90 70 20 20}", "3 {0 0 100.005 80}", "5-0 {-5 0 15 10}", "5-1 {50 50 10 10}"}, findings: []convert.Kind{convert.KindOutside, convert.KindOutside, convert.KindOffImage, convert.KindOutside}, dropped: 1},
		{outside: convert.OutsideKeep, size: convert.Size{Width: 100, Height: 80}, want: []string{"1 {-5 10 20 20}", "2 {90 70 20 20}", "3 {0 0 100.005 80}", "5-0 {-5 0 15 10}", "5-1 {50 50 10 10}"}, findings: []convert.Kind{convert.KindOutside, convert.KindOutside, convert.KindOffImage, convert.KindOutside}, dropped: 1},
		{outside: convert.OutsideClip, size: convert.Size{Width: 100, Height: 80}, want: []string{"1 {0 10 15 20}", "2 {90 70 10 10}", "3 {0 0 100.005 80}", "5-0 {0 0 10 10}", "5-1 {50 50 10 10}"}, findings: []convert.Kind{convert.KindOutside, convert.KindOutside, convert.KindOutsideLeftOut, convert.KindOutside}, dropped: 1},
		{outside: convert.OutsideReport, size: convert.Size{Width: 100, Height: 80}, want: []string{"3 {0 0 100.005 80}", "5-0 {50 50 10 10}"}, findings: slices.Repeat([]convert.Kind{convert.KindOutsideLeftOut}, 4), dropped: 3},
		{outside: convert.OutsideReport, want: []string{"1 {-5 10 20 20}", "2 {90 70 20 20}", "3 {0 0 100.005 80}", "4 {200 0 5 5}", "5-0 {-5 0 15 10}", "5-1 {50 50 10 10}"}, findings: []convert.Kind{convert.KindUnchecked}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.outside, test.size), func(t *testing.T) {
			r := mustCOCO(t, labeltest.TestCategories, convert.Options{Outside: test.outside}).Image("a.jpg", test.size, annotations)
			var got []string
			for _, a := range r.Annotations {
				switch g := a.Geometry.(type) {
				case pictograph.BBox:
					got = append(got, fmt.Sprint(a.ID, " ", g.Box))
				case pictograph.Polygon:
					got = append(got, fmt.Sprint(a.ID, " ", *g.Box))
				}
			}
			labeltest.Compare(t, "boxes", got, test.want)
			labeltest.Compare(t, "findings", labeltest.Kinds(r.Findings), test.findings)
			if r.LeftOut != test.dropped {
				t.Errorf("dropped %d, want %d", r.LeftOut, test.dropped)
			}
		})
	}
}

func TestCOCOCategories(t *testing.T) {
	tests := []struct {
		name       string
		categories string
		findings   []convert.Kind
		names      map[ID]string
	}{
		{"none", ``, nil, nil},
		{"null", `null`, nil, nil},
		{"names as written, numbers as text", `[{"id": 3, "name": " a b "}, {"id": "x", "name": 12}]`, nil, map[ID]string{"3": " a b ", "x": "12"}},
		{"unusable ones", `[{"id": 1}, {"id": 2, "name": " \u001c"}, {"name": "a"}, {"id": true, "name": "b"}, 7]`, slices.Repeat([]convert.Kind{convert.KindCategory}, 5), nil},
		{"one id twice", `[{"id": 1, "name": "a", "keypoints": ["x", "y"]}, {"id": "1", "name": "a"}]`, []convert.Kind{convert.KindDuplicateCategory}, map[ID]string{"1": "a"}},
		{"one key twice", `[{"id": 1, "name": "a", "id": 1, "x": 1, "x": 2}]`, []convert.Kind{convert.KindDuplicateKey}, map[ID]string{"1": "a"}},
		{"one name twice", `[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]`, []convert.Kind{convert.KindSharedCategoryName}, map[ID]string{"1": "a", "2": "a"}},
		{"keypoint names", `[{"id": 1, "name": "a", "keypoints": ["x", "", "x", null]}, {"id": 2, "name": "b", "keypoints": "x"}]`, []convert.Kind{convert.KindKeypointName, convert.KindSharedKeypointName, convert.KindKeypointName, convert.KindKeypointName}, map[ID]string{"1": "a", "2": "b"}},
		{"edges", `[{"id": 1, "name": "a", "keypoints": ["x", "y"], "skeleton": [[0,1], [2,2], [1,3], [1], [1,"2"], [1.5,2], [2,1]]}, {"id": 2, "name": "b", "skeleton": {}}]`, slices.Repeat([]convert.Kind{convert.KindSkeletonEdge}, 7), map[ID]string{"1": "a", "2": "b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, findings, err := NewConverter([]byte(test.categories), "labels.json", convert.Options{})
			if err != nil {
				t.Fatal(err)
			}
			labeltest.Compare(t, "findings", labeltest.Kinds(findings), test.findings)
			if len(c.Categories) != len(test.names) {
				t.Errorf("%d categories, want %d", len(c.Categories), len(test.names))
			}
			for id, name := range test.names {
				if c.Categories[id] == nil || c.Categories[id].Name != name {
					t.Errorf("category %s is %v, want %q", id, c.Categories[id], name)
				}
			}
		})
	}
	c, _, _ := NewConverter([]byte(tests[7].categories), "", convert.Options{})
	labeltest.Compare(t, "joints", c.Categories["1"].Keypoints, []string{"x", "joint_1", "x", "joint_3"})
	c, _, _ = NewConverter([]byte(tests[8].categories), "", convert.Options{})
	labeltest.Compare(t, "edges", c.Categories["1"].Skeleton.Edges, [][2]int{{1, 0}})
	for _, broken := range []string{`[{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]`, `[{"id": 1, "name": "a", "keypoints": ["x"]}, {"id": 1, "name": "a", "keypoints": ["y"]}]`,
		`[{"id": 1, "name": "a", "name": "b"}]`, `[{"id": 1, "name": "a", "id": 2}]`} {
		if _, _, err := NewConverter([]byte(broken), "labels.json", convert.Options{}); !errors.As(err, new(contradictionError)) {
			t.Errorf("categories %q: error %v", broken, err)
		}
	}
	for _, broken := range []string{`{}`, `[`, `[{"id": 1, "name": "` + "\xff" + `"}]`} {
		if _, _, err := NewConverter([]byte(broken), "labels.json", convert.Options{}); err == nil || !strings.Contains(err.Error(), "labels.json") {
			t.Errorf("categories %q: error %v", broken, err)
		}
	}
}

func TestParseCOCOID(t *testing.T) {
	tests := []struct{ raw, want string }{
		{`7`, "7"}, {` 7 `, "7"}, {`7.0`, "7"}, {`70e-1`, "7"}, {`"7"`, "7"}, {`"007"`, "007"}, {`-0`, "0"}, {`-0.0`, "0"}, {`-12`, "-12"},
		{`900000000000000000000001`, "900000000000000000000001"}, {`7.5`, "7.5"}, {`"a\u0020b"`, "a b"}, {`1e3`, "1000"},
		{``, ""}, {`null`, ""}, {`true`, ""}, {`[1]`, ""}, {`{}`, ""}, {`" "`, ""}, {`1e999`, ""}, {`07`, ""}, {`"a`, ""}, {`7 8`, ""}, {"\"\xff\"", ""}, {`-`, ""},
	}
	for _, test := range tests {
		got, err := parseID([]byte(test.raw))
		if string(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("ParseCOCOID(%s) = %q, %v; want %q", test.raw, got, err, test.want)
		}
	}
}

// A box that reaches far beyond its image is believed where its area says that its numbers
// are width and height; one that reaches a little beyond also where nearly all of the file's
// boxes cannot be corners.
func TestBoxesBeyondTheImageWithTheirAreas(t *testing.T) {
	size := convert.Size{Width: 640, Height: 480}
	const far, near = "400,300,600,470", "100,100,200,400"
	for _, test := range []struct {
		others, area, boxes int
		box                 string
		taken               bool
	}{
		{30, 600 * 470, 1, far, true}, {0, 600 * 470, 1, far, true}, {30, 200 * 170, 1, far, false}, {30, 0, 1, far, false}, {5, 0, 1, far, false},
		{30, 0, 1, near, true}, {5, 0, 1, near, false}, {5, 200 * 400, 1, near, true}, {30, 100 * 300, 1, near, false}, {30, 0, 5, near, false},
		{0, 200 * 400, 3, near, true}, {0, 200 * 400, 4, near, false}, {1, 200 * 400, 4, near, true},
	} {
		var annotations [][]byte
		for range test.boxes {
			annotations = append(annotations, fmt.Appendf(nil, `{"id":1,"image_id":1,"category_id":1,"bbox":[%s],"area":%d}`, test.box, test.area))
		}
		c, _, err := NewConverter([]byte(`[{"id":1,"name":"a"}]`), "a.json", convert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var sample fileSample
		sample.look("beyond.jpg", size, annotations)
		for range test.others {
			sample.look("plain.jpg", size, [][]byte{[]byte(`{"id":1,"image_id":1,"category_id":1,"bbox":[300,200,60,70]}`)})
		}
		c.suspect(&sample)
		if r := c.Image("beyond.jpg", size, annotations); (len(r.Annotations) == test.boxes) != test.taken {
			t.Errorf("%+v: %d annotations, %+v", test, len(r.Annotations), r.Findings)
		}
	}
}
