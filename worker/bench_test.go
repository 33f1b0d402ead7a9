package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"pictosync/bench"
	"pictosync/source"
	"pictosync/worker"
)

// benchmarkFile is a COCO file of 10,000 images, a twelfth of COCO's training set.
func benchmarkFile(b *testing.B) (path string, size int64) {
	spec := bench.Train2017
	spec.Images = 10_000
	path = filepath.Join(b.TempDir(), "labels.json")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := bench.WriteCOCO(f, spec); err != nil {
		b.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path, info.Size()
}

// BenchmarkConvert is a whole conversion, and its last stages alone.
func BenchmarkConvert(b *testing.B) {
	path, size := benchmarkFile(b)
	ctx := context.Background()
	open := func(b *testing.B) source.Source {
		src, err := source.Open(ctx, path, source.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return src
	}
	run := func(b *testing.B, src source.Source, out worker.Output) {
		summary, err := worker.Convert(ctx, src, worker.ConvertOptions{Encode: out.Encode}, out.Write)
		if err != nil || summary.Images.Failed > 0 {
			b.Fatal(summary, err)
		}
		if err := out.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			out, err := worker.NewCanonicalOutput(filepath.Join(b.TempDir(), "out.jsonl"))
			if err != nil {
				b.Fatal(err)
			}
			run(b, open(b), out)
		}
	})
	b.Run("indexed", func(b *testing.B) {
		src := open(b)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			out, err := worker.NewCanonicalOutput(filepath.Join(b.TempDir(), "out.jsonl"))
			if err != nil {
				b.Fatal(err)
			}
			run(b, src, out)
		}
	})
	b.Run("converted", func(b *testing.B) {
		src := open(b)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := worker.Convert(ctx, src, worker.ConvertOptions{}, func(*worker.Converted) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
