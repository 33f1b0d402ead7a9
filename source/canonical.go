package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"pictosync/convert"
)

// canonical is a file of canonical JSON Lines. Its index holds where each line
// stands and which image it names.
type canonical struct {
	setting
	info  os.FileInfo
	lines []canonicalLine
}

type canonicalLine struct {
	span
	number int
	image  string
	err    error
}

func openCanonical(ctx context.Context, s setting) (Source, error) {
	f, err := openRegular(s.path)
	if err != nil {
		return nil, openError(s.path, err)
	}
	defer f.Close()
	c := &canonical{setting: s}
	if c.info, err = f.Stat(); err != nil {
		return nil, openError(s.path, err)
	}
	if err := c.index(ctx, f); err != nil {
		return nil, &Error{Op: "read", Path: s.path, Err: reasonOf(err)}
	}
	if len(c.lines) == 0 {
		return nil, &Error{Op: "read", Path: s.path, Err: errors.New("the file has no lines"), Advice: whatSources}
	}
	c.markRepeated()
	return c, nil
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
	l := canonicalLine{number: number, span: span{start, uint32(len(line))}}
	if long {
		l.err = fmt.Errorf("is longer than %d bytes", maxLabels)
	} else if l.image, l.err = imageOfLine(content); l.err == nil {
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
	err = scanBytes(line, func(s *jsonScanner) {
		if s.token() != '{' {
			s.fail("a line is a JSON object")
		}
		s.object(func(key string) {
			if key == "image" && s.peek() == '"' {
				image, found = unquoted(s.value()), true
				return
			}
			s.skip()
		})
		s.atEnd()
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
		for _, l := range []*canonicalLine{&c.lines[j], l} {
			if l.err == nil {
				l.err = err
			}
		}
	}
}

func (c *canonical) Describe() Description {
	return Description{Path: c.path, Format: "canonical", Reason: "its name ends in " + filepath.Ext(c.path), Fingerprint: c.fingerprint(c.info)}
}

// Items goes through the lines. A cursor is a line's place in the index.
func (c *canonical) Items(ctx context.Context, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		next := 0
		if after != "" {
			last, err := strconv.Atoi(after)
			if err != nil || last < 0 {
				yield(Item{}, fmt.Errorf("%q is no place among canonical lines", after))
				return
			}
			next = last + 1
		}
		file := filepath.Base(c.path)
		for ; next < len(c.lines); next++ {
			if err := ctx.Err(); err != nil {
				yield(Item{}, err)
				return
			}
			l := c.lines[next]
			if !c.filter.takes(l.image, file) {
				continue
			}
			if !yield(Item{Cursor: strconv.Itoa(next), Image: l.image, File: file, Explicit: true, Err: l.err, place: l}, nil) {
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
	f, err := openSame(c.path, c.info)
	if err != nil {
		return convert.CanonicalImage{}, err
	}
	defer f.Close()
	line := make([]byte, l.length)
	if _, err := f.ReadAt(line, l.start); err != nil {
		return convert.CanonicalImage{}, fmt.Errorf("read line %d: %w", l.number, reasonOf(err))
	}
	image, err := convert.ParseCanonical(bytes.TrimSpace(line))
	if err != nil {
		return convert.CanonicalImage{}, fmt.Errorf("read line %d: %w", l.number, err)
	}
	return image, nil
}

func (c *canonical) Load(_ context.Context, item Item, listed convert.Size) (convert.Result, error) {
	image, err := c.read(item)
	if err != nil {
		return convert.Result{}, err
	}
	result := convert.CanonicalResult(image)
	for _, size := range []convert.Size{c.sizes.of(item.Image), image.Size, listed} {
		if size.Known() {
			result.Size = size
			break
		}
	}
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
