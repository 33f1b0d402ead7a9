package main

import (
	"slices"

	"github.com/spf13/cobra"

	"pictosync/convert"
	"pictosync/convert/coco"
	"pictosync/convert/formats"
	"pictosync/convert/yolo"
	"pictosync/dataset"
	"pictosync/worker"
)

// choices are the values of flags that take one of a few, by which they are checked and
// completed in a shell.
func choices() map[string][]string {
	policies := textOf([]worker.Policy{worker.Overwrite, worker.Skip, worker.Fail})
	return map[string][]string{
		"from":             formats.Names(false),
		"to":               formats.Names(true),
		"formats":          besideCanonical(),
		"task":             textOf(yolo.Tasks),
		"yolo-task":        textOf(yolo.Tasks),
		"format":           {"png", "jpeg"},
		"outside":          textOf([]convert.Outside{convert.OutsideKeep, convert.OutsideClip, convert.OutsideReport}),
		"on-size-mismatch": textOf([]convert.SizePolicy{convert.SizeFail, convert.SizeScale, convert.SizeKeep}),
		"box-angle":        textOf([]coco.Turn{coco.Clockwise, coco.Counterclockwise}),
		"match":            textOf([]worker.Matching{worker.MatchExact, worker.MatchPath, worker.MatchName}),
		"unmatched":        {"fail", "ignore"},
		"read":             textOf([]dataset.ReadPolicy{dataset.ReadAuto, dataset.ReadExport, dataset.ReadImage}),
		"on-existing":      policies,
		"on-drift":         policies,
		"on-reviewed":      policies,
		"unknown-classes":  textOf([]worker.Policy{worker.Create, worker.Skip, worker.Fail}),
		"backup":           textOf([]worker.BackupPolicy{worker.BackupAuto, worker.BackupAlways, worker.BackupNever}),
		"upload":           textOf([]worker.Uploading{worker.UploadNone, worker.UploadMissing, worker.UploadAll}),
		"allow":            append([]string{string(convert.Lost)}, convert.KindsOf(convert.Lost)...),
		"log-format":       {"text", "json"},
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
