package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
	"pictosync/worker"
)

// syncOptions are the flags of sync.
type syncOptions struct {
	config string
	source sourceOptions
	output outputOptions

	dataset         string
	state           string
	sandbox         bool
	baseURL         string
	api             string
	timeout         time.Duration
	maxRetries      int
	rate            string
	concurrency     int
	maxOutage       time.Duration
	maxDuration     time.Duration
	strict          bool
	noCreateClasses bool
	unknownClasses  string
	onExisting      string
	onDrift         string
	allowClear      bool
	allowShrink     bool
	maxRemoved      string
	backup          string
	existing        bool // the dataset is known to be there
	dryRun          bool
	planFile        string // of sync: to read
	planOut         string // of plan: to write
	diff            string // of plan: an image
	report          string // of verify: to write
	unmatched       string
	findings        string
}

func (o *syncOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset to save into")
	o.addServiceFlags(f)
	o.addGuardFlags(f)
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.output.addFlags(f)
}

// addGuardFlags are of every command that saves from a source.
func (o *syncOptions) addGuardFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.strict, "strict", false, "fail every image whose labels have a finding")
	f.StringVar(&o.unknownClasses, "unknown-classes", "create", "what is done about labels of classes that the dataset lacks: create the class, skip or fail the image")
	f.BoolVar(&o.noCreateClasses, "no-create-classes", false, "the same as --unknown-classes fail")
	f.StringVar(&o.onExisting, "on-existing", "overwrite", "what is done about images with annotations that pictosync did not save: overwrite, skip or fail")
	f.StringVar(&o.onDrift, "on-drift", "overwrite", "what is done about images that someone changed since pictosync saved them: overwrite, skip or fail")
	f.BoolVar(&o.allowClear, "allow-clear", false, "let empty labels clear images that have annotations")
	f.BoolVar(&o.allowShrink, "allow-shrink", false, "take a source that has less than half the images of its last run")
	f.StringVar(&o.maxRemoved, "max-removed", "auto", "stop where more of the dataset's annotations would be removed: a `NUMBER`, a part as 25%, none, or auto (half of them, and more than 100)")
	f.StringVar(&o.unmatched, "unmatched", "fail", "what images that the dataset lacks do to the exit status: fail (4) or ignore")
	f.StringVar(&o.findings, "findings", "", "write all findings to `FILE`, as JSON Lines")
}

// addServiceFlags are of every command that saves.
func (o *syncOptions) addServiceFlags(f *pflag.FlagSet) {
	f.StringVar(&o.state, "state", "", "state `FILE` (default: pictosync/state.db in the user's state directory)")
	f.BoolVar(&o.sandbox, "sandbox", false, "run against a service in this process, its data beside the state: no account needed")
	f.StringVar(&o.baseURL, "base-url", pictograph.DefaultBaseURL, "`URL` of the service, or \"sandbox\"")
	f.StringVar(&o.api, "api", "auto", "form of the service's per-image calls: auto, path or image-id")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long one request may take")
	f.IntVar(&o.maxRetries, "max-retries", 3, "how often a request that failed for a passing reason is tried again at once")
	f.StringVar(&o.rate, "rate", "2000/h", "requests the key may send: as 20000/h, 300/m, 5/s, or unlimited")
	f.IntVar(&o.concurrency, "concurrency", 4, "how many saves are under way at once")
	f.DurationVar(&o.maxOutage, "max-outage", 10*time.Minute, "how long the service may be out of reach before the run stops, resumable")
	f.DurationVar(&o.maxDuration, "max-duration", 0, "stop after this `TIME`, as 2h; the same command resumes the run (default: no limit)")
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
		Args: cobra.ExactArgs(1),
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
		Long: `Show what a sync with the same options would do, image by image and in totals,
and write nothing to the service: which images are new, overwritten, cleared,
unchanged, changed by someone else, or cannot be taken, how many annotations
come and go, which classes would be created, and how long it takes.

With --out the plan is kept, and sync --plan FILE does that or nothing.` + exitHelp,
		Example: `  pictosync plan testdata/shapes --dataset shapes --sandbox
  pictosync plan testdata/shapes --dataset shapes --sandbox --out shapes.plan
  pictosync sync testdata/shapes --dataset shapes --sandbox --plan shapes.plan`,
		Args: cobra.ExactArgs(1),
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
	cmd.Flags().StringVar(&o.diff, "diff", "", "show the annotations of one `IMAGE` before and after, instead of the plan")
	return cmd
}

// policies reads the flags of the guards.
func (o *syncOptions) policies(w *worker.Options) (err error) {
	if o.noCreateClasses {
		o.unknownClasses = "fail"
	}
	for flag, value := range map[string]string{"--on-existing": o.onExisting, "--on-drift": o.onDrift} {
		if value != "overwrite" && value != "skip" && value != "fail" {
			return usagef("read %s: %q is none of overwrite, skip and fail", flag, value)
		}
	}
	if o.unknownClasses != "create" && o.unknownClasses != "skip" && o.unknownClasses != "fail" {
		return usagef("read --unknown-classes: %q is none of create, skip and fail", o.unknownClasses)
	}
	if w.MaxRemoved, err = worker.ParseLimit(o.maxRemoved); err != nil {
		return usagef("read --max-removed: %w", err)
	}
	if o.planFile != "" {
		if w.Expect, err = readPlan(o.planFile); err != nil {
			return err
		}
	}
	switch w.Backup = worker.BackupPolicy(o.backup); w.Backup {
	case worker.BackupAuto, worker.BackupAlways, worker.BackupNever:
	default:
		return usagef("read --backup: %q is none of auto, always and never", o.backup)
	}
	w.OnExisting, w.OnDrift, w.UnknownClasses = worker.Policy(o.onExisting), worker.Policy(o.onDrift), worker.Policy(o.unknownClasses)
	w.RefuseClear, w.AllowShrink, w.DryRun = !o.allowClear, o.allowShrink, o.dryRun
	return nil
}

func (o *syncOptions) check() (worker.Quota, error) {
	if o.baseURL == "sandbox" {
		o.sandbox = true
	}
	quota, err := worker.ParseQuota(o.rate)
	switch {
	case o.dataset == "":
		return quota, usagef("no dataset: name one with --dataset")
	case err != nil:
		return quota, usagef("read --rate: %w", err)
	case o.unmatched != "fail" && o.unmatched != "ignore":
		return quota, usagef("read --unmatched: %q is neither fail nor ignore", o.unmatched)
	case o.maxDuration < 0:
		return quota, usagef("read --max-duration: %s is no time to work for; give one as 2h", o.maxDuration)
	case o.concurrency < 1:
		return quota, usagef("read --concurrency: %d saves at once save nothing; give 1 or more", o.concurrency)
	}
	return quota, nil
}

func runSync(parent context.Context, path string, o syncOptions) error {
	quota, err := o.check()
	if err != nil {
		return err
	}
	var options worker.Options
	if err := o.policies(&options); err != nil {
		return err
	}
	if options.Source, err = filepath.Abs(path); err != nil {
		return usagef("find %s: %w", path, err)
	}
	return o.withState(parent, path, "sync "+path, options, quota)
}

// withState opens source and state, which nobody else may hold, and runs.
func (o *syncOptions) withState(parent context.Context, path, doing string, options worker.Options, quota worker.Quota) error {
	log, err := o.output.logger()
	if err != nil {
		return err
	}
	ctx, stop, release := interruptible(parent, os.Stderr, o.maxDuration)
	defer release()
	state, err := statePath(o.state)
	if err != nil {
		return err
	}
	var findings collector
	src, err := o.source.open(ctx, path, &findings)
	if err != nil {
		return err
	}
	st, done, err := prepare(ctx, state, doing)
	if err != nil {
		return err
	}
	defer done()
	options.Findings = findings.take
	return o.drive(ctx, stop, st, src, log, options, quota)
}

// drive runs what is planned from src against the service.
func (o *syncOptions) drive(ctx context.Context, stop *stopper, st *store.Store, src source.Source, log zerolog.Logger, options worker.Options, quota worker.Quota) error {
	c, err := o.connect(ctx, src, st, quota, log)
	if err != nil {
		return err
	}
	defer c.close()
	progress := o.output.progress()
	options.Strict = o.strict
	o.setUp(&options, c, progress, log)
	summary, err := worker.Sync(ctx, stop.asked, c.client, st, c.pacer, src, options)
	err = stop.explain(err)
	progress.end()
	if o.findings != "" && summary.Run != "" {
		if writeErr := writeFindings(context.WithoutCancel(ctx), o.findings, st, summary.Run); writeErr != nil {
			err = errors.Join(err, writeErr)
		}
	}
	if err == nil && (summary.Images.Failed > 0 || summary.Images.Unmatched > 0 && o.unmatched == "fail") {
		err = errFailures
	}
	if options.Verify && summary.Run != "" {
		return o.showVerification(context.WithoutCancel(ctx), os.Stdout, st, summary, err)
	}
	if o.dryRun && summary.Run != "" {
		if o.diff != "" && (err == nil || errors.Is(err, errFailures) || errors.Is(err, worker.ErrGuard)) {
			// The run is over, and its gate closed.
			after, _, err := o.client(ctx, c.service, st, c.quota, log)
			if err != nil {
				return err
			}
			defer after.CloseIdleConnections()
			return o.showDiff(ctx, os.Stdout, after, st, src, summary.Run)
		}
		return o.showPlan(context.WithoutCancel(ctx), os.Stdout, st, summary, c.quota, err)
	}
	if printErr := o.output.print(os.Stdout, summary, err); printErr != nil {
		return printErr
	}
	return err
}

// connection is a service and what speaks to it.
type connection struct {
	service
	quota  worker.Quota // what the service is held to; a sandbox has none
	client *pictograph.Client
	pacer  *worker.Pacer
}

// connect reaches the service. src is what a sandbox is filled from; it may be
// nil where the dataset is known to be there.
func (o *syncOptions) connect(ctx context.Context, src source.Source, st *store.Store, quota worker.Quota, log zerolog.Logger) (*connection, error) {
	s, err := o.service(ctx, src, st.Path(), log)
	if err != nil {
		return nil, err
	}
	c := &connection{service: s, quota: quota}
	if s.sandbox {
		c.quota = worker.Quota{}
	}
	if c.client, c.pacer, err = o.client(ctx, s, st, c.quota, log); err != nil {
		s.close()
		return nil, err
	}
	return c, nil
}

func (c *connection) close() {
	// A sandbox of this process waits for connections that were never used.
	c.client.CloseIdleConnections()
	c.service.close()
}

// setUp fills in what every run with the service needs.
func (o *syncOptions) setUp(w *worker.Options, c *connection, p *progress, log zerolog.Logger) {
	w.Dataset, w.Service = o.dataset, c.name
	w.Save, w.MaxOutage, w.Progress, w.Log = o.concurrency, o.maxOutage, p.show, log
}

// prepare opens the state, which nobody else may hold.
func prepare(ctx context.Context, state, doing string) (*store.Store, func(), error) {
	unlock, err := lockState(state, doing)
	if err != nil {
		return nil, nil, err
	}
	st, aside, err := store.OpenSound(ctx, state, time.Now())
	if err != nil {
		unlock()
		return nil, nil, err
	}
	if aside != "" {
		fmt.Fprintf(os.Stderr, "pictosync: the state %s is damaged: it was moved to %s, and a new one begun from what the service says. Images are saved anew; the runs of before and their backups are in the old file.\n", state, aside)
	}
	return st, func() {
		st.Close()
		unlock()
	}, nil
}

// client speaks to a service through a gate of its own.
func (o *syncOptions) client(ctx context.Context, s service, st *store.Store, quota worker.Quota, log zerolog.Logger) (*pictograph.Client, *worker.Pacer, error) {
	pacer, err := worker.NewPacer(ctx, quota, s.account(), st, time.Now)
	if err != nil {
		return nil, nil, err
	}
	client, err := pictograph.New(pictograph.Config{
		BaseURL: s.url, APIKey: s.key, API: pictograph.Dialect(o.api), Timeout: o.timeout, MaxRetries: o.maxRetries,
		Pacer: pacer, UserAgent: "pictosync/" + version(), OnRetry: logRetries(log),
	})
	if err != nil {
		return nil, nil, usageError{err}
	}
	return client, pacer, nil
}

// service is where the requests go.
type service struct {
	url, key string
	name     string // in the state
	sandbox  bool
	close    func()
}

// account is a fingerprint of the key, to count its requests by: the key
// itself is never written anywhere.
func (s service) account() string {
	sum := sha256.Sum256([]byte("pictosync account\x00" + s.name + "\x00" + s.key))
	return hex.EncodeToString(sum[:8])
}

func logRetries(log zerolog.Logger) func(pictograph.Retry) {
	return func(r pictograph.Retry) {
		log.Info().Str("op", r.Op).Int("attempt", r.Attempt).Dur("wait", r.Wait).Err(r.Err).Msg("request is tried again")
	}
}

// print writes the summary: one JSON object, or lines for people.
func (o outputOptions) print(w io.Writer, s worker.Summary, failed error) error {
	if o.json {
		out := struct {
			worker.Summary
			Error    string `json:"error,omitempty"`
			ExitCode int    `json:"exit_code"`
		}{Summary: s}
		if failed != nil {
			out.Error, out.ExitCode = errorLine(failed), exitCode(failed)
		}
		return json.NewEncoder(w).Encode(out)
	}
	if o.quiet || s.Run == "" {
		return nil
	}
	i := s.Images
	fmt.Fprintf(w, "run %s: %s in %s, %s\n", s.Run, outcomeText[s.Outcome], time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), plural(s.Requests, "request"))
	fmt.Fprintf(w, "  images       %d found: %s\n", i.Found, parts(
		part{i.Saved, "saved"}, part{i.Cleared, "cleared"}, part{i.Unchanged, "unchanged"}, part{i.Unmatched, "not in the dataset"}, part{i.Skipped, "skipped"}, part{i.Failed, "failed"},
		part{i.Found - i.Saved - i.Cleared - i.Unchanged - i.Unmatched - i.Skipped - i.Failed, "not reached"}))
	if i.Saved+i.Cleared > 0 {
		fmt.Fprintf(w, "  annotations  %d before, %d now on the images saved\n", s.Annotations.Previous, s.Annotations.New)
	}
	if s.Findings > 0 {
		fmt.Fprintf(w, "  findings     %s: see `pictosync runs %s --findings`\n", kindsText(s.Kinds), s.Run)
	}
	if i.Failed+i.Unmatched > 0 {
		fmt.Fprintf(w, "  what failed  see `pictosync runs %s --outcome failed,unmatched`\n", s.Run)
	}
	return nil
}

var outcomeText = map[string]string{
	string(store.Done): "done", string(store.WithFailures): "finished, not everything could be saved",
	string(store.Interrupted): "interrupted", string(store.Stopped): "stopped", string(store.Refused): "stopped by a guard", string(store.Planned): "planned",
}

// writeFindings writes a run's findings as JSON Lines.
func writeFindings(ctx context.Context, path string, st *store.Store, run string) error {
	file, err := worker.CreateFile(path)
	if err != nil {
		return err
	}
	defer file.Abort()
	out := json.NewEncoder(file)
	for f, err := range st.Findings(ctx, run) {
		if err != nil {
			return err
		}
		if err := out.Encode(findingOf(f)); err != nil {
			return err
		}
	}
	return file.Close()
}

func findingOf(f store.Finding) convert.Finding {
	return convert.Finding{Kind: convert.Kind(f.Kind), File: f.File, Image: f.Image, At: f.At, Reason: f.Reason, Action: f.Action}
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
