package source

import (
	"bytes"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
)

// LabelFolder pairs the labels of one folder with their images: it is what formats share
// that keep one label file an image. Which folders may hold the images, the format says. What
// the labels of a folder have in common is found once for all that come one after the other.
type LabelFolder struct {
	Files
	Root     string // of the data set, on disk
	Ext      string // of label files, in lower case with the dot
	Listings *Listings
	// Once reports whether a folder is met for the first time, so that its images without
	// labels are told of once.
	Once func(folder string) bool
	// Elsewhere are the folders on disk where labels of the images in one may lie besides.
	Elsewhere func(images string) []string

	Path string // of the labels, on disk
	// File, Bare and WithImages stand before a name in a label's file, and in the two paths
	// that its image may have.
	File, Bare, WithImages string
	Names                  *Entries // of the labels; nil where they cannot be read

	odd    bool // some labels may be spelled otherwise than their images
	double bool // some images may have two labels
	images []ImageFolder
	shared bool // some folder is
	sole   bool // no folder that is not shared is for images but that of the labels
	// splits are the folders of images of other splits; nil before they were looked for.
	splits []ImageFolder
	// labels are the labels by what their spellings, and those of their images, have in
	// common; made when first needed.
	labels map[string][]string
}

// ImageFolder is a folder that may hold the images of labels.
type ImageFolder struct {
	Path string // on disk
	// Other says that it is one of several that may be meant.
	Other bool
	// Shared says that images of other labels lie there too. Where another folder is for
	// images, these are no more than what a label may be for.
	Shared bool

	entries *Entries
	// alias stands before a name in a further path that the image may have.
	alias string
	// folded are the images by what is left of their names without letter case; made
	// when first needed.
	folded map[string]string
	// spellings are the images whose names may be spelled otherwise, by what their
	// spellings have in common; made when first needed.
	spellings map[string][]string
}

// Enter makes it a folder of labels, whose images may lie in folders, the best first.
func (f *LabelFolder) Enter(path, file, bare, withImages string, images []ImageFolder) {
	f.Path, f.File, f.Bare, f.WithImages = path, AsPrefix(file), AsPrefix(bare), AsPrefix(withImages)
	f.images, f.shared, f.sole, f.splits = f.images[:0], false, true, nil
	for _, folder := range images {
		entries, err := f.Listings.Read(folder.Path)
		if err != nil {
			if folder.Path = respelled(folder.Path); folder.Path == "" {
				continue
			}
			if entries, err = f.Listings.Read(folder.Path); err != nil {
				continue
			}
		}
		folder.entries, folder.alias = entries, f.aliasOf(folder.Path)
		f.images = append(f.images, folder)
		f.shared = f.shared || folder.Shared
		f.sole = f.sole && (folder.Shared || folder.Path == f.Path)
	}
	f.Names, f.odd, f.double, f.labels = nil, false, false, nil
	if entries, err := f.Listings.Read(f.Path); err == nil {
		f.Names = entries
		f.lookAtNames()
	}
	f.tellUnlabelled()
}

// Image finds the image of the label of a name without extension: its file on disk, its name,
// and a further path that it may have in a dataset; "" where there is none.
func (f *LabelFolder) Image(name string) (file, image, alias string, err error) {
	folder, image, err := f.image(name)
	if image == "" && err == nil && f.odd {
		folder, image, err = f.oddImage(name)
	}
	if image == "" {
		return "", "", "", err
	}
	if folder.alias != "" {
		alias = folder.alias + image
	}
	return filepath.Join(folder.Path, image), image, alias, err
}

// ImageFolders are those that hold the images of the labels entered, as far as they are there.
func (f *LabelFolder) ImageFolders() (folders []ImageFolder) {
	for _, folder := range f.images {
		if !folder.Shared || f.sole {
			folders = append(folders, folder)
		}
	}
	return folders
}

// image finds the image file of the label of a name without extension. Two images of
// one name in a folder are an error: nothing tells whose the label is.
func (f *LabelFolder) image(name string) (folder *ImageFolder, image string, err error) {
	for i := range f.images {
		folder := &f.images[i]
		switch image, others := imagesNamed(folder.entries, name); {
		case image == "":
			continue
		case len(others) == 0:
			if IsImageName(name) && folder.entries.Has(name) && f.Names != nil && !f.Names.Has(Stem(name)+f.Ext) {
				return nil, "", severalImages([]string{name, image}) // by the one's whole name, and the other's without extension
			}
			if f.Images == "" && (folder.Other || f.shared) {
				if two := f.alsoIn(f.images[i:], name); len(two) > 1 {
					return nil, "", severalImages(two)
				}
			}
			return folder, image, nil
		default:
			return nil, "", severalImages(append([]string{image}, others...))
		}
	}
	return nil, "", nil
}

// alsoIn are the images of a name in the first of folders, and in the others of which several
// may be meant.
func (f *LabelFolder) alsoIn(folders []ImageFolder, name string) (images []string) {
	for i, folder := range folders {
		if image, _ := imagesNamed(folder.entries, name); image != "" && (i == 0 || folder.Other && folder.Path != f.Path) {
			images = append(images, Join(Relative(f.Root, folder.Path), image))
		}
	}
	return images
}

func severalImages(names []string) error {
	return fmt.Errorf("the label is for several images: %s; give each a label of its own", strings.Join(names, ", "))
}

// oddImage finds the image of a label that no image has the very name of: that of
// a.png.txt, and those whose name is spelled with other code points, or with percent
// signs.
func (f *LabelFolder) oddImage(name string) (folder *ImageFolder, image string, err error) {
	for i := range f.images {
		folder := &f.images[i]
		var found []string
		if IsImageName(name) && folder.entries.Has(name) {
			found = []string{name}
		} else if found = folder.spelled(Spelling(name)); len(found) == 0 && IsImageName(name) {
			for _, other := range folder.spelled(Spelling(Stem(name))) {
				if Spelling(other) == Spelling(name) {
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
		return folder, found[0], nil
	}
	return nil, "", nil
}

// spelled are the images that a name in any spelling is for.
func (f *ImageFolder) spelled(name string) []string {
	if f.spellings == nil {
		f.spellings = make(map[string][]string)
		for _, e := range f.entries.List {
			if image := f.entries.Name(e); e.Kind != FolderEntry && IsImageName(image) {
				if plain := Stem(image); isOdd(plain) || strings.ContainsAny(plain, " +&'()[],;@=#!~") {
					key := Spelling(plain)
					f.spellings[key] = append(f.spellings[key], image)
				}
			}
		}
	}
	return f.spellings[name]
}

// Near is an image whose name differs from a label's in letter case alone, which is
// told and not taken; "" if there is none.
func (f *LabelFolder) Near(name string) string {
	for i := range f.images {
		folder := &f.images[i]
		if folder.folded == nil {
			folder.folded = make(map[string]string)
			for _, e := range folder.entries.List {
				if isImageBytes(folder.entries.Bytes(e)) {
					image := folder.entries.Name(e)
					folder.folded[strings.ToLower(Spelling(Stem(image)))] = image
				}
			}
		}
		if len(folder.folded) == 0 {
			continue
		}
		if image := folder.folded[strings.ToLower(Spelling(name))]; image != "" {
			return image
		}
	}
	return ""
}

// InOtherSplit is the image of a label's name among those of another split, by its path below
// the data set's folder, where images of the label's own split are there; "" if there is none.
func (f *LabelFolder) InOtherSplit(name string) string {
	if f.splits == nil {
		f.splits = f.otherSplits()
	}
	for _, folder := range f.splits {
		if image, _ := imagesNamed(folder.entries, name); image != "" {
			return Join(Relative(f.Root, folder.Path), image)
		}
	}
	return ""
}

// otherSplits are the folders that hold the images of other splits as those entered hold
// those of their own.
func (f *LabelFolder) otherSplits() []ImageFolder {
	found := make([]ImageFolder, 0)
	for _, own := range f.images {
		if own.Path == f.Path || f.Images != "" {
			continue
		}
		rel := Relative(f.Root, own.Path)
		base := strings.TrimSuffix(filepath.Clean(own.Path), filepath.FromSlash(rel))
		parts := strings.Split(rel, "/")
		for i, part := range parts {
			if !SplitNames[strings.ToLower(part)] {
				continue
			}
			for other := range SplitNames {
				path := filepath.Join(base, filepath.Join(slices.Concat(parts[:i], []string{other}, parts[i+1:])...))
				if strings.EqualFold(other, part) || !IsFolder(path) {
					continue
				}
				if entries, err := ReadEntries(path); err == nil {
					found = append(found, ImageFolder{Path: path, entries: entries})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b ImageFolder) int { return strings.Compare(a.Path, b.Path) })
	return found
}

// lookAtNames finds out whether labels may be spelled otherwise than their images, or be the
// second of one.
func (f *LabelFolder) lookAtNames() {
	for _, e := range f.Names.List {
		name := f.Names.Bytes(e)
		if len(name) < len(f.Ext) || !bytes.EqualFold(name[len(name)-len(f.Ext):], []byte(f.Ext)) {
			continue
		}
		plain := name[:len(name)-len(f.Ext)]
		f.odd = f.odd || isOdd(plain) || isImageBytes(plain)
		f.double = f.double || f.odd || string(name[len(plain):]) != f.Ext
	}
}

// Rival is another label of the image of a label, "" where there is none: nothing tells which
// of the two is right. image is its name, "" where the image is not there.
func (f *LabelFolder) Rival(label, image string) string {
	if !f.double || f.Names == nil {
		return ""
	}
	plain := Stem(label)
	names := []string{plain}
	if image != "" {
		names = []string{Stem(image), image}
	}
	for _, other := range f.labelsSpelled(names...) {
		if other == label {
			continue
		}
		stem := Stem(other)
		_, its, _, err := f.Image(stem)
		switch {
		case image != "" && (its == image || err != nil && stem == Stem(image)):
			return other
		case image == "" && its == "" && (stem == plain || stem == bareStem(plain) || bareStem(stem) == plain):
			return other
		}
	}
	return ""
}

// labelsSpelled are the labels that have the spelling of one of the names in common, apart from
// an extension of images.
func (f *LabelFolder) labelsSpelled(names ...string) (found []string) {
	if f.labels == nil {
		f.labels = make(map[string][]string)
		for _, e := range f.Names.List {
			if name := f.Names.Name(e); e.Kind != FolderEntry && strings.EqualFold(filepath.Ext(name), f.Ext) {
				key := bareStem(Spelling(Stem(name)))
				f.labels[key] = append(f.labels[key], name)
			}
		}
	}
	for _, name := range names {
		found = append(found, f.labels[bareStem(Spelling(name))]...)
	}
	return found
}

// bareStem is a name without the extension of an image.
func bareStem(name string) string {
	if IsImageName(name) {
		return Stem(name)
	}
	return name
}

// tellUnlabelled tells of the images in the folder's counterpart that have no label,
// once a folder.
func (f *LabelFolder) tellUnlabelled() {
	if f.Names == nil || !f.Once(f.Path) {
		return
	}
	count := 0
	for i := range f.images {
		folder := &f.images[i]
		if f.Images != "" && folder.Path != f.Path && i > 0 {
			continue // a folder that the user names may hold those of other labels
		}
		if folder.Shared && !f.sole || !f.Once("images "+folder.Path) {
			continue
		}
		for image := range f.unlabelled(folder) {
			if count++; count <= MostUnlabelled {
				f.Reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, Image: f.Bare + image, Reason: "the image has no label file", Action: "no annotations were taken for it"})
			}
		}
	}
	if more := count - MostUnlabelled; more > 0 {
		f.Reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, Count: more, File: strings.TrimSuffix(f.File, "/"), Reason: fmt.Sprintf("%d more images have no label file", more), Action: "no annotations were taken for them"})
	}
}

// unlabelled are the images of a folder that have no label. Labels and images are in one
// order, and are gone through side by side.
func (f *LabelFolder) unlabelled(folder *ImageFolder) iter.Seq[string] {
	return func(yield func(string) bool) {
		labels := f.Names.List
		var elsewhere []*Entries // made when first needed
		for _, e := range folder.entries.List {
			name := folder.entries.Bytes(e)
			if e.Kind == FolderEntry || !isImageBytes(name) {
				continue
			}
			dot := bytes.LastIndexByte(name, '.')
			for len(labels) > 0 && bytes.Compare(f.Names.Bytes(labels[0]), name[:dot+1]) < 0 {
				labels = labels[1:]
			}
			if f.hasLabel(labels, name, dot) {
				continue
			}
			image := string(name)
			if !f.Filter.Takes(f.Bare+image, f.File+image) || f.odd && f.spelledLabel(image) {
				continue
			}
			if elsewhere == nil {
				elsewhere = f.otherLabels(folder.Path)
			}
			if slices.ContainsFunc(elsewhere, func(names *Entries) bool { return hasLabelOf(names, image, f.Ext) }) {
				continue
			}
			if !yield(image) {
				return
			}
		}
	}
}

// hasLabel reports whether one of the labels, which begin where the image's would be,
// has the image's name, with its extension or without.
func (f *LabelFolder) hasLabel(labels []Entry, image []byte, dot int) bool {
	for _, l := range labels {
		name := f.Names.Bytes(l)
		if len(name) <= dot || !bytes.Equal(name[:dot+1], image[:dot+1]) {
			return false
		}
		if bytes.EqualFold(name[dot:], []byte(f.Ext)) {
			return true
		}
		if bytes.HasPrefix(name, image) && bytes.EqualFold(name[len(image):], []byte(f.Ext)) {
			return true
		}
	}
	return false
}

// otherLabels are the names in the other folders that labels of the images in one may lie in.
func (f *LabelFolder) otherLabels(images string) []*Entries {
	all := make([]*Entries, 0)
	for _, path := range f.Elsewhere(images) {
		if path == filepath.Clean(f.Path) || !IsFolder(path) {
			continue
		}
		if names, err := ReadEntries(path); err == nil {
			all = append(all, names)
		}
	}
	return all
}

// hasLabelOf reports whether there is a label of an image among names.
func hasLabelOf(names *Entries, image, ext string) bool {
	stem := Stem(image)
	return names.Has(stem+ext) || names.Has(stem+strings.ToUpper(ext)) || names.Has(image+ext)
}

// spelledLabel reports whether a label is for the image in another spelling.
func (f *LabelFolder) spelledLabel(image string) bool {
	key, full := Spelling(Stem(image)), Spelling(image)
	return slices.ContainsFunc(f.labelsSpelled(Stem(image), image), func(label string) bool {
		plain := Spelling(Stem(label))
		return plain == key || plain == full
	})
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
	return imageExtensions[string(ext[:n])]
}

// imagesNamed are the images among entries that have a name without extension: the
// first, and where there are more the others.
func imagesNamed(all *Entries, name string) (first string, others []string) {
	for _, e := range all.From(name) {
		if full := all.Bytes(e); len(full) < len(name) || string(full[:len(name)]) != name {
			break
		}
		switch full := all.Name(e); {
		case !IsImageName(full) || Stem(full) != name || e.Kind == FolderEntry:
		case first == "":
			first = full
		default:
			others = append(others, full)
		}
	}
	return first, others
}

// MostUnlabelled is how many images without labels of one folder are named; of more
// only the count is told.
const MostUnlabelled = 100

// aliasOf is what stands before the names of a folder of images in a further path of
// these, "" where that is none that labels give anyway.
func (f *LabelFolder) aliasOf(path string) string {
	rel := AsPrefix(Relative(f.Root, path))
	if path == f.Path || rel == f.Bare || rel == f.WithImages || f.Images != "" {
		return ""
	}
	return rel
}

// Relative is the slash-separated path of file below root; of one that lies
// elsewhere, its file name with the folders from "images" or "labels" on.
func Relative(root, file string) string {
	rel, err := filepath.Rel(root, file)
	if rel = filepath.ToSlash(rel); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		if rel == "." {
			return ""
		}
		return rel
	}
	parts := strings.Split(filepath.ToSlash(file), "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "labels" || parts[i] == "images" {
			return strings.Join(parts[i:], "/")
		}
	}
	return parts[len(parts)-1]
}
