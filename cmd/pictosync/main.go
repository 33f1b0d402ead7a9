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
	return root
}
