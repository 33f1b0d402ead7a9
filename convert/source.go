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
	// Format is "coco", "yolo", "canonical", "manifest" or "backup".
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
	// name is known.
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

// Pictured is a source that knows where the files of its images lie.
type Pictured interface {
	// ImageFile is the file of an item's image on disk, "" where there is none.
	ImageFile(Item) string
}

// ImageFile is the file of an item's image on disk, "" where there is none that the
// source knows of.
func ImageFile(src Source, item Item) string {
	if p, ok := src.(Pictured); ok {
		return p.ImageFile(item)
	}
	return ""
}

// ImageFolder is a folder that images of a source lie in.
type ImageFolder struct {
	Path string // on disk
	// Name is the image's path, as an item's, of a file below the folder, by its
	// slash-separated path from there.
	Name func(rel string) string
	// Files are the slash-separated paths of those that count; nil where all that lie below the
	// folder do.
	Files func(ctx context.Context) iter.Seq2[string, error]
	// Split is the split that the source says they are in; "" where it does not say.
	Split string
}

// Foldered is a source that knows the folders of its images, those without labels too.
type Foldered interface{ ImageFolders() []ImageFolder }

// ImageFolders are the folders that a source's images lie in, as far as it knows them.
func ImageFolders(src Source) []ImageFolder {
	if f, ok := src.(Foldered); ok {
		return f.ImageFolders()
	}
	return nil
}

// NoSplit is the split of an image that the source says is in none.
const NoSplit = "none"

// Split is a source that says of its images which split they are in.
type Split interface {
	// SplitOf is train, val or test, or what else the source calls it; NoSplit where it says that
	// it is in none, and "" where it does not say.
	SplitOf(Item) string
}

// SplitOf is the split that a source says an item's image is in; "" where it does not say.
func SplitOf(src Source, item Item) string {
	if s, ok := src.(Split); ok {
		return s.SplitOf(item)
	}
	return ""
}

// Summed is a source that knows the SHA-256 of its images' files, as a backup does.
type Summed interface {
	// ImageSum is that of an item's image, in hexadecimal; "" where it is not known.
	ImageSum(Item) string
}

// ImageSum is the SHA-256 that the file of an item's image is to have; "" where the source does
// not say.
func ImageSum(src Source, item Item) string {
	if s, ok := src.(Summed); ok {
		return s.ImageSum(item)
	}
	return ""
}

// Hold keeps what a source reads from open until release is called: to open it for
// each item costs more than to read it. What is written to a file meanwhile is
// noticed as ever; that another has come to have its name is not.
func Hold(src Source) (release func()) {
	if h, ok := src.(Holder); ok {
		return h.Hold()
	}
	return func() {}
}

// Holder is a Source that [Hold] makes a difference to.
type Holder interface{ Hold() (release func()) }
