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
