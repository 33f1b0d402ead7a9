package convert

import (
	"errors"
	"fmt"
	"slices"

	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// convertGeometry takes placed joints, else the segmentation, else the box, as
// the service's own importer does.
func convertGeometry(b *imageBuilder, r *cocoReader, o object, c *category, a *cocoAnnotation) bool {
	g := r.readBox(a)
	if g.usable() {
		r.boxes.add(g.box, b.size)
		if areaOfBox(g.box, a.area) {
			r.boxes.byArea++
		}
		g.byArea = areaOfCorners(g.box, a.area) && !r.segmented(a)
	}
	joints, ok := readAllJoints(b, r, &o, c, a)
	if !ok {
		return false
	}
	if b.allGeometries {
		return convertGeometries(b, r, o, c, a, joints, g)
	}
	if len(joints) > 0 {
		if joints = b.inImage(o.at, joints); len(joints) == 0 {
			return false
		}
		instances := b.instances
		if !b.addPose(o, c, joints) {
			return false
		}
		r.carryBox(b, o, g, joints, b.instances > instances)
		if r.segmented(a) {
			b.report(KindGeometry, o.at, "there is a segmentation beside the joints", allGeometries)
		}
		return true
	}
	if taken, there := convertSegmentation(b, r, o, a, g); there {
		return taken
	}
	return convertBox(b, r, o, g)
}

// carryBox keeps the box that is given beside the joints of the last instance. One that is
// just around them tells nothing more: it is what is written where none is given.
func (r *cocoReader) carryBox(b *imageBuilder, o object, g givenBox, joints []joint, instance bool) {
	switch {
	case g.form == noBox || g.form == plainBox && !(g.box.W > 0 && g.box.H > 0) && finite(g.box.X, g.box.Y, g.box.W, g.box.H):
	case g.form == badBox:
		b.report(g.kind, o.at, "beside the joints: "+g.reason, "bbox left out")
	case !g.usable():
		b.report(KindGeometry, o.at, "there is a bbox beside the joints that is no upright box of finite numbers", allGeometries)
	case r.notation != "":
		r.oddBoxes.add(o.at)
	case g.byArea:
		b.report(KindBoxNotation, o.at, "beside the joints: "+cornersByArea, "bbox left out")
	case o.oddAngle != "":
		b.report(KindAngle, o.at, "beside the joints: "+o.oddAngle, "bbox left out")
	case turnedBox(o.attributes):
		b.report(KindGeometry, o.at, "there is a turned bbox beside the joints", allGeometries)
	case !instance:
		b.report(KindGeometry, o.at, "there is a bbox beside a lone point", allGeometries)
	case g.box == aroundJoints(joints):
	default:
		if b.result.Boxes == nil {
			b.result.Boxes = make(map[int]pictograph.Box)
		}
		b.result.Boxes[b.instances] = g.box
	}
}

// convertGeometries takes every geometry there is.
func convertGeometries(b *imageBuilder, r *cocoReader, o object, c *category, a *cocoAnnotation, joints []joint, g givenBox) bool {
	taken := false
	further := func(what string) object {
		if taken && o.id != "" {
			o := o
			o.id += "-" + what
			return o
		}
		return o
	}
	if joints = b.inImage(o.at, joints); len(joints) > 0 {
		taken = b.addPose(o, c, joints)
	}
	segmentation, there := convertSegmentation(b, r, further("segmentation"), a, g)
	taken = taken || segmentation
	if g.form == plainBox && (taken || there) && !(g.box.W > 0 && g.box.H > 0) && finite(g.box.X, g.box.Y, g.box.W, g.box.H) {
		return taken // how writers say that there is no box
	}
	if g.form != noBox {
		return convertBox(b, r, further("box"), g) || taken
	}
	if !taken && !there {
		return convertBox(b, r, o, g)
	}
	return taken
}

// hasParts reports whether there are joints beside those of the body: nothing tells then
// which of them the category names.
func (a *cocoAnnotation) hasParts() bool {
	return slices.ContainsFunc(a.parts[:], func(raw []byte) bool { return !absent(raw) })
}

// visibilities reports whether every third number may be one.
func visibilities(numbers []float64) bool {
	for i := 2; i < len(numbers); i += 3 {
		if v := numbers[i]; v != notLabelled && v != occluded && v != visible {
			return false
		}
	}
	return len(numbers)%3 == 0
}

// readJoints returns the placed joints of a list and how many it has room for, -1 where
// the annotation is left out for it: named is how many joints its category names.
func readJoints(b *imageBuilder, r *cocoReader, o *object, raw []byte, what string, named int) (joints []joint, slots int) {
	at := o.at
	if emptyValue(raw) {
		return nil, 0
	}
	const instead = "left out; segmentation or bbox taken, if there is one"
	if !isArray(raw) {
		b.report(KindKeypoints, at, "the "+what+" are "+describe(raw), instead)
		return nil, 0
	}
	numbers, err := appendJoints(r.numbers[:0], raw)
	r.numbers = numbers
	if err != nil {
		b.report(KindNumber, at, what+": "+err.Error(), instead)
		return nil, 0
	}
	if named > 0 && len(numbers) == 2*named && !visibilities(numbers) {
		b.drop(KindCount, at, fmt.Sprintf("%d numbers of %s for %d joints are two a joint, where x, y and visibility belong", len(numbers), what, named))
		return nil, -1
	}
	if left := len(numbers) % 3; left != 0 {
		b.report(KindCount, at, fmt.Sprintf("%d numbers of %s are no triplets", len(numbers), what), fmt.Sprintf("last %d left out", left))
	}
	numbers = numbers[:len(numbers)-len(numbers)%3]
	if o.results {
		joints = b.resultJoints(o, numbers)
	} else {
		joints = b.placedJoints(at, numbers)
	}
	if len(joints) > 0 && looksNormalized(joints, b.size) {
		b.report(KindKeypoints, at, "every placed joint lies between 0 and 1, which looks normalized: shares of the image where pixels belong", "the "+what+" were left out")
		return nil, len(numbers) / 3
	}
	return joints, len(numbers) / 3
}

// looksNormalized reports whether joints have coordinates that can hardly be pixels.
func looksNormalized(joints []joint, size Size) bool {
	fractions := false
	for _, j := range joints {
		if !isShare(j.point.X, j.point.Y) {
			return false
		}
		fractions = fractions || !isWhole(j.point.X, j.point.Y)
	}
	return fractions && size.mayBeShares(true)
}

// appendJoints appends the numbers of a list of them, or of a list of triplets.
func appendJoints(dst []float64, raw []byte) ([]float64, error) {
	if i := scan.Space(raw, 1); raw[i] != '[' {
		return appendNumbers(dst, raw)
	}
	for element := range scan.Elements(raw) {
		if !isArray(element) {
			return dst, errors.New("there are triplets and other values in it")
		}
		before := len(dst)
		var err error
		if dst, err = appendNumbers(dst, element); err != nil {
			return dst, err
		}
		if len(dst)-before != 3 {
			return dst, fmt.Errorf("joint %d has %d numbers, not x, y and visibility", before/3+1, len(dst)-before)
		}
	}
	return dst, nil
}

// giveScores gives joints the confidences that are listed by their places; null is none.
func (r *cocoReader) giveScores(b *imageBuilder, at place, joints []joint, raw []byte) {
	if !isArray(raw) {
		b.report(KindConfidence, at, "the scores of the joints are "+describe(raw), "left out")
		return
	}
	slot, next := 0, 0
	for element := range scan.Elements(raw) {
		if next < len(joints) && joints[next].slot == slot {
			if score := parseScore(element); score != nil {
				joints[next].score = score
			} else if !absent(element) {
				b.report(KindConfidence, at, fmt.Sprintf("the score of joint %d is %s", slot+1, describe(element)), "left out")
			}
			next++
		}
		slot++
	}
}

// parseScore is a number from 0 to 1, nil for all else.
func parseScore(raw []byte) *float64 {
	if !isNumber(raw) {
		return nil
	}
	if score := parseNumber(raw); score >= 0 && score <= 1 {
		return &score
	}
	return nil
}

const ringLeftOut = "ring left out"

// convertMask converts a run-length encoded segmentation. A mask that cannot be
// converted is dropped: a box in its stead would pass for the real thing.
func convertMask(b *imageBuilder, r *cocoReader, o object, a *cocoAnnotation, g givenBox) bool {
	m := &b.mask
	var err error
	if a.runs {
		err = m.decode(r.maskSize, func(d *countDecoder) error { return d.numbers(r.counts) })
	} else {
		err = m.unmarshal(a.segmentation)
	}
	if err != nil {
		return b.drop(KindMask, o.at, err.Error())
	}
	if own := (Size{m.width, m.height}); b.size.Known() && own != b.size {
		return b.drop(KindMask, o.at, fmt.Sprintf("the mask is %d×%d pixels and the image %d×%d", own.Width, own.Height, b.size.Width, b.size.Height))
	}
	if m.beyond > 0 {
		if !agreesWithBox(m, g) {
			return b.drop(KindMask, o.at, fmt.Sprintf("the counts go beyond the %d×%d pixels of the mask", m.width, m.height))
		}
		b.report(KindMaskFilled, o.at, fmt.Sprintf("the last count, of pixels outside, goes %d beyond the mask; the pixels inside are those of the bbox", m.beyond), "the last count was cut off")
	}
	if reason := r.contradicts(m, g, a.area); reason != "" {
		return b.drop(KindMask, o.at, reason)
	}
	return b.addMask(o, m)
}

// agreesWithBox reports whether a mask has its pixels just where a bbox says.
func agreesWithBox(m *mask, g givenBox) bool {
	box, some := m.bounds()
	return some && g.form == plainBox && !boxesDiffer(box, g.box, 1, 0)
}

// mostAreas is how many times the area that an annotation gives its mask's pixels may be,
// or they it, where the bbox is another too.
const mostAreas = 2

// contradicts says why a mask is not what the bbox and area of its annotation are of, ""
// where it may be.
func (r *cocoReader) contradicts(m *mask, g givenBox, area []byte) string {
	box, some := m.bounds()
	if !some || !g.usable() || r.notation != "" || !boxesDiffer(box, g.box, 2, 0.02) {
		return ""
	}
	pixels := float64(m.pixels())
	reason := fmt.Sprintf("the mask lies at %v,%v to %v,%v, and the bbox at %v,%v to %v,%v", box.X, box.Y, box.X+box.W, box.Y+box.H, g.box.X, g.box.Y, g.box.X+g.box.W, g.box.Y+g.box.H)
	if other, some := m.rowBounds(); some && !boxesDiffer(other, g.box, 2, 0.02) {
		return reason + ", where the counts have it if they go along the rows, as COCO's do not"
	}
	if other, some := m.outsideBounds(); some && box.W*box.H > g.box.W*g.box.H && !boxesDiffer(other, g.box, 2, 0.02) {
		return reason + ", where the pixels outside are: the counts begin with pixels inside, as COCO's do not"
	}
	if overlap(box, g.box) < leastOverlap {
		return reason + ", far from it"
	}
	if isNumber(area) {
		if given := parseNumber(area); given > 0 && (pixels > mostAreas*given || given > mostAreas*pixels) {
			return fmt.Sprintf("%s, and it has %v pixels where the area is %v", reason, pixels, given)
		}
	}
	return ""
}

// readAllJoints returns the placed joints of an annotation and notes how many its lists
// have room for.
//
// False is for an annotation that is left out, since its joints may be read in two ways.
func readAllJoints(b *imageBuilder, r *cocoReader, o *object, c *category, a *cocoAnnotation) (joints []joint, ok bool) {
	if !absent(a.keypoints) {
		joints, o.slots = readJoints(b, r, o, a.keypoints, "keypoints", len(c.joints))
		if o.slots < 0 {
			return nil, false
		}
		if len(joints) > 0 && len(c.joints) > 0 && o.slots != len(c.joints) && len(r.numbers)%3 == 0 && !a.hasParts() {
			return nil, b.drop(KindCount, o.at, fmt.Sprintf("there are %d joints, and its category names %d: nothing tells which are which", o.slots, len(c.joints)))
		}
		if !o.results && o.slots > 0 {
			b.tellUnlabelled(o.at, r.numbers, len(joints), a.jointCount)
		}
		if !absent(a.jointScores) {
			r.giveScores(b, o.at, joints, a.jointScores)
		}
	}
	for i, raw := range a.parts {
		if absent(raw) {
			continue
		}
		more, slots := readJoints(b, r, o, raw, wholeBody[i].member, 0)
		if !o.results && slots > 0 {
			b.tellUnlabelled(o.at, r.numbers, len(more), nil)
		}
		for _, j := range more {
			j.name = fmt.Sprintf("%s_%d", wholeBody[i].name, j.slot)
			joints = append(joints, j)
		}
	}
	return joints, true
}
