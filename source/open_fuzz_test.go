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

// A row of a manifest, whatever is in it, is an item that can be loaded or one that says why not.
func FuzzManifestRow(f *testing.F) {
	f.Add("a.jpg", "yolo", "", "0 .5 .5 .5 .5", `{"names":{"0":"car"}}`, int64(4), int64(4))
	f.Add("a.jpg", "coco", "", `[{"id":1,"category_id":1,"bbox":[0,0,1,1]}]`, `[{"id":1,"name":"car"}]`, int64(4), int64(4))
	f.Add("a.jpg", "canonical", "x.jsonl", `[]`, `[]`, int64(-4), int64(1<<40))
	f.Fuzz(func(t *testing.T, image, format, path, label, classes string, width, height int64) {
		file := filepath.Join(t.TempDir(), "m.db")
		exec := newManifest(t, file)
		exec(`INSERT INTO class_sets VALUES (1, ?)`, classes)
		var labelPath, inline any = path, nil
		if path == "" {
			labelPath, inline = nil, label
		}
		exec(`INSERT INTO images (image, format, label_path, label, width, height, class_set) VALUES (?, ?, ?, ?, ?, ?, 1)`, image, format, labelPath, inline, width, height)
		drain(t, file)
	})
}
