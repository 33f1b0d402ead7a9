package coco

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
)

// panoptic converts one annotation of a COCO panoptic file, with the PNG that
// it names: a pixel's colour is the id of its segment, R + 256·G + 256²·B, and 0
// is none. A segment becomes a polygon for each of its regions.
func (c *Converter) panoptic(image string, size convert.Size, annotation, picture []byte) (convert.Result, error) {
	b := convert.NewBuilder(c.file, image, size, c.options, 0)
	var entry struct {
		Segments []jsontext.Value `json:"segments_info"`
	}
	if err := json.Unmarshal(annotation, &entry, jsontext.AllowDuplicateNames(true)); err != nil {
		return b.Result, fmt.Errorf("read the segments: %w", err)
	}
	masks, own, err := segmentMasks(picture)
	if err != nil {
		return b.Result, fmt.Errorf("read the PNG of the segments: %w", err)
	}
	if size.Known() && own != size {
		return b.Result, fmt.Errorf("the PNG of the segments is %d×%d and the image %d×%d", own.Width, own.Height, size.Width, size.Height)
	}
	r := &reader{}
	b.NoteOutside = true
	for i, raw := range entry.Segments {
		b.Count(c.segment(b, r, i+1, raw, masks))
	}
	left := make([]int, 0, len(masks))
	for id := range masks {
		left = append(left, id)
	}
	slices.Sort(left)
	for _, id := range left {
		b.Count(b.Drop(convert.KindMask, convert.Location{What: "segment", ID: fmt.Sprint(id)}, "the PNG has pixels of this segment, and segments_info does not name it"))
	}
	r.reportMembers(b)
	b.KeepApart()
	return b.Result, nil
}

// segment converts one segment and takes its mask out of masks.
func (c *Converter) segment(b *convert.Builder, r *reader, position int, raw []byte, masks map[int]*geometry.Mask) bool {
	o := convert.Object{Position: position}
	a, err := r.annotation(raw)
	if err != nil {
		return b.Drop(convert.KindInvalidJSON, convert.Location{What: "segment at position", Number: position}, err.Error())
	}
	id := scan.ParseNumber(a.id)
	if scan.Absent(a.id) || !scan.IsNumber(a.id) || id != float64(int32(id)) {
		return b.Drop(convert.KindMissingID, convert.Location{What: "segment at position", Number: position}, "the segment has no whole number for an id, which names its pixels")
	}
	o.ID = fmt.Sprint(int32(id))
	o.At = convert.Location{What: "segment", ID: o.ID}
	category, err := c.category(a.categoryID)
	if err != nil {
		delete(masks, int(id))
		return b.Drop(convert.KindUnknownClass, o.At, err.Error())
	}
	o.Name = category.Name
	o.Attributes = readAttributes(b, o.At, &a)
	c.carryMembers(r, &o)
	m := masks[int(id)]
	if m == nil {
		return b.Drop(convert.KindMask, o.At, "the PNG has no pixels of the segment, or another segment has its id")
	}
	delete(masks, int(id))
	if reason := r.contradicts(m, r.readBox(&a), a.area); reason != "" {
		return b.Drop(convert.KindMask, o.At, reason)
	}
	return b.AddMask(o, m)
}

// Limits of the segments of one picture, each of which is a mask of its own.
const (
	maxSegments       = 1 << 12
	maxSegmentColumns = 1 << 24 // of all masks together
)

// segmentMasks are the masks of the segments of a picture, by id.
func segmentMasks(picture []byte) (map[int]*geometry.Mask, convert.Size, error) {
	config, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return nil, convert.Size{}, err
	}
	size := convert.Size{Width: config.Width, Height: config.Height}
	if _, err := geometry.NewMask(size.Width, size.Height); err != nil { // before it is decoded
		return nil, convert.Size{}, err
	}
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, convert.Size{}, err
	}
	segmentAt := segmentReader(decoded)
	masks := make(map[int]*geometry.Mask)
	for x := range size.Width {
		for top := 0; top < size.Height; {
			id, bottom := segmentAt(x, top), top+1
			for bottom < size.Height && segmentAt(x, bottom) == id {
				bottom++
			}
			if id != 0 {
				if err := addToSegment(masks, id, size, x, top, bottom); err != nil {
					return nil, convert.Size{}, err
				}
			}
			top = bottom
		}
	}
	if len(masks) == 0 {
		return nil, convert.Size{}, errors.New("no pixel belongs to a segment")
	}
	for _, m := range masks {
		m.CloseColumns(m.Width)
	}
	return masks, size, nil
}

// addToSegment adds the pixels of a column from top to bottom to the mask of a segment.
func addToSegment(masks map[int]*geometry.Mask, id int, size convert.Size, x, top, bottom int) error {
	m := masks[id]
	if m == nil {
		if len(masks) == maxSegments || len(masks)*size.Width > maxSegmentColumns {
			return fmt.Errorf("there are more than %d segments", len(masks))
		}
		var err error
		if m, err = geometry.NewMask(size.Width, size.Height); err != nil {
			return err
		}
		masks[id] = m
	}
	return m.Add(x, top, bottom)
}

// segmentReader tells the id of a pixel's segment.
func segmentReader(picture image.Image) func(x, y int) int {
	id := func(r, g, b uint8) int { return int(r) | int(g)<<8 | int(b)<<16 }
	if p, ok := picture.(*image.RGBA); ok { // what RGB decodes to
		return func(x, y int) int {
			pixel := p.Pix[y*p.Stride+4*x:]
			return id(pixel[0], pixel[1], pixel[2])
		}
	}
	return func(x, y int) int {
		c := color.NRGBAModel.Convert(picture.At(x, y)).(color.NRGBA)
		return id(c.R, c.G, c.B)
	}
}
