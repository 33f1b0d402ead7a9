package yolo

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// openDarknet opens what an obj.data describes: lines key = value with train,
// valid, names.
func openDarknet(ctx context.Context, s source.Files, folder, file string) (convert.Source, error) {
	data, info, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(file)
	values := make(map[string]string)
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		key, value, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if before, twice := values[key]; twice && before != value {
			return nil, &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("it has %s twice, %s and %s", convert.Display(key), convert.Display(before), convert.Display(value)), Advice: "leave one of them"}
		}
		values[key] = value
	}
	y := &dataset{Files: s, root: folder, reason: name + " describes it (Darknet)", listings: &source.Listings{}, described: true}
	files := []os.FileInfo{info}
	names, _, found := y.locateDarknet(values["names"])
	switch {
	case flagsOf(s.Options).ClassList != "":
		list, err := takeClassList(s, &y.convert)
		if err != nil {
			return nil, err
		}
		files = append(files, list)
	case !found:
		return nil, &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("there are no class names: its names file (%q) is not there", values["names"]), Advice: "names = obj.names names a file with one class a line" + beside(s.Path, isListOfClasses)}
	default:
		if y.convert.Classes, err = readClassList(names, s.Reporter); err != nil {
			return nil, err
		}
	}
	classes := y.convert.Classes
	if flagsOf(s.Options).ClassList == "" {
		stated, err := strconv.Atoi(values["classes"])
		if err != nil && values["classes"] != "" {
			s.Reporter.Report(convert.Finding{Kind: convert.KindClassList, File: name, At: "classes", Reason: fmt.Sprintf("%s is no number of classes", convert.Display(values["classes"])), Action: "the names were taken"})
		}
		if err := checkCount(file, "classes", stated, names, len(classes)); err != nil {
			return nil, err
		}
	}
	lists := make(map[string]string) // what they are called, by where they are
	for _, split := range []string{"train", "valid", "val", "test"} {
		if values[split] == "" {
			continue
		}
		list, cut, ok := y.locateDarknet(values[split])
		if !ok {
			y.missing(name, split, fmt.Sprintf("there is no list %s", convert.Display(values[split])))
			continue
		}
		if other, twice := lists[list]; twice && !agreeing(other, values[split]) {
			y.missing(name, split, fmt.Sprintf("there is no list %s, and %s is what is there of %s", convert.Display(values[split]), convert.Display(source.Relative(folder, list)), convert.Display(other)))
			continue
		}
		if lists[list] = values[split]; cut != "" && cut != ofDarknet {
			y.Reporter.Report(convert.Finding{Kind: convert.KindRelocated, File: name, At: split, Reason: fmt.Sprintf("%s is not there", convert.Display(values[split])), Action: convert.Display(source.Relative(folder, list)) + " was taken instead"})
		}
		y.addPart(labelPart{path: list, rel: source.Relative(folder, list), list: true, split: split})
	}
	if len(y.parts) == 0 {
		y.parts = []labelPart{{path: folder}}
	}
	if flagsOf(s.Options).ClassList == "" {
		if err := y.checkClassLists(file); err != nil {
			return nil, err
		}
	}
	return y.complete(ctx, file, files...)
}

// ofDarknet is the folder that paths of Darknet, and of CVAT, begin with, wherever they lie.
const ofDarknet = "data"

// locateDarknet finds a file that obj.data names relative to wherever the trainer was
// started; cut is what was left out of its path.
func (y *dataset) locateDarknet(name string) (file, cut string, ok bool) {
	name = path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if file := y.asGiven(filepath.FromSlash(name)); path.IsAbs(name) && source.Existing(file) != "" {
		return file, "", true
	}
	name = strings.TrimLeft(name, "/")
	for rest, found := name, true; found; _, rest, found = strings.Cut(rest, "/") {
		if file := source.Existing(filepath.Join(y.root, filepath.FromSlash(rest))); rest != "." && file != "" {
			return file, strings.Trim(strings.TrimSuffix(name, rest), "/"), true
		}
	}
	return "", "", false
}
