package pictograph

import "encoding/binary"

// productRoom is how much putProduct wants to write to, in bytes.
const productRoom = 6 + 1 + 3 + 8

// putProduct is putQuick for ten-millionths: what shares of six decimals, as YOLO
// labels have them, come to times a whole number of pixels, and the halves of that.
// The text is the shortest for the same reason.
func putProduct(dst []byte, v float64) int {
	const least, limit, unit = 1e-6, 1_000_000, 10_000_000 // smaller ones have another notation
	if !(v >= least && v < limit) {
		return 0
	}
	n := uint64(v*unit + 0.5)
	if float64(n)/unit != v {
		return 0
	}
	whole, part := uint32(n/unit), uint32(n%unit)
	text, length := wholeText(whole)
	binary.LittleEndian.PutUint64(dst, text)
	if part == 0 {
		return length
	}
	dst[length] = '.'
	length++
	length += putDigits(dst[length:], threeDigits(part/10_000))
	length += putDigits(dst[length:], threeDigits(part/10%1000))
	dst[length] = '0' + byte(part%10)
	for dst[length] == '0' {
		length--
	}
	return length + 1
}
