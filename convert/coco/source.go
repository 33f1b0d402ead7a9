package coco

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// dataset is one COCO file or several.
type dataset struct {
	source.Files
	reason string
	print  string
	files  []*labelFile
	// repeated says of image paths that several entries have them which.
	repeated map[string]error
	readers  sync.Pool // of *annotationReader
	local    *localImages
	// merged are the images of several files that are taken as one, by name, and
	// converter what reads their annotations.
	merged    map[string]*sharedImage
	converter *Converter
	together  bool // keypoints say their category since the files are read together
	source.HeldFiles
}

// place is what an item of a COCO file needs to be loaded.
type place struct {
	file  *labelFile
	image *indexedImage
	at    int // among the file's images, where it is one of several places
}

// openFile opens one file, which messages call name.
func openFile(ctx context.Context, s source.Files, name string) (convert.Source, error) {
	f, err := index(s.Path, name, s.Options, s.Reporter)
	if err != nil {
		return nil, cocoError(s, s.Path, err)
	}
	f.nameImages(name)
	if f.annotations == 0 && !f.results {
		if results := resultsBeside(s.Path); results != "" {
			f.mayLack(results)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return newDataset(s, []*labelFile{f}, "a JSON file with images, annotations and categories")
}

func cocoError(s source.Files, path string, err error) error {
	e := &convert.Error{Op: "read", Path: path, Err: source.ReasonOf(err), Advice: s.Input(path, "").KnownSources()}
	var broken *scan.Error
	switch {
	case errors.As(err, &broken) && broken.BrokenOff():
		e.Advice = "the file is cut off: write or copy it again"
	case errors.Is(err, createML):
		e.Advice = "--from createml reads it; where it lies in a folder, leave it out with --exclude"
	case errors.As(err, new(foreignLabels)):
		e.Advice = "convert it to COCO first, or leave it out with --exclude where it lies in a folder"
	case errors.As(err, new(resultsError)):
		e.Advice = "give the results the ids of the images' entries"
	case errors.As(err, new(mergeError)):
		e.Advice = "give the categories of the files the same ids, or take each file alone, with --include"
	case errors.As(err, new(contradictionError)):
		e.Advice = "mend the file: which of the two is right only its author knows"
	case errors.As(err, &broken) && strings.HasPrefix(broken.Reason, "something follows"):
		e.Advice = "where it holds an object a line, as canonical lines do, give --from canonical or name it .jsonl; else mend the JSON at that place"
	case errors.As(err, &broken):
		e.Advice = "mend the JSON at that place"
	}
	if broken != nil && path != s.Path {
		e.Advice += "; where it holds no labels, leave it out with --exclude"
	}
	return e
}

// openFolder takes the COCO files of the given ones. A damaged one is the
// end of it: going on without would look as if nothing were missing.
func openFolder(ctx context.Context, s source.Files, names []string) (convert.Source, error) {
	var files []*labelFile
	var foreign error
	var skipped []convert.Finding
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		full := filepath.Join(s.Path, filepath.FromSlash(name))
		f, err := index(full, name, s.Options, s.Reporter)
		if other, ok := errors.AsType[errNotCOCO](err); ok {
			skipped = append(skipped, convert.Finding{Kind: convert.KindSkippedFile, File: name, Reason: other.Error(), Action: "the file was passed over"})
			foreign = cocoError(s, full, err)
			continue
		}
		if err != nil {
			return nil, cocoError(s, full, err)
		}
		f.nameImages(name)
		f.nameSplit()
		files = append(files, f)
	}
	for _, finding := range skipped {
		full := filepath.Join(s.Path, filepath.FromSlash(finding.File))
		if !slices.ContainsFunc(files, func(f *labelFile) bool { return f.imagesFrom == full }) {
			s.Reporter.Report(finding)
		}
	}
	if len(files) == 0 {
		return nil, foreign
	}
	files = withoutResults(s, files)
	return newDataset(s, files, fmt.Sprintf("a folder with %d of them: JSON files with images, annotations and categories", len(files)))
}

// withoutResults are the files without prediction results, unless there are no others. Which
// of the others these may be of is told.
func withoutResults(s source.Files, files []*labelFile) []*labelFile {
	labels := slices.DeleteFunc(slices.Clone(files), func(f *labelFile) bool { return f.results })
	if len(labels) == 0 {
		return files
	}
	for _, f := range files {
		if !f.results {
			continue
		}
		for _, l := range labels {
			if l.annotations == 0 && len(l.images) > 0 {
				l.mayLack(f.name)
				s.Reporter.Report(convert.Finding{Kind: convert.KindUnknownImage, Count: f.annotations, File: f.name, Reason: fmt.Sprintf("prediction results beside %s, which has no annotations", l.name), Action: "they were left out; give the file itself to take it"})
			}
		}
		s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: f.name, Reason: "prediction results beside labels", Action: "the file was passed over; give the file itself to take it"})
	}
	return labels
}

// mayLack notes that a file without annotations has results beside it: it may well be the
// list of their images, and says nothing of what is in these.
func (f *labelFile) mayLack(results string) {
	f.ownerless = fmt.Sprintf("%s has none at all, and the results of %s may be of it", f.name, results)
}

// nameImages gives the images of Roboflow's files the folder that such a file,
// at a path below the source, lies in: there the images are.
func (f *labelFile) nameImages(file string) {
	dir := path.Dir(file)
	if path.Base(file) != "_annotations.coco.json" || dir == "." || path.IsAbs(file) {
		return
	}
	f.prefix = dir + "/"
	for i := range f.images {
		f.images[i].name = source.Join(dir, f.images[i].name)
	}
}

func newDataset(s source.Files, files []*labelFile, reason string) (*dataset, error) {
	c := &dataset{Files: s, files: files, reason: reason, repeated: make(map[string]error), local: newLocalImages()}
	for _, f := range files {
		f.Of = &c.HeldFiles
	}
	shared := c.findRepeated()
	if len(shared) > 0 && flagsOf(s.Options).MergeFiles {
		if err := c.merge(shared); err != nil {
			return nil, cocoError(s, s.Path, err)
		}
	} else if err := c.sameImages(shared); err != nil {
		return nil, err
	}
	c.tellCategories()
	defer c.Hold()()
	for _, f := range files {
		c.sample(f)
	}
	c.print = s.Fingerprint(c.infos()...)
	return c, nil
}

// tellCategories looks at the categories of all files together, and notes whether that makes
// a difference.
func (c *dataset) tellCategories() {
	var all []*Converter
	for _, f := range c.files {
		if f.categories != nil {
			all = append(all, f.categories)
		}
	}
	if c.converter != nil {
		all = append(all, c.converter)
	}
	alone := 0
	for _, f := range all {
		alone += f.among()
	}
	tellCategories(all...)
	for _, f := range all {
		alone -= f.among()
	}
	c.together = alone != 0
}

// sample looks at some of a file's images, from all over it, for what their fileSample tells,
// and for keypoints of which none is plainly visible.
func (c *dataset) sample(f *labelFile) {
	posed := !f.results && f.categories.posed()
	several := len(f.images) > 1 // what one image's shapes are is told by themselves
	if f.panoptic || !several && !posed {
		return
	}
	const mostImages, mostBytes = 500, 1 << 20
	sample := fileSample{corners: cornerSample{of: len(f.images)}}
	var flags visibilitySample
	var r annotationReader
	size := 0
	step := max(len(f.images)/mostImages, int(f.Info.Size()/mostBytes)) + 1
	for i := 0; i < len(f.images) && size < mostBytes; i += step {
		img := &f.images[i]
		if f.errs[i] != nil || img.first == img.end {
			continue
		}
		annotations, err := r.read(f, img)
		if err != nil {
			continue // said of the image when it is loaded
		}
		for _, raw := range annotations {
			size += len(raw)
		}
		known := c.Sizes.Of(img.name)
		if !known.Known() {
			known = img.size()
		}
		sample.look(img.name, known, annotations)
		if posed {
			flags.look(annotations)
		}
	}
	if flags.odd() {
		c.Reporter.Report(convert.Finding{Kind: convert.KindVisibility, Count: flags.annotations, File: f.name,
			Reason: fmt.Sprintf("the keypoints of %d annotations that were looked at have visibilities of 1 and none of 2, as where 1 is to say visible", flags.annotations), Action: "1 was taken for occluded, as COCO has it"})
	}
	if !several {
		return
	}
	f.categories.suspect(&sample)
	if c.converter != nil {
		c.converter.suspect(&sample)
	}
}

// sharedImage is an image that entries of several files are for.
type sharedImage struct {
	name    string
	places  []place // one a file
	foreign string  // why its annotations of one id may be two objects; "" where they are one
}

// findRepeated finds images that several entries are for, and notes those that one file
// names twice. There may be millions of names, so their hashes are compared first.
func (c *dataset) findRepeated() (shared []*sharedImage) {
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
		return nil
	}
	seen := make(map[string]*sharedImage)
	for _, f := range c.files {
		for i := range f.images {
			img := &f.images[i]
			if !twice[maphash.String(seed, img.name)] || !c.Filter.Takes(img.name, f.name) {
				continue
			}
			one := seen[img.name]
			switch {
			case one == nil:
				seen[img.name] = &sharedImage{name: img.name, places: []place{{f, img, i}}}
			case c.repeated[img.name] != nil || f.errs[i] != nil:
			case one.places[len(one.places)-1].file == f:
				c.repeated[img.name] = fmt.Errorf("%s has several entries for it; leave one", f.name)
			default:
				if one.places = append(one.places, place{f, img, i}); len(one.places) == 2 {
					shared = append(shared, one)
				}
			}
		}
	}
	return shared
}

// sameImages fails the images that several files describe, or all of the source where
// these are more than a few.
func (c *dataset) sameImages(shared []*sharedImage) error {
	if len(shared) == 0 {
		return nil
	}
	all := 0
	for _, f := range c.files {
		all += len(f.images)
	}
	entries := 0
	var names []string
	for _, one := range shared {
		entries += len(one.places) - 1
		for _, p := range one.places {
			if !slices.Contains(names, p.file.name) && len(names) < 100 {
				names = append(names, p.file.name)
			}
		}
	}
	const fewOf = 10 // a tenth
	if len(shared)*fewOf <= all-entries {
		for _, one := range shared {
			if reason := c.apart(one); reason != "" {
				c.repeated[one.name] = fmt.Errorf("its entries are hardly of one image: %s; %s", reason, eachAlone)
				continue
			}
			c.repeated[one.name] = fmt.Errorf("%s and %s both describe it, or an image each; choose with --include or --exclude, or take them as one with --merge-files where it is one image", one.places[0].file.name, one.places[1].file.name)
		}
		return nil
	}
	for _, one := range shared {
		if reason := c.apart(one); reason != "" {
			return &convert.Error{Op: "read", Path: c.Path,
				Err:    fmt.Errorf("%s have images of the same names (%d of them), and %s is hardly one image: %s", namesText(names), len(shared), convert.Display(one.name), reason),
				Advice: eachAlone}
		}
	}
	return &convert.Error{Op: "read", Path: c.Path,
		Err:    fmt.Errorf("%s describe the same images, or different ones of the same names (%d of them, such as %s)", namesText(names), len(shared), convert.Display(shared[0].name)),
		Advice: "give one of the files, or choose with --include or --exclude; where the images are the same, --merge-files takes the files as one; where they are different, " + eachAlone}
}

// namesText names files, or a few of them.
func namesText(names []string) string {
	const most = 4
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// LeftOut counts the entries and annotations that belong to no item.
func (c *dataset) LeftOut() convert.Count {
	var n convert.Count
	for _, f := range c.files {
		n.Images += f.entries
		n.Annotations += f.annotations
		for i := range f.images {
			img := &f.images[i]
			if !c.Filter.Takes(img.name, f.name) {
				continue
			}
			n.Images--
			n.Annotations -= int(img.end - img.first)
		}
	}
	return n
}

func (c *dataset) infos() (infos []os.FileInfo) {
	for _, f := range c.files {
		infos = append(infos, f.Info)
	}
	return infos
}

func (c *dataset) Describe() convert.Description {
	names := make(map[string]bool)
	for _, f := range c.files {
		for _, category := range f.categories.Categories {
			names[category.Name] = true
		}
	}
	return convert.Description{Path: c.Path, Format: "coco", Reason: c.reason, Fingerprint: c.print, Defined: slices.Sorted(maps.Keys(names))}
}

// Items goes through the files in the order of their paths, and through each
// one's images in the order in which they stand there. A cursor is the number
// of file and image.
func (c *dataset) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		defer c.Hold()() // its images are most likely loaded meanwhile
		file, image, err := c.behind(after)
		if err != nil {
			yield(convert.Item{}, err)
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
func (c *dataset) fileItems(ctx context.Context, file, image int, yield func(convert.Item, error) bool) bool {
	f := c.files[file]
	cursor := strconv.AppendInt(nil, int64(file), 10)
	cursor = append(cursor, ':')
	for ; image < len(f.images); image++ {
		if err := ctx.Err(); err != nil {
			yield(convert.Item{}, err)
			return false
		}
		img := &f.images[image]
		if !c.Filter.Takes(img.name, f.name) {
			continue
		}
		item := convert.Item{Cursor: string(strconv.AppendInt(cursor, int64(image), 10)), Image: img.name, Stated: f.stated[image], File: f.name, Err: f.errs[image], Annotations: int(img.end - img.first), Place: place{f, img, image}}
		if one := c.merged[img.name]; one != nil && item.Err == nil {
			if one.places[0].file != f {
				continue
			}
			item.Annotations = 0
			for _, p := range one.places {
				item.Annotations += int(p.image.end - p.image.first)
			}
			item.Place = one
		}
		if item.Err == nil {
			item.Err = c.repeated[img.name]
		}
		if !yield(item, nil) {
			return false
		}
	}
	return true
}

func (c *dataset) behind(after string) (file, image int, err error) {
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

func (c *dataset) Load(_ context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	if one, ok := item.Place.(*sharedImage); ok {
		return c.loadMerged(one, item, listed)
	}
	p, ok := item.Place.(place)
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
	sizes := c.sizesOf(item, p)
	sizes.Listed = listed
	if p.file.panoptic {
		return c.loadPanoptic(p, item, sizes, annotations)
	}
	result := p.file.categories.Image(item.Image, c.checkedSize(sizes), annotations)
	c.finish(p.file, p.at, item, sizes, &result)
	return result, nil
}

// finish adds to a result what the file and the sizes say of it.
func (c *dataset) finish(f *labelFile, at int, item convert.Item, sizes source.ImageSizes, result *convert.Result) {
	f.tellUnlinked(item, at, result)
	c.reconcileFirst(item, sizes, result)
}

// tellUnlinked tells of the annotations of the file that may be of the image at a place.
func (f *labelFile) tellUnlinked(item convert.Item, at int, result *convert.Result) {
	image := &f.images[at]
	switch {
	case f.unlinked > 0:
		result.Findings = append(result.Findings, convert.Finding{Kind: convert.KindUnknownImage, Count: f.unlinked, File: f.name, Image: item.Image,
			Reason: "annotations of the file may be of this image, and nothing tells: " + f.unlinkedReason, Action: "they were left out"})
	case f.ownerless != "" && image.first == image.end:
		result.Findings = append(result.Findings, convert.Finding{Kind: convert.KindUnknownImage, File: f.name, Image: item.Image,
			Reason: "the image has no annotations, and nothing tells whether it should: " + f.ownerless, Action: "they were left out"})
	}
	if reason := f.suspects[at]; reason != "" {
		result.Findings = append(result.Findings, convert.Finding{Kind: convert.KindUnknownImage, File: f.name, Image: item.Image, Reason: reason, Action: "they were left out"})
	}
}

// checkedSize is the size that shapes are held against: none where the sizes differ and
// the labels are to be taken as they stand.
func (c *dataset) checkedSize(sizes source.ImageSizes) convert.Size {
	if c.Options.OnSizeMismatch == convert.SizeKeep && sizes.Differ() {
		return convert.Size{}
	}
	return sizes.Own()
}

// reconcileFirst tells of sizes that differ before what may be wrong for that reason.
func (c *dataset) reconcileFirst(item convert.Item, sizes source.ImageSizes, result *convert.Result) {
	before := len(result.Findings)
	if c.Reconcile(item, sizes, result); before > 0 && len(result.Findings) > before {
		result.Findings = slices.Concat(result.Findings[before:], result.Findings[:before])
	}
}

// keep lets a reader be used again, unless an image of many labels made it large.
func (c *dataset) keep(r *annotationReader) {
	const most = 1 << 20 // bytes
	if cap(r.bytes) <= most {
		c.readers.Put(r)
	}
}

// loadPanoptic converts the segments of an image, whose PNG lies in the folder
// that is named as the file, or beside the file.
func (c *dataset) loadPanoptic(p place, item convert.Item, sizes source.ImageSizes, annotations [][]byte) (convert.Result, error) {
	if len(annotations) != 1 {
		return convert.Result{}, fmt.Errorf("%s has %d entries for the segments of the image, not one", p.file.name, len(annotations))
	}
	var entry struct {
		FileName string `json:"file_name"`
	}
	if err := json.Unmarshal(annotations[0], &entry); err != nil {
		return convert.Result{}, fmt.Errorf("read the segments of the image in %s: %w", p.file.name, err)
	}
	name, err := source.CleanImagePath(entry.FileName)
	if err != nil {
		return convert.Result{}, fmt.Errorf("the name of the image's PNG of segments (%s) %w", convert.Display(entry.FileName), err)
	}
	folder := strings.TrimSuffix(p.file.Path, filepath.Ext(p.file.Path))
	var picture []byte
	for _, dir := range []string{folder, filepath.Dir(p.file.Path)} {
		picture, err = source.ReadAtMost(filepath.Join(dir, filepath.FromSlash(name)), source.MaxLabels)
		if !source.IsMissing(err) {
			break
		}
	}
	if source.IsMissing(err) {
		return convert.Result{}, fmt.Errorf("the PNG of the image's segments (%s) is neither in the folder %s nor beside %s", convert.Display(name), convert.Display(folder), p.file.name)
	}
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", name, err)
	}
	result, err := p.file.categories.panoptic(item.Image, sizes.Own(), annotations[0], picture)
	c.finish(p.file, p.at, item, sizes, &result)
	return result, err
}

func (c *dataset) Size(item convert.Item) convert.Size {
	switch p := item.Place.(type) {
	case place:
		return c.sizesOf(item, p).Own()
	case *sharedImage:
		return c.sizesOf(item, p.places[0]).Own()
	}
	return c.Sizes.Of(item.Image)
}

// sizesOf is what the label and a local file say of the size of an image.
func (c *dataset) sizesOf(item convert.Item, p place) (sizes source.ImageSizes) {
	if sizes.Stated = c.Sizes.Of(item.Image); !sizes.Stated.Known() {
		sizes.Stated = p.image.size()
	}
	found := c.imageFile(item, p)
	if found == "" {
		return sizes
	}
	size, err := source.ImageSize(found)
	if err != nil {
		c.Reporter.Report(convert.Finding{Kind: convert.KindImageHeader, Image: item.Image, File: found, Reason: err.Error(), Action: "the size was looked for elsewhere"})
		return sizes
	}
	sizes.Local = size
	return sizes
}

// imageFile is the file of an image on disk, "" where there is none.
func (c *dataset) imageFile(item convert.Item, p place) string {
	if c.Images != "" {
		for _, name := range []string{item.Image, path.Base(item.Image)} {
			if file := c.local.file(c.Images, name); file != "" {
				return file
			}
		}
	}
	return c.local.file(p.file.folder, p.image.own(p.file))
}

// own is the image's path as its file has it, without the folder of the file.
func (i *indexedImage) own(f *labelFile) string {
	return strings.TrimPrefix(i.name, f.prefix)
}

// localImages finds the image files that lie beside labels, by listings that are read
// once.
type localImages struct {
	mu      sync.RWMutex
	folders map[localFolder]*source.Entries
}

// localFolder is a folder below another, "" for that itself.
type localFolder struct{ root, below string }

func newLocalImages() *localImages {
	return &localImages{folders: make(map[localFolder]*source.Entries)}
}

// file is the image file of a path below a folder, "" where there is none.
func (l *localImages) file(root, name string) string {
	below, base := path.Split(name)
	l.mu.RLock()
	listed := l.folders[localFolder{root, below}]
	l.mu.RUnlock()
	if listed == nil {
		listed, _ = source.ReadEntries(filepath.Join(root, filepath.FromSlash(below))) // what cannot be read has no images
		l.mu.Lock()
		l.folders[localFolder{root, below}] = listed
		l.mu.Unlock()
	}
	from := listed.From(base)
	if len(from) == 0 || listed.Name(from[0]) != base || from[0].Kind == source.FolderEntry {
		return ""
	}
	return filepath.Join(root, filepath.FromSlash(name))
}
