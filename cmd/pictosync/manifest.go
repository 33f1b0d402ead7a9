package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"pictosync/convert/manifest"
	"pictosync/remote"
)

type manifestOptions struct {
	config string
	source sourceOptions
	output outputOptions
	out    string
}

func newManifest() *cobra.Command {
	var o manifestOptions
	cmd := &cobra.Command{
		Use:   "manifest SOURCE --out FILE.db",
		Short: "Write the list of a source's images and labels as a SQLite manifest",
		Long: `Write the list of a source's images and labels as a SQLite manifest: a source that
opens at once, can be edited with SQL, and names image ids and sizes where they
are known. The labels themselves stay in their files.` + exitHint,
		Example: `  pictosync manifest testdata/shapes --out shapes.db
  pictosync sync shapes.db --dataset shapes --sandbox`,
		Args: one(aSource),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applySettings(cmd, o.config); err != nil {
				return err
			}
			return runManifest(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
	f.StringVar(&o.out, "out", "", "`FILE` to write")
	o.source.addFlags(f)
	o.output.addFlags(f)
	return cmd
}

func runManifest(ctx context.Context, path string, o manifestOptions) error {
	if o.out == "" {
		return usagef("no output: name a file with --out")
	}
	if _, err := os.Lstat(o.out); err == nil {
		return usagef("write %s: it is there already, and may have been edited; remove it, or name another with --out", o.out)
	}
	if err := checkFile("out", o.out); err != nil {
		return err
	}
	var findings collector
	for _, from := range []string{path, o.source.images} {
		if remote.Is(from) {
			return usagef("manifest %s: a manifest names files of this machine, and these would be in the cache; unpack or download it first, and give the folder", remote.Shown(from))
		}
	}
	src, err := o.source.open(ctx, path, &findings)
	if err != nil {
		return err
	}
	n, err := manifest.Write(ctx, src, o.out, findings.add)
	if err != nil {
		return err
	}
	accepted, err := o.source.accepted()
	if err != nil {
		return err
	}
	findings.finish()
	found := findings.take()
	var groups findingGroups
	lost := false
	for _, f := range found {
		groups.add(f)
		lost = lost || accepted.Refuses(f.Kind)
	}
	switch {
	case o.output.json:
		err = printJSON(os.Stdout, map[string]int{"images": n, "findings": len(found)})
	case !o.output.quiet:
		groups.print(os.Stderr)
		fmt.Printf("%s: %s\n", o.out, plural(n, "image"))
	}
	if err == nil && lost {
		return errFailures
	}
	return err
}
