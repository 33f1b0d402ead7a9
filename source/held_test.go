package source

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"pictosync/convert"
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
	h := heldFile{of: new(heldFiles), path: path, info: info}
	if err := h.take(); err != nil {
		t.Fatal(err)
	}
	last := make([]byte, 7)
	if err := h.read(last, 99_993); err != nil || string(last) != "3456789" {
		t.Errorf("%q, %v", last, err)
	}
	for _, offset := range []int64{99_994, 100_000, 1 << 40} {
		if err := h.read(last, offset); err == nil {
			t.Errorf("at %d, behind the end: no error", offset)
		}
	}
	release := h.of.hold()
	if err := h.take(); err != nil {
		t.Fatal(err)
	}
	h.release()
	h.release()
	if h.file == nil {
		t.Error("closed while it is held")
	}
	if err := h.take(); err != nil {
		t.Fatal(err)
	}
	release()
	if h.file == nil {
		t.Error("closed while it is read")
	}
	h.release()
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
	h := heldFile{of: new(heldFiles), path: path, info: info}
	if err := h.take(); err != nil {
		t.Fatal(err)
	}
	defer h.release()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if err := h.read(make([]byte, 10), 1<<19); err == nil {
		t.Error("what is cut off was read")
	}
	if err := h.take(); err == nil {
		t.Error("a changed file was taken for what it was")
		h.release()
	}
}

// Of many files that are held the last stay open, and none when they are let go.
func TestHeldFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	var all heldFiles
	var files []*heldFile
	for n := range 2 * maxIdle {
		path := filepath.Join(dir, strconv.Itoa(n))
		if err := os.WriteFile(path, []byte("0123456789"), 0o644); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, &heldFile{of: &all, path: path, info: info})
	}
	open := func() (open int) {
		for _, f := range files {
			if f.file != nil {
				open++
			}
		}
		return open
	}
	release := all.hold()
	for range 2 {
		for n, f := range files {
			if err := f.take(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 2)
			if err := f.read(got, 3); err != nil || string(got) != "34" {
				t.Errorf("file %d: %q, %v", n, got, err)
			}
			f.release()
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

// What is held is read from as it was, even where another file has come to have its
// name, and nothing is left open when it is let go.
func TestHold(t *testing.T) {
	const coco = `{"images":[{"id":1,"file_name":"a.jpg","width":9,"height":9}],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,1,1]}]}`
	const canonical = `{"image":"a.jpg","annotations":[{"id":"1","name":"x","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`
	m, err := convert.ParseClassMap([]byte("x: y"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(root string) Source{
		"coco":      func(root string) Source { return openedAt(t, root, "a.json") },
		"canonical": func(root string) Source { return openedAt(t, root, "a.jsonl") },
		"class map": func(root string) Source { return WithClassMap(openedAt(t, root, "a.json"), m, nil, nil) },
		"manifest": func(root string) Source {
			list := filepath.Join(root, "list.db")
			if _, err := WriteManifest(t.Context(), openedAt(t, root, "a.json"), list, tellNobody); err != nil {
				t.Fatal(err)
			}
			return openedAt(t, root, "list.db")
		},
		"labels in a manifest": func(root string) Source {
			newManifest(t, filepath.Join(root, "list.db"))(`INSERT INTO images (image, format, label) VALUES ('a.jpg', 'canonical', '[{"id":"1","name":"x","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]')`)
			return openedAt(t, root, "list.db")
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"a.json": coco, "a.jsonl": canonical})
			src := open(root)
			item := items(t, src, "")[0]
			load := func() (annotations int, err error) {
				r, err := src.Load(t.Context(), item, convert.Size{})
				return len(r.Annotations), err
			}
			release := Hold(src)
			for range 2 {
				if n, err := load(); n != 1 || err != nil {
					t.Fatalf("%d annotations, %v", n, err)
				}
				if runtime.GOOS == "windows" { // a file that is open keeps its name
					continue
				}
				for _, file := range []string{"a.json", "a.jsonl", "list.db"} {
					if os.Rename(filepath.Join(root, file), filepath.Join(root, "was "+file)) != nil {
						continue // this source has none
					}
					if err := os.WriteFile(filepath.Join(root, file), []byte("{}"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			release()
			release() // once more does nothing
			if open := openBelow(t, root); len(open) > 0 {
				t.Errorf("left open: %v", open)
			}
			if n, err := load(); err == nil && runtime.GOOS != "windows" {
				t.Errorf("%d annotations of a file that is another now", n)
			}
		})
	}
}

// A manifest that is let go while a label is read stays open for that.
func TestManifestIsLetGoWhileItIsRead(t *testing.T) {
	root := t.TempDir()
	newManifest(t, filepath.Join(root, "list.db"))
	m := openedAt(t, root, "list.db").(*manifest)
	release := Hold(m)
	err := m.query(t.Context(), func(db *sql.DB) error {
		release()
		return db.PingContext(t.Context())
	})
	if err != nil {
		t.Error(err)
	}
	if open := openBelow(t, root); len(open) > 0 {
		t.Errorf("left open: %v", open)
	}
}

func openedAt(t *testing.T, root, name string) Source {
	t.Helper()
	src, _ := opened(t, filepath.Join(root, name), Options{})
	return src
}

// openBelow are the files below a folder that this process has open.
func openBelow(t *testing.T, root string) (open []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if file, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.HasPrefix(file, root) {
			open = append(open, file)
		}
	}
	return open
}
