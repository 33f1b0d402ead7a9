package worker

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"pictosync/source"
)

// composed is a name in Unicode's composed form, in which names are compared: some
// systems decompose those of files.
func composed(name string) string { return norm.NFC.String(name) }

// forms are the ways a name may be written in the service's listing.
func forms(name string) []string {
	c, d := composed(name), norm.NFD.String(name)
	if c == d {
		return []string{c}
	}
	if name != c && name != d {
		return []string{c, d, name}
	}
	return []string{c, d}
}

// bare is a path without the folders of its layout, and the split that they name.
func bare(components []string) (rest []string, of source.Split) {
	last := len(components) - 1
	for i, c := range components {
		s := source.SplitOf(c)
		if i == last || s.Name == "" && !source.IsImageFolder(c) && !source.IsLabelFolder(c) {
			rest = append(rest, c)
		} else if s.Name != "" {
			of = s
		}
	}
	return rest, of
}

// agreement is how many components two paths share where one is the ending of the other,
// as they stand or without the folders of the layout; 0 where neither is. Folders that
// both name and that differ, splits among them, are a contradiction.
func agreement(a, b string) int {
	one, other := strings.Split(a, "/"), strings.Split(b, "/")
	if shared := ending(one, other); shared > 0 {
		return shared
	}
	bareOne, split := bare(one)
	bareOther, otherSplit := bare(other)
	if split.Contradicts(otherSplit) {
		return 0
	}
	return ending(bareOne, bareOther)
}

// ending is the length of the shorter list where it is the ending of the longer.
func ending(a, b []string) int {
	n := min(len(a), len(b))
	for i := 1; i <= n; i++ {
		if a[len(a)-i] != b[len(b)-i] {
			return 0
		}
	}
	return n
}

// What exporters put around names: Roboflow's a_jpg.rf.HASH.jpg, Label Studio's
// 0a1b2c3d-a.jpg.
var (
	roboflowHash    = regexp.MustCompile(`(?i)(?:_(?:jpe?g|png|bmp|webp|tiff?))?\.rf\.[0-9a-z]{6,}$`)
	labelStudioHash = regexp.MustCompile(`(?i)^[0-9a-f]{8}-`)
)

func unescaped(name string) string {
	if !strings.Contains(name, "%") {
		return name
	}
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}

func withoutExtension(name string) string {
	if stem := strings.TrimSuffix(name, path.Ext(name)); stem != "" {
		return stem
	}
	return name
}

func withoutHash(stem string) string {
	return labelStudioHash.ReplaceAllString(roboflowHash.ReplaceAllString(stem, ""), "")
}

// loose is what two file names have in common that may well mean one image and are
// never taken to.
func loose(name string) string {
	return strings.ToLower(withoutHash(withoutExtension(withoutBlanks(composed(unescaped(name))))))
}

func withoutBlanks(name string) string { return strings.Join(strings.Fields(name), "") }

// nameOf is the file name of a path; a stem gets an extension, to be without it later.
func nameOf(p string, stem bool) string {
	if name := path.Base(p); !stem {
		return name
	}
	return path.Base(p) + ".x"
}

// nearness tells in what a source's path differs from a near miss in the dataset, and in
// how many ways; stem says that the source's has no extension.
func nearness(source, dataset string, stem bool) (differs string, ways int) {
	dirA, a := path.Split(composed(source))
	dirB, b := path.Split(composed(dataset))
	var what []string
	note := func(differ bool, name string) {
		if differ && !slices.Contains(what, name) {
			what = append(what, name)
		}
	}
	note(unescaped(a) != a || unescaped(b) != b, "the percent-encoding")
	a, b = unescaped(a), unescaped(b)
	bareA, bareB := withoutBlanks(a), withoutBlanks(b)
	note(len(a)-len(bareA) != len(b)-len(bareB), "a blank")
	a, b = bareA, bareB
	if !stem {
		note(!strings.EqualFold(path.Ext(a), path.Ext(b)), "the extension")
		note(strings.EqualFold(path.Ext(a), path.Ext(b)) && path.Ext(a) != path.Ext(b), "the case")
		a = withoutExtension(a)
	}
	b = withoutExtension(b)
	note(a != b && !strings.EqualFold(a, b), "a hash as exporters add")
	a, b = withoutHash(a), withoutHash(b)
	note(a != b, "the case")
	folders := agreement(dirA+"x", dirB+"x") > 0
	note(!folders && agreement(strings.ToLower(dirA)+"x", strings.ToLower(dirB)+"x") > 0, "the case")
	note(!folders && agreement(strings.ToLower(dirA)+"x", strings.ToLower(dirB)+"x") == 0, "the folder")
	switch len(what) {
	case 0:
		return "", 0
	case 1:
		return "only " + what[0] + " differs", 1
	}
	return strings.Join(what[:len(what)-1], ", ") + " and " + what[len(what)-1] + " differ", len(what)
}
