package convert

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/pictograph"
)

// cocoReader splits annotations into their members. It is reused from one
// annotation to the next, since there are millions, but not concurrently, and
// what it has read is void then.
type cocoReader struct {
	decoder jsontext.Decoder
	numbers []float64
	layout  Layout

	coordinates []float64 // of the rings of the annotation at hand
	ringEnds    []int     // where each of them ends in coordinates
	counts      []float64 // of its mask
	maskSize    []float64
	polygons    []pictograph.Polygon
}

// cocoAnnotation is the raw JSON of the members that matter.
type cocoAnnotation struct {
	id, categoryID, bbox, segmentation, keypoints, score, attributes, isCrowd, ownID []byte
	// repeated is a member that stands twice; the last one is taken, as by every
	// reader of COCO files.
	repeated string
	// rings says that the segmentation's rings are read already, into the
	// reader's coordinates, which are finite, and runs that its mask is, into
	// the reader's counts.
	rings, runs bool
}

// member returns where the member of that name belongs, nil for the many that
// say nothing about the annotation itself.
func (a *cocoAnnotation) member(name []byte) *[]byte {
	switch string(name) {
	case "id":
		return &a.id
	case "category_id":
		return &a.categoryID
	case "bbox":
		return &a.bbox
	case "segmentation":
		return &a.segmentation
	case "keypoints":
		return &a.keypoints
	case "score":
		return &a.score
	case "attributes":
		return &a.attributes
	case "iscrowd":
		return &a.isCrowd
	case "pictograph_id": // as COCOWriter writes it
		return &a.ownID
	}
	return nil
}

// annotation splits one JSON object. Python writes NaN and the infinities as
// bare words, which JSON does not know: they are read as numbers that
// overflow, so that they harm only the member they stand in.
func (r *cocoReader) annotation(raw []byte) (cocoAnnotation, error) {
	if a, ok := r.plain(raw); ok {
		return a, nil
	}
	a, err := r.split(raw)
	if err != nil {
		if repaired, found := overflowNonFinite(raw); found {
			return r.split(repaired)
		}
	}
	return a, err
}

func (r *cocoReader) split(raw []byte) (cocoAnnotation, error) {
	var a cocoAnnotation
	r.decoder.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	err := readMembers(&r.decoder, raw, func(name, value []byte) error {
		member := a.member(name)
		if member == nil {
			return nil
		}
		if *member != nil {
			a.repeated = string(name)
		}
		*member = value
		return nil
	})
	return a, err
}
