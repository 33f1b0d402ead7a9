package source

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pictosync/convert"
)

// Walker goes through the files below a folder. It follows symbolic links, but
// into no folder twice, and holds one folder's entries at a time (and those of
// the folders above it).
type Walker struct {
	Root     string
	Prefix   string // of root in messages, slash-separated; may be ""
	Reporter *convert.Reporter
	Take     func(name string) bool // by the base name
	Listings *Listings              // may be nil
	// Whatever says that also what is no regular file, or leads nowhere, is yielded where Take
	// takes its name: who opens it says what is wrong with it.
	Whatever bool
}

// Files yields the slash-separated paths below the root that take takes, each
// folder's in the order of their names, beginning after the path after.
func (w Walker) Files(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		real, err := filepath.EvalSymlinks(w.Root)
		if err == nil {
			real, err = filepath.Abs(real)
		}
		if err != nil {
			yield("", OpenError(w.Root, err))
			return
		}
		v := visit{Walker: w, ctx: ctx, yield: yield, trees: []string{real}}
		var behind []string
		if after != "" {
			behind = strings.Split(after, "/")
		}
		v.folder("", behind)
	}
}

// Listings remembers the entries of the folders that were read last, so that a
// walk which begins in the middle of a large folder need not read it again. A
// nil *listings remembers nothing.
type Listings struct {
	mu      sync.Mutex
	folders []listing // the latest last
}

type listing struct {
	folder   string
	modified time.Time
	entries  *Entries
}

// maxListings covers a folder of labels, that of its images, and what is above.
const maxListings = 6

// Read returns a folder's entries, sorted by name; they must not be changed.
func (l *Listings) Read(folder string) (*Entries, error) {
	if l == nil {
		return ReadEntries(folder)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return &Entries{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.folders, func(f listing) bool { return f.folder == folder })
	if i >= 0 {
		f := l.folders[i]
		l.folders = append(slices.Delete(l.folders, i, i+1), f)
		if f.modified.Equal(info.ModTime()) {
			return f.entries, nil
		}
		l.folders = l.folders[:len(l.folders)-1]
	}
	entries, err := ReadEntries(folder)
	if err != nil {
		return entries, err
	}
	if len(l.folders) == maxListings {
		l.folders = slices.Delete(l.folders, 0, 1)
	}
	l.folders = append(l.folders, listing{folder, info.ModTime(), entries})
	return entries, nil
}

// visit is one walk.
type visit struct {
	Walker
	ctx   context.Context
	yield func(string, error) bool
	trees []string // the real paths of the trees that are walked
	path  []byte   // of the entry at hand
}

// folder walks one folder, behind the path that the components of behind make;
// false ends the walk.
func (v *visit) folder(rel string, behind []string) bool {
	if err := v.ctx.Err(); err != nil {
		v.yield("", err)
		return false
	}
	entries, err := v.Listings.Read(filepath.Join(v.Root, filepath.FromSlash(rel)))
	if err != nil {
		if rel == "" {
			v.yield("", OpenError(v.Root, err))
			return false
		}
		// What could be read of it is taken all the same.
		v.report(convert.KindUnreadable, rel, fmt.Sprintf("the folder cannot be read: %v", ReasonOf(err)), "what could not be read was left out")
	}
	prefix := AsPrefix(rel)
	for _, e := range entries.List {
		v.path = append(append(v.path[:0], prefix...), entries.Bytes(e)...)
		path := string(v.path)
		name := path[len(prefix):]
		var below []string
		if len(behind) > 0 {
			switch {
			case name < behind[0]:
				continue
			case name == behind[0]:
				below = behind[1:]
			}
		}
		kind := e.Kind
		if kind == linkEntry {
			mode, ok := v.follow(path)
			if !ok {
				continue
			}
			kind = kindOf(mode)
		}
		switch {
		case kind == FolderEntry:
			if !v.folder(path, below) {
				return false
			}
		case !v.Take(name) || len(behind) > 0 && name == behind[0]:
		case kind != regularEntry && !v.Whatever:
			v.report(convert.KindUnreadable, path, "is no regular file", "it was left out")
		case !v.yield(path, nil):
			return false
		}
	}
	return true
}

// follow tells what a symbolic link leads to, and whether to go there: not to a
// folder that is walked anyway.
func (v *visit) follow(path string) (fs.FileMode, bool) {
	full := filepath.Join(v.Root, filepath.FromSlash(path))
	info, err := os.Stat(full)
	if err != nil {
		if v.Whatever && v.Take(filepath.Base(path)) {
			return fs.ModeIrregular, true
		}
		if v.Take(filepath.Base(path)) || filepath.Ext(path) == "" {
			v.report(convert.KindUnreadable, path, fmt.Sprintf("the link leads nowhere: %v", ReasonOf(err)), "it was left out")
		}
		return 0, false
	}
	if !info.IsDir() {
		return info.Mode().Type(), true
	}
	real, err := filepath.EvalSymlinks(full)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		v.report(convert.KindUnreadable, path, fmt.Sprintf("the link cannot be followed: %v", ReasonOf(err)), "it was left out")
		return 0, false
	}
	for _, tree := range v.trees {
		if Within(tree, real) || Within(real, tree) {
			v.report(convert.KindRepeatedFolder, path, "the link leads to a folder that is read already", "it was not followed")
			return 0, false
		}
	}
	v.trees = append(v.trees, real)
	return fs.ModeDir, true
}

// Within reports whether path is folder or lies below it.
func Within(folder, path string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator))+string(filepath.Separator))
}

// Below is the path below a folder of a file that lies in it, however both are named: from
// the root of the machine or not, and through links or not. The file need not be there.
func Below(folder, file string) (rel string, ok bool) {
	if rel, ok := relativeWithin(filepath.Clean(folder), file); ok {
		return rel, true
	}
	abs, err := filepath.Abs(folder)
	if err != nil {
		return "", false
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", false
	}
	if rel, ok := relativeWithin(abs, file); ok {
		return rel, true
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", false
	}
	if rel, ok := belowSame(info, file); ok {
		return rel, true
	}
	real, err := filepath.EvalSymlinks(file)
	if err != nil || real == file {
		return "", false
	}
	return belowSame(info, real)
}

func relativeWithin(folder, file string) (rel string, ok bool) {
	if !Within(folder, file) {
		return "", false
	}
	rel, err := filepath.Rel(folder, file)
	return rel, err == nil
}

// belowSame is what follows in a path behind the folder that is the one of info.
func belowSame(info os.FileInfo, file string) (rel string, ok bool) {
	const slash = string(filepath.Separator)
	parts := strings.Split(file, slash)
	for i := range parts {
		above, err := os.Stat(strings.Join(parts[:i+1], slash) + slash)
		if err != nil {
			return "", false // so is none of those below it
		}
		if os.SameFile(info, above) {
			return filepath.Join(append([]string{"."}, parts[i+1:]...)...), true
		}
	}
	return "", false
}

func (v *visit) report(kind convert.Kind, path, reason, action string) {
	v.Reporter.Report(convert.Finding{Kind: kind, File: Join(v.Prefix, path), Reason: reason, Action: action})
}

// NotLabels are text files that lie among labels and are none, unless an image
// has their name.
var NotLabels = map[string]bool{
	"classes.txt": true, "labels.txt": true, "names.txt": true, "requirements.txt": true, "readme.txt": true,
	"predefined_classes.txt": true, "_classes.txt": true, "readme.roboflow.txt": true, "readme.dataset.txt": true, "license.txt": true,
	"train.txt": true, "val.txt": true, "valid.txt": true, "validation.txt": true, "test.txt": true,
}
