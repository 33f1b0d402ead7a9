package backup

import (
	"bufio"
	"cmp"
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

	"pictosync/convert/snapshot"
	"pictosync/dataset"
	"pictosync/internal/atomicfile"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// The files of images lie once in the folder of backups, by their SHA-256, and are hard
// links of them in the snapshots:
//
//	.images/ab/ab12…      a content
//	.images/index.jsonl   snapshot.ImageFile of what was downloaded, in the order of that
//
// A file gets its name when all of it is on the disk, and is in the index after that: what a
// killed export has downloaded, the next one has.
const (
	poolName      = ".images"
	poolIndexName = "index.jsonl"
)

// FileCounts count the files of images.
type FileCounts struct {
	Downloaded int   `json:"downloaded"`
	Kept       int   `json:"kept"` // from an export before
	Failed     int   `json:"failed"`
	Bytes      int64 `json:"bytes"` // of all
}

// pool are the contents of images in a folder of backups.
type pool struct {
	dir   string
	index *os.File

	mu    sync.Mutex
	known map[string]snapshot.ImageFile // by the service's id
	// sound says of contents whether they are as their checksum says; nil where that is not looked at.
	sound map[string]bool
}

func openPool(repository string) (*pool, error) {
	p := &pool{dir: filepath.Join(repository, poolName), known: make(map[string]snapshot.ImageFile)}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of image files: %w", err)
	}
	var err error
	if p.index, err = os.OpenFile(filepath.Join(p.dir, poolIndexName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("open the index of image files: %w", err)
	}
	lines := bufio.NewScanner(p.index)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var i snapshot.ImageFile
		if json.Unmarshal(lines.Bytes(), &i) == nil && len(i.SHA256) == 2*sha256.Size { // the last line may be cut off
			p.known[i.ID] = i
		}
	}
	if err := lines.Err(); err != nil {
		p.close()
		return nil, fmt.Errorf("read the index of image files: %w", err)
	}
	return p, nil
}

func (p *pool) close() { p.index.Close() }

// file is where a content lies.
func (p *pool) file(sum string) string { return filepath.Join(p.dir, sum[:2], sum) }

// has is the content of an image whose id and size are as they were when it was downloaded.
func (p *pool) has(id string, listed int64) (snapshot.ImageFile, bool) {
	p.mu.Lock()
	i, known := p.known[id]
	p.mu.Unlock()
	if !known || listed > 0 && listed != i.Bytes && listed != i.Listed {
		return i, false
	}
	info, err := os.Stat(p.file(i.SHA256))
	return i, err == nil && info.Size() == i.Bytes && !p.damaged(i.SHA256)
}

// damaged reports whether a content is found not to be as its checksum says. Each is read once.
func (p *pool) damaged(sum string) bool {
	if p.sound == nil {
		return false
	}
	p.mu.Lock()
	sound, known := p.sound[sum]
	p.mu.Unlock()
	if !known {
		is, err := snapshot.HashFile(p.dir, sum[:2]+"/"+sum)
		sound = err == nil && is.SHA256 == sum
		p.found(sum, sound)
	}
	return !sound
}

// found notes whether a content is sound, where that is looked at.
func (p *pool) found(sum string, sound bool) {
	if p.sound != nil {
		p.mu.Lock()
		p.sound[sum] = sound
		p.mu.Unlock()
	}
}

// take stores a content.
func (p *pool) take(content io.Reader) (sum string, size int64, err error) {
	temp, err := os.CreateTemp(p.dir, ".partial-")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(temp.Name()) // nothing where it was renamed
	defer temp.Close()
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(temp, h), content); err != nil {
		return "", 0, err
	}
	if err := temp.Sync(); err != nil {
		return "", 0, err
	}
	sum = hex.EncodeToString(h.Sum(nil))
	folder := filepath.Dir(p.file(sum))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", 0, err
	}
	if err := os.Rename(temp.Name(), p.file(sum)); err != nil {
		return "", 0, err
	}
	p.found(sum, true)
	return sum, size, atomicfile.SyncFolder(folder)
}

// remember adds a file to the index. A killed process leaves it there; sync brings it to the
// disk.
func (p *pool) remember(i snapshot.ImageFile) error {
	line, err := json.Marshal(i)
	if err == nil {
		// Behind a line that was cut off, too.
		_, err = p.index.Write(slices.Concat([]byte{'\n'}, line, []byte{'\n'}))
	}
	if err != nil {
		return fmt.Errorf("write the index of image files: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[i.ID] = i
	return nil
}

func (p *pool) sync() error {
	if err := p.index.Sync(); err != nil {
		return fmt.Errorf("write the index of image files: %w", err)
	}
	return nil
}

// metaOf is what the listing says of an image.
func metaOf(c store.Content) (m dataset.ImageMeta, err error) {
	if err = json.Unmarshal(c.Meta, &m); err != nil {
		err = fmt.Errorf("read what was listed of %s: %w", c.Path, err)
	}
	return m, err
}

// toFetch are the images whose files are not in the pool.
func (x *export) toFetch(p *pool) func(yield func(dataset.ImageMeta, error) bool) {
	return func(yield func(dataset.ImageMeta, error) bool) {
		for c, err := range x.store.Contents(x.Stopping, x.Ref, "") {
			var m dataset.ImageMeta
			if err == nil {
				m, err = metaOf(c)
			}
			if err == nil {
				if _, there := p.has(m.ID, m.FileSize); there {
					continue
				}
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// fetched is what came of downloading the file of an image.
type fetched struct {
	file   snapshot.ImageFile
	reason string // why it could not be had
}

// fetchImages downloads the files of images that the folder of backups does not have.
func (x *export) fetchImages() error {
	p, err := openPool(x.out)
	if err != nil {
		return err
	}
	defer p.close()
	if x.maxAge <= 0 { // all is read again, what is kept too
		p.sound = make(map[string]bool)
	}
	if err := removePartial(p.dir); err != nil {
		return err
	}
	x.summary.Files = &FileCounts{}
	x.unfetched = make(map[string]string)
	whole, err := x.worthWhole(p)
	if err != nil {
		return err
	}
	if whole {
		if _, err := x.WholeFiles(x.record.ID, func(files []pictograph.ExportedFile) error {
			defer func() { x.packed = nil }()
			if err := x.findPacked(p, files); err != nil {
				return err
			}
			return x.fetchAll(p)
		}); err != nil {
			return err
		}
	}
	return x.fetchAll(p)
}

// worthWhole reports whether the files are to be had by one export of the dataset: where that
// takes fewer requests, and is not mostly of files that are here.
func (x *export) worthWhole(p *pool) (bool, error) {
	files, wanted := 0, 0
	bytes := int64(0)
	for c, err := range x.store.Contents(x.Stopping, x.Ref, "") {
		if err != nil {
			return false, err
		}
		m, err := metaOf(c)
		if err != nil {
			return false, err
		}
		files++
		bytes += m.FileSize
		if _, there := p.has(m.ID, m.FileSize); !there {
			wanted++
		}
	}
	few := x.ReadBy == dataset.ReadAuto && wanted < files/4
	return x.Worth(wanted) && !few && bytes < dataset.MaxExport, nil
}

// findPacked finds the files of images in an export. How they are called there is not
// documented: a file is an image's where its name ends with that image's path and no other's,
// no second file's does, and it has the size that is listed. Of some by lot the bytes are
// held against those of the image itself; where one differs no file of the export is taken.
func (x *export) findPacked(p *pool, files []pictograph.ExportedFile) error {
	packed, metas, err := x.packedImages(p, files)
	if err != nil {
		return err
	}
	tried := 0
	for id, f := range packed {
		if tried++; tried > dataset.Spots {
			break
		}
		got, err := x.fetch(x.Stopping, p, metas[id])
		if err != nil {
			return err
		}
		if got.reason != "" {
			continue
		}
		if sum, err := sumOf(f); err != nil || sum != got.file.SHA256 {
			x.Note("image files one by one, not by an export of the dataset: its files are not those of the images")
			return nil
		}
		x.summary.Files.Downloaded++
	}
	x.packed = packed
	return nil
}

// packedImages are the files of an export that are images', by the images' ids, and what is
// listed of these; those that the pool has are left out.
func (x *export) packedImages(p *pool, files []pictograph.ExportedFile) (packed map[string]pictograph.ExportedFile, metas map[string]dataset.ImageMeta, err error) {
	packed, metas = make(map[string]pictograph.ExportedFile), make(map[string]dataset.ImageMeta)
	for _, f := range files {
		var endings []string
		for ending, more := f.Name, true; more; _, ending, more = strings.Cut(ending, "/") {
			endings = append(endings, ending)
		}
		images, err := x.store.ImagesByPath(x.Stopping, x.Ref, endings)
		if err != nil {
			return nil, nil, err
		}
		if len(images) != 1 {
			continue
		}
		id := images[0].ID
		if _, second := metas[id]; second {
			delete(packed, id)
			continue
		}
		c, err := x.store.ContentOf(x.Stopping, x.Ref, id)
		if err != nil {
			return nil, nil, err
		}
		if metas[id], err = metaOf(c); err != nil {
			return nil, nil, err
		}
		size := metas[id].FileSize
		if _, there := p.has(id, size); !there && f.Size == size && f.Size > 0 {
			packed[id] = f
		}
	}
	return packed, metas, nil
}

func sumOf(f pictograph.ExportedFile) (string, error) {
	content, err := f.Open()
	if err != nil {
		return "", err
	}
	defer content.Close()
	h := sha256.New()
	_, err = io.Copy(h, content)
	return hex.EncodeToString(h.Sum(nil)), err
}

// fetchAll stores the files of images that are not in the pool.
func (x *export) fetchAll(p *pool) error {
	x.Tracker.Begin("downloading", 0)
	for images, err := range parallel.Chunks(x.toFetch(p), chunkReadings) {
		if err != nil {
			return err
		}
		got := 0
		var fatal error
		for f, err := range parallel.Map(context.WithoutCancel(x.Stopping), x.Concurrency, parallel.Each(images), func(ctx context.Context, m dataset.ImageMeta) (fetched, error) {
			return x.fetch(ctx, p, m)
		}) {
			switch {
			case err != nil:
				fatal = err
			case f.reason != "":
				x.unfetched[f.file.ID] = f.reason
				x.Log.Warn().Str("image", f.file.Path).Str("reason", f.reason).Msg("image file not had")
			default:
				got++
			}
		}
		if err := p.sync(); err != nil {
			return err
		}
		x.summary.Files.Downloaded += got
		x.Tracker.Add(len(images), len(images)-got)
		if fatal != nil {
			return fatal
		}
	}
	return nil
}

// unpack takes the file of an image from an export.
func (x *export) unpack(p *pool, packed pictograph.ExportedFile, file *snapshot.ImageFile) error {
	content, err := packed.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	file.SHA256, file.Bytes, err = p.take(content)
	return err
}

// fetch takes the file of one image from an export, or downloads it.
func (x *export) fetch(ctx context.Context, p *pool, m dataset.ImageMeta) (f fetched, err error) {
	f.file = snapshot.ImageFile{ID: m.ID, Path: m.Path}
	if x.Stopping.Err() != nil {
		return f, context.Cause(x.Stopping)
	}
	if packed, ok := x.packed[m.ID]; ok {
		if err := x.unpack(p, packed, &f.file); err == nil {
			return f, p.remember(f.file)
		}
	}
	var own error
	err = x.PersistAlone(func(context.Context) error {
		own = nil
		return x.Client.ImageContent(ctx, pictograph.ImageRef{ID: m.ID, Dataset: x.Ref.ID, Path: m.Path}, func(content io.Reader, size int64) (err error) {
			f.file.SHA256, f.file.Bytes, err = p.take(content)
			if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
				own = fmt.Errorf("keep the file of %s: %w", m.Path, err)
			}
			return err
		})
	})
	poison, ofImage := errors.AsType[dataset.PoisonError](err)
	switch {
	case own != nil:
		return f, own
	case ofImage:
		f.reason = "the service cannot give its file, and answers other requests: " + poison.Err.Error()
		return f, nil
	case errors.Is(err, pictograph.ErrNotFound):
		f.reason = "the service does not have its file: " + err.Error()
		return f, nil
	case err != nil:
		return f, err
	}
	if m.FileSize > 0 && m.FileSize != f.file.Bytes {
		if strings.HasPrefix(m.ContentType, "image/") && m.ContentType != "image/png" || f.file.Bytes == 0 {
			f.reason = fmt.Sprintf("the service sent %d bytes, and its listing says %d", f.file.Bytes, m.FileSize)
			return f, nil
		}
		f.file.Listed = m.FileSize // of the HEIC file that the PNG was made of
	}
	return f, p.remember(f.file)
}

func removePartial(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, partialPrefix+"*"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file)) // of a killed process; the state is locked
	}
	return err
}

// linkImages gives the files of images their paths in a snapshot.
func (x *export) linkImages(dir string, m *snapshot.Contents) error {
	p, err := openPool(x.out)
	if err != nil {
		return err
	}
	defer p.close()
	list, err := atomicfile.Create(filepath.Join(dir, snapshot.ImageFilesName), atomicfile.Private)
	if err != nil {
		return err
	}
	defer list.Abort()
	root := filepath.Join(dir, snapshot.ImagesFolder)
	if err := os.Mkdir(root, 0o700); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	links := imageLinks{root: root, pool: p, folders: map[string]bool{root: true}}
	for c, err := range x.store.Contents(x.Stopping, x.Ref, "") {
		if err != nil {
			return err
		}
		meta, err := metaOf(c)
		if err != nil {
			return err
		}
		i, there := p.has(meta.ID, meta.FileSize)
		reason := ""
		if !there {
			reason = cmp.Or(x.unfetched[meta.ID], "it came to the dataset while the files were downloaded")
		} else if reason, err = links.add(c.Path, i.SHA256); err != nil {
			return fmt.Errorf("write the snapshot: %w", err)
		}
		if reason != "" {
			m.MissingFiles = append(m.MissingFiles, snapshot.Missing{Image: c.Path, Reason: reason})
			continue
		}
		i.Path = c.Path
		line, err := json.Marshal(i)
		if err != nil {
			return fmt.Errorf("write the snapshot: %w", err)
		}
		if _, err := list.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write the snapshot: %w", err)
		}
		m.ImageFiles++
		m.ImageBytes += i.Bytes
	}
	for folder := range links.folders {
		if err := atomicfile.SyncFolder(folder); err != nil {
			return fmt.Errorf("complete the snapshot: %w", err)
		}
	}
	f := x.summary.Files
	f.Failed, f.Kept, f.Bytes = len(m.MissingFiles), m.ImageFiles-f.Downloaded, m.ImageBytes
	return list.Close()
}

// imageLinks are the files of images below a snapshot.
type imageLinks struct {
	root    string
	pool    *pool
	folders map[string]bool // that were made
}

// add gives a file of the pool the path of an image; reason is why this image cannot have it.
func (l *imageLinks) add(path, sum string) (reason string, err error) {
	if clean, err := source.CleanImagePath(path); err != nil || clean != path || !filepath.IsLocal(filepath.FromSlash(path)) {
		return "its path is none that a file may have", nil
	}
	file := filepath.Join(l.root, filepath.FromSlash(path))
	folder := filepath.Dir(file)
	if !l.folders[folder] {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return source.ReasonOf(err).Error(), nil
		}
		for up := folder; !l.folders[up]; up = filepath.Dir(up) {
			l.folders[up] = true
		}
	}
	err = linkOrCopy(l.pool.file(sum), file)
	if err == nil {
		return "", nil
	}
	if why := source.ReasonOf(err); errors.Is(err, fs.ErrExist) || strings.Contains(why.Error(), "too long") || strings.Contains(why.Error(), "directory") {
		return why.Error(), nil
	}
	return "", err
}

// linkOrCopy makes a file another name of an old one, or, where the file system has no
// links, a copy.
func linkOrCopy(old, file string) error {
	err := os.Link(old, file)
	if err == nil || errors.Is(err, fs.ErrExist) || !errors.Is(err, errors.ErrUnsupported) && !os.IsPermission(err) && !isLinkError(err) {
		return err
	}
	from, err := os.Open(old)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(to, from); err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

// isLinkError reports an error of linking that a copy may get around.
func isLinkError(err error) bool {
	var link *os.LinkError
	return errors.As(err, &link) && !errors.Is(err, fs.ErrNotExist)
}

// collectImages takes away the contents that no snapshot has any more. Where one cannot be
// read nothing is taken away.
func collectImages(repository string) error {
	dir := filepath.Join(repository, poolName)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, err := os.ReadDir(repository)
	if err != nil {
		return fmt.Errorf("read the folder of backups: %w", err)
	}
	wanted := make(map[string]bool)
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		err := snapshot.ReadImageFiles(filepath.Join(repository, e.Name()), func(i snapshot.ImageFile) error {
			wanted[i.SHA256] = true
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil // a damaged snapshot is looked at by a person
		}
	}
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || len(e.Name()) != 2*sha256.Size || wanted[e.Name()] {
			return err
		}
		return os.Remove(path)
	})
}
