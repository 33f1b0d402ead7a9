//go:build unix

package source

import (
	"io"
	"os"
	"syscall"
)

// handle is an open regular file that is read once and closed. Label files are
// small and there are millions of them: os.File, which asks the system whether a
// file can be waited for, takes longer over one than reading it does.
type handle struct {
	fd   int
	size int64 // when it was opened
}

// openHandle opens a file unless it is a pipe or the like, whose opening could
// wait for ever.
func openHandle(path string) (handle, error) {
	h := handle{fd: -1}
	var info syscall.Stat_t
	err := uninterrupted(func() (err error) {
		h.fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		return err
	})
	if err == nil {
		if err = uninterrupted(func() error { return syscall.Fstat(h.fd, &info) }); err == nil && info.Mode&syscall.S_IFMT == syscall.S_IFREG {
			h.size = info.Size
			return h, nil
		}
		h.Close()
	}
	if stat, statErr := os.Stat(path); statErr != nil {
		return h, reasonOf(statErr)
	} else if !stat.Mode().IsRegular() {
		return h, errNotRegular
	}
	return h, err
}

// ReadAt is that of [io.ReaderAt]. A read that ends where the file ended when it
// was opened, with room for more, has come to its end: to be told so by another
// one would be one call of the system more for every file.
func (h handle) ReadAt(dst []byte, offset int64) (n int, err error) {
	for n < len(dst) {
		var part int
		err := uninterrupted(func() (err error) {
			part, err = syscall.Pread(h.fd, dst[n:], offset+int64(n))
			return err
		})
		if err != nil {
			return n, err
		}
		if part == 0 {
			return n, io.EOF
		}
		if n += part; n < len(dst) && offset+int64(n) == h.size {
			return n, io.EOF
		}
	}
	return n, nil
}

func (h handle) Close() error { return syscall.Close(h.fd) }

// uninterrupted does a call of the system again that a signal broke off.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
