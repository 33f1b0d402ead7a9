package source

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"

	"pictosync/convert"
)

// Records is what formats share that keep the labels of many images in one file, or in a
// few: the file is indexed once, by where the record of each image stands and which image it
// names, and a record is read again when its image is loaded. So memory follows the number
// of images, not the size of the labels.
type Records struct {
	Files
	HeldFiles
	// One and Many are what messages call records: line and lines.
	One, Many string
	// Elsewhere is the file that names images without a record; "" where there is none.
	Elsewhere string
	// Count counts the annotations of a record that cannot be taken, as far as it can be
	// read at all.
	Count func(raw []byte) int

	files []*recordFile
	list  []Record
}

type recordFile struct {
	HeldFile
	name string // in messages
}

// Record is one image's labels in a file.
type Record struct {
	Span
	file    int
	Number  int // in its file, from 1; 0 is of no file
	Image   string
	ImageID string // the service's, where the source has it
	Err     error  // why it cannot be taken
}

// NewRecords makes an empty index for the files of a source.
func NewRecords(in convert.Input, one, many string, count func(raw []byte) int) (*Records, error) {
	s, err := Prepare(in)
	return &Records{Files: s, One: one, Many: many, Count: count}, err
}

// AddFile adds a file to the index: index goes through what it holds, and hands over each
// record with its place in bytes.
func (r *Records) AddFile(path, name string, index func(content io.Reader, add func(start, length int64, record Record)) error) error {
	f, err := OpenRegular(path)
	if err != nil {
		return OpenError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return OpenError(path, err)
	}
	file := &recordFile{HeldFile{Of: &r.HeldFiles, Path: path, Info: info}, name}
	r.files = append(r.files, file)
	err = index(f, func(start, length int64, record Record) {
		record.Span, record.file = Span{start, uint32(length)}, len(r.files)-1
		if record.Image == "" {
			record.Image = fmt.Sprintf("%s %d", r.One, record.Number)
		}
		r.list = append(r.list, record)
	})
	if err != nil {
		return &convert.Error{Op: "read", Path: path, Err: ReasonOf(err)}
	}
	return nil
}

// Lack adds an image that has no record, and why.
func (r *Records) Lack(image string, why error) {
	r.list = append(r.list, Record{Image: image, Err: why})
}

// Len is how many records there are.
func (r *Records) Len() int { return len(r.list) }

// All are the records, in the order of the walk; they may be changed until the source is
// walked.
func (r *Records) All() []Record { return r.list }

// FailRepeated fails the records of images that several are for.
func (r *Records) FailRepeated() {
	first := make(map[string]int, len(r.list))
	for i := range r.list {
		l := &r.list[i]
		j, twice := first[l.Image]
		if !twice {
			first[l.Image] = i
			continue
		}
		other := &r.list[j]
		err := fmt.Errorf("%s %d and %d both are for it; leave one", r.Many, other.Number, l.Number)
		if other.file != l.file {
			err = fmt.Errorf("%s %s %d and %s %s %d both are for it; leave one", r.files[other.file].name, r.One, other.Number, r.files[l.file].name, r.One, l.Number)
		}
		for _, l := range []*Record{other, l} {
			if l.Err == nil {
				l.Err = err
			}
		}
	}
}

// Items goes through the records. A cursor is a record's place in the index.
func (r *Records) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		defer r.Hold()()
		next := 0
		if after != "" {
			last, err := strconv.Atoi(after)
			if err != nil || last < 0 {
				yield(convert.Item{}, fmt.Errorf("%q is no place among the %s", after, r.Many))
				return
			}
			next = last + 1
		}
		for ; next < len(r.list); next++ {
			if err := ctx.Err(); err != nil {
				yield(convert.Item{}, err)
				return
			}
			l := r.list[next]
			file := r.Elsewhere
			if l.Number > 0 {
				file = r.files[l.file].name
			}
			if !r.Filter.Takes(l.Image, file) {
				continue
			}
			item := convert.Item{Cursor: strconv.Itoa(next), Image: l.Image, ImageID: l.ImageID, File: file, Err: l.Err, Place: l}
			if l.Err != nil {
				item.Annotations = r.countIn(l)
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Record is what stands in the file of an item, and where: "line 7".
func (r *Records) Record(item convert.Item) (raw []byte, at string, err error) {
	l, ok := item.Place.(Record)
	if !ok || l.Number == 0 {
		return nil, "", item.Err
	}
	at = fmt.Sprintf("%s %d", r.One, l.Number)
	raw, err = r.read(l)
	if err != nil {
		return nil, at, fmt.Errorf("read %s: %w", at, ReasonOf(err))
	}
	return raw, at, nil
}

func (r *Records) read(l Record) ([]byte, error) {
	file := r.files[l.file]
	if err := file.Take(); err != nil {
		return nil, err
	}
	defer file.Release()
	raw := make([]byte, l.Length)
	return raw, file.Read(raw, l.Start)
}

// countIn counts the annotations of a record that cannot be taken.
func (r *Records) countIn(l Record) int {
	if l.Number == 0 {
		return 0
	}
	raw, err := r.read(l)
	if err != nil {
		return 0
	}
	return r.Count(raw)
}

// Failed is the result of an item whose record cannot be taken, its annotations counted.
func (r *Records) Failed(item convert.Item) convert.Result {
	l, ok := item.Place.(Record)
	if !ok {
		return convert.Result{}
	}
	n := r.countIn(l)
	return convert.Result{Read: n, LeftOut: n}
}

// Infos are the files, as they were indexed.
func (r *Records) Infos() (infos []os.FileInfo) {
	for _, f := range r.files {
		infos = append(infos, f.Info)
	}
	return infos
}

// Unchanged reports whether the files are still what they were.
func (r *Records) Unchanged() bool {
	for _, f := range r.files {
		if !Stands(f.Path, f.Info) {
			return false
		}
	}
	return true
}

// ImageFile is looked for in the folder of images.
func (r *Records) ImageFile(item convert.Item) string { return r.InImages(item.Image) }

// CleanImage is the path of an image as the tool writes it; the error says why a name is none.
func CleanImage(name string) (string, error) {
	clean, err := CleanImagePath(name)
	if err != nil {
		return "", fmt.Errorf("the image's name %w", err)
	}
	return clean, nil
}
