package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pictosync/store"
	"pictosync/worker"
)

type undoOptions struct {
	serviceOptions
	backups  backupOptions
	reads    readOptions
	dryRun   bool
	dataset  string
	image    string
	force    bool
	classes  bool
	uploaded bool
}

func newUndo() *cobra.Command {
	var o undoOptions
	cmd := &cobra.Command{
		Use:   "undo RUN",
		Short: "Put back what the images had before a run",
		Long: `Put back what the images had before a run, from the backups that it took: the
images that were empty are cleared, the others get their annotations back. An
image that was changed since, by another run or by someone else, is left alone
unless --force is given. The classes that the run added stay, unless --classes is
given. The images that the run uploaded stay too; with --uploaded they are archived,
but those that somebody labelled since, and the undo of such an undo brings them back
with it. An undo is a run like others: it takes backups, can be interrupted, and can
be undone. RUN is an id, the beginning or end of one, or
last: the last run that changed something, in whatever dataset, or in that of --dataset.
It is named first. Given twice, undo last undoes the undo.` + exitHint,
		Example: `  pictosync undo last --dataset cars --dry-run
  pictosync undo 0190b3f2 --image 'train/**'`,
		Args: one(aRun),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.applyAndKeep(cmd, args); err != nil {
				return err
			}
			return runUndo(cmd.Context(), args[0], o, cmd.Flags().Changed("base-url"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset that the run was of")
	f.StringVar(&o.image, "image", "", "only images whose path fits the `GLOB`")
	f.BoolVar(&o.force, "force", false, "put back also what was changed since")
	f.BoolVar(&o.classes, "classes", false, "take away the classes that the run added and that no annotation has any more; for this all images are read")
	f.BoolVar(&o.uploaded, "uploaded", false, "archive the images that the run uploaded and that nobody labelled since; of an undo that did so, bring them back")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan and write nothing to the service")
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	o.backups.addFlags(f)
	o.reads.addFlags(f)
	return cmd
}

func runUndo(parent context.Context, id string, o undoOptions, elsewhere bool) error {
	run, err := o.findUndoable(parent, id)
	if errors.Is(err, errNothingToUndo) {
		if o.output.json {
			return printJSON(os.Stdout, struct {
				Run     string `json:"run"`
				Outcome string `json:"outcome"`
				ending
			}{Outcome: "nothing to undo"})
		}
		fmt.Println("nothing to undo: no run has changed anything")
		return nil
	}
	if err != nil {
		return err
	}
	o.command.Args[1] = run.ID // "last" is another run then
	options := worker.UndoOptions{Image: o.image, Force: o.force, RemoveClasses: o.classes, Uploaded: o.uploaded}
	if err := cmp.Or(o.backups.read(&options.Backup), o.reads.check()); err != nil {
		return err
	}
	// It goes back to where the run went.
	o.goBackTo(run, elsewhere)
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	undo, open := worker.Undo, func() error { return s.open("undo " + id) }
	if o.dryRun {
		undo, open = worker.PlanUndo, func() error { return s.openBeside("plan", "undo "+id) }
	}
	if err := open(); err != nil {
		return err
	}
	if err := s.refuseElsewhere("undo", run); err != nil {
		return err
	}
	if !o.output.quiet {
		if err := announce(parent, os.Stderr, s.store, run); err != nil {
			return err
		}
	}
	summary, err := s.summed(worker.Summary{Dataset: run.Dataset.ID}, false, func(c *connection, d *display) (worker.Summary, error) {
		options.Options = s.access(run.Dataset.ID, d)
		options.ReadBy = o.reads.policy()
		return undo(s.ctx, s.stop.asked, c.to(s.store), run, options)
	})
	if errors.Is(err, worker.ErrGlob) {
		return usagef("read --image: %w", err)
	}
	if o.dryRun && summary.Run != "" {
		shown := shownPlan{backup: options.Backup, reads: o.reads.policy()}
		return shown.show(s, os.Stdout, summary, err)
	}
	return cmp.Or(o.output.print(os.Stdout, summary, err), err)
}

// saves reports whether a run may have saved something.
func saves(r store.Run) bool { return r.Kind == store.RunSync || r.Kind == store.RunUndo }

// findUndoable finds a run; the last is the last that may have saved.
func (o *undoOptions) findUndoable(ctx context.Context, id string) (store.Run, error) {
	state, err := statePath(o.state)
	if err != nil {
		return store.Run{}, err
	}
	st, err := lookAt(ctx, state)
	if err != nil {
		return store.Run{}, err
	}
	defer st.Close()
	if id != "last" {
		run, err := st.FindRun(ctx, id)
		if err == nil && !saves(run) {
			err = usagef("undo %s: it was a %s run, which changes nothing", run.ID, run.Kind)
		}
		if err == nil && o.dataset != "" && o.dataset != run.Dataset.Name && o.dataset != run.Dataset.ID {
			err = usagef("undo %s: it was a run of dataset %q; leave --dataset out, or give another run", run.ID, run.Dataset.Name)
		}
		return run, err
	}
	run, found, err := st.LastChange(ctx, o.dataset)
	if err != nil {
		return run, err
	}
	if !found && o.dataset != "" {
		return run, usagef("undo last: no run of this state has changed anything in dataset %q; `pictosync runs` lists them", o.dataset)
	}
	if !found {
		return run, saidError{errNothingToUndo}
	}
	// The same command goes on with an undo that was stopped.
	if undone, undo := run.Undoes(); undo && run.EndedAt.IsZero() {
		return st.FindRun(ctx, undone)
	}
	return run, nil
}

// errNothingToUndo is returned where no run has changed anything.
var errNothingToUndo = errors.New("nothing to undo")

// announce names the run that is undone, which "last" does not.
func announce(ctx context.Context, w io.Writer, st *store.Store, run store.Run) error {
	totals, err := st.Totals(ctx, run.ID)
	if err != nil {
		return err
	}
	did := plural(totals.Outcome[store.ItemSaved]+totals.Outcome[store.ItemCleared], "image") + " changed"
	if n := totals.Uploads.Done; n > 0 {
		did += fmt.Sprintf(", %d uploaded", n)
	}
	_, err = fmt.Fprintf(w, "undoing run %s of %s: %s from %s into dataset %s, %s\n", run.ID, run.StartedAt.Format(time.DateTime), run.Shown(), printable(run.Source), printable(run.Dataset.Name), did)
	return err
}

func newGC() *cobra.Command {
	var o gcOptions
	cmd := &cobra.Command{
		Use:   "gc --keep 30d",
		Short: "Forget old runs and their backups",
		Long: `Forget the runs that ended longer ago than --keep, with their plans, findings and
backups: they can no longer be undone. The last run of each source stays. --dry-run
says what would be forgotten.` + exitHint,
		Example: `  pictosync gc --keep 30d --dry-run
  pictosync gc --keep 30d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGC(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.state, "state", "", "state `FILE` (default: pictosync/state.db in the user's state directory)")
	f.StringVar(&o.keep, "keep", "30d", "keep what is younger than this `AGE`, such as 30d or 12h")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be forgotten, and forget nothing")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

type gcOptions struct {
	state, keep  string
	dryRun, json bool
}

func runGC(ctx context.Context, o gcOptions) error {
	age, err := parseAge(o.keep)
	if err != nil {
		return usagef("read --keep: %w", err)
	}
	path, err := statePath(o.state)
	if err != nil {
		return err
	}
	open := lookAt
	if !o.dryRun {
		unlock, err := lockState(path, "gc")
		if err != nil {
			return err
		}
		defer unlock()
		open = openLocked
	}
	st, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer st.Close()
	c, err := st.Collect(ctx, now(), age, o.dryRun)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(os.Stdout, struct {
			store.Collected
			DryRun bool `json:"dry_run,omitempty"`
		}{c, o.dryRun})
	}
	did := "forgot"
	if o.dryRun {
		did = "would forget"
	}
	fmt.Printf("%s %s with %s\n", did, plural(c.Runs, "run"), plural(c.Backups, "backup"))
	switch {
	case c.Backups > 0 && o.dryRun:
		fmt.Println("  they could not be undone any more")
	case c.Backups > 0:
		fmt.Println("  they cannot be undone any more")
	}
	return nil
}

// parseAge is a duration that may be in days.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 100_000 {
			return 0, fmt.Errorf("%q is no number of days", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	age, err := time.ParseDuration(s)
	if err != nil || age < 0 {
		return 0, fmt.Errorf("%q is not a valid age; give one such as 30d or 12h", s)
	}
	return age, nil
}
