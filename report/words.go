package report

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"pictosync/compare"
	"pictosync/store"
	"pictosync/view"
)

// Pages speak of a run in the words of what it is for.

// task is what a run is for; a plan is for what it plans.
type task string

const (
	toSync    task = "sync"
	toRestore task = "restore"
	toUndo    task = "undo"
	toVerify  task = "verify"
	toExport  task = "export"
)

func taskOf(run store.Run) task {
	_, undo := run.Undoes()
	switch {
	case run.Kind == store.RunVerify || run.Kind == store.RunExport:
		return task(run.Kind)
	case undo:
		return toUndo
	case run.Format == "backup":
		return toRestore
	}
	return toSync
}

func (r *Run) task() task { return taskOf(r.Run) }

// planned reports whether the run only says what would be.
func (r *Run) planned() bool {
	return r.Run.Kind == store.RunPlan || r.Run.Outcome == store.Refused
}

// kindOf is what a run is called.
func kindOf(run store.Run) string {
	word := map[task]string{toVerify: "verification"}[taskOf(run)]
	if word == "" {
		word = string(taskOf(run))
	}
	switch {
	case run.Kind != store.RunPlan:
		return word
	case word == string(toSync):
		return "plan"
	}
	return "plan of " + article(word)
}

func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an " + word
	}
	return "a " + word
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// title is what the page of a run is called.
func (r *Run) title() string {
	return capital(kindOf(r.Run)) + " of " + view.Text(r.Run.Dataset.Name) + ", " + r.Run.StartedAt.Format(time.DateTime)
}

// listed are sentences' parts, as a, b and c.
func listed(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// counted are numbers of things with what they are, those of none left out.
type counted struct {
	n    int
	what string // of one, as "image"; what follows a semicolon stays as it is
}

func countedWords(all ...counted) (parts []string) {
	for _, c := range all {
		thing, rest, _ := strings.Cut(c.what, ";")
		switch {
		case c.n == 0:
		case thing == "":
			parts = append(parts, view.Thousands(c.n)+" "+rest)
		case rest == "":
			parts = append(parts, view.Plural(c.n, thing))
		default:
			parts = append(parts, view.Plural(c.n, thing)+" "+rest)
		}
	}
	return parts
}

func images(n int) string { return view.Plural(n, "image") }

func files(n int, bytes int64) string {
	return fmt.Sprintf("%s (%s)", images(n), humanize.Bytes(uint64(max(0, bytes))))
}

// are is the verb of so many things.
func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// lead says in one sentence what happened.
func (r *Run) lead(ctx context.Context, k *ranking, t store.Totals) string {
	name := fmt.Sprintf("The %s of %s", kindOf(r.Run), r.Run.StartedAt.Format("2 January 2006, 15:04"))
	set := view.Text(r.Run.Dataset.Name)
	switch r.task() {
	case toExport:
		return r.leadOfExport(name, set, t)
	case toVerify:
		return r.leadOfVerification(name, set, t)
	}
	tail := r.rest(t.Outcome[store.ItemUnchanged], len(k.held))
	var did []string
	saves, uploads, bytes := k.saves(), t.Uploads.Planned, t.Uploads.PlannedBytes
	verb := func(plan, done string) string { return "would " + plan }
	switch {
	case !r.planned():
		saves, uploads, bytes = t.Outcome[store.ItemSaved]+t.Outcome[store.ItemCleared], t.Uploads.Done, t.Uploads.DoneBytes
		verb = func(plan, done string) string { return done }
	case r.Run.Kind != store.RunPlan: // a guard stopped it
		verb = func(plan, done string) string { return "was to " + plan }
	}
	if t.Notes.Made || r.planned() && r.Run.Dataset.ID == store.Unmade(r.Run.Dataset.Name) {
		did = append(did, verb("make", "made")+" the dataset")
	}
	if uploads > 0 {
		did = append(did, verb("upload", "uploaded")+" "+files(uploads, bytes))
	}
	of := images(saves)
	if t.Found > saves {
		of = fmt.Sprintf("%s of %s", view.Thousands(saves), images(t.Found))
	}
	if saves > 0 {
		switch r.task() {
		case toUndo:
			did = append(did, fmt.Sprintf("%s what %s had %s", verb("put back", "put back"), of, r.beforeWhat(ctx)))
		case toRestore:
			did = append(did, fmt.Sprintf("%s what %s had in the backup %s", verb("bring back", "brought back"), of, view.Text(filepath.Base(r.Run.Source))))
		default:
			did = append(did, fmt.Sprintf("%s the labels of %s", verb("save", "saved"), of))
		}
	}
	if n := t.Notes.Archived; n > 0 {
		did = append(did, fmt.Sprintf("archived %s that had been uploaded", images(n)))
	}
	switch {
	case len(did) == 0 && r.planned():
		return fmt.Sprintf("%s found nothing to do in dataset %s%s.", name, set, tail)
	case len(did) == 0:
		return fmt.Sprintf("%s changed nothing in dataset %s%s.", name, set, tail)
	}
	sentence := fmt.Sprintf("%s %s in dataset %s", name, listed(did), set)
	switch {
	case saves == 0:
	case r.planned():
		sentence += fmt.Sprintf(": %s added, %s removed and %s replaced", view.Plural(k.added, "annotation"), view.Thousands(k.removed), atMost(k.replaced, k.unknown))
	default:
		sentence += fmt.Sprintf(": %s before, %s now", view.Plural(t.Previous, "annotation"), view.Thousands(t.New))
	}
	return sentence + tail + "."
}

// rest says of images that nothing was done about them.
func (r *Run) rest(still, held int) string {
	is, have := was(still), "had"
	if r.planned() {
		is, have = are(still), map[bool]string{true: "has", false: "have"}[still == 1]
	}
	word := is + " unchanged"
	if r.task() == toUndo || r.task() == toRestore {
		word = have + " it already"
	}
	alone := was(held)
	if r.planned() {
		alone = are(held)
	}
	switch {
	case still == 0 && held == 0:
		return ""
	case still == 0:
		return fmt.Sprintf("; %s %s left alone", images(held), alone)
	case held == 0:
		return fmt.Sprintf("; %s %s", images(still), word)
	}
	return fmt.Sprintf("; %s %s, and %s %s left alone", images(still), word, view.Thousands(held), alone)
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// beforeWhat names the run that is undone.
func (r *Run) beforeWhat(ctx context.Context) string {
	id, _ := r.Run.Undoes()
	of, err := r.Store.FindRun(ctx, id)
	if err != nil {
		return "before run " + id // it is forgotten
	}
	return fmt.Sprintf("before the %s of %s", kindOf(of), of.StartedAt.Format("2 January 2006, 15:04"))
}

func (r *Run) leadOfExport(name, set string, t store.Totals) string {
	e := t.Notes.Export
	switch {
	case e == nil && r.Run.EndedAt.IsZero():
		return fmt.Sprintf("%s has written no backup of dataset %s so far.", name, set)
	case e == nil:
		return fmt.Sprintf("%s wrote a backup of dataset %s below %s.", name, set, view.Text(r.Run.Source))
	}
	with := ""
	if e.Files > 0 {
		with = fmt.Sprintf(", and the files of %s", files(e.Files, e.FileBytes))
	}
	return fmt.Sprintf("%s wrote %s with %s of dataset %s%s into %s.", name, images(e.Images), view.Plural(e.Annotations, "annotation"), set, with, view.Text(e.Snapshot))
}

func (r *Run) leadOfVerification(name, set string, t store.Totals) string {
	same, other, absent := t.Outcome[store.ItemUnchanged], t.Outcome[store.ItemFailed], t.Outcome[store.ItemUnmatched]
	source := view.Text(filepath.Base(r.Run.Source))
	var found []string
	for _, c := range []struct {
		n    int
		what string
	}{{same, are(same) + " as the labels say"}, {other, map[bool]string{true: "differs or cannot be compared", false: "differ or cannot be compared"}[other == 1]}, {absent, are(absent) + " not in the dataset"},
		{t.Outcome[store.ItemSkipped], are(t.Outcome[store.ItemSkipped]) + " not in the sample"}, {t.Outcome[store.ItemPending], are(t.Outcome[store.ItemPending]) + " still to be compared"}} {
		if c.n > 0 {
			found = append(found, view.Thousands(c.n)+" "+c.what)
		}
	}
	if len(found) == 0 {
		return fmt.Sprintf("%s compared no image of dataset %s with %s.", name, set, source)
	}
	return fmt.Sprintf("%s compared dataset %s with %s: of %s, %s.", name, set, source, images(t.Found), listed(found))
}

func atMost(known, unknown int) string {
	if unknown == 0 {
		return view.Thousands(known)
	}
	return "up to " + view.Thousands(known+unknown)
}

// unfinished says what is left of a run that has not come to its end.
func (r *Run) unfinished(t store.Totals) string {
	left := map[task]string{toSync: "to be saved", toRestore: "to be brought back", toUndo: "to be put back", toVerify: "to be compared"}[r.task()]
	var parts []string
	if n := t.Uploads.Planned; n > 0 {
		parts = append(parts, files(n, t.Uploads.PlannedBytes)+" to be uploaded")
	}
	if n := t.Outcome[store.ItemPending]; n > 0 && left != "" {
		parts = append(parts, images(n)+" "+left)
	}
	if len(parts) == 0 {
		return "It has not come to its end."
	}
	return "It has not come to its end: there are still " + listed(parts) + "."
}

// numberOf is one of the large numbers of a page; what is what so many are called.
func numberOf(n int, what, kind string) view.Number {
	if n == 1 {
		what = single(what)
	}
	return view.Number{Value: view.Thousands(n), What: what, Kind: kind}
}

// single is what one of several things is called.
func single(what string) string {
	for _, form := range [][2]string{{"image files", "image file"}, {"images", "image"}, {"annotations that stay", "annotation that stays"}, {"annotations", "annotation"}, {"findings", "finding"},
		{"labels without", "label without"}, {"datasets", "dataset"}, {"runs", "run"}, {"classes", "class"}, {"differ,", "differs,"}} {
		if rest, ok := strings.CutPrefix(what, form[0]); ok {
			return form[1] + rest
		}
	}
	return what
}

// numbers are the totals.
func (r *Run) numbers(k *ranking, t store.Totals) (all []view.Number) {
	number := func(n int, what, kind string) {
		if n > 0 {
			all = append(all, numberOf(n, what, kind))
		}
	}
	size := func(n int64, what string) {
		if n > 0 {
			all = append(all, view.Number{Value: humanize.Bytes(uint64(n)), What: what})
		}
	}
	o := t.Outcome
	switch r.task() {
	case toExport:
		if e := t.Notes.Export; e != nil {
			number(e.Images, "images", "")
			number(e.Annotations, "annotations", "")
			number(e.Read, "images read anew", "")
			number(e.Files, "image files", "")
			size(e.Bytes, "of backup")
			size(e.FileBytes, "of image files")
		}
		number(o[store.ItemFailed], "images not in the backup", "removed")
		number(t.Findings, "findings", "")
		return all
	case toVerify:
		number(o[store.ItemUnchanged], "images as the labels say", "")
		number(o[store.ItemFailed], "differ, or cannot be compared", "removed")
		number(o[store.ItemUnmatched], "not in the dataset", "removed")
		number(o[store.ItemSkipped], "not in the sample", "")
		number(o[store.ItemPending], "not reached", "")
		number(t.Findings, "findings", "")
		return all
	}
	save, saved, still, skipped := "images to overwrite", "images saved", "unchanged", "skipped"
	switch r.task() {
	case toUndo:
		save, saved, still, skipped = "images to put back", "images put back", "had it already", "changed since, and left alone"
	case toRestore:
		save, saved, still = "images to bring back", "images brought back", "had it already"
	}
	number(t.Uploads.Done, "images uploaded", "added")
	size(t.Uploads.DoneBytes, "uploaded")
	if t.Uploads.Planned > 0 {
		number(t.Uploads.Planned, "images to upload", "added")
		size(t.Uploads.PlannedBytes, "to upload")
	}
	number(t.Uploads.Failed, "not uploaded", "removed")
	if r.planned() {
		number(k.plans[store.PlanNew], "images not labelled so far", "")
		number(k.plans[store.PlanOverwrite], save, "")
		number(k.plans[store.PlanClear], "to clear", "")
		number(k.plans[store.PlanDrifted], "changed by others", "")
	} else {
		number(o[store.ItemSaved], saved, "")
		number(o[store.ItemCleared], "cleared", "")
		number(o[store.ItemPending], "not reached", "")
	}
	number(t.Notes.Splits, "put into a split", "")
	number(t.Notes.Archived, "archived", "")
	number(o[store.ItemUnchanged], still, "")
	number(o[store.ItemSkipped], skipped, "")
	number(o[store.ItemUnmatched], "not in the dataset", "removed")
	number(o[store.ItemFailed], "failed", "removed")
	number(k.added, "annotations added", "added")
	number(k.removed, "annotations removed", "removed")
	number(k.replaced, "annotations replaced", "changed")
	number(k.unknown, "replaced, or the same", "changed")
	number(k.kept, "annotations that stay", "")
	number(t.Findings, "findings", "")
	if r.task() == toSync {
		number(t.Unlabelled, "images of the dataset without labels", "")
	}
	return all
}

// why says what is done to an image, and why, in a few words.
func (r *Run) why(k *ranking, s seen) string {
	b, labels := s.brief, "the labels"
	switch r.task() {
	case toVerify:
		return s.picture.Reason
	case toUndo:
		switch {
		case b.Plan == store.PlanDrifted:
			return "somebody changed it since, and that is overwritten"
		case b.After == 0:
			return "cleared: it had no annotations before the run"
		}
		return "what it had before the run is put back"
	case toRestore:
		labels = "the backup"
	}
	switch b.Plan {
	case store.PlanUpload:
		return "it is not in the dataset yet: its file is uploaded first"
	case store.PlanNew:
		if k.uploaded[b.Seq] {
			return "uploaded by this run"
		}
		return "it had no annotations"
	case store.PlanClear:
		if b.After == 0 && s.picture.Left {
			return "cleared: it left the source"
		}
		return "cleared: it is empty in " + labels
	case store.PlanDrifted:
		return "somebody changed it since pictosync saved it, and that is overwritten"
	case store.PlanOverwrite:
		switch {
		case b.Kept < 0:
			return "overwritten: whether what it has is in " + labels + " is not known"
		case b.Kept == 0 && b.Before > 0:
			return "overwritten: none of its annotations is in " + labels
		}
		if r.task() == toRestore {
			return "overwritten: the backup differs"
		}
		return "overwritten: the labels differ"
	}
	return string(b.Plan)
}

// sides are the words for what is on the two sides of a run's images.
func (r *Run) sides() view.Sides {
	if r.task() == toVerify {
		return view.Compared
	}
	return view.Changed
}

// mostTitle is what the table of the images that change most is called.
func (r *Run) mostTitle(first store.Brief) string {
	removed, replaced := toll(first)
	switch {
	case r.task() == toVerify:
		return "Images that differ most"
	case r.task() == toUndo:
		return "Images that change most"
	case removed+replaced == 0:
		return "Images that gain most"
	}
	return "Images that lose most"
}

// lists are what the lists of images of a run are called: those that change, those that were
// left alone, and those that stay.
func (r *Run) lists() (changing, held, still string) {
	switch r.task() {
	case toVerify:
		return "images that differ", "not compared", "as the labels say"
	case toExport:
		return "images", "not in the backup", "unchanged"
	case toUndo, toRestore:
		return "images that change", "left alone", "had it already"
	}
	return "images that change", "left alone", "unchanged"
}

// aboutChange is what becomes of an image in a few words.
func aboutChange(s seen) string {
	c, known := changesOf(s.picture)
	if !known {
		return fmt.Sprintf("%d → %s", s.brief.Before, view.Plural(s.brief.After, "annotation"))
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
	if len(parts) == 0 {
		return "no annotations"
	}
	return strings.Join(parts, " ")
}

// result is what a run came to in a few words, for a row of a table.
func result(run store.Run, t store.Totals) string {
	o := t.Outcome
	var parts []string
	switch taskOf(run) {
	case toExport:
		if e := t.Notes.Export; e != nil {
			parts = countedWords(counted{e.Images, "image"}, counted{e.Annotations, "annotation"}, counted{o[store.ItemFailed], ";not read"})
		}
	case toVerify:
		parts = countedWords(counted{o[store.ItemUnchanged], ";as the labels say"}, counted{o[store.ItemFailed], ";that differ"}, counted{o[store.ItemUnmatched], ";not in the dataset"})
	default:
		saved, planned := "saved", run.Kind == store.RunPlan || run.Outcome == store.Refused
		switch {
		case planned:
			saved = "to save"
		case taskOf(run) == toUndo:
			saved = "put back"
		case taskOf(run) == toRestore:
			saved = "brought back"
		}
		uploads, word := t.Uploads.Done, ";uploaded"
		if planned {
			uploads, word = t.Uploads.Planned, ";to upload"
		}
		n := o[store.ItemSaved] + o[store.ItemCleared]
		if planned {
			n = o[store.ItemPending]
		}
		parts = countedWords(counted{uploads, word}, counted{n, ";" + saved}, counted{o[store.ItemUnchanged], ";unchanged"}, counted{t.Notes.Archived, ";archived"},
			counted{o[store.ItemFailed] + o[store.ItemUnmatched] + t.Uploads.Failed, ";failed"})
		if t.Notes.Made {
			parts = append([]string{"dataset made"}, parts...)
		}
	}
	return strings.Join(parts, ", ")
}
