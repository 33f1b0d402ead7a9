package convert

import (
	"errors"
	"io/fs"

	"pictosync/pictograph"
)

// Writing is how a format is written.
type Writing struct {
	// About says in a few words what is written: "one COCO file".
	About string
	// Folder says that it is a folder, not a file.
	Folder bool
	// File is what the file is called in a backup, where it is one.
	File string
	// Variants are the ways in which a backup writes the format, each in a folder of that
	// name; nil is one way, in a folder of the format's name.
	Variants func() map[string]Flags
	// Catalog says that the classes of all images have to be known before the first one is
	// written, as where classes have numbers.
	Catalog bool
	// Flags makes the options of writing that only this format has, nil where it has none.
	Flags func() Flags
	// Create begins an output. What others are to have under its name appears when it is
	// closed.
	Create func(Output) (Sink, error)
}

// Output is what a sink writes to.
type Output struct {
	Path    string      // of the file or folder; "-" is standard output
	Mode    fs.FileMode // of the files
	Catalog *Catalog    // of all images, where the format needs it
	Own     Flags       // of the format; nil is the default
}

// Sink is labels that are being written in one format.
type Sink interface {
	// Encode appends what an image is in the output, where that depends on no other image;
	// it is called by several workers at once and in no order. A format whose images depend
	// on each other appends nothing.
	Encode(dst []byte, c *Converted) []byte
	// WriteEncoded writes what Encode appended for images that follow each other. It is
	// called in the order of the source, before Write is with the images themselves.
	WriteEncoded(encoded []byte) error
	// Write writes an image that was taken. It fails the image, or adds findings to it,
	// where the format cannot hold it ([Converted.Lose]); its error ends the conversion.
	Write(c *Converted) error
	// Written counts what was written so far.
	Written() Written
	// Close completes the output.
	Close() error
	// Abort leaves nothing behind; after Close it does nothing.
	Abort()
}

// Written counts the annotations of an output as it has them: its entries or lines, which
// need not be as many as the annotations that they were made of.
type Written struct {
	Annotations int `json:"annotations"`
	// Forms says what they are: all of them, by form.
	Forms map[Form]int `json:"forms"`
	// Without says how many were written without something that they had beside, which the
	// format has no place for. One may lack several.
	Without map[Missing]int `json:"without"`
}

// Form is what an annotation is in an output.
type Form string

// Forms of annotations.
const (
	FormBox      Form = "box"
	FormOriented Form = "oriented_box"
	FormPolygon  Form = "polygon"
	FormMask     Form = "mask"
	FormPose     Form = "pose"
	FormKeypoint Form = "keypoint" // one by itself
	FormPolyline Form = "polyline"
)

// Forms are all forms, in the order in which they are told.
var Forms = []Form{FormBox, FormOriented, FormPolygon, FormMask, FormPose, FormKeypoint, FormPolyline}

// FormOf is what an annotation of the service is.
func FormOf(a pictograph.Annotation) Form {
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		if g.Oriented != nil {
			return FormOriented
		}
	case pictograph.Polygon:
		return FormPolygon
	case pictograph.Keypoint:
		return FormKeypoint
	case pictograph.Polyline:
		return FormPolyline
	}
	return FormBox
}

// Missing is what an annotation was written without.
type Missing string

// What annotations are written without.
const (
	WithoutKeypoints Missing = "keypoints"
	WithoutPolygons  Missing = "polygons"
	WithoutBox       Missing = "box"
	WithoutDetails   Missing = "details" // confidence or attributes
)

// AllMissing are all of them, in the order in which they are told.
var AllMissing = []Missing{WithoutKeypoints, WithoutPolygons, WithoutBox, WithoutDetails}

// Count counts annotations of a form.
func (w *Written) Count(form Form, n int) {
	if n == 0 {
		return
	}
	if w.Forms == nil {
		w.Forms = make(map[Form]int)
	}
	w.Annotations += n
	w.Forms[form] += n
}

// Lack counts annotations that were written without something.
func (w *Written) Lack(what Missing, n int) {
	if n == 0 {
		return
	}
	if w.Without == nil {
		w.Without = make(map[Missing]int)
	}
	w.Without[what] += n
}

// Add adds what was counted elsewhere.
func (w *Written) Add(other Written) {
	for form, n := range other.Forms {
		w.Count(form, n)
	}
	for what, n := range other.Without {
		w.Lack(what, n)
	}
}

// Unencoded leaves all to a sink's Write.
type Unencoded struct{}

// Encode appends nothing.
func (Unencoded) Encode(dst []byte, _ *Converted) []byte { return dst }

// WriteEncoded has nothing to write.
func (Unencoded) WriteEncoded([]byte) error { return nil }

// Converted is an image between a source and a sink: its result, or why there is none.
type Converted struct {
	Source Source // that it is of; nil where nothing more is to be asked of it
	Item   Item
	Result Result
	Err    error
	// Accepted says what an image may lose and be written all the same.
	Accepted Accepted
}

// Lose notes what the format cannot hold of an image: annotations that are left out, with
// their findings, or that it cannot hold the image at all. What it cannot hold is lost as
// what cannot be read is; false says that the image is not to be written.
func (c *Converted) Lose(leftOut int, findings []Finding, err error) bool {
	c.Result.LeftOut += leftOut
	c.Result.Findings = append(c.Result.Findings, findings...)
	if c.Err = err; err == nil {
		c.Err = c.Accepted.Refusal(c.Result)
	}
	return c.Err == nil
}

// ErrTaken says that there is something already where a folder is to be written.
var ErrTaken = errors.New("is there already and not empty")

// UnfitError says that a format cannot hold the labels in the way that was asked for.
type UnfitError struct{ Err error }

func (e UnfitError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e UnfitError) Unwrap() error { return e.Err }
