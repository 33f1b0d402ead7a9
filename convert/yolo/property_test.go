package yolo

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pictosync/convert"
	"pictosync/convert/labeltest"
)

func TestYOLOAccountsForEveryLine(t *testing.T) {
	number := rapid.OneOf(
		rapid.Map(rapid.Float64Range(-0.1, 1.1), func(v float64) string { return fmt.Sprintf("%.6f", v) }),
		rapid.SampledFrom([]string{"0", "1", "2", "nan", "x", "1e308", "-1", "0.5"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		y := Converter{
			Classes:       map[int]string{0: "cat", 1: "dog"},
			Task:          rapid.SampledFrom([]Task{"", Detect, Segment, Pose, OBB}).Draw(t, "task"),
			KeypointCount: rapid.IntRange(-1, 3).Draw(t, "keypoints"), KeypointDims: rapid.IntRange(1, 4).Draw(t, "dims"),
			Trailer: trailer{Confidence: rapid.Bool().Draw(t, "confidence"), ID: rapid.Bool().Draw(t, "id")},
			Columns: rapid.SampledFrom([]columns{nil, nil, {columnBox, columnAngle, columnID}, {columnConfidence, columnPolygon}, {columnBox}}).Draw(t, "columns"),
			Options: convert.Options{Outside: rapid.SampledFrom([]convert.Outside{"", convert.OutsideClip, convert.OutsideReport}).Draw(t, "outside")},
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
		r := y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, text)
		labeltest.Accepted(t, r, count)
		if loud := len(r.Findings); loud < r.LeftOut {
			t.Fatalf("%d lines left out, %d findings", r.LeftOut, loud)
		}
		// Two blanks are read the general way, one in one pass.
		again := y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, bytes.ReplaceAll(text, []byte(" "), []byte("  ")))
		if !labeltest.SameResult(r, again) {
			t.Fatalf("the second conversion differs")
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
		readings := func(labels []string) (all []reading) {
			var e evidence
			for _, label := range labels {
				e.addFile("a.txt", []byte(label))
			}
			return e.allReadings(statement{})
		}
		want := readings(labels)
		for _, r := range want {
			if r.flags() == "" || r.String() == "" {
				t.Fatalf("%+v cannot be asked for", r)
			}
			if r.misfits > 0 || r.shape == angleShape {
				continue
			}
			y := Converter{Classes: map[int]string{0: "cat"}, Task: r.Task, Trailer: r.Trailer, KeypointCount: r.KeypointCount, KeypointDims: r.KeypointDims}
			for _, label := range labels {
				for _, f := range y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, []byte(label)).Findings {
					var e evidence
					if e.addFile("a.txt", []byte(label)); f.Kind == convert.KindCount && e.lines == bytes.Count([]byte(label), []byte("\n")) {
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
