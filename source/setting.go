package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// setting is what sources of every format need: which files are taken, what is known of
// the sizes of images, and where findings about the source go.
type setting struct {
	path     string // as the user named it
	options  Options
	formats  []Format
	filter   filter
	sizes    *sizes
	images   string // folder of the images, "" if none was given
	reporter *reporter
}

// prepare checks what an input is read with.
func prepare(in Input) (setting, error) {
	s := setting{path: in.Path, options: in.Options, formats: in.Formats, reporter: newReporter(in.Report)}
	var err error
	if s.filter, err = newFilter(in.Include, in.Exclude); err != nil {
		return s, err
	}
	if in.Sizes != "" {
		if s.sizes, err = readSizes(in.Sizes, s.reporter); err != nil {
			return s, err
		}
	}
	if in.Images == "" {
		return s, nil
	}
	images, err := os.Stat(in.Images)
	if err == nil && !images.IsDir() {
		err = errors.New("is no folder")
	}
	if err != nil {
		return s, &Error{Op: "open", Path: in.Images, Err: reasonOf(err), Advice: "--images names the folder of the image files"}
	}
	s.images = in.Images
	return s, nil
}

// input is what a format opens for this source: another file or folder of it.
func (s setting) input(path, name string) Input {
	in := Input{Path: path, Name: name, Options: s.options, Formats: s.formats}
	in.Report = s.reporter.report // each thing once
	return in
}

func openError(path string, err error) *Error {
	e := &Error{Op: "open", Path: path, Err: reasonOf(err)}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if e.Advice = "check the path"; !filepath.IsAbs(path) {
			e.Advice += "; it is relative to the working folder"
		}
	case errors.Is(err, fs.ErrPermission):
		e.Advice = "this user may not read it"
	}
	return e
}

// reasonOf is an error of the operating system without the operation and path
// that its message would repeat.
func reasonOf(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func readHead(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// survey goes through the whole folder.
func (s setting) survey(ctx context.Context) (Survey, error) {
	var found Survey
	w := walker{root: s.path, reporter: s.reporter, take: func(name string) bool {
		ext := strings.ToLower(filepath.Ext(name))
		return ext == ".json" || ext == ".txt" || ext == ".jsonl" || ext == ".ndjson" || ext == ".xml" || archiveName(name) != ""
	}}
	for file, err := range w.files(ctx, "") {
		if err != nil {
			return found, err
		}
		switch strings.ToLower(filepath.Ext(file)) {
		case ".json":
			if !s.filter.excludes(file) {
				found.JSON = append(found.JSON, file)
			}
		case ".txt":
			if found.Label == "" && !notLabels[strings.ToLower(filepath.Base(file))] {
				found.Label = file
			}
		case ".jsonl", ".ndjson":
			found.Lines = file
		default:
			if found.Other == "" {
				found.Other = file
			}
		}
	}
	return found, nil
}

// fingerprint is what cursors depend on: the options, and the files whose
// contents they count.
func (s setting) fingerprint(files ...os.FileInfo) string {
	h := sha256.New()
	options, err := json.Marshal(s.options)
	if err != nil {
		panic(err) // text and lists of text
	}
	h.Write(options)
	for _, f := range files {
		fmt.Fprintf(h, "\n%s %d %d", f.Name(), f.Size(), f.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// openSame opens a file that was read before, if it is still what it was.
func openSame(path string, was os.FileInfo) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unchanged(f, was); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unchanged is nil while an open file is what it was.
func unchanged(f *os.File, was os.FileInfo) error {
	now, err := f.Stat()
	if err == nil && (now.Size() != was.Size() || !now.ModTime().Equal(was.ModTime()) || !os.SameFile(now, was)) {
		err = fmt.Errorf("read %s: the file was changed while it was in use; run again", display(f.Name()))
	}
	return err
}

// inImages is the file of an image in the folder of images, by its path or its name; "" where
// there is none.
func (s setting) inImages(image string) string {
	if s.images == "" {
		return ""
	}
	for _, name := range []string{image, path.Base(image)} {
		if file := existing(filepath.Join(s.images, filepath.FromSlash(name))); file != "" {
			return file
		}
	}
	return ""
}

// stands reports whether a file is still what it was.
func stands(path string, was os.FileInfo) bool {
	f, err := openSame(path, was)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
