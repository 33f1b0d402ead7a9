package pictograph

import (
	"fmt"
	"math"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// The quick ways of writing numbers and text give what the general ways give.
func TestQuickNumbersAreTheShortest(t *testing.T) {
	general := func(v float64) string {
		if v == 0 {
			return "0"
		}
		if abs := math.Abs(v); abs >= 1e-6 && abs < 1e21 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.OneOf(
			rapid.Float64(),
			rapid.Map(rapid.Int64Range(-1e16, 1e16), func(n int64) float64 { return float64(n) / 100 }),
			rapid.Map(rapid.Int64Range(-100_000, 100_000), func(n int64) float64 { return float64(n) / 100 }),
			rapid.Map(rapid.Int64Range(900_000, 1_100_000), func(n int64) float64 { return float64(n) / 100 }),
			rapid.Map(rapid.Int64Range(9_900_000, 10_100_000), func(n int64) float64 { return float64(n) / 100 }),
			rapid.Map(rapid.Int64Range(-100_000, 100_000), func(n int64) float64 { return math.Nextafter(float64(n)/100, 1e9) }),
			rapid.Map(rapid.Int64Range(-100_000, 100_000), func(n int64) float64 { return float64(n) / 1000 }),
			rapid.Map(rapid.Int64Range(-20_000_000, 20_000_000_000), func(n int64) float64 { return float64(n) / 1e7 }),
			rapid.Map(rapid.Int64Range(9_990_000_000_000, 10_010_000_000_000), func(n int64) float64 { return float64(n) / 1e7 }),
			rapid.Map(rapid.Int64Range(0, 1_000_000), func(n int64) float64 { return float64(n) / 1e6 * 427 / 2 }),
			rapid.Map(rapid.Int64Range(0, 1_000_000), func(n int64) float64 { return float64(n)/1e6*640 - 0.123456*640/2 }),
		)
		v, w := numbers.Draw(t, "number"), numbers.Draw(t, "another")
		if got := string(appendNumber(nil, v)); got != general(v) {
			t.Fatalf("%s, the shortest is %s", got, general(v))
		}
		point := fmt.Sprintf(`{"x":%s,"y":%s}`, general(v), general(w))
		if got, want := string(appendPoints([]byte("…"), []Point{{v, w}, {w, v}, {v, w}})), fmt.Sprintf(`…[%s,{"x":%s,"y":%s},%[1]s]`, point, general(w), general(v)); got != want {
			t.Fatalf("%s, not %s", got, want)
		}
	})
}

// Each of the quick ways writes the shortest decimal, or leaves it to others.
func TestQuickNumbersAtTheirEdges(t *testing.T) {
	room := make([]byte, 32)
	for _, v := range []float64{0, math.Copysign(0, -1), 1e-7, 2e-7, 9.999e-7, 1e-6, 1.1e-6, 0.01, 0.1, 1, 5, 10, 12.5, 999, 999.99, 1000, 1001.5, 9999, 9999.99, 10000, 10000.01, 99999, 99999.99, 100000, 999999, 999999.99, 999999.9999999, 999999.99999999,
		1e6, 1000000.5, 0.1 + 0.2, 0.0000012, 79.01184, 79.01184000000001, 1.0000001, 1.00000001, 100000.1000001, -1, -0.5, math.NaN(), math.Inf(1), math.MaxFloat64} {
		for name, way := range map[string]struct {
			put   func([]byte, float64) int
			limit float64
		}{"putQuick": {putQuick, 1e4}, "putProduct": {putProduct, 1e6}} {
			n := way.put(room, v)
			if want := strconv.FormatFloat(v, 'f', -1, 64); n > 0 && (string(room[:n]) != want || v < 1e-6) {
				t.Errorf("%s writes %s, not %s", name, room[:n], want)
			}
			if whole := v == math.Trunc(v) && v > 0 && v < way.limit; whole && n == 0 {
				t.Errorf("%s does not write %v", name, v)
			}
		}
	}
	if putProduct(room, 79.01184) == 0 || putProduct(room, math.Nextafter(79.01184, 80)) > 0 {
		t.Error("a product is not what it is taken for")
	}
}

func TestQuickTextIsQuotedAsEver(t *testing.T) {
	check := func(s string) {
		want, _ := jsontext.AppendQuote(nil, s)
		if got := appendString(nil, s); string(got) != string(want) {
			t.Fatalf("%q becomes %s, not %s", s, got, want)
		}
	}
	for c := range rune(0x100) {
		check(fmt.Sprintf("a%cb", c))
	}
	check(string([]byte{'a', utf8.RuneSelf}))
}
