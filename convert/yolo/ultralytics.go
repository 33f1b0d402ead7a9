package yolo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

var yamlWithNames = regexp.MustCompile(`(?m)^(\x{feff})?["']?names["']?\s*:`)

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

// locate finds the data set's folder and the parts of its splits. Where path of
// data.yaml is not there, as one of the machine the data set was trained on, its last
// components may be; the folder is the one that has most of the splits.
func (y *dataset) locate(folder string, d description, name string) {
	y.locateRoot(folder, d, name)
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

// locateRoot finds the data set's folder, and tells of one that is not as path says.
func (y *dataset) locateRoot(folder string, d description, name string) {
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
		y.tellRelocated(folder, full, d, name)
	}
}

// tellRelocated says which folder was taken instead of the one that path says, full on this
// machine, unless the description lies in one of that name.
func (y *dataset) tellRelocated(folder, full string, d description, name string) {
	if abs, err := filepath.Abs(folder); err == nil && y.root == folder && filepath.Base(abs) == filepath.Base(full) {
		return
	}
	reason := fmt.Sprintf("there is no folder %s", convert.Display(d.root))
	if source.IsFolder(full) {
		reason = fmt.Sprintf("the folder %s has fewer of the splits", convert.Display(d.root))
	}
	taken := "the folder of " + name
	if rel := relativePrefix(folder, y.root); rel != "" {
		taken = "the folder " + convert.Display(rel)
	}
	y.Reporter.Report(convert.Finding{Kind: convert.KindRelocated, File: name, At: "path", Reason: reason, Action: taken + " was taken instead"})
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
