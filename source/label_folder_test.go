package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pictosync/convert"
)

// Labels that are spelled otherwise than their images are labels of these.
func TestImagesWithoutLabelsAmongOddNames(t *testing.T) {
	root := labelled(t, []string{"a b.png", "cafe\u0301.png", "c d.png", "e%2Epng.jpg", "b.png"},
		[]string{"a%20b.txt", "caf\u00e9.txt", "c%20d.png.txt", "e.png.txt"})
	want := []string{"b.png"}
	if told := unlabelled(root); !slices.Equal(told, want) {
		t.Errorf("without a label: %q, want %q", told, want)
	}
}

// The time that an image takes stays the same, however many have no label.
func BenchmarkImagesWithoutLabelsAmongOddNames(b *testing.B) {
	for _, n := range []int{1000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var images, labels []string
			for i := range n {
				images = append(images, fmt.Sprintf("image%d.png", i))
				labels = append(labels, fmt.Sprintf("label%d.txt", i))
			}
			root := labelled(b, images, append(labels, "a%20b.txt"))
			for b.Loop() {
				unlabelled(root)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/image")
		})
	}
}

// labelled is a data set of empty images and labels.
func labelled(t testing.TB, images, labels []string) (root string) {
	t.Helper()
	root = t.TempDir()
	for folder, names := range map[string][]string{"images": images, "labels": labels} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(root, folder, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// unlabelled are the images that are told of as having no label.
func unlabelled(root string) (images []string) {
	reporter := convert.NewReporter(func(f convert.Finding) {
		if f.Image != "" {
			images = append(images, f.Image)
		}
	})
	f := LabelFolder{Files: Files{Reporter: reporter}, Root: root, Ext: ".txt", Listings: &Listings{},
		Once: func(string) bool { return true }, Elsewhere: func(string) []string { return nil }}
	f.Enter(filepath.Join(root, "labels"), "labels", "", "images", []ImageFolder{{Path: filepath.Join(root, "images")}})
	return images
}
