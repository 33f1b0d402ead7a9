package source

import (
	"fmt"

	"github.com/bmatcuk/doublestar/v4"
)

// filter is what --include and --exclude leave of a source. Its globs are
// matched against the image's path and the label file's; ** crosses folders.
type filter struct{ include, exclude []string }

func newFilter(include, exclude []string) (filter, error) {
	for flag, globs := range map[string][]string{"--include": include, "--exclude": exclude} {
		for _, glob := range globs {
			if !doublestar.ValidatePattern(glob) {
				return filter{}, &Error{Op: "read", Path: flag, Err: fmt.Errorf("%q is no glob", glob), Advice: "as 'train/**' or '**/*.png'"}
			}
		}
	}
	return filter{include, exclude}, nil
}

// takes reports whether an image, described by a label file, is left.
func (f filter) takes(image, file string) bool {
	if len(f.include) > 0 && !matchesAny(f.include, image) && !matchesAny(f.include, file) {
		return false
	}
	return !matchesAny(f.exclude, image) && !matchesAny(f.exclude, file)
}

// excludes reports whether nothing of a label file can be left.
func (f filter) excludes(file string) bool { return matchesAny(f.exclude, file) }

func matchesAny(globs []string, path string) bool {
	for _, glob := range globs {
		if doublestar.MatchUnvalidated(glob, path) {
			return true
		}
	}
	return false
}
