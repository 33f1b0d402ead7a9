package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rooms are the rows of the table in docs/architecture.md: what each room may import, beside what
// is internal.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([^`]+)`")
	rows := make(map[string][]string)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		room := named.FindStringSubmatch(cells[1])[1]
		rows[room] = []string{}
		for _, name := range named.FindAllStringSubmatch(cells[3], -1) {
			rows[room] = append(rows[room], name[1])
		}
	}
	return rows
}

// mayImport reports whether the table lets a room import another. A format is convert/NAME, and
// convert/… is any room there.
func mayImport(rows map[string][]string, room, other string) bool {
	return slices.ContainsFunc(rows[roomOf(rows, room)], func(allowed string) bool {
		return allowed == other || allowed == "convert/…" && strings.HasPrefix(other, "convert/") || mayImport(rows, allowed, other)
	})
}

// roomOf is the row that a package is in, "" where there is none.
func roomOf(rows map[string][]string, path string) string {
	if _, ok := rows[path]; ok {
		return path
	}
	if strings.HasPrefix(path, "convert/") {
		return "convert/NAME"
	}
	return ""
}

// TestRoomsImportOneWay holds the imports to docs/architecture.md. A room that is new has to
// say there what it may import.
func TestRoomsImportOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "pictosync/...").Output()
	if err != nil {
		t.Skipf("the go command cannot list the packages: %v", err)
	}
	rows := rooms(t)
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
		switch base, _, _ := strings.Cut(room, "/"); {
		case base == "cmd", base == "bench", base == "conformance", base == "internal", strings.HasSuffix(room, "test"):
			continue
		case roomOf(rows, room) == "":
			t.Errorf("docs/architecture.md does not say what %s may import", room)
			continue
		}
		for _, path := range p.Imports {
			if of, ours := strings.CutPrefix(path, "pictosync/"); ours && !strings.HasPrefix(of, "internal/") && !mayImport(rows, room, of) {
				t.Errorf("%s imports %s; docs/architecture.md does not allow it", room, of)
			}
		}
	}
}
