package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/yolo"
	"pictosync/internal/atomicfile"
)

type convertOptions struct {
	config   string
	source   sourceOptions
	output   outputOptions
	to       string
	out      string
	findings string
	yoloTask string
}

func newConvert() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert SOURCE --to canonical|coco|yolo --out PATH",
		Short: "Convert a source on this machine, without a network",
		Long: `Convert a source on this machine, without a network:

  canonical  what sync would save, as JSON Lines, one image a line
  coco       one COCO file, poses and masks included
  yolo       a folder with data.yaml, labels and sizes.csv; --yolo-task says for
             which task (default: the one that loses least)

What the format cannot hold is a finding. Numbers of categories follow the class
map and then the names of the classes, so that they are the same tomorrow.
--out - writes to standard output.` + exitHelp,
		Example: `  pictosync convert testdata/shapes --to canonical --out shapes.jsonl
  pictosync convert shapes.jsonl --to coco --out shapes.json
  pictosync convert testdata/shapes.coco.json --to yolo --out shapes-yolo`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			return runConvert(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	f.StringVar(&o.to, "to", "canonical", "`FORMAT` to write: canonical, coco or yolo")
	f.StringVar(&o.out, "out", "", "`PATH` of the file, or for yolo the folder, to write; - for standard output")
	f.StringVar(&o.yoloTask, "yolo-task", "", "what YOLO labels are written for: detect, segment, pose or obb")
	f.StringVar(&o.findings, "findings", "", "write all findings to `FILE`, as JSON Lines")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.output.addFlags(f)
	return cmd
}

func (o convertOptions) check() error {
	switch {
	case o.to != "canonical" && o.to != "coco" && o.to != "yolo":
		return usagef("read --to: %q is no format that can be written; give canonical, coco or yolo", o.to)
	case o.out == "":
		return usagef("no output: name a file with --out, or - for standard output")
	case o.out == "-" && o.to == "yolo":
		return usagef("--to yolo writes a folder; name it with --out")
	case o.out == "-" && o.output.json:
		return usagef("--json and --out - both want standard output; name a file with --out")
	case o.yoloTask != "" && !slices.Contains(yolo.Tasks, yolo.Task(o.yoloTask)):
		return usagef("read --yolo-task: %q must be one of: detect, segment, pose, obb", o.yoloTask)
	}
	return nil
}

func runConvert(parent context.Context, path string, o convertOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	ctx, release := stoppable(parent)
	defer release()
	if from, err := os.Stat(path); err == nil {
		if to, err := os.Stat(o.out); err == nil && os.SameFile(from, to) {
			return usagef("write %s: it is the source; name another with --out", o.out)
		}
	}
	var found collector
	src, err := o.source.open(ctx, path, &found)
	if err != nil {
		return err
	}
	progress := o.output.progress()
	defer progress.end()
	findings, err := createFindings(o.findings)
	if err != nil {
		return err
	}
	defer findings.abort()
	var groups findingGroups
	tell := func(f convert.Finding) {
		groups.add(f)
		findings.write(f)
	}
	failed := bounded{w: os.Stderr, left: 20, quiet: o.output.quiet || o.output.json}
	start := time.Now()
	accepted, err := o.source.accepted()
	if err != nil {
		return err
	}
	ofSource := teller{from: &found, tell: tell, accepted: accepted}
	options := conversion.Options{Accepted: accepted, Progress: ofSource.with(progress.show), Finding: tell}
	out, err := o.open(ctx, src, options)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer out.Abort()
	options.Encoder = out
	summary, err := conversion.Run(ctx, src, options, func(c *conversion.Image) error {
		err := out.Write(c)
		if c.Err != nil {
			failed.line("failed: %s: %v", printable(c.Item.Image), c.Err)
		}
		return err
	})
	if err != nil {
		return causeOf(ctx, err)
	}
	if err := out.Close(); err != nil {
		return err
	}
	progress.end()
	ofSource.drain()
	summary.Findings += ofSource.told
	for kind, n := range ofSource.kinds {
		summary.Kinds[kind] += n
	}
	if err := findings.close(); err != nil {
		return err
	}
	failed.end()
	if !failed.quiet {
		groups.print(os.Stderr)
	}
	summary.Seconds = time.Since(start).Seconds()
	var failure error
	if summary.Images.Failed+ofSource.lost > 0 {
		failure = errFailures
	}
	if err := o.print(summary, failure); err != nil {
		return err
	}
	return failure
}

// open begins the output. Formats that number their classes need to have seen
// all of them first.
func (o convertOptions) open(ctx context.Context, src convert.Source, options conversion.Options) (conversion.Output, error) {
	if o.to == "canonical" {
		return conversion.NewCanonicalOutput(o.out, atomicfile.Shared)
	}
	classes, _, err := o.source.classes()
	if err != nil {
		return nil, err
	}
	catalog, err := conversion.Catalog(ctx, src, options, classes)
	if err != nil {
		return nil, err
	}
	if o.to == "coco" {
		return conversion.NewCOCOOutput(o.out, atomicfile.Shared, catalog, options.Accepted)
	}
	writer, err := yolo.NewWriter(catalog, yolo.Task(o.yoloTask))
	if err != nil {
		return nil, usagef("write YOLO labels: %w", err)
	}
	out, err := conversion.NewYOLOOutput(o.out, atomicfile.Shared, writer, options.Accepted)
	if errors.Is(err, conversion.ErrTaken) {
		return nil, usageError{err}
	}
	return out, err
}

// stoppable is a context that the first signal ends: there is nothing in flight
// that had to be finished.
func stoppable(parent context.Context) (context.Context, func()) {
	ctx, stop, release := interruptible(parent, os.Stderr, 0)
	ctx, cancel := stop.end(ctx)
	return ctx, func() {
		cancel()
		release()
	}
}

func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (o convertOptions) print(s conversion.Summary, failed error) error {
	switch {
	case o.output.json:
		return printJSON(os.Stdout, struct {
			conversion.Summary
			ending
		}{s, endingOf(failed)})
	case o.output.quiet || o.out == "-":
		return nil
	}
	fmt.Printf("%s: %s of %d with %s\n", o.out, plural(s.Images.Converted, "image"), s.Images.Found, plural(s.Annotations, "annotation"))
	fmt.Printf("  read         %s\n", accountsText(s.Accounts))
	if s.Findings > 0 {
		fmt.Printf("  findings     %s: %s\n", severitiesText(s.Kinds), kindsText(s.Kinds))
	}
	return nil
}

// bounded prints the first lines of what may be many.
type bounded struct {
	w     io.Writer
	left  int
	more  int
	quiet bool
}

func (b *bounded) line(format string, args ...any) {
	switch {
	case b.quiet:
	case b.left > 0:
		b.left--
		fmt.Fprintf(b.w, format+"\n", args...)
	default:
		b.more++
	}
}

func (b *bounded) end() {
	if b.more > 0 {
		fmt.Fprintf(b.w, "… and %d more\n", b.more)
	}
}

// accountsText says what became of what was read.
func accountsText(a conversion.Accounts) string {
	return fmt.Sprintf("%s with %s: %d taken, %d left out", plural(a.Read.Images, "image"), plural(a.Read.Annotations, "annotation"), a.Taken.Annotations, a.LeftOut.Annotations)
}
