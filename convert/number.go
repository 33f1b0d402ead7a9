package convert

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// Labels are mostly numbers, so these are read with care for speed: a plain
// decimal of up to 15 digits is its digits, as a double exactly, divided by a
// power of ten that a double holds exactly, and so correctly rounded. All else
// goes through strconv, which gives the same double more slowly.

// exactDigits is how many decimal digits a double always holds.
const exactDigits = 15

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// plainDecimal reads the plain decimal that s starts with and returns its
// length, 0 if there is none: signs other than -, exponents, more digits.
func plainDecimal(s []byte) (value float64, length int) {
	i := 0
	if len(s) > 0 && s[0] == '-' {
		i = 1
	}
	start, point := i, -1
	mantissa := uint64(0)
	for ; i < len(s); i++ {
		c := s[i]
		if digit := c - '0'; digit <= 9 {
			mantissa = mantissa*10 + uint64(digit)
			continue
		}
		if c != '.' || point >= 0 {
			break
		}
		point = i
	}
	digits, fraction := i-start, 0
	if point >= 0 {
		digits--
		fraction = i - point - 1
	}
	if digits < 1 || digits > exactDigits || i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		return 0, 0
	}
	value = float64(mantissa) / powersOfTen[fraction]
	if s[0] == '-' {
		value = -value
	}
	return value, i
}

// parseNumber returns the double nearest to a valid JSON number, infinite
// where none is.
func parseNumber(raw []byte) float64 {
	if value, length := plainDecimal(raw); length == len(raw) && length > 0 {
		return value
	}
	value, _ := strconv.ParseFloat(string(raw), 64) // only the range can be wrong, and infinity says so
	return value
}

// readNumber reads the JSON number at i and returns where it ends, 0 if there
// is none. A number beyond a double's range becomes infinite.
func readNumber(raw []byte, i int) (value float64, end int) {
	n, end := scanNumber(raw, i)
	if end == 0 {
		return 0, 0
	}
	if n.digits > exactDigits || n.exponent {
		return parseNumber(raw[i:end]), end
	}
	value = float64(n.mantissa)
	if n.fraction > 0 {
		value /= powersOfTen[n.fraction]
	}
	if raw[i] == '-' {
		value = -value
	}
	return value, end
}

// number is what a JSON number is made of. The mantissa is right for up to 19
// digits.
type number struct {
	mantissa         uint64
	digits, fraction int // digits in all, and behind the point
	exponent         bool
}

// scanNumber returns where the JSON number at i ends, 0 if there is none.
func scanNumber(raw []byte, i int) (n number, end int) {
	if i < len(raw) && raw[i] == '-' {
		i++
	}
	whole := i
	for i < len(raw) && raw[i]-'0' <= 9 {
		n.mantissa = n.mantissa*10 + uint64(raw[i]-'0')
		i++
	}
	n.digits = i - whole
	if n.digits == 0 || raw[whole] == '0' && n.digits > 1 {
		return n, 0
	}
	if i < len(raw) && raw[i] == '.' {
		i++
		point := i
		for i < len(raw) && raw[i]-'0' <= 9 {
			n.mantissa = n.mantissa*10 + uint64(raw[i]-'0')
			i++
		}
		if n.fraction = i - point; n.fraction == 0 {
			return n, 0
		}
		n.digits += n.fraction
	}
	if i < len(raw) && raw[i]|0x20 == 'e' {
		n.exponent = true
		if i++; i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		exponent := i
		for i < len(raw) && raw[i]-'0' <= 9 {
			i++
		}
		if i == exponent {
			return n, 0
		}
	}
	return n, i
}

// shortNumber is readNumber for the numbers that labels have most, such as 250.82:
// up to seven characters, no sign, no exponent. It looks at eight characters at
// once; 0 leaves the number to readNumber.
func shortNumber(raw []byte, i int) (value float64, end int) {
	if len(raw)-i < 8 {
		return 0, 0
	}
	digits := binary.LittleEndian.Uint64(raw[i:]) ^ each*'0'
	others := noDigits(digits)
	whole := bits.TrailingZeros64(others)
	length := whole
	fraction := 0
	if whole < 64 && digits>>(whole&^7)&0xff == '.'^'0' {
		length = bits.TrailingZeros64(others & (others - 1))
		fraction = length/8 - whole/8 - 1
		if fraction == 0 {
			return 0, 0
		}
		low := uint64(1)<<(whole&^7) - 1
		digits = digits&low | digits>>8&^low // the point is taken out
	}
	whole, length = whole/8, length/8
	if length == 8 || whole == 0 || whole > 1 && raw[i] == '0' || raw[i+length]|0x20 == 'e' {
		return 0, 0
	}
	return addUp(digits<<(8*(8-whole-fraction))) / powersOfTen[fraction&15], i + length
}

// each has one in every byte.
const each = 0x0101010101010101

// noDigits has the high bit of every byte that is more than 9; no carry goes from
// one to the next.
func noDigits(digits uint64) uint64 {
	return (digits&(each*0x7f) + each*(0x7f-9) | digits) & (each * 0x80)
}

// addUp is the number of the eight digits, the first in the lowest byte: neighbours
// are added up to numbers of 2, 4 and 8 digits.
func addUp(digits uint64) float64 {
	digits = digits*10 + digits>>8
	digits = ((digits & 0x000000ff000000ff * (100 + 1_000_000<<32)) + (digits >> 16 & 0x000000ff000000ff * (1 + 10_000<<32))) >> 32
	return float64(uint32(digits))
}

// The shapes of eight characters from the beginning of a number in a list: what
// is no digit, as listNumber sees it, and 0 for digits.
const (
	aPoint = '.' ^ '0'
	aComma = ',' ^ '0'
	aBlank = ' ' ^ '0'

	shape32       = aPoint<<24 | aComma<<48              // 123.45,6
	shape32Spaced = aPoint<<24 | aComma<<48 | aBlank<<56 // 123.45,
	shape22       = aPoint<<16 | aComma<<40              // 12.34,56
	shape22Spaced = aPoint<<16 | aComma<<40 | aBlank<<48 // 12.34, 5
	shape31       = aPoint<<24 | aComma<<40              // 123.4,56
	shape31Spaced = aPoint<<24 | aComma<<40 | aBlank<<48 // 123.4, 5
)

// listNumber is shortNumber for the shapes that are most frequent in lists, and
// goes on to the next number. It decides by shape what shortNumber computes: the
// processor guesses that, and so begins with the next number before it is done
// with this one.
func listNumber(chars uint64) (value float64, length int) {
	digits := chars ^ each*'0'
	if digits&0xff == 0 { // 0.25, or 012
		return 0, 0
	}
	switch digits & (noDigits(digits) >> 7 * 0xff) {
	case shape32Spaced:
		return value32(digits), len("123.45, ")
	case shape22Spaced:
		return value22(digits), len("12.34, ")
	case shape31Spaced:
		return value31(digits), len("123.4, ")
	case shape32:
		return value32(digits), len("123.45,")
	case shape22:
		return value22(digits), len("12.34,")
	case shape31:
		return value31(digits), len("123.4,")
	}
	return 0, 0
}

// value32 is the number of three digits, a point and two: these are moved together
// to the end of the eight.
func value32(digits uint64) float64 {
	return addUp(digits<<24&(0xffffff<<24)|digits<<16&(0xffff<<48)) / 100
}

func value22(digits uint64) float64 {
	return addUp(digits<<32&(0xffff<<32)|digits<<24&(0xffff<<48)) / 100
}

func value31(digits uint64) float64 {
	return addUp(digits<<32&(0xffffff<<32)|digits<<24&(0xff<<56)) / 10
}
