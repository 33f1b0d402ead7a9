package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/adrg/xdg"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/backup"
	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/formats"
	"pictosync/remote"
	"pictosync/store"
	"pictosync/worker"
)

type exportOptions struct {
	serviceOptions
	dataset   string
	out       string
	formats   []string
	maxAge    string
	full      bool
	images    bool
	snapshots string
	reads     readOptions
}

func newExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export --dataset NAME --out DIR",
		Short: "Back up the annotations of a whole dataset",
		Long: `Back up the annotations of a whole dataset into a dated folder below DIR: canonical
JSON Lines, classes with their templates, what the service says of each image,
splits, and a manifest with the checksums of all files. The folder gets its name
when it is complete; files that did not change are shared with the one before.

What the images have is read from an export of the dataset that the service makes for
it: a dozen requests, however many there are. Where there is none, or with --read
image, an image is read when its annotation count has changed, when pictosync saved
it since, and when it was last read --max-age ago; one without annotations costs no
request. An edit by others that keeps an image's count is seen only then: --full
reads all. With --images the files of the images are kept too; restore --upload
missing brings them into a new dataset. A stopped export goes on where it was when the command is repeated.` + exitHint,
		Example: `  pictosync export --dataset cars --out backups/cars
  pictosync export --dataset cars --out backups/cars --snapshots daily=7,weekly=4,monthly=12`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.applyAndKeep(cmd, args); err != nil {
				return err
			}
			return runExport(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	f.StringVar(&o.out, "out", "", "`DIR` of the dataset's backups, or a bucket as s3://bucket/folder")
	o.addJobFlags(f)
	return cmd
}

// addJobFlags are those that each job of a configuration has for itself.
func (o *exportOptions) addJobFlags(f *pflag.FlagSet) {
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset to back up")
	f.StringSliceVar(&o.formats, "formats", nil, "write these `FORMATS` beside the canonical lines: "+strings.Join(besideCanonical(), ", ")+" (all tasks of yolo)")
	o.reads.addFlags(f)
	f.StringVar(&o.maxAge, "max-age", "30d", "image by image, read again what was read longer than this `AGE` ago, such as 30d or 12h")
	f.BoolVar(&o.full, "full", false, "read all images that have annotations, and hold the image files that are kept against their checksums")
	f.BoolVar(&o.images, "images", false, "keep the files of the images too, each content once: those that are new or have another size, by one export of the dataset or a request each")
	forThisCommand(f, "images") // that of a configuration is the folder of a source's images
	f.StringVar(&o.snapshots, "snapshots", "all", "snapshots to `KEEP`: all, a number, or rules as daily=7,weekly=4,monthly=12")
}

func (o *exportOptions) settings() (e backup.Options, err error) {
	if o.dataset == "" {
		return e, usagef("no dataset: name one with --dataset, or with dataset: in a job of a configuration")
	}
	if o.out == "" {
		return e, usagef("no output: name the folder of the backups with --out")
	}
	if e.Keep, err = backup.ParseRetention(o.snapshots); err != nil {
		return e, usagef("read --snapshots: %w", err)
	}
	for _, format := range o.formats {
		if !slices.Contains(besideCanonical(), format) {
			return e, usagef("read --formats: %q must be one of: %s", format, strings.Join(besideCanonical(), ", "))
		}
	}
	e.Formats, e.Images = o.formats, o.images
	if err := o.reads.check(); err != nil {
		return e, err
	}
	if o.full {
		return e, nil
	}
	if e.MaxAge, err = parseAge(o.maxAge); err != nil {
		return e, usagef("read --max-age: %w", err)
	}
	return e, nil
}

func runExport(parent context.Context, o exportOptions) error {
	settings, err := o.settings()
	if err != nil {
		return err
	}
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.open("export " + o.dataset); err != nil {
		return err
	}
	summary, err := o.work(s, settings)
	if printErr := o.print(summary, err); printErr != nil {
		return printErr
	}
	return err
}

func (o *exportOptions) work(s *session, settings backup.Options) (backup.Summary, error) {
	if !strings.Contains(o.out, "://") {
		return o.workIn(s, settings, o.out)
	}
	b, err := remote.BackupsIn(filepath.Join(xdg.CacheHome, "pictosync", "backups"), o.out)
	if err == nil {
		err = b.Pull(s.ctx)
	}
	if err != nil {
		return backup.Summary{Dataset: o.dataset, Out: remote.Shown(o.out)}, err
	}
	summary, err := o.workIn(s, settings, b.Dir)
	if summary.Out = b.Address; summary.Snapshot != "" {
		summary.Snapshot = remote.Below(b.Address, filepath.Base(summary.Snapshot))
		if _, _, pushErr := b.Push(s.ctx); pushErr != nil {
			return summary, pushErr
		}
		err = cmp.Or(err, s.store.Note(context.WithoutCancel(s.ctx), summary.Run, func(n *store.Notes) {
			if n.Export != nil {
				n.Export.Snapshot = summary.Snapshot
			}
		}))
	}
	return summary, err
}

func (o *exportOptions) workIn(s *session, settings backup.Options, dir string) (backup.Summary, error) {
	out, err := filepath.Abs(dir)
	if err != nil {
		return backup.Summary{}, usagef("find %s: %w", o.out, err)
	}
	c, err := s.connect()
	if err != nil {
		return backup.Summary{}, err
	}
	defer c.close()
	progress := o.output.progress()
	settings.Options, settings.Out = s.access(o.dataset, progress), out
	settings.ReadBy = o.reads.policy()
	summary, err := backup.Export(s.ctx, s.stop.asked, c.client, s.store, c.pacer, settings)
	progress.end()
	err = s.stop.explain(err)
	if err == nil && (summary.Images.Failed > 0 || summary.Files != nil && summary.Files.Failed > 0) {
		err = errFailures
	}
	return summary, err
}

func (o *exportOptions) print(s backup.Summary, failed error) error {
	if o.output.json {
		return printJSON(os.Stdout, struct {
			backup.Summary
			ending
		}{s, endingOf(failed)})
	}
	if o.output.quiet || s.Run == "" {
		return nil
	}
	fmt.Printf("run %s: %s\n", s.Run, endText(s.Outcome, s.Seconds, s.Requests))
	i := s.Images
	if s.Snapshot == "" {
		fmt.Printf("  images       %d read so far; the same command goes on\n", i.Read)
		return nil
	}
	fmt.Printf("  snapshot     %s: %s, of which %s shared with the one before%s\n", printable(s.Snapshot), humanize.IBytes(uint64(s.Bytes)), humanize.IBytes(uint64(s.Shared)), imageBytesText(s.ImageBytes))
	fmt.Printf("  images       %d found: %s\n", i.Found, parts(part{i.Read, "read"}, part{i.Kept, "known already"}, part{i.Empty, "without annotations"}, part{i.Failed, "that could not be read"}))
	printNotes(os.Stdout, s.Notes)
	fmt.Printf("  annotations  %d\n", s.Annotations)
	if f := s.Files; f != nil {
		fmt.Printf("  files        %d of %s: %s\n", f.Downloaded+f.Kept, humanize.IBytes(uint64(f.Bytes)), parts(part{f.Downloaded, "downloaded"}, part{f.Kept, "kept already"}, part{f.Failed, "that could not be had: see \"missing_files\" in the manifest"}))
	}
	if s.Findings > 0 {
		fmt.Printf("  findings     %s (%s), of the formats beside the canonical lines, which have all: see `pictosync runs %s --findings`\n", severitiesText(s.Kinds), kindsText(s.Kinds), s.Run)
	}
	if len(s.Pruned) > 0 {
		fmt.Printf("  pruned       %s\n", strings.Join(s.Pruned, ", "))
	}
	if s.KeptForFiles != "" {
		fmt.Printf("  kept too     %s\n", keptForFilesText(s.KeptForFiles))
	}
	if i.Failed > 0 {
		fmt.Printf("  what failed  see `pictosync runs %s --outcome failed`, and \"missing\" in the manifest\n", s.Run)
	}
	return nil
}

// keptForFilesText says why a snapshot stays that the rules do not keep.
func keptForFilesText(name string) string {
	return name + ": no newer snapshot has image files; export with --images, or delete its folder"
}

// imageBytesText is what the image files of a snapshot take, beside its other files.
func imageBytesText(n int64) string {
	if n == 0 {
		return ""
	}
	return "; and " + humanize.IBytes(uint64(n)) + " of image files"
}

func newRestore() *cobra.Command {
	var o saveOptions
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "restore BACKUP --dataset NAME",
		Short: "Bring a backup back into its dataset, or into another",
		Long: `Bring the annotations of BACKUP, a snapshot or a folder of them (then the newest),
on this machine, in a bucket or in an archive, into a dataset, whose images are matched by path. It is a sync like others: with
a plan, guards, backups and undo. Images that have no annotations in the backup
are cleared; images that are not in it are left alone. With --class, annotations of
other classes stay as they are.` + exitHint,
		Example: `  pictosync restore backups/cars --dataset cars --dry-run
  pictosync restore backups/cars/2026-03-01T020000Z --dataset cars --image 'train/**'
  pictosync restore backups/cars --dataset cars --class car`,
		Args: one(aBackup),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.applyAndKeep(cmd, args); err != nil {
				return err
			}
			o.source.include, o.restores = o.images, true
			settings, err := o.settings()
			if err != nil {
				return err
			}
			if dryRun {
				plan := planOptions{syncOptions: syncOptions{saveOptions: o}}
				return plan.show(cmd.Context(), args[0], settings, "sync "+args[0])
			}
			return o.save(cmd.Context(), args[0], settings, "sync "+args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset to restore into")
	f.StringArrayVar(&o.images, "image", nil, "only images whose path fits the `GLOB` (again for more)")
	f.StringArrayVar(&o.classes, "class", nil, "only annotations of the class `NAME` (again for more); those of other classes stay as they are, for which the images are read")
	f.BoolVar(&dryRun, "dry-run", false, "show the plan and write nothing to the service")
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	o.backups.addFlags(f)
	o.reads.addFlags(f)
	o.guards.addFlags(f)
	o.uploads.addFlags(f)
	o.addReportFlags(f)
	o.source.addLossFlags(f)
	o.source.outside = string(convert.OutsideKeep)
	o.match = string(worker.MatchExact) // the id in the backup, or the path
	return cmd
}

// besideCanonical are the formats that a snapshot may have beside its own.
func besideCanonical() []string {
	return slices.DeleteFunc(formats.Names(true), func(name string) bool { return name == canonical.Name })
}
