package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// Content is what an image has.
type Content struct {
	Count       int
	Annotations []byte // canonical JSON
	Hash        store.Hash
	Prints      Prints
	ByExport    bool // it was not asked for, but is what an export says
}

// UnreadableError says why it cannot be told what one image has, or kept. It is that
// image's alone: others can be read.
type UnreadableError struct{ Reason string }

func (e UnreadableError) Error() string { return e.Reason }

// Read asks what an image has. Its hash is that of the annotations as they are or, where
// that is none of those that they are compared with, without who made them: the service may
// note that of what we saved. An error that is no UnreadableError is not the image's.
func (a *Access) Read(id, path string, compared ...store.Hash) (c Content, err error) {
	var annotations []pictograph.Annotation
	err = a.PersistAlone(func(ctx context.Context) (err error) {
		annotations, err = a.Client.Annotations(ctx, pictograph.ImageRef{ID: id, Dataset: a.Ref.ID, Path: path})
		return err
	})
	if poison, ok := errors.AsType[PoisonError](err); ok {
		return c, UnreadableError{"the service cannot say what the image has, and answers other requests: " + poison.Err.Error()}
	}
	_, isContent := errors.AsType[*pictograph.ContentError](err)
	switch {
	case errors.Is(err, pictograph.ErrNotFound):
		return c, UnreadableError{"the image is not there any more"}
	case a.Stopping.Err() != nil:
		return c, context.Cause(a.Stopping)
	case err != nil && !isContent: // the service's, or the state's, for all images alike
		return c, err
	case err == nil:
		c, err = contentOf(annotations, compared)
	}
	if err != nil { // what the service sent is not what it documents
		return c, UnreadableError{fmt.Sprintf("what it has cannot be kept, so it is not overwritten (--backup never does without): %v", err)}
	}
	return c, nil
}

// ReadListed is [Access.Read] of an image that is listed with so many annotations. Where it shows
// another number, somebody may have changed it since: its own entry tells. What contradicts
// that too is not what the image has, or not all of it.
func (a *Access) ReadListed(id, path string, listed int, compared ...store.Hash) (c Content, err error) {
	for range 2 { // it may be changed between the two again
		if c, err = a.Read(id, path, compared...); err != nil || c.Count == listed {
			return c, err
		}
		if listed, err = a.countOf(id); err != nil || c.Count == listed {
			return c, err
		}
	}
	return Content{}, UnreadableError{fmt.Sprintf("the service says that the image has %d annotations, and shows %d, so nothing tells what it has; run again", listed, c.Count)}
}

// countOf asks how many annotations an image has by its entry.
func (a *Access) countOf(id string) (n int, err error) {
	err = a.PersistAlone(func(ctx context.Context) error {
		image, err := a.Client.Image(ctx, id)
		n = image.AnnotationCount
		return err
	})
	if _, poison := errors.AsType[PoisonError](err); poison || errors.Is(err, pictograph.ErrNotFound) {
		return 0, UnreadableError{"the service shows another number of annotations than it lists, and its entry of the image, which would tell which is right, cannot be read: " + err.Error()}
	}
	return n, err
}

// Turn spreads names over 0 to 1, each always at the same place: what is done to a part of
// the images is done to the same ones every time.
func Turn(name string) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	// FNV's low bits are mixed best.
	return float64(h.Sum64()&(1<<32-1)) / math.MaxUint32
}

// FindingOf is a finding as the state keeps it: of an item by its number, or of the source
// as a whole where that is 0.
func FindingOf(item int64, f convert.Finding) store.Finding {
	return store.Finding{Seq: item, Kind: string(f.Kind), Cause: f.Cause, File: f.File, Image: f.Image, Path: f.Path, At: f.At, Reason: f.Reason, Action: f.Action, Count: f.Stands()}
}

// contentOf is what an image has, by its annotations. Its hash is that of the annotations as
// they are or, where that is none of those that they are compared with, without who made
// them: the service may note that of what we saved.
func contentOf(annotations []pictograph.Annotation, compared []store.Hash) (c Content, err error) {
	c.Count = len(annotations)
	if c.Annotations, c.Prints, err = Encode(nil, annotations); err != nil {
		return c, err
	}
	c.Hash = sha256.Sum256(c.Annotations)
	if len(compared) == 0 || slices.Contains(compared, c.Hash) {
		return c, nil
	}
	unsigned := make([]pictograph.Annotation, len(annotations))
	for n, a := range annotations {
		a.CreatedBy = ""
		unsigned[n] = a
	}
	if data, err := pictograph.AppendAnnotations(nil, unsigned); err == nil {
		c.Hash = sha256.Sum256(data)
	}
	return c, nil
}
