package upload

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"pgregory.net/rapid"
)

// noise is a picture whose data is long.
func noise() *image.Paletted {
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewPaletted(image.Rect(0, 0, 61, 47), palette.Plan9)
	for n := range picture.Pix {
		picture.Pix[n] = byte(random.UintN(256))
	}
	return picture
}

// wholeFiles are files of each format, by its name, as their writers make them.
func wholeFiles(t interface{ Fatal(...any) }) map[string][]byte {
	files := make(map[string][]byte)
	write := func(kind string, encode func(*bytes.Buffer) error) {
		var out bytes.Buffer
		if err := encode(&out); err != nil {
			t.Fatal(err)
		}
		files[kind] = out.Bytes()
	}
	write("image/jpeg", func(out *bytes.Buffer) error { return jpeg.Encode(out, noise(), nil) })
	write("image/png", func(out *bytes.Buffer) error { return png.Encode(out, noise()) })
	write("image/gif", func(out *bytes.Buffer) error {
		return gif.EncodeAll(out, &gif.GIF{Image: []*image.Paletted{noise(), noise()}, Delay: []int{1, 1}})
	})
	write("image/bmp", func(out *bytes.Buffer) error { return bmp.Encode(out, noise()) })
	// A JPEG with a thumbnail, whose own end is not that of the picture.
	thumbnail := append(append([]byte("Exif\x00\x00"), files["image/jpeg"]...), 0)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(thumbnail)+2))
	files["image/jpeg; with a thumbnail"] = append(append(append([]byte{0xff, 0xd8}, segment...), thumbnail...), files["image/jpeg"][2:]...)
	files["image/webp"] = append(binary.LittleEndian.AppendUint32([]byte("RIFF"), 504), append([]byte("WEBPVP8 "), make([]byte, 496)...)...)
	files[typeHEIC] = append(append([]byte("\x00\x00\x00\x10ftypheic\x00\x00\x00\x00"), append([]byte("\x00\x00\x01\x00meta"), make([]byte, 248)...)...), append([]byte("\x00\x00\x04\x00mdat"), make([]byte, 1016)...)...)
	return files
}

// A file that its writer wrote to the end is whole, however it is read and whatever is behind
// it; one that lacks some of its end is not.
func TestCutOff(t *testing.T) {
	files := wholeFiles(t)
	// Up to so many bytes of the end are not missed: fill of the last row, the trailer.
	spare := map[string]int{"image/bmp": 3, "image/gif": 1}
	for kind, data := range files {
		t.Run(kind, func(t *testing.T) {
			contentType, _, _ := bytes.Cut([]byte(kind), []byte(";"))
			rapid.Check(t, func(t *rapid.T) {
				end := rapid.OneOf(rapid.Just(len(data)), rapid.IntRange(40, len(data)+20)).Draw(t, "end")
				part := append(bytes.Clone(data), make([]byte, 20)...)[:end]
				f := follow(string(contentType))
				for len(part) > 0 {
					n := min(len(part), rapid.IntRange(1, 3000).Draw(t, "read"))
					f.Write(part[:n])
					part = part[n:]
				}
				betweenBoxes := string(contentType) == typeHEIC && (end == 16+256 || end > len(data))
				betweenPictures := string(contentType) == "image/gif" && end < len(data) && f.may
				if whole := end >= len(data)-spare[string(contentType)]; f.whole() != whole && !betweenBoxes && !betweenPictures {
					t.Fatalf("%d bytes of %d are taken for all of it: %v", end, len(data), f.whole())
				}
			})
		})
	}
}

func TestTIFFIsNotFollowed(t *testing.T) {
	var out bytes.Buffer
	if err := tiff.Encode(&out, noise(), nil); err != nil {
		t.Fatal(err)
	}
	f := follow("image/tiff")
	if f.Write(out.Bytes()[:out.Len()/2]); !f.whole() {
		t.Error("nothing tells where a TIFF file ends")
	}
}

// EXIF behind the pixels of a PNG, which only all of the file tells of, is not passed over.
func TestLateEXIF(t *testing.T) {
	data := wholeFiles(t)["image/png"]
	exif := []byte("MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	chunk := append(append(binary.BigEndian.AppendUint32(nil, uint32(len(exif))), "eXIf"...), append(exif, 0, 0, 0, 0)...)
	end := bytes.Index(data, []byte("IEND")) - 4
	late := append(append(bytes.Clone(data[:end]), chunk...), data[end:]...)
	front := append(append(bytes.Clone(data[:33]), chunk...), data[33:]...)
	for _, c := range []struct {
		data          []byte
		width, height int
		turned        bool
	}{{late, 61, 47, true}, {late, 47, 61, false}, {front, 47, 61, false}, {data, 61, 47, false}} {
		f := follow("image/png")
		if f.Write(c.data); !f.whole() || f.turned(c.width, c.height) != c.turned {
			t.Errorf("a size of %d×%d: turned %v, whole %v", c.width, c.height, f.turned(c.width, c.height), f.whole())
		}
	}
}

func FuzzCutOff(f *testing.F) {
	for kind, data := range wholeFiles(f) {
		f.Add(kind, data)
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		one, many := follow(kind), follow(kind)
		one.Write(data)
		for n := range data {
			many.Write(data[n : n+1])
		}
		if one.whole() != many.whole() {
			t.Error("it depends on how it is read")
		}
	})
}
