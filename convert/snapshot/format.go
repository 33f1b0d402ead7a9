// Package snapshot is the layout of the folders that export writes, and reads them as a source:
// canonical lines with what the service says of the images beside.
package snapshot

import (
	"context"
	"errors"
	"path/filepath"

	"pictosync/convert"
)

// Format is a snapshot of an export, or a folder of them.
func Format() convert.Format {
	return convert.Format{
		Name:  "backup",
		About: "a backup made by pictosync export",
		Detect: func(_ context.Context, c *convert.Candidate) (convert.Match, error) {
			if !c.Dir {
				return convert.Match{}, nil
			}
			if !Is(c.Path) {
				return convert.Match{}, oneBelow(c)
			}
			return convert.Match{Score: convert.Certain, Reason: "its manifest says that it is a snapshot"}, nil
		},
		Open: open,
	}
}

// oneBelow is the error for a folder that has folders of backups in it and nothing else, nil for
// others: their files are no labels of their own.
func oneBelow(c *convert.Candidate) error {
	for _, e := range c.Entries {
		if !e.IsDir() || !Is(filepath.Join(c.Path, e.Name())) {
			return nil
		}
	}
	if len(c.Entries) == 0 {
		return nil
	}
	return &convert.Error{Op: "read", Path: c.Path, Err: errors.New("it is no backup, and has backups in it"), Advice: "give one of them, as " + convert.Display(filepath.Join(c.Path, c.Entries[0].Name()))}
}
