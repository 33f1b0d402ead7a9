package source

import (
	"bytes"
	"context"
	"path/filepath"
)

func manifestFormat() Format {
	return Format{
		Name:  "manifest",
		About: "a manifest (.db) made by pictosync manifest",
		Detect: func(_ context.Context, c *Candidate) (Match, error) {
			if !bytes.HasPrefix(c.Head, []byte("SQLite format 3\x00")) {
				return Match{}, nil
			}
			return Match{Certain, "a SQLite file with the tables of a manifest"}, nil
		},
		Open: openManifest,
	}
}

// ImageFile is looked for in the folder of images, and then below the manifest's root.
func (m *manifest) ImageFile(item Item) string {
	if file := m.inImages(item.Image); file != "" {
		return file
	}
	if p, ok := item.place.(manifestPlace); ok && p.ofMany() {
		if f, inner, err := m.inFile(context.Background(), p, item.Image); err == nil {
			return ImageFile(f, inner)
		}
	}
	return existing(filepath.Join(m.root, filepath.FromSlash(item.Image)))
}
