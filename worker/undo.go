package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/store"
)

// UndoOptions say what of a run is taken back, and how.
type UndoOptions struct {
	dataset.Options
	// Image, where it is given, is the glob that the paths of images must fit.
	Image string
	// Force takes back also what was changed since the run, and what is known not to be
	// all that an image had.
	Force bool
	// RemoveClasses takes away the classes that the run added and that no annotation of the
	// dataset has any more.
	RemoveClasses bool
	// Uploaded archives the images that the run uploaded and that nobody has labelled since; of
	// an undo it brings back those that it archived so.
	Uploaded bool
	// Backup says of which images the annotations are kept before they are overwritten.
	Backup BackupPolicy
}

// ErrGlob is returned for a glob that is none, and for one that fits no image of the run.
var ErrGlob = errors.New("no glob of images that the run changed")

// Undo puts back what the images had before a run, from its backups. An image that was
// changed since is left alone, unless it is forced. It stops as Plan does.
func Undo(ctx context.Context, stop <-chan struct{}, c Connection, of store.Run, o UndoOptions) (Summary, error) {
	p, err := newUndo(ctx, c, of, o)
	if err != nil {
		return Summary{}, err
	}
	return p.takeBack(ctx, stop, o)
}

// takeBack does what was planned from the backups of a run.
func (p *planner) takeBack(ctx context.Context, stop <-chan struct{}, o UndoOptions) (Summary, error) {
	a := newApplier(p)
	worked, err := p.Work(ctx, stop, func(ctx context.Context) error {
		defer p.close()
		if err := p.Open(ctx); err != nil {
			return err
		}
		if err := a.finishInFlight(ctx); err != nil {
			return err
		}
		if err := p.begin(ctx, store.RunUndo); err != nil {
			return err
		}
		a.tellFinished()
		if p.undone.brings {
			if err := p.bringBack(ctx); err != nil {
				return err
			}
		}
		if err := a.planAndApply(ctx); err != nil {
			return err
		}
		if p.undone.archives {
			if err := a.archiveUploaded(ctx, o.Image); err != nil {
				return err
			}
		}
		if !o.RemoveClasses {
			return nil
		}
		return p.Persist(p.removeClasses)
	})
	return p.end(ctx, err, worked, finished(false), p.addLeft)
}

// PlanUndo decides what an undo would do, and writes nothing to the service.
func PlanUndo(ctx context.Context, stop <-chan struct{}, c Connection, of store.Run, o UndoOptions) (Summary, error) {
	p, err := newUndo(ctx, c, of, o)
	if err != nil {
		return Summary{}, err
	}
	worked, err := p.Work(ctx, stop, func(ctx context.Context) error {
		defer p.close()
		if err := p.Open(ctx); err != nil {
			return err
		}
		if err := p.begin(ctx, store.RunPlan); err != nil {
			return err
		}
		if p.undone.brings {
			archived, err := p.archivedUploads(ctx)
			if err != nil {
				return err
			}
			p.putAway, p.undone.before.away = len(archived), archived
		}
		if err := p.planAndGuard(); err != nil || !p.undone.archives {
			return err
		}
		archivable, err := p.archivable(ctx, o.Image)
		p.putAway = len(archivable)
		return err
	})
	return p.end(ctx, err, worked, planned, p.addLeft)
}

// newUndo plans from the backups of a run. They are chosen by the listing, so that they are
// read when that is made.
func newUndo(ctx context.Context, c Connection, of store.Run, o UndoOptions) (*planner, error) {
	if o.Image != "" && !doublestar.ValidatePattern(o.Image) {
		return nil, fmt.Errorf("%q is %w", o.Image, ErrGlob)
	}
	if err := fitsSome(ctx, c.Store, of, o); err != nil {
		return nil, err
	}
	options := Options{Common: Common{Options: o.Options, Source: store.UndoOf + of.ID}, Policies: Policies{OnDrift: Skip}, Limits: Limits{AllowShrink: true}, Backup: o.Backup}
	if o.Force {
		options.OnDrift = Overwrite
	}
	p := newPlanner(c, options)
	before := &backups{store: c.Store, run: of, glob: o.Image, edited: o.Force}
	p.undone = &undone{state: c.Store, before: before, run: of.ID, uploads: of.ID, glob: o.Image, force: o.Force, archives: o.Uploaded, removes: o.RemoveClasses}
	for undone, undo := of.Undoes(); undo && o.Uploaded; undone, undo = of.Undoes() {
		var err error
		if of, err = c.Store.FindRun(ctx, undone); err != nil {
			return nil, fmt.Errorf("find the run whose images were archived: %w", err)
		}
		p.undone.uploads = of.ID
		p.undone.archives, p.undone.brings = p.undone.brings, p.undone.archives
	}
	p.judge = p.judgeUndo
	p.hold(before)
	return p, nil
}

// fitsSome refuses a glob that fits none of the images that an undo may change.
func fitsSome(ctx context.Context, st *store.Store, of store.Run, o UndoOptions) error {
	if o.Image == "" {
		return nil
	}
	for t, err := range st.Touched(ctx, of.ID, "") {
		if err != nil || doublestar.MatchUnvalidated(o.Image, t.Path) {
			return err
		}
	}
	var uploaded []string
	if o.Uploaded {
		for u, err := range st.Uploads(ctx, of.ID, store.UploadDone) {
			if err != nil {
				return err
			}
			uploaded = append(uploaded, u.ImageID)
		}
	}
	images, err := st.ImagesByID(ctx, of.Dataset, uploaded)
	for _, i := range images {
		if doublestar.MatchUnvalidated(o.Image, i.Path) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%q is %w", o.Image, ErrGlob)
}

// contents tells what runs left on images; *store.Store does.
type contents interface {
	ContentAfter(ctx context.Context, run string, image store.Image) (h store.Hash, saved, ok bool, err error)
	LeftBeforeAbsence(ctx context.Context, run string) (map[string]store.Hash, error)
}

// undone is the run that is taken back.
type undone struct {
	state  contents
	before *backups
	run    string
	glob   string // of the images; "" is all
	force  bool
	// archives and removes say that uploads and classes are taken away too, as far as may be;
	// brings says that what an undone undo archived is brought back.
	archives, removes, brings bool
	uploads                   string // the run whose uploads these are

	absent sync.Mutex
	// left is what the run left on images that have been missing in a listing since, by id; nil
	// until it is asked for.
	left map[string]store.Hash
}

// contentAfter is what the run that is undone left on an image, and whether that is its save and
// our last one is known: then that tells whether it is there still, and else the reading.
func (u *undone) contentAfter(ctx context.Context, image store.Image) (left store.Hash, saved, ok bool, err error) {
	if left, saved, ok, err = u.state.ContentAfter(ctx, u.run, image); ok || err != nil {
		return left, saved && image.Saved != nil, ok, err
	}
	u.absent.Lock()
	defer u.absent.Unlock()
	if u.left == nil {
		if u.left, err = u.state.LeftBeforeAbsence(ctx, u.run); err != nil {
			return left, false, false, err
		}
	}
	left, ok = u.left[image.ID]
	return left, false, ok, nil
}

// mayBeUnchanged reports whether our last save on an image is what the run that is undone
// left there: its own save, or an undo of one that came after it. Where it is not known
// whether the run saved on it, the reading before the save tells, as byReading says; of an image
// that has no annotations none is made.
func (u *undone) mayBeUnchanged(ctx context.Context, image store.Image) (unchanged, byReading bool, err error) {
	left, saved, ok, err := u.contentAfter(ctx, image)
	switch {
	case err != nil || !ok:
		return false, false, err
	case saved:
		return image.Saved.Hash == left, false, nil
	case image.AnnotationCount == 0:
		return left == sha256.Sum256([]byte("[]")), true, nil
	}
	return true, true, nil
}

// isUnchanged reports whether an image has what the run that is undone left there; compared says
// that it was held against that, not against our last save.
func (u *undone) isUnchanged(ctx context.Context, image store.Image, has dataset.Content) (unchanged, compared bool, err error) {
	left, saved, ok, err := u.contentAfter(ctx, image)
	return ok && (saved || left == has.Hash), ok && !saved, err
}

// judgeUndo says what is done with an image that is to be put back.
func (p *planner) judgeUndo(i *store.Item, image store.Image, explicit bool) error {
	if i.Outcome == store.ItemUnchanged && p.undone.force && image.AnnotationCount > 0 {
		// By the state alone, which an edit that keeps the count evades: it is put back anyway.
		i.Plan, i.Outcome, i.Kept = store.PlanOverwrite, store.ItemPending, -1
	}
	if i.Outcome == store.ItemPending && !p.undone.force {
		asLeft, byReading, err := p.undone.mayBeUnchanged(p.Stopping, image)
		if err != nil {
			return err
		}
		// One that is back from the archive was forgotten meanwhile, and was put there empty.
		isBack := p.undone.brings && image.Saved == nil && image.AnnotationCount == 0
		if !asLeft && !isBack {
			i.Outcome, i.Reason = store.ItemSkipped, "the image was saved again since; --force takes it back all the same"
			return nil
		}
		// Our last save is not what the run left: the reading tells whether somebody changed that.
		if byReading && i.Plan == store.PlanDrifted {
			if i.Plan = store.PlanOverwrite; i.Count == 0 {
				i.Plan = store.PlanClear
			}
		}
	}
	return p.applyPolicies(i, image, explicit)
}

// addLeft adds to a summary what of the undone run is still there: classes that it added
// and images that it uploaded.
func (p *planner) addLeft(ctx context.Context, s *Summary) error {
	totals, err := p.store.UploadTotals(ctx, p.undone.uploads)
	if err != nil {
		return err
	}
	s.Undoes, s.Archives, s.RemovesClasses = p.undone.run, p.undone.archives, p.undone.removes
	if p.undone.brings {
		s.Restored = p.putAway
	} else {
		s.Archived, s.UploadsLeft = p.putAway, totals.Done-p.putAway
	}
	return p.addClassesLeft(ctx, s)
}

func (p *planner) addClassesLeft(ctx context.Context, s *Summary) error {
	classes, err := p.store.Classes(ctx, p.undone.run)
	for _, c := range classes {
		if p.hasClass(c.Name) {
			s.StillThere = append(s.StillThere, c.Name)
		}
	}
	return err
}

// removeClasses takes away the classes that the undone run added and that no annotation
// has. It reads what every image has, until all of them are found in use.
func (p *planner) removeClasses(ctx context.Context) error {
	added, err := p.store.Classes(ctx, p.undone.run)
	if err != nil {
		return err
	}
	unused := make(map[string]bool)
	for _, c := range added {
		if p.hasClass(c.Name) {
			unused[c.Name] = true
		}
	}
	looked, err := p.lookForClasses(unused)
	if err != nil {
		return err
	}
	for page, err := range p.Client.ImagePages(ctx, p.Ref.ID, pictograph.ImageFilter{Archived: true}) {
		if err != nil {
			return err
		}
		known, err := p.knownOf(ctx, page, looked)
		if err != nil {
			return err
		}
		for _, i := range page {
			if i.AnnotationCount == 0 || len(unused) == 0 {
				continue
			}
			if count, ok := known[i.ID]; ok && count == i.AnnotationCount {
				continue
			}
			annotations, err := p.Client.Annotations(ctx, pictograph.ImageRef{ID: i.ID, Dataset: p.Ref.ID, Path: i.Path()})
			if err != nil {
				return fmt.Errorf("look for annotations of the classes that the run added: %w", err)
			}
			if len(annotations) != i.AnnotationCount {
				return fmt.Errorf("look for annotations of the classes that the run added: the service says that %s has %d annotations, and shows %d; run again", i.Path(), i.AnnotationCount, len(annotations))
			}
			for _, a := range annotations {
				delete(unused, a.Name)
			}
		}
	}
	if len(unused) == 0 {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(p.Classes), func(c pictograph.Class) bool { return unused[c.Name] })
	updated, err := p.Client.UpdateClasses(ctx, p.Ref.ID, left, p.Classes)
	if err != nil {
		return fmt.Errorf("take %d classes away from dataset %q: %w", len(unused), p.Ref.Name, err)
	}
	p.Classes = updated.Classes
	return nil
}

// lookForClasses looks by an export of the dataset for annotations of classes, where that is
// worth its requests, and strikes out those that are in use. It returns the images that were
// looked at.
func (p *planner) lookForClasses(unused map[string]bool) (looked store.Refs, err error) {
	annotated, _, err := p.store.Annotated(p.Stopping, p.Ref)
	if err != nil || len(unused) == 0 || !p.Worth(annotated) {
		return looked, err
	}
	p.Began = p.Now() // what was read before the undo saved tells nothing
	_, err = p.FetchExport(p.record.ID, func(images []dataset.Exported, _ time.Time) error {
		for _, i := range images {
			has, known, err := p.Believe(i.Image, i.Content)
			if err != nil {
				return err
			}
			annotations, err := pictograph.DecodeAnnotations(has.Annotations)
			if err != nil || !known {
				continue // it is asked for by itself
			}
			looked.Add(i.Image.Ref)
			for _, a := range annotations {
				delete(unused, a.Name)
			}
		}
		return nil
	})
	if err == nil {
		err = p.FreeExport()
	}
	return looked, err
}

// knownOf are those of a page of images that were looked at, with how many annotations they
// had then.
func (p *planner) knownOf(ctx context.Context, page []pictograph.Image, looked store.Refs) (map[string]int, error) {
	if looked.Len() == 0 {
		return nil, nil
	}
	ids := make([]string, len(page))
	for n, i := range page {
		ids[n] = i.ID
	}
	images, err := p.store.ImagesByID(ctx, p.Ref, ids)
	known := make(map[string]int, len(images))
	for _, i := range images {
		if looked.Has(i.Ref) {
			known[i.ID] = i.AnnotationCount
		}
	}
	return known, err
}

// backups are the source of what the images had before a run.
type backups struct {
	store *store.Store
	run   store.Run
	glob  string
	// edited takes also an image that somebody changed between its backup and its save:
	// the backup is not all that it had.
	edited bool
	// away are images, by id, that are to be brought back first: nothing is planned for them.
	away map[string]bool
}

// Replaced is the source of what a run replaced: the labels of its undo.
func Replaced(st *store.Store, of store.Run) convert.Source {
	return &backups{store: st, run: of, edited: true}
}

func (b *backups) Describe() convert.Description {
	return convert.Description{Path: store.UndoOf + b.run.ID, Format: "backup", Reason: "the backups of a run", Fingerprint: b.run.ID + " " + b.glob}
}

func (b *backups) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		for t, err := range b.store.Touched(ctx, b.run.ID, after) {
			if err != nil {
				yield(convert.Item{}, err)
				return
			}
			if b.glob != "" && !doublestar.MatchUnvalidated(b.glob, t.Path) || b.away[t.ImageID] {
				continue
			}
			if t.Doubted && b.edited {
				continue // it is put back only where it has what was sent, and then without force
			}
			item := convert.Item{Cursor: t.Cursor(), Image: t.Path, ImageID: t.ImageID, File: "backup", Explicit: true}
			if item.Err, err = b.lacks(ctx, t); err != nil {
				yield(convert.Item{}, err)
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// lacks says what keeps an image from being put back, nil where nothing does.
func (b *backups) lacks(ctx context.Context, t store.Touched) (missing, err error) {
	there, err := b.store.BackedUp(ctx, b.run.ID, []string{t.ImageID})
	if err != nil {
		return nil, err
	}
	backup, kept := there[t.ImageID]
	switch {
	case t.ImageRef == 0 && t.Previous == 0 && !kept:
		missing = errors.New("the image is not in the dataset any more, or was uploaded anew; before the run it had no annotations")
	case t.ImageRef == 0:
		missing = fmt.Errorf("the image is not in the dataset any more, or was uploaded anew; what it had (%s) is in the backup", annotationsText(backup.Count))
	case t.Previous == backup.Count:
	case !kept:
		missing = fmt.Errorf("the run kept no backup of what it had (%s)", annotationsText(t.Previous))
	case !b.edited:
		missing = fmt.Errorf("somebody changed the image between its backup (%d annotations) and its save (%d); --force brings back what the backup has", backup.Count, t.Previous)
	}
	return missing, nil
}

func annotationsText(n int) string {
	if n == 1 {
		return "1 annotation"
	}
	return fmt.Sprintf("%d annotations", n)
}

func (b *backups) Load(ctx context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	backup, err := b.store.Backup(ctx, b.run.ID, item.ImageID)
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
	return convert.ResultOf(item.Image, listed, annotations), nil
}

func (b *backups) Size(convert.Item) convert.Size { return convert.Size{} }
