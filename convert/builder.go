package convert

import (
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"pictosync/convert/geometry"
	"pictosync/pictograph"
)

// Builder gathers the Result of one image, one source annotation after
// the other. Its add methods report whether the annotation is in the result.
type Builder struct {
	File, Image string
	Size        Size
	outside     Outside
	simplify    float64

	AllGeometries bool
	// NoteOutside tells of shapes that lie outside the image where they are kept too.
	NoteOutside bool

	Result      Result
	classes     map[classKey]int // place in result.Classes; nil while they are few
	Instances   int              // instance ids given away so far
	sizeMissing bool             // reported already
	likeParts   []ownID          // see KeepApart

	*memory
}

type classKey struct {
	name string
	typ  pictograph.Type
}

// NewBuilder begins the result of an image. annotations is about how many it will have.
func NewBuilder(file, image string, size Size, o Options, annotations int) *Builder {
	m := memoryFor(annotations)
	return &Builder{
		File: file, Image: image, Size: size, outside: o.Outside, simplify: o.Simplify, AllGeometries: o.AllGeometries,
		Result: Result{Annotations: m.annotations, Ends: m.taken[:0], memory: m}, memory: m,
	}
}

// ResultOf is the Result of an image's annotations as they are, with the classes that they need.
func ResultOf(image string, size Size, annotations []pictograph.Annotation) Result {
	b := NewBuilder("", image, size, Options{}, 0)
	for _, a := range annotations {
		b.Require(a.Name, a.Geometry.Type(), nil)
	}
	b.Result.Annotations, b.Result.Read, b.Result.Ends = annotations, len(annotations), nil
	b.Result.Size = size
	return b.Result
}

// Count counts one of the source's annotations, which was taken or not.
func (b *Builder) Count(taken bool) {
	b.Result.Read++
	if taken {
		b.Result.Ends = append(b.Result.Ends, len(b.Result.Annotations))
	} else {
		b.Result.LeftOut++
	}
}

// Object is what the annotations made from one source annotation have in
// common.
type Object struct {
	At       Location // in the file, for findings
	ID       string   // the source's own; empty if it has none
	Parts    []string // the ids of its annotations where the source gives those
	Position int      // among the source annotations of the image, or line; from 1
	Name     string   // class

	Confidence *float64
	Attributes map[string]any

	OddAngle string // why its box's angle cannot be told

	Slots int // how many keypoints its list has room for; 0 where that is not told
	// Results says that it is a prediction, scored that its keypoints have scores, and
	// constant that what stands in their place says nothing.
	Results, Scored, Constant bool
}

// Report adds a finding about the image.
func (b *Builder) Report(kind Kind, at Location, reason, action string) {
	b.Result.Findings = append(b.Result.Findings, Finding{
		Kind: kind, File: b.File, Image: b.Image, At: at.String(), Reason: reason, Action: action,
	})
}

// Drop reports why something is not taken over; false is what its callers
// return then.
func (b *Builder) Drop(kind Kind, at Location, reason string) bool {
	b.Report(kind, at, reason, "dropped")
	return false
}

// AddBox takes an upright box; false says that it was left out.
func (b *Builder) AddBox(o Object, box pictograph.Box) bool {
	if !geometry.Finite(box.X, box.Y, box.W, box.H, box.X+box.W, box.Y+box.H) {
		return b.Drop(KindNumber, o.At, "the box is not finite")
	}
	if box.W <= 0 || box.H <= 0 {
		return b.Drop(KindBox, o.At, fmt.Sprintf("the box is %v wide and %v high", box.W, box.H))
	}
	box, ok := b.within(o.At, box)
	if !ok {
		return false
	}
	return b.add(o, WholeID, pictograph.BBox{Box: box})
}

// AddOrientedBox takes a quadrilateral of finite corners.
func (b *Builder) AddOrientedBox(o Object, q geometry.Quadrilateral) bool {
	const tolerance = 0.01 // px
	if !q.Convex() {
		return b.Drop(KindBox, o.At, "the four corners do not go round a rectangle")
	}
	oriented := q.OrientedBox()
	if !geometry.Finite(oriented.CX, oriented.CY, oriented.W, oriented.H) {
		return b.Drop(KindNumber, o.At, "the oriented box is not finite")
	}
	if fitted := geometry.Corners(oriented); q.Farthest(fitted) > tolerance {
		b.Report(KindOrientedBox, o.At, "the four corners are no rectangle",
			fmt.Sprintf("a rectangle is fitted; corners move by up to %.2f px", q.Farthest(fitted)))
		q = fitted
	}
	return b.AddOriented(o, oriented, q)
}

// AddOriented takes an oriented box with its corners.
func (b *Builder) AddOriented(o Object, oriented pictograph.OrientedBox, q geometry.Quadrilateral) bool {
	box, ok := geometry.Bounds(q[:])
	if !ok {
		return b.Drop(KindBox, o.At, "the oriented box has no extent")
	}
	if b.NoteOutside && !b.kept(o.At, box) {
		return false
	}
	if b.Leaves(box) {
		const reason = "the oriented box reaches outside the image"
		if b.outside == OutsideReport {
			return b.leaveOutside(o.At, reason)
		}
		b.Report(KindOutside, o.At, reason, "kept whole, since a part of it would be no rectangle")
	}
	return b.add(o, WholeID, pictograph.BBox{Box: box, Oriented: &oriented})
}

// AddPolygons makes one annotation of every polygon, with its enclosing box.
func (b *Builder) AddPolygons(o Object, id idForm, polygons []pictograph.Polygon) bool {
	geometries := b.parts[:0]
	for _, polygon := range polygons {
		if polygon.Box == nil {
			if box, ok := geometry.Bounds(polygon.Rings[0]); ok {
				polygon.Box = &b.Boxes.Take(1)[0]
				*polygon.Box = box
			}
		}
		if polygon.Box != nil {
			inside, ok := b.within(o.At, *polygon.Box)
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

// AddMask makes one annotation of every region of a mask.
func (b *Builder) AddMask(o Object, m *geometry.Mask) bool {
	polygons := b.tracer.Trace(m, &b.Points)
	switch {
	case len(polygons) == 0:
		return b.Drop(KindMask, o.At, "the mask is empty")
	case len(polygons) > geometry.MaxRegions:
		return b.Drop(KindMask, o.At, fmt.Sprintf("the mask has %d regions, more than %d", len(polygons), geometry.MaxRegions))
	}
	if b.simplify > 0 {
		for i := range polygons {
			polygons[i] = geometry.Simplify(polygons[i], b.simplify)
		}
	}
	return b.AddPolygons(o, PartIDs(len(polygons)), polygons)
}

// AddPose makes one keypoint annotation of every placed keypoint. The keypoints share
// an instance id, except a lone point of a category that names none: that is a
// landmark, not an object.
func (b *Builder) AddPose(o Object, c *Category, keypoints []Keypoint) bool {
	if b.NoteOutside {
		if !b.kept(o.At, aroundKeypoints(keypoints)) {
			return false
		}
	}
	lone := len(keypoints) == 1 && c.Skeleton == nil && o.Slots <= 1 && keypoints[0].Name == ""
	instance := 0
	if !lone {
		b.Instances++
		instance = b.Instances
	}
	geometries := make([]pictograph.Geometry, len(keypoints))
	for i, j := range keypoints {
		geometries[i] = pictograph.Keypoint{Point: j.Point, Instance: instance}
	}
	o.Attributes = b.instanceOccluded(o, keypoints)
	o.Attributes = b.instanceClass(o, c, lone)
	b.Require(c.Name, pictograph.TypeKeypoint, c.Skeleton)
	if c.Skeleton != nil {
		for _, name := range c.Keypoints {
			b.Require(name, pictograph.TypeKeypoint, nil)
		}
	}
	first := len(b.Result.Annotations)
	b.add(o, PartID, geometries...)
	unnamed := 0
	for i, j := range keypoints {
		a := &b.Result.Annotations[first+i]
		switch {
		case j.Name != "":
			a.Name = j.Name
			b.Require(a.Name, pictograph.TypeKeypoint, nil)
		case c.Skeleton != nil && j.Slot < len(c.Keypoints):
			a.Name = c.Keypoints[j.Slot]
		case !lone:
			unnamed++
			a.Name = NumberedKeypoint(c.Name, j.Slot)
			b.Require(a.Name, pictograph.TypeKeypoint, nil)
		}
		if j.Score != nil {
			a.Confidence = j.Score
		}
		if j.Occluded {
			if a.Attributes == nil {
				a.Attributes = make(map[string]any, 1)
			}
			a.Attributes[occludedAttribute] = "true"
		}
	}
	if unnamed > 0 {
		b.Report(KindKeypointName, o.At,
			fmt.Sprintf("category %q has %d keypoint names; keypoints placed beyond them: %d", c.Name, len(c.Keypoints), unnamed),
			"named by their number, as "+NumberedKeypoint(c.Name, keypoints[len(keypoints)-1].Slot))
		b.countSlots(instance, keypoints, o.Slots)
	}
	return true
}

// CarryBox keeps the box that is given beside the keypoints of the last instance. One that is
// just around them tells nothing more: it is what is written where none is given.
func (b *Builder) CarryBox(box pictograph.Box, keypoints []Keypoint) {
	if box == aroundKeypoints(keypoints) {
		return
	}
	if b.Result.Boxes == nil {
		b.Result.Boxes = make(map[int]pictograph.Box)
	}
	b.Result.Boxes[b.Instances] = box
}

// instanceClass are the attributes of a pose's keypoints, with the category where there are
// several. One of the source's own that says something else cannot be told from it.
func (b *Builder) instanceClass(o Object, c *Category, lone bool) map[string]any {
	attributes := o.Attributes
	if own, there := attributes[InstanceClass]; there && own != any(c.Name) {
		b.Report(KindAttributes, o.At, "the attribute "+InstanceClass+" of keypoints says which category they are of, and here it is another than "+strconv.Quote(c.Name), "left out")
		attributes = maps.Clone(attributes)
		delete(attributes, InstanceClass)
	}
	if !c.Among || lone {
		return attributes
	}
	if attributes = maps.Clone(attributes); attributes == nil {
		attributes = make(map[string]any, 1)
	}
	attributes[InstanceClass] = c.Name
	return attributes
}

// instanceOccluded are the attributes of a pose's keypoints, where one named occluded is kept
// apart from what the visibility of a keypoint says.
func (b *Builder) instanceOccluded(o Object, keypoints []Keypoint) map[string]any {
	own, there := o.Attributes[occludedAttribute]
	occluded := 0
	for _, j := range keypoints {
		if j.Occluded {
			occluded++
		}
	}
	if !there || !occludedApart(own, occluded, len(keypoints)) {
		return o.Attributes
	}
	attributes := maps.Clone(o.Attributes)
	delete(attributes, occludedAttribute)
	if other, taken := attributes[InstanceOccluded]; taken && !reflect.DeepEqual(other, own) {
		b.Report(KindAttributes, o.At, fmt.Sprintf("the attributes %s and %s say two things of the object, beside what the visibilities of its keypoints say", occludedAttribute, InstanceOccluded), "the second was taken")
		return attributes
	}
	attributes[InstanceOccluded] = own
	return attributes
}

// countSlots notes how many keypoints an instance has room for where its keypoints that are
// placed do not tell.
func (b *Builder) countSlots(instance int, keypoints []Keypoint, slots int) {
	for _, j := range keypoints {
		if j.Name == "" && j.Slot+1 >= slots {
			return
		}
	}
	if slots == 0 {
		return
	}
	if b.Result.Slots == nil {
		b.Result.Slots = make(map[int]int)
	}
	b.Result.Slots[instance] = slots
}

// kept reports whether a shape is in the image at least in part, where shapes outside are
// kept as they are, and tells of those that reach outside.
func (b *Builder) kept(at Location, box pictograph.Box) bool {
	const pixels, share = 1, 0.01
	if b.outside != OutsideKeep && b.outside != "" || !b.Size.Known() {
		return true
	}
	w, h := float64(b.Size.Width), float64(b.Size.Height)
	if box.X >= 0 && box.Y >= 0 && box.X+box.W <= w && box.Y+box.H <= h {
		return true
	}
	dx, dy := max(pixels, share*w), max(pixels, share*h)
	if geometry.Off(box, b.Size.Width, b.Size.Height) {
		return b.Drop(KindOffImage, at, "it lies outside the image altogether")
	}
	if box.X < -dx || box.Y < -dy || box.X+box.W > w+dx || box.Y+box.H > h+dy {
		b.Report(KindOutside, at, "it reaches outside the image", "kept as it is; --outside clip cuts boxes off")
	}
	return true
}

// add makes one annotation of each geometry. None is no annotation.
func (b *Builder) add(o Object, id idForm, geometries ...pictograph.Geometry) bool {
	if len(geometries) == 0 {
		return false
	}
	if b.freeParts(o.Parts, len(geometries)) {
		id = func(_ string, part int) string { return o.Parts[part] }
		o.ID = o.Parts[0]
	}
	base := b.uniqueID(o, id, geometries)
	b.Require(o.Name, geometries[0].Type(), nil)
	if base == o.ID && likePart(base) {
		first := len(b.Result.Annotations)
		b.likeParts = append(b.likeParts, ownID{o.At, base, o.Position, first, first + len(geometries)})
	}
	for part, g := range geometries {
		name := id(base, part)
		b.ids.add(name)
		if part == 0 {
			b.placeFindings(o.At, name)
		}
		b.Result.Annotations = append(b.Result.Annotations, pictograph.Annotation{
			ID: name, Name: o.Name, Geometry: g, Confidence: o.Confidence, Attributes: maps.Clone(o.Attributes),
		})
	}
	return true
}

// placeFindings says of what was found last of an object which annotation came of it.
func (b *Builder) placeFindings(at Location, id string) {
	found := b.Result.Findings
	if len(found) == 0 {
		return
	}
	place := at.String()
	for i := len(found) - 1; i >= 0 && found[i].At == place; i-- {
		found[i].Annotation = id
	}
}

// idForm makes the id of the part-th annotation of one source annotation.
type idForm func(base string, part int) string

// WholeID is the id of a source annotation that became one of ours.
func WholeID(base string, _ int) string { return base }

// PartID is that of one of several that it became.
func PartID(base string, part int) string { return base + "-" + strconv.Itoa(part) }

// PartIDs is the form of ids for a source annotation of that many parts.
func PartIDs(parts int) idForm {
	if parts > 1 {
		return PartID
	}
	return WholeID
}

// uniqueID returns the source's id, or a name-based one where there is none or
// where it would name two annotations of the image.
func (b *Builder) uniqueID(o Object, id idForm, geometries []pictograph.Geometry) string {
	if o.ID != "" {
		if b.free(o.ID, id, len(geometries)) {
			return o.ID
		}
		b.Report(KindDuplicateID, o.At, "another annotation of the image has this id", keptUnderMadeID)
	}
	return b.madeID(o.Position, id, geometries)
}

const keptUnderMadeID = "kept under an id made from its position and geometry"

// madeID is a name-based id that is free.
func (b *Builder) madeID(position int, id idForm, geometries []pictograph.Geometry) string {
	for attempt := 0; ; attempt++ {
		if made := b.made.AnnotationID(b.Image, position, attempt, geometries); b.free(made, id, len(geometries)) {
			return made
		}
	}
}

// freeParts reports whether ids can be those of n annotations.
func (b *Builder) freeParts(ids []string, n int) bool {
	if len(ids) != n {
		return false
	}
	own := make(map[string]bool, n)
	for _, id := range ids {
		if b.ids.has(id) || Blank(id) || own[id] {
			return false
		}
		own[id] = true
	}
	return n > 0
}

func (b *Builder) free(base string, id idForm, parts int) bool {
	for part := range parts {
		if b.ids.has(id(base, part)) {
			return false
		}
	}
	return true
}

// Require notes a class that the annotations need.
func (b *Builder) Require(name string, t pictograph.Type, skeleton *pictograph.Skeleton) {
	place := b.class(name, t)
	if place < 0 {
		if b.classes != nil {
			b.classes[classKey{name, t}] = len(b.Result.Classes)
		}
		if b.Result.Classes == nil {
			b.Result.Classes = make([]pictograph.Class, 0, min(cap(b.Result.Annotations), 8))
		}
		b.Result.Classes = append(b.Result.Classes, pictograph.Class{Name: name, Type: t, Skeleton: skeleton})
		return
	}
	if class := &b.Result.Classes[place]; class.Skeleton == nil {
		class.Skeleton = skeleton
	}
}

// class is the place of a class in result.Classes, -1 if it is not there.
func (b *Builder) class(name string, t pictograph.Type) int {
	const few = 16
	if len(b.Result.Classes) <= few {
		for i := range b.Result.Classes {
			if c := &b.Result.Classes[i]; c.Name == name && c.Type == t {
				return i
			}
		}
		return -1
	}
	if b.classes == nil {
		b.classes = make(map[classKey]int)
		for i, c := range b.Result.Classes {
			b.classes[classKey{c.Name, c.Type}] = i
		}
	}
	if place, known := b.classes[classKey{name, t}]; known {
		return place
	}
	return -1
}

// within holds a box against the image as the options say; false drops it.
func (b *Builder) within(at Location, box pictograph.Box) (pictograph.Box, bool) {
	if !b.Leaves(box) {
		return box, !b.NoteOutside || b.kept(at, box)
	}
	if b.outside == OutsideReport {
		return box, b.leaveOutside(at, "the box reaches outside the image")
	}
	cut := geometry.Clip(box, b.Size.Width, b.Size.Height)
	if cut.W <= 0 || cut.H <= 0 {
		return box, b.leaveOutside(at, "the box lies outside the image")
	}
	b.Report(KindOutside, at, "the box reaches outside the image", "box cut off at the edge")
	return cut, true
}

// Leaves reports whether a box that is not just kept reaches outside.
func (b *Builder) Leaves(box pictograph.Box) bool {
	if b.outside == OutsideKeep || b.outside == "" {
		return false
	}
	if !b.Size.Known() {
		if !b.sizeMissing {
			b.Report(KindUnchecked, Location{}, "boxes cannot be held against an image of unknown size", "boxes kept")
			b.sizeMissing = true
		}
		return false
	}
	return geometry.ReachesOutside(box, b.Size.Width, b.Size.Height)
}

// leaveOutside leaves out what reaches outside the image, as the options ask.
func (b *Builder) leaveOutside(at Location, reason string) bool {
	b.Report(KindOutsideLeftOut, at, reason, "left out")
	return false
}

// NoConfidence is what becomes of an annotation whose score cannot be taken.
const NoConfidence = "annotation kept without it; the service counts that as 1"

// Confidence is a score as the service takes it, nil if it cannot.
func (b *Builder) Confidence(at Location, score float64) *float64 {
	if score >= 0 && score <= 1 {
		return &score
	}
	reason := fmt.Sprintf("score %v is not from 0 to 1", score)
	if !geometry.Finite(score) { // which of the words stood there is not kept
		reason = "the score is no finite number"
	}
	b.Report(KindConfidence, at, reason, NoConfidence)
	return nil
}

// NamesAngle reports whether a member or attribute is most likely a box's angle. What unit
// and direction it has, nothing tells.
func NamesAngle(name string) bool {
	switch strings.ToLower(name) {
	case "rotation", "angle", "theta", "rotation_angle", "bbox_angle", "box_angle", "rot":
		return true
	}
	return false
}

// Pairs are the points of coordinates; an odd one at the end is left out.
func (b *Builder) Pairs(coordinates []float64) []pictograph.Point {
	paired := b.Points.Take(len(coordinates) / 2)
	for i := range paired {
		paired[i] = pictograph.Point{X: coordinates[2*i], Y: coordinates[2*i+1]}
	}
	return paired
}
