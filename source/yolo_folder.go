package source

import (
	"fmt"
	"path"
	"path/filepath"
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

	labels *folder
	images []imageFolder
}

// imageFolder is a folder that may hold the images of labels.
type imageFolder struct {
	*folder
	entries *entries
}

// enter makes it the folder of the labels in dir, which ends with a slash unless it
// is "".
func (f *labelFolder) enter(dir string) {
	if f.known && dir == f.dir {
		return
	}
	f.leave()
	rel := strings.TrimSuffix(join(f.part.rel, dir), "/")
	bare, withImages := imageDirs(rel)
	f.known, f.dir = true, dir
	f.file, f.bare, f.withImages = asPrefix(join(f.prefix, rel)), asPrefix(bare), asPrefix(withImages)
	f.labels = &folder{path: filepath.Join(f.part.path, filepath.FromSlash(dir))}
	f.images = f.images[:0]
	for _, path := range f.imageFolders(bare, withImages) {
		entries, err := f.listings.read(path)
		if err != nil {
			continue
		}
		place := f.labels
		if path != f.labels.path {
			place = &folder{path: path}
		}
		place.enter(len(entries.list))
		f.images = append(f.images, imageFolder{place, entries})
	}
}

// leave ends what enter began.
func (f *labelFolder) leave() {
	for _, folder := range f.images {
		folder.leave()
	}
}

// asPrefix is a folder as what stands before the names in it.
func asPrefix(dir string) string {
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		return ""
	}
	return dir + "/"
}

// imageFolders are the folders on disk that images are looked for in: the folder of
// images if one was given, then "images" for "labels", then that of the labels.
func (f *labelFolder) imageFolders(bare, withImages string) (paths []string) {
	if f.yolo.images != "" {
		for _, dir := range []string{bare, withImages, ""} {
			paths = append(paths, filepath.Join(f.yolo.images, filepath.FromSlash(dir)))
		}
	}
	if beside, found := replaceLast(filepath.ToSlash(f.labels.path), "labels", "images"); found {
		paths = append(paths, filepath.FromSlash(beside))
	}
	return append(paths, f.labels.path)
}

// item is the item of a label file; ok is false where the file is none.
func (f *labelFolder) item(file string) (item Item, ok bool) {
	dir, name := path.Split(file)
	f.enter(dir)
	item = Item{File: f.file + name}
	bareName := stem(name)
	image, err := f.image(bareName)
	if image.name == "" && err == nil && notLabels[strings.ToLower(name)] {
		if name := strings.ToLower(name); name != "classes.txt" {
			f.reporter.report(finding{Kind: convert.KindSkippedFile, File: item.File, Reason: "it is named like a list and no image has its name", Action: "it was passed over"})
		}
		return Item{}, false
	}
	if ext := path.Ext(image.name); len(bareName)+len(ext) == len(image.name) && ext != "" {
		f.name(&item, bareName+ext)
	} else {
		f.yolo.name(&item, f.bare+bareName, f.withImages+bareName, image.name)
	}
	item.place = yoloPlace{label: fileOnDisk{folder: f.labels, name: item.File[len(f.file):]}, image: image}
	switch {
	case err != nil:
		item.Err = err
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
func (f *labelFolder) image(name string) (fileOnDisk, error) {
	for _, folder := range f.images {
		switch image, others := imagesNamed(folder.entries, name); {
		case image.name == "":
			continue
		case len(others) == 0:
			image.folder = folder.folder
			return image, nil
		default:
			return fileOnDisk{}, fmt.Errorf("the label is for several images: %s; give each a label of its own", strings.Join(append([]string{image.name}, others...), ", "))
		}
	}
	return fileOnDisk{}, nil
}

// imagesNamed are the images among entries that have a name without extension: the
// first, and where there are more the others.
func imagesNamed(all *entries, name string) (first fileOnDisk, others []string) {
	for _, e := range all.from(name) {
		if full := all.bytes(e); len(full) < len(name) || string(full[:len(name)]) != name {
			break
		}
		switch full := all.name(e); {
		case !isImageName(full) || stem(full) != name || e.kind == folderEntry:
		case first.name == "":
			first = fileOnDisk{name: full, listed: e.kind == regularEntry}
		default:
			others = append(others, full)
		}
	}
	return first, others
}
