package source

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestEntriesAreThoseOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	for n := range 3000 {
		name := fmt.Sprintf("%d-%c", n*7919%3000, 'a'+rune(n%700))
		if n%100 == 0 {
			os.Mkdir(filepath.Join(dir, name), 0o755)
			os.Symlink(name, filepath.Join(dir, "link to "+name))
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadEntries(dir)
	if err != nil || len(got.List) != len(want) {
		t.Fatalf("%d entries of %d, %v", len(got.List), len(want), err)
	}
	for i, e := range got.List {
		if got.Name(e) != want[i].Name() || e.Kind != kindOf(want[i].Type()) {
			t.Fatalf("entry %d is %q, %d; want %v", i, got.Name(e), e.Kind, want[i])
		}
		if from := got.From(want[i].Name()); len(from) != len(want)-i {
			t.Fatalf("%d entries from %q on, not %d", len(from), want[i].Name(), len(want)-i)
		}
	}
	if _, err := ReadEntries(filepath.Join(dir, "none")); !IsMissing(err) {
		t.Error(err)
	}
}
