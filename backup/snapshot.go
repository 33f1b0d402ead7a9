package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/formats"
	"pictosync/convert/snapshot"
	"pictosync/dataset"
	"pictosync/internal/atomicfile"
	"pictosync/pictograph"
	"pictosync/store"
)

// repository is a folder of backups of one dataset.
type repository struct {
	dir       string
	snapshots []snapshot.Snapshot // complete ones, the newest first
	// before is the manifest of the newest; beforeErr says why it is not known.
	before    snapshot.Contents
	beforeErr error
}

// openRepository opens a folder of backups, or an empty or new folder that is to
// become one.
func openRepository(dir string, now time.Time) (*repository, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of backups: %w; name another with --out", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of backups: %w", err)
	}
	r := &repository{dir: dir}
	if _, err := os.Stat(filepath.Join(dir, snapshot.RepositoryName)); errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return nil, fmt.Errorf("export to %s: %w; name an empty one with --out", dir, ErrNoBackups)
	}
	if r.snapshots, err = snapshot.List(dir, now); err == nil && len(r.snapshots) > 0 {
		r.before, r.beforeErr = snapshot.ReadContents(r.snapshots[0].Dir)
	}
	return r, err
}

// ErrNoBackups is returned for a folder that holds something else.
var ErrNoBackups = errors.New("the folder is not empty and holds no backups")

// ErrOtherDataset is returned for a folder that holds backups of another
// dataset.
var ErrOtherDataset = errors.New("the folder holds backups of another dataset")

// mark marks the folder as that of a dataset.
func (p *repository) mark(service string, d pictograph.Dataset) error {
	mark, err := snapshot.ReadRepository(p.dir)
	switch {
	case err == nil && (mark.Service != service || mark.ID != d.ID):
		return fmt.Errorf("export dataset %q to %s: %w (%q); name another with --out", d.Name, p.dir, ErrOtherDataset, mark.Dataset)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("export to %s: %w", p.dir, err)
	}
	return writeJSON(filepath.Join(p.dir, snapshot.RepositoryName), snapshot.NewRepository(service, d.ID, d.Name))
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.Write(path, append(data, '\n'), atomicfile.Private)
}

// partialPrefix begins the name of a snapshot that is being written.
const partialPrefix = ".partial-"

// writeSnapshot writes all that is known of the dataset into a folder that gets
// its name when it is complete, and then takes away the snapshots that are not
// kept any longer.
func (x *export) writeSnapshot(p *repository) error {
	left, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("read the folder of backups: %w", err)
	}
	for _, partial := range left {
		if strings.HasPrefix(partial.Name(), partialPrefix) {
			os.RemoveAll(filepath.Join(p.dir, partial.Name())) // of a killed process; the state is locked
		}
	}
	taken := x.Now().UTC()
	for _, s := range p.snapshots { // of the same second, or the clock was set back a little
		if !s.Ahead && !taken.Truncate(time.Second).After(s.Taken) {
			taken = s.Taken.Add(time.Second)
		}
	}
	for isThere(filepath.Join(p.dir, taken.Format(snapshot.SnapshotTime))) { // half removed
		taken = taken.Add(time.Second)
	}
	name := taken.Format(snapshot.SnapshotTime)
	partial := filepath.Join(p.dir, partialPrefix+name)
	if err := os.Mkdir(partial, 0o700); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	defer os.RemoveAll(partial) // nothing where it was renamed
	manifest := snapshot.NewContents(x.Shown, taken)
	if err := x.writeContents(partial, &manifest); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(partial, snapshot.DatasetName), x.Shown); err != nil {
		return err
	}
	if err := x.writeFormats(partial); err != nil {
		return err
	}
	if x.images {
		if err := x.linkImages(partial, &manifest); err != nil {
			return err
		}
	}
	if err := x.seal(partial, p, &manifest); err != nil {
		return err
	}
	final := filepath.Join(p.dir, name)
	if err := os.Rename(partial, final); err != nil {
		return fmt.Errorf("name the snapshot: %w", err)
	}
	if err := atomicfile.SyncFolder(p.dir); err != nil {
		return err
	}
	x.summary.Snapshot = final
	return x.prune(p, snapshot.Snapshot{Name: name, Dir: final, Taken: taken}, manifest)
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Bounds of a file of annotations. A file ends behind an image whose path says
// so, about one in meanImages, so that images that come, go and change leave the
// other files as they were and shared between snapshots.
const (
	meanImages   = 128
	maxFileBytes = 16 << 20
)

// writeContents writes annotations, images and splits.
func (x *export) writeContents(dir string, m *snapshot.Contents) error {
	images, err := atomicfile.Create(filepath.Join(dir, "images.jsonl"), atomicfile.Private)
	if err != nil {
		return err
	}
	defer images.Abort()
	splits := make(map[string]*atomicfile.File)
	defer func() {
		for _, f := range splits {
			f.Abort()
		}
	}()
	files, err := newAnnotationFiles(filepath.Join(dir, "annotations"))
	if err != nil {
		return err
	}
	var line []byte
	x.Tracker.Begin("writing", 0)
	for c, err := range x.store.Contents(x.Stopping, x.Ref, "") {
		if err != nil {
			return err
		}
		x.summary.Images.Found++
		x.Tracker.Add(1, 0)
		if err := writeMeta(dir, images, splits, c); err != nil {
			return err
		}
		annotations, err := c.Annotations()
		if err != nil {
			m.Missing = append(m.Missing, snapshot.Missing{Image: c.Path, Reason: err.Error()})
			// What is damaged is read anew by the next export.
			if err := x.store.ForgetReading(x.Stopping, c.ImageRef); err != nil {
				return err
			}
			continue
		}
		if c.Listed == 0 {
			x.summary.Images.Empty++
		}
		if line, err = canonical.AppendLine(line[:0], c.Path, sizeOf(c), annotations); err != nil {
			return err
		}
		if err := files.add(c.Path, line); err != nil {
			return err
		}
		m.Images++
		m.Annotations += c.Count
	}
	if err := files.flush(); err != nil {
		return err
	}
	x.summary.Annotations = m.Annotations
	x.summary.Images.Failed = len(m.Missing)
	x.summary.Images.Kept = max(0, m.Images-x.summary.Images.Empty-x.summary.Images.Read)
	for _, f := range splits {
		if err := f.Close(); err != nil {
			return err
		}
	}
	return images.Close()
}

// annotationFiles are the files of canonical lines of a snapshot.
type annotationFiles struct {
	dir   string
	lines []byte // of the file that is being gathered
	count int    // of the files before it
}

func newAnnotationFiles(dir string) (annotationFiles, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return annotationFiles{}, fmt.Errorf("write the snapshot: %w", err)
	}
	return annotationFiles{dir: dir}, nil
}

// add adds the line of an image.
func (f *annotationFiles) add(path string, line []byte) error {
	if len(f.lines)+len(line) >= maxFileBytes {
		if err := f.flush(); err != nil {
			return err
		}
	}
	f.lines = append(append(f.lines, line...), '\n')
	if endsFile(path) {
		return f.flush()
	}
	return nil
}

// flush writes the file that is being gathered, if it has any lines.
func (f *annotationFiles) flush() error {
	if len(f.lines) == 0 {
		return nil
	}
	f.count++
	if err := atomicfile.Write(filepath.Join(f.dir, fmt.Sprintf("%05d.jsonl", f.count)), f.lines, atomicfile.Private); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	f.lines = f.lines[:0]
	return nil
}

func endsFile(path string) bool {
	h := fnv.New64a()
	h.Write([]byte(path))
	return h.Sum64()%meanImages == 0
}

// writeMeta writes what the service says of an image beside its annotations.
func writeMeta(dir string, images *atomicfile.File, splits map[string]*atomicfile.File, c store.Content) error {
	images.Write(c.Meta)
	if err := images.WriteByte('\n'); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	var meta dataset.ImageMeta
	if err := json.Unmarshal(c.Meta, &meta); err != nil {
		return fmt.Errorf("read what was listed of %s: %w", c.Path, err)
	}
	if meta.Split != "train" && meta.Split != "val" && meta.Split != "test" {
		return nil
	}
	f := splits[meta.Split]
	if f == nil {
		err := os.MkdirAll(filepath.Join(dir, "splits"), 0o700)
		if err == nil {
			f, err = atomicfile.Create(filepath.Join(dir, "splits", meta.Split+".txt"), atomicfile.Private)
		}
		if err != nil {
			return fmt.Errorf("write the snapshot: %w", err)
		}
		splits[meta.Split] = f
	}
	_, err := f.WriteString(c.Path + "\n")
	return err
}

// chunkFindings is how many findings are recorded together.
const chunkFindings = 500

// writeFormats writes the dataset in the other formats. What one cannot hold is a
// finding; a task of YOLO's that there is nothing for is passed over.
func (x *export) writeFormats(dir string) error {
	if len(x.formats) == 0 {
		return nil
	}
	src := &readings{store: x.store, dataset: x.Ref, classes: x.Shown.Classes}
	var found []store.Finding
	keep := func() error {
		chunk := store.PlanChunk{Findings: found}
		found = nil
		return x.store.AddPlan(x.Stopping, x.record.ID, chunk)
	}
	var keepErr error
	// The canonical lines beside them hold all.
	options := conversion.Options{Workers: x.convert, Accepted: convert.Accepted{Lost: true}, OnFinding: func(f convert.Finding) {
		if found = append(found, dataset.FindingOf(0, f)); len(found) >= chunkFindings && keepErr == nil {
			keepErr = keep()
		}
		x.summary.Findings++
		if x.summary.Kinds == nil {
			x.summary.Kinds = make(map[string]int)
		}
		x.summary.Kinds[string(f.Kind)]++
	}}
	catalog, err := conversion.Catalog(x.Stopping, src, options, nil)
	if err != nil {
		return err
	}
	for _, name := range x.formats {
		format, err := formats.Writable(name)
		if err != nil {
			return err
		}
		variants := map[string]convert.Flags{name: nil}
		if format.Write.Variants != nil {
			variants = format.Write.Variants()
		}
		for _, variant := range slices.Sorted(maps.Keys(variants)) {
			output := convert.Output{Path: filepath.Join(dir, variant), Mode: atomicfile.Private, Catalog: catalog, Own: variants[variant]}
			if !format.Write.Folder {
				if err := os.Mkdir(output.Path, 0o700); err != nil {
					return fmt.Errorf("write the snapshot: %w", err)
				}
				output.Path = filepath.Join(output.Path, format.Write.File)
			}
			err := x.writeFormat(src, format, output, options)
			if errors.As(err, new(convert.UnfitError)) { // there are no poses, or they have no one list of keypoints
				x.Log.Info().Err(err).Str("format", variant).Msg("not written")
				continue
			}
			if err = cmp.Or(err, keepErr); err != nil {
				return err
			}
		}
	}
	return keep()
}

// writeFormat writes the dataset in one format.
func (x *export) writeFormat(src convert.Source, format convert.Format, output convert.Output, o conversion.Options) error {
	sink, err := format.Write.Create(output)
	if err != nil {
		return err
	}
	defer sink.Abort()
	o.Sink = sink
	if _, err := conversion.Run(x.Stopping, src, o, func(c *conversion.Image) error {
		if c.Err != nil {
			o.OnFinding(convert.Finding{Kind: convert.KindNotTaken, Image: c.Item.Image, Reason: c.Err.Error(), Action: "left out of this format; the canonical lines have it"})
		}
		return nil
	}); err != nil {
		return err
	}
	return sink.Close()
}

// seal hashes every file, shares those that the snapshot before has too, writes the
// manifest, and brings all of it to the disk.
func (x *export) seal(dir string, p *repository, m *snapshot.Contents) error {
	known := make(map[string]snapshot.FileHash)
	for _, f := range p.before.Files {
		known[f.SHA256] = f
	}
	var folders []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			folders = append(folders, path)
			if x.images && path == filepath.Join(dir, snapshot.ImagesFolder) {
				return filepath.SkipDir // each was held against its checksum when it came
			}
		}
		if !e.Type().IsRegular() {
			return nil
		}
		if err := x.Stopping.Err(); err != nil {
			return context.Cause(x.Stopping)
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := snapshot.HashFile(dir, filepath.ToSlash(relative))
		if err == nil {
			err = atomicfile.SyncFile(path)
		}
		if err != nil {
			return err
		}
		m.Files = append(m.Files, f)
		// What was damaged since is not passed on.
		if old, ok := known[f.SHA256]; ok && snapshot.CheckFile(p.snapshots[0].Dir, old) == nil && replaceByLink(filepath.Join(p.snapshots[0].Dir, filepath.FromSlash(old.Path)), path) == nil {
			x.summary.Shared += f.Bytes
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("complete the snapshot: %w", err)
	}
	x.summary.Bytes, x.summary.ImageBytes = m.Bytes(), m.ImageBytes
	if err := writeJSON(filepath.Join(dir, snapshot.ContentsName), m); err != nil {
		return err
	}
	for _, folder := range folders {
		if err := atomicfile.SyncFolder(folder); err != nil {
			return fmt.Errorf("complete the snapshot: %w", err)
		}
	}
	return nil
}

// replaceByLink makes a file another name of an old one with the same bytes. A
// file system without links keeps two copies.
func replaceByLink(old, path string) error {
	temp := path + ".link"
	if err := os.Link(old, temp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// prune takes away the snapshots that the rules do not keep. A snapshot with
// missing images or files of images, or with less than half the annotations of the one before,
// takes none away: it may be the one that is wrong.
func (x *export) prune(p *repository, now snapshot.Snapshot, m snapshot.Contents) error {
	if len(p.snapshots) > 0 {
		if p.beforeErr != nil || len(m.Missing) > 0 || len(m.MissingFiles) > 0 || m.Annotations*2 < p.before.Annotations {
			x.Log.Warn().Err(p.beforeErr).Int("annotations", m.Annotations).Int("before", p.before.Annotations).Int("missing", len(m.Missing)).Int("missing_files", len(m.MissingFiles)).Msg("no snapshot is taken away, since this one has much less than the one before")
			return nil
		}
	}
	var err error
	x.summary.Pruned, x.summary.KeptForFiles, err = PruneSnapshots(append([]snapshot.Snapshot{now}, p.snapshots...), x.keep, false)
	return err
}

// PruneSnapshots takes away the snapshots, the newest first, that the rules do
// not keep, and names them; with dryRun it takes none away. Those that are dated ahead of
// the present, and those whose manifest cannot be read, stay, and take no other's place. Where none that the rules keep has the files of
// images, the newest that has them stays too, and is named: it may be all that there is of them.
func PruneSnapshots(all []snapshot.Snapshot, keep Retention, dryRun bool) (pruned []string, forFiles string, err error) {
	all = slices.DeleteFunc(slices.Clone(all), func(s snapshot.Snapshot) bool {
		_, err := snapshot.ReadContents(s.Dir)
		return s.Ahead || err != nil
	})
	times := make([]time.Time, len(all))
	for i, s := range all {
		times[i] = s.Taken
	}
	keeps := keep.Keeps(times)
	if slices.Contains(keeps, false) {
		forFiles = keepFiles(all, keeps)
	}
	for i, kept := range keeps {
		if kept {
			continue
		}
		if dryRun {
			pruned = append(pruned, all[i].Name)
			continue
		}
		if err := removeSnapshot(all[i]); err != nil {
			return pruned, forFiles, fmt.Errorf("prune a snapshot: %w", err)
		}
		pruned = append(pruned, all[i].Name)
	}
	if len(pruned) > 0 && !dryRun {
		return pruned, forFiles, collectImages(filepath.Dir(all[0].Dir))
	}
	return pruned, forFiles, nil
}

// keepFiles keeps the newest snapshot that has files of images, where no other that has some is
// kept, and names it.
func keepFiles(all []snapshot.Snapshot, keeps []bool) string {
	newest := -1
	for i, s := range all {
		if newest >= 0 && !keeps[i] {
			continue
		}
		m, err := snapshot.ReadContents(s.Dir)
		switch {
		case err != nil || m.ImageFiles == 0:
		case keeps[i]:
			return ""
		default:
			newest = i
		}
	}
	if newest < 0 {
		return ""
	}
	keeps[newest] = true
	return all[newest].Name
}

// removeSnapshot takes a snapshot away. By its name it is visibly no backup as soon as that
// begins, however far it gets: the next export takes away what is left.
func removeSnapshot(s snapshot.Snapshot) error {
	removed := filepath.Join(filepath.Dir(s.Dir), partialPrefix+s.Name)
	if err := os.RemoveAll(removed); err != nil {
		return err
	}
	if err := os.Rename(s.Dir, removed); err != nil {
		return err
	}
	return os.RemoveAll(removed)
}

// readings is the source of what exports have read of a dataset.
type readings struct {
	store   *store.Store
	dataset store.Dataset
	classes []pictograph.Class
}

func (s *readings) Describe() convert.Description {
	return convert.Description{Path: s.dataset.Name, Format: "readings", Reason: "what exports have read", Classes: s.classes}
}

func (s *readings) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		for c, err := range s.store.Contents(ctx, s.dataset, after) {
			if !yield(convert.Item{Cursor: c.Cursor(), Image: c.Path, ImageID: c.ImageID, File: c.Path, Explicit: true}, err) || err != nil {
				return
			}
		}
	}
}

func (s *readings) Load(ctx context.Context, item convert.Item, _ convert.Size) (convert.Result, error) {
	c, err := s.store.ContentOf(ctx, s.dataset, item.ImageID)
	if err != nil {
		return convert.Result{}, err
	}
	data, err := c.Annotations() // the manifest says of which it has none
	if err != nil {
		return convert.Result{}, err
	}
	annotations, err := pictograph.DecodeAnnotations(data)
	if err != nil {
		return convert.Result{}, fmt.Errorf("read what was kept of %s: %w", c.Path, err)
	}
	result := convert.ResultOf(c.Path, sizeOf(c), annotations)
	result.Classes = canonical.Declared(result.Classes, s.classes)
	return result, nil
}

func (s *readings) Size(convert.Item) convert.Size { return convert.Size{} }
