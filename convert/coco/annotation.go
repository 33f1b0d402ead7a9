package coco

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// reader splits annotations into their members. It is reused from one
// annotation to the next, since there are millions, but not concurrently, and
// what it has read is void then.
type reader struct {
	decoder jsontext.Decoder
	numbers []float64

	coordinates []float64 // of the rings of the annotation at hand
	ringEnds    []int     // where each of them ends in coordinates
	counts      []float64 // of its mask
	maskSize    []float64
	polygons    []pictograph.Polygon
	others      []otherMember // of the annotation at hand
	flaws       []flaw        // of its rings
	scores      []float64     // of its keypoints

	turn    Turn          // of the angles of boxes of five numbers
	corners *cornerSample // of the file's images

	// Of the image at hand:
	members  []memberCount
	boxes    boxNotations
	notation string // why its boxes are left out; "" where they are not
	oddBoxes placeCount
	rows     suspected // that its masks go along
	rowMasks bool      // some do
}

// begin makes the reader one for another image.
func (r *reader) begin(notation string, rows suspected) {
	r.members, r.boxes, r.notation, r.oddBoxes = r.members[:0], boxNotations{}, notation, placeCount{}
	r.rows, r.rowMasks = rows, false
}

// rawAnnotation is the raw JSON of the members that matter.
type rawAnnotation struct {
	id, categoryID, bbox, segmentation, keypoints, score, attributes, isCrowd, ownID []byte
	// Parts are the keypoints of COCO-WholeBody beside those of the body, keypointScores
	// what COCOWriter writes of keypoints' confidences.
	parts          [len(convert.WholeBody)][]byte
	keypointScores []byte
	// imageID was asked for before the annotation came here, area and keypointCount, its
	// num_keypoints, are what the shapes are held against.
	imageID, area, keypointCount []byte
	// repeated is a member that stands twice, and differs says that with several values.
	repeated string
	differs  bool
	// Rings says that the segmentation's rings are read already, into the
	// reader's coordinates, which are finite, and runs that its mask is, into
	// the reader's counts.
	rings, runs bool
	// boxed says that the bbox is read already, into box: four finite numbers.
	boxed bool
	box   pictograph.Box
}

// member returns where the member of that name belongs, nil for those that nothing is
// known of.
func (a *rawAnnotation) member(name []byte) *[]byte {
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
	case "image_id":
		return &a.imageID
	case "area":
		return &a.area
	case "num_keypoints":
		return &a.keypointCount
	case "keypoint_scores":
		return &a.keypointScores
	}
	for i, part := range convert.WholeBody {
		if string(name) == part.Member {
			return &a.parts[i]
		}
	}
	return nil
}

// otherMember notes a member that nothing is known of; null says that there is none.
func (r *reader) otherMember(name, value []byte) {
	if !scan.Absent(value) {
		r.others = append(r.others, otherMember{string(name), value})
	}
}

// annotation splits one JSON object. Python writes NaN and the infinities as
// bare words, which JSON does not know: they are read as numbers that
// overflow, so that they harm only the member they stand in.
func (r *reader) annotation(raw []byte) (rawAnnotation, error) {
	if a, ok := r.plain(raw); ok {
		return a, nil
	}
	a, err := r.split(raw)
	if err != nil {
		if repaired, found := scan.OverflowNonFinite(raw); found {
			return r.split(repaired)
		}
	}
	return a, err
}

func (r *reader) split(raw []byte) (rawAnnotation, error) {
	var a rawAnnotation
	r.others = r.others[:0]
	r.decoder.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	err := scan.ReadMembers(&r.decoder, raw, func(name, value []byte) error {
		member := a.member(name)
		if member == nil {
			r.otherMember(name, value)
			return nil
		}
		if *member != nil && !a.differs {
			a.repeated, a.differs = string(name), !bytes.Equal(*member, value)
		}
		*member = value
		return nil
	})
	return a, err
}
