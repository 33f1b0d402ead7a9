package source

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"testing"
)

// samePNG fails if the size of a PNG is another than the general way's. Only what
// that way reads may be plain.
func samePNG(t interface{ Fatalf(string, ...any) }, data []byte) (plain bool) {
	width, height, plain := plainPNG(data[:min(len(data), 4<<10)])
	want, err := png.DecodeConfig(bytes.NewReader(data))
	if plain && (err != nil || width != want.Width || height != want.Height) {
		t.Fatalf("%d×%d; want %d×%d, %v of %x", width, height, want.Width, want.Height, err, data[:min(len(data), 100)])
	}
	return plain
}

func TestPlainPNG(t *testing.T) {
	area := image.Rect(0, 0, 300, 7)
	var many color.Palette
	for i := range 256 {
		many = append(many, color.Gray{uint8(i)})
	}
	images := map[string]image.Image{
		"gray": image.NewGray(area), "gray 16": image.NewGray16(area), "colors": image.NewRGBA(area),
		"transparent": image.NewNRGBA(area), "colors 16": image.NewRGBA64(area), "transparent 16": image.NewNRGBA64(area),
		"2 colors": image.NewPaletted(area, many[:2]), "16 colors": image.NewPaletted(area, many[:16]), "256 colors": image.NewPaletted(area, many),
	}
	for name, img := range images {
		var data bytes.Buffer
		if err := png.Encode(&data, img); err != nil {
			t.Fatal(err)
		}
		if !samePNG(t, data.Bytes()) {
			t.Errorf("%s: not taken for plain", name)
		}
		for i := range data.Bytes()[:min(data.Len(), 80)] { // every damage shows
			damaged := bytes.Clone(data.Bytes())
			damaged[i] ^= 1
			samePNG(t, damaged)
			samePNG(t, damaged[:i])
		}
	}
}

// Headers whose checksums are right, most of them odd in something.
func TestPlainPNGOddHeaders(t *testing.T) {
	chunk := func(dst []byte, name string, data []byte) []byte {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
		sum := crc32.ChecksumIEEE(append([]byte(name), data...))
		return binary.BigEndian.AppendUint32(append(append(dst, name...), data...), sum)
	}
	r := rand.New(rand.NewPCG(1, 2))
	sides := []uint32{0, 1, 640, 1 << 16, 1 << 24, 1<<24 + 1, 1 << 31, 1<<32 - 1}
	// mostly is the usual value, or one time in ten any up to most.
	mostly := func(usual, most int) byte {
		if r.IntN(10) > 0 {
			return byte(usual)
		}
		return byte(r.IntN(most + 1))
	}
	plain := 0
	for range 100_000 {
		width, height := uint32(640), uint32(480)
		if r.IntN(4) == 0 {
			width, height = sides[r.IntN(len(sides))], sides[r.IntN(len(sides))]
		}
		header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
		header = append(header, 1<<r.IntN(6), mostly(3, 7), mostly(0, 2), mostly(0, 2), mostly(0, 3))
		data := chunk([]byte(pngMagic), []string{"IHDR", "PLTE"}[mostly(0, 1)], header[:mostly(13, 13)])
		for range 2 {
			name := []string{"PLTE", "IDAT", "tRNS", "gAMA", "IEND"}[r.IntN(5)]
			data = chunk(data, name, make([]byte, []int{0, 3, 4, 6, 9, 48, 51, 768, 771}[r.IntN(9)]))
		}
		if samePNG(t, data) {
			plain++
		}
	}
	if plain < 1000 {
		t.Errorf("%d are plain", plain)
	}
}

func FuzzPlainPNG(f *testing.F) {
	for _, img := range []image.Image{image.NewGray(image.Rect(0, 0, 3, 2)), image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black, color.White})} {
		var data bytes.Buffer
		if err := png.Encode(&data, img); err != nil {
			f.Fatal(err)
		}
		f.Add(data.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) { samePNG(t, data) })
}
