package source

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestHeldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	h := HeldFile{Of: new(HeldFiles), Path: path, Info: info}
	if err := h.Take(); err != nil {
		t.Fatal(err)
	}
	last := make([]byte, 7)
	if err := h.Read(last, 99_993); err != nil || string(last) != "3456789" {
		t.Errorf("%q, %v", last, err)
	}
	for _, offset := range []int64{99_994, 100_000, 1 << 40} {
		if err := h.Read(last, offset); err == nil {
			t.Errorf("at %d, behind the end: no error", offset)
		}
	}
	release := h.Of.Hold()
	if err := h.Take(); err != nil {
		t.Fatal(err)
	}
	h.Release()
	h.Release()
	if h.file == nil {
		t.Error("closed while it is held")
	}
	if err := h.Take(); err != nil {
		t.Fatal(err)
	}
	release()
	if h.file == nil {
		t.Error("closed while it is read")
	}
	h.Release()
	if h.file != nil {
		t.Error("open though nobody reads or holds it")
	}
}

// A file that is cut off while it is read is an error, not the end of the process.
func TestHeldFileIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	h := HeldFile{Of: new(HeldFiles), Path: path, Info: info}
	if err := h.Take(); err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if err := h.Read(make([]byte, 10), 1<<19); err == nil {
		t.Error("what is cut off was read")
	}
	if err := h.Take(); err == nil {
		t.Error("a changed file was taken for what it was")
		h.Release()
	}
}

// Of many files that are held the last stay open, and none when they are let go.
func TestHeldFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	var all HeldFiles
	var files []*HeldFile
	for n := range 2 * maxIdle {
		path := filepath.Join(dir, strconv.Itoa(n))
		if err := os.WriteFile(path, []byte("0123456789"), 0o644); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, &HeldFile{Of: &all, Path: path, Info: info})
	}
	open := func() (open int) {
		for _, f := range files {
			if f.file != nil {
				open++
			}
		}
		return open
	}
	release := all.Hold()
	for range 2 {
		for n, f := range files {
			if err := f.Take(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 2)
			if err := f.Read(got, 3); err != nil || string(got) != "34" {
				t.Errorf("file %d: %q, %v", n, got, err)
			}
			f.Release()
			if open() > maxIdle {
				t.Fatalf("%d files are open", open())
			}
		}
	}
	if open() != maxIdle {
		t.Errorf("%d files are open", open())
	}
	release()
	if open() != 0 {
		t.Errorf("%d files are open for nobody", open())
	}
}
