package convert

import (
	"crypto/sha1"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// annotationNamespace is the namespace of the version 5 UUIDs that annotations
// get whose source gives them no usable id:
// v5(URL namespace, "pictosync:annotation").
var annotationNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("pictosync:annotation"))

// idTexts makes the ids of annotations whose source gives none. Many share a piece
// of memory, which lives as long as any of them.
type idTexts struct {
	piece strings.Builder
	name  []byte // that is hashed
}

// annotationID names an annotation by its image's path, its position in the
// source (line of the label file, or place among the image's annotations, both
// from 1) and its geometry, so that the same labels give the same ids on every
// machine and in every run. The name that is hashed is
//
//	path "\n" position "\n" attempt "\n" geometry…
//
// where geometry is the type and the coordinates as big-endian IEEE 754
// doubles, for every part, and attempt is 0 unless the id was taken already.
func (t *idTexts) annotationID(image string, position, attempt int, parts []pictograph.Geometry) string {
	name := append(append(t.name[:0], annotationNamespace[:]...), image...)
	name = strconv.AppendInt(append(name, '\n'), int64(position), 10)
	name = strconv.AppendInt(append(name, '\n'), int64(attempt), 10)
	name = append(name, '\n')
	for _, part := range parts {
		name = append(name, part.Type()...)
		name = appendGeometry(name, part)
	}
	const aPiece = 64 // ids
	t.name = name
	text := nameBased(name)
	if t.piece.Cap()-t.piece.Len() < len(text) {
		t.piece = strings.Builder{}
		t.piece.Grow(aPiece * len(text))
	}
	start := t.piece.Len()
	t.piece.Write(text[:])
	return t.piece.String()[start:]
}

// nameBased is the version 5 UUID of a namespace and the name behind it, as
// uuid.NewSHA1 makes it at the cost of three allocations.
func nameBased(name []byte) (text [36]byte) {
	sum := sha1.Sum(name)
	sum[6] = sum[6]&0x0f | 5<<4
	sum[8] = sum[8]&0x3f | 0x80
	first, second := binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
	putHex(text[0:], uint32(first>>32))
	// The groups of four digits are put with what stands behind them, which is then
	// written over.
	putHex(text[9:], uint32(first))
	copy(text[14:], text[13:17])
	putHex(text[19:], uint32(second>>32))
	copy(text[24:], text[23:27])
	putHex(text[28:], uint32(second))
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return text
}

// putHex puts eight hexadecimal digits.
func putHex(dst []byte, v uint32) {
	// Every half of a byte into a byte of its own, the first one lowest.
	n := uint64(bits.ReverseBytes32(v))
	n = (n | n<<16) & 0x0000ffff0000ffff
	n = (n | n<<8) & 0x00ff00ff00ff00ff
	n = (n>>4 | n<<8) & 0x0f0f0f0f0f0f0f0f
	letters := (n + 6*each) >> 4 & each // 1 where the digit is a letter
	binary.LittleEndian.PutUint64(dst, n+each*'0'+letters*('a'-'0'-10))
}

func appendGeometry(dst []byte, g pictograph.Geometry) []byte {
	switch g := g.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			o := g.Oriented
			return appendDoubles(dst, o.CX, o.CY, o.W, o.H, o.Angle)
		}
		return appendDoubles(dst, g.Box.X, g.Box.Y, g.Box.W, g.Box.H)
	case pictograph.Polygon:
		for _, ring := range g.Rings {
			dst = appendPoints(dst, ring)
		}
	case pictograph.Polyline:
		dst = appendPoints(dst, g.Path)
	case pictograph.Keypoint:
		dst = appendDoubles(dst, g.Point.X, g.Point.Y)
	}
	return dst
}

func appendPoints(dst []byte, points []pictograph.Point) []byte {
	for _, p := range points {
		dst = appendDoubles(dst, p.X, p.Y)
	}
	return dst
}

func appendDoubles(dst []byte, values ...float64) []byte {
	for _, v := range values {
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
	}
	return dst
}
