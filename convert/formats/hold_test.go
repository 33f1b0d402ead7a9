package formats

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/manifest"
)

// What is held is read from as it was, even where another file has come to have its
// name, and nothing is left open when it is let go.
func TestHold(t *testing.T) {
	const coco = `{"images":[{"id":1,"file_name":"a.jpg","width":9,"height":9}],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,1,1]}]}`
	const canonical = `{"image":"a.jpg","annotations":[{"id":"1","name":"x","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`
	m, err := convert.ParseClassMap([]byte("x: y"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(root string) convert.Source{
		"coco":      func(root string) convert.Source { return openedAt(t, root, "a.json") },
		"canonical": func(root string) convert.Source { return openedAt(t, root, "a.jsonl") },
		"class map": func(root string) convert.Source {
			return convert.WithClassMap(openedAt(t, root, "a.json"), m, nil, nil)
		},
		"manifest": func(root string) convert.Source {
			list := filepath.Join(root, "list.db")
			if _, err := manifest.Write(t.Context(), openedAt(t, root, "a.json"), list, tellNobody); err != nil {
				t.Fatal(err)
			}
			return openedAt(t, root, "list.db")
		},
		"labels in a manifest": func(root string) convert.Source {
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
			release := convert.Hold(src)
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

func openedAt(t *testing.T, root, name string) convert.Source {
	t.Helper()
	src, _ := opened(t, filepath.Join(root, name), convert.OpenOptions{})
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
