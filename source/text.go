package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
)

const (
	// maxLabels bounds one label file or line, in bytes: a hundred times what
	// the service takes for an image.
	maxLabels = 64 << 20
	// maxDescription bounds data.yaml, class lists and the like, in bytes.
	maxDescription = 4 << 20
)

// skipMark reads r past a byte order mark.
func skipMark(r io.Reader) *bufio.Reader {
	b := bufio.NewReaderSize(r, 64<<10)
	if mark, _ := b.Peek(3); string(mark) == "\ufeff" {
		b.Discard(3)
	}
	return b
}

// ReadSmall reads a file that a person wrote, as a configuration: a regular one, of no
// more than a few megabytes.
func ReadSmall(path string) ([]byte, error) { return readSmall(path, maxDescription) }

// readSmall reads a whole file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	return readInto(nil, fileOnDisk{name: path}, limit)
}

// readInto is readSmall into what there is of dst, if it is large enough.
func readInto(dst []byte, file fileOnDisk, limit int64) ([]byte, error) {
	f, err := file.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than there is shows that there is no more.
	if room := min(f.size, limit) + 1; int64(cap(dst)) < room {
		dst = make([]byte, 0, max(room, 512))
	}
	for dst = dst[:0]; ; {
		part := dst[len(dst):cap(dst)]
		n, err := f.ReadAt(part, int64(len(dst)))
		dst = dst[:len(dst)+n]
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, reasonOf(err)
		case int64(len(dst)) > limit:
			return nil, fmt.Errorf("is longer than %d bytes", limit)
		case n < len(part):
			return dst, nil
		}
		dst = slices.Grow(dst, 1)
	}
}

// isMissing reports that there is no such file, or no folder where it would be.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
