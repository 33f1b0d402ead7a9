package convert

import (
	"testing"
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
