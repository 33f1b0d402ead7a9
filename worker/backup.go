package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/alitto/pond/v2"

	"pictosync/pictograph"
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

// ready is an image that is about to be saved.
type ready struct {
	row    store.Item
	labels encoded
	image  store.Image
	there  *kept // what the image has, where that has been read already
}

// backUp reads and keeps what images have, before they are handed to a batch.
// Those whose annotations cannot be kept are set to failed, those that turn out
// to have been changed by someone else to what the policy says; the others are
// returned.
func (r *run) backUp(images []ready) ([]ready, error) {
	if r.Backup != BackupAuto && r.Backup != BackupAlways {
		return images, nil
	}
	var ids []string
	for _, i := range images {
		if i.row.ListedCount > 0 || r.Backup == BackupAlways {
			ids = append(ids, i.row.ImageID)
		}
	}
	there, err := r.store.BackedUp(r.stopping, r.record.ID, ids)
	if err != nil || len(ids) == 0 {
		return images, err
	}
	if err := r.awaitClasses(); err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	pool := pond.NewResultPool[kept](r.Save)
	defer pool.StopAndWait()
	tasks := make([]pond.ResultTask[kept], len(images))
	for n, i := range images {
		if wanted[i.row.ImageID] {
			tasks[n] = pool.Submit(func() kept {
				if i.there != nil {
					return *i.there
				}
				return r.read(i)
			})
		}
	}
	var left []ready
	var backups []store.Backup
	defer r.progress.note("")
	for n, i := range images {
		r.progress.note("backing up %d of %d", n+1, len(images))
		if tasks[n] == nil {
			left = append(left, i)
			continue
		}
		k, err := tasks[n].Wait()
		if err == nil {
			err = k.fatal
		}
		if err != nil {
			return nil, err
		}
		backedUp, again := there[i.row.ImageID]
		row, ok := r.holdBackup(i, k)
		if ok && again && !r.asKnown(i.image, backedUp, k) {
			row, ok = r.holdEdited(row, backedUp, k)
		}
		if !ok {
			if row.Outcome == store.ItemUnchanged {
				err = r.store.Adopt(r.stopping, r.dataset, r.record.ID, row, r.Now())
			}
			if err = cmp.Or(err, r.store.SetItem(r.stopping, r.record.ID, row)); err != nil {
				return nil, err
			}
			r.progress.add(1, failures(row))
			continue
		}
		backups = append(backups, k.backup)
		i.row.ListedCount = k.backup.Count // what the save is expected to replace
		left = append(left, i)
	}
	return left, r.store.AddBackups(r.stopping, r.record.ID, backups, r.Now())
}

// kept is what was read of an image. reason says why it cannot be kept, fatal
// why nothing can be read at all.
type kept struct {
	backup store.Backup
	hash   store.Hash // of the annotations as we would save them
	prints prints
	reason string
	fatal  error
}

func (r *run) read(i ready) (k kept) {
	var annotations []pictograph.Annotation
	tries := 0
	err := r.persist(func(ctx context.Context) (err error) {
		if annotations, err = r.client.Annotations(ctx, pictograph.ImageRef{ID: i.row.ImageID, Dataset: r.dataset.ID, Path: i.row.Path}); err == nil {
			r.outage.notRead.Store(0)
			return nil
		}
		tries++
		return r.unreadable(err, tries)
	})
	if poison, ok := errors.AsType[poisonError](err); ok {
		return kept{reason: "the service cannot say what the image has, and answers other requests: " + poison.error.Error()}
	}
	var api *pictograph.APIError
	var network *pictograph.NetworkError
	switch {
	case errors.Is(err, pictograph.ErrNotFound):
		return kept{reason: "the image is not there any more"}
	case r.stopping.Err() != nil:
		return kept{fatal: context.Cause(r.stopping)}
	case errors.As(err, &api), errors.As(err, &network):
		return kept{fatal: err}
	}
	var data []byte
	if err == nil {
		data, k.prints, err = encode(nil, annotations)
	}
	if err != nil { // what the service sent is not what it documents
		return kept{reason: fmt.Sprintf("what it has cannot be kept, so it is not overwritten (--backup never does without): %v", err)}
	}
	k.backup = store.Backup{ImageID: i.row.ImageID, Path: i.row.Path, Count: len(annotations), Annotations: data}
	k.hash = sha256.Sum256(data)
	if saved := i.image.Saved; k.hash != i.row.Hash && (saved == nil || saved.Hash != k.hash) {
		for n := range annotations { // the service may note who saved
			annotations[n].CreatedBy = ""
		}
		if data, err = pictograph.AppendAnnotations(nil, annotations); err == nil {
			k.hash = sha256.Sum256(data)
		}
	}
	return k
}

// holdBackup tells whether an image may be overwritten, now that it is known
// what it has: the count alone does not show every change of someone else's.
func (r *run) holdBackup(i ready, k kept) (store.Item, bool) {
	row := i.row
	if k.reason != "" {
		row.Outcome, row.Reason = store.ItemFailed, k.reason
		return row, false
	}
	ours := i.image.Saved
	switch {
	case k.hash == i.row.Hash:
		// As where a save was executed whose answer was lost with a part of the state.
		row.Plan, row.Outcome, row.Reason, row.Kept = store.PlanUnchanged, store.ItemUnchanged, "", row.Count
		return row, false
	case r.Undoes != "" && r.OnDrift != Overwrite && !r.asLeft(i.image, k):
		row.Plan, row.Outcome, row.Reason = store.PlanDrifted, store.ItemSkipped, "the image was changed since; --force takes it back all the same"
		return row, false
	case ours != nil && ours.Hash != k.hash && r.onDrift(row) != Overwrite:
		row.Plan, row.Outcome = store.PlanDrifted, outcomeOfPolicy(r.onDrift(row))
		row.Reason = "someone else changed the image since our last save, and " + r.becauseOfDrift(row)
		return row, false
	case ours == nil && row.ListedCount == 0 && k.backup.Count > 0 && r.OnExisting != "" && r.OnExisting != Overwrite:
		row.Plan, row.Outcome = store.PlanOverwrite, outcomeOfPolicy(r.OnExisting)
		row.Reason = fmt.Sprintf("the image has %d annotations since the run was planned, and --on-existing is %s", k.backup.Count, r.OnExisting)
		return row, false
	}
	return row, true
}

// asLeft reports whether an image has what the run that is undone left there.
func (r *run) asLeft(image store.Image, k kept) bool {
	left, saved, ok, err := r.store.LeftBy(r.stopping, r.Undoes, image)
	return err == nil && ok && (saved || left == k.hash)
}

// asKnown reports whether an image that this run backed up before it was stopped has what
// it had then, or what the run saved.
func (r *run) asKnown(image store.Image, backup store.BackedUp, k kept) bool {
	if saved := image.Saved; saved != nil && saved.Run == r.record.ID {
		return saved.Hash == k.hash
	}
	return backup.Hash == sha256.Sum256(k.backup.Annotations)
}

// holdEdited leaves alone an image that this run backed up before it was stopped and that
// somebody changed since. The run has one backup of it, the first; the next one takes its
// own.
func (r *run) holdEdited(row store.Item, backup store.BackedUp, k kept) (store.Item, bool) {
	why := fmt.Sprintf("--on-drift is %s", r.OnDrift)
	if r.OnDrift == Overwrite || r.OnDrift == "" {
		why = "a run keeps one backup of an image; run again to overwrite it"
	}
	row.Plan, row.Outcome = store.PlanDrifted, outcomeOfPolicy(r.OnDrift)
	row.Reason = fmt.Sprintf("somebody changed the image since this run backed it up (%d annotations then, %d now), and %s", backup.Count, k.backup.Count, why)
	return row, false
}

func outcomeOfPolicy(p Policy) store.ItemOutcome {
	if p == Skip {
		return store.ItemSkipped
	}
	return store.ItemFailed
}
