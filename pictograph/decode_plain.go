package pictograph

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// plain reads annotations that are written as they mostly are: without escapes in
// their text, and with nothing that would have to be reported. What it takes, it takes
// as [reader] does, in a fraction of the time; the rest is left to that one.
type plain struct {
	data []byte
	i    int
	last string // name of a class
}

// decodePlain reads the annotations of an image; ok is false where they are not all
// plain.
func decodePlain(data []byte) (annotations []Annotation, ok bool) {
	p := plain{data: data}
	if !p.take('[') {
		return nil, false
	}
	annotations = []Annotation{}
	for more := !p.take(']'); more; {
		a, ok := p.annotation()
		if !ok {
			return nil, false
		}
		annotations = append(annotations, a)
		if more = p.take(','); !more && !p.take(']') {
			return nil, false
		}
	}
	p.blanks()
	return annotations, p.i == len(data)
}

func (p *plain) blanks() {
	for p.i < len(p.data) && (p.data[p.i] == ' ' || p.data[p.i] == '\n' || p.data[p.i] == '\t' || p.data[p.i] == '\r') {
		p.i++
	}
}

// take passes over blanks and a character, if that is what is there.
func (p *plain) take(c byte) bool {
	if p.i < len(p.data) && p.data[p.i] == c {
		p.i++
		return true
	}
	p.blanks()
	if p.i < len(p.data) && p.data[p.i] == c {
		p.i++
		return true
	}
	return false
}

// literal passes over text, if that is what is there.
func (p *plain) literal(text string) bool {
	if len(p.data)-p.i < len(text) || string(p.data[p.i:p.i+len(text)]) != text {
		return false
	}
	p.i += len(text)
	return true
}

func (p *plain) text() (text []byte, ok bool) {
	if !p.take('"') {
		return nil, false
	}
	length := bytes.IndexByte(p.data[p.i:], '"')
	if length < 0 {
		return nil, false
	}
	text = p.data[p.i : p.i+length]
	ascii := true
	for _, c := range text {
		if c < ' ' || c == '\\' {
			return nil, false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	p.i += length + 1
	return text, ascii || utf8.Valid(text)
}

// name is the name of a member, with the colon behind it.
func (p *plain) name() (name []byte, ok bool) {
	name, ok = p.text()
	return name, ok && p.take(':')
}

// tenths are powers of ten, exact.
var tenths = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads a number. One of up to 15 digits is the quotient of two that are
// exact, and so the nearest to what is written.
func (p *plain) number(into *float64) bool {
	p.blanks()
	data, start, i := p.data, p.i, p.i
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	first, value := i, uint64(0)
	for i < len(data) && data[i]-'0' <= 9 {
		value = value*10 + uint64(data[i]-'0')
		i++
	}
	digits, behind := i-first, 0
	if digits == 0 || digits > 1 && data[first] == '0' {
		return false
	}
	if i < len(data) && data[i] == '.' {
		i++
		point := i
		for i < len(data) && data[i]-'0' <= 9 {
			value = value*10 + uint64(data[i]-'0')
			i++
		}
		if behind = i - point; behind == 0 {
			return false
		}
		digits += behind
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		power := i
		for i < len(data) && data[i]-'0' <= 9 {
			i++
		}
		if i == power {
			return false
		}
		digits = len(tenths)
	}
	p.i = i
	if digits >= len(tenths) {
		v, err := strconv.ParseFloat(string(data[start:i]), 64)
		*into = v
		return err == nil
	}
	v := float64(value) / tenths[behind]
	if negative {
		v = -v
	}
	*into = v
	return true
}

// numbers is an object of numbers, all of which must be there but an angle.
func (p *plain) numbers(names []string, into ...*float64) bool {
	if !p.take('{') {
		return false
	}
	var seen uint
	for more := !p.take('}'); more; {
		name, ok := p.name()
		if !ok {
			return false
		}
		n := 0
		for n < len(names) && names[n] != string(name) {
			n++
		}
		if n == len(names) || seen&(1<<n) > 0 || !p.number(into[n]) {
			return false
		}
		seen |= 1 << n
		if more = p.take(','); !more && !p.take('}') {
			return false
		}
	}
	for n, name := range names {
		if seen&(1<<n) == 0 && name != "angle" {
			return false
		}
	}
	return true
}

func (p *plain) point(into *Point) bool {
	before := p.i
	if p.literal(`{"x":`) && p.number(&into.X) && p.literal(`,"y":`) && p.number(&into.Y) && p.literal(`}`) {
		return true
	}
	p.i = before
	return p.numbers(xy, &into.X, &into.Y)
}

func (p *plain) points() (points []Point, ok bool) {
	if !p.take('[') {
		return nil, false
	}
	if end := bytes.IndexByte(p.data[p.i:], ']'); end > 0 {
		points = make([]Point, 0, bytes.Count(p.data[p.i:p.i+end], []byte("{")))
	}
	for {
		var point Point
		if !p.point(&point) {
			return nil, false // also a list of none, which has to be reported
		}
		points = append(points, point)
		if !p.take(',') {
			return points, p.take(']')
		}
	}
}

// only is the beginning of an object of one member.
func (p *plain) only(member string) bool {
	if !p.take('{') {
		return false
	}
	name, ok := p.name()
	return ok && string(name) == member
}

func (p *plain) rings() (rings [][]Point, ok bool) {
	if !p.only("paths") || !p.take('[') {
		return nil, false
	}
	for {
		ring, ok := p.points()
		if !ok {
			return nil, false
		}
		rings = append(rings, ring)
		if !p.take(',') {
			return rings, p.take(']') && p.take('}')
		}
	}
}

// members of an annotation, as bits.
var members = map[string]uint{"id": 1 << 0, "name": 1 << 1, "type": 1 << 2, "created_by": 1 << 3, "confidence": 1 << 4, "instance_id": 1 << 5,
	"bounding_box": 1 << 6, "oriented_box": 1 << 7, "keypoint": 1 << 8, "polygon": 1 << 9, "polyline": 1 << 10, "attributes": 1 << 11}

func (p *plain) annotation() (a Annotation, ok bool) {
	if !p.take('{') {
		return a, false
	}
	var m parts
	var seen uint
	for more := !p.take('}'); more; {
		name, ok := p.name()
		bit := members[string(name)]
		if !ok || bit == 0 || seen&bit > 0 {
			return a, false
		}
		seen |= bit
		if !p.member(name, &m) {
			return a, false
		}
		if more = p.take(','); !more && !p.take('}') {
			return a, false
		}
	}
	var r reader
	a = r.assemble("", m)
	return a, len(r.errs) == 0
}

func (p *plain) member(name []byte, m *parts) (ok bool) {
	p.blanks()
	if p.i < len(p.data) && p.data[p.i] == 'n' {
		return optional[string(name)] && p.literal("null")
	}
	var text []byte
	switch string(name) {
	case "id":
		text, ok = p.text()
		m.id = string(text)
	case "name":
		if text, ok = p.text(); p.last != string(text) { // classes repeat
			p.last = string(text)
		}
		m.name = p.last
	case "type":
		text, ok = p.text()
		m.typ = string(text)
	case "created_by":
		text, ok = p.text()
		m.createdBy = string(text)
	case "confidence":
		m.confidence = new(float64)
		ok = p.number(m.confidence)
	case "instance_id":
		m.instance = new(float64)
		ok = p.number(m.instance)
	case "bounding_box":
		m.box = new(Box)
		ok = p.numbers(xywh, &m.box.X, &m.box.Y, &m.box.W, &m.box.H)
	case "oriented_box":
		m.oriented = new(OrientedBox)
		ok = p.numbers(cxcywh, &m.oriented.CX, &m.oriented.CY, &m.oriented.W, &m.oriented.H, &m.oriented.Angle)
	case "keypoint":
		m.keypoint = new(Point)
		ok = p.point(m.keypoint)
	case "polygon":
		m.polygon = new(Polygon)
		m.polygon.Rings, ok = p.rings()
	case "polyline":
		m.polyline = new(Polyline)
		if ok = p.only("path"); ok {
			m.polyline.Path, ok = p.points()
			ok = ok && p.take('}')
		}
	case "attributes":
		ok = p.attributes(m)
	}
	return ok
}

// attributes may be anything: they are read as by reader.
func (p *plain) attributes(m *parts) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(p.data[p.i:]))
	value, err := dec.ReadValue()
	if err != nil || value.Kind() != '{' && value.Kind() != '[' {
		return false
	}
	p.i += int(dec.InputOffset())
	return decodeAttributes(value, m) == nil
}
