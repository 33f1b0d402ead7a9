package yolo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// listItems goes through a list of image paths, one a line. A line whose label
// file is missing says nothing: its image is left alone. An image that the lists name
// again is passed over.
func (y *dataset) listItems(ctx context.Context, number int, behind string, listed *listedLabels) iter.Seq2[convert.Item, error] {
	part := y.parts[number]
	return func(yield func(convert.Item, error) bool) {
		var offset int64
		if behind != "" {
			var err error
			if offset, err = strconv.ParseInt(behind, 10, 64); err != nil {
				yield(convert.Item{}, fmt.Errorf("%q is no place in a list", behind))
				return
			}
		}
		tally := listTally{reporter: y.Reporter, list: source.Join(y.prefix, part.rel)}
		for line, err := range listLines(ctx, part.path, offset) {
			if err != nil {
				yield(convert.Item{}, err)
				return
			}
			if item, cut, ok := y.listedItem(part, line.text, line.start, &tally); ok && !y.isListed(listed, &item, cut, line.text, &tally) {
				item.Cursor = fmt.Sprintf("%d:%d", number, line.end)
				if !yield(item, nil) {
					return
				}
			}
		}
		if behind == "" {
			tally.rest()
		}
	}
}

// listLine is a line of a list, and where it lies in it.
type listLine struct {
	text       string
	start, end int64
}

// listLines goes through the lines of a list from an offset on.
func listLines(ctx context.Context, list string, offset int64) iter.Seq2[listLine, error] {
	return func(yield func(listLine, error) bool) {
		f, err := source.OpenRegular(list)
		if err != nil {
			yield(listLine{}, source.OpenError(list, err))
			return
		}
		defer f.Close()
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			yield(listLine{}, source.OpenError(list, err))
			return
		}
		in := bufio.NewReaderSize(f, 64<<10)
		if head, _ := in.Peek(2); offset == 0 && source.IsUTF16(head) {
			yield(listLine{}, &convert.Error{Op: "read", Path: list, Err: scan.ErrUTF16})
			return
		}
		for {
			if err := ctx.Err(); err != nil {
				yield(listLine{}, err)
				return
			}
			line, err := in.ReadSlice('\n')
			start := offset
			offset += int64(len(line))
			for errors.Is(err, bufio.ErrBufferFull) { // no path is that long
				line = nil
				var rest []byte
				rest, err = in.ReadSlice('\n')
				offset += int64(len(rest))
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(listLine{}, source.OpenError(list, err))
				return
			}
			text := strings.TrimSpace(strings.TrimPrefix(string(line), "\ufeff"))
			if !yield(listLine{text, start, offset}, nil) || err != nil {
				return
			}
		}
	}
}

// listedUnlabelled are the images of a list that have no labels, by their slash-separated files.
func (y *dataset) listedUnlabelled(ctx context.Context, part labelPart) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line, err := range listLines(ctx, part.path, 0) {
			if err != nil {
				yield("", err)
				return
			}
			if image, _, _, labelled := y.filesOfLine(part, line.text); image != "" && !labelled && source.IsImageName(image) && !yield(filepath.ToSlash(image), nil) {
				return
			}
		}
	}
}

// listTally tells of what a list names and what has no label. Of many only the first
// are told one by one.
type listTally struct {
	reporter            *convert.Reporter
	list                string
	missing, unlabelled int
	folders             map[string]error // of labels, what speaks against reading them
	at                  string           // the folder of the last label, and its siblings
	siblings            siblings
}

// of are the siblings of the folder of a label, given the label's path below the data set.
func (t *listTally) of(y *dataset, label, rel, image string) siblings {
	if folder := filepath.Dir(label); folder != t.at {
		var images []string
		if image != "" {
			images = []string{filepath.Dir(image)}
		}
		below, _ := path.Split(rel)
		t.at, t.siblings = folder, y.siblingsOf(folder, strings.TrimSuffix(below, "/"), images)
	}
	return t.siblings
}

// folder says what speaks against reading the labels of a folder.
func (t *listTally) folder(y *dataset, label, file string) error {
	folder := filepath.Dir(label)
	err, known := t.folders[folder]
	if !known {
		prefix, _ := path.Split(file)
		err = y.classListsIn(folder, prefix, func(name string) bool { return source.Existing(filepath.Join(folder, name)) != "" })
		if t.folders == nil {
			t.folders = make(map[string]error)
		}
		t.folders[folder] = err
	}
	return err
}

func (t *listTally) miss(line string) {
	if t.missing++; t.missing <= source.MostUnlabelled {
		t.reporter.Report(convert.Finding{Kind: convert.KindMissingFile, File: t.list, At: strconv.Quote(line), Reason: "neither the image that the list names nor a label for it is there", Action: "it was left out"})
	}
}

func (t *listTally) unlabel(image string) {
	if t.unlabelled++; t.unlabelled <= source.MostUnlabelled {
		t.reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, File: t.list, Image: image, Reason: "the image has no label file", Action: "no annotations were taken for it"})
	}
}

func (t *listTally) rest() {
	if more := t.missing - source.MostUnlabelled; more > 0 {
		t.reporter.Report(convert.Finding{Kind: convert.KindMissingFile, Count: more, File: t.list, Reason: fmt.Sprintf("of %d more images that the list names neither they nor labels are there", more), Action: "they were left out"})
	}
	if more := t.unlabelled - source.MostUnlabelled; more > 0 {
		t.reporter.Report(convert.Finding{Kind: convert.KindUnlabelled, Count: more, File: t.list, Reason: fmt.Sprintf("%d more images of the list have no label file", more), Action: "no annotations were taken for them"})
	}
}

// listedLabels are the labels of the images that lists have named so far, each with what was
// left out of its image's path until it was found.
type listedLabels struct {
	keys    map[listKey]string
	images  map[listKey]listKey // labels by the paths of their images in a dataset
	folders map[string]bool
	cuts    map[string]string
}

func newListed() *listedLabels {
	return &listedLabels{make(map[listKey]string), make(map[listKey]listKey), make(map[string]bool), make(map[string]string)}
}

// cut is a text that is the same for many.
func (l *listedLabels) cut(text string) string {
	if _, known := l.cuts[text]; !known {
		l.cuts[text] = text
	}
	return l.cuts[text]
}

// agreeing reports whether of two paths one is the other's ending.
func agreeing(a, b string) bool {
	a, b = "/"+strings.Trim(a, "/"), "/"+strings.Trim(b, "/")
	return a == "/" || b == "/" || strings.HasSuffix(a, b) || strings.HasSuffix(b, a)
}

// listKey stands for the label of a listed image.
type listKey [2]uint64

var listSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// isListed reports whether an item was listed before, or is one of a folder that is
// read too. cut is what was left out of the line that names it.
func (y *dataset) isListed(listed *listedLabels, item *convert.Item, cut, line string, tally *listTally) bool {
	label := filepath.Clean(item.Place.(place).label)
	for _, part := range y.parts {
		if !part.list && source.Within(part.path, label) {
			return true
		}
	}
	if cut != "" && cut != ofDarknet && y.told.first("cut "+tally.list+"\n"+cut) {
		y.Reporter.Report(convert.Finding{Kind: convert.KindRelocated, File: tally.list, At: strconv.Quote(line), Reason: "the image is not there", Action: convert.Display(item.Image) + " was taken instead"})
	}
	key := keyOf(label)
	before, twice := listed.keys[key]
	if twice && !agreeing(before, cut) {
		tally.reporter.Report(convert.Finding{Kind: convert.KindMissingFile, File: tally.list, At: strconv.Quote(line), Reason: fmt.Sprintf("the list names an image of %s too, and %s alone is there", convert.Display(before), convert.Display(item.Image)), Action: "the label was taken once"})
	}
	if !twice {
		listed.keys[key] = listed.cut(cut)
		image := keyOf(item.Image)
		if other, there := listed.images[image]; there && other != key && item.Err == nil {
			reason := fmt.Sprintf("another image that the lists name is %s too, since not both are in the data set's folder", convert.Display(item.Image))
			item.Err = fmt.Errorf("read %s: %s; give their folders one at a time", item.File, reason)
			tally.reporter.Report(convert.Finding{Kind: convert.KindImageEntry, File: tally.list, At: strconv.Quote(line), Reason: reason, Action: "the first alone was read"})
		}
		listed.images[image] = key
	}
	listed.folders[filepath.Dir(label)] = true
	return twice
}

func keyOf(label string) listKey {
	return listKey{maphash.String(listSeeds[0], label), maphash.String(listSeeds[1], label)}
}

// inSeveralLists are, of the labels whose images several lists name, those lists. A walk comes to
// each image in the first alone.
func (y *dataset) inSeveralLists() map[listKey][]string {
	y.readLists.Do(func() {
		y.several = make(map[listKey][]string)
		first := make(map[listKey]string)
		for _, part := range y.parts {
			if !part.list || len(y.parts) == 1 {
				continue
			}
			for line, err := range listLines(context.Background(), part.path, 0) {
				if err != nil {
					break // the walk fails with it
				}
				_, label, _, ok := y.filesOfLine(part, line.text)
				if !ok {
					continue
				}
				key := keyOf(filepath.Clean(label))
				lists := y.several[key]
				switch list, there := first[key]; {
				case !there:
					first[key] = part.path
				case lists == nil && list != part.path:
					y.several[key] = []string{list, part.path}
				case lists != nil && !slices.Contains(lists, part.path):
					y.several[key] = append(lists, part.path)
				}
			}
		}
	})
	return y.several
}

// tellUnlisted tells of the labels beside those of listed images that no list names.
func (y *dataset) tellUnlisted(listed *listedLabels) {
	for _, folder := range slices.Sorted(maps.Keys(listed.folders)) {
		entries, err := y.listings.Read(folder)
		if err != nil {
			continue // its labels fail, or did
		}
		unlisted := 0
		for _, e := range entries.List {
			name := entries.Name(e)
			file := filepath.Join(folder, name)
			_, known := listed.keys[keyOf(file)]
			known = known || file == y.classList || slices.ContainsFunc(y.parts, func(p labelPart) bool { return filepath.Clean(p.path) == file })
			if !known && e.Kind != source.FolderEntry && source.IsLabelName(name) && !source.IsClutter(name) && !source.NotLabels[strings.ToLower(name)] {
				unlisted++
			}
		}
		if unlisted > 0 && y.told.first("unlisted "+folder) {
			y.Reporter.Report(convert.Finding{Kind: convert.KindUnnamedSplit, Count: unlisted, File: source.Join(y.prefix, source.Relative(y.root, folder)), Reason: count(unlisted, "label") + " there that no list names", Action: "left alone"})
		}
	}
}

// listedBefore are the images of lists up to a place in one of them.
func (y *dataset) listedBefore(ctx context.Context, number int, behind string) (listed *listedLabels, err error) {
	listed = newListed()
	offset, err := strconv.ParseInt(behind, 10, 64)
	if y.parts[number].list && behind != "" && err != nil {
		return nil, fmt.Errorf("%q is no place in a list", behind)
	}
	for part := range number + 1 {
		if !y.parts[part].list || part == number && behind == "" {
			continue
		}
		for item, err := range y.listItems(ctx, part, "", listed) {
			if err != nil {
				return nil, err
			}
			_, place, _ := strings.Cut(item.Cursor, ":")
			if at, _ := strconv.ParseInt(place, 10, 64); part == number && at >= offset {
				break
			}
		}
	}
	return listed, nil
}

// listedItem is the item of a line at an offset of a list.
func (y *dataset) listedItem(part labelPart, line string, offset int64, tally *listTally) (item convert.Item, cut string, ok bool) {
	if !namesImage(line) {
		return item, "", false
	}
	list := source.Join(y.prefix, part.rel)
	image, label, cut, ok := y.filesOfLine(part, line)
	switch {
	case ok:
	case image != "":
		name := source.Relative(y.root, image)
		if y.Images != "" {
			name = y.imageName(filepath.ToSlash(image))
		}
		tally.unlabel(name)
		return item, "", false
	default:
		if !isComment(line) {
			tally.miss(line)
		}
		return item, "", false
	}
	rel := source.Relative(y.root, label)
	item = convert.Item{File: source.Join(y.prefix, rel), Place: place{label: label, image: image}}
	bare, withImages := imagePaths(source.Stem(rel))
	y.name(&item, bare, withImages, line)
	if _, err := source.CleanImagePath(item.Image); err != nil {
		item.Err = fmt.Errorf("read %s at byte %d: the image's name %w", list, offset, err)
	} else if err := tally.folder(y, label, item.File); err != nil {
		item.Err = err
	} else if rival := rivalOf(label, filepath.Base(filepath.FromSlash(strings.ReplaceAll(line, `\`, "/")))); rival != "" {
		item.Err = severalLabels(source.Join(path.Dir(item.File), rival))
	} else {
		_, item.Err = y.rival(tally.of(y, label, rel, image), item, label, path.Base(item.Image))
	}
	if item.Err != nil {
		item.Annotations = linesIn(label)
	}
	return item, cut, true
}

// namesImage reports whether a line of a list is more than a comment, or clutter.
func namesImage(line string) bool {
	return line != "" && (!isComment(line) || source.IsImageName(line)) && !source.IsClutter(path.Base(strings.ReplaceAll(line, `\`, "/")))
}

// isComment reports whether a line begins as comments do, and a name may.
func isComment(line string) bool { return strings.HasPrefix(line, "#") }

// filesOfLine finds the image of a line of a list, and its label, as listedFiles does; the
// name may be spelled with percent signs or with other code points. An image at that path in the
// folder of images goes first, and then one where the list has it.
func (y *dataset) filesOfLine(part labelPart, line string) (image, label, cut string, ok bool) {
	if !namesImage(line) {
		return "", "", "", false
	}
	dir := filepath.Dir(part.path)
	image, label, cut, ok = y.listedFiles(dir, line)
	given, whole := y.listedInImages(line)
	for _, plain := range []string{source.Spelling(line), norm.NFD.String(line)} {
		if plain == line {
			continue
		}
		if !ok && image == "" {
			image, label, cut, ok = y.listedFiles(dir, plain)
		}
		if given == "" {
			given, whole = y.listedInImages(plain)
		}
	}
	if !whole && ok && image != "" {
		return image, label, cut, ok
	}
	return cmp.Or(given, image), label, cut, ok
}

// listedInImages is the file of a listed image in the folder of images, by the line or by what is
// left of it without the folders of the layout before, as data/obj_train_data; "" where there is
// none. whole says that nothing was left out. Of several lists each keeps the folder of its split, which may be what tells its images
// from those of another.
func (y *dataset) listedInImages(line string) (file string, whole bool) {
	if y.Images == "" {
		return "", false
	}
	whole = true
	parts := strings.Split(path.Clean(strings.ReplaceAll(line, `\`, "/")), "/")
	for ; len(parts) > 0; parts = parts[1:] {
		if parts[0] == "" || parts[0] == ".." {
			continue
		}
		for _, folder := range []string{y.Images, filepath.Join(y.Images, "images")} {
			if file = source.Existing(filepath.Join(folder, filepath.Join(parts...))); file != "" {
				return file, whole
			}
		}
		split := source.SplitOf(parts[0]).Name != ""
		if !split && parts[0] != "data" && !source.IsImageFolder(parts[0]) || split && len(y.parts) > 1 {
			return "", false
		}
		whole = false
	}
	return "", false
}

// listedFiles finds the label that belongs to a listed image. Lists are written
// relative to themselves, to the data set, or to wherever their trainer was
// started; so leading folders are left out until a label is found. image is ""
// where only the label is there, and alone where only the image is. cut are the folders that
// were left out.
func (y *dataset) listedFiles(listDir, line string) (image, label, cut string, ok bool) {
	comment := isComment(line)
	line = path.Clean(strings.ReplaceAll(line, `\`, "/"))
	if path.IsAbs(line) {
		file := y.asGiven(filepath.FromSlash(line))
		if label, ok = labelOf(file); ok {
			return source.Existing(file), label, "", true
		}
		image = source.Existing(file)
	}
	all := strings.Split(strings.TrimLeft(line, "/"), "/")
	parts := all
	for len(parts) > 0 {
		for _, base := range []string{listDir, y.root} {
			candidate := y.stated(base, strings.Join(parts, "/"))
			if label, ok = labelOf(candidate); ok {
				return source.Existing(candidate), label, strings.Join(all[:len(all)-len(parts)], "/"), true
			}
			if image == "" {
				image = source.Existing(candidate)
			}
		}
		if image != "" || comment {
			break // what is left of the path would be another image
		}
		parts = parts[1:]
	}
	return image, "", "", false
}

// labelOf is the label file of an image file: with the last folder "images" of
// its path as "labels", or beside it, or in "labels" there.
func labelOf(image string) (string, bool) {
	dir, name := filepath.Split(image)
	if !source.IsImageName(name) {
		return "", false
	}
	dir = filepath.Clean(dir)
	images := filepath.ToSlash(dir)
	for _, folder := range labelFoldersOf(images).all(images) {
		for _, file := range labelNames(name) {
			label := filepath.Join(filepath.FromSlash(folder), file)
			if info, err := os.Stat(label); err == nil && !info.IsDir() {
				return label, true
			}
		}
	}
	return "", false
}

// labelNames are those that the label of an image may have.
func labelNames(image string) []string {
	return []string{source.Stem(image) + ".txt", source.Stem(image) + ".TXT", image + ".txt"}
}

// rivalOf is another label of a listed image beside its own, "" where there is none.
func rivalOf(label, image string) string {
	own, err := os.Stat(label)
	if err != nil {
		return ""
	}
	for _, name := range labelNames(image) {
		other, err := os.Stat(filepath.Join(filepath.Dir(label), name))
		if err == nil && !other.IsDir() && !os.SameFile(own, other) {
			return name
		}
	}
	return ""
}
