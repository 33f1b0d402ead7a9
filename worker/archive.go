package worker

import (
	"context"
	"errors"

	"github.com/bmatcuk/doublestar/v4"

	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/store"
)

// archivable are the images that the undone run uploaded and that have nothing of others:
// those of which the undo leaves no annotation, and that nobody changed since the run.
func (p *planner) archivable(ctx context.Context, glob string) (map[string]store.Image, error) {
	uploaded := make(map[string]bool)
	var ids []string
	for u, err := range p.store.Uploads(ctx, p.undone.run, store.UploadDone) {
		if err != nil {
			return nil, err
		}
		uploaded[u.ImageID] = true
		ids = append(ids, u.ImageID)
	}
	cleared := make(map[string]bool)
	for i, err := range p.store.Items(ctx, p.record.ID) {
		if err != nil {
			return nil, err
		}
		if !uploaded[i.ImageID] {
			continue
		}
		if i.Plan == store.PlanDrifted || i.Outcome == store.ItemFailed || i.Outcome == store.ItemSkipped || i.Count > 0 {
			delete(uploaded, i.ImageID)
		}
		cleared[i.ImageID] = true
	}
	images, err := p.store.ImagesByID(ctx, p.Ref, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[string]store.Image)
	for _, i := range images {
		fits := glob == "" || doublestar.MatchUnvalidated(glob, i.Path)
		if uploaded[i.ID] && fits && (cleared[i.ID] || i.AnnotationCount == 0) {
			found[i.ID] = i
		}
	}
	return found, nil
}

// archiveUploaded archives what the undone run uploaded. It is held against the listing as it
// is now: an image that has an annotation stays.
func (a *applier) archiveUploaded(ctx context.Context, glob string) (err error) {
	archivable, err := a.archivable(ctx, glob)
	if err != nil || len(archivable) == 0 {
		return err
	}
	var empty []pictograph.ImageRef
	err = a.Persist(func(context.Context) error {
		empty = nil
		for page, err := range a.Client.ImagePages(ctx, a.Ref.ID, pictograph.ImageFilter{}) {
			if err != nil {
				return err
			}
			for _, i := range page {
				if _, ours := archivable[i.ID]; ours && i.AnnotationCount == 0 {
					empty = append(empty, pictograph.ImageRef{ID: i.ID, Dataset: a.Ref.ID, Path: i.Path()})
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.Tracker.Begin("archiving", len(empty))
	defer func() {
		noted := a.store.Note(context.WithoutCancel(ctx), a.record.ID, func(n *store.Notes) { n.Archived += a.putAway })
		err = errors.Join(err, noted)
	}()
	for _, archiveErr := range parallel.Map(ctx, a.Concurrency, parallel.Each(empty), func(ctx context.Context, i pictograph.ImageRef) (none struct{}, err error) {
		if a.Stopping.Err() != nil {
			return none, context.Cause(a.Stopping)
		}
		err = a.Persist(func(context.Context) error { return a.Client.DeleteImage(ctx, i, false) })
		if errors.Is(err, pictograph.ErrNotFound) {
			err = nil // by an attempt before
		}
		a.Tracker.Add(1, 0)
		return none, err
	}) {
		if archiveErr != nil {
			return archiveErr
		}
		a.putAway++
	}
	return nil
}
