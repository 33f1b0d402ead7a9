package yolo

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// splitNames are the splits of a data.yaml, in its order.
var splitNames = []string{"train", "val", "test"}

// splitLayout is how the data set that is written names its splits: by folders that hold the
// images of one alone, or else by lists of images.
type splitLayout struct {
	some  bool // the source names splits; else train and val are all images
	lists bool
}

// mostFolders is how many folders a data.yaml names at most.
const mostFolders = 100

// layoutOf is that of images in places.
func layoutOf(c *convert.Catalog) (l splitLayout) {
	splits := make(map[string]string) // of folders
	for p := range c.Places() {
		split, folder := splitOfPlace(p)
		if split == "" {
			continue
		}
		l.some = true
		if other := splits[folder]; other != "" && other != split {
			l.lists = true
		}
		splits[folder] = split
	}
	l.lists = l.lists || len(splits) > mostFolders
	if !l.some || l.lists {
		return l
	}
	for p := range c.Places() { // also those of no split
		split, _ := splitOfPlace(p)
		for folder, of := range splits {
			l.lists = l.lists || of != split && (folder == "" || source.Within(folder, p.Folder))
		}
	}
	return l
}

// splitOfPlace is the split of images, as the source says or, where it does not say, by the
// innermost folder that is for one, and the folder that has them.
func splitOfPlace(p convert.Place) (split, folder string) {
	if p.Split == convert.NoSplit {
		return "", ""
	}
	split = source.SplitOf(p.Split).Common()
	parts := strings.Split(p.Folder, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		name := source.SplitOf(parts[i]).Common()
		if split == "" {
			split = name
		}
		if split != "" && name == split {
			return split, strings.Join(parts[:i+1], "/")
		}
	}
	return split, parts[0]
}

// writtenSplits are the splits of the images written: their folders, or the lines of their lists.
type writtenSplits struct {
	layout  splitLayout
	folders map[string]map[string]bool // by splits
	lines   map[string][]byte
}

// of is the split of an image, by its bare name and what the source says, and the folder that
// has it.
func (w *writtenSplits) of(image, says string) (split, folder string) {
	folder, _ = path.Split(image)
	return splitOfPlace(convert.Place{Folder: strings.TrimSuffix(folder, "/"), Split: says})
}

// check says why an image cannot be in its split.
func (w *writtenSplits) check(image, says string) error {
	split, _ := w.of(image, says)
	switch {
	case !w.layout.some:
		return nil
	case split == "":
		return errors.New("the source has it in no split, and others in some")
	case w.layout.lists && (!source.IsImageName(image) || strings.TrimSpace(image) != image || strings.ContainsFunc(image, isBreak)):
		return fmt.Errorf("it is of the split %s, and no list can name it", split)
	}
	return nil
}

// add takes on an image that was written.
func (w *writtenSplits) add(image, says string) {
	split, folder := w.of(image, says)
	switch {
	case !w.layout.some || w.check(image, says) != nil:
	case w.layout.lists:
		w.lines[split] = fmt.Appendf(w.lines[split], "./images/%s\n", image)
	default:
		if w.folders[split] == nil {
			w.folders[split] = make(map[string]bool)
		}
		w.folders[split][folder] = true
	}
}

func isBreak(r rune) bool { return lineBreak([]byte(string(r))) > 0 }

// describe appends what a data.yaml says of the splits. Trainers ask for train and val.
func (w *writtenSplits) describe(dst []byte) []byte {
	if !w.layout.some {
		return append(dst, "train: images\nval: images\n"...)
	}
	for _, split := range splitNames {
		var of []string
		if len(w.lines[split]) > 0 {
			of = append(of, quoteYAML(split+".txt"))
		}
		folders := slices.Sorted(maps.Keys(w.folders[split]))
		for _, folder := range folders {
			above := func(other string) bool { return other != folder && (other == "" || source.Within(other, folder)) }
			if !slices.ContainsFunc(folders, above) {
				of = append(of, quoteYAML(strings.TrimSuffix("images/"+folder, "/")))
			}
		}
		switch {
		case len(of) == 1:
			dst = fmt.Appendf(dst, "%s: %s\n", split, of[0])
		case len(of) > 1 || split != "test":
			dst = fmt.Appendf(dst, "%s: [%s]\n", split, strings.Join(of, ", "))
		}
	}
	return dst
}
