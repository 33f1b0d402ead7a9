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
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/store"
)

type runOptions struct {
	serviceOptions
	alert   alertOptions
	metrics string
	keep    string
	page    pageOptions
}

func newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run CONFIG [JOB…]",
		Short: "Do the jobs of a configuration, one after another: every night",
		Long: `Do the jobs that CONFIG lists under "jobs" (or only those named), one after
another, under one lock and one rate limit. Each job is a sync, an export or a
verify with the settings of that command; what it does not set comes from the
environment and the top of the file.

A job that fails does not keep the others from being done, unless its on_failure
is stop. With --max-duration the jobs stop in time and the next run goes on with
the job that was stopped. Afterwards the runs older than --keep are forgotten,
--metrics-file is written, and --notify-command or --webhook are told: when
something failed, and when all is well again.

The status is that of the first job that did not end well.` + exitHint,
		Example: `  pictosync run nightly.yaml --max-duration 6h
  pictosync run nightly.yaml backup-cars --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no configuration: name the file that lists the jobs, as in config.example.yaml")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	o.serviceOptions.addFlags(f)
	o.alert.addFlags(f)
	f.StringVar(&o.metrics, "metrics-file", "", "write metrics to `FILE`, as node_exporter's textfile collector reads them")
	o.page.addFolderFlag(f)
	f.StringVar(&o.keep, "keep", "30d", "forget runs, and the backups that undo needs, that are older than this `AGE`")
	return cmd
}

// night is one execution of the jobs of a configuration. Its JSON is what --json
// prints and what is sent when people are told.
type night struct {
	Config    string          `json:"config"`
	StartedAt time.Time       `json:"started_at"`
	Jobs      []jobResult     `json:"jobs"`
	Requests  int             `json:"requests"`
	Forgotten store.Collected `json:"forgotten"`
	Seconds   float64         `json:"duration_s"`
	ending
}

const notReached = "not reached"

func (o *runOptions) run(cmd *cobra.Command, path string, names []string) error {
	jobs, age, err := o.ready(cmd, path, names)
	if err != nil {
		return err
	}
	n := &night{Config: path, StartedAt: now().UTC().Truncate(time.Second), Jobs: []jobResult{}}
	recovered, err := o.night(cmd.Context(), n, jobs, age)
	n.Seconds = now().Sub(n.StartedAt).Seconds()
	n.ending = endingOf(err)
	if printErr := o.print(os.Stdout, n); printErr != nil {
		return printErr
	}
	if _, ofJob := errors.AsType[jobError](err); ofJob {
		err = saidError{err} // when it happened
	}
	if tellErr := o.alert.tell(cmd.Context(), n, recovered); tellErr != nil {
		say(tellErr)
		err = cmp.Or(err, error(saidError{tellErr}))
	}
	return err
}

// ready reads and checks all settings: the jobs, and how long runs are kept.
func (o *runOptions) ready(cmd *cobra.Command, path string, names []string) (jobs []*job, keep time.Duration, err error) {
	c, err := readConfig(cmd.Root(), path)
	if err != nil {
		return nil, 0, err
	}
	if err := o.keepJobs(cmd, path, func() error { return c.apply(cmd.Flags()) }); err != nil {
		return nil, 0, err
	}
	if jobs, err = c.readJobs(cmd.Root(), path); err != nil {
		return nil, 0, err
	}
	if jobs, err = chosen(jobs, names); err != nil {
		return nil, 0, err
	}
	if keep, err = parseAge(o.keep); err != nil {
		return nil, 0, usagef("read --keep: %w", err)
	}
	if o.metrics != "" {
		err = checkFileBelow("metrics-file", o.metrics)
	}
	return jobs, keep, cmp.Or(err, o.alert.check(), o.page.check())
}

// night does the jobs. recovered tells that all is well, and was not last time.
func (o *runOptions) night(parent context.Context, n *night, jobs []*job, keep time.Duration) (recovered bool, err error) {
	s, err := o.begin(parent)
	if err != nil {
		return false, err
	}
	defer s.close()
	if err := s.open("run " + n.Config); err != nil {
		return false, err
	}
	s.unattended, s.reports = true, o.page.folder
	s.shared = &dataset.Session{Begun: now()}
	if slices.ContainsFunc(jobs, func(j *job) bool { return j.kind == "export" }) {
		s.shared.Meta = dataset.MetaOf // the listing of another job serves a backup too
	}
	ctx := context.WithoutCancel(s.ctx) // what became of the jobs is recorded also after a second Ctrl-C
	due, err := begin(ctx, s.store, jobs)
	if err != nil {
		return false, err
	}
	wasWell := true
	for i, j := range jobs {
		wasWell = wasWell && (due[i].Status == exitDone || stopped(due[i].Status))
		if reason := s.over(); reason != "" {
			n.Jobs = append(n.Jobs, jobResult{Name: j.name, Kind: j.kind, Dataset: j.dataset(), Outcome: notReached, Error: reason})
			continue
		}
		result, jobErr := o.do(s, j, &due[i])
		n.Jobs = append(n.Jobs, result)
		if jobErr != nil && (err == nil || stopped(result.ExitCode)) {
			err = jobErr
		}
		if err := s.store.PutJobs(ctx, due[i]); err != nil {
			return false, err
		}
	}
	if last := n.Jobs[len(n.Jobs)-1]; s.asked() && last.Outcome == notReached && (err == nil || !stopped(exitCode(err))) {
		err = s.stop.explain(dataset.ErrInterrupted)
	}
	n.Requests = s.requests
	if s.ctx.Err() == nil {
		var collectErr error
		n.Forgotten, collectErr = s.store.Collect(ctx, now(), keep, false)
		err = cmp.Or(err, collectErr)
		if !s.asked() {
			err = cmp.Or(err, s.shared.Free(ctx, s.store), s.store.DropReadings(ctx))
		}
	}
	if o.page.folder != "" {
		err = cmp.Or(err, writeNight(o.page.folder, n, s.written))
	}
	if o.metrics != "" {
		err = cmp.Or(err, writeMetrics(ctx, o.metrics, s.store, jobs, n))
	}
	return err == nil && !wasWell, err
}

// begin puts the jobs into the order in which they are done, those first that the
// run before did not come to the end of, and records that they are due: a process
// that is killed leaves them so.
func begin(ctx context.Context, st *store.Store, jobs []*job) ([]store.Job, error) {
	known, err := st.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(jobs, func(a, b *job) int {
		switch left, right := known[a.name].Unfinished, known[b.name].Unfinished; {
		case left && !right:
			return -1
		case right && !left:
			return 1
		}
		return 0
	})
	var due []store.Job
	for _, j := range jobs {
		record := known[j.name]
		record.Name, record.Kind, record.Dataset, record.Unfinished = j.name, j.kind, j.dataset(), true
		due = append(due, record)
	}
	return due, st.PutJobs(ctx, due...)
}

// do does one job and brings its record up to date.
func (o *runOptions) do(s *session, j *job, record *store.Job) (jobResult, error) {
	record.StartedAt = now()
	if !o.output.json && !o.output.quiet {
		fmt.Fprintf(os.Stderr, "== %s: %s\n", printable(j.name), printable(j.doing()))
	}
	s.command = o.command
	s.command.Args = slices.Insert(slices.Clone(o.command.Args), 2, j.name)
	summary, err := j.work.do(s)
	record.EndedAt = now()
	result := jobResult{Name: j.name, Kind: j.kind, Dataset: j.dataset(), Outcome: string(store.Done), Seconds: record.EndedAt.Sub(record.StartedAt).Seconds()}
	if data, marshalErr := json.Marshal(summary); marshalErr == nil && summary != nil {
		result.Summary, record.Summary = data, data
	}
	switch {
	case err == nil:
		record.SucceededAt = record.EndedAt
	case err == errFailures:
		result.Outcome, result.ExitCode = string(store.WithFailures), exitFailures
	default:
		result.Outcome, result.ExitCode, result.Error = string(store.Stopped), exitCode(err), errorLine(err)
	}
	record.Status, record.Error = result.ExitCode, result.Error
	// A job that failed for a reason of its own had its turn.
	record.Unfinished = stopped(result.ExitCode)
	if err == nil {
		return result, nil
	}
	failed := jobError{j.name, err}
	say(failed)
	switch {
	case errors.Is(err, pictograph.ErrUnauthorized):
		s.halted = "the service refused the API key"
	case j.stopOnFailure:
		s.halted = fmt.Sprintf("job %s failed, and its on_failure is stop", j.name)
	}
	return result, failed
}

// over says why no further job is begun, "" where one is.
func (s *session) over() string {
	if s.asked() {
		return "the run was stopped before its turn; the next one begins with it"
	}
	return s.halted
}

// asked reports whether the session was asked to stop.
func (s *session) asked() bool {
	select {
	case <-s.stop.asked:
		return true
	default:
		return false
	}
}

// stopped reports whether a status is that of a job that was asked to stop.
func stopped(status int) bool { return status == exitTimeLimit || status == exitInterrupted }

// jobError is why a job did not end well.
type jobError struct {
	job string
	error
}

func (e jobError) Error() string {
	if e.error == errFailures {
		return e.job + ": some images failed or did not match"
	}
	return e.job + ": " + e.error.Error()
}

func (e jobError) Unwrap() error { return e.error }

// print writes what the jobs came to.
func (o *runOptions) print(w io.Writer, n *night) error {
	if o.output.json {
		return printJSON(w, n)
	}
	if o.output.quiet || len(n.Jobs) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nJOB\tOUTCOME\tSTATUS\tTIME\tRESULT")
	for _, j := range n.Jobs {
		status := fmt.Sprint(j.ExitCode)
		if j.Outcome == notReached {
			status = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(j.Name), j.Outcome, status, seconds(j.Seconds), printable(j.cameTo()))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s in %s, %s\n", plural(len(n.Jobs), "job"), seconds(n.Seconds), plural(n.Requests, "request"))
	return err
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}
