package formats

import (
	"fmt"
	"slices"
	"testing"

	"pictosync/convert"
	"pictosync/convert/coco"
	"pictosync/convert/labeltest"
	"pictosync/convert/yolo"
)

// By default the first of keypoints, segmentation and box is taken; all of them
// where that is asked for, under ids of their own.
func TestAllGeometries(t *testing.T) {
	categories := []byte(`[{"id":1,"name":"cat","keypoints":["nose","tail"],"skeleton":[[1,2]]}]`)
	annotation := []byte(`{"id":7,"category_id":1,"keypoints":[1,1,2,5,5,1],"segmentation":[[1,1,5,1,5,5],[6,6,8,6,8,8]],"bbox":[1,2,3,4]}`)
	for _, c := range []struct {
		all  bool
		want []string
	}{
		{false, []string{"7-0 keypoint nose", "7-1 keypoint tail"}},
		{true, []string{"7-0 keypoint nose", "7-1 keypoint tail", "7-segmentation-0 polygon cat", "7-segmentation-1 polygon cat", "7-box bbox cat"}},
	} {
		conv, _, err := coco.NewConverter(categories, "x.json", convert.Options{AllGeometries: c.all})
		if err != nil {
			t.Fatal(err)
		}
		r := conv.Image("a.jpg", convert.Size{Width: 10, Height: 10}, [][]byte{annotation})
		var got []string
		for _, a := range r.Annotations {
			got = append(got, fmt.Sprintf("%s %s %s", a.ID, a.Geometry.Type(), a.Name))
		}
		if told := slices.Equal(labeltest.Kinds(r.Findings), []convert.Kind{convert.KindGeometry}); !slices.Equal(got, c.want) || told == c.all || c.all && len(r.Findings) > 0 {
			t.Errorf("all %t: %q %v, want %q", c.all, got, r.Findings, c.want)
		}
	}
	y := yolo.Converter{Classes: map[int]string{0: "cat"}, Task: yolo.Pose, KeypointCount: 1, KeypointDims: 2, Options: convert.Options{AllGeometries: true}}
	r := y.Image("a.txt", "a.jpg", convert.Size{Width: 10, Height: 10}, []byte("0 .5 .5 .2 .2 .5 .5\n"))
	if len(r.Annotations) != 2 || r.Annotations[0].ID == r.Annotations[1].ID {
		t.Errorf("a pose and its box: %+v", r.Annotations)
	}
}
