package coco

import (
	"fmt"
	"math"
	"slices"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// segmentationForm is what the segmentation of an annotation is.
type segmentationForm int

const (
	noSegmentation segmentationForm = iota
	ringSegmentation
	maskSegmentation
	badSegmentation
)

// emptyValue reports whether a value says that there is nothing, as writers of labels do:
// null, an empty text, object or list, or a list of such lists.
func emptyValue(raw []byte) bool {
	switch {
	case scan.Absent(raw):
		return true
	case scan.IsString(raw):
		return len(raw) == 2
	case scan.IsObject(raw):
		return len(raw) >= 2 && scan.Space(raw, 1) == len(raw)-1
	case scan.IsArray(raw):
		for _, c := range raw {
			switch c {
			case '[', ']', ',', ' ', '\n', '\t', '\r':
			default:
				return false
			}
		}
		return true
	}
	return false
}

// segmented reports whether there is a segmentation that says anything.
func (r *reader) segmented(a *rawAnnotation) bool {
	if a.rings {
		return len(r.coordinates) > 0
	}
	return a.runs || !emptyValue(a.segmentation)
}

// flaw is what several rings of an annotation have in common that is wrong.
type flaw struct {
	kind   convert.Kind
	reason string
	count  int
	first  int // ring, from 1
}

// emptyRing is the kind of a ring that encloses nothing: beside others nothing of the shape is missing
// without it, as without the slivers that writers leave of polygons they mend (SAHI).
const emptyRing = convert.KindGeometry

// flawed notes that a ring is wrong; one finding tells of all that are so.
func (r *reader) flawed(kind convert.Kind, ring int, reason string) {
	for i := range r.flaws {
		if f := &r.flaws[i]; f.kind == kind {
			f.count++
			return
		}
	}
	r.flaws = append(r.flaws, flaw{kind, reason, 1, ring})
}

// emptyAreLost is for a shape of which no ring can be used.
func (r *reader) emptyAreLost() {
	for i := range r.flaws {
		if r.flaws[i].kind == emptyRing {
			r.flaws[i].kind = convert.KindRing
		}
	}
}

func (r *reader) reportFlaws(b *convert.Builder, at convert.Location, action string) {
	for _, f := range r.flaws {
		reason := fmt.Sprintf("ring %d %s", f.first, f.reason)
		if f.count > 1 {
			reason += fmt.Sprintf(", and there are %d more that cannot be used", f.count-1)
		}
		b.Report(f.kind, at, reason, action)
	}
	r.flaws = r.flaws[:0]
}

// readSegmentation brings the rings of a segmentation into r.coordinates and r.ringEnds,
// or tells where the mask is.
func (r *reader) readSegmentation(a *rawAnnotation) (form segmentationForm, mask []byte, reason string) {
	r.flaws = r.flaws[:0]
	switch {
	case a.runs:
		return maskSegmentation, nil, ""
	case !r.segmented(a):
		return noSegmentation, nil, ""
	case a.rings:
		r.joinPairs()
		return ringSegmentation, nil, ""
	case scan.IsObject(a.segmentation):
		return maskSegmentation, a.segmentation, ""
	case !scan.IsArray(a.segmentation):
		return badSegmentation, nil, "the segmentation is " + scan.Describe(a.segmentation)
	}
	r.coordinates, r.ringEnds = r.coordinates[:0], r.ringEnds[:0]
	if mask = maskInList(a.segmentation); mask != nil {
		return maskSegmentation, mask, ""
	}
	if reason = r.nest(a.segmentation, 1); reason != "" {
		return badSegmentation, nil, "the segmentation " + reason
	}
	return ringSegmentation, nil, ""
}

// joinPairs makes one ring of lists of two numbers each, which are points: a ring of
// one point is none.
func (r *reader) joinPairs() {
	if len(r.coordinates) < 6 {
		return
	}
	first := 0
	for _, end := range r.ringEnds {
		if n := end - first; n != 0 && n != 2 {
			return
		}
		first = end
	}
	r.ringEnds = append(r.ringEnds[:0], len(r.coordinates))
}

// maskInList is the one run-length encoding of a list with nothing else in it.
func maskInList(list []byte) (mask []byte) {
	for element := range scan.Elements(list) {
		if mask != nil || !scan.IsObject(element) || pointObject(element) {
			return nil
		}
		mask = element
	}
	return mask
}

func pointObject(raw []byte) bool {
	_, _, ok := pointOf(raw)
	return ok
}

// pointOf reads {"x": 1, "y": 2}.
func pointOf(raw []byte) (x, y float64, ok bool) {
	members := 0
	for i, first := 0, true; ; first = false {
		name, start := scan.Member(raw, i, first)
		value, end := scan.Number(raw, start)
		if start == 0 || end == 0 {
			return 0, 0, false
		}
		switch string(name) {
		case "x":
			x = value
		case "y":
			y = value
		default:
			return 0, 0, false
		}
		members++
		if i = end; raw[scan.Space(raw, i)] == '}' {
			return x, y, members == 2
		}
	}
}

// deepestNesting is how many lists a ring's numbers stand in at most: those of points,
// rings, polygons, and all of these.
const deepestNesting = 4

// nest reads the rings of a list, however they are nested, where that can mean one
// thing alone; the reason says why not.
func (r *reader) nest(list []byte, level int) (reason string) {
	n := nestingOf(list)
	switch {
	case level > deepestNesting:
		return "is nested deeper than polygons are"
	case n.objects > 0 && n.lists+n.others == 0:
		return r.pointObjects(list)
	case n.lists == 0 && n.objects == 0:
		r.leaf(list)
		return ""
	case n.others > 0 || n.objects > 0:
		return "mixes lists with other values"
	case n.innermost && n.pairs == n.filled && n.filled >= 3:
		start := len(r.ringEnds)
		for element := range scan.Elements(list) {
			if !emptyValue(element) {
				r.leaf(element)
			}
		}
		r.ringEnds = append(r.ringEnds[:start], len(r.coordinates))
		return ""
	case n.innermost && level > 1 && n.filled > 1:
		return "has several lists of numbers where one ring belongs: nothing tells whether they are parts or holes"
	case n.innermost:
		for element := range scan.Elements(list) {
			r.leaf(element)
		}
		return ""
	}
	return r.nestEach(list, level, n.filled)
}

// nestEach reads the rings of a list of lists, of which so many are not empty.
func (r *reader) nestEach(list []byte, level, filled int) (reason string) {
	for element := range scan.Elements(list) {
		if emptyValue(element) {
			continue
		}
		before := len(r.ringEnds)
		if reason := r.nest(element, level+1); reason != "" {
			return reason
		}
		if level > 1 && filled > 1 || len(r.ringEnds) > before+1 {
			return "nests several rings in one: nothing tells whether they are parts or holes"
		}
	}
	return ""
}

// nesting counts what a list holds.
type nesting struct {
	lists, objects, others int
	filled                 int  // lists that are not empty
	pairs                  int  // of these, those of two numbers
	innermost              bool // no list in it holds lists
}

func nestingOf(list []byte) nesting {
	n := nesting{innermost: true}
	for element := range scan.Elements(list) {
		switch {
		case scan.IsObject(element):
			n.objects++
		case !scan.IsArray(element):
			n.others++
		case emptyValue(element):
			n.lists++
		default:
			n.lists++
			n.filled++
			if i := scan.Space(element, 1); element[i] == '[' || element[i] == '{' {
				n.innermost = false
			} else if isPair(element) {
				n.pairs++
			}
		}
	}
	return n
}

// isPair reports whether a list has two numbers.
func isPair(list []byte) bool {
	n := 0
	for element := range scan.Elements(list) {
		if n++; n > 2 || !scan.IsNumber(element) {
			return false
		}
	}
	return n == 2
}

// leaf appends the numbers of a list as a ring.
func (r *reader) leaf(list []byte) {
	before := len(r.coordinates)
	var err error
	if r.coordinates, err = scan.AppendNumbers(r.coordinates, list); err != nil {
		r.flawed(convert.KindNumber, len(r.ringEnds)+1, "has no number where one belongs: "+err.Error())
		r.coordinates = r.coordinates[:before]
	}
	r.ringEnds = append(r.ringEnds, len(r.coordinates))
}

// pointObjects appends the points of a list as a ring.
func (r *reader) pointObjects(list []byte) (reason string) {
	for element := range scan.Elements(list) {
		x, y, ok := pointOf(element)
		if !ok {
			return "is a list of objects that are neither points nor one run-length encoding"
		}
		r.coordinates = append(r.coordinates, x, y)
	}
	r.ringEnds = append(r.ringEnds, len(r.coordinates))
	return ""
}

// usableRings are the rings of the annotation at hand, each a polygon of its own: COCO's
// rings are a union, never holes. Parts counts those that cannot be used too; they are
// noted as flaws. The polygons are valid until the next annotation is read.
func usableRings(b *convert.Builder, r *reader, g givenBox) (polygons []pictograph.Polygon, parts int) {
	r.polygons = r.polygons[:0]
	// A bbox of the first pixel is judged by all boxes of the image, and a ring as it is.
	unit := r.notation == "" && g.usable() && convert.IsShare(g.box.X, g.box.Y, g.box.W, g.box.H) && convert.IsWhole(g.box.X, g.box.Y, g.box.W, g.box.H)
	var all pictograph.Box // around them
	first := 0
	for i, end := range r.ringEnds {
		coordinates := r.coordinates[first:end]
		first = end
		ring, box := r.ring(b, i+1, coordinates, unit)
		if ring == nil {
			continue
		}
		rings := b.Rings.Take(1)
		rings[0] = ring
		polygon := pictograph.Polygon{Rings: rings}
		if box.W > 0 && box.H > 0 {
			polygon.Box = &b.Boxes.Take(1)[0]
			*polygon.Box = box
		}
		if len(r.polygons) == 0 {
			all = box
		} else {
			all = around(all, box)
		}
		r.polygons = append(r.polygons, polygon)
	}
	switch {
	case !g.usable() || r.notation != "" || len(r.polygons) == 0:
	case r.asTriples(all, g.box):
		r.flawed(convert.KindRing, 1, fmt.Sprintf("lies at %v,%v to %v,%v, and not where the bbox does; its numbers fit that as x,y,z, where x,y belong", all.X, all.Y, all.X+all.W, all.Y+all.H))
		r.polygons = r.polygons[:0]
	case geometry.Apart(all, g.box):
		lie := "lies"
		if len(r.polygons) > 1 {
			lie = "and those beside it lie"
		}
		reason := fmt.Sprintf("%s at %v,%v to %v,%v, far from the bbox %v,%v to %v,%v", lie, all.X, all.Y, all.X+all.W, all.Y+all.H, g.box.X, g.box.Y, g.box.X+g.box.W, g.box.Y+g.box.H)
		if looksLikeRuns(r.coordinates, b.Size) {
			reason += "; its numbers look like run-length counts"
		}
		r.flawed(convert.KindRing, 1, reason)
		r.polygons = r.polygons[:0]
	}
	return r.polygons, len(r.ringEnds)
}

// asTriples reports whether rings that do not fill their bbox would if their numbers were x, y
// and a third one.
func (r *reader) asTriples(pairs, box pictograph.Box) bool {
	if len(r.coordinates)%3 != 0 || !geometry.BoxesDiffer(pairs, box, 2, 0.02) {
		return false
	}
	const least = 9 // numbers of three points
	first := 0
	for _, end := range r.ringEnds {
		if n := end - first; n%3 != 0 || 0 < n && n < least {
			return false
		}
		first = end
	}
	left, top, right, bottom := r.coordinates[0], r.coordinates[1], r.coordinates[0], r.coordinates[1]
	for i := 0; i < len(r.coordinates); i += 3 {
		x, y := r.coordinates[i], r.coordinates[i+1]
		left, right = min(left, x), max(right, x)
		top, bottom = min(top, y), max(bottom, y)
	}
	return !geometry.BoxesDiffer(pictograph.Box{X: left, Y: top, W: right - left, H: bottom - top}, box, 1, 0.02)
}

// around is the box around two.
func around(a, b pictograph.Box) pictograph.Box {
	x, y := min(a.X, b.X), min(a.Y, b.Y)
	return pictograph.Box{X: x, Y: y, W: max(a.X+a.W, b.X+b.W) - x, H: max(a.Y+a.H, b.Y+b.H) - y}
}

// ring pairs a ring's coordinates; nil if they make none. The box is around its points. Unit says
// that the first pixel may be meant.
// An empty ring is how some writers say that there is no segmentation, and is not told.
func (r *reader) ring(b *convert.Builder, number int, coordinates []float64, unit bool) (ring []pictograph.Point, box pictograph.Box) {
	switch {
	case len(coordinates) == 0:
		return nil, box
	case len(coordinates) < 6:
		r.flawed(convert.KindRing, number, fmt.Sprintf("has %d numbers, fewer than three points", len(coordinates)))
		return nil, box
	}
	ring = b.Points.Take(len(coordinates) / 2)
	left, top, right, bottom := coordinates[0], coordinates[1], coordinates[0], coordinates[1]
	for i := range ring {
		x, y := coordinates[2*i], coordinates[2*i+1]
		ring[i] = pictograph.Point{X: x, Y: y}
		left, right = min(left, x), max(right, x)
		top, bottom = min(top, y), max(bottom, y)
	}
	box = pictograph.Box{X: left, Y: top, W: right - left, H: bottom - top}
	last := coordinates[len(coordinates)-1]
	if !geometry.Finite(left, top, right, bottom, box.W, box.H, last) {
		r.flawed(convert.KindNumber, number, "has a coordinate that is not finite")
		return nil, box
	}
	if reason := farOutside(coordinates, left, top, right, bottom, b.Size); reason != "" && !(unit && right <= 1 && bottom <= 1 && convert.IsWhole(coordinates...)) {
		r.flawed(convert.KindRing, number, reason)
		return nil, box
	}
	if len(coordinates)%2 == 1 {
		r.flawed(convert.KindCount, number, fmt.Sprintf("has an odd count of %d coordinates", len(coordinates)))
		return nil, box
	}
	if !geometry.Enclosing(ring) {
		r.flawed(emptyRing, number, "has fewer than three different points")
		return nil, box
	}
	return ring, box
}

// farShare is how far, as a share of the image's side, a point of a ring may lie outside
// its image: beyond that it is no annotator's hand that slipped.
const farShare = 0.25

// farOutside says why the coordinates of a ring, between the given ones, cannot be pixels
// of the image, "" where they can.
func farOutside(coordinates []float64, left, top, right, bottom float64, size convert.Size) string {
	if convert.IsShare(left, top, right, bottom) && convert.MayBeShares(size, !convert.IsWhole(coordinates...)) {
		return "lies between 0 and 1, which looks normalized: shares of the image where pixels belong"
	}
	w, h := float64(size.Width), float64(size.Height)
	if !size.Known() || left >= -farShare*w && right <= w+farShare*w && top >= -farShare*h && bottom <= h+farShare*h {
		return ""
	}
	reason := fmt.Sprintf("reaches from %v,%v to %v,%v, far outside the image of %d×%d", left, top, right, bottom, size.Width, size.Height)
	if looksLikeRuns(coordinates, size) {
		reason += "; its numbers look like run-length counts"
	}
	return reason
}

// looksLikeRuns reports whether numbers may be the counts of a run-length encoding: all
// whole, and together the pixels of the image or about that.
func looksLikeRuns(numbers []float64, size convert.Size) bool {
	sum := 0.0
	for _, n := range numbers {
		if n < 0 || n != float64(int(n)) {
			return false
		}
		sum += n
	}
	side := float64(max(size.Width, size.Height))
	return size.Known() && sum <= float64(size.Width*size.Height) && slices.Max(numbers) > 2*side
}

// convertSegmentation takes the segmentation of an annotation; there is false where
// there is none. One that cannot be used leaves out the annotation: a box in its stead
// would pass for the real thing.
func convertSegmentation(b *convert.Builder, r *reader, o convert.Object, a *rawAnnotation, g givenBox) (taken, there bool) {
	form, mask, reason := r.readSegmentation(a)
	switch form {
	case noSegmentation:
		return false, false
	case badSegmentation:
		return b.Drop(convert.KindRing, o.At, reason), true
	case maskSegmentation:
		if mask != nil && !a.runs {
			a.segmentation = mask
		}
		first := len(b.Result.Annotations)
		if !convertMask(b, r, o, a, g) {
			return false, true
		}
		r.compareBox(b, o, g, first)
		return true, true
	}
	polygons, parts := usableRings(b, r, g)
	if len(polygons) == 0 {
		if len(r.flaws) == 0 {
			return false, false // empty rings alone
		}
		r.emptyAreLost()
		r.reportFlaws(b, o.At, "dropped")
		return false, true
	}
	r.reportFlaws(b, o.At, ringLeftOut)
	switch holesByArea(polygons, a.area) {
	case isHole:
		return b.Drop(convert.KindRing, o.At, fmt.Sprintf("a ring lies within another, and the area, %s, is what is left of the outer one without it: a hole, where COCO's rings are a union", a.area)), true
	case mayBeHole:
		b.Report(convert.KindMaskArea, o.At, fmt.Sprintf("a ring lies within another, and the area, %s, may be that of both or what is left of the outer one without it", a.area), "taken as one area, as COCO's rings are")
	}
	first := len(b.Result.Annotations)
	if !b.AddPolygons(o, convert.PartIDs(parts), polygons) {
		return false, true
	}
	r.compareBox(b, o, g, first)
	return true, true
}

// holeSign is what the area of an annotation says of a ring within another.
type holeSign int

const (
	noHole    holeSign = iota
	mayBeHole          // it is explained by a hole and without one
	isHole             // it is explained by a hole alone
)

// holesByArea tells whether the area of an annotation is that of its rings if those within
// others are holes, or that of their union. Pixels that are counted are off the area within an
// outline through them by half of its length and one.
func holesByArea(polygons []pictograph.Polygon, raw []byte) holeSign {
	if len(polygons) < 2 || !scan.IsNumber(raw) {
		return noHole
	}
	area := scan.ParseNumber(raw)
	union, left := 0.0, 0.0
	unionPixels, leftPixels := 0.0, 0.0
	for i, p := range polygons {
		if p.Box == nil {
			continue
		}
		within := 0
		for j, other := range polygons {
			if i != j && other.Box != nil && surrounds(other, p) {
				within++
			}
		}
		own, pixels := math.Abs(geometry.Area(p.Rings[0]))/2, geometry.Length(p.Rings[0])/2+1
		leftPixels += pixels
		switch {
		case within%2 == 1:
			left -= own
		case within > 0:
			left += own
		default:
			left, union, unionPixels = left+own, union+own, unionPixels+pixels
		}
	}
	const rounding = 0.005
	offLeft, offUnion := math.Abs(area-left), union-area
	switch {
	case left >= union || offUnion <= 0 || offLeft > max(leftPixels, left/100):
		return noHole
	case offUnion > unionPixels:
		return isHole
	case offUnion < offLeft && offUnion <= rounding*union:
		return noHole
	}
	return mayBeHole
}

// surrounds reports whether the points of a polygon's ring lie within another's, but for those
// on its edge.
func surrounds(outer, inner pictograph.Polygon) bool {
	o, i := outer.Box, inner.Box
	if i.X < o.X || i.Y < o.Y || i.X+i.W > o.X+o.W || i.Y+i.H > o.Y+o.H || i.W*i.H >= o.W*o.H {
		return false
	}
	inside := 0
	for _, p := range inner.Rings[0] {
		if geometry.Covers(outer.Rings[0], p) {
			inside++
		}
	}
	return 2*inside > len(inner.Rings[0])
}

const allGeometries = "left out; --all-geometries takes all that an annotation has"

// compareBox tells of a box beside a segmentation, whose enclosure it is not.
func (r *reader) compareBox(b *convert.Builder, o convert.Object, g givenBox, first int) {
	if b.AllGeometries || g.form == noBox {
		return
	}
	if g.flat() {
		g.tellFlat(b, o.At)
		return
	}
	if g.usable() {
		var all pictograph.Box
		found := false
		for _, a := range b.Result.Annotations[first:] {
			p, _ := a.Geometry.(pictograph.Polygon)
			if p.Box == nil {
				continue
			}
			if box := *p.Box; !found {
				all, found = box, true
			} else {
				all = around(all, box)
			}
		}
		if !found || r.notation == "" && b.Leaves(g.box) || !geometry.BoxesDiffer(all, g.box, 2, 0.02) {
			return
		}
		if r.notation != "" {
			b.Report(convert.KindGeometry, o.At, "there is a bbox beside the segmentation, and it is not its enclosure: "+r.notation, "bbox left out")
			return
		}
	}
	b.Report(convert.KindGeometry, o.At, "there is a bbox beside the segmentation, and it is not its enclosure", allGeometries)
}
