package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// contentsOf are the files of a folder, but for the index of a log, which every
// reader may build anew.
func contentsOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(e.Name()) == ".db-shm" {
			data = nil
		}
		files[e.Name()] = data
	}
	return files
}

func sameContents(a, b map[string][]byte) bool {
	for name := range a {
		if data, there := b[name]; !there || !bytes.Equal(a[name], data) {
			return false
		}
	}
	return len(a) == len(b)
}

// Looking at a state tells how it is and leaves every file as it was, whether it
// is closed, in use, or left behind by a killed process.
func TestExamineChangesNothing(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	s, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.PutDataset(ctx, "x", "id", "name")
	if err != nil {
		t.Fatal(err)
	}
	run, _, err := s.OpenRun(ctx, d, "sync", "labels", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.commit(ctx, run.ID, "account", []byte("body"), []BatchImage{{ImageID: "i"}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	examine := func(what, path string) {
		t.Helper()
		before := contentsOf(t, filepath.Dir(path))
		h, err := Examine(ctx, path)
		if err != nil || h.Runs != 1 || h.OpenRuns != 1 || h.InFlight != 1 || h.Version != h.Latest || h.Bytes == 0 {
			t.Errorf("%s: %+v, %v", what, h, err)
		}
		if after := contentsOf(t, filepath.Dir(path)); !sameContents(before, after) {
			t.Errorf("%s: the files were changed: %d before, %d after", what, len(before), len(after))
		}
	}
	examine("open", path)
	left := t.TempDir() // what kill -9 leaves: the file and its log
	for name, data := range contentsOf(t, dir) {
		if err := os.WriteFile(filepath.Join(left, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	examine("closed", path)
	examine("left behind", filepath.Join(left, "state.db"))

	look, err := Look(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	if runs, err := look.Runs(ctx, 5); err != nil || len(runs) != 1 || runs[0].ID != run.ID {
		t.Errorf("runs %+v, %v", runs, err)
	}
	if err := look.AddRequest(ctx, "account", time.Now(), true); err == nil {
		t.Error("a state that is only looked at was written to")
	}
}

// What cannot be a sound state is said, and stays where and as it is.
func TestExamineRefuses(t *testing.T) {
	ctx := t.Context()
	for what, c := range map[string]struct {
		name   string
		make   func(path string) error
		damage bool
	}{
		"cut off": {name: "state.db", damage: true, make: func(path string) error {
			s, err := Open(ctx, path)
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			return os.Truncate(path, 8192)
		}},
		"no database": {name: "labels.csv", make: func(path string) error { return os.WriteFile(path, []byte("image,width\na,1\n"), 0o600) }},
		"another database": {name: "other.db", make: func(path string) error {
			s, err := Open(ctx, path)
			if err != nil {
				return err
			}
			_, err = s.writer.ExecContext(ctx, `DROP TABLE goose_db_version`)
			return errors.Join(err, s.Close())
		}},
		"newer": {name: "new.db", make: func(path string) error {
			s, err := Open(ctx, path)
			if err != nil {
				return err
			}
			_, err = s.writer.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
			return errors.Join(err, s.Close())
		}},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.name)
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			before := contentsOf(t, dir)
			_, err := Examine(ctx, path)
			if err == nil || errors.Is(err, ErrDamaged) != c.damage || errors.Is(err, ErrNewer) != (what == "newer") {
				t.Errorf("%v", err)
			}
			if !sameContents(before, contentsOf(t, dir)) {
				t.Error("the files were changed")
			}
		})
	}
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.db"), filepath.Join(dir, "empty.db")} {
		if filepath.Base(path) == "empty.db" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Examine(ctx, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
