package coco

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"pictosync/convert"
	"pictosync/source"
)

// Several COCO files that describe the same images, as those of COCO itself do, may be
// taken as one: annotations with one id are one object then, which has the members of
// all. What they say differently of it is an error of the image: nothing tells which of
// them is right.

// merge takes the files as one.
func (c *dataset) merge(shared []*sharedImage) error {
	c.merged = make(map[string]*sharedImage, len(shared))
	for _, one := range shared {
		c.merged[one.name] = one
		if err := c.check(one); err != nil {
			c.repeated[one.name] = err
		}
	}
	c.findForeignIDs(shared)
	c.shareOwnerless()
	var all []json.RawMessage
	var names []string
	for _, f := range c.files {
		if f.panoptic || f.rawCategories == nil {
			return contradictionError{Reason: f.name + " has no list of categories, or segments in pictures, and cannot be merged with others"}
		}
		var list []json.RawMessage
		if err := json.Unmarshal(f.rawCategories, &list); err != nil {
			return errNotCOCO{fmt.Sprintf("the categories of %s: %v", f.name, err)}
		}
		all, names = append(all, list...), append(names, f.name)
	}
	categories, err := json.Marshal(all)
	if err != nil {
		return errNotCOCO{err.Error()}
	}
	c.converter, _, err = NewConverter(categories, namesText(names), c.Options.Convert) // each file's were told
	if contradiction, ok := errors.AsType[contradictionError](err); ok {
		return mergeError{contradiction.Reason + "; the files to be merged are " + namesText(names)}
	}
	if err == nil {
		c.converter.turnBoxes(flagsOf(c.Options).BoxAngle)
		said := make(map[string]bool)
		for _, f := range c.files {
			maps.Copy(said, f.said)
			c.converter.notation = cmp.Or(c.converter.notation, f.categories.notation)
		}
		c.converter.nameOthers(said)
	}
	return err
}

// findForeignIDs notes with the images of two files that these do not number their images
// alike: they count for themselves, and annotations of one id may be two objects.
func (c *dataset) findForeignIDs(shared []*sharedImage) {
	type pair struct{ a, b *labelFile }
	clashes := make(map[pair]string)
	names := make(map[*labelFile]map[ID]string)
	namesOf := func(f *labelFile) map[ID]string {
		if names[f] == nil {
			names[f] = make(map[ID]string, len(f.ids))
			for i, id := range f.ids {
				if id != "" {
					names[f][id] = f.images[i].name
				}
			}
		}
		return names[f]
	}
	for _, one := range shared {
		for i, p := range one.places {
			for _, q := range one.places[:i] {
				both := pair{q.file, p.file}
				reason, looked := clashes[both]
				if !looked {
					reason = clashOf(both.a, both.b, namesOf(both.a), both.b.ids)
					clashes[both] = reason
				}
				if reason != "" {
					one.foreign = reason
				}
			}
		}
	}
}

// clashOf says which id is that of two images in two files, "" where none is.
func clashOf(a, b *labelFile, names map[ID]string, ids []ID) string {
	for i, id := range ids {
		if name, both := names[id]; both && name != b.images[i].name {
			return fmt.Sprintf("the id %s is that of %s in %s and of %s in %s", id, convert.Display(name), a.name, convert.Display(b.images[i].name), b.name)
		}
	}
	return ""
}

// shareOwnerless notes with all files that annotations of one are of an image that this lacks:
// it may be one of the others.
func (c *dataset) shareOwnerless() {
	for _, f := range c.files {
		if f.ownerless == "" {
			continue
		}
		for _, other := range c.files {
			if other.ownerless == "" {
				other.ownerless = f.ownerless
			}
		}
		return
	}
}

// check holds the entries of the image against one another.
func (c *dataset) check(s *sharedImage) error {
	first := s.places[0]
	for _, p := range s.places[1:] {
		if a, b := first.id(), p.id(); a != b {
			return fmt.Errorf("%s calls it %s and %s calls it %s, so their annotations cannot be merged", first.file.name, a, p.file.name, b)
		}
	}
	if reason := c.apart(s); reason != "" {
		return fmt.Errorf("its entries are hardly of one image and cannot be merged: %s; %s", reason, eachAlone)
	}
	return nil
}

// id is the image's id in its file.
func (p place) id() ID {
	if p.at < len(p.file.ids) {
		return p.file.ids[p.at]
	}
	return ""
}

func (c *dataset) loadMerged(one *sharedImage, item convert.Item, listed convert.Size) (convert.Result, error) {
	merged := mergedObjects{foreign: one.foreign}
	total := 0
	for _, p := range one.places {
		r := new(annotationReader)
		annotations, err := r.read(p.file, p.image)
		if err != nil {
			return convert.Result{}, err
		}
		total += len(annotations)
		for _, raw := range annotations {
			if err := merged.add(raw, p.file.name); err != nil {
				return convert.Result{}, err
			}
		}
	}
	objects, err := merged.encode()
	if err != nil {
		return convert.Result{}, err
	}
	sizes := source.ImageSizes{Listed: listed}
	for _, p := range one.places {
		if own := c.sizesOf(item, p); !sizes.Stated.Known() || !sizes.Local.Known() {
			if !sizes.Stated.Known() {
				sizes.Stated = own.Stated
			}
			if !sizes.Local.Known() {
				sizes.Local = own.Local
			}
		}
	}
	result := c.converter.Image(item.Image, c.checkedSize(sizes), objects)
	result.Read += total - len(objects) // merged into others, which were taken
	for _, p := range one.places {
		p.file.tellUnlinked(item, p.at, &result)
	}
	c.reconcileFirst(item, sizes, &result)
	return result, nil
}

// mergedObjects are the annotations of an image, those with one id once.
type mergedObjects struct {
	list    []*mergedObject
	byID    map[ID]*mergedObject
	foreign string // why one id may be that of two objects; "" where it is that of one
}

type mergedObject struct {
	members map[string]json.RawMessage
	raw     []byte // as it stands, where it is of one file alone
	file    string
	broken  bool
	of      []string // the files that it was merged from
	twice   bool     // in one of them
}

func (m *mergedObjects) add(raw []byte, file string) error {
	o := &mergedObject{raw: bytes.Clone(raw), file: file}
	repaired, _ := nullNonFinite(raw)
	if err := json.Unmarshal(repaired, &o.members); err != nil {
		o.broken = true
	}
	id, err := parseID(o.members["id"])
	if o.broken || err != nil {
		m.list = append(m.list, o)
		return nil
	}
	other := m.byID[id]
	switch {
	case other == nil:
		if m.byID == nil {
			m.byID = make(map[ID]*mergedObject)
		}
		o.of = []string{file}
		m.list, m.byID[id] = append(m.list, o), o
		return nil
	case slices.Contains(other.of, file) && len(other.of) == 1: // told by who converts them
		other.twice = true
		m.list = append(m.list, o)
		return nil
	case slices.Contains(other.of, file) || other.twice:
		return fmt.Errorf("the annotation %s stands twice in %s, and in another file too: nothing tells which of the two that is to be merged with", id, twiceIn(other, file))
	}
	if m.foreign != "" && !sameShape(other.members, o.members) {
		return fmt.Errorf("nothing tells whether the annotation %s of %s and that of %s are one: they have no shape in common, and %s", id, other.file, file, m.foreign)
	}
	other.of = append(other.of, file)
	other.raw = nil
	// A count of keypoints is of those that stand beside it.
	switch without := saysNothing(o.members["keypoints"]); {
	case without == saysNothing(other.members["keypoints"]):
	case without:
		delete(o.members, "num_keypoints")
	default:
		delete(other.members, "num_keypoints")
	}
	for _, key := range slices.Sorted(maps.Keys(o.members)) {
		value, known := other.members[key]
		switch {
		case !known || saysNothing(value):
			other.members[key] = o.members[key]
		case saysNothing(o.members[key]) || key == "area" || key == "num_keypoints" || alike(value, o.members[key]):
		default:
			return fmt.Errorf("the annotation %s has another %s in %s than in %s", id, key, o.file, other.file)
		}
	}
	return nil
}

// sameShape reports whether two annotations have a shape in common.
func sameShape(a, b map[string]json.RawMessage) bool {
	for _, key := range []string{"bbox", "segmentation", "keypoints"} {
		if !saysNothing(a[key]) && !saysNothing(b[key]) && alike(a[key], b[key]) {
			return true
		}
	}
	return false
}

// twiceIn is the file that has an object twice, where one more of its id was found in file.
func twiceIn(o *mergedObject, file string) string {
	if o.twice {
		return o.file
	}
	return file
}

func (m *mergedObjects) encode() ([][]byte, error) {
	var out [][]byte
	for _, o := range m.list {
		raw := o.raw
		if raw == nil {
			var err error
			if raw, err = json.Marshal(o.members); err != nil {
				return nil, errors.New("the merged annotation cannot be written")
			}
		}
		out = append(out, raw)
	}
	return out, nil
}

// saysNothing reports whether a value is how writers say that there is none.
func saysNothing(raw json.RawMessage) bool {
	switch string(bytes.Join(bytes.Fields(raw), nil)) {
	case "", "null", "[]", "[[]]", "{}", `""`:
		return true
	}
	return false
}

// alike reports whether two values are the same within the rounding of numbers.
func alike(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var one, two any
	if json.Unmarshal(a, &one) != nil || json.Unmarshal(b, &two) != nil {
		return false
	}
	return alikeValues(one, two)
}

func alikeValues(a, b any) bool {
	const rounding, share = 0.01, 1e-6
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Abs(a-b) <= max(rounding, share*math.Abs(a))
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, alikeValues)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, alikeValues)
	}
	return a == b
}
