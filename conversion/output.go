// Package conversion converts whole sources without a service: image by image in the order
// of the source, by several workers ([Run]), into an output that appears under its name
// when all is written ([Output]), or into a count of what they hold ([Inspect]).
package conversion

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/coco"
	"pictosync/convert/yolo"
	"pictosync/internal/atomicfile"
)

// Output is a format that images are written in. What it makes appears under
// its name only when all is written.
type Output interface {
	Encoder
	// Write writes one image. It fails the image, or adds findings to it, where
	// the format cannot hold it; its error ends the conversion.
	Write(*Image) error
	// Close completes the output.
	Close() error
	// Abort leaves nothing behind; after Close it does nothing.
	Abort()
}

// Catalog goes through a source once, so that its classes are known before the
// first image is written.
func Catalog(ctx context.Context, src convert.Source, o Options, m *convert.ClassMap) (*convert.Catalog, error) {
	c := convert.NewCatalog(m)
	o.Finding = nil // they are told when the images are written
	_, err := Run(ctx, src, o, func(image *Image) error {
		if image.Err == nil {
			c.Add(image.Result)
		}
		return nil
	})
	return c, err
}

// canonicalOutput writes canonical JSON Lines.
type canonicalOutput struct{ *atomicfile.File }

// NewCanonicalOutput writes canonical JSON Lines to a file, or to standard
// output for "-".
func NewCanonicalOutput(path string, mode fs.FileMode) (Output, error) {
	f, err := atomicfile.Create(path, mode)
	if err != nil {
		return nil, err
	}
	return &canonicalOutput{f}, nil
}

func (o *canonicalOutput) Encode(dst []byte, c *Image) []byte {
	image := canonical.Image{Image: c.Item.Image, Size: c.Result.Size, Annotations: c.Result.Annotations, Boxes: c.Result.Boxes, Slots: c.Result.Slots}
	line, err := image.Append(dst)
	c.Result.Release()
	if err != nil {
		c.encodedErr = err
		return dst
	}
	return append(line, '\n')
}

func (o *canonicalOutput) WriteEncoded(lines []byte) error {
	_, err := o.File.Write(lines)
	return err
}

// Write has nothing left to write.
func (o *canonicalOutput) Write(c *Image) error { return c.encodedErr }

// wrote takes what a writer says of the image. What the format cannot hold is lost as
// what cannot be read is.
func (c *Image) wrote(leftOut int, findings []convert.Finding, err error, accepted convert.Accepted) {
	c.Result.LeftOut += leftOut
	c.leftOut += leftOut
	c.Result.Findings = append(c.Result.Findings, findings...)
	if c.Err = err; err == nil {
		c.Err = accepted.Refusal(c.Result)
	}
}

// unencoded leaves all to an output's Write.
type unencoded struct{}

func (unencoded) Encode(dst []byte, _ *Image) []byte { return dst }
func (unencoded) WriteEncoded([]byte) error          { return nil }

// cocoOutput writes one COCO file. The annotations wait in a file of their own
// while the images, which stand before them, are written.
type cocoOutput struct {
	unencoded // ids are given in order
	*atomicfile.File
	writer      *coco.Writer
	accepted    convert.Accepted
	annotations *os.File
	waiting     *bufio.Writer
	any         bool // annotations
	images      bool
}

// NewCOCOOutput writes one COCO file of images that are all in the catalog.
func NewCOCOOutput(path string, mode fs.FileMode, c *convert.Catalog, accepted convert.Accepted) (Output, error) {
	f, err := atomicfile.Create(path, mode)
	if err != nil {
		return nil, err
	}
	dir := os.TempDir()
	if info, err := os.Stat(path); path != "-" && (err != nil || info.Mode().IsRegular()) {
		dir = filepath.Dir(path)
	}
	waiting, err := os.CreateTemp(dir, ".pictosync-annotations.*")
	if err != nil {
		f.Abort()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	o := &cocoOutput{accepted: accepted, File: f, writer: coco.NewWriter(c), annotations: waiting, waiting: bufio.NewWriterSize(waiting, 1<<20)}
	if _, err := o.WriteString("{\"images\":["); err != nil {
		o.Abort()
		return nil, err
	}
	return o, nil
}

func (o *cocoOutput) Write(c *Image) error {
	if c.Err != nil {
		return nil
	}
	image, annotations, leftOut, findings, err := o.writer.Image(c.Item.Image, c.Result)
	if c.wrote(leftOut, findings, err, o.accepted); c.Err != nil {
		return nil
	}
	if o.images {
		o.WriteByte(',')
	}
	o.images = true
	o.WriteByte('\n')
	if _, err := o.File.Write(image); err != nil {
		return err
	}
	for _, a := range annotations {
		if o.any {
			o.waiting.WriteByte(',')
		}
		o.any = true
		o.waiting.WriteByte('\n')
		if _, err := o.waiting.Write(a); err != nil {
			return err
		}
	}
	return nil
}

func (o *cocoOutput) Close() error {
	defer o.Abort()
	categories, err := o.writer.Categories()
	if err != nil {
		return err
	}
	if err := o.waiting.Flush(); err != nil {
		return err
	}
	if _, err := o.annotations.Seek(0, io.SeekStart); err != nil {
		return err
	}
	o.WriteString("\n],\"annotations\":[")
	if _, err := io.Copy(o.File, o.annotations); err != nil {
		return err
	}
	o.WriteString("\n],\"categories\":")
	o.File.Write(categories)
	o.WriteString("}\n")
	return o.File.Close()
}

func (o *cocoOutput) Abort() {
	o.File.Abort()
	if o.annotations != nil {
		o.annotations.Close()
		os.Remove(o.annotations.Name())
		o.annotations = nil
	}
}

// yoloOutput writes a folder of label files with data.yaml and sizes.csv.
type yoloOutput struct {
	unencoded  // what takes its time are the files
	mode       fs.FileMode
	path, temp string
	root       *os.Root // of temp: names of images lead nowhere else
	writer     *yolo.Writer
	accepted   convert.Accepted
	sizes      *atomicfile.File
	folders    []string // at the top of the images' paths
	loose      bool     // there are images without a folder
}

// folderMode lets those look into a folder who may read its files.
func folderMode(mode fs.FileMode) fs.FileMode { return mode | mode&0o444>>2 }

// ErrTaken is returned for an output folder that holds something already.
var ErrTaken = errors.New("is there already and not empty")

// NewYOLOOutput writes a folder, which must not be there yet or be empty, of
// images that are all in the catalog.
func NewYOLOOutput(path string, mode fs.FileMode, w *yolo.Writer, accepted convert.Accepted) (Output, error) {
	path = filepath.Clean(path)
	switch entries, err := os.ReadDir(path); {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("write the folder %s: it %w; labels that are not written anew would stay in it", path, ErrTaken)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("write the folder %s: %w", path, err)
	}
	temp, err := atomicfile.MakeFolderBeside(path, folderMode(mode))
	if err != nil {
		return nil, fmt.Errorf("write the folder %s: %w", path, err)
	}
	o := &yoloOutput{mode: mode, accepted: accepted, path: path, temp: temp, writer: w}
	if o.root, err = os.OpenRoot(temp); err != nil {
		o.Abort()
		return nil, fmt.Errorf("write the folder %s: %w", path, err)
	}
	if o.sizes, err = atomicfile.Create(filepath.Join(temp, "sizes.csv"), mode); err != nil {
		o.Abort()
		return nil, err
	}
	o.sizes.WriteString("image,width,height\n")
	return o, nil
}

func (o *yoloOutput) Write(c *Image) error {
	if c.Err != nil {
		return nil
	}
	image := c.Item.Image
	label, leftOut, findings, err := o.writer.Image(image, c.Result)
	if c.wrote(leftOut, findings, err, o.accepted); c.Err != nil {
		return nil
	}
	f, err := o.create(filepath.FromSlash(o.writer.LabelPath(image)))
	if errors.Is(err, os.ErrExist) {
		err = errors.New("another image has the same name but for its extension, and a label file is named without")
	}
	if err != nil && !noRoom(err) {
		c.Err = fmt.Errorf("write the label of %s: %w", image, err)
		return nil
	}
	if err == nil {
		_, err = f.Write(label)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("write the label of %s: %w", image, err)
	}
	if c.Result.Size.Known() {
		fmt.Fprintf(o.sizes, "%s,%d,%d\n", quoteCSV(image), c.Result.Size.Width, c.Result.Size.Height)
	}
	if folder, _, below := strings.Cut(image, "/"); !below {
		o.loose = true
	} else if !slices.Contains(o.folders, folder) && len(o.folders) < 100 {
		o.folders = append(o.folders, folder)
	}
	return nil
}

// create creates a label file. Its error is about the name, unless there is no room.
func (o *yoloOutput) create(file string) (*os.File, error) {
	if !filepath.IsLocal(file) {
		return nil, errors.New("its name leads out of the folder")
	}
	if err := o.root.MkdirAll(filepath.Dir(file), folderMode(o.mode)); err != nil {
		return nil, err
	}
	return o.root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, o.mode)
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

func quoteCSV(s string) string {
	if strings.ContainsAny(s, "\",\r\n") || strings.TrimSpace(s) != s {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

func (o *yoloOutput) Close() error {
	defer o.Abort()
	folders := o.folders
	if o.loose {
		folders = append(folders, "")
	}
	if err := atomicfile.Write(filepath.Join(o.temp, "data.yaml"), o.writer.Description(folders), o.mode); err != nil {
		return err
	}
	if err := o.sizes.Close(); err != nil {
		return err
	}
	os.Remove(o.path) // an empty folder
	if err := os.Rename(o.temp, o.path); err != nil {
		return fmt.Errorf("write the folder %s: %w", o.path, err)
	}
	return atomicfile.SyncFolder(filepath.Dir(o.path))
}

func (o *yoloOutput) Abort() {
	if o.sizes != nil {
		o.sizes.Abort()
	}
	if o.root != nil {
		o.root.Close()
	}
	os.RemoveAll(o.temp) // nothing where it was renamed
}
