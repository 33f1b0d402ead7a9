package coco

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/internal/scan"
)

// foreignLabels says of JSON that it holds labels of another format: passed over, they
// would be missing without a word.
type foreignLabels struct{ format string }

func (e foreignLabels) Error() string { return "is not a COCO file but " + e.format }

// createML is for a list of another format that is read.
var createML = foreignLabels{"a list of Create ML"}

// foreignHead is how much of a file is looked at to tell its format, in bytes.
const foreignHead = 1 << 20

// headKeys are the members of the object that a file begins with, or of the first in its
// list, and those of the first object within it. What is cut off is as good as whole.
func headKeys(content io.ReaderAt) (outer, inner []string, list bool) {
	head := make([]byte, foreignHead)
	n, _ := content.ReadAt(head, 0)
	collect := func(s *scan.Scanner, keys *[]string, within func()) {
		for key := range s.Members() {
			if *keys = append(*keys, string(key)); within != nil && s.Peek() == '{' {
				within()
				within = nil
				continue
			}
			s.Skip()
		}
	}
	scan.Bytes(head[:n], func(s *scan.Scanner) {
		if s.Token() == '[' {
			list = true
			s.EnterList()
		}
		if s.Token() == '{' {
			collect(s, &outer, func() { collect(s, &inner, nil) })
		}
	})
	return outer, inner, list
}

func hasAll(keys []string, names ...string) bool {
	for _, name := range names {
		if !slices.Contains(keys, name) {
			return false
		}
	}
	return true
}

// foreignList is the error for a list that is no list of prediction results; nil for what
// may be one.
func foreignList(content io.ReaderAt) error {
	keys, _, _ := headKeys(content)
	if of := listsOf(content); of != "" {
		return errNotCOCO{"is a list of " + of}
	}
	switch {
	case hasAll(keys, "file_name", "annotations"):
		return foreignLabels{"a list of Detectron2's dataset records"}
	case len(keys) == 0 || slices.Contains(keys, "image_id"):
		return nil
	case hasAll(keys, "data") && (hasAll(keys, "annotations") || hasAll(keys, "completions") || hasAll(keys, "predictions")):
		return foreignLabels{"a list of Label Studio's tasks"}
	case (hasAll(keys, "image") || hasAll(keys, "imagefilename")) && (hasAll(keys, "annotations") || hasAll(keys, "annotation")):
		return createML
	case hasAll(keys, "image") && slices.ContainsFunc(keys, func(k string) bool { return k == "label" || k == "annotation_id" }):
		return foreignLabels{"a short export (JSON-MIN) of Label Studio"}
	case hasAll(keys, "shapes", "imagePath"):
		return foreignLabels{"a list of LabelMe's files"}
	case hasAll(keys, "regions") && (hasAll(keys, "filename") || hasAll(keys, "file_attributes")):
		return foreignLabels{"a list of VIA's images"}
	case hasAll(keys, "data_row") || hasAll(keys, "Labeled Data") || hasAll(keys, "DataRow ID"):
		return foreignLabels{"an export of Labelbox"}
	case hasAll(keys, "name", "labels"):
		return foreignLabels{"a list of images with labels, as of Scalabel or BDD100K"}
	case hasAll(keys, "filename", "ann"):
		return foreignLabels{"a list of MMDetection's images"}
	case hasAll(keys, "annotations") || hasAll(keys, "labels") || hasAll(keys, "objects") || hasAll(keys, "shapes") || hasAll(keys, "instances"):
		return foreignLabels{"a list of objects with the members " + someOf(keys) + ", which is no format that is read"}
	}
	if hasAll(keys, "category_id") || hasAll(keys, "bbox") || hasAll(keys, "segmentation") || hasAll(keys, "keypoints") {
		return foreignLabels{"a list of annotations that name no image: their members are " + someOf(keys) + ", and prediction results have image_id"}
	}
	return errNotCOCO{"is a list of objects with the members " + someOf(keys) + "; prediction results have image_id"}
}

// listsOf is what a list begins with that no annotation is, "" where it may be of these.
func listsOf(content io.ReaderAt) string {
	head := make([]byte, 64)
	n, _ := content.ReadAt(head, 0)
	_, inner, _ := bytes.Cut(head[:n], []byte("["))
	switch inner = bytes.TrimSpace(inner); {
	case scan.IsString(inner):
		return "texts, as of names"
	case scan.IsNumber(inner):
		return "numbers, as of ids"
	case scan.IsArray(inner):
		return "lists, as of points"
	}
	return ""
}

func someOf(keys []string) string {
	const most = 6
	names := slices.Clone(keys[:min(len(keys), most)])
	for i, name := range names {
		names[i] = convert.Display(name)
	}
	return strings.Join(names, ", ")
}

// foreignObject is what labels an object holds that is no COCO file, "" where it looks
// like no labels.
func foreignObject(content io.ReaderAt) string {
	keys, inner, list := headKeys(content)
	switch {
	case list:
	case hasAll(keys, "shapes", "imagePath"):
		return "a file of LabelMe"
	case hasAll(keys, "_via_img_metadata") || hasAll(inner, "filename", "regions"):
		return "a project of VIA"
	case hasAll(keys, "metainfo", "data_list"):
		return "a file of MMDetection"
	case hasAll(keys, "type", "features"):
		return "GeoJSON, as of xView"
	case hasAll(keys, "classes", "labels"):
		return "a data set of FiftyOne"
	case hasAll(keys, "metadata", "instances"):
		return "a file of SuperAnnotate"
	case hasAll(keys, "item", "annotations"):
		return "a file of Darwin (V7)"
	case hasAll(keys, "data") && (hasAll(keys, "annotations") || hasAll(keys, "completions")):
		return "a task of Label Studio"
	case hasAll(keys, "categories", "items"):
		return "a file of Datumaro"
	case hasAll(keys, "size", "objects"):
		return "a file of Supervisely"
	case hasAll(keys, "samples"):
		return "a data set of FiftyOne"
	}
	return ""
}

// captions reports whether the annotations are captions: the first of them says so.
func (x *indexer) captions() bool {
	if x.refs.count == 0 || x.content == nil {
		return false
	}
	first := x.refs.at(0)
	raw := make([]byte, min(first.length, 1<<16))
	if _, err := x.content.ReadAt(raw, first.start); err != nil {
		return false
	}
	return bytes.Contains(raw, []byte(`"caption"`)) && !bytes.Contains(raw, []byte(`"bbox"`)) && !bytes.Contains(raw, []byte(`"segmentation"`)) &&
		!bytes.Contains(raw, []byte(`"keypoints"`)) && !bytes.Contains(raw, []byte(`"category_id"`))
}
