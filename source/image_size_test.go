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
	"pictosync/internal/orientation"
)

// generalSize is the size of an image by its decoders, which read what they like.
func generalSize(data []byte) (size convert.Size, err error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return size, err
	}
	if size, err = WholeSize(float64(config.Width), float64(config.Height)); err == nil && orientation.Swaps(orientation.Of(bytes.NewReader(data), format)) {
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
		images[name+" turned.png"] = insert(p, 8+12+13, chunk("eXIf", exif(8)))
		images[name+" turned at the end.png"] = insert(p, len(p)-12, chunk("eXIf", exif(6)))
		images[name+" turned behind the end.png"] = append(bytes.Clone(p), chunk("eXIf", exif(6))...)
		images[name+" with more behind.png"] = append(bytes.Clone(p), "more"...)
		images[name+" cut.png"], images[name+" cut.jpg"] = p[:50], j[:50]
		images[name+" half.png"], images[name+" half.jpg"] = p[:len(p)/2], j[:len(j)/2]
	}
	images["none.png"], images["empty.png"], images["magic.png"] = []byte("no image"), nil, []byte("\x89PNG\r\n\x1a\n")
	return images
}

// The size of an image is the one that its decoder and its EXIF data tell.
func TestImageSizes(t *testing.T) {
	dir := t.TempDir()
	images := someImages(t)
	for name, data := range images {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sides := make(map[convert.Size]int)
	for name, data := range images {
		want, wantErr := generalSize(data)
		if got, err := ImageSize(filepath.Join(dir, name)); got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, err, want, wantErr)
		}
		sides[want]++
	}
	if sides[convert.Size{Width: 150, Height: 90}] < 9 || sides[convert.Size{Width: 90, Height: 150}] < 9 {
		t.Errorf("%v", sides)
	}
}

// What has an image's name and is no regular file cannot hang a reader and is no image.
func TestImageIsSomethingElse(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.png"), 0o644); err != nil {
		t.Skip(err)
	}
	os.Mkdir(filepath.Join(dir, "folder.png"), 0o755)
	for _, name := range []string{"pipe.png", "folder.png", "none.png"} {
		if size, err := ImageSize(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: %v and no error", name, size)
		}
		if _, err := ReadAtMost(filepath.Join(dir, name), 100); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

// A file is read whole or not at all.
func TestReadSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, size := range []int{0, 1, 511, 512, 513, 5000} {
		content := bytes.Repeat([]byte{'x'}, size)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadInto(make([]byte, 3, 600), path, 5000); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes, %v", len(got), size, err)
		}
		if _, err := ReadAtMost(path, 512); (err == nil) != (size <= 512) {
			t.Errorf("%d bytes where 512 are taken: %v", size, err)
		}
	}
}

func FuzzImageSize(f *testing.F) {
	for _, data := range someImages(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "a")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if size, err := ImageSize(path); err == nil && !size.Known() {
			t.Errorf("a size of %v and no error", size)
		}
	})
}
