package store

import (
	"errors"
	"os"
	"syscall"
)

// syncFolder brings the names of a folder's files to the disk, on file systems that
// can be asked for it.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// syncData brings a file's bytes and its length to the disk, as SQLite does. The
// time of its last change, for which the file system would write its journal, can
// wait.
func syncData(f *os.File) error {
	var syncErr error
	err := control(f, func(fd int) {
		for {
			if syncErr = syscall.Fdatasync(fd); syncErr != syscall.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", syncErr)
}

func control(f *os.File, do func(fd int)) error {
	connection, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return connection.Control(func(fd uintptr) { do(int(fd)) })
}
