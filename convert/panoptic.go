package convert

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
)

// Panoptic converts one annotation of a COCO panoptic file, with the PNG that
// it names: a pixel's colour is the id of its segment, R + 256·G + 256²·B, and 0
// is none. A segment becomes a polygon for each of its regions.
func (c *COCO) Panoptic(image string, size Size, annotation, picture []byte) (Result, error) {
	b := newImageBuilder(c.file, image, size, c.options, 0)
	var entry struct {
		Segments []jsontext.Value `json:"segments_info"`
	}
	if err := json.Unmarshal(annotation, &entry, jsontext.AllowDuplicateNames(true)); err != nil {
		return b.result, fmt.Errorf("read the segments: %w", err)
	}
	masks, own, err := segmentMasks(picture)
	if err != nil {
		return b.result, fmt.Errorf("read the PNG of the segments: %w", err)
	}
	if size.Known() && own != size {
		return b.result, fmt.Errorf("the PNG of the segments is %d×%d and the image %d×%d", own.Width, own.Height, size.Width, size.Height)
	}
	r := &cocoReader{}
	b.noteOutside = true
	for i, raw := range entry.Segments {
		b.count(c.segment(b, r, i+1, raw, masks))
	}
	left := make([]int, 0, len(masks))
	for id := range masks {
		left = append(left, id)
	}
	slices.Sort(left)
	for _, id := range left {
		b.count(b.drop(KindMask, place{what: "segment", id: fmt.Sprint(id)}, "the PNG has pixels of this segment, and segments_info does not name it"))
	}
	r.reportMembers(b)
	return b.result, nil
}

// segment converts one segment and takes its mask out of masks.
func (c *COCO) segment(b *imageBuilder, r *cocoReader, position int, raw []byte, masks map[int]*mask) bool {
	o := object{position: position}
	a, err := r.annotation(raw)
	if err != nil {
		return b.drop(KindInvalidJSON, place{what: "segment at position", number: position}, err.Error())
	}
	id := parseNumber(a.id)
	if absent(a.id) || !isNumber(a.id) || id != float64(int32(id)) {
		return b.drop(KindMissingID, place{what: "segment at position", number: position}, "the segment has no whole number for an id, which names its pixels")
	}
	o.id = fmt.Sprint(int32(id))
	o.at = place{what: "segment", id: o.id}
	category, err := c.category(a.categoryID)
	if err != nil {
		delete(masks, int(id))
		return b.drop(KindUnknownClass, o.at, err.Error())
	}
	o.name = category.name
	o.attributes = readAttributes(b, o.at, &a)
	c.carryMembers(r, &o)
	m := masks[int(id)]
	if m == nil {
		return b.drop(KindMask, o.at, "the PNG has no pixels of the segment, or another segment has its id")
	}
	delete(masks, int(id))
	return b.addMask(o, m)
}

// Limits of the segments of one picture, each of which is a mask of its own.
const (
	maxSegments       = 1 << 12
	maxSegmentColumns = 1 << 24 // of all masks together
)

// segmentMasks are the masks of the segments of a picture, by id.
func segmentMasks(picture []byte) (map[int]*mask, Size, error) {
	config, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return nil, Size{}, err
	}
	size := Size{config.Width, config.Height}
	if _, err := newMask(size.Width, size.Height); err != nil {
		return nil, Size{}, err
	}
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, Size{}, err
	}
	segmentAt := segmentReader(decoded)
	masks := make(map[int]*mask)
	for x := range size.Width {
		for top := 0; top < size.Height; {
			id, bottom := segmentAt(x, top), top+1
			for bottom < size.Height && segmentAt(x, bottom) == id {
				bottom++
			}
			if id != 0 {
				m := masks[id]
				if m == nil {
					if len(masks) == maxSegments || len(masks)*size.Width > maxSegmentColumns {
						return nil, Size{}, fmt.Errorf("there are more than %d segments", len(masks))
					}
					m, _ = newMask(size.Width, size.Height)
					masks[id] = m
				}
				if err := m.add(x, top, bottom); err != nil {
					return nil, Size{}, err
				}
			}
			top = bottom
		}
	}
	if len(masks) == 0 {
		return nil, Size{}, errors.New("no pixel belongs to a segment")
	}
	for _, m := range masks {
		m.closeColumns(m.width)
	}
	return masks, size, nil
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
