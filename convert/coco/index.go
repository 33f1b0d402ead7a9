package coco

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// labelFile is a COCO file's index: its images and categories, and where the
// annotations of each image stand. The annotations themselves stay in the file.
type labelFile struct {
	source.HeldFile
	name string // in messages

	categories *Converter
	images     []indexedImage
	errs       map[int]error  // by place in images, of those that cannot be taken
	refs       refs           // of annotations, grouped by image
	stated     map[int]string // by place in images, see convert.Item

	folder  string   // it lies in
	folders []string // see ownFolders
	prefix  string   // of the names of its images, where they have the file's folder

	below string // the split that it is for, where it lies below the source; "" for none

	panoptic bool // its annotations are segments in PNGs
	results  bool // they are prediction results

	imagesFrom string // the file that those have their images from

	entries     int // in its list of images
	annotations int // in its list of annotations
	// unlinked are annotations that may be of any of its images, and why.
	unlinked       int
	unlinkedReason string
	// ownerless says which annotations may be of any of its images that seem to have none,
	// "" where there are none such.
	ownerless string
	// suspects are images, by place, whose names annotations give as the ids of unknown
	// images, or beside the ids of others.
	suspects map[int]string
	said     map[string]bool // their names, as annotations give them beside another id

	rawCategories []byte // where files are merged
	ids           []ID   // of the images, by place, where files are merged
}

// indexedImage is small, since there may be millions.
type indexedImage struct {
	name          string // cleaned; "" where it has none
	width, height uint32 // 0 where they are not known
	first, end    uint32 // of its annotations in refs
}

func (i *indexedImage) size() convert.Size {
	return convert.Size{Width: int(i.width), Height: int(i.height)}
}

// errNotCOCO says of JSON that it is something else.
type errNotCOCO struct{ reason string }

func (e errNotCOCO) Error() string { return e.reason }

// kindCounts are counts by kind.
type kindCounts = map[convert.Kind]int

// maxReports bounds the findings of one kind about a file's structure; what is
// more is counted.
const maxReports = 1000

// indexer makes a labelFile in one pass.
type indexer struct {
	file     *labelFile
	reporter *convert.Reporter
	reports  map[convert.Kind]int
	beyond   kindCounts // what is not reported, since there is too much of it
	keepIDs  bool       // of the images

	links   map[string]bool    // members of annotations that may name an image
	keys    []byte             // of the annotation at hand, each with a line feed before it
	said    map[saidName]bool  // names of images that annotations of others give
	named   map[saidName]int32 // slots of results that give a name, until both tell their image
	mayName map[string]string  // images of results, by the ids that may be their names

	slots  *idSlots
	images []int32 // by slot: 1 + the place in file.images; 0, or beyond the end, for none
	refs   refs

	decoder jsontext.Decoder
	content io.ReaderAt // the file; nil for that of the images of results

	categories []byte
	notation   string          // see Converter
	stated     bool            // the file says that its boxes are COCO's
	seen       map[string]bool // top-level keys
	// imagesOnly passes annotations over: those of another file are wanted.
	imagesOnly bool
	results    bool // the annotations are prediction results, a bare list
}

// index reads a COCO file. The error is errNotCOCO, a *scan.Error or one of
// the operating system.
func index(file, name string, o convert.OpenOptions, r *convert.Reporter) (*labelFile, error) {
	f, err := source.OpenRegular(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	x := indexer{
		file: &labelFile{HeldFile: source.HeldFile{Path: file, Info: info}, name: name, folder: filepath.Dir(file)}, reporter: r, reports: make(kindCounts), beyond: make(kindCounts),
		slots: newIDSlots(info.Size()), seen: make(map[string]bool),
		content: f, keepIDs: flagsOf(o).MergeFiles,
	}
	if err := x.read(f); err != nil {
		if format := foreignObject(f); format != "" && !x.seen["images"] && !x.seen["annotations"] {
			return nil, foreignLabels{format}
		}
		return nil, err
	}
	if x.results {
		if err := x.readImages(file); err != nil {
			return nil, err
		}
	}
	if err := x.check(); err != nil {
		return nil, err
	}
	x.group()
	if x.file.results = x.results; x.results {
		// Results say nothing of images without any.
		x.dropEmpty()
	}
	x.tellRest()
	if flagsOf(o).MergeFiles {
		x.file.rawCategories = x.categories
	}
	if !x.seen["categories"] && x.seen["image"] {
		x.file.categories = newClassless(name, o.Convert)
		x.file.categories.turnBoxes(flagsOf(o).BoxAngle)
		x.file.categories.notation = x.notation
		x.file.categories.nameOthers(x.file.said)
		return x.file, nil
	}
	var findings []convert.Finding
	x.file.categories, findings, err = NewConverter(x.categories, name, o.Convert)
	if contradiction, ok := errors.AsType[contradictionError](err); ok {
		return nil, contradiction
	}
	if err != nil {
		return nil, errNotCOCO{err.Error()}
	}
	x.file.categories.turnBoxes(flagsOf(o).BoxAngle)
	x.file.categories.notation, x.file.categories.corners.stated = x.notation, x.stated
	x.file.categories.nameOthers(x.file.said)
	if x.results {
		x.file.categories.TakeResults()
	}
	for _, f := range x.withUsed(findings, x.file.categories.shared) {
		r.Report(f)
	}
	return x.file, nil
}

// readImages reads the images and categories that prediction results are about
// from the one COCO file beside them.
func (x *indexer) readImages(results string) error {
	folder := filepath.Dir(results)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var found *indexer
	var name string
	for _, e := range entries {
		if !strings.EqualFold(filepath.Ext(e.Name()), ".json") || e.Name() == filepath.Base(results) {
			continue
		}
		other := &indexer{file: &labelFile{name: e.Name()}, reporter: convert.NewReporter(nil), reports: make(kindCounts), beyond: make(kindCounts),
			slots: x.slots, seen: make(map[string]bool), imagesOnly: true}
		f, err := source.OpenRegular(filepath.Join(folder, e.Name()))
		if err != nil {
			continue
		}
		err = other.read(f)
		f.Close()
		if err != nil || !other.seen["images"] || !other.seen["categories"] {
			continue
		}
		if found != nil {
			return errNotCOCO{fmt.Sprintf("is a list of results, and several files beside it have images and categories: %s and %s; leave one there", name, e.Name())}
		}
		found, name = other, e.Name()
	}
	if found == nil {
		return errNotCOCO{"is a list, as prediction results are; put the COCO file with their images and categories beside it"}
	}
	x.file.imagesFrom = filepath.Join(folder, name)
	x.file.images, x.file.errs, x.images, x.categories = found.file.images, found.file.errs, found.images, found.categories
	for key := range found.seen {
		x.seen[key] = true
	}
	x.seen["annotations"] = true
	return x.matchResults()
}

func (x *indexer) read(r io.Reader) error {
	var wrong error // what is valid JSON and no COCO
	err := scan.Reader(r, func(s *scan.Scanner) {
		switch s.Token() {
		case '{':
			x.members(s)
		case '[':
			if wrong = x.notResults(); wrong != nil {
				return
			}
			x.results = true
			x.annotations(s)
		default:
			wrong = errNotCOCO{"is not a COCO file: it holds no JSON object"}
			return
		}
		s.End()
	})
	return errors.Join(wrong, err)
}

// notResults says why a list is no list of prediction results, nil where it may be one.
func (x *indexer) notResults() error {
	if x.imagesOnly {
		return errNotCOCO{"is a list"}
	}
	if x.content == nil {
		return nil
	}
	return foreignList(x.content)
}

// members takes on the members of the file's object.
func (x *indexer) members(s *scan.Scanner) {
	for name := range s.Members() {
		switch key := string(name); {
		case key == "images":
			x.beginList(key, s)
			for range s.Elements() {
				x.image(s.Value())
			}
		case key == "annotations":
			x.beginList(key, s)
			if x.imagesOnly {
				s.Skip()
				continue
			}
			x.annotations(s)
		case key == "categories":
			x.beginList(key, s)
			x.categories = bytes.Clone(s.Value())
		case key == "image" && s.Peek() == '{' && !x.seen["images"]: // as in SA-1B, of one image a file
			x.seen[key] = true
			x.image(s.Value())
		case key == "info":
			x.info(s.Value())
		default:
			x.elsewhere(key, s)
		}
	}
}

// beginList refuses a second list of a name, and what is no list.
func (x *indexer) beginList(key string, s *scan.Scanner) {
	if x.seen[key] {
		s.Fail("%q stands there a second time", key)
	}
	x.seen[key] = true
	if s.Peek() != '[' {
		s.Fail("%q is no list", key)
	}
}

// info takes what a file says of itself, which may be the notation of its boxes.
func (x *indexer) info(raw []byte) {
	if raw[0] != '{' {
		return
	}
	_ = scan.Bytes(raw, func(s *scan.Scanner) { // no more is to be known of what cannot be read
		s.Token()
		for name := range s.Members() {
			member := string(name)
			value := s.Value()
			if otherNotation(member, value) {
				x.notation = saysNotation("the "+member+" of the file's info", value)
			}
			x.stated = x.stated || statesXYWH(member, value)
		}
	})
}

// elsewhere passes over a member of the file that has no place in it. One that is called as
// annotations are, and holds some, is told of: they may be of any image.
func (x *indexer) elsewhere(key string, s *scan.Scanner) {
	switch strings.ToLower(key) {
	case "bbox_mode", "bbox_format", "bbox_type", "box_mode", "box_format", "format":
		value := s.Value()
		if otherNotation(key, value) {
			x.notation = saysNotation("the "+key+" of the file", value)
		}
		x.stated = x.stated || statesXYWH(key, value)
		return
	case "annotation", "annotations", "predictions", "objects", "instances", "detections", "labels", "shapes", "bboxes", "boxes":
	default:
		s.Skip()
		return
	}
	if s.Peek() != '[' {
		s.Skip()
		return
	}
	n := 0
	for range s.Elements() {
		if c := s.Peek(); c == '{' || c == '[' {
			n++
		}
		s.Skip()
	}
	if n == 0 || x.imagesOnly {
		return
	}
	reason := fmt.Sprintf("the file has a list %s beside its \"annotations\", and nothing tells whether the %d in it are annotations too, and of which images", convert.Display(key), n)
	x.file.annotations += n
	x.file.unlinked += n
	x.file.unlinkedReason = cmp.Or(x.file.unlinkedReason, reason)
	x.reportSome(n, convert.KindUnknownImage, "", convert.Display(key), reason, "they were left out")
}

func (x *indexer) check() error {
	if x.seen["image"] && !x.seen["images"] && len(x.file.images) == 1 && x.seen["annotations"] {
		return x.assignAll()
	}
	if !x.seen["images"] && x.content != nil {
		if format := foreignObject(x.content); format != "" {
			return foreignLabels{format}
		}
	}
	for _, key := range []string{"images", "annotations"} {
		if !x.seen[key] {
			return errNotCOCO{fmt.Sprintf("is not a COCO file: it has no list %q", key)}
		}
	}
	if x.captions() {
		return errNotCOCO{"its annotations are captions, which say nothing of shapes"}
	}
	if !x.seen["categories"] && x.refs.count > 0 {
		return errNotCOCO{`has annotations but no list "categories", so they have no classes`}
	}
	return nil
}

// assignAll gives all annotations of a file with one image to that image, to
// which they do not refer.
func (x *indexer) assignAll() error {
	if slot := slices.Index(x.images, 1); slot >= 0 {
		x.refs.each(func(r *ref) { r.slot = int32(slot) })
	}
	return nil
}

// image takes on one entry of images.
func (x *indexer) image(raw []byte) {
	x.file.entries++
	n := x.file.entries
	entry, repeated, err := readImageEntry(&x.decoder, raw)
	if err != nil {
		x.report(convert.KindImageEntry, "", fmt.Sprintf("image entry %d", n), "the entry cannot be read: "+err.Error(), "the entry was left out, and with it its annotations")
		return
	}
	if entry.id == nil {
		entry.id = entry.imageID
	}
	at := func() string {
		if id := entry.id; id != nil {
			return fmt.Sprintf("image %s", id)
		}
		return fmt.Sprintf("image entry %d", n)
	}
	if entry.notation != nil {
		x.notation = cmp.Or(x.notation, saysNotation("the "+entry.notationOf+" of "+at(), entry.notation))
	}
	if repeated != "" {
		x.report(convert.KindDuplicateKey, "", at(), fmt.Sprintf("the key %q stands twice, with one value", repeated), "taken once")
	}
	img, err := x.entryName(&entry, at)
	x.entrySize(&img, &entry, at)
	x.place(img, &entry, n, at, err)
}

// entryName makes an image of what an entry says of its name, as which at stands where it says
// none. The error says why the image cannot be taken.
func (x *indexer) entryName(entry *imageEntry, at func() string) (img indexedImage, err error) {
	name, named := textOf(entry.fileName)
	address, _ := textOf(entry.cocoURL)
	switch {
	case named:
		img.name, err = x.imageName(name, at)
	case address != "": // as in LVIS, which has no file names
		img.name, err = nameOfURL(address)
	case entry.otherName != "":
		err = fmt.Errorf("it has no file_name but %s, which is none of COCO's members; name it file_name", entry.otherName)
	default:
		err = errors.New("it has no file_name")
	}
	if err != nil && (named || address != "") {
		err = fmt.Errorf("its name %w", err)
	}
	if err != nil {
		err = fmt.Errorf("read %s of %s: %w", at(), x.file.name, err)
		if img.name == "" {
			img.name = at()
		}
	}
	if stated := entry.stated(img.name); named && stated != "" {
		if x.file.stated == nil {
			x.file.stated = make(map[int]string)
		}
		x.file.stated[len(x.file.images)] = stated
	}
	return img, err
}

// entrySize gives an image the size that its entry says.
func (x *indexer) entrySize(img *indexedImage, entry *imageEntry, at func() string) {
	width, widthOK, hasWidth := sideOf(entry.width)
	height, heightOK, hasHeight := sideOf(entry.height)
	switch {
	case widthOK && heightOK:
		size, err := source.WholeSize(width, height)
		if err != nil && (width != 0 || height != 0) {
			x.report(convert.KindImageName, img.name, at(), err.Error(), "the size was looked for elsewhere")
		}
		img.width, img.height = uint32(size.Width), uint32(size.Height)
	case hasWidth || hasHeight:
		x.report(convert.KindImageName, img.name, at(), "its width or height is no number", "the size was looked for elsewhere")
	}
}

// place puts an image, that of the n-th entry, where its id finds it; err says why it cannot be
// taken.
func (x *indexer) place(img indexedImage, entry *imageEntry, n int, at func() string, err error) {
	slot, idErr := x.slots.ofRaw(entry.id)
	if idErr != nil {
		x.add(img, fmt.Errorf("read image entry %d of %s: its id cannot be used: %w; give every image an integer id", n, x.file.name, idErr))
		return
	}
	if first, twice := x.imageOf(slot); twice {
		x.placeAgain(img, first, at)
		return
	}
	if missing := int(slot) + 1 - len(x.images); missing > 0 {
		x.images = append(x.images, make([]int32, missing)...)
	}
	x.add(img, err)
	x.images[slot] = int32(len(x.file.images))
	if x.keepIDs {
		for len(x.file.ids) < len(x.file.images) {
			x.file.ids = append(x.file.ids, "")
		}
		if id, err := parseID(entry.id); err == nil {
			x.file.ids[len(x.file.images)-1] = id
		}
	}
}

// placeAgain compares an image with the first one of its id.
func (x *indexer) placeAgain(img indexedImage, first int, at func() string) {
	old := &x.file.images[first]
	x.report(convert.KindDuplicateImage, img.name, at(), fmt.Sprintf("the id is that of %s too", old.name), "neither image was touched unless both entries are one image")
	switch {
	case old.name != img.name:
		err := fmt.Errorf("read %s of %s: %s and %s have the same id, so nothing tells whose the annotations are; give them ids of their own", at(), x.file.name, old.name, img.name)
		x.fail(first, err)
		x.add(img, err)
	case old.size().Known() && img.size().Known() && old.size() != img.size():
		x.fail(first, fmt.Errorf("read %s of %s: it stands there twice, as %d×%d and as %d×%d", at(), x.file.name, old.width, old.height, img.width, img.height))
	}
}

// add adds an image, which cannot be taken where there is an error.
func (x *indexer) add(img indexedImage, err error) {
	x.file.images = append(x.file.images, img)
	if err != nil {
		x.fail(len(x.file.images)-1, err)
	}
}

func (x *indexer) fail(place int, err error) {
	if x.file.errs == nil {
		x.file.errs = make(map[int]error)
	}
	x.file.errs[place] = err
}

// imageOf is the place in file.images of the image with a slot.
func (x *indexer) imageOf(slot int32) (place int, there bool) {
	if int(slot) < len(x.images) {
		place = int(x.images[slot]) - 1
		return place, place >= 0
	}
	return 0, false
}

// imageName is a file_name as a path inside a dataset. Absolute paths and addresses are
// those of another machine: what of them is a path below something is kept, since the
// dataset's paths are compared from their ends.
func (x *indexer) imageName(name string, at func() string) (string, error) {
	clean, err := source.CleanImagePath(name)
	what := ""
	if strings.Contains(name, "://") {
		address := name
		if u, parseErr := url.Parse(name); parseErr == nil {
			address = u.Path // decoded
		} else {
			_, address, _ = strings.Cut(name, "://")
			_, address, _ = strings.Cut(address, "/")
		}
		clean, err = source.CleanImagePath(strings.TrimLeft(path.Clean("/"+strings.ReplaceAll(address, `\`, "/")), "/"))
		if what = "is an address"; err != nil {
			return "", err
		}
	} else if err != nil && clean == "" {
		rest := strings.ReplaceAll(name, `\`, "/")
		if source.HasDrive(rest) {
			rest = rest[2:]
		}
		if rest = path.Clean("/" + rest); strings.HasSuffix(name, "/") || strings.HasSuffix(name, `\`) || rest == "/" {
			return "", err
		}
		what = err.Error()
		if clean, err = source.CleanImagePath(rest[1:]); err != nil {
			return "", err
		}
	}
	if what != "" {
		x.report(convert.KindImageName, clean, at(), fmt.Sprintf("its name %s %s", convert.Display(name), what), "taken as "+convert.Display(clean))
	}
	return clean, err
}

// nameOfURL is the file name of an address, with the folder it lies in, as
// train2017/000000391895.jpg.
func nameOfURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	folder, name := path.Split(strings.TrimPrefix(path.Clean(u.Path), "/"))
	return source.CleanImagePath(source.Join(path.Base(folder), name))
}

// annotations takes on a list of them.
func (x *indexer) annotations(s *scan.Scanner) {
	n := 0
	for range s.Elements() {
		x.annotation(s, n)
		n++
	}
	x.file.annotations += n
}

// annotation takes on the n-th annotation, which s stands before.
func (x *indexer) annotation(s *scan.Scanner, n int) {
	at := func() string { return fmt.Sprintf("annotation entry %d", n+1) }
	start := s.Offset()
	if c := s.Peek(); c != '{' {
		s.Skip()
		if c == 'n' { // null: there is nothing that an image could lack
			x.report(convert.KindUnknownImage, "", at(), "is null", "it was left out")
			return
		}
		x.unlink(at(), "is no JSON object")
		return
	}
	o := x.owner(s)
	length := s.Offset() - start
	switch {
	case o.err != nil:
		x.unlink(at(), "its image cannot be told: "+o.err.Error())
		return
	case o.twice:
		x.unlink(at(), "has several image_ids")
		return
	case length > source.MaxLabels:
		x.unlink(at(), fmt.Sprintf("is longer than %d bytes", source.MaxLabels))
		return
	case !o.told:
		o.slot = x.slots.of("")
		x.noteLinks()
	}
	x.refs.add(ref{start, uint32(length), x.noteNames(o.slot, o.names...)})
}

// owner is what an annotation says of its image.
type owner struct {
	slot  int32 // of its image_id
	told  bool  // it has one
	twice bool  // it has two that differ
	err   error // it cannot be read
	names [][]byte
}

// owner reads an annotation for what it says of its image, and keeps in x.keys the members
// of one that does not say it as COCO does.
func (x *indexer) owner(s *scan.Scanner) (o owner) {
	x.keys = x.keys[:0]
	for key := range s.Members() {
		switch string(key) {
		case "image_id":
			if raw := s.Value(); string(raw) != "null" && string(raw) != "NaN" {
				before := o.slot
				if o.slot, o.err = x.slots.ofRaw(raw); o.told && o.slot != before {
					o.twice = true
				}
				o.told = true
			}
		case "segments_info":
			x.file.panoptic = true
			s.Skip()
		default:
			if !o.told {
				x.keys = append(append(x.keys, '\n'), key...)
			}
			if namesImage(string(key)) {
				o.names = append(o.names, bytes.Clone(s.Value()))
				continue
			}
			s.Skip()
		}
	}
	return o
}

// noteLinks notes which of the members in x.keys may name an image.
func (x *indexer) noteLinks() {
	const most = 8
	for key := range strings.SplitSeq(string(x.keys), "\n") {
		if len(x.links) >= most || !mayLink(key) {
			continue
		}
		if x.links == nil {
			x.links = make(map[string]bool)
		}
		x.links[key] = true
	}
}

// saidName is the name that an annotation gives its image beside the id.
type saidName struct {
	slot int32
	name string
}

// noteNames notes the names that an annotation gives its image, where they are others than that
// image's own or this is not known yet. Results get a slot for each id and name: what their
// image is both tell.
func (x *indexer) noteNames(slot int32, named ...[]byte) int32 {
	var names []string
	for _, raw := range named {
		if name := saidImage(raw); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if x.results && len(names) == 1 {
		return x.nameSlot(saidName{slot, names[0]})
	}
	for _, name := range names {
		if place, there := x.imageOf(slot); there && strings.HasSuffix("/"+x.file.images[place].name, "/"+name) {
			continue
		}
		x.say(saidName{slot, name})
	}
	return slot
}

func (x *indexer) say(said saidName) {
	if x.said == nil {
		x.said = make(map[saidName]bool)
	}
	x.said[said] = true
}

// suspectSaid notes the images whose names annotations give that are of others by their ids.
func (x *indexer) suspectSaid() {
	x.file.said = make(map[string]bool)
	if len(x.said) == 0 || x.file.panoptic { // their names are those of PNGs
		return
	}
	whole := x.wholeNames()
	names := make(map[string]bool)
	for said := range x.said {
		place, there := x.imageOf(said.slot)
		switch {
		case there && fits(said.name, x.file.images[place].name, whole):
		case whole[said.name]:
			names[said.name] = true
		default:
			names[path.Base(said.name)] = true
		}
	}
	for place := range x.file.images {
		for _, name := range []string{x.file.images[place].name, path.Base(x.file.images[place].name)} {
			if names[name] {
				x.file.said[name] = true
				x.suspect(place, "annotations give the name of this image beside an image_id that is not its own, and nothing tells which of the two is right")
			}
		}
	}
}

// wholeNames are the names of the file's images, with their folders.
func (x *indexer) wholeNames() map[string]bool {
	names := make(map[string]bool, len(x.file.images))
	for i := range x.file.images {
		names[x.file.images[i].name] = true
	}
	return names
}

func (x *indexer) suspect(place int, reason string) {
	if x.file.suspects == nil {
		x.file.suspects = make(map[int]string)
	}
	x.file.suspects[place] = reason
}

// suspectNames notes the images that unknown ids may mean by their names.
func (x *indexer) suspectNames(unknown []string, lost map[string]uint32) {
	if x.results {
		return // matched by them already
	}
	var names namedImages
	for _, id := range unknown {
		if id == "" || lost[id] == 0 {
			continue
		}
		if names.byName == nil {
			names = x.namedImages()
		}
		if place, found := names.of(id); found {
			x.suspect(place, fmt.Sprintf("%d annotations have the image_id %s, which is no id of the file and may mean the name of this image", lost[id], id))
		}
	}
}

// unlink leaves out an annotation that may be of any image of the file.
func (x *indexer) unlink(at, reason string) {
	x.report(convert.KindUnknownImage, "", at, reason, "it was left out")
	if x.file.unlinked++; x.file.unlinkedReason == "" {
		x.file.unlinkedReason = at + " " + reason
	}
}

// mayLink reports whether a member of an annotation may name its image.
func mayLink(key string) bool {
	if key == "" || key == "image_id" {
		return false
	}
	key = strings.ToLower(key)
	for _, word := range []string{"image", "img", "item", "file", "photo", "picture", "frame", "sample", "asset", "media", "document"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// group brings the annotations of each image together and reports those of unknown
// images.
func (x *indexer) group() {
	ends := x.refs.group(x.slots.count)
	of := func(slot int) (first, end uint32) {
		if slot > 0 {
			first = ends[slot-1]
		}
		return first, ends[slot]
	}
	known := 0
	for slot, image := range x.images {
		if image > 0 {
			img := &x.file.images[image-1]
			img.first, img.end = of(slot)
			known++
		}
	}
	var unknown []string
	lost := make(map[string]uint32)
	if known < x.slots.count {
		note := func(id ID, slot int32) {
			if _, there := x.imageOf(slot); !there {
				first, end := of(int(slot))
				unknown = append(unknown, string(id))
				lost[string(id)] = end - first
			}
		}
		x.slots.each(func(id wholeID, slot int32) { note(id.cocoID(), slot) }, note)
	}
	x.file.refs, x.refs = x.refs, refs{}
	slices.Sort(unknown)
	x.suspectNames(unknown, lost)
	x.suspectSaid()
	for _, id := range unknown {
		switch {
		case lost[id] == 0:
			continue
		case id == "":
			reason := fmt.Sprintf("%d annotations name no image: they have no image_id", lost[id])
			if names := slices.Sorted(maps.Keys(x.links)); len(names) > 0 {
				reason += "; it may be what they call " + strings.Join(names, ", ")
			}
			x.file.unlinked += int(lost[id])
			x.file.unlinkedReason = reason
			x.reportSome(int(lost[id]), convert.KindUnknownImage, "", "annotations", reason, "they were left out")
			continue
		}
		if x.file.ownerless == "" {
			x.file.ownerless = fmt.Sprintf("%s has annotations of the image_id %s, which it has no image for", x.file.name, id)
		}
		reason, action := fmt.Sprintf("the file has no image with this id, and %d annotations of it", lost[id]), "they were left out"
		if name := x.mayName[id]; name != "" {
			reason = fmt.Sprintf("no image has this id, and it may be the name of %s, or a place in the list of images", name)
			action += "; give the results the ids of the images' entries"
		}
		x.reportSome(int(lost[id]), convert.KindUnknownImage, "", "image_id "+id, reason, action)
	}
}

// dropEmpty leaves out the images without annotations.
func (x *indexer) dropEmpty() {
	all, errs, suspects := x.file.images, x.file.errs, x.file.suspects
	x.file.images, x.file.errs, x.file.suspects = nil, nil, nil
	for place, img := range all {
		if img.first == img.end {
			continue
		}
		if reason := suspects[place]; reason != "" {
			x.suspect(len(x.file.images), reason)
		}
		x.add(img, errs[place])
	}
	x.file.entries = len(x.file.images)
}

func (x *indexer) report(kind convert.Kind, image, at, reason, action string) {
	x.reportSome(0, kind, image, at, reason, action)
}

// reportSome reports what stands for some things.
func (x *indexer) reportSome(some int, kind convert.Kind, image, at, reason, action string) {
	if x.reports[kind]++; x.reports[kind] <= maxReports {
		x.reporter.Report(convert.Finding{Kind: kind, Count: some, File: x.file.name, Image: image, At: at, Reason: reason, Action: action})
		return
	}
	x.beyond[kind] += max(some, 1)
}

// tellRest counts the findings beyond the limit.
func (x *indexer) tellRest() {
	for kind, n := range x.beyond {
		x.reporter.Report(convert.Finding{Kind: kind, Count: n, File: x.file.name, Reason: fmt.Sprintf("%d more of this kind are in the file", n), Action: "as for the others"})
	}
}

// annotationReader holds the annotations of the image that is loaded; what it has
// read is void with the next.
type annotationReader struct {
	bytes       []byte
	spans       []source.Span
	annotations [][]byte
}

// read reads the annotations of an image.
func (r *annotationReader) read(f *labelFile, img *indexedImage) ([][]byte, error) {
	if img.first == img.end {
		return nil, nil
	}
	r.spans = f.refs.spans(r.spans[:0], img.first, img.end)
	spans := r.spans
	if err := f.Take(); err != nil {
		return nil, err
	}
	defer f.Release()
	total := 0
	for _, s := range spans {
		total += int(s.Length)
	}
	if total > source.MaxLabels {
		return nil, fmt.Errorf("its annotations are longer than %d bytes", source.MaxLabels)
	}
	if most := total + len(spans)*maxGap; cap(r.bytes) < most {
		r.bytes = make([]byte, most)
	}
	rest := r.bytes[:cap(r.bytes)]
	r.annotations = r.annotations[:0]
	for len(spans) > 0 {
		// Annotations that stand side by side are read together.
		n := sideBySide(spans)
		first, last := spans[0], spans[n-1]
		into := rest[:last.End()-first.Start]
		rest = rest[len(into):]
		if err := f.Read(into, first.Start); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, source.ReasonOf(err))
		}
		for _, s := range spans[:n] {
			r.annotations = append(r.annotations, into[s.Start-first.Start:][:s.Length:s.Length])
		}
		spans = spans[n:]
	}
	return r.annotations, nil
}

// maxGap is what writers put between two annotations at most, in bytes.
const maxGap = 64

// sideBySide counts the annotations at the beginning that are apart by no more
// than maxGap.
func sideBySide(spans []source.Span) int {
	n := 1
	for n < len(spans) && spans[n].Start-spans[n-1].End() <= maxGap {
		n++
	}
	return n
}
