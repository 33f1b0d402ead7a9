package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/doctor"
	"pictosync/internal/nearest"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

type doctorOptions struct {
	serviceOptions
	source  sourceOptions
	dataset string
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [SOURCE] [--dataset NAME]",
		Short: "Check what a run needs, and say what to do about what is missing",
		Long: `Check what a run needs, a line for each thing, ok or what is wrong and what to do:
the configuration; the state and the space on its disk; SOURCE, where one is given;
the key, with one request; this machine's clock against the service's; the dataset,
where one is named; and whether the key may save. Of a configuration with jobs the
sources, folders of backups and datasets of all jobs are checked.

Nothing is changed. To find out whether the key may save, a save is sent whose only
image has an id made up for it: the service answers that there is no such image,
or that the key may not save. The state is only looked at, also while another run
works on it; so the requests, two and one a dataset, are not counted against --rate by later
runs. Nothing is tried twice, and no request takes longer than 10 seconds.

The exit status is that of the first thing that is wrong.` + exitHint,
		Example: `  pictosync doctor --sandbox
  pictosync doctor labels/cars --dataset cars --config config.yaml
  pictosync doctor --config nightly.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			typed := changed(cmd)
			unread := applySettings(cmd, o.config)
			e := examination{options: &o}
			if unread == nil {
				unread = e.readJobs(cmd.Root())
			}
			e.configuration(origins(cmd, typed, o.config), unread)
			return runDoctor(cmd.Context(), args, &e)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset that is worked on")
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	o.source.addFlags(f)
	o.source.addClassMap(f)
	return cmd
}

// changed are the flags that have been set so far.
func changed(cmd *cobra.Command) map[string]bool {
	set := make(map[string]bool)
	cmd.Flags().Visit(func(f *pflag.Flag) { set[f.Name] = true })
	return set
}

// origins says where the settings of a command come from that typed was typed for.
func origins(cmd *cobra.Command, typed map[string]bool, config string) string {
	var variables []string
	fromFile := 0
	cmd.Flags().Visit(func(f *pflag.Flag) {
		variable := variableOf(f)
		switch {
		case typed[f.Name]:
		case variable != "":
			variables = append(variables, variable)
		default:
			fromFile++
		}
	})
	var said []string
	if len(typed) > 0 {
		said = append(said, plural(len(typed), "flag"))
	}
	if len(variables) > 0 {
		said = append(said, strings.Join(variables, ", ")+" from the environment")
	}
	if config != "" {
		said = append(said, fmt.Sprintf("%s from %s", plural(fromFile, "setting"), config))
	}
	if len(said) == 0 {
		return "defaults"
	}
	return strings.Join(said, "; ") + "; defaults for the rest"
}

// longestRequest is how long a doctor waits for an answer, or for its turn.
const longestRequest = 10 * time.Second

// examination is what a doctor finds. Its steps can be taken for several sources
// and datasets; those that speak to the service come behind ask.
type examination struct {
	options *doctorOptions
	session *session
	ctx     context.Context // ends when the process is asked to stop
	checks  []doctor.Check
	jobs    []*job // of the configuration

	client   *pictograph.Client
	unasked  string   // why the service cannot be asked; "" where it can
	datasets []string // names
}

// readJobs makes the jobs of the configuration ready, where it has any.
func (e *examination) readJobs(root *cobra.Command) error {
	c, err := readConfig(root, e.options.config)
	if err == nil && len(c.jobs) > 0 {
		e.jobs, err = c.readJobs(root, e.options.config)
	}
	return err
}

func (e *examination) add(c doctor.Check) { e.checks = append(e.checks, c) }

// configuration checks whether there are settings to work with.
func (e *examination) configuration(from string, unread error) {
	if unread != nil {
		e.add(doctor.Failed("configuration", unread, "config.example.yaml lists all settings"))
		return
	}
	e.add(doctor.Check{Name: "configuration", OK: true, Status: doctor.OK, Detail: from})
}

func runDoctor(parent context.Context, args []string, e *examination) error {
	if !e.checks[0].OK {
		return e.giveUp(args)
	}
	s, err := e.options.begin(parent)
	if err != nil {
		e.checks = nil
		e.configuration("", err)
		return e.giveUp(args)
	}
	defer s.close()
	ctx, release := s.stop.end(s.ctx)
	defer release()
	e.session, e.ctx = s, ctx

	e.state()
	if len(args) == 1 {
		e.source("source", args[0], e.options.source)
	}
	for _, j := range e.jobs {
		j.work.examine(e, j)
	}
	e.ask()
	if e.client != nil {
		defer e.client.CloseIdleConnections()
	}
	for _, name := range e.named() {
		e.dataset(name)
	}
	if e.saves() {
		e.role()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return e.report(os.Stdout)
}

// giveUp reports settings that are wrong: what they say about the rest is unknown.
func (e *examination) giveUp(args []string) error {
	for _, name := range []string{"state", "disk space", "source", "key", "clock", "dataset", "role"} {
		if name == "source" && len(args) == 0 || name == "dataset" && len(e.named()) == 0 {
			continue
		}
		e.add(doctor.Skipped(name, "the configuration is wrong"))
	}
	return e.report(os.Stdout)
}

// state looks at the state and the disk that it is on.
func (e *examination) state() {
	path := e.session.path
	holder, err := stateHolder(path)
	if err != nil {
		e.add(doctor.Failed("state", err, "let this user read and write it, or name another with --state"))
		return
	}
	check, health := doctor.CheckState(e.ctx, path, holder)
	e.add(check)
	e.add(doctor.CheckSpace(e.ctx, path, health.Bytes))
}

// named are the datasets that are worked on, each once.
func (e *examination) named() []string {
	var names []string
	if e.options.dataset != "" {
		names = append(names, e.options.dataset)
	}
	for _, j := range e.jobs {
		if !slices.Contains(names, j.dataset()) {
			names = append(names, j.dataset())
		}
	}
	return names
}

// saves reports whether any of the work saves: a key that may only read is enough
// for the other.
func (e *examination) saves() bool {
	return len(e.jobs) == 0 || slices.ContainsFunc(e.jobs, func(j *job) bool { return j.kind == "sync" })
}

// source goes through a source as a sync with the same flags would open it.
func (e *examination) source(name, path string, o sourceOptions) {
	var found collector
	check := doctor.CheckSource(e.ctx, path, func() (convert.Source, error) {
		return o.open(e.ctx, path, &found)
	}, found.take)
	check.Name = name
	e.add(check)
}

// backups looks at the folder that a job exports to.
func (e *examination) backups(name, dir string) {
	check := doctor.CheckBackups(dir, now())
	check.Name = name
	e.add(check)
}

// ask speaks to the service for the first time: key and clock.
func (e *examination) ask() {
	witness := &doctor.Witness{RoundTripper: http.DefaultTransport.(*http.Transport).Clone(), Now: now}
	if err := e.connect(witness); err != nil {
		e.unasked = "there is no way to ask the service"
		e.add(doctor.Failed("key", err, ""))
		e.add(doctor.Skipped("clock", e.unasked))
		return
	}
	ctx, cancel := e.patience()
	defer cancel()
	check, datasets := doctor.CheckKey(ctx, e.client, witness, e.session.name)
	if e.datasets = datasets; !check.OK {
		e.unasked = "the service did not take the key, see above"
		if errors.Is(check.Err, pictograph.ErrNetwork) {
			e.unasked = "the service did not answer, see above"
		}
	}
	e.add(check)
	e.add(doctor.CheckClock(witness))
}

// patience bounds one request and the wait for its turn.
func (e *examination) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.ctx, longestRequest)
}

// connect makes a client whose requests pass the pacer that those of a run pass,
// beginning where the last hour left the quota.
func (e *examination) connect(witness *doctor.Witness) error {
	s := e.session
	if err := e.reach(); err != nil {
		return err
	}
	pacer, err := quota.NewPacer(e.ctx, s.quota, s.account(), e.history(), now)
	if err != nil {
		return err
	}
	c := s.config(pacer)
	c.Transport, c.MaxRetries, c.Timeout = witness, pictograph.NoRetries, min(c.Timeout, longestRequest)
	if e.client, err = pictograph.New(c); err != nil {
		return usageError{err}
	}
	return nil
}

// reach finds the service. A sandbox that is not there yet is not made either: one
// that keeps nothing stands for it.
func (e *examination) reach() error {
	s := e.session
	if _, err := os.Stat(s.sandboxPath()); s.options.sandbox && errors.Is(err, fs.ErrNotExist) {
		return s.serveSandbox(":memory:")
	}
	return s.reach()
}

// history are the requests of the last hour, and what the service said of the quota, as a
// state that is only looked at has them. Nothing new is put down.
type history struct {
	sent []store.Sent
	said *store.SaidQuota // nil where it said nothing
}

// Requests are those that the state had.
func (h history) Requests(context.Context, string, time.Time) ([]store.Sent, error) {
	return h.sent, nil
}

// Quota is what the service said before.
func (h history) Quota(context.Context, string) (q store.SaidQuota, ok bool, err error) {
	if h.said == nil {
		return q, false, nil
	}
	return *h.said, true, nil
}

// PutQuota does nothing, as AddRequest.
func (h history) PutQuota(context.Context, string, store.SaidQuota) error { return nil }

// AddRequest does nothing: others may be at work on the state.
func (h history) AddRequest(context.Context, string, time.Time, bool) error { return nil }

// TakeRequest does nothing, as AddRequest.
func (h history) TakeRequest(context.Context, string, time.Time) error { return nil }

// OtherRequests are none: a check-up sends a handful of requests.
func (h history) OtherRequests(context.Context, string, time.Time) ([]store.Sent, error) {
	return nil, nil
}

// history reads the state; where there is none, or it is unsound, its own line says so.
func (e *examination) history() (h history) {
	st, err := store.Look(e.ctx, e.session.path)
	if err != nil {
		return history{}
	}
	defer st.Close()
	if h.sent, err = st.Requests(e.ctx, e.session.account(), now()); err != nil {
		return history{}
	}
	if said, ok, err := st.Quota(e.ctx, e.session.account()); ok && err == nil {
		h.said = &said
	}
	return h
}

// dataset looks up a dataset.
func (e *examination) dataset(nameOrID string) {
	if e.unasked != "" {
		e.add(doctor.Skipped("dataset", e.unasked))
		return
	}
	ctx, cancel := e.patience()
	defer cancel()
	check := doctor.CheckDataset(ctx, e.client, nameOrID, e.session.name)
	if errors.Is(check.Err, dataset.ErrNotFound) {
		check = e.explainMissing(check, nameOrID)
	}
	e.add(check)
}

func (e *examination) explainMissing(c doctor.Check, name string) doctor.Check {
	if j := e.maker(name); j != "" {
		return doctor.Check{Name: c.Name, OK: true, Status: doctor.OK, Detail: fmt.Sprintf("none yet named %q; job %s makes it (create_dataset)", name, j)}
	}
	near := nearest.Name(name, e.datasets)
	if near != "" {
		c.Advice += fmt.Sprintf("; did you mean %q?", near)
	}
	if e.session.sandbox == nil {
		if near == "" {
			c.Advice += "; " + dataset.HowMade
		}
		return c
	}
	detail := fmt.Sprintf("none yet named %q; a sync with --sandbox makes it", name)
	if near != "" {
		detail += ": " + c.Advice
	}
	return doctor.Check{Name: c.Name, OK: true, Status: doctor.OK, Detail: detail}
}

// maker is the job that makes a dataset, "" where none does.
func (e *examination) maker(name string) string {
	for _, j := range e.jobs {
		w, saves := j.work.(*syncWork)
		if saves && w.dataset == name && w.settings.Create && (w.settings.ForceCreate || nearest.Almost(name, e.datasets) == "") {
			return j.name
		}
	}
	return ""
}

// role finds out whether the key may save.
func (e *examination) role() {
	if e.unasked != "" {
		e.add(doctor.Skipped("role", e.unasked))
		return
	}
	ctx, cancel := e.patience()
	defer cancel()
	e.add(doctor.CheckRole(ctx, e.client, e.session.name))
}

// report prints the checks; its error is what is wrong first.
func (e *examination) report(w io.Writer) error {
	var first error
	for _, c := range e.checks {
		if c.Err != nil && first == nil {
			first = saidError{c.Err}
		}
	}
	output := e.options.output
	if output.json {
		out := struct {
			Checks  []doctor.Check `json:"checks"`
			Verdict string         `json:"verdict"`
			ending
		}{e.checks, e.verdict(), endingOf(first)}
		if err := printJSON(w, out); err != nil {
			return err
		}
		return first
	}
	for _, c := range e.checks {
		if output.quiet && c.Err == nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-13s  %s\n", c.Name, printable(checkLine(c))); err != nil {
			return err
		}
	}
	if !output.quiet {
		if _, err := fmt.Fprintln(w, e.verdict()); err != nil {
			return err
		}
	}
	return first
}

// verdict sums up the checks.
func (e *examination) verdict() string {
	counts := make(map[doctor.Status]int)
	for _, c := range e.checks {
		counts[c.Status]++
	}
	switch {
	case counts[doctor.Wrong] > 0:
		return fmt.Sprintf("not ready: %d of %d checks failed", counts[doctor.Wrong], len(e.checks))
	case counts[doctor.Warning] > 0:
		return fmt.Sprintf("ready, with %s to look at", plural(counts[doctor.Warning], "warning"))
	}
	return "ready"
}

func checkLine(c doctor.Check) string {
	line := string(c.Status) + ": " + c.Detail
	if c.Advice != "" {
		line += " (" + c.Advice + ")"
	}
	return line
}
