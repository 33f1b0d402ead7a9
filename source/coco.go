package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pictosync/convert"
)

// coco is one COCO file or several.
type coco struct {
	setting
	reason string
	print  string
	files  []*cocoFile
	// repeated says of image paths that several entries have them which.
	repeated map[string]error
	readers  sync.Pool // of *annotationReader
	heldFiles
}

// cocoPlace is what an item of a COCO file needs to be loaded.
type cocoPlace struct {
	file  *cocoFile
	image *cocoImage
}

// openCOCOFile opens one file, which messages call name.
func openCOCOFile(ctx context.Context, s setting, name string) (Source, error) {
	f, err := indexCOCO(s.path, name, s.options.Convert, s.reporter)
	if err != nil {
		return nil, cocoError(s.path, err)
	}
	f.nameImages(name)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return newCOCO(s, []*cocoFile{f}, "a JSON file with images, annotations and categories"), nil
}

func cocoError(path string, err error) error {
	e := &Error{Op: "read", Path: path, Err: reasonOf(err), Advice: whatSources}
	var broken *jsonError
	switch {
	case errors.As(err, &broken) && broken.brokenOff():
		e.Advice = "the file is cut off: write or copy it again"
	case errors.As(err, &broken):
		e.Advice = "mend the JSON at that place"
	}
	return e
}

// openCOCOFolder takes the COCO files of the given ones. A damaged one is the
// end of it: going on without would look as if nothing were missing.
func openCOCOFolder(ctx context.Context, s setting, names []string) (Source, error) {
	var files []*cocoFile
	var foreign error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		full := filepath.Join(s.path, filepath.FromSlash(name))
		f, err := indexCOCO(full, name, s.options.Convert, s.reporter)
		if other, ok := errors.AsType[errNotCOCO](err); ok {
			s.reporter.report(finding{Kind: convert.KindSkippedFile, File: name, Reason: other.Error(), Action: "the file was passed over"})
			foreign = cocoError(full, err)
			continue
		}
		if err != nil {
			return nil, cocoError(full, err)
		}
		f.nameImages(name)
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, foreign
	}
	labels := slices.DeleteFunc(slices.Clone(files), func(f *cocoFile) bool { return f.results })
	if len(labels) > 0 && len(labels) < len(files) {
		for _, f := range files {
			if f.results {
				s.reporter.report(finding{Kind: convert.KindSkippedFile, File: f.name, Reason: "prediction results beside labels", Action: "the file was passed over; give the file itself to take it"})
			}
		}
		files = labels
	}
	return newCOCO(s, files, fmt.Sprintf("a folder with %d of them: JSON files with images, annotations and categories", len(files))), nil
}

// nameImages gives the images of Roboflow's files the folder that such a file,
// at a path below the source, lies in: there the images are.
func (f *cocoFile) nameImages(file string) {
	dir := path.Dir(file)
	if path.Base(file) != "_annotations.coco.json" || dir == "." || path.IsAbs(file) {
		return
	}
	for i := range f.images {
		f.images[i].name = join(dir, f.images[i].name)
	}
}

func newCOCO(s setting, files []*cocoFile, reason string) *coco {
	c := &coco{setting: s, files: files, reason: reason, repeated: make(map[string]error)}
	for _, f := range files {
		f.of = &c.heldFiles
	}
	c.findRepeated()
	c.print = s.fingerprint(c.infos()...)
	return c
}

// findRepeated finds images that several entries are for. There may be millions of
// names, so their hashes are compared first.
func (c *coco) findRepeated() {
	seed := maphash.MakeSeed()
	var hashes []uint64
	for _, f := range c.files {
		hashes = slices.Grow(hashes, len(f.images))
		for i := range f.images {
			hashes = append(hashes, maphash.String(seed, f.images[i].name))
		}
	}
	slices.Sort(hashes)
	twice := make(map[uint64]bool)
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			twice[hashes[i]] = true
		}
	}
	if len(twice) == 0 {
		return
	}
	first := make(map[string]*cocoFile)
	for _, f := range c.files {
		for i := range f.images {
			name := f.images[i].name
			if !twice[maphash.String(seed, name)] {
				continue
			}
			switch other := first[name]; {
			case other == nil:
				first[name] = f
			case c.repeated[name] != nil || f.errs[i] != nil:
			case other == f:
				c.repeated[name] = fmt.Errorf("%s has several entries for it; leave one", f.name)
			default:
				c.repeated[name] = fmt.Errorf("%s and %s both describe it; choose with --include or --exclude", other.name, f.name)
			}
		}
	}
}

func (c *coco) infos() (infos []os.FileInfo) {
	for _, f := range c.files {
		infos = append(infos, f.info)
	}
	return infos
}

func (c *coco) Describe() Description {
	return Description{Path: c.path, Format: "coco", Reason: c.reason, Fingerprint: c.print}
}

// Items goes through the files in the order of their paths, and through each
// one's images in the order in which they stand there. A cursor is the number
// of file and image.
func (c *coco) Items(ctx context.Context, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		defer c.hold()() // its images are most likely loaded meanwhile
		file, image, err := c.behind(after)
		if err != nil {
			yield(Item{}, err)
			return
		}
		for ; file < len(c.files); file, image = file+1, 0 {
			if !c.fileItems(ctx, file, image, yield) {
				return
			}
		}
	}
}

// fileItems yields a file's images from one on; false ends the walk.
func (c *coco) fileItems(ctx context.Context, file, image int, yield func(Item, error) bool) bool {
	f := c.files[file]
	cursor := strconv.AppendInt(nil, int64(file), 10)
	cursor = append(cursor, ':')
	for ; image < len(f.images); image++ {
		if err := ctx.Err(); err != nil {
			yield(Item{}, err)
			return false
		}
		img := &f.images[image]
		if !c.filter.takes(img.name, f.name) {
			continue
		}
		item := Item{Cursor: string(strconv.AppendInt(cursor, int64(image), 10)), Image: img.name, File: f.name, Err: f.errs[image], place: cocoPlace{f, img}}
		if item.Err == nil {
			item.Err = c.repeated[img.name]
		}
		if !yield(item, nil) {
			return false
		}
	}
	return true
}

func (c *coco) behind(after string) (file, image int, err error) {
	if after == "" {
		return 0, 0, nil
	}
	fileText, imageText, _ := strings.Cut(after, ":")
	file, fileErr := strconv.Atoi(fileText)
	image, imageErr := strconv.Atoi(imageText)
	if fileErr != nil || imageErr != nil || file < 0 || image < 0 {
		return 0, 0, fmt.Errorf("%q is no place in a COCO source", after)
	}
	return file, image + 1, nil
}

func (c *coco) Load(_ context.Context, item Item, listed convert.Size) (convert.Result, error) {
	p, ok := item.place.(cocoPlace)
	if !ok {
		return convert.Result{}, item.Err
	}
	r, _ := c.readers.Get().(*annotationReader)
	if r == nil {
		r = new(annotationReader)
	}
	defer c.keep(r)
	annotations, err := r.read(p.file, p.image)
	if err != nil {
		return convert.Result{}, err
	}
	size := c.Size(item)
	if !size.Known() {
		size = listed
	}
	if p.file.panoptic {
		return c.loadPanoptic(p, item, size, annotations)
	}
	result := p.file.categories.Image(item.Image, size, annotations)
	result.Size = size
	return result, nil
}

// keep lets a reader be used again, unless an image of many labels made it large.
func (c *coco) keep(r *annotationReader) {
	const most = 1 << 20 // bytes
	if cap(r.bytes) <= most {
		c.readers.Put(r)
	}
}

// loadPanoptic converts the segments of an image, whose PNG lies in the folder
// that is named as the file, or beside the file.
func (c *coco) loadPanoptic(p cocoPlace, item Item, size convert.Size, annotations [][]byte) (convert.Result, error) {
	if len(annotations) != 1 {
		return convert.Result{}, fmt.Errorf("%s has %d entries for the segments of the image, not one", p.file.name, len(annotations))
	}
	var entry struct {
		FileName string `json:"file_name"`
	}
	if err := json.Unmarshal(annotations[0], &entry); err != nil {
		return convert.Result{}, fmt.Errorf("read the segments of the image in %s: %w", p.file.name, err)
	}
	name, err := cleanImagePath(entry.FileName)
	if err != nil {
		return convert.Result{}, fmt.Errorf("the name of the image's PNG of segments (%s) %w", display(entry.FileName), err)
	}
	folder := strings.TrimSuffix(p.file.path, filepath.Ext(p.file.path))
	var picture []byte
	for _, dir := range []string{folder, filepath.Dir(p.file.path)} {
		picture, err = readSmall(filepath.Join(dir, filepath.FromSlash(name)), maxLabels)
		if !isMissing(err) {
			break
		}
	}
	if isMissing(err) {
		return convert.Result{}, fmt.Errorf("the PNG of the image's segments (%s) is neither in the folder %s nor beside %s", display(name), display(folder), p.file.name)
	}
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", name, err)
	}
	result, err := p.file.categories.Panoptic(item.Image, size, annotations[0], picture)
	result.Size = size
	return result, err
}

func (c *coco) Size(item Item) convert.Size {
	if size := c.sizes.of(item.Image); size.Known() {
		return size
	}
	if p, ok := item.place.(cocoPlace); ok && p.image.size().Known() {
		return p.image.size()
	}
	if c.setting.images == "" {
		return convert.Size{}
	}
	for _, name := range []string{item.Image, path.Base(item.Image)} {
		file := filepath.Join(c.setting.images, filepath.FromSlash(name))
		size, err := imageSize(file)
		if err == nil {
			return size
		}
		if !isMissing(err) {
			c.reporter.report(finding{Kind: convert.KindImageHeader, Image: item.Image, File: file, Reason: err.Error(), Action: "the size was looked for elsewhere"})
		}
	}
	return convert.Size{}
}
