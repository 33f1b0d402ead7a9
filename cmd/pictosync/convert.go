package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/internal/atomicfile"
)

type convertOptions struct {
	config   string
	source   sourceOptions
	output   outputOptions
	to       string
	out      string
	findings string
	own      formatFlags // of writing
}

func newConvert() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert SOURCE --to FORMAT --out PATH",
		Short: "Convert a source on this machine, without a network",
		Long: `Convert a source on this machine, without a network:

` + writtenFormats() + `
What the format cannot hold is a finding, and the summary counts what was written in
which form, and without what. Numbers of categories follow the class
map and then the names of the classes, so that they are the same tomorrow.

A file that --out names is replaced if it is there, once the new one is complete: a
conversion that breaks off leaves the old one. A folder must be new or empty.
--out - writes to standard output.` + exitHint,
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
	f.StringVar(&o.to, "to", "canonical", "`FORMAT` to write: "+orList(formats.Names(true)))
	f.StringVar(&o.out, "out", "", "`PATH` of the file to write, or to replace, or of the folder; - for standard output")
	o.own = addFormatFlags(f, forWriting)
	f.StringVar(&o.findings, "findings", "", "write all findings to `FILE`, as JSON Lines")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.output.addFlags(f)
	return cmd
}

func (o convertOptions) check() error {
	format, err := formats.Writable(o.to)
	switch {
	case err != nil:
		return usagef("read --to: %w", err)
	case o.out == "" && format.Write.Folder:
		return usagef("no output: --to %s writes a folder; name it with --out", o.to)
	case o.out == "":
		return usagef("no output: name a file with --out, or - for standard output")
	case o.out == "-" && format.Write.Folder:
		return usagef("--to %s writes a folder; name it with --out", o.to)
	case o.out == "-" && o.output.json:
		return usagef("--json and --out - both want standard output; name a file with --out")
	}
	if err := o.own.check(); err != nil {
		return err
	}
	if f, of := o.own.ofAnother(o.to); f != nil {
		return usagef("read --%s: it is for --to %s, and --to is %s; leave it out", f.Name, of.Name, o.to)
	}
	return checkFile("findings", o.findings)
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
	if format, err := formats.Writable(o.to); err == nil && !format.Write.Folder {
		if err := checkFile("out", o.out); err != nil {
			return err
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
	options := conversion.Options{Accepted: accepted, Progress: ofSource.with(progress.show), OnFinding: tell}
	if options.Sink, err = o.create(ctx, src, options); err != nil {
		return causeOf(ctx, err)
	}
	defer options.Sink.Abort()
	summary, err := conversion.Run(ctx, src, options, func(c *conversion.Image) error {
		if c.Err != nil {
			failed.line("failed: %s: %v", printable(c.Item.Image), c.Err)
		}
		return nil
	})
	if err != nil {
		return causeOf(ctx, err)
	}
	if err := options.Sink.Close(); err != nil {
		return err
	}
	progress.end()
	found.finish()
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

// create begins the output. Formats that number their classes need to have seen all of them
// first.
func (o convertOptions) create(ctx context.Context, src convert.Source, options conversion.Options) (convert.Sink, error) {
	format, err := formats.Writable(o.to)
	if err != nil {
		return nil, usagef("read --to: %w", err)
	}
	output := convert.Output{Path: o.out, Mode: atomicfile.Shared, Own: o.own.options[o.to]}
	if format.Write.Catalog {
		classes, _, err := o.source.classes()
		if err != nil {
			return nil, err
		}
		if output.Catalog, err = conversion.Catalog(ctx, src, options, classes); err != nil {
			return nil, err
		}
	}
	sink, err := format.Write.Create(output)
	if errors.Is(err, convert.ErrTaken) || errors.As(err, new(convert.UnfitError)) {
		return nil, usageError{err}
	}
	return sink, err
}

// writtenFormats are the formats that can be written, a line each, for help.
func writtenFormats() string {
	var b strings.Builder
	for _, name := range formats.Names(true) {
		format, _ := formats.Writable(name)
		fmt.Fprintf(&b, "  %-10s %s\n", name, format.Write.About)
	}
	return b.String()
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
	fmt.Printf("%s: %s of %d with %s\n", o.out, plural(s.Images.Converted, "image"), s.Images.Found, plural(s.Written.Annotations, "annotation"))
	fmt.Printf("  read         %s\n", accountsText(s.Accounts))
	fmt.Printf("  written      %s\n", writtenText(s.Written))
	if s.Findings > 0 {
		fmt.Printf("  findings     %s: %s\n", severitiesText(s.Kinds), kindsText(s.Kinds))
	}
	return nil
}

// writtenText says what the annotations of an output are, and what is not in it of them.
func writtenText(w convert.Written) string {
	names := map[convert.Form][2]string{convert.FormBox: {"box", "boxes"}, convert.FormOriented: {"oriented box", "oriented boxes"}, convert.FormPolygon: {"polygon", ""},
		convert.FormMask: {"mask", ""}, convert.FormPose: {"pose", ""}, convert.FormKeypoint: {"keypoint", ""}, convert.FormPolyline: {"polyline", ""}}
	var said []string
	for _, form := range convert.Forms {
		if n := w.Forms[form]; n > 0 {
			said = append(said, english.Plural(n, names[form][0], names[form][1]))
		}
	}
	text := cmp.Or(strings.Join(said, ", "), "no annotations")
	lacks := map[convert.Missing]string{convert.WithoutKeypoints: "keypoints", convert.WithoutPolygons: "polygons", convert.WithoutBox: "boxes", convert.WithoutDetails: "confidence or attributes"}
	said = said[:0]
	for _, what := range convert.AllMissing {
		if n := w.Without[what]; n > 0 {
			said = append(said, fmt.Sprintf("the %s of %d", lacks[what], n))
		}
	}
	if len(said) > 0 {
		text += ", without " + strings.Join(said, ", ")
	}
	return text
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
