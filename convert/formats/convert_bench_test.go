package formats

import (
	"fmt"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/coco"
	"pictosync/convert/yolo"
)

// An annotation of COCO 2017's training set has a polygon of about 30 points.
func benchmarkAnnotations(images int) [][][]byte {
	all := make([][][]byte, images)
	for i := range all {
		for j := range 8 {
			var ring strings.Builder
			for k := range 60 {
				fmt.Fprintf(&ring, ", %d.%02d", (i*7+k*13)%640, (j*31+k)%100)
			}
			all[i] = append(all[i], fmt.Appendf(nil,
				`{"segmentation": [[%s]], "area": 702.1057499999998, "iscrowd": 0, "image_id": %d, "bbox": [473.07, 395.93, 38.65, 28.67], "category_id": %d, "id": %d}`,
				ring.String()[2:], i, 1+j%5*4, i*8+j))
		}
	}
	return all
}

func BenchmarkCOCOImage(b *testing.B) {
	c, _, err := coco.NewConverter([]byte(`[{"id": 1, "name": "a"}, {"id": 5, "name": "b"}, {"id": 9, "name": "c"}, {"id": 13, "name": "d"}, {"id": 17, "name": "e"}]`), "a.json", convert.Options{})
	if err != nil {
		b.Fatal(err)
	}
	images := benchmarkAnnotations(100)
	size, annotations := 0, 0
	for _, image := range images {
		annotations += len(image)
		for _, a := range image {
			size += len(a)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, image := range images {
			r := c.Image("a.jpg", convert.Size{Width: 640, Height: 480}, image)
			if r.LeftOut > 0 {
				b.Fatal(r.Findings)
			}
			r.Release()
		}
	}
	b.ReportMetric(float64(b.N*annotations)/b.Elapsed().Seconds(), "annotations/s")
}

func BenchmarkYOLOImage(b *testing.B) {
	for name, numbers := range map[string]int{"boxes": 4, "polygons": 60} {
		b.Run(name, func(b *testing.B) {
			y := yolo.Converter{Classes: map[int]string{0: "a"}}
			var line strings.Builder
			line.WriteString("0")
			for n := range numbers {
				fmt.Fprintf(&line, " 0.%06d", (345678+n*98765)%1_000_000)
			}
			label := []byte(strings.Repeat(line.String()+"\n", 20))
			b.SetBytes(int64(len(label)))
			b.ReportAllocs()
			for b.Loop() {
				r := y.Image("a.txt", "a.jpg", convert.Size{Width: 640, Height: 480}, label)
				if r.LeftOut > 0 {
					b.Fatal(r.Findings)
				}
				r.Release()
			}
			b.ReportMetric(float64(b.N*20)/b.Elapsed().Seconds(), "annotations/s")
		})
	}
}
