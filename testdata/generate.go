//go:build ignore

// Command generate makes the shapes: small pictures of circles, squares and
// triangles, labelled as a YOLO folder (shapes/) and as a COCO file with
// polygons and triangle corners as keypoints (shapes.coco.json).
//
//	go run testdata/generate.go
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	width, height = 160, 120 // pixels
	pictures      = 12
)

var classes = []string{"circle", "square", "triangle"}

type shape struct {
	class   int
	corners [][2]float64 // pixels
}

func main() {
	log.SetFlags(0)
	rng := rand.New(rand.NewPCG(1, 2))
	root := filepath.Join("testdata", "shapes")
	for _, split := range []string{"train", "val"} {
		for _, kind := range []string{"images", "labels"} {
			check(os.MkdirAll(filepath.Join(root, kind, split), 0o755))
		}
	}
	coco := newCOCO()
	for n := range pictures {
		split := "train"
		if n >= 9 {
			split = "val"
		}
		var shapes []shape
		for i := range n % 4 { // every fourth picture is empty
			shapes = append(shapes, randomShape(rng, i))
		}
		name := fmt.Sprintf("shapes_%02d", n)
		check(os.WriteFile(filepath.Join(root, "images", split, name+".png"), picture(shapes), 0o644))
		if n != 8 { // an image without a label file: nothing is said about it
			check(os.WriteFile(filepath.Join(root, "labels", split, name+".txt"), yolo(shapes), 0o644))
		}
		coco.add(split+"/"+name+".png", shapes)
	}
	check(os.WriteFile(filepath.Join(root, "data.yaml"), []byte("path: .\ntrain: images/train\nval: images/val\nnames:\n  0: circle\n  1: square\n  2: triangle\n"), 0o644))
	data, err := json.MarshalIndent(coco, "", " ")
	check(err)
	check(os.WriteFile(filepath.Join("testdata", "shapes.coco.json"), append(data, '\n'), 0o644))
}

// randomShape places a shape in one of the three columns of the picture.
func randomShape(rng *rand.Rand, column int) shape {
	s := shape{class: rng.IntN(len(classes))}
	r := 12 + rng.Float64()*12
	cx, cy := 27+float64(column)*53, 30+rng.Float64()*60
	corners := map[int]int{0: 24, 1: 4, 2: 3}[s.class]
	turn := rng.Float64() * math.Pi
	for i := range corners {
		a := turn + 2*math.Pi*float64(i)/float64(corners)
		s.corners = append(s.corners, [2]float64{round(cx + r*math.Cos(a)), round(cy + r*math.Sin(a))})
	}
	return s
}

func round(v float64) float64 { return math.Round(v*4) / 4 }

func (s shape) box() (x, y, w, h float64) {
	x, y = math.Inf(1), math.Inf(1)
	right, bottom := math.Inf(-1), math.Inf(-1)
	for _, c := range s.corners {
		x, y, right, bottom = min(x, c[0]), min(y, c[1]), max(right, c[0]), max(bottom, c[1])
	}
	return x, y, right - x, bottom - y
}

// contains is the even-odd rule.
func (s shape) contains(x, y float64) bool {
	in := false
	for i, a := range s.corners {
		b := s.corners[(i+1)%len(s.corners)]
		if (a[1] > y) != (b[1] > y) && x < (b[0]-a[0])*(y-a[1])/(b[1]-a[1])+a[0] {
			in = !in
		}
	}
	return in
}

func picture(shapes []shape) []byte {
	img := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{
		color.RGBA{0xf4, 0xf1, 0xea, 0xff}, color.RGBA{0x2a, 0x6f, 0x97, 0xff}, color.RGBA{0xc8, 0x55, 0x3d, 0xff}, color.RGBA{0x58, 0x81, 0x57, 0xff}})
	draw.Draw(img, img.Rect, image.NewUniform(img.Palette[0]), image.Point{}, draw.Src)
	for _, s := range shapes {
		for y := range height {
			for x := range width {
				if s.contains(float64(x)+0.5, float64(y)+0.5) {
					img.SetColorIndex(x, y, uint8(s.class+1))
				}
			}
		}
	}
	var out bytes.Buffer
	check(png.Encode(&out, img))
	return out.Bytes()
}

func yolo(shapes []shape) []byte {
	var out bytes.Buffer
	for _, s := range shapes {
		x, y, w, h := s.box()
		fmt.Fprintf(&out, "%d %.6f %.6f %.6f %.6f\n", s.class, (x+w/2)/width, (y+h/2)/height, w/width, h/height)
	}
	return out.Bytes()
}

type cocoFile struct {
	Images      []map[string]any `json:"images"`
	Categories  []map[string]any `json:"categories"`
	Annotations []map[string]any `json:"annotations"`
}

func newCOCO() *cocoFile {
	f := &cocoFile{}
	for i, name := range classes {
		category := map[string]any{"id": i + 1, "name": name}
		if name == "triangle" {
			category["keypoints"] = []string{"corner_a", "corner_b", "corner_c"}
			category["skeleton"] = [][]int{{1, 2}, {2, 3}, {3, 1}}
		}
		f.Categories = append(f.Categories, category)
	}
	return f
}

func (f *cocoFile) add(name string, shapes []shape) {
	id := len(f.Images) + 1
	f.Images = append(f.Images, map[string]any{"id": id, "file_name": name, "width": width, "height": height})
	for _, s := range shapes {
		x, y, w, h := s.box()
		a := map[string]any{"id": len(f.Annotations) + 1, "image_id": id, "category_id": s.class + 1, "bbox": []float64{x, y, w, h}, "area": w * h, "iscrowd": 0}
		var flat []float64
		for _, c := range s.corners {
			flat = append(flat, c[0], c[1])
		}
		a["segmentation"] = [][]float64{flat}
		if classes[s.class] == "triangle" {
			var keypoints []float64
			for _, c := range s.corners {
				keypoints = append(keypoints, c[0], c[1], 2)
			}
			a["keypoints"], a["num_keypoints"] = keypoints, 3
		}
		f.Annotations = append(f.Annotations, a)
	}
}

func check(err error) {
	if err != nil {
		log.Fatalf("generate: %v", err)
	}
}
