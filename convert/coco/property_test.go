package coco

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert"
	"pictosync/convert/labeltest"
)

// jsonNumber draws numbers as label files have them, bad ones included.
var jsonNumber = rapid.OneOf(
	rapid.Map(rapid.Float64Range(-100, 1000), func(v float64) string { return fmt.Sprint(v) }),
	rapid.Map(rapid.IntRange(-3, 700), func(v int) string { return fmt.Sprint(v) }),
	rapid.SampledFrom([]string{"1e999", "-1e308", "1e308", "1e-320", "NaN", "-Infinity", "null", `"7"`, "[]", "-0", "0.1000000000000000055511151231257827"}),
)

func jsonList(of *rapid.Generator[string], least, most int) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(of, least, most), func(list []string) string { return "[" + strings.Join(list, ", ") + "]" })
}

func cocoAnnotationText(id int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		members := []string{fmt.Sprintf(`"id": "n%d"`, id)}
		maybe := func(name string, value *rapid.Generator[string]) {
			if rapid.Bool().Draw(t, "has "+name) {
				members = append(members, fmt.Sprintf("%q: %s", name, value.Draw(t, name)))
			}
		}
		maybe("category_id", rapid.SampledFrom([]string{"1", "5", "9", `"s"`, "0", "77"}))
		maybe("bbox", jsonList(jsonNumber, 3, 8))
		maybe("foot_kpts", jsonList(rapid.OneOf(jsonNumber, rapid.SampledFrom([]string{"0", "1", "2"})), 0, 9))
		maybe("track_id", jsonNumber)
		maybe("segmentation", rapid.OneOf(jsonList(jsonList(jsonNumber, 0, 9), 0, 3), rapid.Just(`{"counts": [1], "size": [1, 1]}`), rapid.Just("7"),
			jsonList(jsonNumber, 0, 9), jsonList(jsonList(jsonNumber, 2, 2), 0, 5), jsonList(jsonList(jsonList(jsonNumber, 2, 2), 2, 4), 1, 2),
			rapid.SampledFrom([]string{"{}", `""`, "[[]]", "[null]", `[{"size": [480, 640], "counts": [100, 7, 307093]}]`, `[{"x": 1, "y": 2}, {"x": 30, "y": 2}, {"y": 5, "x": 9}]`, `[1, [2]]`})))
		maybe("keypoints", jsonList(rapid.OneOf(jsonNumber, rapid.SampledFrom([]string{"0", "1", "2"})), 0, 15))
		maybe("score", jsonNumber)
		maybe("attributes", rapid.SampledFrom([]string{`{"a": {"b": [1, null]}}`, `{"iscrowd": 3}`, "[]", "null", `{"a": NaN}`, `{"rotation": 30.5, "b": 1}`, `{"rotation": "x"}`}))
		maybe("iscrowd", rapid.SampledFrom([]string{"0", "1", "true", "9"}))
		return "{" + strings.Join(members, ", ") + "}"
	})
}

func TestCOCOAccountsForEveryAnnotation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, _, err := NewConverter([]byte(labeltest.TestCategories), "a.json", convert.Options{Outside: rapid.SampledFrom([]convert.Outside{"", convert.OutsideKeep, convert.OutsideClip, convert.OutsideReport}).Draw(t, "outside")})
		if err != nil {
			t.Fatal(err)
		}
		var annotations [][]byte
		for i := range rapid.IntRange(0, 6).Draw(t, "annotations") {
			annotations = append(annotations, []byte(cocoAnnotationText(i).Draw(t, "annotation")))
		}
		size := rapid.SampledFrom([]convert.Size{{}, {Width: 640, Height: 480}}).Draw(t, "size")
		r := c.Image("a.jpg", size, annotations)
		labeltest.Accepted(t, r, len(annotations))

		converted := map[string]bool{}
		for _, a := range r.Annotations {
			id, _, _ := strings.Cut(a.ID, "-")
			converted[id] = true
		}
		if len(converted)+r.LeftOut != len(annotations) {
			t.Fatalf("%d converted and %d dropped of %d", len(converted), r.LeftOut, len(annotations))
		}
		again := c.Image("a.jpg", size, annotations)
		if !labeltest.SameResult(r, again) {
			t.Fatalf("the second conversion differs:\n%+v\n%+v", r, again)
		}
	})
}
