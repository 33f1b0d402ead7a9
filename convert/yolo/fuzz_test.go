package yolo

import (
	"testing"

	"pictosync/convert"
	"pictosync/convert/labeltest"
	"pictosync/source"
)

func FuzzYOLO(f *testing.F) {
	for _, seed := range []string{
		"0 0.5 0.5 0.25 0.5\n1 .5 .5 .2 .2 .9\r\n", "\ufeff0 0 0 .5 0 .5 1\n", "0 .1 .1 .2 .1 .2 .2 .1 .2", "0 .5 .5 .2 .2 .1 .1 2 0 0 0", "0 nan\x1c1 1e999\u00a0\u2028", "YOLO_OBB\n0 .5 .5 .2 .2 3",
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(2))
		f.Add([]byte(seed), uint8(3))
		f.Add([]byte(seed), uint8(12))
	}
	f.Fuzz(func(t *testing.T, label []byte, task uint8) {
		y := Converter{Classes: map[int]string{0: "cat", 1: "dog"}, Task: Tasks[int(task)%len(Tasks)], KeypointCount: 2, KeypointDims: 2 + int(task)%2, Trailer: trailer{Confidence: task&4 > 0, ID: task&8 > 0}, Options: convert.Options{Outside: convert.OutsideClip}}
		count := countLines(label)
		if _, _, header := angleHeader(withoutMark(label)); header && !source.IsUTF16(label) {
			count--
		}
		labeltest.Accepted(t, y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, label), count)
		var e evidence
		e.addFile("a.txt", label)
		if e.lines > count {
			t.Fatalf("%d lines, %d counted", count, e.lines)
		}
		for _, r := range e.allReadings(statement{}) {
			if r.misfits*10 > e.lines {
				t.Fatalf("%v misses %d of %d lines", r, r.misfits, e.lines)
			}
		}
	})
}
