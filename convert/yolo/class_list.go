package yolo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"pictosync/convert"
	"pictosync/source"
)

// classLists are what lists of class names are called, and looseLists what they, or something
// else, may be called too.
var (
	classLists = []string{"classes.txt", "obj.names", "_darknet.labels"}
	looseLists = []string{"labels.txt", "names.txt"}
)

// findClassList finds the list of class names of a folder without another
// description: at its top, or in the folders there and in those. Lists that differ
// from one another are an error, as the labels beside each are numbered by it.
func findClassList(folder string, entries []fs.DirEntry, l *source.Listings) (string, error) {
	f := classListFinder{folder: folder, listings: l}
	if err := f.takeTop(entries); err != nil {
		return "", err
	}
	atTop := f.found
	for _, e := range entries {
		if below := filepath.Join(folder, e.Name()); source.IsFolder(below) {
			if err := f.takeBelow(below, 1); err != nil {
				return "", err
			}
		}
	}
	if atTop == "" && f.found != "" && f.described != "" {
		return "", &convert.Error{Op: "read", Path: folder, Err: fmt.Errorf("it has no description of its own, and %s below describes a data set", convert.Display(relativePrefix(folder, f.described))),
			Advice: "give the folder " + convert.Display(filepath.Dir(f.described)) + ", or --class-list FILE"}
	}
	return f.found, nil
}

// classListFinder looks for the class lists of a folder, all of which have to say the same.
type classListFinder struct {
	folder   string
	listings *source.Listings

	found     string   // the first list; "" is none
	names     []string // its lines
	described string   // the first description of a data set below the folder; "" is none
}

// take takes a list, unless it is no file.
func (f *classListFinder) take(file string) error {
	lines, err := classLines(file)
	switch {
	case err != nil:
	case f.found == "":
		f.found, f.names = file, lines
	case !slices.Equal(lines, f.names):
		return &convert.Error{Op: "read", Path: f.folder, Err: fmt.Errorf("two lists of class names differ: %s and %s", convert.Display(relativePrefix(f.folder, f.found)), convert.Display(relativePrefix(f.folder, file))),
			Advice: "say which is right for all with --class-list FILE, or give the folders one at a time"}
	}
	return nil
}

// takeTop takes the lists at the top of the folder: those that are called so, then those that
// end in .names and, where there was none, those that may be something else.
func (f *classListFinder) takeTop(entries []fs.DirEntry) error {
	for _, name := range classLists {
		for _, e := range entries {
			if e.IsDir() || !strings.EqualFold(e.Name(), name) {
				continue
			}
			if err := f.take(filepath.Join(f.folder, e.Name())); err != nil {
				return err
			}
		}
	}
	known := f.found != ""
	for _, e := range entries {
		file := filepath.Join(f.folder, e.Name())
		other := !known && isClassList(e.Name()) || strings.EqualFold(filepath.Ext(e.Name()), ".names")
		if e.IsDir() || !other {
			continue
		}
		if lines, err := classLines(file); err != nil || areLabels(lines) {
			continue
		}
		if err := f.take(file); err != nil {
			return err
		}
	}
	return nil
}

// takeBelow takes the class lists of a folder and of those in it, so many levels down, and
// the first description of a data set there.
func (f *classListFinder) takeBelow(folder string, levels int) error {
	entries, err := f.listings.Read(folder)
	if err != nil {
		return nil // it is told of when it is walked
	}
	for _, name := range classLists {
		if !entries.Has(name) {
			continue
		}
		if err := f.take(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"data.yaml", "data.yml", "obj.data"} {
		if f.described == "" && entries.Has(name) {
			f.described = filepath.Join(folder, name)
		}
	}
	if levels == 0 {
		return nil
	}
	for _, e := range entries.List {
		if e.Kind == source.FolderEntry {
			if err := f.takeBelow(filepath.Join(folder, entries.Name(e)), levels-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// classLines are the lines of a class list, without blank ones at the end.
func classLines(file string) (lines []string, err error) {
	data, err := source.ReadAtMost(file, source.MaxDescription)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		lines = append(lines, strings.TrimSpace(line))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines, nil
}

// isListOfClasses is isClassList for a file on disk.
func isListOfClasses(file string) bool { return isClassList(filepath.Base(file)) }

// takeClassList reads the list that --class-list names.
func takeClassList(s source.Files, y *Converter) (os.FileInfo, error) {
	file := flagsOf(s.Options).ClassList
	info, err := os.Stat(file)
	if err != nil {
		e := source.OpenError(file, err)
		e.Advice = "--class-list names a file with one class a line"
		return nil, e
	}
	y.Classes, err = readClasses(file, s.Reporter)
	return info, err
}

// readClasses are the names of a class list, or of a description of a data set.
func readClasses(file string, r *convert.Reporter) (map[int]string, error) {
	if !isYAML(file) {
		return readClassList(file, r)
	}
	data, _, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	d, _, err := parseDescription(data, filepath.Base(file))
	if err == nil && len(d.names) == 0 {
		err = d.noNames()
	}
	if err != nil {
		return nil, &convert.Error{Op: "read", Path: file, Err: err, Advice: "--class-list names a file with one class a line, or a data.yaml with names"}
	}
	return d.names, nil
}

func isClassList(name string) bool {
	called := func(list string) bool { return strings.EqualFold(name, list) }
	return slices.ContainsFunc(classLists, called) || slices.ContainsFunc(looseLists, called)
}

// openPlain opens a folder that has a list of class names and labels somewhere.
func openPlain(ctx context.Context, s source.Files, names string, l *source.Listings) (convert.Source, error) {
	info, err := os.Stat(names)
	if err != nil {
		return nil, source.OpenError(names, err)
	}
	if flagsOf(s.Options).ClassList == "" {
		if err := checkMaybeNotes(names); err != nil {
			return nil, err
		}
	}
	classes, err := readClasses(names, s.Reporter)
	if err != nil {
		return nil, err
	}
	list := relativePrefix(s.Path, names)
	if flagsOf(s.Options).ClassList != "" {
		list = "--class-list"
	}
	y := &dataset{Files: s, root: s.Path, reason: list + " names the classes", parts: []labelPart{{path: s.Path}},
		convert: Converter{Classes: classes}, listings: l, classList: filepath.Clean(names)}
	return y.complete(ctx, names, info)
}

// checkMaybeNotes refuses a file that may be a list of class names or notes on the labels: its one
// line has several words, or some line as many as names hardly have.
func checkMaybeNotes(file string) error {
	const most = 4 // words of a name
	if !slices.Contains(maybeLists, strings.ToLower(filepath.Base(file))) {
		return nil
	}
	lines, err := classLines(file)
	if err != nil {
		return nil // who reads it says so
	}
	for _, line := range lines {
		if words := len(strings.Fields(line)); words > most || words > 1 && len(lines) == 1 {
			return &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("its line %s may be the name of a class, several names or a note", convert.Display(strings.TrimSpace(line))),
				Advice: "where it is a list with a name a line, say so with --class-list " + convert.Display(file) + "; else give --class-list another, or write a data.yaml with names"}
		}
	}
	return nil
}

// readClassList reads class names, one a line. A blank line has no name and
// keeps its number.
func readClassList(file string, r *convert.Reporter) (map[int]string, error) {
	data, err := source.ReadAtMost(file, source.MaxDescription)
	if err != nil {
		return nil, &convert.Error{Op: "read", Path: file, Err: err, Advice: "class names are text, one a line"}
	}
	if !utf8.Valid(data) {
		return nil, &convert.Error{Op: "read", Path: file, Err: errors.New("is not UTF-8"), Advice: "save it as UTF-8"}
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	for last := strings.LastIndexByte(text, '\n'); last >= 0 && convert.Blank(text[last:]); last = strings.LastIndexByte(text, '\n') {
		text = text[:last]
	}
	if err := checkClassLines(strings.Split(text, "\n")); err != nil {
		return nil, &convert.Error{Op: "read", Path: file, Err: err, Advice: "write one class name a line and nothing else, or, where the names are so, give them as names of a data.yaml with --class-list"}
	}
	names := make(map[int]string)
	number := 0
	var blanks convert.Flaws
	for line := range strings.Lines(text) {
		plain := strings.TrimRight(line, "\r\n")
		name := strings.TrimSpace(plain)
		if name != "" {
			names[number] = name
		} else {
			r.Report(convert.Finding{Kind: convert.KindClassList, File: filepath.Base(file), At: fmt.Sprintf("line %d", number+1), Reason: "the line is blank", Action: fmt.Sprintf("class %d has no name", number)})
		}
		if name != "" && name != plain {
			blanks.Add(fmt.Sprintf("line %d, %s", number+1, strconv.Quote(plain)))
		}
		number++
	}
	if blanks.Count > 0 {
		r.Report(convert.Finding{Kind: convert.KindClassList, File: filepath.Base(file), Reason: "there are blanks at the ends of names: " + blanks.String(), Action: "they were left off"})
	}
	if len(names) == 0 {
		return nil, &convert.Error{Op: "read", Path: file, Err: errors.New("it names no classes"), Advice: "write the class names into it, one a line"}
	}
	reportSharedNames(names, filepath.Base(file), r.Report)
	return names, nil
}

// numberedLine is a line of a class list that begins with a number of its own.
var numberedLine = regexp.MustCompile(`^(\d+)(?:\s*[:;,.=)\-]?\s+|[:=,;])\S`)

// checkClassLines refuses lists of class names that hold more than these, which would
// shift the numbers or change the names of all.
func checkClassLines(lines []string) error {
	own := make(map[int]bool) // numbers that lines begin with
	inOrder := true
	if first := strings.TrimSpace(lines[0]); len(lines) == 1 && severalNames.MatchString(first) {
		return fmt.Errorf("its one line, %s, looks like several names, and all of a line is the name of a class", convert.Display(first))
	}
	if separated(lines) {
		return fmt.Errorf("its lines end with separators, as %s, and all of a line is the name of a class", convert.Display(strings.TrimSpace(lines[0])))
	}
	if numberedBehind(lines) {
		return fmt.Errorf("its lines look numbered, as %s, and all of a line is the name of a class", convert.Display(strings.TrimSpace(lines[0])))
	}
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case strings.ContainsRune(line, '\r'):
			return fmt.Errorf("line %d, %s, holds a carriage return alone, which ends the lines of old files: end them with line feeds", i+1, convert.Display(line))
		case strings.HasPrefix(line, "#"):
			return fmt.Errorf("line %d, %s, looks like a comment, and every line of a class list is a class", i+1, convert.Display(line))
		case strings.ContainsRune(line, 0):
			return fmt.Errorf("line %d, %s, holds a NUL character", i+1, convert.Display(line))
		case isYAMLorJSON(line):
			return fmt.Errorf("line %d, %s, looks like YAML or JSON, and all of a line is the name of a class", i+1, convert.Display(line))
		}
		if match := numberedLine.FindStringSubmatch(line); match != nil {
			if number, err := strconv.Atoi(match[1]); err == nil {
				own[number] = true
				inOrder = inOrder && number == i+1
			}
		}
	}
	first := 1
	if own[0] {
		first = 0
	}
	for n := range lines {
		if !own[first+n] {
			return nil
		}
	}
	// Names may begin with numbers, as 2 euro and 1 euro do, but hardly with all from 0.
	if first == 0 || inOrder && len(lines) > 1 {
		return fmt.Errorf("its lines look numbered, as %s, and all of a line is the name of a class", convert.Display(strings.TrimSpace(lines[0])))
	}
	return nil
}

// severalNames is a line with separators between names.
var severalNames = regexp.MustCompile(`^[^,;\t]*[^,;\t\s][^,;\t]*[,;\t]\s*[^,;\t\s]`)

// separated reports whether all lines but the last end with a separator, or a single one does.
func separated(lines []string) bool {
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if !strings.HasSuffix(line, ",") && !strings.HasSuffix(line, ";") && (i < len(lines)-1 || i == 0) {
			return false
		}
	}
	return true
}

// endNumber is the number that a line of a class list ends with, behind a name.
var endNumber = regexp.MustCompile(`^(.*\S)(?:\s+|\s*[:;,=]\s*)(\d+)$`)

// numberedBehind reports whether lines are different names with their numbers behind them, from 0
// or from 1. Names that are one but for their numbers, as digit 0, are names.
func numberedBehind(lines []string) bool {
	names := make(map[string]bool)
	first := 0
	for i, line := range lines {
		match := endNumber.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil || names[match[1]] {
			return false
		}
		names[match[1]] = true
		number, err := strconv.Atoi(match[2])
		if i == 0 {
			first = number
		}
		if err != nil || number != first+i {
			return false
		}
	}
	return first == 0 || first == 1 && len(lines) > 1
}

// isYAMLorJSON reports whether a line of a class list is of a list in another notation.
func isYAMLorJSON(line string) bool {
	quoted := len(line) > 1 && (line[0] == '"' || line[0] == '\'') && strings.HasSuffix(strings.TrimSuffix(line, ","), line[:1])
	return quoted || strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "[") || strings.HasPrefix(line, "names:")
}

// reportSharedNames reports names that several classes have: their annotations
// become those of one class.
func reportSharedNames(names map[int]string, file string, report func(convert.Finding)) {
	first, folded := make(map[string]int), make(map[string]string)
	for _, number := range sortedKeys(names) {
		name := names[number]
		if other, shared := first[name]; shared {
			report(convert.Finding{Kind: convert.KindSharedCategoryName, File: file, At: fmt.Sprintf("class %d", number), Reason: fmt.Sprintf("it has the name of class %d: %s", other, convert.Display(name)), Action: "both become one class"})
			continue
		}
		first[name] = number
		key := convert.Fold(norm.NFC.String(name))
		if similar, there := folded[key]; there {
			reason := fmt.Sprintf("the names %q and %q differ in case or blanks alone", similar, name)
			if convert.Fold(similar) != convert.Fold(name) {
				reason = fmt.Sprintf("the names %+q and %+q differ in how their letters are composed, or in case or blanks, alone", similar, name)
			}
			report(convert.Finding{Kind: convert.KindSimilarClass, File: file, At: fmt.Sprintf("class %d", number), Reason: reason, Action: "both classes kept; a class map can merge them"})
			continue
		}
		folded[key] = name
	}
}
