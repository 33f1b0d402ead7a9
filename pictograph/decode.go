package pictograph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// DecodeAnnotations decodes the annotations of one image, a JSON array, as the service
// sends them. Members of an annotation that this package does not know are kept, to be
// written back with it. All else has to be as the service wants it: a geometry that is not
// the type's, rings of fewer than three points, blank names and the like are
// [FieldErrors], each with its path. JSON that is no JSON, or names a key twice, is
// another error.
func DecodeAnnotations(data []byte) ([]Annotation, error) { return newReader(data).annotations() }

// ParseAnnotations is DecodeAnnotations for what is to be sent. It is as strict as the
// service: unknown members are errors too.
func ParseAnnotations(data []byte) ([]Annotation, error) {
	r := newReader(data)
	r.strict = true
	return r.annotations()
}

func (r *reader) annotations() ([]Annotation, error) {
	annotations := []Annotation{}
	err := r.array("annotations", func(path string) error {
		a, err := r.annotation(path)
		annotations = append(annotations, a)
		return err
	})
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, fmt.Errorf("decode annotations: %w", err)
	}
	if len(r.errs) == 0 {
		uniqueIDs(annotations, "annotations", &r.errs)
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return annotations, nil
}

// UnmarshalJSON decodes one annotation, as [DecodeAnnotations] does.
func (a *Annotation) UnmarshalJSON(data []byte) error {
	r := newReader(data)
	decoded, err := r.annotation("")
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return fmt.Errorf("decode an annotation: %w", err)
	}
	if len(r.errs) > 0 {
		return r.errs
	}
	*a = decoded
	return nil
}

// reader takes a payload apart. Its methods return an error for JSON that
// cannot be read on, and gather in errs what is wrong with JSON that can.
type reader struct {
	dec    *jsontext.Decoder
	errs   FieldErrors
	strict bool // unknown members of an annotation are errors
}

func newReader(data []byte) *reader {
	return &reader{dec: jsontext.NewDecoder(bytes.NewBuffer(data))}
}

// end wants nothing to follow.
func (r *reader) end() error {
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return fmt.Errorf("something follows the value at byte %d", r.dec.InputOffset())
	}
	return nil
}

// kinds are the kinds of JSON values in words.
var kinds = map[jsontext.Kind]string{'n': "null", 'f': "a boolean", 't': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "a list"}

// is tells whether the next value is of a kind; one that is not is reported
// and passed over.
func (r *reader) is(kind jsontext.Kind, path string) (bool, error) {
	got := r.dec.PeekKind()
	if got == kind {
		return true, nil
	}
	if name, ok := kinds[got]; ok {
		r.errs.add(path, "%s where %s is expected", name, kinds[kind])
	}
	return false, r.dec.SkipValue()
}

func (r *reader) object(path string, field func(name, path string) error) error {
	ok, err := r.is('{', path)
	if !ok || err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		token, err := r.dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		at := name
		if path != "" {
			at = path + "." + name
		}
		if err := field(name, at); err != nil {
			return err
		}
	}
	_, err = r.dec.ReadToken()
	return err
}

func (r *reader) array(path string, element func(path string) error) error {
	ok, err := r.is('[', path)
	if !ok || err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.dec.PeekKind() != ']'; i++ {
		if err := element(path + "[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	_, err = r.dec.ReadToken()
	return err
}

func (r *reader) unknown(path string, hint string) error {
	r.errs.add(path, "unknown field%s", hint)
	return r.dec.SkipValue()
}

func (r *reader) text(path string, into *string) error {
	ok, err := r.is('"', path)
	if !ok || err != nil {
		return err
	}
	token, err := r.dec.ReadToken()
	if err == nil {
		*into = token.String()
	}
	return err
}

func (r *reader) number(path string, into *float64) error {
	ok, err := r.is('0', path)
	if !ok || err != nil {
		return err
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		r.errs.add(path, "%.40s is not finite", value)
		return nil
	}
	*into = v
	return nil
}

// parts are the members of an annotation as they came.
type parts struct {
	typ        string
	id, name   string
	box        *Box
	oriented   *OrientedBox
	polygon    *Polygon
	polyline   *Polyline
	keypoint   *Point
	instance   *float64
	confidence *float64
	createdBy  string
	attributes map[string]any
	list       []any
	unknown    map[string]json.RawMessage
}

func (r *reader) annotation(path string) (Annotation, error) {
	var p parts
	before := len(r.errs)
	err := r.object(path, func(name, at string) error {
		if r.dec.PeekKind() == 'n' && optional[name] {
			return r.dec.SkipValue()
		}
		return r.member(name, at, &p)
	})
	if err != nil || len(r.errs) > before {
		return Annotation{}, err
	}
	return r.assemble(path, p), nil
}

// optional members may be null, which is the same as left out.
var optional = map[string]bool{"bounding_box": true, "oriented_box": true, "polygon": true, "polyline": true, "keypoint": true,
	"instance_id": true, "confidence": true, "created_by": true, "attributes": true}

func (r *reader) member(name, at string, p *parts) error {
	switch name {
	case "id":
		return r.text(at, &p.id)
	case "name":
		return r.text(at, &p.name)
	case "type":
		return r.text(at, &p.typ)
	case "created_by":
		return r.text(at, &p.createdBy)
	case "confidence":
		p.confidence = new(float64)
		return r.number(at, p.confidence)
	case "instance_id":
		p.instance = new(float64)
		return r.number(at, p.instance)
	case "bounding_box":
		p.box = new(Box)
		return r.numbers(at, xywh, &p.box.X, &p.box.Y, &p.box.W, &p.box.H)
	case "oriented_box":
		p.oriented = new(OrientedBox)
		return r.numbers(at, cxcywh, &p.oriented.CX, &p.oriented.CY, &p.oriented.W, &p.oriented.H, &p.oriented.Angle)
	case "keypoint":
		p.keypoint = new(Point)
		return r.point(at, p.keypoint)
	case "polygon":
		p.polygon = new(Polygon)
		return r.only(at, "paths", func(at string) error {
			return r.array(at, func(at string) error {
				ring, err := r.points(at)
				p.polygon.Rings = append(p.polygon.Rings, ring)
				return err
			})
		})
	case "polyline":
		p.polyline = new(Polyline)
		return r.only(at, "path", func(at string) (err error) {
			p.polyline.Path, err = r.points(at)
			return err
		})
	case "attributes":
		return r.attributes(at, p)
	}
	if r.strict {
		hint := ""
		if name == "class" {
			hint = "; the class goes into name"
		}
		return r.unknown(at, hint)
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	if p.unknown == nil {
		p.unknown = make(map[string]json.RawMessage)
	}
	value = value.Clone()
	err = value.Compact() // annotations are written on one line
	p.unknown[name] = json.RawMessage(value)
	return err
}

// isMember reports whether an annotation has a member of that name.
func isMember(name string) bool {
	return optional[name] || name == "id" || name == "name" || name == "type"
}

// only is an object of one member, which must be there.
func (r *reader) only(path, member string, read func(path string) error) error {
	found := false
	before := len(r.errs)
	err := r.object(path, func(name, at string) error {
		if name != member {
			return r.unknown(at, "")
		}
		found = true
		return read(at)
	})
	if err == nil && !found && len(r.errs) == before {
		r.errs.add(path+"."+member, "missing")
	}
	return err
}

// numbers is an object of numbers, all of which must be there (but an angle,
// which is 0 where it is left out).
func (r *reader) numbers(path string, names []string, into ...*float64) error {
	var seen uint
	before := len(r.errs)
	err := r.object(path, func(name, at string) error {
		for i, n := range names {
			if n == name {
				seen |= 1 << i
				return r.number(at, into[i])
			}
		}
		return r.unknown(at, "")
	})
	if err != nil || len(r.errs) > before {
		return err
	}
	for i, n := range names {
		if seen&(1<<i) == 0 && n != "angle" {
			r.errs.add(path+"."+n, "missing")
		}
	}
	return nil
}

var (
	xy     = []string{"x", "y"}
	xywh   = []string{"x", "y", "w", "h"}
	cxcywh = []string{"cx", "cy", "w", "h", "angle"}
)

func (r *reader) point(path string, into *Point) error {
	return r.numbers(path, xy, &into.X, &into.Y)
}

func (r *reader) points(path string) ([]Point, error) {
	points := []Point{}
	err := r.array(path, func(at string) error {
		points = append(points, Point{})
		return r.point(at, &points[len(points)-1])
	})
	return points, err
}

func (r *reader) attributes(path string, p *parts) error {
	kind := r.dec.PeekKind()
	if kind != '{' && kind != '[' {
		_, err := r.is('{', path)
		return err
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	return decodeAttributes(value, p)
}

// decodeAttributes is for an object or a list.
func decodeAttributes(value []byte, p *parts) error {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber() // so that a number comes out as it went in
	if value[0] == '[' {
		return dec.Decode(&p.list)
	}
	return dec.Decode(&p.attributes)
}

// assemble makes an annotation of its members, or reports why they make none.
func (r *reader) assemble(path string, p parts) Annotation {
	at := func(field string) string {
		if path == "" {
			return field
		}
		return path + "." + field
	}
	a := Annotation{ID: p.id, Name: p.name, CreatedBy: p.createdBy, Unknown: p.unknown}
	if p.confidence != nil && *p.confidence != 1 {
		a.Confidence = p.confidence
	}
	if len(p.attributes) > 0 {
		a.Attributes = p.attributes
	}
	if len(p.list) > 0 {
		a.AttributeList = p.list
	}
	geometry, member := p.geometry()
	switch {
	case p.typ == "":
		r.errs.add(at("type"), "missing; it is bbox, polygon, polyline or keypoint")
	case member == "":
		r.errs.add(at("type"), "is %q and must be one of: bbox, polygon, polyline, keypoint", p.typ)
	case geometry == nil:
		r.errs.add(at(member), "missing; a %s needs one", p.typ)
	}
	typ := Type(p.typ)
	for _, m := range [...]struct {
		name    string
		present bool
	}{
		{"bounding_box", p.box != nil && typ == TypeKeypoint}, {"oriented_box", p.oriented != nil && typ != TypeBBox},
		{"polygon", p.polygon != nil && typ != TypePolygon}, {"polyline", p.polyline != nil && typ != TypePolyline},
		{"keypoint", p.keypoint != nil && typ != TypeKeypoint}, {"instance_id", p.instance != nil && typ != TypeKeypoint},
	} {
		if m.present && member != "" {
			r.errs.add(at(m.name), "a %s has none", p.typ)
		}
	}
	if p.instance != nil && (*p.instance < 1 || *p.instance != float64(int(*p.instance))) {
		r.errs.add(at("instance_id"), "%v is no instance; they count from 1", *p.instance)
	}
	a.Geometry = geometry
	if geometry != nil {
		first := len(r.errs)
		a.validate(&r.errs)
		if path != "" {
			r.errs[first:].under(path)
		}
	}
	return a
}

// geometry is nil where the member of that name is missing; the name is ""
// for an unknown type.
func (p parts) geometry() (Geometry, string) {
	switch Type(p.typ) {
	case TypeBBox:
		if p.box != nil {
			return BBox{Box: *p.box, Oriented: p.oriented}, "bounding_box"
		}
		return nil, "bounding_box"
	case TypePolygon:
		if p.polygon != nil {
			return Polygon{Rings: p.polygon.Rings, Box: p.box}, "polygon"
		}
		return nil, "polygon"
	case TypePolyline:
		if p.polyline != nil {
			return Polyline{Path: p.polyline.Path, Box: p.box}, "polyline"
		}
		return nil, "polyline"
	case TypeKeypoint:
		if p.keypoint == nil {
			return nil, "keypoint"
		}
		k := Keypoint{Point: *p.keypoint}
		if p.instance != nil {
			k.Instance = int(*p.instance)
		}
		return k, "keypoint"
	}
	return nil, ""
}
