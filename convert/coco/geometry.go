package coco

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// convertGeometry takes placed keypoints, else the segmentation, else the box, as
// the service's own importer does.
func convertGeometry(b *convert.Builder, r *reader, o convert.Object, c *convert.Category, a *rawAnnotation) bool {
	g := r.readBox(a)
	if g.usable() {
		r.boxes.add(g.box, b.Size)
		if slices.ContainsFunc(r.others, func(m otherMember) bool { return statesXYWH(m.name, m.value) }) {
			r.boxes.stated++
		}
		if areaOfBox(g.box, a.area) {
			r.boxes.byArea++
		}
		g.byArea = areaOfCorners(g.box, a.area) && !r.segmented(a) && !r.corners.areaByChance(g.box, b.Size)
	}
	keypoints, ok := readAllKeypoints(b, r, &o, c, a)
	if !ok {
		return false
	}
	if r.notation == "" && !g.byArea && o.OddAngle == "" && !turnedBox(o.Attributes) && g.form == plainBox && geometry.AllBeside(convert.PointsOf(keypoints), g.box) {
		b.Report(convert.KindGeometry, o.At, fmt.Sprintf("its %d placed keypoints all lie far from its bbox %v,%v to %v,%v", len(keypoints), g.box.X, g.box.Y, g.box.X+g.box.W, g.box.Y+g.box.H), "both were taken as they stand")
	}
	r.tellOtherShapes(b, o, a, len(keypoints) > 0)
	if len(keypoints) == 0 && r.turnedRing(o, a, g) {
		return convertBox(b, r, o, g)
	}
	if b.AllGeometries {
		return convertGeometries(b, r, o, c, a, keypoints, g)
	}
	if len(keypoints) > 0 {
		if keypoints = b.InImage(o.At, keypoints); len(keypoints) == 0 {
			return false
		}
		instances := b.Instances
		if !b.AddPose(o, c, keypoints) {
			return false
		}
		r.carryBox(b, o, g, keypoints, b.Instances > instances)
		if r.segmented(a) {
			b.Report(convert.KindGeometry, o.At, "there is a segmentation beside the keypoints", allGeometries)
		}
		return true
	}
	if taken, there := convertSegmentation(b, r, o, a, g); there {
		return taken
	}
	return convertBox(b, r, o, g)
}

// tellOtherShapes tells of members that are not COCO's and most likely hold the shape of an
// annotation that has a bbox alone.
func (r *reader) tellOtherShapes(b *convert.Builder, o convert.Object, a *rawAnnotation, posed bool) {
	if posed || r.segmented(a) || emptyValue(a.bbox) {
		return
	}
	if name := r.otherShape(); name != "" {
		b.Report(convert.KindGeometry, o.At, fmt.Sprintf("beside the bbox the member %q holds what may be its shape, and is none of COCO's", name), "left out; the bbox was taken")
	}
}

// otherShape is a member that is none of COCO's and most likely holds the shape of the
// annotation, "" where there is none.
func (r *reader) otherShape() string {
	for _, m := range r.others {
		switch m.name {
		case "obb", "rbox", "rbbox", "rotated_bbox", "oriented_bbox", "rle", "mask", "poly", "polygon", "polygons", "points":
			if holdsNumbers(m.value) {
				return m.name
			}
		}
	}
	return ""
}

// holdsNumbers reports whether a value is an object or a list that is not empty.
func holdsNumbers(raw []byte) bool {
	return (scan.IsObject(raw) || scan.IsArray(raw)) && !emptyValue(raw)
}

// carryBox keeps the box that is given beside the keypoints of the last instance, where it is
// one that can be kept.
func (r *reader) carryBox(b *convert.Builder, o convert.Object, g givenBox, keypoints []convert.Keypoint, instance bool) {
	switch {
	case g.form == noBox:
	case g.flat():
		g.tellFlat(b, o.At)
	case g.form == badBox:
		b.Report(g.kind, o.At, "beside the keypoints: "+g.reason, "bbox left out")
	case !g.usable():
		b.Report(convert.KindGeometry, o.At, "there is a bbox beside the keypoints that is no upright box of finite numbers", allGeometries)
	case r.notation != "":
		r.oddBoxes.add(o.At)
	case g.byArea:
		b.Report(convert.KindBoxNotation, o.At, "beside the keypoints: "+cornersByArea, "bbox left out")
	case o.OddAngle != "":
		b.Report(convert.KindAngle, o.At, "beside the keypoints: "+o.OddAngle, "bbox left out")
	case turnedBox(o.Attributes):
		b.Report(convert.KindGeometry, o.At, "there is a turned bbox beside the keypoints", allGeometries)
	case !instance:
		b.Report(convert.KindGeometry, o.At, "there is a bbox beside a lone point", allGeometries)
	default:
		b.CarryBox(g.box, keypoints)
	}
}

// convertGeometries takes every geometry there is.
func convertGeometries(b *convert.Builder, r *reader, o convert.Object, c *convert.Category, a *rawAnnotation, keypoints []convert.Keypoint, g givenBox) bool {
	taken := false
	further := func(what string) convert.Object {
		if taken && o.ID != "" {
			o := o
			o.ID += "-" + what
			return o
		}
		return o
	}
	if keypoints = b.InImage(o.At, keypoints); len(keypoints) > 0 {
		taken = b.AddPose(o, c, keypoints)
	}
	segmentation, there := convertSegmentation(b, r, further("segmentation"), a, g)
	taken = taken || segmentation
	if g.flat() && (taken || there) {
		g.tellFlat(b, o.At)
		return taken
	}
	if g.form != noBox {
		return convertBox(b, r, further("box"), g) || taken
	}
	if !taken && !there {
		return convertBox(b, r, o, g)
	}
	return taken
}

// hasParts reports whether there are keypoints beside those of the body: nothing tells then
// which of them the category names.
func (a *rawAnnotation) hasParts() bool {
	return slices.ContainsFunc(a.parts[:], func(raw []byte) bool { return !scan.Absent(raw) })
}

// visibilities reports whether every third number may be one.
func visibilities(numbers []float64) bool {
	for i := 2; i < len(numbers); i += 3 {
		if v := numbers[i]; v != convert.NotLabelled && v != convert.Occluded && v != convert.Visible {
			return false
		}
	}
	return len(numbers)%3 == 0
}

// scored reports whether third numbers are scores: some are fractions.
func scored(triplets []float64) bool {
	for i := 2; i < len(triplets); i += 3 {
		if v := triplets[i]; v > 0 && v < 1 {
			return true
		}
	}
	return false
}

// readKeypoints returns the placed keypoints of a list and how many it has room for, -1 where
// the annotation is left out for it: named is how many keypoints its category, or its part of
// the body, has names for. Third numbers of parts that are fractions are scores.
func readKeypoints(b *convert.Builder, r *reader, o *convert.Object, raw []byte, what string, named int, part bool) (keypoints []convert.Keypoint, slots int) {
	at := o.At
	if emptyValue(raw) {
		return nil, 0
	}
	const instead = "left out; segmentation or bbox taken, if there is one"
	if !scan.IsArray(raw) {
		b.Report(convert.KindKeypoints, at, "the "+what+" are "+scan.Describe(raw), instead)
		return nil, 0
	}
	numbers, err := appendKeypoints(r.numbers[:0], raw)
	r.numbers = numbers
	if err != nil {
		b.Report(convert.KindNumber, at, what+": "+err.Error(), instead)
		return nil, 0
	}
	if named > 0 && len(numbers) == 2*named && !visibilities(numbers) {
		b.Drop(convert.KindCount, at, fmt.Sprintf("%d numbers of %s for %d keypoints are two a keypoint, where x, y and visibility belong", len(numbers), what, named))
		return nil, -1
	}
	if named == 0 && len(numbers)%2 == 0 && len(numbers)%3 == 0 && !visibilities(numbers) && !(o.Results && (o.Scored || o.Constant)) {
		b.Drop(convert.KindCount, at, fmt.Sprintf("%d numbers of %s may be two a keypoint, where x, y and visibility belong: the third numbers are no visibilities, and the category names no keypoints", len(numbers), what))
		return nil, -1
	}
	if left := len(numbers) % 3; left != 0 {
		b.Report(convert.KindCount, at, fmt.Sprintf("%d numbers of %s are no triplets", len(numbers), what), fmt.Sprintf("last %d left out", left))
	}
	numbers = numbers[:len(numbers)-len(numbers)%3]
	switch {
	case part && scored(numbers):
		keypoints = b.ScoredKeypoints(at, numbers)
	case o.Results:
		keypoints = b.ResultKeypoints(o, numbers)
	default:
		keypoints = b.PlacedKeypoints(at, numbers)
	}
	if len(keypoints) > 0 && convert.AreShares(slices.Values(convert.PointsOf(keypoints)), b.Size) {
		b.Report(convert.KindKeypoints, at, "every placed keypoint lies between 0 and 1, which looks normalized: shares of the image where pixels belong", "the "+what+" were left out")
		return nil, len(numbers) / 3
	}
	return keypoints, len(numbers) / 3
}

// appendKeypoints appends the numbers of a list of them, or of a list of triplets.
func appendKeypoints(dst []float64, raw []byte) ([]float64, error) {
	if i := scan.Space(raw, 1); raw[i] != '[' {
		return scan.AppendNumbers(dst, raw)
	}
	for element := range scan.Elements(raw) {
		if !scan.IsArray(element) {
			return dst, errors.New("there are triplets and other values in it")
		}
		before := len(dst)
		var err error
		if dst, err = scan.AppendNumbers(dst, element); err != nil {
			return dst, err
		}
		if len(dst)-before != 3 {
			return dst, fmt.Errorf("keypoint %d has %d numbers, not x, y and visibility", before/3+1, len(dst)-before)
		}
	}
	return dst, nil
}

// giveScores gives keypoints the confidences that are listed by their places; null is none.
func (r *reader) giveScores(b *convert.Builder, at convert.Location, keypoints []convert.Keypoint, raw []byte) {
	if !scan.IsArray(raw) {
		b.Report(convert.KindConfidence, at, "the scores of the keypoints are "+scan.Describe(raw), "left out")
		return
	}
	slot, next := 0, 0
	for element := range scan.Elements(raw) {
		if next < len(keypoints) && keypoints[next].Slot == slot {
			if score := parseScore(element); score != nil {
				keypoints[next].Score = score
			} else if !scan.Absent(element) {
				b.Report(convert.KindConfidence, at, fmt.Sprintf("the score of keypoint %d is %s", slot+1, scan.Describe(element)), "left out")
			}
			next++
		}
		slot++
	}
}

// parseScore is a number from 0 to 1, nil for all else.
func parseScore(raw []byte) *float64 {
	if !scan.IsNumber(raw) {
		return nil
	}
	if score := scan.ParseNumber(raw); score >= 0 && score <= 1 {
		return &score
	}
	return nil
}

const ringLeftOut = "ring left out"

// convertMask converts a run-length encoded segmentation. A mask that cannot be
// converted is dropped: a box in its stead would pass for the real thing.
func convertMask(b *convert.Builder, r *reader, o convert.Object, a *rawAnnotation, g givenBox) bool {
	m := &b.Mask
	if err := r.decodeMask(m, a, a.segmentation); err != nil {
		return b.Drop(convert.KindMask, o.At, err.Error())
	}
	if own := (convert.Size{Width: m.Width, Height: m.Height}); b.Size.Known() && own != b.Size {
		return b.Drop(convert.KindMask, o.At, fmt.Sprintf("the mask is %d×%d pixels and the image %d×%d", own.Width, own.Height, b.Size.Width, b.Size.Height))
	}
	if m.Beyond > 0 {
		if !agreesWithBox(m, g) {
			return b.Drop(convert.KindMask, o.At, fmt.Sprintf("the counts go beyond the %d×%d pixels of the mask", m.Width, m.Height))
		}
		b.Report(convert.KindMaskFilled, o.At, fmt.Sprintf("the last count, of pixels outside, goes %d beyond the mask; the pixels inside are those of the bbox", m.Beyond), "the last count was cut off")
	}
	if reason := r.contradicts(m, g, a.area); reason != "" {
		return b.Drop(convert.KindMask, o.At, reason)
	}
	if given, pixels := otherArea(float64(m.Pixels()), g, a.area), m.Pixels(); given > 0 && pixels > 0 && r.notation == "" {
		b.Report(convert.KindMaskArea, o.At, fmt.Sprintf("the mask has %v pixels where the area is %v", pixels, given), "the mask was taken")
	}
	return b.AddMask(o, m)
}

// decodeMask decodes the mask of the annotation at hand.
func (r *reader) decodeMask(m *geometry.Mask, a *rawAnnotation, mask []byte) error {
	if a.runs {
		return m.Decode(r.maskSize, func(d *geometry.CountDecoder) error { return d.Numbers(r.counts) })
	}
	return m.Unmarshal(mask)
}

// agreesWithBox reports whether a mask has its pixels just where a bbox says.
func agreesWithBox(m *geometry.Mask, g givenBox) bool {
	box, some := m.Bounds()
	return some && g.form == plainBox && !geometry.BoxesDiffer(box, g.box, 1, 0)
}

// mostAreas is how many times the area that an annotation gives its mask's pixels may be,
// or they it, where the bbox is another too.
const mostAreas = 2

// otherArea is the area of an annotation where that is far from the pixels of its mask, 0 where
// it is not, or says nothing of them, as that of the bbox or a share of the image.
func otherArea(pixels float64, g givenBox, raw []byte) float64 {
	const few = 100 // pixels, of which the rounding of an outline may be most
	if !scan.IsNumber(raw) {
		return 0
	}
	given := scan.ParseNumber(raw)
	if given <= mostAreas*pixels+few && pixels <= mostAreas*given+few {
		return 0
	}
	if g.usable() && given <= 1 || areaOfBbox(g, raw) {
		return 0
	}
	return given
}

// areaOfBbox reports whether an area is that of the bbox, and says nothing of another shape.
func areaOfBbox(g givenBox, raw []byte) bool {
	return g.usable() && scan.IsNumber(raw) && math.Abs(scan.ParseNumber(raw)-g.box.W*g.box.H) <= 0.02*g.box.W*g.box.H
}

// contradicts says why a mask is not what the bbox and area of its annotation are of, ""
// where it may be.
func (r *reader) contradicts(m *geometry.Mask, g givenBox, area []byte) string {
	box, some := m.Bounds()
	pixels := float64(m.Pixels())
	if given := otherArea(pixels, g, area); some && (g.form == noBox || g.flat()) && given > 0 {
		return fmt.Sprintf("the mask has %v pixels where the area is %v, and there is no bbox that says which is right", pixels, given)
	}
	if !some {
		return ""
	}
	unclear := ""
	if r.rows.image != "" {
		unclear = fmt.Sprintf("its bbox does not tell whether the counts go along the columns or, as those of %s in the same file do, along the rows", convert.Display(r.rows.image))
	}
	if !g.usable() || r.notation != "" {
		return unclear
	}
	reason := fmt.Sprintf("the mask lies at %v,%v to %v,%v, and the bbox at %v,%v to %v,%v", box.X, box.Y, box.X+box.W, box.Y+box.H, g.box.X, g.box.Y, g.box.X+g.box.W, g.box.Y+g.box.H)
	fit := fitOf(box, g.box)
	if fit < exactFit || unclear != "" {
		switch order := orderOf(m, box, g.box); {
		case order == alongRows && (fit == noFit || !r.rows.refuted):
			r.rowMasks = true
			return reason + ", where the counts have it if they go along the rows, as COCO's do not"
		case order == eitherOrder && unclear != "":
			return unclear
		}
	}
	if fit > noFit {
		given, outside := otherArea(pixels, g, area), float64(m.Width*m.Height)-pixels
		if given > 0 && math.Abs(given-outside) <= 0.01*outside {
			return fmt.Sprintf("the area is %v, as many pixels as are outside the mask, which has %v: its counts begin with pixels inside, as COCO's do not", given, pixels)
		}
		return ""
	}
	if other, some := m.RowBounds(); some && other.W < float64(m.Width) && fitOf(other, g.box) > noFit {
		return reason + ", where the counts have it if they go along the rows, as COCO's do not"
	}
	if other, some := m.OutsideBounds(); some && box.W*box.H > g.box.W*g.box.H && fitOf(other, g.box) > noFit {
		return reason + ", where the pixels outside are: the counts begin with pixels inside, as COCO's do not"
	}
	if ofThinOutline(box, pixels, g.box, area) || inLooseBox(box, g.box) && areaOfBbox(g, area) {
		return ""
	}
	if geometry.Overlap(box, g.box) < geometry.LeastOverlap {
		return reason + ", far from it"
	}
	if scan.IsNumber(area) {
		if given := scan.ParseNumber(area); given > 0 && (pixels > mostAreas*given || given > mostAreas*pixels) {
			return fmt.Sprintf("%s, and it has %v pixels where the area is %v", reason, pixels, given)
		}
	}
	return ""
}

// ofThinOutline reports whether a mask may well be what pixels are of an outline thinner than they,
// whose bbox and area were kept: it lies within that bbox, and its pixels are off the area by no
// more than there are along its edge.
func ofThinOutline(mask pictograph.Box, pixels float64, outline pictograph.Box, area []byte) bool {
	const thin = 2
	if min(outline.W, outline.H) > thin || !scan.IsNumber(area) || math.Abs(scan.ParseNumber(area)-pixels) > 2*(mask.W+mask.H) {
		return false
	}
	const rounding = 1
	return mask.X >= outline.X-rounding && mask.Y >= outline.Y-rounding &&
		mask.X+mask.W <= outline.X+outline.W+rounding && mask.Y+mask.H <= outline.Y+outline.H+rounding
}

// inLooseBox reports whether a mask lies within a bbox that was drawn around it with some room, and
// fills most of each of its sides.
func inLooseBox(mask, bbox pictograph.Box) bool {
	const rounding, most = 2, 0.5
	return mask.X >= bbox.X-rounding && mask.Y >= bbox.Y-rounding && mask.X+mask.W <= bbox.X+bbox.W+rounding && mask.Y+mask.H <= bbox.Y+bbox.H+rounding &&
		mask.W >= most*bbox.W && mask.H >= most*bbox.H
}

// maskFit is how well a bbox is that of a mask.
type maskFit int

const (
	noFit    maskFit = iota
	roughFit         // by two pixels or a fiftieth
	exactFit         // to the pixel, the last ones counted or not
)

func fitOf(box, given pictograph.Box) maskFit {
	const rounding = 0.01
	same := func(a, b float64) bool { return math.Abs(a-b) <= rounding }
	switch {
	case same(box.X, given.X) && same(box.Y, given.Y) && (same(box.W, given.W) && same(box.H, given.H) || same(box.W-1, given.W) && same(box.H-1, given.H)):
		return exactFit
	case geometry.BoxesDiffer(box, given, 2, 0.02):
		return noFit
	}
	return roughFit
}

// maskOrder is the order that the counts of a mask go in by its bbox.
type maskOrder int

const (
	eitherOrder maskOrder = iota // or neither
	alongColumns
	alongRows
)

// orderOf tells the order of a mask, which lies in box along the columns. Along the rows, one
// as wide as its image says nothing: any run that goes on in the next row has that width.
func orderOf(m *geometry.Mask, box, given pictograph.Box) maskOrder {
	other, _ := m.RowBounds()
	columns, rows := fitOf(box, given), fitOf(other, given)
	switch {
	case columns > rows:
		return alongColumns
	case rows > columns && other.W < float64(m.Width):
		return alongRows
	}
	return eitherOrder
}

// readAllKeypoints returns the placed keypoints of an annotation and notes how many its lists
// have room for.
//
// False is for an annotation that is left out, since its keypoints may be read in two ways.
func readAllKeypoints(b *convert.Builder, r *reader, o *convert.Object, c *convert.Category, a *rawAnnotation) (keypoints []convert.Keypoint, ok bool) {
	if emptyValue(a.keypoints) && !o.Results {
		b.TellUnlabelled(o.At, nil, 0, a.keypointCount)
	}
	if !scan.Absent(a.keypoints) {
		keypoints, o.Slots = readKeypoints(b, r, o, a.keypoints, "keypoints", len(c.Keypoints), false)
		if o.Slots < 0 {
			return nil, false
		}
		if len(keypoints) > 0 && len(c.Keypoints) > 0 && o.Slots != len(c.Keypoints) && len(r.numbers)%3 == 0 && !a.hasParts() {
			return nil, b.Drop(convert.KindCount, o.At, fmt.Sprintf("there are %d keypoints, and its category names %d: nothing tells which are which", o.Slots, len(c.Keypoints)))
		}
		if !o.Results && o.Slots > 0 {
			b.TellUnlabelled(o.At, r.numbers, len(keypoints), a.keypointCount)
			keypoints = b.HoldCount(o.At, keypoints, a.keypointCount)
		}
		if !scan.Absent(a.keypointScores) {
			r.giveScores(b, o.At, keypoints, a.keypointScores)
		}
	}
	for i, raw := range a.parts {
		if scan.Absent(raw) {
			continue
		}
		more, slots := readKeypoints(b, r, o, raw, convert.WholeBody[i].Member, convert.WholeBody[i].Keypoints, true)
		if slots < 0 {
			return nil, false
		}
		if !o.Results && slots > 0 {
			b.TellUnlabelled(o.At, r.numbers, len(more), nil)
		}
		for _, j := range more {
			j.Name = fmt.Sprintf("%s_%d", convert.WholeBody[i].Name, j.Slot)
			keypoints = append(keypoints, j)
		}
	}
	return keypoints, true
}
