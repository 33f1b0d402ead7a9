package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/adrg/xdg"
	"github.com/cli/browser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/report"
	"pictosync/view"
)

// pagesOptions are the flags of the commands that serve pages.
type pagesOptions struct {
	listen    string
	noBrowser bool
}

func (o *pagesOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "`ADDRESS` to serve pages on, of this machine alone; port 0 is a free one")
	f.BoolVar(&o.noBrowser, "no-browser", false, "print the address and open no browser")
	forThisCommand(f, "listen") // that of a configuration is the sandbox's
}

// serve serves pages until the context ends, which is how these commands come to their end.
func (o *pagesOptions) serve(ctx context.Context, out outputOptions, pages http.Handler) error {
	local, err := view.Listen(o.listen)
	if err != nil {
		return usageError{err}
	}
	switch {
	case out.json:
		if err := printJSON(os.Stdout, map[string]string{"url": local.URL()}); err != nil {
			return err
		}
	default:
		fmt.Println(local.URL())
	}
	if !out.json && !out.quiet {
		fmt.Fprintln(os.Stderr, "pictosync: showing pages at the address above; Ctrl-C ends it")
	}
	if !o.noBrowser {
		// Nobody waits for it: a browser of the terminal ends when its user leaves it.
		go open(local.URL())
	}
	return local.Serve(ctx, pages)
}

func open(url string) {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	if err := browser.OpenURL(url); err != nil {
		fmt.Fprintf(os.Stderr, "pictosync: no browser could be opened (%v): open the address yourself\n", err)
	}
}

// untilStopped is a context that Ctrl-C ends, of a command that has nothing to finish.
func untilStopped(parent context.Context) (context.Context, func()) {
	return signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
}

// thumbnails is the folder that keeps thumbnails.
func thumbnails() string { return filepath.Join(xdg.CacheHome, "pictosync", "thumbnails") }

type viewOptions struct {
	config string
	source sourceOptions
	output outputOptions
	pages  pagesOptions
}

func newView() *cobra.Command {
	var o viewOptions
	cmd := &cobra.Command{
		Use:   "view SOURCE",
		Short: "Show a source in the browser: its labels on their images, without a network",
		Long: `Show a source in the browser, without a network: its labels on their images,
how many of which class, how large they are, samples of each class, images
without labels and labels without images, and what was found wrong with them.
SOURCE may be all that it is for sync; only one that lies elsewhere needs a network.

The pages come from this process, at an address of this machine that holds a
token; they only show, and load nothing from elsewhere. Thumbnails are kept in
the user's cache directory. Ctrl-C ends it.` + exitHint,
		Example: `  pictosync view testdata/shapes
  pictosync view annotations/instances_val2017.json --images val2017
  pictosync view testdata/shapes --no-browser --listen 127.0.0.1:8080`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			return runView(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.pages.addFlags(f)
	o.output.addFlags(f)
	return cmd
}

func runView(parent context.Context, path string, o viewOptions) error {
	ctx, release := untilStopped(parent)
	defer release()
	serving, stop := context.WithCancel(ctx)
	pages := report.NewFresh(path, report.FreshOptions{Open: o.source.album, Progress: o.output.counting(), Serving: serving,
		Failed: func(err error) { fmt.Fprintf(os.Stderr, "pictosync: %s\n", printable(errorLine(err))) }})
	defer pages.Wait()
	defer stop()
	if _, err := pages.Open(true); err != nil {
		return err
	}
	return o.pages.serve(ctx, o.output, pages)
}

// album opens a source to be looked at.
func (o sourceOptions) album(ctx context.Context, path string) (*report.Album, error) {
	accepted, err := o.accepted()
	if err != nil {
		return nil, err
	}
	var found collector
	src, err := o.open(ctx, path, &found)
	if err != nil {
		return nil, err
	}
	photos := view.NewPhotos(thumbnails())
	photos.Tidy()
	return report.NewAlbum(src, report.AlbumOptions{Accepted: accepted, Photos: photos, Images: o.images, At: now(), Findings: func() []convert.Finding { return found.take() }}), nil
}

// counting tells people how far the count of a source is, now and then.
func (o outputOptions) counting() func(images int) {
	if o.quiet || !onTerminal(os.Stderr) {
		return nil
	}
	last := time.Now()
	return func(images int) {
		if now := time.Now(); now.Sub(last) >= 2*time.Second {
			last = now
			fmt.Fprintf(os.Stderr, "\rgone through %s so far", plural(images, "image"))
		}
	}
}
