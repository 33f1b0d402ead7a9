package report

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/view"
)

// Run shows what a run of the state changed, or would change. Its methods may be called
// from several goroutines.
type Run struct {
	Store  *store.Store
	Run    store.Run
	Photos *view.Photos
	// Source is what the run's labels are read from again; nil where it is not at hand,
	// and SourceNote says why.
	Source     convert.Source
	SourceNote string
	// Read are what images had that were read for the page, by the service's id. Reads says
	// how many requests that took.
	Read  map[string][]pictograph.Annotation
	Reads int
	// Fetched are the files of images that were fetched for the page, by the service's id, a
	// request each.
	Fetched map[string]string

	ranked  sync.Once
	ranking *ranking
	err     error
}

// ranking are the images of a run, those that change most first, in numbers alone: with
// hundreds of thousands of images their names stay in the state.
type ranking struct {
	changing []store.Brief // saved, cleared or to be
	held     []store.Brief // failed, unmatched, skipped
	still    []store.Brief // unchanged

	added, removed, replaced, kept, unknown int
	plans                                   map[store.Plan]int
	drifted                                 int
	bare                                    int            // of those that change, the ones that are uploaded and have no labels to save
	uploaded                                map[int64]bool // those that the run itself uploaded
}

// saves is how many images are saved on.
func (k *ranking) saves() int { return len(k.changing) - k.bare }

// toll is what an image loses: annotations that go, and those that others take the place
// of, at most where it is not known.
func toll(b store.Brief) (removed, replaced int) {
	return max(0, b.Before-b.After), min(b.Before, b.After) - max(0, b.Kept)
}

func gained(b store.Brief) int { return max(0, b.After-b.Before) }

// rank goes through the items of the run once.
func (r *Run) rank(ctx context.Context) (*ranking, error) {
	r.ranked.Do(func() { r.ranking, r.err = rankOf(ctx, r.Store, r.Run) })
	return r.ranking, r.err
}

func rankOf(ctx context.Context, st *store.Store, run store.Run) (k *ranking, err error) {
	k = &ranking{plans: make(map[store.Plan]int)}
	if k.uploaded, err = st.UploadedItems(ctx, run.ID); err != nil {
		return nil, err
	}
	verifies := taskOf(run) == toVerify
	for b, err := range st.Briefs(ctx, run.ID) {
		if err != nil {
			return nil, err
		}
		switch {
		case b.Outcome == store.ItemUnchanged:
			k.still = append(k.still, b)
		case verifies && (b.Outcome == store.ItemPending || b.Outcome == store.ItemSkipped):
			// It was not compared, which is said in numbers.
		case verifies && b.Outcome == store.ItemFailed && b.Plan != store.PlanFailed && b.Plan != store.PlanAmbiguous:
			k.changing = append(k.changing, b) // it differs
		case b.Outcome == store.ItemPending || b.Outcome == store.ItemSaved || b.Outcome == store.ItemCleared:
			k.plans[b.Plan]++
			k.changing = append(k.changing, b)
			k.count(b)
		default:
			k.held = append(k.held, b)
		}
	}
	slices.SortStableFunc(k.changing, func(a, b store.Brief) int {
		aRemoved, aReplaced := toll(a)
		bRemoved, bReplaced := toll(b)
		return cmp.Or(bRemoved-aRemoved, bReplaced-aReplaced, gained(b)-gained(a), cmp.Compare(a.Seq, b.Seq))
	})
	return k, nil
}

func (k *ranking) count(b store.Brief) {
	removed, replaced := toll(b)
	k.added += gained(b)
	k.removed += removed
	if b.Kept >= 0 {
		k.replaced += replaced
		k.kept += b.Kept
	} else {
		k.unknown += replaced
	}
	if b.Plan == store.PlanDrifted {
		k.drifted++
	}
	if b.Plan == store.PlanUpload && b.After == 0 {
		k.bare++
	}
}

// Picture is an image of the run with what it had and what it has, or would have, as far as
// that is known.
func (r *Run) Picture(ctx context.Context, seq int64) (p view.Picture, file string, err error) {
	item, err := r.Store.ItemOf(ctx, r.Run.ID, seq)
	if err != nil {
		return p, "", err
	}
	p = view.Picture{Path: cmp.Or(item.Path, item.Image), File: item.File, Reason: item.Reason, Sides: r.sides(), Left: item.Pruned}
	if item.Outcome != store.ItemPending {
		p.Outcome = string(item.Outcome)
	}
	images, err := r.Store.ImagesByID(ctx, r.Run.Dataset, []string{item.ImageID})
	if err != nil {
		return p, "", err
	}
	var listed convert.Size
	if len(images) == 1 && item.ImageID != "" {
		listed = convert.Size{Width: images[0].Width, Height: images[0].Height}
	}
	p.Width, p.Height = listed.Width, listed.Height
	if err := r.before(ctx, item, &p); err != nil {
		return p, "", err
	}
	if file, err = r.after(ctx, item, listed, &p); err != nil {
		return p, "", err
	}
	if file == "" {
		file = r.Fetched[item.ImageID]
	}
	if p.Findings == nil && item.Findings > 0 {
		kept, err := r.Store.FindingsOf(ctx, r.Run.ID, seq)
		if err != nil {
			return p, "", err
		}
		for _, f := range kept {
			p.Findings = append(p.Findings, findingOf(f))
		}
	}
	if _, known := changesOf(p); known && r.task() == toVerify {
		p.Outcome, p.Reason = "", "" // the pairs tell it better, which ids alone do not make
	}
	return p, file, nil
}

func findingOf(f store.Finding) convert.Finding {
	return convert.Finding{Kind: convert.Kind(f.Kind), Cause: f.Cause, Count: f.Count, File: f.File, Image: f.Image, Path: f.Path, At: f.At, Reason: f.Reason, Action: f.Action}
}

// before fills in what the image had: from the backup of the run, from what was read of it,
// or nothing where it had nothing.
func (r *Run) before(ctx context.Context, item store.Item, p *view.Picture) error {
	set := func(data []byte, is string) {
		annotations, err := pictograph.DecodeAnnotations(data)
		if err != nil {
			p.Err = "What the image had is on record and cannot be read: " + err.Error()
			return
		}
		p.Before, p.BeforeKnown, p.BeforeIs = annotations, true, is
	}
	if read, ok := r.Read[item.ImageID]; ok && item.ImageID != "" {
		p.Before, p.BeforeKnown, p.BeforeIs = read, true, "read for this page"
		return nil
	}
	if item.ImageID == "" {
		return nil
	}
	backup, err := r.Store.Backup(ctx, r.Run.ID, item.ImageID)
	switch {
	case err == nil:
		set(backup.Annotations, "the run's backup")
		return nil
	case !errors.Is(err, store.ErrNoBackup):
		p.Err = "What the image had is on record and cannot be read: " + err.Error()
		return nil
	case item.ListedCount == 0:
		p.BeforeKnown, p.BeforeIs = true, "nothing"
		return nil
	case !r.planned() && item.Outcome != store.ItemPending && item.Outcome != store.ItemUnchanged && item.Outcome != store.ItemFailed && item.Outcome != store.ItemSkipped:
		return nil // what is known of it is what it has since
	}
	known, found, err := r.Store.NowKnown(ctx, r.Run.Dataset, item.ImageID)
	if err != nil || !found {
		return err
	}
	set(known.Annotations, "read by an export on "+known.At.Format(time.DateTime))
	return nil
}

// after fills in what the image has since or would have: from the source where it says the
// same still, or from what was read of the image later.
func (r *Run) after(ctx context.Context, item store.Item, listed convert.Size, p *view.Picture) (file string, err error) {
	none := store.Hash{}
	switch {
	case item.Pruned:
		p.AfterKnown, p.AfterIs = true, "nothing: it left the source"
		return "", nil
	case r.Source == nil:
		p.AfterIs = r.SourceNote
	default:
		var found bool
		if file, found, err = r.fromSource(ctx, item, listed, p); err != nil || found {
			return file, err
		}
	}
	if item.Hash == none || item.ImageID == "" {
		return file, nil
	}
	known, found, err := r.Store.SavedKnown(ctx, r.Run, item.ImageID, item.Hash)
	if err != nil || !found {
		return file, err
	}
	annotations, err := pictograph.DecodeAnnotations(known.Annotations)
	if err == nil {
		p.After, p.AfterKnown, p.AfterIs = annotations, true, "as it was read on "+known.At.Format(time.DateTime)
	}
	return file, nil
}

// fromSource reads the labels again. found says that they are what the run had.
func (r *Run) fromSource(ctx context.Context, item store.Item, listed convert.Size, p *view.Picture) (file string, found bool, err error) {
	labels, there, err := sourceItem(ctx, r.Source, item)
	if err != nil || !there {
		p.AfterIs = "not known: the source does not name the image any more"
		return "", false, ctx.Err()
	}
	file = convert.ImageFile(r.Source, labels)
	if labels.Err != nil {
		p.AfterIs = "not known: " + labels.Err.Error()
		return file, false, nil
	}
	result, err := load(ctx, r.Source, labels, listed)
	if err != nil {
		p.AfterIs = "not known: " + err.Error()
		return file, false, ctx.Err()
	}
	if !listed.Known() {
		p.Width, p.Height = result.Size.Width, result.Size.Height
	}
	p.Skeletons = skeletonsOf(result.Classes)
	encoded, err := pictograph.AppendAnnotations(nil, result.Annotations)
	same := err == nil && store.Hash(sha256.Sum256(encoded)) == item.Hash
	never := item.Hash == store.Hash{} // it failed before it was known what would be saved
	if !same && !never {
		p.AfterIs = "not known: the labels have changed since the run, or are read with other options"
		return file, false, nil
	}
	p.After, p.AfterKnown, p.AfterIs, p.Findings = result.Annotations, true, "the source", result.Findings
	if never {
		p.AfterIs = "the labels as they are now, which were not saved"
	}
	return file, true, nil
}

// load reads labels. What panics is that image's failure.
func load(ctx context.Context, src convert.Source, item convert.Item, listed convert.Size) (result convert.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read its labels: %v", p)
		}
	}()
	return src.Load(ctx, item, listed)
}

// sourceItem finds the labels of a planned item. It is where the walk was then, or, where
// the source was opened with other options, not far behind.
func sourceItem(ctx context.Context, src convert.Source, item store.Item) (found convert.Item, there bool, err error) {
	const near = 1000
	n := 0
	for labels, err := range src.Items(ctx, item.After) {
		if err != nil {
			return found, false, err
		}
		if labels.Image == item.Image {
			return labels, true, nil
		}
		if n++; n > near {
			break
		}
	}
	return found, false, nil
}

// classChanges says which classes an image loses and gains most.
func (r *Run) classChanges(before, after []pictograph.Annotation) string {
	counts := make(map[string][2]int)
	for i, list := range [][]pictograph.Annotation{before, after} {
		for _, a := range list {
			c := counts[a.Name]
			c[i]++
			counts[a.Name] = c
		}
	}
	say := func(sign int, word string) string {
		type change struct {
			name string
			n    int
		}
		var all []change
		for name, c := range counts {
			if n := sign * (c[1] - c[0]); n > 0 {
				all = append(all, change{name, n})
			}
		}
		if len(all) == 0 {
			return ""
		}
		slices.SortFunc(all, func(a, b change) int { return cmp.Or(b.n-a.n, strings.Compare(a.name, b.name)) })
		var parts []string
		for i, c := range all {
			if i == 3 && len(all) > 4 {
				parts = append(parts, fmt.Sprintf("%d more classes", len(all)-3))
				break
			}
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.name))
		}
		return word + " " + strings.Join(parts, ", ")
	}
	loses, gains := "loses", "gains"
	if r.task() == toVerify {
		loses, gains = "too many:", "missing:"
	}
	lost, won := say(-1, loses), say(1, gains)
	if lost != "" && won != "" {
		return lost + "; " + won
	}
	return lost + won
}

var numbers = regexp.MustCompile(`\d+`)
var quoted = regexp.MustCompile(`"[^"]*"|\([^()]*\.[a-zA-Z]{3,4}\)`)

// heldGroups are the images that were not saved, by why.
func (r *Run) heldGroups(ctx context.Context, held []store.Brief, href func(seq int64) string) (groups []view.Held, err error) {
	const sampled, shown, examples = 2000, 30, 4
	type group struct {
		view.Held
		n int
	}
	byWhy := make(map[string]*group)
	var order []string
	for i, b := range held {
		if i == sampled {
			break
		}
		item, err := r.Store.ItemOf(ctx, r.Run.ID, b.Seq)
		if err != nil {
			return nil, err
		}
		reason := cmp.Or(item.Reason, string(item.Plan))
		// Reasons that differ in numbers and names alone are one.
		key := string(item.Outcome) + "\x00" + numbers.ReplaceAllString(quoted.ReplaceAllString(strings.ReplaceAll(reason, cmp.Or(item.Path, item.Image), "…"), "…"), "#")
		g := byWhy[key]
		if g == nil {
			g = &group{Held: view.Held{Why: view.Text(reason), Outcome: string(item.Outcome)}}
			byWhy[key] = g
			order = append(order, key)
		}
		g.n++
		if len(g.Examples) < examples {
			l := view.Link{Text: view.Text(cmp.Or(item.Path, item.Image))}
			if href != nil {
				l.Href = href(b.Seq)
			}
			g.Examples = append(g.Examples, l)
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return byWhy[b].n - byWhy[a].n })
	for i, key := range order {
		if i == shown {
			break
		}
		g := byWhy[key]
		g.Count = view.Thousands(g.n)
		groups = append(groups, g.Held)
	}
	return groups, nil
}

// changesOf counts what becomes of the annotations of an image that is known on both sides.
func changesOf(p view.Picture) (counts map[compare.Kind]int, known bool) {
	if !p.BeforeKnown || !p.AfterKnown {
		return nil, false
	}
	return compare.Count(compare.Annotations(p.Before, p.After)), true
}

// Unpictured are the images that change most, of those whose files are not at hand: at most
// as many as are asked for.
func (r *Run) Unpictured(ctx context.Context, most int) ([]store.Item, error) {
	return r.mostChanged(ctx, most, func(item store.Item) (bool, error) {
		_, file, err := r.Picture(ctx, item.Seq)
		return file == "", err
	})
}

// Unread are the images that change most, of those that the state does not know what they
// have: at most as many as are asked for.
func (r *Run) Unread(ctx context.Context, most int) ([]store.Item, error) {
	return r.mostChanged(ctx, most, func(item store.Item) (bool, error) {
		var p view.Picture
		err := r.before(ctx, item, &p)
		return !p.BeforeKnown, err
	})
}

// mostChanged are the images of the dataset that change most, of those that are wanted.
func (r *Run) mostChanged(ctx context.Context, most int, wanted func(store.Item) (bool, error)) (items []store.Item, err error) {
	k, err := r.rank(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range k.changing {
		if len(items) == most {
			break
		}
		item, err := r.Store.ItemOf(ctx, r.Run.ID, b.Seq)
		if err != nil {
			return nil, err
		}
		if item.ImageID == "" {
			continue
		}
		switch is, err := wanted(item); {
		case err != nil:
			return nil, err
		case is:
			items = append(items, item)
		}
	}
	return items, nil
}
