package main

import (
	"context"

	"github.com/spf13/cobra"

	"pictosync/convert"
	"pictosync/report"
	"pictosync/store"
	"pictosync/view"
)

type uiOptions struct {
	config string
	state  string
	source sourceOptions
	output outputOptions
	pages  pagesOptions
}

func newUI() *cobra.Command {
	var o uiOptions
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the runs of a state in the browser: what they changed, on the images",
		Long: `Show a state in the browser: its runs and plans, what each changed on which image,
before and after, how the nights went, its datasets and its sources.

The pages come from this process, at an address of this machine that holds a
token; they only show, ask nothing of the service, and load nothing from
elsewhere. What images had comes from the backups of the runs; what they have
since from the source, read as the flags about sources say, where it is still
what the run saved. A run may work on the state meanwhile. Ctrl-C ends it.` + exitHint,
		Example: `  pictosync ui
  pictosync ui --state nightly-state/state.db --images /data/images --no-browser`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			return runUI(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	f.StringVar(&o.state, "state", "", "state `FILE` (default: pictosync/state.db in the user's state directory)")
	o.source.addFlags(f)
	o.source.addClassMap(f)
	o.pages.addFlags(f)
	o.output.addFlags(f)
	return cmd
}

func runUI(parent context.Context, o uiOptions) error {
	ctx, release := untilStopped(parent)
	defer release()
	path, err := statePath(o.state)
	if err != nil {
		return err
	}
	st, err := lookAt(ctx, path)
	if err != nil {
		return err
	}
	if err := st.Close(); err != nil {
		return err
	}
	if _, err := o.source.read(&collector{}); err != nil {
		return err
	}
	photos := view.NewPhotos(thumbnails())
	photos.Tidy()
	serving, stop := context.WithCancel(ctx)
	state := report.NewState(path, report.StateOptions{
		Open: func(ctx context.Context, st *store.Store, run store.Run) (convert.Source, string) {
			return o.source.again(ctx, st, run)
		},
		Album:    o.source.album,
		Cost:     runCost,
		Commands: func(run store.Run, did report.Did) []view.Command { return nextCommands(run, did, o.state) },
		Photos:   photos, Serving: serving,
	})
	defer state.Wait()
	defer stop()
	return o.pages.serve(ctx, o.output, state)
}
