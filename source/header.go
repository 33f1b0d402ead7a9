package source

import (
	"bytes"
	"errors"
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

// decode reads the size that the header states, EXIF aside, and the format, which is ""
// where no EXIF data can turn the image.
func (h *headerReader) decode() (width, height int, format string, err error) {
	head := h.rest(pngHead)
	if width, height, ok := plainPNG(head); ok {
		return width, height, "png", nil
	}
	if width, height, ok := plainJPEG(head); ok {
		return width, height, "", nil
	}
	config, format, err := image.DecodeConfig(h)
	if errors.Is(err, image.ErrFormat) {
		err = errors.New("is of no image format whose size can be read")
	}
	return config.Width, config.Height, format, err
}
