package source

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"pictosync/convert"
)

// yolo is a data set of YOLO label files.
type yolo struct {
	setting
	reason string
	print  string
	// root is the data set's folder on disk; image paths are relative to it.
	root string
	// prefix is root relative to the source, for messages; "" where it is that.
	prefix   string
	parts    []yoloPart
	convert  convert.YOLO
	listings *listings
	buffers  sync.Pool // of *[]byte, for labels
}

// yoloPart is a folder of labels or a list of images, relative to the data
// set's root unless it lies elsewhere.
type yoloPart struct {
	path string // on disk
	rel  string // slash-separated, "" for the root
	list bool
}

// yoloPlace is what an item of a YOLO data set needs to be loaded.
type yoloPlace struct {
	label fileOnDisk
	image fileOnDisk // without a name where there is none
}

// notLabels are text files that lie among labels and are none, unless an image
// has their name.
var notLabels = map[string]bool{
	"classes.txt": true, "labels.txt": true, "names.txt": true, "requirements.txt": true, "readme.txt": true,
	"readme.roboflow.txt": true, "readme.dataset.txt": true, "license.txt": true,
	"train.txt": true, "val.txt": true, "valid.txt": true, "validation.txt": true, "test.txt": true,
}

// settle completes a data set whose parts and classes are known.
func (y *yolo) settle(ctx context.Context, files ...os.FileInfo) (Source, error) {
	if y.options.Task != "" {
		y.convert.Task = y.options.Task
	}
	y.convert.Options = y.options.Convert
	y.print = y.fingerprint(files...)
	if y.convert.Task == "" {
		if err := y.findTask(ctx); err != nil {
			return nil, err
		}
	}
	if y.convert.Task == convert.YOLOPose && y.convert.KeypointCount == 0 {
		return nil, &Error{Op: "read", Path: y.path, Err: fmt.Errorf("nothing says how many joints a pose has"),
			Advice: "write kpt_shape: [joints, 2 or 3] into data.yaml"}
	}
	return y, nil
}

// findTask tells the task from the label lines. It ends at the first file that
// decides: lines are read the same way in the tasks detect and segment, and
// only where all have four points may they be something else.
func (y *yolo) findTask(ctx context.Context) error {
	var shapes convert.YOLOShapes
	found := false
	for item, err := range y.Items(ctx, "") {
		if err != nil {
			return err
		}
		found = true
		p, ok := item.place.(yoloPlace)
		if !ok {
			continue
		}
		data, err := readInto(nil, p.label, maxLabels)
		if err != nil {
			continue // the item fails when it is loaded
		}
		if shapes.Add(data); shapes.Boxes+shapes.BoxesWithConfidence+shapes.Polygons > 0 {
			break
		}
	}
	if !found {
		advice := "labels are .txt files named after their images"
		if len(y.filter.include)+len(y.filter.exclude) > 0 {
			advice = "check --include and --exclude"
		}
		return &Error{Op: "read", Path: y.path, Err: fmt.Errorf("there are no labels in it"), Advice: advice}
	}
	task, err := shapes.Task()
	if err != nil {
		return &Error{Op: "read", Path: y.path, Err: err, Advice: "say --task segment or --task obb"}
	}
	y.convert.Task = task
	return nil
}

func (y *yolo) Describe() Description {
	return Description{Path: y.path, Format: "yolo", Reason: y.reason, Task: string(y.convert.Task), Fingerprint: y.print}
}

// Items goes through the parts, and in each through the label files in the
// order of their paths, or through the lines of a list. A cursor is the number
// of the part and the path, or the offset behind the line.
func (y *yolo) Items(ctx context.Context, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		part, behind := 0, ""
		if after != "" {
			number, rest, found := strings.Cut(after, ":")
			n, err := strconv.Atoi(number)
			if err != nil || !found || n < 0 || n >= len(y.parts) {
				yield(Item{}, fmt.Errorf("%q is no place in a YOLO data set", after))
				return
			}
			part, behind = n, rest
		}
		for ; part < len(y.parts); part, behind = part+1, "" {
			for item, err := range y.partItems(ctx, part, behind) {
				if err == nil && !y.filter.takes(item.Image, item.File) {
					continue
				}
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

func (y *yolo) partItems(ctx context.Context, number int, behind string) iter.Seq2[Item, error] {
	if y.parts[number].list {
		return y.listItems(ctx, number, behind)
	}
	return y.folderItems(ctx, number, behind)
}

func (y *yolo) folderItems(ctx context.Context, number int, behind string) iter.Seq2[Item, error] {
	part := y.parts[number]
	w := walker{root: part.path, prefix: join(y.prefix, part.rel), reporter: y.reporter, take: isLabelName, listings: y.listings}
	return func(yield func(Item, error) bool) {
		labels := labelFolder{yolo: y, part: part}
		defer labels.leave()
		cursor := strconv.Itoa(number) + ":"
		for file, err := range w.files(ctx, behind) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			item, ok := labels.item(file)
			if !ok {
				continue
			}
			item.Cursor = cursor + file
			if !yield(item, nil) {
				return
			}
		}
	}
}

// name says which image an item is for: that of the local file, else one of the
// sizes file, else the label's own name without extension.
func (y *yolo) name(item *Item, bare, withImages, found string) {
	ext := filepath.Ext(found)
	if found == "" {
		if image, ok := y.sizes.named(bare, withImages); ok {
			item.Image, ext = image, path.Ext(image)
			for _, alias := range []string{bare + ext, withImages + ext} {
				if alias != image {
					item.Aliases = append(item.Aliases, alias)
				}
			}
			return
		}
		item.Stem = true
	}
	item.Image = bare + ext
	if withImages != bare {
		item.Aliases = []string{withImages + ext}
	}
}

// imagePaths are the paths that an image may have in a dataset, given that of
// its label in the data set, both without extension: without the folder
// "labels" (or "images", where the labels lie among those), and with "images".
func imagePaths(label string) (bare, withImages string) {
	dir, name := path.Split(label)
	bare, withImages = imageDirs(strings.TrimSuffix(dir, "/"))
	return join(bare, name), join(withImages, name)
}

// imageDirs are the folders of imagePaths for the labels of one folder.
func imageDirs(dir string) (bare, withImages string) {
	if without, found := replaceLast(dir, "labels", ""); found {
		with, _ := replaceLast(dir, "labels", "images")
		return without, with
	}
	without, _ := replaceLast(dir, "images", "")
	return without, dir
}

func (y *yolo) Load(_ context.Context, item Item, listed convert.Size) (convert.Result, error) {
	p, ok := item.place.(yoloPlace)
	if !ok {
		return convert.Result{}, item.Err
	}
	buffer, _ := y.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	label, err := readInto(*buffer, p.label, maxLabels)
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	if cap(label) <= 1<<20 { // longer ones are rare
		*buffer = label
		defer y.buffers.Put(buffer)
	}
	size := y.Size(item)
	return loadYOLO(&y.convert, item, size, listed, label)
}

// loadYOLO converts a label with the size that the source knows, or else the
// listed one.
func loadYOLO(y *convert.YOLO, item Item, size, listed convert.Size, label []byte) (convert.Result, error) {
	var mismatch []finding
	empty := len(bytes.TrimSpace(bytes.TrimPrefix(label, []byte("\ufeff")))) == 0
	switch {
	case !size.Known() && !listed.Known() && !empty:
		return convert.Result{}, fmt.Errorf("read %s: the size of its image is not known, which normalized coordinates need; give --images or --sizes", item.File)
	case !size.Known():
		size = listed
	case listed.Known() && listed != size && !empty:
		mismatch = []finding{{Kind: convert.KindSizeMismatch, File: item.File, Image: item.Image,
			Reason: fmt.Sprintf("the image is %d×%d here and %d×%d in the dataset", size.Width, size.Height, listed.Width, listed.Height),
			Action: "the size here was used"}}
	}
	result := y.Image(item.File, item.Image, size, label)
	result.Size = size
	result.Findings = append(mismatch, result.Findings...)
	return result, nil
}

func (y *yolo) Size(item Item) convert.Size {
	if y.sizes != nil {
		if size := y.sizes.of(append([]string{item.Image}, item.Aliases...)...); size.Known() {
			return size
		}
	}
	p, ok := item.place.(yoloPlace)
	if !ok || p.image.name == "" {
		return convert.Size{}
	}
	size, err := p.image.imageSize()
	if err != nil {
		y.reporter.report(finding{Kind: convert.KindImageHeader, Image: item.Image, File: p.image.path(), Reason: err.Error(), Action: "the size was looked for elsewhere"})
	}
	return size
}
