package pictograph

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// FieldError is one thing wrong in a payload, and where: Path is as in
// `annotations[3].polygon.paths[0]`.
type FieldError struct {
	Path   string
	Reason string
}

func (e FieldError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// FieldErrors are all the things wrong in a payload, at most a hundred.
type FieldErrors []FieldError

const maxFieldErrors = 100

func (e FieldErrors) Error() string {
	const shown = 5
	var parts []string
	for i, f := range e {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(e)-shown))
			break
		}
		parts = append(parts, f.Error())
	}
	return strings.Join(parts, "; ")
}

func (e *FieldErrors) add(path, format string, args ...any) {
	if len(*e) < maxFieldErrors {
		*e = append(*e, FieldError{Path: path, Reason: fmt.Sprintf(format, args...)})
	}
}

// under puts the place of a part before the paths within it.
func (e FieldErrors) under(path string) {
	for i := range e {
		e[i].Path = strings.TrimSuffix(path+"."+e[i].Path, ".")
	}
}

// err is nil where nothing is wrong.
func (e FieldErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Validate holds an annotation against the service's rules. The error is a
// [FieldErrors].
func (a Annotation) Validate() error {
	var errs FieldErrors
	a.validate(&errs)
	return errs.err()
}

// ValidateAnnotations holds the annotations of one image against the service's
// rules, ids that occur twice included. The error is a [FieldErrors].
func ValidateAnnotations(annotations []Annotation) error {
	var errs FieldErrors
	for i, a := range annotations {
		first := len(errs)
		a.validate(&errs)
		if len(errs) > first {
			errs[first:].under(fmt.Sprintf("annotations[%d]", i))
		}
	}
	uniqueIDs(annotations, "annotations", &errs)
	return errs.err()
}

func uniqueIDs(annotations []Annotation, path string, errs *FieldErrors) {
	if len(annotations) <= fewIDs && allDiffer(annotations) {
		return
	}
	seen := make(map[string]int, len(annotations))
	for i, a := range annotations {
		if first, twice := seen[a.ID]; twice {
			errs.add(fmt.Sprintf("%s[%d].id", path, i), "%q is the id of [%d] already", a.ID, first)
			continue
		}
		seen[a.ID] = i
	}
}

// fewIDs are compared with one another faster than they are hashed.
const fewIDs = 24

func allDiffer(annotations []Annotation) bool {
	for i := range annotations {
		for j := range i {
			if annotations[i].ID == annotations[j].ID {
				return false
			}
		}
	}
	return true
}

// validate reports paths within the annotation. None is built for an
// annotation that is right: millions are validated in a run.
func (a Annotation) validate(errs *FieldErrors) {
	if strings.TrimSpace(a.ID) == "" {
		errs.add("id", "blank; every annotation needs an id")
	}
	if strings.TrimSpace(a.Name) == "" {
		errs.add("name", "blank; every annotation needs its class's name")
	}
	if c := a.Confidence; c != nil && !(*c >= 0 && *c <= 1) {
		errs.add("confidence", "%v is outside 0 to 1", *c)
	}
	if a.Attributes != nil && a.AttributeList != nil {
		errs.add("attributes", "both a map and a list")
	}
	for name, value := range a.Unknown {
		if isMember(name) || !json.Valid(value) {
			errs.add(name, "is no JSON, or a field of its own, among the unknown ones")
		}
	}
	switch g := a.Geometry.(type) {
	case BBox:
		g.Box.validate(errs)
		if g.Oriented != nil {
			g.Oriented.validate(errs)
		}
	case Polygon:
		g.validate(errs)
	case Polyline:
		if len(g.Path) < 2 {
			errs.add("polyline.path", "%s, a polyline needs 2", countPoints(len(g.Path)))
		}
		validatePoints(g.Path, errs, func() string { return "polyline.path" })
		if g.Box != nil {
			g.Box.validate(errs)
		}
	case Keypoint:
		if !finite(g.Point.X) || !finite(g.Point.Y) {
			errs.add("keypoint", "(%v, %v) is not finite", g.Point.X, g.Point.Y)
		}
		if g.Instance < 0 {
			errs.add("instance_id", "%d, instances count from 1", g.Instance)
		}
	case nil:
		errs.add("type", "an annotation needs a geometry")
	default:
		errs.add("type", "%T is no geometry by value", g)
	}
}

func (g Polygon) validate(errs *FieldErrors) {
	if len(g.Rings) == 0 {
		errs.add("polygon.paths", "no ring, a polygon needs an outline")
	}
	for i, ring := range g.Rings {
		at := func() string { return fmt.Sprintf("polygon.paths[%d]", i) }
		if len(ring) < 3 {
			errs.add(at(), "%s, a ring needs 3", countPoints(len(ring)))
		}
		validatePoints(ring, errs, at)
	}
	if g.Box != nil {
		g.Box.validate(errs)
	}
}

func countPoints(n int) string {
	if n == 1 {
		return "1 point"
	}
	return fmt.Sprintf("%d points", n)
}

func finite(v float64) bool {
	const exponent = 0x7ff << 52 // all ones in infinities and what is no number
	return math.Float64bits(v)&exponent != exponent
}

func validatePoints(points []Point, errs *FieldErrors, at func() string) {
	for i, p := range points {
		if !finite(p.X) || !finite(p.Y) {
			errs.add(fmt.Sprintf("%s[%d]", at(), i), "(%v, %v) is not finite", p.X, p.Y)
		}
	}
}

func (b Box) validate(errs *FieldErrors) {
	if !finite(b.X) || !finite(b.Y) || !finite(b.W) || !finite(b.H) {
		errs.add("bounding_box", "%v %v %v %v is not finite", b.X, b.Y, b.W, b.H)
		return
	}
	positive(b.W, "bounding_box.w", errs)
	positive(b.H, "bounding_box.h", errs)
}

func positive(v float64, path string, errs *FieldErrors) {
	if !(v > 0) {
		errs.add(path, "%v, it must be more than 0", v)
	}
}

func (o OrientedBox) validate(errs *FieldErrors) {
	if !finite(o.CX) || !finite(o.CY) || !finite(o.W) || !finite(o.H) || !finite(o.Angle) {
		errs.add("oriented_box", "%v %v %v %v %v is not finite", o.CX, o.CY, o.W, o.H, o.Angle)
		return
	}
	positive(o.W, "oriented_box.w", errs)
	positive(o.H, "oriented_box.h", errs)
	if o.Angle < 0 || o.Angle >= 360 {
		errs.add("oriented_box.angle", "%v is outside 0 to 360 (360 itself is 0)", o.Angle)
	}
}
