package yolo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

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
