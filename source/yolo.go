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
	"unicode/utf8"

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
	label string // file on disk
	image string // file on disk, "" where there is none
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
		data, err := readSmall(p.label, maxLabels)
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
		var images imageFolders
		cursor := strconv.Itoa(number) + ":"
		for file, err := range w.files(ctx, behind) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			item, ok := y.labelItem(part, file, &images)
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

// labelItem is the item of a label file; ok is false where the file is none.
func (y *yolo) labelItem(part yoloPart, file string, images *imageFolders) (item Item, ok bool) {
	rel := join(part.rel, file)
	full := filepath.Join(part.path, filepath.FromSlash(file))
	item = Item{File: join(y.prefix, rel), ByStem: true}
	bare, withImages := imagePaths(stem(rel))
	found, err := y.localImage(full, bare, withImages, images)
	if found == "" && err == nil && notLabels[strings.ToLower(path.Base(file))] {
		if name := strings.ToLower(path.Base(file)); name != "classes.txt" {
			y.reporter.report(finding{Kind: KindSkippedFile, File: item.File, Reason: "it is named like a list and no image has its name", Action: "it was passed over"})
		}
		return Item{}, false
	}
	y.name(&item, bare, withImages, found)
	item.place = yoloPlace{label: full, image: found}
	switch {
	case err != nil:
		item.Err = err
	case !utf8.ValidString(rel):
		item.Image = strings.ToValidUTF8(item.Image, "\ufffd")
		item.File = strings.ToValidUTF8(item.File, "\ufffd")
		item.Err = fmt.Errorf("the name %s is not UTF-8, so no image of a dataset can have it; rename the file", display(rel))
	}
	return item, true
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
	dir = strings.TrimSuffix(dir, "/")
	if without, found := replaceLast(dir, "labels", ""); found {
		with, _ := replaceLast(dir, "labels", "images")
		return join(without, name), join(with, name)
	}
	without, _ := replaceLast(dir, "images", "")
	return join(without, name), label
}

// imageFolders are the folders that may hold the images of the labels of one
// folder. They are read once for all labels of that folder that come one after the
// other.
type imageFolders struct {
	labels  string // the folder of the labels
	folders []imageFolder
}

type imageFolder struct {
	path    string
	entries *entries
}

// of makes them those of the folder of a label; see localImage.
func (f *imageFolders) of(y *yolo, label, bare, withImages string) {
	dir := filepath.Dir(label)
	if f.folders != nil && dir == f.labels {
		return
	}
	f.labels, f.folders = dir, f.folders[:0]
	var folders []string
	if y.images != "" {
		for _, p := range []string{bare, withImages, "name"} {
			folders = append(folders, filepath.Join(y.images, filepath.FromSlash(path.Dir(p))))
		}
	}
	if beside, found := replaceLast(filepath.ToSlash(dir), "labels", "images"); found {
		folders = append(folders, filepath.FromSlash(beside))
	}
	for _, folder := range append(folders, dir) {
		if entries, err := y.listings.read(folder); err == nil {
			f.folders = append(f.folders, imageFolder{folder, entries})
		}
	}
}

// localImage finds the image file of a label: in the folder of images if one
// was given, else in "images" for "labels", else beside the label. Two images
// of one name there are an error: nothing tells whose the label is.
func (y *yolo) localImage(label, bare, withImages string, images *imageFolders) (string, error) {
	name := stem(filepath.Base(label))
	images.of(y, label, bare, withImages)
	for _, folder := range images.folders {
		names := imagesNamed(folder.entries, name)
		switch len(names) {
		case 0:
			continue
		case 1:
			return filepath.Join(folder.path, names[0]), nil
		}
		return "", fmt.Errorf("the label is for several images: %s; give each a label of its own", strings.Join(names, ", "))
	}
	return "", nil
}

// imagesNamed are the images among entries that have a name without extension.
func imagesNamed(all *entries, name string) (names []string) {
	for _, e := range all.from(name) {
		if !bytes.HasPrefix(all.bytes(e), []byte(name)) {
			break
		}
		if full := all.name(e); isImageName(full) && stem(full) == name && e.kind != folderEntry {
			names = append(names, full)
		}
	}
	return names
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
		mismatch = []finding{{Kind: KindSizeMismatch, File: item.File, Image: item.Image,
			Reason: fmt.Sprintf("the image is %d×%d here and %d×%d in the dataset", size.Width, size.Height, listed.Width, listed.Height),
			Action: "the size here was used"}}
	}
	result := y.Image(item.File, item.Image, size, label)
	result.Size = size
	result.Findings = append(mismatch, result.Findings...)
	return result, nil
}

func (y *yolo) Size(item Item) convert.Size {
	if size := y.sizes.of(append([]string{item.Image}, item.Aliases...)...); size.Known() {
		return size
	}
	p, ok := item.place.(yoloPlace)
	if !ok || p.image == "" {
		return convert.Size{}
	}
	size, err := imageSize(p.image)
	if err != nil {
		y.reporter.report(finding{Kind: KindImageHeader, Image: item.Image, File: p.image, Reason: err.Error(), Action: "the size was looked for elsewhere"})
	}
	return size
}
