package store

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// BenchmarkNewState is what it takes to make a state and to close it.
func BenchmarkNewState(b *testing.B) {
	dir := b.TempDir()
	for n := 0; b.Loop(); n++ {
		s, err := Open(b.Context(), filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// A state that is new has what migrations make of one of before.
func TestNewStateIsWhatMigrationsMake(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.db")
	check(t, os.WriteFile(empty, nil, 0o600)) // a file that is there is migrated
	made, migrated := contents(t, filepath.Join(dir, "new.db")), contents(t, empty)
	if !slices.Equal(made, migrated) {
		t.Errorf("a new state has\n%s\n\nmigrations make\n%s", strings.Join(made, "\n"), strings.Join(migrated, "\n"))
	}
	if len(made) < 20 {
		t.Errorf("a state has %d tables, indexes and versions only", len(made))
	}
}

// contents are the tables and indexes of a state that is opened, written alike, and
// the versions of its schema.
func contents(t *testing.T, path string) (list []string) {
	s, err := Open(t.Context(), path)
	check(t, err)
	defer s.Close()
	rows, err := s.reader.Query(`SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema UNION ALL SELECT 'version ' || version_id || ' ' || is_applied FROM goose_db_version`)
	check(t, err)
	defer rows.Close()
	comment, blanks := regexp.MustCompile(`--.*`), regexp.MustCompile(`\s*([(),]|\s)\s*`)
	for rows.Next() {
		var line string
		check(t, rows.Scan(&line))
		line = blanks.ReplaceAllString(comment.ReplaceAllString(line, ""), "$1")
		list = append(list, strings.Join(strings.Fields(line), " "))
	}
	check(t, rows.Err())
	slices.Sort(list)
	return list
}

// Whoever takes a state away to start afresh, and leaves what a killed process left
// beside it, starts afresh.
func TestNothingOfAStateThatWasTakenAway(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "state.db")
	before, err := Open(ctx, path)
	check(t, err)
	defer before.Close()
	_, err = before.PutDataset(ctx, "sandbox", "d-1", "shapes")
	check(t, err)
	log, err := os.ReadFile(path + "-wal")
	check(t, err)
	if len(log) == 0 {
		t.Fatal("nothing is in the log")
	}
	check(t, os.Remove(path))
	check(t, os.WriteFile(path+"-new", []byte("what was half made"), 0o600))

	s, err := Open(ctx, path)
	check(t, err)
	defer s.Close()
	var datasets int
	check(t, s.reader.QueryRow(`SELECT count(*) FROM datasets`).Scan(&datasets))
	if datasets != 0 {
		t.Error("the new state knows a dataset of the old one")
	}
	if _, err := os.Stat(path + "-new"); !os.IsNotExist(err) {
		t.Errorf("what was half made is still there: %v", err)
	}
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the state is there for others too: %v", info.Mode())
	}
}
