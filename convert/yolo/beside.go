package yolo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// What lies beside the files that describe a data set and says something else, or is not
// read, is never passed over in silence.

// contradiction says where two lists of class names, of which one may go on where the
// other ends, name a class differently; "" where they do not.
func contradiction(a, b map[int]string) string {
	for _, number := range sortedKeys(a) {
		if other := b[number]; other != "" && a[number] != "" && strings.TrimSpace(other) != strings.TrimSpace(a[number]) {
			return fmt.Sprintf("class %d is %s in one and %s in the other", number, convert.Display(a[number]), convert.Display(other))
		}
	}
	return ""
}

// numbered are the lines of a class list by their numbers.
func numbered(lines []string) map[int]string {
	names := make(map[int]string)
	for i, name := range lines {
		names[i] = name
	}
	return names
}

// areLabels reports whether all lines can be label lines rather than names.
func areLabels(lines []string) bool {
	const fewest = 5
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 0 && (len(fields) < fewest || !source.AreNumbers(fields)) {
			return false
		}
	}
	return true
}

// checkClassLists holds the class lists at the top of a data set against the names of its
// description, a file.
func (y *dataset) checkClassLists(description string) error {
	folder := filepath.Dir(description)
	folders := []string{folder, y.root, filepath.Join(folder, "labels"), filepath.Join(y.root, "labels")}
	for _, part := range y.parts {
		if !part.list {
			folders = append(folders, part.path)
		}
	}
	for _, in := range folders {
		names := classLists[:3]
		if files, err := filepath.Glob(filepath.Join(escapeGlob(in), "*.names")); err == nil && isYAML(description) {
			names = slices.Clone(names)
			for _, file := range files { // of Darknet
				names = append(names, filepath.Base(file))
			}
		}
		for _, name := range names {
			file := filepath.Join(in, name)
			lines, err := classLines(file)
			if err != nil || areLabels(lines) {
				continue // it is no file, or the label of an image of that name
			}
			if differs := contradiction(y.convert.Classes, numbered(lines)); differs != "" {
				return &convert.Error{Op: "read", Path: y.Path, Err: fmt.Errorf("two lists of class names contradict each other, %s and %s: %s", filepath.Base(description), convert.Display(relativePrefix(folder, file)), differs),
					Advice: fmt.Sprintf("say which is right with --class-list FILE, as %s or %s", convert.Display(description), convert.Display(file))}
			}
		}
	}
	return nil
}

// checkDescriptions holds the other descriptions at the top of a folder against the one
// that is taken.
func checkDescriptions(folder, taken string, entries []fs.DirEntry) error {
	if !isYAML(taken) {
		return nil
	}
	names := describedNames(taken)
	for _, e := range entries {
		file := filepath.Join(folder, e.Name())
		if !isYAML(e.Name()) || file == taken || source.IsClutter(e.Name()) {
			continue
		}
		if differs := contradiction(names, describedNames(file)); differs != "" {
			return &convert.Error{Op: "read", Path: folder, Err: fmt.Errorf("two files describe a data set and contradict each other, %s and %s: %s", filepath.Base(taken), convert.Display(e.Name()), differs),
				Advice: fmt.Sprintf("give one of them as the source, %s or %s", convert.Display(taken), convert.Display(file))}
		}
	}
	return nil
}

// notes are what Label Studio writes beside YOLO labels.
const notes = "notes.json"

// checkNotes holds the notes that Label Studio writes beside its labels against the class list
// that is taken, as far as both number a class.
func checkNotes(folder, taken string, entries []fs.DirEntry) error {
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == notes }) || isYAML(taken) {
		return nil
	}
	data, err := source.ReadSmall(filepath.Join(folder, notes))
	lines, listErr := classLines(taken)
	if err != nil || listErr != nil {
		return nil // who reads the list says so
	}
	var said struct {
		Categories []struct {
			ID   json.RawMessage `json:"id"`
			Name string          `json:"name"`
		} `json:"categories"`
	}
	if json.Unmarshal(data, &said) != nil {
		return nil // they are something else
	}
	names := make(map[int]string)
	for _, c := range said.Categories {
		if number, err := strconv.Atoi(strings.Trim(string(c.ID), `"`)); err == nil {
			names[number] = c.Name
		}
	}
	if differs := contradiction(numbered(lines), names); differs != "" {
		return &convert.Error{Op: "read", Path: folder, Err: fmt.Errorf("two lists of class names contradict each other, %s and %s: %s", filepath.Base(taken), notes, differs),
			Advice: "say which is right with --class-list FILE, a list with a class a line, as " + convert.Display(taken)}
	}
	return nil
}

func isYAML(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// MostPassedOver is how many files that are passed over are named.
const MostPassedOver = 20

// tellPassedOver tells of the files at the top of a YOLO folder that look like labels of
// another format, or describe a data set too, and are not read.
func tellPassedOver(s source.Files, entries []fs.DirEntry, taken string) {
	count := 0
	for _, e := range entries {
		name := e.Name()
		file := filepath.Join(s.Path, name)
		what := labelsBeside(file)
		if what == "" || source.IsClutter(name) || s.Filter.Excludes(name) {
			continue
		}
		used := func(other string) bool { return sameFile(file, other) }
		if slices.ContainsFunc([]string{taken, s.Options.Sizes, flagsOf(s.Options).ClassList}, used) {
			continue
		}
		if count++; count <= MostPassedOver {
			s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: name, Reason: "it looks like " + what + ", and the folder is read as YOLO", Action: "it was passed over; give the file itself to read it"})
		}
	}
	if more := count - MostPassedOver; more > 0 {
		s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, Count: more, Reason: fmt.Sprintf("%d more files at the top look like labels of another format", more), Action: "they were passed over"})
	}
}

func sameFile(a, b string) bool {
	if b == "" {
		return false
	}
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// labelsBeside says what labels a file seems to hold, "" where it does not look like any.
func labelsBeside(file string) string {
	const head = 4096
	name := strings.ToLower(filepath.Base(file))
	plain, packed := strings.CutSuffix(name, ".gz")
	ext := filepath.Ext(plain)
	switch ext {
	case ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".tfrecord":
	default:
		return ""
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	switch {
	case packed:
		return "packed labels"
	case ext == ".jsonl", ext == ".ndjson":
		return "canonical JSON Lines"
	case ext == ".tfrecord":
		return source.ArchiveName(name)
	case isYAML(name):
		if data, err := source.ReadAtMost(file, source.MaxDescription); err == nil && yamlWithNames.Match(data) {
			return "another description of a data set"
		}
		return ""
	}
	data, err := source.ReadHead(file, head)
	if err != nil {
		return ""
	}
	if ext == ".xml" {
		if what := source.FormatName(name, data); what != "XML" {
			return what
		}
		return ""
	}
	has := func(key string) bool { return bytes.Contains(data, []byte(key)) }
	switch {
	case has(`"shapes"`):
		return "LabelMe JSON"
	case has(`"images"`), has(`"annotations"`), has(`"image_id"`):
		return "labels in JSON"
	case name != notes && (has(`"categories"`) || has(`"licenses"`)):
		return "a part of labels in JSON"
	}
	return ""
}
