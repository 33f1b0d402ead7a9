package convert

import (
	"strings"
	"testing"
)

// An image whose every label was left out is no empty one, whatever is accepted; one whose
// classes a class map drops is.
func TestRefusalOfNoLabels(t *testing.T) {
	box := raws(`{"id": 1, "category_id": 1, "bbox": [600,100,100,50]}`)
	outside := cocoOf(t, testCategories, Options{Outside: OutsideReport}).Image("a.jpg", Size{640, 480}, box)
	dropped := cocoOf(t, testCategories, Options{}).Image("a.jpg", Size{800, 480}, box)
	m, err := ParseClassMap([]byte("cat: null\n"))
	if err != nil {
		t.Fatal(err)
	}
	m.Apply(&dropped, "a.json", "a.jpg")
	if err := (Accepted{Lost: true}).Refusal(outside); err == nil || !strings.Contains(err.Error(), "--outside report") {
		t.Errorf("--outside report: %v", err)
	}
	for what, r := range map[string]Result{"a class map, whose images a sync guards": dropped, "no labels": {}} {
		if err := (Accepted{}).Refusal(r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
