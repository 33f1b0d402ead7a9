package yolo

import (
	"path/filepath"
	"slices"
	"strings"

	"pictosync/source"
)

// imageFolders are the folders on disk where the images of the labels in one are looked for,
// the best first: those of --images, then those that the path of the labels says.
func (y *dataset) imageFolders(labels, bare, withImages string) (folders []source.ImageFolder) {
	if y.Images != "" {
		for _, dir := range []string{bare, withImages, ""} {
			folders = append(folders, source.ImageFolder{Path: filepath.Join(y.Images, filepath.FromSlash(dir))})
		}
	}
	// Who gives a folder "labels" has its images beside it.
	trained := filepath.FromSlash(imageFoldersOf(filepath.ToSlash(labelsPath(labels))).trained)
	if trained != "" {
		trained = y.asGiven(trained)
		folders = append(folders, source.ImageFolder{Path: trained})
	}
	rel := source.Relative(y.root, labels)
	base := strings.TrimSuffix(filepath.Clean(labels), filepath.FromSlash(rel))
	of := imageFoldersOf(rel)
	if of.named && (trained == "" || !source.IsFolder(trained)) {
		parent := filepath.Clean(filepath.Join(base, filepath.FromSlash(of.beside)))
		if entries, err := y.listings.Read(parent); err == nil {
			for _, e := range entries.List {
				if name := entries.Name(e); source.IsImageFolder(name) {
					folders = append(folders, source.ImageFolder{Path: filepath.Join(parent, name, filepath.FromSlash(of.below)), Other: true})
				}
			}
		}
	}
	folders = append(folders, source.ImageFolder{Path: labels, Other: true})
	above := ""
	if root := filepath.Clean(y.root); of.named {
		above = filepath.Clean(filepath.Join(base, filepath.FromSlash(of.above)))
	} else if abs := labelsPath(root); source.IsLabelFolder(filepath.Base(abs)) {
		above = filepath.Join(filepath.Dir(abs), filepath.FromSlash(rel))
	}
	if above != "" && y.hasImages(above) && !slices.ContainsFunc(folders, func(f source.ImageFolder) bool { return f.Path == above }) {
		folders = append(folders, source.ImageFolder{Path: above, Other: true, Shared: true})
	}
	return folders
}

// hasImages reports whether images lie in a folder itself.
func (y *dataset) hasImages(folder string) bool {
	entries, err := y.listings.Read(folder)
	return err == nil && slices.ContainsFunc(entries.List, func(e source.Entry) bool {
		return e.Kind != source.FolderEntry && source.IsImageName(entries.Name(e))
	})
}

// labelsElsewhere are the folders on disk where labels of the images in one of the data set may
// lie.
func (y *dataset) labelsElsewhere(images string) (folders []string) {
	root := filepath.Clean(y.root)
	if y.Images != "" && source.Within(y.Images, images) {
		root = y.Images
	} else if root != "." && !source.Within(root, images) {
		return nil
	}
	for _, folder := range labelFoldersAnywhere(source.Relative(root, images)) {
		folders = append(folders, filepath.Join(y.root, filepath.FromSlash(folder)))
	}
	return folders
}

// labelFolder is where the labels of a folder of images are: where trainers look, or in the
// folder itself. Where neither has any, they are beside a folder with another name for images.
func (y *dataset) labelFolder(images string) (string, bool) {
	// The last "images" may be that of the path in the description itself.
	for _, root := range []string{y.root, y.Path} {
		base, of := labelFoldersIn(root, images)
		if folder := filepath.Join(base, filepath.FromSlash(of.trained)); of.trained != "" && source.IsFolder(folder) {
			return folder, true
		}
	}
	if base, of := labelFoldersIn(y.root, images); len(of.beside) > 0 && !hasLabels(images) {
		for _, labels := range of.beside {
			if folder := filepath.Join(base, filepath.FromSlash(labels)); source.IsFolder(folder) {
				return folder, true
			}
		}
	}
	return images, source.IsFolder(images)
}

// labelFoldersIn are labelFoldersOf for a folder of images on disk, by its path below root, and
// the folder on disk that they are relative to.
func labelFoldersIn(root, images string) (base string, of labelFolders) {
	rel := source.Relative(root, images)
	return strings.TrimSuffix(filepath.Clean(images), filepath.FromSlash(rel)), labelFoldersOf(rel)
}

// hasLabels reports whether label files lie in a folder itself.
func hasLabels(folder string) bool {
	entries, err := source.ReadEntries(folder)
	return err == nil && slices.ContainsFunc(entries.List, func(e source.Entry) bool {
		name := entries.Name(e)
		return e.Kind != source.FolderEntry && source.IsLabelName(name) && !source.NotLabels[strings.ToLower(name)]
	})
}
