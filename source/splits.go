package source

import (
	"cmp"
	"slices"
	"strings"
)

// SplitNames are folders that tell the parts of a data set apart, lower case.
var SplitNames = map[string]bool{"train": true, "training": true, "val": true, "valid": true, "validation": true, "test": true, "testing": true, "minival": true, "dev": true}

// Split is which part of a data set a folder or file is for, by its name: train2017 is train, of
// 2017. The zero value is none.
type Split struct{ Name, Number string }

// Common is the split's name where it is one that services and trainers know: train, val or test;
// else "".
func (s Split) Common() string {
	if s.Name == "train" || s.Name == "val" || s.Name == "test" {
		return s.Name
	}
	return ""
}

// SplitOf is the split that a name is for.
func SplitOf(name string) Split {
	name, number := numbered(strings.ToLower(name))
	switch name {
	case "training", "obj_train_data":
		name = "train"
	case "valid", "validation", "obj_valid_data", "obj_validation_data":
		name = "val"
	case "testing", "obj_test_data":
		name = "test"
	case "trainval", "test-dev", "test_dev", "testdev", "test-challenge", "test_challenge": // each its own
	default:
		if !SplitNames[name] {
			return Split{}
		}
	}
	return Split{name, number}
}

// numbered takes the number off the end of a name, and what stands between them.
func numbered(name string) (rest, number string) {
	rest = strings.TrimRight(name, "0123456789")
	if number = name[len(rest):]; number != "" {
		rest = strings.TrimRight(rest, "-_ ")
	}
	return rest, number
}

// Contradicts reports whether two names are for different splits: a number tells them apart, and
// none stands for any year.
func (s Split) Contradicts(other Split) bool {
	if s.Name == "" || other.Name == "" {
		return false
	}
	const yearDigits = 4
	year := cmp.Or(s.Number, other.Number)
	return s.Name != other.Name || s.Number != other.Number && (s.Number != "" && other.Number != "" || len(year) != yearDigits)
}

// OtherSplits are the ways to write a path whose split is named otherwise.
func OtherSplits(p string) (all []string) {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		for _, names := range [][]string{{"val", "valid", "validation"}, {"train", "training"}, {"test", "testing"}} {
			if !slices.Contains(names, part) {
				continue
			}
			for _, other := range names {
				if other != part {
					all = append(all, strings.Join(slices.Concat(parts[:i], []string{other}, parts[i+1:]), "/"))
				}
			}
		}
	}
	return all
}
