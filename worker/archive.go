package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"pictosync/pictograph"
	"pictosync/store"
)

// archivable are the images that the undone run uploaded and that have nothing of others:
// those of which the undo leaves no annotation, and that nobody changed since the run.
func (p *planner) archivable(ctx context.Context, glob string) (map[string]store.Image, error) {
	uploaded := make(map[string]bool)
	var ids []string
	for u, err := range p.store.Uploads(ctx, p.undone.uploads, store.UploadDone) {
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
	var empty []string
	err = a.eachListed(pictograph.ImageFilter{}, func(i pictograph.Image) {
		if _, ours := archivable[i.ID]; ours && i.AnnotationCount == 0 {
			empty = append(empty, i.ID)
		}
	}, func() { empty = nil })
	if err != nil {
		return err
	}
	a.Tracker.Begin("archiving", len(empty))
	_, err = a.setArchived(empty, true) // what fails is gone
	noted := a.store.Note(context.WithoutCancel(ctx), a.record.ID, func(n *store.Notes) { n.Archived += a.putAway })
	return errors.Join(err, noted)
}

// eachListed does something for the images that a listing shows, and begins anew where one
// is made anew.
func (r *run) eachListed(filter pictograph.ImageFilter, do func(pictograph.Image), anew func()) error {
	return r.Persist(func(ctx context.Context) error {
		anew()
		for page, err := range r.Client.ImagePages(ctx, r.Ref.ID, filter) {
			if err != nil {
				return err
			}
			for _, i := range page {
				do(i)
			}
		}
		return nil
	})
}

// setArchived archives images, or brings them back, and counts them.
func (p *planner) setArchived(ids []string, archived bool) (failed map[string]string, err error) {
	failed = make(map[string]string)
	for some := range slices.Chunk(ids, pictograph.MaxArchive) {
		if p.Stopping.Err() != nil {
			return failed, context.Cause(p.Stopping)
		}
		var bad map[string]string
		err := p.Persist(func(ctx context.Context) (err error) {
			bad, err = p.Client.SetArchived(ctx, p.Shown.Name, some, archived)
			return err
		})
		if errors.Is(err, pictograph.ErrNotFound) { // all of them are gone
			bad, err = make(map[string]string), nil
			for _, id := range some {
				bad[id] = "it is not in the dataset any more"
			}
		}
		if err != nil {
			return failed, err
		}
		maps.Copy(failed, bad)
		p.putAway += len(some) - len(bad)
		p.Tracker.Add(len(some), len(bad))
	}
	return failed, nil
}

// archivedUploads are the images that the run which an undone undo took back had uploaded, and
// that are archived.
func (p *planner) archivedUploads(ctx context.Context) (archived map[string]bool, err error) {
	uploaded := make(map[string]bool)
	for u, err := range p.store.Uploads(ctx, p.undone.uploads, store.UploadDone) {
		if err != nil {
			return nil, err
		}
		uploaded[u.ImageID] = true
	}
	if len(uploaded) == 0 || p.Shown.ArchivedImageCount == 0 {
		return nil, nil
	}
	err = p.eachListed(pictograph.ImageFilter{Archived: true}, func(i pictograph.Image) {
		if uploaded[i.ID] && i.IsArchived && (p.undone.glob == "" || doublestar.MatchUnvalidated(p.undone.glob, i.Path())) {
			archived[i.ID] = true
		}
	}, func() { archived = make(map[string]bool) })
	return archived, err
}

// bringBack brings back from the archive what an undone undo put there, before its labels are.
func (p *planner) bringBack(ctx context.Context) error {
	archived, err := p.archivedUploads(ctx)
	if err != nil || len(archived) == 0 {
		return err
	}
	p.Tracker.Begin("bringing back", len(archived))
	failed, err := p.setArchived(slices.Sorted(maps.Keys(archived)), false)
	p.Shown.ImageCount += p.putAway
	p.Shown.ArchivedImageCount -= p.putAway
	if err == nil && len(failed) > 0 {
		for id, reason := range failed {
			err = fmt.Errorf("%d images stay in the archive, %s among them (%s); bring them back in the Archive tab of the dataset, and run again", len(failed), id, reason)
		}
	}
	return err
}
