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

// piece is a part of a file and where to copy it.
type piece struct {
	into   []byte
	offset int64
}

// read fills pieces; it may be called by who holds the file.
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
