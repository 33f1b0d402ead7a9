package source

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/bmatcuk/doublestar/v4"

	"pictosync/convert"
)

// filter is what --include and --exclude leave of a source. Its globs are
// matched against the image's path and the label file's; ** crosses folders.
type filter struct {
	Include, Exclude []string
	fits             func(glob string) // is told what fits; may be nil
}

// NewFilter checks the globs.
func NewFilter(include, exclude []string, fits func(glob string)) (filter, error) {
	for flag, globs := range map[string][]string{"--include": include, "--exclude": exclude} {
		for _, glob := range globs {
			if !doublestar.ValidatePattern(glob) {
				return filter{}, &convert.Error{Op: "read", Path: flag, Err: fmt.Errorf("%q is no glob", glob), Advice: "as 'train/**' or '**/*.png'"}
			}
		}
	}
	return filter{include, exclude, fits}, nil
}

// Takes reports whether an image, described by a label file, is left.
func (f filter) Takes(image, file string) bool {
	included := len(f.Include) == 0 || f.matchesAny(f.Include, image, file)
	return !f.matchesAny(f.Exclude, image, file) && included
}

// Excludes reports whether nothing of a label file can be left.
func (f filter) Excludes(file string) bool { return f.matchesAny(f.Exclude, file) }

func (f filter) matchesAny(globs []string, paths ...string) (any bool) {
	for _, glob := range globs {
		if slices.ContainsFunc(paths, func(path string) bool { return doublestar.MatchUnvalidated(glob, path) }) {
			any = true
			if f.fits != nil {
				f.fits(glob)
			}
		}
	}
	return any
}

// Globs are those of --include and --exclude over a whole run, which are held against the
// images of a dataset too, and remember what they fit. A nil *Globs has none.
type Globs struct {
	filter
	used map[string]*atomic.Bool
}

// NewGlobs makes the globs of a run; who opens the source checks them.
func NewGlobs(include, exclude []string) *Globs {
	g := &Globs{used: make(map[string]*atomic.Bool)}
	for _, glob := range slices.Concat(include, exclude) {
		g.used[glob] = new(atomic.Bool)
	}
	g.filter = filter{include, exclude, g.Fits}
	return g
}

// Fits notes that a glob fits an image or a label file.
func (g *Globs) Fits(glob string) {
	if !g.used[glob].Load() {
		g.used[glob].Store(true)
	}
}

// Excludes reports whether an image of a dataset is left out.
func (g *Globs) Excludes(path string) bool { return g != nil && path != "" && g.filter.Excludes(path) }

// Takes reports whether an image, and a file of it, are left.
func (g *Globs) Takes(image, file string) bool { return g == nil || g.filter.Takes(image, file) }

// Unused are the globs that fitted nothing, to be asked for at the end.
func (g *Globs) Unused() (found []convert.Finding) {
	if g == nil {
		return nil
	}
	for _, glob := range slices.Concat(g.Include, g.Exclude) {
		if !g.used[glob].Load() {
			found = append(found, convert.Finding{Kind: convert.KindGlob, Cause: glob, Reason: fmt.Sprintf("the glob %q fits no image and no label file", glob), Action: "nothing was taken or left out by it"})
		}
	}
	return found
}
