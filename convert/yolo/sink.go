package yolo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/internal/atomicfile"
	"pictosync/source"
)

// WriteFlags are the options of writing YOLO labels.
type WriteFlags struct {
	Task Task // what the labels are for; "" is what loses least

	task string // as it was given
}

// Add adds them to the flags of a command.
func (o *WriteFlags) Add(f *pflag.FlagSet) {
	f.StringVar(&o.task, "yolo-task", "", "what YOLO labels are written for: detect, segment, pose or obb")
}

// Check reads the task.
func (o *WriteFlags) Check() (err error) {
	if o.Task, err = parseTask(o.task); err != nil {
		return fmt.Errorf("read --yolo-task: %w", err)
	}
	return nil
}

// sizesFile is what the file of image sizes is called that is written beside data.yaml.
const sizesFile = "sizes.csv"

// sink writes a folder of label files with data.yaml and sizes.csv.
type sink struct {
	convert.Unencoded // what takes its time are the files
	mode              fs.FileMode
	path, temp        string
	root              *os.Root // of temp: names of images lead nowhere else
	writer            *Writer
	sizes             *atomicfile.File
	splits            writtenSplits
	written           convert.Written
}

func (s *sink) Written() convert.Written { return s.written }

// variants are the tasks, each for itself: labels of one are not those of another.
func variants() map[string]convert.Flags {
	all := make(map[string]convert.Flags)
	for _, task := range Tasks {
		all[Name+"-"+string(task)] = &WriteFlags{Task: task}
	}
	return all
}

// folderMode lets those look into a folder who may read its files.
func folderMode(mode fs.FileMode) fs.FileMode { return mode | mode&0o444>>2 }

func create(o convert.Output) (convert.Sink, error) {
	var flags WriteFlags
	if own, ok := o.Own.(*WriteFlags); ok {
		flags = *own
	}
	writer, err := NewWriter(o.Catalog, flags.Task)
	if err != nil {
		return nil, convert.UnfitError{Err: fmt.Errorf("write YOLO labels: %w", err)}
	}
	path, mode := filepath.Clean(o.Path), o.Mode
	switch entries, err := os.ReadDir(path); {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("write the folder %s: it %w; labels that are not written anew would stay in it: empty it, or name another with --out", path, convert.ErrTaken)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("write the folder %s: %w", path, err)
	}
	temp, err := atomicfile.MakeFolderBeside(path, folderMode(mode))
	if err != nil {
		return nil, fmt.Errorf("write the folder %s: %w", path, err)
	}
	s := &sink{mode: mode, path: path, temp: temp, writer: writer}
	s.splits = writtenSplits{layout: layoutOf(o.Catalog), folders: make(map[string]map[string]bool), lines: make(map[string][]byte)}
	if s.root, err = os.OpenRoot(temp); err != nil {
		s.Abort()
		return nil, fmt.Errorf("write the folder %s: %w", path, err)
	}
	if s.sizes, err = atomicfile.Create(filepath.Join(temp, sizesFile), mode); err != nil {
		s.Abort()
		return nil, err
	}
	s.sizes.WriteString("image,width,height\n")
	return s, nil
}

func (s *sink) Write(c *convert.Converted) error {
	image := convert.BareName(c.Item.Image) // as it is called in the data set
	label, written, leftOut, findings, err := s.writer.Image(c.Item.Image, c.Result)
	splits := convert.SplitsOf(c.Source, c.Item)
	unnamed := s.splits.check(image, splits)
	switch {
	case unnamed != nil && slices.Contains(splits, convert.NoSplit):
		convert.ReportInto(&findings, c.Item.Image)(convert.KindLostDetail, "", unnamed.Error(), "its label was written, and no split names it")
	case unnamed != nil:
		convert.ReportInto(&findings, c.Item.Image)(convert.KindNoSplit, "", unnamed.Error(), "no split would name it")
	}
	if !c.Lose(leftOut, findings, err) {
		return nil
	}
	var f *os.File
	if err = s.writer.nameError(c.Item.Image); err == nil {
		f, err = s.create(filepath.FromSlash(s.writer.labelPath(c.Item.Image)))
	}
	if errors.Is(err, os.ErrExist) {
		err = errSharedName
	}
	if err != nil && !noRoom(err) {
		c.Err = fmt.Errorf("write the label of %s: %w", c.Item.Image, err)
		return nil
	}
	if err == nil {
		_, err = f.Write(label)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write the label of %s: %w", c.Item.Image, err)
	}
	if c.Result.Size.Known() {
		fmt.Fprintf(s.sizes, "%s,%d,%d\n", quoteCSV(image), c.Result.Size.Width, c.Result.Size.Height)
	}
	if unnamed == nil {
		s.splits.add(image, splits)
	}
	s.written.Add(written)
	return nil
}

var errSharedName = errors.New("another image has the same name but for its extension, and a label file is named without")

// nameError says why an image's label cannot be told by its name, nil where it can.
func (w *Writer) nameError(image string) error {
	label := filepath.Base(w.labelPath(image))
	switch {
	case w.catalog.SharesStem(image):
		return errSharedName
	case source.NotLabels[strings.ToLower(label)]:
		return fmt.Errorf("its label would be named %s, which is taken for a list or a text beside labels", label)
	}
	return nil
}

// create creates a label file. Its error is about the name, unless there is no room.
func (s *sink) create(file string) (*os.File, error) {
	if !filepath.IsLocal(file) {
		return nil, errors.New("its name leads out of the folder")
	}
	if err := s.root.MkdirAll(filepath.Dir(file), folderMode(s.mode)); err != nil {
		return nil, err
	}
	return s.root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, s.mode)
}

// noRoom reports an error that would meet every other file too.
func noRoom(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func quoteCSV(text string) string {
	if strings.ContainsAny(text, "\",\r\n") || strings.TrimSpace(text) != text {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

func (s *sink) Close() error {
	defer s.Abort()
	if err := atomicfile.Write(filepath.Join(s.temp, "data.yaml"), s.writer.description(&s.splits), s.mode); err != nil {
		return err
	}
	for split, lines := range s.splits.lines {
		if err := atomicfile.Write(filepath.Join(s.temp, split+".txt"), lines, s.mode); err != nil {
			return err
		}
	}
	if err := s.sizes.Close(); err != nil {
		return err
	}
	os.Remove(s.path) // an empty folder
	if err := os.Rename(s.temp, s.path); err != nil {
		return fmt.Errorf("write the folder %s: %w", s.path, err)
	}
	return atomicfile.SyncFolder(filepath.Dir(s.path))
}

func (s *sink) Abort() {
	if s.sizes != nil {
		s.sizes.Abort()
	}
	if s.root != nil {
		s.root.Close()
	}
	os.RemoveAll(s.temp) // nothing where it was renamed
}
