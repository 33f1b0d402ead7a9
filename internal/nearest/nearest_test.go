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
