package yolo

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// namedClasses are the names that a file has for classes, by their numbers.
type namedClasses struct {
	file  string // on disk
	names map[int]string
}

// notes are what Label Studio writes beside YOLO labels, and predefined are the classes that
// labelImg is given, which the list that it writes begins with.
const notes, predefined = "notes.json", "predefined_classes.txt"

// readNamed reads the names of a description, of Label Studio's notes, or of a list with a class
// a line; there are none where the file is nothing of these.
func readNamed(file string) namedClasses {
	switch {
	case isYAML(file):
		return namedClasses{file, describedNames(file)}
	case filepath.Base(file) == notes:
		return namedClasses{file, notedNames(file)}
	case strings.EqualFold(filepath.Ext(file), ".json"):
		return namedClasses{file, jsonNames(file)}
	}
	lines, err := classLines(file)
	if err != nil || areLabels(lines) {
		return namedClasses{file: file} // it is no file, or the label of an image of that name
	}
	return namedClasses{file, numbered(lines)}
}

// describedNames are the names of a description of a data set.
func describedNames(file string) map[int]string {
	data, err := source.ReadAtMost(file, source.MaxDescription)
	if err != nil || !yamlWithNames.Match(data) {
		return nil
	}
	d, _, _ := parseDescription(data, filepath.Base(file))
	return d.names
}

// notedNames are the names of Label Studio's notes.
func notedNames(file string) map[int]string {
	data, err := source.ReadSmall(file)
	if err != nil {
		return nil
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
	return names
}

// jsonNames are the names of a JSON list, or of a mapping by their numbers.
func jsonNames(file string) map[int]string {
	data, err := source.ReadSmall(file)
	if err != nil {
		return nil
	}
	var list []string
	names := make(map[int]string)
	if json.Unmarshal(data, &list) == nil {
		return numbered(list)
	}
	if json.Unmarshal(data, &names) != nil {
		return nil // it is something else
	}
	return names
}

// maybeLists are files that hold class names as well as other things.
var maybeLists = []string{"labels.txt", "names.txt", "class_names.txt", "classes.json"}

// readMaybe is readNamed for one of maybeLists, which is taken for a list of class names where it
// has as many names as classes are known, none of them that of a file.
func readMaybe(file string, classes int) namedClasses {
	list := readNamed(file)
	for _, name := range list.names {
		if strings.ContainsAny(name, `/\`) || source.IsImageName(name) {
			return namedClasses{file: file}
		}
	}
	if len(list.names) != classes {
		return namedClasses{file: file}
	}
	if lines, err := classLines(file); err == nil && filepath.Ext(file) == ".txt" && checkClassLines(lines) != nil {
		return namedClasses{file: file} // one with more than names
	}
	return list
}

// numbered are the lines of a class list by their numbers.
func numbered(lines []string) map[int]string {
	names := make(map[int]string)
	for i, name := range lines {
		names[i] = name
	}
	return names
}

// contradiction says where two lists of class names, of which one may go on where the
// other ends, name a class differently; "" where they do not.
func (a namedClasses) contradiction(b namedClasses) string {
	for _, number := range sortedKeys(a.names) {
		name, other := a.names[number], b.names[number]
		if other != "" && name != "" && strings.TrimSpace(other) != strings.TrimSpace(name) {
			return fmt.Sprintf("class %d is %s in one and %s in the other", number, convert.Display(name), convert.Display(other))
		}
	}
	return ""
}

// refuse is the error of a source, of, in which two files name a class differently, nil where
// they do not. two says what they are, and called is the other's name in messages.
func (a namedClasses) refuse(b namedClasses, of, two, called, advice string) error {
	differs := a.contradiction(b)
	if differs == "" {
		return nil
	}
	return &convert.Error{Op: "read", Path: of, Err: fmt.Errorf("two %s contradict each other, %s and %s: %s", two, convert.Display(filepath.Base(a.file)), convert.Display(called), differs), Advice: advice}
}

// same reports whether both name the same classes.
func (a namedClasses) same(b namedClasses) bool {
	count := 0
	for i, name := range b.names {
		if name == "" {
			continue
		}
		if strings.TrimSpace(a.names[i]) != name {
			return false
		}
		count++
	}
	return count == len(a.names)
}

// checkClassLists holds the class lists at the top of a data set against the names of its
// description, a file.
func (y *dataset) checkClassLists(description string) error {
	described := namedClasses{description, y.convert.Classes}
	folder := filepath.Dir(description)
	folders := []string{folder, y.root, filepath.Join(folder, "labels"), filepath.Join(y.root, "labels")}
	for _, part := range y.parts {
		if !part.list {
			folders = append(folders, part.path)
		}
	}
	refuse := func(other namedClasses) error {
		return described.refuse(other, y.Path, "lists of class names", relativePrefix(folder, other.file),
			fmt.Sprintf("say which is right with --class-list FILE, as %s or %s", convert.Display(description), convert.Display(other.file)))
	}
	for _, in := range folders {
		names := append(slices.Clone(classLists), predefined)
		if files, err := filepath.Glob(filepath.Join(escapeGlob(in), "*.names")); err == nil && isYAML(description) {
			for _, file := range files { // of Darknet
				names = append(names, filepath.Base(file))
			}
		}
		for _, name := range names {
			if err := refuse(readNamed(filepath.Join(in, name))); err != nil {
				return err
			}
		}
		for _, name := range maybeLists {
			if err := refuse(readMaybe(filepath.Join(in, name), len(described.names))); err != nil {
				return err
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
	described := readNamed(taken)
	for _, e := range entries {
		file := filepath.Join(folder, e.Name())
		if !isYAML(e.Name()) || file == taken || source.IsClutter(e.Name()) {
			continue
		}
		if err := described.refuse(readNamed(file), folder, "files describe a data set and", e.Name(),
			fmt.Sprintf("give one of them as the source, %s or %s", convert.Display(taken), convert.Display(file))); err != nil {
			return err
		}
	}
	return nil
}

// checkBeside holds what else may name the classes beside the class list that is taken against
// it: the notes of Label Studio and the classes given to labelImg, as far as both number a class,
// and other lists of as many.
func checkBeside(folder, taken string, entries []fs.DirEntry) error {
	if isYAML(taken) {
		return nil
	}
	lines, err := classLines(taken)
	if err != nil {
		return nil // who reads the list says so
	}
	own := namedClasses{taken, numbered(lines)}
	for _, e := range entries {
		var other namedClasses
		switch file := filepath.Join(folder, e.Name()); {
		case e.Name() == notes, e.Name() == predefined:
			other = readNamed(file)
		case slices.Contains(maybeLists, e.Name()) && file != taken:
			other = readMaybe(file, len(own.names))
		}
		if err := own.refuse(other, folder, "lists of class names", e.Name(),
			"say which is right with --class-list FILE, a list with a class a line, as "+convert.Display(taken)); err != nil {
			return err
		}
	}
	return nil
}

// checkNamed holds a description below the source, or a list of class names there, against the
// data set's classes, which the file taken has.
func (y *dataset) checkNamed(taken, file, rel string) error {
	if sameFile(file, taken) {
		return nil
	}
	return namedClasses{taken, y.convert.Classes}.refuse(readNamed(file), y.Path, "files describe labels and", rel,
		"give the file that describes the labels meant, or say which is right for all with --class-list FILE")
}

// classListsIn holds the class lists in a folder of labels, which messages call by a
// prefix, against that of the data set. Labels beside another list are numbered by that
// one, unless a flag says what all are numbered by.
func (y *dataset) classListsIn(folder, prefix string, has func(name string) bool) error {
	if flagsOf(y.Options).ClassList != "" {
		return nil
	}
	own := namedClasses{y.classList, y.convert.Classes}
	for _, name := range classLists {
		file := filepath.Join(folder, name)
		if !has(name) || file == y.classList {
			continue
		}
		list := readNamed(file)
		if len(list.names) == 0 || own.same(list) {
			continue
		}
		differs := own.contradiction(list)
		switch {
		case !y.described:
			return fmt.Errorf("%s names other classes than %s; say which is right with --class-list", convert.Display(prefix+name), convert.Display(relativePrefix(y.root, y.classList)))
		case differs != "":
			return fmt.Errorf("%s names other classes than the data set's description: %s; say which is right with --class-list", convert.Display(prefix+name), differs)
		}
		y.Reporter.Report(convert.Finding{Kind: convert.KindClassList, File: prefix + name, Reason: "it has more or fewer classes than the data set", Action: "those of the data set were taken"})
	}
	return nil
}
