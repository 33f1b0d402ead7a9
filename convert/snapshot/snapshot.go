package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/pictograph"
	"pictosync/source"
)

// The layout of a folder of backups:
//
//	pictosync-backups.json      Repository: which dataset they are of
//	2026-03-01T020000Z/         a snapshot, named after the time it was begun
//	  manifest.json             Contents: what is in it, written last
//	  dataset.json              pictograph.Dataset: classes and their templates
//	  images.jsonl              what else the service says of each image
//	  annotations/00001.jsonl   canonical JSON Lines, by the images' paths
//	  images/                   their files, where they were asked for
//	  image-files.jsonl         ImageFile: which these are
//	  splits/train.txt          paths of the images of a split, one a line
//	  coco/, yolo-detect/ …     other formats, where they were asked for
//	.partial-…                  a snapshot that is being written
const (
	RepositoryName = "pictosync-backups.json"
	ContentsName   = "manifest.json"
	DatasetName    = "dataset.json"
	snapshotFormat = "pictosync-backup"
	// SnapshotTime is the form of a snapshot's name, in UTC.
	SnapshotTime = "2006-01-02T150405Z"
)

// Repository says which dataset the backups of a folder are of.
type Repository struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Service string `json:"service"`
	ID      string `json:"dataset_id"`
	Dataset string `json:"dataset"`
}

// NewRepository is what marks a folder of backups.
func NewRepository(service, id, name string) Repository {
	return Repository{Format: snapshotFormat, Version: 1, Service: service, ID: id, Dataset: name}
}

// Contents says what a snapshot holds.
type Contents struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Dataset string `json:"dataset"`
	ID      string `json:"dataset_id"`
	// Taken is when the export was begun.
	Taken       time.Time `json:"taken_at"`
	Images      int       `json:"images"`
	Annotations int       `json:"annotations"`
	Missing     []Missing `json:"missing"` // images whose annotations are not in it
	// ImageFiles are the files of images, ImageBytes what they take; MissingFiles are images
	// whose files are not in it.
	ImageFiles   int        `json:"image_files,omitempty"`
	ImageBytes   int64      `json:"image_bytes,omitempty"`
	MissingFiles []Missing  `json:"missing_files,omitempty"`
	Files        []FileHash `json:"files"`
}

// Missing is an image that is not in a backup, and why.
type Missing struct {
	Image  string `json:"image"`
	Reason string `json:"reason"`
}

// FileHash is a file of a snapshot.
type FileHash struct {
	Path   string `json:"path"` // slash-separated, below the snapshot
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// NewContents begins a manifest.
func NewContents(d pictograph.Dataset, taken time.Time) Contents {
	return Contents{Format: snapshotFormat, Version: 1, Dataset: d.Name, ID: d.ID, Taken: taken.UTC(), Missing: []Missing{}}
}

// Bytes is the size of all files.
func (m Contents) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// Snapshot is a complete snapshot in a folder of backups.
type Snapshot struct {
	Name  string // of its folder
	Dir   string
	Taken time.Time
	// Ahead says that it is dated more than a day after the present: the clock was wrong
	// then, or is now.
	Ahead bool
}

// List lists the complete snapshots of a folder of backups, the newest
// first and those that are dated ahead of the present last. What is not complete is passed
// over.
func List(dir string, now time.Time) ([]Snapshot, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, source.OpenError(dir, err)
	}
	var all, ahead []Snapshot
	for _, e := range slices.Backward(entries) {
		taken, err := time.Parse(SnapshotTime, e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, e.Name(), ContentsName)); err == nil {
			s := Snapshot{Name: e.Name(), Dir: filepath.Join(dir, e.Name()), Taken: taken, Ahead: taken.After(now.Add(24 * time.Hour))}
			if s.Ahead {
				ahead = append(ahead, s)
			} else {
				all = append(all, s)
			}
		}
	}
	return append(all, ahead...), nil
}

// ReadRepository reads the mark of a folder of backups; the error matches
// fs.ErrNotExist where there is none.
func ReadRepository(dir string) (Repository, error) {
	var r Repository
	err := readJSON(filepath.Join(dir, RepositoryName), &r)
	if err == nil && (r.Format != snapshotFormat || r.Version != 1) {
		err = fmt.Errorf("read %s: it says format %q, version %d; this program knows %q, version 1", filepath.Join(dir, RepositoryName), r.Format, r.Version, snapshotFormat)
	}
	return r, err
}

// ReadContents reads the manifest of a snapshot.
func ReadContents(dir string) (Contents, error) {
	var m Contents
	path := filepath.Join(dir, ContentsName)
	if err := readJSON(path, &m); err != nil {
		return m, err
	}
	if m.Format != snapshotFormat || m.Version != 1 {
		return m, fmt.Errorf("read %s: it says format %q, version %d; this program knows %q, version 1", path, m.Format, m.Version, snapshotFormat)
	}
	for _, f := range m.Files {
		if !fs.ValidPath(f.Path) {
			return m, fmt.Errorf("read %s: %q is no path below the snapshot", path, f.Path)
		}
	}
	return m, nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, source.ReasonOf(err))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Opener opens the files of snapshots where they lie.
type Opener func(ctx context.Context, file string) (io.ReadCloser, error)

// OnDisk opens files of this machine.
func OnDisk(_ context.Context, file string) (io.ReadCloser, error) {
	return source.OpenRegular(file)
}

// Checker holds snapshots against their manifests. A content of images that several of them
// have is read once where it has no name in each.
type Checker struct {
	open     Opener
	mu       sync.Mutex
	contents map[string]FileHash
}

// NewChecker checks snapshots whose files are opened so.
func NewChecker(open Opener) *Checker {
	return &Checker{open: open, contents: make(map[string]FileHash)}
}

// Check holds every file of a snapshot against the manifest and tells
// which are missing or differ, and the images in them against their number.
func (c *Checker) Check(ctx context.Context, dir string) (bad []string, err error) {
	m, err := ReadContents(dir)
	if err != nil {
		return nil, err
	}
	images := 0
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return bad, err
		}
		lines, err := checkFile(ctx, c.open, dir, f)
		if err != nil {
			bad = append(bad, err.Error())
		} else if strings.HasPrefix(f.Path, "annotations/") {
			images += lines
		}
		if f.Path == ImageFilesName {
			damaged, err := c.checkImages(ctx, dir)
			if bad = append(bad, damaged...); err != nil {
				return bad, err
			}
		}
	}
	if len(bad) == 0 && images != m.Images {
		bad = append(bad, fmt.Sprintf("%s: it says %d images, and the files that it names hold %d", ContentsName, m.Images, images))
	}
	return bad, nil
}

// CheckFile tells whether a file of a snapshot on this machine is what its manifest says.
func CheckFile(dir string, f FileHash) error {
	_, err := checkFile(context.Background(), OnDisk, dir, f)
	return err
}

// checkFile counts the lines of the file too.
func checkFile(ctx context.Context, open Opener, dir string, f FileHash) (lines int, err error) {
	is, lines, err := hashFile(ctx, open, filepath.Join(dir, filepath.FromSlash(f.Path)))
	return lines, f.compare(is, err)
}

// compare says what is wrong with a file that is so, or cannot be read.
func (f FileHash) compare(is FileHash, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", f.Path, source.ReasonOf(err))
	case is.Bytes != f.Bytes:
		return fmt.Errorf("%s: has %d bytes, the manifest says %d", f.Path, is.Bytes, f.Bytes)
	case is.SHA256 != f.SHA256:
		return fmt.Errorf("%s: its checksum is not the manifest's", f.Path)
	}
	return nil
}

// HashFile is what a manifest says of a file of a snapshot.
func HashFile(dir, path string) (FileHash, error) {
	f, _, err := hashFile(context.Background(), OnDisk, filepath.Join(dir, filepath.FromSlash(path)))
	f.Path = path
	return f, err
}

func hashFile(ctx context.Context, open Opener, path string) (is FileHash, lines int, err error) {
	file, err := open(ctx, path)
	if err != nil {
		return is, 0, err
	}
	defer file.Close()
	h, counter := sha256.New(), lineCounter(0)
	n, err := io.Copy(io.MultiWriter(h, &counter), file)
	return FileHash{Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil))}, int(counter), err
}

// lineCounter counts the ends of lines that are written to it.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// open opens a snapshot, or the newest of a folder of them. All of what is
// read is held against the manifest first: a damaged backup restores nothing.
func open(ctx context.Context, in convert.Input) (convert.Source, error) {
	dir, reason, err := snapshotIn(in)
	if err != nil {
		return nil, err
	}
	m, err := ReadContents(dir)
	if err != nil {
		return nil, &convert.Error{Op: "read", Path: dir, Err: err}
	}
	c, err := canonical.New(in, canonical.FormatBackup, reason)
	if err != nil {
		return nil, err
	}
	c.Elsewhere = ContentsName
	b := backed{Dataset: c, dir: dir, sums: sync.OnceValue(func() map[string]string { return sumsOf(dir) })}
	var ids map[string]string // by path
	for _, f := range m.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		annotations := strings.HasPrefix(f.Path, "annotations/")
		if !annotations && f.Path != DatasetName && f.Path != imagesName {
			continue
		}
		if err := CheckFile(dir, f); err != nil {
			return nil, damaged(dir, err)
		}
		switch {
		case annotations:
			if err := c.AddLines(ctx, path, f.Path); err != nil {
				return nil, err
			}
		case f.Path == imagesName:
			if ids, b.splits, err = readImages(path); err != nil {
				return nil, &convert.Error{Op: "read", Path: path, Err: err}
			}
		default:
			var d pictograph.Dataset
			if err := readJSON(path, &d); err != nil {
				return nil, &convert.Error{Op: "read", Path: dir, Err: err}
			}
			c.Classes = d.Classes
		}
	}
	if c.Len() != m.Images {
		return nil, damaged(dir, fmt.Errorf("its manifest says %d images, and its files hold %d", m.Images, c.Len()))
	}
	c.FailRepeated()
	for _, missing := range m.Missing {
		c.Lack(missing.Image, fmt.Errorf("it is not in the backup: %s", missing.Reason))
	}
	for i := range c.All() {
		record := &c.All()[i]
		record.ImageID = ids[record.Image]
	}
	return b, nil
}

// snapshotIn is the snapshot that a folder is, or the newest that it holds, and why that.
func snapshotIn(in convert.Input) (dir, reason string, err error) {
	dir = in.Path
	if _, err := os.Stat(filepath.Join(dir, ContentsName)); !errors.Is(err, fs.ErrNotExist) {
		return dir, "its manifest says that it is a snapshot", nil
	}
	if _, err := ReadRepository(dir); err != nil {
		return "", "", &convert.Error{Op: "read", Path: dir, Err: err}
	}
	now := in.Now
	if now.IsZero() {
		now = time.Now()
	}
	all, err := List(dir, now)
	if err != nil {
		return "", "", err
	}
	if len(all) == 0 {
		return "", "", &convert.Error{Op: "read", Path: dir, Err: errors.New("the folder of backups holds no complete snapshot"), Advice: "run `pictosync export` to its end"}
	}
	return all[0].Dir, fmt.Sprintf("%s is the newest of %d snapshots", all[0].Name, len(all)), nil
}

func damaged(dir string, err error) error {
	return &convert.Error{Op: "read", Path: dir, Err: fmt.Errorf("the backup is damaged: %w", err), Advice: "use another snapshot; `pictosync snapshots` lists them"}
}

// imagesName is what the service said of each image, beside its annotations.
const imagesName = "images.jsonl"

// readImages reads the service's ids of the images of a snapshot and their splits, by path.
// Of two images with one path neither is known: nothing tells whose the annotations are.
func readImages(file string) (ids, splits map[string]string, err error) {
	f, err := source.OpenRegular(file)
	if err != nil {
		return nil, nil, source.ReasonOf(err)
	}
	defer f.Close()
	ids, splits = make(map[string]string), make(map[string]string)
	for lines := json.NewDecoder(f); ; {
		var image struct {
			ID    string `json:"id"`
			Path  string `json:"image"`
			Split string `json:"split"`
		}
		switch err := lines.Decode(&image); {
		case errors.Is(err, io.EOF):
			return ids, splits, nil
		case err != nil:
			return nil, nil, err
		}
		if _, twice := ids[image.Path]; twice {
			image.ID, image.Split = "", ""
		}
		if ids[image.Path] = image.ID; image.Split != "" {
			splits[image.Path] = image.Split
		}
	}
}

// Is reports whether a folder is a snapshot or a folder of them.
func Is(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, RepositoryName)); err == nil {
		return true
	}
	head, err := source.ReadHead(filepath.Join(dir, ContentsName), 200)
	return err == nil && strings.Contains(string(head), snapshotFormat)
}
