package convert

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// WholeObject is one object of an image: a box, the polygons of one source
// annotation, or the keypoints of one instance; or several of these, where all were taken
// from one.
type WholeObject struct {
	ID         string
	name       string // class; of a pose, see Catalog.CategoryOf
	told       string // the category that a pose's keypoints name; "" where they name none
	Box        *pictograph.BBox
	Polygons   []pictograph.Polygon
	Keypoints  []pictograph.Annotation
	Given      *pictograph.Box // beside the keypoints
	slots      int             // keypoints there is room for; 0 where that is not told
	Scored     bool            // its keypoints have confidences of their own
	Confidence *float64
	Attributes map[string]any
	Members    []int // its annotations, by their places

	occluded        int // keypoints that are
	visible         bool
	visibleOccluded any // the attribute occluded of those that are not; nil for none
}

// Shapes is how many kinds of shapes the object has.
func (o WholeObject) Shapes() (n int) {
	for _, has := range []bool{o.Box != nil, o.Polygons != nil, o.Keypoints != nil} {
		if has {
			n++
		}
	}
	return n
}

// LostAnnotations are places of annotations that the format written does not hold.
type LostAnnotations map[int]bool

// Lost counts the source's annotations of which nothing is left without some of the
// annotations that they became.
func (r *Result) Lost(some LostAnnotations) (n int) {
	if len(some) == 0 {
		return 0
	}
	at := 0
	for annotations := range r.sources() {
		left := false
		for range annotations {
			left = left || !some[at]
			at++
		}
		if !left && len(annotations) > 0 {
			n++
		}
	}
	return n
}

// furtherPolygons and furtherBox are what the ids of further shapes end in.
const furtherPolygons, furtherBox = "-segmentation", "-box"

// partOf takes the id of a part from that of its object.
var partOf = regexp.MustCompile(`^(.+)-(0|[1-9][0-9]*)$`)

// ObjectsOf joins the annotations of an image that belong to one object: parts
// with the ids ID-0, ID-1, …, keypoints with one instance id, and what --all-geometries took
// beside the first shape. Those of several of the source's annotations are several objects, where
// the result tells them. What cannot be written at all, or is lost with the joining, is
// reported and noted as lost; report may be nil.
func ObjectsOf(r Result, lost LostAnnotations, report func(kind Kind, at, reason, action string)) []WholeObject {
	if report == nil {
		report = func(Kind, string, string, string) {}
	}
	if r.Ends == nil {
		return objectsOf(r, 0, len(r.Annotations), lost, report)
	}
	objects, first := make([]WholeObject, 0, len(r.Ends)), 0
	for _, end := range r.Ends {
		objects = append(objects, objectsOf(r, first, end, lost, report)...)
		first = end
	}
	return objects
}

// objectsOf are the objects of the annotations from first to end.
func objectsOf(r Result, first, end int, lost LostAnnotations, report func(kind Kind, at, reason, action string)) []WholeObject {
	j := joiner{result: r, parts: partsOf(r.Annotations, first, end), instances: make(map[int]int), report: report}
	for i := first; i < end; i++ {
		a := r.Annotations[i]
		at := "annotation " + scan.Shorten(a.ID)
		if a.AttributeList != nil {
			report(KindAttributes, at, "attributes in the list form have no place in the format", "left out")
		}
		o := WholeObject{ID: a.ID, name: a.Name, Confidence: a.Confidence, Attributes: a.Attributes, Members: []int{i}}
		switch g := a.Geometry.(type) {
		case pictograph.BBox:
			o.Box = &g
			j.objects = append(j.objects, o)
		case pictograph.Polygon:
			j.addPolygon(o, i, g)
		case pictograph.Keypoint:
			j.addKeypoint(o, a, g.Instance, at)
		default:
			report(KindPolyline, at, "a polyline has no place in the format", "left out")
			if lost != nil {
				lost[i] = true
			}
		}
	}
	for i := range j.objects {
		if o := &j.objects[i]; o.Keypoints != nil {
			o.Attributes = o.withOccluded()
		}
	}
	return joinShapes(j.objects)
}

// joiner joins annotations to objects, one after the other.
type joiner struct {
	result    Result
	parts     map[int][]int // see partsOf
	instances map[int]int   // instance id to place in objects
	report    func(kind Kind, at, reason, action string)
	objects   []WholeObject
}

// addPolygon adds the object of a polygon, with all of its parts where it is the first.
func (j *joiner) addPolygon(o WholeObject, place int, g pictograph.Polygon) {
	members := j.parts[place]
	if members == nil {
		o.Polygons = []pictograph.Polygon{g}
		j.objects = append(j.objects, o)
		return
	}
	if place > slices.Min(members) {
		return // of an object that is there already
	}
	annotations := j.result.Annotations
	o.ID, o.Members = strings.TrimSuffix(annotations[members[0]].ID, "-0"), members
	for _, m := range members {
		o.Polygons = append(o.Polygons, annotations[m].Geometry.(pictograph.Polygon))
	}
	j.objects = append(j.objects, o)
}

// addKeypoint adds a keypoint to the object of its instance, or one that it begins.
func (j *joiner) addKeypoint(o WholeObject, a pictograph.Annotation, instance int, at string) {
	if place, known := j.instances[instance]; known && instance > 0 {
		j.objects[place].join(a, at, j.report)
		j.objects[place].Members = append(j.objects[place].Members, o.Members...)
		return
	}
	j.instances[instance] = len(j.objects)
	o.ID = strings.TrimSuffix(a.ID, "-0")
	o.name = "" // a keypoint's
	o.Keypoints = []pictograph.Annotation{a}
	o.Attributes = o.see(a.Attributes, at, j.report)
	if instance > 0 {
		o.Attributes, o.told = withoutClass(o.Attributes)
		o.slots = j.result.Slots[instance]
		if box, given := j.result.Boxes[instance]; given {
			o.Given = &box
		}
	}
	j.objects = append(j.objects, o)
}

// joinShapes joins the objects ID-segmentation and ID-box to the object ID, from which
// they were taken with it.
func joinShapes(objects []WholeObject) []WholeObject {
	further := func(o WholeObject) (base string, ok bool) {
		switch {
		case o.Polygons != nil && o.Keypoints == nil && o.Box == nil:
			return strings.CutSuffix(o.ID, furtherPolygons)
		case o.Box != nil && o.Keypoints == nil && o.Polygons == nil:
			return strings.CutSuffix(o.ID, furtherBox)
		}
		return "", false
	}
	if !slices.ContainsFunc(objects, func(o WholeObject) bool { _, ok := further(o); return ok }) {
		return objects
	}
	places := make(map[string]int)
	var out []WholeObject
	for _, o := range objects {
		base, ok := further(o)
		place, there := places[base]
		if !ok || !there || !out[place].takes(o) {
			if _, taken := places[o.ID]; !taken {
				places[o.ID] = len(out)
			}
			out = append(out, o)
			continue
		}
		first := &out[place]
		if o.Polygons != nil {
			first.Polygons = o.Polygons
		} else {
			first.Box = o.Box
		}
		first.name = o.name
		first.Members = append(first.Members, o.Members...)
	}
	return out
}

// takes reports whether a shape may be of the same object.
func (o WholeObject) takes(further WholeObject) bool {
	switch {
	case further.Polygons != nil && (o.Polygons != nil || o.Box != nil), further.Box != nil && o.Box != nil:
		return false
	case o.name != "" && o.name != further.name, !sameAttributes(o.Attributes, further.Attributes):
		return false
	case further.Box != nil && geometry.Apart(further.Box.Box, aroundAll(o.Polygons)), o.Box != nil && geometry.Apart(o.Box.Box, aroundAll(further.Polygons)):
		return false // by chance of this id: readers would refuse the two as one
	}
	return o.Scored || sameConfidence(o.Confidence, further.Confidence)
}

// ReportGivenBoxes tells of the boxes that polygons are given with and that are not those
// around their points, which formats without such boxes do not hold.
func ReportGivenBoxes(report func(kind Kind, at, reason, action string), at string, polygons []pictograph.Polygon) {
	const pixels = 1 // boxes are often rounded to whole ones
	for _, p := range polygons {
		own := geometry.Enclosure(p.Rings[0])
		if p.Box == nil || own == nil || !geometry.BoxesDiffer(*p.Box, *own, pixels, 0) {
			continue
		}
		report(KindLostDetail, at, fmt.Sprintf("the bounding_box of the polygon is %v,%v to %v,%v, and its points lie at %v,%v to %v,%v",
			p.Box.X, p.Box.Y, p.Box.X+p.Box.W, p.Box.Y+p.Box.H, own.X, own.Y, own.X+own.W, own.Y+own.H), "the box around the points stands in its place")
		return
	}
}

// ReportMembers adds a finding for each member of annotations that a format has no place for
// and the service does: who made them, and what is not known here.
func ReportMembers(findings *[]Finding, image, format string, annotations []pictograph.Annotation) {
	counts := make(map[string]int)
	first := make(map[string]string)
	note := func(key, id string) {
		if counts[key]++; counts[key] == 1 {
			first[key] = id
		}
	}
	for _, a := range annotations {
		if a.CreatedBy != "" {
			note("created_by", a.ID)
		}
		for key := range a.Unknown {
			note(key, a.ID)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		*findings = append(*findings, Finding{Kind: KindMember, Cause: key, Count: counts[key], Image: image, At: "annotation " + scan.Shorten(first[key]), Annotation: first[key],
			Reason: fmt.Sprintf("%s has no place for the member %q of annotations", format, scan.Shorten(key)), Action: "left out"})
	}
}

// aroundAll is the box around polygons, without extent where there are none.
func aroundAll(polygons []pictograph.Polygon) pictograph.Box {
	var points []pictograph.Point
	for _, p := range polygons {
		points = append(points, p.Rings[0]...)
	}
	box, _ := geometry.Bounds(points)
	return box
}

// partsOf are the places, from begin to end, of the polygons that are parts of one object, in
// the order of the parts, by the place of each of them.
func partsOf(annotations []pictograph.Annotation, begin, end int) map[int][]int {
	var places map[string]int // of the polygons, by their ids
	var all map[int][]int
	for i := begin; i < end && end-begin > 1; i++ {
		first := &annotations[i]
		base, ok := strings.CutSuffix(first.ID, "-0")
		if _, polygon := first.Geometry.(pictograph.Polygon); !ok || base == "" || !polygon {
			continue
		}
		if places == nil {
			places, all = make(map[string]int), make(map[int][]int)
			for i, a := range annotations[begin:end] {
				if _, polygon := a.Geometry.(pictograph.Polygon); polygon {
					places[a.ID] = begin + i
				}
			}
		}
		members := []int{i}
		for {
			place, there := places[PartID(base, len(members))]
			if a := &annotations[place]; !there || a.Name != first.Name || !sameConfidence(a.Confidence, first.Confidence) || !sameAttributes(a.Attributes, first.Attributes) {
				break
			}
			members = append(members, place)
		}
		if len(members) > 1 {
			for _, place := range members {
				all[place] = members
			}
		}
	}
	return all
}

func (o *WholeObject) join(a pictograph.Annotation, at string, report func(Kind, string, string, string)) {
	o.Scored = o.Scored || !sameConfidence(a.Confidence, o.Confidence)
	visible := o.visibleOccluded
	first := !o.visible
	attributes, told := withoutClass(o.see(a.Attributes, at, report))
	if told != o.told || !sameAttributes(attributes, o.Attributes) || !first && !reflect.DeepEqual(visible, o.visibleOccluded) {
		report(KindAttributes, at, "the keypoints of an instance have different attributes", "those of the first were taken")
	}
	o.Keypoints = append(o.Keypoints, a)
}

func sameConfidence(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }

func sameAttributes(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// see notes what the attribute occluded of a keypoint says and returns the other ones.
func (o *WholeObject) see(attributes map[string]any, at string, report func(Kind, string, string, string)) (rest map[string]any) {
	own, there := attributes[occludedAttribute]
	rest = attributes
	if there {
		rest = maps.Clone(attributes)
		delete(rest, occludedAttribute)
	}
	if !IsOccluded(attributes) {
		o.visible, o.visibleOccluded = true, own
		return rest
	}
	if o.occluded++; own != any("true") {
		report(KindLostDetail, at, fmt.Sprintf("the attribute %q of a keypoint is %v, and not the text \"true\"", occludedAttribute, own), "the keypoint was written as occluded")
	}
	return rest
}

// withOccluded are the attributes of an object of keypoints with its own occluded, where it has
// one: that of the keypoints that are visible, or what was kept apart from it.
func (o *WholeObject) withOccluded() map[string]any {
	own, kept := o.visibleOccluded, false
	if own == nil {
		own, kept = o.Attributes[InstanceOccluded], true
		if kept = own != nil && occludedApart(own, o.occluded, len(o.Keypoints)); !kept {
			return o.Attributes
		}
	}
	attributes := maps.Clone(o.Attributes)
	if attributes == nil {
		attributes = make(map[string]any, 1)
	}
	if kept {
		delete(attributes, InstanceOccluded)
	}
	attributes[occludedAttribute] = own
	return attributes
}

// withoutClass are a keypoint's attributes but for the category of its instance, which it
// returns too.
func withoutClass(attributes map[string]any) (rest map[string]any, class string) {
	class, _ = attributes[InstanceClass].(string)
	if Blank(class) {
		return attributes, ""
	}
	rest = maps.Clone(attributes)
	delete(rest, InstanceClass)
	return rest, class
}

// IsOccluded reports whether the attributes are those of an occluded keypoint.
func IsOccluded(attributes map[string]any) bool { return SaysYes(attributes[occludedAttribute]) }

// Slots puts the keypoints of a pose in the order of their category; a keypoint that
// is not there is nil. Keypoints that find no place are returned too.
func (c *CatalogEntry) Slots(keypoints []pictograph.Annotation) (slots []*pictograph.Annotation, extra []*pictograph.Annotation) {
	named := 0
	if c.Skeleton != nil {
		named = len(c.Skeleton.Nodes)
	}
	_, numbered := numberedName(keypoints)
	if c.Skeleton == nil && !numbered {
		for i := range keypoints {
			slots = append(slots, &keypoints[i])
		}
		for len(slots) < c.Unnamed {
			slots = append(slots, nil)
		}
		return slots, nil
	}
	slots = make([]*pictograph.Annotation, max(named, c.Unnamed))
keypoints:
	for i, j := range keypoints {
		for s := range named {
			if c.Skeleton.Nodes[s].Name == j.Name && slots[s] == nil {
				slots[s] = &keypoints[i]
				continue keypoints
			}
		}
		if n, ok := keypointNumber(c.Name, j.Name); ok && n >= named && n < len(slots) && slots[n] == nil {
			slots[n] = &keypoints[i]
			continue
		}
		extra = append(extra, &keypoints[i])
	}
	return slots, extra
}

// Lose notes that keypoints of the object have no place.
func (o WholeObject) Lose(lost LostAnnotations, keypoints []*pictograph.Annotation, r Result) {
	for _, m := range o.Members {
		if slices.ContainsFunc(keypoints, func(j *pictograph.Annotation) bool { return j.ID == r.Annotations[m].ID }) {
			lost[m] = true
		}
	}
}

// ReportInto makes a function that adds findings about an image to a list.
func ReportInto(findings *[]Finding, image string) func(kind Kind, at, reason, action string) {
	return func(kind Kind, at, reason, action string) {
		*findings = append(*findings, Finding{Kind: kind, Image: image, At: at, Reason: reason, Action: action})
	}
}

// ReportExtra tells of keypoints that have no place in their category.
func ReportExtra(report func(Kind, string, string, string), category string, extra []*pictograph.Annotation) {
	if len(extra) > 0 {
		report(KindKeypoints, "annotation "+scan.Shorten(extra[0].ID), fmt.Sprintf("%d keypoints have no place of their own in category %q", len(extra), category), "left out")
	}
}
