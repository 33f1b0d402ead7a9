package yolo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// splitNames are the splits of a data.yaml, in its order.
var splitNames = []string{"train", "val", "test"}

// splitLayout is how the data set that is written names its splits: by folders that hold the
// images of the same ones alone, or else by lists of images.
type splitLayout struct {
	some  bool // splits differ; else train and val are all images
	lists bool
}

// whole are the splits of all images where these are not told apart.
const whole = "train val"

// mostFolders is how many folders a data.yaml names at most.
const mostFolders = 100

// layoutOf is that of images in places.
func layoutOf(c *convert.Catalog) (l splitLayout) {
	splits := make(map[string]string) // of folders
	none, both := false, false
	for p := range c.Places() {
		of, folder := splitsOfPlace(p)
		if of == "" {
			none = true
			continue
		}
		both = both || of == whole
		l.some = l.some || of != whole
		if other := splits[folder]; other != "" && other != of {
			l.lists = true
		}
		splits[folder] = of
	}
	l.some = l.some || none && both
	l.lists = l.lists || len(splits) > mostFolders
	if !l.some || l.lists {
		return l
	}
	for p := range c.Places() { // also those of no split
		own, _ := splitsOfPlace(p)
		for folder, of := range splits {
			l.lists = l.lists || of != own && (folder == "" || source.Within(folder, p.Folder))
		}
	}
	return l
}

// splitsOfPlace are the splits of images, each once and a blank between two, as the source says or,
// where it does not say, by the innermost folder that is for one; and the folder that has them.
func splitsOfPlace(p convert.Place) (splits, folder string) {
	if p.Splits == convert.NoSplit {
		return "", ""
	}
	var all []string
	for says := range strings.SplitSeq(p.Splits, "\n") {
		if split := source.SplitOf(says).Common(); split != "" {
			all = append(all, split)
		}
	}
	parts := strings.Split(p.Folder, "/")
	folder = parts[0]
	for i := len(parts) - 1; i >= 0; i-- {
		name := source.SplitOf(parts[i]).Common()
		if len(all) == 0 && name != "" {
			all = append(all, name)
		}
		if name != "" && slices.Contains(all, name) {
			folder = strings.Join(parts[:i+1], "/")
			break
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " "), folder
}

// writtenSplits are the splits of the images written: their folders, or the lines of their lists.
type writtenSplits struct {
	layout  splitLayout
	folders map[string]map[string]bool // by splits
	lines   map[string][]byte
}

// check says why an image cannot be in its splits.
func (w *writtenSplits) check(image string, says []string) error {
	splits, _ := splitsOfPlace(convert.PlaceOf(image, says))
	switch {
	case !w.layout.some:
		return nil
	case splits == "" && len(says) > 0 && !slices.Contains(says, convert.NoSplit):
		return fmt.Errorf("the source has it in %s, which is none of train, val and test; --rename can put it below a folder of one", strings.Join(says, " and "))
	case splits == "" && len(says) == 0:
		return errors.New("nothing puts it into a split, and others are in some; --rename can put it below a folder train, val or test")
	case splits == "":
		return errors.New("the source has it in no split, and others in some")
	case w.layout.lists && (!source.IsImageName(image) || strings.TrimSpace(image) != image || strings.ContainsFunc(image, isBreak)):
		return fmt.Errorf("it is of the split %s, and no list can name it", splits)
	}
	return nil
}

// add takes on an image that was written, and can be in its splits (see check).
func (w *writtenSplits) add(image string, says []string) {
	if !w.layout.some {
		return
	}
	splits, folder := splitsOfPlace(convert.PlaceOf(image, says))
	for split := range strings.FieldsSeq(splits) {
		if w.layout.lists {
			w.lines[split] = fmt.Appendf(w.lines[split], "./images/%s\n", image)
			continue
		}
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
