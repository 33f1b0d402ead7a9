//go:build unix

package source

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// handle is an open regular file that is read once and closed. Label files are
// small and there are millions of them: os.File, which asks the system whether a
// file can be waited for, takes longer over one than reading it does.
type handle struct {
	fd   int
	size int64 // when it was opened; 0 where that was not asked
}

// openHandle opens a file unless it is a pipe or the like, whose opening could
// wait for ever.
func openHandle(path string) (handle, error) {
	h, err := regularHandle(func() (int, error) { return syscall.Open(path, openFlags, 0) })
	if err == nil {
		return h, nil
	}
	if stat, statErr := os.Stat(path); statErr != nil {
		return h, reasonOf(statErr)
	} else if !stat.Mode().IsRegular() {
		return h, errNotRegular
	}
	return h, err
}

const openFlags = syscall.O_RDONLY | syscall.O_CLOEXEC | syscall.O_NONBLOCK

// regularHandle is what open opens, if it is a regular file.
func regularHandle(open func() (fd int, err error)) (handle, error) {
	h := handle{fd: -1}
	var info syscall.Stat_t
	err := uninterrupted(func() (err error) {
		h.fd, err = open()
		return err
	})
	if err != nil {
		return h, err
	}
	if err = uninterrupted(func() error { return syscall.Fstat(h.fd, &info) }); err == nil && info.Mode&syscall.S_IFMT != syscall.S_IFREG {
		err = errNotRegular
	}
	if err != nil {
		h.Close()
		return h, err
	}
	h.size = info.Size
	return h, nil
}

// folderHandle is an open folder.
type folderHandle int

func openFolderHandle(path string) (fd folderHandle, err error) {
	err = uninterrupted(func() error {
		n, err := syscall.Open(path, openFlags|syscall.O_DIRECTORY, 0)
		fd = folderHandle(n)
		return err
	})
	return fd, err
}

// open is openHandle of a file in the folder, but for the words of its error.
func (d folderHandle) open(name string) (handle, error) {
	return regularHandle(func() (int, error) { return unix.Openat(int(d), name, openFlags, 0) })
}

// openListed is open of what the folder's listing calls a regular file: the system
// is not asked again. What came there in its place cannot hang a reader: a pipe is
// opened all the same and has no offsets to read from.
func (d folderHandle) openListed(name string) (h handle, err error) {
	err = uninterrupted(func() error {
		h.fd, err = unix.Openat(int(d), name, openFlags, 0)
		return err
	})
	return h, err
}

func (d folderHandle) Close() error { return syscall.Close(int(d)) }

// ReadAt is that of [io.ReaderAt]. A read that ends where the file ended when it
// was opened, with room for more, has come to its end: to be told so by another
// one would be one call of the system more for every file.
func (h handle) ReadAt(dst []byte, offset int64) (n int, err error) {
	for n < len(dst) {
		part, err := h.readPart(dst[n:], offset+int64(n))
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

// readPart reads what one call of the system gives, nothing at the end.
func (h handle) readPart(dst []byte, offset int64) (n int, err error) {
	err = uninterrupted(func() (err error) {
		n, err = syscall.Pread(h.fd, dst, offset)
		return err
	})
	return max(n, 0), err
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
