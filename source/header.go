package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"io"
	"sync"
)

// headerReader reads the beginning of an image in one piece and goes about in it
// without calls of the system, as decoders of headers do a lot.
type headerReader struct {
	file   partReader
	window []byte // what is read of the file, from start on
	start  int64
	at     int64 // where the next read is
	ended  bool  // the window reaches the end of the file
	err    error // of the file
}

// partReader reads a part of what a file has from offset on, nothing at its end.
type partReader interface {
	readPart(dst []byte, offset int64) (n int, err error)
}

// headers are used again and again: folders have millions of images.
var headers = sync.Pool{New: func() any { return &headerReader{window: make([]byte, 0, 4<<10)} }}

func (h *headerReader) reset(file partReader) {
	*h = headerReader{file: file, window: h.window[:0]}
}

// rest is what the window has from at on, read anew where that is less than n.
func (h *headerReader) rest(n int) []byte {
	have := h.start + int64(len(h.window)) - h.at
	if h.at < h.start || have < int64(min(n, cap(h.window))) && !(h.ended && have >= 0) {
		h.window, h.start, h.ended, h.err = h.window[:0], h.at, false, nil
		for len(h.window) < min(n, cap(h.window)) && h.more() {
		}
	}
	return h.window[min(h.at-h.start, int64(len(h.window))):]
}

// more reads a part to the end of the window; false means that there is none.
func (h *headerReader) more() bool {
	length := len(h.window)
	n, err := h.file.readPart(h.window[length:cap(h.window)], h.start+int64(length))
	h.window, h.ended, h.err = h.window[:length+n], n == 0 && err == nil, err
	return n > 0 && err == nil
}

func (h *headerReader) Read(dst []byte) (int, error) {
	if len(dst) == 0 {
		return 0, nil
	}
	n := copy(dst, h.rest(1))
	h.at += int64(n)
	switch {
	case n > 0:
		return n, nil
	case h.err != nil:
		return 0, h.err
	}
	return 0, io.EOF
}

// Peek is that of bufio.Reader; with it image.DecodeConfig needs no other buffer.
func (h *headerReader) Peek(n int) ([]byte, error) {
	rest := h.rest(n)
	switch {
	case len(rest) >= n:
		return rest[:n], nil
	case h.err != nil:
		return rest, h.err
	}
	return rest, io.EOF
}

func (h *headerReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += h.at
	case io.SeekEnd:
		return 0, errors.New("the end of an image is not looked for")
	}
	if offset < 0 {
		return 0, errors.New("a place before the beginning of the image")
	}
	h.at = offset
	return offset, nil
}

// lacksEXIF reports whether the whole image is known, and to hold no EXIF data.
func (h *headerReader) lacksEXIF() bool {
	return h.start == 0 && h.reachesEnd() && !bytes.Contains(h.window, []byte("eXIf")) && !bytes.Contains(h.window, []byte("Exif"))
}

// reachesEnd reports whether the image ends in the window. A PNG says so itself: the
// system is not asked once more.
func (h *headerReader) reachesEnd() bool {
	const pngEnd = "\x00\x00\x00\x00IEND\xaeB`\x82"
	for !h.ended && len(h.window) < cap(h.window) {
		if bytes.HasSuffix(h.window, []byte(pngEnd)) {
			return true
		}
		if !h.more() {
			break
		}
	}
	return h.ended
}

// decode reads the size that the header states, EXIF aside, and the format.
func (h *headerReader) decode() (width, height int, format string, err error) {
	if width, height, ok := plainPNG(h.rest(pngHead)); ok {
		return width, height, "png", nil
	}
	config, format, err := image.DecodeConfig(h)
	if errors.Is(err, image.ErrFormat) {
		err = errors.New("is of no image format whose size can be read")
	}
	return config.Width, config.Height, format, err
}

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// pngHead is how many bytes of a PNG tell its size: its magic and the chunk
	// IHDR of 13 bytes between a length, a name and a checksum of 4 bytes each.
	pngHead = len(pngMagic) + 4 + 4 + 13 + 4
)

// plainPNG reads the size of a PNG whose first chunks are as they most often are. All
// else, broken headers before all, is left to the general way, which gives the same
// size many times more slowly: it makes a palette of what it reads.
func plainPNG(head []byte) (width, height int, ok bool) {
	if len(head) < len(pngMagic) || string(head[:len(pngMagic)]) != pngMagic {
		return 0, 0, false
	}
	name, data, rest := pngChunk(head[len(pngMagic):])
	if string(name) != "IHDR" || len(data) != 13 {
		return 0, 0, false
	}
	const manyPixels = 1 << 28 // where the general way has its doubts, if int has 32 bits
	w, h := uint64(binary.BigEndian.Uint32(data)), uint64(binary.BigEndian.Uint32(data[4:]))
	depth, color, compression, filter, interlace := data[8], data[9], data[10], data[11], data[12]
	if w*h == 0 || w*h >= manyPixels || compression != 0 || filter != 0 || interlace > 1 {
		return 0, 0, false
	}
	const gray, trueColor, palette, grayAlpha, trueColorAlpha = 0, 2, 3, 4, 6
	switch color {
	case gray:
		ok = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
	case trueColor, grayAlpha, trueColorAlpha:
		ok = depth == 8 || depth == 16
	case palette:
		// The general way goes on to the data and wants the palette before it.
		name, data, rest = pngChunk(rest)
		colors := len(data) / 3
		ok = (depth == 1 || depth == 2 || depth == 4 || depth == 8) &&
			string(name) == "PLTE" && len(data)%3 == 0 && 0 < colors && colors <= 1<<depth &&
			len(rest) >= 8 && string(rest[4:8]) == "IDAT"
	}
	return int(w), int(h), ok
}

// pngChunk cuts off the chunk that a part of a PNG starts with. It has no name if
// it is not whole there or its checksum is wrong.
func pngChunk(png []byte) (name, data, rest []byte) {
	if len(png) < 12 {
		return nil, nil, nil
	}
	length := int64(binary.BigEndian.Uint32(png))
	if int64(len(png)) < 12+length {
		return nil, nil, nil
	}
	named, rest := png[4:8+length], png[8+length:]
	if crc32.ChecksumIEEE(named) != binary.BigEndian.Uint32(rest) {
		return nil, nil, nil
	}
	return named[:4], named[4:], rest[4:]
}
