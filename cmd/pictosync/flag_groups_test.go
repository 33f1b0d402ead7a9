package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help names every flag once, and those of the source before those of the service.
func TestHelpNamesEveryFlagOnce(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		help := cmd.UsageString()
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if n := strings.Count(help, "\n      --"+f.Name+" ") + strings.Count(help, ", --"+f.Name+" "); n != 1 && !f.Hidden {
				t.Errorf("the help of %s names --%s %d times", cmd.Name(), f.Name, n)
			}
		})
	}
	help := find(t, "sync").UsageString()
	source, service := strings.Index(help, "\nSource:\n"), strings.Index(help, "\nService and state:\n")
	if include := strings.Index(help, " --include "); source < 0 || include < source || service < include {
		t.Errorf("the flags of sync are not under their headings:\n%s", help)
	}
}

func find(t *testing.T, name string) *cobra.Command {
	t.Helper()
	cmd, _, err := newRoot().Find([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}
