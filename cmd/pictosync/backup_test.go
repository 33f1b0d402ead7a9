package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
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

// TestImagesComeBack brings a folder of images and labels into a service, backs it up with the
// images, restores that into another service that has nothing, and backs that up: labels and
// bytes are the same, and the bytes are those of the folder.
func TestImagesComeBack(t *testing.T) {
	folder := "../../../shared/data/yolo-detect" // COCO128
	if _, err := os.Stat(folder); err != nil {
		t.Logf("not COCO128, which is not at %s, but testdata/shapes", folder)
		folder = "../../testdata/shapes"
	}
	dir := t.TempDir()
	run := func(service string, allowed int, args ...string) { // each has its sandbox beside its state
		t.Helper()
		code, out := exitOf(t, command(append(args, "--dataset", "set", "--sandbox", "--state", filepath.Join(dir, service, "state.db"), "--quiet")...))
		if code != 0 && code != allowed {
			t.Fatalf("%v: exit %d\n%s", args, code, out)
		}
	}
	run("one", exitFailures, "sync", folder, "--create-dataset", "--upload", "all") // two labels have no image
	run("one", 0, "export", "--out", filepath.Join(dir, "first"), "--images")
	run("other", 0, "restore", filepath.Join(dir, "first"), "--create-dataset", "--upload", "missing")
	run("other", 0, "export", "--out", filepath.Join(dir, "second"), "--images")
	one, two := annotationFiles(t, dir, "first"), annotationFiles(t, dir, "second")
	if len(one) == 0 || !maps.EqualFunc(one, two, bytes.Equal) {
		t.Errorf("%d files of labels, and %d that differ or are missing after the restore", len(one), len(two))
	}
	want, first, second := sums(t, filepath.Join(folder, "images")), sums(t, filepath.Join(dir, "first", "2*", "images")), sums(t, filepath.Join(dir, "second", "2*", "images"))
	if len(want) == 0 || !maps.Equal(first, want) || !maps.Equal(second, want) {
		t.Errorf("%d images in the folder; those of the first backup are the same: %v, of the second: %v", len(want), maps.Equal(first, want), maps.Equal(second, want))
	}
}

// sums are the SHA-256 of the files below the folder that a pattern fits, by their paths there.
func sums(t *testing.T, pattern string) map[string][sha256.Size]byte {
	t.Helper()
	folders, err := filepath.Glob(pattern)
	if err != nil || len(folders) != 1 {
		t.Fatalf("%s fits %q, %v", pattern, folders, err)
	}
	all := make(map[string][sha256.Size]byte)
	err = filepath.WalkDir(folders[0], func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		rel, relErr := filepath.Rel(folders[0], file)
		all[rel] = sha256.Sum256(data)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
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
