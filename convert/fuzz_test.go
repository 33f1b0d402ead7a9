package convert

import (
	"testing"

	"pictosync/pictograph"
)

func FuzzCOCOAnnotation(f *testing.F) {
	c, _, err := NewCOCO([]byte(testCategories), "a.json", Options{Outside: OutsideClip})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "attributes": {"a": [1]}, "iscrowd": 1}`,
		`{"id": "7", "category_id": 5, "keypoints": [1, 2, 2, 0, 0, 0, 3, 4, 1], "bbox": [1, 2, 3, 4]}`,
		`{"id": 7.0, "category_id": 1, "segmentation": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, NaN]]}`,
		`{"id": 7, "category_id": 1, "segmentation": {"counts": "abc", "size": [2, 2]}}`,
		`{"id": 7, "category_id": 1, "segmentation": [[1, 2], [3, 4], [5, 60]], "track": [1], "attributes": {"rotation": 4}}`,
		`{"id": 7, "category_id": 5, "foot_kpts": [[1, 2, 2]], "keypoint_scores": [0.5, null], "keypoints": [1, 2, 2], "segmentation": [{"x": 1, "y": 2}], "bbox": [1, 2, 3, 4, 5, 6, 7, 8]}`,
		`{"id": 7, "category_id": 1, "segmentation": [{"a": "]"}, ["\"]"], [[1]]]}`,
	} {
		f.Add([]byte(seed), []byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, sized bool) {
		size := Size{}
		if sized {
			size = Size{640, 480}
		}
		accepted(t, c.Image("a.jpg", size, [][]byte{one, two}), 2)
	})
}

func FuzzCOCOCategories(f *testing.F) {
	f.Add([]byte(testCategories))
	f.Add([]byte(`[{"id": "a", "name": 7, "keypoints": ["x", null, 3], "skeleton": [[1, 2], [1.5, 9e99], "x"]}]`))
	annotations := raws(
		`{"id": 1, "category_id": 1, "bbox": [1,2,3,4]}`,
		`{"id": 2, "category_id": 5, "keypoints": [1,2,2, 3,4,1]}`,
		`{"id": 3, "category_id": "a", "keypoints": [1,2,2, 3,4,1]}`,
	)
	f.Fuzz(func(t *testing.T, categories []byte) {
		c, _, err := NewCOCO(categories, "a.json", Options{})
		if err != nil {
			return
		}
		r := c.Image("a.jpg", Size{}, annotations)
		accepted(t, r, len(annotations))
		for _, class := range r.Classes {
			if class.Skeleton == nil {
				continue
			}
			for _, edge := range class.Skeleton.Edges {
				if n := len(class.Skeleton.Nodes); edge[0] == edge[1] || min(edge[0], edge[1]) < 0 || max(edge[0], edge[1]) >= n {
					t.Fatalf("edge %v among %d joints", edge, n)
				}
			}
		}
	})
}

func FuzzYOLO(f *testing.F) {
	for _, seed := range []string{
		"0 0.5 0.5 0.25 0.5\n1 .5 .5 .2 .2 .9\r\n", "\ufeff0 0 0 .5 0 .5 1\n", "0 .1 .1 .2 .1 .2 .2 .1 .2", "0 .5 .5 .2 .2 .1 .1 2 0 0 0", "0 nan\x1c1 1e999\u00a0\u2028", "YOLO_OBB\n0 .5 .5 .2 .2 3",
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(2))
		f.Add([]byte(seed), uint8(3))
		f.Add([]byte(seed), uint8(12))
	}
	f.Fuzz(func(t *testing.T, label []byte, task uint8) {
		y := YOLO{Classes: map[int]string{0: "cat", 1: "dog"}, Task: YOLOTasks[int(task)%len(YOLOTasks)], KeypointCount: 2, KeypointDims: 2 + int(task)%2, Trailer: YOLOTrailer{Confidence: task&4 > 0, ID: task&8 > 0}, Options: Options{Outside: OutsideClip}}
		count := 0
		for range yoloLines(label) {
			count++
		}
		if _, _, header := angleHeader(withoutMark(label)); header {
			count--
		}
		accepted(t, y.Image("a.txt", "a.jpg", Size{640, 480}, label), count)
		var e YOLOEvidence
		e.Add("a.txt", label)
		if e.lines > count {
			t.Fatalf("%d lines, %d counted", count, e.lines)
		}
		for _, r := range e.Readings(YOLOStated{}) {
			if r.misfits*10 > e.lines {
				t.Fatalf("%v misses %d of %d lines", r, r.misfits, e.lines)
			}
		}
	})
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"image":"dir/a.jpg","width":640,"height":480,"annotations":[{"id":"1","name":"cat","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`))
	f.Add([]byte(`{"image":"a","annotations":[]}`))
	f.Add([]byte(`{"image":"a","annotations":[{"id":"1","name":"nose","type":"keypoint","keypoint":{"x":1,"y":2},"instance_id":1}],"boxes":[{"instance_id":1,"x":1,"y":2,"w":3,"h":4}],"slots":[{"instance_id":1,"joints":9}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := ParseCanonical(line)
		if err != nil {
			return
		}
		written, err := c.Append(nil)
		if err != nil {
			t.Fatalf("%s is read and cannot be written: %v", line, err)
		}
		if _, err := ParseCanonical(written); err != nil {
			t.Fatalf("%s is written as %s: %v", line, written, err)
		}
		if err := pictograph.ValidateAnnotations(c.Annotations); err != nil {
			t.Fatalf("%s holds %v", line, err)
		}
	})
}
