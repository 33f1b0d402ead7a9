package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pictosync/conversion"
	"pictosync/remote"
)

type inspectOptions struct {
	config string
	source sourceOptions
	output outputOptions
}

func newInspect() *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect SOURCE",
		Short: "Show what a source holds, without a network",
		Long: `Show what a source holds, without a network: the format and why it is that, its
images, annotations by class and type, image sizes, and findings by kind with
examples. SOURCE may be all that it is for sync, also an archive, a bucket or a URL.` + exitHint,
		Example: `  pictosync inspect testdata/shapes.coco.json`,
		Args:    one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			return runInspect(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.output.addFlags(f)
	return cmd
}

func runInspect(parent context.Context, path string, o inspectOptions) error {
	ctx, release := stoppable(parent)
	defer release()
	var found collector
	src, err := o.source.open(ctx, path, &found)
	if err != nil {
		return err
	}
	progress := o.output.progress()
	defer progress.end()
	accepted, err := o.source.accepted()
	if err != nil {
		return err
	}
	var groups findingGroups
	ofSource := teller{from: &found, tell: groups.add, accepted: accepted}
	report, err := conversion.Inspect(ctx, src, conversion.Options{Accepted: accepted, Progress: ofSource.with(progress.show), OnFinding: groups.add})
	if err != nil {
		return causeOf(ctx, err)
	}
	progress.end()
	found.finish()
	ofSource.drain()
	if remote.Is(path) { // not where its copy is
		report.Path = remote.Shown(path)
	}
	var failure error
	if report.Images.Failed+ofSource.lost > 0 {
		failure = errFailures
	}
	switch {
	case o.output.json:
		err = printJSON(os.Stdout, struct {
			conversion.Inspection
			Findings map[string]kindJSON `json:"findings"`
			ending
		}{report, groups.byKind(), endingOf(failure)})
	case !o.output.quiet:
		err = printInspection(os.Stdout, report, groups)
	}
	return cmp.Or(err, failure)
}

func printInspection(w io.Writer, r conversion.Inspection, groups findingGroups) error {
	format := r.Format
	if r.Task != "" {
		format += ", task " + r.Task
	}
	fmt.Fprintf(w, "%s: %s (%s)\n", printable(r.Path), format, printable(r.Reason))
	i := r.Images
	fmt.Fprintf(w, "images       %d: %s\n", i.Found, parts(part{i.Labelled, "with annotations"}, part{i.Empty, "without"}, part{i.Failed, "that cannot be taken"}))
	s := r.Sizes
	switch {
	case s.Known == 0 && i.Found > i.Failed:
		fmt.Fprintln(w, "sizes        unknown; give --images or --sizes")
	case s.Known > 0 && s.Distinct == 1:
		fmt.Fprintf(w, "sizes        all %d×%d\n", s.Largest.Width, s.Largest.Height)
	case s.Known > 0:
		fmt.Fprintf(w, "sizes        %d different, from %d×%d to %d×%d", s.Distinct, s.Smallest.Width, s.Smallest.Height, s.Largest.Width, s.Largest.Height)
		if unknown := i.Found - s.Known; unknown > 0 {
			fmt.Fprintf(w, ", %d unknown", unknown)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "annotations  %d\nread         %s\n", r.Annotations, accountsText(r.Accounts))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Classes) > 0 {
		fmt.Fprintln(w)
		fmt.Fprintln(table, "IMAGES\tBBOX\tORIENTED\tPOLYGON\tKEYPOINT\tPOLYLINE\t  CLASS")
		for _, c := range r.Classes {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t  %s\n", c.Images, some(c.BBox), some(c.Oriented), some(c.Polygon), some(c.Keypoint), some(c.Polyline), printable(c.Name))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if len(groups.byCause) == 0 {
		fmt.Fprintln(w, "\nno findings")
		return nil
	}
	fmt.Fprintln(w, "\nfindings")
	groups.print(w)
	return nil
}

func some(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
