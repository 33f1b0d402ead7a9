package pictograph

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MarshalJSON encodes one annotation, as [AppendAnnotations] does.
func (a Annotation) MarshalJSON() ([]byte, error) { return a.Append(nil) }

// AppendAnnotations appends the annotations of one image as the service's JSON.
// Equal annotations give equal bytes on every machine: keys have one order,
// numbers their shortest form, attributes are sorted. Annotations that the
// service would refuse are an error, a [FieldErrors].
func AppendAnnotations(dst []byte, annotations []Annotation) ([]byte, error) {
	return AppendEach(dst, annotations, func([]byte) {})
}

// AppendEach is AppendAnnotations, and shows each annotation as it is encoded, without its
// id and the braces: what two annotations that say the same have in common.
func AppendEach(dst []byte, annotations []Annotation, each func(encoded []byte)) ([]byte, error) {
	if err := ValidateAnnotations(annotations); err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i, a := range annotations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"id":`...), a.ID)
		start := len(dst)
		var err error
		if dst, err = a.appendBehindID(dst); err != nil {
			return dst, fmt.Errorf("annotations[%d].attributes: %w", i, err)
		}
		each(dst[start : len(dst)-1])
	}
	return append(dst, ']'), nil
}

// Append appends the annotation as the service's JSON.
func (a Annotation) Append(dst []byte) ([]byte, error) {
	if err := a.Validate(); err != nil {
		return dst, err
	}
	return a.appendBehindID(appendString(append(dst, `{"id":`...), a.ID))
}

// appendBehindID encodes what follows a valid annotation's id. The order of keys is that
// of the official SDK's models.
func (a Annotation) appendBehindID(dst []byte) ([]byte, error) {
	dst = appendString(append(dst, `,"name":`...), a.Name)
	dst = append(append(append(dst, `,"type":"`...), a.Geometry.Type()...), '"')
	instance := 0
	switch g := a.Geometry.(type) {
	case BBox:
		dst = appendBox(dst, g.Box)
		if o := g.Oriented; o != nil {
			dst = appendNumbers(append(dst, `,"oriented_box":`...), [...]string{`{"cx":`, `,"cy":`, `,"w":`, `,"h":`, `,"angle":`}, [...]float64{o.CX, o.CY, o.W, o.H, o.Angle})
		}
	case Polygon:
		if g.Box != nil {
			dst = appendBox(dst, *g.Box)
		}
		dst = append(dst, `,"polygon":{"paths":[`...)
		for i, ring := range g.Rings {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendPoints(dst, ring)
		}
		dst = append(dst, `]}`...)
	case Polyline:
		if g.Box != nil {
			dst = appendBox(dst, *g.Box)
		}
		dst = append(appendPoints(append(dst, `,"polyline":{"path":`...), g.Path), '}')
	case Keypoint:
		dst = appendPoint(append(dst, `,"keypoint":`...), g.Point)
		instance = g.Instance
	}
	confidence := 1.0
	if a.Confidence != nil {
		confidence = *a.Confidence
	}
	dst = appendNumber(append(dst, `,"confidence":`...), confidence)
	if a.CreatedBy != "" {
		dst = appendString(append(dst, `,"created_by":`...), a.CreatedBy)
	}
	dst, err := a.appendAttributes(dst)
	if instance != 0 {
		dst = strconv.AppendInt(append(dst, `,"instance_id":`...), int64(instance), 10)
	}
	if len(a.Unknown) > 0 {
		dst = a.appendUnknown(dst)
	}
	return append(dst, '}'), err
}

func (a Annotation) appendUnknown(dst []byte) []byte {
	for _, name := range slices.Sorted(maps.Keys(a.Unknown)) {
		dst = append(append(appendString(append(dst, ','), name), ':'), a.Unknown[name]...)
	}
	return dst
}

func (a Annotation) appendAttributes(dst []byte) ([]byte, error) {
	var value any
	switch {
	case len(a.Attributes) > 0:
		value = a.Attributes
	case len(a.AttributeList) > 0:
		value = a.AttributeList
	default:
		return dst, nil
	}
	data, err := json.Marshal(value) // sorts the keys
	if err != nil {
		return dst, err
	}
	return append(append(dst, `,"attributes":`...), data...), nil
}

func appendBox(dst []byte, b Box) []byte {
	return appendNumbers(append(dst, `,"bounding_box":`...), [...]string{`{"x":`, `,"y":`, `,"w":`, `,"h":`, ``}, [...]float64{b.X, b.Y, b.W, b.H, 0})
}

// appendNumbers appends an object of up to five numbers; an empty key ends it.
func appendNumbers(dst []byte, keys [5]string, values [5]float64) []byte {
	for i, key := range keys {
		if key == "" {
			break
		}
		dst = appendNumber(append(dst, key...), values[i])
	}
	return append(dst, '}')
}

func appendPoint(dst []byte, p Point) []byte {
	dst = appendNumber(append(dst, `{"x":`...), p.X)
	dst = appendNumber(append(dst, `,"y":`...), p.Y)
	return append(dst, '}')
}

func appendPoints(dst []byte, points []Point) []byte {
	dst = append(slices.Grow(dst, len(points)*len(`{"x":1234.56,"y":1234.56},`)), '[')
	for i, p := range points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPoint(dst, p)
	}
	return append(dst, ']')
}

// appendNumber appends the shortest decimal that reads back as v, in plain
// notation for the range of pixels.
func appendNumber(dst []byte, v float64) []byte {
	if n, ok := hundredths(v); ok {
		return appendHundredths(dst, n)
	}
	switch abs := math.Abs(v); {
	case v == 0:
		return append(dst, '0') // -0 is 0
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, 64)
}

// hundredths is v as a number of them, where it is a positive number of hundredths
// below ten thousand, as most coordinates are.
//
// No other decimal of up to 15 digits has the double nearest to such a number, so
// this one is the shortest there is, and found many times faster than by strconv: a
// conversion takes half as long again without.
func hundredths(v float64) (n uint32, ok bool) {
	const limit = 10_000
	if !(v > 0 && v < limit) {
		return 0, false
	}
	n = uint32(int64(v*100 + 0.5))
	return n, float64(n)/100 == v
}

// appendHundredths appends a number of hundredths, from two tables of texts.
func appendHundredths(dst []byte, n uint32) []byte {
	const room = 16
	dst = slices.Grow(dst, room)
	text := dst[len(dst) : len(dst)+room]
	whole, fraction := wholes[n/100], fractions[n%100]
	binary.LittleEndian.PutUint64(text, uint64(whole))
	binary.LittleEndian.PutUint64(text[whole.length():], uint64(fraction))
	return dst[:len(dst)+whole.length()+fraction.length()]
}

// shortText is up to seven characters, the first in the lowest byte, and their number in
// the highest.
type shortText uint64

func (t shortText) length() int { return int(t >> 56) }

func shortTextOf(s string) (t shortText) {
	for i := range len(s) {
		t |= shortText(s[i]) << (8 * i)
	}
	return t | shortText(len(s))<<56
}

// wholes are the texts of whole numbers, fractions those of hundredths behind one.
var wholes, fractions = func() (wholes [10_000]shortText, fractions [100]shortText) {
	for n := range wholes {
		wholes[n] = shortTextOf(strconv.Itoa(n))
	}
	for n := 1; n < len(fractions); n++ {
		fractions[n] = shortTextOf(strings.TrimRight(fmt.Sprintf(".%02d", n), "0"))
	}
	return wholes, fractions
}()

// appendString appends a JSON string; bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	dst, _ = jsontext.AppendQuote(dst, s) // its error only says that there was such a byte
	return dst
}

// isPlain reports whether a string stands in JSON as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
