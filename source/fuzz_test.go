package source

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"pictosync/convert"
)

// newManifest makes an empty manifest and returns what executes SQL on it.
func newManifest(t testing.TB, file string) func(query string, args ...any) {
	t.Helper()
	exec := func(query string, args ...any) {
		t.Helper()
		db, err := sql.Open("sqlite3", file)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(manifestSchema)
	exec(`INSERT INTO meta VALUES ('version', '1'), ('root', '.')`)
	return exec
}

// drain walks and loads a source that a fuzzer made.
func drain(t *testing.T, file string) {
	src, err := Open(t.Context(), file, Options{})
	if err != nil {
		if err.Error() == "" {
			t.Error("an error that says nothing")
		}
		return
	}
	seen := 0
	for item, err := range src.Items(t.Context(), "") {
		if err != nil {
			return
		}
		if item.Image == "" || item.Cursor == "" {
			t.Errorf("an item without a name or place: %+v", item)
		}
		if item.Err == nil {
			src.Load(t.Context(), item, convert.Size{Width: 10, Height: 10})
		}
		seen++
	}
	again := 0
	for range src.Items(t.Context(), "") {
		again++
	}
	if again != seen {
		t.Errorf("%d items, then %d", seen, again)
	}
}

func FuzzCOCO(f *testing.F) {
	f.Add([]byte(`{"images":[{"id":1,"file_name":"a.jpg","width":2,"height":2}],"categories":[{"id":1,"name":"x"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[0,0,1,1]}]}`))
	f.Add([]byte("\ufeff" + `{"images":[{"id":"1","file_name":"\u0061\\..\\b"}],"annotations":[{"image_id":1.0,"x":NaN}]}`))
	f.Add([]byte(`{"images":[{"id":1e999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		drain(t, file)
	})
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"image":"a.jpg","annotations":[]}` + "\n\n" + `{"image":"b","annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "a.jsonl")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		drain(t, file)
	})
}

func FuzzDescription(f *testing.F) {
	f.Add([]byte("path: ../x\ntrain: [images/train, a.txt]\nval: ''\nnc: 2\nnames: {0: a, 3: 'b c'}\nkpt_shape: [17, 3]\nflip_idx: [0]\nkpt_names: {0: [a]}\n"))
	f.Add([]byte("names: &x [no, ~, 1.0, [a]]\nval: *x\n"))
	f.Add([]byte("? - - a\n: b\n--- |\n x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, _, err := parseDescription(data, "data.yaml")
		if err != nil {
			return
		}
		for n, name := range d.names {
			if n < 0 || name == "" {
				t.Errorf("class %d is %q", n, name)
			}
		}
		if d.joints < 0 || d.joints > maxJoints || len(d.jointNames) > 0 && d.joints > 0 && len(d.jointNames) > d.joints {
			t.Errorf("%d joints, %d names", d.joints, len(d.jointNames))
		}
	})
}

func FuzzManifestRow(f *testing.F) {
	f.Add("a.jpg", "yolo", "", "0 .5 .5 .5 .5", `{"names":{"0":"car"}}`, int64(4), int64(4))
	f.Add("a.jpg", "coco", "", `[{"id":1,"category_id":1,"bbox":[0,0,1,1]}]`, `[{"id":1,"name":"car"}]`, int64(4), int64(4))
	f.Add("a.jpg", "canonical", "x.jsonl", `[]`, `[]`, int64(-4), int64(1<<40))
	f.Fuzz(func(t *testing.T, image, format, path, label, classes string, width, height int64) {
		m := &manifest{root: t.TempDir(), classSets: map[int64][]byte{1: []byte(classes)}, sets: make(map[classesOf]Labels), opened: make(map[string]*labelFile),
			setting: setting{reporter: newReporter(nil), formats: All()}}
		r := row{id: 1, image: image, format: format, labelPath: path, inline: path == "", width: width, height: height, classSet: int64(1)}
		item := m.item(r)
		if item.Image == "" {
			t.Error("an item without a name")
		}
		if item.Err != nil {
			return
		}
		m.Load(t.Context(), item, convert.Size{})
		if path == "" {
			listOf([]byte(label))
		}
	})
}

func FuzzSizes(f *testing.F) {
	f.Add([]byte(`{"a.jpg":[1,2],"b/c.png":{"width":3,"height":4}}`))
	f.Add([]byte("image,width,height\na.jpg,1,2\n\"b\"\"c\",3,x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "sizes")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := readSizes(file, newReporter(nil))
		if err != nil {
			return
		}
		for name, size := range s.byPath {
			if !size.Known() || name == "" {
				t.Errorf("%q is %v", name, size)
			}
		}
	})
}
