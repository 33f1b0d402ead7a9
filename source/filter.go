package source

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"

	"pictosync/convert"
)

// Filter is what --include and --exclude leave of a source. Its globs are
// matched against the image's path and the label file's; ** crosses folders.
type filter struct{ Include, Exclude []string }

// NewFilter checks the globs.
func NewFilter(include, exclude []string) (filter, error) {
	for flag, globs := range map[string][]string{"--include": include, "--exclude": exclude} {
		for _, glob := range globs {
			if !doublestar.ValidatePattern(glob) {
				return filter{}, &convert.Error{Op: "read", Path: flag, Err: fmt.Errorf("%q is no glob", glob), Advice: "as 'train/**' or '**/*.png'"}
			}
		}
	}
	return filter{include, exclude}, nil
}

// Takes reports whether an image, described by a label file, is left.
func (f filter) Takes(image, file string) bool {
	if len(f.Include) > 0 && !matchesAny(f.Include, image) && !matchesAny(f.Include, file) {
		return false
	}
	return !matchesAny(f.Exclude, image) && !matchesAny(f.Exclude, file)
}

// Excludes reports whether nothing of a label file can be left.
func (f filter) Excludes(file string) bool { return matchesAny(f.Exclude, file) }

func matchesAny(globs []string, path string) bool {
	for _, glob := range globs {
		if doublestar.MatchUnvalidated(glob, path) {
			return true
		}
	}
	return false
}
