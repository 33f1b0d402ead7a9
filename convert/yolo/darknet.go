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
	values, err := darknetValues(data, file)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(file)
	y := &dataset{Files: s, root: folder, reason: name + " describes it (Darknet)", listings: &source.Listings{}, described: true}
	files := []os.FileInfo{info}
	listed := flagsOf(s.Options).ClassList != ""
	if listed {
		list, err := takeClassList(s, &y.convert)
		if err != nil {
			return nil, err
		}
		files = append(files, list)
	} else if err := y.takeDarknetNames(values, file); err != nil {
		return nil, err
	}
	y.addDarknetLists(values, name)
	if len(y.parts) == 0 {
		y.parts = []labelPart{{path: folder}}
	}
	if !listed {
		if err := y.checkClassLists(file); err != nil {
			return nil, err
		}
	}
	return y.complete(ctx, file, files...)
}

// darknetValues are the values of an obj.data by their keys.
func darknetValues(data []byte, file string) (map[string]string, error) {
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
	return values, nil
}

// takeDarknetNames takes the class names from the file that an obj.data names, and holds their
// number against the one that it states.
func (y *dataset) takeDarknetNames(values map[string]string, file string) (err error) {
	names, _, found := y.locateDarknet(values["names"])
	if !found {
		return &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("there are no class names: its names file (%q) is not there", values["names"]), Advice: "names = obj.names names a file with one class a line" + beside(y.Path, isListOfClasses)}
	}
	if y.convert.Classes, err = readClassList(names, y.Reporter); err != nil {
		return err
	}
	stated, err := strconv.Atoi(values["classes"])
	if err != nil && values["classes"] != "" {
		y.Reporter.Report(convert.Finding{Kind: convert.KindClassList, File: filepath.Base(file), At: "classes", Reason: fmt.Sprintf("%s is no number of classes", convert.Display(values["classes"])), Action: "the names were taken"})
	}
	return checkCount(file, "classes", stated, names, len(y.convert.Classes))
}

// addDarknetLists adds the lists of images that an obj.data of a name has for its splits.
func (y *dataset) addDarknetLists(values map[string]string, name string) {
	called := make(map[string]string) // the lists, by where they are
	for _, split := range []string{"train", "valid", "val", "test"} {
		stated := values[split]
		if stated == "" {
			continue
		}
		list, cut, ok := y.locateDarknet(stated)
		if !ok {
			y.missing(name, split, fmt.Sprintf("there is no list %s", convert.Display(stated)))
			continue
		}
		rel := source.Relative(y.root, list)
		if other, twice := called[list]; twice && !agreeing(other, stated) {
			y.missing(name, split, fmt.Sprintf("there is no list %s, and %s is what is there of %s", convert.Display(stated), convert.Display(rel), convert.Display(other)))
			continue
		}
		called[list] = stated
		if cut != "" && cut != ofDarknet {
			y.Reporter.Report(convert.Finding{Kind: convert.KindRelocated, File: name, At: split, Reason: fmt.Sprintf("%s is not there", convert.Display(stated)), Action: convert.Display(rel) + " was taken instead"})
		}
		y.addPart(labelPart{path: list, rel: rel, list: true, split: split})
	}
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
