package source

import "context"

func backupFormat() Format {
	return Format{
		Name:  "backup",
		About: "a backup made by pictosync export",
		Detect: func(_ context.Context, c *Candidate) (Match, error) {
			if !c.Dir || !IsBackup(c.Path) {
				return Match{}, nil
			}
			return Match{Certain, "its manifest says that it is a snapshot"}, nil
		},
		Open: openBackup,
	}
}
