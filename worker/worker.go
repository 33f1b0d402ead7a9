// Package worker does one run: it lists the dataset's images, plans what to do
// with every item of a source, holds the plan against the guards, saves in
// batches that are committed before they are sent, and checkpoints every
// answer.
//
// The promise: a run that was killed at any moment is finished by the same
// command. A batch in flight is sent again with the same bytes under the same
// idempotency key, so the service answers it without executing it a second
// time; then the plan is made anew, and what the run has saved already is
// recognized and kept.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pictosync/convert"
	"pictosync/internal/nearest"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// Options say how a run is done.
type Options struct {
	// Dataset is the name or id of the dataset.
	Dataset string
	// Service names the service in the state: its base URL, or "sandbox".
	Service string
	// Source is the absolute path of the source; with the dataset it
	// identifies the run to resume.
	Source string
	// OpenSource waits for the source where it is opened while the dataset is asked
	// for; Sync's src is nil then.
	OpenSource func() (source.Source, error)
	// Findings hands over what the source reported about itself since the last
	// call. May be nil.
	Findings func() []convert.Finding
	// Accepted says what an image may lose and be saved all the same.
	Accepted convert.Accepted
	// Match is how the images of the source are found in the dataset.
	Match Matching
	// Finding is told every finding as it is made, one at a time. May be nil. FindingsWhole makes a
	// plan that was stopped half way anew, so that it is told those of all of it.
	Finding       func(convert.Finding)
	FindingsWhole bool
	// OnExisting is for images with annotations that we have not saved, OnDrift
	// for those that someone changed since we did, UnknownClasses for labels of
	// classes that the dataset lacks.
	OnExisting, OnDrift, UnknownClasses Policy
	// OnReviewed is for images with annotations that are in review, or complete.
	OnReviewed Policy
	// RefuseClear fails images whose labels are empty and that have annotations,
	// unless the source says outright that they are to be empty.
	RefuseClear bool
	// MaxRemoved is how many of the dataset's annotations a run may remove.
	MaxRemoved Limit
	// MaxPruned is how many of the dataset's images runs of a week may clear for having
	// left their source.
	MaxPruned Limit
	// AllowShrink takes a source that has become much smaller.
	AllowShrink bool
	// OnlyClasses, where there are any, are all that is brought to an image: what
	// it has of other classes stays.
	OnlyClasses []string
	// Prune clears the images that left the source: see [run.prune].
	Prune bool
	// Narrowed is what is left of the source, as its filters say: an image that
	// other filters took leaves no source.
	Narrowed string
	// Backup says of which images the annotations are kept before they are
	// overwritten.
	Backup BackupPolicy
	// IgnoreUnmatched takes images that the dataset lacks for no failure.
	IgnoreUnmatched bool
	// Undoes is the run that this one takes back; "" is none. An image that was
	// saved again since is left alone unless OnDrift is Overwrite.
	Undoes string
	// RemoveClasses has an undo take away the classes that the run added and that no
	// annotation of the dataset has any more.
	RemoveClasses bool
	// Verify reads back and compares instead of saving; Sample is the part of
	// the images that is compared, 0 for all.
	Verify bool
	Sample float64
	// DryRun ends the run when it is planned: nothing is written to the service.
	DryRun bool
	// Expect is the digest of the plan that the run has to come to; "" is any.
	Expect string
	// Convert and Save are how many images are converted, and how many batches
	// are sent, at the same time. 0 means the default.
	Convert, Save int
	// BatchImages and BatchBytes bound a bulk save. 0 means the default.
	BatchImages, BatchBytes int
	// MaxOutage is how long the service may be out of reach before the run
	// stops, resumable. 0 means the default.
	MaxOutage time.Duration
	// Unattended waits also for a service that is out of reach when the run
	// begins: a person is rather told.
	Unattended bool
	// OutagePause is the wait between two tries of a request that the client
	// has given up on. 0 means the default.
	OutagePause time.Duration
	// Progress is told how far the run is; it must not block. May be nil.
	Progress func(Progress)
	Log      zerolog.Logger
	Now      func() time.Time
}

// Defaults and limits.
const (
	// maxBatchImages is the service's limit for one bulk save.
	maxBatchImages = 200
	// defaultBatchBytes stays below the 10 MB that the service takes.
	defaultBatchBytes = 8 << 20
	defaultSaves      = 4
	defaultMaxOutage  = 10 * time.Minute
	defaultPause      = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Convert <= 0 {
		o.Convert = runtime.GOMAXPROCS(0)
	}
	if o.Save <= 0 {
		o.Save = defaultSaves
	}
	if o.BatchImages <= 0 || o.BatchImages > maxBatchImages {
		o.BatchImages = maxBatchImages
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = defaultBatchBytes
	}
	if o.MaxOutage <= 0 {
		o.MaxOutage = defaultMaxOutage
	}
	if o.OutagePause <= 0 {
		o.OutagePause = defaultPause
	}
	if o.Findings == nil {
		o.Findings = func() []convert.Finding { return nil }
	}
	if o.Finding == nil {
		o.Finding = func(convert.Finding) {}
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Progress is how far a run is.
type Progress struct {
	Phase  string // listing, planning, saving
	Done   int    // images
	Total  int    // images, 0 while unknown
	Failed int    // images
	Note   string // what is done meanwhile that Done does not count; "" is nothing
}

// ErrInterrupted is returned by a run that was asked to stop; the same command
// resumes it.
var ErrInterrupted = errors.New("interrupted; the same command resumes the run")

// ErrNoDataset is returned where the service knows no such dataset.
var ErrNoDataset = errors.New("the service has no such dataset")

// run is one process's work on a run.
type run struct {
	Options
	client *pictograph.Client
	store  *store.Store
	pacer  *Pacer
	src    source.Source

	letGoSource func()         // ends holding src
	settling    sync.WaitGroup // the state, at the end of the run

	first                     *pictograph.FirstPage // of the listing; nil where it was not asked for, or was used
	dataset                   store.Dataset
	shown                     pictograph.Dataset // as it was opened
	classes                   []pictograph.Class // of the dataset, as the service has them
	meta                      bool               // listings keep what an export writes of an image
	record                    store.Run
	claim                     int64 // the source of what is saved, as the state numbers it
	progress                  tracker
	kept                      payloads
	ahead                     *ahead     // of the plan; nil before it is begun
	nearMisses, archivedAsked int        // gone through, and asked for
	telling                   sync.Mutex // of findings, one at a time
	outage                    outage
	short                     *convert.Finding // why the listing is not whole; nil where it is
	removed                   removals

	sending  chan struct{} // holds as many as there are batches on their way
	writable chan struct{} // closed when the dataset has the classes

	stopping context.Context // done when the run should stop taking on work
	halt     context.CancelCauseFunc
}

// Sync brings the labels of src into the dataset. When stop is closed the
// requests in flight are finished and the run ends with ErrInterrupted; when
// ctx ends it stops at once.
//
// The summary is true as far as the run came, also beside an error.
func Sync(ctx context.Context, stop <-chan struct{}, client *pictograph.Client, st *store.Store, pacer *Pacer, src source.Source, o Options) (Summary, error) {
	r := &run{Options: o.withDefaults(), client: client, store: st, pacer: pacer, src: src}
	worked, err := r.work(ctx, stop, r.sync)
	return r.leave(ctx, err, worked)
}

// work does what a run is for, until it is done or asked to stop.
func (r *run) work(ctx context.Context, stop <-chan struct{}, do func(context.Context) error) (worked time.Duration, err error) {
	stopping, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	r.stopping, r.halt = stopping, halt
	r.progress.report = r.Progress

	var waiter sync.WaitGroup
	ended := make(chan struct{})
	waiter.Go(func() {
		select {
		case <-stop:
			halt(ErrInterrupted)
		case <-stopping.Done():
		case <-ended:
		}
		r.pacer.Stop()
	})
	defer waiter.Wait()
	defer close(ended)

	start := r.Now()
	err = do(ctx)
	r.first.Close()
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(stopping), ErrInterrupted) {
		err = ErrInterrupted
	}
	return r.Now().Sub(start), err
}

func (r *run) sync(ctx context.Context) error {
	r.letGoSource = func() {}
	defer func() { r.letGoSource() }()
	defer r.endAhead()
	if err := r.open(ctx); err != nil {
		return err
	}
	kind := r.kind()
	if kind == "sync" || kind == "undo" {
		if err := r.settleInFlight(ctx); err != nil {
			return err
		}
	}
	var err error
	var resumed bool
	r.record, resumed, err = r.store.OpenRun(ctx, r.dataset, kind, r.Source, r.Now())
	if err != nil {
		return err
	}
	r.Log.Info().Str("run", r.record.ID).Bool("resumed", resumed).Str("dataset", r.dataset.Name).Str("source", r.Source).Msg("run opened")
	if kind == "sync" || kind == "plan" {
		if r.claim, err = r.store.Claim(ctx, r.record.ID, r.Source+r.Narrowed); err != nil {
			return err
		}
	}
	if r.Verify && !r.FindingsWhole && r.record.Phase == store.Saving && r.record.Fingerprint == r.fingerprint() {
		// It goes on where it was stopped, and comes back to what the listing shows to be
		// another since.
		if err := r.persist(r.list); err != nil {
			return err
		}
		if err := r.store.LookAgain(ctx, r.record.ID); err != nil {
			return err
		}
		return r.verify(ctx)
	}
	if err := r.listAndPlan(); err != nil {
		return err
	}
	if r.Verify {
		if err := r.refuseIncomplete(ctx); err != nil {
			return err
		}
		if err := r.store.SetPhase(ctx, r.record.ID, store.Saving); err != nil {
			return err
		}
		return r.verify(ctx)
	}
	var flushing sync.WaitGroup
	flushing.Go(func() { r.store.Flush() }) // who waits for the disk next is told what failed
	stakes, err := r.guard(r.stopping)
	flushing.Wait()
	if err != nil || r.DryRun {
		return err
	}
	if err := r.save(ctx, stakes.Saves); err != nil || !r.RemoveClasses {
		return err
	}
	return r.persist(r.removeClasses)
}

// listAndPlan makes the plan. The labels are converted while the images are
// listed: an undo's are chosen by the listing and have to wait for it.
func (r *run) listAndPlan() error {
	if r.Undoes == "" {
		r.beginAhead()
	}
	if err := r.persist(r.list); err != nil {
		return err
	}
	r.beginAhead()
	defer r.endAhead()
	return r.plan(r.stopping, r.ahead)
}

// beginAhead begins to walk the source, unless that is begun.
func (r *run) beginAhead() {
	if r.ahead != nil {
		return
	}
	r.kept.bySeq = make(map[int64]encoded)
	if r.convertsAlike() && r.saves() {
		r.kept.room.Store(keptBytes)
	}
	r.ahead = r.lookAhead(r.stopping)
}

func (r *run) endAhead() {
	if r.ahead != nil {
		r.ahead.end()
		r.ahead = nil
	}
}

// saves reports whether the run comes to saving what it plans.
func (r *run) saves() bool { return !r.Verify && !r.DryRun }

// kind names what the run is for: a run is resumed by one of the same kind.
func (r *run) kind() string {
	switch {
	case r.Verify:
		return "verify"
	case r.DryRun:
		return "plan"
	case r.Undoes != "":
		return "undo"
	}
	return "sync"
}

// open opens the dataset, and waits for the source meanwhile: one that cannot be
// read is told of first, and stops the asking.
func (r *run) open(ctx context.Context) error {
	if r.src != nil {
		r.holdSource()
		return r.openDataset(ctx)
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var opening sync.WaitGroup
	var sourceErr error
	opening.Go(func() {
		if r.src, sourceErr = r.OpenSource(); sourceErr != nil {
			stop()
			return
		}
		r.holdSource()
		if r.Undoes == "" && !r.Verify {
			r.beginAhead()
		}
	})
	err := r.openDataset(asking)
	opening.Wait()
	return cmp.Or(sourceErr, err)
}

// holdSource keeps what the source reads from open until the run ends, or opens it anew.
func (r *run) holdSource() {
	r.letGoSource()
	r.letGoSource = source.Hold(r.src)
}

// openDataset asks for the dataset, and for the first page of its images with it. What
// was in flight would change the images of that page, and arrives before they are listed.
func (r *run) openDataset(ctx context.Context) (err error) {
	inFlight, err := r.store.InFlight(ctx)
	if err != nil {
		return err
	}
	if !inFlight {
		r.first = r.client.AskFirstPage(r.stopping, r.Dataset, pictograph.ImageFilter{})
	}
	var d pictograph.Dataset
	ask := func(ctx context.Context) (err error) {
		d, err = r.client.Dataset(ctx, r.Dataset)
		return err
	}
	if r.Unattended {
		err = r.persist(ask)
	} else {
		err = ask(ctx)
	}
	if errors.Is(err, pictograph.ErrNotFound) {
		return fmt.Errorf("open dataset %q: %w; names are case-sensitive%s", r.Dataset, ErrNoDataset, r.similarDataset(ctx))
	}
	if err != nil {
		return err
	}
	r.classes, r.shown = d.Classes, d
	r.dataset, err = r.store.PutDataset(ctx, r.Service, d.ID, d.Name)
	return err
}

// similarDataset names the dataset that a misspelt name most likely means.
func (r *run) similarDataset(ctx context.Context) string {
	var names []string
	for d, err := range r.client.Datasets(ctx) {
		if err != nil || len(names) == pictograph.PageSize {
			break // it is only for the message
		}
		names = append(names, d.Name)
	}
	if near := nearest.Name(r.Dataset, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// list brings the state's picture of the dataset's images up to date. What a listing
// does not show is forgotten, so it is held against the number of images that the dataset
// says it has: one that is short is made again, and if it is short still it forgets
// nothing.
func (r *run) list(ctx context.Context) error {
	shown, err := r.listOnce(ctx)
	if err != nil || shown >= r.expectedImages() {
		return err
	}
	r.Log.Warn().Int("listed", shown).Int("expected", r.expectedImages()).Msg("the listing is short; making it again")
	d, err := r.client.Dataset(ctx, r.dataset.ID)
	if err != nil {
		return err
	}
	r.shown.ImageCount, r.shown.ArchivedImageCount = d.ImageCount, d.ArchivedImageCount
	if shown, err = r.listOnce(ctx); err != nil || shown >= r.expectedImages() {
		return err
	}
	r.short = &convert.Finding{Kind: convert.KindShortListing, Reason: fmt.Sprintf("the service lists %d images, and says that the dataset has %d", shown, r.expectedImages()), Action: "the images that it did not list were not forgotten, and not looked for"}
	return nil
}

// expectedImages is how many images a listing shows at least.
func (r *run) expectedImages() int { return r.shown.ImageCount - r.shown.ArchivedImageCount }

// listOnce makes a listing, and ends it if it is whole as far as can be told.
func (r *run) listOnce(ctx context.Context) (shown int, err error) {
	listing, err := r.store.StartListing(ctx, r.dataset)
	if err != nil {
		return 0, err
	}
	defer listing.Leave()
	r.progress.begin("listing", 0)
	first := r.first
	r.first = nil
	defer first.Close()
	expected := r.expectedImages()
	for page, err := range r.client.ImagePagesAhead(ctx, r.dataset.ID, pictograph.ImageFilter{}, expected, r.Save, first) {
		if err != nil {
			return shown, err
		}
		images := make([]store.Image, 0, len(page))
		for _, i := range page {
			image := store.Image{ID: i.ID, Path: i.Path(), Width: i.Width, Height: i.Height, AnnotationCount: i.AnnotationCount, Reviewed: i.Status == "review" || i.Status == "complete"}
			if r.meta {
				image.Meta = imageMeta(i)
			}
			images = append(images, image)
		}
		if err := listing.Add(ctx, images); err != nil {
			return shown, err
		}
		r.progress.add(len(images), 0)
		if shown += len(images); shown > maxListed(r.shown) {
			return shown, fmt.Errorf("list the images of dataset %q: the listing does not end: it has shown %d images, and the dataset has %d", r.dataset.Name, shown, r.shown.ImageCount)
		}
	}
	return shown, listing.End(ctx, r.Now(), shown >= expected)
}

// maxListed is how many images a listing may show before it is taken for one that never
// ends: some are uploaded meanwhile.
func maxListed(d pictograph.Dataset) int {
	return d.ImageCount + d.ArchivedImageCount + max(10*pictograph.PageSize, d.ImageCount/2)
}

// leave records how this process leaves the run and sums the run up. It must
// work after ctx has ended.
func (r *run) leave(ctx context.Context, err error, worked time.Duration) (Summary, error) {
	ctx = context.WithoutCancel(ctx)
	defer r.settling.Wait()
	if r.record.ID == "" {
		return Summary{Dataset: r.Dataset, Source: r.Source, Requests: r.pacer.Sent(), Seconds: worked.Seconds()}, err
	}
	if err == nil {
		r.settling.Go(r.store.Settle) // while the run is summed up
	}
	totals, totalsErr := r.store.Totals(ctx, r.record.ID)
	s := Summarize(r.record, totals)
	s.Requests, s.Seconds = r.pacer.Sent(), worked.Seconds()
	totalsErr = cmp.Or(totalsErr, r.tellClasses(ctx, &s))
	if totalsErr != nil {
		return s, errors.Join(err, totalsErr)
	}
	outcome, reason := outcomeOf(s, r.DryRun, r.IgnoreUnmatched, err)
	s.Outcome = string(outcome)
	leaveErr := r.store.LeaveSummedUp(ctx, r.record.ID, totals, outcome, reason, s.Requests, worked, r.Now())
	if leaveErr == nil && (outcome == store.Done || outcome == store.WithFailures || outcome == store.Planned) {
		leaveErr = r.store.Thin(ctx, r.record.ID)
	}
	return s, errors.Join(err, leaveErr)
}

func outcomeOf(s Summary, dryRun, ignoreUnmatched bool, err error) (store.Outcome, string) {
	switch {
	case errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled):
		return store.Interrupted, ""
	case errors.Is(err, ErrGuard):
		return store.Refused, err.Error()
	case err != nil:
		return store.Stopped, err.Error()
	case dryRun:
		return store.Planned, ""
	case s.Images.Failed > 0 || s.Images.Unmatched > 0 && !ignoreUnmatched || s.Images.Edited > 0:
		return store.WithFailures, ""
	}
	return store.Done, ""
}

// tracker turns counts into progress.
type tracker struct {
	report func(Progress)

	mu  sync.Mutex
	now Progress
}

func (t *tracker) begin(phase string, total int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = Progress{Phase: phase, Total: total}
	t.report(t.now)
}

// note says what is done meanwhile.
func (t *tracker) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Note = fmt.Sprintf(format, args...)
	t.report(t.now)
}

func (t *tracker) add(done, failed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Done += done
	t.now.Failed += failed
	t.report(t.now)
}
