package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/internal/atomicfile"
	"pictosync/store"
)

// findingGroup is what was found of one kind and cause.
type findingGroup struct {
	Kind     convert.Kind      `json:"kind"`
	Severity convert.Severity  `json:"severity"`
	Cause    string            `json:"cause,omitempty"`
	Count    int               `json:"count"`    // of what the findings stand for
	Findings int               `json:"findings"` // of this group
	Examples []convert.Finding `json:"examples"`
}

// shownExamples is how many findings of a group people are shown.
const shownExamples = 3

// findingGroups gathers findings by kind and cause.
type findingGroups struct {
	byCause map[[2]string]*findingGroup
}

// maxGroups bounds how many causes are told apart.
const maxGroups = 1000

func (g *findingGroups) add(f convert.Finding) {
	key := [2]string{string(f.Kind), f.Cause}
	one := g.byCause[key]
	if one == nil && len(g.byCause) >= maxGroups {
		key[1] = "…"
		one = g.byCause[key]
	}
	if one == nil {
		if g.byCause == nil {
			g.byCause = make(map[[2]string]*findingGroup)
		}
		one = &findingGroup{Kind: f.Kind, Severity: f.Kind.Severity(), Cause: key[1], Examples: []convert.Finding{}}
		g.byCause[key] = one
	}
	one.Count += f.Stands()
	one.Findings++
	if len(one.Examples) < shownExamples {
		one.Examples = append(one.Examples, f)
	}
}

// sorted are the groups, what was lost first and then the most frequent.
func (g *findingGroups) sorted() []*findingGroup {
	order := map[convert.Severity]int{convert.Lost: 0, convert.Changed: 1, convert.Noted: 2}
	groups := make([]*findingGroup, 0, len(g.byCause))
	for _, one := range g.byCause {
		groups = append(groups, one)
	}
	slices.SortFunc(groups, func(a, b *findingGroup) int {
		return cmp.Or(order[a.Severity]-order[b.Severity], b.Count-a.Count, strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Cause, b.Cause))
	})
	return groups
}

// kindJSON counts the findings of one kind.
type kindJSON struct {
	Severity convert.Severity  `json:"severity"`
	Count    int               `json:"count"`
	Examples []convert.Finding `json:"examples"`
}

// byKind are the groups, those of one kind together.
func (g *findingGroups) byKind() map[string]kindJSON {
	kinds := make(map[string]kindJSON)
	for _, one := range g.sorted() {
		k := kinds[string(one.Kind)]
		k.Severity, k.Count = one.Severity, k.Count+one.Count
		k.Examples = append(k.Examples, one.Examples[:min(len(one.Examples), shownExamples-min(shownExamples, len(k.Examples)))]...)
		kinds[string(one.Kind)] = k
	}
	return kinds
}

// print writes the groups for people: severity, count, kind and cause, with examples.
func (g *findingGroups) print(w io.Writer) {
	for _, one := range g.sorted() {
		name := string(one.Kind)
		if one.Cause != "" {
			name += " " + one.Cause
		}
		fmt.Fprintf(w, "%-7s %6d  %s\n", one.Severity, one.Count, printable(name))
		for _, example := range one.Examples {
			fmt.Fprintf(w, "                %s\n", printable(placeLine(example)))
		}
		if more := one.Findings - len(one.Examples); more > 0 {
			fmt.Fprintf(w, "                and %d more like these\n", more)
		}
	}
}

// placeLine is a finding as one line for people, without its kind: the label file, its
// image in the dataset where that is known, place, reason and what was done.
func placeLine(f convert.Finding) string {
	var place []string
	for _, part := range []string{cmp.Or(f.File, f.Image), f.At} {
		if part != "" {
			place = append(place, part)
		}
	}
	if of := cmp.Or(f.Path, f.Image); of != "" && len(place) > 0 && of != place[0] {
		place = append(place, "("+of+")")
	}
	line := f.Reason + "; " + f.Action
	if len(place) > 0 {
		line = strings.Join(place, " ") + ": " + line
	}
	return line
}

// groupsOf are the groups of a run's findings as the state keeps them.
func groupsOf(ctx context.Context, st *store.Store, run string) (g findingGroups, err error) {
	kept, err := st.FindingGroups(ctx, run)
	if err != nil {
		return g, err
	}
	for f, err := range st.Findings(ctx, run) {
		if err != nil {
			return g, err
		}
		g.add(findingOf(f))
	}
	for _, k := range kept {
		key := [2]string{k.Kind, k.Cause}
		one := g.byCause[key]
		if one == nil {
			if g.byCause == nil {
				g.byCause = make(map[[2]string]*findingGroup)
			}
			one = &findingGroup{Kind: convert.Kind(k.Kind), Severity: convert.Kind(k.Kind).Severity(), Cause: k.Cause, Examples: []convert.Finding{}}
			g.byCause[key] = one
		}
		one.Count, one.Findings = k.Count, k.Findings
	}
	return g, nil
}

func findingOf(f store.Finding) convert.Finding {
	count := f.Count
	if count == 1 {
		count = 0 // one is not said
	}
	return convert.Finding{Kind: convert.Kind(f.Kind), Cause: f.Cause, Count: count, File: f.File, Image: f.Image, Path: f.Path, At: f.At, Reason: f.Reason, Action: f.Action}
}

// findingFile writes findings as JSON Lines, as they are made.
type findingFile struct {
	file *atomicfile.File // nil where none is asked for
	out  *json.Encoder
	err  error
}

func createFindings(path string) (*findingFile, error) {
	if path == "" {
		return &findingFile{}, nil
	}
	file, err := atomicfile.Create(path, atomicfile.Shared)
	if err != nil {
		return nil, err
	}
	return &findingFile{file: file, out: json.NewEncoder(file)}, nil
}

// write may not be called by several goroutines at once.
func (f *findingFile) write(one convert.Finding) {
	if f.file != nil && f.err == nil {
		f.err = f.out.Encode(one)
	}
}

// close completes the file.
func (f *findingFile) close() error {
	if f.file == nil {
		return nil
	}
	return cmp.Or(f.err, f.file.Close())
}

func (f *findingFile) abort() {
	if f.file != nil {
		f.file.Abort()
	}
}

// severitiesText counts findings by severity.
func severitiesText(kinds map[string]int) string {
	counts := make(map[convert.Severity]int)
	for kind, n := range kinds {
		counts[convert.Kind(kind).Severity()] += n
	}
	return parts(part{counts[convert.Lost], "lost"}, part{counts[convert.Changed], "changed"}, part{counts[convert.Noted], "noted"})
}
