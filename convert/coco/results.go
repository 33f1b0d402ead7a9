package coco

import (
	"fmt"
	"path"
	"path/filepath"
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
		base := path.Base(name)
		names := []string{name, source.Stem(name), base, source.Stem(base)}
		if number := strings.TrimLeft(source.Stem(base), "0"); isNumber(number) {
			names = append(names, number)
		} else if number == "" {
			names = append(names, "0")
		}
		for j, key := range names {
			if repeats(names[:j], key) {
				continue
			}
			if other, taken := n.byName[key]; taken && other != i {
				n.byName[key] = -1
			} else {
				n.byName[key] = i
			}
		}
	}
	return n
}

func repeats(names []string, name string) bool {
	for _, other := range names {
		if other == name {
			return true
		}
	}
	return false
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
	for _, name := range []string{id, strings.ReplaceAll(id, `\`, "/"), path.Base(id)} {
		if place, found = n.byName[name]; found && place >= 0 {
			return place, true
		}
	}
	return 0, false
}

// matchResults gives results whose image_id is no id of an image the image of that name,
// unless ids and names tell different images. Whole numbers are names only where they plainly
// are: some tools count the images instead, from 0 or 1.
func (x *indexer) matchResults() error {
	type reading struct {
		id           string
		slot         int32
		byID, byName int // places, -1 where there is none
	}
	used := make([]bool, x.slots.count)
	x.refs.each(func(r *ref) { used[r.slot] = true })
	names := x.namedImages()
	var all []reading
	ids, named := 0, 0
	note := func(id ID, slot int32) {
		if int(slot) >= len(used) || !used[slot] || id == "" {
			return
		}
		r := reading{string(id), slot, -1, -1}
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
	if named == 0 || ids == len(all) && named < len(all) {
		return nil
	}
	for _, r := range all {
		if r.byID >= 0 && r.byName >= 0 && r.byID != r.byName {
			return resultsError{fmt.Sprintf("its image_id %s may be the id of %s and the name of %s", r.id, convert.Display(x.file.images[r.byID].name), convert.Display(x.file.images[r.byName].name))}
		}
	}
	numbersAreNames, beyond := true, false
	for _, r := range all {
		number, whole := wholeIDOf([]byte(r.id))
		switch {
		case !whole:
		case r.byName < 0:
			numbersAreNames = false
		case r.byID < 0:
			beyond = beyond || number > wholeID(len(x.file.images))
		}
	}
	numbersAreNames = numbersAreNames && beyond
	slotOf := make(map[int]int32) // by place
	for slot, image := range x.images {
		if image > 0 {
			slotOf[int(image)-1] = int32(slot)
		}
	}
	to := make(map[int32]int32)
	example, exampleID := "", ""
	for _, r := range all {
		slot, there := slotOf[r.byName]
		if !there || r.byID >= 0 {
			continue
		}
		name := convert.Display(x.file.images[r.byName].name)
		if _, whole := wholeIDOf([]byte(r.id)); whole && !numbersAreNames {
			if x.mayName == nil {
				x.mayName = make(map[string]string)
			}
			x.mayName[r.id] = name
			continue
		}
		if to[r.slot] = slot; example == "" || r.id < exampleID {
			example, exampleID = fmt.Sprintf("%s for %s", convert.Display(r.id), name), r.id
		}
	}
	moved := 0
	x.refs.each(func(r *ref) {
		if slot, there := to[r.slot]; there {
			r.slot = slot
			moved++
		}
	})
	if moved > 0 {
		x.reportSome(moved, convert.KindImageByName, "", "image_id", fmt.Sprintf("results that have the name of their image as image_id, as %s: %d", example, moved), "taken for the images of these names")
	}
	return nil
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
