package source

import (
	"bytes"
	"context"
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
