package view

import (
	"bytes"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/pictograph"
)

func boxAt(id, name string, x, y, w, h float64) pictograph.Annotation {
	return pictograph.Annotation{ID: id, Name: name, Geometry: pictograph.BBox{Box: pictograph.Box{X: x, Y: y, W: w, H: h}}}
}

// What labels and files are called is shown, and is never part of the page.
func TestHostileNames(t *testing.T) {
	p := Picture{Path: `a"><img src=x onerror=alert(1)>.png`, File: "labels/\u202egpj.txt", Width: 100, Height: 80, AfterKnown: true,
		After:    []pictograph.Annotation{boxAt("1", "<script>alert(1)</script>", 1, 2, 3, 4), boxAt("2", `" onload="x`, 1, 2, 3, 4), boxAt("3", "javascript:alert(1)", 1, 2, 3, 4)},
		Findings: []convert.Finding{{Kind: convert.KindRing, At: "annotation 1", Reason: "<b>bold</b>", Action: "none"}}}
	part := NewImage(p, "javascript:alert(1)", "")
	for _, inline := range []bool{false, true} {
		var b bytes.Buffer
		if err := (Page{Title: p.Path, Inline: inline, Image: part}).Write(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, bad := range []string{"<script>alert", "<img", `" onload="x`, "<b>bold", "\u202e"} {
			if strings.Contains(page, bad) {
				t.Errorf("the page has %q", bad)
			}
		}
		for _, want := range []string{"&lt;script&gt;alert(1)", `\u202egpj.txt`, "ring (lost)"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	}
}
