package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/backup"
	"pictosync/internal/nearest"
	"pictosync/store"
	"pictosync/worker"
)

// job is a job of a configuration that is ready to be done.
type job struct {
	name, kind, target string
	stopOnFailure      bool
	work               work
}

// work is what the jobs of a kind do: what the command of that name does, in a
// session that is there already.
type work interface {
	addJobFlags(*pflag.FlagSet)
	// ready checks the settings.
	ready(target string) error
	// do does it, and prints for people what it came to. The summary is nil where
	// there was no run.
	do(s *session) (summary any, err error)
	in() string // the dataset
	// examine checks what the job needs beside the service.
	examine(*examination, *job)
}

func (j *job) dataset() string { return j.work.in() }

func (j *job) doing() string {
	switch j.kind {
	case "export":
		return fmt.Sprintf("export %s to %s", j.dataset(), j.target)
	case "verify":
		return fmt.Sprintf("verify %s against %s", j.dataset(), j.target)
	}
	return fmt.Sprintf("sync %s into %s", j.target, j.dataset())
}

var jobKinds = []string{"sync", "export", "verify"}

func newWork(kind string) work {
	switch kind {
	case "sync":
		return &syncWork{}
	case "export":
		return &exportWork{}
	}
	return &verifyWork{}
}

type syncWork struct {
	syncOptions
	path     string
	settings worker.Options
}

func (w *syncWork) examine(e *examination, j *job)   { e.source(j.name, j.target, w.source) }
func (w *verifyWork) examine(e *examination, j *job) { e.source(j.name, j.target, w.source) }
func (w *exportWork) examine(e *examination, j *job) { e.backups(j.name, j.target) }

func (w *syncWork) in() string { return w.dataset }

func (w *syncWork) ready(target string) (err error) {
	w.path = target
	w.settings, err = w.syncOptions.settings()
	return err
}

func (w *syncWork) do(s *session) (any, error) {
	src, err := w.opening(s, w.path)
	if err == nil {
		_, err = src.Open()
	}
	if err != nil {
		return nil, err
	}
	summary, err := w.sync(s, src, w.settings)
	s.requests += summary.Requests
	if summary.Run == "" {
		return nil, err
	}
	if output := s.options.output; !output.json {
		if err := output.print(os.Stdout, summary, err); err != nil {
			return summary, err
		}
	}
	return summary, err
}

type verifyWork struct {
	verifyOptions
	path     string
	settings worker.VerifyOptions
}

func (w *verifyWork) in() string { return w.dataset }

func (w *verifyWork) ready(target string) (err error) {
	w.path = target
	w.settings, err = w.verifyOptions.settings()
	return err
}

func (w *verifyWork) do(s *session) (any, error) {
	src, err := w.opening(s, w.path)
	if err == nil {
		_, err = src.Open()
	}
	if err != nil {
		return nil, err
	}
	unlock, err := lockKind(s.path, "verify", "verify "+w.path) // the session's lock does not keep others from verifying
	if err != nil {
		return nil, err
	}
	defer unlock()
	summary, err := w.verify(s, src, w.settings)
	s.requests += summary.Requests
	if summary.Run == "" {
		return nil, err
	}
	if output := s.options.output; !output.json {
		return summary, output.printVerification(os.Stdout, summary, err)
	}
	return summary, err
}

type exportWork struct {
	exportOptions
	options backup.Options
}

func (w *exportWork) in() string { return w.dataset }

func (w *exportWork) ready(target string) (err error) {
	w.out = target
	w.options, err = w.settings()
	return err
}

func (w *exportWork) do(s *session) (any, error) {
	w.output = s.options.output
	summary, err := w.work(s, w.options)
	s.requests += summary.Requests
	if summary.Run == "" {
		return nil, err
	}
	err = joinFailures(err, new(pageOptions).write(s, nil, worker.Summary{Run: summary.Run, Requests: summary.Requests, Seconds: summary.Seconds}, pageOf{}))
	if !w.output.json {
		if err := w.print(summary, err); err != nil {
			return summary, err
		}
	}
	return summary, err
}

// readJobs makes the jobs of a configuration ready.
func (c configuration) readJobs(root *cobra.Command, path string) ([]*job, error) {
	if len(c.jobs) == 0 {
		return nil, usagef("read the configuration %s: it has no jobs; list them under \"jobs\", as docs/nightly.md shows", path)
	}
	var jobs []*job
	for _, entry := range c.jobs {
		j, err := c.readJob(root, entry)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(jobs, func(other *job) bool { return other.name == j.name }) {
			return nil, usagef("read %s: two jobs have the name %s", entry.where, j.name)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func (c configuration) readJob(root *cobra.Command, entry jobConfig) (*job, error) {
	j := &job{}
	for _, name := range append([]string{"name", "on_failure"}, jobKinds...) {
		if err := entry.settings[name].single(name); err != nil {
			return nil, err
		}
	}
	one := func(key string) string { return strings.Join(entry.settings[key].values, " ") }
	if j.name = one("name"); j.name == "" {
		return nil, usagef("read %s: the job has no name", entry.where)
	}
	for _, kind := range jobKinds {
		if _, ok := entry.settings[kind]; !ok {
			continue
		}
		if j.kind != "" {
			return nil, usagef("read %s: job %s is both %s and %s; make two jobs of it", entry.where, j.name, j.kind, kind)
		}
		j.kind, j.target = kind, one(kind)
	}
	if j.target == "" {
		return nil, usagef("read %s: nothing says what job %s does: give it sync: SOURCE, export: FOLDER or verify: SOURCE", entry.where, j.name)
	}
	switch policy := one("on_failure"); policy {
	case "", "continue":
	case "stop":
		j.stopOnFailure = true
	default:
		return nil, usagef("read %s: on_failure: %q must be one of: continue, stop", entry.settings["on_failure"].where, policy)
	}
	j.work = newWork(j.kind)
	flags := pflag.NewFlagSet(j.name, pflag.ContinueOnError)
	j.work.addJobFlags(flags)
	if err := c.setJob(root, flags, j.kind, entry); err != nil {
		return nil, err
	}
	if err := j.work.ready(j.target); err != nil {
		return nil, usagef("read %s: job %s: %w", entry.where, j.name, err)
	}
	return j, nil
}

// setJob fills in the settings of a job: its own, before all others.
func (c configuration) setJob(root *cobra.Command, flags *pflag.FlagSet, kind string, entry jobConfig) error {
	known := map[string]bool{"name": true, "on_failure": true}
	for _, k := range jobKinds {
		known[k] = true
	}
	own := make(map[string]*pflag.Flag)
	flags.VisitAll(func(f *pflag.Flag) { own[key(f.Name)], known[key(f.Name)] = f, true })
	elsewhere := knownSettings(root)
	for name, s := range entry.settings {
		switch {
		case own[name] != nil:
			if err := s.set(flags, own[name].Name); err != nil {
				return err
			}
		case known[name]:
		case elsewhere[name]:
			return usagef("read %s: %s is no setting of a job of %s; it stands at the top of the file, for all jobs", s.where, name, kind)
		default:
			return unknownSetting(s.where, name, known)
		}
	}
	return c.apply(flags)
}

// chosen are the jobs with the given names; all where none is given.
func chosen(jobs []*job, names []string) ([]*job, error) {
	if len(names) == 0 {
		return jobs, nil
	}
	var all []string
	for _, j := range jobs {
		all = append(all, j.name)
	}
	for _, name := range names {
		if slices.Contains(all, name) {
			continue
		}
		if near := nearest.Name(name, all); near != "" {
			return nil, usagef("find job %q: there is none; did you mean %s?", name, near)
		}
		return nil, usagef("find job %q: there is none; the file has %s", name, strings.Join(all, ", "))
	}
	return slices.DeleteFunc(jobs, func(j *job) bool { return !slices.Contains(names, j.name) }), nil
}

// jobResult is what became of a job.
type jobResult struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`
	Dataset  string          `json:"dataset"`
	Outcome  string          `json:"outcome"` // done, failures, stopped, or not reached
	Seconds  float64         `json:"duration_s"`
	Error    string          `json:"error,omitempty"`
	ExitCode int             `json:"exit_code"`
	Summary  json.RawMessage `json:"summary,omitempty"` // of the run, as the job's own command prints it
}

// cameTo is a job's result in a few words.
func (j jobResult) cameTo() string {
	if j.Error != "" {
		return j.Error
	}
	var s struct {
		Images struct {
			worker.ImageCounts
			Read  int `json:"read"`
			Kept  int `json:"kept"`
			Empty int `json:"empty"`
		} `json:"images"`
		Uploads store.UploadTotals `json:"uploads"`
	}
	if json.Unmarshal(j.Summary, &s) != nil {
		return ""
	}
	i := s.Images
	if j.Kind == "verify" {
		return fmt.Sprintf("%s: %s", plural(i.Found, "image"), parts(part{i.Unchanged, "as the labels say"}, part{i.Failed, "that differ or cannot be compared"}, part{i.Unmatched, "not in the dataset"}, part{i.Skipped, "not in the sample"}))
	}
	return fmt.Sprintf("%s: %s", plural(i.Found, "image"), parts(part{s.Uploads.Done, "uploaded"}, part{s.Uploads.Failed, "not uploaded"}, part{i.Saved, "saved"}, part{i.Cleared, "cleared"}, part{i.Unchanged, "unchanged"},
		part{i.Read, "read"}, part{i.Kept, "known already"}, part{i.Empty, "without annotations"},
		part{i.Unmatched, "not in the dataset"}, part{i.Skipped, "skipped"}, part{i.Failed, "failed"}))
}
