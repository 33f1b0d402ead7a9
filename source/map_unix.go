//go:build unix

package source

import (
	"os"
	"syscall"
)

// mapFile is nil where the file cannot be mapped.
func mapFile(f *os.File, size int64) []byte {
	if size == 0 || size != int64(int(size)) {
		return nil
	}
	connection, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	var mapped []byte
	connection.Control(func(fd uintptr) {
		mapped, err = syscall.Mmap(int(fd), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	})
	if err != nil {
		return nil
	}
	return mapped
}

func unmapFile(mapped []byte) {
	if mapped != nil {
		syscall.Munmap(mapped)
	}
}
