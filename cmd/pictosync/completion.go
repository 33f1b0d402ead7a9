package main

import (
	"slices"

	"github.com/spf13/cobra"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/convert/yolo"
)

// choices are the values of flags that take one of a few, for completion in a shell.
func choices() map[string][]string {
	return map[string][]string{
		"from":             formats.Names(false),
		"to":               formats.Names(true),
		"formats":          besideCanonical(),
		"task":             textOf(yolo.Tasks),
		"yolo-task":        textOf(yolo.Tasks),
		"outside":          textOf([]convert.Outside{convert.OutsideKeep, convert.OutsideClip, convert.OutsideReport}),
		"on-size-mismatch": textOf([]convert.SizePolicy{convert.SizeFail, convert.SizeScale, convert.SizeKeep}),
		"allow":            append([]string{string(convert.Lost)}, convert.KindsOf(convert.Lost)...),
		"log-level":        {"debug", "info", "warn", "error", "disabled"},
	}
}

func textOf[T ~string](values []T) (text []string) {
	for _, v := range values {
		text = append(text, string(v))
	}
	return text
}

// addCompletions lets a shell complete the values of flags.
func addCompletions(root *cobra.Command) {
	all := choices()
	for _, cmd := range root.Commands() {
		for flag, values := range all {
			if cmd.Flags().Lookup(flag) == nil {
				continue
			}
			values = slices.Clone(values)
			if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				panic(err) // two registrations of one flag
			}
		}
	}
}
