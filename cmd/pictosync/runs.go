package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"pictosync/store"
	"pictosync/worker"
)

type runsOptions struct {
	serviceOptions
	outcomes   []string
	findings   bool
	unlabelled bool
	abandon    bool
	check      bool
	limit      int
	source     sourceOptions
	page       pageOptions
}

func newRuns() *cobra.Command {
	var o runsOptions
	cmd := &cobra.Command{
		Use:   "runs [RUN]",
		Short: "List runs, or what a run did to each image",
		Long: `List the runs of a state, the newest first; or, with a run's id (its beginning or
end is enough, "last" is the newest), what happened to each of its images: what
was planned, what came of it, how many annotations the image had before and has
now, and why. With --html it is a page: what the run changed, on the images. The
labels are read again from the run's source, as the flags about sources say, and
shown where they are still what the run saved.` + exitHint,
		Example: `  pictosync runs
  pictosync runs last --outcome failed,unmatched
  pictosync runs last --findings
  pictosync runs last --html last.html
  pictosync runs last --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			if o.abandon {
				return runAbandon(cmd.Context(), args, o, cmd.Flags().Changed("base-url"))
			}
			return runRuns(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	f.StringSliceVar(&o.outcomes, "outcome", nil, "only images with this `OUTCOME`: saved, cleared, unchanged, unmatched, skipped, failed or pending (again, or with commas, for more)")
	f.BoolVar(&o.findings, "findings", false, "list the run's findings instead of its images")
	f.BoolVar(&o.unlabelled, "unlabelled", false, "list the images of the dataset that the run's source says nothing of")
	f.BoolVar(&o.check, "check", false, "read all backups of the run, and say which are damaged")
	f.BoolVar(&o.abandon, "abandon", false, "give up the batches of the run that are in flight: what their images have is read, a request each, and what was saved is recorded")
	o.page.addFileFlag(f, "what the run changed, with the images that changed most,")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	f.IntVar(&o.limit, "limit", 20, "list at most `N` runs")
	return cmd
}

func runRuns(ctx context.Context, args []string, o runsOptions) error {
	if o.page.html != "" && len(args) == 0 {
		return usagef("--html: name the run that the page is of")
	}
	if err := o.page.check(); err != nil {
		return err
	}
	for _, outcome := range o.outcomes {
		switch store.ItemOutcome(outcome) {
		case store.ItemSaved, store.ItemCleared, store.ItemUnchanged, store.ItemUnmatched, store.ItemSkipped, store.ItemFailed, store.ItemPending:
		default:
			return usagef("read --outcome: %q must be one of: saved, cleared, unchanged, unmatched, skipped, failed, pending", outcome)
		}
	}
	path, err := statePath(o.state)
	if err != nil {
		return err
	}
	st, err := lookAt(ctx, path)
	if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
		return noRuns(o)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("look up run %s: there is no state at %s; name one with --state", args[0], path)
	}
	if err != nil {
		return err
	}
	defer st.Close()
	if len(args) == 0 {
		return listRuns(ctx, st, o)
	}
	run, err := findRun(ctx, st, args[0])
	if err != nil {
		return err
	}
	if o.page.html != "" {
		if err := o.runPage(ctx, st, run); err != nil || !o.output.json {
			return err
		}
		return printJSON(os.Stdout, struct {
			Run  string `json:"run"`
			HTML string `json:"html"`
			ending
		}{Run: run.ID, HTML: o.page.html})
	}
	w := bufio.NewWriter(os.Stdout)
	if o.check {
		err = showChecked(ctx, w, st, run, o.output.json)
	} else if o.unlabelled {
		err = showUnlabelled(ctx, w, st, run, o.output.json)
	} else if o.findings {
		err = showFindings(ctx, w, st, run, o.output.json)
	} else {
		err = showRun(ctx, w, st, run, o)
	}
	return errors.Join(err, w.Flush())
}

// showChecked says which backups of a run are whole.
func showChecked(ctx context.Context, w io.Writer, st *store.Store, run store.Run, asJSON bool) error {
	whole, damaged, err := st.CheckBackups(ctx, run.ID)
	if err != nil {
		return err
	}
	var failed error
	if len(damaged) > 0 {
		failed = errFailures
	}
	if asJSON {
		return errors.Join(printJSON(w, struct {
			Run     string   `json:"run"`
			Whole   int      `json:"backups_whole"`
			Damaged []string `json:"backups_damaged"`
			ending
		}{run.ID, whole, append([]string{}, damaged...), endingOf(failed)}), failed)
	}
	fmt.Fprintf(w, "run %s: %s whole, %d damaged\n", run.ID, plural(whole, "backup"), len(damaged))
	for _, d := range damaged {
		fmt.Fprintf(w, "  damaged: %s\n", printable(d))
	}
	return failed
}

// runAbandon gives up what a run has in flight, where the service does not answer for it.
func runAbandon(parent context.Context, args []string, o runsOptions, elsewhere bool) error {
	if len(args) == 0 {
		return usagef("--abandon: name the run whose batches are to be given up")
	}
	path, err := statePath(o.state)
	if err != nil {
		return err
	}
	st, err := lookAt(parent, path)
	if err != nil {
		return err
	}
	run, err := findRun(parent, st, args[0])
	if closeErr := st.Close(); err != nil || closeErr != nil {
		return cmp.Or(err, closeErr)
	}
	o.goBackTo(run, elsewhere)
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.open("runs --abandon " + run.ID); err != nil {
		return err
	}
	if err := s.refuseElsewhere("runs --abandon", run); err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	progress := o.output.progress()
	given, err := worker.Abandon(s.ctx, s.stop.asked, c.to(s.store), run, s.access(run.Dataset.ID, progress))
	progress.end()
	if err = s.stop.explain(err); err != nil {
		return err
	}
	if o.output.json {
		return printJSON(os.Stdout, struct {
			Run string `json:"run"`
			worker.Abandoned
			ending
		}{run.ID, given, ending{}})
	}
	fmt.Printf("run %s: %s given up, %s saved, %s not\n", run.ID, english.Plural(given.Batches, "batch", "batches"), plural(given.Saved, "image"), plural(given.Failed, "image"))
	return nil
}

func noRuns(o runsOptions) error {
	if o.output.json {
		jsonPrinted = true
		fmt.Println(`{"runs":[]}`)
		return nil
	}
	fmt.Println("no runs yet")
	return nil
}

func findRun(ctx context.Context, st *store.Store, id string) (store.Run, error) {
	if id != "last" {
		return st.FindRun(ctx, id)
	}
	runs, err := st.Runs(ctx, 1)
	if err != nil {
		return store.Run{}, err
	}
	if len(runs) == 0 {
		return store.Run{}, fmt.Errorf("look up the last run: %w", store.ErrNoRun)
	}
	return runs[0], nil
}

// runJSON is a run for programs: its summary with when and how it went.
type runJSON struct {
	worker.Summary
	Kind      string      `json:"kind"` // sync, restore, plan, undo, verify or export
	Phase     store.Phase `json:"phase"`
	Format    string      `json:"format"`
	Starts    int         `json:"starts"`
	Error     string      `json:"error,omitempty"`
	StartedAt time.Time   `json:"started_at"`
	EndedAt   *time.Time  `json:"ended_at"`
}

func describeRun(ctx context.Context, st *store.Store, r store.Run) (runJSON, error) {
	totals, err := st.Totals(ctx, r.ID)
	if err != nil {
		return runJSON{}, err
	}
	out := runJSON{Summary: worker.Summarize(r, totals), Kind: r.Shown(), Phase: r.Phase, Format: r.Format, Starts: r.Starts, Error: r.Error, StartedAt: r.StartedAt.UTC()}
	if !r.EndedAt.IsZero() {
		ended := r.EndedAt.UTC()
		out.EndedAt = &ended
	}
	return out, nil
}

func listRuns(ctx context.Context, st *store.Store, o runsOptions) error {
	runs, err := st.Runs(ctx, o.limit)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return noRuns(o)
	}
	described := make([]runJSON, len(runs))
	for i, r := range runs {
		if described[i], err = describeRun(ctx, st, r); err != nil {
			return err
		}
	}
	if o.output.json {
		return printJSON(os.Stdout, map[string]any{"runs": described})
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tSTARTED\tKIND\tDATASET\tOUTCOME\tSAVED\tUNCHANGED\tUNMATCHED\tFAILED\tSOURCE")
	for _, r := range described {
		i := r.Images
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r.Run, humanize.Time(r.StartedAt), r.Kind, r.Dataset, outcomeWord(r.Outcome), i.Saved+i.Cleared, i.Unchanged, i.Unmatched, i.Failed, r.Source)
	}
	if len(described) == o.limit {
		fmt.Fprintf(table, "there may be older ones: --limit says how many are listed\n")
	}
	return table.Flush()
}

func outcomeWord(outcome string) string {
	if outcome == "" {
		return "open" // running, or its process was killed
	}
	return outcome
}

func showRun(ctx context.Context, w io.Writer, st *store.Store, run store.Run, o runsOptions) error {
	described, err := describeRun(ctx, st, run)
	if err != nil {
		return err
	}
	outcomes := o.outcomes
	if len(outcomes) == 0 {
		outcomes = []string{""}
	}
	if o.output.json {
		return showRunJSON(ctx, w, st, described, outcomes)
	}
	i := described.Images
	fmt.Fprintf(w, "run %s: %s, started %s: %s\n", run.ID, whatItWas(run), run.StartedAt.Format(time.DateTime), outcomeWord(described.Outcome))
	if run.Error != "" {
		fmt.Fprintf(w, "error: %s\n", run.Error)
	}
	none := "it dealt with no images"
	if run.Kind == store.RunExport {
		if err := showExported(ctx, w, st, run); err != nil {
			return err
		}
		none = "it failed on no image"
	} else {
		fmt.Fprintf(w, "%d found, %d matched, %d saved, %d cleared, %d unchanged, %d unmatched, %d failed\n\n", i.Found, i.Matched, i.Saved, i.Cleared, i.Unchanged, i.Unmatched, i.Failed)
	}
	if len(o.outcomes) > 0 {
		none = "none of its images has the outcome " + orList(o.outcomes)
	}
	table := newRows(w, "IMAGE\tPLAN\tOUTCOME\tBEFORE\tNOW\tLABEL\tREASON", none)
	for _, outcome := range outcomes {
		for r, err := range st.Records(ctx, run.ID, store.ItemOutcome(outcome)) {
			if err != nil {
				return err
			}
			before := count(r.Previous)
			if r.FirstHand != nil && !*r.FirstHand {
				before += "?" // the listing's count
			}
			if err := table.printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(cmp.Or(r.Path, r.Image)), r.Plan, r.Outcome, before, count(r.New), printable(cmp.Or(r.Label, "-")), printable(r.Reason)); err != nil {
				return err
			}
		}
	}
	return table.end()
}

// whatItWas says what a run did, or was to do, with which source and dataset.
func whatItWas(run store.Run) string {
	kind, name := run.Shown(), run.Dataset.Name
	if undone, is := run.Undoes(); is && kind == "plan" {
		return fmt.Sprintf("plan of an undo of run %s in %s", undone, name)
	} else if is {
		return fmt.Sprintf("undo of run %s in %s", undone, name)
	}
	switch kind {
	case "plan":
		return fmt.Sprintf("plan of a sync into %s from %s", name, run.Source)
	case "verify":
		return fmt.Sprintf("verify of %s against %s", name, run.Source)
	case "export":
		return fmt.Sprintf("export of %s to %s", name, run.Source)
	}
	return fmt.Sprintf("%s into %s from %s", kind, name, run.Source)
}

// showExported says what an export wrote, as far as it came to that.
func showExported(ctx context.Context, w io.Writer, st *store.Store, run store.Run) error {
	totals, err := st.Totals(ctx, run.ID)
	if err != nil {
		return err
	}
	if e := totals.Notes.Export; e != nil {
		_, err = fmt.Fprintf(w, "%s with %s in %s\n\n", plural(e.Images, "image"), plural(e.Annotations, "annotation"), printable(e.Snapshot))
	} else {
		_, err = fmt.Fprint(w, "no snapshot was written\n\n")
	}
	return err
}

func count(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func showRunJSON(ctx context.Context, w io.Writer, st *store.Store, run runJSON, outcomes []string) error {
	jsonPrinted = true
	head, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("write the run: %w", err)
	}
	// One object, written as it is read: a run may have millions of images.
	fmt.Fprintf(w, "%s,\"records\":[", strings.TrimSuffix(string(head), "}"))
	separator := "\n"
	for _, outcome := range outcomes {
		for r, err := range st.Records(ctx, run.Run, store.ItemOutcome(outcome)) {
			if err != nil {
				return err
			}
			line, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("write the run: %w", err)
			}
			fmt.Fprintf(w, "%s%s", separator, line)
			separator = ",\n"
		}
	}
	_, err = fmt.Fprintln(w, "\n]}")
	return err
}

// showFindings prints a run's findings: for people by kind and cause with a few examples,
// for programs with all that the state keeps.
func showFindings(ctx context.Context, w io.Writer, st *store.Store, run store.Run, asJSON bool) error {
	groups, err := groupsOf(ctx, st, run.ID)
	if err != nil {
		return err
	}
	if !asJSON {
		if len(groups.byCause) == 0 {
			fmt.Fprintf(w, "run %s has no findings; `pictosync runs %s` shows what became of each image\n", run.ID, run.ID)
		}
		groups.print(w)
		return nil
	}
	jsonPrinted = true
	all, err := json.Marshal(groups.sorted())
	if err != nil {
		return fmt.Errorf("write the findings: %w", err)
	}
	fmt.Fprintf(w, `{"run":%q,"groups":%s,"findings":[`, run.ID, all)
	separator := "\n"
	for f, err := range st.Findings(ctx, run.ID) {
		if err != nil {
			return err
		}
		line, err := json.Marshal(findingOf(f))
		if err != nil {
			return fmt.Errorf("write the findings: %w", err)
		}
		fmt.Fprintf(w, "%s%s", separator, line)
		separator = ",\n"
	}
	fmt.Fprintln(w, "\n]}")
	return nil
}

// showUnlabelled lists the images of the dataset, as it was listed last, that the run's
// source says nothing of.
func showUnlabelled(ctx context.Context, w io.Writer, st *store.Store, run store.Run, asJSON bool) error {
	separator := "\n"
	if asJSON {
		jsonPrinted = true
		fmt.Fprintf(w, `{"run":%q,"unlabelled":[`, run.ID)
	}
	for name, err := range st.NamesWithout(ctx, run.Dataset, run.ID) {
		if err != nil {
			return err
		}
		if !asJSON {
			fmt.Fprintln(w, printable(name.Path))
			continue
		}
		line, err := json.Marshal(name.Path)
		if err != nil {
			return fmt.Errorf("write the images: %w", err)
		}
		fmt.Fprintf(w, "%s%s", separator, line)
		separator = ",\n"
	}
	if asJSON {
		fmt.Fprintln(w, "\n]}")
	}
	return nil
}
