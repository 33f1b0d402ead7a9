package source

import (
	"net/url"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// isClutter reports what systems and tools leave among files, which is never looked at.
func isClutter(name string) bool {
	if strings.HasPrefix(name, "._") || strings.HasSuffix(name, ".cache") {
		return true
	}
	switch name {
	case "__MACOSX", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini":
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

// spelling is what the spellings of one name have in common.
func spelling(name string) string {
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
	if !isFolder(dir) {
		if dir = respelled(dir); dir == "" {
			return ""
		}
		if same := filepath.Join(dir, name); isFolder(same) {
			return same
		}
	}
	entries, err := readEntries(dir)
	if err != nil {
		return ""
	}
	found := ""
	for _, e := range entries.list {
		other := entries.name(e)
		if e.kind != folderEntry || norm.NFC.String(other) != norm.NFC.String(name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = filepath.Join(dir, other)
	}
	return found
}
