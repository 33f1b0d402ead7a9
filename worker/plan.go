package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// chunkItems is how many items are planned and recorded together: enough that
// commits cost little, few enough that a killed plan loses little.
const chunkItems = 500

// planner decides what is to be done with every item of a source.
type planner struct {
	*run
	Policies
	Limits
	Uploads
	Globs                   *source.Globs
	SourceFindings          func() []convert.Finding // see Common
	Accepted                convert.Accepted
	Convert                 int
	Backup                  BackupPolicy // see Options
	BatchImages, BatchBytes int

	src     convert.Source
	release func() // ends holding src
	walk    *walk  // nil before it is begun

	sourceRef int64 // the source of what is saved, as the state numbers it
	owns      bool  // images that are found unchanged are the source's from now on
	applies   bool  // what is planned is saved by this process
	payloads  payloadCache
	matcher   matcher
	unlabelled
	// judge says at last what is done with a planned item: what the policies say, or
	// that it is compared.
	judge   func(i *store.Item, image store.Image, explicit bool) error
	putAway int     // images that the undone run uploaded and that are archived
	undone  *undone // what is taken back; nil for labels
	sample  float64 // part of the images that is compared
	// differing are the images that have not what was last saved on them from here, though
	// they have as many annotations.
	differing map[int64]store.Difference
	// askedExport and exportTold say that it was looked for what images have of which nothing was known, and
	// that an export told, see lookAtUnknown.
	askedExport, exportTold bool
}

func newPlanner(c Connection, o Options) *planner {
	o = o.withDefaults()
	p := &planner{run: newRun(c, o.Common), Policies: o.Policies, Limits: o.Limits, Uploads: o.Uploads, Globs: o.Globs, SourceFindings: o.SourceFindings, Accepted: o.Accepted, Convert: o.Convert,
		Backup: o.Backup, BatchImages: o.BatchImages, BatchBytes: o.BatchBytes}
	p.matcher = matcher{run: p.run, how: o.Match, into: o.Into, uploads: p.uploading()}
	p.judge = p.applyPolicies
	return p
}

// encoded are an image's annotations as they are sent.
type encoded struct {
	payload []byte         // nil where it is not kept
	prints  dataset.Prints // of the annotations
}

// converted is what an item's labels come to, with the annotations themselves where
// they are about to be saved.
type converted struct {
	encoded                      // the annotations, for a save
	size            int          // of the encoded annotations
	sized           convert.Size // of the image, as the source knows it or was told
	labels, leftOut int          // as in convert.Result
	hash            store.Hash
	count           int
	classes         []pictograph.Class
	findings        []convert.Finding
	err             error // the item's own

	// Where the image had to be read: what it has, and whether that is what would be saved.
	existing  *dataset.Content
	unchanged bool

	// Where the dataset lacks the image: its file, or why that cannot be uploaded; neither
	// where that is not asked for.
	file    *store.Upload
	fileErr error
}

// load reads and converts one item, with its annotations where it is to be saved. The item's
// failures, panics included, are its own; an error is not the item's.
func (p *planner) load(ctx context.Context, item convert.Item, image store.Image, toSave bool) (c converted, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			c = converted{err: fmt.Errorf("convert %s: internal error: %v; please report it", item.File, problem)}
		}
	}()
	var result convert.Result
	var own error
	if !hasDeparted(item) {
		result, own = p.src.Load(ctx, item, convert.Size{Width: image.Width, Height: image.Height})
	}
	c.labels, c.leftOut = conversion.Read(item, result, own)
	if own == nil {
		own = p.Accepted.Refusal(result)
	}
	if own == nil && len(p.OnlyClasses) > 0 {
		c.existing, own = p.onlyClasses(&result, image)
		if _, unreadable := errors.AsType[dataset.UnreadableError](own); own != nil && !unreadable {
			return c, own
		}
	}
	c.findings, c.sized = result.Findings, result.Size
	if c.err = own; own != nil {
		return c, nil
	}
	c.count, c.classes = len(result.Annotations), result.Classes
	var payload []byte
	if payload, c.prints, own = dataset.Encode(nil, result.Annotations); own != nil {
		c.err = fmt.Errorf("encode the annotations of %s: %w", item.Image, own)
		return c, nil
	}
	result.Release()
	c.hash, c.size = sha256.Sum256(payload), len(payload)
	if toSave || p.applies && p.convertsAlike() && p.payloads.room(c.size) {
		c.payload = payload
	}
	c.unchanged = c.existing != nil && sha256.Sum256(c.existing.Annotations) == c.hash
	return c, nil
}

// plan decides on every item of the source and records the decisions. A plan that a
// killed process left half made is made anew: its images may have changed since.
func (p *planner) plan(ctx context.Context) error {
	p.startWalk()
	seq, err := p.store.RestartPlan(ctx, p.record.ID, p.src.Describe().Format, p.fingerprint())
	if err != nil {
		return err
	}
	next := planCursor{seq: seq}
	if next.classes, err = p.knownClasses(ctx); err != nil {
		return err
	}
	if err := p.planDeclaredClasses(ctx, next.classes); err != nil {
		return err
	}
	p.Tracker.Begin("planning", 0)
	if err := p.recordChunks(ctx, p.planChunks(&next)); err != nil {
		return err
	}
	convert.Finish(p.src)
	// What the end of the walk reported, and an empty source's findings.
	found := append(p.SourceFindings(), p.Globs.Unused()...)
	if p.Short != nil {
		found = append(found, *p.Short)
	}
	if err := p.store.AddPlan(ctx, p.record.ID, store.PlanChunk{Findings: p.report(0, found...), LeftOut: store.Counted(convert.LeftOut(p.src))}); err != nil {
		return err
	}
	if err := p.planUploads(ctx); err != nil {
		return err
	}
	if p.Prune {
		return p.planDeparted(ctx, &next)
	}
	return nil
}

// planCursor is where a plan has come to.
type planCursor struct {
	seq     int64  // number of the last item
	cursor  string // of the last item
	classes map[string]classState
}

// planDeclaredClasses plans the classes that the source brings whatever its labels use.
func (p *planner) planDeclaredClasses(ctx context.Context, known map[string]classState) error {
	if p.UnknownClasses != "" && p.UnknownClasses != Create {
		return nil
	}
	var chunk store.PlanChunk
	if p.needClasses(&store.Item{}, p.declared(), known, &chunk); len(chunk.Classes) == 0 {
		return nil
	}
	return p.store.AddPlan(ctx, p.record.ID, chunk)
}

// planChunks plans what the walk comes upon.
func (p *planner) planChunks(next *planCursor) iter.Seq2[store.PlanChunk, error] {
	return func(yield func(store.PlanChunk, error) bool) {
		for items, err := range p.walk.chunks {
			var chunk store.PlanChunk
			if err == nil {
				chunk, err = p.planChunk(items, next)
			}
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

// recordChunks records chunks of the plan, each while the next one is made.
func (p *planner) recordChunks(ctx context.Context, chunks iter.Seq2[store.PlanChunk, error]) error {
	for _, err := range parallel.Map(ctx, 1, chunks, func(ctx context.Context, chunk store.PlanChunk) (none struct{}, err error) {
		if err = p.store.AddPlan(ctx, p.record.ID, chunk); err == nil {
			failed := 0
			for _, i := range chunk.Items {
				failed += failures(i)
			}
			p.Tracker.Add(len(chunk.Items), failed)
		}
		return none, err
	}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// fingerprint is what a verification that goes on must have in common with the plan that it
// goes on with.
func (p *planner) fingerprint() string {
	return fmt.Sprintf("%s accepted=%v match=%s into=%q sample=%v", p.src.Describe().Fingerprint, p.Accepted, p.matcher.how, p.matcher.into, p.sample)
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
func (p *planner) knownClasses(ctx context.Context) (map[string]classState, error) {
	classes := make(map[string]classState)
	for _, c := range p.Classes {
		classes[c.Name] = classExists
	}
	recorded, err := p.store.Classes(ctx, p.record.ID)
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

// planChunk plans some items that follow each other.
func (p *planner) planChunk(items []walked, next *planCursor) (chunk store.PlanChunk, err error) {
	matches, err := p.matchItems(p.Stopping, items)
	if err != nil {
		return chunk, err
	}
	p.noteFiles(items)
	items, matches = p.withoutExcluded(items, matches, &chunk)
	chunk.Items = make([]store.Item, 0, len(items))
	i := -1
	for c, err := range parallel.Map(p.Stopping, p.Convert, matched(items, matches), p.convertMatched) {
		if err != nil {
			return chunk, err
		}
		i++
		item, match := items[i], matches[i]
		chunk.Findings = append(chunk.Findings, p.report(0, item.findings...)...)
		c.findings = conversion.WithFailure(c.findings, item.Item, c.err)
		planned, err := p.decide(item.Item, match, c)
		if err != nil {
			return chunk, err
		}
		next.seq++
		planned.Seq, planned.After = next.seq, next.cursor
		next.cursor = item.Cursor
		p.addPlanned(&chunk, planned, match.image, c, next.classes)
	}
	return chunk, context.Cause(p.Stopping)
}

// addPlanned adds what is planned for an item to a chunk of the plan, with all that it needs.
func (p *planner) addPlanned(chunk *store.PlanChunk, planned store.Item, image store.Image, c converted, classes map[string]classState) {
	if planned.Outcome == store.ItemPending && c.payload != nil {
		p.payloads.put(planned.Seq, c)
	} else {
		p.payloads.free(len(c.payload))
	}
	if planned.Plan == store.PlanUpload {
		c.file.Item = planned.Seq
		chunk.Uploads = append(chunk.Uploads, *c.file)
	}
	if planned.Outcome == store.ItemPending {
		p.needClasses(&planned, c.classes, classes, chunk)
	}
	chunk.Items = append(chunk.Items, planned)
	if planned.Outcome == store.ItemUnchanged {
		p.addUnchanged(chunk, planned, image)
	}
	for _, f := range c.findings {
		f.Path = image.Path
		chunk.Findings = append(chunk.Findings, p.report(planned.Seq, f)...)
	}
}

// addUnchanged adds to a chunk of the plan that an image, which has what its labels say, is the
// source's from now on.
func (p *planner) addUnchanged(chunk *store.PlanChunk, planned store.Item, image store.Image) {
	if image.Saved != nil && image.Source != p.sourceRef && p.owns {
		chunk.Owned = append(chunk.Owned, planned.ImageRef)
	}
	if !p.savedElsewhere(planned, image) {
		return
	}
	chunk.Findings = append(chunk.Findings, p.reportSavedElsewhere(planned)...)
	if p.applies {
		chunk.Adopted, chunk.At = append(chunk.Adopted, planned), p.Now()
	}
}

// savedElsewhere reports whether an image that has what the labels say has it from elsewhere.
// What an earlier process of the run found to be so is told again: its findings went with its
// plan.
func (p *planner) savedElsewhere(i store.Item, image store.Image) bool {
	if p.undone != nil || i.Count == 0 {
		return false
	}
	known := image.Saved
	return known == nil || known.Hash != i.Hash || known.Run == "" && !known.At.Before(p.record.StartedAt)
}

// reportSavedElsewhere says so: what the image had before, no undo of this state brings back.
func (p *planner) reportSavedElsewhere(i store.Item) []store.Finding {
	return p.report(i.Seq, convert.Finding{Kind: convert.KindSavedElsewhere, Image: i.Image, Path: i.Path,
		Reason: "the image has what the labels say already, and not from this state: another one saved it, or this one was lost or put back to an earlier day",
		Action: "nothing was saved; what there was before it is not kept here, and undo cannot bring it back"})
}

// withoutExcluded leaves out the items whose images the globs exclude by their paths in the
// dataset, which the source may not have known.
func (p *planner) withoutExcluded(items []walked, matches []match, chunk *store.PlanChunk) (left []walked, leftMatches []match) {
	for i, item := range items {
		if p.Globs.Excludes(matches[i].image.Path) {
			chunk.Findings = append(chunk.Findings, p.report(0, item.findings...)...)
			if item.early != nil {
				p.payloads.free(len(item.early.payload))
			}
			continue
		}
		left, leftMatches = append(left, item), append(leftMatches, matches[i])
	}
	return left, leftMatches
}

// matchedItem is an item with the image that it means.
type matchedItem struct {
	walked
	match
}

func matched(items []walked, matches []match) iter.Seq2[matchedItem, error] {
	return func(yield func(matchedItem, error) bool) {
		for i := range items {
			if !yield(matchedItem{items[i], matches[i]}, nil) {
				return
			}
		}
	}
}

// convertMatched converts an item, held against the size that is listed. One without an
// image is converted too: its findings are worth knowing before the image is uploaded.
func (p *planner) convertMatched(ctx context.Context, i matchedItem) (converted, error) {
	if i.Err != nil {
		return converted{err: i.Err, labels: i.Annotations, leftOut: i.Annotations}, nil
	}
	c, err := p.convertOrTake(ctx, i)
	if err != nil {
		return c, err
	}
	if i.other != "" && c.err == nil {
		c.err, c.leftOut = errors.New(i.other), c.labels
	}
	p.examine(ctx, i, &c)
	return c, nil
}

// convertOrTake takes what was converted on the way, where that comes to the same.
func (p *planner) convertOrTake(ctx context.Context, i matchedItem) (converted, error) {
	if c := i.early; c != nil {
		if listed := sizeOf(i.image); c.sized.Known() && (c.sized == listed || !listed.Known()) {
			return *c, nil
		}
		p.payloads.free(len(c.payload))
	}
	return p.load(ctx, i.Item, i.image, false)
}

// sizeOf is an image's size as listed.
func sizeOf(i store.Image) convert.Size { return convert.Size{Width: i.Width, Height: i.Height} }

// decide is the heart of the plan: what is to be done with one item.
func (p *planner) decide(item convert.Item, m match, c converted) (store.Item, error) {
	i := store.Item{Image: item.Image, File: item.File, Labels: c.labels, LeftOut: c.leftOut, Closeness: m.closeness, ImageID: m.image.ID, ImageRef: m.image.Ref, Path: m.image.Path, ListedCount: m.image.AnnotationCount,
		Hash: c.hash, Count: c.count, Bytes: c.size, Findings: len(c.findings), Pruned: hasDeparted(item)}
	fail := func(plan store.Plan, format string, args ...any) (store.Item, error) {
		i.Plan, i.Outcome, i.Reason = plan, store.ItemFailed, fmt.Sprintf(format, args...)
		return i, nil
	}
	switch {
	case c.err != nil && m.plan == "":
		return fail(store.PlanFailed, "%v", c.err)
	case m.plan == store.PlanAmbiguous:
		return fail(store.PlanAmbiguous, "%s", m.reason)
	case m.plan == store.PlanUnmatched && c.fileErr != nil:
		return fail(store.PlanFailed, "the dataset has no such image, and its file cannot be uploaded: %v", c.fileErr)
	case m.plan == store.PlanUnmatched && c.file != nil && c.err != nil:
		return fail(store.PlanFailed, "%v; the dataset has no such image, and it was not uploaded", c.err)
	case m.plan == store.PlanUnmatched && c.file == nil:
		i.Plan, i.Outcome, i.Reason = store.PlanUnmatched, store.ItemUnmatched, m.reason
		if p.uploading() && !m.archived {
			i.Reason += "; its file is not at hand (--images names the folder that it lies in)"
		}
		return i, nil
	case c.size > p.BatchBytes:
		return fail(store.PlanFailed, "its annotations take %d bytes, more than one save may (%d)", c.size, p.BatchBytes)
	}
	if m.plan == store.PlanUnmatched {
		i.Plan, i.Outcome, i.Path = store.PlanUpload, store.ItemPending, c.file.Path
		return i, nil
	}
	has, differs := p.differing[m.image.Ref]
	if has.Hash == c.hash && has.ReadAt.Before(p.Since()) {
		differs = false // then; the counts say what there is to say
	}
	i.Plan, i.Outcome = classify(m.image, c, p.record.ID, differs)
	if differs && has.Hash == c.hash {
		i.Plan, i.Outcome = store.PlanUnchanged, store.ItemUnchanged // somebody else saved the same
	}
	i.Kept, i.Reviewed = unchangedOf(m.image, c), m.image.Reviewed
	if differs && i.Outcome != store.ItemUnchanged {
		i.Kept = -1
	}
	err := p.judge(&i, m.image, item.Explicit)
	return i, err
}

// unchangedOf is how many of an image's annotations a save of what was converted leaves as they
// are, -1 where it is not known what the image has.
func unchangedOf(image store.Image, c converted) int {
	ours := image.Saved
	switch {
	case image.AnnotationCount == 0 || c.count == 0:
		return 0
	case ours != nil && ours.Hash == c.hash && ours.Count == image.AnnotationCount:
		return c.count
	case ours != nil && ours.Prints != nil && ours.Count == image.AnnotationCount:
		return dataset.Prints(ours.Prints).InCommon(c.prints)
	case c.existing != nil && c.existing.Prints != nil:
		return c.existing.Prints.InCommon(c.prints)
	}
	return -1
}

// classify compares what would be saved with what is known of the image: differs says that it
// has something else than was last saved on it, whatever the counts say.
func classify(image store.Image, c converted, run string, differs bool) (store.Plan, store.ItemOutcome) {
	ours := image.Saved
	same := ours != nil && ours.Hash == c.hash
	untouched := ours != nil && ours.Count == image.AnnotationCount && !differs
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
func (p *planner) needClasses(i *store.Item, classes []pictograph.Class, known map[string]classState, part *store.PlanChunk) {
	if p.UnknownClasses == ignoreUnknown {
		return
	}
	for _, c := range classes {
		state := known[c.Name]
		if state == classExists || state == classPlannedWithSkeleton || state == classPlanned && c.Skeleton == nil {
			continue
		}
		switch p.UnknownClasses {
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
		if similar := p.similarClass(c.Name); similar != "" {
			part.Findings = append(part.Findings, p.report(i.Seq, convert.Finding{Kind: convert.KindSimilarClass, Image: i.Image, Path: i.Path,
				Reason: fmt.Sprintf("class %q is new, and differs from the dataset's class %q in case or blanks alone", c.Name, similar), Action: "it is created; a class map can merge them"})...)
		}
		data, err := json.Marshal(c)
		if err != nil {
			panic(err) // names and finite numbers always marshal
		}
		part.Classes = append(part.Classes, store.Class{Name: c.Name, JSON: data})
	}
}

// similarClass is a class of the dataset that a name most likely means.
func (p *planner) similarClass(name string) string {
	for _, c := range p.Classes {
		if c.Name != name && convert.Fold(c.Name) == convert.Fold(name) {
			return c.Name
		}
	}
	return ""
}
