package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestRealLabelsComeBack brings real labels of every kind into a dataset, backs it
// up, restores it into another and backs that up: the files are the same.
func TestRealLabelsComeBack(t *testing.T) {
	const data = "../../../shared/data"
	if _, err := os.Stat(data); err != nil {
		t.Skipf("skipped: there are no real labels at %s", data)
	}
	sources, err := filepath.Glob(data + "/coco/*.json")
	if err != nil || len(sources) == 0 {
		t.Fatal("no COCO files", err)
	}
	for _, source := range append(sources, data+"/yolo-detect", data+"/yolo-segment", "../../testdata/shapes") {
		t.Run(filepath.Base(source), func(t *testing.T) {
			dir := t.TempDir()
			run := func(allowed int, args ...string) {
				t.Helper()
				code, out := exitOf(t, command(append(args, "--sandbox", "--state", filepath.Join(dir, "state.db"), "--quiet")...))
				if code != 0 && code != allowed {
					t.Fatalf("%v: exit %d\n%s", args, code, out)
				}
			}
			run(exitFailures, "sync", source, "--dataset", "one") // real labels have flaws
			run(0, "export", "--dataset", "one", "--out", filepath.Join(dir, "one"))
			run(0, "restore", filepath.Join(dir, "one"), "--dataset", "two")
			run(0, "export", "--dataset", "two", "--out", filepath.Join(dir, "two"))
			one, two := annotationFiles(t, dir, "one"), annotationFiles(t, dir, "two")
			if len(one) == 0 || len(one) != len(two) {
				t.Fatalf("%d files, and %d from the copy", len(one), len(two))
			}
			for name, bytesOfOne := range one {
				if !bytes.Equal(bytesOfOne, two[name]) {
					t.Errorf("%s differs", name)
				}
			}
		})
	}
}

func annotationFiles(t *testing.T, dir, backups string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, backups, "2*", "annotations", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, f := range files {
		if all[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
