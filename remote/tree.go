package remote

import (
	"context"
	"io"
	"iter"
	"path"
	"slices"
	"strings"

	"pictosync/source"
)

// object is a file of a source elsewhere.
type object struct {
	Path  string // slash-separated, below the source
	Size  int64  // bytes
	Stamp string // another where the content may be another
}

// tree is a source elsewhere.
type tree interface {
	// list yields the objects, in no order.
	list(ctx context.Context) iter.Seq2[object, error]
	// open reads an object from its beginning; at most limit bytes where that is above 0. It
	// fails where the object is not what was listed.
	open(ctx context.Context, o object, limit int64) (io.ReadCloser, error)
	close() error
}

// part says what is kept of an object.
type part int

const (
	nothing part = iota
	whole
	header
)

// labelExtensions are the ends of files that readers of labels open.
var labelExtensions = map[string]bool{".txt": true, ".json": true, ".jsonl": true, ".ndjson": true, ".yaml": true, ".yml": true,
	".data": true, ".names": true, ".csv": true, ".db": true, ".sqlite": true}

// isClutter reports whether a file, or a folder that it lies in, is passed over in sources.
func isClutter(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), source.IsClutter)
}

// partOf is what is kept of a file.
func partOf(name string) part {
	if isClutter(name) {
		return nothing
	}
	switch {
	case source.IsImageName(name), isContent(name), source.ArchiveName(name) != "": // what is an archive too is named
		return header
	case labelExtensions[strings.ToLower(path.Ext(name))]:
		return whole
	}
	return nothing
}

// foreign is which file of a format that is not read is kept, so that it can be called by its
// name: the first.
type foreign struct{ path string }

// takes reports whether anything of a file is kept.
func (f *foreign) takes(name string) bool {
	if partOf(name) != nothing {
		return true
	}
	if f.path == "" && strings.EqualFold(path.Ext(name), ".xml") && !isClutter(name) {
		f.path = name
	}
	return f.path == name
}

// isContent reports whether a file is the content of an image in a folder of backups, which
// has its SHA-256 for a name.
func isContent(name string) bool {
	folder, base := path.Split(name)
	return len(base) == 64 && strings.Trim(base, "0123456789abcdef") == "" && path.Base(path.Dir(strings.TrimSuffix(folder, "/"))) == ".images"
}
