package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/internal/atomicfile"
	"pictosync/store"
	"pictosync/worker"
)

type verifyOptions struct {
	serviceOptions
	sourcedOptions
	sample string
	report string // to write
}

func newVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify SOURCE --dataset NAME",
		Short: "Read a dataset back and compare every annotation with a source",
		Long: `Read back what the images of a dataset have and compare every annotation with
what SOURCE says, all images or a sample. No annotation is written to the service.
It reads an export of the dataset that the service makes for it, and where there is
none takes a request an image (--read); it keeps to --rate, and goes on where it was
stopped.

Images that differ, cannot be taken or are not in the dataset make it exit 4.` + exitHint,
		Example: `  pictosync verify testdata/shapes --dataset shapes --sandbox
  pictosync verify labels.jsonl --dataset cars --sample 5% --report differences.jsonl`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.applyAndKeep(cmd, args); err != nil {
				return err
			}
			return runVerify(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	o.addJobFlags(f)
	return cmd
}

// addJobFlags are those that each job of a configuration has for itself.
func (o *verifyOptions) addJobFlags(f *pflag.FlagSet) {
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset to compare with")
	f.StringVar(&o.sample, "sample", "100%", "compare this `PART` of the images, the same in every run, as 5%")
	f.StringVar(&o.report, "report", "", "write the images that differ to `FILE`, as JSON Lines")
	o.reads.addFlags(f)
	o.addReportFlags(f)
	o.addMatchFlag(f)
	o.source.addFlags(f)
	o.source.addClassMap(f)
}

func (o *verifyOptions) settings() (v worker.VerifyOptions, err error) {
	if v.Common, err = o.common(); err != nil {
		return v, err
	}
	v.Holder = "verify"
	if v.Sample, err = parseSample(o.sample); err != nil {
		return v, err
	}
	return v, checkFile("report", o.report)
}

func runVerify(parent context.Context, path string, o verifyOptions) error {
	settings, err := o.settings()
	if err != nil {
		return err
	}
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	src, err := o.opening(s, path)
	if err != nil {
		return err
	}
	if err := s.openWith(src, func() error { return s.openBeside("verify", "verify "+path) }); err != nil {
		return err
	}
	summary, err := o.verify(s, src, settings)
	switch {
	case src.err != nil:
		return src.err
	case summary.Run == "":
		return cmp.Or(o.output.print(os.Stdout, summary, err), err)
	}
	return o.output.printVerification(os.Stdout, summary, err)
}

// verify does a verification in a session that is open.
func (o *verifyOptions) verify(s *session, src *opening, settings worker.VerifyOptions) (worker.Summary, error) {
	summary, err := o.run(s, src, settings.Common, func(c *connection, common worker.Common) (worker.Summary, error) {
		settings.Common = common
		return worker.Verify(s.ctx, s.stop.asked, c.to(s.store), src.Open, settings)
	})
	if src.err == nil && summary.Run != "" {
		err = joinFailures(err, new(pageOptions).write(s, src.src, summary, pageOf{}))
	}
	if o.report != "" && summary.Run != "" {
		err = joinFailures(err, writeReport(context.WithoutCancel(s.ctx), o.report, s.store, summary.Run))
	}
	return summary, err
}

func parseSample(s string) (float64, error) {
	text, _ := strings.CutSuffix(s, "%")
	percent, err := strconv.ParseFloat(text, 64)
	if err != nil || !(percent > 0 && percent <= 100) {
		return 0, usagef("read --sample: %q is no part above 0%% and up to 100%%", s)
	}
	return percent / 100, nil
}

// printVerification prints what a verification came to.
func (o outputOptions) printVerification(w io.Writer, s worker.Summary, failed error) error {
	switch {
	case o.json:
		if err := o.print(w, s, failed); err != nil {
			return err
		}
		return failed
	case o.quiet:
		return failed
	}
	i := s.Images
	fmt.Fprintf(w, "run %s: verified in %s, %s\n", s.Run, time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), plural(s.Requests, "request"))
	fmt.Fprintf(w, "  images       %d found: %s\n", i.Found, parts(part{i.Unchanged, "as the labels say"}, part{i.Failed, "that differ or cannot be compared"},
		part{i.Unmatched, "not in the dataset"}, part{i.Skipped, "not in the sample"}, part{i.Found - i.Unchanged - i.Failed - i.Unmatched - i.Skipped, "not reached"}))
	printNotes(w, s.Notes)
	if s.Findings > 0 {
		fmt.Fprintf(w, "  findings     %s (%s): see `pictosync runs %s --findings`\n", severitiesText(s.Kinds), kindsText(s.Kinds), s.Run)
	}
	printFailures(w, "differences", s, failed)
	return failed
}

// writeReport writes the images that are not what the labels say.
func writeReport(ctx context.Context, path string, st *store.Store, run string) error {
	file, err := atomicfile.Create(path, atomicfile.Shared)
	if err != nil {
		return err
	}
	defer file.Abort()
	out := json.NewEncoder(file)
	for _, outcome := range []store.ItemOutcome{store.ItemFailed, store.ItemUnmatched} {
		for r, err := range st.Records(ctx, run, outcome) {
			if err != nil {
				return err
			}
			if err := out.Encode(r); err != nil {
				return fmt.Errorf("write %s: %w", path, err)
			}
		}
	}
	return file.Close()
}
