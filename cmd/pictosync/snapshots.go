package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/adrg/xdg"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"pictosync/backup"
	"pictosync/convert"
	"pictosync/convert/snapshot"
	"pictosync/remote"
	"pictosync/source"
)

type snapshotsOptions struct {
	keep                  string
	check, dryRun, asJSON bool
}

func newSnapshots() *cobra.Command {
	var o snapshotsOptions
	cmd := &cobra.Command{
		Use:   "snapshots BACKUPS",
		Short: "List the snapshots of a folder of backups, check or prune them",
		Long: `List the complete snapshots of a folder of backups, the newest first: of a DIR, of one
in a bucket (s3://bucket/folder), or in an archive. --check holds every file against
its checksum, in a bucket by reading all of it; --snapshots takes away those that are
not kept, of a DIR alone.` + exitHint,
		Example: `  pictosync snapshots backups/cars
  pictosync snapshots backups/cars --snapshots daily=7,weekly=4,monthly=12`,
		Args: one(aBackup),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSnapshots(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.keep, "snapshots", "", "take away all but the snapshots to `KEEP`: a number, or rules as daily=7,weekly=4,monthly=12")
	f.BoolVar(&o.check, "check", false, "hold every file against its checksum")
	f.BoolVar(&o.dryRun, "dry-run", false, "say which snapshots would be taken away, and take none")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return cmd
}

// snapshotsJSON is what the command says.
type snapshotsJSON struct {
	Snapshots []snapshotJSON `json:"snapshots"`
	Pruned    []string       `json:"pruned"`
	// KeptForFiles is a snapshot that only stays since it has files of images.
	KeptForFiles string `json:"kept_for_image_files,omitempty"`
}

type snapshotJSON struct {
	Name        string    `json:"name"`
	Taken       time.Time `json:"taken_at"`
	Ahead       bool      `json:"ahead,omitempty"` // dated after the present
	Images      int       `json:"images"`
	Annotations int       `json:"annotations"`
	Missing     int       `json:"missing"`
	Bytes       int64     `json:"bytes"`
	ImageBytes  int64     `json:"image_bytes"` // of the image files, which bytes leave out
	Checked     bool      `json:"checked,omitempty"`
	Damaged     []string  `json:"damaged,omitempty"`
	Error       string    `json:"error,omitempty"`
}

func runSnapshots(ctx context.Context, address string, o snapshotsOptions) error {
	dir, checker, closeCopy, err := snapshotFolder(ctx, address)
	if err != nil {
		return err
	}
	defer closeCopy()
	if o.keep != "" && dir != address {
		next := "unpack it first"
		if strings.Contains(address, "://") {
			next = "give --snapshots to the next `pictosync export --out " + remote.Shown(address) + "`, which takes them away there"
		}
		return usagef("prune the snapshots of %s: this command takes them away from a folder of this machine alone; %s", remote.Shown(address), next)
	}
	if _, err := os.Stat(dir); err != nil {
		return source.OpenError(remote.Shown(address), err)
	}
	if _, err := snapshot.ReadRepository(dir); errors.Is(err, fs.ErrNotExist) {
		return &convert.Error{Op: "read", Path: remote.Shown(address), Err: fmt.Errorf("it is no folder of backups: there is no %s in it", snapshot.RepositoryName), Advice: "give the folder that `pictosync export --out` wrote to, which has the snapshots in it"}
	} else if err != nil {
		return &convert.Error{Op: "read", Path: remote.Shown(address), Err: fmt.Errorf("it is no folder of backups: %w", err)}
	}
	out := snapshotsJSON{Snapshots: []snapshotJSON{}, Pruned: []string{}}
	if o.keep != "" {
		if err := pruneSnapshots(ctx, dir, checker, o, &out); err != nil {
			return err
		}
	}
	sound, err := readSnapshots(ctx, dir, checker, o.check, &out)
	if err != nil {
		return err
	}
	if o.asJSON {
		err = printJSON(os.Stdout, out)
	} else {
		printSnapshots(dir, o.dryRun, out)
	}
	if err == nil && !sound {
		err = errFailures
	}
	return err
}

// snapshotFolder is a folder of backups on disk, a copy of its lists where it lies elsewhere,
// and what holds its files against their checksums.
func snapshotFolder(ctx context.Context, address string) (dir string, checker *snapshot.Checker, closeCopy func(), err error) {
	elsewhere, err := copyOf(ctx, address, remote.Options{Cache: filepath.Join(xdg.CacheHome, "pictosync", "snapshots"), Keep: func(path string) bool {
		return slices.Contains([]string{snapshot.RepositoryName, snapshot.ContentsName, snapshot.ImageFilesName}, path[strings.LastIndexByte(path, '/')+1:])
	}})
	if err != nil || elsewhere == nil {
		return address, snapshot.NewChecker(snapshot.OnDisk), func() {}, err
	}
	open := func(ctx context.Context, file string) (io.ReadCloser, error) {
		f, _, err := elsewhere.Open(ctx, file)
		return f, err
	}
	return elsewhere.Path, snapshot.NewChecker(open), func() { elsewhere.Close() }, nil
}

// pruneSnapshots takes away the snapshots that are not to be kept.
func pruneSnapshots(ctx context.Context, dir string, checker *snapshot.Checker, o snapshotsOptions, out *snapshotsJSON) error {
	rules, err := backup.ParseRetention(o.keep)
	if err != nil {
		return usagef("read --snapshots: %w", err)
	}
	all, err := snapshot.List(dir, now())
	if err != nil {
		return err
	}
	if o.check && !o.dryRun {
		for _, s := range all {
			if damaged, err := checker.Check(ctx, s.Dir); err != nil || len(damaged) > 0 {
				return fmt.Errorf("prune the snapshots of %s: %s is damaged, so none was taken away; look at it with `pictosync snapshots %s --check`, and move it away", dir, s.Name, dir)
			}
		}
	}
	pruned, forFiles, err := backup.PruneSnapshots(all, rules, o.dryRun)
	out.Pruned, out.KeptForFiles = append(out.Pruned, pruned...), forFiles
	return err
}

// readSnapshots lists the snapshots; sound says that none is known to be damaged.
func readSnapshots(ctx context.Context, dir string, checker *snapshot.Checker, check bool, out *snapshotsJSON) (sound bool, err error) {
	all, err := snapshot.List(dir, now())
	if err != nil {
		return false, err
	}
	sound = true
	for _, s := range all {
		line := snapshotJSON{Name: s.Name, Taken: s.Taken, Ahead: s.Ahead}
		m, err := snapshot.ReadContents(s.Dir)
		if err == nil && check {
			line.Damaged, err = checker.Check(ctx, s.Dir)
			line.Checked = err == nil
		}
		if err != nil {
			line.Error = err.Error()
		}
		sound = sound && err == nil && len(line.Damaged) == 0
		line.Images, line.Annotations, line.Missing, line.Bytes, line.ImageBytes = m.Images, m.Annotations, len(m.Missing), m.Bytes(), m.ImageBytes
		out.Snapshots = append(out.Snapshots, line)
	}
	return sound, nil
}

func printSnapshots(dir string, dryRun bool, out snapshotsJSON) {
	if len(out.Snapshots) == 0 && len(out.Pruned) == 0 {
		fmt.Printf("%s holds no complete snapshot yet\n", dir)
	}
	for _, s := range out.Snapshots {
		checked := ""
		if s.Checked && len(s.Damaged) == 0 {
			checked = "; checked: every file is as its checksum says"
		}
		fmt.Printf("%s  %s with %s, %s%s%s\n", s.Name, plural(s.Images, "image"), plural(s.Annotations, "annotation"), humanize.IBytes(uint64(s.Bytes)), imageBytesText(s.ImageBytes), checked)
		if s.Ahead {
			fmt.Println("  dated ahead of the present: the clock was wrong then, or is now; it is kept, and not taken for the newest")
		}
		if s.Missing > 0 {
			fmt.Printf("  %s missing: see its manifest\n", plural(s.Missing, "image"))
		}
		for _, d := range s.Damaged {
			fmt.Printf("  damaged: %s\n", printable(d))
		}
		if s.Error != "" {
			fmt.Printf("  damaged: %s\n", printable(s.Error))
		}
	}
	if len(out.Pruned) > 0 {
		did := "pruned"
		if dryRun {
			did = "would prune"
		}
		fmt.Printf("%s %s\n", did, strings.Join(out.Pruned, ", "))
	}
	if out.KeptForFiles != "" {
		fmt.Printf("kept %s\n", keptForFilesText(out.KeptForFiles))
	}
}
