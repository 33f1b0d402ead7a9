package convert

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/internal/scan"
)

// COCO converts the annotations of one COCO file. It is read-only once made and
// may be used from several goroutines at once.
type COCO struct {
	file       string
	options    Options
	categories map[COCOID]*category
	classless  *category // of annotations without a category_id; may be nil
	readers    sync.Pool // of *cocoReader
	names      memberNames
	results    bool
	corners    string // image of the file whose boxes are corners
	noCorners  bool   // those of most images cannot be
}

// ContradictionError says that a file contradicts itself, so that what it means cannot
// be told.
type ContradictionError struct{ Reason string }

func (e ContradictionError) Error() string { return e.Reason }

// TakeResults reads annotations as prediction results: the third number of a joint is
// its score there, or says nothing.
func (c *COCO) TakeResults() { c.results = true }

// Suspect takes boxes for corners where they fit as such, if those of a sample of the
// file's images are.
func (c *COCO) Suspect(sample *Corners) {
	if c.noCorners = sample.isRefuted(); !c.noCorners && c.corners == "" {
		c.corners = sample.first
	}
}

// ClasslessName is the class of annotations in files without any, as SA-1B's:
// a class map renames it.
const ClasslessName = "object"

// NewClassless is for a file whose annotations have no categories.
func NewClassless(file string, o Options) *COCO {
	return &COCO{file: file, options: o, classless: newCategory(ClasslessName, nil, nil)}
}

// NewCOCO reads the categories of a file, a JSON array that may be nil, and
// reports the ones that cannot be used as they stand. File names the file in
// findings.
func NewCOCO(categories []byte, file string, o Options) (*COCO, []Finding, error) {
	c := &COCO{file: file, options: o, categories: map[COCOID]*category{}}
	if absent(categories) {
		return c, nil, nil
	}
	var list []jsontext.Value
	if err := json.Unmarshal(categories, &list, jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, nil, fmt.Errorf("read the categories of %s: %w", file, err)
	}
	r := categoryReader{coco: c, names: map[string]COCOID{}, folded: map[string]string{}}
	for i, raw := range list {
		if r.read(i+1, raw); r.err != nil {
			return nil, nil, r.err
		}
	}
	return c, r.findings, nil
}

// Image converts the annotations of one image, each a JSON object, in file
// order. A size is needed only for what Options say about boxes and by masks.
func (c *COCO) Image(image string, size Size, annotations [][]byte) Result {
	r, _ := c.readers.Get().(*cocoReader)
	if r == nil {
		r = new(cocoReader)
	}
	defer c.readers.Put(r)
	result := c.image(r, image, size, annotations, "")
	// What boxes are can be told only from all of an image; the few that are something
	// else are left out in a second pass.
	if notation := r.boxes.odd(size, c.corners, c.noCorners); notation != "" {
		result.Release()
		result = c.image(r, image, size, annotations, notation)
	}
	return result
}

func (c *COCO) image(r *cocoReader, image string, size Size, annotations [][]byte, notation string) Result {
	b := newImageBuilder(c.file, image, size, c.options, len(annotations))
	b.noteOutside = true
	r.begin(notation)
	for i, raw := range annotations {
		b.count(c.convert(b, r, i+1, raw))
	}
	r.reportMembers(b)
	r.reportNotation(b)
	return b.result
}

// convert reports whether the annotation is in the result.
func (c *COCO) convert(b *imageBuilder, r *cocoReader, position int, raw []byte) bool {
	o := object{position: position}
	parsed, err := r.annotation(raw)
	if err != nil {
		return b.drop(KindInvalidJSON, atPosition(position), err.Error())
	}
	a := &parsed
	o.id, o.at = identify(b, position, a)
	restoreID(&o, a.ownID)
	switch {
	case a.differs:
		return b.drop(KindInvalidJSON, o.at, fmt.Sprintf("the key %q stands twice, with different values", a.repeated))
	case a.repeated != "":
		b.report(KindDuplicateKey, o.at, fmt.Sprintf("the key %q stands twice, with one value", a.repeated), "taken once")
	}
	category, err := c.category(a.categoryID)
	if err != nil {
		return b.drop(KindUnknownClass, o.at, err.Error())
	}
	o.name = category.name
	o.attributes = readAttributes(b, o.at, a)
	o.oddAngle = c.oddAngle(r, o.attributes)
	c.carryMembers(r, &o)
	r.readScores(b, &o, a, c.results)
	return convertGeometry(b, r, o, category, a)
}

func (c *COCO) category(raw []byte) (*category, error) {
	if absent(raw) {
		if c.classless != nil {
			return c.classless, nil
		}
		return nil, errors.New("the annotation has no category_id")
	}
	if isDigits(raw) { // the map is asked without an allocation
		if category := c.categories[COCOID(raw)]; category != nil {
			return category, nil
		}
	}
	id, err := ParseCOCOID(raw)
	if err != nil {
		return nil, fmt.Errorf("category_id: %w", err)
	}
	if category := c.categories[id]; category != nil {
		return category, nil
	}
	return nil, fmt.Errorf("the file has no usable category %s", shorten(string(id)))
}

func atPosition(position int) place { return place{what: "annotation at position", number: position} }

// identify returns the annotation's own id and how findings call it. Only
// prediction results, which have scores, have no ids by right.
func identify(b *imageBuilder, position int, a *cocoAnnotation) (id string, at place) {
	const made = "an id made from its position and geometry is used"
	if absent(a.id) {
		if absent(a.score) {
			b.report(KindMissingID, atPosition(position), "the annotation has no id", made)
		}
		return "", atPosition(position)
	}
	parsed, err := ParseCOCOID(a.id)
	if err != nil {
		b.report(KindMissingID, atPosition(position), err.Error(), made)
		return "", atPosition(position)
	}
	return string(parsed), place{what: "annotation", id: string(parsed)}
}

// restoreID takes the ids that the annotation had before it was written as COCO.
func restoreID(o *object, raw []byte) {
	if isString(raw) {
		if id := string(unquote(raw)); !blank(id) {
			o.id = id
		}
		return
	}
	if !isArray(raw) {
		return
	}
	for element := range scan.Elements(raw) {
		if !isString(element) {
			o.parts = nil
			return
		}
		o.parts = append(o.parts, string(unquote(element)))
	}
}

// instanceScore is the attribute that holds the score of an object whose joints have
// scores of their own.
const instanceScore = "instance_score"

// readScores reads the score of an annotation. Where its joints have their own, it is
// kept as an attribute, since the service has a confidence for each joint alone.
func (r *cocoReader) readScores(b *imageBuilder, o *object, a *cocoAnnotation, results bool) {
	o.results = results
	scored := !absent(a.jointScores)
	if results && !absent(a.keypoints) && isArray(a.keypoints) {
		numbers, err := appendJoints(r.scores[:0], a.keypoints)
		r.scores = numbers
		o.constant, o.scored = err == nil, err == nil
		between := false
		for i := 2; i < len(numbers); i += 3 {
			v := numbers[i]
			o.constant = o.constant && v == numbers[2]
			o.scored = o.scored && v >= 0 && v <= 1
			between = between || v > 0 && v < 1
		}
		o.scored = o.scored && between && !o.constant
		scored = scored || o.scored
	}
	switch {
	case absent(a.score):
	case !isNumber(a.score):
		b.report(KindConfidence, o.at, "the score is "+describe(a.score), noConfidence)
	case scored:
		if !finite(parseNumber(a.score)) {
			b.report(KindConfidence, o.at, "the score is not finite", "left out")
			return
		}
		if o.attributes == nil {
			o.attributes = make(map[string]any, 1)
		}
		o.attributes[instanceScore] = stdjson.Number(a.score)
	default:
		o.confidence = b.confidence(o.at, parseNumber(a.score))
	}
}
