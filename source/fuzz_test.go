package source

import (
	"os"
	"path/filepath"
	"testing"
)

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
