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
	any bool
}

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
	var findings []convert.Finding
	report := convert.ReportInto(&findings, c.Item.Image)
	lost := make(convert.LostAnnotations)
	for i, a := range c.Result.Annotations {
		box, ok := boxOf(a, report)
		if !ok {
			lost[i] = true
			continue
		}
		if a.Confidence != nil && *a.Confidence != 1 || len(a.Attributes) > 0 {
			report(convert.KindLostDetail, "annotation "+a.ID, "Create ML has no place for confidences and attributes", "left out")
		}
		entry.Annotations = append(entry.Annotations, writtenAnnotation{a.Name, writtenCoordinates{box.X + box.W/2, box.Y + box.H/2, box.W, box.H}})
	}
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
	s.WriteByte('\n')
	_, err = s.File.Write(data)
	return err
}

// boxOf is an annotation as a box.
func boxOf(a pictograph.Annotation, report func(kind convert.Kind, at, reason, action string)) (pictograph.Box, bool) {
	at := "annotation " + a.ID
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			report(convert.KindOtherShape, at, "Create ML has no oriented boxes", "its enclosing box was written")
		}
		return g.Box, true
	case pictograph.Polygon:
		if box, ok := geometry.Bounds(slices.Concat(g.Rings...)); ok {
			report(convert.KindOtherShape, at, "Create ML has no polygons", "its enclosing box was written")
			return box, true
		}
	}
	report(convert.KindLostShape, at, fmt.Sprintf("Create ML has no place for a %s", a.Geometry.Type()), "left out")
	return pictograph.Box{}, false
}

// Close ends the list.
func (s *sink) Close() error {
	s.WriteString("\n]\n")
	return s.File.Close()
}
