package report

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/view"
)

// PageOptions say what is on the page of a run.
type PageOptions struct {
	// Cost is what the run took, or would take, in words.
	Cost string
	// Commands are what a person may type next; saved says that the run saved images. May
	// be nil.
	Commands func(saved bool) []view.Command
	// Looked is how many images, of those that change most, are compared annotation by
	// annotation: for the table, the grid and the classes.
	Looked int
	// Href leads to an image, Thumb to its thumbnail; nil where there is none.
	Href, Thumb func(seq int64) string
}

// Sizes of the parts of a page.
const (
	mostRows  = 25
	mostTiles = 24
)

// seen is an image that was compared for a page.
type seen struct {
	brief   store.Brief
	picture view.Picture
	file    string
}

// Page gathers what the page of the run shows, in the order in which a reviewer needs it.
func (r *Run) Page(ctx context.Context, o PageOptions) (*view.Report, []seen, error) {
	k, err := r.rank(ctx)
	if err != nil {
		return nil, nil, err
	}
	totals, err := r.Store.Totals(ctx, r.Run.ID)
	if err != nil {
		return nil, nil, err
	}
	page := &view.Report{Lead: r.lead(k, totals), Cost: o.Cost}
	if o.Commands != nil {
		page.Commands = o.Commands(totals.Outcome[store.ItemSaved]+totals.Outcome[store.ItemCleared] > 0)
	}
	r.alerts(page, k, totals)
	page.Numbers = r.numbers(k, totals)
	looked := make([]seen, 0, min(o.Looked, len(k.changing)))
	for _, b := range k.changing[:min(o.Looked, len(k.changing))] {
		s := seen{brief: b}
		if s.picture, s.file, err = r.Picture(ctx, b.Seq); err != nil {
			return nil, nil, err
		}
		looked = append(looked, s)
	}
	// Among those with like numbers, what is known exactly decides.
	slices.SortStableFunc(looked, func(a, b seen) int {
		aLost, aKnown := lost(a)
		bLost, bKnown := lost(b)
		if !aKnown || !bKnown {
			return 0
		}
		return bLost - aLost
	})
	r.most(page, looked, len(k.changing), o.Href)
	page.Grid = r.grid(looked, o)
	if page.Held, err = r.heldGroups(ctx, k.held, o.Href); err != nil {
		return nil, nil, err
	}
	if n := len(k.held); n > 0 {
		page.HeldTitle = fmt.Sprintf("Left alone: %s", view.Plural(n, "image"))
	}
	page.Bars, page.BarsTitle = r.bars(looked, len(k.changing))
	if page.Findings, err = r.findingRows(ctx); err != nil {
		return nil, nil, err
	}
	return page, looked, nil
}

// lost is what an image loses, exactly.
func lost(s seen) (n int, known bool) {
	c, known := changesOf(s.picture)
	return c[compare.Removed], known
}

// lead says in one sentence what happened.
func (r *Run) lead(k *ranking, t store.Totals) string {
	d := view.Text(r.Run.Dataset.Name)
	saves, held, still := len(k.changing), len(k.held), t.Outcome[store.ItemUnchanged]
	what := map[string]string{"sync": "The sync", "restore": "The restore", "plan": "The plan", "undo": "The undo", "verify": "The check", "export": "The export"}[r.Run.Shown()]
	if what == "" {
		what = "The " + r.Run.Kind
	}
	at := r.Run.StartedAt.Format("2 January 2006, 15:04")
	var rest []string
	if still > 0 {
		rest = append(rest, view.Plural(still, "image")+" unchanged")
	}
	if held > 0 {
		rest = append(rest, view.Plural(held, "image")+" left alone")
	}
	tail := ""
	if len(rest) > 0 {
		tail = ", " + strings.Join(rest, " and ")
	}
	switch {
	case saves == 0 && r.Run.Kind != "verify" && t.Outcome[store.ItemSaved]+t.Outcome[store.ItemCleared] == 0:
		return fmt.Sprintf("%s of %s found nothing to save in dataset %s%s.", what, at, d, tail)
	case r.planned():
		return fmt.Sprintf("%s of %s would save %s of %s in dataset %s: %s added, %s removed and %s replaced%s.", what, at, view.Plural(saves, "image"), view.Thousands(t.Found), d,
			view.Plural(k.added, "annotation"), view.Thousands(k.removed), atMost(k.replaced, k.unknown), tail)
	case r.Run.Kind == "verify":
		return fmt.Sprintf("%s of %s held %s of dataset %s against %s%s.", what, at, view.Plural(t.Found, "image"), d, view.Text(filepath.Base(r.Run.Source)), tail)
	}
	return fmt.Sprintf("%s of %s saved %s of %s in dataset %s: %s before, %s now%s.", what, at, view.Plural(t.Outcome[store.ItemSaved]+t.Outcome[store.ItemCleared], "image"), view.Thousands(t.Found), d,
		view.Plural(t.Previous, "annotation"), view.Thousands(t.New), tail)
}

func atMost(known, unknown int) string {
	if unknown == 0 {
		return view.Thousands(known)
	}
	return "up to " + view.Thousands(known+unknown)
}

// alerts say what a reviewer must not overlook.
func (r *Run) alerts(page *view.Report, k *ranking, t store.Totals) {
	alert := func(format string, args ...any) { page.Alerts = append(page.Alerts, fmt.Sprintf(format, args...)) }
	note := func(format string, args ...any) { page.Notes = append(page.Notes, fmt.Sprintf(format, args...)) }
	if r.Run.Error != "" {
		alert("%s: %s", map[store.Outcome]string{store.Refused: "A guard stopped it, and nothing was sent", store.Stopped: "It was stopped"}[r.Run.Outcome], view.Text(r.Run.Error))
	} else if r.Run.EndedAt.IsZero() && r.Run.Kind != "plan" {
		alert("It has not come to its end: %s are still to be saved.", view.Plural(k.outcomes[store.ItemPending], "image"))
	}
	if k.drifted > 0 {
		alert("Somebody changed %s since pictosync saved them, and these changes are overwritten.", view.Plural(k.drifted, "image"))
	}
	if t.Edited > 0 {
		alert("Somebody changed %s between reading and save: an undo does not bring back all that they had.", view.Plural(t.Edited, "image"))
	}
	if k.unknown > 0 {
		note("Of %s it is not known, without reading them, whether the labels say the same: they are counted as replaced.", view.Plural(k.unknown, "annotation"))
	}
	if r.Reads > 0 {
		note("For this page the annotations of %s were read, a request each.", view.Plural(r.Reads, "image"))
	}
	if r.Source == nil && r.SourceNote != "" {
		note("What the images have since is not shown: %s.", view.Text(r.SourceNote))
	}
}

// numbers are the totals.
func (r *Run) numbers(k *ranking, t store.Totals) (all []view.Number) {
	number := func(n int, what, kind string) {
		if n > 0 {
			all = append(all, view.Number{Value: view.Thousands(n), What: what, Kind: kind})
		}
	}
	if r.planned() {
		number(k.plans[store.PlanNew], "images new", "")
		number(k.plans[store.PlanOverwrite], "to overwrite", "")
		number(k.plans[store.PlanClear], "to clear", "")
		number(k.plans[store.PlanDrifted], "changed by others", "")
	} else {
		number(t.Outcome[store.ItemSaved], "images saved", "")
		number(t.Outcome[store.ItemCleared], "cleared", "")
		number(t.Outcome[store.ItemPending], "not reached", "")
	}
	number(t.Outcome[store.ItemUnchanged], "unchanged", "")
	number(t.Outcome[store.ItemSkipped], "skipped", "")
	number(t.Outcome[store.ItemUnmatched], "not in the dataset", "removed")
	number(t.Outcome[store.ItemFailed], "failed", "removed")
	number(k.added, "annotations added", "added")
	number(k.removed, "removed", "removed")
	number(k.replaced, "replaced", "changed")
	number(k.unknown, "replaced, or the same", "changed")
	number(k.kept, "stay on the same images", "")
	number(t.Findings, "findings", "")
	number(t.Unlabelled, "images of the dataset without labels", "")
	return all
}

// most is the table of the images that change most.
func (r *Run) most(page *view.Report, looked []seen, changing int, href func(int64) string) {
	if len(looked) == 0 {
		return
	}
	page.MostTitle = "Images that lose most"
	if removed, replaced := toll(looked[0].brief); removed+replaced == 0 {
		page.MostTitle = "Images that gain most"
	}
	if changing > mostRows {
		page.MostNote = fmt.Sprintf("The first %d of %s that change.", mostRows, view.Plural(changing, "image"))
	}
	for _, s := range looked[:min(mostRows, len(looked))] {
		b := s.brief
		row := view.Most{Name: view.Text(s.picture.Path), Before: view.Thousands(b.Before), After: view.Thousands(b.After), Why: r.why(b)}
		if href != nil {
			row.Href = href(b.Seq)
		}
		if c, known := changesOf(s.picture); known {
			row.Added, row.Removed, row.Changed = some(c[compare.Added]), some(c[compare.Removed]), some(c[compare.Changed])
			if classes := classChanges(s.picture.Before, s.picture.After); classes != "" {
				row.Why += "; " + view.Text(classes)
			}
		} else {
			removed, replaced := toll(b)
			row.Added, row.Removed, row.Changed = some(gained(b)), some(removed), some(replaced)
			if b.Kept < 0 && replaced > 0 {
				row.Changed = "≤ " + row.Changed
			}
		}
		page.Most = append(page.Most, row)
	}
}

func some(n int) string {
	if n == 0 {
		return "–"
	}
	return view.Thousands(n)
}

// grid are the tiles of the images that change most.
func (r *Run) grid(looked []seen, o PageOptions) *view.Grid {
	if o.Href == nil || len(looked) == 0 {
		return nil
	}
	g := &view.Grid{}
	for _, s := range looked[:min(mostTiles, len(looked))] {
		thumb := ""
		if o.Thumb != nil && s.file != "" {
			thumb = o.Thumb(s.brief.Seq)
		}
		g.Tiles = append(g.Tiles, view.NewTile(s.picture, o.Href(s.brief.Seq), thumb, aboutChange(s)))
	}
	return g
}

// aboutChange is what becomes of an image in a few words.
func aboutChange(s seen) string {
	c, known := changesOf(s.picture)
	if !known {
		return fmt.Sprintf("%d → %d annotations", s.brief.Before, s.brief.After)
	}
	var parts []string
	for _, p := range []struct {
		kind compare.Kind
		sign string
	}{{compare.Removed, "−"}, {compare.Added, "+"}, {compare.Changed, "~"}, {compare.Unchanged, "="}} {
		if n := c[p.kind]; n > 0 {
			parts = append(parts, p.sign+view.Thousands(n))
		}
	}
	return cmp.Or(strings.Join(parts, " "), "no annotations")
}

// bars count the classes of the images that were compared.
func (r *Run) bars(looked []seen, changing int) (*view.Bars, string) {
	counts := make(map[string]*view.ClassCount)
	add := func(list []pictograph.Annotation, after bool) {
		for _, a := range list {
			c := counts[a.Name]
			if c == nil {
				c = &view.ClassCount{Name: a.Name}
				counts[a.Name] = c
			}
			if after {
				c.Second++
			} else {
				c.First++
			}
		}
	}
	n := 0
	for _, s := range looked {
		if s.picture.BeforeKnown && s.picture.AfterKnown {
			n++
			add(s.picture.Before, false)
			add(s.picture.After, true)
		}
	}
	if n == 0 {
		return nil, ""
	}
	var list []view.ClassCount
	for _, c := range counts {
		list = append(list, *c)
	}
	title := "Classes, before and after"
	if n < changing {
		title += fmt.Sprintf(", on %s of %s that change", view.Thousands(n), view.Plural(changing, "image"))
	}
	return view.NewBars(list, true), title
}

// findingRows are the run's findings by cause.
func (r *Run) findingRows(ctx context.Context) (rows []view.FindingRow, err error) {
	groups, err := r.Store.FindingGroups(ctx, r.Run.ID)
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	examples := make(map[[2]string][]string)
	for f, err := range r.Store.Findings(ctx, r.Run.ID) {
		if err != nil {
			return nil, err
		}
		key := [2]string{f.Kind, f.Cause}
		if len(examples[key]) < 3 {
			examples[key] = append(examples[key], view.Text(exampleOf(findingOf(f))))
		}
	}
	order := []convert.Severity{convert.Lost, convert.Changed, convert.Noted}
	slices.SortFunc(groups, func(a, b store.FindingGroup) int {
		return cmp.Or(slices.Index(order, convert.Kind(a.Kind).Severity())-slices.Index(order, convert.Kind(b.Kind).Severity()), b.Count-a.Count, strings.Compare(a.Kind+a.Cause, b.Kind+b.Cause))
	})
	const most = 60
	for _, g := range groups[:min(most, len(groups))] {
		rows = append(rows, view.FindingRow{Kind: strings.TrimSpace(g.Kind + " " + view.Text(g.Cause)), Severity: string(convert.Kind(g.Kind).Severity()), Count: view.Thousands(g.Count), Examples: examples[[2]string{g.Kind, g.Cause}]})
	}
	return rows, nil
}

// title is what a run is called.
func (r *Run) title() string {
	kind := map[string]string{"sync": "Sync", "restore": "Restore", "plan": "Plan", "undo": "Undo", "verify": "Check", "export": "Export"}[r.Run.Shown()]
	return cmp.Or(kind, r.Run.Kind) + " of " + view.Text(r.Run.Dataset.Name) + ", " + r.Run.StartedAt.Format(time.DateTime)
}

// Ending is how a run ended in a word, and what kind of an end that is.
func Ending(r store.Run) (word, kind string) {
	switch r.Outcome {
	case store.Done, store.Planned:
		return string(r.Outcome), "done"
	case store.WithFailures:
		return "with failures", "failures"
	case "":
		return "open", ""
	}
	return string(r.Outcome), "bad"
}
