package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pictosync/internal/nearest"
	"pictosync/report"
	"pictosync/view"
)

type drawOptions struct {
	config string
	source sourceOptions
	output outputOptions
	report.DrawOptions
	out, format string
	noSheet     bool
}

func newDraw() *cobra.Command {
	var o drawOptions
	cmd := &cobra.Command{
		Use:   "draw SOURCE --out DIR",
		Short: "Write the images of a source with their labels drawn on them",
		Long: `Write the images of SOURCE with their labels drawn on them as PNG or JPEG files
below DIR, in folders as the source has them, and one contact sheet of the first
ones, for reports and chats. No network is used.

Where an image file is not found its labels are drawn on an empty frame of the
right size. A file that is there already is an error, unless --force is given.` + exitHint,
		Example: `  pictosync draw testdata/shapes --out labelled
  pictosync draw annotations/instances_val2017.json --images val2017 --out labelled --format jpeg --limit 50
  pictosync draw testdata/shapes.coco.json --out sheet --limit 12 --class circle`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			return runDraw(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	f.StringVar(&o.out, "out", "", "`DIR` that the pictures are written to")
	f.StringVar(&o.format, "format", "png", "format of the pictures: png or jpeg")
	f.IntVar(&o.Limit, "limit", 0, "draw at most `N` images (0: all)")
	f.StringSliceVar(&o.Classes, "class", nil, "draw only annotations of this `CLASS`, and only images that have some (again, or with commas, for more)")
	f.IntVar(&o.Paint.Side, "max-side", 1600, "make pictures at most `PX` pixels long (0: as large as the image)")
	f.BoolVar(&o.Paint.NoNames, "no-names", false, "leave out the names of classes")
	f.BoolVar(&o.noSheet, "no-sheet", false, "write no contact sheet")
	f.BoolVar(&o.Force, "force", false, "replace pictures that are there already")
	forThisCommand(f, "out", "format", "limit", "max-side", "no-names", "no-sheet")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.output.addFlags(f)
	return cmd
}

func runDraw(parent context.Context, path string, o drawOptions) error {
	started := time.Now()
	switch {
	case o.out == "":
		return usagef("no folder for the pictures: name one with --out")
	case o.Limit < 0:
		return usagef("read --limit: %d is no number of images", o.Limit)
	case o.Paint.Side < 0:
		return usagef("read --max-side: %d is no length in pixels", o.Paint.Side)
	}
	if err := oneOf("format", o.format); err != nil {
		return err
	}
	o.JPEG = o.format == "jpeg"
	accepted, err := o.source.accepted()
	if err != nil {
		return err
	}
	ctx, release := stoppable(parent)
	defer release()
	var found collector
	src, err := o.source.open(ctx, path, &found)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the folder for the pictures: %w", err)
	}
	root, err := os.OpenRoot(o.out)
	if err != nil {
		return fmt.Errorf("open the folder for the pictures: %w", err)
	}
	defer root.Close()
	album := report.NewAlbum(src, report.AlbumOptions{Accepted: accepted, Photos: view.NewPhotos(""), Images: o.source.images})
	o.Sheet = !o.noSheet
	drawn, err := album.Draw(ctx, root, o.DrawOptions)
	if err != nil {
		return causeOf(ctx, err)
	}
	drawn.Seconds = time.Since(started).Seconds()
	var failed error
	switch {
	case drawn.Failed > 0:
		failed = errFailures
	case drawn.Absent != "":
		return absentClass(drawn.Absent, "no annotation as it is read has the", drawn.Classes)
	}
	switch {
	case o.output.json:
		err = printJSON(os.Stdout, struct {
			report.Drawn
			ending
		}{drawn, endingOf(failed)})
	case !o.output.quiet:
		printDrawn(o.out, drawn)
	}
	if err != nil {
		return err
	}
	return failed
}

// printDrawn says for people what was drawn into a folder.
func printDrawn(folder string, drawn report.Drawn) {
	fmt.Printf("%s: %s with %s drawn", printable(folder), plural(drawn.Images, "image"), plural(drawn.Annotations, "annotation"))
	switch drawn.Frames {
	case 0:
	case 1:
		fmt.Print(", 1 of them on an empty frame")
	default:
		fmt.Printf(", %d of them on empty frames", drawn.Frames)
	}
	fmt.Println()
	if drawn.Sheet != "" {
		fmt.Printf("  contact sheet  %s\n", drawn.Sheet)
	}
	for _, class := range drawn.Unused {
		fmt.Printf("  class          %s\n", printable(unusedText(class, drawn)))
	}
	for _, reason := range drawn.Reasons {
		fmt.Printf("  failed         %s\n", printable(reason))
	}
	if more := drawn.Failed - len(drawn.Reasons); more > 0 {
		fmt.Printf("                 and %d more\n", more)
	}
}

// unusedText says that a class that was asked for is on no picture.
func unusedText(class string, drawn report.Drawn) string {
	none := "no annotation has"
	switch {
	case !drawn.All:
		none = "no annotation of the images up to --limit has"
	case drawn.Failed > 0:
		none = "no annotation that could be read has"
	}
	text := fmt.Sprintf("%s the class %q", none, class)
	if near := nearest.Name(class, drawn.Classes); near != "" && near != class {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}
