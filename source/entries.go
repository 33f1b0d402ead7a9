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

// Entries are those of a folder, sorted by name. There may be millions, so they
// are kept in a text of all names and eight bytes each.
type Entries struct {
	text []byte
	List []Entry
}

// Entry is one name in a folder.
type Entry struct {
	start  uint32 // of the name in text
	length uint16
	Kind   entryKind
}

type entryKind uint8

const (
	regularEntry entryKind = iota
	FolderEntry
	linkEntry
	otherEntry
)

func kindOf(mode fs.FileMode) entryKind {
	switch {
	case mode.IsRegular():
		return regularEntry
	case mode.IsDir():
		return FolderEntry
	case mode&fs.ModeSymlink != 0:
		return linkEntry
	}
	return otherEntry
}

// ReadEntries reads a folder, but for clutter. Beside an error are the entries that could be read.
func ReadEntries(folder string) (*Entries, error) {
	f, err := os.Open(folder)
	if err != nil {
		return &Entries{}, err
	}
	defer f.Close()
	var e Entries
	for {
		const some = 1024
		part, err := f.ReadDir(some)
		for _, d := range part {
			if IsClutter(d.Name()) {
				continue
			}
			if addErr := e.add(d.Name(), kindOf(d.Type())); addErr != nil {
				return &e, addErr
			}
		}
		if err != nil {
			slices.SortFunc(e.List, func(a, b Entry) int { return bytes.Compare(e.Bytes(a), e.Bytes(b)) })
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return &e, err
		}
	}
}

func (e *Entries) add(name string, kind entryKind) error {
	start, length := uint32(len(e.text)), uint16(len(name))
	if int(start) != len(e.text) || int(length) != len(name) {
		return fmt.Errorf("the folder has more than 4 GB of names, or a name of %d bytes", len(name))
	}
	e.text = append(e.text, name...)
	e.List = append(e.List, Entry{start, length, kind})
	return nil
}

// Bytes is the name of an entry; it must not be changed.
func (e *Entries) Bytes(one Entry) []byte { return e.text[one.start:][:one.length] }

// Name is the name of an entry.
func (e *Entries) Name(one Entry) string { return string(e.Bytes(one)) }

// From are the entries whose names are not before a name.
func (e *Entries) From(name string) []Entry {
	return e.List[sort.Search(len(e.List), func(i int) bool { return string(e.Bytes(e.List[i])) >= name }):]
}

// Has reports whether a folder has a name.
func (e *Entries) Has(name string) bool {
	if e == nil {
		return false
	}
	rest := e.From(name)
	return len(rest) > 0 && string(e.Bytes(rest[0])) == name
}
