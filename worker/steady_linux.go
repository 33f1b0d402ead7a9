package worker

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// steady writes a large file so that the disk works all the time, not at the end,
// and so that the file does not fill the memory of the machine: behind the first
// part, which is most likely read again, pages are given back when they are on the
// disk. To get new ones from the system is what most of the time of writing goes
// into on a virtual machine, whose host has to find them first.
type steady struct {
	*os.File
	written, begun, done int64 // offsets: written to the file, on the way to the disk, given back
}

const (
	steadyFrom  = 64 << 20 // bytes that stay in memory
	steadyPiece = 8 << 20
)

func (s *steady) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	s.written += int64(n)
	if err != nil || s.written-s.begun < steadyPiece {
		return n, err
	}
	// These are hints; a file system that does not know them writes as ever.
	fd := int(s.Fd())
	const (
		begin = 2     // SYNC_FILE_RANGE_WRITE
		await = 1 | 4 // SYNC_FILE_RANGE_WAIT_BEFORE and _AFTER
	)
	if syscall.SyncFileRange(fd, s.begun, s.written-s.begun, begin) == nil && s.begun > s.done {
		first := max(s.done, steadyFrom)
		if s.begun > first && syscall.SyncFileRange(fd, first, s.begun-first, begin|await) == nil {
			unix.Fadvise(fd, first, s.begun-first, unix.FADV_DONTNEED)
		}
		s.done = s.begun
	}
	s.begun = s.written
	return n, nil
}
