package convert

import (
	"bytes"
	"encoding/binary"
	"math"

	"pictosync/pictograph"
)

// The plain way through an annotation, in one pass: objects of numbers, lists of
// numbers, rings or runs, text without escapes. Nearly all annotations are such. What
// is any different, wrong JSON included, is left to the general way, which gives
// the same for these too.

// plain splits an annotation; false leaves it to split.
func (r *cocoReader) plain(raw []byte) (cocoAnnotation, bool) {
	var a cocoAnnotation
	r.others = r.others[:0]
	for i, n := 0, 0; ; n++ {
		name, start := r.layout.Member(raw, i, n)
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
		if end = blanksEnd(raw, end); end < len(raw) && raw[end] == '}' {
			return a, blanksEnd(raw, end+1) == len(raw)
		}
	}
}

// plainRings reads a list of lists of numbers at i into r.coordinates and
// r.ringEnds, and returns where it ends, 0 if it is something else.
func (r *cocoReader) plainRings(raw []byte, i int) int {
	r.coordinates, r.ringEnds = r.coordinates[:0], r.ringEnds[:0]
	if i == len(raw) || raw[i] != '[' {
		return 0
	}
	if i = blanksEnd(raw, i+1); i < len(raw) && raw[i] == ']' {
		return i + 1
	}
	for i < len(raw) && raw[i] == '[' {
		if r.coordinates, i = appendPlainList(r.coordinates, raw, i); i == 0 {
			return 0
		}
		r.ringEnds = append(r.ringEnds, len(r.coordinates))
		if i = blanksEnd(raw, i); i == len(raw) {
			return 0
		}
		if raw[i] == ']' {
			return i + 1
		}
		if raw[i] != ',' {
			return 0
		}
		i = blanksEnd(raw, i+1)
	}
	return 0
}

// plainRuns reads {"counts": […], "size": […]} at i, in either order, into r.counts
// and r.maskSize, and returns where it ends, 0 if it is something else.
func (r *cocoReader) plainRuns(raw []byte, i int) int {
	r.counts, r.maskSize = r.counts[:0], r.maskSize[:0]
	var counts, size bool
	for i = blanksEnd(raw, i+1); ; i = blanksEnd(raw, i+1) {
		name, end := plainString(raw, i)
		if end = blanksEnd(raw, end); name == nil || end == len(raw) || raw[end] != ':' {
			return 0
		}
		if i = blanksEnd(raw, end+1); i == len(raw) || raw[i] != '[' {
			return 0
		}
		switch {
		case string(name) == "counts" && !counts:
			counts = true
			r.counts, i = appendPlainList(r.counts, raw, i)
		case string(name) == "size" && !size:
			size = true
			r.maskSize, i = appendPlainList(r.maskSize, raw, i)
		default:
			return 0
		}
		if i == 0 {
			return 0
		}
		if i = blanksEnd(raw, i); i == len(raw) {
			return 0
		}
		if raw[i] == '}' && counts && size {
			return i + 1
		}
		if raw[i] != ',' {
			return 0
		}
	}
}

// appendPlainList appends the numbers of the list at i and returns where it ends,
// 0 if it is no list of finite numbers alone.
func appendPlainList(dst []float64, raw []byte, i int) ([]float64, int) {
	if i = blanksEnd(raw, i+1); i < len(raw) && raw[i] == ']' {
		return dst, i + 1
	}
	for i < len(raw) {
		for i+8 <= len(raw) {
			value, length := listNumber(binary.LittleEndian.Uint64(raw[i:]))
			if length == 0 {
				break
			}
			dst = append(dst, value)
			i += length
		}
		value, end := shortNumber(raw, i)
		if end == 0 {
			if value, end = readNumber(raw, i); end == 0 || math.IsInf(value, 0) {
				return dst, 0
			}
		}
		dst = append(dst, value)
		if end+2 < len(raw) && raw[end] == ',' { // the common ways to go on
			i = end + 1
			if raw[i] == ' ' {
				i++
			}
			if raw[i]-'0' <= 9 {
				continue
			}
		}
		if end = blanksEnd(raw, end); end == len(raw) {
			return dst, 0
		}
		switch raw[end] {
		case ']':
			return dst, end + 1
		case ',':
			i = blanksEnd(raw, end+1)
		default:
			return dst, 0
		}
	}
	return dst, 0
}

// plainValue returns where the value at i ends: a number, text without escapes,
// a list of numbers, or one of JSON's words; 0 if it is something else.
func (r *cocoReader) plainValue(raw []byte, i int) (end int) {
	if i == len(raw) {
		return 0
	}
	switch raw[i] {
	case '"':
		_, end = plainString(raw, i)
	case '[':
		r.numbers, end = appendPlainList(r.numbers[:0], raw, i)
	case 't':
		end = wordEnd(raw, i, "true")
	case 'f':
		end = wordEnd(raw, i, "false")
	case 'n':
		end = wordEnd(raw, i, "null")
	default:
		_, end = scanNumber(raw, i)
	}
	return end
}

func wordEnd(raw []byte, i int, word string) int {
	if bytes.HasPrefix(raw[i:], []byte(word)) {
		return i + len(word)
	}
	return 0
}

// plainString returns the text of the string at i and where it ends; 0 if there
// is none, or one with escapes or characters beyond ASCII.
func plainString(raw []byte, i int) (text []byte, end int) {
	if i == len(raw) || raw[i] != '"' {
		return nil, 0
	}
	for end = i + 1; end < len(raw); end++ {
		switch c := raw[end]; {
		case c == '"':
			return raw[i+1 : end], end + 1
		case c < ' ' || c > '~' || c == '\\':
			return nil, 0
		}
	}
	return nil, 0
}

// blanksEnd returns where the white space at i ends.
func blanksEnd(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}
