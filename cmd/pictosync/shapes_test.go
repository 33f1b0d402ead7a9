package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"

	"pictosync/pictograph"
	"pictosync/view"
)

// TestDrawnAlike holds what a browser makes of a shape against what the pictures of draw
// show of it, which conformance/check_drawn.py holds against pycocotools.
func TestDrawnAlike(t *testing.T) {
	b := newTab(t, chromium(t))
	const width, height = 320, 240
	ring := func(points ...float64) (r []pictograph.Point) {
		for i := 0; i < len(points); i += 2 {
			r = append(r, pictograph.Point{X: points[i], Y: points[i+1]})
		}
		return r
	}
	shapes := map[string]pictograph.Geometry{
		"box":      pictograph.BBox{Box: pictograph.Box{X: 30.5, Y: 20.25, W: 140, H: 90}},
		"oriented": pictograph.BBox{Box: pictograph.Box{X: 1, Y: 1, W: 2, H: 2}, Oriented: &pictograph.OrientedBox{CX: 150, CY: 120, W: 180, H: 60, Angle: 33}},
		"polygon":  pictograph.Polygon{Rings: [][]pictograph.Point{ring(20, 20, 300, 40, 260, 220, 150, 130, 40, 200)}},
		"hole":     pictograph.Polygon{Rings: [][]pictograph.Point{ring(20, 20, 300, 20, 300, 220, 20, 220), ring(100, 80, 200, 80, 150, 180)}},
	}
	for name, g := range shapes {
		a := pictograph.Annotation{ID: "1", Name: "car", Geometry: g}
		part := view.NewImage(view.Picture{Path: "a.png", Width: width, Height: height, After: []pictograph.Annotation{a}, AfterKnown: true}, "", "")
		var page bytes.Buffer
		if err := (view.Page{Title: name, Inline: true, Image: part}).Write(&page); err != nil {
			t.Fatal(err)
		}
		path := regexp.MustCompile(`<path d="[^"]*"`).Find(page.Bytes())
		if path == nil {
			t.Fatalf("%s: the page has no shape", name)
		}
		// The page's own style, but for what makes the shape look through and lined.
		alone := fmt.Sprintf(`<!doctype html><html data-ready="yes"><style>body { margin: 0 } %s .shape path { fill: #000 !important; fill-opacity: 1 !important; stroke: none !important; opacity: 1 !important }</style><body style="background: #fff"><svg width="%d" height="%d" viewBox="0 0 %d %d"><g class="shape after shown %s">%s></path></g></svg></body></html>`,
			style(t), width, height, width, height, name, path)
		b.do(chromedp.EmulateViewport(width, height))
		b.open("data:text/html;base64," + base64.StdEncoding.EncodeToString([]byte(alone)))
		data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		shown, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if iou := overlapOf(shown, view.Mask(a, width, height, 1)); iou < 0.98 {
			t.Errorf("%s: what the browser shows covers %.3f of what is drawn", name, iou)
		}
	}
}

func style(t *testing.T) []byte {
	t.Helper()
	css, err := os.ReadFile(filepath.Join("..", "..", "view", "assets", "view.css"))
	if err != nil {
		t.Fatal(err)
	}
	return css
}

// overlapOf is the intersection over union of what is dark in a picture and a mask.
func overlapOf(shown image.Image, mask *image.Alpha) float64 {
	both, either := 0, 0
	for y := range mask.Bounds().Dy() {
		for x := range mask.Bounds().Dx() {
			r, _, _, _ := shown.At(x, y).RGBA()
			dark, in := r < 0x8000, mask.AlphaAt(x, y).A > 0
			if dark && in {
				both++
			}
			if dark || in {
				either++
			}
		}
	}
	return float64(both) / float64(max(1, either))
}
