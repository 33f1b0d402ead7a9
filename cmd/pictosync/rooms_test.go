package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is what docs/architecture.md says of each room: the rooms below it that it may
// import, beside what is internal.
var mayImport = map[string][]string{
	"pictograph":        {},
	"store":             {},
	"quota":             {"store"},
	"convert":           {"convert/geometry", "pictograph"},
	"convert/geometry":  {"pictograph"},
	"source":            {"convert"},
	"convert/coco":      {"convert", "convert/geometry", "source", "pictograph"},
	"convert/yolo":      {"convert", "convert/geometry", "source", "pictograph"},
	"convert/canonical": {"convert", "convert/geometry", "source", "pictograph"},
	"convert/createml":  {"convert", "convert/geometry", "source", "pictograph"},
	"convert/manifest":  {"convert", "source"},
	"convert/snapshot":  {"convert", "convert/canonical", "source", "pictograph"},
	"convert/labeltest": {"convert", "pictograph"},
	"conversion":        {"convert", "convert/yolo", "pictograph"},
	"dataset":           {"convert", "quota", "store", "pictograph"},
	"upload":            {"convert", "dataset", "source", "store", "pictograph"},
	"remote":            {"source", "upload"},
	"worker":            {"conversion", "convert", "convert/canonical", "dataset", "quota", "source", "store", "upload", "pictograph"},
	"backup":            {"conversion", "convert", "convert/canonical", "convert/formats", "convert/snapshot", "dataset", "quota", "source", "store", "pictograph"},
	"doctor":            {"convert", "convert/snapshot", "dataset", "quota", "store", "pictograph"},
	"sandbox":           {"pictograph"},
	"compare":           {"pictograph"},
	"view":              {"compare", "convert", "pictograph"},
	"report":            {"compare", "convert", "convert/formats", "convert/snapshot", "pictograph", "store", "view"},
}

// TestRoomsImportOneWay holds the imports to docs/architecture.md. A room that is new has to
// say what it may import.
func TestRoomsImportOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "pictosync/...").Output()
	if err != nil {
		t.Skipf("the go command cannot list the packages: %v", err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, "pictosync/")
		if room == "cmd/pictosync" || room == "convert/formats" || strings.HasPrefix(room, "bench") || strings.HasPrefix(room, "conformance") || strings.HasSuffix(room, "test") && room != "convert/labeltest" {
			continue
		}
		allowed, known := mayImport[room]
		if !known && !strings.HasPrefix(room, "internal/") {
			t.Errorf("docs/architecture.md does not say what %s may import", room)
		}
		for _, path := range p.Imports {
			of, ours := strings.CutPrefix(path, "pictosync/")
			if ours && !strings.HasPrefix(of, "internal/") && !slices.Contains(allowed, of) {
				t.Errorf("%s imports %s; docs/architecture.md does not allow it", room, of)
			}
		}
	}
}
