package source

import (
	"net/url"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// IsClutter reports what systems and tools leave among files, which is never looked at.
func IsClutter(name string) bool {
	if strings.HasPrefix(name, "._") || strings.HasSuffix(name, ".cache") {
		return true
	}
	switch name {
	case "__MACOSX", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini",
		".ipynb_checkpoints", // copies that Jupyter makes of what it opens
		"@eaDir", ".git":
		return true
	}
	return false
}

// isOdd reports whether a name may be spelled another way and mean the same: with
// other code points, or with percent signs as in addresses.
func isOdd[T string | []byte](name T) bool {
	for i := range len(name) {
		if name[i] == '%' || name[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// Spelling is what the spellings of one name have in common.
func Spelling(name string) string {
	if strings.Contains(name, "%") {
		if plain, err := url.PathUnescape(name); err == nil && utf8.ValidString(plain) && !strings.ContainsAny(plain, "/\\\x00") {
			name = plain
		}
	}
	return norm.NFC.String(name)
}

// respelled is a folder's path as its components are spelled on disk, "" if there is
// none, or several.
func respelled(folder string) string {
	if !isOdd(folder) {
		return ""
	}
	dir, name := filepath.Split(filepath.Clean(folder))
	dir = filepath.Clean(dir)
	if name == "" || dir == folder {
		return ""
	}
	if !IsFolder(dir) {
		if dir = respelled(dir); dir == "" {
			return ""
		}
		if same := filepath.Join(dir, name); IsFolder(same) {
			return same
		}
	}
	entries, err := ReadEntries(dir)
	if err != nil {
		return ""
	}
	found := ""
	for _, e := range entries.List {
		other := entries.Name(e)
		if e.Kind != FolderEntry || norm.NFC.String(other) != norm.NFC.String(name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = filepath.Join(dir, other)
	}
	return found
}
