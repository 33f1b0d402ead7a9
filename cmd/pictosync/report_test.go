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

// TestCommandOfPlan keeps what a page says is typed next what does the plan.
func TestCommandOfPlan(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"plan labels --dataset x", "pictosync sync labels --dataset x"},
		{"plan labels --dataset x --html a.html --rows --read-images=3 --json", "pictosync sync labels --dataset x"},
		{"--config c.yaml plan labels --html=a.html --diff b.jpg --out p.plan", "pictosync --config c.yaml sync labels"},
	} {
		if got := sameCommand(asSync(strings.Fields(c.given))); got != c.want {
			t.Errorf("%s: %s", c.given, got)
		}
	}
	if got := sameCommand([]string{"sync", "my labels", "it's"}); got != `pictosync sync 'my labels' 'it'\''s'` {
		t.Error(got)
	}
}
