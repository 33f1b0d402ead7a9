package coco

import (
	"bytes"

	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// The plain way through an annotation, in one pass: objects of numbers, lists of
// numbers, rings or runs, text without escapes. Nearly all annotations are such. What
// is any different, wrong JSON included, is left to the general way, which gives
// the same for these too. It is worth its lines: with the general way alone a conversion of
// a file of 108 MB takes 1.60 s of processor time and not 0.86 s.

// plain splits an annotation; false leaves it to split.
func (r *reader) plain(raw []byte) (rawAnnotation, bool) {
	var a rawAnnotation
	r.others = r.others[:0]
	for i, first := 0, true; ; first = false {
		name, start := scan.Member(raw, i, first)
		if start == 0 {
			return a, false
		}
		var end int
		member := a.member(name)
		switch {
		case member != &a.segmentation:
			end = r.plainValue(raw, start)
			if member == &a.bbox && end > 0 && raw[start] == '[' && len(r.numbers) == 4 {
				a.boxed, a.box = true, pictograph.Box{X: r.numbers[0], Y: r.numbers[1], W: r.numbers[2], H: r.numbers[3]}
			}
		case raw[start] == '{':
			end = r.plainRuns(raw, start)
			a.runs = true
		default:
			end = r.plainRings(raw, start)
			a.rings = true
		}
		if end == 0 {
			return a, false
		}
		if member == nil {
			r.otherMember(name, raw[start:end])
		} else {
			if *member != nil {
				return a, false
			}
			*member = raw[start:end]
		}
		i = end
		if end = scan.Space(raw, end); end < len(raw) && raw[end] == '}' {
			return a, scan.Space(raw, end+1) == len(raw)
		}
	}
}

// plainRings reads a list of lists of numbers at i into r.coordinates and
// r.ringEnds, and returns where it ends, 0 if it is something else.
func (r *reader) plainRings(raw []byte, i int) int {
	r.coordinates, r.ringEnds = r.coordinates[:0], r.ringEnds[:0]
	if raw[i] != '[' {
		return 0
	}
	if i = scan.Space(raw, i+1); i < len(raw) && raw[i] == ']' {
		return i + 1
	}
	for {
		if r.coordinates, i = scan.Numbers(r.coordinates, raw, i); i == 0 {
			return 0
		}
		r.ringEnds = append(r.ringEnds, len(r.coordinates))
		if i = scan.Space(raw, i); i == len(raw) {
			return 0
		}
		switch raw[i] {
		case ']':
			return i + 1
		case ',':
			i = scan.Space(raw, i+1)
		default:
			return 0
		}
	}
}

// plainRuns reads {"counts": […], "size": […]} at i, in either order, into r.counts
// and r.maskSize, and returns where it ends, 0 if it is something else.
func (r *reader) plainRuns(raw []byte, i int) int {
	r.counts, r.maskSize = r.counts[:0], r.maskSize[:0]
	var counts, size bool
	for first := true; ; first = false {
		name, start := scan.Member(raw, i, first)
		if start == 0 {
			return 0
		}
		switch {
		case string(name) == "counts" && !counts:
			counts = true
			r.counts, i = scan.Numbers(r.counts, raw, start)
		case string(name) == "size" && !size:
			size = true
			r.maskSize, i = scan.Numbers(r.maskSize, raw, start)
		default:
			return 0
		}
		if i == 0 {
			return 0
		}
		if end := scan.Space(raw, i); end < len(raw) && raw[end] == '}' && counts && size {
			return end + 1
		}
	}
}

// plainValue returns where the value at i ends: a number, text without escapes,
// a list of numbers, or one of JSON's words; 0 if it is something else.
func (r *reader) plainValue(raw []byte, i int) (end int) {
	switch raw[i] {
	case '"':
		_, end = scan.Text(raw, i)
	case '[':
		r.numbers, end = scan.Numbers(r.numbers[:0], raw, i)
	case 't', 'f', 'n':
		for _, word := range []string{"true", "false", "null"} {
			if bytes.HasPrefix(raw[i:], []byte(word)) {
				return i + len(word)
			}
		}
	default:
		_, end = scan.Number(raw, i)
	}
	return end
}
