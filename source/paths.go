package source

import (
	"errors"
	"path"
	"strings"
)

// imageExtensions are the files that trainers read as images, lower case.
var imageExtensions = map[string]bool{
	".avif": true, ".bmp": true, ".dng": true, ".gif": true, ".heic": true, ".heif": true, ".jfif": true, ".jp2": true, ".jpe": true,
	".jpeg": true, ".jpg": true, ".mpo": true, ".pfm": true, ".pgm": true, ".png": true, ".ppm": true, ".tif": true, ".tiff": true, ".webp": true,
}

// IsImageName reports whether a name ends as those of images do.
func IsImageName(name string) bool { return imageExtensions[strings.ToLower(path.Ext(name))] }

// IsLabelName reports whether a name ends in .txt.
func IsLabelName(name string) bool { return strings.EqualFold(path.Ext(name), ".txt") }

// Stem returns the name without its extension. A name such as ".txt" has none.
func Stem(name string) string {
	if s := strings.TrimSuffix(name, path.Ext(name)); s != "" && !strings.HasSuffix(s, "/") {
		return s
	}
	return name
}

// Shortened are the ways to find a path of another machine or of a renamed folder: as
// it is, and with more and more leading components taken off. One that names a split
// stays: without it, what is left would be another's.
func Shortened(p string) (all []string) {
	parts := strings.Split(strings.Trim(path.Clean(p), "/"), "/")
	for i, part := range parts {
		rest := strings.Join(parts[i:], "/")
		if part == ".." || part == "." || HasDrive(part) {
			continue
		}
		all = append(all, rest)
		if SplitOf(part).Name != "" {
			break
		}
	}
	return all
}

// CleanImagePath returns the path of an image as the labels name it:
// slash-separated, relative, cleaned, and inside the folder it is relative to.
func CleanImagePath(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	clean := path.Clean(name)
	switch {
	case name == "" || clean == "." || strings.HasSuffix(name, "/"):
		return "", errors.New("names no file")
	case path.IsAbs(name) || HasDrive(name):
		return "", errors.New("is an absolute path")
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", errors.New("leads out of its folder")
	case strings.ContainsRune(clean, 0):
		return "", errors.New("has a zero byte")
	}
	return clean, nil
}

// HasDrive reports a Windows drive letter.
func HasDrive(name string) bool {
	return len(name) >= 2 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z'
}

// Join is path.Join for a relative folder that may be the root, "".
func Join(dir, name string) string {
	if dir == "" || dir == "." {
		return name
	}
	return dir + "/" + name
}

// AsPrefix is a folder as what stands before the names in it.
func AsPrefix(dir string) string {
	if dir = strings.TrimSuffix(dir, "/"); dir == "" {
		return ""
	}
	return dir + "/"
}
