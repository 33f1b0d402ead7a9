//go:build unix

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

func syncNames(folder *os.File) error {
	err := folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // of some file systems
		return nil
	}
	return err
}
