// Package labeltest has what tests of several formats share.
package convert

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pictosync/pictograph"
)

func raws(annotations ...string) [][]byte {
	list := make([][]byte, len(annotations))
	for i, a := range annotations {
		list[i] = []byte(a)
	}
	return list
}

func box(x, y, w, h float64) *pictograph.Box { return &pictograph.Box{X: x, Y: y, W: w, H: h} }

// lines writes annotations as one line each, which is easy to compare and to
// read in a failure: id name geometry confidence attributes.
func lines(annotations []pictograph.Annotation) []string {
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

func kinds(findings []Finding) []Kind {
	var list []Kind
	for _, f := range findings {
		list = append(list, f.Kind)
	}
	return list
}

func compare[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func encode(t interface{ Fatalf(string, ...any) }, annotations []pictograph.Annotation) string {
	data, err := pictograph.AppendAnnotations(nil, annotations)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return strings.ReplaceAll(string(data), "},{\"id\"", "},\n{\"id\"")
}

// accepted holds a result against what every result promises.
func accepted(t interface{ Fatalf(string, ...any) }, r Result, sources int) {
	payload, err := pictograph.AppendAnnotations(nil, r.Annotations)
	if err != nil {
		t.Fatalf("annotations that the service refuses: %v", err)
	}
	if _, err := pictograph.DecodeAnnotations(payload); err != nil {
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
		if f.Kind.Severity() != Changed {
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
