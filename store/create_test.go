package store

import (
	"fmt"
	"os"
	"path/filepath"
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
