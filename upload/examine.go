package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// Files are where image files lie.
type Files interface {
	// Header opens a file for its header: as much of it as tells type and size.
	Header(ctx context.Context, file string) (io.ReadSeekCloser, Stat, error)
	// Open opens a file to be read as a whole.
	Open(ctx context.Context, file string) (io.ReadCloser, Stat, error)
	// Name is what people know a file by.
	Name(file string) string
}

// Stat is what tells whether a file is still what it was.
type Stat struct {
	Size  int64  // bytes
	Stamp string // another where the content may be another
}

// Disk are the files of this machine.
type Disk struct{}

// Name is the file.
func (Disk) Name(file string) string { return file }

// Header is Open.
func (Disk) Header(_ context.Context, file string) (io.ReadSeekCloser, Stat, error) {
	return openDisk(file)
}

// Open opens a file unless it is a pipe or the like, whose opening could wait for ever.
func (Disk) Open(_ context.Context, file string) (io.ReadCloser, Stat, error) {
	return openDisk(file)
}

// ErrChanged is returned for a file that is not what it was when it was opened, or planned.
var ErrChanged = errors.New("the file changed while it was read; run again when nobody writes to it")

// PassingError is a failure to read a file that lies elsewhere, which may be read later.
type PassingError struct{ Err error }

func (e *PassingError) Error() string { return e.Err.Error() }

// Unwrap returns what went wrong.
func (e *PassingError) Unwrap() error { return e.Err }

// diskFile is a file that is held against what it was when it has been read.
type diskFile struct {
	*os.File
	opened Stat
}

func openDisk(file string) (*diskFile, Stat, error) {
	f, err := source.OpenRegular(file)
	if err != nil {
		return nil, Stat{}, source.ReasonOf(err)
	}
	stat, err := statOf(f)
	if err != nil {
		f.Close()
		return nil, Stat{}, source.ReasonOf(err)
	}
	return &diskFile{f, stat}, stat, nil
}

func statOf(f *os.File) (Stat, error) {
	info, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return Stat{info.Size(), strconv.FormatInt(info.ModTime().UnixNano(), 10)}, nil
}

func (f *diskFile) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	if errors.Is(err, io.EOF) {
		if now, statErr := statOf(f.File); statErr == nil && now != f.opened {
			err = ErrChanged
		}
	}
	return n, err
}

// Examined is what the service wants to know of an image file.
type Examined struct {
	Stat
	ContentType string       // by the file's own header, as "image/jpeg"
	Pixels      convert.Size // EXIF applied, as the service shows it; not known of some HEIC files
}

// contentTypes are the formats that the service takes, as decoders name them.
var contentTypes = map[string]string{"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "bmp": "image/bmp", "tiff": "image/tiff", "gif": "image/gif"}

// typeHEIC is what the service makes PNG of.
const typeHEIC = "image/heic"

// extensions are the ends of names that the service takes, lower case.
var extensions = []string{".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic"}

// Examine reads the header of a file that is to have a path in the dataset. An error says
// why it cannot be uploaded.
func Examine(ctx context.Context, files Files, file, as string) (e Examined, err error) {
	if end := strings.ToLower(path.Ext(as)); !slices.Contains(extensions, end) {
		return e, fmt.Errorf("%s ends with %q, and the service takes %s", convert.Display(as), end, strings.Join(extensions, ", "))
	}
	f, stat, err := files.Header(ctx, file)
	if err != nil {
		return e, fmt.Errorf("%s %w", convert.Display(files.Name(file)), err)
	}
	defer f.Close()
	if e.Stat = stat; stat.Size == 0 {
		return e, fmt.Errorf("%s is empty", convert.Display(files.Name(file)))
	}
	size, format, err := source.ReadImageSize(f)
	if errors.Is(err, source.ErrNoImage) {
		if _, seekErr := f.Seek(0, io.SeekStart); seekErr == nil {
			if heic, known := readHEIC(f); known {
				e.ContentType, e.Pixels = typeHEIC, heic
				return e, nil
			}
		}
	}
	if err != nil {
		return e, fmt.Errorf("%s %w", convert.Display(files.Name(file)), err)
	}
	known := false
	if e.ContentType, known = contentTypes[format]; !known {
		return e, fmt.Errorf("%s is %s, and the service takes jpeg, png, webp, bmp, tiff, gif and heic", convert.Display(files.Name(file)), format)
	}
	e.Pixels = size
	return e, nil
}
