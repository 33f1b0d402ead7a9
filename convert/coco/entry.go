package coco

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// imageEntry is an entry of a COCO file's images, as it stands there: each member is JSON,
// nil where it is missing.
type imageEntry struct {
	id, imageID       []byte // image_id is SA-1B's id
	fileName, cocoURL []byte
	path, folder      []byte // where exporters say that the file lies
	width, height     []byte
	notation          []byte // of the boxes, where it is none of COCO's
	notationOf        string // the member that says so
	otherName         string // a member that may be meant for file_name, with its text
	repeated          string // a key that stands twice, with one value
	wrong             error  // with what it says
}

// member is where a member of that name belongs, nil for those that say nothing of the
// image. As for encoding/json the case of letters does not matter.
func (e *imageEntry) member(name []byte) *[]byte {
	switch string(name) {
	case "id":
		return &e.id
	case "image_id":
		return &e.imageID
	case "file_name":
		return &e.fileName
	case "coco_url":
		return &e.cocoURL
	case "path":
		return &e.path
	case "folder":
		return &e.folder
	case "width":
		return &e.width
	case "height":
		return &e.height
	}
	return nil
}

// stated is the path that an entry gives its image beside its name, as exporters write it, with
// folders that the name lacks; "" where there is none.
func (e *imageEntry) stated(name string) string {
	place, _ := textOf(e.path)
	if folder, _ := textOf(e.folder); place == "" && folder != "" {
		place = folder + "/" + name
	}
	if place == "" {
		return ""
	}
	place = strings.ReplaceAll(place, `\`, "/")
	if source.HasDrive(place) {
		place = place[2:]
	}
	place, err := source.CleanImagePath(path.Clean("/" + place)[1:])
	if err != nil || path.Base(place) != path.Base(name) || len(place) <= len(name) {
		return ""
	}
	return place
}

// textOf is what a member says, "" where it is no text. There says that it is neither
// missing nor null.
func textOf(raw []byte) (text string, there bool) {
	if scan.Absent(raw) {
		return "", false
	}
	if raw[0] == '"' {
		text = string(scan.Unquote(raw))
	}
	return text, true
}

// sideOf is a member that is a side of an image, in pixels, as text too. Ok is false where it
// is something else, and there says that it is neither missing nor null.
func sideOf(raw []byte) (side float64, ok, there bool) {
	if scan.IsString(raw) {
		raw = bytes.TrimSpace(scan.TextOf(raw))
		if !scan.IsNumber(raw) || !jsontext.Value(raw).IsValid() {
			return 0, false, true
		}
	}
	side, end := scan.Number(raw, 0)
	if end > 0 && math.IsInf(side, 0) {
		return 0, false, false
	}
	return side, end > 0, !scan.Absent(raw)
}

// readImageEntry takes an entry of images apart. What harms one member harms no other: the
// words that Python writes for what is no number are null. What encoding/json takes without
// a word is found: names that stand twice, names that are no text, and annotations within
// the entry. Repeated is a key that stands twice, with one value.
func readImageEntry(decoder *jsontext.Decoder, raw []byte) (e imageEntry, repeated string, err error) {
	switch {
	case scan.Absent(raw):
		return e, "", errors.New("it is null")
	case raw[0] != '{':
		return e, "", fmt.Errorf("it is no JSON object but %s", convert.Display(string(raw[:min(len(raw), 40)])))
	}
	e, err = splitImageEntry(decoder, raw)
	if err != nil {
		repaired, found := nullNonFinite(raw)
		if !found {
			return e, "", err
		}
		if e, err = splitImageEntry(decoder, repaired); err != nil {
			return e, "", err
		}
	}
	return e, e.repeated, e.wrong
}

// splitImageEntry takes one JSON object apart.
func splitImageEntry(decoder *jsontext.Decoder, raw []byte) (e imageEntry, err error) {
	decoder.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err = scan.ReadMembers(decoder, raw, func(name, value []byte) error {
		if bytes.ContainsFunc(name, notLowerCase) {
			name = bytes.ToLower(name)
		}
		switch string(name) {
		case "annotations", "annotation", "objects", "instances", "bboxes", "boxes", "regions", "shapes",
			"labels", "detections", "predictions", "ann", "anns", "gt", "segments", "polygons", "segmentation", "keypoints":
			if holdsShapes(value) {
				e.wrong = fmt.Errorf("it has %s of its own, which belong into the list of annotations", convert.Display(string(name)))
			}
			return nil
		case "file_name", "coco_url":
			if value[0] == '"' && !jsontext.Value(value).IsValid() {
				e.wrong = fmt.Errorf("its %s is no valid UTF-8", name)
			}
		}
		if otherNotation(string(name), value) {
			e.notationOf, e.notation = string(name), value
		}
		switch member := e.member(name); {
		case member == nil && e.otherName == "" && mayBeName(string(name)) && value[0] == '"':
			e.otherName = fmt.Sprintf("%s %s", name, scan.Shorten(string(value)))
		case member == nil:
		case *member == nil:
			*member = value
		case bytes.Equal(*member, value):
			e.repeated = string(name)
		default:
			e.wrong = fmt.Errorf("it has the key %q twice, with %s and %s", name, convert.Display(string(*member)), convert.Display(string(value)))
		}
		return nil
	})
	return e, err
}

// mayBeName reports whether a member of an image may be its file's name.
func mayBeName(member string) bool {
	return namesImage(member) || member == "name" || member == "file" || member == "imagename"
}

// holdsShapes reports whether a value may be annotations: an object, or a list of objects or
// lists. Words in a list are tags of the image.
func holdsShapes(value []byte) bool {
	if value[0] == '{' {
		return !saysNothing(value)
	}
	if value[0] != '[' || saysNothing(value) {
		return false
	}
	i := scan.Space(value, 1)
	return value[i] == '{' || value[i] == '['
}

func notLowerCase(r rune) bool { return 'A' <= r && r <= 'Z' || r > '~' }

// nullNonFinite replaces NaN, Infinity and -Infinity outside of strings by null.
func nullNonFinite(raw []byte) (repaired []byte, found bool) {
	return scan.ReplaceWords(raw, "null", "NaN", "-Infinity", "Infinity", "nan", "-inf", "inf")
}
