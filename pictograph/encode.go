package pictograph

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

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
	return append(dst, '}'), err
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
	dst = append(dst, '[')
	if len(points) == 0 {
		return append(dst, ']')
	}
	for _, p := range points {
		if cap(dst)-len(dst) < pointRoom {
			dst = slices.Grow(dst, pointRoom+pointLikely*len(points))
		}
		x, xQuick := hundredths(p.X)
		y, yQuick := hundredths(p.Y)
		if !xQuick || !yQuick {
			dst = append(appendPoint(dst, p), ',')
			continue
		}
		// One piece over the end of the other: {"x":12.34,"y":5.6},
		room := (*[pointRoom]byte)(dst[len(dst) : len(dst)+pointRoom])
		put(room, 0, '{'|'"'<<8|'x'<<16|'"'<<24|':'<<32)
		end := putHundredths(room, 5, x)
		put(room, end, ','|'"'<<8|'y'<<16|'"'<<24|':'<<32)
		end = putHundredths(room, end+5, y)
		put(room, end, '}'|','<<8)
		dst = dst[:len(dst)+int(end)+2]
	}
	dst[len(dst)-1] = ']' // in place of the last comma
	return dst
}

// appendNumber appends the shortest decimal that reads back as v, in plain
// notation for the range of pixels.
func appendNumber(dst []byte, v float64) []byte {
	dst = slices.Grow(dst, productRoom)
	room := dst[len(dst) : len(dst)+productRoom]
	n := putQuick(room, v)
	if n == 0 {
		n = putProduct(room, v)
	}
	if n > 0 {
		return dst[:len(dst)+n]
	}
	switch abs := math.Abs(v); {
	case v == 0:
		return append(dst, '0') // -0 is 0
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, 64)
}

// putQuick writes v where hundredths knows it, and returns its length; 0 leaves it to
// the general way. What lies behind the number may be written over.
func putQuick(dst []byte, v float64) int {
	n, ok := hundredths(v)
	if !ok {
		return 0
	}
	whole := putDigits(dst, wholes[n/100])
	return whole + putDigits(dst[whole:], fractions[n%100])
}

// hundredths is v as a number of them, where it is a positive number of hundredths
// below 10,000, as most coordinates are. What is not ok is left to the general way.
//
// No other decimal of up to 15 digits has the double nearest to such a number, so
// this one is the shortest there is, and finding it so is many times faster than
// the general way.
func hundredths(v float64) (n uint32, ok bool) {
	const limit = 10_000
	n = uint32(int64(v*100 + 0.5))
	return n, v > 0 && v < limit && float64(n)/100 == v
}

// pointRoom is what a point of hundredths is written into, in bytes, and pointLikely
// how long such a point is at most.
const (
	pointRoom   = 64
	pointLikely = len(`{"x":1234.56,"y":1234.56},`)
)

// put writes eight characters, the first in the lowest byte, at a place in the first
// half of room: places of which that is plain are not held against its end.
func put(room *[pointRoom]byte, at uint, text uint64) {
	binary.LittleEndian.PutUint64(room[at&(pointRoom/2-1):], text)
}

// putHundredths writes a number of hundredths and returns where it ends.
func putHundredths(room *[pointRoom]byte, at uint, n uint32) uint {
	whole, part := wholes[n/100], fractions[n%100]
	put(room, at, uint64(whole))
	at += uint(whole.length())
	put(room, at, uint64(part))
	return at + uint(part.length())
}

// wholeText is a whole number below a million as up to six characters, the first in
// the lowest byte.
func wholeText(n uint32) (text uint64, length int) {
	if n < uint32(len(wholes)) {
		return wholes[n].text(), wholes[n].length()
	}
	text, length = wholes[n/1000].text(), wholes[n/1000].length()
	return text | threeDigits(n%1000).text()<<(8*length), length + 3
}

// digits are up to seven characters, the first in the lowest byte, and their
// number in the highest.
type digits uint64

func (d digits) text() uint64 { return uint64(d) & (1<<56 - 1) }
func (d digits) length() int  { return int(d >> 56) }

// putDigits writes digits and returns their length, and more behind them.
func putDigits(dst []byte, d digits) int {
	binary.LittleEndian.PutUint64(dst, uint64(d))
	return d.length()
}

// The texts of numbers: wholes of those below 10,000, fractions of hundredths behind a
// whole number.
var (
	wholes    = allWholes()
	fractions = allFractions()
)

// threeDigits is a number below 1,000 with zeros before it.
func threeDigits(n uint32) digits { return digits(wholes[1000+n].text()>>8 | 3<<56) }

func (d digits) followedBy(c byte) digits {
	return digits(d.text() | uint64(c)<<(8*d.length()) | uint64(d.length()+1)<<56)
}

func allWholes() (all [10_000]digits) {
	for n := range all {
		head := digits(0)
		if n >= 10 {
			head = all[n/10]
		}
		all[n] = head.followedBy('0' + byte(n%10))
	}
	return all
}

func allFractions() (all [100]digits) {
	for n := 1; n < len(all); n++ {
		all[n] = digits(0).followedBy('.').followedBy('0' + byte(n/10))
		if n%10 > 0 {
			all[n] = all[n].followedBy('0' + byte(n%10))
		}
	}
	return all
}

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
