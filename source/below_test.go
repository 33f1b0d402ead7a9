package source

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBelow(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "set", "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "set", "through": ".", "inner": filepath.Join("set", "images")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, test := range []struct{ folder, file, rel string }{
		{"set", "set/images/a", "images/a"},
		{"set", filepath.Join(dir, "set"), "."},
		{"./set/", filepath.Join(dir, "set/images/there/or/not"), "images/there/or/not"},
		{filepath.Join(dir, "set"), "link/images", "images"},
		{"through/set", filepath.Join(dir, "link/images"), "images"},
		{"set", "inner", "images"},
		{"set", "set2", ""},
		{"set", "", ""},
		{"missing", "set", ""},
	} {
		if rel, ok := Below(test.folder, test.file); rel != test.rel || ok != (test.rel != "") {
			t.Errorf("Below(%q, %q) = %q, %v", test.folder, test.file, rel, ok)
		}
	}
}
