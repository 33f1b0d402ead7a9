package coco

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// boxForm is what the bbox of an annotation is.
type boxForm int

const (
	noBox       boxForm = iota
	plainBox            // x, y, width, height
	cornersBox          // the four corners of an oriented one
	boxAndAngle         // centre, size and angle
	badBox              // there is one, and nothing can be made of it
)

// givenBox is the bbox of an annotation as the file gives it.
type givenBox struct {
	form    boxForm
	box     pictograph.Box
	corners geometry.Quadrilateral
	turned  pictograph.OrientedBox
	// kind and reason say what is wrong with a bad one.
	kind   convert.Kind
	reason string
	// byArea says that the annotation's area is that of a box given by its corners.
	byArea bool
}

// usable is a box of four finite numbers with an extent.
func (g givenBox) usable() bool { return g.form == plainBox && geometry.Sound(g.box) }

// flat is a box of finite numbers without an extent, beside another shape.
func (g givenBox) flat() bool {
	return g.form == plainBox && !(g.box.W > 0 && g.box.H > 0) && geometry.Finite(g.box.X, g.box.Y, g.box.W, g.box.H)
}

// tellFlat tells of a flat box that was left out. No width and no height at all are how writers
// say that there is none.
func (g givenBox) tellFlat(b *convert.Builder, at convert.Location) {
	if g.box.W != 0 || g.box.H != 0 {
		b.Report(convert.KindGeometry, at, fmt.Sprintf("there is a bbox beside the shape that is %v wide and %v high", g.box.W, g.box.H), "bbox left out")
	}
}

// readBox reads the bbox of an annotation.
func (r *reader) readBox(a *rawAnnotation) givenBox {
	if a.boxed {
		return givenBox{form: plainBox, box: a.box}
	}
	raw := a.bbox
	if emptyValue(raw) {
		return givenBox{}
	}
	bad := func(kind convert.Kind, reason string) givenBox {
		return givenBox{form: badBox, kind: kind, reason: reason}
	}
	if !scan.IsArray(raw) {
		return bad(convert.KindBox, "the bbox is "+scan.Describe(raw))
	}
	numbers, err := scan.AppendNumbers(r.numbers[:0], raw)
	r.numbers = numbers
	if err != nil {
		return bad(convert.KindNumber, "bbox: "+err.Error())
	}
	switch len(numbers) {
	case 4:
		return givenBox{form: plainBox, box: pictograph.Box{X: numbers[0], Y: numbers[1], W: numbers[2], H: numbers[3]}}
	case 5:
		if r.turn == "" {
			return bad(convert.KindCount, "the bbox has 5 numbers: a rotated box, and nothing tells which way its angle turns; --box-angle clockwise or counterclockwise reads centre, size and degrees")
		}
		return r.turned(numbers)
	case 8:
		if !geometry.Finite(numbers...) {
			return bad(convert.KindNumber, "a corner of the bbox is not finite")
		}
		g := givenBox{form: cornersBox}
		for i := range g.corners {
			g.corners[i] = pictograph.Point{X: numbers[2*i], Y: numbers[2*i+1]}
		}
		return g
	}
	return bad(convert.KindCount, fmt.Sprintf("the bbox has %d numbers instead of 4", len(numbers)))
}

// turned reads a box of five numbers: its centre, its width and height, and its angle in
// degrees, which turns as the flag says.
func (r *reader) turned(numbers []float64) givenBox {
	if !geometry.Finite(numbers...) {
		return givenBox{form: badBox, kind: convert.KindNumber, reason: "a number of the bbox is not finite"}
	}
	o := pictograph.OrientedBox{CX: numbers[0], CY: numbers[1], W: numbers[2], H: numbers[3], Angle: numbers[4]}
	switch {
	case o.W <= 0 || o.H <= 0:
		return givenBox{form: badBox, kind: convert.KindBox, reason: fmt.Sprintf("the bbox has a width of %v and a height of %v", o.W, o.H)}
	case math.Abs(o.Angle) > 360:
		return givenBox{form: badBox, kind: convert.KindAngle, reason: fmt.Sprintf("the bbox is turned by %v, which is no angle in degrees", o.Angle)}
	case r.turn == Counterclockwise:
		o.Angle = -o.Angle
	}
	if o.Angle < 0 {
		o.Angle += 360
	}
	if o.Angle >= 360 {
		o.Angle -= 360
	}
	return givenBox{form: boxAndAngle, turned: o}
}

// areaOfCorners reports whether an area is that between the corners x1,y1 and x2,y2, to a
// hundredth or counted in whole pixels, and by a tenth not that of a width and a height.
func areaOfCorners(box pictograph.Box, raw []byte) bool {
	const agree, differ = 0.01, 0.1
	w, h := box.W-box.X, box.H-box.Y
	if w <= 0 || h <= 0 || !scan.IsNumber(raw) {
		return false
	}
	area := scan.ParseNumber(raw)
	near := func(other, share float64) bool { return math.Abs(area-other) <= share*other }
	return (near(w*h, agree) || near((w+1)*(h+1), agree)) && !near(box.W*box.H, differ)
}

// areaOfBox reports whether an area is that of the width and height, and by a tenth not that
// of corners.
func areaOfBox(box pictograph.Box, raw []byte) bool {
	if !scan.IsNumber(raw) {
		return false
	}
	area, corners := scan.ParseNumber(raw), (box.W-box.X)*(box.H-box.Y)
	return math.Abs(area-box.W*box.H) <= 0.01*box.W*box.H && math.Abs(area-corners) > 0.1*math.Abs(corners)
}

// areaOfNeither reports whether an area is, by a tenth, neither that between the corners x1,y1 and
// x2,y2 of a box nor that of its width and height.
func areaOfNeither(box pictograph.Box, raw []byte) bool {
	w, h := box.W-box.X, box.H-box.Y
	if w <= 0 || h <= 0 || !scan.IsNumber(raw) {
		return false
	}
	area := scan.ParseNumber(raw)
	far := func(other float64) bool { return math.Abs(area-other) > 0.1*other }
	return area > 0 && far(w*h) && far(box.W*box.H)
}

const cornersByArea = "the area is that of the corners x1,y1,x2,y2, and not that of x,y,width,height"

// convertBox takes the box of an annotation.
func convertBox(b *convert.Builder, r *reader, o convert.Object, g givenBox) bool {
	switch g.form {
	case noBox:
		reason := "no keypoint is placed, and there is no segmentation and no bbox"
		if name := r.otherShape(); name != "" {
			reason += fmt.Sprintf("; the member %q holds what may be its shape, and is none of COCO's", name)
		}
		return b.Drop(convert.KindNoGeometry, o.At, reason)
	case badBox:
		return b.Drop(g.kind, o.At, g.reason)
	case cornersBox:
		return b.AddOrientedBox(o, g.corners)
	case boxAndAngle:
		return b.AddOriented(o, g.turned, geometry.Corners(g.turned))
	}
	switch {
	case !geometry.Sound(g.box):
	case r.notation != "":
		r.oddBoxes.add(o.At)
		return false
	case sharesAsPixels(g.box, b.Size):
		return b.Drop(convert.KindBoxNotation, o.At, fmt.Sprintf("the bbox %v,%v,%v,%v lies between 0 and 1, which looks normalized: a share of the image where pixels belong", g.box.X, g.box.Y, g.box.W, g.box.H))
	case g.byArea:
		return b.Drop(convert.KindBoxNotation, o.At, cornersByArea)
	case o.OddAngle != "":
		return b.Drop(convert.KindAngle, o.At, o.OddAngle)
	default:
		angle, turned := rotation(o.Attributes)
		if turned {
			o.Attributes = without(o.Attributes, rotationAttribute)
		}
		if angle != 0 {
			return addTurnedBox(b, o, g.box, angle)
		}
	}
	return b.AddBox(o, g.box)
}

// rotationAttribute is where CVAT writes a box's rotation: degrees, clockwise, about the
// centre of the box that the bbox gives unrotated.
const rotationAttribute = "rotation"

// rotation is the angle that attributes give a box, from 0 to 360.
func rotation(attributes map[string]any) (angle float64, turned bool) {
	angle, turned = angleOf(attributes[rotationAttribute])
	if !turned {
		return 0, false
	}
	if angle = math.Mod(angle, 360); angle < 0 {
		angle += 360
	}
	if angle = geometry.Round(angle); angle >= 360 {
		angle = 0
	}
	return angle + 0, true // no negative zero
}

// angleOf is a number, or a text that is one.
func angleOf(value any) (angle float64, ok bool) {
	var raw []byte
	switch v := value.(type) {
	case json.Number:
		raw = []byte(v)
	case string:
		raw = []byte(strings.TrimSpace(v))
	}
	if !scan.IsNumber(raw) || !jsontext.Value(raw).IsValid() {
		return 0, false
	}
	angle = scan.ParseNumber(raw)
	return angle, geometry.Finite(angle)
}

// oddAngle says what in the attributes and the other members of an annotation may turn its
// box by an angle that cannot be told, "" where nothing does.
func (c *Converter) oddAngle(r *reader, attributes map[string]any) (odd string) {
	first := ""
	for name, value := range attributes {
		if !convert.NamesAngle(name) || odd != "" && name > first {
			continue
		}
		if why := oddAttribute(name, value); why != "" {
			odd, first = why, name
		}
	}
	if odd != "" {
		return odd
	}
	for _, m := range r.others {
		if !convert.NamesAngle(m.name) || c.keeps(m.name) && m.name != rotationAttribute {
			continue
		}
		value, _ := keptValue(m.value)
		attribute, _ := angleOf(attributes[rotationAttribute])
		switch angle, _ := angleOf(value); {
		case angle == 0 || m.name == rotationAttribute && angle == attribute:
		case m.name == rotationAttribute:
			return fmt.Sprintf("beside the bbox the member %q is %v, and nothing tells its unit and direction; as an attribute it would be in degrees clockwise", m.name, value)
		default:
			return fmt.Sprintf("beside the bbox the member %q is %v, and nothing tells its unit and direction; --keep-members keeps it as an attribute of the upright box", m.name, value)
		}
	}
	return ""
}

// oddAttribute says why an attribute that is named as an angle may turn a box by one that
// cannot be told, "" where it does not.
func oddAttribute(name string, value any) string {
	angle, ok := angleOf(value)
	text, isText := value.(string)
	switch {
	case name != rotationAttribute && angle != 0:
		return fmt.Sprintf("the attribute %q is %v, and nothing tells its unit and direction: rotation, in degrees clockwise, is read", name, value)
	case name == rotationAttribute && !ok && value != nil && !(isText && convert.Blank(text)):
		return fmt.Sprintf("the attribute %q is %v, which is no angle", name, scan.Shorten(fmt.Sprint(value)))
	}
	return ""
}

// turns reports whether an attribute beside a box is read as something about its angle.
func turns(name string, value any) bool {
	if !convert.NamesAngle(name) {
		return false
	}
	_, angle := angleOf(value)
	return name == rotationAttribute && angle || oddAttribute(name, value) != ""
}

func turnedBox(attributes map[string]any) bool {
	angle, _ := rotation(attributes)
	return angle != 0
}

// isBox reports whether a ring goes around a box along its edges, from corner to corner.
func isBox(ring []pictograph.Point, box pictograph.Box) bool {
	if n := len(ring); n == 5 && ring[0] == ring[4] {
		ring = ring[:4]
	}
	if len(ring) != 4 {
		return false
	}
	const rounding = 0.02
	near := func(a, b float64) bool { return math.Abs(a-b) <= rounding }
	var right, bottom [4]bool
	for i, p := range ring {
		right[i], bottom[i] = near(p.X, box.X+box.W), near(p.Y, box.Y+box.H)
		if right[i] == near(p.X, box.X) || bottom[i] == near(p.Y, box.Y) {
			return false
		}
	}
	for i := range ring {
		if next := (i + 1) % 4; (right[i] == right[next]) == (bottom[i] == bottom[next]) {
			return false
		}
	}
	return right[0] != right[2] && right[1] != right[3]
}

// turnedRing reports whether a segmentation is the bbox once more and an attribute turns that,
// as Encord writes its rotatable boxes.
func (r *reader) turnedRing(o convert.Object, a *rawAnnotation, g givenBox) bool {
	if !turnedBox(o.Attributes) || !g.usable() {
		return false
	}
	if form, _, _ := r.readSegmentation(a); form != ringSegmentation || len(r.ringEnds) != 1 || len(r.coordinates)%2 != 0 || len(r.flaws) > 0 {
		return false
	}
	var ring []pictograph.Point
	for i := 0; i < len(r.coordinates); i += 2 {
		ring = append(ring, pictograph.Point{X: r.coordinates[i], Y: r.coordinates[i+1]})
	}
	return isBox(ring, g.box)
}

func without(attributes map[string]any, name string) map[string]any {
	if len(attributes) <= 1 {
		return nil
	}
	rest := make(map[string]any, len(attributes)-1)
	for key, value := range attributes {
		if key != name {
			rest[key] = value
		}
	}
	return rest
}

// addTurnedBox takes a box that is turned about its centre.
func addTurnedBox(b *convert.Builder, o convert.Object, box pictograph.Box, angle float64) bool {
	oriented := pictograph.OrientedBox{CX: box.X + box.W/2, CY: box.Y + box.H/2, W: box.W, H: box.H, Angle: angle}
	q := geometry.Corners(oriented)
	return b.AddOriented(o, oriented, q)
}

// boxNotations counts what the boxes of an image look like.
type boxNotations struct {
	boxes, shares, fractions, corners, beyond int

	byArea  int // whose area is that of width and height, and not that of corners
	outside int // of which less than half is in the image

	cornerAreas int // whose area is that of corners
	otherAreas  int // that fit as corners, and whose area is neither that nor that of width and height

	centres   int // that fit the image as centre, width and height
	beyondFar int // that end beyond the image by more than a fifth of themselves
	stated    int // of which the annotation says that they are as COCO's
}

// sharesAsPixels reports whether a box is most likely a share of its image.
func sharesAsPixels(box pictograph.Box, size convert.Size) bool {
	return convert.IsShare(box.X, box.Y, box.W, box.H) && !convert.IsWhole(box.X, box.Y, box.W, box.H) && convert.MayBeShares(size, true)
}

func (n *boxNotations) add(box pictograph.Box, size convert.Size) {
	n.boxes++
	if box.X <= 1+convert.ShareTolerance && convert.IsShare(box.X, box.Y, box.W, box.H) {
		n.shares++
		if !convert.IsWhole(box.X, box.Y, box.W, box.H) {
			n.fractions++
		}
	}
	w, h := float64(size.Width), float64(size.Height)
	if !size.Known() {
		w, h = math.Inf(1), math.Inf(1)
	}
	if box.X >= 0 && box.Y >= 0 && box.W > box.X && box.H > box.Y && box.W <= w && box.H <= h {
		n.corners++
	}
	if endsBeyond(box, w, h) {
		n.beyond++
		inside := (min(box.X+box.W, w) - max(box.X, 0)) * (min(box.Y+box.H, h) - max(box.Y, 0))
		if inside < box.W*box.H/2 {
			n.outside++
		}
		const far = 0.2
		if box.X+box.W-w > far*box.W || box.Y+box.H-h > far*box.H {
			n.beyondFar++
		}
	}
	if fitsAsCentre(box, w, h) {
		n.centres++
	}
}

// fitsAsCentre reports whether a box lies in an image, but for rounding, if x,y are its centre.
func fitsAsCentre(box pictograph.Box, w, h float64) bool {
	within := func(centre, side, edge float64) bool {
		rounding := max(1, 0.002*edge)
		return centre-side/2 >= -rounding && centre+side/2 <= edge+rounding
	}
	return within(box.X, box.W, w) && within(box.Y, box.H, h)
}

// endsBeyond reports whether a box ends beyond an image by more than hands and rounding do.
func endsBeyond(box pictograph.Box, w, h float64) bool {
	return box.X+box.W > max(w*1.01, w+1.5) || box.Y+box.H > max(h*1.01, h+1.5)
}

// corner reports whether the boxes of an image can hardly be but corners.
func (n boxNotations) corner() bool { return n.beyond > 0 && n.corners == n.boxes }

// odd says what the boxes of an image most likely are instead of x, y, width and height
// in pixels, "" where nothing speaks against these. File is what a sample of the file's images
// tells.
func (n boxNotations) odd(size convert.Size, file *cornerSample) string {
	switch {
	case n.boxes > 0 && n.shares == n.boxes && convert.MayBeShares(size, n.fractions > 0):
		return "every bbox of the image lies between 0 and 1, which looks normalized: shares of the image where pixels belong"
	case file.stated || n.stated == n.boxes:
		return ""
	}
	corners := n.corners == n.boxes && (n.byArea < n.boxes || file.all(n)) && !file.refutes(n)
	switch {
	case n.boxes == 0:
	case corners && n.beyond > 0 && n.byArea == n.boxes:
		return "a bbox ends beyond the image, and every one of the file fits its image as corners x1,y1,x2,y2, though the areas are those of x,y,width,height"
	case corners && n.beyond > 0:
		return "a bbox ends beyond the image, and every one fits it as corners: this looks like corner coordinates x1,y1,x2,y2 where x,y,width,height belong; an area of width times height would say that it is none"
	case corners && file.elsewhere() != "":
		return "every bbox fits the image as corners x1,y1,x2,y2, and those of " + file.elsewhere() + " in the same file can hardly be anything else"
	case n.centres == n.boxes && file.areCentres(n):
		return "boxes end beyond their images, and every one of the file fits its image if x,y are its centre, where COCO has its top left; a bbox_format of xywh in the file's info would say that it has"
	}
	return ""
}

// fileSample tells of some images of a file what a file may have in all of them: boxes that are
// corners where x, y, width and height belong, masks along the rows, and categories that are
// counted from another number than in the file's list.
type fileSample struct {
	corners    cornerSample
	rows       suspicion
	categories map[ID]bool // that annotations have
	numbers    []float64
	reader     reader
	mask       geometry.Mask
}

// suspicion counts the images that speak for it and against it.
type suspicion struct {
	found, refuted int
	first          string // image that speaks for it
}

func (s *suspicion) look(image string, found, refuted bool) {
	switch {
	case found:
		if s.found++; s.first == "" {
			s.first = image
		}
	case refuted:
		s.refuted++
	}
}

// isRefuted reports that more than ten times as many images speak against it as for it.
func (s *suspicion) isRefuted() bool { return s.refuted > 10*s.found }

// suspected is what a file's sample says of the images that speak neither for nor against.
type suspected struct {
	image   string // that speaks for it; "" where none does
	refuted bool
}

func (s *suspected) by(found *suspicion) {
	if s.refuted = found.isRefuted(); !s.refuted && s.image == "" {
		s.image = found.first
	}
}

// look takes in the annotations of an image.
func (s *fileSample) look(image string, size convert.Size, annotations [][]byte) {
	if s.categories == nil {
		s.categories = make(map[ID]bool)
	}
	var n boxNotations
	rows, columns := false, false
	for _, raw := range annotations {
		if a, err := s.reader.annotation(raw); err == nil {
			if id, err := parseID(a.categoryID); err == nil {
				s.categories[id] = true
			}
			order := s.orderOf(&a)
			rows, columns = rows || order == alongRows, columns || order == alongColumns
		}
		if s.numbers = numbersOf(s.numbers[:0], raw, `"bbox"`); len(s.numbers) != 4 {
			continue
		}
		if box := (pictograph.Box{X: s.numbers[0], Y: s.numbers[1], W: s.numbers[2], H: s.numbers[3]}); geometry.Sound(box) {
			n.add(box, size)
			switch area := memberOf(raw, `"area"`); {
			case areaOfBox(box, area):
				n.byArea++
			case areaOfCorners(box, area):
				n.cornerAreas++
			case areaOfNeither(box, area):
				n.otherAreas++
			}
		}
	}
	s.rows.look(image, rows, columns)
	if n.boxes > 0 && size.Known() {
		s.corners.look(image, n)
	}
}

// orderOf is the order that the counts of an annotation's mask go in by its bbox.
func (s *fileSample) orderOf(a *rawAnnotation) maskOrder {
	if !bytes.Contains(a.segmentation, []byte(`"counts"`)) {
		return eitherOrder
	}
	g := s.reader.readBox(a)
	form, mask, _ := s.reader.readSegmentation(a)
	if form != maskSegmentation || !g.usable() || s.reader.decodeMask(&s.mask, a, mask) != nil {
		return eitherOrder
	}
	box, some := s.mask.Bounds()
	if !some {
		return eitherOrder
	}
	return orderOf(&s.mask, box, g.box)
}

// cornerSample tells of the boxes of some images of a file whether these are corners.
type cornerSample struct {
	images, boxes, fitting int  // looked at, and boxes that fit as corners
	cornerAreas            int  // boxes whose area is that of corners
	otherAreas             int  // boxes that fit as corners and have the area of something else
	of                     int  // images of the file, where that is more
	stated                 bool // the file says that its boxes are x, y, width and height

	// Centres are boxes that fit as centre and size, and beyond and beyondFar those that would
	// reach out of their image otherwise.
	centres, beyond, beyondFar int

	// Found are images whose boxes can hardly be but corners, denied such whose areas are
	// those of width and height, and refuted those with boxes that cannot be corners.
	found, denied, refuted int
	first, firstDenied     string
}

// look takes in the boxes of an image.
func (c *cornerSample) look(image string, n boxNotations) {
	c.images++
	c.boxes += n.boxes
	c.fitting += n.corners
	c.cornerAreas, c.otherAreas = c.cornerAreas+n.cornerAreas, c.otherAreas+n.otherAreas
	c.centres, c.beyond, c.beyondFar = c.centres+n.centres, c.beyond+n.beyond, c.beyondFar+n.beyondFar
	switch {
	case n.corner() && n.byArea == n.boxes:
		c.denied++
		c.firstDenied = cmp.Or(c.firstDenied, image)
	case n.corner():
		c.found++
		c.first = cmp.Or(c.first, image)
	case n.corners < n.boxes:
		c.refuted++
	}
}

// add takes in what was seen of another file.
func (c *cornerSample) add(other *cornerSample) {
	c.images, c.boxes, c.fitting, c.of = c.images+other.images, c.boxes+other.boxes, c.fitting+other.fitting, c.of+other.of
	c.cornerAreas, c.otherAreas = c.cornerAreas+other.cornerAreas, c.otherAreas+other.otherAreas
	c.centres, c.beyond, c.beyondFar = c.centres+other.centres, c.beyond+other.beyond, c.beyondFar+other.beyondFar
	c.found, c.denied, c.refuted = c.found+other.found, c.denied+other.denied, c.refuted+other.refuted
	c.first, c.firstDenied = cmp.Or(c.first, other.first), cmp.Or(c.firstDenied, other.firstDenied)
}

// all reports whether all boxes fit as corners, and are more than do by chance: then their areas
// are most likely counted from the same numbers. N are those of the image, where nothing else was
// looked at.
func (c *cornerSample) all(n boxNotations) bool {
	const byChance = 3
	if c.boxes == 0 {
		return n.corners > byChance && n.corners == n.boxes
	}
	return c.fitting > byChance && c.fitting == c.boxes
}

// areCentres reports whether the boxes are most likely given by their centres: all fit so, and
// some would end far beyond their images otherwise, or of many a few. Boxes by their top left
// fit so only where none touches the left or the top of its image. N are those of the image,
// where nothing else was looked at.
func (c *cornerSample) areCentres(n boxNotations) bool {
	boxes, centres, beyond, far := c.boxes, c.centres, c.beyond, c.beyondFar
	if boxes == 0 {
		boxes, centres, beyond, far = n.boxes, n.centres, n.beyond, n.beyondFar
	}
	const least, many = 3, 20
	return boxes >= least && centres == boxes &&
		(far > 1 && 10*far >= boxes || boxes >= many && beyond >= least && many*beyond >= boxes)
}

// elsewhere is an image whose boxes can hardly be but corners, "" where there is none or they
// are too few among others.
func (c *cornerSample) elsewhere() string {
	switch {
	case c.mostlyNot():
		return ""
	case c.first == "" && c.all(boxNotations{}):
		return c.firstDenied
	}
	return c.first
}

// mostlyNot reports whether more than ten times as many images have boxes that cannot be
// corners as such as can hardly be anything else.
func (c *cornerSample) mostlyNot() bool { return c.refuted > 10*c.found }

// areaByChance reports whether a box within its image may well have an area of corners by
// chance, as that of another shape: more than ten times as many cannot be corners as have one, or
// have the area of something else.
func (c *cornerSample) areaByChance(box pictograph.Box, size convert.Size) bool {
	return c.boxes-c.fitting+c.otherAreas > 10*c.cornerAreas && !(size.Known() && endsBeyond(box, float64(size.Width), float64(size.Height)))
}

// refutes reports whether the boxes of an image may well fit it as corners by chance: those of
// nearly all images cannot be corners, of as many boxes as this image has all fit in one
// image or another, and none reaches outside by more than half of it.
func (c *cornerSample) refutes(n boxNotations) bool {
	const unlikely = 0.05
	fits := float64(c.fitting+1) / float64(c.boxes+2)
	return n.outside == 0 && c.refuted > 0 && c.mostlyNot() && float64(max(c.images, c.of))*math.Pow(fits, float64(n.boxes)) > unlikely
}

// memberOf is a member of an annotation, with what stands behind it, nil where there is none.
func memberOf(raw []byte, key string) []byte {
	i := bytes.LastIndex(raw, []byte(key)) // it mostly stands near the end
	if i < 0 {
		return nil
	}
	if i = scan.Space(raw, i+len(key)); i == len(raw) || raw[i] != ':' {
		return nil
	}
	return raw[scan.Space(raw, i+1):]
}

// numbersOf appends the numbers of a member of an annotation, nothing where they do not stand
// there as a plain list.
func numbersOf(dst []float64, raw []byte, key string) []float64 {
	value := memberOf(raw, key)
	if len(value) == 0 || value[0] != '[' {
		return dst
	}
	numbers, end := scan.Numbers(dst, value, 0)
	if end == 0 {
		return dst
	}
	return numbers
}

// visibilitySample tells of the keypoints of some annotations whether their visibilities are 1
// alone, as where that is to say that they are visible.
type visibilitySample struct {
	annotations, keypoints int
	others                 bool // there are other visibilities, 0 aside
	numbers                []float64
}

func (v *visibilitySample) look(annotations [][]byte) {
	for _, raw := range annotations {
		v.numbers = numbersOf(v.numbers[:0], raw, `"keypoints"`)
		before := v.keypoints
		for i := 2; i < len(v.numbers); i += 3 {
			switch v.numbers[i] {
			case convert.NotLabelled:
			case convert.Occluded:
				v.keypoints++
			default:
				v.others = true
			}
		}
		if v.keypoints > before {
			v.annotations++
		}
	}
}

func (v *visibilitySample) odd() bool {
	const some, several = 20, 2
	return !v.others && v.keypoints >= some && v.annotations >= several
}

// reportNotation tells of the boxes that were left out for their notation.
func (r *reader) reportNotation(b *convert.Builder) {
	if n := r.oddBoxes.count; n > 0 {
		b.Result.Findings = append(b.Result.Findings, convert.Finding{Kind: convert.KindBoxNotation, Count: n, File: b.File, Image: b.Image,
			At: r.oddBoxes.first.String(), Reason: r.notation, Action: "boxes dropped"})
	}
}

// placeCount counts places and remembers the first.
type placeCount struct {
	count int
	first convert.Location
}

func (c *placeCount) add(at convert.Location) {
	if c.count == 0 {
		c.first = at
	}
	c.count++
}
