package coco

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/internal/scan"
)

// categoryReader reads the categories of a file into a COCO.
type categoryReader struct {
	coco     *Converter
	names    map[string]ID     // first category of each name
	folded   map[string]string // first name that folds so
	at       string
	findings []convert.Finding
	err      error // that ends it
}

func (r *categoryReader) report(kind convert.Kind, reason, action string) {
	r.findings = append(r.findings, convert.Finding{Kind: kind, File: r.coco.file, At: r.at, Reason: reason, Action: action})
}

func (r *categoryReader) read(position int, raw []byte) {
	const unusable = "category left out; its annotations are dropped"
	r.at = fmt.Sprintf("category at position %d", position)
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members, jsontext.AllowDuplicateNames(true)); err != nil {
		r.report(convert.KindCategory, "the category is "+scan.Describe(raw)+", not an object", unusable)
		return
	}
	if r.findTwice(raw); r.err != nil {
		return
	}
	id, err := parseID(members["id"])
	if err != nil {
		r.report(convert.KindCategory, err.Error(), unusable)
		return
	}
	r.at = "category " + scan.Shorten(string(id))
	name, ok := text(members["name"])
	if !ok {
		r.report(convert.KindCategory, "the name is "+scan.Describe(members["name"]), unusable)
		return
	}
	keypoints := r.keypoints(members["keypoints"])
	c := convert.NewCategory(name, keypoints, r.edges(members["skeleton"], len(keypoints)))
	r.compare(id, c)
	if earlier := r.coco.Categories[id]; earlier != nil && len(earlier.Keypoints) > 0 {
		return // the one that says more
	}
	r.coco.Categories[id] = c
	above, _ := text(members["supercategory"])
	r.coco.named[name] = above
	r.coco.folded[strings.ToLower(name)] = name
}

// findTwice tells of keys of a category, valid JSON, that stand twice in it. Where they
// say different things, nothing tells what the category is.
func (r *categoryReader) findTwice(raw []byte) {
	seen := make(map[string][]byte)
	var decoder jsontext.Decoder
	decoder.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	r.err = scan.ReadMembers(&decoder, raw, func(name, value []byte) error {
		key := string(name)
		before, twice := seen[key]
		seen[key] = value
		switch {
		case !twice || key != "id" && key != "name" && key != "keypoints" && key != "skeleton":
			return nil
		case bytes.Equal(before, value):
			r.report(convert.KindDuplicateKey, fmt.Sprintf("the key %q stands twice, with one value", key), "taken once")
			return nil
		}
		return contradictionError{fmt.Sprintf("the %s has the key %q twice, with %s and %s", r.at, key, scan.Shorten(string(before)), scan.Shorten(string(value)))}
	})
}

// compare reports what the category shares with earlier ones.
func (r *categoryReader) compare(id ID, c *convert.Category) {
	if earlier := r.coco.Categories[id]; earlier != nil {
		switch {
		case earlier.Name != c.Name:
			r.err = contradictionError{fmt.Sprintf("the categories %q and %q have one id, %s, so nothing tells which of them annotations are of", earlier.Name, c.Name, scan.Shorten(string(id)))}
		case len(earlier.Keypoints) > 0 && len(c.Keypoints) > 0 && !slices.Equal(earlier.Keypoints, c.Keypoints):
			r.err = contradictionError{fmt.Sprintf("category %q, id %s, stands there twice with different keypoints", c.Name, scan.Shorten(string(id)))}
		default:
			r.report(convert.KindDuplicateCategory, "the category stands there twice", "taken once")
		}
		return
	}
	other, shared := r.names[c.Name]
	if !shared {
		r.names[c.Name] = id
		if similar, there := r.folded[convert.Fold(c.Name)]; there {
			r.report(convert.KindSimilarClass, fmt.Sprintf("the names %q and %q differ in case or blanks alone", similar, c.Name), "both classes kept; a class map can merge them")
		} else {
			r.folded[convert.Fold(c.Name)] = c.Name
		}
		return
	}
	if other == id {
		return
	}
	reason := fmt.Sprintf("category %s has the name %q too", scan.Shorten(string(other)), c.Name)
	if !slices.Equal(r.coco.Categories[other].Keypoints, c.Keypoints) {
		reason += ", with other keypoints"
	}
	r.coco.shared = append(r.coco.shared, sharedName{len(r.findings), other, id})
	r.report(convert.KindSharedCategoryName, reason, "both become the class of that name")
}

// sharedName is a category with the name of an earlier one, the first of that name, and the
// place of the finding that tells of it.
type sharedName struct {
	finding    int
	first, own ID
}

// withUsed are the findings about categories, without those of names that are shared by
// categories of which annotations use one alone, as where exporters add one for a group.
func (x *indexer) withUsed(findings []convert.Finding, shared []sharedName) []convert.Finding {
	if len(shared) == 0 || x.file.panoptic {
		return findings
	}
	used := x.usedCategories()
	taken := make(map[ID]bool) // by the first of the name
	unused := make(map[int]bool)
	for _, s := range shared {
		taken[s.first] = taken[s.first] || used[s.first]
		unused[s.finding] = !used[s.own] || !taken[s.first]
		taken[s.first] = taken[s.first] || used[s.own]
	}
	var left []convert.Finding
	for i, f := range findings {
		if !unused[i] {
			left = append(left, f)
		}
	}
	return left
}

// usedCategories reads the file's annotations once more for their categories.
func (x *indexer) usedCategories() map[ID]bool {
	used := make(map[ID]bool)
	var r reader
	var raw []byte
	x.file.refs.each(func(a *ref) {
		raw = append(raw[:0], make([]byte, a.length)...)
		if _, err := x.content.ReadAt(raw, a.start); err != nil {
			return // said of the image when it is loaded
		}
		if split, err := r.annotation(raw); err == nil {
			if id, err := parseID(split.categoryID); err == nil {
				used[id] = true
			}
		}
	})
	return used
}

// countedOtherwise says why annotations that have these categories may count them from another
// number than the file's list does, "" where they do not: they have one just beyond its one end
// and none farther, as where the list was filtered, none has that at its other end, and most of
// the others are there, so that it is not one annotation that is wrong.
func (c *Converter) countedOtherwise(used map[ID]bool) string {
	first, last := math.MaxInt, math.MinInt
	for id := range c.Categories {
		n, err := strconv.Atoi(string(id))
		if err != nil {
			return ""
		}
		first, last = min(first, n), max(last, n)
	}
	has := func(n int) bool { return n >= 0 && used[ID(strconv.Itoa(n))] }
	named := 0
	for id := range used {
		if n, err := strconv.Atoi(string(id)); err != nil || n < first-1 || n > last+1 {
			return ""
		}
		if c.Categories[id] != nil {
			named++
		}
	}
	reason := func(beyond, other int) string {
		return fmt.Sprintf("annotations have the category %d, and none that was looked at has %d, as where they count from another number than the file's categories, %d to %d; count both alike, or add the category that is missing", beyond, other, first, last)
	}
	switch {
	case len(c.Categories) == 0 || 2*named < len(c.Categories)-1:
	case has(last+1) && !has(first):
		return reason(last+1, first)
	case has(first-1) && !has(last):
		return reason(first-1, last)
	}
	return ""
}

// keypoints reads the names that keypoint triplets are aligned to.
func (r *categoryReader) keypoints(raw []byte) []string {
	if scan.Absent(raw) {
		return nil
	}
	if !scan.IsArray(raw) {
		r.report(convert.KindKeypointName, "the keypoint names are "+scan.Describe(raw)+", not a list", "left out")
		return nil
	}
	var keypoints []string
	for element := range scan.Elements(raw) {
		name, ok := text(element)
		if !ok {
			name = convert.DefaultKeypointName(len(keypoints))
			r.report(convert.KindKeypointName, fmt.Sprintf("the name of keypoint %d is %s", len(keypoints)+1, scan.Describe(element)), "named "+name)
		} else if slices.Contains(keypoints, name) {
			r.report(convert.KindSharedKeypointName, fmt.Sprintf("two keypoints are named %q", name), "both kept; where one is not placed, nothing tells which it is")
		}
		keypoints = append(keypoints, name)
	}
	return keypoints
}

// edges turns a skeleton's pairs, counted from 1, into pairs counted from 0.
func (r *categoryReader) edges(raw []byte, keypoints int) [][2]int {
	if scan.Absent(raw) {
		return nil
	}
	const action = "edge left out"
	if !scan.IsArray(raw) {
		r.report(convert.KindSkeletonEdge, "the skeleton is "+scan.Describe(raw)+", not a list", "left out")
		return nil
	}
	base := r.skeletonBase(raw, keypoints)
	var edges [][2]int
	for element := range scan.Elements(raw) {
		i, j, ok := pair(element)
		switch {
		case !ok:
			r.report(convert.KindSkeletonEdge, scan.Shorten(string(element))+" is no pair of whole numbers", action)
		case i < base || i >= keypoints+base || j < base || j >= keypoints+base:
			r.report(convert.KindSkeletonEdge, fmt.Sprintf("the edge %d-%d names no keypoint; keypoints are counted from %d to %d", i, j, base, keypoints+base-1), action)
		case i == j:
			r.report(convert.KindSkeletonEdge, fmt.Sprintf("the edge %d-%d joins a keypoint to itself", i, j), action)
		default:
			edges = append(edges, [2]int{i - base, j - base})
		}
	}
	return edges
}

// skeletonBase is what the first keypoint is counted as: 1, as COCO says, unless an edge
// names a keypoint 0 and none the last keypoint counted from 1.
func (r *categoryReader) skeletonBase(raw []byte, keypoints int) int {
	zero, last := false, false
	for element := range scan.Elements(raw) {
		if i, j, ok := pair(element); ok {
			zero = zero || i == 0 || j == 0
			last = last || i >= keypoints || j >= keypoints
		}
	}
	if !zero || last {
		return 1
	}
	r.report(convert.KindSkeletonBase, fmt.Sprintf("an edge of the skeleton names keypoint 0 and none names keypoint %d: its keypoints are counted from 0", keypoints), "read so")
	return 0
}

func pair(raw []byte) (i, j int, ok bool) {
	if !scan.IsArray(raw) {
		return 0, 0, false
	}
	numbers, err := scan.AppendNumbers(nil, raw)
	if err != nil || len(numbers) != 2 {
		return 0, 0, false
	}
	i, j = int(numbers[0]), int(numbers[1])
	return i, j, float64(i) == numbers[0] && float64(j) == numbers[1]
}

// text is a name: a string that is not blank, or a number as it is written.
func text(raw []byte) (string, bool) {
	if scan.IsNumber(raw) {
		return string(raw), true
	}
	if !scan.IsString(raw) {
		return "", false
	}
	name := string(scan.TextOf(raw))
	return name, !convert.Blank(name)
}
