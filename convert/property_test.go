package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// jsonNumber draws numbers as label files have them, bad ones included.
var jsonNumber = rapid.OneOf(
	rapid.Map(rapid.Float64Range(-100, 1000), func(v float64) string { return fmt.Sprint(v) }),
	rapid.Map(rapid.IntRange(-3, 700), func(v int) string { return fmt.Sprint(v) }),
	rapid.SampledFrom([]string{"1e999", "-1e308", "1e308", "1e-320", "NaN", "-Infinity", "null", `"7"`, "[]", "-0", "0.1000000000000000055511151231257827"}),
)

func jsonList(of *rapid.Generator[string], least, most int) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(of, least, most), func(list []string) string { return "[" + strings.Join(list, ", ") + "]" })
}

func cocoAnnotationText(id int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		members := []string{fmt.Sprintf(`"id": "n%d"`, id)}
		maybe := func(name string, value *rapid.Generator[string]) {
			if rapid.Bool().Draw(t, "has "+name) {
				members = append(members, fmt.Sprintf("%q: %s", name, value.Draw(t, name)))
			}
		}
		maybe("category_id", rapid.SampledFrom([]string{"1", "5", "9", `"s"`, "0", "77"}))
		maybe("bbox", jsonList(jsonNumber, 3, 8))
		maybe("foot_kpts", jsonList(rapid.OneOf(jsonNumber, rapid.SampledFrom([]string{"0", "1", "2"})), 0, 9))
		maybe("track_id", jsonNumber)
		maybe("segmentation", rapid.OneOf(jsonList(jsonList(jsonNumber, 0, 9), 0, 3), rapid.Just(`{"counts": [1], "size": [1, 1]}`), rapid.Just("7"),
			jsonList(jsonNumber, 0, 9), jsonList(jsonList(jsonNumber, 2, 2), 0, 5), jsonList(jsonList(jsonList(jsonNumber, 2, 2), 2, 4), 1, 2),
			rapid.SampledFrom([]string{"{}", `""`, "[[]]", "[null]", `[{"size": [480, 640], "counts": [100, 7, 307093]}]`, `[{"x": 1, "y": 2}, {"x": 30, "y": 2}, {"y": 5, "x": 9}]`, `[1, [2]]`})))
		maybe("keypoints", jsonList(rapid.OneOf(jsonNumber, rapid.SampledFrom([]string{"0", "1", "2"})), 0, 15))
		maybe("score", jsonNumber)
		maybe("attributes", rapid.SampledFrom([]string{`{"a": {"b": [1, null]}}`, `{"iscrowd": 3}`, "[]", "null", `{"a": NaN}`, `{"rotation": 30.5, "b": 1}`, `{"rotation": "x"}`}))
		maybe("iscrowd", rapid.SampledFrom([]string{"0", "1", "true", "9"}))
		return "{" + strings.Join(members, ", ") + "}"
	})
}

func TestCOCOAccountsForEveryAnnotation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, _, err := NewCOCO([]byte(testCategories), "a.json", Options{Outside: rapid.SampledFrom([]Outside{"", OutsideKeep, OutsideClip, OutsideReport}).Draw(t, "outside")})
		if err != nil {
			t.Fatal(err)
		}
		var annotations [][]byte
		for i := range rapid.IntRange(0, 6).Draw(t, "annotations") {
			annotations = append(annotations, []byte(cocoAnnotationText(i).Draw(t, "annotation")))
		}
		size := rapid.SampledFrom([]Size{{}, {640, 480}}).Draw(t, "size")
		r := c.Image("a.jpg", size, annotations)
		accepted(t, r, len(annotations))

		converted := map[string]bool{}
		for _, a := range r.Annotations {
			id, _, _ := strings.Cut(a.ID, "-")
			converted[id] = true
		}
		if len(converted)+r.LeftOut != len(annotations) {
			t.Fatalf("%d converted and %d dropped of %d", len(converted), r.LeftOut, len(annotations))
		}
		again := c.Image("a.jpg", size, annotations)
		r.memory, again.memory = nil, nil // what it holds of images before is nobody's
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("the second conversion differs:\n%+v\n%+v", r, again)
		}
	})
}

func TestYOLOAccountsForEveryLine(t *testing.T) {
	number := rapid.OneOf(
		rapid.Map(rapid.Float64Range(-0.1, 1.1), func(v float64) string { return fmt.Sprintf("%.6f", v) }),
		rapid.SampledFrom([]string{"0", "1", "2", "nan", "x", "1e308", "-1", "0.5"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		y := YOLO{
			Classes:       map[int]string{0: "cat", 1: "dog"},
			Task:          rapid.SampledFrom([]YOLOTask{"", YOLODetect, YOLOSegment, YOLOPose, YOLOOBB}).Draw(t, "task"),
			KeypointCount: rapid.IntRange(-1, 3).Draw(t, "keypoints"), KeypointDims: rapid.IntRange(1, 4).Draw(t, "dims"),
			Trailer: YOLOTrailer{Confidence: rapid.Bool().Draw(t, "confidence"), ID: rapid.Bool().Draw(t, "id")},
			Columns: rapid.SampledFrom([]YOLOColumns{nil, nil, {ColumnBox, ColumnAngle, ColumnID}, {ColumnConfidence, ColumnPolygon}, {ColumnBox}}).Draw(t, "columns"),
			Options: Options{Outside: rapid.SampledFrom([]Outside{"", OutsideClip, OutsideReport}).Draw(t, "outside")},
		}
		var label []string
		count := rapid.IntRange(0, 5).Draw(t, "lines")
		for range count {
			line := rapid.SampledFrom([]string{"0", "1", "2", "1.0"}).Draw(t, "class")
			for _, n := range rapid.SliceOfN(number, 0, 14).Draw(t, "numbers") {
				line += " " + n
			}
			label = append(label, line)
		}
		text := []byte(strings.Join(label, rapid.SampledFrom([]string{"\n", "\r\n", "\n\n", "\r"}).Draw(t, "break")))
		r := y.Image("a.txt", "a.jpg", Size{640, 480}, text)
		accepted(t, r, count)
		if loud := len(r.Findings); loud < r.LeftOut {
			t.Fatalf("%d lines left out, %d findings", r.LeftOut, loud)
		}
		// Two blanks are read the general way, one in one pass.
		again := y.Image("a.txt", "a.jpg", Size{640, 480}, bytes.ReplaceAll(text, []byte(" "), []byte("  ")))
		r.memory, again.memory = nil, nil // what it holds of images before is nobody's
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("the second conversion differs")
		}
	})
}

func TestCanonicalRoundTrip(t *testing.T) {
	y := YOLO{Classes: map[int]string{0: "cat", 1: "ü\u2028"}, Task: YOLODetect}
	rapid.Check(t, func(t *rapid.T) {
		var label strings.Builder
		for range rapid.IntRange(0, 4).Draw(t, "lines") {
			fmt.Fprint(&label, rapid.IntRange(0, 1).Draw(t, "class"))
			for range rapid.SampledFrom([]int{4, 5, 6, 8}).Draw(t, "numbers") {
				fmt.Fprint(&label, " ", rapid.Float64Range(0, 1).Draw(t, "number"))
			}
			label.WriteByte('\n')
		}
		size := Size{rapid.IntRange(1, 5000).Draw(t, "width"), rapid.IntRange(1, 5000).Draw(t, "height")}
		want := CanonicalImage{Image: rapid.StringMatching(`[a-zü "/\\]{0,9}\.jpg`).Draw(t, "image"), Size: size}
		want.Annotations = y.Image("a.txt", want.Image, size, []byte(label.String())).Annotations
		line, err := want.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(line, "\r\n") || !json.Valid(line) {
			t.Fatalf("not one line of JSON: %s", line)
		}
		got, err := ParseCanonical(line)
		if err != nil {
			t.Fatal(err)
		}
		again, err := got.Append(nil)
		if err != nil || !bytes.Equal(line, again) {
			t.Fatalf("%s\n%s\n%v", line, again, err)
		}
	})
}

// How lines are read does not depend on the order of the files, and a reading that is
// found takes the lines that it fits.
func TestYOLOReadingsAreOfAllLines(t *testing.T) {
	number := rapid.OneOf(
		rapid.Map(rapid.Float64Range(0, 1), func(v float64) string { return fmt.Sprintf("%.4f", v) }),
		rapid.SampledFrom([]string{"0", "1", "2", "7", "-1", "0.5", "45.5"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SampledFrom([][]int{{4}, {4, 5}, {5}, {6}, {4, 5, 6}, {8}, {6, 8, 10}, {7, 9}, {14}, {13}, {4, 14}}).Draw(t, "counts")
		var labels []string
		for range rapid.IntRange(1, 6).Draw(t, "files") {
			var label strings.Builder
			for range rapid.IntRange(0, 3).Draw(t, "lines") {
				label.WriteString("0 0.5 0.5 0.25 0.25")
				for range rapid.SampledFrom(counts).Draw(t, "numbers") - 4 {
					label.WriteString(" " + number.Draw(t, "number"))
				}
				label.WriteByte('\n')
			}
			labels = append(labels, label.String())
		}
		readings := func(labels []string) (all []YOLOReading) {
			var e YOLOEvidence
			for _, label := range labels {
				e.Add("a.txt", []byte(label))
			}
			return e.Readings(YOLOStated{})
		}
		want := readings(labels)
		for _, r := range want {
			if r.Flags() == "" || r.String() == "" {
				t.Fatalf("%+v cannot be asked for", r)
			}
			if r.misfits > 0 || r.shape == angleShape {
				continue
			}
			y := YOLO{Classes: map[int]string{0: "cat"}, Task: r.Task, Trailer: r.Trailer, KeypointCount: r.KeypointCount, KeypointDims: r.KeypointDims}
			for _, label := range labels {
				for _, f := range y.Image("a.txt", "a.jpg", Size{640, 480}, []byte(label)).Findings {
					var e YOLOEvidence
					if e.Add("a.txt", []byte(label)); f.Kind == KindCount && e.lines == bytes.Count([]byte(label), []byte("\n")) {
						t.Fatalf("%v of %q: %+v", r, label, f)
					}
				}
			}
		}
		mixed := rapid.Permutation(labels).Draw(t, "order")
		if got := readings(mixed); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v in another order is %v", want, got)
		}
	})
}
