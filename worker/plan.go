package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// stretch is how many items are planned and committed together: enough that
// commits cost little, few enough that a killed plan loses little.
const stretch = 500

// converted is what an item's labels come to, with the annotations themselves where
// they are kept for a save.
type converted struct {
	encoded                      // the annotations; not there where they are not kept
	size            int          // of the encoded annotations
	sized           convert.Size // of the image, as the source knows it or was told
	labels, leftOut int          // as in convert.Result
	hash            store.Hash
	count           int
	classes         []pictograph.Class
	findings        []convert.Finding
	err             error // the item's own

	// Where the image had to be read: what it has, whether that is what would be
	// saved, and why nothing can be read at all.
	backup    *kept
	unchanged bool
	fatal     error
}

// load reads and converts one item; keeps is asked whether annotations of a size are
// kept. The item's failures, panics included, are its own.
func (r *run) load(ctx context.Context, item source.Item, image store.Image, keeps func(size int) bool) (c converted) {
	defer func() {
		if p := recover(); p != nil {
			c = converted{err: fmt.Errorf("convert %s: internal error: %v; please report it", item.File, p)}
		}
	}()
	var result convert.Result
	var err error
	if !hasLeft(item) {
		result, err = r.src.Load(ctx, item, convert.Size{Width: image.Width, Height: image.Height})
	}
	read, leftOut := readOf(item, result, err)
	if err == nil {
		err = r.Accepted.Refusal(result)
	}
	var there *kept
	if err == nil && len(r.OnlyClasses) > 0 {
		there, err = r.onlyClasses(&result, image)
	}
	switch {
	case err != nil:
		return converted{findings: result.Findings, sized: result.Size, labels: read, leftOut: leftOut, err: err}
	case there != nil && there.reason != "":
		return converted{findings: result.Findings, labels: read, leftOut: leftOut, err: errors.New(there.reason)}
	case there != nil && there.fatal != nil:
		return converted{fatal: there.fatal}
	}
	c = converted{backup: there, sized: result.Size, labels: read, leftOut: leftOut, count: len(result.Annotations), classes: result.Classes, findings: result.Findings}
	buffer := encodeBuffers.Get().(*[]byte)
	defer encodeBuffers.Put(buffer)
	if *buffer, c.prints, err = encode((*buffer)[:0], result.Annotations); err != nil {
		return converted{findings: result.Findings, sized: c.sized, labels: c.labels, leftOut: c.leftOut, err: fmt.Errorf("encode the annotations of %s: %w", item.Image, err)}
	}
	result.Release()
	c.hash, c.size = sha256.Sum256(*buffer), len(*buffer)
	if keeps(c.size) {
		c.payload = bytes.Clone(*buffer)
	}
	c.unchanged = there != nil && sha256.Sum256(there.backup.Annotations) == c.hash
	return c
}

// encodeBuffers are where annotations grow, each next to the processor that used it:
// what is kept of them has no room to spare.
var encodeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// plan decides on every item of the source and commits the decisions. A plan that a
// killed process left half made is made anew: its images may have changed since.
func (r *run) plan(ctx context.Context, ahead *ahead) error {
	if err := r.store.RestartPlan(ctx, r.record.ID, r.src.Describe().Format, r.fingerprint()); err != nil {
		return err
	}
	seq, err := r.store.LastSeq(ctx, r.record.ID)
	if err != nil {
		return err
	}
	known, err := r.knownClasses(ctx)
	if err != nil {
		return err
	}
	if (r.UnknownClasses == "" || r.UnknownClasses == Create) && !r.Verify {
		var part store.PlanPart
		if r.needClasses(&store.Item{}, r.declared(), known, &part); len(part.Classes) > 0 {
			if err := r.store.AddPlan(ctx, r.record.ID, part); err != nil {
				return err
			}
		}
	}
	r.progress.begin("planning", 0)
	cursor := ""
	recorded := func() error { return nil } // waits for the part before
	defer func() { recorded() }()
	for items := range stretches(ahead.items) {
		if err := items[len(items)-1].err; err != nil {
			return err
		}
		part, err := r.planStretch(ctx, ahead.pool, items, seq, cursor, known)
		if err != nil {
			return err
		}
		if err := recorded(); err != nil {
			return err
		}
		recorded = r.recordPart(ctx, part)
		seq += int64(len(items))
		cursor = part.Cursor
	}
	if err := recorded(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	source.Finish(r.src)
	// What the end of the walk reported, and an empty source's findings.
	last := store.PlanPart{Cursor: cursor}
	r.tell(&last, r.sourceFindings()...)
	if r.short != nil {
		r.tell(&last, sourceFinding{0, *r.short})
	}
	if err := r.store.AddPlan(ctx, r.record.ID, last); err != nil {
		return err
	}
	if err := r.store.LeaveOut(ctx, r.record.ID, store.Counted(source.LeftOut(r.src))); err != nil {
		return err
	}
	if r.Prune && !r.Verify {
		return r.prune(ctx, ahead.pool, seq, cursor, known)
	}
	return nil
}

// recordPart commits a part of the plan while the next one is made; wait returns
// when it is done.
func (r *run) recordPart(ctx context.Context, part store.PlanPart) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		err := r.store.AddPlan(ctx, r.record.ID, part)
		if err == nil {
			failed := 0
			for _, i := range part.Items {
				failed += failures(i)
			}
			r.progress.add(len(part.Items), failed)
		}
		done <- err
	}()
	return sync.OnceValue(func() error { return <-done })
}

// sourceFindings are what the source reported about itself since the last
// call.
func (r *run) sourceFindings() (found []sourceFinding) {
	for _, f := range r.Findings() {
		found = append(found, sourceFinding{0, f})
	}
	return found
}

// fingerprint is what the cursor of a plan depends on, and the plan made so far.
func (r *run) fingerprint() string {
	return fmt.Sprintf("%s accepted=%v classes=%s existing=%s drift=%s clear=%t sample=%v prune=%t only=%q match=%s", r.src.Describe().Fingerprint, r.Accepted, r.UnknownClasses, r.OnExisting, r.OnDrift, !r.RefuseClear, r.Sample, r.Prune, r.OnlyClasses, r.Match)
}

// classState says of a class name that it is the dataset's, or planned, with or
// without a skeleton.
type classState int

const (
	classUnknown classState = iota
	classPlanned
	classPlannedWithSkeleton
	classExists
)

// knownClasses are the classes that need not be asked for again.
func (r *run) knownClasses(ctx context.Context) (map[string]classState, error) {
	classes := make(map[string]classState)
	for _, c := range r.classes {
		classes[c.Name] = classExists
	}
	recorded, err := r.store.Classes(ctx, r.record.ID)
	if err != nil {
		return nil, err
	}
	for _, c := range recorded {
		classes[c.Name] = classPlanned
		if bytes.Contains(c.JSON, []byte(`"skeleton"`)) {
			classes[c.Name] = classPlannedWithSkeleton
		}
	}
	return classes, nil
}

// stretches gathers items; one with an error is the last of its stretch.
func stretches(items <-chan aheadItem) iter.Seq[[]aheadItem] {
	return func(yield func([]aheadItem) bool) {
		var gathered []aheadItem
		for item := range items {
			gathered = append(gathered, item)
			if len(gathered) < stretch && item.err == nil {
				continue
			}
			if !yield(gathered) {
				return
			}
			gathered = nil
		}
		if len(gathered) > 0 {
			yield(gathered)
		}
	}
}

func (r *run) planStretch(ctx context.Context, pool pond.ResultPool[converted], items []aheadItem, seq int64, cursor string, known map[string]classState) (store.PlanPart, error) {
	matches, err := r.matchItems(ctx, items)
	if err != nil {
		return store.PlanPart{}, err
	}
	for i, item := range items {
		if item.Err != nil {
			continue
		}
		if item.task != nil {
			c, err := item.task.Wait()
			if err != nil {
				return store.PlanPart{}, fmt.Errorf("convert %s: %w", item.File, err)
			}
			if c.sized.Known() && (c.sized == listedSize(matches[i].image) || !listedSize(matches[i].image).Known()) {
				continue
			}
			r.kept.letGo(&c) // it is converted anew, held against the size that is listed
		}
		// An item without an image is converted too: its findings are worth
		// knowing before the image is uploaded.
		items[i].task = pool.Submit(func() converted {
			if ctx.Err() != nil {
				return converted{err: ctx.Err()}
			}
			return r.load(ctx, item.Item, matches[i].image, r.kept.keeps)
		})
	}
	part := store.PlanPart{Cursor: items[len(items)-1].Cursor, Items: make([]store.Item, 0, len(items))}
	for i, item := range items {
		r.tell(&part, item.findings...)
		c := converted{err: item.Err, labels: item.Annotations, leftOut: item.Annotations}
		if item.task != nil {
			if c, err = item.task.Wait(); err != nil {
				return store.PlanPart{}, fmt.Errorf("convert %s: %w", item.File, err)
			}
			if c.fatal != nil {
				return store.PlanPart{}, c.fatal
			}
		}
		if ctx.Err() != nil {
			return store.PlanPart{}, ctx.Err()
		}
		c.findings = withFailure(c.findings, item.Item, c.err)
		seq++
		planned := r.decide(item.Item, matches[i], c)
		c.backup = nil
		planned.Seq, planned.After = seq, cursor
		cursor = item.Cursor
		if planned.Outcome == store.ItemPending && !r.Verify {
			r.needClasses(&planned, c.classes, known, &part)
		}
		if planned.Outcome == store.ItemUnchanged && matches[i].image.Saved != nil && matches[i].image.Source != r.claim && r.kind() == "sync" {
			part.Claims = append(part.Claims, planned.ImageRef)
		}
		if planned.Outcome == store.ItemPending && r.saves() {
			r.kept.put(seq, c.encoded)
		} else {
			r.kept.letGo(&c)
		}
		part.Items = append(part.Items, planned)
		for _, f := range c.findings {
			f.Path = matches[i].image.Path
			r.tell(&part, sourceFinding{seq, f})
		}
	}
	return part, nil
}

// listedSize is an image's size as listed.
func listedSize(i store.Image) convert.Size { return convert.Size{Width: i.Width, Height: i.Height} }

// sourceFinding is a finding of an item, or of the source where seq is 0.
type sourceFinding struct {
	seq int64
	convert.Finding
}

// tell hands findings on, and adds them to a part of the plan.
func (r *run) tell(part *store.PlanPart, findings ...sourceFinding) {
	r.telling.Lock()
	defer r.telling.Unlock()
	for _, f := range findings {
		r.Finding(f.Finding)
		part.Findings = append(part.Findings, store.Finding{Seq: f.seq, Kind: string(f.Kind), Cause: f.Cause, File: f.File, Image: f.Image, Path: f.Path, At: f.At, Reason: f.Reason, Action: f.Action, Count: f.Stands()})
	}
}

// decide is the heart of the plan: what is to be done with one item.
func (r *run) decide(item source.Item, m match, c converted) store.Item {
	i := store.Item{Image: item.Image, File: item.File, Labels: c.labels, LeftOut: c.leftOut, Closeness: m.closeness, ImageID: m.image.ID, ImageRef: m.image.Ref, Path: m.image.Path, ListedCount: m.image.AnnotationCount,
		Hash: c.hash, Count: c.count, Bytes: c.size, Findings: len(c.findings), Pruned: hasLeft(item)}
	fail := func(p store.Plan, format string, args ...any) store.Item {
		i.Plan, i.Outcome, i.Reason = p, store.ItemFailed, fmt.Sprintf(format, args...)
		return i
	}
	switch {
	case c.err != nil && m.plan == "":
		return fail(store.PlanFailed, "%v", c.err)
	case m.plan == store.PlanAmbiguous:
		return fail(store.PlanAmbiguous, "%s", m.reason)
	case m.plan == store.PlanUnmatched:
		i.Plan, i.Outcome, i.Reason = store.PlanUnmatched, store.ItemUnmatched, m.reason
		return i
	case c.size > r.BatchBytes:
		return fail(store.PlanFailed, "its annotations take %d bytes, more than one save may (%d)", c.size, r.BatchBytes)
	}
	i.Plan, i.Outcome = classify(m.image, c, r.record.ID)
	i.Kept, i.Reviewed = keptOf(m.image, c), m.image.Reviewed
	if r.Verify {
		r.toVerify(&i)
		return i
	}
	r.hold(&i, m.image, item.Explicit)
	return i
}

// keptOf is how many of an image's annotations a save of what was converted leaves as they
// are, -1 where it is not known what the image has.
func keptOf(image store.Image, c converted) int {
	ours := image.Saved
	switch {
	case image.AnnotationCount == 0 || c.count == 0:
		return 0
	case ours != nil && ours.Hash == c.hash && ours.Count == image.AnnotationCount:
		return c.count
	case ours != nil && ours.Prints != nil && ours.Count == image.AnnotationCount:
		return prints(ours.Prints).inCommon(c.prints)
	case c.backup != nil && c.backup.prints != nil:
		return c.backup.prints.inCommon(c.prints)
	}
	return -1
}

// classify compares what would be saved with what is known of the image.
func classify(image store.Image, c converted, run string) (store.Plan, store.ItemOutcome) {
	ours := image.Saved
	same := ours != nil && ours.Hash == c.hash
	untouched := ours != nil && ours.Count == image.AnnotationCount
	switch {
	case same && untouched && ours.Run == run && c.count == 0:
		return store.PlanClear, store.ItemCleared // by an earlier process of this run
	case same && untouched && ours.Run == run:
		return store.PlanOverwrite, store.ItemSaved
	case same && untouched, c.unchanged, c.count == 0 && image.AnnotationCount == 0:
		return store.PlanUnchanged, store.ItemUnchanged
	case ours != nil && !untouched:
		return store.PlanDrifted, store.ItemPending
	case c.count == 0:
		return store.PlanClear, store.ItemPending
	case image.AnnotationCount == 0:
		return store.PlanNew, store.ItemPending
	}
	return store.PlanOverwrite, store.ItemPending
}

// needClasses adds the classes of an item that the dataset lacks to the plan,
// or fails the item where they may not be created. A class has the type of its
// first annotation, but that of a pose category is a keypoint class: nothing
// else can hold its skeleton.
func (r *run) needClasses(i *store.Item, classes []pictograph.Class, known map[string]classState, part *store.PlanPart) {
	for _, c := range classes {
		state := known[c.Name]
		if state == classExists || state == classPlannedWithSkeleton || state == classPlanned && c.Skeleton == nil {
			continue
		}
		switch r.UnknownClasses {
		case Skip:
			i.Outcome, i.Reason = store.ItemSkipped, fmt.Sprintf("the dataset has no class %q, and --unknown-classes is skip", c.Name)
			return
		case Fail:
			i.Plan, i.Outcome = store.PlanFailed, store.ItemFailed
			i.Reason = fmt.Sprintf("the dataset has no class %q; create it, or say --unknown-classes create", c.Name)
			return
		}
		known[c.Name] = classPlanned
		if c.Skeleton != nil {
			known[c.Name] = classPlannedWithSkeleton
		}
		if similar := r.similarClass(c.Name); similar != "" {
			r.tell(part, sourceFinding{i.Seq, convert.Finding{Kind: convert.KindSimilarClass, Image: i.Image, Path: i.Path,
				Reason: fmt.Sprintf("class %q is new, and differs from the dataset's class %q in case or blanks alone", c.Name, similar), Action: "it is created; a class map can merge them"}})
		}
		data, err := json.Marshal(c)
		if err != nil {
			panic(err) // names and finite numbers always marshal
		}
		part.Classes = append(part.Classes, store.Class{Name: c.Name, JSON: data})
	}
}

// similarClass is a class of the dataset that a name most likely means.
func (r *run) similarClass(name string) string {
	for _, c := range r.classes {
		if c.Name != name && convert.Fold(c.Name) == convert.Fold(name) {
			return c.Name
		}
	}
	return ""
}
