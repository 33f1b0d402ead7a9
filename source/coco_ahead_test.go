package source

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
)

// A file whose halves are scanned at the same time has the index of one that is
// scanned from its beginning to its end, whatever stands where the second half was
// guessed to begin.
func TestScanAhead(t *testing.T) {
	padding := strings.Repeat("padding ", 8<<10)
	kinds := map[string]string{
		"plain":    `{"id": %d, "image_id": %d, "bbox": [1, 2, 3, 4], "caption": "%s"}`,
		"nested":   `{"id": %d, "image_id": %d, "attributes": {"a": [{"image_id": 1}, {"image_id": 2, "b": "%s"} , {"image_id": 3}]}}`,
		"text":     `{"id": %d, "image_id": "%d", "caption": "}, {\"image_id\": 1}, {%s"}`,
		"escaped":  `{"id": %d, "image\u005fid": %d, "caption": "%s"}`,
		"nameless": `{"id": %d, "image": %d, "caption": "%s"}`,
		"wrong":    `{"id": %d, "image_id": [%d], "caption": "%s"}`,
		"number":   `7 , %[2]d , {"image_id": %[1]d, "caption": "%[3]s"}`,
	}
	all := slices.Sorted(maps.Keys(kinds))
	seeds := uint64(12)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 7))
		names := all
		if seed < 2 {
			names = []string{"plain"}
		} else if seed < 4 {
			names = []string{"plain", "nested"}
		}
		var images strings.Builder
		for n := range 18 {
			if n > 0 {
				images.WriteString(", ")
			}
			// One list of images is so long that the second half begins in it.
			fmt.Fprintf(&images, `{"id": %d, "file_name": "%d.jpg", "license": "%s"}`, n, n, strings.Repeat(padding, int(seed/11)*20))
		}
		var b strings.Builder
		b.WriteString(`{"categories": [], `)
		imagesFirst := seed%2 == 1
		if imagesFirst {
			fmt.Fprintf(&b, `"images": [%s], `, images.String())
		}
		b.WriteString(`"annotations": [`)
		for n := range 400 {
			if n > 0 {
				b.WriteString([]string{",", ", ", " ,\n  "}[r.IntN(3)])
			}
			fmt.Fprintf(&b, kinds[names[r.IntN(len(names))]], n, r.IntN(20), padding[r.IntN(1000):])
		}
		b.WriteString("]")
		if !imagesFirst {
			fmt.Fprintf(&b, `, "images": [%s]`, images.String())
		}
		b.WriteString("}")
		path := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if b.Len() < aheadOf {
			t.Fatalf("%d bytes are not scanned ahead", b.Len())
		}
		type indexed struct {
			file     *cocoFile
			findings []finding
			spans    [][]span // by image
		}
		index := func(ahead bool) indexed {
			var findings []finding
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			x := cocoIndexer{file: &cocoFile{}, reporter: newReporter(func(f convert.Finding) { findings = append(findings, f) }),
				reports: make(kindCounts), beyond: make(kindCounts), slots: newIDSlots(int64(b.Len())), seen: make(map[string]bool)}
			if ahead {
				x.content, x.size = f, int64(b.Len())
			}
			if err := x.read(f); err != nil {
				t.Fatal(err)
			}
			x.group()
			return indexed{x.file, findings, spansOf(x.file)}
		}
		want, got := index(false), index(true)
		for _, i := range []indexed{want, got} { // the groups are in no order
			i.file.refs = refs{}
			for n := range i.file.images {
				i.file.images[n].first, i.file.images[n].end = 0, 0
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: scanned ahead, the index is another: %d images, %d findings; otherwise %d and %d", seed,
				len(got.file.images), len(got.findings), len(want.file.images), len(want.findings))
		}
	}
}

// spansOf is where the annotations of each image stand.
func spansOf(f *cocoFile) (spans [][]span) {
	for _, img := range f.images {
		spans = append(spans, f.refs.spans(nil, img.first, img.end))
	}
	return spans
}
