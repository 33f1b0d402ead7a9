package yolo

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pictosync/convert"
	"pictosync/source"
)

// dataset is a data set of YOLO label files.
type dataset struct {
	source.Files
	reason string
	print  string
	// root is the data set's folder on disk; image paths are relative to it.
	root string
	// prefix is root relative to the source, for messages; "" where it is that.
	prefix string
	parts  []labelPart
	// named are the parts as the description has them, where several may be one of parts, or
	// lie in one.
	named   []labelPart
	convert Converter
	// classList is the file of class names where that lies among the labels, and
	// described says that the names are nevertheless another's to tell, not a list's
	// beside the labels.
	classList string
	described bool
	listings  *source.Listings
	readLists sync.Once
	several   map[listKey][]string // see inSeveralLists
	told      toldFolders          // of images without labels, and of labels that no list names
	leftOut   leftOut
	unread    map[string]int // labels that nothing reads, by their folders below the source
	buffers   sync.Pool      // of *[]byte, for labels
	// sizesFile is the file that states sizes, for messages; "" is none.
	sizesFile string
	// sizesAdvice says, once it was looked for, where sizes may come from.
	sizesAdvice func() string
}

// labelPart is a folder of labels or a list of images, relative to the data
// set's root unless it lies elsewhere.
type labelPart struct {
	path string // on disk
	rel  string // slash-separated, "" for the root
	list bool
	// split is what the data set's description calls it; "" where it names none.
	split string
}

// place is what an item of a YOLO data set needs to be loaded.
type place struct {
	label string // on disk
	image string // on disk; "" where there is none
	near  string // then an image that it may be, for messages
}

// complete finishes a data set whose parts and classes are known; taken is the file that
// describes it, or names its classes.
func (y *dataset) complete(ctx context.Context, taken string, files ...os.FileInfo) (convert.Source, error) {
	if err := flagsOf(y.Options).state(&y.convert, y.Options.Convert); err != nil {
		return nil, err
	}
	y.nameKeypoints(filepath.Base(taken))
	y.print = y.Fingerprint(files...)
	y.sizesAdvice = sync.OnceValue(y.findSizes)
	if y.Options.Sizes != "" {
		y.sizesFile = convert.Display(filepath.Base(y.Options.Sizes))
	}
	if list := flagsOf(y.Options).ClassList; list != "" {
		y.classList, y.described = y.amongLabels(list), true
	}
	if err := y.lookBelow(ctx, taken); err != nil {
		return nil, err
	}
	return y, examination{Files: y.Files, convert: &y.convert, SeveralLabels: y.labels(), none: y.noLabels}.run(ctx)
}

// nameKeypoints gives keypoints that have the name of another their number for it, and tells
// of names that --kpt-shape has more or fewer keypoints than.
func (y *dataset) nameKeypoints(file string) {
	c := &y.convert
	said := false
	name := func(names []string) []string {
		if len(names) == 0 {
			return names
		}
		if flagsOf(y.Options).Shape[0] > 0 && len(names) != c.KeypointCount && !said {
			said = true
			y.Reporter.Report(convert.Finding{Kind: convert.KindDescription, File: file, At: "kpt_names", Reason: fmt.Sprintf("it names %d keypoints, --kpt-shape says %d", len(names), c.KeypointCount), Action: "the first have these names"})
		}
		own := make([]string, c.KeypointCount)
		copy(own, names)
		for i, name := range own {
			if convert.Blank(name) {
				own[i] = convert.DefaultKeypointName(i)
			}
			first := slices.Index(own[:i], own[i])
			if first < 0 {
				continue
			}
			twice := own[i]
			for own[i] = convert.DefaultKeypointName(i); slices.Contains(own[:i], own[i]) || slices.Contains(own[i+1:], own[i]); {
				own[i] += "_"
			}
			y.Reporter.Report(convert.Finding{Kind: convert.KindSharedKeypointName, File: file, At: "kpt_names", Reason: fmt.Sprintf("keypoints %d and %d are both named %s", first+1, i+1, convert.Display(twice)), Action: "the second is named " + own[i]})
		}
		return own
	}
	c.KeypointNames = name(c.KeypointNames)
	for _, class := range sortedKeys(c.ClassKeypointNames) {
		c.ClassKeypointNames[class] = name(c.ClassKeypointNames[class])
	}
}

// labels are the label files in the order of the walk.
func (y *dataset) labels() convert.SeveralLabels {
	return convert.SeveralLabels{
		Taken: func(ctx context.Context) iter.Seq2[convert.OneLabel, error] { return labelsIn(y.Items(ctx, "")) },
		LeftOut: func(ctx context.Context) iter.Seq2[convert.OneLabel, error] {
			return labelsIn(y.items(ctx, "", func(item convert.Item) bool { return !y.takes(item) }))
		},
	}
}

// labelsIn are those of items.
func labelsIn(items iter.Seq2[convert.Item, error]) iter.Seq2[convert.OneLabel, error] {
	return func(yield func(convert.OneLabel, error) bool) {
		var buffer []byte
		for item, err := range items {
			l := convert.OneLabel{File: item.File}
			if p, ok := item.Place.(place); ok && err == nil {
				if data, err := source.ReadInto(buffer, p.label, source.MaxLabels); err == nil {
					buffer, l.Data = data, data
				} // else the item fails when it is loaded
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// amongLabels is a file's path as a walk from the data set's folder comes to it; "" where
// that comes to no such file.
func (y *dataset) amongLabels(file string) string {
	rel, ok := source.Below(y.root, file)
	if !ok {
		return ""
	}
	return filepath.Join(y.root, rel)
}

// state puts what the flags say of lines before what a data set says.
func (o Flags) state(y *Converter, c convert.Options) error {
	y.Options = c
	if o.Shape[0] > 0 {
		y.KeypointCount, y.KeypointDims = o.Shape[0], o.Shape[1]
		y.Task = Pose
	}
	if o.Task != "" {
		y.Task = o.Task
	}
	if len(o.Columns) == 0 {
		return nil
	}
	columns, err := parseColumns(o.Columns)
	if err == nil {
		y.Columns, y.Trailer = columns, trailer{}
		stated := o.Task
		if o.Shape[0] > 0 {
			stated = Pose
		}
		known := y.Task
		if y.Task, err = columns.Task(stated); err == nil && stated == "" && known != "" {
			if task, err := columns.Task(known); err == nil {
				y.Task = task
			}
		}
	}
	if err == nil && y.Task == Pose && y.KeypointCount == 0 {
		err = errors.New("points need the number of keypoints: give --kpt-shape too")
	}
	if err != nil {
		return &convert.Error{Op: "read", Path: "--columns", Err: err, Advice: "as class,box,confidence,id, or polygon, or box,points in place of box"}
	}
	return nil
}

func (y *dataset) noLabels(ctx context.Context) error {
	if found, err := y.Survey(ctx); err == nil && found.Other != "" {
		if what := source.UnreadFile(filepath.Join(y.Path, filepath.FromSlash(found.Other))); what != "" {
			return source.NotRead(y.Input(y.Path, ""), fmt.Sprintf("holds %s (%s)", what, convert.Display(found.Other)))
		}
	}
	advice := "labels are .txt files named after their images"
	if len(y.Filter.Include)+len(y.Filter.Exclude) > 0 {
		advice = "check --include and --exclude"
	}
	if elsewhere := y.elsewhere(); elsewhere != "" {
		return &convert.Error{Op: "read", Path: y.Path, Err: errors.New("there are no labels where it says, and there are elsewhere: " + elsewhere),
			Advice: "put labels into a folder labels beside images, with the same folders in both, or name the folder that they lie in as a split"}
	}
	return &convert.Error{Op: "read", Path: y.Path, Err: errors.New("there are no labels in it"), Advice: advice}
}

// elsewhere counts the labels in folders that nothing reads, by these; "" where there are none.
func (y *dataset) elsewhere() string {
	const some = 3
	var texts []string
	for _, rel := range sortedKeys(y.unread) {
		where := convert.Display(rel)
		if rel == "" {
			where = "its own folder"
		}
		texts = append(texts, count(y.unread[rel], "label")+" in "+where)
	}
	if more := len(texts) - some; more > 0 {
		texts = append(texts[:some], fmt.Sprintf("and more in %d other folders", more))
	}
	return strings.Join(texts, ", ")
}

func (y *dataset) Describe() convert.Description {
	d := convert.Description{Path: y.Path, Format: "yolo", Reason: y.reason, Task: string(y.convert.Task), OutlineTask: string(y.convert.Task), Fingerprint: y.print}
	if y.convert.Task == Detect {
		d.OutlineTask = string(Segment)
	}
	return d
}

// Items goes through the parts, and in each through the label files in the
// order of their paths, or through the lines of a list. A cursor is the number
// of the part and the path, or the offset behind the line.
func (y *dataset) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return y.items(ctx, after, y.takes)
}

// takes reports whether --include and --exclude take an item, and counts it where they do not.
func (y *dataset) takes(item convert.Item) bool {
	taken := y.Filter.Takes(item.Image, item.File)
	if !taken {
		y.leftOut.add(item.File, y.ImageFile(item))
	}
	return taken
}

// items are those that are wanted.
func (y *dataset) items(ctx context.Context, after string, wanted func(convert.Item) bool) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		part, behind := 0, ""
		if after != "" {
			number, rest, found := strings.Cut(after, ":")
			n, err := strconv.Atoi(number)
			if err != nil || !found || n < 0 || n >= len(y.parts) {
				yield(convert.Item{}, fmt.Errorf("%q is no place in a YOLO data set", after))
				return
			}
			part, behind = n, rest
		}
		listed, err := y.listedBefore(ctx, part, behind)
		if err != nil {
			yield(convert.Item{}, err)
			return
		}
		defer func() {
			if part == len(y.parts) {
				y.tellUnlisted(listed)
				y.tellUnread(listed)
			}
		}()
		for ; part < len(y.parts); part, behind = part+1, "" {
			for item, err := range y.partItems(ctx, part, behind, listed) {
				if err == nil && !wanted(item) {
					continue
				}
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

// LeftOut counts the images that --include and --exclude took out so far.
func (y *dataset) LeftOut() convert.Count { return y.leftOut.count() }

// leftOut counts items, each once, however often a source is walked.
type leftOut struct {
	mu    sync.Mutex
	files map[uint64]struct{}
	// images are the files of their images.
	images map[uint64]struct{}
}

var leftOutSeed = maphash.MakeSeed()

func (l *leftOut) add(file, image string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files == nil {
		l.files, l.images = make(map[uint64]struct{}), make(map[uint64]struct{})
	}
	l.files[maphash.String(leftOutSeed, file)] = struct{}{}
	if image != "" {
		l.images[maphash.String(leftOutSeed, filepath.Clean(image))] = struct{}{}
	}
}

// hasImage reports whether an image file is that of an item that was left out.
func (l *leftOut) hasImage(file string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, out := l.images[maphash.String(leftOutSeed, filepath.Clean(file))]
	return out
}

func (l *leftOut) count() convert.Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return convert.Count{Images: len(l.files)}
}

// toldFolders are folders that something was told of.
type toldFolders struct {
	mu      sync.Mutex
	folders map[string]bool
}

// first reports whether a folder comes for the first time.
func (t *toldFolders) first(folder string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.folders == nil {
		t.folders = make(map[string]bool)
	}
	was := t.folders[folder]
	t.folders[folder] = true
	return !was
}

func (y *dataset) partItems(ctx context.Context, number int, behind string, listed *listedLabels) iter.Seq2[convert.Item, error] {
	if y.parts[number].list {
		return y.listItems(ctx, number, behind, listed)
	}
	return y.folderItems(ctx, number, behind)
}

func (y *dataset) folderItems(ctx context.Context, number int, behind string) iter.Seq2[convert.Item, error] {
	part := y.parts[number]
	w := source.Walker{Root: part.path, Prefix: source.Join(y.prefix, part.rel), Reporter: y.Reporter, Take: source.IsLabelName, Listings: y.listings}
	return func(yield func(convert.Item, error) bool) {
		labels := y.newLabelFolder(part)
		cursor := strconv.Itoa(number) + ":"
		found := behind != ""
		defer func() {
			if !found {
				y.tellNone(ctx, part)
			}
		}()
		for file, err := range w.Files(ctx, behind) {
			if err != nil {
				yield(convert.Item{}, err)
				return
			}
			item, ok := labels.item(file)
			if !ok {
				continue
			}
			found = true
			item.Cursor = cursor + file
			if !yield(item, nil) {
				return
			}
		}
	}
}

// tellNone tells of the images of a part that has no labels at all.
func (y *dataset) tellNone(ctx context.Context, part labelPart) {
	images := 0
	w := source.Walker{Root: part.path, Prefix: source.Join(y.prefix, part.rel), Reporter: y.Reporter, Take: source.IsImageName, Listings: y.listings}
	for _, err := range w.Files(ctx, "") {
		if err != nil {
			return
		}
		images++
	}
	if images > 0 && y.told.first(part.path) {
		y.Reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, Count: images, File: source.Join(y.prefix, part.rel), Reason: fmt.Sprintf("none of the %d images there has a label file", images), Action: "no annotations were taken for them"})
	}
}

// name says which image an item is for: the extension is that of the local file, else of the
// entry of the sizes file, else it is missing.
func (y *dataset) name(item *convert.Item, bare, withImages, found string) {
	ext := filepath.Ext(found)
	if found == "" {
		ext = y.Sizes.Extension(bare, withImages)
		item.Stem = ext == ""
	}
	item.Image = bare + ext
	if withImages != bare {
		item.Aliases = []string{withImages + ext}
	}
}

func (y *dataset) Load(_ context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	p, ok := item.Place.(place)
	if !ok {
		return convert.Result{}, item.Err
	}
	buffer, _ := y.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	label, err := source.ReadInto(*buffer, p.label, source.MaxLabels)
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	if cap(label) <= 1<<20 { // longer ones are rare
		*buffer = label
		defer y.buffers.Put(buffer)
	}
	sizes := source.ImageSizes{Stated: y.statedSize(item), Local: y.localSize(item), Listed: listed, StatedIn: y.sizesFile}
	result, err := loadYOLO(y.Files, &y.convert, item, sizes, label, y.sizesAdvice)
	if err != nil && p.near != "" {
		err = fmt.Errorf("%w; %s differs from it in letter case alone", err, convert.Display(p.near))
	}
	return result, err
}

// adviceOnSizes says where the sizes of images may come from.
const adviceOnSizes = "give --images or --sizes"

// loadYOLO converts a label with the size that the source knows, or else the
// listed one; advice is what to do where there is none.
func loadYOLO(s source.Files, y *Converter, item convert.Item, sizes source.ImageSizes, label []byte, advice func() string) (convert.Result, error) {
	size := sizes.Own()
	if !size.Known() {
		if lines := countLines(label); lines > 0 {
			const reason = "the size of its image is not known, which normalized coordinates need"
			lost := convert.Finding{Kind: convert.KindUnknownSize, Count: lines, File: item.File, Image: item.Image, Reason: reason, Action: "its lines were left out"}
			return convert.Result{Read: lines, LeftOut: lines, Findings: []convert.Finding{lost}}, fmt.Errorf("read %s: %s; %s", item.File, reason, advice())
		}
	}
	result := y.Image(item.File, item.Image, size, label)
	s.Reconcile(item, sizes, &result)
	return result, nil
}

func (y *dataset) Size(item convert.Item) convert.Size {
	if size := y.statedSize(item); size.Known() {
		return size
	}
	return y.localSize(item)
}

func (y *dataset) statedSize(item convert.Item) convert.Size {
	if y.Sizes == nil {
		return convert.Size{}
	}
	return y.Sizes.Of(append([]string{item.Image}, item.Aliases...)...)
}

// localSize is that of the image's file.
func (y *dataset) localSize(item convert.Item) convert.Size {
	p, ok := item.Place.(place)
	if !ok || p.image == "" {
		return convert.Size{}
	}
	size, err := source.ImageSize(p.image)
	if err != nil {
		y.Reporter.Report(convert.Finding{Kind: convert.KindImageHeader, Image: item.Image, File: p.image, Reason: err.Error(), Action: "the size was looked for elsewhere"})
	}
	return size
}
