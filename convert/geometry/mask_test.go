package geometry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pictosync/convert/geometry/bitmaptest"
	"pictosync/pictograph"
)

// filled fills rings along pixel edges by toggling everything to the right of
// each vertical edge.
func filled(t *testing.T, width, height int, polygons []pictograph.Polygon) bitmaptest.Bitmap {
	b := bitmaptest.NewBitmap(width, height)
	for _, p := range polygons {
		one := bitmaptest.NewBitmap(width, height)
		for _, ring := range p.Rings {
			last := ring[len(ring)-1]
			for _, q := range ring {
				if q.X == last.X {
					for y := int(min(q.Y, last.Y)); y < int(max(q.Y, last.Y)); y++ {
						for x := int(q.X); x < width; x++ {
							one[y][x] = !one[y][x]
						}
					}
				} else if q.Y != last.Y {
					t.Fatalf("a slanted edge %v %v", last, q)
				}
				last = q
			}
		}
		for y := range one {
			for x := range one[y] {
				if one[y][x] && b[y][x] {
					t.Fatalf("two polygons cover (%d, %d)", x, y)
				}
				b[y][x] = b[y][x] || one[y][x]
			}
		}
	}
	return b
}

func parseBitmap(rows ...string) bitmaptest.Bitmap {
	b := bitmaptest.NewBitmap(len(rows[0]), len(rows))
	for y, row := range rows {
		for x, c := range row {
			b[y][x] = c == '#'
		}
	}
	return b
}

// randomBitmap is noise, discs with holes, stripes, or a single pixel.
func randomBitmap(r *rand.Rand) bitmaptest.Bitmap {
	b := bitmaptest.NewBitmap(1+r.IntN(24), 1+r.IntN(24))
	width, height := len(b[0]), len(b)
	set := func(in func(x, y int) bool) {
		for y := range b {
			for x := range b[y] {
				b[y][x] = in(x, y)
			}
		}
	}
	switch r.IntN(7) {
	case 0:
		density := r.Float64()
		set(func(x, y int) bool { return r.Float64() < density })
	case 1: // discs in discs
		for range 1 + r.IntN(6) {
			cx, cy, radius := r.IntN(width), r.IntN(height), r.IntN(12)
			for y := range b {
				for x := range b[y] {
					if (x-cx)*(x-cx)+(y-cy)*(y-cy) <= radius*radius {
						b[y][x] = !b[y][x]
					}
				}
			}
		}
	case 2:
		b[r.IntN(height)][r.IntN(width)] = true
	case 3:
		step, phase := 1+r.IntN(4), r.IntN(4)
		set(func(x, y int) bool { return (x+y+phase)/step%2 == 0 }) // diagonals
	case 4:
		set(func(x, y int) bool { return (x+y)%2 == 0 }) // chessboard
	case 5:
		set(func(int, int) bool { return true })
		for range r.IntN(4) {
			b[r.IntN(height)][r.IntN(width)] = false
		}
	case 6: // rings in rings
		set(func(x, y int) bool { return min(x, y, width-1-x, height-1-y)%2 == 0 })
	}
	return b
}

// checkTrace holds the traced polygons against the bitmap and against what is
// promised of rings.
func checkTrace(t *testing.T, b bitmaptest.Bitmap, polygons []pictograph.Polygon) {
	t.Helper()
	width, height := len(b[0]), len(b)
	if got := filled(t, width, height, polygons).String(); got != b.String() {
		t.Fatalf("filling the outlines gives\n%s\nfor\n%s", got, b)
	}
	if got, want := len(polygons), b.Regions(); got != want {
		t.Fatalf("%d polygons for %d regions of\n%s", got, want, b)
	}
	for _, p := range polygons {
		for i, ring := range p.Rings {
			if outer := Area(ring) > 0; outer != (i == 0) {
				t.Fatalf("ring %d of %d turns the wrong way:\n%s%v", i, len(p.Rings), b, p)
			}
			seen := map[pictograph.Point]bool{}
			for j, q := range ring {
				if seen[q] {
					t.Fatalf("a ring passes %v twice:\n%s", q, b)
				}
				seen[q] = true
				before, after := ring[(j+len(ring)-1)%len(ring)], ring[(j+1)%len(ring)]
				if before.X == q.X && q.X == after.X || before.Y == q.Y && q.Y == after.Y {
					t.Fatalf("%v lies between %v and %v:\n%s", q, before, after, b)
				}
			}
		}
	}
}

// Outlines of 10,000 masks fill to the very same pixels, and both encodings of
// a mask are the same mask.
func TestTrace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		b := randomBitmap(r)
		m, err := decodeMask([]byte(b.RLE()))
		if err != nil {
			t.Fatalf("decode %s: %v", b.RLE(), err)
		}
		packed, err := decodeMask([]byte(b.Compressed()))
		if err != nil {
			t.Fatalf("decode %s: %v", b.Compressed(), err)
		}
		if !slices.Equal(m.Runs, packed.Runs) {
			t.Fatalf("%s and %s are two masks", b.RLE(), b.Compressed())
		}
		checkTrace(t, b, m.Trace())
		// Out again: zero counts aside, the encoding is unique.
		if got := string(m.RLE(nil)); got != strings.Replace(b.RLE(), ",0]", "]", 1) {
			t.Fatalf("encoded as %s, want %s", got, b.RLE())
		}
	}
}

func TestTraceByHand(t *testing.T) {
	for _, c := range []struct {
		name string
		rows []string
		want string
	}{
		{"one pixel", []string{"...", ".#.", "..."}, "[[{1 1} {2 1} {2 2} {1 2}]]"},
		{"a corner apart", []string{"#.", ".#"}, "[[{0 0} {1 0} {1 1} {0 1}]] [[{1 1} {2 1} {2 2} {1 2}]]"},
		{"a hole", []string{"###", "#.#", "###"}, "[[{0 0} {3 0} {3 3} {0 3}] [{1 1} {1 2} {2 2} {2 1}]]"},
		{"holes a corner apart", []string{"####", "#.##", "##.#", "####"}, "[[{0 0} {4 0} {4 4} {0 4}] [{1 1} {1 2} {2 2} {2 1}] [{2 2} {2 3} {3 3} {3 2}]]"},
		{"nothing", []string{"..", ".."}, ""},
	} {
		m, err := decodeMask([]byte(parseBitmap(c.rows...).RLE()))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range m.Trace() {
			for _, ring := range p.Rings {
				turnTo(ring, smallest(ring))
			}
			slices.SortFunc(p.Rings[1:], func(a, b []pictograph.Point) int { return int(a[0].X - b[0].X) })
			got = append(got, fmt.Sprint(p.Rings))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

func smallest(ring []pictograph.Point) (at int) {
	for i, p := range ring {
		if p.X < ring[at].X || p.X == ring[at].X && p.Y < ring[at].Y {
			at = i
		}
	}
	return at
}

func turnTo(ring []pictograph.Point, first int) {
	copy(ring, append(slices.Clone(ring[first:]), ring[:first]...))
}

// What no mask can be made of is said, and costs neither time nor memory.
func TestBadMasks(t *testing.T) {
	for _, c := range []struct{ rle, want string }{
		{`{"size":[2,2],"counts":[1,2]}`, "fill 3 of the 4 pixels"},
		{`{"size":[2,2],"counts":[1,4]}`, "beyond the 2×2 pixels"},
		{`{"size":[2,2],"counts":[1,-1,4]}`, "negative"},
		{`{"size":[2,2],"counts":[1.5,2.5]}`, "no whole number"},
		{`{"size":[2,2],"counts":[1,"x"]}`, "counts"},
		{`{"size":[2,2],"counts":5}`, "the counts are"},
		{`{"size":[2,2]}`, "the counts are"},
		{`{"counts":[4]}`, "no size"},
		{`{"size":[0,2],"counts":[]}`, "2×0 pixels"},
		{`{"size":[65537,1],"counts":[]}`, "on a side"},
		{`{"size":[60000,60000],"counts":[3600000000]}`, "in all"},
		{`{"size":[2,2],"counts":"~~"}`, "damaged"},
		{`{"size":[2,2],"counts":"o"}`, "break off"},
		{`{"size":[2,2],"counts":"oooooooooooooooo0"}`, "damaged"},
		{`{"size":[4096,4096],"counts":[` + strings.Repeat("1,", 1<<24-1) + `1]}`, "more than 4194304 runs"},
	} {
		if _, err := decodeMask([]byte(c.rle)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: got %v, want %q", c.rle, err, c.want)
		}
	}
}

// Every point of the outline stays within the tolerance of the simplified one,
// and the same way round.
func TestSimplify(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		b := randomBitmap(r)
		m, err := decodeMask([]byte(b.RLE()))
		if err != nil {
			t.Fatal(err)
		}
		tolerance := r.Float64() * 4
		for _, p := range m.Trace() {
			for i, ring := range Simplify(p, tolerance).Rings {
				if len(ring) < 3 || Area(ring) == 0 || Area(ring) > 0 != (i == 0) {
					t.Fatalf("ring %d became %v of\n%s", i, ring, b)
				}
				for _, q := range p.Rings[i] {
					if far := toRing(q, ring); far > tolerance+1e-9 {
						t.Fatalf("%v is %v px from the simplified ring, more than %v:\n%s", q, far, tolerance, b)
					}
				}
			}
		}
	}
	disc := bitmaptest.NewBitmap(100, 100)
	for y := range disc {
		for x := range disc[y] {
			disc[y][x] = (x-50)*(x-50)+(y-50)*(y-50) < 40*40
		}
	}
	m, err := decodeMask([]byte(disc.RLE()))
	if err != nil {
		t.Fatal(err)
	}
	exact := m.Trace()[0]
	if n := len(Simplify(exact, 1).Rings[0]); n > len(exact.Rings[0])/4 {
		t.Errorf("a disc of %d points has %d when simplified", len(exact.Rings[0]), n)
	}
}

func toRing(p pictograph.Point, ring []pictograph.Point) float64 {
	nearest := 1e9
	last := ring[len(ring)-1]
	for _, q := range ring {
		nearest = min(nearest, toSegment(p, last, q))
		last = q
	}
	return nearest
}

// A comb is what makes the simplification slow where nothing bounds it.
func TestSimplifyLongRing(t *testing.T) {
	ring := []pictograph.Point{{X: 0, Y: 0}}
	for x := range 200_000 {
		ring = append(ring, pictograph.Point{X: float64(x), Y: 10 + 5*float64(x%2)})
	}
	ring = append(ring, pictograph.Point{X: 200_000, Y: 0})
	done := make(chan int)
	go func() { done <- len(simplifyRing(ring, 1)) }()
	select {
	case n := <-done:
		if n < 200_000 {
			t.Errorf("%d points are left of a comb of 200,000", n)
		}
	case <-time.After(time.Minute): // quadratic time would be hours
		t.Fatal("the simplification hangs")
	}
}

func FuzzMask(f *testing.F) {
	f.Add([]byte(`{"size":[3,3],"counts":[1,2,3,3]}`))
	f.Add([]byte(parseBitmap("##.", ".##", "#.#").Compressed()))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMask(data)
		if err != nil {
			return
		}
		polygons := m.Trace()
		if m.Width*m.Height > 4096 {
			return
		}
		total := 0.0
		for _, p := range polygons {
			for _, ring := range p.Rings {
				total += Area(ring) / 2
			}
		}
		if int(total) != m.Pixels() {
			t.Errorf("outlines of %v pixels around %d", total, m.Pixels())
		}
	})
}

// BenchmarkMask decodes and traces a mask of 4000×4000 pixels: discs with
// ragged edges.
func BenchmarkMask(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	big := bitmaptest.NewBitmap(4000, 4000)
	for range 60 {
		cx, cy, radius := r.IntN(4000), r.IntN(4000), 50+r.IntN(500)
		for y := max(0, cy-radius); y < min(4000, cy+radius); y++ {
			for x := max(0, cx-radius); x < min(4000, cx+radius); x++ {
				if d := (x-cx)*(x-cx) + (y-cy)*(y-cy); d < radius*radius-r.IntN(2000) {
					big[y][x] = true
				}
			}
		}
	}
	for name, rle := range map[string]string{"plain": big.RLE(), "compressed": big.Compressed()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := decodeMask([]byte(rle))
				if err != nil {
					b.Fatal(err)
				}
				m.Trace()
			}
		})
	}
}

// A polygon with holes covers the pixels whose centres it covers.
func TestFillPolygons(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		width, height := 1+r.IntN(30), 1+r.IntN(30)
		var polygons []pictograph.Polygon
		for range 1 + r.IntN(3) {
			var p pictograph.Polygon
			for range 1 + r.IntN(3) {
				var ring []pictograph.Point
				for range 3 + r.IntN(5) {
					ring = append(ring, pictograph.Point{X: r.Float64()*40 - 5, Y: r.Float64()*40 - 5})
				}
				p.Rings = append(p.Rings, ring)
			}
			polygons = append(polygons, p)
		}
		m, err := FillPolygons(polygons, width, height)
		if err != nil {
			t.Fatal(err)
		}
		got := bitmaptest.NewBitmap(width, height)
		for _, run := range m.Runs {
			for y := run.top; y < run.bottom; y++ {
				got[y][run.x] = true
			}
		}
		want := bitmaptest.NewBitmap(width, height)
		for y := range want {
			for x := range want[y] {
				for _, p := range polygons {
					want[y][x] = want[y][x] || covers(p, float64(x)+0.5, float64(y)+0.5)
				}
			}
		}
		if got.String() != want.String() {
			t.Fatalf("%v fills\n%s\nwant\n%s", polygons, got, want)
		}
	}
}

// covers counts the edges to the right of a point.
func covers(p pictograph.Polygon, x, y float64) bool {
	inside := false
	for _, ring := range p.Rings {
		a := ring[len(ring)-1]
		for _, b := range ring {
			if (a.Y > y) != (b.Y > y) && x < a.X+(y-a.Y)/(b.Y-a.Y)*(b.X-a.X) {
				inside = !inside
			}
			a = b
		}
	}
	return inside
}

func decodeMask(segmentation []byte) (*Mask, error) {
	m := new(Mask)
	return m, m.Unmarshal(segmentation)
}
