package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"pictosync/source"
	"pictosync/store"
	"pictosync/upload"
	"pictosync/worker"
)

// uploadOptions are the flags of the commands that bring images too.
type uploadOptions struct {
	upload  string
	streams int
	create  bool
	force   bool
	splits  bool
}

func (o *uploadOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, uploadHeading)()
	f.StringVar(&o.upload, "upload", string(worker.UploadNone), "upload images that the dataset lacks and whose files are at hand: none, missing (those that labels name) or all (also those without labels)")
	f.IntVar(&o.streams, "streams", upload.DefaultStreams, "how many files are uploaded at once; they do not count against the rate")
	f.BoolVar(&o.create, "create-dataset", false, "make the dataset where it is not there, with the classes of the labels; takes --upload")
	f.BoolVar(&o.splits, "set-splits", false, "put images that are in no split into the one that the source has them in, a request an image")
	f.BoolVar(&o.force, "force-create", false, "make it also where its name is almost that of another")
}

func (o *uploadOptions) read(w *worker.Options) error {
	if o.upload == "" { // a command without these flags
		return nil
	}
	if err := oneOf("upload", o.upload); err != nil {
		return err
	}
	w.Upload, w.Streams, w.SetSplits = worker.Uploading(o.upload), o.streams, o.splits
	switch {
	case o.streams < 1:
		return usagef("read --streams: %d files at once upload nothing; give 1 or more", o.streams)
	case o.force && !o.create:
		return usagef("read --force-create: it says how a dataset is made; add --create-dataset")
	case o.create && w.Upload == worker.UploadNone:
		return usagef("read --create-dataset: a new dataset has no images to label; add --upload missing")
	}
	w.Create, w.ForceCreate = o.create, o.force
	return nil
}

// intoFolder is the folder that --into names, in its one form.
func intoFolder(into string) (string, error) {
	into = strings.Trim(into, "/")
	if into == "" || into == "." {
		return "", nil
	}
	clean, err := source.CleanImagePath(into)
	if err != nil {
		return "", usagef("read --into: the folder %w", err)
	}
	return clean, nil
}

// printUploads says what became of the files that a run was to bring.
func printUploads(w io.Writer, run string, u *store.UploadTotals) {
	if u == nil {
		return
	}
	fmt.Fprintf(w, "  uploaded     %s (%s)", plural(u.Done, "image"), humanize.IBytes(uint64(u.DoneBytes)))
	for _, p := range []part{{u.There, "there when they were to be registered"}, {u.Renamed, "that the service gave other names"}, {u.Failed, "failed"}, {u.Planned, "yet to come"}} {
		if p.n > 0 {
			fmt.Fprintf(w, ", %d %s", p.n, p.what)
		}
	}
	fmt.Fprintln(w)
	if u.Done > 0 {
		fmt.Fprintf(w, "               undo leaves them in the dataset: `pictosync undo %s --uploaded` archives them too\n", run)
	}
}

// files are where the image files of a source lie. It is opened while a run asks for the dataset:
// which copies there are is asked for when a file is.
func (o *opening) files() upload.Files { return sourceFiles{o.read} }

type sourceFiles struct{ read *sourceSettings }

func (f sourceFiles) Header(ctx context.Context, file string) (io.ReadSeekCloser, upload.Stat, error) {
	return f.read.copies.Header(ctx, file)
}

func (f sourceFiles) Open(ctx context.Context, file string) (io.ReadCloser, upload.Stat, error) {
	return f.read.copies.Open(ctx, file)
}

func (f sourceFiles) Name(file string) string { return f.read.copies.Name(file) }
