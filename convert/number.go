package convert

import "strconv"

// Labels are mostly numbers, so these are read with care for speed: a plain
// decimal of up to 15 digits is its digits, as a double exactly, divided by a
// power of ten that a double holds exactly, and so correctly rounded. All else
// goes through strconv, which gives the same double more slowly.

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
	if digits < 1 || digits > 15 || i < len(s) && (s[i] == 'e' || s[i] == 'E') {
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
