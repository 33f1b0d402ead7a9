package main

import (
	"testing"

	"pictosync/convert"
	"pictosync/internal/progress"
)

// What a source reports is told as it is worked on, and not kept.
func TestFindingsOfASourceDoNotPileUp(t *testing.T) {
	var found collector
	told, shown := 0, 0
	tell := teller{from: &found, tell: func(convert.Finding) { told++ }}
	show := tell.with(func(progress.Progress) { shown++ })
	for n := range 3 {
		found.add(convert.Finding{Kind: convert.KindNotTaken})
		found.add(convert.Finding{Kind: convert.KindNotTaken, Image: "a.jpg"})
		show(progress.Progress{})
		if told != 2*(n+1) || len(found.findings) != 0 {
			t.Fatalf("%d are told, and %d kept", told, len(found.findings))
		}
	}
	if shown != 3 || tell.told != 6 || tell.lost != 3 || tell.kinds[string(convert.KindNotTaken)] != 6 {
		t.Errorf("%+v", tell)
	}
}
