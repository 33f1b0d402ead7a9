package main

import (
	"bytes"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var shownCommand = regexp.MustCompile(`<p>([^<]*)</p><pre tabindex="0">([^<]*)</pre>`)

// commandsOf are the commands that the page of a run shows, by what is said above them.
func commandsOf(t *testing.T, l *look, run string) map[string]string {
	t.Helper()
	page := filepath.Join(t.TempDir(), "run.html")
	l.run("runs", run, "--html", page)
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	commands := make(map[string]string)
	for _, m := range shownCommand.FindAllStringSubmatch(string(data), -1) {
		commands[html.UnescapeString(m[1])] = html.UnescapeString(m[2])
	}
	return commands
}

// The command that a page shows is typed in another folder, without the configuration and the
// environment that the run had, and does what the run was about.
func TestShownCommandsWork(t *testing.T) {
	l := newLook(t)
	type files map[string]string
	for name, text := range (files{
		"my labels.jsonl": `{"image":"a.png","width":40,"height":30,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}` + "\n" +
			`{"image":"left/b.png","width":40,"height":30,"annotations":[]}` + "\n",
		"c.yaml":   "sandbox: true\ncreate_dataset: true\nimages: shapes/images/train\nexclude: ['left/**', \"it's, this\"]\n",
		"map.yaml": "car: vehicle\n",
	}) {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	picture, err := os.ReadFile(filepath.Join(l.dir, "shapes", "images", "train", "shapes_00.png"))
	if err == nil {
		err = os.WriteFile(filepath.Join(l.dir, "shapes", "images", "train", "a.png"), picture, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "pictosync")); err != nil {
		t.Fatal(err)
	}
	shell := func(command string) string {
		t.Helper()
		c := exec.Command("sh", "-c", command)
		c.Dir = bin
		c.Env = append(slices.Clone(l.command().Env), "PATH="+bin+":"+os.Getenv("PATH"))
		var errs bytes.Buffer
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s%s", command, err, out, errs.String())
		}
		return string(out)
	}
	l.env = append(l.env, "PICTOSYNC_UPLOAD=missing", "PICTOSYNC_CLASS_MAP=map.yaml", "PICTOSYNC_ON_SIZE_MISMATCH=scale")
	l.run("--config", "c.yaml", "plan", "my labels.jsonl", "--dataset", "set")
	l.env = l.env[:len(l.env)-3]

	do := commandsOf(t, l, "last")["Do it, with the options that it had:"]
	if out := shell(do); !strings.Contains(out, "1 found: 1 saved") || !strings.Contains(out, "uploaded     1 image") || !strings.Contains(out, "new: vehicle") {
		t.Errorf("%s: %s", do, out)
	}
	// The plan of an undo is done by an undo, of the same images and no other run.
	l.run("undo", "last", "--image", "a.*", "--uploaded", "--dry-run")
	do = commandsOf(t, l, "last")["Do it, with the options that it had:"]
	if out := shell(do); !strings.Contains(out, "1 found: 1 cleared") || !strings.Contains(out, "archived     1 image") {
		t.Errorf("%s: %s", do, out)
	}
	l.run("verify", "my labels.jsonl", "--dataset", "set", "--sandbox", "--sample", "50%")
	if again := commandsOf(t, l, "last")["Compare again, with the options that it had:"]; !strings.HasSuffix(again, " --dataset set --sample 50% --sandbox") {
		t.Error(again)
	}
}

// A job is done again by the configuration that it is in, in the folder that its paths are from.
func TestShownCommandOfAJob(t *testing.T) {
	l := newLook(t)
	config := "sandbox: true\nwebhook: http://127.0.0.1:9/secret\njobs:\n  - {name: other, sync: shapes, dataset: shapes}\n  - {name: my check, verify: shapes, dataset: shapes}\n"
	if err := os.WriteFile(filepath.Join(l.dir, "nightly.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	l.run("run", "nightly.yaml", "--rate", "50000/h")
	again := commandsOf(t, l, "last")["Compare again, with the options that it had:"]
	if want := "pictosync run " + filepath.Join(l.dir, "nightly.yaml") + " 'my check' --rate 50000/h"; again != want {
		t.Errorf("%s, not %s", again, want)
	}
}
