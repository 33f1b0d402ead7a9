package coco

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// Writer writes images as the entries of a COCO file. It is not for
// concurrent use: ids are given in order.
type Writer struct {
	catalog *convert.Catalog
	numbers map[string]int
	images  int
	used    map[int64]struct{} // annotation ids
	next    int64
}

// NewWriter writes images that are all in the catalog.
func NewWriter(c *convert.Catalog) *Writer {
	return &Writer{catalog: c, numbers: c.Numbers(1), used: make(map[int64]struct{}), next: c.LargestID + 1}
}

// cocoImage, writtenAnnotation and writtenCategory are entries as COCO defines them.
type cocoImage struct {
	ID       int    `json:"id"`
	FileName string `json:"file_name"`
	Width    int    `json:"width,omitempty"`
	Height   int    `json:"height,omitempty"`
}

type writtenAnnotation struct {
	ID           int64           `json:"id"`
	ImageID      int             `json:"image_id"`
	CategoryID   int             `json:"category_id"`
	Segmentation json.RawMessage `json:"segmentation"`
	Area         float64         `json:"area"`
	BBox         [4]float64      `json:"bbox"`
	Crowd        int             `json:"iscrowd"`
	Keypoints    []float64       `json:"keypoints,omitempty"`
	NumKeypoints int             `json:"num_keypoints,omitempty"`
	Foot         []float64       `json:"foot_kpts,omitempty"`
	Face         []float64       `json:"face_kpts,omitempty"`
	LeftHand     []float64       `json:"lefthand_kpts,omitempty"`
	RightHand    []float64       `json:"righthand_kpts,omitempty"`
	Score        any             `json:"score,omitempty"`
	// KeypointScores are the confidences of the keypoints, by their places, where they have
	// their own.
	KeypointScores []*float64     `json:"keypoint_scores,omitempty"`
	Attributes     map[string]any `json:"attributes,omitempty"`
	// PictographID is the annotation's id where it is no whole number of its
	// own in the file, which COCO's tools want, or the ids of its parts where
	// they are not ID-0, ID-1, ….
	PictographID any `json:"pictograph_id,omitempty"`
}

type writtenCategory struct {
	ID        int      `json:"id"`
	Name      string   `json:"name"`
	Keypoints []string `json:"keypoints,omitempty"`
	Skeleton  [][2]int `json:"skeleton,omitempty"`
}

// Categories is the list of categories, a JSON array.
func (w *Writer) Categories() ([]byte, error) {
	all := w.catalog.All()
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return w.numbers[a] - w.numbers[b] })
	list := make([]writtenCategory, 0, len(names))
	for _, name := range names {
		c := writtenCategory{ID: w.numbers[name], Name: name}
		if s := all[name].Skeleton; s != nil {
			for _, node := range s.Nodes {
				c.Keypoints = append(c.Keypoints, node.Name)
			}
			for _, e := range s.Edges {
				c.Skeleton = append(c.Skeleton, [2]int{e[0] + 1, e[1] + 1})
			}
		}
		list = append(list, c)
	}
	return json.Marshal(list)
}

// Image returns an image's entry and those of its annotations, JSON objects, with what these
// are, what COCO cannot hold of it, and how many of the source's annotations found no place.
// The error says why the image cannot be written at all.
func (w *Writer) Image(image string, r convert.Result) (entry []byte, annotations [][]byte, written convert.Written, leftOut int, findings []convert.Finding, err error) {
	report := convert.ReportInto(&findings, image)
	lost := make(convert.LostAnnotations)
	objects := convert.ObjectsOf(r, lost, report)
	if len(objects) == 0 && len(r.Annotations) > 0 {
		return nil, nil, written, r.Lost(lost), findings, fmt.Errorf("write image %s: none of its %d annotations has a place in COCO", image, len(r.Annotations))
	}
	convert.ReportMembers(&findings, image, "COCO", r.Annotations)
	w.images++
	if entry, err = json.Marshal(cocoImage{w.images, image, r.Size.Width, r.Size.Height}); err != nil {
		return nil, nil, written, 0, nil, fmt.Errorf("write image %s: %w", image, err)
	}
	for _, o := range objects {
		category := w.catalog.CategoryOf(r, o)
		c := writtenAnnotation{ImageID: w.images, CategoryID: w.numbers[category.Name], Segmentation: json.RawMessage("[]")}
		if o.Confidence != nil {
			c.Score = *o.Confidence
		}
		w.identify(&c, o, category)
		at := "annotation " + scan.Shorten(o.ID)
		c.Attributes, c.Crowd = crowd(upright(o, at, report))
		if o.Polygons != nil {
			w.polygons(&c, o, r.Size, at, report)
			convert.ReportGivenBoxes(report, at, o.Polygons)
		}
		if o.Box != nil {
			c.box(o.Box.Box)
			if o.Polygons == nil {
				c.Area = o.Box.Box.W * o.Box.Box.H
			}
			if o.Box.Oriented != nil {
				report(convert.KindOtherShape, at, "COCO has no oriented boxes", "its enclosing box was written")
			}
		}
		if o.Keypoints != nil {
			o.Lose(lost, w.pose(&c, o, category, report), r)
		}
		data, err := json.Marshal(c)
		if err != nil {
			return nil, nil, written, 0, nil, fmt.Errorf("write %s of %s: %w", at, image, err)
		}
		annotations = append(annotations, data)
		written.Count(c.form(o), 1)
	}
	return entry, annotations, written, r.Lost(lost), findings, nil
}

// form is what an object was written as.
func (c *writtenAnnotation) form(o convert.WholeObject) convert.Form {
	switch {
	case o.Keypoints != nil:
		return convert.FormPose
	case o.Polygons != nil && c.Segmentation[0] == '{':
		return convert.FormMask
	case o.Polygons != nil:
		return convert.FormPolygon
	}
	return convert.FormBox
}

// identify gives an annotation its number: its own id where that is one that is
// free.
func (w *Writer) identify(c *writtenAnnotation, o convert.WholeObject, category *convert.CatalogEntry) {
	regular := true
	var ids []string
	if o.Keypoints != nil {
		slots, parts, _ := places(category, o.Keypoints)
		for _, list := range append([][]*pictograph.Annotation{slots}, parts[:]...) {
			for _, j := range list {
				if j == nil {
					continue
				}
				regular = regular && j.ID == convert.PartID(o.ID, len(ids))
				ids = append(ids, j.ID)
			}
		}
	}
	n, err := strconv.ParseInt(o.ID, 10, 64)
	_, taken := w.used[n]
	switch {
	case regular && err == nil && !taken && n >= 0 && strconv.FormatInt(n, 10) == o.ID:
		c.ID = n
	case regular:
		c.ID, c.PictographID = w.free(), o.ID
	default:
		c.ID, c.PictographID = w.free(), ids
	}
	w.used[c.ID] = struct{}{}
}

// free is a number that no annotation has.
func (w *Writer) free() int64 {
	w.next++
	return w.next - 1
}

// crowd takes iscrowd out of attributes, where these say it in the words in which it is read.
func crowd(attributes map[string]any) (map[string]any, int) {
	switch own := attributes[crowdAttribute]; {
	case !convert.SaysYes(own):
		return attributes, 0
	case own != any("true"):
		return attributes, 1
	}
	return without(attributes, crowdAttribute), 1
}

// upright are the attributes of an object without those that would turn its box, or would say
// that it may be turned.
func upright(o convert.WholeObject, at string, report func(convert.Kind, string, string, string)) map[string]any {
	attributes := o.Attributes
	ring := o.Box == nil && o.Keypoints == nil
	if ring && !boxInPolygons(o.Polygons) {
		return attributes
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !turns(name, attributes[name]) || ring && (name != rotationAttribute || !turnedBox(attributes)) {
			continue
		}
		report(convert.KindLostDetail, at, fmt.Sprintf("the attribute %q is %v, and beside a box of COCO it would be the angle that the box is turned by", name, attributes[name]), "left out")
		attributes = without(attributes, name)
	}
	return attributes
}

// boxInPolygons reports whether polygons are one box, along its edges.
func boxInPolygons(polygons []pictograph.Polygon) bool {
	if len(polygons) != 1 || len(polygons[0].Rings) != 1 {
		return false
	}
	ring := polygons[0].Rings[0]
	box, ok := geometry.Bounds(ring)
	return ok && isBox(ring, box)
}

func (c *writtenAnnotation) box(b pictograph.Box) { c.BBox = [4]float64{b.X, b.Y, b.W, b.H} }

// places puts the keypoints of a pose in the order of their category, and those of parts of
// the body in that of COCO-WholeBody; extra find no place.
func places(c *convert.CatalogEntry, keypoints []pictograph.Annotation) (slots []*pictograph.Annotation, parts [len(convert.WholeBody)][]*pictograph.Annotation, extra []*pictograph.Annotation) {
	slots, beyond := c.Slots(keypoints)
	for _, j := range beyond {
		part, slot, ok := convert.BodyPart(j.Name)
		if !ok || parts[part] != nil && parts[part][slot] != nil {
			extra = append(extra, j)
			continue
		}
		if parts[part] == nil {
			parts[part] = make([]*pictograph.Annotation, convert.WholeBody[part].Keypoints)
		}
		parts[part][slot] = j
	}
	return slots, parts, extra
}

// pose writes the keypoints of an object and returns those that have no place.
func (w *Writer) pose(c *writtenAnnotation, o convert.WholeObject, category *convert.CatalogEntry, report func(convert.Kind, string, string, string)) (lost []*pictograph.Annotation) {
	slots, parts, extra := places(category, o.Keypoints)
	convert.ReportExtra(report, category.Name, extra)
	reportShared(report, category, o.Keypoints)
	var placed []pictograph.Point
	triplets := func(list []*pictograph.Annotation, scored bool) (out []float64) {
		for _, j := range list {
			if j == nil {
				out = append(out, 0, 0, convert.NotLabelled)
				continue
			}
			p := j.Geometry.(pictograph.Keypoint).Point
			v := float64(convert.Visible)
			if convert.IsOccluded(j.Attributes) {
				v = convert.Occluded
			}
			if scored {
				v = scoreOf(j)
			}
			out = append(out, p.X, p.Y, v)
			placed = append(placed, p)
		}
		return out
	}
	c.Keypoints = triplets(slots, false)
	c.NumKeypoints = len(placed)
	for i, list := range []*[]float64{&c.Foot, &c.Face, &c.LeftHand, &c.RightHand} {
		*list = triplets(parts[i], scoredPart(parts[i]))
	}
	c.scores(o, slots, parts[:], report)
	switch box := geometry.Enclosure(placed); {
	case o.Box != nil || o.Polygons != nil: // written already
	case o.Given != nil:
		c.box(*o.Given)
		c.Area = o.Given.W * o.Given.H
	case box != nil:
		c.box(*box)
		c.Area = box.W * box.H
	case len(placed) > 0:
		c.BBox = [4]float64{placed[0].X, placed[0].Y, 0, 0}
	}
	return extra
}

// reportShared tells of keypoints of one name that are not all that their category has of it,
// or that it has none of: their places, or their names, are others when they are read.
func reportShared(report func(convert.Kind, string, string, string), category *convert.CatalogEntry, keypoints []pictograph.Annotation) {
	placed := make(map[string]int, len(keypoints))
	for _, j := range keypoints {
		placed[j.Name]++
	}
	named := make(map[string]int)
	if category.Skeleton != nil {
		for _, node := range category.Skeleton.Nodes {
			named[node.Name]++
		}
	}
	for _, j := range keypoints {
		at := "annotation " + scan.Shorten(j.ID)
		switch n := placed[j.Name]; {
		case n > 1 && category.Skeleton == nil:
			report(convert.KindSharedKeypointName, at, fmt.Sprintf("%d keypoints of the instance are named %q", n, j.Name), "written without names, so that they come back numbered")
		case n < named[j.Name] && named[j.Name] > 1:
			report(convert.KindSharedKeypointName, at, fmt.Sprintf("category %q has %d keypoints named %q, and %d of them are placed: nothing tells which", category.Name, named[j.Name], j.Name, n), "written in the first places")
		default:
			continue
		}
		return
	}
}

// scores writes the confidences of keypoints where they have their own, and that of their
// object, which is an attribute then.
func (c *writtenAnnotation) scores(o convert.WholeObject, slots []*pictograph.Annotation, parts [][]*pictograph.Annotation, report func(convert.Kind, string, string, string)) {
	own := c.Attributes[instanceScore]
	_, number := own.(json.Number)
	if _, float := own.(float64); float {
		number = true
	}
	if !o.Scored && !number {
		return
	}
	c.Score = nil
	if number {
		c.Score, c.Attributes = own, without(c.Attributes, instanceScore)
	}
	c.KeypointScores = make([]*float64, len(slots))
	for i, j := range slots {
		if j != nil {
			c.KeypointScores[i] = j.Confidence
		}
	}
	for _, list := range parts {
		if scoredPart(list) {
			continue
		}
		for _, j := range list {
			if j != nil && j.Confidence != nil {
				report(convert.KindConfidence, "annotation "+scan.Shorten(j.ID), "the confidence of a keypoint beside the body's has no place in COCO", "left out")
				return
			}
		}
	}
}

// scoreOf is the confidence of a keypoint, 1 where it has none.
func scoreOf(j *pictograph.Annotation) float64 {
	if j.Confidence == nil {
		return 1
	}
	return *j.Confidence
}

// scoredPart reports whether the confidences of keypoints beside the body's can be their third
// numbers, as COCO-WholeBody has them: some are fractions, which tells them from visibilities.
func scoredPart(list []*pictograph.Annotation) (scored bool) {
	for _, j := range list {
		if j == nil {
			continue
		}
		score := scoreOf(j)
		if score == 0 || convert.IsOccluded(j.Attributes) {
			return false
		}
		scored = scored || score < 1
	}
	return scored
}

// polygons writes rings as they are, since COCO's are a union, and as a mask
// where one is a hole.
func (w *Writer) polygons(c *writtenAnnotation, o convert.WholeObject, size convert.Size, at string, report func(convert.Kind, string, string, string)) {
	var all []pictograph.Point
	holes := false
	for _, p := range o.Polygons {
		all = append(all, p.Rings[0]...)
		holes = holes || len(p.Rings) > 1
	}
	if box := geometry.Enclosure(all); box != nil {
		c.box(*box)
	}
	if holes && !size.Known() {
		report(convert.KindMask, at, "holes need a mask of the image's size, which is unknown", "the holes were left out")
		holes = false
	}
	if holes {
		if m, err := geometry.FillPolygons(o.Polygons, size.Width, size.Height); err != nil {
			report(convert.KindMask, at, err.Error(), "the holes were left out")
		} else {
			if !geometry.OnPixelEdges(o.Polygons, size.Width, size.Height) {
				report(convert.KindMaskFilled, at, "a polygon with holes does not follow pixel edges within the image", "written as the mask of the pixels whose centres it covers")
			}
			c.Segmentation, c.Area = m.RLE(nil), float64(m.Pixels())
			return
		}
	}
	rings := make([][]float64, len(o.Polygons))
	for i, p := range o.Polygons {
		for _, q := range p.Rings[0] {
			rings[i] = append(rings[i], q.X, q.Y)
		}
		c.Area += math.Abs(geometry.Area(p.Rings[0])) / 2
	}
	c.Segmentation, _ = json.Marshal(rings) // finite numbers always marshal
}
