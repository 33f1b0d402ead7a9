package source

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// heldFile is a file that many read from at the same time, small pieces from
// anywhere. It is open as long as anybody holds it: to open it for each image
// costs more than to read it. Where the system can, it is mapped into memory:
// reading is then a copy from the page cache and no call of the system, of which
// there would be one an annotation.
type heldFile struct {
	mu      sync.Mutex
	file    *os.File
	mapped  []byte // nil where it cannot be mapped
	holders int
}

// take holds the file if it is still what it was; release lets it go.
func (h *heldFile) take(path string, was os.FileInfo) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holders > 0 {
		if err := unchanged(h.file, was); err != nil {
			return err
		}
		h.holders++
		return nil
	}
	file, err := openSame(path, was)
	if err != nil {
		return err
	}
	h.file, h.mapped, h.holders = file, mapFile(file, was.Size()), 1
	return nil
}

func (h *heldFile) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holders--; h.holders == 0 {
		unmapFile(h.mapped)
		h.file.Close()
		h.file, h.mapped = nil, nil
	}
}

// ReadAt is that of [io.ReaderAt]; it may be called by who holds the file.
func (h *heldFile) ReadAt(dst []byte, offset int64) (n int, err error) {
	if h.mapped == nil {
		return h.file.ReadAt(dst, offset)
	}
	if offset > int64(len(h.mapped)) {
		return 0, io.EOF
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
			n, err = 0, fmt.Errorf("the file was cut off, or cannot be read any more: %w", io.ErrUnexpectedEOF)
		default:
			panic(fault)
		}
	}()
	if n = copy(dst, h.mapped[offset:]); n < len(dst) {
		return n, io.EOF
	}
	return n, nil
}
