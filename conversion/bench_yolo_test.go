package conversion_test

import (
	"context"
	"path/filepath"
	"testing"

	"pictosync/bench/labels"
	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/formats"
)

// BenchmarkConvertYOLO is a conversion of a YOLO folder of 10,000 labels with images,
// which make bench-profile looks at as well.
func BenchmarkConvertYOLO(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	spec := labels.Spec{Images: 10_000, PerImage: 7, Seed: 1, Masks: 0.1, Order: labels.Sorted, PerFolder: 1000, Pictures: true}
	if err := labels.WriteYOLO(dir, spec); err != nil {
		b.Fatal(err)
	}
	out := filepath.Join(b.TempDir(), "out.jsonl")
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			src, err := formats.Open(context.Background(), dir, convert.OpenOptions{})
			if err != nil {
				b.Fatal(err)
			}
			lines, err := canonical.Format().Write.Create(convert.Output{Path: out, Mode: 0o600})
			if err != nil {
				b.Fatal(err)
			}
			all(b, src, lines)
			if err := lines.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
