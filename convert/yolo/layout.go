package yolo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
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

var yamlWithNames = regexp.MustCompile(`(?m)^(\x{feff})?["']?names["']?\s*:`)

// findDescription finds the file that describes a data set at the top of its
// folder: data.yaml and its like, or Darknet's obj.data; "" if there is none.
func findDescription(folder string, entries []fs.DirEntry) (string, error) {
	var described, darknet []string
	for _, e := range entries {
		if e.IsDir() || source.IsClutter(e.Name()) {
			continue
		}
		name := strings.ToLower(e.Name())
		switch filepath.Ext(name) {
		case ".yaml", ".yml":
			data, err := source.ReadAtMost(filepath.Join(folder, e.Name()), source.MaxDescription)
			if known := name == "data.yaml" || name == "data.yml"; known && err != nil {
				return "", &convert.Error{Op: "read", Path: filepath.Join(folder, e.Name()), Err: err}
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
		return "", &convert.Error{Op: "read", Path: folder, Err: fmt.Errorf("several files describe a data set: %s", strings.Join(found, ", ")), Advice: "give one of them as the source"}
	}
	return "", nil
}

func readDescription(file string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, nil, source.OpenError(file, err)
	}
	data, err := source.ReadAtMost(file, source.MaxDescription)
	if err != nil {
		return nil, nil, &convert.Error{Op: "read", Path: file, Err: err}
	}
	return data, info, nil
}

// openUltralytics opens what a data.yaml describes.
func openUltralytics(ctx context.Context, s source.Files, folder, file string) (convert.Source, error) {
	data, info, err := readDescription(file)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(file)
	d, findings, err := parseDescription(data, name)
	if err != nil {
		return nil, &convert.Error{Op: "read", Path: file, Err: err, Advice: "data.yaml has names, and train, val or test"}
	}
	for _, f := range findings {
		s.Reporter.Report(f)
	}
	if own := flagsOf(s.Options); d.keypoints > 0 && d.task != "" && d.task != Pose && own.Task == "" && own.Shape[0] == 0 && len(own.Columns) == 0 {
		return nil, &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("its task is %s, and its kpt_shape is of poses, so nothing tells what the lines are", d.task),
			Advice: fmt.Sprintf("take one of them out, or say which with --task %s or --task pose", d.task)}
	}
	y := &dataset{Files: s, reason: name + " describes it", convert: d.yolo(), listings: &source.Listings{}, described: true}
	files := []os.FileInfo{info}
	sized, err := y.takeSizes(folder, d, name)
	if err != nil {
		return nil, err
	}
	files = append(files, sized...)
	if flagsOf(s.Options).ClassList != "" {
		names, err := takeClassList(s, &y.convert)
		if err != nil {
			return nil, err
		}
		files = append(files, names)
	} else if len(d.names) == 0 && !d.classless() {
		return nil, &convert.Error{Op: "read", Path: file, Err: d.noNames(),
			Advice: "data.yaml has names, a text for each class; or give --class-list" + beside(s.Path, isListOfClasses)}
	} else if err := checkCount(file, "nc", d.stated, file, len(d.names)); err != nil {
		return nil, err
	}
	y.locate(folder, d, name)
	y.prefix = prefixOf(y.root, folder)
	if len(d.splits) == 0 {
		y.parts = []labelPart{{path: y.root}}
	}
	if err := y.checkOutside(file); err != nil {
		return nil, err
	}
	if len(y.parts) == 0 {
		advice := "paths are relative to data.yaml, or to path: in it"
		if d.root != "" {
			advice += ", which is " + convert.Display(d.root)
			if above := y.rootsAbove(folder, d); len(above) > 1 {
				advice += fmt.Sprintf("; %s and %s both have splits, and nothing tells which is meant", convert.Display(above[0]), convert.Display(above[1]))
			}
		}
		return nil, &convert.Error{Op: "read", Path: file, Err: errors.New("none of the splits it names is there"), Advice: advice}
	}
	if flagsOf(s.Options).ClassList == "" {
		if err := y.checkClassLists(file); err != nil {
			return nil, err
		}
	}
	return y.complete(ctx, file, files...)
}

// takeSizes takes the sizes of images from the file that a description names, unless --sizes says
// otherwise.
func (y *dataset) takeSizes(folder string, d description, name string) ([]os.FileInfo, error) {
	if d.sizes == "" || y.Sizes != nil {
		return nil, nil
	}
	file := filepath.Join(folder, d.sizes)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		y.Reporter.Report(convert.Finding{Kind: convert.KindDescription, File: name, At: sizesKey, Reason: fmt.Sprintf("%s is not there", convert.Display(d.sizes)), Action: "sizes were taken from the images"})
		return nil, nil
	}
	if err != nil {
		return nil, source.OpenError(file, err)
	}
	y.sizesFile = convert.Display(d.sizes)
	return []os.FileInfo{info}, y.UseSizes(file)
}

// findSizes says where the sizes of images may come from, and which file looks like them: it is
// not read unless somebody says so.
func (y *dataset) findSizes() string {
	if y.Sizes == nil {
		for _, folder := range []string{y.Path, y.root} {
			for _, name := range []string{sizesFile, "sizes.json"} {
				if file := source.Existing(filepath.Join(folder, name)); file != "" {
					return fmt.Sprintf("give --images, or --sizes %s if that is what it holds", convert.Display(file))
				}
			}
		}
	}
	return adviceOnSizes
}

// checkCount holds the number of classes that a description states against that of the names: where
// one is missing among these, the numbers behind it mean other classes.
func checkCount(file, key string, stated int, list string, names int) error {
	if stated == 0 || stated == names {
		return nil
	}
	return &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("%s says that there are %d classes, and there are %d names", key, stated, names),
		Advice: fmt.Sprintf("correct the one that is wrong, or take the names as they are with --class-list %s", convert.Display(list))}
}

// locate finds the data set's folder and the parts of its splits. Where path of
// data.yaml is not there, as one of the machine the data set was trained on, its last
// components may be; the folder is the one that has most of the splits.
func (y *dataset) locate(folder string, d description, name string) {
	y.root = folder
	roots, full := y.candidateRoots(folder, d.root)
	best, most := folder, -1
	var taken, beside []labelPart // in the best, and beside the description
	for _, root := range roots {
		found := y.splitsIn(root, d)
		if len(found) > most {
			best, most, taken = root, len(found), found
		}
		if root == folder {
			beside = found
		}
	}
	if most == 0 {
		if above := y.rootsAbove(folder, d); len(above) == 1 {
			best = above[0]
		}
	}
	same := func(a, b labelPart) bool { return sameFile(a.path, b.path) }
	if most > 0 && len(beside) == most && !slices.EqualFunc(taken, beside, same) {
		y.Reporter.Report(convert.Finding{Kind: convert.KindMissingSplit, File: name, At: "path", Reason: fmt.Sprintf("the splits are in %s and in the folder of %s too, and nothing tells which are meant; give the folder that is meant, or take path out", convert.Display(d.root), name), Action: "those of path were read"})
	}
	if y.root = best; full != "" && y.root != full {
		reason := fmt.Sprintf("there is no folder %s", convert.Display(d.root))
		if source.IsFolder(full) {
			reason = fmt.Sprintf("the folder %s has fewer of the splits", convert.Display(d.root))
		}
		taken := "the folder of " + name
		if rel := relativePrefix(folder, y.root); rel != "" {
			taken = "the folder " + convert.Display(rel)
		}
		if abs, err := filepath.Abs(folder); err != nil || y.root != folder || filepath.Base(abs) != filepath.Base(full) {
			y.Reporter.Report(convert.Finding{Kind: convert.KindRelocated, File: name, At: "path", Reason: reason, Action: taken + " was taken instead"})
		}
	}
	entries, relocated := make(map[string]string), make(map[string]bool) // by the parts that they led to
	for _, split := range d.splits {
		for _, entry := range split.entries {
			part, moved, ok := y.locatePart(entry)
			if !ok {
				y.missing(name, split.name, fmt.Sprintf("neither %s nor labels for it are there", convert.Display(entry)))
				continue
			}
			if other, twice := entries[part.path]; twice && other != path.Clean(entry) && (moved || relocated[part.path]) {
				y.missing(name, split.name, fmt.Sprintf("%s is not there, and %s is what is there of %s", convert.Display(entry), convert.Display(part.rel), convert.Display(other)))
				continue
			}
			entries[part.path], relocated[part.path] = path.Clean(entry), moved
			if moved {
				y.Reporter.Report(convert.Finding{Kind: convert.KindRelocated, File: name, At: split.name, Reason: fmt.Sprintf("%s is not there", convert.Display(entry)), Action: convert.Display(part.rel) + " was taken instead"})
			}
			part.split = split.name
			y.addPart(part)
		}
	}
	y.addUnnamed(name)
}

// splitsIn finds the entries of splits in a folder.
func (y *dataset) splitsIn(root string, d description) (found []labelPart) {
	y.root = root
	for _, split := range d.splits {
		for _, entry := range split.entries {
			if part, _, ok := y.locatePart(entry); ok {
				found = append(found, part)
			}
		}
	}
	return found
}

// addUnnamed adds what lies where the other splits do, as a folder test that a
// data.yaml of train and val does not name.
func (y *dataset) addUnnamed(name string) {
	for _, part := range slices.Clone(y.parts) {
		components := strings.Split(part.rel, "/")
		for i, c := range components {
			if part.list || !source.SplitNames[c] || !slices.Contains(components, "labels") {
				continue
			}
			for _, other := range []string{"train", "val", "valid", "validation", "test"} {
				rel := strings.Join(slices.Concat(components[:i], []string{other}, components[i+1:]), "/")
				before := len(y.parts)
				folder := filepath.Join(y.root, filepath.FromSlash(rel))
				named := slices.ContainsFunc(y.parts, func(p labelPart) bool { return sameFile(p.path, folder) })
				if !named && source.IsFolder(folder) {
					y.addPart(labelPart{path: folder, rel: rel, split: other})
				}
				if len(y.parts) > before {
					y.Reporter.Report(convert.Finding{Kind: convert.KindUnnamedSplit, File: name, Reason: fmt.Sprintf("no split names %s, which lies beside those that are named", convert.Display(rel)), Action: "its labels were read too"})
				}
			}
		}
	}
}

// sameFile reports whether two paths lead to one file, or to one folder.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// missing reports a split that is not there. Many exports name a test split that they
// lack.
func (y *dataset) missing(file, split, reason string) {
	kind := convert.KindMissingSplit
	if split == "test" {
		kind = convert.KindMissingTest
	}
	y.Reporter.Report(convert.Finding{Kind: kind, File: file, At: split, Reason: reason, Action: "the other splits were read"})
}

// candidateRoots are the folders that may be a data set's, given that of its data.yaml
// and the path that is stated there; full is the latter on this machine.
func (y *dataset) candidateRoots(folder, stated string) (roots []string, full string) {
	if stated == "" {
		return []string{folder}, ""
	}
	stated = strings.ReplaceAll(stated, `\`, "/")
	full = y.statedRoot(folder, stated)
	candidates := []string{full}
	for _, rest := range source.Shortened(stated) {
		candidates = append(candidates, filepath.Join(folder, filepath.FromSlash(rest)))
	}
	// The description may lie in a folder of the data set, as config/data.yaml.
	if abs, err := filepath.Abs(folder); err == nil {
		for i, above := range []string{filepath.Dir(abs), filepath.Dir(filepath.Dir(abs))} {
			if filepath.Base(above) == path.Base(path.Clean(stated)) {
				candidates = append(candidates, filepath.Join(folder, []string{"..", filepath.Join("..", "..")}[i]))
			}
		}
	}
	for _, c := range append(candidates, folder) {
		if source.IsFolder(c) && !slices.Contains(roots, c) {
			roots = append(roots, c)
		}
	}
	if len(roots) == 0 {
		roots = []string{folder}
	}
	return roots, full
}

// rootsAbove are the folders with splits that path of a data.yaml may lead to from the folders
// above it, where a trainer was started or a data set lies beside the folder of descriptions.
func (y *dataset) rootsAbove(folder string, d description) (roots []string) {
	if d.root == "" {
		return nil
	}
	for _, up := range []string{"..", filepath.Join("..", "..")} {
		for _, rest := range source.Shortened(strings.ReplaceAll(d.root, `\`, "/")) {
			root := filepath.Join(folder, up, filepath.FromSlash(rest))
			if source.IsFolder(root) && len(y.splitsIn(root, d)) > 0 && !slices.ContainsFunc(roots, func(other string) bool { return sameFile(root, other) }) {
				roots = append(roots, root)
			}
		}
	}
	return roots
}

// locatePart finds what an entry of a split names: the labels of a folder of
// images, or a list. moved says that it is not where the entry says.
func (y *dataset) locatePart(entry string) (part labelPart, moved, ok bool) {
	entry = strings.ReplaceAll(entry, `\`, "/")
	candidates := []string{y.stated(y.root, entry)}
	// "../train/images" is what Roboflow writes for "train/images".
	usual := len(candidates)
	if strings.HasPrefix(entry, "../") {
		usual++
	}
	short := source.Shortened(entry)
	for _, rest := range short {
		candidates = append(candidates, filepath.Join(y.root, filepath.FromSlash(rest)))
	}
	for _, rest := range short {
		for _, other := range source.OtherSplits(rest) {
			candidates = append(candidates, filepath.Join(y.root, filepath.FromSlash(other)))
		}
	}
	for i, c := range candidates {
		if strings.EqualFold(filepath.Ext(c), ".txt") {
			if source.Existing(c) != "" {
				return labelPart{path: c, rel: source.Relative(y.root, c), list: true}, i >= usual && c != candidates[0], true
			}
			continue
		}
		if folder, ok := y.labelFolder(c); ok {
			return labelPart{path: folder, rel: source.Relative(y.root, folder)}, i >= usual && c != candidates[0], true
		}
	}
	return labelPart{}, false, false
}

// addPart adds a part unless it is read already, as where train and val are the
// same folder.
func (y *dataset) addPart(part labelPart) {
	y.named = append(y.named, part)
	for i, old := range y.parts {
		switch {
		case filepath.Clean(old.path) == filepath.Clean(part.path), !old.list && !part.list && source.Within(old.path, part.path):
			return
		case !old.list && !part.list && source.Within(part.path, old.path):
			y.parts[i] = part
			return
		}
	}
	y.parts = append(y.parts, part)
}

// checkOutside refuses folders outside the data set's own whose images would have the paths of
// others.
func (y *dataset) checkOutside(file string) error {
	inside := func(p labelPart) bool {
		return filepath.Join(y.root, filepath.FromSlash(p.rel)) == filepath.Clean(p.path)
	}
	for i, a := range y.parts {
		for _, b := range y.parts[:i] {
			one, _ := imageDirs(a.rel)
			other, _ := imageDirs(b.rel)
			if a.list || b.list || inside(a) && inside(b) || !source.Within(one, other) && !source.Within(other, one) {
				continue
			}
			return &convert.Error{Op: "read", Path: file, Err: fmt.Errorf("%s and %s are not both in the data set's folder, %s, and images of one name in them would have one path", convert.Display(b.path), convert.Display(a.path), convert.Display(y.root)),
				Advice: "set path to a folder that holds both, or give them one at a time"}
		}
	}
	return nil
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

var classLists = []string{"classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt"}

// findClassList finds the list of class names of a folder without another
// description: at its top, or in the folders there and in those. Lists that differ
// from one another are an error, as the labels beside each are numbered by it.
func findClassList(folder string, entries []fs.DirEntry, l *source.Listings) (string, error) {
	var found string
	var names []string
	take := func(file string) error {
		lines, err := classLines(file)
		if err != nil {
			return nil // it is no file
		}
		if found == "" {
			found, names = file, lines
		} else if !slices.Equal(lines, names) {
			return &convert.Error{Op: "read", Path: folder, Err: fmt.Errorf("two lists of class names differ: %s and %s", convert.Display(relativePrefix(folder, found)), convert.Display(relativePrefix(folder, file))),
				Advice: "say which is right for all with --class-list FILE, or give the folders one at a time"}
		}
		return nil
	}
	for _, name := range classLists[:3] {
		for _, e := range entries {
			if !e.IsDir() && strings.EqualFold(e.Name(), name) {
				if err := take(filepath.Join(folder, e.Name())); err != nil {
					return "", err
				}
			}
		}
	}
	known := found != ""
	for _, e := range entries {
		other := !known && isClassList(e.Name()) || strings.EqualFold(filepath.Ext(e.Name()), ".names")
		if lines, err := classLines(filepath.Join(folder, e.Name())); e.IsDir() || !other || err != nil || areLabels(lines) {
			continue
		}
		if err := take(filepath.Join(folder, e.Name())); err != nil {
			return "", err
		}
	}
	atTop, described := found, ""
	for _, e := range entries {
		if below := filepath.Join(folder, e.Name()); source.IsFolder(below) {
			if err := takeBelow(below, 1, l, &described, take); err != nil {
				return "", err
			}
		}
	}
	if atTop == "" && found != "" && described != "" {
		return "", &convert.Error{Op: "read", Path: folder, Err: fmt.Errorf("it has no description of its own, and %s below describes a data set", convert.Display(relativePrefix(folder, described))),
			Advice: "give the folder " + convert.Display(filepath.Dir(described)) + ", or --class-list FILE"}
	}
	return found, nil
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

// takeBelow takes the class lists of a folder and of those in it, and the first
// description of a data set there.
func takeBelow(folder string, levels int, l *source.Listings, described *string, take func(file string) error) error {
	entries, err := l.Read(folder)
	if err != nil {
		return nil // it is told of when it is walked
	}
	for _, name := range classLists[:3] {
		if !entries.Has(name) {
			continue
		}
		if err := take(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"data.yaml", "data.yml", "obj.data"} {
		if *described == "" && entries.Has(name) {
			*described = filepath.Join(folder, name)
		}
	}
	if levels == 0 {
		return nil
	}
	for _, e := range entries.List {
		if e.Kind == source.FolderEntry {
			if err := takeBelow(filepath.Join(folder, entries.Name(e)), levels-1, l, described, take); err != nil {
				return err
			}
		}
	}
	return nil
}

// isListOfClasses is isClassList for a file on disk.
func isListOfClasses(file string) bool { return isClassList(filepath.Base(file)) }

// beside says where, one or two folders down, files lie that are missed at the top; ""
// where none is.
func beside(folder string, wanted func(file string) bool) string {
	var found []string
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		files, err := filepath.Glob(filepath.Join(escapeGlob(folder), filepath.FromSlash(pattern)))
		if err != nil {
			return ""
		}
		for _, file := range files {
			rel := relativePrefix(folder, file)
			if !slices.ContainsFunc(strings.Split(rel, "/"), source.IsClutter) && source.Existing(file) != "" && wanted(file) {
				found = append(found, convert.Display(rel))
			}
		}
	}
	const some = 3
	switch {
	case len(found) == 0:
		return ""
	case len(found) > some:
		found = append(found[:some], fmt.Sprintf("and %d more", len(found)-some))
	}
	return "; there is " + strings.Join(found, ", ")
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

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
	for _, list := range classLists {
		if strings.EqualFold(name, list) {
			return true
		}
	}
	return false
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
