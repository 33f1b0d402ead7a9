package source

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// HeldFiles are the files of a source. While it is held, those that nobody reads
// from stay open, the last of them.
type HeldFiles struct {
	mu    sync.Mutex
	holds int
	idle  []*HeldFile // open and read by nobody, the oldest first
}

// maxIdle bounds how many files are open for nobody.
const maxIdle = 16

// Hold keeps the files open until release is called.
func (o *HeldFiles) Hold() (release func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holds++
	return sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.holds--; o.holds == 0 {
			o.closeIdle(0)
		}
	})
}

// closeIdle closes all but the last n.
func (o *HeldFiles) closeIdle(n int) {
	for len(o.idle) > n {
		o.idle[0].close()
		o.idle = slices.Delete(o.idle, 0, 1)
	}
}

// HeldFile is a file that many read from at the same time, small pieces from
// anywhere.
type HeldFile struct {
	Of   *HeldFiles
	Path string      // on disk
	Info os.FileInfo // what it has to be

	file    *os.File // nil where it is not open
	readers int
}

// Take opens the file if it is still what it was; release lets it go.
func (h *HeldFile) Take() error {
	h.Of.mu.Lock()
	defer h.Of.mu.Unlock()
	if h.file != nil {
		if err := unchanged(h.file, h.Info); err != nil {
			return err
		}
		if h.readers == 0 {
			h.Of.idle = slices.DeleteFunc(h.Of.idle, func(other *HeldFile) bool { return other == h })
		}
		h.readers++
		return nil
	}
	file, err := openSame(h.Path, h.Info)
	if err != nil {
		return err
	}
	h.file, h.readers = file, 1
	return nil
}

// Release lets the file go.
func (h *HeldFile) Release() {
	h.Of.mu.Lock()
	defer h.Of.mu.Unlock()
	if h.readers--; h.readers > 0 {
		return
	}
	if h.Of.holds == 0 {
		h.close()
		return
	}
	h.Of.idle = append(h.Of.idle, h)
	h.Of.closeIdle(maxIdle)
}

func (h *HeldFile) close() {
	h.file.Close()
	h.file = nil
}

// Read fills a part of memory from an offset on; it may be called by who has taken the
// file.
func (h *HeldFile) Read(into []byte, offset int64) error {
	_, err := h.file.ReadAt(into, offset)
	if errors.Is(err, io.EOF) {
		err = errors.New("the file was cut off")
	}
	return err
}

// Span is a JSON value's place in a file, in bytes.
type Span struct {
	Start  int64
	Length uint32
}

// End is the byte behind it.
func (s Span) End() int64 { return s.Start + int64(s.Length) }
