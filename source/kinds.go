package source

import "pictosync/convert"

// The kinds of findings that a source makes itself; those about the labels'
// contents are made by package convert. A kind keeps its spelling and meaning.
const (
	// KindUnreadable is a file or folder that could not be read.
	KindUnreadable convert.Kind = "unreadable"
	// KindRepeatedFolder is a folder that is reached a second time, through a
	// symbolic link that may be a loop.
	KindRepeatedFolder convert.Kind = "repeated-folder"
	// KindSkippedFile is a file that looks like labels and is none.
	KindSkippedFile convert.Kind = "skipped-file"
	// KindSkippedImage is an image that cannot be listed in a manifest.
	KindSkippedImage convert.Kind = "skipped-image"
	// KindMissingSplit is a split that the data set's description names and
	// that is not there.
	KindMissingSplit convert.Kind = "missing-split"
	// KindRelocated is a path of a description that was found elsewhere than it
	// says, or outside the source.
	KindRelocated convert.Kind = "relocated-path"
	// KindClassList is a list of classes that contradicts itself.
	KindClassList convert.Kind = "class-list"
	// KindDescription is an entry of a data set's description that cannot be
	// used.
	KindDescription convert.Kind = "data-set-description"
	// KindDuplicateImage is an image that the source names twice.
	KindDuplicateImage convert.Kind = "duplicate-image"
	// KindUnknownImage are annotations of an image that the source does not
	// have.
	KindUnknownImage convert.Kind = "unknown-image"
	// KindImageEntry is an entry for an image that cannot be used as it stands.
	KindImageEntry convert.Kind = "image-entry"
	// KindUnlabelled are listed images that have no label file.
	KindUnlabelled convert.Kind = "image-without-label"
	// KindImageHeader is a local image whose size cannot be read.
	KindImageHeader convert.Kind = "image-header"
	// KindSizeMismatch is an image that has another size in the dataset.
	KindSizeMismatch convert.Kind = "size-mismatch"
	// KindSizesEntry is an entry of a sizes file that cannot be used.
	KindSizesEntry convert.Kind = "sizes-entry"
)

type (
	finding     = convert.Finding
	findingKind = convert.Kind
)
