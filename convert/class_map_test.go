package convert

import (
	"bytes"
	"fmt"
	"testing"

	"pictosync/pictograph"
)

// Numbers of classes are the same whatever order they are met in, and follow
// the class map where there is one.
func TestClassNumbers(t *testing.T) {
	m, err := ParseClassMap([]byte("zebra: horse\ncar: {id: 3}\nbus: {name: vehicle}\nlorry: vehicle\nignore: null\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		m     *ClassMap
		names []string
		first int
		want  string
	}{
		{nil, []string{"b", "a", "c"}, 1, "map[a:1 b:2 c:3]"},
		{nil, []string{"c", "b", "a"}, 0, "map[a:0 b:1 c:2]"},
		{m, []string{"ant", "car"}, 1, "map[ant:4 car:3 horse:1 vehicle:2]"},
		{m, []string{"vehicle", "car", "cow", "ant"}, 0, "map[ant:2 car:3 cow:4 horse:0 vehicle:1]"},
	} {
		if got := fmt.Sprint(c.m.number(c.names, c.first)); got != c.want {
			t.Errorf("%v from %d: %s, want %s", c.names, c.first, got, c.want)
		}
	}
}

func FuzzClassMap(f *testing.F) {
	f.Add([]byte("car: vehicle\nignore: null\nsign: {id: 7}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Count(data, []byte("[")) > 50 || bytes.Count(data, []byte("{")) > 50 || bytes.Count(data, []byte("- ")) > 50 {
			return // the YAML parser is quadratic in nesting; maps are written by the user
		}
		m, err := ParseClassMap(data)
		if err != nil {
			return
		}
		r := Result{Annotations: []pictograph.Annotation{{ID: "1", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{W: 1, H: 1}}}}}
		m.Apply(&r, "", "")
		for name, n := range m.number([]string{"car"}, 1) {
			if n < 0 || Blank(name) {
				t.Errorf("%q is %d", name, n)
			}
		}
	})
}
