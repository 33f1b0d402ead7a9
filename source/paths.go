package source

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// imageExtensions are the files that trainers read as images, lower case.
var imageExtensions = map[string]bool{
	".avif": true, ".bmp": true, ".dng": true, ".gif": true, ".heic": true, ".heif": true, ".jp2": true, ".jpe": true,
	".jpeg": true, ".jpg": true, ".mpo": true, ".pfm": true, ".png": true, ".tif": true, ".tiff": true, ".webp": true,
}

func isImageName(name string) bool { return imageExtensions[strings.ToLower(path.Ext(name))] }

func isLabelName(name string) bool { return strings.EqualFold(path.Ext(name), ".txt") }

// stem returns the name without its extension. A name such as ".txt" has none.
func stem(name string) string {
	if s := strings.TrimSuffix(name, path.Ext(name)); s != "" && !strings.HasSuffix(s, "/") {
		return s
	}
	return name
}

// replaceLast replaces the last component of a slash-separated path that is
// old. An empty replacement leaves the component out.
func replaceLast(p, old, replacement string) (replaced string, found bool) {
	parts := strings.Split(p, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i] != old {
			continue
		}
		if replacement == "" {
			parts = append(parts[:i], parts[i+1:]...)
		} else {
			parts[i] = replacement
		}
		return strings.Join(parts, "/"), true
	}
	return p, false
}

// imageFolderNames are folders of images, lower case, beside which "labels" holds
// their labels; trainers know the first alone.
var imageFolderNames = []string{"images", "jpegimages", "image", "imgs", "img"}

// labelFolderNames are folders of labels; trainers know the first alone.
var labelFolderNames = []string{"labels", "Labels", "label"}

func isImageFolder(name string) bool {
	name = strings.ToLower(name)
	for _, known := range imageFolderNames {
		if name == known {
			return true
		}
	}
	return false
}

// splitNames are folders that tell the parts of a data set apart, lower case.
var splitNames = map[string]bool{"train": true, "training": true, "val": true, "valid": true, "validation": true, "test": true, "testing": true, "minival": true, "dev": true}

// shortened are the ways to find a path of another machine or of a renamed folder: as
// it is, and with more and more leading components taken off. One that names a split
// stays: without it, what is left would be another's.
func shortened(p string) (all []string) {
	parts := strings.Split(strings.Trim(path.Clean(p), "/"), "/")
	for i, part := range parts {
		rest := strings.Join(parts[i:], "/")
		if part == ".." || part == "." || hasDrive(part) {
			continue
		}
		all = append(all, rest)
		if splitNames[strings.TrimRight(strings.ToLower(part), "0123456789")] {
			break
		}
	}
	return all
}

// otherSplits are the ways to write a path whose split is named otherwise.
func otherSplits(p string) (all []string) {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		for _, names := range [][]string{{"val", "valid", "validation"}, {"train", "training"}, {"test", "testing"}} {
			if !slices.Contains(names, part) {
				continue
			}
			for _, other := range names {
				if other != part {
					all = append(all, strings.Join(slices.Concat(parts[:i], []string{other}, parts[i+1:]), "/"))
				}
			}
		}
	}
	return all
}

// cleanImagePath returns the path of an image as the labels name it:
// slash-separated, relative, cleaned, and inside the folder it is relative to.
func cleanImagePath(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	clean := path.Clean(name)
	switch {
	case name == "" || clean == "." || strings.HasSuffix(name, "/"):
		return "", errors.New("names no file")
	case path.IsAbs(name) || hasDrive(name):
		return "", errors.New("is an absolute path")
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", errors.New("leads out of its folder")
	case strings.ContainsRune(clean, 0):
		return "", errors.New("has a zero byte")
	}
	return clean, nil
}

// hasDrive reports a Windows drive letter.
func hasDrive(name string) bool {
	return len(name) >= 2 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z'
}

// join is path.Join for a relative folder that may be the root, "".
func join(dir, name string) string {
	if dir == "" || dir == "." {
		return name
	}
	return dir + "/" + name
}

// asPrefix is a folder as what stands before the names in it.
func asPrefix(dir string) string {
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		return ""
	}
	return dir + "/"
}
