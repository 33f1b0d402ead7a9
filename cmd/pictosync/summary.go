package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"pictosync/store"
	"pictosync/worker"
)

// print writes the summary: one JSON object, or lines for people.
func (o outputOptions) print(w io.Writer, s worker.Summary, failed error) error {
	if o.json {
		return printJSON(w, struct {
			worker.Summary
			ending
		}{s, endingOf(failed)})
	}
	if o.quiet || s.Run == "" {
		return nil
	}
	i := s.Images
	fmt.Fprintf(w, "run %s: %s\n", s.Run, endText(s.Outcome, s.Seconds, s.Requests))
	fmt.Fprintf(w, "  read         %s\n", accountsText(s.Accounts))
	if i.Found == 0 && (s.Outcome == string(store.Interrupted) || s.Outcome == string(store.Stopped)) {
		fmt.Fprintln(w, "  images       none looked at so far; the same command goes on")
		return nil
	}
	fmt.Fprintf(w, "  images       %d found: %s\n", i.Found, parts(
		part{i.Saved, "saved"}, part{i.Cleared, "cleared"}, part{i.Unchanged, "unchanged"}, part{i.Unmatched, "not in the dataset"}, part{i.Skipped, "skipped"}, part{i.Failed, "failed"},
		part{i.Found - i.Saved - i.Cleared - i.Unchanged - i.Unmatched - i.Skipped - i.Failed, "not reached"}))
	printUploads(w, s.Run, s.Uploads)
	if i.Saved+i.Cleared > 0 {
		fmt.Fprintf(w, "  annotations  %d before, %d now on the images saved\n", s.Annotations.Previous, s.Annotations.New)
	}
	printNotes(w, s.Notes)
	if i.Edited > 0 {
		fmt.Fprintf(w, "  edited       %s that somebody changed just before they were saved: see `pictosync runs %s --outcome saved`\n", plural(i.Edited, "image"), s.Run)
	}
	if len(s.Classes) > 0 {
		fmt.Fprintf(w, "  classes      new: %s\n", someNames(s.Classes))
	}
	if s.Archived > 0 {
		fmt.Fprintf(w, "  archived     %s that the run had uploaded\n", plural(s.Archived, "image"))
	}
	if s.Restored > 0 {
		fmt.Fprintf(w, "  restored     %s from the archive\n", plural(s.Restored, "image"))
	}
	if s.UploadsLeft > 0 {
		stay, why := "stay", "`pictosync undo "+s.Undoes+" --uploaded` archives those that nobody labelled since"
		if s.UploadsLeft == 1 {
			stay = "stays"
		}
		if s.Archives && s.Outcome == string(store.Done) {
			why = "labelled or changed since, left out by --image, or archived already"
		}
		fmt.Fprintf(w, "  uploads      %s that the run uploaded %s in the dataset (%s)\n", plural(s.UploadsLeft, "image"), stay, why)
	}
	if len(s.StillThere) > 0 {
		why := "`pictosync undo " + s.Undoes + " --classes` removes those that no annotation uses"
		if s.RemovesClasses && s.Outcome == string(store.Done) {
			why = "annotations use them"
		}
		fmt.Fprintf(w, "  classes      added by the run and still there: %s (%s)\n", someNames(s.StillThere), why)
	}
	if i.Unlabelled > 0 {
		fmt.Fprintf(w, "  unlabelled   %s of the dataset: see `pictosync runs %s --unlabelled`\n", plural(i.Unlabelled, "image"), s.Run)
	}
	if s.Findings > 0 {
		fmt.Fprintf(w, "  findings     %s (%s): see `pictosync runs %s --findings`\n", severitiesText(s.Kinds), kindsText(s.Kinds), s.Run)
	}
	printFailures(w, "what failed", s, failed)
	return nil
}

// printFailures names images that failed, or are not in the dataset, which with --unmatched
// ignore is no failure.
func printFailures(w io.Writer, what string, s worker.Summary, failed error) {
	list := "--outcome failed,unmatched"
	switch {
	case s.Images.Failed+s.Images.Unmatched == 0: // files without labels
		list = "--findings"
	case s.Images.Failed == 0 && failed == nil:
		what, list = "not there", "--outcome unmatched"
	}
	for n, failure := range s.Failures {
		fmt.Fprintf(w, "  %-11s  %s\n", []string{what, "", ""}[n], printable(failure))
	}
	if len(s.Failures) > 0 {
		fmt.Fprintf(w, "               see `pictosync runs %s %s`\n", s.Run, list)
	}
}

// printNotes says how images were read.
func printNotes(w io.Writer, notes []string) {
	for _, note := range notes {
		fmt.Fprintf(w, "  images read  %s\n", printable(note))
	}
}

// someNames are a few names, and how many there are beside.
func someNames(names []string) string {
	const few = 8
	var shown []string
	for _, name := range names[:min(few, len(names))] {
		shown = append(shown, printable(name))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// endText is how a run ended, and what it took.
func endText(outcome string, took float64, requests int) string {
	text := fmt.Sprintf("%s in %s, %s", outcomeText[outcome], time.Duration(took*float64(time.Second)).Round(time.Millisecond), plural(requests, "request"))
	if outcome == string(store.WithFailures) {
		text += "; some images failed"
	}
	return text
}

var outcomeText = map[string]string{
	string(store.Done): "done", string(store.WithFailures): "finished",
	string(store.Interrupted): "interrupted", string(store.Stopped): "stopped", string(store.Refused): "stopped by a guard", string(store.Planned): "planned",
}

// kindsText counts findings by kind, the most frequent first.
func kindsText(kinds map[string]int) string {
	names := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return cmp.Or(kinds[b]-kinds[a], strings.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", kinds[name], name)
	}
	return strings.Join(names, ", ")
}

type part struct {
	n    int
	what string
}

func parts(all ...part) string {
	var said []string
	for _, p := range all {
		if p.n > 0 {
			said = append(said, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(said) == 0 {
		return "nothing to do"
	}
	return strings.Join(said, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
