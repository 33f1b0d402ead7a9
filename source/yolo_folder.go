package source

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"pictosync/convert"
)

// labelFolder makes the items of a part's label files. What the labels of one
// folder have in common, the folders of their images first of all, is found once for
// all that come one after the other.
type labelFolder struct {
	*yolo
	part yoloPart

	known bool
	dir   string // slash-separated, relative to the part
	// What stands before a name in an item's file and in the paths of its image.
	file, bare, withImages string

	labels     string   // the folder on disk
	labelNames *entries // nil where they cannot be read
	err        error    // of all its labels
	odd        bool     // some labels may be spelled otherwise than their images
	images     []imageFolder
}

// imageFolder is a folder that may hold the images of labels.
type imageFolder struct {
	path    string
	entries *entries
	// alias stands before a name in a further path that the image may have.
	alias string
	// folded are the images by what is left of their names without letter case; made
	// when first needed.
	folded map[string]string
	// spellings are the images whose names may be spelled otherwise, by what their
	// spellings have in common; made when first needed.
	spellings map[string][]string
}

// enter makes it the folder of the labels in dir, which ends with a slash unless it
// is "".
func (f *labelFolder) enter(dir string) {
	if f.known && dir == f.dir {
		return
	}
	rel := strings.TrimSuffix(join(f.part.rel, dir), "/")
	bare, withImages := imageDirs(rel)
	f.known, f.dir = true, dir
	f.file, f.bare, f.withImages = asPrefix(join(f.prefix, rel)), asPrefix(bare), asPrefix(withImages)
	f.labels = filepath.Join(f.part.path, filepath.FromSlash(dir))
	f.images = f.images[:0]
	for _, path := range f.imageFolders(bare, withImages) {
		entries, err := f.listings.read(path)
		if err != nil {
			if path = respelled(path); path == "" {
				continue
			}
			if entries, err = f.listings.read(path); err != nil {
				continue
			}
		}
		f.images = append(f.images, imageFolder{path: path, entries: entries, alias: f.aliasOf(path)})
	}
	f.labelNames, f.odd = nil, false
	if entries, err := f.listings.read(f.labels); err == nil {
		f.labelNames, f.odd = entries, hasOddLabels(entries)
	}
	f.tellUnlabelled()
	f.checkClassList()
}

// checkClassList holds a class list among the labels against that of the data set.
func (f *labelFolder) checkClassList() {
	f.err = f.classListsIn(f.labels, f.file, f.labelNames.has)
}

// classListsIn holds the class lists in a folder of labels, which messages call by a
// prefix, against that of the data set. Labels beside another list are numbered by that
// one, unless a flag says what all are numbered by.
func (y *yolo) classListsIn(folder, prefix string, has func(name string) bool) error {
	if yoloFlags(y.options).ClassList != "" {
		return nil
	}
	for _, name := range classLists[:3] {
		file := filepath.Join(folder, name)
		if !has(name) || file == y.classList {
			continue
		}
		lines, err := classLines(file)
		if err != nil || areLabels(lines) || y.sameClasses(lines) {
			continue
		}
		differs := contradiction(y.convert.Classes, numbered(lines))
		switch {
		case !y.described:
			return fmt.Errorf("%s names other classes than %s; say which is right with --class-list", display(prefix+name), display(relativePrefix(y.root, y.classList)))
		case differs != "":
			return fmt.Errorf("%s names other classes than the data set's description: %s; say which is right with --class-list", display(prefix+name), differs)
		}
		y.reporter.report(convert.Finding{Kind: convert.KindClassList, File: prefix + name, Reason: "it has more or fewer classes than the data set", Action: "those of the data set were taken"})
	}
	return nil
}

func (y *yolo) sameClasses(lines []string) bool {
	count := 0
	for i, name := range lines {
		if name == "" {
			continue
		}
		if y.convert.Classes[i] != name {
			return false
		}
		count++
	}
	return count == len(y.convert.Classes)
}

// aliasOf is what stands before the names of a folder of images in a further path of
// these, "" where that is none that labels give anyway.
func (f *labelFolder) aliasOf(path string) string {
	rel := asPrefix(relative(f.root, path))
	if path == f.labels || rel == f.bare || rel == f.withImages || f.yolo.images != "" {
		return ""
	}
	return rel
}

// imageFolders are the folders on disk that images are looked for in: the folder of
// images if one was given, then "images" for "labels", then that of the labels.
func (f *labelFolder) imageFolders(bare, withImages string) (paths []string) {
	if f.yolo.images != "" {
		for _, dir := range []string{bare, withImages, ""} {
			paths = append(paths, filepath.Join(f.yolo.images, filepath.FromSlash(dir)))
		}
	}
	if beside, found := replaceLast(filepath.ToSlash(f.labels), "labels", "images"); found {
		paths = append(paths, filepath.FromSlash(beside))
		if !isFolder(paths[len(paths)-1]) {
			paths = append(paths, f.otherImageFolders()...)
		}
	} else {
		paths = append(paths, f.otherImageFolders()...)
	}
	return append(paths, f.labels)
}

// otherImageFolders are those with another name than "images" that stand where
// "labels" does.
func (f *labelFolder) otherImageFolders() (paths []string) {
	parts := strings.Split(filepath.ToSlash(f.labels), "/")
	rootParts := len(strings.Split(filepath.ToSlash(filepath.Clean(f.root)), "/"))
	if filepath.Clean(f.root) == "." {
		rootParts = 0
	}
	for i := len(parts) - 1; i > 0; i-- {
		if !slices.Contains(labelFolderNames, parts[i]) || i < rootParts {
			continue
		}
		parent := filepath.FromSlash(strings.Join(parts[:i], "/"))
		entries, err := f.listings.read(parent)
		if err != nil {
			return nil
		}
		for _, e := range entries.list {
			if name := entries.name(e); isImageFolder(name) {
				paths = append(paths, filepath.Join(append([]string{parent, name}, parts[i+1:]...)...))
			}
		}
		return paths
	}
	return nil
}

// item is the item of a label file; ok is false where the file is none.
func (f *labelFolder) item(file string) (item Item, ok bool) {
	dir, name := path.Split(file)
	f.enter(dir)
	if f.classList != "" && filepath.Join(f.labels, name) == f.classList {
		return Item{}, false
	}
	item = Item{File: f.file + name}
	bareName := stem(name)
	folder, image, err := f.image(bareName)
	if image == "" && err == nil && notLabels[strings.ToLower(name)] {
		if name := strings.ToLower(name); name != "classes.txt" {
			f.reporter.report(convert.Finding{Kind: convert.KindSkippedFile, File: item.File, Reason: "it is named like a list and no image has its name", Action: "it was passed over"})
		}
		return Item{}, false
	}
	if image == "" && err == nil && f.odd {
		if folder, image, err = f.oddImage(bareName); image != "" {
			bareName = stem(image)
		}
	}
	switch ext := path.Ext(image); {
	case len(bareName)+len(ext) == len(image) && ext != "":
		f.name(&item, bareName+ext)
	case image == "" && isImageName(bareName):
		// a.png.txt is for a.png, and names it whole.
		f.name(&item, bareName)
	default:
		f.yolo.name(&item, f.bare+bareName, f.withImages+bareName, image)
	}
	place := yoloPlace{label: filepath.Join(f.labels, name)}
	if image != "" {
		place.image = filepath.Join(folder.path, image)
		if folder.alias != "" {
			item.Aliases = append(item.Aliases, folder.alias+image)
		}
	} else {
		place.near = f.near(bareName)
	}
	item.place = place
	switch {
	case err != nil:
		item.Err = err
	case f.err != nil:
		item.Err = f.err
	case name[len(name)-1] != 't' && f.labelNames.has(bareName+".txt"):
		item.Err = fmt.Errorf("%s is a label of the same image; leave one", display(f.file+bareName+".txt"))
	case !utf8.ValidString(file) || !utf8.ValidString(f.part.rel):
		rel := join(f.part.rel, file)
		item.Image = strings.ToValidUTF8(item.Image, "\ufffd")
		item.File = strings.ToValidUTF8(item.File, "\ufffd")
		item.Err = fmt.Errorf("the name %s is not UTF-8, so no image of a dataset can have it; rename the file", display(rel))
	}
	return item, true
}

// name says which image an item is for, whose file has a name. Both paths that it
// may have are one text where one of them ends with the other, as they mostly do.
func (f *labelFolder) name(item *Item, image string) {
	if f.bare == f.withImages {
		item.Image = f.bare + image
		return
	}
	alias := f.withImages + image
	item.Aliases = []string{alias}
	if strings.HasSuffix(f.withImages, f.bare) {
		item.Image = alias[len(f.withImages)-len(f.bare):]
	} else {
		item.Image = f.bare + image
	}
}

// image finds the image file of the label of a name without extension. Two images of
// one name in a folder are an error: nothing tells whose the label is.
func (f *labelFolder) image(name string) (folder *imageFolder, image string, err error) {
	for i := range f.images {
		folder := &f.images[i]
		switch image, others := imagesNamed(folder.entries, name); {
		case image == "":
			continue
		case len(others) == 0:
			return folder, image, nil
		default:
			return nil, "", severalImages(append([]string{image}, others...))
		}
	}
	return nil, "", nil
}

func severalImages(names []string) error {
	return fmt.Errorf("the label is for several images: %s; give each a label of its own", strings.Join(names, ", "))
}

// oddImage finds the image of a label that no image has the very name of: that of
// a.png.txt, and those whose name is spelled with other code points, or with percent
// signs. An image that has a label of its very name too is an error.
func (f *labelFolder) oddImage(name string) (folder *imageFolder, image string, err error) {
	for i := range f.images {
		folder := &f.images[i]
		var found []string
		if isImageName(name) && folder.entries.has(name) {
			found = []string{name}
		} else if found = folder.spelled(spelling(name)); len(found) == 0 && isImageName(name) {
			for _, other := range folder.spelled(spelling(stem(name))) {
				if spelling(other) == spelling(name) {
					found = append(found, other)
				}
			}
		}
		switch {
		case len(found) == 0:
			continue
		case len(found) > 1:
			return nil, "", severalImages(found)
		}
		for _, other := range []string{stem(found[0]) + ".txt", stem(found[0]) + ".TXT"} {
			if f.labelNames.has(other) {
				return folder, found[0], fmt.Errorf("its image %s has another label, %s; leave one", display(found[0]), display(f.file+other))
			}
		}
		return folder, found[0], nil
	}
	return nil, "", nil
}

// spelled are the images that a name in any spelling is for.
func (f *imageFolder) spelled(name string) []string {
	if f.spellings == nil {
		f.spellings = make(map[string][]string)
		for _, e := range f.entries.list {
			if image := f.entries.name(e); e.kind != folderEntry && isImageName(image) {
				if plain := stem(image); isOdd(plain) || strings.ContainsAny(plain, " +&'()[],;@=#!~") {
					key := spelling(plain)
					f.spellings[key] = append(f.spellings[key], image)
				}
			}
		}
	}
	return f.spellings[name]
}

// near is an image whose name differs from a label's in letter case alone, which is
// told and not taken; "" if there is none.
func (f *labelFolder) near(name string) string {
	for i := range f.images {
		folder := &f.images[i]
		if folder.folded == nil {
			folder.folded = make(map[string]string)
			for _, e := range folder.entries.list {
				if isImageBytes(folder.entries.bytes(e)) {
					image := folder.entries.name(e)
					folder.folded[strings.ToLower(spelling(stem(image)))] = image
				}
			}
		}
		if len(folder.folded) == 0 {
			continue
		}
		if image := folder.folded[strings.ToLower(spelling(name))]; image != "" {
			return image
		}
	}
	return ""
}

// hasOddLabels reports whether a folder has labels whose images may be spelled
// otherwise.
func hasOddLabels(all *entries) bool {
	for _, e := range all.list {
		name := all.bytes(e)
		if len(name) < len(".txt") || name[len(name)-4] != '.' || name[len(name)-1]|0x20 != 't' {
			continue
		}
		if plain := name[:len(name)-4]; isOdd(plain) || isImageBytes(plain) {
			return true
		}
	}
	return false
}

// mostUnlabelled is how many images without labels of one folder are named; of more
// only the count is told.
const mostUnlabelled = 100

// tellUnlabelled tells of the images in the folder's counterpart that have no label,
// once a folder.
func (f *labelFolder) tellUnlabelled() {
	if f.labelNames == nil || !f.told.first(f.labels) {
		return
	}
	count := 0
	for i := range f.images {
		folder := &f.images[i]
		if f.yolo.images != "" && folder.path != f.labels && i > 0 {
			continue // a folder that the user names may hold those of other labels
		}
		labels := f.labelNames.list
		for _, e := range folder.entries.list {
			name := folder.entries.bytes(e)
			if e.kind == folderEntry || !isImageBytes(name) {
				continue
			}
			dot := bytes.LastIndexByte(name, '.')
			for len(labels) > 0 && bytes.Compare(f.labelNames.bytes(labels[0]), name[:dot+1]) < 0 {
				labels = labels[1:]
			}
			if f.hasLabel(labels, name, dot) {
				continue
			}
			image := string(name)
			if !f.filter.takes(f.bare+image, f.file+image) || f.odd && f.spelledLabel(image) {
				continue
			}
			if count++; count <= mostUnlabelled {
				f.reporter.report(convert.Finding{Kind: convert.KindUnlabelled, Image: f.bare + image, Reason: "the image has no label file", Action: "it was left alone"})
			}
		}
	}
	if more := count - mostUnlabelled; more > 0 {
		f.reporter.report(convert.Finding{Kind: convert.KindUnlabelled, Count: more, File: strings.TrimSuffix(f.file, "/"), Reason: fmt.Sprintf("%d more images have no label file", more), Action: "they were left alone"})
	}
}

// hasLabel reports whether one of the labels, which begin where the image's would be,
// has the image's name, with its extension or without.
func (f *labelFolder) hasLabel(labels []entry, image []byte, dot int) bool {
	for _, l := range labels {
		name := f.labelNames.bytes(l)
		if len(name) <= dot || !bytes.Equal(name[:dot+1], image[:dot+1]) {
			return false
		}
		if rest := name[dot+1:]; len(rest) == 3 && bytes.EqualFold(rest, []byte("txt")) {
			return true
		}
		if len(name) == len(image)+4 && bytes.HasPrefix(name, image) && bytes.EqualFold(name[len(image):], []byte(".txt")) {
			return true
		}
	}
	return false
}

// spelledLabel reports whether a label is for the image in another spelling.
func (f *labelFolder) spelledLabel(image string) bool {
	key, full := spelling(stem(image)), spelling(image)
	for _, e := range f.labelNames.list {
		if name := f.labelNames.name(e); isLabelName(name) {
			if plain := spelling(stem(name)); plain == key || plain == full {
				return true
			}
		}
	}
	return false
}

// isImageBytes is isImageName.
func isImageBytes(name []byte) bool {
	dot := bytes.LastIndexByte(name, '.')
	const longest = 5
	if dot < 0 || len(name)-dot > longest {
		return false
	}
	var ext [longest]byte
	n := copy(ext[:], name[dot:])
	for i := range ext {
		if 'A' <= ext[i] && ext[i] <= 'Z' {
			ext[i] |= 0x20
		}
	}
	return imageExtensions[string(ext[:n])]
}

// imagesNamed are the images among entries that have a name without extension: the
// first, and where there are more the others.
func imagesNamed(all *entries, name string) (first string, others []string) {
	for _, e := range all.from(name) {
		if full := all.bytes(e); len(full) < len(name) || string(full[:len(name)]) != name {
			break
		}
		switch full := all.name(e); {
		case !isImageName(full) || stem(full) != name || e.kind == folderEntry:
		case first == "":
			first = full
		default:
			others = append(others, full)
		}
	}
	return first, others
}
