package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // pictures are of these formats
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	exif "pictosync/internal/orientation"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

// maxPixels bounds a picture that is decoded: four bytes a pixel are held.
const maxPixels = 120_000_000

// maxThumbnails bounds the folder of thumbnails, in bytes.
const maxThumbnails = 512 << 20

// ThumbnailSide is the longer side of a thumbnail, in pixels.
const ThumbnailSide = 480

// Photos reads pictures from disk, as a decoder shows them, EXIF orientation applied. Few
// are decoded at once, so that memory stays bounded however many a page shows.
type Photos struct {
	cache string // folder of thumbnails, "" for none
	room  chan struct{}
}

// NewPhotos reads pictures; cache is the folder that keeps their thumbnails, "" for none.
func NewPhotos(cache string) *Photos {
	return &Photos{cache: cache, room: make(chan struct{}, 3)}
}

// Check looks at a picture's header: its error says why it cannot be shown.
func (p *Photos) Check(file string) error {
	f, _, _, err := examine(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// Size is how large a picture is, upright; 0 where that cannot be read.
func (p *Photos) Size(file string) (width, height int) {
	f, _, orientation, err := examine(file)
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	config, _, err := image.DecodeConfig(f)
	if err != nil {
		return 0, 0
	}
	if orientation >= 5 {
		return config.Height, config.Width
	}
	return config.Width, config.Height
}

// Open decodes a picture.
func (p *Photos) Open(file string) (image.Image, error) {
	p.room <- struct{}{}
	defer func() { <-p.room }()
	return p.open(file)
}

// open decodes a picture. The caller holds room for it.
func (p *Photos) open(file string) (image.Image, error) {
	img, orientation, err := decode(file)
	if err != nil {
		return nil, err
	}
	return upright(img, orientation), nil
}

// decode reads a picture as it is stored. What a decoder panics on is an error, as what it
// refuses.
func decode(file string) (img image.Image, orientation int, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, fmt.Errorf("read the picture %s: it is damaged: %v", filepath.Base(file), r)
		}
	}()
	f, _, orientation, err := examine(file)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if img, _, err = image.Decode(f); err != nil {
		return nil, 0, fmt.Errorf("read the picture %s: %w", filepath.Base(file), err)
	}
	return img, orientation, nil
}

// examine opens a picture and looks at its header.
func examine(file string) (f *os.File, format string, orientation int, err error) {
	name := filepath.Base(file)
	fail := func(err error) (*os.File, string, int, error) {
		return nil, "", 0, fmt.Errorf("read the picture %s: %w", name, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return fail(withoutPath(err))
	}
	if !info.Mode().IsRegular() { // a pipe could be waited for without end
		return fail(errors.New("it is no regular file"))
	}
	if f, err = os.Open(file); err != nil {
		return fail(withoutPath(err))
	}
	config, format, err := image.DecodeConfig(f)
	if err == nil && (config.Width <= 0 || config.Height <= 0) {
		err = errors.New("it has no pixels")
	}
	if err == nil && config.Width > maxPixels/config.Height {
		err = fmt.Errorf("it has %d×%d pixels, and at most %d million are decoded", config.Width, config.Height, maxPixels/1_000_000)
	}
	if err == nil {
		orientation = exif.Of(f, format)
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return fail(err)
	}
	return f, format, orientation, nil
}

// withoutPath is an error of the system without the path, which is said already.
func withoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// upright turns and mirrors a picture as its orientation says.
func upright(img image.Image, orientation int) image.Image {
	if orientation <= 1 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	size := image.Rect(0, 0, w, h)
	stored := image.NewRGBA(size) // a pixel of it is copied in a fraction of the time
	draw.Draw(stored, size, img, b.Min, draw.Src)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewRGBA(size)
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch orientation {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			copy(out.Pix[out.PixOffset(tx, ty):][:4], stored.Pix[stored.PixOffset(x, y):][:4])
		}
	}
	return out
}

// Shrink makes a picture at most side pixels long; smaller ones stay.
func Shrink(img image.Image, side int) image.Image {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= side {
		return img
	}
	scale := float64(side) / float64(longer)
	out := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(b.Dx())*scale+0.5)), max(1, int(float64(b.Dy())*scale+0.5))))
	draw.BiLinear.Scale(out, out.Bounds(), img, b, draw.Src, nil)
	return out
}

// Thumbnail is a picture of at most side pixels as JPEG, from the cache where it is there.
func (p *Photos) Thumbnail(file string, side int) ([]byte, error) {
	kept := p.place(file, side)
	if kept != "" {
		if data, err := os.ReadFile(kept); err == nil && len(data) > 0 {
			return data, nil
		}
	}
	p.room <- struct{}{}
	defer func() { <-p.room }()
	img, orientation, err := decode(file)
	if err != nil {
		return nil, err
	}
	data, err := encodeJPEG(upright(Shrink(img, side), orientation), 80)
	if err == nil && kept != "" {
		keep(kept, data) // without it, it is made again
	}
	return data, err
}

func encodeJPEG(img image.Image, quality int) ([]byte, error) {
	if o, ok := img.(interface{ Opaque() bool }); !ok || !o.Opaque() { // JPEG has no transparency: what is clear is grey
		b := img.Bounds()
		flat := image.NewRGBA(b)
		draw.Draw(flat, b, image.NewUniform(paperColour), image.Point{}, draw.Src)
		draw.Draw(flat, b, img, b.Min, draw.Over)
		img = flat
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}

// place is where a thumbnail is kept: another file, or one that was written to, has
// another place. "" is nowhere.
func (p *Photos) place(file string, side int) string {
	info, err := os.Stat(file)
	if p.cache == "" || err != nil {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%d", file, info.Size(), info.ModTime().UnixNano(), side))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(p.cache, name[:2], name[2:40]+".jpg")
}

// keep writes a file whole or not at all.
func keep(path string, data []byte) {
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return
	}
	_, err = f.Write(data)
	if errors.Join(err, f.Close()) != nil || os.Rename(f.Name(), path) != nil {
		os.Remove(f.Name())
	}
}

// Tidy takes the oldest thumbnails away where they have become too many.
func (p *Photos) Tidy() {
	if p.cache == "" {
		return
	}
	type kept struct {
		path string
		at   time.Time
		size int64
	}
	var all []kept
	var total int64
	_ = filepath.WalkDir(p.cache, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // what cannot be read stays
		}
		if info, err := e.Info(); err == nil {
			all = append(all, kept{path, info.ModTime(), info.Size()})
			total += info.Size()
		}
		return nil
	})
	slices.SortFunc(all, func(a, b kept) int { return a.at.Compare(b.at) })
	for _, k := range all {
		if total <= maxThumbnails {
			return
		}
		if os.Remove(k.path) == nil {
			total -= k.size
		}
	}
}

// Shown is a picture as a browser shows it upright: the file itself where it can be, else
// what it holds, encoded anew.
func (p *Photos) Shown(file string) (data []byte, mime string, err error) {
	mimes := map[string]string{"jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp"}
	f, format, orientation, err := examine(file)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if mime, ok := mimes[format]; ok && orientation == 1 {
		data, err := io.ReadAll(io.LimitReader(f, 256<<20))
		return data, mime, err
	}
	p.room <- struct{}{}
	defer func() { <-p.room }()
	img, err := p.open(file)
	if err != nil {
		return nil, "", err
	}
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		data, err = encodeJPEG(img, 92)
		return data, "image/jpeg", err
	}
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return b.Bytes(), "image/png", err
}
