package upload

import (
	"bytes"
	"encoding/binary"
	"errors"

	"pictosync/convert"
	"pictosync/internal/orientation"
)

// errCutOff is returned for a file that ends before its format says that it does.
var errCutOff = errors.New("it is cut off: it ends before the end of its picture; bring it here again, and run again")

// errTurned is returned for a PNG whose size was read without what turns it.
var errTurned = errors.New("its EXIF, which stands behind its pixels, swaps width and height, and from elsewhere only the beginning is read for the size; give the images from a folder of this machine")

// follower follows a file of a format while it is sent, from part to part, as far as it takes to
// tell that the file goes on to its end. It decodes no pixels: what is wrong with these is not
// seen. TIFF files, whose parts lie in any order, are all whole to it.
type follower struct {
	skip  int64 // bytes that say nothing
	seek  bool  // to behind the next 0xff
	want  int   // bytes that next is called with
	head  []byte
	next  func(head []byte)
	ended bool // the end of the picture was there; what is behind it does not count
	// late is the EXIF of a PNG that stands behind its pixels, where no header has it.
	late   []byte
	pixels bool         // of a PNG: they have begun
	size   convert.Size // of a PNG, without its EXIF
	may    bool         // the file may end here
}

func follow(contentType string) *follower {
	f := &follower{}
	switch contentType {
	case "image/jpeg":
		f.seek = true
		f.take(1, f.jpegMarker)
	case "image/png":
		f.skip = 8
		f.take(8, f.pngChunk)
	case "image/gif":
		f.take(13, f.gifHeader)
	case "image/webp":
		f.take(8, func(head []byte) { f.endBehind(int64(binary.LittleEndian.Uint32(head[4:]))) })
	case "image/bmp":
		f.take(38, f.bmpHeader)
	case typeHEIC:
		f.may = true
		f.take(8, f.heicBox)
	default:
		f.ended = true
	}
	return f
}

// whole reports whether the bytes so far are all of a picture.
func (f *follower) whole() bool {
	return f.ended || f.may && f.skip == 0 && len(f.head) == 0
}

// take has the next bytes gathered, behind those that are passed over.
func (f *follower) take(want int, next func(head []byte)) { f.want, f.next = want, next }

// endBehind ends the picture behind so many bytes more.
func (f *follower) endBehind(n int64) {
	f.skip += n
	f.take(0, func([]byte) { f.ended = true })
}

func (f *follower) Write(b []byte) (int, error) {
	n := len(b)
	for !f.ended {
		switch {
		case f.skip > 0 && len(b) == 0, f.seek && len(b) == 0, len(f.head) < f.want && len(b) == 0:
			return n, nil
		case f.skip > 0:
			passed := min(f.skip, int64(len(b)))
			f.skip, b = f.skip-passed, b[passed:]
		case f.seek:
			at := bytes.IndexByte(b, 0xff)
			if f.seek = at < 0; f.seek {
				return n, nil
			}
			b = b[at+1:]
		case len(f.head) < f.want:
			taken := min(f.want-len(f.head), len(b))
			f.head, b = append(f.head, b[:taken]...), b[taken:]
		default:
			head := f.head
			f.head = f.head[:0]
			f.next(head)
		}
	}
	return n, nil
}

// jpegMarker is what stands behind a 0xff. Among the data of a scan it may be anything; that
// of a thumbnail is in a segment, which is passed over.
func (f *follower) jpegMarker(head []byte) {
	switch m := head[0]; {
	case m == 0xd9: // the end of the image
		f.ended = true
	case m == 0xff: // another one that fills
	case m >= 0xe0 && m <= 0xef, m == 0xfe, m >= 0xc0 && m <= 0xcf, m >= 0xda && m <= 0xdf:
		f.take(2, func(head []byte) {
			f.skip = max(int64(binary.BigEndian.Uint16(head))-2, 0)
			f.seek = true
			f.take(1, f.jpegMarker)
		})
	default:
		f.seek = true
	}
}

func (f *follower) pngChunk(head []byte) {
	if string(head[4:]) == "IEND" {
		f.endBehind(4) // its checksum
		return
	}
	const mostEXIF = 64 << 10
	switch length := binary.BigEndian.Uint32(head); {
	case string(head[4:]) == "IHDR" && length >= 8:
		f.take(8, func(head []byte) {
			f.size = convert.Size{Width: int(binary.BigEndian.Uint32(head)), Height: int(binary.BigEndian.Uint32(head[4:]))}
			f.skip = int64(length) - 8 + 4
			f.take(8, f.pngChunk)
		})
	case string(head[4:]) == "eXIf" && f.pixels && length <= mostEXIF:
		f.take(int(length), func(exif []byte) {
			f.late, f.skip = bytes.Clone(exif), 4
			f.take(8, f.pngChunk)
		})
	default:
		f.pixels = f.pixels || string(head[4:]) == "IDAT"
		f.skip = int64(length) + 4 // its checksum
	}
}

// turned reports whether EXIF that stands behind the pixels of a PNG makes its size another than
// was planned.
func (f *follower) turned(width, height int) bool {
	return f.late != nil && orientation.Swaps(orientation.Of(bytes.NewReader(f.late), "tiff")) && (width != f.size.Height || height != f.size.Width)
}

// gifHeader begins a GIF. Some have no trailer: they may end between two blocks, once there is
// a picture.
func (f *follower) gifHeader(head []byte) {
	f.skip = colours(head[10])
	f.take(1, f.gifBlock)
}

// colours are the bytes of the table that flags tell of.
func colours(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func (f *follower) gifBlock(head []byte) {
	switch head[0] {
	case 0x3b: // the trailer
		f.ended = true
	case 0x2c: // a picture
		f.may = false
		f.take(9, func(head []byte) {
			f.skip = colours(head[8]) + 1
			f.take(1, f.gifData(true))
		})
	case 0x21: // an extension
		was := f.may
		f.may, f.skip = false, 1
		f.take(1, f.gifData(was))
	}
}

// gifData passes over blocks of data up to the empty one; behind it the file may end or not.
func (f *follower) gifData(may bool) func(head []byte) {
	return func(head []byte) {
		if f.skip = int64(head[0]); f.skip == 0 {
			f.may = may
			f.take(1, f.gifBlock)
		}
	}
}

// bmpHeader tells how long the pixels are, which are not packed as a rule.
func (f *follower) bmpHeader(head []byte) {
	const read = 38
	number := func(at int) int64 { return int64(int32(binary.LittleEndian.Uint32(head[at:]))) }
	start, size := number(10), number(34)
	if packing := number(30); packing == 0 || packing == 3 {
		width, height := number(18), number(22)
		bits := width * int64(binary.LittleEndian.Uint16(head[28:]))
		size = (bits+31)/32*4*max(height, -height) - 3 // the last row may lack what fills it
	}
	f.endBehind(max(start+size-read, 0))
}

// heicBox is a box of a HEIC file, which may end behind any.
func (f *follower) heicBox(head []byte) {
	switch length := int64(binary.BigEndian.Uint32(head)); length {
	case 0: // to the end of the file
		f.ended = true
	case 1:
		f.take(8, func(head []byte) {
			f.skip = max(int64(binary.BigEndian.Uint64(head))-16, 0)
			f.take(8, f.heicBox)
		})
	default:
		f.skip = max(length-8, 0)
	}
}
