package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"pictosync/compare"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/worker"
)

// printDiff prints what becomes of an image's annotations, a line each, and what that
// comes to. same are those that stay what they are.
func printDiff(w io.Writer, image string, changes []worker.Change, same int) error {
	var before, after []pictograph.Annotation
	for _, c := range changes {
		if c.Before != nil {
			before = append(before, *c.Before)
		}
		if c.After != nil {
			after = append(after, *c.After)
		}
	}
	paired := compare.Annotations(before, after)
	for _, c := range paired {
		if _, err := fmt.Fprintln(w, printable(c.Line())); err != nil {
			return err
		}
	}
	n := compare.Count(paired)
	_, err := fmt.Fprintf(w, "%s: %d added, %d removed, %d changed, %d unchanged\n", printable(image), n[compare.Added], n[compare.Removed], n[compare.Changed], n[compare.Unchanged]+same)
	return err
}

// printRows prints every image that a plan changes, or cannot.
func printRows(ctx context.Context, w io.Writer, st *store.Store, run string) error {
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	table := newRows(w, "IMAGE\tPLAN\tBEFORE\tAFTER\tLABEL\tREASON")
	for i, err := range st.Items(ctx, run) {
		if err != nil {
			return err
		}
		if i.Plan == store.PlanUnchanged {
			continue
		}
		after := fmt.Sprint(i.Count)
		if i.Outcome != store.ItemPending {
			after = "-"
		}
		word := string(i.Plan)
		if i.Outcome == store.ItemSkipped || i.Outcome == store.ItemFailed && i.Plan != store.PlanFailed && i.Plan != store.PlanAmbiguous {
			word += ", " + string(i.Outcome)
		}
		if err := table.printf("%s\t%s\t%d\t%s\t%s\t%s\n", printable(cmp.Or(i.Path, i.Image)), word, i.ListedCount, after, printable(cmp.Or(i.File, "-")), printable(i.Reason)); err != nil {
			return err
		}
	}
	return table.end()
}
