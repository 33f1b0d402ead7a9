// Package backup writes what the images of a dataset have into a folder of snapshots
// ([Export]), and takes away the snapshots that are not kept ([PruneSnapshots]).
//
// A snapshot is whole or is not there: it gets its name when all of it is on the disk. A
// stopped export is resumed by the same call, and what was read stays read. Files that did
// not change are shared with the snapshot before; each snapshot stays whole when others are
// deleted.
package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/parallel"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

// Options say what an export reads and what it writes.
type Options struct {
	dataset.Options
	// Out is the absolute path of the folder of the dataset's backups.
	Out string
	// Convert is how many images are converted at the same time. 0 means the default.
	Convert int
	// MaxAge is, where images are read one by one, how old what was read of an image
	// may be; an image whose annotation count has changed, or that was saved from here
	// since, is read in any case. Each image has its turn somewhere between the half and
	// the whole of it, so that they do not all fall due in one night. 0 reads all, and holds
	// the image files that are kept against their checksums.
	MaxAge time.Duration
	// Formats are written beside the canonical lines: coco, yolo.
	Formats []string
	// Images has the files of the images kept too.
	Images bool
	// Keep says which snapshots stay when this one is complete.
	Keep Retention
}

// Summary is what an export came to. Read, Requests and Seconds are this
// process's.
type Summary struct {
	Run      string `json:"run"`
	Dataset  string `json:"dataset"`
	Out      string `json:"out"`
	Snapshot string `json:"snapshot,omitempty"` // the folder that was written
	Outcome  string `json:"outcome"`
	Images   struct {
		Found  int `json:"found"`
		Read   int `json:"read"`   // asked for, or taken from an export of the service
		Whole  int `json:"whole"`  // of these, from an export
		Kept   int `json:"kept"`   // known from an earlier reading
		Empty  int `json:"empty"`  // without annotations, as listed
		Failed int `json:"failed"` // not in the backup
	} `json:"images"`
	// Files are those of the images, where they are kept.
	Files       *FileCounts `json:"files,omitempty"`
	Annotations int         `json:"annotations"`
	Bytes       int64       `json:"bytes"`        // of the snapshot
	Shared      int64       `json:"bytes_shared"` // of these, with the snapshot before
	ImageBytes  int64       `json:"image_bytes"`  // of the snapshot's image files, which Bytes leaves out
	Pruned      []string    `json:"pruned"`       // snapshots taken away
	// KeptForFiles is a snapshot that only stays since it has files of images.
	KeptForFiles string         `json:"kept_for_image_files,omitempty"`
	Requests     int            `json:"requests"`
	Findings     int            `json:"findings"`
	Kinds        map[string]int `json:"findings_by_kind,omitempty"`
	Seconds      float64        `json:"duration_s"`
	// Notes are sentences about how the images were read.
	Notes []string `json:"notes,omitempty"`
}

// chunkReadings is how many readings are committed together: what a killed
// process may have to read again.
const chunkReadings = 50

// Export reads what the images of a dataset have, by an export of the service or image by
// image as far as it is not known, and writes a snapshot of the whole dataset below o.Out. When stop is closed the requests in
// flight are finished and it ends with [dataset.ErrInterrupted]; when ctx ends it stops at
// once.
func Export(ctx context.Context, stop <-chan struct{}, client *pictograph.Client, st *store.Store, pacer *quota.Pacer, o Options) (Summary, error) {
	x := &export{Access: dataset.New(client, st, pacer, o.Options), store: st, out: o.Out, maxAge: o.MaxAge, formats: o.Formats, images: o.Images, keep: o.Keep, convert: o.Convert}
	worked, err := x.Work(ctx, stop, x.run)
	return x.end(ctx, err, worked)
}

type export struct {
	*dataset.Access
	store   *store.Store
	out     string
	maxAge  time.Duration
	formats []string
	images  bool
	keep    Retention
	// unfetched says, by id, why the files of images could not be had.
	unfetched map[string]string
	// packed are, by id, the files of images that an export of the dataset has.
	packed  map[string]pictograph.ExportedFile
	convert int
	record  store.Run
	summary Summary
}

func (x *export) run(ctx context.Context) error {
	if err := x.Open(ctx); err != nil {
		return err
	}
	repository, err := openRepository(x.out, x.Now())
	if err != nil {
		return err
	}
	if err := repository.mark(x.Service, x.Shown); err != nil {
		return err
	}
	resumed := false
	if x.record, resumed, err = x.store.OpenRun(ctx, x.Ref, store.RunExport, x.out, x.Now()); err != nil {
		return err
	}
	x.Began = x.record.StartedAt
	if err := x.store.Note(ctx, x.record.ID, x.NoteBegin); err != nil {
		return err
	}
	x.Log.Info().Str("run", x.record.ID).Bool("resumed", resumed).Str("dataset", x.Ref.Name).Str("out", x.out).Msg("export opened")
	if _, err := x.store.RestartPlan(ctx, x.record.ID, "canonical", ""); err != nil {
		return err
	}
	unlock, err := x.LockListing()
	if err != nil {
		return err
	}
	defer unlock()
	if err := x.List(dataset.MetaOf); err != nil {
		return err
	}
	if x.Short != nil {
		return fmt.Errorf("back up dataset %q: %s; no snapshot was written and none taken away", x.Ref.Name, x.Short.Reason)
	}
	if err := x.store.SetPhase(ctx, x.record.ID, store.Saving); err != nil {
		return err
	}
	if err := x.readWhole(); err != nil {
		return err
	}
	if err := x.readAll(); err != nil {
		return err
	}
	if x.Stopping.Err() != nil {
		return context.Cause(x.Stopping)
	}
	if x.images {
		if err := x.fetchImages(); err != nil {
			return err
		}
	}
	if err := x.writeSnapshot(repository); err != nil {
		return err
	}
	return x.FreeExport()
}

// readWhole reads all images by an export of the dataset, where that takes fewer requests:
// then also those whose count is what it was.
func (x *export) readWhole() error {
	annotated, _, err := x.store.Annotated(x.Stopping, x.Ref)
	if err != nil || !x.Worth(annotated) {
		return err
	}
	x.Tracker.Begin("reading", annotated)
	x.Tracker.Expect(progress.Saving, 0)
	x.Tracker.Expect(progress.Reading, x.ReadBy.Cost(annotated))
	n, _, err := x.KeepExport(x.record.ID, func(i dataset.Exported) bool {
		x.Tracker.Add(1, 0)
		return i.Count > 0
	})
	x.summary.Images.Read += n
	x.summary.Images.Whole = n
	return err
}

// due reports whether an image is to be read.
func (x *export) due(r store.ReadState) bool {
	if r.ReadAt.IsZero() {
		return true
	}
	if x.maxAge <= 0 {
		return r.ReadAt.Before(x.record.StartedAt) && r.ReadAt.Before(x.Since())
	}
	return x.Now().Sub(r.ReadAt) > time.Duration(float64(x.maxAge)*(1+dataset.Turn(r.ImageID))/2)
}

// toRead are the images that are due.
func (x *export) toRead(yield func(store.ReadState, error) bool) {
	for r, err := range x.store.ReadStates(x.Stopping, x.Ref) {
		if err == nil && !x.due(r) {
			continue
		}
		if !yield(r, err) || err != nil {
			return
		}
	}
}

// readAll reads the images that are due.
func (x *export) readAll() error {
	due := 0
	for _, err := range x.toRead {
		if err != nil {
			return err
		}
		due++
	}
	x.Tracker.Begin("reading", due)
	x.Tracker.Expect(progress.Saving, 0)
	x.Tracker.Expect(progress.Reading, due)
	for images, err := range parallel.Chunks(x.toRead, chunkReadings) {
		if err != nil {
			return err
		}
		if err := x.readChunk(images); err != nil {
			return err
		}
	}
	return nil
}

// readChunk reads some images and commits what they have. What was read
// before one of them failed for good, or the run was stopped, is kept.
func (x *export) readChunk(images []store.ReadState) error {
	// A stopped run keeps what it has asked for.
	ctx := context.WithoutCancel(x.Stopping)
	read := func(_ context.Context, i store.ReadState) (dataset.Content, error) {
		if x.Stopping.Err() != nil {
			return dataset.Content{}, context.Cause(x.Stopping)
		}
		return x.ReadListed(i.ImageID, i.Path, i.Listed)
	}
	var readings []store.Reading
	var failed []store.Item
	var fatal error
	n := -1
	for content, err := range parallel.Map(ctx, x.Concurrency, parallel.Each(images), read) {
		n++
		i := images[n]
		unreadable, own := errors.AsType[dataset.UnreadableError](err)
		switch {
		case own:
			failed = append(failed, store.Item{Seq: int64(x.summary.Images.Failed + len(failed) + 1), Image: i.Path, ImageID: i.ImageID, ImageRef: i.ImageRef, Path: i.Path,
				Plan: store.PlanFailed, Outcome: store.ItemFailed, ListedCount: i.Listed, Reason: unreadable.Reason})
		case err != nil:
			fatal = err
		default:
			readings = append(readings, store.Reading{ImageRef: i.ImageRef, Count: content.Count, Annotations: content.Annotations})
		}
	}
	if err := x.store.AddReadings(ctx, readings, x.Now()); err != nil {
		return err
	}
	for _, i := range failed { // what is no longer true of it must not be exported
		if err := x.store.ForgetReading(ctx, i.ImageRef); err != nil {
			return err
		}
	}
	x.summary.Images.Read += len(readings)
	x.summary.Images.Failed += len(failed)
	x.Tracker.Did(progress.Reading, float64(len(readings)+len(failed)))
	x.Tracker.Add(len(readings)+len(failed), len(failed))
	if len(failed) > 0 {
		if err := x.store.AddPlan(ctx, x.record.ID, store.PlanChunk{Items: failed}); err != nil {
			return err
		}
	}
	return fatal
}

// end records how this process leaves the run and sums it up.
func (x *export) end(ctx context.Context, err error, worked time.Duration) (Summary, error) {
	ctx = context.WithoutCancel(ctx)
	s := &x.summary
	s.Notes = x.Notes()
	s.Run, s.Dataset, s.Out, s.Requests, s.Seconds = x.record.ID, x.Dataset, x.out, x.Pacer.Sent(), worked.Seconds()
	if s.Pruned == nil {
		s.Pruned = []string{}
	}
	if x.record.ID == "" {
		return *s, err
	}
	s.Dataset = x.Ref.Name
	outcome, reason := store.Done, ""
	switch {
	case errors.Is(err, dataset.ErrInterrupted) || errors.Is(err, context.Canceled):
		outcome = store.Interrupted
	case err != nil:
		outcome, reason = store.Stopped, err.Error()
	case s.Images.Failed > 0, s.Files != nil && s.Files.Failed > 0:
		outcome = store.WithFailures
	}
	s.Outcome = string(outcome)
	if s.Snapshot != "" {
		if noteErr := x.store.Note(ctx, x.record.ID, func(n *store.Notes) { n.Export = s.exported() }); noteErr != nil {
			return *s, errors.Join(err, noteErr)
		}
	}
	totals, totalsErr := x.store.Totals(ctx, x.record.ID)
	if totalsErr != nil {
		return *s, errors.Join(err, totalsErr)
	}
	return *s, errors.Join(err, x.store.RecordOutcome(ctx, x.record.ID, totals, outcome, reason, s.Requests, worked, x.Now()))
}

// exported is what the state keeps of a snapshot that was written.
func (s *Summary) exported() *store.Exported {
	e := &store.Exported{Snapshot: s.Snapshot, Images: s.Images.Found - s.Images.Failed, Annotations: s.Annotations, Bytes: s.Bytes, Read: s.Images.Read}
	if s.Files != nil {
		e.Files, e.FileBytes = s.Files.Downloaded+s.Files.Kept, s.Files.Bytes
	}
	return e
}

// sizeOf is an image's size as listed.
func sizeOf(c store.Content) convert.Size { return convert.Size{Width: c.Width, Height: c.Height} }
