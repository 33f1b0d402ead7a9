//go:build unix

package source

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pictosync/convert"
)

// generalSize is the size of an image by its decoders, which read what they like.
func generalSize(data []byte) (size convert.Size, err error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return size, err
	}
	if size, err = wholeSize(float64(config.Width), float64(config.Height)); err == nil && turned(bytes.NewReader(data), format) {
		size.Width, size.Height = size.Height, size.Width
	}
	return size, err
}

// someImages are images whose sizes are told in different ways, and some that are
// none; those with "turned" in their name are turned by EXIF.
func someImages(t testing.TB) map[string][]byte {
	exif := func(orientation byte) []byte { // TIFF big-endian, one entry: 0x0112 SHORT
		return append([]byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0, 0, 0, 0, 0)
	}
	encode := func(img image.Image, inJPEG bool) []byte {
		var data bytes.Buffer
		var err error
		if inJPEG {
			err = jpeg.Encode(&data, img, nil)
		} else {
			err = png.Encode(&data, img)
		}
		if err != nil {
			t.Fatal(err)
		}
		return data.Bytes()
	}
	noise := image.NewGray(image.Rect(0, 0, 150, 90))
	r := rand.New(rand.NewPCG(1, 1))
	for i := range noise.Pix {
		noise.Pix[i] = byte(r.Uint32())
	}
	chunk := func(name string, data []byte) []byte {
		sum := crc32.ChecksumIEEE(append([]byte(name), data...))
		return binary.BigEndian.AppendUint32(append(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), name...), data...), sum)
	}
	insert := func(data []byte, at int, more []byte) []byte {
		return append(append(bytes.Clone(data[:at]), more...), data[at:]...)
	}
	images := make(map[string][]byte)
	for name, img := range map[string]image.Image{"noise": noise, "gray": image.NewGray(noise.Rect), "colors": image.NewPaletted(noise.Rect, color.Palette{color.Black, color.White})} {
		p, j := encode(img, false), encode(img, true)
		app1 := append([]byte("\xff\xe1\x00\x22Exif\x00\x00"), exif(6)...)
		images[name+".png"], images[name+".jpg"] = p, j
		images[name+" turned.jpg"] = insert(j, 2, app1)
		images[name+" turned.png"] = insert(p, len(pngMagic)+12+13, chunk("eXIf", exif(8)))
		images[name+" turned at the end.png"] = insert(p, len(p)-12, chunk("eXIf", exif(6)))
		images[name+" turned behind the end.png"] = append(bytes.Clone(p), chunk("eXIf", exif(6))...)
		images[name+" with more behind.png"] = append(bytes.Clone(p), "more"...)
		images[name+" cut.png"], images[name+" cut.jpg"] = p[:50], j[:50]
		images[name+" half.png"], images[name+" half.jpg"] = p[:len(p)/2], j[:len(j)/2]
	}
	images["none.png"], images["empty.png"], images["magic.png"] = []byte("no image"), nil, []byte(pngMagic)
	return images
}

// The size of an image is that of the general way, however its file is opened.
func TestImageSizes(t *testing.T) {
	dir := t.TempDir()
	images := someImages(t)
	for name, data := range images {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := &folder{path: dir}
	f.enter(len(images))
	defer f.leave()
	if !f.opened {
		t.Fatal("the folder is not open")
	}
	sides := make(map[convert.Size]int)
	for name, data := range images {
		want, wantErr := generalSize(data)
		for way, file := range map[string]fileOnDisk{"by its path": {name: filepath.Join(dir, name)}, "in its folder": {folder: f, name: name}, "listed": {folder: f, name: name, listed: true}} {
			got, err := file.imageSize()
			if got != want || (err == nil) != (wantErr == nil) {
				t.Errorf("%s %s: %v, %v; want %v, %v", name, way, got, err, want, wantErr)
			}
		}
		sides[want]++
	}
	if sides[convert.Size{Width: 150, Height: 90}] < 9 || sides[convert.Size{Width: 90, Height: 150}] < 9 {
		t.Errorf("%v", sides)
	}
}

// What came in place of a regular file cannot hang a reader and is no image.
func TestListedImageIsSomethingElse(t *testing.T) {
	f := &folder{path: manyFiles(t)}
	f.enter(worthOpening)
	defer f.leave()
	if err := syscall.Mkfifo(filepath.Join(f.path, "pipe.png"), 0o644); err != nil {
		t.Skip(err)
	}
	os.Mkdir(filepath.Join(f.path, "folder.png"), 0o755)
	for _, name := range []string{"pipe.png", "folder.png", "none.png"} {
		if size, err := (fileOnDisk{folder: f, name: name, listed: true}).imageSize(); err == nil {
			t.Errorf("%s: %v and no error", name, size)
		}
	}
}

func FuzzImageSize(f *testing.F) {
	for _, data := range someImages(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for part, window := range map[int]int{7: 64, 100_000: 64, 100_001: 4 << 10} { // images reach beyond the small ones
			h := &headerReader{window: make([]byte, 0, window)}
			h.reset(inParts{bytes.NewReader(data), part})
			width, height, format, err := h.decode()
			config, wantFormat, wantErr := image.DecodeConfig(bytes.NewReader(data))
			if (err == nil) != (wantErr == nil) || err == nil && (width != config.Width || height != config.Height || format != "" && format != wantFormat) {
				t.Fatalf("%s %d×%d, %v; want %s %d×%d, %v", format, width, height, err, wantFormat, config.Width, config.Height, wantErr)
			}
			// A PNG that is read in parts may seem to end before it does.
			if err == nil && part > len(data) && (format == "" || h.lacksEXIF()) && turned(bytes.NewReader(data), wantFormat) {
				t.Fatal("EXIF was overlooked")
			}
		}
	})
}
