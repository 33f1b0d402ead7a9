package coco

import (
	"testing"

	"pictosync/convert"
	"pictosync/pictograph"
)

// What is released is used again, and nothing else.
func TestReleasedMemory(t *testing.T) {
	c, _, err := NewConverter([]byte(`[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]`), "a.json", convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	images := [][][]byte{
		{
			[]byte(`{"id": 1, "category_id": 1, "segmentation": [[1, 2, 30, 4, 5, 60], [7, 8, 90, 8, 7, 80.25]], "attributes": {"x": "y"}}`),
			[]byte(`{"id": 2, "category_id": 2, "segmentation": {"size": [4, 4], "counts": [1, 2, 2, 2, 3, 1, 5]}}`),
		},
		{
			[]byte(`{"id": 3, "category_id": 2, "segmentation": {"size": [3, 9], "counts": [0, 27]}}`),
			[]byte(`{"category_id": 1, "bbox": [1, 2, 3, 4]}`),
			[]byte(`{"id": 3, "category_id": 1, "segmentation": [[10, 20, 300, 40, 50, 600, 1.5, 2.5]]}`),
		},
	}
	encode := func(r convert.Result) string {
		data, err := pictograph.AppendAnnotations(nil, r.Annotations)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var kept []convert.Result
	var want []string
	for _, image := range images {
		kept = append(kept, c.Image("a.jpg", convert.Size{}, image))
		want = append(want, encode(kept[len(kept)-1]))
	}
	for n := range 1000 {
		i := n % len(images)
		r := c.Image("a.jpg", convert.Size{}, images[i])
		if got := encode(r); got != want[i] {
			t.Fatalf("converted in memory that is used again:\n%s\nnot\n%s", got, want[i])
		}
		if r.Release(); r.Annotations != nil {
			t.Fatal("released annotations are there still")
		}
		r.Release() // nothing, the second time
	}
	for i, r := range kept {
		if got := encode(r); got != want[i] {
			t.Errorf("what was not released is %s\nnow, not %s", got, want[i])
		}
	}
}
