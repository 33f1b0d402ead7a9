package source

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
)

// Hold keeps what a source reads from open until release is called: to open it for
// each item costs more than to read it. What is written to a file meanwhile is
// noticed as ever; that another has come to have its name is not.
func Hold(src Source) (release func()) {
	if h, ok := src.(holder); ok {
		return h.hold()
	}
	return func() {}
}

// holder is a Source that [Hold] makes a difference to.
type holder interface{ hold() (release func()) }

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
// anywhere. Where the system can, it is mapped into memory: reading is then a copy
// from the page cache and no call of the system, of which there would be one an
// annotation.
type heldFile struct {
	of   *heldFiles
	path string      // on disk
	info os.FileInfo // what it has to be

	file    *os.File // nil where it is not open
	mapped  []byte   // nil where it cannot be mapped
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
	h.file, h.mapped, h.readers = file, mapFile(file, h.info.Size()), 1
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
	unmapFile(h.mapped)
	h.file.Close()
	h.file, h.mapped = nil, nil
}

// piece is a part of a file and where to copy it.
type piece struct {
	into   []byte
	offset int64
}

// read fills pieces; it may be called by who has taken the file.
func (h *heldFile) read(pieces []piece) (err error) {
	if h.mapped == nil {
		for _, p := range pieces {
			if n, err := h.file.ReadAt(p.into, p.offset); n < len(p.into) {
				return err
			}
		}
		return nil
	}
	// What was cut off the file since, or cannot be read from the disk, is a fault
	// of the processor.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = fmt.Errorf("the file was cut off, or cannot be read any more: %w", io.ErrUnexpectedEOF)
		default:
			panic(fault)
		}
	}()
	for _, p := range pieces {
		if p.offset > int64(len(h.mapped)-len(p.into)) {
			return io.ErrUnexpectedEOF
		}
	}
	touch(h.mapped, pieces)
	for _, p := range pieces {
		copy(p.into, h.mapped[p.offset:])
	}
	return nil
}

// touch loads a byte of each piece. They lie anywhere in a large file, so that the
// processor waits for each; for these it waits at the same time, and copying finds
// them near.
//
//go:noinline
func touch(mapped []byte, pieces []piece) (sum byte) {
	for _, p := range pieces {
		if len(p.into) > 0 {
			sum += mapped[p.offset]
		}
	}
	return sum
}
