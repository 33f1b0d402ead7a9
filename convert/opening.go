package convert

import (
	"time"
)

// OpenOptions say how a source is read.
type OpenOptions struct {
	// Include and Exclude are globs over image paths and label files; ** crosses
	// folders. What both take is left out.
	Include, Exclude []string
	// Fits is told each of these globs that fits something. May be nil.
	Fits func(glob string) `json:"-"`
	// Now is the present, which tells the newest of several backups; zero is the clock's.
	Now time.Time
	// Images is the folder of the image files where they are not beside the
	// labels; "" means that they are, or that there are none.
	Images string
	// Sizes is a file of image sizes, JSON or CSV; may be "".
	Sizes string
	// Own are the options that single formats have, by the format's name.
	Own map[string]Flags
	// OnSizeMismatch says what becomes of an image whose size differs between its
	// label, its file and the dataset.
	OnSizeMismatch SizePolicy
	Convert        Options
	// Report is told what is wrong with the source itself, each thing once. It
	// may be called from several goroutines, one at a time. May be nil.
	Report func(Finding) `json:"-"`
}

// SizePolicy says what becomes of an image whose size differs between its label, its
// file and the dataset.
type SizePolicy string

// Size policies. The zero value is SizeFail.
const (
	SizeFail  SizePolicy = "fail"  // the image fails
	SizeScale SizePolicy = "scale" // the labels are scaled to the dataset's image
	SizeKeep  SizePolicy = "keep"  // the labels are taken as they stand
)
