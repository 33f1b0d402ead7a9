package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/internal/nearest"
	"pictosync/source"
	"pictosync/store"
	"pictosync/worker"
)

// syncOptions are the flags of sync.
type syncOptions struct {
	serviceOptions
	source sourceOptions

	dataset         string
	noCreateClasses bool
	unknownClasses  string
	onExisting      string
	onDrift         string
	onReviewed      string
	maxPruned       string
	allowClear      bool
	allowShrink     bool
	prune           bool
	maxRemoved      string
	backup          string
	classes         []string // of restore: all that is brought back
	existing        bool     // the dataset is known to be there
	dryRun          bool
	planFile        string // of sync: to read
	planOut         string // of plan: to write
	diff            string // of plan: an image
	rows            bool   // of plan: every image also on a terminal
	page            pageOptions
	report          string // of verify: to write
	unmatched       string
	findings        string
	match           string
}

func (o *syncOptions) addFlags(f *pflag.FlagSet) {
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	o.addJobFlags(f)
}

// addJobFlags are those that each job of a configuration has for itself.
func (o *syncOptions) addJobFlags(f *pflag.FlagSet) {
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset to save into")
	o.addBackupFlag(f)
	o.addGuardFlags(f)
	o.addMatchFlag(f)
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.page.addFolderFlag(f)
	f.StringVar(&o.maxPruned, "max-pruned", "10%", "stop where --prune would clear more of the dataset's images in a week: a `NUMBER`, a part (of which ten are never too many), or none")
	f.BoolVar(&o.prune, "prune", false, "clear the images that an earlier sync took from the source and that it does not name any more")
}

// addGuardFlags are of every command that saves from a source.
func (o *syncOptions) addGuardFlags(f *pflag.FlagSet) {
	f.StringVar(&o.unknownClasses, "unknown-classes", "create", "what is done about labels of classes that the dataset lacks: create the class, skip or fail the image")
	f.BoolVar(&o.noCreateClasses, "no-create-classes", false, "the same as --unknown-classes fail")
	f.StringVar(&o.onExisting, "on-existing", "overwrite", "what is done about images with annotations that pictosync did not save: overwrite, skip or fail")
	f.StringVar(&o.onReviewed, "on-reviewed", "overwrite", "what is done about images with annotations that are in review, or complete: overwrite, skip or fail")
	f.StringVar(&o.onDrift, "on-drift", "fail", "what is done about images that someone changed since pictosync saved them: overwrite, skip or fail")
	f.BoolVar(&o.allowClear, "allow-clear", false, "let empty labels clear images that have annotations")
	f.BoolVar(&o.allowShrink, "allow-shrink", false, "take a source that has less than half the images of its last run")
	f.StringVar(&o.maxRemoved, "max-removed", "auto", "stop where more of the dataset's annotations would be removed or replaced: a `NUMBER`, a part such as 25%, none, or auto (half of them, and more than 100)")
	f.StringVar(&o.unmatched, "unmatched", "fail", "what images that the dataset lacks do to the exit status: fail (4) or ignore")
	f.StringVar(&o.findings, "findings", "", "write all findings to `FILE`, as JSON Lines")
}

// addMatchFlag is of every command that matches a source's images to a dataset's.
func (o *syncOptions) addMatchFlag(f *pflag.FlagSet) {
	f.StringVar(&o.match, "match", string(worker.MatchPath), "how images are found in the dataset: exact (id or path), path (also where one path is the other's ending) or name (also by file name or stem alone)")
}

// addBackupFlag is of every command that saves.
func (o *syncOptions) addBackupFlag(f *pflag.FlagSet) {
	f.StringVar(&o.backup, "backup", "auto", "keep what images have before it is overwritten, for undo: auto (where the listing shows annotations), always or never")
}

func newSync() *cobra.Command {
	var o syncOptions
	cmd := &cobra.Command{
		Use:   "sync SOURCE --dataset NAME",
		Short: "Bring the labels of a source into a dataset",
		Long: `Bring the labels of SOURCE into a dataset, replacing what its images have.

SOURCE is a COCO file or a folder of them, a YOLO folder, a SQLite manifest, or
canonical JSON Lines. Every image that the labels speak of is matched to one
image of the dataset; images that have what the labels say already are not sent.
A label file without labels clears its image; an image without a label file is
left alone. The key is read from PICTOGRAPH_API_KEY.

A run that was interrupted, by whatever, is finished by the same command.` + exitHelp,
		Example: `  pictosync sync testdata/shapes --dataset shapes --sandbox
  pictosync sync annotations/instances_val2017.json --dataset val2017 --rate 20000/h`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := settle(cmd, o.config); err != nil {
				return err
			}
			return runSync(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the plan and write nothing to the service")
	cmd.Flags().StringVar(&o.planFile, "plan", "", "do what the plan in `FILE` says, or stop if that is no longer what there is to do")
	return cmd
}

func newPlan() *cobra.Command {
	var o syncOptions
	cmd := &cobra.Command{
		Use:   "plan SOURCE --dataset NAME",
		Short: "Show what a sync would do, image by image, and write nothing",
		Long: `Show what a sync with the same options would do, in totals and image by image,
and write nothing to the service: which images are new, overwritten, cleared,
unchanged, changed by someone else, or cannot be taken, how many annotations
come and go, which classes would be created, and how long it takes. A terminal
shows the images with --rows only; a file or a pipe always has them.

With --diff IMAGE the annotations that the image has and those that it would have
are paired, a line each: + is added, - removed, ~ changed; those that stay are
counted. With --html FILE it is a page, with the images that change most.

With --out the plan is kept, and sync --plan FILE does that or nothing.` + exitHelp,
		Example: `  pictosync plan testdata/shapes --dataset shapes --sandbox
  pictosync plan testdata/shapes --dataset shapes --sandbox --diff train/shapes_03.png
  pictosync plan testdata/shapes --dataset shapes --sandbox --html plan.html
  pictosync plan testdata/shapes --dataset shapes --sandbox --out shapes.plan
  pictosync sync testdata/shapes --dataset shapes --sandbox --plan shapes.plan`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := settle(cmd, o.config); err != nil {
				return err
			}
			o.dryRun = true
			return runSync(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.planOut, "out", "", "`FILE` to keep the plan in, for sync --plan")
	cmd.Flags().StringVar(&o.diff, "diff", "", "show the annotations of one `IMAGE` before and after, paired, instead of the plan")
	o.page.addFileFlag(cmd.Flags(), "what it would change, with the images that change most,")
	cmd.Flags().IntVar(&o.page.read, "read-images", 0, "for the page of --html, read what at most `N` images have, those that change most and are not known; each costs a request")
	forThisCommand(cmd.Flags(), "read-images")
	cmd.Flags().BoolVar(&o.rows, "rows", false, "list every image that changes also on a terminal, where the summary stands alone")
	return cmd
}

// policies reads the flags of the guards.
func (o *syncOptions) policies(w *worker.Options) (err error) {
	if o.noCreateClasses {
		o.unknownClasses = "fail"
	}
	if err := cmp.Or(
		oneOf("--on-existing", o.onExisting, worker.Overwrite, worker.Skip, worker.Fail),
		oneOf("--on-drift", o.onDrift, worker.Overwrite, worker.Skip, worker.Fail),
		oneOf("--on-reviewed", o.onReviewed, worker.Overwrite, worker.Skip, worker.Fail),
		oneOf("--unknown-classes", o.unknownClasses, worker.Create, worker.Skip, worker.Fail),
		oneOf("--backup", o.backup, worker.BackupAuto, worker.BackupAlways, worker.BackupNever),
	); err != nil {
		return err
	}
	if w.Accepted, err = o.source.accepted(); err != nil {
		return err
	}
	if w.MaxRemoved, err = worker.ParseLimit(o.maxRemoved); err != nil {
		return usagef("read --max-removed: %w", err)
	}
	if o.maxPruned != "" {
		if w.MaxPruned, err = worker.ParsePruneLimit(o.maxPruned); err != nil {
			return usagef("read --max-pruned: %w", err)
		}
	}
	w.OnReviewed = worker.Policy(o.onReviewed)
	if o.planFile != "" {
		if w.Expect, err = readPlan(o.planFile); err != nil {
			return err
		}
	}
	w.Backup = worker.BackupPolicy(o.backup)
	w.OnExisting, w.OnDrift, w.UnknownClasses = worker.Policy(o.onExisting), worker.Policy(o.onDrift), worker.Policy(o.unknownClasses)
	w.RefuseClear, w.AllowShrink, w.Prune, w.DryRun = !o.allowClear, o.allowShrink, o.prune, o.dryRun
	return nil
}

func (o *syncOptions) check() error {
	switch {
	case o.dataset == "":
		return usagef("no dataset: name one with --dataset")
	}
	if err := oneOf("--unmatched", o.unmatched, "fail", "ignore"); err != nil {
		return err
	}
	return oneOf("--match", o.match, worker.MatchExact, worker.MatchPath, worker.MatchName)
}

func (o *syncOptions) settings() (options worker.Options, err error) {
	if err := o.check(); err != nil {
		return options, err
	}
	options.Match = worker.Matching(o.match)
	return options, o.policies(&options)
}

func runSync(parent context.Context, path string, o syncOptions) error {
	options, err := o.settings()
	if err != nil {
		return err
	}
	return o.runFrom(parent, path, "sync "+path, options)
}

// runFrom opens the state, and the source while the service is asked for the
// dataset, and runs. For a source that is not there no state is made.
func (o *syncOptions) runFrom(parent context.Context, path, doing string, options worker.Options) error {
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	open, err := o.sourceOpener(s, path, &options)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		if _, err := open(); err != nil {
			return err
		}
	}
	err = s.open(doing)
	if err == nil && s.sandbox == nil {
		options.OpenSource = openMeanwhile(open)
		return o.drive(s, nil, options)
	}
	src, sourceErr := open() // what is wrong with it is told of first
	if err = cmp.Or(sourceErr, err); err != nil {
		return err
	}
	return o.drive(s, src, options)
}

// openMeanwhile begins to open a source; wait returns when that is done.
func openMeanwhile(open func() (source.Source, error)) (wait func() (source.Source, error)) {
	type opened struct {
		src source.Source
		err error
	}
	done := make(chan opened, 1)
	go func() {
		src, err := open()
		done <- opened{src, err}
	}()
	return sync.OnceValues(func() (source.Source, error) {
		o := <-done
		return o.src, o.err
	})
}

func (o *syncOptions) openSource(s *session, path string, options *worker.Options) (source.Source, error) {
	open, err := o.sourceOpener(s, path, options)
	if err != nil {
		return nil, err
	}
	return open()
}

// sourceOpener settles what the flags say of a source.
func (o *syncOptions) sourceOpener(s *session, path string, options *worker.Options) (open func() (source.Source, error), err error) {
	if options.Source, err = filepath.Abs(path); err != nil {
		return nil, usagef("find %s: %w", path, err)
	}
	if len(o.source.include)+len(o.source.exclude) > 0 {
		options.Narrowed = fmt.Sprintf(" include=%q exclude=%q", o.source.include, o.source.exclude)
	}
	if len(o.classes) > 0 {
		options.OnlyClasses = o.classes
		options.Narrowed += fmt.Sprintf(" classes=%q", o.classes)
	}
	var findings collector
	options.Findings = findings.take
	settled, err := o.source.settle(&findings)
	if err != nil {
		return nil, err
	}
	return func() (source.Source, error) {
		collectLater()
		src, err := settled.open(s.ctx, path)
		if err != nil {
			return nil, err
		}
		return src, o.checkClasses(src)
	}, nil
}

// checkClasses holds the classes that are to be brought back against those that
// the backup has.
func (o *syncOptions) checkClasses(src source.Source) error {
	names := src.Describe().Defined
	for _, class := range o.classes {
		if slices.Contains(names, class) {
			continue
		}
		if near := nearest.Name(class, names); near != "" {
			return usagef("read --class: the backup has no class %q; did you mean %q?", class, near)
		}
		return usagef("read --class: the backup has no class %q; it has %q", class, names)
	}
	return nil
}

// drive does the run and prints what it came to. A source that is nil is being
// opened.
func (o *syncOptions) drive(s *session, src source.Source, options worker.Options) error {
	summary, err := o.work(s, src, options)
	ctx := context.WithoutCancel(s.ctx)
	if src == nil {
		var sourceErr error
		if src, sourceErr = options.OpenSource(); sourceErr != nil {
			return sourceErr
		}
	}
	switch {
	case summary.Run == "":
	case options.Verify:
		return o.output.printVerification(os.Stdout, summary, err)
	case o.diff != "" && (err == nil || errors.Is(err, errFailures) || errors.Is(err, worker.ErrGuard)):
		return o.showDiff(s, os.Stdout, src, summary.Run)
	case o.dryRun:
		return o.showPlan(ctx, os.Stdout, s.store, summary, s.quota, err)
	}
	if printErr := o.output.print(os.Stdout, summary, err); printErr != nil {
		return printErr
	}
	return err
}

// work runs what is planned from src against the service.
func (o *syncOptions) work(s *session, src source.Source, options worker.Options) (worker.Summary, error) {
	failed := worker.Summary{Dataset: o.dataset, Source: options.Source}
	if !o.existing {
		if err := s.seed(o.dataset, src); err != nil {
			return failed, err
		}
	}
	c, err := s.connect()
	if err != nil {
		return failed, err
	}
	defer c.close()
	findings, err := createFindings(o.findings)
	if err != nil {
		return failed, err
	}
	defer findings.abort()
	options.Finding, options.FindingsWhole = findings.write, o.findings != ""
	options.IgnoreUnmatched = o.unmatched == "ignore"
	progress := o.output.progress()
	summary, err := worker.Sync(s.ctx, s.stop.asked, c.client, s.store, c.pacer, src, s.run(options, o.dataset, progress))
	err = s.stop.explain(err)
	progress.end()
	if o.report != "" && options.Verify && summary.Run != "" {
		if writeErr := writeReport(context.WithoutCancel(s.ctx), o.report, s.store, summary.Run); writeErr != nil {
			err = errors.Join(err, writeErr)
		}
	}
	if summary.Run != "" {
		err = errors.Join(err, findings.close())
		summary.Failures = firstFailures(context.WithoutCancel(s.ctx), s.store, summary.Run)
		if src == nil && options.OpenSource != nil {
			src, _ = options.OpenSource() // it is open: the run has read it
		}
		err = errors.Join(err, o.writePages(s, src, summary))
	}
	if err == nil && (summary.Images.Failed+summary.Images.Edited > 0 || summary.Images.Unmatched > 0 && o.unmatched == "fail") {
		err = errFailures
	}
	return summary, err
}

// print writes the summary: one JSON object, or lines for people.
func (o outputOptions) print(w io.Writer, s worker.Summary, failed error) error {
	if o.json {
		return printJSON(w, struct {
			worker.Summary
			ending
		}{s, endingOf(failed)})
	}
	if o.quiet || s.Run == "" {
		return nil
	}
	i := s.Images
	fmt.Fprintf(w, "run %s: %s in %s, %s\n", s.Run, outcomeText[s.Outcome], time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), plural(s.Requests, "request"))
	fmt.Fprintf(w, "  read         %s\n", accountsText(s.Accounts))
	if i.Found == 0 && (s.Outcome == string(store.Interrupted) || s.Outcome == string(store.Stopped)) {
		fmt.Fprintln(w, "  images       none looked at so far; the same command goes on")
		return nil
	}
	fmt.Fprintf(w, "  images       %d found: %s\n", i.Found, parts(
		part{i.Saved, "saved"}, part{i.Cleared, "cleared"}, part{i.Unchanged, "unchanged"}, part{i.Unmatched, "not in the dataset"}, part{i.Skipped, "skipped"}, part{i.Failed, "failed"},
		part{i.Found - i.Saved - i.Cleared - i.Unchanged - i.Unmatched - i.Skipped - i.Failed, "not reached"}))
	if i.Saved+i.Cleared > 0 {
		fmt.Fprintf(w, "  annotations  %d before, %d now on the images saved\n", s.Annotations.Previous, s.Annotations.New)
	}
	if i.Edited > 0 {
		fmt.Fprintf(w, "  edited       %s that somebody changed just before they were saved: see `pictosync runs %s --outcome saved`\n", plural(i.Edited, "image"), s.Run)
	}
	if len(s.Classes) > 0 {
		fmt.Fprintf(w, "  classes      new: %s\n", someNames(s.Classes))
	}
	if len(s.StillThere) > 0 {
		fmt.Fprintf(w, "  classes      added by the run and still there: %s (with --classes, undo removes those that no annotation uses)\n", someNames(s.StillThere))
	}
	if i.Unlabelled > 0 {
		fmt.Fprintf(w, "  unlabelled   %s of the dataset: see `pictosync runs %s --unlabelled`\n", plural(i.Unlabelled, "image"), s.Run)
	}
	if s.Findings > 0 {
		fmt.Fprintf(w, "  findings     %s (%s): see `pictosync runs %s --findings`\n", severitiesText(s.Kinds), kindsText(s.Kinds), s.Run)
	}
	if i.Failed+i.Unmatched > 0 {
		for n, failure := range s.Failures {
			fmt.Fprintf(w, "  %-11s  %s\n", []string{"what failed", "", ""}[n], printable(failure))
		}
		fmt.Fprintf(w, "               see `pictosync runs %s --outcome failed,unmatched`\n", s.Run)
	}
	return nil
}

// someNames are a few names, and how many there are beside.
func someNames(names []string) string {
	const few = 8
	var shown []string
	for _, name := range names[:min(few, len(names))] {
		shown = append(shown, printable(name))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// firstFailures are three images that could not be saved, with why.
func firstFailures(ctx context.Context, state *store.Store, run string) (failures []string) {
	for _, outcome := range []store.ItemOutcome{store.ItemFailed, store.ItemUnmatched} {
		for record, err := range state.Records(ctx, run, outcome) {
			if err != nil || len(failures) == 3 {
				break
			}
			failures = append(failures, record.Image+": "+record.Reason)
		}
	}
	return failures
}

var outcomeText = map[string]string{
	string(store.Done): "done", string(store.WithFailures): "finished, not everything could be saved",
	string(store.Interrupted): "interrupted", string(store.Stopped): "stopped", string(store.Refused): "stopped by a guard", string(store.Planned): "planned",
}

// kindsText counts findings by kind, the most frequent first.
func kindsText(kinds map[string]int) string {
	names := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return cmp.Or(kinds[b]-kinds[a], strings.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", kinds[name], name)
	}
	return strings.Join(names, ", ")
}

type part struct {
	n    int
	what string
}

func parts(all ...part) string {
	var said []string
	for _, p := range all {
		if p.n > 0 {
			said = append(said, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(said) == 0 {
		return "nothing to do"
	}
	return strings.Join(said, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
