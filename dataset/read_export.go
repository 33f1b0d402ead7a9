package dataset

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pictosync/pictograph"
	"pictosync/store"
)

// ReadPolicy says how it is found out what many images have.
type ReadPolicy string

// Policies of reading. The zero value is ReadImage.
const (
	// ReadAuto asks for an export of the whole dataset where more images are to be read than
	// that takes requests.
	ReadAuto ReadPolicy = "auto"
	// ReadExport asks for one wherever any are to be read.
	ReadExport ReadPolicy = "export"
	// ReadImage reads image by image.
	ReadImage ReadPolicy = "image"
)

const (
	// exportCost is how many requests an export takes: to ask for it, a few looks, its
	// address, images that are read beside it to see whether it tells the truth, and its end.
	exportCost = 12
	// FreshFor is how old what an export says of an image may be for a decision on it: others
	// may have changed the image since.
	FreshFor = time.Hour
	// chunkExported is how many images of an export are looked up and committed together, with
	// no more annotations than chunkAnnotations but for the last of them.
	chunkExported    = 500
	chunkAnnotations = 5000
	// checks is how many images an export is held against before it is believed of what
	// nothing else confirms, Spots how many more of all, drawn by lot.
	checks = 3
	Spots  = 3
)

// Worth reports whether to read so many images is to be done by an export of the whole
// dataset.
func (a *Access) Worth(images int) bool { return a.ReadBy.worth(images) }

func (p ReadPolicy) worth(images int) bool {
	switch p {
	case ReadAuto:
		return images > exportCost
	case ReadExport:
		return images > 0
	}
	return false
}

// Cost is how many requests it takes to read so many images.
func (p ReadPolicy) Cost(images int) int {
	if p.worth(images) {
		return exportCost
	}
	return images
}

// Since is how old what is known of an image may be: not older than the run, or what was
// done before it together with it, nor than an hour.
func (a *Access) Since() time.Time {
	since := a.Began
	if begun := a.Session.begun(); since.IsZero() || !begun.IsZero() && begun.Before(since) {
		since = begun
	}
	if oldest := a.Now().Add(-FreshFor); since.Before(oldest) {
		return oldest
	}
	return since
}

// Exported is an image of an export that is as it is listed.
type Exported struct {
	Image store.Image
	Content
	Annotations []pictograph.Annotation
}

// FetchExport has the service pack the whole dataset, or takes an export that was made for
// this run, and tells take of its images, some at a time: of those alone that are listed
// with as many annotations, and no image twice. ok is false where there is no export, which
// a note says; images are read one by one then, as are those that it lacks.
func (a *Access) FetchExport(run string, take func([]Exported, time.Time) error) (ok bool, err error) {
	e, err := a.obtain(run, false)
	if err == nil {
		err = a.scan(e, take)
	}
	if err == nil && a.trust.lied() {
		if err := a.disbelieve(e); err != nil {
			return false, err
		}
		err = noExport{"it is not what the images have"}
	}
	if none, is := errors.AsType[noExport](err); is {
		a.Session.lose(a.exports(false), none.reason)
		a.Note("image by image, not by an export of the dataset: " + none.reason)
		return false, nil
	}
	return err == nil, err
}

// KeepExport is FetchExport and keeps of what images have in the state what keep wants, and
// counts that. What has not what was last saved on it from here is kept in any case.
func (a *Access) KeepExport(run string, keep func(Exported) bool) (kept int, ok bool, err error) {
	known, err := a.store.Differing(a.Stopping, a.Ref)
	if err != nil {
		return 0, false, err
	}
	ok, err = a.FetchExport(run, func(images []Exported, at time.Time) error {
		var readings []store.Reading
		for _, i := range images {
			wanted := keep(i)
			_, differed := known[i.Image.Ref]
			r, there, err := a.readingOf(i, wanted || differed)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
			if wanted {
				kept++
			}
			readings = append(readings, r)
		}
		return a.store.AddReadings(a.Stopping, readings, at)
	})
	return kept, ok, err
}

// readingOf is what the state keeps of an exported image: where that is wanted, or where it has
// not what was last saved on it from here.
func (a *Access) readingOf(i Exported, wanted bool) (r store.Reading, there bool, err error) {
	saved := i.Image.Saved
	ours := saved != nil && saved.Count == i.Image.AnnotationCount
	differs := ours && saved.Hash != i.Hash
	if !wanted && !differs {
		return r, false, nil
	}
	if !ours || differs {
		if i.Content, there, err = a.Believe(i.Image, i.Content); err != nil || !there {
			return r, false, err
		}
		differs = ours && saved.Hash != i.Hash
	}
	return store.Reading{ImageRef: i.Image.Ref, Count: i.Count, Annotations: i.Content.Annotations, Differs: differs}, wanted || differs, nil
}

// WholeFiles has the service pack the whole dataset with the files of its images, and tells
// take of these. ok is as of FetchExport.
func (a *Access) WholeFiles(run string, take func([]pictograph.ExportedFile) error) (ok bool, err error) {
	e, err := a.obtain(run, true)
	if err == nil {
		err = a.openFiles(e, take)
	}
	if none, is := errors.AsType[noExport](err); is {
		a.Session.lose(a.exports(true), none.reason)
		a.Note("image files one by one, not by an export of the dataset: " + none.reason)
		return false, nil
	}
	return err == nil, err
}

func (a *Access) openFiles(e store.Export, take func([]pictograph.ExportedFile) error) error {
	f, size, err := a.openExport(e)
	if err != nil {
		return err
	}
	defer f.Close()
	files, err := pictograph.ExportFiles(f, size, a.mostPacked())
	if err != nil {
		return noExport{err.Error()}
	}
	return take(files)
}

// Believe holds what an export says of an image against the image itself, until that has
// been so for some: what nothing else confirms is not believed of an export that was wrong.
// known is false where the image is not as it is listed.
func (a *Access) Believe(i store.Image, said Content) (c Content, known bool, err error) {
	if !a.trust.doubts() {
		return said, true, nil
	}
	c, err = a.Read(i.ID, i.Path, savedHash(i)...)
	if _, own := errors.AsType[UnreadableError](err); own {
		return c, false, nil
	}
	if err == nil {
		a.trust.hold(string(c.Annotations) == string(said.Annotations))
	}
	return c, c.Count == i.AnnotationCount, err
}

// disbelieve forgets what an export says, which is not what the images have.
func (a *Access) disbelieve(e store.Export) error {
	if err := a.store.ForgetReadings(a.Stopping, a.Ref, e.AskedAt); err != nil {
		return err
	}
	e.Stage = store.ExportFailed
	if err := a.store.RemoveExportFile(e); err != nil {
		return err
	}
	return a.store.SetExport(a.Stopping, e)
}

func savedHash(i store.Image) []store.Hash {
	if i.Saved == nil {
		return nil
	}
	return []store.Hash{i.Saved.Hash}
}

// trust is how far what an export says is believed.
type trust struct {
	mu           sync.Mutex
	asked, wrong int
}

// doubts reports whether an image is to be read to see whether the export is right.
func (t *trust) doubts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	return t.wrong > 0 || t.asked <= checks
}

// hold notes whether the export was right.
func (t *trust) hold(right bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !right {
		t.wrong++
	}
}

// lied reports whether the export was wrong of an image.
func (t *trust) lied() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wrong > 0
}

// ExportLied reports whether an export turned out to say of an image what that has not.
func (a *Access) ExportLied() bool { return a.trust.lied() }

// ReadOrKnown is what an image has that is listed with so many annotations: by an export that was
// read for this run, where that is as confirmed says it should be or the export has proved to
// be right, or else by asking.
func (a *Access) ReadOrKnown(ref int64, id, path string, listed int, confirmed func(Content) bool, compared ...store.Hash) (Content, error) {
	if (a.ReadBy == ReadAuto || a.ReadBy == ReadExport) && !a.trust.lied() {
		r, ok, err := a.store.ReadingOf(a.Stopping, ref, a.Since())
		if err != nil {
			return Content{}, err
		}
		if annotations, err := pictograph.DecodeAnnotations(r.Annotations); ok && err == nil {
			c, err := contentOf(annotations, compared)
			if err == nil && (confirmed(c) || !a.trust.doubts()) {
				c.ByExport = true
				return c, nil
			}
			read, readErr := a.ReadListed(id, path, listed, compared...)
			if err == nil && readErr == nil && string(read.Annotations) != string(c.Annotations) {
				a.trust.hold(false)
				a.Note("image by image from here on: what the export of the dataset says is not what the images have")
			}
			return read, readErr
		}
	}
	return a.ReadListed(id, path, listed, compared...)
}

// KnownByExport is what an export that was read for this run says of an image; known is false
// where it says nothing, or has not proved to be right.
func (a *Access) KnownByExport(ref int64, compared ...store.Hash) (c Content, known bool, err error) {
	if a.trust.lied() {
		return c, false, nil
	}
	r, there, err := a.store.ReadingOf(a.Stopping, ref, a.Since())
	if err != nil || !there {
		return c, false, err
	}
	annotations, err := pictograph.DecodeAnnotations(r.Annotations)
	if err == nil {
		c, err = contentOf(annotations, compared)
	}
	return c, err == nil, nil // what cannot be read is asked for when it is backed up
}

// scan tells take of the images of an export that are as they are listed.
func (a *Access) scan(e store.Export, take func([]Exported, time.Time) error) error {
	f, size, err := a.openExport(e)
	if err != nil {
		return err
	}
	defer f.Close()
	a.Tracker.Note("reading the export")
	defer a.Tracker.Note("")
	a.ExportedAt = e.AskedAt
	annotated, _, err := a.store.Annotated(a.Stopping, a.Ref)
	if err != nil {
		return err
	}
	var seen store.Refs
	damaged, annotations := 0, 0
	checked := a.Session.isChecked(e.Name)
	chunk := make([]pictograph.ExportedImage, 0, chunkExported)
	flush := func() error {
		images, err := a.asListed(chunk, e.AskedAt, &seen)
		clear(chunk) // it holds all of their annotations
		chunk, annotations = chunk[:0], 0
		if err != nil {
			return err
		}
		if !checked {
			if err := a.spotCheck(e, images, annotated); err != nil {
				return err
			}
		}
		return take(images, e.AskedAt)
	}
	for image, err := range pictograph.ReadExport(a.Stopping, f, size, a.mostPacked()) {
		if a.Stopping.Err() != nil {
			return context.Cause(a.Stopping)
		}
		if entry, own := errors.AsType[*pictograph.EntryError](err); own {
			if damaged++; damaged <= 3 {
				a.Log.Info().Str("entry", entry.Entry).Err(entry.Err).Msg("a file of the export cannot be read")
			}
			continue
		}
		if err != nil { // what was taken of it was whole
			if flushErr := flush(); flushErr != nil {
				return flushErr
			}
			return noExport{err.Error()}
		}
		chunk = append(chunk, image)
		if annotations += len(image.Annotations); len(chunk) == chunkExported || annotations >= chunkAnnotations {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	a.Session.putChecked(e.Name)
	if damaged > 0 {
		a.Note(fmt.Sprintf("image by image where the export of the dataset is damaged: %d of its files could not be read", damaged))
	}
	return nil
}

// spotCheck reads some images, drawn by lot among all that have annotations, to see whether they
// have what an export says.
func (a *Access) spotCheck(e store.Export, images []Exported, annotated int) error {
	for _, i := range images {
		if i.Count == 0 || Turn(e.Name+i.Image.ID)*float64(annotated) >= Spots {
			continue
		}
		read, err := a.Read(i.Image.ID, i.Image.Path, savedHash(i.Image)...)
		if _, own := errors.AsType[UnreadableError](err); own {
			continue
		}
		if err != nil {
			return err
		}
		a.trust.hold(string(read.Annotations) == string(i.Content.Annotations))
	}
	return nil
}

// asListed are those of an export's images that are as they are listed.
func (a *Access) asListed(chunk []pictograph.ExportedImage, asked time.Time, seen *store.Refs) ([]Exported, error) {
	ids := make([]string, len(chunk))
	for n, i := range chunk {
		ids[n] = i.ID
	}
	listed, err := a.store.ImagesByID(a.Stopping, a.Ref, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.Image, len(listed))
	for _, i := range listed {
		byID[i.ID] = i
	}
	images := make([]Exported, 0, len(chunk))
	for _, i := range chunk {
		image, known := byID[i.ID]
		if !known {
			continue // it was uploaded since
		}
		if seen.Has(image.Ref) { // nothing tells which of the two is right
			images = without(images, image.Ref)
			if err := a.store.ForgetReading(a.Stopping, image.Ref); err != nil {
				return nil, err
			}
			continue
		}
		seen.Add(image.Ref)
		if n := len(i.Annotations); image.Path != i.Path || n != image.AnnotationCount || i.Count >= 0 && i.Count != n {
			continue
		}
		if image.Saved != nil && !image.Saved.At.Before(asked) {
			continue // from here, since
		}
		content, err := contentOf(i.Annotations, savedHash(image))
		if err != nil {
			continue // asked for by itself, it is told why
		}
		images = append(images, Exported{Image: image, Content: content, Annotations: i.Annotations})
	}
	return images, nil
}

func without(images []Exported, ref int64) []Exported {
	for n := range images {
		if images[n].Image.Ref == ref {
			return append(images[:n], images[n+1:]...)
		}
	}
	return images
}
