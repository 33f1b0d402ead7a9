package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pictosync/convert"
	"pictosync/worker"
)

type convertOptions struct {
	config string
	source sourceOptions
	output outputOptions
	to     string
	out    string
	strict bool
}

func newConvert() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert SOURCE --to canonical --out FILE",
		Short: "Convert a source on this machine, without a network",
		Long: `Convert a source on this machine, without a network: what sync would save, as
canonical JSON Lines, one image a line. --out - writes to standard output.` + exitHelp,
		Example: `  pictosync convert testdata/shapes --to canonical --out shapes.jsonl`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := settle(cmd, o.config); err != nil {
				return err
			}
			return runConvert(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	f.StringVar(&o.to, "to", "canonical", "`FORMAT` to write: canonical")
	f.StringVar(&o.out, "out", "", "`FILE` to write, - for standard output")
	f.BoolVar(&o.strict, "strict", false, "fail every image whose labels have a finding")
	o.source.addFlags(f)
	o.output.addFlags(f)
	return cmd
}

func runConvert(parent context.Context, path string, o convertOptions) error {
	switch {
	case o.to != "canonical":
		return usagef("read --to: %q is no format that can be written; give canonical", o.to)
	case o.out == "":
		return usagef("no output: name a file with --out, or - for standard output")
	case o.out == "-" && o.output.json:
		return usagef("--json and --out - both want standard output; name a file with --out")
	}
	ctx, stop, release := interruptible(parent, os.Stderr)
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-stop: // there is nothing in flight to finish
			cancel(worker.ErrInterrupted)
		case <-ctx.Done():
		}
	}()
	var findings collector
	src, err := o.source.open(ctx, path, &findings)
	if err != nil {
		return err
	}
	progress := o.output.progress()
	defer progress.end()

	warn := bounded{w: os.Stderr, left: 20, quiet: o.output.quiet || o.output.json}
	start := time.Now()
	var summary worker.ConvertSummary
	write := func(w io.Writer) error {
		var line []byte
		summary, err = worker.Convert(ctx, src, worker.ConvertOptions{Strict: o.strict, Finding: warn.finding, Progress: progress.show}, func(c worker.Converted) error {
			if c.Err != nil {
				warn.line("failed: %s: %v", c.Item.Image, c.Err)
				return nil
			}
			if line, err = (convert.CanonicalImage{Image: c.Item.Image, Size: c.Result.Size, Annotations: c.Result.Annotations}).Append(line[:0]); err != nil {
				return err
			}
			_, err = w.Write(append(line, '\n'))
			return err
		})
		return err
	}
	if err := writeFile(o.out, write); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	progress.end()
	for _, f := range findings.take() {
		summary.Findings++
		summary.Kinds[string(f.Kind)]++
		warn.finding(f)
	}
	warn.end()
	summary.Seconds = time.Since(start).Seconds()
	if err := o.print(summary); err != nil {
		return err
	}
	if summary.Images.Failed > 0 {
		return errFailures
	}
	return nil
}

func (o convertOptions) print(s worker.ConvertSummary) error {
	switch {
	case o.output.json:
		return json.NewEncoder(os.Stdout).Encode(s)
	case o.output.quiet || o.out == "-":
		return nil
	}
	fmt.Printf("%s: %s of %s with %s", o.out, plural(s.Images.Converted, "image"), fmt.Sprint(s.Images.Found), plural(s.Annotations, "annotation"))
	if s.Images.Failed > 0 {
		fmt.Printf(", %d failed", s.Images.Failed)
	}
	if s.Findings > 0 {
		fmt.Printf(", %s", plural(s.Findings, "finding"))
	}
	fmt.Println()
	return nil
}

// writeFile writes a file as a whole: beside its place first, and into it when
// all is written. "-" is standard output.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if path == "-" {
		w := bufio.NewWriterSize(os.Stdout, 1<<16)
		return errors.Join(write(w), w.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
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

func (b *bounded) finding(f convert.Finding) { b.line("%s", findingLine(f)) }

func (b *bounded) end() {
	if b.more > 0 {
		fmt.Fprintf(b.w, "… and %d more\n", b.more)
	}
}

// findingLine is a finding as one line for people.
func findingLine(f convert.Finding) string {
	place := f.File
	if place == "" {
		place = f.Image
	}
	if f.At != "" {
		place += " " + f.At
	}
	if place != "" {
		place += ": "
	}
	return fmt.Sprintf("%s: %s%s; %s", f.Kind, place, f.Reason, f.Action)
}
