// Command pictosync brings COCO and YOLO labels into Pictograph datasets.
//
// Rules for all of its output: results go to standard output, and nothing
// else does; progress, warnings, logs and errors go to standard error. With
// --json the result is one JSON object. An error is one line that says what
// was being done to what, why it failed and what to do next. The API key is
// in neither.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func main() { os.Exit(Main()) }

// Main runs the command line of the process and returns its exit status.
func Main() int {
	root := newRoot()
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	if !jsonPrinted && slices.Contains(os.Args[1:], "--json") {
		printJSON(os.Stdout, endingOf(err))
	}
	if said := say(err); said && isUsage(err) {
		fmt.Fprintf(os.Stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return code
}

// say writes an error to standard error, unless the output has said it already.
func say(err error) bool {
	message := errorLine(err)
	if message != "" {
		fmt.Fprintf(os.Stderr, "pictosync: %s\n", printable(message))
	}
	return message != ""
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pictosync",
		Short: "Sync COCO and YOLO labels into Pictograph datasets, resumably",
		Long: `pictosync brings the labels of a COCO file, a YOLO folder, a Create ML file, a SQLite
manifest or canonical JSON Lines into a Pictograph dataset, with the images if wanted. It plans first, saves in batches
under the service's rate limit, keeps its progress in a state file, and finishes
an interrupted run when the same command is given again.` + exitHelp,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newSync(), newPlan(), newConvert(), newInspect(), newView(), newDraw(), newUI(), newManifest(), newRuns(), newUndo(), newVerify(), newExport(), newRestore(), newSnapshots(), newRun(), newGC(), newDoctor(), newSandbox(), newMan())
	addCompletions(root)
	nameWhatIsThere(root)
	groupFlags(root)
	return root
}

// nameWhatIsThere has the commands that cobra adds refuse what they do not know, as all others
// do: by themselves they print their help and end well.
func nameWhatIsThere(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		case "completion":
			var shells []string
			for _, shell := range cmd.Commands() {
				shells = append(shells, shell.Name())
			}
			cmd.Args = func(*cobra.Command, []string) error {
				return usagef("no shell: it must be one of: %s", strings.Join(shells, ", "))
			}
			cmd.RunE = func(*cobra.Command, []string) error { return nil }
		}
	}
}
