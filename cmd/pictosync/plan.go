package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"pictosync/compare"
	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/atomicfile"
	"pictosync/store"
	"pictosync/worker"
)

// planJSON is what `plan --json` prints and `plan --out` keeps.
type planJSON struct {
	Run     string `json:"run"`
	Dataset string `json:"dataset"`
	Source  string `json:"source"`
	// Digest is that of the plan: sync --plan compares it.
	Digest string             `json:"digest"`
	Images map[store.Plan]int `json:"images"`
	// Skipped are images that a policy leaves alone, whatever their plan.
	Skipped int `json:"skipped"`
	// Failed are images that a sync would leave alone and fail, whatever their plan.
	Failed      int   `json:"failed"`
	Reviewed    int   `json:"reviewed"` // images to save that are in review, or complete
	Annotations added `json:"annotations"`
	// Archive are the images that an undo would archive.
	Archive int `json:"archive,omitempty"`
	// Restore are the images that it would bring back from the archive.
	Restore int      `json:"restore,omitempty"`
	Classes []string `json:"classes"` // to be created
	// Uploads are the images that would be uploaded.
	Uploads  uploadsJSON `json:"uploads"`
	Requests int         `json:"requests"`
	Seconds  float64     `json:"estimated_s"` // at the configured rate
	conversion.Accounts
	// Unlabelled are the images of the dataset that the source says nothing of.
	Unlabelled int            `json:"unlabelled"`
	Findings   int            `json:"findings"`
	Kinds      map[string]int `json:"findings_by_kind,omitempty"`
	ending
}

type uploadsJSON struct {
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
}

type added struct {
	Listed  int `json:"listed"` // in the dataset before
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// Replaced are those that others take the place of, Kept those that stay; of images
	// of which it is not known what they have, Unknown may be replaced, at most.
	Replaced int `json:"replaced"`
	Kept     int `json:"kept"`
	Unknown  int `json:"unknown"`
}

// readPlan reads the digest of a kept plan.
func readPlan(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", usagef("read the plan: %w", err)
	}
	var p planJSON
	if err := json.Unmarshal(data, &p); err != nil || p.Digest == "" {
		return "", usagef("read the plan %s: it is no plan as pictosync plan --out writes it", path)
	}
	return p.Digest, nil
}

// planOptions are the flags of plan.
type planOptions struct {
	syncOptions
	out  string // to write
	diff string // an image
	rows bool   // every image also on a terminal
}

func runPlan(parent context.Context, path string, o planOptions, doing string) error {
	switch {
	case o.page.read < 0:
		return usagef("read --read-images: %d is no number of images", o.page.read)
	case o.page.fetch < 0:
		return usagef("read --fetch-images: %d is no number of images", o.page.fetch)
	case o.page.read > 0 && o.page.html == "" && o.page.folder == "":
		return usagef("--read-images: it reads images for a page, and there is none; name one with --html")
	case o.page.fetch > 0 && o.page.html == "" && o.page.folder == "":
		return usagef("--fetch-images: it fetches files for a page, and there is none; name one with --html")
	}
	settings, err := o.settings()
	if err = cmp.Or(err, checkFile("out", o.out)); err != nil {
		return err
	}
	return o.show(parent, path, settings, doing)
}

// show makes a plan and prints it.
func (o *planOptions) show(parent context.Context, path string, settings worker.Options, doing string) error {
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	src, err := o.opening(s, path)
	if err != nil {
		return err
	}
	if err := s.openWith(src, func() error { return s.openBeside("plan", doing) }); err != nil {
		return err
	}
	summary, err := o.run(s, src, settings.Common, func(c *connection, common worker.Common) (worker.Summary, error) {
		settings.Common, settings.Files = common, src.files()
		return worker.Plan(s.ctx, s.stop.asked, c.to(s.store), src.Open, settings)
	})
	if src.err == nil && summary.Run != "" {
		err = joinFailures(err, o.page.write(s, src.src, summary, pageOf{plan: true, backup: settings.Backup, reads: o.reads.policy()}))
	}
	switch {
	case src.err != nil:
		return src.err
	case summary.Run == "":
		return cmp.Or(o.output.print(os.Stdout, summary, err), err)
	case o.diff != "" && (err == nil || errors.Is(err, errFailures) || errors.Is(err, worker.ErrGuard)):
		return o.showDiff(s, os.Stdout, src.src, summary.Run)
	}
	shown := shownPlan{ignoreUnmatched: o.unmatched != "fail", backup: settings.Backup, reads: o.reads.policy(), out: o.out, rows: o.rows}
	return shown.show(s, os.Stdout, summary, err)
}

// shownPlan is how a plan is shown.
type shownPlan struct {
	ignoreUnmatched bool
	backup          worker.BackupPolicy
	reads           dataset.ReadPolicy
	out             string // file to keep it in; "" is none
	rows            bool   // every image also on a terminal
}

// show prints a plan that was made, and keeps it where that is asked for.
func (o *shownPlan) show(in *session, w io.Writer, s worker.Summary, failed error) error {
	ctx, st, output := context.WithoutCancel(in.ctx), in.store, in.options.output
	if s.Outcome == string(store.Interrupted) || s.Outcome == string(store.Stopped) {
		return failed
	}
	totals, err := st.Totals(ctx, s.Run)
	if err != nil {
		return err
	}
	run, err := st.FindRun(ctx, s.Run)
	if err != nil {
		return err
	}
	sums, err := st.PlanSummary(ctx, run.Dataset, s.Run)
	if err != nil {
		return err
	}
	digest, err := st.PlanDigest(ctx, run.Dataset, s.Run)
	if err != nil {
		return err
	}
	created, err := st.Classes(ctx, s.Run)
	if err != nil {
		return err
	}
	p := planJSON{Run: s.Run, Dataset: s.Dataset, Source: s.Source, Digest: digest, Images: totals.Plan, Skipped: s.Images.Skipped, Failed: s.Images.Failed,
		Annotations: added{sums.Listed, sums.Added, sums.Removed, sums.Replaced, sums.Kept, sums.Unknown}, Reviewed: sums.Reviewed, Archive: s.Archived, Restore: s.Restored, Classes: []string{}, Uploads: uploadsJSON{sums.Uploads, sums.UploadBytes}, Accounts: s.Accounts, Unlabelled: s.Images.Unlabelled, Findings: s.Findings, Kinds: s.Kinds}
	for _, c := range created {
		p.Classes = append(p.Classes, c.Name)
	}
	p.Requests, p.Seconds = worker.Cost(sums, len(created), s.Requests, o.backup, o.reads, in.pacer.Quota())
	if failed == nil && s.Images.Failed+s.Images.Unmatched > 0 && (s.Images.Failed > 0 || !o.ignoreUnmatched) {
		failed = errFailures
	}
	p.ending = endingOf(failed)
	if o.out != "" {
		if err := keepPlan(o.out, p); err != nil {
			return err
		}
	}
	switch {
	case output.json:
		err = printJSON(w, p)
	case !output.quiet:
		printPlan(w, p)
		if o.rows || !onTerminal(os.Stdout) {
			err = printRows(ctx, w, st, p.Run)
		} else {
			printFailures(w, "what failed", s, failed)
			fmt.Fprintln(w, "  images       with --rows")
		}
	}
	if err != nil {
		return err
	}
	return failed
}

// showDiff prints what a save would change on one image, a line an annotation.
func (o *planOptions) showDiff(s *session, w io.Writer, src convert.Source, id string) error {
	run, err := s.store.FindRun(s.ctx, id)
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	before, after, planned, err := worker.Sides(s.ctx, c.client, s.store, src, run, o.diff)
	if errors.Is(err, worker.ErrNoImage) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	changes := compare.Annotations(before, after)
	count := compare.Count(changes)
	changes = slices.DeleteFunc(changes, func(c compare.Change) bool { return c.Kind == compare.Unchanged })
	notSaved := ""
	if planned.Outcome == store.ItemFailed || planned.Outcome == store.ItemSkipped {
		notSaved = planned.Reason
	}
	var failed error
	if planned.Outcome == store.ItemFailed {
		failed = errFailures
	}
	if o.output.json {
		return cmp.Or(printJSON(w, struct {
			Image    string           `json:"image"`
			Changes  []compare.Change `json:"changes"`
			Same     int              `json:"same"`
			NotSaved string           `json:"not_saved,omitempty"` // why a sync would leave the image alone
		}{o.diff, changes, count[compare.Unchanged], notSaved}), failed)
	}
	if err := printDiff(w, o.diff, changes, count); err != nil {
		return err
	}
	if notSaved != "" {
		fmt.Fprintf(w, "a sync does not do this: %s\n", printable(notSaved))
	}
	return failed
}

func keepPlan(path string, p planJSON) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.Write(path, append(data, '\n'), atomicfile.Shared)
}

// printPlan prints what a plan comes to.
func printPlan(w io.Writer, p planJSON) {
	n := p.Images
	fmt.Fprintf(w, "plan %s: %s\n", p.Run, parts(part{n[store.PlanUpload], "to upload"}, part{n[store.PlanNew], "new"}, part{n[store.PlanOverwrite], "to overwrite"}, part{n[store.PlanClear], "to clear"},
		part{n[store.PlanDrifted], "changed by someone else"}, part{n[store.PlanUnchanged], "unchanged"}, part{n[store.PlanUnmatched], "not in the dataset"},
		part{n[store.PlanAmbiguous], "ambiguous"}, part{n[store.PlanFailed], "that cannot be taken"}))
	if p.Skipped > 0 {
		fmt.Fprintf(w, "  skipped      %d of these\n", p.Skipped)
	}
	if p.Failed > 0 {
		fmt.Fprintf(w, "  failed       %d of these: a sync leaves them alone and ends with 4\n", p.Failed)
	}
	if p.Uploads.Images > 0 {
		fmt.Fprintf(w, "  upload       %s, %s\n", plural(p.Uploads.Images, "file"), humanize.IBytes(uint64(p.Uploads.Bytes)))
	}
	if p.Archive > 0 {
		fmt.Fprintf(w, "  archive      %s that the run uploaded\n", plural(p.Archive, "image"))
	}
	if p.Restore > 0 {
		fmt.Fprintf(w, "  restore      %s from the archive, then with what the run took away of them\n", plural(p.Restore, "image"))
	}
	a := p.Annotations
	fmt.Fprintf(w, "  annotations  %d in the dataset, %d to add, %d to remove, %d to replace, %d to keep\n", a.Listed, a.Added, a.Removed, a.Replaced, a.Kept)
	if a.Unknown > 0 {
		fmt.Fprintf(w, "               of others it is not known what they are: up to %d more to replace\n", a.Unknown)
	}
	if p.Reviewed > 0 {
		fmt.Fprintf(w, "  reviewed     %s to save that are in review, or complete\n", plural(p.Reviewed, "image"))
	}
	if len(p.Classes) > 0 {
		fmt.Fprintf(w, "  new classes  %s\n", someNames(p.Classes))
	}
	fmt.Fprintf(w, "  cost         at least %s, %s\n", plural(p.Requests, "request"), time.Duration(p.Seconds*float64(time.Second)).Round(time.Second))
	fmt.Fprintf(w, "  read         %s\n", accountsText(p.Accounts))
	if p.Unlabelled > 0 {
		fmt.Fprintf(w, "  unlabelled   %s of the dataset: see `pictosync runs %s --unlabelled`\n", plural(p.Unlabelled, "image"), p.Run)
	}
	if p.Findings > 0 {
		fmt.Fprintf(w, "  findings     %s (%s): see `pictosync runs %s --findings`\n", severitiesText(p.Kinds), kindsText(p.Kinds), p.Run)
	}
}
