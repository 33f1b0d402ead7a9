package main

import (
	"os"
	"path/filepath"
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
