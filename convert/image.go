package convert

import (
	"fmt"
	"maps"
	"strconv"

	"pictosync/pictograph"
)

// imageBuilder gathers the Result of one image, one source annotation after
// the other. Its add methods report whether the annotation is in the result.
type imageBuilder struct {
	file, image string
	size        Size
	outside     Outside
	simplify    float64

	allGeometries bool
	// noteOutside tells of shapes that lie outside the image where they are kept too.
	noteOutside bool

	result      Result
	classes     map[classKey]int // place in result.Classes; nil while they are few
	instances   int              // instance ids given away so far
	sizeMissing bool             // reported already

	*memory
}

type classKey struct {
	name string
	typ  pictograph.Type
}

func newImageBuilder(file, image string, size Size, o Options, annotations int) *imageBuilder {
	m := memoryFor(annotations)
	return &imageBuilder{
		file: file, image: image, size: size, outside: o.Outside, simplify: o.Simplify, allGeometries: o.AllGeometries,
		result: Result{Annotations: m.annotations, taken: m.taken[:0], memory: m}, memory: m,
	}
}

// count counts one of the source's annotations, which was taken or not.
func (b *imageBuilder) count(taken bool) {
	b.result.Read++
	if taken {
		b.result.taken = append(b.result.taken, len(b.result.Annotations))
	} else {
		b.result.LeftOut++
	}
}

// object is what the annotations made from one source annotation have in
// common.
type object struct {
	at       place    // in the file, for findings
	id       string   // the source's own; empty if it has none
	parts    []string // the ids of its annotations where the source gives those
	position int      // among the source annotations of the image, or line; from 1
	name     string   // class

	confidence *float64
	attributes map[string]any

	oddAngle string // why its box's angle cannot be told

	slots int // how many joints its list has room for; 0 where that is not told
	// results says that it is a prediction, scored that its joints have scores, and
	// constant that what stands in their place says nothing.
	results, scored, constant bool
}

func (b *imageBuilder) report(kind Kind, at place, reason, action string) {
	b.result.Findings = append(b.result.Findings, Finding{
		Kind: kind, File: b.file, Image: b.image, At: at.String(), Reason: reason, Action: action,
	})
}

// drop reports why something is not taken over; false is what its callers
// return then.
func (b *imageBuilder) drop(kind Kind, at place, reason string) bool {
	b.report(kind, at, reason, "dropped")
	return false
}

func (b *imageBuilder) addBox(o object, box pictograph.Box) bool {
	if !finite(box.X, box.Y, box.W, box.H, box.X+box.W, box.Y+box.H) {
		return b.drop(KindNumber, o.at, "the box is not finite")
	}
	if box.W <= 0 || box.H <= 0 {
		return b.drop(KindBox, o.at, fmt.Sprintf("the box is %v wide and %v high", box.W, box.H))
	}
	box, ok := b.within(o.at, box)
	if !ok {
		return false
	}
	return b.add(o, wholeID, pictograph.BBox{Box: box})
}

// addOrientedBox takes a quadrilateral of finite corners.
func (b *imageBuilder) addOrientedBox(o object, q quadrilateral) bool {
	const tolerance = 0.01 // px
	if !q.convex() {
		return b.drop(KindBox, o.at, "the four corners do not go round a rectangle")
	}
	oriented := q.orientedBox()
	if !finite(oriented.CX, oriented.CY, oriented.W, oriented.H) {
		return b.drop(KindNumber, o.at, "the oriented box is not finite")
	}
	if fitted := corners(oriented); q.farthest(fitted) > tolerance {
		b.report(KindOrientedBox, o.at, "the four corners are no rectangle",
			fmt.Sprintf("a rectangle is fitted; corners move by up to %.2f px", q.farthest(fitted)))
		q = fitted
	}
	return b.addOriented(o, oriented, q)
}

// addOriented takes an oriented box with its corners.
func (b *imageBuilder) addOriented(o object, oriented pictograph.OrientedBox, q quadrilateral) bool {
	box, ok := bounds(q[:])
	if !ok {
		return b.drop(KindBox, o.at, "the oriented box has no extent")
	}
	if b.noteOutside && !b.kept(o.at, box) {
		return false
	}
	if b.leaves(box) {
		const reason = "the oriented box reaches outside the image"
		if b.outside == OutsideReport {
			return b.leaveOutside(o.at, reason)
		}
		b.report(KindOutside, o.at, reason, "kept whole, since a part of it would be no rectangle")
	}
	return b.add(o, wholeID, pictograph.BBox{Box: box, Oriented: &oriented})
}

// addPolygons makes one annotation of every polygon, with its enclosing box.
func (b *imageBuilder) addPolygons(o object, id idForm, polygons []pictograph.Polygon) bool {
	geometries := b.parts[:0]
	for _, polygon := range polygons {
		if polygon.Box == nil {
			if box, ok := bounds(polygon.Rings[0]); ok {
				polygon.Box = &b.boxes.take(1)[0]
				*polygon.Box = box
			}
		}
		if polygon.Box != nil {
			inside, ok := b.within(o.at, *polygon.Box)
			if !ok {
				continue
			}
			*polygon.Box = inside
		}
		geometries = append(geometries, polygon)
	}
	b.parts = geometries
	return b.add(o, id, geometries...)
}

// addMask makes one annotation of every region of a mask.
func (b *imageBuilder) addMask(o object, m *mask) bool {
	polygons := b.tracer.trace(m, &b.points)
	switch {
	case len(polygons) == 0:
		return b.drop(KindMask, o.at, "the mask is empty")
	case len(polygons) > maxRegions:
		return b.drop(KindMask, o.at, fmt.Sprintf("the mask has %d regions, more than %d", len(polygons), maxRegions))
	}
	if b.simplify > 0 {
		for i := range polygons {
			polygons[i] = simplify(polygons[i], b.simplify)
		}
	}
	return b.addPolygons(o, partIDs(len(polygons)), polygons)
}

// addPose makes one keypoint annotation of every placed joint. The joints share
// an instance id, except a lone point of a category without joints: that is a
// landmark, not an object.
func (b *imageBuilder) addPose(o object, c *category, joints []joint) bool {
	if b.noteOutside {
		if !b.kept(o.at, aroundJoints(joints)) {
			return false
		}
	}
	lone := len(joints) == 1 && len(c.joints) <= 1 && o.slots <= 1 && joints[0].name == ""
	instance := 0
	if !lone {
		b.instances++
		instance = b.instances
	}
	geometries := make([]pictograph.Geometry, len(joints))
	for i, j := range joints {
		geometries[i] = pictograph.Keypoint{Point: j.point, Instance: instance}
	}
	b.require(c.name, pictograph.TypeKeypoint, c.skeleton)
	if c.skeleton != nil {
		for _, name := range c.joints {
			b.require(name, pictograph.TypeKeypoint, nil)
		}
	}
	first := len(b.result.Annotations)
	b.add(o, partID, geometries...)
	unnamed := 0
	for i, j := range joints {
		a := &b.result.Annotations[first+i]
		switch {
		case j.name != "":
			a.Name = j.name
			b.require(a.Name, pictograph.TypeKeypoint, nil)
		case c.skeleton != nil && j.slot < len(c.joints):
			a.Name = c.joints[j.slot]
		case !lone:
			unnamed++
			a.Name = numberedJoint(c.name, j.slot)
			b.require(a.Name, pictograph.TypeKeypoint, nil)
		}
		if j.score != nil {
			a.Confidence = j.score
		}
		if j.occluded {
			if a.Attributes == nil {
				a.Attributes = make(map[string]any, 1)
			}
			a.Attributes["occluded"] = "true"
		}
	}
	if unnamed > 0 {
		b.report(KindJointName, o.at,
			fmt.Sprintf("category %q has %d joint names; joints placed beyond them: %d", c.name, len(c.joints), unnamed),
			"named by their number, as "+numberedJoint(c.name, joints[len(joints)-1].slot))
		b.countSlots(instance, joints, o.slots)
	}
	return true
}

// countSlots notes how many joints an instance has room for where its joints that are
// placed do not tell.
func (b *imageBuilder) countSlots(instance int, joints []joint, slots int) {
	for _, j := range joints {
		if j.name == "" && j.slot+1 >= slots {
			return
		}
	}
	if slots == 0 {
		return
	}
	if b.result.Slots == nil {
		b.result.Slots = make(map[int]int)
	}
	b.result.Slots[instance] = slots
}

// kept reports whether a shape is in the image at least in part, where shapes outside are
// kept as they are, and tells of those that reach outside.
func (b *imageBuilder) kept(at place, box pictograph.Box) bool {
	const pixels, share = 1, 0.01
	if b.outside != OutsideKeep && b.outside != "" || !b.size.Known() {
		return true
	}
	w, h := float64(b.size.Width), float64(b.size.Height)
	if box.X >= 0 && box.Y >= 0 && box.X+box.W <= w && box.Y+box.H <= h {
		return true
	}
	dx, dy := max(pixels, share*w), max(pixels, share*h)
	if out := max(-(box.X + box.W), box.X-w, -(box.Y + box.H), box.Y-h); out > 0 || out == 0 && (box.W > 0 && box.H > 0) {
		return b.drop(KindOffImage, at, "it lies outside the image altogether")
	}
	if box.X < -dx || box.Y < -dy || box.X+box.W > w+dx || box.Y+box.H > h+dy {
		b.report(KindOutside, at, "it reaches outside the image", "kept as it is; --outside clip cuts boxes off")
	}
	return true
}

// add makes one annotation of each geometry. None is no annotation.
func (b *imageBuilder) add(o object, id idForm, geometries ...pictograph.Geometry) bool {
	if len(geometries) == 0 {
		return false
	}
	if b.freeParts(o.parts, len(geometries)) {
		id = func(_ string, part int) string { return o.parts[part] }
		o.id = o.parts[0]
	}
	base := b.uniqueID(o, id, geometries)
	b.require(o.name, geometries[0].Type(), nil)
	for part, g := range geometries {
		name := id(base, part)
		b.ids.add(name)
		b.result.Annotations = append(b.result.Annotations, pictograph.Annotation{
			ID: name, Name: o.name, Geometry: g, Confidence: o.confidence, Attributes: maps.Clone(o.attributes),
		})
	}
	return true
}

// idForm makes the id of the part-th annotation of one source annotation.
type idForm func(base string, part int) string

func wholeID(base string, _ int) string   { return base }
func partID(base string, part int) string { return base + "-" + strconv.Itoa(part) }

// partIDs is the form of ids for a source annotation of that many parts.
func partIDs(parts int) idForm {
	if parts > 1 {
		return partID
	}
	return wholeID
}

// uniqueID returns the source's id, or a name-based one where there is none or
// where it would name two annotations of the image.
func (b *imageBuilder) uniqueID(o object, id idForm, geometries []pictograph.Geometry) string {
	if o.id != "" {
		if b.free(o.id, id, len(geometries)) {
			return o.id
		}
		b.report(KindDuplicateID, o.at, "another annotation of the image has this id", "kept under an id made from its position and geometry")
	}
	for attempt := 0; ; attempt++ {
		if made := b.made.annotationID(b.image, o.position, attempt, geometries); b.free(made, id, len(geometries)) {
			return made
		}
	}
}

// freeParts reports whether ids can be those of n annotations.
func (b *imageBuilder) freeParts(ids []string, n int) bool {
	if len(ids) != n {
		return false
	}
	own := make(map[string]bool, n)
	for _, id := range ids {
		if b.ids.has(id) || blank(id) || own[id] {
			return false
		}
		own[id] = true
	}
	return n > 0
}

func (b *imageBuilder) free(base string, id idForm, parts int) bool {
	for part := range parts {
		if b.ids.has(id(base, part)) {
			return false
		}
	}
	return true
}

// require notes a class that the annotations need.
func (b *imageBuilder) require(name string, t pictograph.Type, skeleton *pictograph.Skeleton) {
	place := b.class(name, t)
	if place < 0 {
		if b.classes != nil {
			b.classes[classKey{name, t}] = len(b.result.Classes)
		}
		if b.result.Classes == nil {
			b.result.Classes = make([]pictograph.Class, 0, min(cap(b.result.Annotations), 8))
		}
		b.result.Classes = append(b.result.Classes, pictograph.Class{Name: name, Type: t, Skeleton: skeleton})
		return
	}
	if class := &b.result.Classes[place]; class.Skeleton == nil {
		class.Skeleton = skeleton
	}
}

// class is the place of a class in result.Classes, -1 if it is not there.
func (b *imageBuilder) class(name string, t pictograph.Type) int {
	const few = 16
	if len(b.result.Classes) <= few {
		for i := range b.result.Classes {
			if c := &b.result.Classes[i]; c.Name == name && c.Type == t {
				return i
			}
		}
		return -1
	}
	if b.classes == nil {
		b.classes = make(map[classKey]int)
		for i, c := range b.result.Classes {
			b.classes[classKey{c.Name, c.Type}] = i
		}
	}
	if place, known := b.classes[classKey{name, t}]; known {
		return place
	}
	return -1
}

// within holds a box against the image as the options say; false drops it.
func (b *imageBuilder) within(at place, box pictograph.Box) (pictograph.Box, bool) {
	if !b.leaves(box) {
		return box, !b.noteOutside || b.kept(at, box)
	}
	if b.outside == OutsideReport {
		return box, b.leaveOutside(at, "the box reaches outside the image")
	}
	cut := clip(box, b.size.Width, b.size.Height)
	if cut.W <= 0 || cut.H <= 0 {
		return box, b.leaveOutside(at, "the box lies outside the image")
	}
	b.report(KindOutside, at, "the box reaches outside the image", "box cut off at the edge")
	return cut, true
}

// leaves reports whether a box that is not just kept reaches outside.
func (b *imageBuilder) leaves(box pictograph.Box) bool {
	if b.outside == OutsideKeep || b.outside == "" {
		return false
	}
	if !b.size.Known() {
		if !b.sizeMissing {
			b.report(KindUnchecked, place{}, "boxes cannot be held against an image of unknown size", "boxes kept")
			b.sizeMissing = true
		}
		return false
	}
	return reachesOutside(box, b.size.Width, b.size.Height)
}

// leaveOutside leaves out what reaches outside the image, as the options ask.
func (b *imageBuilder) leaveOutside(at place, reason string) bool {
	b.report(KindOutsideLeftOut, at, reason, "left out")
	return false
}

const noConfidence = "annotation kept without it; the service counts that as 1"

// confidence is a score as the service takes it, nil if it cannot.
func (b *imageBuilder) confidence(at place, score float64) *float64 {
	if score >= 0 && score <= 1 {
		return &score
	}
	b.report(KindConfidence, at, fmt.Sprintf("score %v is not from 0 to 1", score), noConfidence)
	return nil
}

// pairs are the points of coordinates; an odd one at the end is left out.
func (b *imageBuilder) pairs(coordinates []float64) []pictograph.Point {
	paired := b.points.take(len(coordinates) / 2)
	for i := range paired {
		paired[i] = pictograph.Point{X: coordinates[2*i], Y: coordinates[2*i+1]}
	}
	return paired
}
