package convert

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/internal/scan"
)

// categoryReader reads the categories of a file into a COCO.
type categoryReader struct {
	coco     *COCO
	names    map[string]COCOID // first category of each name
	folded   map[string]string // first name that folds so
	at       string
	findings []Finding
	err      error // that ends it
}

func (r *categoryReader) report(kind Kind, reason, action string) {
	r.findings = append(r.findings, Finding{Kind: kind, File: r.coco.file, At: r.at, Reason: reason, Action: action})
}

func (r *categoryReader) read(position int, raw []byte) {
	const unusable = "category left out; its annotations are dropped"
	r.at = fmt.Sprintf("category at position %d", position)
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members, jsontext.AllowDuplicateNames(true)); err != nil {
		r.report(KindCategory, "the category is "+describe(raw)+", not an object", unusable)
		return
	}
	if r.findTwice(raw); r.err != nil {
		return
	}
	id, err := ParseCOCOID(members["id"])
	if err != nil {
		r.report(KindCategory, err.Error(), unusable)
		return
	}
	r.at = "category " + shorten(string(id))
	name, ok := text(members["name"])
	if !ok {
		r.report(KindCategory, "the name is "+describe(members["name"]), unusable)
		return
	}
	joints := r.joints(members["keypoints"])
	c := newCategory(name, joints, r.edges(members["skeleton"], len(joints)))
	r.compare(id, c)
	if earlier := r.coco.categories[id]; earlier != nil && len(earlier.joints) > 0 {
		return // the one that says more
	}
	r.coco.categories[id] = c
}

// findTwice tells of keys of a category, valid JSON, that stand twice in it. Where they
// say different things, nothing tells what the category is.
func (r *categoryReader) findTwice(raw []byte) {
	seen := make(map[string][]byte)
	var decoder jsontext.Decoder
	decoder.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	r.err = readMembers(&decoder, raw, func(name, value []byte) error {
		key := string(name)
		before, twice := seen[key]
		seen[key] = value
		switch {
		case !twice || key != "id" && key != "name" && key != "keypoints" && key != "skeleton":
			return nil
		case bytes.Equal(before, value):
			r.report(KindDuplicateKey, fmt.Sprintf("the key %q stands twice, with one value", key), "taken once")
			return nil
		}
		return ContradictionError{fmt.Sprintf("the %s has the key %q twice, with %s and %s", r.at, key, shorten(string(before)), shorten(string(value)))}
	})
}

// compare reports what the category shares with earlier ones.
func (r *categoryReader) compare(id COCOID, c *category) {
	if earlier := r.coco.categories[id]; earlier != nil {
		switch {
		case earlier.name != c.name:
			r.err = ContradictionError{fmt.Sprintf("the categories %q and %q have one id, %s, so nothing tells which of them annotations are of", earlier.name, c.name, shorten(string(id)))}
		case len(earlier.joints) > 0 && len(c.joints) > 0 && !slices.Equal(earlier.joints, c.joints):
			r.err = ContradictionError{fmt.Sprintf("category %q, id %s, stands there twice with different joints", c.name, shorten(string(id)))}
		default:
			r.report(KindDuplicateCategory, "the category stands there twice", "taken once")
		}
		return
	}
	other, shared := r.names[c.name]
	if !shared {
		r.names[c.name] = id
		if similar, there := r.folded[Fold(c.name)]; there {
			r.report(KindSimilarClass, fmt.Sprintf("the names %q and %q differ in case or blanks alone", similar, c.name), "both classes kept; a class map can merge them")
		} else {
			r.folded[Fold(c.name)] = c.name
		}
		return
	}
	if other == id {
		return
	}
	reason := fmt.Sprintf("category %s has the name %q too", shorten(string(other)), c.name)
	if !slices.Equal(r.coco.categories[other].joints, c.joints) {
		reason += ", with other joints"
	}
	r.report(KindSharedCategoryName, reason, "both become the class of that name")
}

// joints reads the names that keypoint triplets are aligned to.
func (r *categoryReader) joints(raw []byte) []string {
	if absent(raw) {
		return nil
	}
	if !isArray(raw) {
		r.report(KindJointName, "the joint names are "+describe(raw)+", not a list", "left out")
		return nil
	}
	var joints []string
	for element := range scan.Elements(raw) {
		name, ok := text(element)
		if !ok {
			name = defaultJointName(len(joints))
			r.report(KindJointName, fmt.Sprintf("the name of joint %d is %s", len(joints)+1, describe(element)), "named "+name)
		} else if slices.Contains(joints, name) {
			r.report(KindJointName, fmt.Sprintf("two joints are named %q", name), "kept")
		}
		joints = append(joints, name)
	}
	return joints
}

// edges turns a skeleton's pairs, counted from 1, into pairs counted from 0.
func (r *categoryReader) edges(raw []byte, joints int) [][2]int {
	if absent(raw) {
		return nil
	}
	const action = "edge left out"
	if !isArray(raw) {
		r.report(KindSkeletonEdge, "the skeleton is "+describe(raw)+", not a list", "left out")
		return nil
	}
	base := r.skeletonBase(raw, joints)
	var edges [][2]int
	for element := range scan.Elements(raw) {
		i, j, ok := pair(element)
		switch {
		case !ok:
			r.report(KindSkeletonEdge, shorten(string(element))+" is no pair of whole numbers", action)
		case i < base || i >= joints+base || j < base || j >= joints+base:
			r.report(KindSkeletonEdge, fmt.Sprintf("the edge %d-%d names no joint; joints are counted from %d to %d", i, j, base, joints+base-1), action)
		case i == j:
			r.report(KindSkeletonEdge, fmt.Sprintf("the edge %d-%d joins a joint to itself", i, j), action)
		default:
			edges = append(edges, [2]int{i - base, j - base})
		}
	}
	return edges
}

// skeletonBase is what the first joint is counted as: 1, as COCO says, unless an edge
// names a joint 0 and none the last joint counted from 1.
func (r *categoryReader) skeletonBase(raw []byte, joints int) int {
	zero, last := false, false
	for element := range scan.Elements(raw) {
		if i, j, ok := pair(element); ok {
			zero = zero || i == 0 || j == 0
			last = last || i >= joints || j >= joints
		}
	}
	if !zero || last {
		return 1
	}
	r.report(KindSkeletonBase, fmt.Sprintf("an edge of the skeleton names joint 0 and none names joint %d: its joints are counted from 0", joints), "read so")
	return 0
}

func pair(raw []byte) (i, j int, ok bool) {
	if !isArray(raw) {
		return 0, 0, false
	}
	numbers, err := appendNumbers(nil, raw)
	if err != nil || len(numbers) != 2 {
		return 0, 0, false
	}
	i, j = int(numbers[0]), int(numbers[1])
	return i, j, float64(i) == numbers[0] && float64(j) == numbers[1]
}

// text is a name: a string that is not blank, or a number as it is written.
func text(raw []byte) (string, bool) {
	if isNumber(raw) {
		return string(raw), true
	}
	if !isString(raw) {
		return "", false
	}
	name := string(unquote(raw))
	return name, !blank(name)
}
