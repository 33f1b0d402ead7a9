// Package source has what label formats share about files: which are taken, how folders are
// walked and listed, what sizes images have, the index of files that hold the labels of many
// images ([Records]), and files that stay open while a source is walked. It names no format.
//
// # What is promised
//
//   - Items come in an order that depends on nothing but the source, so that a walk can go
//     on behind any of them.
//   - Memory follows the number of images, never the size of the labels; a folder is walked
//     without holding more than one of its folders.
//   - What is wrong with one image or label is that item's error or a finding. Only a source
//     that cannot be understood at all is a [convert.Error].
//   - Nothing is written, and no file beyond the source, the folder of images and the sizes
//     file is read.
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

	"pictosync/convert"
)

// Files is what sources of every format need: which files are taken, what is known of
// the sizes of images, and where findings about the source go.
type Files struct {
	Path     string // as the user named it
	Options  convert.OpenOptions
	Formats  []convert.Format
	Filter   filter
	Sizes    *sizes
	Images   string // folder of the images, "" if none was given
	Reporter *convert.Reporter
}

// Finish reports what only shows when every item was loaded.
func (s *Files) Finish() {
	for _, f := range s.Options.Convert.KeepMembers.Unmet() {
		s.Reporter.Report(f)
	}
}

// Prepare checks what an input is read with.
func Prepare(in convert.Input) (Files, error) {
	s := Files{Path: in.Path, Options: in.OpenOptions, Formats: in.Formats, Reporter: convert.NewReporter(in.Report)}
	var err error
	if s.Filter, err = NewFilter(in.Include, in.Exclude, in.Fits); err != nil {
		return s, err
	}
	if in.Sizes != "" {
		if s.Sizes, err = readSizes(in.Sizes, s.Reporter); err != nil {
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
		return s, &convert.Error{Op: "open", Path: in.Images, Err: ReasonOf(err), Advice: "--images names the folder of the image files"}
	}
	s.Images = filepath.Clean(in.Images)
	return s, nil
}

// Input is what a format opens for this source: another file or folder of it.
func (s Files) Input(path, name string) convert.Input {
	in := convert.Input{Path: path, Name: name, OpenOptions: s.Options, Formats: s.Formats}
	in.Report = s.Reporter.Report // each thing once
	return in
}

// OpenError says why a file or folder cannot be opened, and what to do about it.
func OpenError(path string, err error) *convert.Error {
	e := &convert.Error{Op: "open", Path: path, Err: ReasonOf(err)}
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

// ReasonOf is an error of the operating system without the operation and path
// that its message would repeat.
func ReasonOf(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// ReadHead is how a file begins.
func ReadHead(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// Survey goes through the whole folder.
func (s Files) Survey(ctx context.Context) (convert.Survey, error) {
	var found convert.Survey
	w := Walker{Root: s.Path, Reporter: s.Reporter, Take: func(name string) bool {
		ext := strings.ToLower(filepath.Ext(name))
		return ext == ".json" || ext == ".txt" || ext == ".jsonl" || ext == ".ndjson" || ext == ".xml" || ext == ".csv" || ArchiveName(name) != "" || isOddJSON(name)
	}}
	for file, err := range w.Files(ctx, "") {
		if err != nil {
			return found, err
		}
		if isOddJSON(file) && !s.Filter.Excludes(file) {
			found.Odd = append(found.Odd, file)
		}
		switch strings.ToLower(filepath.Ext(file)) {
		case ".json":
			if !s.Filter.Excludes(file) {
				found.JSON = append(found.JSON, file)
			}
		case ".txt":
			if found.Label == "" && !NotLabels[strings.ToLower(filepath.Base(file))] {
				found.Label = file
			}
		case ".jsonl", ".ndjson":
			found.Lines = file
		case ".csv":
			if found.Other == "" && UnreadFile(filepath.Join(s.Path, filepath.FromSlash(file))) != "" {
				found.Other = file
			}
		default:
			if found.Other == "" && (ArchiveName(file) != "" || !isOddJSON(file)) {
				found.Other = file
			}
		}
	}
	return found, nil
}

// isOddJSON reports whether a name is most likely one of JSON labels, and does not end so.
func isOddJSON(name string) bool {
	name = strings.ToLower(path.Base(name))
	return strings.Contains(name, ".json.") || strings.HasSuffix(name, ".coco")
}

// Fingerprint is what cursors depend on: the options, and the files whose
// contents they count.
func (s Files) Fingerprint(files ...os.FileInfo) string {
	h := sha256.New()
	options, err := json.Marshal(s.Options)
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
		err = fmt.Errorf("read %s: the file was changed while it was in use; run again", convert.Display(f.Name()))
	}
	return err
}

// InImages is the file of an image in the folder of images, by its path or its name; "" where
// there is none.
func (s Files) InImages(image string) string {
	if s.Images == "" {
		return ""
	}
	for _, name := range []string{image, path.Base(image)} {
		if file := Existing(filepath.Join(s.Images, filepath.FromSlash(name))); file != "" {
			return file
		}
	}
	return ""
}

// ImageFolders is the folder of images, where one was named.
func (s Files) ImageFolders() []convert.ImageFolder {
	if s.Images == "" {
		return nil
	}
	return []convert.ImageFolder{{Path: s.Images, Name: func(rel string) string { return rel }}}
}

// Stands reports whether a file is still what it was.
func Stands(path string, was os.FileInfo) bool {
	f, err := openSame(path, was)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
