package coco

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// Images of one name in several files are one image, or one of each file, as where the files are
// splits whose images are in folders that the names lack.

// apart says why the entries of one name are different images, "" where they may be one.
func (c *dataset) apart(one *sharedImage) string {
	var size convert.Size
	var file string
	var sized, at *labelFile // the first that say so
	for _, p := range one.places {
		switch other := p.image.size(); {
		case !other.Known() || other == size:
		case size.Known():
			return fmt.Sprintf("it is %d×%d in %s and %d×%d in %s", size.Width, size.Height, sized.name, other.Width, other.Height, p.file.name)
		default:
			size, sized = other, p.file
		}
		switch other := c.ownFile(p); {
		case other == "" || other == file:
		case file != "":
			return fmt.Sprintf("%s has it in %s and %s in %s", at.name, convert.Display(c.relative(file)), p.file.name, convert.Display(c.relative(other)))
		default:
			file, at = other, p.file
		}
	}
	first := one.places[0].file
	for _, p := range one.places[1:] {
		if p.file.split().Contradicts(first.split()) {
			return fmt.Sprintf("%s and %s are named for different splits", first.name, p.file.name)
		}
	}
	return ""
}

// SplitsOf are the splits that the files of an image are for, by their names or by those of their
// folders below the source. What the source itself is called says nothing.
func (c *dataset) SplitsOf(item convert.Item) (splits []string) {
	add := func(f *labelFile) {
		if f.below != "" && !slices.Contains(splits, f.below) {
			splits = append(splits, f.below)
		}
	}
	switch p := item.Place.(type) {
	case place:
		add(p.file)
	case *sharedImage:
		for _, one := range p.places {
			add(one.file)
		}
	}
	return splits
}

// nameSplit notes the split that a file below the source is for.
func (f *labelFile) nameSplit() {
	f.below = f.split().Name
	folders := strings.Split(path.Dir(f.name), "/")
	for i := len(folders) - 1; i >= 0 && f.below == ""; i-- {
		f.below = source.SplitOf(folders[i]).Name
	}
}

// split is the split that a label file is named for, as instances_val2017.json.
func (f *labelFile) split() (s source.Split) {
	name := strings.TrimSuffix(path.Base(f.name), path.Ext(f.name))
	for more := true; more && s.Name == ""; {
		s = source.SplitOf(name)
		_, name, more = strings.Cut(name, "_")
	}
	return s
}

// ownFile is the file of an image in a folder of the images of its label file, "" where there is
// none.
func (c *dataset) ownFile(p place) string {
	for _, folder := range p.file.ownFolders() {
		if file := c.local.file(folder, p.image.own(p.file)); file != "" {
			return file
		}
	}
	return ""
}

// ownFolders are the folders that may hold the images of a label file alone: its own, and those
// that are named as it or as what its name ends in, as instances_val2017.json.
func (f *labelFile) ownFolders() []string {
	if f.folders != nil {
		return f.folders
	}
	f.folders = []string{f.folder}
	add := func(parts ...string) {
		folder := filepath.Join(parts...)
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			f.folders = append(f.folders, folder)
		}
	}
	add(f.folder, "images")
	add(f.folder, "data")
	name := strings.TrimSuffix(path.Base(f.name), path.Ext(f.name))
	for {
		for _, above := range []string{f.folder, filepath.Dir(f.folder)} {
			add(above, name)
			add(above, "images", name)
		}
		_, end, more := strings.Cut(name, "_")
		if !more || end == "" {
			return f.folders
		}
		name = end
	}
}

// relative is a path below the source, as it stands where it is not.
func (c *dataset) relative(file string) string {
	if rel, err := filepath.Rel(c.Path, file); err == nil {
		return filepath.ToSlash(rel)
	}
	return file
}

// eachAlone is what to do about files whose images of one name are different ones.
const eachAlone = "take each file alone, with --images DIR for the folder of its images, and with --into FOLDER where they go into one dataset"
