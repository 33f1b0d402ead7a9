package convert

import (
	"fmt"

	"pictosync/pictograph"
)

// convertGeometry takes placed joints, else the segmentation, else the box, as
// the service's own importer does.
func convertGeometry(b *imageBuilder, r *cocoReader, o object, c *category, a cocoAnnotation) bool {
	if b.allGeometries {
		return convertGeometries(b, r, o, c, a)
	}
	if joints := readJoints(b, r, o.at, a.keypoints); len(joints) > 0 {
		return b.addPose(o, c, joints)
	}
	if isObject(a.segmentation) {
		return convertMask(b, r, o, a)
	}
	if polygons, parts := readRings(b, r, o.at, a); len(polygons) > 0 {
		return b.addPolygons(o, partIDs(parts), polygons)
	}
	if absent(a.bbox) || string(a.bbox) == "[]" {
		return b.drop(KindNoGeometry, o.at, "no joint is placed, and there is no usable segmentation and no bbox")
	}
	return convertBox(b, r, o, a.bbox)
}

// convertGeometries takes every geometry there is.
func convertGeometries(b *imageBuilder, r *cocoReader, o object, c *category, a cocoAnnotation) bool {
	taken := false
	further := func(what string) object {
		if taken && o.id != "" {
			o := o
			o.id += "-" + what
			return o
		}
		return o
	}
	if joints := readJoints(b, r, o.at, a.keypoints); len(joints) > 0 {
		taken = b.addPose(o, c, joints)
	}
	if isObject(a.segmentation) {
		taken = convertMask(b, r, further("segmentation"), a) || taken
	} else if polygons, parts := readRings(b, r, o.at, a); len(polygons) > 0 {
		taken = b.addPolygons(further("segmentation"), partIDs(parts), polygons) || taken
	}
	if !absent(a.bbox) && string(a.bbox) != "[]" {
		taken = convertBox(b, r, further("box"), a.bbox) || taken
	} else if !taken {
		return b.drop(KindNoGeometry, o.at, "no joint is placed, and there is no usable segmentation and no bbox")
	}
	return taken
}

// readJoints returns the placed joints of a keypoints list.
func readJoints(b *imageBuilder, r *cocoReader, at place, raw []byte) []joint {
	if absent(raw) {
		return nil
	}
	const instead = "keypoints left out; segmentation or bbox taken, if there is one"
	if !isArray(raw) {
		b.report(KindKeypoints, at, "the keypoints are "+describe(raw), instead)
		return nil
	}
	numbers, err := appendNumbers(r.numbers[:0], raw)
	r.numbers = numbers
	if err != nil {
		b.report(KindNumber, at, "keypoints: "+err.Error(), instead)
		return nil
	}
	if left := len(numbers) % 3; left != 0 {
		b.report(KindCount, at, fmt.Sprintf("%d keypoint numbers are no triplets", len(numbers)), fmt.Sprintf("last %d left out", left))
	}
	return b.placedJoints(at, numbers[:len(numbers)-len(numbers)%3])
}

// readRings returns the usable rings of a segmentation, each a polygon of its
// own: COCO's rings are a union, never holes. Parts counts the unusable too. The
// polygons are valid until the next annotation is read.
func readRings(b *imageBuilder, r *cocoReader, at place, a cocoAnnotation) (polygons []pictograph.Polygon, parts int) {
	if absent(a.segmentation) {
		return nil, 0
	}
	if !isArray(a.segmentation) {
		b.report(KindRing, at, "the segmentation is "+describe(a.segmentation), "left out")
		return nil, 0
	}
	reported := len(b.result.Findings)
	r.polygons = r.polygons[:0]
	add := func(ring []pictograph.Point) {
		if ring != nil {
			rings := b.rings.take(1)
			rings[0] = ring
			r.polygons = append(r.polygons, pictograph.Polygon{Rings: rings})
		}
	}
	if a.rings {
		first := 0
		for _, end := range r.ringEnds {
			parts++
			add(ringOf(b, at, parts, r.coordinates[first:end], true))
			first = end
		}
	} else {
		for raw := range elements(a.segmentation) {
			parts++
			add(readRing(b, r, at, parts, raw))
		}
	}
	if len(r.polygons) == 0 && len(b.result.Findings) > reported {
		b.report(KindRing, at, "no ring of the segmentation can be used", "bbox taken, if there is one")
	}
	return r.polygons, parts
}

const ringLeftOut = "ring left out"

// readRing returns nil for a ring that cannot be used.
func readRing(b *imageBuilder, r *cocoReader, at place, number int, raw []byte) []pictograph.Point {
	if !isArray(raw) {
		b.report(KindRing, at, fmt.Sprintf("ring %d is %s, not a list of coordinates", number, describe(raw)), ringLeftOut)
		return nil
	}
	numbers, err := appendNumbers(r.numbers[:0], raw)
	r.numbers = numbers
	if err != nil {
		b.report(KindNumber, at, fmt.Sprintf("ring %d: %v", number, err), ringLeftOut)
		return nil
	}
	return ringOf(b, at, number, numbers, finite(numbers...))
}

// ringOf pairs a ring's coordinates; nil if they make none. An empty ring is how
// some writers say that there is no segmentation, and is not reported.
func ringOf(b *imageBuilder, at place, number int, coordinates []float64, finite bool) []pictograph.Point {
	switch {
	case len(coordinates) == 0:
		return nil
	case len(coordinates) < 6:
		b.report(KindRing, at, fmt.Sprintf("ring %d has %d numbers, fewer than three points", number, len(coordinates)), ringLeftOut)
		return nil
	case !finite:
		b.report(KindNumber, at, fmt.Sprintf("ring %d has a coordinate that is not finite", number), ringLeftOut)
		return nil
	case len(coordinates)%2 == 1:
		b.report(KindCount, at, fmt.Sprintf("ring %d has an odd count of %d coordinates", number, len(coordinates)), "last coordinate left out")
	}
	ring := b.pairs(coordinates)
	if !enclosing(ring) {
		b.report(KindRing, at, fmt.Sprintf("ring %d has fewer than three different points", number), ringLeftOut)
		return nil
	}
	return ring
}

// enclosing reports whether a ring has three different points: one of three
// whose last repeats the first, to close it, encloses nothing.
func enclosing(ring []pictograph.Point) bool {
	a, b := ring[0], ring[0]
	for _, p := range ring[1:] {
		switch {
		case p == a:
		case b == a:
			b = p
		case p != b:
			return true
		}
	}
	return false
}

// pairs are the points of coordinates; an odd one at the end is left out.
func (b *imageBuilder) pairs(coordinates []float64) []pictograph.Point {
	paired := b.points.take(len(coordinates) / 2)
	for i := range paired {
		paired[i] = pictograph.Point{X: coordinates[2*i], Y: coordinates[2*i+1]}
	}
	return paired
}

// convertMask converts a run-length encoded segmentation. A mask that cannot be
// converted is dropped: a box in its stead would pass for the real thing.
func convertMask(b *imageBuilder, r *cocoReader, o object, a cocoAnnotation) bool {
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
	return b.addMask(o, m)
}

func convertBox(b *imageBuilder, r *cocoReader, o object, raw []byte) bool {
	if !isArray(raw) {
		return b.drop(KindBox, o.at, "the bbox is "+describe(raw))
	}
	numbers, err := appendNumbers(r.numbers[:0], raw)
	r.numbers = numbers
	if err != nil {
		return b.drop(KindNumber, o.at, "bbox: "+err.Error())
	}
	if len(numbers) != 4 {
		return b.drop(KindCount, o.at, fmt.Sprintf("the bbox has %d numbers instead of 4", len(numbers)))
	}
	return b.addBox(o, pictograph.Box{X: numbers[0], Y: numbers[1], W: numbers[2], H: numbers[3]})
}
