package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/remote"
	"pictosync/store"
	"pictosync/worker"
)

// sourcedOptions are the flags of every command that works from a source on a dataset.
type sourcedOptions struct {
	source    sourceOptions
	dataset   string
	match     string
	into      string
	unmatched string
	findings  string
	reads     readOptions
}

// readOptions are the flags of every command that reads what images have.
type readOptions struct{ by string }

func (o *readOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, serviceHeading)()
	f.StringVar(&o.by, "read", string(dataset.ReadAuto), "how what the images have is read: by an export of the whole dataset, image by image, or auto (an export where more images are to be read than it takes requests)")
}

func (o *readOptions) check() error {
	return oneOf("read", o.by)
}

func (o *readOptions) policy() dataset.ReadPolicy { return dataset.ReadPolicy(o.by) }

// addMatchFlag says how a source's images are matched to a dataset's.
func (o *sourcedOptions) addMatchFlag(f *pflag.FlagSet) {
	defer under(f, matchingHeading)()
	f.StringVar(&o.match, "match", string(worker.MatchPath), "how images are found in the dataset: exact (id or path), path (also where one path is the other's ending) or name (also by file name or stem alone)")
	f.StringVar(&o.into, "into", "", "`FOLDER` of the dataset that the images are in: it stands before their paths in the source")
}

// addReportFlags say what is made of what a run comes to.
func (o *sourcedOptions) addReportFlags(f *pflag.FlagSet) {
	defer under(f, outputHeading)()
	f.StringVar(&o.unmatched, "unmatched", "fail", "what images that the dataset lacks do to the exit status: fail (4) or ignore")
	f.StringVar(&o.findings, "findings", "", "write all findings to `FILE`, as JSON Lines")
}

func (o *sourcedOptions) check() error {
	if o.dataset == "" {
		return usagef("no dataset: name one with --dataset, or with dataset: in a job of a configuration")
	}
	if err := cmp.Or(oneOf("unmatched", o.unmatched), o.reads.check(), checkFile("findings", o.findings)); err != nil {
		return err
	}
	return oneOf("match", o.match)
}

// common reads what every kind of run is told.
func (o *sourcedOptions) common() (c worker.Common, err error) {
	if err := o.check(); err != nil {
		return c, err
	}
	c.Match, c.IgnoreUnmatched = worker.Matching(o.match), o.unmatched == "ignore"
	if c.Into, err = intoFolder(o.into); err != nil {
		return c, err
	}
	c.Accepted, err = o.source.accepted()
	return c, err
}

// opening is the source of a run, which is opened once.
type opening struct {
	path string // absolute
	open func() (convert.Source, error)
	take *collector // of what it reports about itself
	read *sourceSettings

	src convert.Source
	err error
}

// Open is a worker.Opener.
func (o *opening) Open() (convert.Source, error) {
	if o.src == nil && o.err == nil {
		o.src, o.err = o.open()
	}
	return o.src, o.err
}

// opening reads what the flags say of a source.
func (o *sourcedOptions) opening(s *session, path string) (*opening, error) {
	absolute := remote.Shown(path)
	if !strings.Contains(path, "://") {
		var err error
		if absolute, err = filepath.Abs(path); err != nil {
			return nil, usagef("find %s: %w", path, err)
		}
	}
	var found collector
	read, err := o.source.read(&found)
	if err != nil {
		return nil, err
	}
	read.waiting = func() {
		s.log.Warn().Str("source", absolute).Msg("another command is reading the same source; waiting for it")
	}
	return &opening{path: absolute, take: &found, read: read, open: func() (convert.Source, error) { return read.open(s.ctx, path) }}, nil
}

// openWith opens the state; the source is opened while the service is asked for the dataset,
// or before, where the sandbox is made from it. For a source that is not there no state is
// made; what is wrong with it is told of first.
func (s *session) openWith(src *opening, open func() error) error {
	if _, err := os.Stat(src.path); err != nil {
		if _, err := src.Open(); err != nil {
			return err
		}
	}
	err := open()
	if err == nil && s.sandbox == nil {
		return nil
	}
	if _, sourceErr := src.Open(); sourceErr != nil {
		return sourceErr
	}
	return err
}

// run does a run from a source in a session that is open, and sums it up.
func (o *sourcedOptions) run(s *session, src *opening, common worker.Common, do func(*connection, worker.Common) (worker.Summary, error)) (worker.Summary, error) {
	failed := worker.Summary{Dataset: o.dataset, Source: src.path}
	defer src.read.close()
	findings, err := createFindings(o.findings)
	if err != nil {
		return failed, err
	}
	defer findings.abort()
	common.Source, common.SourceFindings, common.Globs = src.path, src.take.take, src.read.globs
	if o.findings != "" {
		common.OnFinding = findings.write
	}
	summary, err := s.summed(failed, o.unmatched == "ignore", func(c *connection, d *display) (worker.Summary, error) {
		holder, create, force := common.Holder, common.Create, common.ForceCreate
		common.Options = s.access(o.dataset, d)
		common.ReadBy, common.Holder, common.Create, common.ForceCreate = o.reads.policy(), holder, create, force
		return do(c, common)
	})
	if summary.Run != "" {
		err = joinFailures(err, findings.close())
	}
	return summary, err
}

// joinFailures adds an error to that of a run, which may have said all of its own.
func joinFailures(err, more error) error {
	if more == nil {
		return err
	}
	return errors.Join(err, more)
}

// summed does a run and completes its summary for people. failed is what stands for a run
// that did not begin.
func (s *session) summed(failed worker.Summary, ignoreUnmatched bool, do func(*connection, *display) (worker.Summary, error)) (worker.Summary, error) {
	c, err := s.connect()
	if err != nil {
		return failed, err
	}
	defer c.close()
	progress := s.options.output.progress()
	summary, err := do(c, progress)
	err = s.stop.explain(err)
	progress.end()
	if summary.Run != "" {
		var readErr error
		summary.Failures, readErr = firstFailures(context.WithoutCancel(s.ctx), s.store, summary.Run)
		err = joinFailures(err, readErr)
	}
	if err == nil && (summary.Images.Failed+summary.Images.Edited > 0 || summary.Uploads != nil && summary.Uploads.Failed > 0 || summary.Images.Unmatched > 0 && !ignoreUnmatched) {
		err = errFailures
	}
	return summary, err
}

// firstFailures are three images that could not be saved, or uploaded, with why.
func firstFailures(ctx context.Context, state *store.Store, run string) (failures []string, err error) {
	for _, outcome := range []store.ItemOutcome{store.ItemFailed, store.ItemUnmatched} {
		for record, err := range state.Records(ctx, run, outcome) {
			if err != nil {
				return failures, fmt.Errorf("name what failed: %w", err)
			}
			if len(failures) == 3 {
				return failures, nil
			}
			failures = append(failures, record.Image+": "+record.Reason)
		}
	}
	for up, err := range state.Uploads(ctx, run, store.UploadFailed) {
		switch {
		case err != nil:
			return failures, fmt.Errorf("name what failed: %w", err)
		case up.Item > 0:
			continue
		case len(failures) == 3:
			return failures, nil
		}
		failures = append(failures, up.Path+": "+up.Error)
	}
	return failures, nil
}
