package yolo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// classSet is a class set of YOLO labels.
type classSet struct {
	Names    map[int]string `json:"names"`
	Task     Task           `json:"task,omitempty"`
	Shape    []int          `json:"kpt_shape,omitempty"`
	Keypoint []string       `json:"kpt_names,omitempty"`
	Third    third          `json:"kpt_third,omitempty"` // of keypoints of three numbers
	// ClassKeypoint are the names of a class that has its own.
	ClassKeypoint map[int][]string `json:"class_kpt_names,omitempty"`
	Columns       []string         `json:"columns,omitempty"`
	Trailer       []string         `json:"trailer,omitempty"` // behind the task's shape
}

// rowLabels are label files without their data set.
type rowLabels struct {
	source.Files
	convert *Converter
}

func (s rowLabels) Load(item convert.Item, stated, listed convert.Size, label []byte) (convert.Result, error) {
	return loadYOLO(s.Files, s.convert, item, source.ImageSizes{Stated: stated, Listed: listed}, label, func() string { return adviceOnSizes })
}

// Examine holds the labels of all rows of a class set together, as those of a folder.
func (s rowLabels) Examine(ctx context.Context, all convert.SeveralLabels) error {
	return examination{Files: s.Files, convert: s.convert, SeveralLabels: all}.run(ctx)
}

func newRowLabels(classes []byte, in convert.Input) (convert.Labels, error) {
	if classes == nil {
		return nil, convert.ErrNoClasses
	}
	s, err := source.Prepare(in)
	if err != nil {
		return nil, err
	}
	y, err := parseClassSet(classes, in.OpenOptions)
	return rowLabels{s, y}, err
}

func parseClassSet(raw []byte, o convert.OpenOptions) (*Converter, error) {
	var c classSet
	if err := json.Unmarshal(raw, &c); err != nil || len(c.Names) == 0 {
		return nil, errors.New(`it is no {"names":{"0":"…"}}`)
	}
	y := &Converter{Classes: c.Names, Task: c.Task, KeypointNames: c.Keypoint, ClassKeypointNames: c.ClassKeypoint, Third: c.Third, Options: o.Convert}
	if len(c.Shape) > 0 {
		if len(c.Shape) != 2 || c.Shape[0] < 1 || c.Shape[0] > maxKeypoints || c.Shape[1] != 2 && c.Shape[1] != 3 {
			return nil, errors.New("kpt_shape is not [number of keypoints, 2 or 3]")
		}
		y.KeypointCount, y.KeypointDims = c.Shape[0], c.Shape[1]
	}
	if !slices.Contains([]third{thirdVisibility, thirdScore, thirdUnclear}, y.Third) {
		return nil, fmt.Errorf("kpt_third is %q and must be score, or left out for visibilities", y.Third)
	}
	y.Trailer = trailer{Confidence: slices.Contains(c.Trailer, columnConfidence), ID: slices.Contains(c.Trailer, columnID)}
	flags := flagsOf(o)
	if len(flags.Columns) == 0 {
		flags.Columns = c.Columns
	}
	if err := flags.state(y, o.Convert); err != nil {
		return nil, err
	}
	switch y.Task {
	case "":
		y.Task = Detect
		if y.KeypointCount > 0 {
			y.Task = Pose
		}
	case Detect, Segment, OBB:
	case Pose:
		if y.KeypointCount == 0 {
			return nil, errors.New("poses need kpt_shape")
		}
	default:
		return nil, fmt.Errorf("the task is %q and must be one of: detect, segment, pose, obb", y.Task)
	}
	return y, nil
}

// List has the classes, and what was found out about the lines.
func (y *dataset) List() (convert.Listing, error) {
	set := classSet{Names: y.convert.Classes, Task: y.convert.Task, Keypoint: y.convert.KeypointNames, ClassKeypoint: y.convert.ClassKeypointNames, Third: y.convert.Third}
	if y.convert.KeypointCount > 0 {
		set.Shape = []int{y.convert.KeypointCount, y.convert.KeypointDims}
	}
	if y.convert.Columns != nil {
		set.Columns = append([]string{"class"}, y.convert.Columns...)
	}
	if y.convert.Trailer.Confidence {
		set.Trailer = append(set.Trailer, columnConfidence)
	}
	if y.convert.Trailer.ID {
		set.Trailer = append(set.Trailer, columnID)
	}
	classes, err := json.Marshal(set)
	return convert.Listing{Root: y.root, Classes: classes}, err
}

// LabelFile is the label file.
func (y *dataset) LabelFile(item convert.Item) string {
	if place, ok := item.Place.(place); ok {
		return place.label
	}
	return item.File
}

// ImageFile is the image that the label was found for.
func (y *dataset) ImageFile(item convert.Item) string {
	if place, ok := item.Place.(place); ok {
		return place.image
	}
	return ""
}

// ImageFolders are those of the labels, and the images that lists name.
func (y *dataset) ImageFolders() (all []convert.ImageFolder) {
	seen := make(map[string]bool)
	for _, part := range y.parts {
		if part.list {
			all = append(all, convert.ImageFolder{Name: y.imageName, Splits: y.splitsAt(part.path), Files: func(ctx context.Context) iter.Seq2[string, error] {
				return y.listedUnlabelled(ctx, part)
			}})
			continue
		}
		f := y.newLabelFolder(part)
		f.enter("")
		for _, images := range f.pair.ImageFolders() {
			folder := images.Path
			if seen[folder] {
				continue
			}
			seen[folder] = true
			take := y.imagesIn
			if images.Shared { // below lie images of other labels
				take = y.imagesAtTop
			}
			all = append(all, convert.ImageFolder{Path: folder, Splits: y.splitsOfFolder(part), Name: func(rel string) string {
				return y.imageName(path.Join(filepath.ToSlash(folder), rel))
			}, Files: func(ctx context.Context) iter.Seq2[string, error] { return take(ctx, folder) }})
		}
	}
	return all
}

// imagesIn are the images below a folder, but for those whose labels were left out.
func (y *dataset) imagesIn(ctx context.Context, folder string) iter.Seq2[string, error] {
	w := source.Walker{Root: folder, Take: source.IsImageName, Reporter: convert.NewReporter(nil), Whatever: true}
	return func(yield func(string, error) bool) {
		for rel, err := range w.Files(ctx, "") {
			if err == nil && y.leftOut.hasImage(filepath.Join(folder, filepath.FromSlash(rel))) {
				continue
			}
			if !yield(rel, err) || err != nil {
				return
			}
		}
	}
}

// imagesAtTop are those of imagesIn that lie in the folder itself.
func (y *dataset) imagesAtTop(ctx context.Context, folder string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := y.listings.Read(folder)
		if err != nil {
			return // the labels beside it tell
		}
		for _, e := range entries.List {
			name := entries.Name(e)
			if e.Kind == source.FolderEntry || !source.IsImageName(name) || y.leftOut.hasImage(filepath.Join(folder, name)) {
				continue
			}
			if err := ctx.Err(); !yield(name, err) || err != nil {
				return
			}
		}
	}
}

// imageName is the path of an image that has no label, by its slash-separated file.
func (y *dataset) imageName(file string) string {
	file = filepath.FromSlash(file)
	if y.Images != "" && source.Within(y.Images, file) {
		return source.Relative(y.Images, file)
	}
	dir, name := path.Split(source.Relative(y.root, file))
	bare, _ := imageDirs(strings.TrimSuffix(dir, "/"))
	return source.Join(bare, name)
}

// SplitsOf are what the description calls the parts that an item is in.
func (y *dataset) SplitsOf(item convert.Item) []string {
	number, _, _ := strings.Cut(item.Cursor, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(y.parts) {
		return nil
	}
	p, ok := item.Place.(place)
	if !ok || !y.parts[n].list {
		return y.splitsAt(p.label)
	}
	lists := y.inSeveralLists()[keyOf(filepath.Clean(p.label))]
	if lists == nil {
		lists = []string{y.parts[n].path}
	}
	var splits []string
	for _, list := range lists {
		splits = append(splits, y.splitsAt(list)...)
	}
	return splits
}

// splitsOfFolder are the splits of all that a part of folders has; none where those below differ.
func (y *dataset) splitsOfFolder(part labelPart) []string {
	whole := y.splitsAt(part.path)
	for _, other := range y.named {
		if !other.list && source.Within(part.path, other.path) && !slices.Contains(whole, other.split) {
			return nil
		}
	}
	return whole
}

// splitsAt are the splits whose folders hold a file, or whose list it is.
func (y *dataset) splitsAt(file string) (splits []string) {
	for _, part := range y.named {
		here := filepath.Clean(part.path) == filepath.Clean(file) || !part.list && source.Within(part.path, file)
		if here && part.split != "" && !slices.Contains(splits, part.split) {
			splits = append(splits, part.split)
		}
	}
	return splits
}
