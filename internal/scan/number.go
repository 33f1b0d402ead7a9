package scan

import (
	"encoding/binary"
	"math"
	"math/bits"
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
	if value, end = short(data, i); end > 0 {
		return value, end
	}
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

// short is Number for what most coordinates are, such as 250.82: up to seven characters,
// no sign, no exponent. It looks at eight characters at once; 0 leaves the number to Number.
func short(data []byte, i int) (value float64, end int) {
	const each = 0x0101010101010101
	if len(data)-i < 8 {
		return 0, 0
	}
	digits := binary.LittleEndian.Uint64(data[i:]) ^ each*'0'
	others := (digits&(each*0x7f) + each*(0x7f-9) | digits) & (each * 0x80) // what is no digit
	whole := bits.TrailingZeros64(others)
	length, fraction := whole, 0
	if whole < 64 && digits>>(whole&^7)&0xff == '.'^'0' {
		length = bits.TrailingZeros64(others & (others - 1))
		if fraction = length/8 - whole/8 - 1; fraction == 0 {
			return 0, 0
		}
		before := uint64(1)<<(whole&^7) - 1
		digits = digits&before | digits>>8&^before // the point is taken out
	}
	whole, length = whole/8, length/8
	if length == 8 || whole == 0 || whole > 1 && data[i] == '0' || data[i+length]|0x20 == 'e' {
		return 0, 0
	}
	// Neighbours are added up to numbers of 2, 4 and 8 digits.
	digits <<= 8 * (8 - whole - fraction)
	digits = digits*10 + digits>>8
	digits = ((digits & 0x000000ff000000ff * (100 + 1_000_000<<32)) + (digits >> 16 & 0x000000ff000000ff * (1 + 10_000<<32))) >> 32
	return float64(uint32(digits)) / powersOfTen[fraction], i + length
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
		if i = end; i < len(data) && data[i] <= ' ' {
			i = Space(data, i)
		}
		switch {
		case i == len(data):
			return dst, 0
		case data[i] == ']':
			return dst, i + 1
		case data[i] != ',':
			return dst, 0
		}
		if i++; i < len(data) && data[i] <= ' ' {
			i = Space(data, i)
		}
	}
}
