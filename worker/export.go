package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// ExportOptions say what an export reads and what it writes.
type ExportOptions struct {
	// MaxAge is how old what was read of an image may be; an image whose
	// annotation count has changed, or that was saved from here since, is read
	// in any case. Each image has its turn somewhere between the half and the
	// whole of it, so that they do not all fall due in one night. 0 reads all.
	MaxAge time.Duration
	// Formats are written beside the canonical lines: coco, yolo.
	Formats []string
	// Keep says which snapshots stay when this one is complete.
	Keep Retention
}

// ExportSummary is what an export came to. Read, Requests and Seconds are this
// process's.
type ExportSummary struct {
	Run      string `json:"run"`
	Dataset  string `json:"dataset"`
	Out      string `json:"out"`
	Snapshot string `json:"snapshot,omitempty"` // the folder that was written
	Outcome  string `json:"outcome"`
	Images   struct {
		Found  int `json:"found"`
		Read   int `json:"read"`   // asked for
		Kept   int `json:"kept"`   // known from an earlier reading
		Empty  int `json:"empty"`  // without annotations, as listed
		Failed int `json:"failed"` // not in the backup
	} `json:"images"`
	Annotations int            `json:"annotations"`
	Bytes       int64          `json:"bytes"`        // of the snapshot
	Shared      int64          `json:"bytes_shared"` // of these, with the snapshot before
	Pruned      []string       `json:"pruned"`       // snapshots taken away
	Requests    int            `json:"requests"`
	Findings    int            `json:"findings"`
	Kinds       map[string]int `json:"findings_by_kind,omitempty"`
	Seconds     float64        `json:"duration_s"`
}

// readStretch is how many readings are committed together: what a killed
// process may have to read again.
const readStretch = 50

// Export reads what the images of a dataset have, as far as it is not known, and
// writes a snapshot of the whole dataset below o.Source, the folder of its
// backups. A stopped export is resumed by the same call: what was read stays
// read.
func Export(ctx context.Context, stop <-chan struct{}, client *pictograph.Client, st *store.Store, pacer *Pacer, e ExportOptions, o Options) (ExportSummary, error) {
	x := &export{run: run{Options: o.withDefaults(), client: client, store: st, pacer: pacer, meta: true}, options: e}
	worked, err := x.work(ctx, stop, x.do)
	return x.leaveExport(ctx, err, worked)
}

type export struct {
	run
	options ExportOptions
	summary ExportSummary
}

func (x *export) do(ctx context.Context) error {
	if err := x.openDataset(ctx); err != nil {
		return err
	}
	repository, err := openRepository(x.Source, x.Now())
	if err != nil {
		return err
	}
	if err := repository.claim(x.Service, x.shown); err != nil {
		return err
	}
	resumed := false
	if x.record, resumed, err = x.store.OpenRun(ctx, x.dataset, "export", x.Source, x.Now()); err != nil {
		return err
	}
	x.Log.Info().Str("run", x.record.ID).Bool("resumed", resumed).Str("dataset", x.dataset.Name).Str("out", x.Source).Msg("export opened")
	if err := x.store.RestartPlan(ctx, x.record.ID, "canonical", ""); err != nil {
		return err
	}
	if err := x.persist(x.list); err != nil {
		return err
	}
	if x.short != nil {
		return fmt.Errorf("back up dataset %q: %s; no snapshot was written and none taken away", x.dataset.Name, x.short.Reason)
	}
	if err := x.store.SetPhase(ctx, x.record.ID, store.Saving); err != nil {
		return err
	}
	if err := x.readAll(); err != nil {
		return err
	}
	if x.stopping.Err() != nil {
		return context.Cause(x.stopping)
	}
	return x.writeSnapshot(repository)
}

// due reports whether an image is to be read.
func (x *export) due(r store.ReadState) bool {
	if r.ReadAt.IsZero() {
		return true
	}
	if x.options.MaxAge <= 0 {
		return r.ReadAt.Before(x.record.StartedAt)
	}
	return x.Now().Sub(r.ReadAt) > time.Duration(float64(x.options.MaxAge)*(1+turnOf(r.ImageID))/2)
}

// readAll reads the images that are due.
func (x *export) readAll() error {
	due := 0
	for r, err := range x.store.ReadStates(x.stopping, x.dataset) {
		if err != nil {
			return err
		}
		if x.due(r) {
			due++
		}
	}
	x.progress.begin("reading", due)
	pool := pond.NewResultPool[kept](x.Save)
	defer pool.StopAndWait()
	var stretch []store.ReadState
	for r, err := range x.store.ReadStates(x.stopping, x.dataset) {
		if err != nil {
			return err
		}
		if !x.due(r) {
			continue
		}
		if stretch = append(stretch, r); len(stretch) == readStretch {
			if err := x.readStretch(pool, stretch); err != nil {
				return err
			}
			stretch = stretch[:0]
		}
	}
	return x.readStretch(pool, stretch)
}

// readStretch reads some images and commits what they have. What was read
// before one of them failed for good, or the run was stopped, is kept.
func (x *export) readStretch(pool pond.ResultPool[kept], images []store.ReadState) error {
	tasks := make([]pond.ResultTask[kept], len(images))
	for n, i := range images {
		tasks[n] = pool.Submit(func() kept {
			if x.stopping.Err() != nil {
				return kept{fatal: context.Cause(x.stopping)}
			}
			return x.read(ready{row: store.Item{ImageID: i.ImageID, Path: i.Path}})
		})
	}
	var readings []store.Reading
	var failed []store.Item
	var fatal error
	for n, task := range tasks {
		k, err := task.Wait()
		if err == nil {
			err = k.fatal
		}
		switch {
		case err != nil:
			fatal = err
		case k.reason != "":
			failed = append(failed, store.Item{Seq: int64(x.summary.Images.Failed + len(failed) + 1), Image: images[n].Path, ImageID: images[n].ImageID, ImageRef: images[n].ImageRef, Path: images[n].Path,
				Plan: store.PlanFailed, Outcome: store.ItemFailed, ListedCount: images[n].Listed, Reason: k.reason})
		default:
			readings = append(readings, store.Reading{ImageRef: images[n].ImageRef, Count: k.backup.Count, Annotations: k.backup.Annotations})
		}
	}
	// A stopped run keeps what it has asked for.
	ctx := context.WithoutCancel(x.stopping)
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
	x.progress.add(len(readings)+len(failed), len(failed))
	if len(failed) > 0 {
		if err := x.store.AddPlan(ctx, x.record.ID, store.PlanPart{Items: failed}); err != nil {
			return err
		}
	}
	return fatal
}

// leaveExport records how this process leaves the run and sums it up.
func (x *export) leaveExport(ctx context.Context, err error, worked time.Duration) (ExportSummary, error) {
	ctx = context.WithoutCancel(ctx)
	s := &x.summary
	s.Run, s.Dataset, s.Out, s.Requests, s.Seconds = x.record.ID, x.Dataset, x.Source, x.pacer.Sent(), worked.Seconds()
	if s.Pruned == nil {
		s.Pruned = []string{}
	}
	if x.record.ID == "" {
		return *s, err
	}
	s.Dataset = x.dataset.Name
	outcome, reason := outcomeOf(Summary{Images: ImageCounts{Failed: s.Images.Failed}}, false, false, err)
	s.Outcome = string(outcome)
	return *s, errors.Join(err, x.store.LeaveRun(ctx, x.record.ID, outcome, reason, s.Requests, worked, x.Now()))
}

// ImageMeta is what a backup keeps of an image beside its annotations.
type ImageMeta struct {
	ID          string    `json:"id"`
	Path        string    `json:"image"`
	Width       int       `json:"width,omitempty"`
	Height      int       `json:"height,omitempty"`
	Status      string    `json:"status,omitempty"`
	Split       string    `json:"split,omitempty"`
	FileSize    int64     `json:"file_size,omitempty"` // bytes
	ContentType string    `json:"content_type,omitempty"`
	Tags        []string  `json:"tags,omitempty"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
}

func imageMeta(i pictograph.Image) []byte {
	data, err := json.Marshal(ImageMeta{ID: i.ID, Path: i.Path(), Width: i.Width, Height: i.Height, Status: i.Status, Split: i.Split,
		FileSize: i.FileSize, ContentType: i.ContentType, Tags: i.Tags, CreatedAt: i.CreatedAt})
	if err != nil {
		panic(err) // text, numbers and a time that was parsed
	}
	return data
}

// sizeOf is an image's size as listed.
func sizeOf(c store.Content) convert.Size { return convert.Size{Width: c.Width, Height: c.Height} }
