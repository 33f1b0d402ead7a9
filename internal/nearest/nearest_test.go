package nearest

import "testing"

func TestName(t *testing.T) {
	for _, c := range []struct {
		name       string
		candidates []string
		want       string
	}{
		{"dataste", []string{"rate", "dataset"}, "dataset"},
		{"SHAPES", []string{"cars", "Shapes"}, "Shapes"},
		{"x", []string{"a long name"}, ""},
		{"x", nil, ""},
	} {
		if got := Name(c.name, c.candidates); got != c.want {
			t.Errorf("Name(%q, %q) = %q, want %q", c.name, c.candidates, got, c.want)
		}
	}
}

func TestAlmost(t *testing.T) {
	for _, c := range []struct {
		name, other string
		almost      bool
	}{
		{"Shapes", "shapes", true},
		{"coco 128", "coco-128", true},
		{"coco_128", "coco128", true},
		{"coco128", "coc128", true},
		{"coco128", "cocoo128", true},
		{"coco128", "cooc128", true},
		{"night-cars", "night-crs", true},
		{"coco128-b", "coco128", false},
		{"coco128", "coco128-b", false},
		{"coco128 old", "coco128", false},
		{"cars-a", "cars-b", false},
		{"cars2", "cars", false},
		{"cars-2024", "cars-2025", false},
		{"a", "b", false},
		{"cars", "trucks", false},
		{"día", "dia", true},
	} {
		if got := Almost(c.name, []string{"other thing", c.other}); (got != "") != c.almost {
			t.Errorf("%q is near %q: %q", c.name, c.other, got)
		}
	}
}
