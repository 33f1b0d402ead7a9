package remote

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"pictosync/internal/atomicfile"
	"pictosync/internal/parallel"
	"pictosync/source"
	"pictosync/upload"
)

// fetches is how many objects are read at the same time.
const fetches = 32

// Copy is a source elsewhere, as far as it is on this machine.
type Copy struct {
	// Address is the source as people see it.
	Address string
	// Path is what readers open: a file or a folder.
	Path string

	keep  func(path string) bool // nil is all
	dir   string                 // of the copy in the cache
	root  string                 // where the tree lies in it
	tree  tree                   // nil where all of it is here
	lock  *flock.Flock
	index *os.File

	mu    sync.Mutex
	known map[string]entry // by path
	// Fetched and Kept count the objects that were fetched, and those that were here.
	Fetched, Kept int
}

// entry is an object in the copy.
type entry struct {
	Path  string `json:"p"`
	Size  int64  `json:"s"`
	Stamp string `json:"t"`
	Held  int64  `json:"h"` // bytes that are here
}

// Options say where copies are kept, and who is told of them.
type Options struct {
	// Cache is the folder that copies are kept in; it is the user's alone.
	Cache string
	// Keep narrows down what is fetched into the copy; the rest can be opened all the same. A
	// Cache with such copies has no others. nil is all.
	Keep func(path string) bool
	// Waiting is told that another process is bringing the same copy up to date. May be nil.
	Waiting func()
}

// Open brings the copy of a source up to date. It is held until it is closed: no other process
// changes it meanwhile.
func Open(ctx context.Context, address string, o Options) (c *Copy, err error) {
	c = &Copy{Address: Shown(address), known: make(map[string]entry), keep: o.Keep}
	name := c.Address
	if !strings.Contains(address, "://") {
		if name, err = filepath.Abs(address); err != nil {
			return nil, &Error{Op: "find", Address: c.Address, Err: err}
		}
	}
	sum := sha256.Sum256([]byte(name))
	c.dir = filepath.Join(o.Cache, hex.EncodeToString(sum[:8]))
	c.root = filepath.Join(c.dir, "tree")
	if err := c.hold(ctx, o.Waiting); err != nil {
		return nil, &Error{Op: "copy", Address: c.Address, Err: err, Advice: "the copies are in " + o.Cache}
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if strings.Contains(address, "://") {
		err = c.fromElsewhere(ctx, address)
	} else {
		err = c.fromArchive(ctx, address)
	}
	var own *Error
	if err != nil && !errors.As(err, &own) && ctx.Err() == nil {
		err = &Error{Op: "read", Address: c.Address, Err: err}
	}
	return c, err
}

// hold makes the folder of a copy, and locks it.
func (c *Copy) hold(ctx context.Context, waiting func()) error {
	if err := os.MkdirAll(c.root, 0o700); err != nil {
		return err
	}
	c.lock = flock.New(filepath.Join(c.dir, "lock"), flock.SetPermissions(0o600))
	held, err := c.lock.TryLock()
	if err == nil && !held {
		if waiting != nil {
			waiting()
		}
		_, err = c.lock.TryLockContext(ctx, lockPause)
	}
	return err
}

// Close lets go of the copy, which stays for the next time.
func (c *Copy) Close() error {
	var err error
	if c.tree != nil {
		err = c.tree.close()
	}
	if c.index != nil {
		err = errors.Join(err, c.index.Close())
	}
	return errors.Join(err, c.lock.Close())
}

// Name is the address of a file of the copy.
func (c *Copy) Name(file string) string { return c.Names(file) }

// Names puts the source's address in the place of the copy's folder, in words for people.
func (c *Copy) Names(text string) string {
	before, _, _ := strings.Cut(c.Address, "?")
	text = strings.ReplaceAll(text, c.root+string(filepath.Separator), Below(before, ""))
	return strings.ReplaceAll(text, c.root, c.Address)
}

// openIndex reads what the copy has.
func (c *Copy) openIndex() (err error) {
	if c.index, err = os.OpenFile(filepath.Join(c.dir, "index.jsonl"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	lines := bufio.NewScanner(c.index)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Path != "" { // the last line may be cut off
			c.known[e.Path] = e
		}
	}
	return lines.Err()
}

func (c *Copy) file(rel string) string { return filepath.Join(c.root, filepath.FromSlash(rel)) }

// has reports whether the copy has what is kept of an object.
func (c *Copy) has(o object) bool {
	c.mu.Lock()
	e, known := c.known[o.Path]
	c.mu.Unlock()
	if !known || e.Size != o.Size || e.Stamp != o.Stamp {
		return false
	}
	info, err := os.Stat(c.file(o.Path))
	return err == nil && info.Size() == e.Held
}

// put notes what the copy has of an object. A killed process leaves the note there.
func (c *Copy) put(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := c.index.Write([]byte("\n" + string(line) + "\n")); err != nil { // behind a line that was cut off, too
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[e.Path] = e
	c.Fetched++
	return nil
}

// update brings the copy of a tree up to date, and takes away what is gone.
func (c *Copy) update(ctx context.Context, t tree) error {
	c.tree = t
	if err := c.openIndex(); err != nil {
		return err
	}
	listed := make(map[string]bool)
	for kept, err := range parallel.Map(ctx, fetches, objectsOf(ctx, t, listed), c.fetchNew) {
		if err != nil {
			return err
		}
		if kept {
			c.Kept++
		}
	}
	if len(listed) == 0 {
		return errors.New("there are no labels and no images in it")
	}
	if c.keep == nil {
		if err := c.fetchMasks(ctx, listed); err != nil {
			return err
		}
	}
	return c.compact(listed)
}

// objectsOf are the objects of a tree that a source may consist of; their paths are listed.
func objectsOf(ctx context.Context, t tree, listed map[string]bool) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		var other foreign
		for o, err := range t.list(ctx) {
			if err == nil {
				err = safe(o.Path)
			}
			switch {
			case err != nil:
			case !other.takes(o.Path):
				continue
			case listed[o.Path]:
				err = fmt.Errorf("two objects of it are called %q, or one is once its name is decoded; nothing of it was read", o.Path)
			default:
				listed[o.Path] = true
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// fetchNew fetches an object unless the copy has it, or needs no more than to know of it.
func (c *Copy) fetchNew(ctx context.Context, o object) (kept bool, err error) {
	if c.keep != nil && !c.keep(o.Path) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.known[o.Path] = entry{Path: o.Path, Size: o.Size, Stamp: o.Stamp}
		return true, nil
	}
	if c.has(o) {
		return true, nil
	}
	return false, c.fetch(ctx, o)
}

// safe refuses names that lead elsewhere, or that no file may have.
func safe(name string) error {
	if !fs.ValidPath(name) || name == "." || !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsAny(name, "\\\x00") || len(name) > 4000 {
		return fmt.Errorf("%q is no name that a file below it may have; nothing of it was read", name)
	}
	return nil
}

// compact forgets the objects that are gone, with the folders that they leave empty, and writes the
// index anew.
func (c *Copy) compact(listed map[string]bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for path, e := range c.known {
		if !listed[path] {
			delete(c.known, path)
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		out = append(append(out, line...), '\n')
	}
	var folders []string
	err := filepath.WalkDir(c.root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, file)
			return nil
		}
		rel, err := filepath.Rel(c.root, file)
		if err == nil && !listed[filepath.ToSlash(rel)] {
			err = os.Remove(file)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, folder := range slices.Backward(folders[1:]) { // the first is the root
		os.Remove(folder) // fails where there is something in it
	}
	if err := c.index.Close(); err != nil {
		return err
	}
	c.index = nil
	return atomicfile.Write(filepath.Join(c.dir, "index.jsonl"), out, atomicfile.Private)
}

// heads are how much of an image is read until its size is known.
var heads = []int64{32 << 10, 256 << 10, 2 << 20}

// fetch brings one object into the copy. It is noted when there is enough of it: a killed
// process may leave less.
func (c *Copy) fetch(ctx context.Context, o object) error {
	var held int64
	var err error
	for _, limit := range c.steps(o) {
		if held, err = c.fetchPart(ctx, o, limit); err != nil {
			return err
		}
		if limit == 0 || enough(c.file(o.Path)) {
			break
		}
	}
	return c.put(entry{Path: o.Path, Size: o.Size, Stamp: o.Stamp, Held: held})
}

// steps are how much of an object is read, one after the other until it is enough; 0 is all.
func (c *Copy) steps(o object) (steps []int64) {
	for _, limit := range heads {
		if partOf(o.Path) == header && limit < o.Size {
			steps = append(steps, limit)
		}
	}
	return append(steps, 0)
}

// enough reports whether the beginning of an image tells its type and size. Of a WebP that
// says it has EXIF that stands at the end.
func enough(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var start [21]byte
	if n, _ := io.ReadFull(f, start[:]); n == len(start) && string(start[8:16]) == "WEBPVP8X" && start[20]&0x08 != 0 {
		return false
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	_, _, err = source.ReadImageSize(f)
	return err == nil
}

func (c *Copy) fetchPart(ctx context.Context, o object, limit int64) (held int64, err error) {
	from, err := c.tree.open(ctx, o, limit)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", o.Path, err)
	}
	defer from.Close()
	file := c.file(o.Path)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return 0, err
	}
	to, err := atomicfile.Create(file, atomicfile.Private)
	if err != nil {
		return 0, err
	}
	defer to.Abort()
	wanted, most := o.Size, o.Size+1
	if limit > 0 {
		wanted = min(limit, o.Size)
		most = wanted
	}
	held, err = io.Copy(to, io.LimitReader(from, most))
	if err == nil && held != wanted {
		err = fmt.Errorf("it has %d bytes, and %d were listed; run again", held, o.Size)
	}
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", o.Path, err)
	}
	return held, nil
}

// Has reports whether a file is one of the copy.
func (c *Copy) Has(file string) bool {
	return source.Within(c.root, file)
}

// Header opens the beginning of a file of the copy.
func (c *Copy) Header(ctx context.Context, file string) (io.ReadSeekCloser, upload.Stat, error) {
	if c.tree == nil {
		return upload.Disk{}.Header(ctx, file)
	}
	o, err := c.object(file)
	if err != nil {
		return nil, upload.Stat{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, upload.Stat{}, source.ReasonOf(err)
	}
	return f, upload.Stat{Size: o.Size, Stamp: o.Stamp}, nil
}

// Open opens a file of the copy as a whole, where it is.
func (c *Copy) Open(ctx context.Context, file string) (io.ReadCloser, upload.Stat, error) {
	if c.tree == nil {
		return upload.Disk{}.Open(ctx, file)
	}
	o, err := c.object(file)
	if err != nil {
		return nil, upload.Stat{}, err
	}
	from, err := c.tree.open(ctx, o, 0)
	switch {
	case errors.Is(err, errOther):
		return nil, upload.Stat{}, err
	case err != nil:
		return nil, upload.Stat{}, &upload.PassingError{Err: errors.New(withoutSecrets(err.Error()))}
	}
	return &passing{from}, upload.Stat{Size: o.Size, Stamp: o.Stamp}, nil
}

// errOther is returned for an object that is not what was listed.
var errOther = errors.New("it is not there as it was listed, or its name holds what it cannot be asked for by; run again")

// passing is an object whose reading may fail for a while.
type passing struct{ io.ReadCloser }

func (p *passing) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &upload.PassingError{Err: errors.New(withoutSecrets(err.Error()))}
	}
	return n, err
}

// object is what a file of the copy is of.
func (c *Copy) object(file string) (object, error) {
	rel, err := filepath.Rel(c.root, file)
	if err != nil {
		return object{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.known[filepath.ToSlash(rel)]
	if !known {
		return object{}, fs.ErrNotExist
	}
	return object{e.Path, e.Size, e.Stamp}, nil
}

// enter goes into the only folder of a tree, as archives are often made.
func enter(root string) string {
	for {
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != 1 || !entries[0].IsDir() {
			return root
		}
		switch strings.ToLower(entries[0].Name()) {
		case "images", "labels", "annotations", "train", "val", "valid", "test":
			return root // it says something
		}
		root = filepath.Join(root, entries[0].Name())
	}
}

// Files are those of copies, and of this machine.
type Files []*Copy

func (f Files) of(file string) upload.Files {
	for _, c := range f {
		if c.Has(file) {
			return c
		}
	}
	return upload.Disk{}
}

// Header is that of the copy that has the file.
func (f Files) Header(ctx context.Context, file string) (io.ReadSeekCloser, upload.Stat, error) {
	return f.of(file).Header(ctx, file)
}

// Open is that of the copy that has the file.
func (f Files) Open(ctx context.Context, file string) (io.ReadCloser, upload.Stat, error) {
	return f.of(file).Open(ctx, file)
}

// Name is that of the copy that has the file.
func (f Files) Name(file string) string { return f.of(file).Name(file) }
