package dataset

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
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
	// maxExportFile bounds the file of an export.
	maxExportFile = 64 << 30
	// chunkExported is how many images of an export are looked up and committed together.
	chunkExported = 500
	// maxPoll is the longest pause between two looks at an export that is being made.
	maxPoll = time.Minute
	// downloads is how often the file of an export is tried to be had.
	downloads = 4
	// checks is how many images an export is held against before it is believed of what
	// nothing else confirms, spots how many more of all, drawn by lot.
	checks = 3
	spots  = 3
)

// WholeStore is what the state does for reading whole datasets.
type WholeStore interface {
	Exports(ctx context.Context, d store.Dataset) ([]store.Export, error)
	AddExport(ctx context.Context, e store.Export) error
	SetExport(ctx context.Context, e store.Export) error
	ForgetExport(ctx context.Context, e store.Export) error
	RemoveExportFile(e store.Export) error
	ExportFile(e store.Export) string
	ImagesByID(ctx context.Context, d store.Dataset, ids []string) ([]store.Image, error)
	Annotated(ctx context.Context, d store.Dataset) (all, ours int, err error)
	AddReadings(ctx context.Context, readings []store.Reading, now time.Time) error
	ReadingOf(ctx context.Context, imageRef int64, since time.Time) (store.Reading, bool, error)
	ForgetReading(ctx context.Context, imageRef int64) error
	ForgetReadings(ctx context.Context, d store.Dataset, at time.Time) error
	Differing(ctx context.Context, d store.Dataset, since time.Time) (map[int64]store.Hash, error)
}

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

// noExport is why there is no export of a dataset, as the end of a sentence.
type noExport struct{ reason string }

func (e noExport) Error() string { return e.reason }

// Exported is an image of an export that is as it is listed.
type Exported struct {
	Image store.Image
	Content
	Annotations []pictograph.Annotation
}

// ReadWhole has the service pack the whole dataset, or takes an export that was made for
// this run, and tells take of its images, some at a time: of those alone that are listed
// with as many annotations, and no image twice. ok is false where there is no export, which
// a note says; images are read one by one then, as are those that it lacks.
func (a *Access) ReadWhole(run string, take func([]Exported, time.Time) error) (ok bool, err error) {
	e, err := a.obtain(run)
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
		a.Session.lose(a.Ref.ID, none.reason)
		a.Note("image by image, not by an export of the dataset: " + none.reason)
		return false, nil
	}
	return err == nil, err
}

// KeepWhole is ReadWhole and keeps of what images have in the state what keep wants, and
// counts that. What has not what was last saved on it from here is kept in any case.
func (a *Access) KeepWhole(run string, keep func(Exported) bool) (kept int, ok bool, err error) {
	ok, err = a.ReadWhole(run, func(images []Exported, at time.Time) error {
		var readings []store.Reading
		for _, i := range images {
			saved := i.Image.Saved
			ours := saved != nil && saved.Count == i.Image.AnnotationCount
			differs := ours && saved.Hash != i.Hash
			wanted := keep(i)
			if !wanted && !differs {
				continue
			}
			if !ours || differs {
				content, known, err := a.Believe(i.Image, i.Content)
				if err != nil {
					return err
				}
				if !known {
					continue
				}
				i.Content = content
				differs = ours && saved.Hash != i.Hash
			}
			if wanted {
				kept++
			}
			if wanted || differs {
				readings = append(readings, store.Reading{ImageRef: i.Image.Ref, Count: i.Count, Annotations: i.Content.Annotations, Differs: differs})
			}
		}
		return a.whole.AddReadings(a.Stopping, readings, at)
	})
	return kept, ok, err
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
	if err := a.whole.ForgetReadings(a.Stopping, a.Ref, e.AskedAt); err != nil {
		return err
	}
	e.Stage = store.ExportFailed
	if err := a.whole.RemoveExportFile(e); err != nil {
		return err
	}
	return a.whole.SetExport(a.Stopping, e)
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

// ReadOrKnown is what an image has: by an export that was read for this run, where that is
// as confirmed says it should be or the export has proved to be right, or else by asking.
func (a *Access) ReadOrKnown(ref int64, id, path string, confirmed func(Content) bool, compared ...store.Hash) (Content, error) {
	if (a.ReadBy == ReadAuto || a.ReadBy == ReadExport) && !a.trust.lied() {
		r, ok, err := a.whole.ReadingOf(a.Stopping, ref, a.Since())
		if err != nil {
			return Content{}, err
		}
		if annotations, err := pictograph.DecodeAnnotations(r.Annotations); ok && err == nil {
			c, err := contentOf(annotations, compared)
			if err == nil && (confirmed(c) || !a.trust.doubts()) {
				c.ByExport = true
				return c, nil
			}
			read, readErr := a.Read(id, path, compared...)
			if err == nil && readErr == nil && string(read.Annotations) != string(c.Annotations) {
				a.trust.hold(false)
				a.Note("image by image from here on: what the export of the dataset says is not what the images have")
			}
			return read, readErr
		}
	}
	return a.Read(id, path, compared...)
}

// obtain is an export of the dataset whose file is beside the state: one that was made for
// this run, or a new one.
func (a *Access) obtain(run string) (store.Export, error) {
	known, err := a.whole.Exports(a.Stopping, a.Ref)
	if err != nil {
		return store.Export{}, err
	}
	var found *store.Export
	for n := range known {
		e := &known[n]
		_, missing := os.Stat(a.whole.ExportFile(*e))
		switch fresh := !e.AskedAt.Before(a.Since()); {
		case fresh && found == nil && e.Stage == store.ExportKept && missing == nil:
			found = e
		case fresh && found == nil && e.Stage != store.ExportKept && e.Holder == a.holder():
			found = e
		case e.Holder == a.holder():
			if err := a.giveBack(*e); err != nil {
				return store.Export{}, err
			}
		}
	}
	if found != nil && found.Holder == a.holder() {
		a.Session.made(found.Name)
	}
	if reason := a.Session.lost(a.Ref.ID); reason != "" && (found == nil || found.Stage != store.ExportKept) {
		return store.Export{}, noExport{reason}
	}
	switch {
	case found == nil:
		found = &store.Export{Name: exportName(a.Now()), Dataset: a.Ref, Run: run, Holder: a.holder(), Stage: store.ExportAsked, Remote: true, AskedAt: a.Now()}
		if err := a.whole.AddExport(a.Stopping, *found); err != nil {
			return *found, err
		}
		a.Session.made(found.Name)
		err = a.create(found)
	case found.Stage == store.ExportFailed:
		return *found, noExport{"the service did not make it for this run"}
	case found.Stage == store.ExportKept:
		return *found, nil
	}
	a.Log.Info().Str("export", found.Name).Msg("waiting for an export of the dataset")
	var made pictograph.Export
	if err == nil {
		made, err = a.await(found)
	}
	if err == nil {
		err = a.download(found, made.FileSize)
	}
	if _, none := errors.AsType[noExport](err); none {
		found.Stage = store.ExportFailed
		if setErr := a.whole.SetExport(a.Stopping, *found); setErr != nil {
			return *found, setErr
		}
	}
	if err != nil {
		return *found, err
	}
	found.Stage = store.ExportKept
	if err := a.whole.SetExport(a.Stopping, *found); err != nil {
		return *found, err
	}
	a.deleteRemote(found)
	return *found, a.whole.SetExport(a.Stopping, *found)
}

func (a *Access) holder() string {
	if a.Holder == "" {
		return "save"
	}
	return a.Holder
}

// exportName is the name of an export in the service, which nobody else gives.
func exportName(now time.Time) string {
	return "pictosync-" + now.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:10])
}

// ask sends a request about exports. What the service fails on while it answers others is
// given up.
func (a *Access) ask(try func(context.Context) error) error {
	tries := 0
	err := a.Persist(func(ctx context.Context) error {
		err := try(ctx)
		if tries++; err != nil && tries >= triesOfABatch && errors.Is(err, pictograph.ErrServer) && a.isUp() {
			return PoisonError{err}
		}
		return err
	})
	switch {
	case err == nil:
		return nil
	case a.Stopping.Err() != nil:
		return context.Cause(a.Stopping)
	case errors.Is(err, pictograph.ErrUnauthorized):
		return err
	}
	return noExport{whyNoExport(err)}
}

// whyNoExport says of an error why there is no export.
func whyNoExport(err error) string {
	switch {
	case errors.Is(err, pictograph.ErrForbidden):
		return "the API key's role may make none (403)"
	case errors.Is(err, pictograph.ErrPayment):
		return "the plan or its credit allows none (402)"
	case errors.Is(err, pictograph.ErrNotFound):
		return "the service has none (404)"
	}
	return err.Error()
}

// create asks for an export. A name that is taken is of this export: a request arrived whose
// answer was lost.
func (a *Access) create(e *store.Export) error {
	a.Tracker.Note("asking for an export of the dataset")
	defer a.Tracker.Note("")
	return a.ask(func(ctx context.Context) error {
		_, err := a.Client.CreateExport(ctx, pictograph.NewExport{Dataset: a.Ref.Name, Name: e.Name})
		if errors.Is(err, pictograph.ErrConflict) {
			return nil
		}
		return err
	})
}

// await waits until an export is made, for as long as the service may be out of reach. One
// that a killed process put on record, and may not have asked for, is asked for then.
func (a *Access) await(e *store.Export) (made pictograph.Export, err error) {
	defer a.Tracker.Note("")
	pause, waited := a.firstPoll(), time.Duration(0)
	for asked := false; ; {
		if err := a.pause(pause); err != nil {
			return made, err
		}
		waited += pause
		err := a.ask(func(ctx context.Context) (err error) {
			if made, err = a.Client.Export(ctx, a.Ref.ID, e.Name); errors.Is(err, pictograph.ErrNotFound) && !asked {
				made = pictograph.Export{}
				return nil
			}
			return err
		})
		switch {
		case err != nil:
			return made, err
		case made.Name == "" && made.Status == "" && !asked:
			asked = true
			if err := a.create(e); err != nil {
				return made, err
			}
		case made.Status == pictograph.ExportCompleted:
			return made, nil
		case made.Status == pictograph.ExportFailed:
			return made, noExport{"the service could not make it: " + made.ErrorMessage}
		case waited >= a.MaxOutage:
			return made, noExport{fmt.Sprintf("it was not ready after %s (--max-outage)", waited.Round(time.Second))}
		}
		a.Tracker.Note("the service packs the dataset")
		pause = min(2*pause, maxPoll, max(a.MaxOutage-waited, time.Millisecond))
	}
}

// firstPoll is how long an export takes at least, most likely.
func (a *Access) firstPoll() time.Duration {
	if a.PollPause > 0 {
		return a.PollPause
	}
	return 200*time.Millisecond + time.Duration(a.Shown.ImageCount)*50*time.Microsecond
}

// download brings the file of an export beside the state, size bytes where that is known. One
// that breaks off is begun again.
func (a *Access) download(e *store.Export, size int64) error {
	defer a.Tracker.Note("")
	a.Tracker.Note("downloading the export")
	limit := int64(maxExportFile)
	if size > 0 {
		limit = min(limit, size)
	}
	file := a.whole.ExportFile(*e)
	for try := 1; ; try++ {
		var storageErr *pictograph.StorageError
		err := a.downloadTo(file+".part", e.Name, limit)
		if err == nil {
			if err = os.Rename(file+".part", file); err != nil {
				return fmt.Errorf("keep the export: %w", err)
			}
			return nil
		}
		if a.Stopping.Err() != nil {
			return context.Cause(a.Stopping)
		}
		again := errors.As(err, &storageErr) || passes(err) || errors.Is(err, zip.ErrFormat)
		if !again || try == downloads {
			if removeErr := a.whole.RemoveExportFile(*e); removeErr != nil {
				return removeErr
			}
			return noExport{whyNoExport(err)}
		}
		a.Log.Info().Err(err).Msg("the download of an export is tried again")
		if err := a.pause(min(a.OutagePause, time.Duration(try)*time.Second)); err != nil {
			return err
		}
	}
}

func (a *Access) downloadTo(path, name string, limit int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := a.Client.DownloadExport(a.Stopping, a.Ref.ID, name, f, limit)
	if err != nil {
		return err
	}
	if _, err := zip.NewReader(f, n); err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// deleteRemote has the service delete an export whose file is here. That takes an admin's
// key; where it is no such, the export goes by itself in time.
func (a *Access) deleteRemote(e *store.Export) {
	err := a.Client.DeleteExport(a.Stopping, a.Ref.ID, e.Name)
	switch {
	case err == nil, errors.Is(err, pictograph.ErrNotFound):
		e.Remote = false
	case errors.Is(err, pictograph.ErrForbidden):
		e.Remote = false
		if a.Session.first("delete " + a.Ref.ID) {
			a.Log.Info().Str("export", e.Name).Msg("the export stays in the service until it expires: the key's role may not delete it")
		}
	default:
		a.Log.Info().Err(err).Str("export", e.Name).Msg("the export could not be deleted in the service; the next run tries again")
	}
}

// giveBack takes an export away, here and in the service.
func (a *Access) giveBack(e store.Export) error {
	if e.Remote {
		a.deleteRemote(&e)
	}
	if a.Stopping.Err() != nil {
		return context.Cause(a.Stopping)
	}
	return a.whole.ForgetExport(a.Stopping, e)
}

// FreeWhole gives back the exports of a run that came to its end. Those of a session are
// given back at its end: what follows may have use for them.
func (a *Access) FreeWhole() error {
	if a.Session != nil {
		return nil
	}
	known, err := a.whole.Exports(a.Stopping, a.Ref)
	if err != nil {
		return err
	}
	for _, e := range known {
		if e.Holder != a.holder() {
			continue
		}
		if err := a.giveBack(e); err != nil {
			return err
		}
	}
	return nil
}

// scan tells take of the images of an export that are as they are listed.
func (a *Access) scan(e store.Export, take func([]Exported, time.Time) error) error {
	f, err := os.Open(a.whole.ExportFile(e))
	if err != nil {
		return noExport{err.Error()}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return noExport{err.Error()}
	}
	a.Tracker.Note("reading the export")
	defer a.Tracker.Note("")
	a.WholeAt = e.AskedAt
	annotated, _, err := a.whole.Annotated(a.Stopping, a.Ref)
	if err != nil {
		return err
	}
	var seen Refs
	damaged := 0
	chunk := make([]pictograph.ExportedImage, 0, chunkExported)
	flush := func() error {
		images, err := a.asListed(chunk, e.AskedAt, &seen)
		chunk = chunk[:0]
		if err != nil {
			return err
		}
		for _, i := range images {
			if i.Count == 0 || Turn(e.Name+i.Image.ID)*float64(annotated) >= spots {
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
		return take(images, e.AskedAt)
	}
	for image, err := range pictograph.ReadExport(a.Stopping, f, info.Size()) {
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
		if chunk = append(chunk, image); len(chunk) == chunkExported {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if damaged > 0 {
		a.Note(fmt.Sprintf("image by image where the export of the dataset is damaged: %d of its files could not be read", damaged))
	}
	return nil
}

// asListed are those of an export's images that are as they are listed.
func (a *Access) asListed(chunk []pictograph.ExportedImage, asked time.Time, seen *Refs) ([]Exported, error) {
	ids := make([]string, len(chunk))
	for n, i := range chunk {
		ids[n] = i.ID
	}
	listed, err := a.whole.ImagesByID(a.Stopping, a.Ref, ids)
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
			if err := a.whole.ForgetReading(a.Stopping, image.Ref); err != nil {
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

// Refs is a set of the state's numbers of images, a bit each.
type Refs []uint64

// Add adds a number.
func (r *Refs) Add(ref int64) {
	if more := int(ref/64) + 1 - len(*r); more > 0 {
		*r = append(*r, make([]uint64, more)...)
	}
	(*r)[ref/64] |= 1 << (ref % 64)
}

// Has reports whether a number is in the set.
func (r Refs) Has(ref int64) bool { return int(ref/64) < len(r) && r[ref/64]&(1<<(ref%64)) != 0 }

// contentOf is what an image has, by its annotations. Its hash is that of the annotations as
// they are or, where that is none of those that they are compared with, without who made
// them: the service may note that of what we saved.
func contentOf(annotations []pictograph.Annotation, compared []store.Hash) (c Content, err error) {
	c.Count = len(annotations)
	if c.Annotations, c.Prints, err = Encode(nil, annotations); err != nil {
		return c, err
	}
	c.Hash = sha256.Sum256(c.Annotations)
	if len(compared) == 0 || contains(compared, c.Hash) {
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

func contains(hashes []store.Hash, h store.Hash) bool {
	for _, other := range hashes {
		if other == h {
			return true
		}
	}
	return false
}
