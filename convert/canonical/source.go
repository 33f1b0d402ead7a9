package canonical

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/pictograph"
	"pictosync/source"
)

// FormatBackup is what a snapshot of an export is called.
const FormatBackup = "backup"

// Dataset is one or more files of canonical JSON Lines.
type Dataset struct {
	*source.Records
	format, reason string
	Classes        []pictograph.Class // of the dataset, where a backup tells them
}

// New makes a source of canonical lines without any yet; what reads them for another format names it.
func New(in convert.Input, format, reason string) (*Dataset, error) {
	r, err := source.NewRecords(in, "line", "lines", countInLine)
	return &Dataset{Records: r, format: format, reason: reason}, err
}

func open(ctx context.Context, in convert.Input) (convert.Source, error) {
	c, err := New(in, Name, "its name ends in "+filepath.Ext(in.Path))
	if err != nil {
		return nil, err
	}
	if err := c.AddLines(ctx, in.Path, filepath.Base(in.Path)); err != nil {
		return nil, err
	}
	if c.Len() == 0 {
		return nil, &convert.Error{Op: "read", Path: in.Path, Err: errors.New("the file has no lines"), Advice: in.KnownSources()}
	}
	c.FailRepeated()
	return c, nil
}

// AddLines adds the lines of a file to the index.
func (c *Dataset) AddLines(ctx context.Context, path, name string) error {
	return c.AddFile(path, name, func(r io.Reader, add func(int64, int64, source.Record)) error { return c.index(ctx, r, add) })
}

// index finds the lines and their images.
func (c *Dataset) index(ctx context.Context, r io.Reader, add func(int64, int64, source.Record)) error {
	in := bufio.NewReaderSize(r, 1<<20)
	var offset int64
	var line []byte
	for number := 1; ; number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		line = line[:0]
		start, long := offset, false
		var err error
		for {
			var part []byte
			part, err = in.ReadSlice('\n')
			offset += int64(len(part))
			if long = long || len(line)+len(part) > source.MaxLabels; !long {
				line = append(line, part...)
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		c.addLine(number, start, line, long, add)
		if err != nil {
			return nil
		}
	}
}

func (c *Dataset) addLine(number int, start int64, line []byte, long bool, add func(int64, int64, source.Record)) {
	if number == 1 && bytes.HasPrefix(line, []byte("\ufeff")) {
		line, start = line[3:], start+3
	}
	content := bytes.TrimSpace(line)
	if len(content) == 0 && !long {
		return
	}
	l := source.Record{Number: number}
	if long {
		l.Err = fmt.Errorf("is longer than %d bytes", source.MaxLabels)
	} else if l.Image, l.Err = imageOfLine(content); l.Err == nil && c.format != FormatBackup {
		// A backup has the names that the service gave, whatever they are; its images are
		// found by their ids.
		if clean, err := source.CleanImage(l.Image); err != nil {
			l.Err = err
		} else {
			l.Image = clean
		}
	}
	if l.Err != nil {
		l.Err = fmt.Errorf("read line %d: %w", number, l.Err)
	}
	add(start, int64(len(line)), l)
}

// imageOfLine is the image that a line names; what else is on it is read when
// it is loaded.
func imageOfLine(line []byte) (image string, err error) {
	found := false
	err = scan.Bytes(line, func(s *scan.Scanner) {
		if s.Token() != '{' {
			s.Fail("a line is a JSON object")
		}
		for key := range s.Members() {
			if string(key) == "image" && s.Peek() == '"' {
				image, found = string(scan.Unquote(s.Value())), true
				continue
			}
			s.Skip()
		}
		s.End()
	})
	if err == nil && !found {
		err = errors.New(`"image" is missing`)
	}
	return image, err
}

// Describe says what was found.
func (c *Dataset) Describe() convert.Description {
	d := convert.Description{Path: c.Path, Format: c.format, Reason: c.reason, Fingerprint: c.Fingerprint(c.Infos()...)}
	if len(c.Options.Include)+len(c.Options.Exclude) == 0 { // a part of the images may not need them all
		d.Classes = c.Classes
	}
	for _, class := range c.Classes {
		d.Defined = append(d.Defined, class.Name)
	}
	return d
}

// Items goes through the lines, which say outright what an image has.
func (c *Dataset) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		for item, err := range c.Records.Items(ctx, after) {
			item.Explicit = true
			if !yield(item, err) {
				return
			}
		}
	}
}

func (c *Dataset) read(item convert.Item) (Image, error) {
	line, at, err := c.Record(item)
	if err != nil {
		return Image{}, err
	}
	parse := Parse
	if c.format == FormatBackup {
		parse = parseBackup
	}
	image, err := parse(bytes.TrimSpace(line))
	if err != nil {
		return Image{}, fmt.Errorf("read %s: %w", at, err)
	}
	return image, nil
}

// countInLine counts the annotations of a line that cannot be taken.
func countInLine(line []byte) int {
	var image struct {
		Annotations []json.RawMessage `json:"annotations"`
	}
	if json.Unmarshal(line, &image) != nil {
		return 0
	}
	return len(image.Annotations)
}

// Load reads one line.
func (c *Dataset) Load(_ context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	image, err := c.read(item)
	if err != nil {
		return c.Failed(item), err
	}
	sizes := source.ImageSizes{Stated: c.Sizes.Of(item.Image), Listed: listed}
	if !sizes.Stated.Known() {
		sizes.Stated = image.Size
	}
	var result convert.Result
	if c.format == FormatBackup { // what an image had is put back as it was
		result = ResultOf(image)
	} else {
		result = heldResult(c.Files, item, image, sizes)
	}
	result.Classes = Declared(result.Classes, c.Classes)
	c.Reconcile(item, sizes, &result)
	return result, nil
}

// Size is the one of the sizes file, or else of the line.
func (c *Dataset) Size(item convert.Item) convert.Size {
	if size := c.Sizes.Of(item.Image); size.Known() {
		return size
	}
	image, err := c.read(item)
	if err != nil {
		return convert.Size{}
	}
	return image.Size
}

// Declared are classes as a dataset declares them, where it does.
func Declared(classes, declared []pictograph.Class) []pictograph.Class {
	for i, class := range classes {
		if at := slices.IndexFunc(declared, func(d pictograph.Class) bool { return d.Name == class.Name }); at >= 0 {
			classes[i] = declared[at]
		}
	}
	return classes
}
