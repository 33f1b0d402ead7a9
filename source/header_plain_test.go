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

// sameJPEG is samePNG for a JPEG, whose EXIF data plainJPEG leaves to others.
func sameJPEG(t interface{ Fatalf(string, ...any) }, data []byte) (plain bool) {
	width, height, plain := plainJPEG(data[:min(len(data), 4<<10)])
	if !plain {
		return false
	}
	want, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || width != want.Width || height != want.Height {
		t.Fatalf("%d×%d; want %d×%d, %v of %x", width, height, want.Width, want.Height, err, data[:min(len(data), 100)])
	}
	if turned(bytes.NewReader(data), "jpeg") {
		t.Fatalf("EXIF was overlooked in %x", data[:min(len(data), 100)])
	}
	return true
}

func TestPlainJPEG(t *testing.T) {
	area := image.Rect(0, 0, 300, 70)
	images := map[string]image.Image{"gray": image.NewGray(area)}
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		images[ratio.String()] = image.NewYCbCr(area, ratio)
	}
	for name, img := range images {
		var encoded bytes.Buffer
		if err := jpeg.Encode(&encoded, img, nil); err != nil {
			t.Fatal(err)
		}
		progressive := bytes.Clone(encoded.Bytes())
		progressive[bytes.Index(progressive, []byte("\xff\xc0"))+1] = 0xc2 // so says its header alone
		jfif := append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), encoded.Bytes()[2:]...)
		for kind, data := range map[string][]byte{"baseline": encoded.Bytes(), "progressive": progressive, "JFIF": jfif} {
			if !sameJPEG(t, data) {
				t.Errorf("%s, %s: not taken for plain", name, kind)
			}
			for i := range data[:min(len(data), 700)] {
				for _, bit := range []byte{1, 2, 0x10, 0x80} {
					damaged := bytes.Clone(data)
					damaged[i] ^= bit
					sameJPEG(t, damaged)
				}
				sameJPEG(t, data[:i])
			}
		}
	}
}

// Segments in any order, most of them right.
func TestPlainJPEGOddHeaders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rarely := func(usual, other byte) byte {
		if r.IntN(20) > 0 {
			return usual
		}
		return other
	}
	segment := func(dst []byte, marker byte, data []byte) []byte {
		dst = append(dst, rarely(0xff, 0), marker)
		return append(binary.BigEndian.AppendUint16(dst, uint16(len(data)+2-int(rarely(0, byte(r.IntN(4)))))), data...)
	}
	texts := []string{"", "JFIF\x00\x01", "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00", "Exif", "Exi", "http://ns.adobe.com/xap/1.0/\x00<x/>", "Adobe\x00d\x00\x00\x00\x00\x01", "Photoshop 3.0"}
	plain := 0
	for range 100_000 {
		frame := []byte{rarely(8, 12), rarely(0, 1), rarely(70, 0), rarely(1, 0), rarely(44, 0), []byte{1, 3, 3, 3, 4}[r.IntN(5)]}
		for component := range int(frame[5]) {
			sampling := byte(0x11)
			if component == 0 || r.IntN(20) == 0 {
				sampling = byte(r.IntN(5)<<4 | r.IntN(5))
			}
			frame = append(frame, rarely(byte(component), 1), sampling, rarely(byte(component&1), 4))
		}
		frame[5] = rarely(frame[5], 2)
		frame = append(frame, make([]byte, rarely(0, 3))...)
		data := []byte("\xff\xd8")
		if r.IntN(2) == 0 {
			data = segment(data, 0xe0, []byte(texts[1]))
		}
		for range r.IntN(3) {
			marker := []byte{0xc4, 0xdb, 0xdd, 0xe0, 0xe1, 0xe2, 0xed, 0xee, 0xfe, 0xc3, 0xc8, 0xd0, 0xd9, 0x01, 0xff, 0x00}[min(r.IntN(12), r.IntN(16))]
			data = segment(data, marker, []byte(texts[r.IntN(len(texts))]))
		}
		data = segment(data, 0xc0+byte(min(r.IntN(4), r.IntN(4))), frame)
		if r.IntN(10) == 0 {
			data = segment(data, 0xc0, frame)
		}
		if r.IntN(4) == 0 {
			data = segment(data, rarely(0xc4, 0xe1), []byte(texts[r.IntN(len(texts))]))
		}
		data = segment(data, rarely(0xda, 0xd9), make([]byte, rarely(6, 0)))
		if sameJPEG(t, data) {
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

func FuzzPlainJPEG(f *testing.F) {
	for _, img := range []image.Image{image.NewGray(image.Rect(0, 0, 3, 2)), image.NewYCbCr(image.Rect(0, 0, 3, 2), image.YCbCrSubsampleRatio420)} {
		var data bytes.Buffer
		if err := jpeg.Encode(&data, img, nil); err != nil {
			f.Fatal(err)
		}
		f.Add(data.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) { sameJPEG(t, data) })
}
