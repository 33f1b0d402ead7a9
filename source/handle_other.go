//go:build !unix

package source

import (
	"errors"
	"io"
	"os"
)

// handle is an open regular file that is read once and closed.
type handle struct {
	*os.File
	size int64 // when it was opened
}

// openHandle opens a file unless it is a pipe or the like, whose opening could
// wait for ever.
func openHandle(path string) (handle, error) {
	f, err := openRegular(path)
	if err != nil {
		return handle{}, reasonOf(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return handle{}, reasonOf(err)
	}
	return handle{f, info.Size()}, nil
}

// readPart reads what there is from offset on, nothing at the end.
func (h handle) readPart(dst []byte, offset int64) (n int, err error) {
	if n, err = h.ReadAt(dst, offset); errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// folderHandle is an open folder, which there is none of here: files are opened by
// their paths.
type folderHandle struct{}

func openFolderHandle(string) (folderHandle, error) { return folderHandle{}, errors.ErrUnsupported }

func (folderHandle) open(string) (handle, error) { return handle{}, errors.ErrUnsupported }

func (folderHandle) openListed(string) (handle, error) { return handle{}, errors.ErrUnsupported }

func (folderHandle) Close() error { return nil }
