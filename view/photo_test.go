package view

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

// oriented is a JPEG of 40×20 pixels whose left half is red, with an EXIF orientation.
func oriented(t *testing.T, orientation uint16) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for y := range 20 {
		for x := range 40 {
			c := color.RGBA{B: 255, A: 255}
			if x < 20 {
				c = color.RGBA{R: 255, A: 255}
			}
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	exif = binary.BigEndian.AppendUint16(exif, orientation)
	exif = append(exif, 0, 0, 0, 0, 0, 0)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2))
	return append(append(append(b.Bytes()[:2:2], segment...), exif...), b.Bytes()[2:]...)
}

// Pictures and thumbnails stand upright, whatever the camera did.
func TestOrientation(t *testing.T) {
	// Where the red half is, of each orientation.
	red := map[uint16]string{1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
	for orientation, side := range red {
		file := filepath.Join(t.TempDir(), "a.jpg")
		if err := os.WriteFile(file, oriented(t, orientation), 0o644); err != nil {
			t.Fatal(err)
		}
		photos := NewPhotos(t.TempDir())
		thumb, err := photos.Thumbnail(file, 480)
		if err != nil {
			t.Fatal(err)
		}
		again, err := photos.Thumbnail(file, 480)
		if err != nil || !bytes.Equal(thumb, again) {
			t.Errorf("orientation %d: the kept thumbnail is another (%v)", orientation, err)
		}
		shown, mime, err := photos.Shown(file)
		if err != nil || mime != "image/jpeg" {
			t.Fatal(mime, err)
		}
		if orientation > 1 && bytes.Equal(shown, oriented(t, orientation)) {
			t.Errorf("orientation %d: the file is shown as it is", orientation)
		}
		for _, data := range [][]byte{thumb, shown} {
			img, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			b := img.Bounds()
			places := map[string]image.Point{"left": {2, b.Dy() / 2}, "right": {b.Dx() - 3, b.Dy() / 2}, "top": {b.Dx() / 2, 2}, "bottom": {b.Dx() / 2, b.Dy() - 3}}
			if r, _, blue, _ := img.At(places[side].X, places[side].Y).RGBA(); r < 0xc000 || blue > 0x4000 {
				t.Errorf("orientation %d: the %s is not red in %v", orientation, side, b)
			}
			if w, h := photos.Size(file); w != b.Dx() || h != b.Dy() {
				t.Errorf("orientation %d: %d×%d is said of %v", orientation, w, h, b)
			}
		}
	}
}

// What is no picture is an error, and never more.
func TestBadPictures(t *testing.T) {
	dir := t.TempDir()
	whole := oriented(t, 6)
	huge := bytes.Clone(whole)
	if i := bytes.Index(huge, []byte{0xff, 0xc0}); i > 0 { // 65,535×65,535 pixels are said
		copy(huge[i+5:], []byte{0xff, 0xff, 0xff, 0xff})
	}
	photos := NewPhotos("")
	for name, data := range map[string][]byte{"empty.jpg": {}, "text.png": []byte("no picture"), "half.jpg": whole[:len(whole)/2], "huge.jpg": huge} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := photos.Thumbnail(file, 100); err == nil && name != "half.jpg" {
			t.Errorf("%s has a thumbnail", name)
		}
		if _, err := photos.Open(file); err == nil && name != "half.jpg" {
			t.Errorf("%s is opened", name)
		}
	}
	if _, err := photos.Thumbnail(filepath.Join(dir, "none.jpg"), 100); err == nil {
		t.Error("what is not there has a thumbnail")
	}
	if err := photos.Check(dir); err == nil {
		t.Error("a folder is a picture")
	}
}
