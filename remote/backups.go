//go:build !nocloud

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"pictosync/internal/atomicfile"
	"pictosync/internal/parallel"
)

// pushed says which version of a file of the folder is in the bucket, and as what.
type pushed struct {
	path     string // below the folder
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // of the file here, Unix nanoseconds
	Stamp    string `json:"stamp"`    // of the object
}

const (
	pushedName = ".pushed.json"
	manifest   = "manifest.json"
)

func (b *Backups) open(ctx context.Context) (*blob.Bucket, string, error) {
	u, shown, err := parse(b.address)
	if err != nil {
		return nil, "", err
	}
	if !bucketSchemes[u.Scheme] {
		return nil, "", &Error{Op: "write", Address: shown, Err: errors.New("backups are written to folders and buckets"), Advice: "give a folder, or s3://, gs:// or azblob://"}
	}
	bucket, err := openBucket(ctx, u)
	if err != nil {
		return nil, "", &Error{Op: "write", Address: shown, Err: err, Advice: credentials[u.Scheme]}
	}
	return bucket, strings.TrimPrefix(strings.TrimSuffix(u.Path, "/")+"/", "/"), nil
}

// there are the objects of the bucket, by path.
func there(ctx context.Context, bucket *blob.Bucket, prefix string) (map[string]object, error) {
	objects := make(map[string]object)
	for o, err := range (&bucketTree{bucket, prefix}).list(ctx) {
		if err != nil {
			return nil, err
		}
		if err := safe(o.Path); err != nil {
			return nil, err
		}
		objects[o.Path] = o
	}
	return objects, nil
}

// isLink reports whether a file of the folder is a further name of a content of images, which
// is in the bucket once.
func isLink(path string) bool {
	parts := strings.SplitN(path, "/", 3)
	return len(parts) == 3 && parts[1] == "images" && !strings.HasPrefix(parts[0], ".")
}

// Pull brings what the bucket has into the folder that was never in it: snapshots of other
// machines, or all where the folder is new; but not the contents of images, which are
// downloaded anew where they are wanted.
func (b *Backups) Pull(ctx context.Context) error {
	bucket, prefix, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer bucket.Close()
	return b.pull(ctx, bucket, prefix)
}

func (b *Backups) pull(ctx context.Context, bucket *blob.Bucket, prefix string) error {
	objects, err := there(ctx, bucket, prefix)
	if err != nil {
		return &Error{Op: "read", Address: b.Address, Err: err}
	}
	known := b.known()
	// Manifests come last: a snapshot without one is none, here and there.
	var first, last []object
	for _, o := range objects {
		folder, _, below := strings.Cut(o.Path, "/")
		_, complete := objects[folder+"/"+manifest]
		_, was := known[o.Path]
		switch {
		case strings.HasPrefix(o.Path, ".") || isLink(o.Path) || was || below && !complete || b.has(o.Path):
		case filepath.Base(o.Path) == manifest || !below:
			last = append(last, o)
		default:
			first = append(first, o)
		}
	}
	t := &bucketTree{bucket, prefix}
	for _, some := range [][]object{first, last} {
		for p, err := range parallel.Map(ctx, fetches, parallel.Each(some), func(ctx context.Context, o object) (pushed, error) {
			return b.download(ctx, t, o)
		}) {
			if err != nil {
				return &Error{Op: "read", Address: b.Address, Err: err}
			}
			known[p.path] = p
		}
	}
	if len(first)+len(last) == 0 {
		return nil
	}
	return b.remember(known)
}

func (b *Backups) has(path string) bool {
	_, err := os.Lstat(filepath.Join(b.Dir, filepath.FromSlash(path)))
	return err == nil
}

// download brings one object into the folder.
func (b *Backups) download(ctx context.Context, t *bucketTree, o object) (p pushed, err error) {
	from, err := t.open(ctx, o, 0)
	if err != nil {
		return p, fmt.Errorf("%s: %w", o.Path, err)
	}
	defer from.Close()
	file := filepath.Join(b.Dir, filepath.FromSlash(o.Path))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return p, err
	}
	to, err := atomicfile.Create(file, atomicfile.Private)
	if err != nil {
		return p, err
	}
	defer to.Abort()
	if _, err := io.Copy(to, from); err != nil {
		return p, fmt.Errorf("%s: %w", o.Path, err)
	}
	if err := to.Close(); err != nil {
		return p, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return p, err
	}
	return pushed{o.Path, info.Size(), info.ModTime().UnixNano(), o.Stamp}, nil
}

// Push brings the folder into the bucket: what is new, the contents of images first and the
// manifests last, and then takes away what the folder had and does not have any more. What a push that
// was stopped has brought is not brought again.
func (b *Backups) Push(ctx context.Context) (sent, kept int, err error) {
	bucket, prefix, err := b.open(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer bucket.Close()
	return b.push(ctx, bucket, prefix)
}

func (b *Backups) push(ctx context.Context, bucket *blob.Bucket, prefix string) (sent, kept int, err error) {
	defer func() {
		if own := (*Error)(nil); err != nil && !errors.As(err, &own) && ctx.Err() == nil {
			err = &Error{Op: "write", Address: b.Address, Err: err, Advice: "the snapshot is whole in " + b.Dir + "; the same command brings it there"}
		}
	}()
	objects, err := there(ctx, bucket, prefix)
	if err != nil {
		return 0, 0, err
	}
	known := b.known()
	folder, err := b.compare(known, objects)
	if err != nil {
		return 0, 0, err
	}
	for _, some := range [][]string{folder.files, folder.manifests} {
		for p, err := range parallel.Map(ctx, fetches, parallel.Each(some), func(ctx context.Context, path string) (pushed, error) {
			return b.upload(ctx, bucket, prefix, path)
		}) {
			if err != nil {
				return sent, folder.kept, errors.Join(err, b.remember(known))
			}
			known[p.path] = p
			if sent++; sent%1000 == 0 {
				if err := b.remember(known); err != nil {
					return sent, folder.kept, err
				}
			}
		}
	}
	if err := b.remember(known); err != nil {
		return sent, folder.kept, err
	}
	return sent, folder.kept, b.remove(ctx, bucket, prefix, objects, known, folder.here)
}

// compared is the folder as it compares with the bucket.
type compared struct {
	here             map[string]bool // all files, by path
	files, manifests []string        // those that the bucket lacks
	kept             int             // files that the bucket has
}

// compare goes through the folder for what the bucket has of it, and what it lacks.
func (b *Backups) compare(known map[string]pushed, objects map[string]object) (c compared, err error) {
	c.here = make(map[string]bool)
	err = filepath.WalkDir(b.Dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.Dir, file)
		if err != nil {
			return err
		}
		path := filepath.ToSlash(rel)
		switch {
		case e.IsDir() && strings.HasPrefix(e.Name(), ".partial-"):
			return filepath.SkipDir
		case e.IsDir(), isLink(path), path == pushedName, strings.HasPrefix(e.Name(), ".partial-"), strings.HasSuffix(path, ".lock"):
			return nil
		}
		c.here[path] = true
		info, err := e.Info()
		if err != nil {
			return err
		}
		if p, ok := known[path]; ok && p.Size == info.Size() && p.Modified == info.ModTime().UnixNano() && objects[path].Stamp == p.Stamp {
			c.kept++
			return nil
		}
		if e.Name() == manifest {
			c.manifests = append(c.manifests, path)
		} else {
			c.files = append(c.files, path)
		}
		return nil
	})
	return c, err
}

// remove takes away the objects that the folder had and has no more, of a snapshot its
// manifest first. What it never had is another machine's.
func (b *Backups) remove(ctx context.Context, bucket *blob.Bucket, prefix string, objects map[string]object, known map[string]pushed, here map[string]bool) error {
	var gone []string
	for path := range known {
		_, there := objects[path]
		// Contents of images may be another snapshot's that is not here with its files.
		if there && !here[path] && !strings.HasPrefix(path, ".images/") {
			gone = append(gone, path)
		}
	}
	slices.SortFunc(gone, func(x, y string) int {
		first := func(path string) int {
			if filepath.Base(path) == manifest {
				return 0
			}
			return 1
		}
		if d := first(x) - first(y); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, path := range gone {
		if err := bucket.Delete(ctx, prefix+path); err != nil {
			return fmt.Errorf("take away %s: %w", path, err)
		}
	}
	return nil
}

// upload brings one file into the bucket.
func (b *Backups) upload(ctx context.Context, bucket *blob.Bucket, prefix, path string) (p pushed, err error) {
	f, err := os.Open(filepath.Join(b.Dir, filepath.FromSlash(path)))
	if err != nil {
		return p, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p, err
	}
	if err := bucket.Upload(ctx, prefix+path, f, &blob.WriterOptions{ContentType: "application/octet-stream"}); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	a, err := bucket.Attributes(ctx, prefix+path)
	if err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	if a.Size != info.Size() {
		return p, fmt.Errorf("%s: %d bytes arrived of %d", path, a.Size, info.Size())
	}
	return pushed{path, info.Size(), info.ModTime().UnixNano(), stampOf(a.ModTime.Unix(), a.MD5)}, nil
}

func (b *Backups) known() map[string]pushed {
	known := make(map[string]pushed)
	if data, err := os.ReadFile(filepath.Join(b.Dir, pushedName)); err == nil && json.Unmarshal(data, &known) != nil {
		return make(map[string]pushed)
	}
	return known
}

func (b *Backups) remember(known map[string]pushed) error {
	data, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(b.Dir, pushedName), data, atomicfile.Private)
}
