//go:build unix

package source

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"pictosync/convert"
)

// manyFiles is a folder that is worth opening.
func manyFiles(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "labels")
	for n := range worthOpening {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n, ".txt")), fmt.Appendf(nil, "content of %d", n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Whether a folder is open or not, its files are what they are.
func TestFilesInAFolder(t *testing.T) {
	f := &folder{path: manyFiles(t)}
	os.Mkdir(filepath.Join(f.path, "folder"), 0o755)
	os.Symlink("3.txt", filepath.Join(f.path, "link"))
	if err := syscall.Mkfifo(filepath.Join(f.path, "pipe"), 0o644); err != nil {
		t.Skip(err)
	}
	check := func(when string) {
		t.Helper()
		for name, want := range map[string]string{"3.txt": "content of 3", "link": "content of 3"} {
			if got, err := readInto(nil, fileOnDisk{folder: f, name: name}, 100); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, %v", when, name, got, err)
			}
		}
		for _, name := range []string{"folder", "pipe", "none"} {
			_, want := readSmall(filepath.Join(f.path, name), 100)
			if _, err := readInto(nil, fileOnDisk{folder: f, name: name}, 100); err == nil || err.Error() != want.Error() {
				t.Errorf("%s: %s: %v; want %v", when, name, err, want)
			}
		}
	}
	check("before")
	f.enter(worthOpening)
	check("in it")
	if f.enter(worthOpening); !f.opened {
		t.Error("the folder is not open")
	}
	moved := f.path + " moved"
	if err := os.Rename(f.path, moved); err != nil {
		t.Fatal(err)
	}
	if got, err := readInto(nil, fileOnDisk{folder: f, name: "3.txt"}, 100); err != nil || string(got) != "content of 3" {
		t.Errorf("%q, %v: the folder is open and its path was followed", got, err)
	}
	f.leave()
	f.leave()
	if _, err := readInto(nil, fileOnDisk{folder: f, name: "3.txt"}, 100); !isMissing(err) {
		t.Errorf("%v of a folder that was left", err)
	}
	f.path = moved
	check("after")
	if f.enter(worthOpening - 1); f.opened {
		t.Error("a folder of few files was opened")
	}
}

// Files are read while a walk goes in and out of their folder.
func TestFolderIsLeftWhileItIsRead(t *testing.T) {
	f := &folder{path: manyFiles(t)}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 4 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				number := (n + reader) % worthOpening
				got, err := readInto(nil, fileOnDisk{folder: f, name: fmt.Sprint(number, ".txt")}, 100)
				if want := fmt.Sprint("content of ", number); err != nil || string(got) != want {
					t.Errorf("%q, %v; want %q", got, err, want)
					return
				}
			}
		})
	}
	for range 500 {
		f.enter(worthOpening)
		f.leave()
	}
	close(done)
	readers.Wait()
}

// A walk that ends early, and one that goes through folders, leave nothing open.
func TestWalkLeavesFolders(t *testing.T) {
	root := t.TempDir()
	for n := range 3 * worthOpening {
		dir := filepath.Join(root, "labels", fmt.Sprint(n%3))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n, ".txt")), []byte("0 0.5 0.5 0.1 0.1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "classes.txt"), []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := Open(t.Context(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{1, worthOpening + 1, 1000} {
		var entered []*folder
		count := 0
		for item, err := range src.Items(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			labels := item.place.(yoloPlace).label.folder
			if !labels.opened {
				t.Errorf("%s: its folder is not open", item.File)
			}
			if entered = append(entered, labels); labels != entered[0] && entered[0].opened {
				t.Error("a folder that was left is open")
			}
			if result, err := src.Load(t.Context(), item, convert.Size{Width: 10, Height: 10}); err != nil || len(result.Annotations) != 1 {
				t.Errorf("%s: %v, %v", item.File, result, err)
			}
			if count++; count == most {
				break
			}
		}
		if count != min(most, 3*worthOpening) {
			t.Errorf("%d items", count)
		}
		for _, labels := range entered {
			if labels.opened {
				t.Fatal("a folder is open after the walk")
			}
		}
	}
}
