package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
)

// entries are those of a folder, sorted by name. There may be millions, so they
// are kept in a text of all names and eight bytes each.
type entries struct {
	text []byte
	list []entry
}

type entry struct {
	start  uint32 // of the name in text
	length uint16
	kind   entryKind
}

type entryKind uint8

const (
	regularEntry entryKind = iota
	folderEntry
	linkEntry
	otherEntry
)

func kindOf(mode fs.FileMode) entryKind {
	switch {
	case mode.IsRegular():
		return regularEntry
	case mode.IsDir():
		return folderEntry
	case mode&fs.ModeSymlink != 0:
		return linkEntry
	}
	return otherEntry
}

// readEntries reads a folder, but for clutter. Beside an error are the entries that could be read.
func readEntries(folder string) (*entries, error) {
	f, err := os.Open(folder)
	if err != nil {
		return &entries{}, err
	}
	defer f.Close()
	var e entries
	for {
		const some = 1024
		part, err := f.ReadDir(some)
		for _, d := range part {
			if isClutter(d.Name()) {
				continue
			}
			if addErr := e.add(d.Name(), kindOf(d.Type())); addErr != nil {
				return &e, addErr
			}
		}
		if err != nil {
			slices.SortFunc(e.list, func(a, b entry) int { return bytes.Compare(e.bytes(a), e.bytes(b)) })
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return &e, err
		}
	}
}

func (e *entries) add(name string, kind entryKind) error {
	start, length := uint32(len(e.text)), uint16(len(name))
	if int(start) != len(e.text) || int(length) != len(name) {
		return fmt.Errorf("the folder has more than 4 GB of names, or a name of %d bytes", len(name))
	}
	e.text = append(e.text, name...)
	e.list = append(e.list, entry{start, length, kind})
	return nil
}

func (e *entries) bytes(one entry) []byte { return e.text[one.start:][:one.length] }

func (e *entries) name(one entry) string { return string(e.bytes(one)) }

// from are the entries whose names are not before a name.
func (e *entries) from(name string) []entry {
	return e.list[sort.Search(len(e.list), func(i int) bool { return string(e.bytes(e.list[i])) >= name }):]
}

func (e *entries) has(name string) bool {
	if e == nil {
		return false
	}
	rest := e.from(name)
	return len(rest) > 0 && string(e.bytes(rest[0])) == name
}
