package yolo

import (
	"fmt"
	"testing"

	"pictosync/pictograph"
)

// Rings are joined as Ultralytics joins them: to the nearest point of the next and back.
func TestJoinRings(t *testing.T) {
	square := func(x float64) []pictograph.Point { return rectangle(pictograph.Box{X: x, W: 10, H: 10}) }
	for _, c := range []struct {
		rings [][]pictograph.Point
		want  string
	}{
		{[][]pictograph.Point{square(0)}, "[{0 0} {10 0} {10 10} {0 10}]"},
		{[][]pictograph.Point{square(0), square(20)}, "[{10 0} {10 10} {0 10} {0 0} {10 0} {20 0} {30 0} {30 10} {20 10} {20 0}]"},
		{[][]pictograph.Point{square(0), square(20), square(40)}, "[{10 0} {10 10} {0 10} {0 0} {10 0} {20 0} {30 0} {40 0} {50 0} {50 10} {40 10} {40 0} {30 0} {30 10} {20 10} {20 0}]"},
	} {
		if got := fmt.Sprint(joinRings(c.rings)); got != c.want {
			t.Errorf("got %s\nwant %s", got, c.want)
		}
	}
}
