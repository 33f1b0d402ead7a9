package createml

import (
	"encoding/json"
	"fmt"
	"slices"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/atomicfile"
	"pictosync/pictograph"
)

// sink writes one file.
type sink struct {
	convert.Unencoded
	*atomicfile.File
	any     bool
	written convert.Written
}

func (s *sink) Written() convert.Written { return s.written }

func create(o convert.Output) (convert.Sink, error) {
	f, err := atomicfile.Create(o.Path, o.Mode)
	if err != nil {
		return nil, err
	}
	s := &sink{File: f}
	if err := s.WriteByte('['); err != nil {
		s.Abort()
		return nil, err
	}
	return s, nil
}

type writtenEntry struct {
	Image       string              `json:"image"`
	Annotations []writtenAnnotation `json:"annotations"`
}

type writtenAnnotation struct {
	Label       string             `json:"label"`
	Coordinates writtenCoordinates `json:"coordinates"`
}

type writtenCoordinates struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// Write writes the boxes of an image, and the enclosing boxes of other shapes.
func (s *sink) Write(c *convert.Converted) error {
	entry := writtenEntry{Image: c.Item.Image, Annotations: []writtenAnnotation{}}
	var written convert.Written
	var findings []convert.Finding
	report := convert.ReportInto(&findings, c.Item.Image)
	lost := make(convert.LostAnnotations)
	for _, o := range convert.ObjectsOf(c.Result, lost, report) {
		at := "annotation " + o.ID
		if o.Keypoints != nil {
			report(convert.KindLostShape, at, "Create ML has no place for keypoints", "left out")
		}
		box, ok := boxOf(o, at, report)
		for _, i := range o.Members {
			if _, keypoint := c.Result.Annotations[i].Geometry.(pictograph.Keypoint); keypoint || !ok {
				lost[i] = true
			}
		}
		if !ok {
			continue
		}
		if o.Confidence != nil && *o.Confidence != 1 || len(o.Attributes) > 0 {
			report(convert.KindLostDetail, at, "Create ML has no place for confidences and attributes", "left out")
			written.Lack(convert.WithoutDetails, 1)
		}
		written.Count(convert.FormBox, 1)
		if o.Keypoints != nil {
			written.Lack(convert.WithoutKeypoints, 1)
		}
		if o.Polygons != nil && o.Box != nil {
			written.Lack(convert.WithoutPolygons, 1)
		}
		name := c.Result.Annotations[o.Members[len(o.Members)-1]].Name // the keypoints of an object come first
		entry.Annotations = append(entry.Annotations, writtenAnnotation{name, writtenCoordinates{box.X + box.W/2, box.Y + box.H/2, box.W, box.H}})
	}
	convert.ReportMembers(&findings, c.Item.Image, "Create ML", c.Result.Annotations)
	var err error
	if len(entry.Annotations) == 0 && len(c.Result.Annotations) > 0 {
		err = fmt.Errorf("write image %s: none of its %d annotations has a place in Create ML's labels", c.Item.Image, len(c.Result.Annotations))
	}
	if !c.Lose(c.Result.Lost(lost), findings, err) {
		return nil
	}
	data, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("write image %s: %w", c.Item.Image, err)
	}
	if s.any {
		s.WriteByte(',')
	}
	s.any = true
	s.written.Add(written)
	s.WriteByte('\n')
	_, err = s.File.Write(data)
	return err
}

// boxOf is an object as one box: its own, or that around its polygons.
func boxOf(o convert.WholeObject, at string, report func(kind convert.Kind, at, reason, action string)) (pictograph.Box, bool) {
	if o.Box != nil {
		switch {
		case o.Polygons != nil:
			report(convert.KindOtherShape, at, "Create ML has no polygons", "the box beside them was written")
		case o.Box.Oriented != nil:
			report(convert.KindOtherShape, at, "Create ML has no oriented boxes", "its enclosing box was written")
		}
		return o.Box.Box, true
	}
	var points []pictograph.Point
	for _, p := range o.Polygons {
		points = append(points, slices.Concat(p.Rings...)...)
	}
	convert.ReportGivenBoxes(report, at, o.Polygons)
	box, ok := geometry.Bounds(points)
	switch {
	case o.Polygons == nil:
	case !ok:
		report(convert.KindLostShape, at, "the polygon has no extent", "left out")
	case len(o.Polygons) > 1:
		report(convert.KindOtherShape, at, fmt.Sprintf("Create ML has no polygons, and the object has %d", len(o.Polygons)), "one box around them all was written")
	default:
		report(convert.KindOtherShape, at, "Create ML has no polygons", "its enclosing box was written")
	}
	return box, ok
}

// Close ends the list.
func (s *sink) Close() error {
	s.WriteString("\n]\n")
	return s.File.Close()
}
