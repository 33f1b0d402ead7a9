package convert

import (
	"encoding/json"
	"iter"
	"strconv"

	"pictosync/internal/scan"
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
	// pose, the category with its skeleton and all of its keypoint classes. A class
	// that is used with several types has an entry for each.
	Classes []pictograph.Class
	// Findings say what could not be taken over as it stands.
	Findings []Finding
	// Read counts the source's annotations (or label lines) of the image, as they
	// stood where they were read, and LeftOut those of them that are in no annotation
	// here: Read is LeftOut and those that were taken. Unwanted are those of LeftOut
	// whose class a class map drops.
	Read, LeftOut, Unwanted int
	// Boxes are the boxes that the source gives beside keypoints, by instance id. The
	// service has no place for them; canonical lines and formats that are written do.
	Boxes map[int]pictograph.Box
	// Slots are how many keypoints an instance has room for, by instance id, where neither
	// names nor the keypoints that are placed tell: the last ones are not placed.
	Slots map[int]int

	// Ends are the annotations, in Annotations, that the first, the second … of the
	// source's that were taken end before; nil where each is one.
	Ends   []int
	memory *memory // of the annotations; nil where it is not told
}

// sources yields the annotations that each of the source's became.
func (r *Result) sources() iter.Seq[[]pictograph.Annotation] {
	return func(yield func([]pictograph.Annotation) bool) {
		all, first := r.Annotations, 0
		if r.Ends == nil {
			for i := range all {
				if !yield(all[i : i+1]) {
					return
				}
			}
			return
		}
		for _, end := range r.Ends {
			if !yield(all[first:end]) {
				return
			}
			first = end
		}
	}
}

// Finding is one thing in the labels that was not taken over as it stands, or
// that a user should know: nothing is left out without one.
type Finding struct {
	Kind Kind
	// Cause tells findings of one kind apart that are to be counted apart, as the
	// name of a member; mostly "".
	Cause string
	// Count is how many annotations, members or images it stands for; 0 is one.
	Count int
	// File is the label file, relative to the source where it lies inside it.
	File string
	// Image is the image the finding is about, as the source names it, and Path as
	// the dataset does, where that is known.
	Image, Path string
	// At is the place in the file: "line 3", "annotation 42", "category 7".
	At string
	// Annotation is the id of the annotation that came of what it is about, of the first
	// where there are several; "" where none did.
	Annotation string
	// Reason says what is wrong, Action what was done about it.
	Reason, Action string
}

// Stands is how many things the finding stands for.
func (f Finding) Stands() int { return max(f.Count, 1) }

// MarshalJSON writes the finding with its severity.
func (f Finding) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind     Kind     `json:"kind"`
		Severity Severity `json:"severity"`
		Cause    string   `json:"cause,omitempty"`
		Count    int      `json:"count,omitempty"`
		File     string   `json:"file,omitempty"`
		Image    string   `json:"image,omitempty"`
		Path     string   `json:"path,omitempty"`
		At       string   `json:"at,omitempty"`
		Reason   string   `json:"reason"`
		Action   string   `json:"action"`
	}{f.Kind, f.Kind.Severity(), f.Cause, f.Count, f.File, f.Image, f.Path, f.At, f.Reason, f.Action})
}

// Location is where in its file something stands; it is put into words only for
// findings. The zero value is nowhere in particular.
type Location struct {
	What   string // "annotation", "line"
	ID     string // its own, or "" where its number tells it
	Number int    // from 1
}

func (p Location) String() string {
	switch {
	case p.ID != "":
		return p.What + " " + scan.Shorten(p.ID)
	case p.Number > 0:
		return p.What + " " + strconv.Itoa(p.Number)
	}
	return p.What
}

// Kind groups findings; it is stable, so that programs can count by it.
type Kind string

// Size is an image's size in pixels as a decoder shows it, EXIF orientation
// applied; the zero value means unknown.
type Size struct{ Width, Height int }

// Known reports whether both sides are positive.
func (s Size) Known() bool { return s.Width > 0 && s.Height > 0 }
