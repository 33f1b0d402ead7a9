package coco

import (
	"bytes"
	"cmp"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/convert/geometry"
	"pictosync/internal/scan"
)

// Converter converts the annotations of one COCO file. It is read-only once made and
// may be used from several goroutines at once.
type Converter struct {
	file       string
	options    convert.Options
	Categories map[ID]*convert.Category
	classless  *convert.Category // of annotations without a category_id; may be nil
	readers    sync.Pool         // of *reader
	names      memberNames
	results    bool
	named      map[string]string // the categories' supercategories, by their names
	folded     map[string]string // their names, by these in small letters
	notation   string            // that the file says its boxes have; "" where it says none or COCO's
	corners    cornerSample      // of the file's images
	rows       suspected         // that masks go along
	counted    string            // why the category_id of annotations may be that of the next category
	turn       Turn              // of the angles of boxes of five numbers
	shared     []sharedName      // by categories
	said       map[string]bool   // see nameOthers
}

// contradictionError says that a file contradicts itself, so that what it means cannot
// be told.
type contradictionError struct{ Reason string }

func (e contradictionError) Error() string { return e.Reason }

// mergeError says that files contradict one another, each of which may be right for itself.
type mergeError struct{ Reason string }

func (e mergeError) Error() string { return e.Reason }

// TakeResults reads annotations as prediction results: the third number of a keypoint is
// its score there, or says nothing.
func (c *Converter) TakeResults() { c.results = true }

// nameOthers says which of the names that annotations give are those of other images: all where
// it is nil, since the file's images are not known.
func (c *Converter) nameOthers(names map[string]bool) { c.said = names }

// turnBoxes reads boxes of five numbers as centre, size and an angle in degrees.
func (c *Converter) turnBoxes(t Turn) { c.turn = t }

// suspect holds boxes against those of a sample of the file's images, which tells where they are
// corners, takes masks that fit along the rows for such, where those of the sample are, and takes
// no category where those of the sample are counted from another number.
func (c *Converter) suspect(sample *fileSample) {
	c.counted = cmp.Or(c.counted, c.countedOtherwise(sample.categories))
	c.corners.add(&sample.corners)
	c.rows.by(&sample.rows)
}

// classlessName is the class of annotations in files without any, as SA-1B's:
// a class map renames it.
const classlessName = "object"

// newClassless is for a file whose annotations have no categories.
func newClassless(file string, o convert.Options) *Converter {
	return &Converter{file: file, options: o, classless: convert.NewCategory(classlessName, nil, nil)}
}

// NewConverter reads the categories of a file, a JSON array that may be nil, and
// reports the ones that cannot be used as they stand. File names the file in
// findings.
func NewConverter(categories []byte, file string, o convert.Options) (*Converter, []convert.Finding, error) {
	c := &Converter{file: file, options: o, Categories: map[ID]*convert.Category{}, named: map[string]string{}, folded: map[string]string{}}
	if scan.Absent(categories) {
		return c, nil, nil
	}
	if !utf8.Valid(categories) {
		return nil, nil, fmt.Errorf("the categories of %s are not UTF-8; save the file as UTF-8", file)
	}
	var list []jsontext.Value
	err := json.Unmarshal(categories, &list, jsontext.AllowDuplicateNames(true))
	if repaired, found := nullNonFinite(categories); err != nil && found {
		list = nil
		err = json.Unmarshal(repaired, &list, jsontext.AllowDuplicateNames(true))
	}
	if err != nil {
		if scan.IsArray(bytes.TrimSpace(categories)) {
			return nil, nil, fmt.Errorf("the categories of %s are %w", file, scan.PlainError(err))
		}
		return nil, nil, fmt.Errorf("the categories of %s are %s, not a list", file, scan.Describe(bytes.TrimSpace(categories)))
	}
	r := categoryReader{coco: c, names: map[string]ID{}, folded: map[string]string{}}
	for i, raw := range list {
		if r.read(i+1, raw); r.err != nil {
			return nil, nil, r.err
		}
	}
	tellCategories(c)
	return c, r.findings, nil
}

// posed reports whether there are categories that name keypoints.
func (c *Converter) posed() bool {
	for _, category := range c.Categories {
		if len(category.Keypoints) > 0 {
			return true
		}
	}
	return false
}

// among counts the categories whose keypoints say that they are of them.
func (c *Converter) among() (n int) {
	for _, category := range c.Categories {
		if category.Among {
			n++
		}
	}
	return n
}

// tellCategories has the keypoints of a data set's files say which category they are of,
// where several have keypoints with names.
func tellCategories(converters ...*Converter) {
	names := make(map[string]bool)
	var posed []*convert.Category
	for _, c := range converters {
		for _, category := range c.Categories {
			if category.Skeleton != nil {
				names[category.Name] = true
				posed = append(posed, category)
			}
		}
	}
	for _, category := range posed {
		category.Among = len(names) > 1
	}
}

// Image converts the annotations of one image, each a JSON object, in file
// order. A size is needed only for what Options say about boxes and by masks.
func (c *Converter) Image(image string, size convert.Size, annotations [][]byte) convert.Result {
	r, _ := c.readers.Get().(*reader)
	if r == nil {
		r = new(reader)
	}
	defer c.readers.Put(r)
	result := c.image(r, image, size, annotations, c.notation, c.rows)
	// What boxes and masks are can be told only from all of an image; the few that are
	// something else are left out in a second pass.
	notation, rows := cmp.Or(c.notation, r.boxes.odd(size, &c.corners)), c.rows
	if r.rowMasks && rows.image == "" && !rows.refuted {
		rows.image = image
	}
	if notation != c.notation || rows != c.rows {
		result.Release()
		result = c.image(r, image, size, annotations, notation, rows)
	}
	return result
}

func (c *Converter) image(r *reader, image string, size convert.Size, annotations [][]byte, notation string, rows suspected) convert.Result {
	b := convert.NewBuilder(c.file, image, size, c.options, len(annotations))
	b.NoteOutside = true
	r.begin(notation, rows)
	r.turn, r.corners = c.turn, &c.corners
	for i, raw := range annotations {
		b.Count(c.convert(b, r, i+1, raw))
	}
	r.reportMembers(b)
	r.reportNotation(b)
	b.KeepApart()
	return b.Result
}

// convert reports whether the annotation is in the result.
func (c *Converter) convert(b *convert.Builder, r *reader, position int, raw []byte) bool {
	o := convert.Object{Position: position}
	parsed, err := r.annotation(raw)
	if err != nil {
		return b.Drop(convert.KindInvalidJSON, atPosition(position), err.Error())
	}
	a := &parsed
	o.ID, o.At = identify(b, position, a)
	restoreID(&o, a.ownID)
	switch {
	case a.differs:
		return b.Drop(convert.KindInvalidJSON, o.At, fmt.Sprintf("the key %q stands twice, with different values", a.repeated))
	case a.repeated != "":
		b.Report(convert.KindDuplicateKey, o.At, fmt.Sprintf("the key %q stands twice, with one value", a.repeated), "taken once")
	}
	category, err := c.category(a.categoryID)
	if err != nil {
		return b.Drop(convert.KindUnknownClass, o.At, err.Error())
	}
	if kind, reason := c.contradiction(r.others, b.Image, category.Name, !emptyValue(a.bbox)); kind != "" {
		return b.Drop(kind, o.At, reason)
	}
	if member, value := notationIn(a.attributes); member != "" && !emptyValue(a.bbox) {
		return b.Drop(convert.KindBoxNotation, o.At, saysNotation("its attribute "+member, value))
	}
	o.Name = category.Name
	o.Attributes = readAttributes(b, o.At, a)
	o.OddAngle = c.oddAngle(r, o.Attributes)
	c.carryMembers(r, &o)
	r.readScores(b, &o, a, c.results)
	return convertGeometry(b, r, o, category, a)
}

func (c *Converter) category(raw []byte) (*convert.Category, error) {
	if scan.Absent(raw) {
		if c.classless != nil {
			return c.classless, nil
		}
		return nil, errors.New("the annotation has no category_id")
	}
	if c.counted != "" {
		return nil, errors.New(c.counted)
	}
	if isDigits(raw) { // the map is asked without an allocation
		if category := c.Categories[ID(raw)]; category != nil {
			return category, nil
		}
	}
	id, err := parseID(raw)
	if err != nil {
		return nil, fmt.Errorf("category_id: %w", err)
	}
	if category := c.Categories[id]; category != nil {
		return category, nil
	}
	return nil, fmt.Errorf("the file has no usable category %s", scan.Shorten(string(id)))
}

func atPosition(position int) convert.Location {
	return convert.Location{What: "annotation at position", Number: position}
}

// identify returns the annotation's own id and how findings call it. Only
// prediction results, which have scores, have no ids by right.
func identify(b *convert.Builder, position int, a *rawAnnotation) (id string, at convert.Location) {
	const made = "an id made from its position and geometry is used"
	if scan.Absent(a.id) {
		if scan.Absent(a.score) {
			b.Report(convert.KindMissingID, atPosition(position), "the annotation has no id", made)
		}
		return "", atPosition(position)
	}
	parsed, err := parseID(a.id)
	if err != nil {
		b.Report(convert.KindMissingID, atPosition(position), err.Error(), made)
		return "", atPosition(position)
	}
	return string(parsed), convert.Location{What: "annotation", ID: string(parsed)}
}

// restoreID takes the ids that the annotation had before it was written as COCO.
func restoreID(o *convert.Object, raw []byte) {
	if scan.IsString(raw) {
		if id := string(scan.TextOf(raw)); !convert.Blank(id) {
			o.ID = id
		}
		return
	}
	if !scan.IsArray(raw) {
		return
	}
	for element := range scan.Elements(raw) {
		if !scan.IsString(element) {
			o.Parts = nil
			return
		}
		o.Parts = append(o.Parts, string(scan.TextOf(element)))
	}
}

// instanceScore is the attribute that holds the score of an object whose keypoints have
// scores of their own.
const instanceScore = "instance_score"

// readScores reads the score of an annotation. Where its keypoints have their own, it is
// kept as an attribute, since the service has a confidence for each keypoint alone.
func (r *reader) readScores(b *convert.Builder, o *convert.Object, a *rawAnnotation, results bool) {
	o.Results = results
	scored := !scan.Absent(a.keypointScores)
	if results && !scan.Absent(a.keypoints) && scan.IsArray(a.keypoints) {
		numbers, err := appendKeypoints(r.scores[:0], a.keypoints)
		r.scores = numbers
		o.Constant, o.Scored = err == nil, err == nil
		between := false
		for i := 2; i < len(numbers); i += 3 {
			v := numbers[i]
			o.Constant = o.Constant && v == numbers[2]
			o.Scored = o.Scored && v >= 0 && v <= 1
			between = between || v > 0 && v < 1
		}
		o.Scored = o.Scored && between && !o.Constant
		scored = scored || o.Scored
	}
	switch {
	case scan.Absent(a.score):
	case !scan.IsNumber(a.score):
		b.Report(convert.KindConfidence, o.At, "the score is "+scan.Describe(a.score), convert.NoConfidence)
	case scored:
		if !geometry.Finite(scan.ParseNumber(a.score)) {
			b.Report(convert.KindConfidence, o.At, "the score is not finite", "left out")
			return
		}
		if own, there := o.Attributes[instanceScore]; there && own != any(stdjson.Number(a.score)) {
			b.Report(convert.KindAttributes, o.At, fmt.Sprintf("the score is %s, and the attribute %s, which it is kept as, %v", a.score, instanceScore, own), "the score was taken")
		}
		if o.Attributes == nil {
			o.Attributes = make(map[string]any, 1)
		}
		o.Attributes[instanceScore] = stdjson.Number(a.score)
	default:
		o.Confidence = b.Confidence(o.At, scan.ParseNumber(a.score))
	}
}
