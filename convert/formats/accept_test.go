package formats

import (
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/labeltest"
)

// An image whose every label was left out is no empty one, whatever is accepted; one whose
// classes a class map drops is.
func TestRefusalOfNoLabels(t *testing.T) {
	box := labeltest.Raws(`{"id": 1, "category_id": 1, "bbox": [600,100,100,50]}`)
	outside := cocoOf(t, labeltest.TestCategories, convert.Options{Outside: convert.OutsideReport}).Image("a.jpg", convert.Size{Width: 640, Height: 480}, box)
	dropped := cocoOf(t, labeltest.TestCategories, convert.Options{}).Image("a.jpg", convert.Size{Width: 800, Height: 480}, box)
	m, err := convert.ParseClassMap([]byte("cat: null\n"))
	if err != nil {
		t.Fatal(err)
	}
	m.Apply(&dropped, "a.json", "a.jpg")
	if err := (convert.Accepted{Lost: true}).Refusal(outside); err == nil || !strings.Contains(err.Error(), "--outside report") {
		t.Errorf("--outside report: %v", err)
	}
	for what, r := range map[string]convert.Result{"a class map, whose images a sync guards": dropped, "no labels": {}} {
		if err := (convert.Accepted{}).Refusal(r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
