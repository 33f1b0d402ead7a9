//go:build !unix

package source

import "os"

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
