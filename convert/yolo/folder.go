package yolo

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"pictosync/convert"
	"pictosync/source"
)

// labelFolder makes the items of a part's label files. What the labels of one
// folder have in common, the folders of their images first of all, is found once for
// all that come one after the other.
type labelFolder struct {
	*dataset
	part labelPart

	known bool
	dir   string // slash-separated, relative to the part
	// What stands before a name in an item's file and in the paths of its image.
	file, bare, withImages string

	labels     string          // the folder on disk
	labelNames *source.Entries // nil where they cannot be read
	err        error           // of all its labels
	odd        bool            // some labels may be spelled otherwise than their images
	images     []imageFolder
}

// imageFolder is a folder that may hold the images of labels.
type imageFolder struct {
	path    string
	entries *source.Entries
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
	rel := strings.TrimSuffix(source.Join(f.part.rel, dir), "/")
	bare, withImages := imageDirs(rel)
	f.known, f.dir = true, dir
	f.file, f.bare, f.withImages = source.AsPrefix(source.Join(f.prefix, rel)), source.AsPrefix(bare), source.AsPrefix(withImages)
	f.labels = filepath.Join(f.part.path, filepath.FromSlash(dir))
	f.images = f.images[:0]
	for _, path := range f.imageFolders(bare, withImages) {
		entries, err := f.listings.Read(path)
		if err != nil {
			if path = source.Respelled(path); path == "" {
				continue
			}
			if entries, err = f.listings.Read(path); err != nil {
				continue
			}
		}
		f.images = append(f.images, imageFolder{path: path, entries: entries, alias: f.aliasOf(path)})
	}
	f.labelNames, f.odd = nil, false
	if entries, err := f.listings.Read(f.labels); err == nil {
		f.labelNames, f.odd = entries, hasOddLabels(entries)
	}
	f.tellUnlabelled()
	f.checkClassList()
}

// checkClassList holds a class list among the labels against that of the data set.
func (f *labelFolder) checkClassList() {
	f.err = f.classListsIn(f.labels, f.file, f.labelNames.Has)
}

// classListsIn holds the class lists in a folder of labels, which messages call by a
// prefix, against that of the data set. Labels beside another list are numbered by that
// one, unless a flag says what all are numbered by.
func (y *dataset) classListsIn(folder, prefix string, has func(name string) bool) error {
	if flagsOf(y.Options).ClassList != "" {
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
			return fmt.Errorf("%s names other classes than %s; say which is right with --class-list", convert.Display(prefix+name), convert.Display(relativePrefix(y.root, y.classList)))
		case differs != "":
			return fmt.Errorf("%s names other classes than the data set's description: %s; say which is right with --class-list", convert.Display(prefix+name), differs)
		}
		y.Reporter.Report(convert.Finding{Kind: convert.KindClassList, File: prefix + name, Reason: "it has more or fewer classes than the data set", Action: "those of the data set were taken"})
	}
	return nil
}

func (y *dataset) sameClasses(lines []string) bool {
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
	rel := source.AsPrefix(relative(f.root, path))
	if path == f.labels || rel == f.bare || rel == f.withImages || f.dataset.Images != "" {
		return ""
	}
	return rel
}

// imageFolders are the folders on disk that images are looked for in: the folder of
// images if one was given, then "images" for "labels", then that of the labels.
func (f *labelFolder) imageFolders(bare, withImages string) (paths []string) {
	if f.dataset.Images != "" {
		for _, dir := range []string{bare, withImages, ""} {
			paths = append(paths, filepath.Join(f.dataset.Images, filepath.FromSlash(dir)))
		}
	}
	if beside, found := source.ReplaceLast(filepath.ToSlash(f.labels), "labels", "images"); found {
		paths = append(paths, filepath.FromSlash(beside))
		if !source.IsFolder(paths[len(paths)-1]) {
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
		if !slices.Contains(source.LabelFolderNames, parts[i]) || i < rootParts {
			continue
		}
		parent := filepath.FromSlash(strings.Join(parts[:i], "/"))
		entries, err := f.listings.Read(parent)
		if err != nil {
			return nil
		}
		for _, e := range entries.List {
			if name := entries.Name(e); source.IsImageFolder(name) {
				paths = append(paths, filepath.Join(append([]string{parent, name}, parts[i+1:]...)...))
			}
		}
		return paths
	}
	return nil
}

// item is the item of a label file; ok is false where the file is none.
func (f *labelFolder) item(file string) (item convert.Item, ok bool) {
	dir, name := path.Split(file)
	f.enter(dir)
	if f.classList != "" && filepath.Join(f.labels, name) == f.classList {
		return convert.Item{}, false
	}
	item = convert.Item{File: f.file + name}
	bareName := source.Stem(name)
	folder, image, err := f.image(bareName)
	if image == "" && err == nil && source.NotLabels[strings.ToLower(name)] {
		if name := strings.ToLower(name); name != "classes.txt" {
			f.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: item.File, Reason: "it is named like a list and no image has its name", Action: "it was passed over"})
		}
		return convert.Item{}, false
	}
	if image == "" && err == nil && f.odd {
		if folder, image, err = f.oddImage(bareName); image != "" {
			bareName = source.Stem(image)
		}
	}
	switch ext := path.Ext(image); {
	case len(bareName)+len(ext) == len(image) && ext != "":
		f.name(&item, bareName+ext)
	case image == "" && source.IsImageName(bareName):
		// a.png.txt is for a.png, and names it whole.
		f.name(&item, bareName)
	default:
		f.dataset.name(&item, f.bare+bareName, f.withImages+bareName, image)
	}
	place := place{label: filepath.Join(f.labels, name)}
	if image != "" {
		place.image = filepath.Join(folder.path, image)
		if folder.alias != "" {
			item.Aliases = append(item.Aliases, folder.alias+image)
		}
	} else {
		place.near = f.near(bareName)
	}
	item.Place = place
	switch {
	case err != nil:
		item.Err = err
	case f.err != nil:
		item.Err = f.err
	case name[len(name)-1] != 't' && f.labelNames.Has(bareName+".txt"):
		item.Err = fmt.Errorf("%s is a label of the same image; leave one", convert.Display(f.file+bareName+".txt"))
	case !utf8.ValidString(file) || !utf8.ValidString(f.part.rel):
		rel := source.Join(f.part.rel, file)
		item.Image = strings.ToValidUTF8(item.Image, "\ufffd")
		item.File = strings.ToValidUTF8(item.File, "\ufffd")
		item.Err = fmt.Errorf("the name %s is not UTF-8, so no image of a dataset can have it; rename the file", convert.Display(rel))
	}
	return item, true
}

// Name says which image an item is for, whose file has a name. Both paths that it
// may have are one text where one of them ends with the other, as they mostly do.
func (f *labelFolder) name(item *convert.Item, image string) {
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
		if source.IsImageName(name) && folder.entries.Has(name) {
			found = []string{name}
		} else if found = folder.spelled(source.Spelling(name)); len(found) == 0 && source.IsImageName(name) {
			for _, other := range folder.spelled(source.Spelling(source.Stem(name))) {
				if source.Spelling(other) == source.Spelling(name) {
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
		for _, other := range []string{source.Stem(found[0]) + ".txt", source.Stem(found[0]) + ".TXT"} {
			if f.labelNames.Has(other) {
				return folder, found[0], fmt.Errorf("its image %s has another label, %s; leave one", convert.Display(found[0]), convert.Display(f.file+other))
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
		for _, e := range f.entries.List {
			if image := f.entries.Name(e); e.Kind != source.FolderEntry && source.IsImageName(image) {
				if plain := source.Stem(image); source.IsOdd(plain) || strings.ContainsAny(plain, " +&'()[],;@=#!~") {
					key := source.Spelling(plain)
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
			for _, e := range folder.entries.List {
				if isImageBytes(folder.entries.Bytes(e)) {
					image := folder.entries.Name(e)
					folder.folded[strings.ToLower(source.Spelling(source.Stem(image)))] = image
				}
			}
		}
		if len(folder.folded) == 0 {
			continue
		}
		if image := folder.folded[strings.ToLower(source.Spelling(name))]; image != "" {
			return image
		}
	}
	return ""
}

// hasOddLabels reports whether a folder has labels whose images may be spelled
// otherwise.
func hasOddLabels(all *source.Entries) bool {
	for _, e := range all.List {
		name := all.Bytes(e)
		if len(name) < len(".txt") || name[len(name)-4] != '.' || name[len(name)-1]|0x20 != 't' {
			continue
		}
		if plain := name[:len(name)-4]; source.IsOdd(plain) || isImageBytes(plain) {
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
		if f.dataset.Images != "" && folder.path != f.labels && i > 0 {
			continue // a folder that the user names may hold those of other labels
		}
		labels := f.labelNames.List
		for _, e := range folder.entries.List {
			name := folder.entries.Bytes(e)
			if e.Kind == source.FolderEntry || !isImageBytes(name) {
				continue
			}
			dot := bytes.LastIndexByte(name, '.')
			for len(labels) > 0 && bytes.Compare(f.labelNames.Bytes(labels[0]), name[:dot+1]) < 0 {
				labels = labels[1:]
			}
			if f.hasLabel(labels, name, dot) {
				continue
			}
			image := string(name)
			if !f.Filter.Takes(f.bare+image, f.file+image) || f.odd && f.spelledLabel(image) {
				continue
			}
			if count++; count <= mostUnlabelled {
				f.Reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, Image: f.bare + image, Reason: "the image has no label file", Action: "it was left alone"})
			}
		}
	}
	if more := count - mostUnlabelled; more > 0 {
		f.Reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, Count: more, File: strings.TrimSuffix(f.file, "/"), Reason: fmt.Sprintf("%d more images have no label file", more), Action: "they were left alone"})
	}
}

// hasLabel reports whether one of the labels, which begin where the image's would be,
// has the image's name, with its extension or without.
func (f *labelFolder) hasLabel(labels []source.Entry, image []byte, dot int) bool {
	for _, l := range labels {
		name := f.labelNames.Bytes(l)
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
	key, full := source.Spelling(source.Stem(image)), source.Spelling(image)
	for _, e := range f.labelNames.List {
		if name := f.labelNames.Name(e); source.IsLabelName(name) {
			if plain := source.Spelling(source.Stem(name)); plain == key || plain == full {
				return true
			}
		}
	}
	return false
}

// isImageBytes is IsImageName.
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
	return source.ImageExtensions[string(ext[:n])]
}

// imagesNamed are the images among entries that have a name without extension: the
// first, and where there are more the others.
func imagesNamed(all *source.Entries, name string) (first string, others []string) {
	for _, e := range all.From(name) {
		if full := all.Bytes(e); len(full) < len(name) || string(full[:len(name)]) != name {
			break
		}
		switch full := all.Name(e); {
		case !source.IsImageName(full) || source.Stem(full) != name || e.Kind == source.FolderEntry:
		case first == "":
			first = full
		default:
			others = append(others, full)
		}
	}
	return first, others
}
