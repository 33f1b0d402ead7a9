package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if text := os.Getenv("PICTOSYNC_TEST_NOW"); text != "" {
		start, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic(err)
		}
		begun := time.Now()
		now = func() time.Time { return time.Unix(start, 0).Add(time.Since(begun)) }
	}
	if os.Getenv("PICTOSYNC_TEST_MAIN") != "" { // the command itself, in a process that tests may kill
		os.Exit(Main())
	}
	testscript.Main(m, map[string]func(){
		"pictosync": func() { os.Exit(Main()) },
	})
}

// TestScripts holds the command's interface: each script is a session that a
// user could type.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			root, err := os.Getwd()
			if err != nil {
				return err
			}
			env.Setenv("SHAPES", root+"/../../testdata/shapes")
			env.Setenv("COCO", root+"/../../testdata/shapes.coco.json")
			env.Setenv("CONTRIB", root+"/../../contrib")
			env.Setenv("EXAMPLE", root+"/../../config.example.yaml")
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/state")
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds:          map[string]func(*testscript.TestScript, bool, []string){"service": startService},
		UpdateScripts: os.Getenv("UPDATE") != "",
	})
}

// TestNightlyExample keeps the example of docs/nightly.md what contrib has.
func TestNightlyExample(t *testing.T) {
	example, err := os.ReadFile("../../contrib/nightly.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/nightly.md")
	if err != nil {
		t.Fatal(err)
	}
	_, settings, _ := strings.Cut(string(example), "\n\n")
	if !strings.Contains(string(page), "```yaml\n"+settings+"```\n") {
		t.Error("docs/nightly.md shows another nightly.yaml than contrib has")
	}
}

// TestExampleExplainsEverySetting keeps config.example.yaml complete: every
// setting is in it, as a setting or as a comment of its own.
func TestExampleExplainsEverySetting(t *testing.T) {
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name := range knownSettings(newRoot()) {
		if !strings.Contains("\n"+string(data), "\n"+name+":") && !strings.Contains("\n"+string(data), "\n# "+name+":") {
			t.Errorf("config.example.yaml does not have %s", name)
		}
	}
}

// A shell is told the formats and other values that a flag takes.
func TestCompletion(t *testing.T) {
	for flag, want := range map[string]string{"--from": "createml", "--to": "canonical", "--on-size-mismatch": "scale"} {
		root := newRoot()
		var out strings.Builder
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs([]string{"__complete", "convert", "x", flag, ""})
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%s: %q, %v", flag, out.String(), err)
		}
	}
}
