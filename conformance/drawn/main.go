// Command drawn prints the shapes of a source's annotations as they are drawn, one JSON line
// each, for check_drawn.py: run lengths column by column, as COCO counts them, of a canvas
// around the annotation whose pixels are a part of the image's.
//
//	go run ./conformance/drawn SOURCE SCALE [IMAGES]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"image"
	"log"
	"math"
	"os"
	"strconv"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/pictograph"
	"pictosync/view"
)

type shape struct {
	Image  string `json:"image"`
	ID     string `json:"id"`
	Type   string `json:"type"`
	Origin [2]int `json:"origin"` // of the canvas, in pixels of the image
	Size   [2]int `json:"size"`   // height and width of the canvas
	Counts []int  `json:"counts"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: drawn SOURCE SCALE [IMAGES]")
	}
	scale, err := strconv.Atoi(os.Args[2])
	if err != nil || scale < 1 {
		log.Fatalf("%q is no scale", os.Args[2])
	}
	options := convert.OpenOptions{}
	if len(os.Args) > 3 {
		options.Images = os.Args[3]
	}
	if err := run(context.Background(), os.Args[1], scale, options); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string, scale int, o convert.OpenOptions) error {
	src, err := formats.Open(ctx, path, o)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(os.Stdout)
	out := json.NewEncoder(w)
	for item, err := range src.Items(ctx, "") {
		if err != nil {
			return err
		}
		if item.Err != nil {
			continue
		}
		result, err := src.Load(ctx, item, convert.Size{})
		if err != nil {
			continue // labels without a size: there is nothing to draw
		}
		for _, a := range result.Annotations {
			if s, ok := shapeOf(a, scale); ok {
				s.Image = item.Image
				if err := out.Encode(s); err != nil {
					return err
				}
			}
		}
	}
	return w.Flush()
}

func shapeOf(a pictograph.Annotation, scale int) (s shape, ok bool) {
	b := compare.Bounds(a)
	x, y := int(math.Floor(b.X))-1, int(math.Floor(b.Y))-1
	width, height := int(math.Ceil(b.X+b.W))+1-x, int(math.Ceil(b.Y+b.H))+1-y
	moved, ok := move(a, float64(x), float64(y))
	if !ok {
		return s, false
	}
	mask := view.Mask(moved, width, height, scale)
	kind, _, _ := view.Extent(a)
	return shape{ID: a.ID, Type: kind, Origin: [2]int{x, y}, Size: [2]int{height * scale, width * scale}, Counts: countsOf(mask)}, true
}

// move brings an annotation to the canvas around it.
func move(a pictograph.Annotation, x, y float64) (pictograph.Annotation, bool) {
	switch g := a.Geometry.(type) {
	case pictograph.BBox:
		g.Box.X, g.Box.Y = g.Box.X-x, g.Box.Y-y
		if g.Oriented != nil {
			o := *g.Oriented
			o.CX, o.CY = o.CX-x, o.CY-y
			g.Oriented = &o
		}
		a.Geometry = g
	case pictograph.Polygon:
		var rings [][]pictograph.Point
		for _, ring := range g.Rings {
			var moved []pictograph.Point
			for _, p := range ring {
				moved = append(moved, pictograph.Point{X: p.X - x, Y: p.Y - y})
			}
			rings = append(rings, moved)
		}
		a.Geometry = pictograph.Polygon{Rings: rings}
	default:
		return a, false
	}
	return a, true
}

// countsOf are the run lengths of a mask, column by column, of what is not in it first.
func countsOf(mask *image.Alpha) (counts []int) {
	b := mask.Bounds()
	inside, n := false, 0
	for x := range b.Dx() {
		for y := range b.Dy() {
			if now := mask.Pix[y*mask.Stride+x] > 0; now != inside {
				counts = append(counts, n)
				inside, n = now, 0
			}
			n++
		}
	}
	return append(counts, n)
}
