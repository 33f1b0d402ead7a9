// Package labeltest has what tests of several formats share.
package labeltest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/pictograph"
)

// Raws are annotations as a converter takes them.
func Raws(annotations ...string) [][]byte {
	list := make([][]byte, len(annotations))
	for i, a := range annotations {
		list[i] = []byte(a)
	}
	return list
}

// Box is a box.
func Box(x, y, w, h float64) *pictograph.Box { return &pictograph.Box{X: x, Y: y, W: w, H: h} }

// Lines writes annotations as one line each, which is easy to compare and to
// read in a failure: id name geometry confidence attributes.
func Lines(annotations []pictograph.Annotation) []string {
	var list []string
	for _, a := range annotations {
		line := fmt.Sprintf("%s %s %s", a.ID, a.Name, a.Geometry.Type())
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			line += fmt.Sprint(" ", g.Box)
			if g.Oriented != nil {
				line += fmt.Sprint(" turned ", *g.Oriented)
			}
		case pictograph.Polygon:
			line += fmt.Sprint(" ", g.Rings)
			if g.Box != nil {
				line += fmt.Sprint(" in ", *g.Box)
			}
		case pictograph.Keypoint:
			line += fmt.Sprintf(" %v of %d", g.Point, g.Instance)
		}
		if a.Confidence != nil {
			line += fmt.Sprint(" confidence ", *a.Confidence)
		}
		if a.Attributes != nil {
			line += fmt.Sprint(" ", a.Attributes)
		}
		list = append(list, line)
	}
	return list
}

// Kinds are those of findings, in their order.
func Kinds(findings []convert.Finding) []convert.Kind {
	var list []convert.Kind
	for _, f := range findings {
		list = append(list, f.Kind)
	}
	return list
}

// Compare fails a test where two lists differ.
func Compare[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// Encode is annotations as they are saved, a line each.
func Encode(t interface{ Fatalf(string, ...any) }, annotations []pictograph.Annotation) string {
	data, err := pictograph.AppendAnnotations(nil, annotations)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return strings.ReplaceAll(string(data), "},{\"id\"", "},\n{\"id\"")
}

// Accepted holds a result against what every result promises.
func Accepted(t interface{ Fatalf(string, ...any) }, r convert.Result, sources int) {
	payload, err := pictograph.AppendAnnotations(nil, r.Annotations)
	if err != nil {
		t.Fatalf("annotations that the service refuses: %v", err)
	}
	if _, err := pictograph.ParseAnnotations(payload); err != nil {
		t.Fatalf("annotations that cannot be read back: %v", err)
	}
	if r.Read != sources {
		t.Fatalf("%d of %d read", r.Read, sources)
	}
	if r.LeftOut > sources {
		t.Fatalf("%d of %d dropped", r.LeftOut, sources)
	}
	if r.LeftOut == sources && len(r.Annotations) > 0 || r.LeftOut < sources && len(r.Annotations) == 0 {
		t.Fatalf("%d of %d dropped, %d annotations made", r.LeftOut, sources, len(r.Annotations))
	}
	if r.LeftOut > 0 && len(r.Findings) == 0 {
		t.Fatalf("%d dropped without a finding", r.LeftOut)
	}
	told := 0
	for _, f := range r.Findings {
		if f.Kind.Severity() != convert.Changed {
			told += f.Stands()
		}
	}
	if told < r.LeftOut {
		t.Fatalf("%d dropped, %d told", r.LeftOut, told)
	}
	type classKey struct {
		name string
		of   pictograph.Type
	}
	classes := map[classKey]bool{}
	for _, class := range r.Classes {
		if key := (classKey{class.Name, class.Type}); classes[key] {
			t.Fatalf("class %v is there twice", key)
		} else {
			classes[key] = true
		}
	}
	for _, a := range r.Annotations {
		if !classes[classKey{a.Name, a.Geometry.Type()}] {
			t.Fatalf("class %q of an annotation is not among %v", a.Name, r.Classes)
		}
	}
}

// SameResult reports whether two conversions came to the same.
func SameResult(a, b convert.Result) bool {
	return reflect.DeepEqual(a.Annotations, b.Annotations) && reflect.DeepEqual(a.Classes, b.Classes) && reflect.DeepEqual(a.Findings, b.Findings) &&
		a.Read == b.Read && a.LeftOut == b.LeftOut && reflect.DeepEqual(a.Boxes, b.Boxes) && reflect.DeepEqual(a.Slots, b.Slots)
}

// TestCategories are categories of every kind.
const TestCategories = `[
	{"id": 1, "name": "cat"},
	{"id": 5, "name": "person", "keypoints": ["nose", "eye", "ear"], "skeleton": [[1, 2], [2, 3]]},
	{"id": 9, "name": "landmark"},
	{"id": "s", "name": "tip", "keypoints": []},
	{"id": 0, "name": "zero"}
]`
