package convert

import (
	"strconv"

	"pictosync/pictograph"
)

// Result is what the labels of one image become.
type Result struct {
	Annotations []pictograph.Annotation
	// Size of the image, as the conversion used it or the source knows it; the
	// source fills it in.
	Size Size
	// Classes are what a dataset needs for the annotations, in order of first
	// use: the class of every annotation with that annotation's type and, for a
	// pose, the category with its skeleton and all of its joint classes. A class
	// that is used with several types has an entry for each.
	Classes []pictograph.Class
	// Findings say what could not be taken over as it stands.
	Findings []Finding
	// Dropped counts the source's annotations (or label lines) that are in no
	// annotation here. An image whose every annotation was dropped must not be
	// taken for an empty one: a save would clear it.
	Dropped int

	memory *memory // of the annotations; nil where it is not told
}

// Finding is one thing in the labels that was not taken over as it stands, or
// that a user should know: nothing is dropped without one.
type Finding struct {
	Kind Kind `json:"kind"`
	// File is the label file, relative to the source where it lies inside it.
	File string `json:"file,omitempty"`
	// Image is the image the finding is about, as the source names it.
	Image string `json:"image,omitempty"`
	// At is the place in the file: "line 3", "annotation 42", "category 7".
	At string `json:"at,omitempty"`
	// Reason says what is wrong, Action what was done about it.
	Reason string `json:"reason"`
	Action string `json:"action"`
}

// place is where in its file something stands; it is put into words only for
// findings. The zero value is nowhere in particular.
type place struct {
	what   string // "annotation", "line"
	id     string // its own, or "" where its number tells it
	number int    // from 1
}

func (p place) String() string {
	switch {
	case p.id != "":
		return p.what + " " + shorten(p.id)
	case p.number > 0:
		return p.what + " " + strconv.Itoa(p.number)
	}
	return p.what
}

// Kind groups findings; it is stable, so that programs can count by it.
type Kind string

// Size is an image's size in pixels as a decoder shows it, EXIF orientation
// applied; the zero value means unknown.
type Size struct{ Width, Height int }

// Known reports whether both sides are positive.
func (s Size) Known() bool { return s.Width > 0 && s.Height > 0 }
