package source

import (
	"bytes"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
)

// Formats that are known by their look and not read are called by their names, so that
// nobody looks for a fault in their files.

func notRead(in Input, what string) *Error {
	e := &Error{Op: "read", Path: in.Path, Err: errors.New(what + ", which is not read"), Advice: "convert it to COCO or YOLO with the tool that wrote it; " + in.KnownSources()}
	if strings.Contains(what, "archive") {
		e.Advice = "unpack it and give the folder"
	}
	return e
}

// archiveName is what a file is by its name, "" if it is neither an archive nor of
// records.
func archiveName(name string) string {
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

// unreadName is what a file is by its name and how it begins, "" where it is nothing that
// is known and not read.
func unreadName(name string, head []byte) string {
	if what := archiveName(name); what != "" {
		return what
	}
	return formatName(name, head)
}

// unreadFile is the same for a file on disk.
func unreadFile(path string) string {
	if what := archiveName(path); what != "" {
		return what
	}
	head, err := readHead(path, 4096)
	if err != nil {
		return ""
	}
	return formatName(path, head)
}

// formatName is what a file is by how it begins, "" where that is not known.
func formatName(name string, head []byte) string {
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
	if strings.EqualFold(filepath.Ext(name), ".txt") {
		return textFormat(content)
	}
	return ""
}

// textFormat tells DOTA's and KITTI's lines from those of YOLO, by the first line
// that is no header.
func textFormat(content []byte) string {
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 0, len(fields) == 1 && (strings.HasPrefix(fields[0], "imagesource:") || strings.HasPrefix(fields[0], "gsd:")):
			continue
		case (len(fields) == 9 || len(fields) == 10) && areNumbers(fields[:8]) && !areNumbers(fields[8:9]):
			return "a DOTA label file"
		case (len(fields) == 15 || len(fields) == 16) && !areNumbers(fields[:1]) && areNumbers(fields[1:]):
			return "a KITTI label file"
		}
		return ""
	}
	return ""
}

func areNumbers(fields []string) bool {
	for _, field := range fields {
		if _, err := strconv.ParseFloat(field, 64); err != nil {
			return false
		}
	}
	return true
}
