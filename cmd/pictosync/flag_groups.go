package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// headings are those that the help puts flags under, in this order; those of a command alone
// stand before them.
var headings = []string{sourceHeading, matchingHeading, guardsHeading, uploadHeading, serviceHeading, outputHeading}

const (
	sourceHeading   = "Source"
	matchingHeading = "Matching"
	guardsHeading   = "What may be overwritten"
	uploadHeading   = "Images"
	serviceHeading  = "Service and state"
	outputHeading   = "Output"
)

const headingKey = "pictosync-heading"

// under puts the flags that are added until the function that it returns is called under a
// heading, unless they have one.
func under(f *pflag.FlagSet, heading string) func() {
	before := make(map[string]bool)
	f.VisitAll(func(flag *pflag.Flag) { before[flag.Name] = true })
	return func() {
		f.VisitAll(func(flag *pflag.Flag) {
			if before[flag.Name] || flag.Annotations[headingKey] != nil {
				return
			}
			if flag.Annotations == nil {
				flag.Annotations = make(map[string][]string)
			}
			flag.Annotations[headingKey] = []string{heading}
		})
	}
}

// groupFlags has the help of all commands show flags under their headings.
func groupFlags(root *cobra.Command) {
	cobra.AddTemplateFunc("flagGroups", flagGroups)
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}", "{{flagGroups .LocalFlags}}", 1))
}

func flagGroups(flags *pflag.FlagSet) string {
	groups := make(map[string]*pflag.FlagSet)
	flags.VisitAll(func(flag *pflag.Flag) {
		heading := "Flags"
		if own := flag.Annotations[headingKey]; own != nil {
			heading = own[0]
		}
		if groups[heading] == nil {
			groups[heading] = pflag.NewFlagSet(heading, pflag.ContinueOnError)
		}
		groups[heading].AddFlag(flag)
	})
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width = 0 // no line is broken
	}
	var text []string
	for _, heading := range slices.Concat([]string{"Flags"}, headings) {
		if group := groups[heading]; group != nil {
			text = append(text, heading+":\n"+strings.TrimRight(group.FlagUsagesWrapped(width), " \n"))
		}
	}
	return strings.Join(text, "\n\n")
}
