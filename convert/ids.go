package convert

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// annotationNamespace is the namespace of the version 5 UUIDs that annotations
// get whose source gives them no usable id:
// v5(URL namespace, "pictosync:annotation").
var annotationNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("pictosync:annotation"))

// IDTexts makes the ids of annotations whose source gives none. Many share a piece
// of memory, which lives as long as any of them.
type IDTexts struct {
	piece strings.Builder
	name  []byte // that is hashed
}

// AnnotationID names an annotation by its image's path, its position in the
// source (line of the label file, or place among the image's annotations, both
// from 1) and its geometry, so that the same labels give the same ids on every
// machine and in every run. The name that is hashed is
//
//	path "\n" position "\n" attempt "\n" geometry…
//
// where geometry is the type and the coordinates as big-endian IEEE 754
// doubles, for every part, and attempt is 0 unless the id was taken already.
func (t *IDTexts) AnnotationID(image string, position, attempt int, parts []pictograph.Geometry) string {
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

// nameBased is the version 5 UUID of a namespace and the name behind it.
func nameBased(name []byte) (text [36]byte) {
	sum := sha1.Sum(name)
	sum[6] = sum[6]&0x0f | 5<<4
	sum[8] = sum[8]&0x3f | 0x80
	at := 0
	for _, group := range [][]byte{sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]} {
		if at > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], group)
	}
	return text
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
