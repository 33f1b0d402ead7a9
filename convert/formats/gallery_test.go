package formats

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/source"
)

var update = flag.Bool("update", false, "write what the gallery gives as what is expected of it")

// Every sloppy and hostile input of the gallery gives its findings, its
// failures and what is left of it, and nothing else.
func TestGallery(t *testing.T) {
	const gallery = "../../testdata/gallery"
	cases, err := os.ReadDir(gallery)
	if err != nil || len(cases) == 0 {
		t.Fatalf("no gallery: %v", err)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			folder := filepath.Join(gallery, c.Name())
			var o convert.OpenOptions
			if sizes := filepath.Join(folder, "sizes.csv"); source.Existing(sizes) != "" {
				o.Sizes = sizes
			}
			src, findings := opened(t, folder, o)
			var lines []string
			for _, item := range items(t, src, "") {
				line := item.Image + ":"
				result, err := convert.Result{}, item.Err
				if err == nil {
					result, err = src.Load(t.Context(), item, convert.Size{})
				}
				if err != nil {
					lines = append(lines, fmt.Sprintf("%s ERROR %v", line, err))
					continue
				}
				for _, a := range result.Annotations {
					line += fmt.Sprintf(" %s %s", a.Geometry.Type(), a.Name)
				}
				if result.LeftOut > 0 {
					line += fmt.Sprintf(" (%d dropped)", result.LeftOut)
				}
				lines = append(lines, line)
				for _, f := range result.Findings {
					lines = append(lines, "    "+findingText(f))
				}
			}
			var own []string
			for _, f := range *findings {
				own = append(own, findingText(f))
			}
			slices.Sort(own)
			got := strings.Join(append(own, lines...), "\n") + "\n"
			file := filepath.Join(folder, "expected.golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func findingText(f convert.Finding) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s", f.Kind, f.At)) + ": " + f.Reason + "; " + f.Action
}
