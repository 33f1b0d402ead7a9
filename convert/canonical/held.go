package canonical

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/pictograph"
	"pictosync/source"
)

// heldResult is [ResultOf] without the annotations that contradict themselves or lie outside
// their image, whose sizes are known as far as they are.
func heldResult(s source.Files, item convert.Item, image Image, sizes source.ImageSizes) convert.Result {
	size := sizes.Own()
	if s.Options.OnSizeMismatch == convert.SizeKeep && sizes.Differ() {
		size = convert.Size{}
	}
	var findings []convert.Finding
	all := image.Annotations
	image.Annotations = make([]pictograph.Annotation, 0, len(all))
	shares := convert.AreShares(allPoints(all), size)
	for _, a := range all {
		kind, reason := contradiction(a, size)
		if kind == "" && shares {
			kind, reason = convert.KindBoxNotation, "every shape of the image lies between 0 and 1, which looks normalized: shares of the image where pixels belong"
		}
		if kind == "" {
			image.Annotations = append(image.Annotations, a)
			continue
		}
		findings = append(findings, convert.Finding{Kind: kind, File: item.File, Image: item.Image, At: convert.Location{What: "annotation", ID: a.ID}.String(), Reason: reason, Action: "dropped"})
	}
	findings = append(findings, besideBoxes(item, image)...)
	result := ResultOf(image)
	result.Findings, result.Read, result.LeftOut = findings, len(all), len(all)-len(image.Annotations)
	return result
}

// besideBoxes tells of instances whose keypoints all lie far from the box that is given for them.
func besideBoxes(item convert.Item, image Image) (findings []convert.Finding) {
	for _, instance := range slices.Sorted(maps.Keys(image.Boxes)) {
		var points []pictograph.Point
		first := ""
		for _, a := range image.Annotations {
			if k, keypoint := a.Geometry.(pictograph.Keypoint); keypoint && k.Instance == instance {
				points = append(points, k.Point)
				first = cmp.Or(first, a.ID)
			}
		}
		box := image.Boxes[instance]
		if !geometry.AllBeside(points, box) {
			continue
		}
		findings = append(findings, convert.Finding{Kind: convert.KindGeometry, File: item.File, Image: item.Image, At: convert.Location{What: "annotation", ID: first}.String(), Annotation: first,
			Reason: fmt.Sprintf("the %d keypoints of instance %d all lie far from the box %v,%v to %v,%v that is given beside them", len(points), instance, box.X, box.Y, box.X+box.W, box.Y+box.H), Action: "both were taken as they stand"})
	}
	return findings
}

// allPoints are those that the shapes lie between.
func allPoints(annotations []pictograph.Annotation) iter.Seq[pictograph.Point] {
	return func(yield func(pictograph.Point) bool) {
		for _, a := range annotations {
			for _, p := range pointsOf(a) {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// pointsOf are those that an annotation's shape lies between.
func pointsOf(a pictograph.Annotation) []pictograph.Point {
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			corners := geometry.Corners(*g.Oriented)
			return corners[:]
		}
		return []pictograph.Point{{X: g.Box.X, Y: g.Box.Y}, {X: g.Box.X + g.Box.W, Y: g.Box.Y + g.Box.H}}
	case pictograph.Polygon:
		return g.Rings[0]
	case pictograph.Polyline:
		return g.Path
	case pictograph.Keypoint:
		return []pictograph.Point{g.Point}
	}
	return nil
}

// contradiction says why an annotation cannot be meant as it stands, "" where it can.
func contradiction(a pictograph.Annotation, size convert.Size) (kind convert.Kind, reason string) {
	var given *pictograph.Box
	kind = convert.KindBox
	what := string(a.Geometry.Type())
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			what, given = "oriented_box", &g.Box
		}
	case pictograph.Polygon:
		kind, given = convert.KindRing, g.Box
	case pictograph.Polyline:
		given = g.Box
	}
	shape, _ := geometry.Bounds(pointsOf(a))
	if given != nil && geometry.Apart(shape, *given) {
		return kind, fmt.Sprintf("the %s lies at %v,%v to %v,%v, far from its bounding_box %v,%v to %v,%v", what, shape.X, shape.Y, shape.X+shape.W, shape.Y+shape.H, given.X, given.Y, given.X+given.W, given.Y+given.H)
	}
	if size.Known() && off(shape, size) {
		return convert.KindOffImage, fmt.Sprintf("it lies outside the image of %d×%d altogether", size.Width, size.Height)
	}
	return "", ""
}

// off reports whether a shape lies outside its image: as boxes do, or, where it has no extent,
// by more than a pixel and a hundredth of the image's side, as keypoints do.
func off(box pictograph.Box, size convert.Size) bool {
	if box.W > 0 && box.H > 0 {
		return geometry.Off(box, size.Width, size.Height)
	}
	const pixels, share = 1, 0.01
	w, h := float64(size.Width), float64(size.Height)
	dx, dy := max(pixels, share*w), max(pixels, share*h)
	return box.X+box.W < -dx || box.Y+box.H < -dy || box.X > w+dx || box.Y > h+dy
}
