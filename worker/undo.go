package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// NewUndo is the source of what the images had before a run, those whose paths
// fit the glob; "" is all of them.
//
// An image that somebody changed between its backup and its save is an error unless
// edited is set: the backup is not all that it had.
func NewUndo(st *store.Store, run store.Run, glob string, edited bool) (source.Source, error) {
	if glob != "" && !doublestar.ValidatePattern(glob) {
		return nil, fmt.Errorf("%q is no glob", glob)
	}
	return &undo{store: st, run: run, glob: glob, edited: edited}, nil
}

type undo struct {
	store *store.Store
	run   store.Run
	glob  string

	edited bool
}

func (u *undo) Describe() source.Description {
	return source.Description{Path: UndoSource(u.run.ID), Format: "backup", Reason: "the backups of a run", Fingerprint: u.run.ID + " " + u.glob}
}

// UndoSource is how an undo of a run is named as a source.
func UndoSource(run string) string { return undoPrefix + run }

const undoPrefix = "undo:"

// UndoneBy is the run that an undo takes back.
func UndoneBy(r store.Run) (undone string, undo bool) {
	return strings.CutPrefix(r.Source, undoPrefix)
}

func (u *undo) Items(ctx context.Context, after string) iter.Seq2[source.Item, error] {
	return func(yield func(source.Item, error) bool) {
		for t, err := range u.store.Touched(ctx, u.run.ID, after) {
			if err != nil {
				yield(source.Item{}, err)
				return
			}
			if u.glob != "" && !doublestar.MatchUnvalidated(u.glob, t.Path) {
				continue
			}
			item := source.Item{Cursor: t.Cursor(), Image: t.Path, ImageID: t.ImageID, File: "backup", Explicit: true}
			if item.Err, err = u.lacks(ctx, t); err != nil {
				yield(source.Item{}, err)
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// lacks says what keeps an image from being put back, nil where nothing does.
func (u *undo) lacks(ctx context.Context, t store.Touched) (missing, err error) {
	there, err := u.store.BackedUp(ctx, u.run.ID, []string{t.ImageID})
	if err != nil {
		return nil, err
	}
	backup, kept := there[t.ImageID]
	switch {
	case t.ImageRef == 0:
		missing = fmt.Errorf("the image is not in the dataset any more, or was uploaded anew; the %d annotations that it had are in the backup", backup.Count)
	case t.Previous == backup.Count:
	case !kept:
		missing = fmt.Errorf("the run kept no backup of the %d annotations that it had", t.Previous)
	case !u.edited:
		missing = fmt.Errorf("somebody changed the image between its backup (%d annotations) and its save (%d); --force brings back what the backup has", backup.Count, t.Previous)
	}
	return missing, nil
}

func (u *undo) Load(ctx context.Context, item source.Item, listed convert.Size) (convert.Result, error) {
	backup, err := u.store.Backup(ctx, u.run.ID, item.ImageID)
	if errors.Is(err, store.ErrNoBackup) { // there was nothing to keep
		return convert.Result{Size: listed}, nil
	}
	if err != nil {
		return convert.Result{}, err
	}
	annotations, err := pictograph.DecodeAnnotations(backup.Annotations)
	if err != nil {
		return convert.Result{}, fmt.Errorf("read the backup: %w", err)
	}
	return convert.CanonicalResult(convert.CanonicalImage{Image: item.Image, Size: listed, Annotations: annotations}), nil
}

func (u *undo) Size(source.Item) convert.Size { return convert.Size{} }
