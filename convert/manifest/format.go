// Package manifest reads and writes the SQLite manifest: a list of images with where their
// labels are, in whatever format, to be edited with SQL. [Schema] is its layout.
package manifest

import (
	"bytes"
	"context"
	"path/filepath"

	"pictosync/convert"
	"pictosync/source"
)

// Format is the SQLite manifest, a list of images and where their labels are.
func Format() convert.Format {
	return convert.Format{
		Name:  "manifest",
		About: "a manifest (.db) made by pictosync manifest",
		Detect: func(_ context.Context, c *convert.Candidate) (convert.Match, error) {
			if !bytes.HasPrefix(c.Head, []byte("SQLite format 3\x00")) {
				return convert.Match{}, nil
			}
			return convert.Match{Score: convert.Certain, Reason: "a SQLite file with the tables of a manifest"}, nil
		},
		Open:  open,
		Mixed: true,
	}
}

// ImageFile is looked for in the folder of images, and then below the manifest's root, by any
// path that the image has.
func (m *manifest) ImageFile(item convert.Item) string {
	paths := []string{item.Image}
	for _, alias := range item.Aliases {
		if filepath.IsLocal(filepath.FromSlash(alias)) {
			paths = append(paths, alias)
		}
	}
	for _, name := range paths {
		if file := m.InImages(name); file != "" {
			return file
		}
	}
	if p, ok := item.Place.(place); ok && p.ofMany() {
		if f, inner, err := m.inFile(context.Background(), p, item.Image); err == nil {
			return convert.ImageFile(f, inner)
		}
	}
	for _, name := range paths {
		if file := source.Existing(filepath.Join(m.root, filepath.FromSlash(name))); file != "" {
			return file
		}
	}
	return ""
}
