package source

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// heldFiles are the files of a source. While it is held, those that nobody reads
// from stay open, the last of them.
type heldFiles struct {
	mu    sync.Mutex
	holds int
	idle  []*heldFile // open and read by nobody, the oldest first
}

// maxIdle bounds how many files are open for nobody.
const maxIdle = 16

func (o *heldFiles) hold() (release func()) {
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
func (o *heldFiles) closeIdle(n int) {
	for len(o.idle) > n {
		o.idle[0].close()
		o.idle = slices.Delete(o.idle, 0, 1)
	}
}

// heldFile is a file that many read from at the same time, small pieces from
// anywhere.
type heldFile struct {
	of   *heldFiles
	path string      // on disk
	info os.FileInfo // what it has to be

	file    *os.File // nil where it is not open
	readers int
}

// take opens the file if it is still what it was; release lets it go.
func (h *heldFile) take() error {
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	if h.file != nil {
		if err := unchanged(h.file, h.info); err != nil {
			return err
		}
		if h.readers == 0 {
			h.of.idle = slices.DeleteFunc(h.of.idle, func(other *heldFile) bool { return other == h })
		}
		h.readers++
		return nil
	}
	file, err := openSame(h.path, h.info)
	if err != nil {
		return err
	}
	h.file, h.readers = file, 1
	return nil
}

func (h *heldFile) release() {
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	if h.readers--; h.readers > 0 {
		return
	}
	if h.of.holds == 0 {
		h.close()
		return
	}
	h.of.idle = append(h.of.idle, h)
	h.of.closeIdle(maxIdle)
}

func (h *heldFile) close() {
	h.file.Close()
	h.file = nil
}

// read fills a part of memory from an offset on; it may be called by who has taken the
// file.
func (h *heldFile) read(into []byte, offset int64) error {
	_, err := h.file.ReadAt(into, offset)
	if errors.Is(err, io.EOF) {
		err = errors.New("the file was cut off")
	}
	return err
}

// span is a JSON value's place in a file, in bytes.
type span struct {
	start  int64
	length uint32
}

func (s span) end() int64 { return s.start + int64(s.length) }
