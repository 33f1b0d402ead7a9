package yolo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// below is what the folders below a source hold besides what is read of them.
type below struct {
	*dataset
	ctx   context.Context
	taken string // the file that describes the data set, or names its classes
	// unread are the labels in folders that nothing reads, by the slash-separated paths of
	// these.
	unread map[string]int
}

// lookBelow goes through the folders below the source: a description there of other classes
// is refused, and labels that nothing reads are told of later.
func (y *dataset) lookBelow(ctx context.Context, taken string) error {
	b := below{dataset: y, ctx: ctx, taken: taken, unread: make(map[string]int)}
	_, err := b.folder(y.ownFolder(), "")
	y.unread = b.unread
	return err
}

// ownFolder is the source's folder, which may be given by a file in it; where it lies in the
// data set's, as a path from there.
func (y *dataset) ownFolder() string {
	folder := filepath.Clean(y.Path)
	if !source.IsFolder(folder) {
		folder = filepath.Dir(folder)
	}
	if rel, ok := source.Below(y.root, folder); ok && y.root != "" {
		return filepath.Join(y.root, rel)
	}
	return folder
}

// looked is what one folder holds, apart from others.
type looked struct {
	folders, descriptions, labels []string
	// foreign may be labels of other formats, the first of them, and foreigners how many there are.
	foreign    []string
	foreigners int
}

// labelling is what labels there are in a folder and those below it.
type labelling int

const (
	noLabels labelling = iota
	unreadLabels
	readLabels
)

// folder looks into a folder and those below it.
func (b *below) folder(path, rel string) (all labelling, err error) {
	if err := b.ctx.Err(); err != nil {
		return noLabels, err
	}
	read := b.walks(path)
	l, err := lookInto(path, read)
	if err != nil {
		return noLabels, nil // it is told of when it is walked
	}
	switch {
	case read && len(l.labels) > 0:
		all = readLabels
	case !read && b.areLabels(path, l.labels):
		all = unreadLabels
		if n := b.notRead(path, rel, l.labels); n > 0 {
			b.unread[rel] = n
		}
	}
	if rel != "" {
		b.tellForeign(path, rel, l)
	}
	own := all
	for _, name := range l.folders {
		below, err := b.folder(filepath.Join(path, name), source.Join(rel, name))
		if err != nil {
			return noLabels, err
		}
		all = max(all, below)
	}
	// Who gives one description as the source says that it is the one for what it reads.
	given := all == unreadLabels && !source.IsFolder(b.Path)
	if all == noLabels || given || rel == "" || flagsOf(b.Options).ClassList != "" {
		return all, nil
	}
	for _, name := range l.descriptions {
		if own != noLabels && !isYAML(name) {
			continue // labels beside a list fail by it, where they are read
		}
		if err := b.checkNamed(b.taken, filepath.Join(path, name), source.Join(rel, name)); err != nil {
			return noLabels, err
		}
	}
	return all, nil
}

// tellForeign tells of files below that look like labels of another format.
func (b *below) tellForeign(path, rel string, l looked) {
	for _, name := range l.foreign {
		file := filepath.Join(path, name)
		what := labelsBeside(file)
		if what == "" || sameFile(file, b.Options.Sizes) || b.Filter.Excludes(source.Join(rel, name)) {
			continue
		}
		reason := fmt.Sprintf("%s looks like %s, and the folder is read as YOLO", convert.Display(name), what)
		if more := l.foreigners - 1; more > 0 {
			reason += fmt.Sprintf("; %s of that kind beside it", count(more, "file"))
		}
		b.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, Count: l.foreigners, File: rel, Reason: reason, Action: "passed over"})
		return
	}
}

// areLabels reports whether text files seem to be labels, by the first of them.
func (b *below) areLabels(path string, names []string) bool {
	const some = 10
	slices.Sort(names)
	return slices.ContainsFunc(names[:min(len(names), some)], func(name string) bool {
		data, err := source.ReadInto(nil, filepath.Join(path, name), source.MaxLabels)
		return err == nil && areLabelLines(data)
	})
}

// notRead counts the labels of a folder that nothing reads, but for those that stand beside
// images whose labels are read from elsewhere.
func (b *below) notRead(path, rel string, names []string) (n int) {
	var read *source.Entries
	if labels, found := b.labelFolder(path); found && labels != path && b.walks(labels) {
		read, _ = source.ReadEntries(labels)
	}
	for _, name := range names {
		if !read.Has(name) && b.Filter.Takes(source.Join(rel, source.Stem(name)), source.Join(rel, name)) {
			n++
		}
	}
	return n
}

// lookInto reads a folder. Of one whose labels are read the first label alone is kept.
func lookInto(path string, read bool) (l looked, err error) {
	f, err := os.Open(path)
	if err != nil {
		return l, err
	}
	defer f.Close()
	for {
		const some = 1024
		entries, err := f.ReadDir(some)
		for _, e := range entries {
			l.take(e, read)
		}
		if err != nil {
			slices.Sort(l.folders)
			slices.Sort(l.descriptions)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return l, err
		}
	}
}

func (l *looked) take(e fs.DirEntry, read bool) {
	name := e.Name()
	switch {
	case strings.HasPrefix(name, ".") || source.IsClutter(name):
	case e.IsDir():
		l.folders = append(l.folders, name)
	case isYAML(name), slices.Contains(classLists, name):
		l.descriptions = append(l.descriptions, name)
	case slices.Contains([]string{".json", ".xml", ".jsonl", ".ndjson"}, strings.ToLower(filepath.Ext(name))):
		const some = 3
		l.foreigners++
		l.foreign = append(l.foreign, name)
		slices.Sort(l.foreign)
		l.foreign = l.foreign[:min(len(l.foreign), some)]
	case source.IsLabelName(name) && !source.NotLabels[strings.ToLower(name)] && (!read || len(l.labels) == 0):
		l.labels = append(l.labels, name)
	}
}

// tellUnread tells of the labels below the source that nothing reads. Those beside images of
// lists are told of with these.
func (y *dataset) tellUnread(listed *listedLabels) {
	folders, labels := 0, 0
	for _, rel := range sortedKeys(y.unread) {
		folder := filepath.Join(y.ownFolder(), filepath.FromSlash(rel))
		if listed.folders[folder] || !y.told.first("unread "+folder) {
			continue
		}
		n := y.unread[rel]
		if folders++; folders > mostPassedOver {
			labels += n
			continue
		}
		where := rel
		if rel == "" {
			where = "."
		}
		y.Reporter.Report(convert.Finding{Kind: convert.KindUnnamedSplit, Count: n, File: where, Reason: count(n, "label") + " there that no split or list names", Action: "left alone"})
	}
	if more := folders - mostPassedOver; more > 0 {
		y.Reporter.Report(convert.Finding{Kind: convert.KindUnnamedSplit, Count: labels, Reason: fmt.Sprintf("%d labels in %d more folders that no split or list names", labels, more), Action: "left alone"})
	}
}
