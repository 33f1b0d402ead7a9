package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/internal/nearest"
	"pictosync/remote"
	"pictosync/worker"
)

// guardOptions are the flags of every command that saves from a source.
type guardOptions struct {
	noCreateClasses bool
	unknownClasses  string
	onExisting      string
	onDrift         string
	onReviewed      string
	allowClear      bool
	allowShrink     bool
	maxRemoved      string
}

func (o *guardOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, guardsHeading)()
	f.StringVar(&o.unknownClasses, "unknown-classes", "create", "what is done about labels of classes that the dataset lacks: create the class, skip or fail the image")
	f.BoolVar(&o.noCreateClasses, "no-create-classes", false, "the same as --unknown-classes fail")
	f.StringVar(&o.onExisting, "on-existing", "overwrite", "what is done about images with annotations that pictosync did not save: overwrite, skip or fail")
	f.StringVar(&o.onReviewed, "on-reviewed", "overwrite", "what is done about images with annotations that are in review, or complete: overwrite, skip or fail")
	f.StringVar(&o.onDrift, "on-drift", "fail", "what is done about images that someone changed since pictosync saved them: overwrite, skip or fail")
	f.BoolVar(&o.allowClear, "allow-clear", false, "let empty labels clear images that have annotations")
	f.BoolVar(&o.allowShrink, "allow-shrink", false, "take a source that has less than half the images of its last run")
	f.StringVar(&o.maxRemoved, "max-removed", "auto", "stop where more of the dataset's annotations would be removed or replaced: a `NUMBER`, a part such as 25%, none, or auto (half of them, and more than 100)")
}

// read reads the flags of the guards.
func (o *guardOptions) read(w *worker.Options) (err error) {
	if o.noCreateClasses {
		o.unknownClasses = "fail"
	}
	if err := cmp.Or(
		oneOf("on-existing", o.onExisting),
		oneOf("on-drift", o.onDrift),
		oneOf("on-reviewed", o.onReviewed),
		oneOf("unknown-classes", o.unknownClasses),
	); err != nil {
		return err
	}
	if w.MaxRemoved, err = worker.ParseLimit(o.maxRemoved); err != nil {
		return usagef("read --max-removed: %w", err)
	}
	w.OnExisting, w.OnDrift, w.OnReviewed, w.UnknownClasses = worker.Policy(o.onExisting), worker.Policy(o.onDrift), worker.Policy(o.onReviewed), worker.Policy(o.unknownClasses)
	w.RefuseClear, w.AllowShrink = !o.allowClear, o.allowShrink
	return nil
}

// backupOptions are the flags of every command that saves.
type backupOptions struct{ backup string }

func (o *backupOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, guardsHeading)()
	f.StringVar(&o.backup, "backup", "auto", "keep what images have before it is overwritten, for undo: auto (where the listing shows annotations), always or never")
}

func (o *backupOptions) read(policy *worker.BackupPolicy) error {
	*policy = worker.BackupPolicy(o.backup)
	return oneOf("backup", o.backup)
}

// saveOptions are those of the commands that bring a source into a dataset.
type saveOptions struct {
	images []string // the globs of a restore
	serviceOptions
	sourcedOptions
	guards  guardOptions
	backups backupOptions
	page    pageOptions
	uploads uploadOptions
	// classes are all that is brought back, of restore.
	classes  []string
	restores bool // only backups are taken
}

func (o *saveOptions) settings() (w worker.Options, err error) {
	if w.Common, err = o.common(); err != nil {
		return w, err
	}
	if len(o.source.include)+len(o.source.exclude) > 0 {
		w.Narrowed = fmt.Sprintf(" include=%q exclude=%q", o.source.include, o.source.exclude)
	}
	if len(o.classes) > 0 {
		w.OnlyClasses = o.classes
		w.Narrowed += fmt.Sprintf(" classes=%q", o.classes)
	}
	if err := o.uploads.read(&w); err != nil {
		return w, err
	}
	w.AnyFile = o.restores || o.source.onSizeMismatch == string(convert.SizeKeep)
	return w, cmp.Or(o.guards.read(&w), o.backups.read(&w.Backup), o.page.check())
}

// syncOptions are the flags of sync.
type syncOptions struct {
	saveOptions
	prune     bool
	maxPruned string
	planFile  string // to read
}

func (o *syncOptions) addFlags(f *pflag.FlagSet) {
	o.addConfigFlag(f)
	o.serviceOptions.addFlags(f)
	o.addJobFlags(f)
}

// addJobFlags are those that each job of a configuration has for itself.
func (o *syncOptions) addJobFlags(f *pflag.FlagSet) {
	f.StringVar(&o.dataset, "dataset", "", "`NAME` or id of the dataset to save into")
	o.backups.addFlags(f)
	o.reads.addFlags(f)
	o.guards.addFlags(f)
	o.uploads.addFlags(f)
	o.addReportFlags(f)
	o.addMatchFlag(f)
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.page.addFolderFlag(f)
	defer under(f, guardsHeading)()
	f.StringVar(&o.maxPruned, "max-pruned", "10%", "stop where --prune would clear more of the dataset's images in a week: a `NUMBER`, a part (ten images are always allowed, unless that is most of them), or none")
	f.BoolVar(&o.prune, "prune", false, "clear the images that an earlier sync took from the source and that it does not name any more")
}

func (o *syncOptions) settings() (w worker.Options, err error) {
	if w, err = o.saveOptions.settings(); err != nil {
		return w, err
	}
	if w.MaxPruned, err = worker.ParsePruneLimit(o.maxPruned); err != nil {
		return w, usagef("read --max-pruned: %w", err)
	}
	w.Prune = o.prune
	if o.planFile != "" {
		w.Expect, err = readPlan(o.planFile)
	}
	return w, err
}

func newSync() *cobra.Command {
	var o syncOptions
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "sync SOURCE --dataset NAME",
		Short: "Bring the labels of a source into a dataset",
		Long: `Bring the labels of SOURCE into a dataset, replacing what its images have.

SOURCE is a COCO file or a folder of them, a YOLO folder, a Create ML file, a SQLite
manifest, or canonical JSON Lines, also in a .zip or .tar.gz, in a bucket (s3://, gs://, azblob://)
or behind https://. Every image that the labels speak of is matched to one
image of the dataset; images that have what the labels say already are not sent.
A label file without labels clears its image with --allow-clear, and fails it
otherwise where it has annotations; an image without a label file is left alone.
The key is read from PICTOGRAPH_API_KEY.

With --upload missing, images that the dataset lacks are uploaded first, where
their files are at hand, five hundred in two requests; --create-dataset makes the
dataset too.

A run that was interrupted, by whatever, is finished by the same command.` + exitHint,
		Example: `  pictosync sync testdata/shapes --dataset shapes --sandbox
  pictosync sync annotations/instances_val2017.json --dataset val2017 --rate 20000/h
  pictosync sync coco128 --dataset coco128 --create-dataset --upload missing`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.applyAndKeep(cmd, args); err != nil {
				return err
			}
			if dryRun {
				return runPlan(cmd.Context(), args[0], planOptions{syncOptions: o}, "sync "+args[0])
			}
			return runSync(cmd.Context(), args[0], o, "sync "+args[0])
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan and write nothing to the service")
	cmd.Flags().StringVar(&o.planFile, "plan", "", "do what the plan in `FILE` says, or stop if that is no longer what there is to do")
	return cmd
}

func newPlan() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan SOURCE --dataset NAME",
		Short: "Show what a sync would do, image by image, and write nothing",
		Long: `Show what a sync with the same options would do, in totals and image by image,
and write nothing to the service: which images are new, overwritten, cleared,
unchanged, changed by someone else, or cannot be taken, how many annotations
come and go, which classes would be created, and how long it takes. A terminal
shows the images with --rows only; a file or a pipe always has them.

With --diff IMAGE the annotations that the image has and those that it would have
are paired, a line each: + is added, - removed, ~ changed; those that stay are
counted. With --html FILE it is a page, with the images that change most.
What goes from them is drawn where it is known; --read-images N reads it.

With --out the plan is kept, and sync --plan FILE does that or nothing.` + exitHint,
		Example: `  pictosync plan testdata/shapes --dataset shapes --sandbox
  pictosync plan testdata/shapes --dataset shapes --sandbox --diff train/shapes_03.png
  pictosync plan testdata/shapes --dataset shapes --sandbox --html plan.html
  pictosync plan testdata/shapes --dataset shapes --sandbox --out shapes.plan
  pictosync sync testdata/shapes --dataset shapes --sandbox --plan shapes.plan`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.applyAndKeep(cmd, args); err != nil {
				return err
			}
			return runPlan(cmd.Context(), args[0], o, "sync "+args[0])
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.out, "out", "", "`FILE` to keep the plan in, for sync --plan")
	cmd.Flags().StringVar(&o.diff, "diff", "", "show the annotations of one `IMAGE` before and after, paired, instead of the plan")
	o.page.addFileFlag(cmd.Flags(), "what it would change, with the images that change most,")
	cmd.Flags().IntVar(&o.page.read, "read-images", 0, "for the page of --html, read what at most `N` images have, those that change most and are not known; each costs a request")
	cmd.Flags().IntVar(&o.page.fetch, "fetch-images", 0, "for the page of --html, fetch the files of at most `N` images, those that change most and whose files are not at hand; each costs a request")
	forThisCommand(cmd.Flags(), "read-images", "fetch-images")
	cmd.Flags().BoolVar(&o.rows, "rows", false, "list every image that changes also on a terminal, where the summary stands alone")
	return cmd
}

func runSync(parent context.Context, path string, o syncOptions, doing string) error {
	settings, err := o.settings()
	if err != nil {
		return err
	}
	return o.save(parent, path, settings, doing)
}

// save does a sync and prints what it came to.
func (o *saveOptions) save(parent context.Context, path string, settings worker.Options, doing string) error {
	s, err := o.begin(parent)
	if err != nil {
		return err
	}
	defer s.close()
	src, err := o.opening(s, path)
	if err != nil {
		return err
	}
	if err := s.openWith(src, func() error { return s.open(doing) }); err != nil {
		return err
	}
	summary, err := o.sync(s, src, settings)
	if src.err != nil {
		return src.err
	}
	if printErr := o.output.print(os.Stdout, summary, err); printErr != nil {
		return printErr
	}
	if !o.output.json && !o.output.quiet && summary.Images.Unmatched > 0 && o.uploads.upload == string(worker.UploadNone) {
		fmt.Println("               --upload missing brings images that the dataset lacks, where their files are at hand")
	}
	return err
}

// sync does a sync in a session that is open.
func (o *saveOptions) sync(s *session, src *opening, settings worker.Options) (worker.Summary, error) {
	if err := s.makeForSync(o.dataset, src, settings); err != nil {
		src.read.close()
		return worker.Summary{Dataset: o.dataset, Source: src.path}, err
	}
	summary, err := o.run(s, src, settings.Common, func(c *connection, common worker.Common) (worker.Summary, error) {
		settings.Common, settings.Files = common, src.files()
		return worker.Sync(s.ctx, s.stop.asked, c.to(s.store), src.Open, settings)
	})
	if src.err == nil && summary.Run != "" {
		err = joinFailures(err, o.page.write(s, src.src, summary, pageOf{backup: settings.Backup}))
	}
	return summary, err
}

// opening reads what the flags say of a source.
func (o *saveOptions) opening(s *session, path string) (*opening, error) {
	src, err := o.sourcedOptions.opening(s, path)
	if err != nil {
		return nil, err
	}
	open := src.open
	src.open = func() (convert.Source, error) {
		opened, err := open()
		if err != nil {
			return nil, err
		}
		if o.restores && opened.Describe().Format != canonical.FormatBackup {
			return nil, usagef("restore %s: it is no backup as pictosync export writes it; `pictosync sync` takes labels of other forms", remote.Shown(path))
		}
		return opened, cmp.Or(o.checkClasses(opened), o.checkImages(s.ctx, opened))
	}
	return src, nil
}

// checkImages holds the globs of the images that are to be brought back against those that the
// backup has.
func (o *saveOptions) checkImages(ctx context.Context, src convert.Source) error {
	if len(o.images) == 0 {
		return nil
	}
	for _, err := range src.Items(ctx, "") {
		return err
	}
	return usagef("read --image: %s fits no image of the backup; give a path or a glob as in train/**", strings.Join(o.images, ", "))
}

// checkClasses holds the classes that are to be brought back against those that
// the backup has.
func (o *saveOptions) checkClasses(src convert.Source) error {
	names := src.Describe().Defined
	for _, class := range o.classes {
		if slices.Contains(names, class) {
			continue
		}
		return absentClass(class, "the backup has no", names)
	}
	return nil
}

// absentClass refuses a class that is not among those that there are.
func absentClass(class, hasNo string, names []string) error {
	if near := nearest.Name(class, names); near != "" {
		return usagef("read --class: %s class %q; did you mean %q?", hasNo, class, near)
	}
	if len(names) == 0 {
		return usagef("read --class: %s class %q, nor any other", hasNo, class)
	}
	return usagef("read --class: %s class %q; what there is: %s", hasNo, class, someNames(names))
}
