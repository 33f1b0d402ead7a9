package conversion_test

import (
	"context"
	"path/filepath"
	"testing"

	"pictosync/bench/labels"
	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/formats"
)

// benchmarkFile is a COCO file of 10,000 images, a twelfth of COCO's training set.
func benchmarkFile(b *testing.B) (path string, size int64) {
	spec := labels.Train2017
	spec.Images = 10_000
	path = filepath.Join(b.TempDir(), "labels.json")
	size, err := labels.WriteCOCOFile(path, spec)
	if err != nil {
		b.Fatal(err)
	}
	return path, size
}

// BenchmarkConvert is a conversion stage by stage, each with those before it but for
// the index, which only the whole makes anew.
func BenchmarkConvert(b *testing.B) {
	path, size := benchmarkFile(b)
	ctx := context.Background()
	open := func(b *testing.B) convert.Source {
		src, err := formats.Open(ctx, path, convert.OpenOptions{})
		if err != nil {
			b.Fatal(err)
		}
		return src
	}
	run := func(name string, do func(*testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				do(b)
			}
		})
	}
	output := func(b *testing.B) convert.Sink {
		out, err := canonical.Format().Write.Create(convert.Output{Path: filepath.Join(b.TempDir(), "out.jsonl"), Mode: 0o600})
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	src := open(b)
	run("converted", func(b *testing.B) {
		all(b, src, released{})
	})
	run("written", func(b *testing.B) {
		out := output(b)
		all(b, src, out)
		if err := out.Close(); err != nil {
			b.Fatal(err)
		}
	})
	run("whole", func(b *testing.B) {
		out := output(b)
		all(b, open(b), out)
		if err := out.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

func all(b *testing.B, src convert.Source, sink convert.Sink) {
	summary, err := conversion.Run(context.Background(), src, conversion.Options{Sink: sink}, func(*conversion.Image) error { return nil })
	if err != nil || summary.Images.Failed > 0 {
		b.Fatal(summary, err)
	}
}

// released is no output at all.
type released struct{}

func (released) Encode(dst []byte, c *convert.Converted) []byte {
	c.Result.Release()
	return dst
}
func (released) WriteEncoded([]byte) error      { return nil }
func (released) Write(*convert.Converted) error { return nil }
func (released) Written() convert.Written       { return convert.Written{} }
func (released) Close() error                   { return nil }
func (released) Abort()                         {}
