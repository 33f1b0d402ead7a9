package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

const (
	// MaxLabels bounds one label file or line, in bytes: a hundred times what
	// the service takes for an image.
	MaxLabels = 64 << 20
	// MaxDescription bounds data.yaml, class lists and the like, in bytes.
	MaxDescription = 4 << 20
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
func ReadSmall(path string) ([]byte, error) { return ReadAtMost(path, MaxDescription) }

// ReadAtMost reads a whole file of at most limit bytes.
func ReadAtMost(path string, limit int64) ([]byte, error) {
	return ReadInto(nil, path, limit)
}

// ReadInto is ReadAtMost into what there is of dst, if it is large enough.
func ReadInto(dst []byte, path string, limit int64) ([]byte, error) {
	f, err := OpenRegular(path)
	if err != nil {
		return nil, ReasonOf(err)
	}
	defer f.Close()
	content := bytes.NewBuffer(dst[:0])
	switch n, err := content.ReadFrom(io.LimitReader(f, limit+1)); {
	case err != nil:
		return nil, ReasonOf(err)
	case n > limit:
		return nil, fmt.Errorf("is longer than %d bytes", limit)
	}
	return content.Bytes(), nil
}

// IsMissing reports that there is no such file, or no folder where it would be.
func IsMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Existing is a path if there is a file, and "" if there is none.
func Existing(file string) string {
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		return ""
	}
	return file
}

// IsFolder reports whether there is a folder.
func IsFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// IsUTF16 reports text of two bytes a character, by its mark or by its first character.
func IsUTF16(data []byte) bool {
	if len(data) < 2 {
		return false
	}
	mark := data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff
	return mark || (data[0] == 0) != (data[1] == 0)
}
