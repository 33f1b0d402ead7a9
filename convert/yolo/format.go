// Package yolo reads and writes data sets with a label file an image and a line an object:
// those of Ultralytics and Roboflow (data.yaml), of Darknet (obj.data), and folders with a list
// of class names. Labels do not say what their numbers are: a sample of them is examined first,
// and what may be two things is refused.
package yolo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/source"
)

// Name is the format's.
const Name = "yolo"

// Format is YOLO: the data sets of Ultralytics and Darknet, and folders with a list of class names.
func Format() convert.Format {
	return convert.Format{
		Name:   Name,
		About:  "a YOLO folder",
		Detect: detect,
		Open:   open,
		Write: &convert.Writing{About: "a folder with data.yaml, labels and sizes.csv; --yolo-task says for which task (default: the one that most objects fit)",
			Folder: true, Variants: variants, Catalog: true, Flags: func() convert.Flags { return new(WriteFlags) }, Create: create},
		Flags:    func() convert.Flags { return new(Flags) },
		OneImage: true,
		Labels:   newRowLabels,
	}
}

// Flags say how lines are read where the data set does not say it.
type Flags struct {
	// Task says what the lines are; "" finds it from the data set. Shape is the number
	// of keypoints and of numbers a keypoint, Columns what the numbers of a line are, as
	// class, box, confidence, id.
	Task    Task
	Shape   [2]int
	Columns []string
	// ClassList is the list of class names, where a data set has several; "" is none.
	ClassList string

	task, shape, columns string // as they were given
}

// Add adds them to the flags of a command.
func (o *Flags) Add(f *pflag.FlagSet) {
	f.StringVar(&o.task, "task", "", "what YOLO lines are: detect, segment, pose or obb (default: found from the data)")
	f.StringVar(&o.shape, "kpt-shape", "", "keypoints and numbers a keypoint of YOLO poses, as `17,3`, where data.yaml does not say")
	f.StringVar(&o.columns, "columns", "", "what the numbers of YOLO lines are, where nothing tells: `class,box,confidence,id`, or polygon or points in place of box")
	f.StringVar(&o.ClassList, "class-list", "", "`FILE` of class names, one a line, or a data.yaml, where a YOLO folder has several lists")
}

// Check reads the task, the shape and the columns.
func (o *Flags) Check() (err error) {
	if o.Task, err = parseTask(o.task); err != nil {
		return fmt.Errorf("read --task: %w", err)
	}
	if o.columns != "" {
		o.Columns = strings.Split(o.columns, ",")
	}
	if o.shape == "" {
		return nil
	}
	keypoints, numbers, _ := strings.Cut(o.shape, ",")
	for i, part := range []string{keypoints, numbers} {
		if o.Shape[i], err = strconv.Atoi(strings.TrimSpace(part)); err != nil {
			break
		}
	}
	if err != nil || o.Shape[0] < 1 || o.Shape[0] > 1024 || o.Shape[1] != 2 && o.Shape[1] != 3 {
		return fmt.Errorf("read --kpt-shape: %q must be the number of keypoints and 2 or 3 numbers a keypoint, such as 17,3", o.shape)
	}
	return nil
}

func flagsOf(o convert.OpenOptions) Flags {
	if own, ok := o.Own[Name].(*Flags); ok {
		return *own
	}
	return Flags{}
}

func detect(_ context.Context, c *convert.Candidate) (convert.Match, error) {
	if !c.Dir {
		return detectFile(c)
	}
	description, err := findDescription(c.Path, c.Entries)
	if err != nil {
		return convert.Match{}, err
	}
	if description != "" {
		return convert.Match{Score: convert.Likely, Reason: filepath.Base(description) + " describes it"}, nil
	}
	names, err := classListOf(c.Input, c.Entries, &source.Listings{})
	if err != nil {
		return convert.Match{}, err
	}
	if names != "" {
		return convert.Match{Score: convert.Likely, Reason: filepath.Base(names) + " names the classes"}, nil
	}
	found, err := c.Survey()
	switch {
	case err != nil:
		return convert.Match{}, err
	case len(found.JSON) == 0 && found.Label != "":
		return convert.Match{}, unnamedLabels(c.Input, found.Label)
	case len(found.JSON) == 0 && found.Lines == "" && found.Other == "":
		if nested := beside(c.Path, isDescription); nested != "" {
			return convert.Match{}, &convert.Error{Op: "read", Path: c.Path, Err: errors.New("the folder holds no labels"), Advice: "give the folder that is described" + nested}
		}
	}
	return convert.Match{}, nil
}

func detectFile(c *convert.Candidate) (convert.Match, error) {
	switch c.Ext {
	case ".yaml", ".yml", ".data":
		return convert.Match{Score: convert.Likely, Reason: filepath.Base(c.Path) + " describes it"}, nil
	case ".txt", ".names":
		if c.JSON() || source.UnreadName(c.Path, c.Head) != "" {
			return convert.Match{}, nil
		}
		return convert.Match{}, &convert.Error{Op: "read", Path: c.Path, Err: errors.New("is one file of a YOLO folder"), Advice: "give the folder that holds labels and class names"}
	}
	return convert.Match{}, nil
}

// classListOf is the list of class names of a folder without another description, "" if
// there is none.
func classListOf(in convert.Input, entries []fs.DirEntry, l *source.Listings) (string, error) {
	if list := flagsOf(in.OpenOptions).ClassList; list != "" {
		return list, nil
	}
	return findClassList(in.Path, entries, l)
}

func open(ctx context.Context, in convert.Input) (convert.Source, error) {
	s, err := source.Prepare(in)
	if err != nil {
		return nil, err
	}
	if !source.IsFolder(in.Path) {
		return openDescribed(ctx, s, filepath.Dir(in.Path), in.Path)
	}
	entries, err := os.ReadDir(in.Path)
	if err != nil {
		return nil, source.OpenError(in.Path, err)
	}
	description, err := findDescription(in.Path, entries)
	if err != nil {
		return nil, err
	}
	if description != "" {
		if flagsOf(in.OpenOptions).ClassList == "" {
			if err := checkDescriptions(in.Path, description, entries); err != nil {
				return nil, err
			}
		}
		tellPassedOver(s, entries, description)
		return openDescribed(ctx, s, in.Path, description)
	}
	l := &source.Listings{}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return source.IsClutter(e.Name()) })
	names, err := classListOf(in, entries, l)
	if err != nil {
		return nil, err
	}
	if names == "" {
		found, err := s.Survey(ctx)
		if err != nil {
			return nil, err
		}
		return nil, unnamedLabels(in, cmp.Or(found.Label, "none that were found"))
	}
	if flagsOf(in.OpenOptions).ClassList == "" {
		if err := checkBeside(in.Path, names, entries); err != nil {
			return nil, err
		}
	}
	tellPassedOver(s, entries, names)
	return openPlain(ctx, s, names, l)
}

// openDescribed opens what a data.yaml or an obj.data describes.
func openDescribed(ctx context.Context, s source.Files, folder, description string) (convert.Source, error) {
	if strings.EqualFold(filepath.Ext(description), ".data") {
		return openDarknet(ctx, s, folder, description)
	}
	return openUltralytics(ctx, s, folder, description)
}

// unnamedLabels is the error for a folder of labels whose classes have no names.
func unnamedLabels(in convert.Input, label string) error {
	if what := source.UnreadFile(filepath.Join(in.Path, filepath.FromSlash(label))); what != "" {
		return source.NotRead(in, fmt.Sprintf("holds %s (%s)", what, convert.Display(label)))
	}
	advice := "put data.yaml, or classes.txt with one name a line, into the folder, or give --class-list FILE"
	if nested := beside(in.Path, func(file string) bool {
		return isListOfClasses(file) || filepath.Ext(file) == ".names" || isDescription(file)
	}); nested != "" {
		advice = "give the folder that is described, or --class-list FILE" + nested
	}
	return &convert.Error{Op: "read", Path: in.Path, Err: fmt.Errorf("there are labels (%s) but no class names at the top", convert.Display(label)), Advice: advice}
}

// isDescription reports whether a file on disk most likely describes a data set: by its name, or
// by the names in it.
func isDescription(file string) bool {
	if slices.Contains([]string{"data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "obj.data"}, filepath.Base(file)) {
		return true
	}
	return isYAML(file) && len(describedNames(file)) > 0
}
