package convert

import (
	"context"
	"iter"

	"pictosync/pictograph"
)

// Source is an opened set of labels. It keeps no file open between calls
// unless it is held: see [Hold].
type Source interface {
	// Describe says what was found: the format and why, where.
	Describe() Description
	// Items yields one item per image that the labels speak of, in a stable
	// order, beginning after the item whose Cursor is after ("" for the first).
	// An error ends the walk: it is a broken source, not a broken item.
	Items(ctx context.Context, after string) iter.Seq2[Item, error]
	// Load reads and converts the labels of one item. listed is the size the
	// dataset's listing gives the image, used last and only where a size is
	// needed. An error is the item's own failure. Load may be called from
	// several goroutines at once.
	Load(ctx context.Context, item Item, listed Size) (Result, error)
	// Size is what the source knows of the size of an item's image; it may have
	// to read the image's header.
	Size(item Item) Size
}

// Description says what a source is.
type Description struct {
	// Path is the source as the user named it.
	Path string `json:"path"`
	// Format is the format's name, or "backup" for snapshots and what an undo puts back.
	Format string `json:"format"`
	// Reason says how the format and layout were recognized.
	Reason string `json:"reason"`
	// Task is what YOLO lines were read as; "" for other formats. OutlineTask is what they are
	// where some of them turn out to be outlines, which are read alike.
	Task        string `json:"task,omitempty"`
	OutlineTask string `json:"-"`
	// Classes are those of the dataset that a backup is of, whole.
	Classes []pictograph.Class `json:"-"`
	// Defined are the names of all of the dataset's classes, also where a filter leaves
	// some of its images out.
	Defined []string `json:"-"`
	// Fingerprint changes where the cursors of an earlier opening may mean
	// something else: other options, or files that were written to.
	Fingerprint string `json:"-"`
}

// Item is one image of a source, its labels not yet read.
type Item struct {
	// Cursor is the item's place in the walk, as Items takes it.
	Cursor string
	// Image is the path of the image as the labels name it: slash-separated,
	// relative, cleaned. Unique in the source unless the source itself names
	// one image twice.
	Image string
	// Aliases are other paths the same image may have in a dataset.
	Aliases []string
	// Stated is a path that the source gives the image beside its name, with folders that
	// Image lacks: no image of other folders is meant. "" is none.
	Stated string
	// Stem says that Image lacks its extension, since only the label file's
	// name is known; where it ends as names of images do, it may be whole.
	Stem bool
	// Explicit says that labels without annotations mean that the image is to
	// have none: in canonical lines and in a manifest that is written down, an
	// empty label file may be an accident.
	Explicit bool
	// ImageID is the service's id where the source gives it; it comes before every
	// name.
	ImageID string
	// File is the label file for messages, relative to the source.
	File string
	// Annotations is how many annotations of the image an index counted, so that they
	// are accounted for where the item fails; 0 where none counts them.
	Annotations int
	// Err is set where the item itself cannot be taken (a second label for an
	// image, an unreadable file); such an item is a failure with this reason.
	Err error

	// Place is what the source itself needs to load the labels.
	Place any
}
