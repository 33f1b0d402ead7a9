package view

import (
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"git.sr.ht/~sbinet/gg"
	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"

	"pictosync/compare"
	"pictosync/pictograph"
)

// paperColour is what labels are drawn on where there is no picture.
var paperColour = color.RGBA{0xec, 0xee, 0xf1, 0xff}

// Paint are how labels are painted into a picture.
type Paint struct {
	// Side is the longer side of what is painted, in pixels; larger pictures are made
	// smaller. 0 keeps their size.
	Side int
	// NoNames leaves out the names of classes.
	NoNames bool
}

// Labelled paints what an image is to have over its photo, which may be nil.
func Labelled(p Picture, photo image.Image, o Paint) image.Image {
	w, h := p.size()
	width, height := int(w), int(h)
	if photo != nil {
		width, height = photo.Bounds().Dx(), photo.Bounds().Dy()
	}
	// An empty frame can be of any size that a label states; what is painted cannot.
	const most = 8192
	side := o.Side
	if side <= 0 || side > most {
		side = most
	}
	if longer := max(width, height); longer > side {
		scale := float64(side) / float64(longer)
		width, height = max(1, int(float64(width)*scale+0.5)), max(1, int(float64(height)*scale+0.5))
	}
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(paperColour), image.Point{}, draw.Src)
	if photo != nil {
		draw.BiLinear.Scale(canvas, canvas.Bounds(), photo, photo.Bounds(), draw.Over, nil)
	}
	paintLabels(canvas, p, w, h, o.NoNames)
	return canvas
}

// paintLabels paints over a canvas that shows an image of w×h pixels.
func paintLabels(canvas *image.RGBA, p Picture, w, h float64, noNames bool) {
	c := painter{Context: gg.NewContextForRGBA(canvas), sx: float64(canvas.Bounds().Dx()) / w, sy: float64(canvas.Bounds().Dy()) / h}
	c.line = max(1.5, math.Sqrt(float64(canvas.Bounds().Dx()*canvas.Bounds().Dy()))/400)
	annotations := slices.Clone(p.After)
	slices.SortStableFunc(annotations, func(a, b pictograph.Annotation) int {
		return -int(math.Copysign(1, area(a)-area(b)))
	})
	for _, l := range limbs(annotations, p.Skeletons) {
		c.SetHexColor(colour(l.name))
		c.SetLineWidth(c.line)
		c.DrawLine(l.from.X*c.sx, l.from.Y*c.sy, l.to.X*c.sx, l.to.Y*c.sy)
		c.Stroke()
	}
	for _, a := range annotations {
		c.shape(formOf(a), colour(a.Name))
	}
	if noNames {
		return
	}
	c.size = math.Round(min(max(11, c.line*7), 44))
	c.SetFontFace(face(c.size))
	joints := make(map[int]int)
	for _, a := range annotations {
		if k, ok := a.Geometry.(pictograph.Keypoint); ok {
			joints[k.Instance]++
		}
	}
	for _, a := range annotations {
		if k, ok := a.Geometry.(pictograph.Keypoint); ok && k.Instance > 0 && joints[k.Instance] > 4 {
			continue // the names of a pose's joints would hide it
		}
		c.name(a)
	}
}

func area(a pictograph.Annotation) float64 {
	b := compare.Bounds(a)
	return b.W * b.H
}

type painter struct {
	*gg.Context
	sx, sy float64 // pixels of the canvas a pixel of the image
	line   float64 // width
	size   float64 // of names
	taken  []image.Rectangle
}

func (c *painter) shape(f form, hex string) {
	c.SetHexColor(hex)
	c.SetLineWidth(c.line)
	if f.kind == "keypoint" {
		c.DrawCircle(f.at.X*c.sx, f.at.Y*c.sy, c.line*2.2)
		if f.hollow {
			c.Stroke()
			return
		}
		c.FillPreserve()
		c.SetRGBA(0, 0, 0, 0.6)
		c.SetLineWidth(max(1, c.line/3))
		c.Stroke()
		return
	}
	c.trace(f)
	if f.closed {
		r, g, b := rgbOf(hex)
		opacity := 46
		if f.kind == "box" || f.kind == "oriented" {
			opacity = 20 // it holds more than its object
		}
		c.SetRGBA255(r, g, b, opacity)
		c.FillPreserve()
	}
	c.SetHexColor(hex)
	c.Stroke()
}

// trace lays the path of a shape; its rings are filled by the even-odd rule.
func (c *painter) trace(f form) {
	c.SetFillRuleEvenOdd()
	for _, ring := range f.rings {
		for i, p := range ring {
			if i == 0 {
				c.MoveTo(p.X*c.sx, p.Y*c.sy)
			} else {
				c.LineTo(p.X*c.sx, p.Y*c.sy)
			}
		}
		if f.closed {
			c.ClosePath()
		}
	}
}

// name writes a class beside its shape, on a field of its colour, where no other name is.
func (c *painter) name(a pictograph.Annotation) {
	size := c.size
	label := text(a.Name)
	if runes := []rune(label); len(runes) > 40 {
		label = string(runes[:39]) + "…"
	}
	w, _ := c.MeasureString(label)
	pad := size / 4
	field := image.Rect(0, 0, int(w+2*pad+0.5), int(size*1.35+0.5))
	b := compare.Bounds(a)
	x, y := int(b.X*c.sx), int(b.Y*c.sy)-field.Dy()
	if y < 0 {
		y = int(b.Y * c.sy)
	}
	x = min(max(0, x), max(0, c.Width()-field.Dx()))
	y = min(max(0, y), max(0, c.Height()-field.Dy()))
	at := field.Add(image.Pt(x, y))
	for range 6 { // down, past names that are there already
		i := slices.IndexFunc(c.taken, func(t image.Rectangle) bool { return t.Overlaps(at) })
		if i < 0 {
			break
		}
		at = field.Add(image.Pt(x, c.taken[i].Max.Y))
	}
	if at.Max.Y > c.Height() {
		at = field.Add(image.Pt(x, y))
	}
	c.taken = append(c.taken, at)
	hex := colour(a.Name)
	c.SetHexColor(hex)
	c.DrawRectangle(float64(at.Min.X), float64(at.Min.Y), float64(at.Dx()), float64(at.Dy()))
	c.Fill()
	c.SetHexColor(inkOn(hex))
	c.DrawString(label, float64(at.Min.X)+pad, float64(at.Min.Y)+size*1.02)
}

func rgbOf(hex string) (r, g, b int) {
	v, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil {
		return 0, 0, 0
	}
	return int(v >> 16 & 255), int(v >> 8 & 255), int(v & 255)
}

// inkOn is black or white, whichever reads better on a colour.
func inkOn(hex string) string {
	r, g, b := rgbOf(hex)
	linear := func(v int) float64 { return math.Pow(float64(v)/255, 2.2) }
	if 0.2126*linear(r)+0.7152*linear(g)+0.0722*linear(b) > 0.18 {
		return "#000000"
	}
	return "#ffffff"
}

var parsedFont = sync.OnceValue(func() *opentype.Font {
	f, err := opentype.Parse(gomedium.TTF)
	if err != nil {
		panic(err) // it is embedded
	}
	return f
})

// face is the font at a size, for one picture: a face is not for several goroutines.
func face(size float64) font.Face {
	f, err := opentype.NewFace(parsedFont(), &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic(err) // its size is a number
	}
	return f
}

// Sheet puts pictures beside one another, each with its name.
func Sheet(pictures []image.Image, names []string, columns int) image.Image {
	const cell, gap, caption = 320, 12, 22
	columns = max(1, min(columns, len(pictures)))
	rows := (len(pictures) + columns - 1) / columns
	sheet := image.NewRGBA(image.Rect(0, 0, columns*(cell+gap)+gap, rows*(cell*3/4+caption+gap)+gap))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	c := gg.NewContextForRGBA(sheet)
	c.SetFontFace(face(13))
	c.SetHexColor("#24292f")
	for i, picture := range pictures {
		x, y := gap+i%columns*(cell+gap), gap+i/columns*(cell*3/4+caption+gap)
		b := picture.Bounds()
		scale := min(cell/float64(b.Dx()), cell*3/4/float64(b.Dy()))
		w, h := max(1, int(float64(b.Dx())*scale)), max(1, int(float64(b.Dy())*scale))
		at := image.Rect(0, 0, w, h).Add(image.Pt(x+(cell-w)/2, y+(cell*3/4-h)/2))
		draw.Draw(sheet, image.Rect(x, y, x+cell, y+cell*3/4), image.NewUniform(paperColour), image.Point{}, draw.Src)
		draw.CatmullRom.Scale(sheet, at, picture, b, draw.Over, nil)
		c.DrawString(shorten(c, text(names[i]), cell), float64(x), float64(y+cell*3/4+16))
	}
	return sheet
}

// shorten leaves out the beginning of a name that is wider than its place.
func shorten(c *gg.Context, name string, width float64) string {
	runes := []rune(name)
	for n := range runes {
		s := string(runes[n:])
		if n > 0 {
			s = "…" + s
		}
		if w, _ := c.MeasureString(s); w <= width {
			return s
		}
	}
	return ""
}

// Mask is where the shape of an annotation is, on a canvas whose pixels are scale of the
// image's: what tests hold against the masks of others.
func Mask(a pictograph.Annotation, width, height, scale int) *image.Alpha {
	canvas := image.NewRGBA(image.Rect(0, 0, width*scale, height*scale))
	c := painter{Context: gg.NewContextForRGBA(canvas), sx: float64(scale), sy: float64(scale)}
	c.SetRGB(1, 1, 1)
	c.trace(formOf(a))
	c.Fill()
	mask := image.NewAlpha(canvas.Bounds())
	for i := range mask.Pix {
		if canvas.Pix[4*i+3] >= 128 {
			mask.Pix[i] = 255
		}
	}
	return mask
}
