// Package source finds labels: COCO files, YOLO folders, canonical JSON Lines
// and SQLite manifests. It knows where labels, images and sizes lie, and yields
// one [Item] for each image that the labels speak of; what the labels say is
// read by package convert when an item is loaded.
//
// # What is promised
//
//   - Items come in an order that depends on nothing but the source, so that a
//     walk can go on behind any of them.
//   - Memory follows the number of images, never the size of the labels; a YOLO
//     folder is walked without holding more than one of its folders.
//   - What is wrong with one image or label is that item's error or a finding.
//     Only a source that cannot be understood at all is an [Error].
//   - Nothing is written, and no file beyond the source, the folder of images
//     and the sizes file is read.
package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pictosync/convert"
)

// Options say how a source is read.
type Options struct {
	// Include and Exclude are globs over image paths and label files; ** crosses
	// folders. What both take is left out.
	Include, Exclude []string
	// Now is the present, which tells the newest of several backups; zero is the clock's.
	Now time.Time
	// Images is the folder of the image files where they are not beside the
	// labels; "" means that they are, or that there are none.
	Images string
	// Sizes is a file of image sizes, JSON or CSV; may be "".
	Sizes string
	// Task says what YOLO lines are; "" finds it from the data set. KeypointShape is
	// the number of joints and of numbers a joint, Columns what the numbers of a line
	// are, where the data set says neither: as class, box, confidence, id.
	Task          convert.YOLOTask
	KeypointShape [2]int
	Columns       []string
	// ClassList is the list of class names, where a data set has several; "" is none.
	ClassList string
	// MergeFiles takes COCO files that describe the same images as one, and their
	// annotations with one id as one object.
	MergeFiles bool
	// OnSizeMismatch says what becomes of an image whose size differs between its
	// label, its file and the dataset.
	OnSizeMismatch SizePolicy
	Convert        convert.Options
	// Report is told what is wrong with the source itself, each thing once. It
	// may be called from several goroutines, one at a time. May be nil.
	Report func(convert.Finding) `json:"-"`
}

// setting is what every kind of source is opened with.
type setting struct {
	path     string // as the user named it
	options  Options
	filter   filter
	sizes    *sizes
	images   string // folder of the images, "" if none was given
	reporter *reporter
}

// Open recognizes what path is and opens it. The error is an [*Error] where the
// source is what fails.
func Open(ctx context.Context, path string, o Options) (Source, error) {
	s := setting{path: path, options: o, reporter: newReporter(o.Report)}
	var err error
	if s.filter, err = newFilter(o.Include, o.Exclude); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if o.Sizes != "" {
		if s.sizes, err = readSizes(o.Sizes, s.reporter); err != nil {
			return nil, err
		}
	}
	if o.Images != "" {
		images, err := os.Stat(o.Images)
		if err == nil && !images.IsDir() {
			err = errors.New("is no folder")
		}
		if err != nil {
			return nil, &Error{Op: "open", Path: o.Images, Err: reasonOf(err), Advice: "--images names the folder of the image files"}
		}
		s.images = o.Images
	}
	switch {
	case info.IsDir():
		return openFolder(ctx, s)
	case !info.Mode().IsRegular():
		return nil, &Error{Op: "open", Path: path, Err: errors.New("is neither a file nor a folder")}
	}
	return openFile(ctx, s)
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

const (
	whatSources = "a source is a COCO file, a YOLO folder, canonical JSON Lines (.jsonl), a manifest (.db) made by pictosync manifest, or a backup made by pictosync export"
	sqliteMagic = "SQLite format 3\x00"
)

func openFile(ctx context.Context, s setting) (Source, error) {
	head, err := readHead(s.path, 512)
	if err != nil {
		return nil, openError(s.path, err)
	}
	ext := strings.ToLower(filepath.Ext(s.path))
	content := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte(sqliteMagic)):
		return openManifest(ctx, s)
	case archiveName(s.path) != "":
		return nil, notRead(s.path, "is "+archiveName(s.path))
	case len(content) == 0 && len(head) < 512:
		return nil, &Error{Op: "read", Path: s.path, Err: errors.New("the file is empty"), Advice: whatSources}
	case ext == ".jsonl" || ext == ".ndjson":
		return openCanonical(ctx, s)
	case ext == ".yaml" || ext == ".yml":
		return openUltralytics(ctx, s, filepath.Dir(s.path), s.path)
	case ext == ".data":
		return openDarknet(ctx, s, filepath.Dir(s.path), s.path)
	case content[0] == '{' || content[0] == '[' || ext == ".json":
		return openCOCOFile(ctx, s, filepath.Base(s.path))
	case formatName(s.path, head) != "":
		return nil, notRead(s.path, "is "+formatName(s.path, head))
	case ext == ".txt" || ext == ".names":
		return nil, &Error{Op: "read", Path: s.path, Err: errors.New("is one file of a YOLO folder"), Advice: "give the folder that holds labels and class names"}
	}
	return nil, &Error{Op: "read", Path: s.path, Err: errors.New("is not a known label format"), Advice: whatSources}
}

func readHead(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// openFolder tells a folder's format by the files that describe data sets,
// which lie at its top, and only without one by searching it for COCO files.
func openFolder(ctx context.Context, s setting) (Source, error) {
	if IsBackup(s.path) {
		return openBackup(ctx, s)
	}
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, openError(s.path, err)
	}
	description, err := findDescription(s.path, entries)
	if err != nil {
		return nil, err
	}
	if description != "" {
		if s.options.ClassList == "" {
			if err := checkDescriptions(s.path, description, entries); err != nil {
				return nil, err
			}
		}
		s.tellPassedOver(entries, description)
	}
	switch {
	case description == "":
	case strings.EqualFold(filepath.Ext(description), ".data"):
		return openDarknet(ctx, s, s.path, description)
	default:
		return openUltralytics(ctx, s, s.path, description)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return isClutter(e.Name()) })
	l := &listings{}
	names := s.options.ClassList
	if names == "" {
		if names, err = findClassList(s.path, entries, l); err != nil {
			return nil, err
		}
	}
	if names != "" {
		s.tellPassedOver(entries, names)
		return openPlain(ctx, s, names, l)
	}
	found, err := survey(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case len(found.json) > 0:
		return openCOCOFolder(ctx, s, found.json)
	case found.label != "":
		if head, err := readHead(filepath.Join(s.path, filepath.FromSlash(found.label)), 4096); err == nil && formatName(found.label, head) != "" {
			return nil, notRead(s.path, fmt.Sprintf("holds %s (%s)", formatName(found.label, head), display(found.label)))
		}
		advice := "put data.yaml, or classes.txt with one name a line, into the folder, or give --class-list FILE"
		if nested := beside(s.path, func(name string) bool {
			return isClassList(name) || filepath.Ext(name) == ".names" || name == "data.yaml" || name == "data.yml" || name == "obj.data"
		}); nested != "" {
			advice = "give the folder with data.yaml, or --class-list FILE" + nested
		}
		return nil, &Error{Op: "read", Path: s.path, Err: fmt.Errorf("there are labels (%s) but no class names at the top", display(found.label)), Advice: advice}
	case found.lines != "":
		return nil, &Error{Op: "read", Path: s.path, Err: errors.New("the folder holds canonical JSON Lines"),
			Advice: fmt.Sprintf("give the file itself: %s", display(filepath.Join(s.path, filepath.FromSlash(found.lines))))}
	}
	if what := found.foreign(s.path); what != "" {
		return nil, notRead(s.path, what)
	}
	advice := whatSources
	if nested := beside(s.path, func(name string) bool { return name == "data.yaml" || name == "data.yml" || name == "obj.data" }); nested != "" {
		advice = "give the folder with data.yaml" + nested
	}
	return nil, &Error{Op: "read", Path: s.path, Err: errors.New("the folder holds no labels"), Advice: advice}
}

// contents are what a search of a folder came upon, slash-separated paths.
type contents struct {
	json  []string // all of them
	label string   // the first .txt that may be a label
	lines string   // the first canonical JSON Lines
	other string   // the first file of a format that is known and not read
}

// foreign says what the other file is, "" if there is none that is known.
func (c contents) foreign(folder string) string {
	if c.other == "" {
		return ""
	}
	what := archiveName(c.other)
	if what == "" {
		head, err := readHead(filepath.Join(folder, filepath.FromSlash(c.other)), 4096)
		if what = formatName(c.other, head); err != nil || what == "" {
			return ""
		}
	}
	return fmt.Sprintf("holds %s (%s)", what, display(c.other))
}

func survey(ctx context.Context, s setting) (contents, error) {
	var found contents
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
				found.json = append(found.json, file)
			}
		case ".txt":
			if found.label == "" && !notLabels[strings.ToLower(filepath.Base(file))] {
				found.label = file
			}
		case ".jsonl", ".ndjson":
			found.lines = file
		default:
			if found.other == "" {
				found.other = file
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
