package yolo

import (
	"path/filepath"
	"strings"

	"pictosync/source"
)

// A description or a list may name the data set's own files from the root of the machine, or
// through links, and the user the source in yet another way. Folders are compared by their
// paths, so all of them are spelled from the source's folder as the user named it.

// asGiven is a path on disk as one from the data set's own folder, or the source's, where it
// leads there.
func (y *dataset) asGiven(file string) string {
	for _, own := range []string{y.root, y.ownFolder()} {
		if rel, ok := source.Below(own, file); ok && own != "" {
			return filepath.Join(own, rel)
		}
	}
	return file
}

// labelsPath is the path of a folder of labels from the root of the machine, the one that links
// lead to where the other has no folder "labels".
func labelsPath(folder string) string {
	abs, err := filepath.Abs(folder)
	if err != nil {
		return folder
	}
	if imageFoldersOf(filepath.ToSlash(abs)).named {
		return abs
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	return abs
}

// stated is the path on disk of what a description or list states, relative to a folder where
// it is not from the root.
func (y *dataset) stated(folder, file string) string {
	file = filepath.FromSlash(file)
	switch {
	case filepath.IsAbs(file):
		return y.asGiven(file)
	case isAbove(file):
		// Above a folder that is given by a link lies what is above that which it leads to.
		if real, err := filepath.EvalSymlinks(folder); err == nil && real != filepath.Clean(folder) {
			return y.asGiven(filepath.Join(real, file))
		}
	}
	return filepath.Join(folder, file)
}

func isAbove(rel string) bool {
	rel = filepath.ToSlash(filepath.Clean(rel))
	return rel == ".." || strings.HasPrefix(rel, "../")
}

// statedRoot is the folder that a description in another states to be the data set's; one above
// it is spelled from there too.
func (y *dataset) statedRoot(folder, root string) string {
	file := y.stated(folder, root)
	if !filepath.IsAbs(file) && !isAbove(root) {
		return file
	}
	from, err := filepath.EvalSymlinks(folder)
	if err == nil {
		from, err = filepath.Abs(from)
	}
	to, realErr := filepath.EvalSymlinks(file)
	if realErr == nil {
		to, realErr = filepath.Abs(to)
	}
	if err != nil || realErr != nil {
		return file
	}
	rel, err := filepath.Rel(from, to)
	if spelled := filepath.Join(folder, rel); err == nil && sameFile(spelled, file) {
		return spelled
	}
	return file
}

// prefixOf is the data set's folder as seen from the source's, for messages.
func prefixOf(root, folder string) string {
	rel, ok := source.Below(root, folder)
	switch {
	case !ok:
		return relativePrefix(folder, root)
	case rel == ".":
		return ""
	}
	return strings.Repeat("../", strings.Count(filepath.ToSlash(rel), "/")) + ".."
}
