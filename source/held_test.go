package source

import (
	"bytes"
	"os"
	"path/filepath"
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
	for name, mapped := range map[string]bool{"mapped": true, "not mapped": false} {
		t.Run(name, func(t *testing.T) {
			var h heldFile
			if err := h.take(path, info); err != nil {
				t.Fatal(err)
			}
			if !mapped {
				unmapFile(h.mapped)
				h.mapped = nil
			}
			last, first := make([]byte, 7), make([]byte, 3)
			if err := h.read([]piece{{last, 99_993}, {first, 0}, {nil, 100_000}}); err != nil || string(last) != "3456789" || string(first) != "012" {
				t.Errorf("%q, %q, %v", last, first, err)
			}
			for _, offset := range []int64{99_994, 100_000, 1 << 40} {
				if err := h.read([]piece{{first, 0}, {last, offset}}); err == nil {
					t.Errorf("at %d, behind the end: no error", offset)
				}
			}
			if err := h.take(path, info); err != nil {
				t.Fatal(err)
			}
			h.release()
			if h.file == nil {
				t.Error("closed while it is held")
			}
			h.release()
			if h.file != nil || h.mapped != nil {
				t.Error("open though nobody holds it")
			}
		})
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
	var h heldFile
	if err := h.take(path, info); err != nil {
		t.Fatal(err)
	}
	defer h.release()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if err := h.read([]piece{{make([]byte, 10), 1 << 19}}); err == nil {
		t.Error("what is cut off was read")
	}
	if err := h.take(path, info); err == nil {
		t.Error("a changed file was taken for what it was")
		h.release()
	}
}
