package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/remote"
	"pictosync/store"
)

// A run keeps the command line that does the same again: with every option that it had, from
// the command line, the environment or a configuration, and with paths that hold in every
// folder. Of a plan it is the command that does it. The state's own path is not part of it: it
// is where the command was found. Nor is what is only about what a command prints.

// notRepeated are flags that say what is shown of a run, or where its options are from.
var notRepeated = map[string]bool{"config": true, "state": true, "json": true, "quiet": true, "log-level": true, "log-format": true,
	"dry-run": true, "html": true, "read-images": true, "fetch-images": true, "diff": true, "rows": true, "webhook": true}

// applyAndKeep fills in the flags that the command line left alone, and keeps the command line
// that they come to.
func (o *serviceOptions) applyAndKeep(cmd *cobra.Command, args []string) error {
	if err := applySettings(cmd, o.config); err != nil {
		return err
	}
	name := cmd.Name()
	flags := func(f *pflag.Flag) bool { return !notRepeated[f.Name] }
	if name == "plan" {
		name = "sync"
		flags = func(f *pflag.Flag) bool { return !notRepeated[f.Name] && f.Name != "out" }
	}
	o.command = store.Command{Args: append([]string{name}, absolute(args, name != "undo")...)}
	o.command.Args = append(o.command.Args, flagWords(cmd.Flags(), flags)...)
	return nil
}

// keepJobs keeps the command line that does jobs of a configuration again, but for their names:
// what the file says stays in the file.
func (o *serviceOptions) keepJobs(cmd *cobra.Command, config string, apply func() error) error {
	given := make(map[string]bool)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { given[f.Name] = f.Changed || isSetting(f) && variableOf(f) != "" })
	if err := apply(); err != nil {
		return err
	}
	o.command = store.Command{Args: append([]string{"run"}, absolute([]string{config}, true)...)}
	o.command.Dir, _ = os.Getwd() // the file's paths are from there; "" where it is gone
	o.command.Args = append(o.command.Args, flagWords(cmd.Flags(), func(f *pflag.Flag) bool { return given[f.Name] && !notRepeated[f.Name] })...)
	return nil
}

// absolute are paths that hold in every folder.
func absolute(paths []string, are bool) []string {
	paths = slices.Clone(paths)
	for i, path := range paths {
		switch whole, err := filepath.Abs(path); {
		case !are || path == "":
		case strings.Contains(path, "://"):
			paths[i] = remote.Shown(path) // what signs it is nobody's to keep
		case err == nil:
			paths[i] = whole
		}
	}
	return paths
}

// flagWords are the flags that are set, as words of a command line.
func flagWords(flags *pflag.FlagSet, wanted func(*pflag.Flag) bool) (words []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || !wanted(f) {
			return
		}
		kind, _ := pflag.UnquoteUsage(f)
		values := []string{f.Value.String()}
		if list, is := f.Value.(pflag.SliceValue); is {
			values = list.GetSlice()
		}
		values = absolute(values, kind == "FILE" || kind == "DIR" || strings.Contains(f.Value.String(), "://"))
		for _, value := range values {
			if f.Value.Type() == "stringSlice" {
				value = quotedField(value)
			}
			switch {
			case f.Value.Type() == "bool" && value == "true":
				words = append(words, "--"+f.Name)
			case f.Value.Type() == "bool" || value == "" || strings.HasPrefix(value, "-"):
				words = append(words, "--"+f.Name+"="+value)
			default:
				words = append(words, "--"+f.Name, value)
			}
		}
	})
	return words
}

// quotedField is a value as a flag takes it that has several with commas.
func quotedField(value string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if w.Write([]string{value}) != nil {
		return value
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// shown is a command line as a shell takes it, on a state.
func shown(c store.Command, state string, more ...string) string {
	words := append([]string{"pictosync"}, slices.Concat(c.Args, more)...)
	if state != "" {
		words = append(words, "--state", absolute([]string{state}, true)[0])
	}
	for i, word := range words {
		words[i] = shellWord(word)
	}
	line := strings.Join(words, " ")
	if here, err := os.Getwd(); c.Dir != "" && (err != nil || here != c.Dir) {
		line = "cd " + shellWord(c.Dir) + " && " + line
	}
	return line
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
