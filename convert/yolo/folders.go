package yolo

import (
	"path"
	"slices"
	"strings"

	"pictosync/source"
)

// Which folder holds whose labels: what trainers, exports and detectors agree on, by names
// alone. Paths have slashes. Who asks looks which of the folders are there.

// labelFolders are those where the labels of one folder of images are read, but for that
// folder itself.
type labelFolders struct {
	trained string   // where trainers look; "" where the path has no "images"
	beside  []string // in place of a folder with another name for images
	within  []string // among the images, as detectors write them
}

// labelFoldersOf are the folders where the labels of a folder of images are read.
func labelFoldersOf(images string) (f labelFolders) {
	if trained, found := replaceLast(images, "images", "labels"); found {
		f.trained = trained
	}
	parts := strings.Split(images, "/")
	last := lastOf(parts, source.IsImageFolder)
	for _, name := range source.LabelFolders {
		if last >= 0 {
			f.beside = append(f.beside, strings.Join(slices.Concat(parts[:last], []string{name}, parts[last+1:]), "/"))
		}
		f.within = append(f.within, source.Join(images, name))
	}
	return f
}

// all are the folders, with that of the images, the best first.
func (f labelFolders) all(images string) (folders []string) {
	if f.trained != "" {
		folders = append(folders, f.trained)
	}
	return slices.Concat(folders, []string{images}, f.beside, f.within)
}

// labelFoldersAnywhere are all folders where labels of a folder of images may lie.
func labelFoldersAnywhere(images string) []string {
	folders := withLabels(images)
	parts := strings.Split(images, "/")
	for i, part := range parts {
		if source.IsImageFolder(part) {
			folders = append(folders, withLabels(strings.Join(slices.Concat(parts[:i], parts[i+1:]), "/"))...)
		}
	}
	return folders
}

// withLabels are the paths of a folder with another of labels anywhere in it, those first where
// trainers look, then that of the folder, and those with "images".
func withLabels(folder string) (folders []string) {
	var parts []string
	if folder != "" {
		parts = strings.Split(folder, "/")
	}
	with := func(name string) {
		for i := range len(parts) + 1 {
			folders = append(folders, strings.Join(slices.Insert(slices.Clone(parts), i, name), "/"))
		}
	}
	for _, name := range source.LabelFolders {
		with(name)
	}
	folders = append(folders, folder)
	with("images")
	return folders
}

// imageFolders are those of the images of one folder of labels, but for that folder itself.
type imageFolders struct {
	trained string // where trainers look; "" where the path has no "labels"
	// named says that the path has a folder of labels. Then what is below a folder in beside
	// with any name for images may hold the images, and so may above, which has that folder,
	// as a detector writes it.
	named                bool
	beside, below, above string
}

// imageFoldersOf are the folders where the images of a folder of labels may lie.
func imageFoldersOf(labels string) (f imageFolders) {
	if trained, found := replaceLast(labels, "labels", "images"); found {
		f.trained = trained
	}
	parts := strings.Split(labels, "/")
	if last := lastOf(parts, source.IsLabelFolder); last >= 0 {
		f.named = true
		f.beside, f.below = strings.Join(parts[:last], "/"), strings.Join(parts[last+1:], "/")
		f.above = strings.Join(slices.Concat(parts[:last], parts[last+1:]), "/")
	}
	return f
}

// imagePaths are the paths that an image may have in a dataset, given that of
// its label in the data set, both without extension: without the folder
// "labels" (or "images", where the labels lie among those), and with "images".
func imagePaths(label string) (bare, withImages string) {
	dir, name := path.Split(label)
	bare, withImages = imageDirs(strings.TrimSuffix(dir, "/"))
	return source.Join(bare, name), source.Join(withImages, name)
}

// imageDirs are the folders of imagePaths for the labels of one folder.
func imageDirs(dir string) (bare, withImages string) {
	for _, labels := range source.LabelFolders {
		if without, found := replaceLast(dir, labels, ""); found {
			with, _ := replaceLast(dir, labels, "images")
			return without, with
		}
	}
	without, _ := replaceLast(dir, "images", "")
	return without, dir
}

// replaceLast replaces the last component of a path that is old. An empty replacement leaves
// the component out.
func replaceLast(p, old, replacement string) (replaced string, found bool) {
	parts := strings.Split(p, "/")
	last := lastOf(parts, func(part string) bool { return part == old })
	switch {
	case last < 0:
		return p, false
	case replacement == "":
		parts = slices.Delete(parts, last, last+1)
	default:
		parts[last] = replacement
	}
	return strings.Join(parts, "/"), true
}

// lastOf is the index of the last component that is so, -1 where there is none.
func lastOf(parts []string, so func(string) bool) int {
	for i := len(parts) - 1; i >= 0; i-- {
		if so(parts[i]) {
			return i
		}
	}
	return -1
}
