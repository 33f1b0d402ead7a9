package source

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

	"pictosync/convert"
	"pictosync/internal/orientation"
	"pictosync/internal/scan"
)

// maxSide is the largest side of an image that is believed, in pixels.
const maxSide = 1 << 24

// sizes are those that a sizes file states. A nil *sizes knows none.
type sizes struct {
	byPath map[string]convert.Size
	byStem map[string]string // path without extension to path, "" where several have it
	twice  map[string]bool   // paths with several sizes, which are not known then
}

// Of returns the size stated for the first of an image's paths that is there, or else for one
// that lacks some of the first folders: an entry of another folder is no entry for the image. The
// paths may lack the extension.
func (s *sizes) Of(paths ...string) convert.Size {
	if s == nil {
		return convert.Size{}
	}
	paths = slices.Clone(paths)
	for folders := true; folders; {
		for _, p := range paths {
			full := p
			if !IsImageName(p) {
				full = cmp.Or(s.byStem[p], p)
			}
			if size, ok := s.byPath[full]; ok {
				return size
			}
		}
		folders = false
		for i, p := range paths {
			if _, rest, more := strings.Cut(p, "/"); more {
				paths[i], folders = rest, true
			}
		}
	}
	return convert.Size{}
}

// Extension is that of the image with one of these paths, which lack it; "" where no entry or
// several are for them.
func (s *sizes) Extension(paths ...string) string {
	if s == nil {
		return ""
	}
	for _, p := range paths {
		if full := s.byStem[p]; full != "" {
			return path.Ext(full)
		}
	}
	return ""
}

func (s *sizes) add(name string, width, height float64) error {
	clean, err := CleanImagePath(name)
	if err != nil {
		return err
	}
	size, err := WholeSize(width, height)
	if err != nil {
		return err
	}
	if old, twice := s.byPath[clean]; twice {
		switch {
		case s.twice[clean]:
			return fmt.Errorf("it stands there several times, also with %d×%d", size.Width, size.Height)
		case old == size:
			return nil
		}
		s.byPath[clean], s.twice[clean] = convert.Size{}, true
		return fmt.Errorf("it stands there twice, with %d×%d and %d×%d: its size is not known", old.Width, old.Height, size.Width, size.Height)
	}
	s.byPath[clean] = size
	if _, taken := s.byStem[Stem(clean)]; taken {
		s.byStem[Stem(clean)] = ""
	} else {
		s.byStem[Stem(clean)] = clean
	}
	return nil
}

// WholeSize is a size that an image may have.
func WholeSize(width, height float64) (convert.Size, error) {
	size := convert.Size{Width: int(width), Height: int(height)}
	if !(width >= 1 && height >= 1 && width <= maxSide && height <= maxSide) || float64(size.Width) != width || float64(size.Height) != height {
		return convert.Size{}, fmt.Errorf("%v×%v is no size in pixels", width, height)
	}
	return size, nil
}

// UseSizes takes the sizes of a file that the source itself names.
func (s *Files) UseSizes(file string) (err error) {
	s.Sizes, err = readSizes(file, s.Reporter)
	return err
}

// readSizes reads a sizes file: JSON {"a.jpg":[w,h]}, also
// {"a.jpg":{"width":w,"height":h}}, or CSV with the columns image, width and
// height.
func readSizes(file string, r *convert.Reporter) (*sizes, error) {
	f, err := os.Open(file)
	if err != nil {
		e := OpenError(file, err)
		e.Advice = "--sizes names a JSON or CSV file of image sizes"
		return nil, e
	}
	defer f.Close()
	s := &sizes{byPath: make(map[string]convert.Size), byStem: make(map[string]string), twice: make(map[string]bool)}
	head, err := ReadHead(file, 512)
	if err == nil {
		bad := func(at, reason string) {
			r.Report(convert.Finding{Kind: convert.KindSizesEntry, File: file, At: at, Reason: reason, Action: "the entry was left out"})
		}
		if content := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n"); len(content) > 0 && content[0] == '{' {
			err = s.readJSON(f, bad)
		} else {
			err = s.readCSV(f, bad)
		}
	}
	if err != nil {
		return nil, &convert.Error{Op: "read", Path: file, Err: ReasonOf(err), Advice: `sizes are JSON {"a.jpg":[640,480]} or CSV with the columns image,width,height`}
	}
	return s, nil
}

func (s *sizes) readJSON(r io.Reader, bad func(at, reason string)) error {
	return scan.Reader(r, func(j *scan.Scanner) {
		j.Token()
		for key := range j.Members() {
			name := string(key)
			width, height, err := sizeOf(j.Value())
			if err == nil {
				err = s.add(name, width, height)
			}
			if err != nil {
				bad(strconv.Quote(name), err.Error())
			}
		}
		j.End()
	})
}

func sizeOf(raw []byte) (width, height float64, err error) {
	var pair []float64
	if json.Unmarshal(raw, &pair) == nil && len(pair) == 2 {
		return pair[0], pair[1], nil
	}
	var named struct{ Width, Height *float64 }
	if json.Unmarshal(raw, &named) == nil && named.Width != nil && named.Height != nil {
		return *named.Width, *named.Height, nil
	}
	return 0, 0, errors.New("its value is not [width, height]")
}

func (s *sizes) readCSV(r io.Reader, bad func(at, reason string)) error {
	lines := csv.NewReader(skipMark(r))
	lines.FieldsPerRecord = -1
	lines.TrimLeadingSpace = true
	lines.ReuseRecord = true
	columns := map[string]int{"image": -1, "width": -1, "height": -1}
	header, err := lines.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, known := columns[name]; known {
			columns[name] = i
		}
	}
	for _, name := range []string{"image", "width", "height"} {
		if columns[name] < 0 {
			return fmt.Errorf("the first line names no column %q", name)
		}
	}
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			bad(fmt.Sprintf("line %d", broken.StartLine), broken.Err.Error())
			continue
		}
		if err != nil {
			return err
		}
		number, _ := lines.FieldPos(0)
		if err := s.addFields(fields, columns); err != nil {
			bad(fmt.Sprintf("line %d", number), err.Error())
		}
	}
}

func (s *sizes) addFields(fields []string, columns map[string]int) error {
	value := make(map[string]string)
	for name, i := range columns {
		if i >= len(fields) {
			return fmt.Errorf("there is no %s", name)
		}
		value[name] = strings.TrimSpace(fields[i])
	}
	width, widthErr := strconv.ParseFloat(value["width"], 64)
	height, heightErr := strconv.ParseFloat(value["height"], 64)
	if widthErr != nil || heightErr != nil {
		return fmt.Errorf("%q×%q is no size in pixels", value["width"], value["height"])
	}
	return s.add(strings.Clone(value["image"]), width, height)
}

// ImageSize reads the size of an image as a decoder shows it from its header.
func ImageSize(file string) (size convert.Size, err error) {
	f, err := OpenRegular(file)
	if err != nil {
		return convert.Size{}, ReasonOf(err)
	}
	defer f.Close()
	size, _, err = ReadImageSize(f)
	return size, err
}

// ErrNoImage is returned for a file of no image format whose size can be read.
var ErrNoImage = errors.New("is of no image format whose size can be read")

// ReadImageSize reads the size of an image as a decoder shows it from its header, and says
// of which format that is, as "jpeg".
func ReadImageSize(f io.ReadSeeker) (size convert.Size, format string, err error) {
	defer func() {
		if p := recover(); p != nil { // decoders of damaged headers
			size, format, err = convert.Size{}, "", fmt.Errorf("the header is damaged: %v", p)
		}
	}()
	config, format, err := image.DecodeConfig(f)
	if errors.Is(err, image.ErrFormat) {
		err = ErrNoImage
	}
	if err != nil {
		return convert.Size{}, "", err
	}
	if size, err = WholeSize(float64(config.Width), float64(config.Height)); err != nil {
		return convert.Size{}, "", err
	}
	if orientation.Swaps(orientation.Of(f, format)) {
		size.Width, size.Height = size.Height, size.Width
	}
	return size, format, nil
}

// OpenRegular opens a file unless it is a pipe or the like, whose opening could
// wait for ever.
func OpenRegular(file string) (*os.File, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return os.Open(file)
}

var errNotRegular = errors.New("is no regular file")
