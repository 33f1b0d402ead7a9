package labels

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// WriteYOLO writes a YOLO folder in Ultralytics' layout: data.yaml, labels/train
// and, with Pictures, images/train, else sizes.csv.
func WriteYOLO(dir string, s Spec) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.Keypoints > 0 {
		return fmt.Errorf("write %s: keypoints in YOLO folders are not made", dir)
	}
	o := yoloWriter{spec: s, dir: dir, pictures: make(map[[2]int][]byte)}
	if err := o.describe(); err != nil {
		return err
	}
	sizes, err := os.Create(filepath.Join(dir, "sizes.csv"))
	if err != nil {
		return err
	}
	defer sizes.Close()
	list := bufio.NewWriterSize(sizes, 1<<20)
	list.WriteString("image,width,height\n")
	for image := range s.Images {
		if err := o.image(image, list); err != nil {
			return err
		}
	}
	if err := list.Flush(); err != nil {
		return err
	}
	if s.Pictures {
		return os.Remove(sizes.Name())
	}
	return sizes.Close()
}

type yoloWriter struct {
	spec     Spec
	dir      string
	folder   string // that the last image lies in
	pictures map[[2]int][]byte
	label    []byte
	points   []point
}

func (o *yoloWriter) describe() error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	text := []byte("path: .\ntrain: images/train\nnames:\n")
	for class, name := range classNames {
		text = fmt.Appendf(text, "  %d: %s\n", class, name)
	}
	return os.WriteFile(filepath.Join(o.dir, "data.yaml"), text, 0o644)
}

func (o *yoloWriter) image(image int, sizes *bufio.Writer) error {
	folder, name := o.place(image)
	if folder != o.folder {
		for _, kind := range []string{"labels", "images"} {
			if err := os.MkdirAll(filepath.Join(o.dir, kind, filepath.FromSlash(folder)), 0o755); err != nil {
				return err
			}
		}
		o.folder = folder
	}
	first := image
	if o.spec.Distinct > 0 {
		first %= o.spec.Distinct
	}
	width, height := o.spec.size(first)
	fmt.Fprintf(sizes, "%s/%s.jpg,%d,%d\n", folder, name, width, height)
	if first < image {
		if o.spec.Pictures {
			if err := os.Link(o.file("images", first, ".png"), o.file("images", image, ".png")); err != nil {
				return err
			}
		}
		return os.Link(o.file("labels", first, ".txt"), o.file("labels", image, ".txt"))
	}
	if o.spec.Pictures {
		picture, err := o.picture(width, height)
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.file("images", image, ".png"), picture, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(o.file("labels", image, ".txt"), o.lines(image, width, height), 0o644)
}

func (o *yoloWriter) place(image int) (folder, name string) {
	folder = "train"
	if o.spec.PerFolder > 0 {
		folder = fmt.Sprintf("train/%06d", image/o.spec.PerFolder)
	}
	return folder, fmt.Sprintf("%012d", image)
}

func (o *yoloWriter) file(kind string, image int, extension string) string {
	folder, name := o.place(image)
	return filepath.Join(o.dir, kind, filepath.FromSlash(folder), name+extension)
}

// picture is an empty PNG, as small as one of that size can be.
func (o *yoloWriter) picture(width, height int) ([]byte, error) {
	size := [2]int{width, height}
	if o.pictures[size] == nil {
		var data bytes.Buffer
		if err := png.Encode(&data, image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black, color.White})); err != nil {
			return nil, err
		}
		o.pictures[size] = data.Bytes()
	}
	return o.pictures[size], nil
}

func (o *yoloWriter) lines(image, width, height int) []byte {
	label := o.label[:0]
	for n := range o.spec.count(image) {
		r := o.spec.numbers(forAnnotation, image<<10|n)
		e := place(r, width, height)
		polygon := r.Float64() < o.spec.Masks
		label = strconv.AppendInt(label, int64(class(r)), 10)
		if !polygon {
			for _, v := range [...]float64{(e.x + e.w/2) / float64(width), (e.y + e.h/2) / float64(height), e.w / float64(width), e.h / float64(height)} {
				label = appendShare(label, v)
			}
		} else {
			o.points = ring(o.points[:0], r, e)
			for _, p := range o.points {
				label = appendShare(appendShare(label, p.x/float64(width)), p.y/float64(height))
			}
		}
		label = append(label, '\n')
	}
	o.label = label
	return label
}

func appendShare(dst []byte, v float64) []byte {
	return strconv.AppendFloat(append(dst, ' '), math.Min(1, v), 'f', 6, 64)
}
