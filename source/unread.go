package source

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
)

// NotRead is the error for a source of a format that is known by its look and not read: it is
// called by its name, so that nobody looks for a fault in its files.
func NotRead(in convert.Input, what string) *convert.Error {
	e := &convert.Error{Op: "read", Path: in.Path, Err: errors.New(what + ", which is not read"), Advice: "convert it to COCO or YOLO with the tool that wrote it; " + in.KnownSources()}
	if strings.Contains(what, "archive") {
		e.Advice = "unpack it and give the folder"
	}
	return e
}

// ArchiveName is what a file is by its name, "" if it is neither an archive nor of
// records.
func ArchiveName(name string) string {
	name = strings.ToLower(filepath.Base(name))
	switch {
	case strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tar.bz2"), strings.HasSuffix(name, ".tar.xz"):
		return "a packed archive"
	case strings.Contains(name, ".tfrecord"), strings.HasSuffix(name, ".record"):
		return "TFRecord"
	}
	switch filepath.Ext(name) {
	case ".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".xz", ".bz2":
		return "a packed archive"
	}
	return ""
}

// UnreadName is what a file is by its name and how it begins, "" where it is nothing that
// is known and not read.
func UnreadName(name string, head []byte) string {
	if what := ArchiveName(name); what != "" {
		return what
	}
	return FormatName(name, head)
}

// UnreadFile is the same for a file on disk.
func UnreadFile(path string) string {
	if what := ArchiveName(path); what != "" {
		return what
	}
	head, err := ReadHead(path, 4096)
	if err != nil {
		return ""
	}
	return FormatName(path, head)
}

// FormatName is what a file is by how it begins, "" where that is not known.
func FormatName(name string, head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("\x1f\x8b")), bytes.HasPrefix(head, []byte("7z\xbc\xaf")), bytes.HasPrefix(head, []byte("Rar!")):
		return "a packed archive"
	}
	content := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	if bytes.HasPrefix(content, []byte("<")) {
		switch {
		case bytes.Contains(content, []byte("<annotations")):
			return "CVAT XML"
		case bytes.Contains(content, []byte("<annotation")):
			return "Pascal VOC XML"
		}
		return "XML"
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".txt":
		return textFormat(content)
	case ".csv":
		return csvFormat(content)
	}
	return ""
}

// csvFormat tells tables of labels by the names of their columns.
func csvFormat(content []byte) string {
	head, _, _ := bytes.Cut(content, []byte("\n"))
	columns := strings.FieldsFunc(strings.ToLower(string(head)), func(r rune) bool { return strings.ContainsRune(",;\"\r ", r) })
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(columns, n) })
	}
	switch {
	case has("imageid", "labelname"):
		return "a table (CSV) of Open Images"
	case has("filename", "region_shape_attributes"):
		return "a table (CSV) of VIA"
	case has("xmin", "ymin", "xmax", "ymax"), has("x_min", "y_min", "x_max", "y_max"), has("x1", "y1", "x2", "y2"):
		return "a table (CSV) of boxes, as of TensorFlow, RetinaNet or VoTT"
	case len(columns) >= 6 && IsImageName(columns[0]) && AreNumbers(columns[1:5]): // without such names
		return "a table (CSV) of boxes, as of RetinaNet or SKU-110K"
	}
	return ""
}

// textFormat tells the lines of others from those of YOLO, by the first that is no header.
func textFormat(content []byte) string {
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 0, len(fields) == 1 && (strings.HasPrefix(fields[0], "imagesource:") || strings.HasPrefix(fields[0], "gsd:")):
			continue
		case (len(fields) == 9 || len(fields) == 10) && AreNumbers(fields[:8]) && !AreNumbers(fields[8:9]):
			return "a DOTA label file"
		case (len(fields) == 15 || len(fields) == 16) && !AreNumbers(fields[:1]) && AreNumbers(fields[1:]):
			return "a KITTI label file"
		case len(fields) == 5 && !AreNumbers(fields[:1]) && arePixels(fields[1:]):
			return "a label file of class names and pixels, as of OIDv4"
		case len(fields) == 1:
			numbers := strings.Split(strings.TrimSuffix(fields[0], ","), ",")
			if (len(numbers) == 8 || len(numbers) == 9 || len(numbers) == 10) && arePixels(numbers) {
				return "a label file of numbers and commas, as of VisDrone or MOTChallenge"
			}
		}
		return ""
	}
	return ""
}

// arePixels reports whether all fields are numbers, some of them above 1.
func arePixels(fields []string) bool {
	return AreNumbers(fields) && slices.ContainsFunc(fields, func(field string) bool {
		n, _ := strconv.ParseFloat(field, 64)
		return n > 1
	})
}

// AreNumbers reports whether all fields are numbers.
func AreNumbers(fields []string) bool {
	for _, field := range fields {
		if _, err := strconv.ParseFloat(field, 64); err != nil {
			return false
		}
	}
	return true
}
