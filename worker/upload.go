package worker

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/upload"
)

// Uploading says which images are brought to the dataset that it lacks.
type Uploading string

// What is uploaded. The zero value is UploadNone.
const (
	UploadNone    Uploading = "none"
	UploadMissing Uploading = "missing" // the images that labels name and whose files are at hand
	UploadAll     Uploading = "all"     // also the images of the source that have no labels
)

// Uploads say how images are brought to the dataset.
type Uploads struct {
	Upload Uploading
	// Files are where the image files lie; nil is this machine.
	Files upload.Files
	// SetSplits puts images that are in no split into the one that the source has them in.
	SetSplits bool
	// Streams is how many files are sent at the same time. 0 means the default.
	Streams int
	// AnyFile takes images for those of their paths also where the file at hand is another.
	AnyFile bool
}

func (u Uploads) uploading() bool { return u.Upload == UploadMissing || u.Upload == UploadAll }

func (u Uploads) files() upload.Files {
	if u.Files == nil {
		return upload.Disk{}
	}
	return u.Files
}

// matchItems finds the images of a chunk of items, and holds the files at hand against them.
func (p *planner) matchItems(ctx context.Context, items []walked) ([]match, error) {
	matches, err := p.matcher.match(ctx, items)
	if err == nil {
		p.holdFiles(ctx, items, matches)
	}
	return matches, err
}

// holdFiles holds the files at hand, where they are to be uploaded, against the images that were
// found for them: a file of another size is another image. Where only a part of the paths
// agrees it is one that the dataset lacks, and nothing tells where the size does not; at the very
// path, the image fails.
func (p *planner) holdFiles(ctx context.Context, items []walked, matches []match) {
	if !p.uploading() {
		return
	}
	for n := range matches {
		m := &matches[n]
		image := m.image
		file := items[n].picture
		if file == "" {
			file = convert.ImageFile(p.src, items[n].Item)
		}
		if file == "" || m.closeness == closeByID || m.plan != "" || items[n].Err != nil {
			continue
		}
		size, err := p.fileSize(ctx, file)
		if err != nil {
			continue // who reads it says so
		}
		differs := fmt.Sprintf("the file at hand has %d bytes, and %s of the dataset has %d", size, image.Path, image.FileSize)
		loose := m.closeness < closeByPath && p.matcher.how != MatchName
		switch {
		case size == image.FileSize && packed(file):
			m.same = true
		case loose && (size == image.FileSize || image.FileSize == 0) && items[n].picture == "":
			*m = match{plan: store.PlanUnmatched, near: image.Ref, reason: fmt.Sprintf("the dataset has %s, and nothing tells whether this is another image", image.Path)}
		case size == image.FileSize, image.FileSize == 0:
		case loose:
			*m = match{plan: store.PlanUnmatched, reason: "the dataset has no image of this name: " + differs}
		case m.closeness >= closeByPath && !p.AnyFile:
			m.other = fmt.Sprintf("the dataset has another image of this name: %s; rename one of the two, or take it for the same with --on-size-mismatch keep", differs)
		}
	}
}

// packed reports whether image files of this kind that have as many bytes are most certainly
// the same: those that are not compressed are as long as their pixels are many.
func packed(file string) bool {
	switch strings.ToLower(path.Ext(file)) {
	case ".bmp", ".tif", ".tiff":
		return false
	}
	return true
}

func (p *planner) fileSize(ctx context.Context, file string) (int64, error) {
	f, stat, err := p.files().Header(ctx, file)
	if err != nil {
		return 0, err
	}
	return stat.Size, f.Close()
}

// examine reads what is wanted to know of the file of an image that the dataset lacks.
func (p *planner) examine(ctx context.Context, i matchedItem, c *converted) {
	if !p.uploading() || i.plan != store.PlanUnmatched || i.archived || i.Stem {
		return
	}
	file := convert.ImageFile(p.src, i.Item)
	if file == "" {
		return
	}
	c.file, c.fileErr = p.fileOf(ctx, file, path.Join(p.matcher.into, i.Image))
	if c.fileErr == nil {
		c.file.Near = i.near
		if sum, err := hex.DecodeString(convert.ImageSum(p.src, i.Item)); err == nil {
			copy(c.file.SHA256[:], sum)
		}
	}
}

// fileOf is a file that is to be uploaded.
func (p *planner) fileOf(ctx context.Context, file, as string) (*store.Upload, error) {
	e, err := upload.Examine(ctx, p.files(), file, as)
	if err != nil {
		return nil, err
	}
	return &store.Upload{Path: as, File: file, Stamp: e.Stamp, Size: e.Size, ContentType: e.ContentType, Width: e.Pixels.Width, Height: e.Pixels.Height}, nil
}

// planUploads completes the plan of what is uploaded, once all items are planned.
func (p *planner) planUploads(ctx context.Context) error {
	if !p.uploading() {
		return nil
	}
	if p.Upload == UploadAll {
		if err := p.planUnlabelled(ctx); err != nil {
			return err
		}
		if err := p.store.ClaimImages(ctx, p.record.ID, p.claimed, closeByPath); err != nil {
			return err
		}
	}
	if err := p.planDisplaced(ctx); err != nil {
		return err
	}
	if err := p.store.HoldUploads(ctx, p.record.ID, p.claimed); err != nil {
		return err
	}
	return p.reportNotUploaded(ctx)
}

// reportNotUploaded tells of the files without labels that are not uploaded, each once; those of
// items stand with these.
func (p *planner) reportNotUploaded(ctx context.Context) error {
	var found []store.Finding
	for u, err := range p.store.Uploads(ctx, p.record.ID, store.UploadFailed) {
		if err != nil {
			return err
		}
		if u.Item != 0 || p.notTaken[u.ID] {
			continue
		}
		if p.notTaken == nil {
			p.notTaken = make(map[int64]bool)
		}
		p.notTaken[u.ID] = true
		found = append(found, p.report(0, convert.Finding{Kind: convert.KindNotUploaded, File: p.files().Name(u.File), Image: u.Path, Path: u.Path, Reason: u.Error, Action: "the file was left out"})...)
	}
	if len(found) == 0 {
		return nil
	}
	return p.store.AddPlan(ctx, p.record.ID, store.PlanChunk{Findings: found})
}

// planDisplaced plans the upload of images that were taken for others of the dataset, whose
// own labels are here too: b/a.jpg for a.jpg, where only that is there.
func (p *planner) planDisplaced(ctx context.Context) error {
	displaced, err := p.store.Displaced(ctx, p.record.ID, p.claimed)
	if err != nil {
		return err
	}
	for rows := range slices.Chunk(displaced, chunkItems) {
		items, err := findItems(ctx, p.src, rows)
		if err != nil {
			return err
		}
		for d, err := range parallel.Map(ctx, p.Convert, displacedIn(rows, items), p.convertDisplaced) {
			if err == nil {
				err = p.planUploadOf(ctx, d)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// displaced is a planned image that is to be uploaded after all.
type displaced struct {
	row  store.Item
	item convert.Item
	converted
}

// displacedIn are those of planned rows whose items are there still.
func displacedIn(rows []store.Item, items map[string]convert.Item) iter.Seq2[displaced, error] {
	return func(yield func(displaced, error) bool) {
		for _, row := range rows {
			if item, there := items[itemKey(row)]; there && item.Err == nil && !yield(displaced{row: row, item: item}, nil) {
				return
			}
		}
	}
}

func (p *planner) convertDisplaced(ctx context.Context, d displaced) (_ displaced, err error) {
	d.converted, err = p.convertMatched(ctx, matchedItem{walked{Item: d.item}, match{plan: store.PlanUnmatched}})
	return d, err
}

// planUploadOf plans the upload of a displaced image, where its file is at hand.
func (p *planner) planUploadOf(ctx context.Context, d displaced) error {
	if d.file == nil {
		return nil
	}
	planned, err := p.decide(d.item, match{plan: store.PlanUnmatched}, d.converted)
	if err != nil || planned.Plan != store.PlanUpload {
		return err
	}
	planned.Seq = d.row.Seq
	known, err := p.knownClasses(ctx)
	if err != nil {
		return err
	}
	var classes store.PlanChunk
	if p.needClasses(&planned, d.classes, known, &classes); len(classes.Classes) > 0 {
		if err := p.store.AddPlan(ctx, p.record.ID, classes); err != nil {
			return err
		}
	}
	d.file.Item = planned.Seq
	return p.store.UploadDisplaced(ctx, p.record.ID, planned, *d.file)
}

// createDataset makes a dataset that is missing, with the classes that the plan needs.
func (a *applier) createDataset(ctx context.Context, plan store.PlanSummary) error {
	if !a.Missing {
		return nil
	}
	if plan.Uploads == 0 {
		return guardError{reason: fmt.Sprintf("dataset %q is not made, since there is nothing to upload into it: no image has a file at hand that can be uploaded", a.Ref.Name),
			flag: fmt.Sprintf("--images names the folder that the files lie in; `pictosync runs %s --outcome failed,unmatched` says what is wrong with each image", a.record.ID)}
	}
	planned, err := a.store.Classes(ctx, a.record.ID)
	if err != nil {
		return err
	}
	classes := make([]pictograph.Class, len(planned))
	for n, c := range planned {
		if err := json.Unmarshal(c.JSON, &classes[n]); err != nil {
			return fmt.Errorf("read class %q from the state: %w", c.Name, err)
		}
	}
	if err := a.Make(ctx, classes); err != nil {
		return err
	}
	if err := a.store.Note(ctx, a.record.ID, func(n *store.Notes) { n.Made = true }); err != nil {
		return err
	}
	a.Log.Info().Str("dataset", a.Ref.Name).Int("classes", len(classes)).Msg("dataset made")
	return nil
}

// uploadImages uploads what the plan says, and sums up what is to be saved then.
func (a *applier) uploadImages(ctx context.Context, plan store.PlanSummary) (store.PlanSummary, error) {
	if plan.Uploads == 0 {
		return plan, nil
	}
	a.Tracker.Begin("uploading", plan.Uploads)
	u := upload.Uploader{Access: a.Access, Store: a.store, Files: a.files(), Run: a.record.ID, Streams: a.Streams}
	if err := u.Upload(ctx); err != nil {
		return plan, errors.Join(err, a.reportNotUploaded(context.WithoutCancel(ctx)))
	}
	if err := a.reportNotUploaded(ctx); err != nil {
		return plan, err
	}
	return a.store.PlanSummary(ctx, a.Ref, a.record.ID)
}
