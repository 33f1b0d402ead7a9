package compare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pictosync/pictograph"
)

func box(id, name string, x, y, w, h float64) pictograph.Annotation {
	return pictograph.Annotation{ID: id, Name: name, Geometry: pictograph.BBox{Box: pictograph.Box{X: x, Y: y, W: w, H: h}}}
}

func lines(changes []Change) (out []string) {
	for _, c := range changes {
		out = append(out, c.Line())
	}
	return out
}

func TestAnnotations(t *testing.T) {
	one := 0.5
	half := box("c", "car", 10, 10, 20, 20)
	half.Confidence = &one
	wheel := box("w", "wheel", 1, 1, 2, 2)
	wheel.Attributes = map[string]any{"side": "left"}
	right := wheel
	right.Attributes = map[string]any{"side": "right"}
	for _, c := range []struct {
		name          string
		before, after []pictograph.Annotation
		want          []string
	}{
		{"nothing", nil, nil, nil},
		{"one more", nil, []pictograph.Annotation{box("1", "car", 1, 2, 3, 4)}, []string{"+ car 1,2 3×4"}},
		{"one less", []pictograph.Annotation{box("1", "car", 1, 2, 3, 4)}, nil, []string{"- car 1,2 3×4"}},
		{"moved, with other ids", []pictograph.Annotation{box("1", "car", 120, 80, 64, 40)}, []pictograph.Annotation{box("x", "car", 122, 80, 64, 40)},
			[]string{"~ car 120,80 64×40 → 122,80 64×40 IoU 0.93"}},
		{"the same, with other ids", []pictograph.Annotation{box("1", "car", 1, 2, 3, 4)}, []pictograph.Annotation{box("x", "car", 1, 2, 3, 4)}, []string{"= car 1,2 3×4"}},
		{"another class under one id", []pictograph.Annotation{box("1", "car", 1, 2, 3, 4)}, []pictograph.Annotation{box("1", "van", 1, 2, 3, 4)},
			[]string{"~ car → van 1,2 3×4"}},
		{"another class at one place", []pictograph.Annotation{box("1", "car", 1, 2, 3, 4)}, []pictograph.Annotation{box("2", "van", 1, 2, 3, 4)},
			[]string{"+ van 1,2 3×4", "- car 1,2 3×4"}},
		{"far apart", []pictograph.Annotation{box("1", "car", 0, 0, 10, 10)}, []pictograph.Annotation{box("2", "car", 100, 0, 10, 10)},
			[]string{"+ car 100,0 10×10", "- car 0,0 10×10"}},
		{"the best overlap first", []pictograph.Annotation{box("1", "car", 0, 0, 10, 10), box("2", "car", 4, 0, 10, 10)}, []pictograph.Annotation{box("3", "car", 3, 0, 10, 10)},
			[]string{"~ car 4,0 10×10 → 3,0 10×10 IoU 0.81", "- car 0,0 10×10"}},
		{"a confidence", []pictograph.Annotation{box("c", "car", 10, 10, 20, 20)}, []pictograph.Annotation{half}, []string{"~ car 10,10 20×20 confidence 1 → 0.5"}},
		{"an attribute", []pictograph.Annotation{wheel}, []pictograph.Annotation{right}, []string{"~ wheel 1,1 2×2 (its attributes differ)"}},
		{"a little", []pictograph.Annotation{box("1", "car", 1, 2, 3, 4)}, []pictograph.Annotation{box("1", "car", 1.1, 2, 3, 4)}, []string{"~ car 1,2 3×4 (by less than half a pixel)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := lines(Annotations(c.before, c.after)); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// However many there are, every annotation is in one change, and what only moved is not
// taken for more and less.
func TestMany(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var before, after []pictograph.Annotation
	for i := range 20000 {
		x, y := float64(i%200)*50, float64(i/200)*50
		before = append(before, box(fmt.Sprint("b", i), "car", x, y, 40, 30))
		after = append(after, box(fmt.Sprint("a", i), "car", x+r.Float64()*4, y, 40, 30))
	}
	r.Shuffle(len(after), func(i, j int) { after[i], after[j] = after[j], after[i] })
	if n := Count(Annotations(before, after)); n[Changed]+n[Unchanged] != len(before) || n[Added]+n[Removed] > 0 {
		t.Errorf("%v", n)
	}
}
