package snapshot

import (
	"context"

	"pictosync/convert"
)

// Format is a snapshot of an export, or a folder of them.
func Format() convert.Format {
	return convert.Format{
		Name:  "backup",
		About: "a backup made by pictosync export",
		Detect: func(_ context.Context, c *convert.Candidate) (convert.Match, error) {
			if !c.Dir || !Is(c.Path) {
				return convert.Match{}, nil
			}
			return convert.Match{Score: convert.Certain, Reason: "its manifest says that it is a snapshot"}, nil
		},
		Open: open,
	}
}
