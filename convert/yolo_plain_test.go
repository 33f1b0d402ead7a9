package convert

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// samePlainLine holds what the plain way makes of the first line of a label against
// the general way: it may leave a line alone, but not take it otherwise.
func samePlainLine(t interface{ Fatalf(string, ...any) }, label []byte) (plain bool) {
	class, numbers, length := plainLine(nil, label)
	if length == 0 {
		return false
	}
	line, rest := cutLine(label)
	field, fields := nextField(line)
	wantClass, classErr := parseClass(field)
	want, err := appendFields(nil, fields)
	if classErr != nil || err != nil || class != wantClass || !sameBits(numbers, want) || !bytes.Equal(label[length:], rest) {
		t.Fatalf("%q is %d %v and %q behind it; want %d %v and %q, %v, %v", label, class, numbers, label[length:], wantClass, want, rest, classErr, err)
	}
	return true
}

func TestPlainLinesAreTheSame(t *testing.T) {
	for _, label := range []string{"0 0.123456 0.5 0.25 1.000000\n", "12 0.1 0.2 0.3 0.4 0.9", "3 0.51953125 0.123456789 0.4921875 1\r\n0 1", "7 -0.1 .5 5. 0.25\n", "1\n"} {
		if !samePlainLine(t, []byte(label)) {
			t.Errorf("%q is not taken for plain", label)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(
			rapid.StringMatching(`[0-9]\.[0-9]{1,10}`), rapid.StringMatching(`-?[0-9]{0,9}\.?[0-9]{0,9}(e-?[0-9])?`),
			rapid.SampledFrom([]string{"nan", "0x1", "1_0", "+1", "--1", "1.2.3", "", "-", "."}))
		var label strings.Builder
		label.WriteString(rapid.StringMatching(`[0-9]{1,10}|-1|3\.0|\+2| 1|`).Draw(t, "class"))
		for range rapid.IntRange(0, 6).Draw(t, "numbers") {
			label.WriteString(rapid.SampledFrom([]string{" ", " ", " ", " ", " ", " ", "  ", "\t", "\u00a0", ","}).Draw(t, "blank"))
			label.WriteString(number.Draw(t, "number"))
		}
		label.WriteString(rapid.SampledFrom([]string{"", "\n", "\r\n", "\r", " \n", "\v", "\u2028", "\x1c", "x"}).Draw(t, "end"))
		label.WriteString(rapid.SampledFrom([]string{"", "0 0.5 0.5 0.5 0.5\n", "\n\n"}).Draw(t, "more"))
		samePlainLine(t, []byte(label.String()))
	})
}

// A share is the double that strconv reads.
func TestShareIsTheNearestDouble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]\.[0-9]{1,8}`).Draw(t, "share")
		behind := rapid.SampledFrom([]string{" 0.123456", "\n0 0.1 0.2", "e5 000000", "x         "}).Draw(t, "behind")
		want, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		got, length := share([]byte(text + behind))
		if length != len(text) || math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%s%s is %v, %d long, not %v", text, behind, got, length, want)
		}
	})
	if _, length := share([]byte("0.123456 ")); length != 0 {
		t.Error("what may be read past its end was read")
	}
}

func FuzzPlainLine(f *testing.F) {
	for _, label := range []string{"0 0.123456 0.5 0.25 1.000000\n", "3 0.51953125 0.123456789 0.4921875 1\r\n0 1", "7 -0.1 .5 5. 1e-3\n", "1 \t2\u2028", "3.0 1\n"} {
		f.Add([]byte(label))
	}
	f.Fuzz(func(t *testing.T, label []byte) { samePlainLine(t, label) })
}
