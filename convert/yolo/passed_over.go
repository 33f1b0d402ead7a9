package yolo

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// mostPassedOver is how many files that are passed over are named.
const mostPassedOver = 20

// tellPassedOver tells of the files at the top of a YOLO folder that look like labels of
// another format, or describe a data set too, and are not read.
func tellPassedOver(s source.Files, entries []fs.DirEntry, taken string) {
	count := 0
	for _, e := range entries {
		name := e.Name()
		file := filepath.Join(s.Path, name)
		what := labelsBeside(file)
		if what == "" || source.IsClutter(name) || s.Filter.Excludes(name) {
			continue
		}
		used := func(other string) bool { return sameFile(file, other) }
		if slices.ContainsFunc([]string{taken, s.Options.Sizes, flagsOf(s.Options).ClassList}, used) {
			continue
		}
		if count++; count <= mostPassedOver {
			s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: name, Reason: "it looks like " + what + ", and the folder is read as YOLO", Action: "it was passed over; give the file itself to read it"})
		}
	}
	if more := count - mostPassedOver; more > 0 {
		s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, Count: more, Reason: fmt.Sprintf("%d more files at the top look like labels of another format", more), Action: "they were passed over"})
	}
}

// labelsBeside says what labels a file seems to hold, "" where it does not look like any.
func labelsBeside(file string) string {
	const head = 4096
	name := strings.ToLower(filepath.Base(file))
	plain, packed := strings.CutSuffix(name, ".gz")
	ext := filepath.Ext(plain)
	switch ext {
	case ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".tfrecord":
	default:
		return ""
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	switch {
	case packed:
		return "packed labels"
	case ext == ".jsonl", ext == ".ndjson":
		return "canonical JSON Lines"
	case ext == ".tfrecord":
		return source.ArchiveName(name)
	case isYAML(name):
		if data, err := source.ReadAtMost(file, source.MaxDescription); err == nil && yamlWithNames.Match(data) {
			return "another description of a data set"
		}
		return ""
	}
	data, err := source.ReadHead(file, head)
	if err != nil {
		return ""
	}
	if ext == ".xml" {
		if what := source.FormatName(name, data); what != "XML" {
			return what
		}
		return ""
	}
	has := func(key string) bool { return bytes.Contains(data, []byte(key)) }
	switch {
	case has(`"shapes"`):
		return "LabelMe JSON"
	case has(`"images"`), has(`"annotations"`), has(`"image_id"`):
		return "labels in JSON"
	case name != notes && (has(`"categories"`) || has(`"licenses"`)):
		return "a part of labels in JSON"
	}
	return ""
}
