package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const contrib = "../../contrib"

// A command line begins its line, of a comment as well, or stands behind exec,
// ExecStart= or a backtick.
var commandLine = regexp.MustCompile("(?:^[# ]*|exec |ExecStart=|`)(?:/[^ ]*/)?pictosync ([^;>|&`]+)")

// imageCommand is what an image of the command is run with by default.
var imageCommand = regexp.MustCompile(`(?m)^CMD (\[.*\])$`)

// TestContribCommands keeps the command lines of contrib what the command takes.
func TestContribCommands(t *testing.T) {
	found := make(map[string]int)
	err := filepath.WalkDir(contrib, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, args := range commandsIn(t, path, data) {
			found[filepath.Base(path)]++
			if err := parses(args); err != nil {
				t.Errorf("%s: pictosync %s: %v", path, strings.Join(args, " "), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pictosync.service", "crontab", "cronjob.yaml", "Dockerfile"} {
		if found[name] == 0 {
			t.Errorf("no command line was found in %s", name)
		}
	}
}

// commandsIn are the arguments of the command lines in a file.
func commandsIn(t *testing.T, path string, data []byte) (commands [][]string) {
	t.Helper()
	for line := range strings.Lines(string(data)) {
		for _, m := range commandLine.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
			commands = append(commands, strings.Fields(strings.NewReplacer(`"`, "", `'`, "").Replace(m[1])))
		}
	}
	for _, m := range imageCommand.FindAllSubmatch(data, -1) {
		var args []string
		if err := json.Unmarshal(m[1], &args); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		commands = append(commands, args)
	}
	if filepath.Ext(path) == ".yaml" {
		for _, document := range documents(t, path, data) {
			commands = append(commands, containerArgs(document)...)
		}
	}
	return commands
}

func documents(t *testing.T, path string, data []byte) (all []any) {
	t.Helper()
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, document)
	}
}

// containerArgs are the args of all containers of the command's image.
func containerArgs(v any) (commands [][]string) {
	switch v := v.(type) {
	case []any:
		for _, entry := range v {
			commands = append(commands, containerArgs(entry)...)
		}
	case map[string]any:
		for _, value := range v {
			commands = append(commands, containerArgs(value)...)
		}
		list, _ := v["args"].([]any)
		if v["image"] != "pictosync" || list == nil {
			break
		}
		var args []string
		for _, a := range list {
			word, _ := a.(string) // what is no text is no argument
			args = append(args, word)
		}
		commands = append(commands, args)
	}
	return commands
}

// parses reports why a command line is not one of the command's.
func parses(args []string) error {
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if !cmd.HasParent() {
		return nil // --help, --version
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// TestContribParses shows that the test above sees mistakes.
func TestContribParses(t *testing.T) {
	for _, wrong := range []string{"rnu nightly.yaml", "run", "run nightly.yaml --max-durations 6h", "run nightly.yaml --max-duration six", "sync --dataset cars", "doctor a b"} {
		if parses(strings.Fields(wrong)) == nil {
			t.Errorf("pictosync %s was taken", wrong)
		}
	}
}

// TestContribGrace keeps services from being killed while they finish the requests in
// flight.
func TestContribGrace(t *testing.T) {
	for file, pattern := range map[string]string{
		"systemd/pictosync.service": `(?m)^TimeoutStopSec=(\d+)$`,
		"kubernetes/cronjob.yaml":   `(?m)^ *terminationGracePeriodSeconds: (\d+)$`,
	} {
		data, err := os.ReadFile(filepath.Join(contrib, file))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(pattern).FindSubmatch(data)
		if m == nil {
			t.Errorf("%s does not say how long a stop may take", file)
			continue
		}
		if seconds, err := strconv.Atoi(string(m[1])); err != nil || time.Duration(seconds)*time.Second < 2*grace {
			t.Errorf("%s: a stop may take %s seconds; the requests in flight take up to %s", file, m[1], grace)
		}
	}
}

// TestContribJobs keeps the jobs of the cluster's configuration what a run takes.
func TestContribJobs(t *testing.T) {
	path := filepath.Join(contrib, "kubernetes", "cronjob.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	configs := 0
	for _, document := range documents(t, path, data) {
		object, _ := document.(map[string]any)
		if object["kind"] != "ConfigMap" {
			continue
		}
		for name, text := range object["data"].(map[string]any) {
			configs++
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, []byte(text.(string)), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := readConfig(newRoot(), file)
			if err != nil {
				t.Fatal(err)
			}
			if jobs, err := c.readJobs(newRoot(), file); err != nil || len(jobs) == 0 {
				t.Errorf("%d jobs, %v", len(jobs), err)
			}
		}
	}
	if configs != 1 {
		t.Errorf("%d configurations were found", configs)
	}
}
