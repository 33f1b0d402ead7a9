package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/pictograph"
)

// formatBackup is what a snapshot of an export is called.
const formatBackup = "backup"

// canonical is one or more files of canonical JSON Lines. Its index holds where
// each line stands and which image it names.
type canonical struct {
	setting
	format, reason string
	files          []*canonicalFile
	lines          []canonicalLine
	classes        []pictograph.Class // of the dataset, where a backup tells them
	missingIn      string             // the file that names images without a line
	ids            map[string]string  // the service's, by path, where a backup tells them
	heldFiles
}

type canonicalFile struct {
	heldFile
	name string // in messages
}

type canonicalLine struct {
	span
	file   int
	number int
	image  string
	err    error
}

func openCanonical(ctx context.Context, in Input) (Source, error) {
	s, err := prepare(in)
	if err != nil {
		return nil, err
	}
	c := &canonical{setting: s, format: canonicalName, reason: "its name ends in " + filepath.Ext(s.path)}
	if err := c.addFile(ctx, s.path, filepath.Base(s.path)); err != nil {
		return nil, err
	}
	if len(c.lines) == 0 {
		return nil, &Error{Op: "read", Path: s.path, Err: errors.New("the file has no lines"), Advice: in.KnownSources()}
	}
	c.markRepeated()
	return c, nil
}

// addFile adds the lines of a file to the index.
func (c *canonical) addFile(ctx context.Context, path, name string) error {
	f, err := openRegular(path)
	if err != nil {
		return openError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return openError(path, err)
	}
	c.files = append(c.files, &canonicalFile{heldFile{of: &c.heldFiles, path: path, info: info}, name})
	if err := c.index(ctx, f); err != nil {
		return &Error{Op: "read", Path: path, Err: reasonOf(err)}
	}
	return nil
}

// index finds the lines and their images.
func (c *canonical) index(ctx context.Context, r io.Reader) error {
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
			if long = long || len(line)+len(part) > maxLabels; !long {
				line = append(line, part...)
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		c.add(number, start, line, long)
		if err != nil {
			return nil
		}
	}
}

func (c *canonical) add(number int, start int64, line []byte, long bool) {
	if number == 1 && bytes.HasPrefix(line, []byte("\ufeff")) {
		line, start = line[3:], start+3
	}
	content := bytes.TrimSpace(line)
	if len(content) == 0 && !long {
		return
	}
	l := canonicalLine{file: len(c.files) - 1, number: number, span: span{start, uint32(len(line))}}
	if long {
		l.err = fmt.Errorf("is longer than %d bytes", maxLabels)
	} else if l.image, l.err = imageOfLine(content); l.err == nil && c.format != formatBackup {
		// A backup has the names that the service gave, whatever they are; its images are
		// found by their ids.
		var clean string
		if clean, l.err = cleanImagePath(l.image); l.err == nil {
			l.image = clean
		} else {
			l.err = fmt.Errorf("the image's name %w", l.err)
		}
	}
	if l.err != nil {
		l.err = fmt.Errorf("read line %d: %w", number, l.err)
	}
	if l.image == "" {
		l.image = fmt.Sprintf("line %d", number)
	}
	c.lines = append(c.lines, l)
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

func (c *canonical) markRepeated() {
	first := make(map[string]int, len(c.lines))
	for i := range c.lines {
		l := &c.lines[i]
		j, twice := first[l.image]
		if !twice {
			first[l.image] = i
			continue
		}
		err := fmt.Errorf("lines %d and %d both are for it; leave one", c.lines[j].number, l.number)
		if c.lines[j].file != l.file {
			err = fmt.Errorf("%s line %d and %s line %d both are for it; leave one", c.files[c.lines[j].file].name, c.lines[j].number, c.files[l.file].name, l.number)
		}
		for _, l := range []*canonicalLine{&c.lines[j], l} {
			if l.err == nil {
				l.err = err
			}
		}
	}
}

func (c *canonical) Describe() Description {
	var infos []os.FileInfo
	for _, f := range c.files {
		infos = append(infos, f.info)
	}
	d := Description{Path: c.path, Format: c.format, Reason: c.reason, Fingerprint: c.fingerprint(infos...)}
	if len(c.options.Include)+len(c.options.Exclude) == 0 { // a part of the images may not need them all
		d.Classes = c.classes
	}
	for _, class := range c.classes {
		d.Defined = append(d.Defined, class.Name)
	}
	return d
}

// Items goes through the lines. A cursor is a line's place in the index.
func (c *canonical) Items(ctx context.Context, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		defer c.hold()()
		next := 0
		if after != "" {
			last, err := strconv.Atoi(after)
			if err != nil || last < 0 {
				yield(Item{}, fmt.Errorf("%q is no place among canonical lines", after))
				return
			}
			next = last + 1
		}
		for ; next < len(c.lines); next++ {
			if err := ctx.Err(); err != nil {
				yield(Item{}, err)
				return
			}
			l := c.lines[next]
			file := c.missingIn
			if l.number > 0 {
				file = c.files[l.file].name
			}
			if !c.filter.takes(l.image, file) {
				continue
			}
			item := Item{Cursor: strconv.Itoa(next), Image: l.image, ImageID: c.ids[l.image], File: file, Explicit: true, Err: l.err, place: l}
			if l.err != nil {
				item.Annotations = c.annotationsIn(l)
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

func (c *canonical) read(item Item) (convert.CanonicalImage, error) {
	l, ok := item.place.(canonicalLine)
	if !ok {
		return convert.CanonicalImage{}, item.Err
	}
	line, err := c.line(l)
	if err != nil {
		return convert.CanonicalImage{}, err
	}
	parse := convert.ParseCanonical
	if c.format == formatBackup {
		parse = convert.ParseBackup
	}
	image, err := parse(line)
	if err != nil {
		return convert.CanonicalImage{}, fmt.Errorf("read line %d: %w", l.number, err)
	}
	return image, nil
}

func (c *canonical) line(l canonicalLine) ([]byte, error) {
	file := c.files[l.file]
	if err := file.take(); err != nil {
		return nil, err
	}
	defer file.release()
	line := make([]byte, l.length)
	if err := file.read(line, l.start); err != nil {
		return nil, fmt.Errorf("read line %d: %w", l.number, reasonOf(err))
	}
	return bytes.TrimSpace(line), nil
}

// annotationsIn counts the annotations of a line that cannot be taken, as far as it can be
// read at all.
func (c *canonical) annotationsIn(l canonicalLine) int {
	var image struct {
		Annotations []json.RawMessage `json:"annotations"`
	}
	if l.number == 0 { // of the manifest, which has none
		return 0
	}
	if line, err := c.line(l); err != nil || json.Unmarshal(line, &image) != nil {
		return 0
	}
	return len(image.Annotations)
}

func (c *canonical) Load(_ context.Context, item Item, listed convert.Size) (convert.Result, error) {
	image, err := c.read(item)
	if l, ok := item.place.(canonicalLine); ok && err != nil {
		n := c.annotationsIn(l)
		return convert.Result{Read: n, LeftOut: n}, err
	}
	if err != nil {
		return convert.Result{}, err
	}
	result := convert.CanonicalResult(image)
	result.Classes = Declared(result.Classes, c.classes)
	stated := c.sizes.of(item.Image)
	if !stated.Known() {
		stated = image.Size
	}
	c.reconcile(item, imageSizes{stated: stated, listed: listed}, &result)
	return result, nil
}

func (c *canonical) Size(item Item) convert.Size {
	if size := c.sizes.of(item.Image); size.Known() {
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
