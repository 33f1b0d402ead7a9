package source

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// headerReader reads the beginning of an image in one piece and goes about in it
// without calls of the system, as decoders of headers do a lot.
type headerReader struct {
	file   io.ReaderAt
	window []byte // what is read of the file, from start on
	start  int64
	at     int64 // where the next read is
	ended  bool  // the window reaches the end of the file
	err    error // of the file
}

// headers are used again and again: folders have millions of images.
var headers = sync.Pool{New: func() any { return &headerReader{window: make([]byte, 0, 4<<10)} }}

func (h *headerReader) reset(file io.ReaderAt) {
	*h = headerReader{file: file, window: h.window[:0]}
}

// rest is what the window has from at on, read anew where that is less than n.
func (h *headerReader) rest(n int) []byte {
	have := h.start + int64(len(h.window)) - h.at
	if h.at < h.start || have < int64(min(n, cap(h.window))) && !(h.ended && have >= 0) {
		n, err := h.file.ReadAt(h.window[:cap(h.window)], h.at)
		h.window, h.start, h.ended = h.window[:n], h.at, errors.Is(err, io.EOF)
		if h.err = err; h.ended {
			h.err = nil
		}
	}
	return h.window[min(h.at-h.start, int64(len(h.window))):]
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
	return h.ended && h.start == 0 && !bytes.Contains(h.window, []byte("eXIf")) && !bytes.Contains(h.window, []byte("Exif"))
}
