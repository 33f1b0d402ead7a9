package yolo

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/source"
)

// labelLines yields the lines that hold something, with their numbers from 1.
// Lines and blanks are those of Python's splitlines and split, with which the
// trainers read labels; a byte order mark is skipped.
func labelLines(label []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		rest := withoutMark(label)
		for number := 1; len(rest) > 0; number++ {
			var line []byte
			line, rest = cutLine(rest)
			if len(line) > 0 && !yield(number, line) {
				return
			}
		}
	}
}

// countLines counts the lines that hold something.
func countLines(label []byte) (n int) {
	label = narrow(label)
	for range labelLines(label) {
		n++
	}
	return n
}

// narrow is a label of UTF-16 as one of a byte a character, which its lines are counted by.
func narrow(label []byte) []byte {
	if !source.IsUTF16(label) {
		return label
	}
	if label[0] >= 0xfe {
		label = label[2:]
	}
	return bytes.ReplaceAll(label, []byte{0}, nil)
}

func withoutMark(label []byte) []byte { return bytes.TrimPrefix(label, []byte("\ufeff")) }

// cutLine cuts off the first line, without the blanks around it.
func cutLine(label []byte) (line, rest []byte) {
	end, size := len(label), 0
	for i, c := range label {
		if ' ' <= c && c < utf8.RuneSelf {
			continue
		}
		if size = lineBreak(label[i:]); size > 0 {
			end = i
			break
		}
	}
	return bytes.TrimFunc(label[:end], convert.IsSpace), label[end+size:]
}

// lineBreak returns the size of the line break that s starts with, 0 if none.
func lineBreak(s []byte) int {
	switch c := s[0]; {
	case c == '\r' && len(s) > 1 && s[1] == '\n':
		return 2
	case '\n' <= c && c <= '\r', 0x1c <= c && c <= 0x1e:
		return 1
	case c < utf8.RuneSelf:
		return 0
	}
	switch r, size := utf8.DecodeRune(s); r {
	case '\u0085', '\u2028', '\u2029':
		return size
	}
	return 0
}

// nextField cuts the first field off a line; it is empty at the end.
func nextField(line []byte) (field, rest []byte) {
	start := spacesEnd(line)
	end := start
	for end < len(line) && spaceSize(line[end:]) == 0 {
		end++
	}
	return line[start:end], line[end:]
}

// spacesEnd returns where the blanks that line starts with end.
func spacesEnd(line []byte) int {
	end := 0
	for end < len(line) {
		size := spaceSize(line[end:])
		if size == 0 {
			break
		}
		end += size
	}
	return end
}

// spaceSize returns the size of the blank that s starts with, 0 if none.
func spaceSize(s []byte) int {
	c := s[0]
	switch {
	case c > ' ' && c < utf8.RuneSelf:
		return 0
	case c < utf8.RuneSelf:
		if convert.IsSpace(rune(c)) {
			return 1
		}
		return 0
	}
	if r, size := utf8.DecodeRune(s); convert.IsSpace(r) {
		return size
	}
	return 0
}

// parseClass reads a class index; some writers print it as 3.0.
func parseClass(field []byte) (int, error) {
	if index, err := strconv.Atoi(string(field)); err == nil {
		return index, nil
	}
	value, err := parseField(field)
	if err != nil {
		return 0, fmt.Errorf("class: %w", err)
	}
	if value != math.Trunc(value) || math.Abs(value) > math.MaxInt32 {
		return 0, fmt.Errorf("class %s is no class index", scan.Shorten(string(field)))
	}
	return int(value), nil
}

// appendFields appends the numbers of what follows the class.
func appendFields(dst []float64, rest []byte) ([]float64, error) {
	for {
		rest = rest[spacesEnd(rest):]
		if len(rest) == 0 {
			return dst, nil
		}
		if value, length := scan.Number(rest, 0); length > 0 && geometry.Finite(value) && (length == len(rest) || spaceSize(rest[length:]) > 0) {
			dst = append(dst, value)
			rest = rest[length:]
			continue
		}
		var field []byte
		field, rest = nextField(rest)
		value, err := parseField(field)
		if err != nil {
			return dst, err
		}
		dst = append(dst, value)
	}
}

// parseField reads a finite decimal number.
func parseField(field []byte) (float64, error) {
	value, err := strconv.ParseFloat(string(field), 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax), bytes.ContainsAny(field, "xX_"): // Go's own spellings
		return 0, fmt.Errorf("%s is not a number", strconv.Quote(scan.Shorten(string(field))))
	case !geometry.Finite(value):
		return 0, fmt.Errorf("%s is not a finite number", scan.Shorten(string(field)))
	}
	return value, nil
}

// areLabels reports whether all lines can be label lines rather than names.
func areLabels(lines []string) bool {
	const fewest = 5
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 0 && (len(fields) < fewest || !source.AreNumbers(fields)) {
			return false
		}
	}
	return true
}

// areLabelLines is areLabels for what a file holds.
func areLabelLines(data []byte) bool {
	return areLabels(strings.Split(string(withoutMark(narrow(data))), "\n"))
}
