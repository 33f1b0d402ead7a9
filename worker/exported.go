package worker

import (
	"math"

	"pictosync/dataset"
	"pictosync/store"
)

// compareWithExport looks at what the images have by an export of the dataset, where that is worth
// its requests: an edit by others that keeps an image's count shows then. A plan alone asks
// for none, since it writes nothing to the service, and is held against what is known: what a
// run or a verification found counts until the image is read or saved again. Nor does an undo,
// which reads its images before it saves.
func (p *planner) compareWithExport() error {
	if p.Expect != "" || p.sample > 0 {
		return nil
	}
	if p.applies && p.undone == nil && p.Worth(math.MaxInt) {
		if err := p.lookByExport(); err != nil {
			return err
		}
	}
	differing, err := p.store.Differing(p.Stopping, p.Ref)
	p.differing = differing
	return err
}

func (p *planner) lookByExport() error {
	all, ours, err := p.store.Annotated(p.Stopping, p.Ref)
	if err != nil {
		return err
	}
	byContent := ours
	if len(p.OnlyClasses) > 0 {
		byContent = all // their labels are put together with what they have
	}
	if !p.Worth(byContent) {
		return nil
	}
	p.Tracker.Begin("reading", 0)
	_, _, err = p.KeepExport(p.record.ID, func(i dataset.Exported) bool {
		p.Tracker.Add(1, 0)
		return len(p.OnlyClasses) > 0 && i.Count > 0
	})
	return err
}

// lookAtUnknown looks by an export at what the images have of which nothing is known, where that
// decides whether the run may go on: after the state was lost they may well have what the
// labels say. A plan alone asks for none.
func (p *planner) lookAtUnknown(plan store.PlanSummary) (store.PlanSummary, error) {
	if !p.applies || p.undone != nil || !p.tipsOver(plan) {
		return plan, nil
	}
	var refs store.Refs
	images := 0
	unknown := func(take func(store.Item) error) error {
		for rows, err := range p.pendingRows(plan.Saves, chunkItems) {
			if err != nil {
				return err
			}
			for _, row := range rows {
				if row.Kept >= 0 || row.ListedCount == 0 {
					continue
				}
				if err := take(row); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := unknown(func(row store.Item) error {
		images++
		refs.Add(row.ImageRef)
		return nil
	}); err != nil || !p.Worth(images) {
		return plan, err
	}
	p.askedExport = true
	p.Tracker.Begin("reading", 0)
	_, ok, err := p.KeepExport(p.record.ID, func(i dataset.Exported) bool {
		p.Tracker.Add(1, 0)
		return refs.Has(i.Image.Ref) && i.Count > 0
	})
	if err != nil || !ok {
		return plan, err
	}
	p.exportTold = true
	return plan, unknown(func(row store.Item) error {
		has, known, err := p.KnownByExport(row.ImageRef, row.Hash)
		if known && has.Hash == row.Hash {
			stays := min(row.Count, row.ListedCount)
			plan.Unknown -= stays
			plan.Kept += stays
		}
		return err
	})
}

// readBefore reads what so many images have that are to be saved on, by an export of the
// dataset where that takes fewer requests.
func (a *applier) readBefore(images int) error {
	if !a.Worth(images) {
		return nil
	}
	refs, err := a.pendingRefs()
	if err != nil {
		return err
	}
	_, a.byExport, err = a.KeepExport(a.record.ID, func(i dataset.Exported) bool {
		return refs.Has(i.Image.Ref) && (i.Count > 0 || a.Backup == BackupAlways)
	})
	return err
}

// readAgain reads anew what the images have that are still to be saved on, where a run takes
// so long that what was read of them is old.
func (a *applier) readAgain() error {
	if !a.byExport || !a.ExportedAt.Before(a.Since()) {
		return nil
	}
	left := 0
	for rows, err := range a.pendingRows(1<<40, chunkItems) {
		if err != nil {
			return err
		}
		left += len(rows)
	}
	a.byExport = false
	return a.readBefore(left)
}

// confirms tells of what an export says of an image whether it is what was saved on it.
func confirms(image store.Image) func(dataset.Content) bool {
	return func(c dataset.Content) bool { return image.Saved != nil && image.Saved.Hash == c.Hash }
}

// comparedWith are the hashes that what an image has is held against.
func comparedWith(planned store.Hash, image store.Image) []store.Hash {
	hashes := []store.Hash{planned}
	if image.Saved != nil {
		hashes = append(hashes, image.Saved.Hash)
	}
	return hashes
}
