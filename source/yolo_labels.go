package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pictosync/convert"
)

// yoloClasses is a class set of YOLO labels.
type yoloClasses struct {
	Names    map[int]string   `json:"names"`
	Task     convert.YOLOTask `json:"task,omitempty"`
	Shape    []int            `json:"kpt_shape,omitempty"`
	Keypoint []string         `json:"kpt_names,omitempty"`
	Columns  []string         `json:"columns,omitempty"`
	Trailer  []string         `json:"trailer,omitempty"` // behind the task's shape
}

// yoloLabels are label files without their data set.
type yoloLabels struct {
	setting
	convert *convert.YOLO
}

func (s yoloLabels) Load(item Item, stated, listed convert.Size, label []byte) (convert.Result, error) {
	return loadYOLO(s.setting, s.convert, item, imageSizes{stated: stated, listed: listed}, label)
}

func yoloLabelsOf(classes []byte, in Input) (Labels, error) {
	if classes == nil {
		return nil, ErrNoClasses
	}
	s, err := prepare(in)
	if err != nil {
		return nil, err
	}
	y, err := yoloSet(classes, in.Options)
	return yoloLabels{s, y}, err
}

func yoloSet(raw []byte, o Options) (*convert.YOLO, error) {
	var c yoloClasses
	if err := json.Unmarshal(raw, &c); err != nil || len(c.Names) == 0 {
		return nil, errors.New(`it is no {"names":{"0":"…"}}`)
	}
	y := &convert.YOLO{Classes: c.Names, Task: c.Task, KeypointNames: c.Keypoint, Options: o.Convert}
	if len(c.Shape) > 0 {
		if len(c.Shape) != 2 || c.Shape[0] < 1 || c.Shape[0] > maxJoints || c.Shape[1] != 2 && c.Shape[1] != 3 {
			return nil, errors.New("kpt_shape is not [number of joints, 2 or 3]")
		}
		y.KeypointCount, y.KeypointDims = c.Shape[0], c.Shape[1]
	}
	y.Trailer = convert.YOLOTrailer{Confidence: slices.Contains(c.Trailer, convert.ColumnConfidence), ID: slices.Contains(c.Trailer, convert.ColumnID)}
	flags := yoloFlags(o)
	if len(flags.Columns) == 0 {
		flags.Columns = c.Columns
	}
	if err := flags.state(y, o.Convert); err != nil {
		return nil, err
	}
	switch y.Task {
	case "":
		y.Task = convert.YOLODetect
		if y.KeypointCount > 0 {
			y.Task = convert.YOLOPose
		}
	case convert.YOLODetect, convert.YOLOSegment, convert.YOLOOBB:
	case convert.YOLOPose:
		if y.KeypointCount == 0 {
			return nil, errors.New("poses need kpt_shape")
		}
	default:
		return nil, fmt.Errorf("the task is %q and must be one of: detect, segment, pose, obb", y.Task)
	}
	return y, nil
}

// List has the classes, and what was found out about the lines.
func (y *yolo) List() (Listing, error) {
	set := yoloClasses{Names: y.convert.Classes, Task: y.convert.Task, Keypoint: y.convert.KeypointNames}
	if y.convert.KeypointCount > 0 {
		set.Shape = []int{y.convert.KeypointCount, y.convert.KeypointDims}
	}
	if y.convert.Columns != nil {
		set.Columns = append([]string{"class"}, y.convert.Columns...)
	}
	if y.convert.Trailer.Confidence {
		set.Trailer = append(set.Trailer, convert.ColumnConfidence)
	}
	if y.convert.Trailer.ID {
		set.Trailer = append(set.Trailer, convert.ColumnID)
	}
	classes, err := json.Marshal(set)
	return Listing{Root: y.root, Classes: classes}, err
}

// LabelFile is the label file.
func (y *yolo) LabelFile(item Item) string {
	if place, ok := item.place.(yoloPlace); ok {
		return place.label
	}
	return item.File
}

// ImageFile is the image that the label was found for.
func (y *yolo) ImageFile(item Item) string {
	if place, ok := item.place.(yoloPlace); ok {
		return place.image
	}
	return ""
}
