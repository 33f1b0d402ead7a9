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
	got, err := readEntries(dir)
	if err != nil || len(got.list) != len(want) {
		t.Fatalf("%d entries of %d, %v", len(got.list), len(want), err)
	}
	for i, e := range got.list {
		if got.name(e) != want[i].Name() || e.kind != kindOf(want[i].Type()) {
			t.Fatalf("entry %d is %q, %d; want %v", i, got.name(e), e.kind, want[i])
		}
		if from := got.from(want[i].Name()); len(from) != len(want)-i {
			t.Fatalf("%d entries from %q on, not %d", len(from), want[i].Name(), len(want)-i)
		}
	}
	if _, err := readEntries(filepath.Join(dir, "none")); !isMissing(err) {
		t.Error(err)
	}
}
