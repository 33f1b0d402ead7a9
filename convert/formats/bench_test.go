package formats_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pictosync/bench/labels"
	"pictosync/convert"
	"pictosync/convert/formats"
)

// writtenCOCO is a COCO file of 10,000 images, a twelfth of COCO's training set.
func writtenCOCO(b *testing.B) (path string, size int64) {
	spec := labels.Train2017
	spec.Images = 10_000
	path = filepath.Join(b.TempDir(), "labels.json")
	size, err := labels.WriteCOCOFile(path, spec)
	if err != nil {
		b.Fatal(err)
	}
	return path, size
}

// boundaries finds the objects of a list byte by byte, which is what every reader
// has to do at least; it returns how many there are.
func boundaries(r io.Reader) (objects int, err error) {
	buffer := make([]byte, 1<<20)
	depth, text, escaped := 0, false, false
	for {
		n, err := r.Read(buffer)
		for _, c := range buffer[:n] {
			switch {
			case escaped:
				escaped = false
			case text:
				escaped, text = c == '\\', c != '"'
			case c == '"':
				text = true
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				if depth--; c == '}' && depth == 2 {
					objects++
				}
			}
		}
		if err == io.EOF {
			return objects, nil
		}
		if err != nil {
			return objects, err
		}
	}
}

// BenchmarkCOCO is a COCO file stage by stage, each with those before it but for
// the index, which the later stages have done.
func BenchmarkCOCO(b *testing.B) {
	path, size := writtenCOCO(b)
	ctx := context.Background()
	open := func(b *testing.B) convert.Source {
		src, err := formats.Open(ctx, path, convert.OpenOptions{})
		if err != nil {
			b.Fatal(err)
		}
		return src
	}
	run := func(name string, f func(*testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			f(b)
		})
	}
	run("boundaries", func(b *testing.B) {
		for b.Loop() {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := boundaries(f); err != nil || n < 10_000 {
				b.Fatal(n, err)
			}
			f.Close()
		}
	})
	run("index", func(b *testing.B) {
		for b.Loop() {
			open(b)
		}
	})
	run("walk", func(b *testing.B) {
		src := open(b)
		for b.Loop() {
			for _, err := range src.Items(ctx, "") {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	run("load", func(b *testing.B) { loadAll(b, open(b)) })
}

// loadAll reads and converts all items, one after the other.
func loadAll(b *testing.B, src convert.Source) {
	ctx := context.Background()
	for b.Loop() {
		for item, err := range src.Items(ctx, "") {
			if err != nil {
				b.Fatal(err)
			}
			r, err := src.Load(ctx, item, convert.Size{})
			if err != nil {
				b.Fatal(err)
			}
			r.Release()
		}
	}
}

// BenchmarkYOLO is a YOLO folder of 5,000 labels with images.
func BenchmarkYOLO(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	spec := labels.Spec{Images: 5000, PerImage: 7, Seed: 1, Masks: 0.1, Order: labels.Sorted, PerFolder: 1000, Pictures: true}
	if err := labels.WriteYOLO(dir, spec); err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	open := func(b *testing.B) convert.Source {
		src, err := formats.Open(ctx, dir, convert.OpenOptions{})
		if err != nil {
			b.Fatal(err)
		}
		return src
	}
	b.Run("plain read", func(b *testing.B) {
		for b.Loop() {
			err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					_, err = os.ReadFile(path)
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			for _, err := range open(b).Items(ctx, "") {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		loadAll(b, open(b))
	})
}
