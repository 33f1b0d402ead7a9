package convert

import (
	"encoding/binary"
	"math/bits"
)

// Millions of label lines are as programs write them: a whole number, and plain
// decimals with one blank before each. Such a line is read in one pass. All else is
// left to the general way, which takes lines and blanks as Python does.

// plainLine reads the line that a label starts with, if it is plain. It appends
// the numbers to dst and returns the length with the line's end, 0 if the line is
// left to the general way.
func plainLine(dst []float64, label []byte) (class int, numbers []float64, length int) {
	const classDigits = 9 // fit into an int everywhere
	i := 0
	for i < len(label) && label[i]-'0' <= 9 {
		class = class*10 + int(label[i]-'0')
		i++
	}
	if i == 0 || i > classDigits {
		return 0, nil, 0
	}
	for i < len(label) && label[i] == ' ' {
		rest := label[i+1:]
		value, digits := share(rest)
		if digits == 0 || digits < len(rest) && rest[digits] > ' ' {
			if value, digits = plainDecimal(rest); digits == 0 {
				return 0, nil, 0
			}
		}
		dst = append(dst, value)
		i += 1 + digits
	}
	switch {
	case i == len(label):
		return class, dst, i
	case label[i] == '\n':
		return class, dst, i + 1
	case label[i] == '\r' && i+1 < len(label) && label[i+1] == '\n':
		return class, dst, i + 2
	}
	return 0, nil, 0
}

// share is plainDecimal for what nearly all numbers of YOLO are, shares such as
// 0.123456: a digit, a point and up to eight digits, which it looks at together. A
// length of 0 leaves the number to plainDecimal. What stands behind the eighth digit
// is not looked at.
func share(s []byte) (value float64, length int) {
	if len(s) < 10 || s[0]-'0' > 9 || s[1] != '.' {
		return 0, 0
	}
	digits := binary.LittleEndian.Uint64(s[2:]) ^ each*'0'
	count := bits.TrailingZeros64(noDigits(digits)) / 8
	if count == 0 {
		return 0, 0
	}
	unit := powersOfTen[count&15]
	return (float64(float64(s[0]-'0')*unit) + addUp(digits<<(8*(8-count)))) / unit, 2 + count
}
