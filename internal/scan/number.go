package scan

import (
	"math"
	"strconv"
)

// powersOfTen are those that a double holds exactly.
var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Number reads the JSON number at i: the double nearest to it, infinite where none is,
// and where it ends; 0 if there is none.
//
// A mantissa that a double holds, divided by a power of ten that a double holds, is
// rounded once, and so correctly. All else is left to strconv, which gives the same
// double more slowly.
func Number(data []byte, i int) (value float64, end int) {
	const mostDigits, exact = 19, 1 << 53
	start, mantissa := i, uint64(0)
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	whole := i
	for i < len(data) && data[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(data[i]-'0')
		i++
	}
	digits, fraction := i-whole, 0
	if digits == 0 || data[whole] == '0' && digits > 1 {
		return 0, 0
	}
	if i < len(data) && data[i] == '.' {
		i++
		point := i
		for i < len(data) && data[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(data[i]-'0')
			i++
		}
		if fraction = i - point; fraction == 0 {
			return 0, 0
		}
		digits += fraction
	}
	exponent := i < len(data) && data[i]|0x20 == 'e'
	if exponent {
		if i++; i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		power := i
		for i < len(data) && data[i]-'0' <= 9 {
			i++
		}
		if i == power {
			return 0, 0
		}
	}
	if exponent || digits > mostDigits || mantissa > exact || fraction >= len(powersOfTen) {
		value, _ = strconv.ParseFloat(string(data[start:i]), 64) // only the range can be wrong, and infinity says so
		return value, i
	}
	value = float64(mantissa)
	if fraction > 0 {
		value /= powersOfTen[fraction]
	}
	if negative {
		value = -value
	}
	return value, i
}

// Numbers appends the numbers of the list at i and returns where it ends, 0 if it is no
// list of finite numbers alone.
func Numbers(dst []float64, data []byte, i int) (numbers []float64, end int) {
	if i >= len(data) || data[i] != '[' {
		return dst, 0
	}
	if i = Space(data, i+1); i < len(data) && data[i] == ']' {
		return dst, i + 1
	}
	for {
		value, end := Number(data, i)
		if end == 0 || math.IsInf(value, 0) {
			return dst, 0
		}
		dst = append(dst, value)
		if i = Space(data, end); i == len(data) {
			return dst, 0
		}
		switch data[i] {
		case ']':
			return dst, i + 1
		case ',':
			i = Space(data, i+1)
		default:
			return dst, 0
		}
	}
}
