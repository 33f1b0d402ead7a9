package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"pictosync/dataset"
	"pictosync/internal/parallel"
	"pictosync/internal/progress"
	"pictosync/store"
)

// BackupPolicy says of which images the annotations are kept before they are
// overwritten.
type BackupPolicy string

// Backup policies. The zero value is BackupNever.
const (
	BackupAuto   BackupPolicy = "auto"   // where the listing shows annotations
	BackupAlways BackupPolicy = "always" // of every image
	BackupNever  BackupPolicy = "never"
)

func (a *applier) backsUp() bool { return a.Backup == BackupAuto || a.Backup == BackupAlways }

// readsFirst reports whether what an image has is read before it is overwritten: for its backup,
// and without one where the run leaves alone what somebody changed, as an undo and --prune do,
// which the count alone does not show.
func (a *applier) readsFirst(row store.Item) bool {
	if row.ListedCount == 0 {
		return a.Backup == BackupAlways
	}
	return a.backsUp() || row.Pruned || a.undone != nil && !a.undone.force
}

// readings are how many images of a plan are read so.
func (a *applier) readings(plan store.PlanSummary) int {
	switch {
	case a.Backup == BackupAlways:
		return plan.Saves
	case a.backsUp(), a.undone != nil && !a.undone.force:
		return plan.Backups
	}
	return plan.Pruned
}

// backUp reads and keeps what images have, before they are handed to a batch.
// Those whose annotations cannot be kept are set to failed, those that turn out
// to have been changed by someone else to what the policy says; the others are
// returned.
func (a *applier) backUp(images []toSave) ([]toSave, error) {
	wanted := func(i toSave) bool { return a.readsFirst(i.row) }
	var ids []string
	for _, i := range images {
		if wanted(i) {
			ids = append(ids, i.row.ImageID)
		}
	}
	earlier, err := a.store.BackedUp(a.Stopping, a.record.ID, ids)
	if err != nil || len(ids) == 0 {
		return images, err
	}
	if err := a.awaitClasses(); err != nil {
		return nil, err
	}
	if err := a.readAgain(); err != nil {
		return nil, err
	}
	read := func(_ context.Context, i toSave) (reading, error) {
		if !wanted(i) {
			return reading{}, nil
		}
		return a.readToSave(i)
	}
	var remaining, left []toSave
	var backups []store.Backup
	if !a.byExport {
		defer a.Tracker.Note("")
	}
	n := -1
	for r, err := range parallel.Map(a.Stopping, a.Concurrency, parallel.Each(images), read) {
		if err != nil {
			return nil, err
		}
		n++
		i := images[n]
		if !a.byExport {
			a.Tracker.Note("backing up %d of %d", n+1, len(images))
		}
		if !wanted(i) {
			remaining = append(remaining, i)
			continue
		}
		row, ok, err := a.judgeBackup(i, r)
		if err != nil {
			return nil, err
		}
		if backup, again := earlier[i.row.ImageID]; ok && again && !a.asKnown(i.image, backup, r.Content) {
			row, ok = a.judgeEdited(row, backup, r.Content)
		}
		if !ok {
			i.row = row
			left = append(left, i)
			continue
		}
		i.row.ListedCount = r.Count // what the save is expected to replace
		remaining = append(remaining, i)
		if !a.backsUp() {
			continue
		}
		backups = append(backups, store.Backup{ImageID: i.row.ImageID, Path: i.row.Path, Count: r.Count, Annotations: r.Annotations})
	}
	if err := a.leave(left); err != nil {
		return nil, err
	}
	return remaining, a.store.AddBackups(a.Stopping, a.record.ID, backups, a.Now())
}

// leave notes of images that they are not to be saved after all. Those that have what their
// labels say are the source's from now on.
func (a *applier) leave(images []toSave) error {
	rows := make([]store.Item, len(images))
	var found store.PlanChunk
	for n, i := range images {
		if rows[n] = i.row; i.row.Outcome == store.ItemUnchanged {
			if a.savedElsewhere(i.row, i.image) {
				found.Findings = append(found.Findings, a.reportSavedElsewhere(i.row)...)
			}
			found.Adopted, found.At = append(found.Adopted, i.row), a.Now()
		}
		a.Tracker.Add(1, failures(i.row))
	}
	if len(found.Adopted) > 0 {
		if err := a.store.AddPlan(a.Stopping, a.record.ID, found); err != nil {
			return err
		}
	}
	return a.store.SetItems(a.Stopping, a.record.ID, rows)
}

// reading is what an image has, or why that cannot be kept.
type reading struct {
	dataset.Content
	unreadable string
}

// readToSave reads what an image has, unless it was read to convert its labels.
func (a *applier) readToSave(i toSave) (reading, error) {
	if i.existing != nil {
		return reading{Content: *i.existing}, nil
	}
	compared := comparedWith(i.row.Hash, i.image)
	if a.undone != nil {
		left, _, ok, err := a.undone.contentAfter(a.Stopping, i.image)
		if err != nil {
			return reading{}, err
		}
		if ok {
			compared = append(compared, left)
		}
	}
	content, err := a.ReadOrKnown(i.row.ImageRef, i.row.ImageID, i.row.Path, i.row.ListedCount, confirms(i.image), compared...)
	if u, ok := errors.AsType[dataset.UnreadableError](err); ok {
		return reading{unreadable: u.Reason}, nil
	}
	if !content.ByExport {
		a.Tracker.Did(progress.Reading, 1)
	}
	return reading{Content: content}, err
}

// judgeBackup tells whether an image may be overwritten, now that it is known
// what it has: the count alone does not show every change of someone else's.
func (a *applier) judgeBackup(i toSave, r reading) (row store.Item, ok bool, err error) {
	row = i.row
	if r.unreadable != "" {
		row.Outcome, row.Reason = store.ItemFailed, r.unreadable
		return row, false, nil
	}
	ours := i.image.Saved
	unchanged, asLeft := true, false
	if a.undone != nil && !a.undone.force {
		if unchanged, asLeft, err = a.undone.isUnchanged(a.Stopping, i.image, r.Content); err != nil {
			return row, false, err
		}
	}
	switch {
	case r.Hash == i.row.Hash:
		// As where a save was executed whose answer was lost with a part of the state.
		row.Plan, row.Outcome, row.Reason, row.Kept = store.PlanUnchanged, store.ItemUnchanged, "", row.Count
		return row, false, nil
	case !unchanged:
		row.Plan, row.Outcome, row.Reason = store.PlanDrifted, store.ItemSkipped, "the image was changed since; --force takes it back all the same"
		return row, false, nil
	case ours != nil && ours.Hash != r.Hash && !asLeft && a.onDrift(row) != Overwrite:
		row.Plan, row.Outcome = store.PlanDrifted, outcomeOfPolicy(a.onDrift(row))
		row.Reason = "someone else changed the image since our last save, and " + a.becauseOfDrift(row)
		return row, false, nil
	case ours == nil && row.ListedCount == 0 && r.Count > 0 && a.OnExisting != "" && a.OnExisting != Overwrite:
		row.Plan, row.Outcome = store.PlanOverwrite, outcomeOfPolicy(a.OnExisting)
		row.Reason = fmt.Sprintf("the image has %d annotations since the run was planned, and --on-existing is %s", r.Count, a.OnExisting)
		return row, false, nil
	}
	return row, true, nil
}

// asKnown reports whether an image that this run backed up before it was stopped has what
// it had then, or what the run saved.
func (a *applier) asKnown(image store.Image, backup store.BackedUp, c dataset.Content) bool {
	if saved := image.Saved; saved != nil && saved.Run == a.record.ID {
		return saved.Hash == c.Hash
	}
	return backup.Hash == sha256.Sum256(c.Annotations)
}

// judgeEdited leaves alone an image that this run backed up before it was stopped and that
// somebody changed since. The run has one backup of it, the first; the next one takes its
// own.
func (a *applier) judgeEdited(row store.Item, backup store.BackedUp, c dataset.Content) (store.Item, bool) {
	why := fmt.Sprintf("--on-drift is %s", a.OnDrift)
	if a.OnDrift == Overwrite || a.OnDrift == "" {
		why = "a run keeps one backup of an image; run again to overwrite it"
	}
	row.Plan, row.Outcome = store.PlanDrifted, outcomeOfPolicy(a.OnDrift)
	row.Reason = fmt.Sprintf("somebody changed the image since this run backed it up (%d annotations then, %d now), and %s", backup.Count, c.Count, why)
	return row, false
}
