package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/view"
)

// PageOptions say what is on the page of a run.
type PageOptions struct {
	// Cost is what the run took, or would take, in words. May be nil.
	Cost func(Did) string
	// Commands are what a person may type next. May be nil.
	Commands func(Did) []view.Command
	// Looked is how many images, of those that change most, are compared annotation by
	// annotation: for the table, the grid and the classes.
	Looked int
	// Href leads to an image, Thumb to its thumbnail; nil where there is none.
	Href, Thumb func(seq int64) string
}

// Did is what of a run decides what may be done next.
type Did struct {
	Saved   bool // it saved images
	Unknown int  // annotations of which it is not known whether they stay
	Unread  int  // images of a plan whose annotations are not known, but for their number
	Notes   store.Notes
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
	page := &view.Report{Lead: r.lead(ctx, k, totals), Sides: r.sides()}
	looked := make([]seen, 0, min(o.Looked, len(k.changing)))
	for _, b := range k.changing[:min(o.Looked, len(k.changing))] {
		s := seen{brief: b}
		if s.picture, s.file, err = r.Picture(ctx, b.Seq); err != nil {
			return nil, nil, err
		}
		looked = append(looked, s)
	}
	did := Did{Saved: totals.Outcome[store.ItemSaved]+totals.Outcome[store.ItemCleared] > 0, Unknown: k.unknown, Unread: r.unread(looked), Notes: totals.Notes}
	if o.Cost != nil {
		page.Cost = o.Cost(did)
	}
	if o.Commands != nil {
		page.Commands = o.Commands(did)
	}
	if err := r.alerts(ctx, page, k, did, totals); err != nil {
		return nil, nil, err
	}
	page.Numbers = r.numbers(k, totals)
	// Among those with like numbers, what is known exactly decides.
	slices.SortStableFunc(looked, func(a, b seen) int {
		aLost, aKnown := lost(a)
		bLost, bKnown := lost(b)
		if !aKnown || !bKnown {
			return 0
		}
		return bLost - aLost
	})
	r.most(page, k, looked, o.Href)
	page.Grid = r.grid(looked, o)
	if page.Held, err = r.heldGroups(ctx, k.held, o.Href); err != nil {
		return nil, nil, err
	}
	if n := len(k.held); n > 0 {
		_, held, _ := r.lists()
		page.HeldTitle = capital(held) + ": " + images(n)
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

// unread is how many images of a plan cannot be drawn with what goes: of what they have only
// the number is known.
func (r *Run) unread(of []seen) (n int) {
	for _, s := range of {
		if r.planned() && s.brief.Before > 0 && !s.picture.BeforeKnown {
			n++
		}
	}
	return n
}

// alerts say what a reviewer must not overlook.
func (r *Run) alerts(ctx context.Context, page *view.Report, k *ranking, did Did, t store.Totals) error {
	alert := func(format string, args ...any) { page.Alerts = append(page.Alerts, fmt.Sprintf(format, args...)) }
	note := func(format string, args ...any) { page.Notes = append(page.Notes, fmt.Sprintf(format, args...)) }
	if r.Run.Error != "" {
		if r.Run.Outcome == store.Stopped {
			alert("It was stopped: %s", view.Text(r.Run.Error))
		} else {
			alert("%s", view.Text(capital(r.Run.Error)))
		}
	} else if r.Run.EndedAt.IsZero() && r.Run.Kind != store.RunPlan {
		page.Alerts = append(page.Alerts, r.unfinished(t))
	}
	if k.drifted > 0 && r.planned() {
		alert("Somebody changed %s since pictosync saved on them, and these changes would be overwritten.", images(k.drifted))
	} else if k.drifted > 0 {
		alert("Somebody had changed %s since pictosync saved on them, and these changes are overwritten.", images(k.drifted))
	}
	if t.Uploads.Failed > 0 {
		failed, err := r.failedUploads(ctx)
		if err != nil {
			return err
		}
		alert("%s could not be uploaded: %s.", images(t.Uploads.Failed), failed)
	}
	if t.Edited > 0 {
		alert("Somebody changed %s between reading and save: an undo does not bring back all that they had.", view.Plural(t.Edited, "image"))
	}
	if n := t.Uploads.There; n > 0 {
		note("%s to upload came to be in the dataset before they were: nothing was uploaded in their place.", images(n))
	}
	if n := t.Uploads.Renamed; n > 0 {
		note("The service gave %s of those uploaded other names.", images(n))
	}
	if n := t.Uploads.Unlabelled; n > 0 {
		note("Of the images to upload, %s no labels.", map[bool]string{true: "1 has", false: view.Thousands(n) + " have"}[n == 1])
	}
	if k.unknown > 0 {
		note("Of %s it is not known, without reading them, whether the labels say the same: they are counted as replaced.", view.Plural(k.unknown, "annotation"))
	}
	if n := did.Unread; n > 0 {
		them := map[bool]string{true: "it", false: "them"}[n == 1]
		note("Of %s only the number of annotations is known, so what goes is not drawn on %s. `plan --html FILE --read-images N` reads them, a request an image.", view.Plural(n, "image"), them)
	}
	if r.Reads > 0 {
		note("For this page the annotations of %s were read, a request each.", view.Plural(r.Reads, "image"))
	}
	if n := len(r.Fetched); n > 0 {
		note("For this page the files of %s were fetched, a request each.", images(n))
	}
	if r.Source == nil && r.SourceNote != "" {
		note("What the images have since is not shown: %s.", view.Text(r.SourceNote))
	}
	return nil
}

// failedUploads names some images that could not be uploaded, with why.
func (r *Run) failedUploads(ctx context.Context) (string, error) {
	const few = 3
	var some []string
	for u, err := range r.Store.Uploads(ctx, r.Run.ID, store.UploadFailed) {
		if err != nil {
			return "", err
		}
		if len(some) == few {
			return strings.Join(some, "; ") + "; and others", nil
		}
		some = append(some, view.Text(u.Path)+": "+view.Text(u.Error))
	}
	return strings.Join(some, "; "), nil
}

// most is the table of the images that change most.
func (r *Run) most(page *view.Report, k *ranking, looked []seen, href func(int64) string) {
	if len(looked) == 0 {
		return
	}
	page.MostTitle = r.mostTitle(looked[0].brief)
	if changing := len(k.changing); changing > mostRows {
		what, _, _ := r.lists()
		page.MostNote = fmt.Sprintf("The first %d of %s %s.", mostRows, view.Thousands(changing), what)
	}
	paired := false
	for _, s := range looked[:min(mostRows, len(looked))] {
		b := s.brief
		row := view.Most{Name: view.Text(s.picture.Path), Before: view.Thousands(b.Before), After: view.Thousands(b.After), Why: view.Text(r.why(k, s))}
		if href != nil {
			row.Href = href(b.Seq)
		}
		if c, known := changesOf(s.picture); known {
			paired = true
			row.Added, row.Removed, row.Changed = some(c[compare.Added]), some(c[compare.Removed]), some(c[compare.Changed])
			if classes := r.classChanges(s.picture.Before, s.picture.After); classes != "" {
				row.Why = strings.TrimPrefix(row.Why+"; ", "; ") + view.Text(classes)
			}
		} else {
			removed, replaced := toll(b)
			row.Added, row.Removed, row.Changed = some(gained(b)), some(removed), some(replaced)
			if b.Kept < 0 && replaced > 0 {
				row.Changed = "≤ " + row.Changed
			}
		}
		row.Why = cmp.Or(row.Why, "the same classes, and other annotations")
		page.Most = append(page.Most, row)
	}
	if paired && r.task() != toVerify {
		page.MostNote = strings.TrimSpace(page.MostNote + " Here an annotation that is found again in another place or shape is changed; in the totals, one that goes where another comes is replaced.")
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
	sides := r.sides()
	title := fmt.Sprintf("Classes, %s and %s", strings.ToLower(sides.Before), strings.ToLower(sides.After))
	if what, _, _ := r.lists(); n < changing {
		title += fmt.Sprintf(", on %s of %s %s", view.Thousands(n), view.Thousands(changing), what)
	}
	bars := view.NewBars(list, true)
	bars.Sides = sides
	return bars, title
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
