package formats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/yolo"
)

func TestCanonicalRoundTrip(t *testing.T) {
	y := yolo.Converter{Classes: map[int]string{0: "cat", 1: "ü\u2028"}, Task: yolo.Detect}
	rapid.Check(t, func(t *rapid.T) {
		var label strings.Builder
		for range rapid.IntRange(0, 4).Draw(t, "lines") {
			fmt.Fprint(&label, rapid.IntRange(0, 1).Draw(t, "class"))
			for range rapid.SampledFrom([]int{4, 5, 6, 8}).Draw(t, "numbers") {
				fmt.Fprint(&label, " ", rapid.Float64Range(0, 1).Draw(t, "number"))
			}
			label.WriteByte('\n')
		}
		size := convert.Size{Width: rapid.IntRange(1, 5000).Draw(t, "width"), Height: rapid.IntRange(1, 5000).Draw(t, "height")}
		want := canonical.Image{Image: rapid.StringMatching(`[a-zü "/\\]{0,9}\.jpg`).Draw(t, "image"), Size: size}
		want.Annotations = y.Image("a.txt", want.Image, size, []byte(label.String())).Annotations
		line, err := want.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(line, "\r\n") || !json.Valid(line) {
			t.Fatalf("not one line of JSON: %s", line)
		}
		got, err := canonical.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		again, err := got.Append(nil)
		if err != nil || !bytes.Equal(line, again) {
			t.Fatalf("%s\n%s\n%v", line, again, err)
		}
	})
}
