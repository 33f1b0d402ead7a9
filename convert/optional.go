package convert

import (
	"context"
	"iter"
)

// What a source may know besides what every [Source] knows, each an interface of its own with a
// function that asks it:
//
//	Pictured    where the files of its images lie            [ImageFile]
//	Foldered    in which folders they lie                    [ImageFolders]
//	Split       which splits an image is in                  [SplitsOf]
//	Summed      the SHA-256 of an image's file               [ImageSum]
//	Holder      files to keep open for a while               [Hold]
//	Counter     what it read and has in no item              [LeftOut]
//	Finisher    what only shows at the end                   [Finish]
//	FileBacked  whether its files are still what they were
//	Listed      how its images are listed in a manifest
//
// A source that wraps another has to pass each of them on, or what it knows is lost.

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
	// Splits are those that the source says they are in; none where it does not say.
	Splits []string
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

// Split is a source that says of its images which splits they are in.
type Split interface {
	// SplitsOf are train, val or test, or what else the source calls them, more than one where it
	// has an image in several; NoSplit where it says that it is in none, and none where it does
	// not say.
	SplitsOf(Item) []string
}

// SplitsOf are the splits that a source says an item's image is in; none where it does not say.
func SplitsOf(src Source, item Item) []string {
	if s, ok := src.(Split); ok {
		return s.SplitsOf(item)
	}
	return nil
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

// Count counts images, as entries or label files of a source, and annotations.
type Count struct {
	Images      int `json:"images"`
	Annotations int `json:"annotations"`
}

// Counter is a source that knows what it read and has in no item: entries and
// annotations that name no image, and what --include and --exclude leave out.
type Counter interface {
	// LeftOut is known when the items were walked.
	LeftOut() Count
}

// LeftOut is what a source read and has in no item, as far as it knows.
func LeftOut(src Source) Count {
	if c, ok := src.(Counter); ok {
		return c.LeftOut()
	}
	return Count{}
}

// Finisher is a source that has to be told of its end.
type Finisher interface {
	// Finish reports what only shows when the source was gone through from its beginning to
	// its end, and every item loaded.
	Finish()
}

// Finish tells a source of its end.
func Finish(src Source) {
	if f, ok := src.(Finisher); ok {
		f.Finish()
	}
}

// FileBacked is a Source whose labels lie in files that were read when it was opened,
// and nowhere else.
type FileBacked interface {
	Source
	// Unchanged reports whether the files are still what they were: then every
	// Load comes to the same as before. The listed size matters to it only where
	// the result's would not be known without.
	Unchanged() bool
}

// Listed is a source whose images can be listed in a manifest.
type Listed interface {
	Source
	// List says what the rows need beside what an item says; its error why the source
	// cannot be listed.
	List() (Listing, error)
	// LabelFile is the file on disk that an item's label lies in.
	LabelFile(Item) string
}

// Listing is what the rows of a manifest have in common.
type Listing struct {
	Root    string // a folder on disk that all label files lie in
	Classes []byte // the set of classes that all labels need, JSON; nil is none
}
