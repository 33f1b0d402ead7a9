package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"pictosync/convert"
)

var yamlWithNames = regexp.MustCompile(`(?m)^(\x{feff})?["']?names["']?\s*:`)

// findDescription finds the file that describes a data set at the top of its
// folder: data.yaml and its like, or Darknet's obj.data; "" if there is none.
func findDescription(folder string, entries []fs.DirEntry) (string, error) {
	var described, darknet []string
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		name := strings.ToLower(e.Name())
		switch filepath.Ext(name) {
		case ".yaml", ".yml":
			data, err := readSmall(filepath.Join(folder, e.Name()), maxDescription)
			if known := name == "data.yaml" || name == "data.yml"; known && err != nil {
				return "", &Error{Op: "read", Path: filepath.Join(folder, e.Name()), Err: err}
			} else if known {
				return filepath.Join(folder, e.Name()), nil
			}
			if err == nil && yamlWithNames.Match(data) {
				described = append(described, e.Name())
			}
		case ".data":
			darknet = append(darknet, e.Name())
		}
	}
	for _, found := range [][]string{described, darknet} {
		switch len(found) {
		case 0:
			continue
		case 1:
			return filepath.Join(folder, found[0]), nil
		}
		return "", &Error{Op: "read", Path: folder, Err: fmt.Errorf("several files describe a data set: %s", strings.Join(found, ", ")), Advice: "give one of them as the source"}
	}
	return "", nil
}

func readDescription(file string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, nil, openError(file, err)
	}
	data, err := readSmall(file, maxDescription)
	if err != nil {
		return nil, nil, &Error{Op: "read", Path: file, Err: err}
	}
	return data, info, nil
}

// openUltralytics opens what a data.yaml describes.
func openUltralytics(ctx context.Context, s setting, folder, file string) (Source, error) {
	data, info, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(file)
	d, findings, err := parseDescription(data, name)
	if err != nil {
		return nil, &Error{Op: "read", Path: file, Err: err, Advice: "data.yaml has names, and train, val or test"}
	}
	for _, f := range findings {
		s.reporter.report(f)
	}
	y := &yolo{setting: s, reason: name + " describes it", convert: d.yolo(), listings: &listings{}}
	y.root = y.locateRoot(folder, d.root, name)
	y.prefix = relativePrefix(folder, y.root)
	if len(d.splits) == 0 {
		y.parts = []yoloPart{{path: y.root}}
		return y.settle(ctx, info)
	}
	for _, split := range d.splits {
		for _, entry := range split.entries {
			part, ok := y.locatePart(entry)
			if !ok {
				y.reporter.report(finding{Kind: convert.KindMissingSplit, File: name, At: split.name, Reason: fmt.Sprintf("neither %s nor labels for it are there", display(entry)), Action: "the other splits were read"})
				continue
			}
			y.addPart(part)
		}
	}
	if len(y.parts) == 0 {
		return nil, &Error{Op: "read", Path: file, Err: errors.New("none of the splits it names is there"), Advice: "paths are relative to data.yaml, or to path: in it"}
	}
	return y.settle(ctx, info)
}

// locateRoot is the data set's folder: path of data.yaml where that is there,
// else the folder of data.yaml itself, since such paths are often those of the
// machine the data set was trained on.
func (y *yolo) locateRoot(folder, stated, name string) string {
	if stated == "" {
		return folder
	}
	stated = filepath.FromSlash(strings.ReplaceAll(stated, `\`, "/"))
	full := stated
	if !filepath.IsAbs(stated) {
		full = filepath.Join(folder, stated)
	}
	if info, err := os.Stat(full); err == nil && info.IsDir() {
		return full
	}
	if abs, err := filepath.Abs(folder); err == nil && filepath.Base(abs) == filepath.Base(full) {
		return folder // as path: ../datasets/NAME in NAME/data.yaml
	}
	y.reporter.report(finding{Kind: convert.KindRelocated, File: name, At: "path", Reason: fmt.Sprintf("there is no folder %s", display(stated)), Action: "the folder of " + name + " was taken instead"})
	return folder
}

// locatePart finds what an entry of a split names: the labels of a folder of
// images, or a list.
func (y *yolo) locatePart(entry string) (yoloPart, bool) {
	entry = strings.ReplaceAll(entry, `\`, "/")
	candidates := []string{filepath.Join(y.root, filepath.FromSlash(entry))}
	if path.IsAbs(entry) {
		candidates = []string{filepath.FromSlash(entry)}
	}
	// "../train/images" is what Roboflow writes for "train/images"; leading
	// folders of absolute paths are another machine's.
	rest := strings.TrimPrefix(path.Clean(entry), "/")
	for strings.HasPrefix(rest, "../") {
		rest = rest[len("../"):]
		candidates = append(candidates, filepath.Join(y.root, filepath.FromSlash(rest)))
	}
	if path.IsAbs(entry) || hasDrive(entry) {
		for _, below, found := strings.Cut(rest, "/"); found; _, below, found = strings.Cut(below, "/") {
			candidates = append(candidates, filepath.Join(y.root, filepath.FromSlash(below)))
		}
	}
	for _, c := range candidates {
		if strings.EqualFold(filepath.Ext(c), ".txt") {
			if existing(c) != "" {
				return yoloPart{path: c, rel: relative(y.root, c), list: true}, true
			}
			continue
		}
		if folder, ok := y.labelFolder(c); ok {
			return yoloPart{path: folder, rel: relative(y.root, folder)}, true
		}
	}
	return yoloPart{}, false
}

// labelFolder is where the labels of a folder of images are: in the folder with
// "labels" for the last "images" of its path, or in the folder itself.
func (y *yolo) labelFolder(images string) (string, bool) {
	rel := relative(y.root, images)
	if labels, found := replaceLast(rel, "images", "labels"); found {
		folder := filepath.Join(strings.TrimSuffix(filepath.Clean(images), filepath.FromSlash(rel)), filepath.FromSlash(labels))
		if isFolder(folder) {
			return folder, true
		}
	}
	return images, isFolder(images)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// addPart adds a part unless it is read already, as where train and val are the
// same folder.
func (y *yolo) addPart(part yoloPart) {
	for i, old := range y.parts {
		switch {
		case old.path == part.path, !old.list && !part.list && within(old.path, part.path):
			return
		case !old.list && !part.list && within(part.path, old.path):
			y.parts[i] = part
			return
		}
	}
	y.parts = append(y.parts, part)
}

// relativePrefix is root as seen from the source, for messages.
func relativePrefix(folder, root string) string {
	rel, err := filepath.Rel(folder, root)
	if err != nil || rel == "." {
		return ""
	}
	return filepath.ToSlash(rel)
}

// openDarknet opens what an obj.data describes: lines key = value with train,
// valid, names.
func openDarknet(ctx context.Context, s setting, folder, file string) (Source, error) {
	data, info, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(file)
	values := make(map[string]string)
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		if key, value, found := strings.Cut(line, "="); found {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	y := &yolo{setting: s, root: folder, reason: name + " describes it (Darknet)", listings: &listings{}}
	names, found := y.locateDarknet(values["names"])
	if !found {
		return nil, &Error{Op: "read", Path: file, Err: fmt.Errorf("there are no class names: its names file (%q) is not there", values["names"]), Advice: "names = obj.names names a file with one class a line"}
	}
	classes, err := readClassList(names, s.reporter)
	if err != nil {
		return nil, err
	}
	if stated := values["classes"]; stated != "" && stated != fmt.Sprint(len(classes)) {
		s.reporter.report(finding{Kind: convert.KindClassList, File: name, At: "classes", Reason: fmt.Sprintf("it says %s classes and names %d", stated, len(classes)), Action: "the names were taken"})
	}
	y.convert.Classes = classes
	for _, split := range []string{"train", "valid", "val", "test"} {
		if values[split] == "" {
			continue
		}
		list, ok := y.locateDarknet(values[split])
		if !ok {
			s.reporter.report(finding{Kind: convert.KindMissingSplit, File: name, At: split, Reason: fmt.Sprintf("there is no list %s", display(values[split])), Action: "the other splits were read"})
			continue
		}
		y.addPart(yoloPart{path: list, rel: relative(folder, list), list: true})
	}
	if len(y.parts) == 0 {
		y.parts = []yoloPart{{path: folder}}
	}
	return y.settle(ctx, info)
}

// locateDarknet finds a file that obj.data names relative to wherever the
// trainer was started.
func (y *yolo) locateDarknet(name string) (string, bool) {
	name = path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if path.IsAbs(name) && existing(filepath.FromSlash(name)) != "" {
		return filepath.FromSlash(name), true
	}
	for rest, found := strings.TrimLeft(name, "/"), true; found; _, rest, found = strings.Cut(rest, "/") {
		if file := existing(filepath.Join(y.root, filepath.FromSlash(rest))); rest != "." && file != "" {
			return file, true
		}
	}
	return "", false
}

var classLists = []string{"classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt"}

// findClassList finds the list of class names of a folder without another
// description: at its top, or in one of the folders there. Lists that differ
// from one another are an error.
func findClassList(folder string, entries []fs.DirEntry) (string, error) {
	for _, e := range entries {
		if !e.IsDir() && (isClassList(e.Name()) || strings.EqualFold(filepath.Ext(e.Name()), ".names")) {
			return filepath.Join(folder, e.Name()), nil
		}
	}
	var found string
	var content []byte
	for _, e := range entries {
		for _, name := range classLists[:3] {
			file := filepath.Join(folder, e.Name(), name)
			data, err := readSmall(file, maxDescription)
			if err != nil {
				continue
			}
			if found != "" && !bytes.Equal(bytes.TrimSpace(data), bytes.TrimSpace(content)) {
				return "", &Error{Op: "read", Path: folder, Err: fmt.Errorf("two lists of class names differ: %s and %s", display(found), display(file)), Advice: "put the right one beside them as classes.txt, or sync the folders one by one"}
			}
			if found == "" {
				found, content = file, data
			}
		}
	}
	return found, nil
}

func isClassList(name string) bool {
	for _, list := range classLists {
		if strings.EqualFold(name, list) {
			return true
		}
	}
	return false
}

// openPlain opens a folder that has a list of class names and labels somewhere.
func openPlain(ctx context.Context, s setting, names string) (Source, error) {
	info, err := os.Stat(names)
	if err != nil {
		return nil, openError(names, err)
	}
	classes, err := readClassList(names, s.reporter)
	if err != nil {
		return nil, err
	}
	y := &yolo{setting: s, root: s.path, reason: relativePrefix(s.path, names) + " names the classes", parts: []yoloPart{{path: s.path}},
		convert: convert.YOLO{Classes: classes}, listings: &listings{}}
	return y.settle(ctx, info)
}

// readClassList reads class names, one a line. A blank line has no name and
// keeps its number.
func readClassList(file string, r *reporter) (map[int]string, error) {
	data, err := readSmall(file, maxDescription)
	if err != nil {
		return nil, &Error{Op: "read", Path: file, Err: err, Advice: "class names are text, one a line"}
	}
	if !utf8.Valid(data) {
		return nil, &Error{Op: "read", Path: file, Err: errors.New("is not UTF-8"), Advice: "save it as UTF-8"}
	}
	text := strings.TrimRight(strings.TrimPrefix(string(data), "\ufeff"), " \t\r\n")
	names := make(map[int]string)
	number := 0
	for line := range strings.Lines(text) {
		if name := strings.TrimSpace(line); name != "" {
			names[number] = name
		} else {
			r.report(finding{Kind: convert.KindClassList, File: filepath.Base(file), At: fmt.Sprintf("line %d", number+1), Reason: "the line is blank", Action: fmt.Sprintf("class %d has no name", number)})
		}
		number++
	}
	if len(names) == 0 {
		return nil, &Error{Op: "read", Path: file, Err: errors.New("it names no classes"), Advice: "write the class names into it, one a line"}
	}
	reportSharedNames(names, filepath.Base(file), r.report)
	return names, nil
}

// reportSharedNames reports names that several classes have: their annotations
// become those of one class.
func reportSharedNames(names map[int]string, file string, report func(finding)) {
	first, folded := make(map[string]int), make(map[string]string)
	for _, number := range sortedKeys(names) {
		name := names[number]
		if other, shared := first[name]; shared {
			report(finding{Kind: convert.KindClassList, File: file, At: fmt.Sprintf("class %d", number), Reason: fmt.Sprintf("it has the name of class %d: %s", other, display(name)), Action: "both become one class"})
			continue
		}
		first[name] = number
		if similar, there := folded[convert.Fold(name)]; there {
			report(finding{Kind: convert.KindSimilarClass, File: file, At: fmt.Sprintf("class %d", number),
				Reason: fmt.Sprintf("the names %q and %q differ in case or blanks alone", similar, name), Action: "both classes kept; a class map can merge them"})
			continue
		}
		folded[convert.Fold(name)] = name
	}
}
