package yolo

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"pictosync/convert"
	"pictosync/source"
)

// labelFolder makes the items of a part's label files.
type labelFolder struct {
	*dataset
	pair source.LabelFolder
	part labelPart

	known    bool
	dir      string // slash-separated, relative to the part
	siblings siblings
	err      error // of all its labels
}

func (y *dataset) newLabelFolder(part labelPart) labelFolder {
	return labelFolder{dataset: y, part: part, pair: source.LabelFolder{Files: y.Files, Root: y.root, Ext: ".txt", Listings: y.listings, Once: y.told.first, Elsewhere: y.labelsElsewhere}}
}

// enter makes it the folder of the labels in dir, which ends with a slash unless it
// is "".
func (f *labelFolder) enter(dir string) {
	if f.known && dir == f.dir {
		return
	}
	rel := strings.TrimSuffix(source.Join(f.part.rel, dir), "/")
	bare, withImages := imageDirs(rel)
	f.known, f.dir = true, dir
	labels := filepath.Join(f.part.path, filepath.FromSlash(dir))
	f.pair.Enter(labels, source.Join(f.prefix, rel), bare, withImages, f.imageFolders(labels, bare, withImages))
	var images []string
	for _, folder := range f.pair.ImageFolders() {
		images = append(images, folder.Path)
	}
	f.siblings = f.siblingsOf(labels, rel, images)
	f.checkClassList()
}

// checkClassList holds a class list among the labels against that of the data set.
func (f *labelFolder) checkClassList() {
	f.err = f.classListsIn(f.pair.Path, f.pair.File, f.pair.Names.Has)
}

// item is the item of a label file; ok is false where the file is none.
func (f *labelFolder) item(label string) (item convert.Item, ok bool) {
	dir, name := path.Split(label)
	f.enter(dir)
	if f.classList != "" && filepath.Join(f.pair.Path, name) == f.classList {
		return convert.Item{}, false
	}
	item = convert.Item{File: f.pair.File + name}
	bareName := source.Stem(name)
	file, image, alias, err := f.pair.Image(bareName)
	if image == "" && err == nil && source.NotLabels[strings.ToLower(name)] && !holdsLabels(filepath.Join(f.pair.Path, name)) {
		if name := strings.ToLower(name); name != "classes.txt" {
			f.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: item.File, Reason: "it is named like a list and no image has its name", Action: "it was passed over"})
		}
		return convert.Item{}, false
	}
	if image != "" { // which may be spelled otherwise
		bareName = source.Stem(image)
	}
	switch ext := path.Ext(image); {
	case len(bareName)+len(ext) == len(image) && ext != "":
		f.name(&item, bareName+ext)
	case image == "" && source.IsImageName(bareName):
		// a.png.txt is for a.png, and names it whole, or for a.png.jpg and its like.
		f.name(&item, bareName)
		item.Stem = true
	default:
		f.dataset.name(&item, f.pair.Bare+bareName, f.pair.WithImages+bareName, image)
	}
	place := place{label: filepath.Join(f.pair.Path, name), image: file}
	if alias != "" {
		item.Aliases = append(item.Aliases, alias)
	}
	if image == "" {
		if place.near = f.pair.Near(bareName); place.near == "" && err == nil {
			if other := f.pair.InOtherSplit(bareName); other != "" {
				err = fmt.Errorf("no image of the label's split is named %s, and %s is of another split; move the label or the image", convert.Display(bareName), convert.Display(other))
			}
		}
	}
	item.Place = place
	rival := f.pair.Rival(name, image)
	if len(f.siblings.others) > 0 && err == nil && f.err == nil && rival == "" {
		better, differ := f.dataset.rival(f.siblings, item, place.label, cmp.Or(image, bareName))
		if better {
			return convert.Item{}, false
		}
		err = differ
	}
	switch {
	case err != nil:
		item.Err = err
	case f.err != nil:
		item.Err = f.err
	case rival != "":
		item.Err = severalLabels(f.pair.File + rival)
	case !utf8.ValidString(label) || !utf8.ValidString(f.part.rel):
		rel := source.Join(f.part.rel, label)
		item.Image = strings.ToValidUTF8(item.Image, "\ufffd")
		item.File = strings.ToValidUTF8(item.File, "\ufffd")
		item.Err = fmt.Errorf("the name %s is not UTF-8, so no image of a dataset can have it; rename the file", convert.Display(rel))
	}
	if item.Err != nil {
		item.Annotations = linesIn(place.label)
	}
	return item, true
}

// holdsLabels reports whether a file that is named like a list has label lines.
func holdsLabels(file string) bool {
	data, err := source.ReadInto(nil, file, source.MaxLabels)
	return err == nil && countLines(data) > 0 && areLabelLines(data)
}

func severalLabels(other string) error {
	return fmt.Errorf("%s is a label of the same image; leave one", convert.Display(other))
}

// linesIn counts the lines of a label that is not taken.
func linesIn(label string) int {
	data, err := source.ReadInto(nil, label, source.MaxLabels)
	if err != nil {
		return 0
	}
	return countLines(data)
}

// name says which image an item is for, whose file has a name. Both paths that it
// may have are one text where one of them ends with the other, as they mostly do.
func (f *labelFolder) name(item *convert.Item, image string) {
	if f.pair.Bare == f.pair.WithImages {
		item.Image = f.pair.Bare + image
		return
	}
	alias := f.pair.WithImages + image
	item.Aliases = []string{alias}
	if strings.HasSuffix(f.pair.WithImages, f.pair.Bare) {
		item.Image = alias[len(f.pair.WithImages)-len(f.pair.Bare):]
	} else {
		item.Image = f.pair.Bare + image
	}
}
