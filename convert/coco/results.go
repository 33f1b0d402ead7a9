package coco

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// Prediction results name their images by the ids of the COCO file beside them, or, as
// some tools write them, by the file's name, its stem, or the number that the stem is.

// namedImages finds images by what results may call them.
type namedImages struct{ byName map[string]int } // place in the images, -1 where several have it

func (x *indexer) namedImages() namedImages {
	n := namedImages{make(map[string]int)}
	for i := range x.file.images {
		name := x.file.images[i].name
		for _, key := range namesOf(name) {
			if other, taken := n.byName[key]; taken && other != i {
				n.byName[key] = -1
			} else {
				n.byName[key] = i
			}
		}
	}
	return n
}

// namesOf is what results may call the image of a name.
func namesOf(name string) (names []string) {
	base := path.Base(name)
	all := []string{name, source.Stem(name), base, source.Stem(base)}
	if number := strings.TrimLeft(source.Stem(base), "0"); isNumber(number) {
		all = append(all, number)
	} else if number == "" {
		all = append(all, "0")
	}
	for _, one := range all {
		if !slices.Contains(names, one) {
			names = append(names, one)
		}
	}
	return names
}

func isNumber(s string) bool {
	for _, c := range []byte(s) {
		if c-'0' > 9 {
			return false
		}
	}
	return s != ""
}

// of is the one image of a name; false where none or several have it.
func (n namedImages) of(id string) (place int, found bool) {
	for _, name := range waysToSay(id) {
		if place, found = n.byName[name]; found && place >= 0 {
			return place, true
		}
	}
	return 0, false
}

// waysToSay are the names that an id may stand for.
func waysToSay(id string) []string {
	return []string{id, strings.ReplaceAll(id, `\`, "/"), path.Base(id)}
}

// nameSlot is the slot of the results that have an id and give a name.
func (x *indexer) nameSlot(said saidName) int32 {
	slot, there := x.named[said]
	if !there {
		if x.named == nil {
			x.named = make(map[saidName]int32)
		}
		slot = x.slots.next()
		x.named[said] = slot
	}
	return slot
}

// matchNamed gives results that name their image beside its id that image, where the name is
// that of one image and the id its own, or one of its names. Where the name is that of no image
// it says nothing, and where it is that of another the two contradict each other: the results
// are those of their id. What the ids of the other results are is to be told yet: used are their
// slots.
func (x *indexer) matchNamed() (used []bool) {
	const several = -1
	places := make(map[string]int)
	for place := range x.file.images {
		name := x.file.images[place].name
		base := path.Base(name)
		if base != name {
			places[name] = place
		}
		if _, taken := places[base]; taken {
			place = several
		}
		places[base] = place
	}
	whole := x.wholeNames()
	ids := make([]string, x.slots.count)
	x.slots.each(func(id wholeID, slot int32) { ids[slot] = string(id.cocoID()) }, func(id ID, slot int32) { ids[slot] = string(id) })
	slotOf := x.slotsOfImages()
	to, told := make(map[int32]int32), make(map[int32]bool)
	var byName nameMoves
	for said, slot := range x.named {
		to[slot] = said.slot
		own, there := x.imageOf(said.slot)
		if there && fits(said.name, x.file.images[own].name, whole) {
			told[slot] = true
			continue
		}
		place, known := places[said.name]
		if !known {
			place, known = places[path.Base(said.name)]
		}
		if !known {
			continue
		}
		if place != several && !(there && path.Base(x.file.images[own].name) == path.Base(said.name)) {
			name, id := x.file.images[place].name, ids[said.slot]
			if there := slices.ContainsFunc(waysToSay(id), func(way string) bool { return slices.Contains(namesOf(name), way) }); there && id != "" {
				to[slot], told[slot] = slotOf[place], true
				byName.add(slot, id, name)
				continue
			}
		}
		x.say(said)
	}
	used = make([]bool, x.slots.count)
	x.refs.each(func(r *ref) {
		if slot, named := to[r.slot]; !named {
			used[r.slot] = true
		} else if !told[r.slot] {
			used[slot] = true
		}
	})
	x.move(to, byName)
	return used
}

// slotsOfImages are the slots of the images, by place.
func (x *indexer) slotsOfImages() map[int]int32 {
	slotOf := make(map[int]int32)
	for slot, image := range x.images {
		if image > 0 {
			slotOf[int(image)-1] = int32(slot)
		}
	}
	return slotOf
}

// nameMoves are the slots of results that have the name of their image as image_id.
type nameMoves struct {
	slots       map[int32]bool
	id, example string
}

func (m *nameMoves) add(slot int32, id, name string) {
	if m.slots == nil {
		m.slots = make(map[int32]bool)
	}
	if m.slots[slot] = true; m.example == "" || id < m.id {
		m.id, m.example = id, fmt.Sprintf("%s for %s", convert.Display(id), convert.Display(name))
	}
}

// move gives results the slots of their images, and tells of those that are told by name.
func (x *indexer) move(to map[int32]int32, byName nameMoves) {
	moved := 0
	x.refs.each(func(r *ref) {
		if slot, there := to[r.slot]; there {
			if byName.slots[r.slot] {
				moved++
			}
			r.slot = slot
		}
	})
	if moved > 0 {
		x.reportSome(moved, convert.KindImageByName, "", "image_id", fmt.Sprintf("results that have the name of their image as image_id, as %s: %d", byName.example, moved), "taken for the images of these names")
	}
}

// resultID is an image_id of results, and the images that it may mean.
type resultID struct {
	id           string
	slot         int32
	byID, byName int // places, -1 where there is none
}

// matchResults gives results whose image_id is no id of an image the image of that name,
// unless ids and names tell different images.
func (x *indexer) matchResults() error {
	all, ids, named := x.resultIDs(x.matchNamed())
	if named == 0 || ids == len(all) && named < len(all) {
		return nil
	}
	for _, r := range all {
		if r.byID >= 0 && r.byName >= 0 && r.byID != r.byName {
			return resultsError{fmt.Sprintf("its image_id %s may be the id of %s and the name of %s", r.id, convert.Display(x.file.images[r.byID].name), convert.Display(x.file.images[r.byName].name))}
		}
	}
	numbersAreNames := x.numbersAreNames(all)
	slotOf := x.slotsOfImages()
	to := make(map[int32]int32)
	var byName nameMoves
	for _, r := range all {
		slot, there := slotOf[r.byName]
		if !there || r.byID >= 0 {
			continue
		}
		name := x.file.images[r.byName].name
		if _, whole := wholeIDOf([]byte(r.id)); whole && !numbersAreNames {
			if x.mayName == nil {
				x.mayName = make(map[string]string)
			}
			x.mayName[r.id] = convert.Display(name)
			continue
		}
		to[r.slot] = slot
		byName.add(r.slot, r.id, name)
	}
	x.move(to, byName)
	return nil
}

// resultIDs are the image_ids in the slots that are used, and how many of them are ids and
// names of images.
func (x *indexer) resultIDs(used []bool) (all []resultID, ids, named int) {
	names := x.namedImages()
	note := func(id ID, slot int32) {
		if int(slot) >= len(used) || !used[slot] || id == "" {
			return
		}
		r := resultID{string(id), slot, -1, -1}
		if place, there := x.imageOf(slot); there {
			r.byID = place
			ids++
		}
		if place, there := names.of(string(id)); there {
			r.byName = place
			named++
		}
		all = append(all, r)
	}
	x.slots.each(func(id wholeID, slot int32) { note(id.cocoID(), slot) }, note)
	return all, ids, named
}

// numbersAreNames reports whether the whole numbers among image_ids plainly are names: some
// tools count the images instead, from 0 or 1.
func (x *indexer) numbersAreNames(all []resultID) bool {
	beyond := false
	for _, r := range all {
		number, whole := wholeIDOf([]byte(r.id))
		switch {
		case !whole:
		case r.byName < 0:
			return false
		case r.byID < 0:
			beyond = beyond || number > wholeID(len(x.file.images))
		}
	}
	return beyond
}

// resultsBeside is a list of prediction results in the folder of a file, "" where there is
// none.
func resultsBeside(file string) string {
	e, err := source.ReadEntries(filepath.Dir(file))
	if err != nil {
		return ""
	}
	for _, one := range e.List {
		name := e.Name(one)
		if !strings.EqualFold(path.Ext(name), ".json") || name == filepath.Base(file) {
			continue
		}
		f, err := source.OpenRegular(filepath.Join(filepath.Dir(file), name))
		if err != nil {
			continue
		}
		keys, _, list := headKeys(f)
		f.Close()
		if list && (len(keys) == 0 || hasAll(keys, "image_id")) { // an empty list is one of results too
			return name
		}
	}
	return ""
}

// resultsError says why results cannot be told their images.
type resultsError struct{ reason string }

func (e resultsError) Error() string { return e.reason }
