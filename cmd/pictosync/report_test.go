package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeOutput keeps what the README shows of a plan's difference what it is.
func TestReadmeOutput(t *testing.T) {
	l := newLook(t)
	l.run("sync", "shapes", "--dataset", "shapes", "--sandbox", "--quiet")
	l.relabel(1)
	var shown strings.Builder
	for _, image := range []string{"train/shapes_03.png", "train/shapes_07.png"} {
		args := []string{"plan", "shapes", "--dataset", "shapes", "--sandbox", "--diff", image}
		shown.WriteString("    $ pictosync " + strings.Join(args, " ") + "\n")
		for line := range strings.Lines(l.run(args...)) {
			shown.WriteString("    " + line)
		}
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), shown.String()) {
		t.Errorf("the README does not show\n%s", shown.String())
	}
}

// shownAt is a page of a command that serves pages.
func shownAt(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// settled is the page of a source once all of it is counted.
func settled(t *testing.T, address string) string {
	t.Helper()
	for {
		if page := shownAt(t, address); !strings.Contains(page, "data-watch") {
			return page
		}
	}
}

// A source that is another one while it is shown is shown as it is: a file at once, a folder
// when it is counted again.
func TestSourceThatChanges(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	l := newLook(t)
	write := func(name string, images int) {
		t.Helper()
		var lines strings.Builder
		for n := range images {
			fmt.Fprintf(&lines, `{"image":"%d.png","width":40,"height":30,"annotations":[]}`+"\n", n)
		}
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("labels.jsonl", 1)
	l.run("sync", "labels.jsonl", "--dataset", "set", "--sandbox", "--quiet")
	l.run("sync", "shapes", "--dataset", "shapes", "--sandbox", "--quiet")
	ui := l.serve("ui")
	for what, address := range map[string]string{"view": l.serve("view", "labels.jsonl"), "ui": ui + sourceIn(t, shownAt(t, ui), "labels.jsonl")} {
		write("labels.jsonl", 1)
		if page := settled(t, address); !strings.Contains(page, "1 image with 0 annotations") {
			t.Errorf("%s: %s", what, page)
		}
		write("next", 12)
		if err := os.Rename(filepath.Join(l.dir, "next"), filepath.Join(l.dir, "labels.jsonl")); err != nil {
			t.Fatal(err)
		}
		if page := settled(t, address); !strings.Contains(page, "12 images with 0 annotations") {
			t.Errorf("%s does not show the file that is there now: %s", what, page)
		}
		write("labels.jsonl", 3)
		if page := settled(t, address); !strings.Contains(page, "3 images with 0 annotations") {
			t.Errorf("%s does not show what was written to the file: %s", what, page)
		}
	}
	folder := l.serve("view", "shapes")
	if page := settled(t, folder); !strings.Contains(page, "11 images with 18 annotations") || !strings.Contains(page, `<a href="?again">`) {
		t.Error(page)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "shapes", "labels", "train", "shapes_03.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	shownAt(t, folder+"?again")
	if page := settled(t, folder); !strings.Contains(page, "11 images with 15 annotations") {
		t.Error(page)
	}
}

// sourceIn is where the page of a state leads to a source.
func sourceIn(t *testing.T, page, name string) string {
	t.Helper()
	before, _, found := strings.Cut(page, name+"</a>")
	at := strings.LastIndex(before, `source/`)
	if !found || at < 0 {
		t.Fatalf("no link to %s: %s", name, page)
	}
	address, _, _ := strings.Cut(before[at:], `"`)
	return address
}

// A finding stands with the annotation that it is about, also where the labels have no ids.
func TestFindingsAtTheirPlace(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	l := newLook(t)
	labels := "0 0.5 0.5 0.1 0.1\n2 0.98 0.5 0.2 0.1\n"
	if err := os.WriteFile(filepath.Join(l.dir, "shapes", "labels", "train", "shapes_03.txt"), []byte(labels), 0o644); err != nil {
		t.Fatal(err)
	}
	view := l.serve("view", "shapes")
	settled(t, view)
	page := shownAt(t, view+"image/3")
	at := regexp.MustCompile(`(?s)<li data-n="1"[^>]*>(.*?)</li>`).FindStringSubmatch(page)
	if at == nil || !strings.Contains(at[1], "triangle 141,54") || !strings.Contains(at[1], `<span class="finding">outside-image`) || strings.Contains(page, "<h3>Findings</h3>") {
		t.Error(page)
	}
}
