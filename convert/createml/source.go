package createml

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/pictograph"
	"pictosync/source"
)

// dataset is one file or several.
type dataset struct {
	*source.Records
	root string // the folder that images are relative to

	mu      sync.Mutex
	classes map[string]string // names so far, by what they have in common with similar ones
}

func newDataset(in convert.Input) (*dataset, error) {
	r, err := source.NewRecords(in, "entry", "entries", countAnnotations)
	root := in.Path
	if !source.IsFolder(root) {
		root = filepath.Dir(root)
	}
	return &dataset{Records: r, root: root, classes: make(map[string]string)}, err
}

// add adds the entries of a file to the index; folder is what the names of its images are
// relative to, below the source.
func (d *dataset) add(file, name, folder string) error {
	return d.AddFile(file, name, func(content io.Reader, add func(int64, int64, source.Record)) error {
		number := 0
		return scan.Reader(content, func(s *scan.Scanner) {
			if s.Token() != '[' {
				s.Fail("a file of Create ML is a JSON list of images")
			}
			for range s.Elements() {
				number++
				record := source.Record{Number: number}
				start := s.Offset()
				if s.Peek() != '{' {
					record.Err = errors.New("it is no JSON object")
					s.Skip()
				} else if record.Image, record.Err = imageOf(s); record.Image != "" {
					record.Image = source.Join(folder, record.Image)
					if clean, err := source.CleanImage(record.Image); err == nil {
						record.Image = clean
					} else {
						record.Err = cmp.Or(record.Err, err)
					}
				}
				if record.Err != nil {
					record.Err = fmt.Errorf("read entry %d: %w", number, record.Err)
				}
				add(start, s.Offset()-start, record)
			}
			s.End()
		})
	})
}

// imageOf reads an entry and is the image that it names.
func imageOf(s *scan.Scanner) (image string, err error) {
	e, err := readEntry(s)
	switch {
	case e.twoImages:
		return "", err
	case e.image == nil:
		return "", errors.New(`"image" is missing`)
	case !scan.IsString(e.image):
		return "", fmt.Errorf(`"image" is %s, not a name`, scan.Describe(e.image))
	case !jsontext.Value(e.image).IsValid():
		return "", errors.New(`"image" is no valid UTF-8 text`)
	case len(e.image) == 2:
		return "", errors.New(`"image" is empty`)
	}
	return string(scan.Unquote(e.image)), err
}

// Describe says what was found.
func (d *dataset) Describe() convert.Description {
	return convert.Description{Path: d.Path, Format: Name, Reason: "a JSON list of images with their annotations", Fingerprint: d.Fingerprint(d.Infos()...)}
}

// entry is an image's labels, each member as it stands there.
type entry struct {
	image, width, height []byte
	twoImages            bool
	annotations          [][]byte // nil where there is no list of them
	others               []string // members that are not read
	notation             string   // what one of them says of the boxes that Create ML's are not
}

// otherNotation is what a member says of boxes that Create ML's are not, "" where it says nothing
// of them, or that they are about their centres, in pixels, from the top left.
func otherNotation(name string, value []byte) string {
	plain := strings.NewReplacer("_", "", "-", "", " ", "")
	var means []string
	switch plain.Replace(strings.ToLower(name)) {
	case "anchor", "boxanchor", "bboxanchor", "boundingboxanchor":
		means = []string{"center", "centre"}
	case "unit", "units", "coordinateunits", "coordinatesunits", "boxunits", "boundingboxunits":
		means = []string{"pixel", "pixels", "px"}
	case "origin", "coordinateorigin", "coordinatesorigin", "boxorigin", "boundingboxorigin":
		means = []string{"topleft"}
	case "boxformat", "bboxformat", "boxmode", "bboxmode", "boxtype", "bboxtype":
		means = []string{"cxcywh", "center", "centre", "createml"}
	default:
		return ""
	}
	if !scan.IsString(value) || slices.Contains(means, plain.Replace(strings.ToLower(string(scan.TextOf(value))))) {
		return ""
	}
	return fmt.Sprintf("the member %q is %s, and the boxes of Create ML are about their centres, in pixels from the top left", scan.Shorten(name), scan.Shorten(string(value)))
}

// readEntry reads an entry. One that says a thing twice is an error: nothing tells what is meant.
func readEntry(s *scan.Scanner) (e entry, err error) {
	names := make(namesSeen)
	for key := range s.Members() {
		name := string(key)
		err = cmp.Or(err, names.see(name))
		switch name {
		case "image", "imagefilename":
			value := bytes.Clone(s.Value())
			if e.image != nil && !bytes.Equal(e.image, value) {
				e.twoImages = true
				err = cmp.Or(err, fmt.Errorf("it names two images, %s and %s", scan.Shorten(string(e.image)), scan.Shorten(string(value))))
			}
			e.image = value
		case "annotations", "annotation":
			switch {
			case s.Peek() == 'n':
				s.Skip()
				continue
			case s.Peek() != '[':
				err = cmp.Or(err, fmt.Errorf("its %s are %s, not a list", name, scan.Describe(s.Value())))
				continue
			case e.annotations != nil:
				err = cmp.Or(err, errors.New("it has two lists of annotations"))
			default:
				e.annotations = [][]byte{}
			}
			for range s.Elements() {
				e.annotations = append(e.annotations, bytes.Clone(s.Value()))
			}
		case "width":
			e.width = bytes.Clone(s.Value())
		case "height":
			e.height = bytes.Clone(s.Value())
		default:
			e.others = append(e.others, name)
			e.notation = cmp.Or(e.notation, otherNotation(name, s.Value()))
		}
	}
	return e, err
}

// namesSeen are the members of an object so far.
type namesSeen map[string]bool

// see is an error for a name that is there already, be it in other letters.
func (n namesSeen) see(name string) error {
	key := strings.ToLower(name)
	if n[key] {
		return fmt.Errorf("the key %q stands twice", scan.Shorten(name))
	}
	n[key] = true
	return nil
}

// entryOf is [readEntry] for an entry by itself.
func entryOf(raw []byte) (e entry, err error) {
	scanErr := scan.Bytes(raw, func(s *scan.Scanner) {
		s.Token()
		e, err = readEntry(s)
	})
	return e, cmp.Or(scanErr, err)
}

func countAnnotations(raw []byte) int {
	e, _ := entryOf(raw) // what an entry that is wrong has all the same
	return len(e.annotations)
}

// size is the size that the entry states; the error says why there is none.
func (e entry) size() (convert.Size, error) {
	if scan.Absent(e.width) && scan.Absent(e.height) {
		return convert.Size{}, nil
	}
	if !scan.IsNumber(e.width) || !scan.IsNumber(e.height) {
		return convert.Size{}, errors.New("its width or height is no number")
	}
	return source.WholeSize(scan.ParseNumber(e.width), scan.ParseNumber(e.height))
}

// Load converts the boxes of an image.
func (d *dataset) Load(_ context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	raw, at, err := d.Record(item)
	if err != nil {
		return d.Failed(item), err
	}
	e, err := entryOf(raw)
	if err != nil {
		return d.Failed(item), fmt.Errorf("read %s: %w", at, err)
	}
	if e.annotations == nil {
		return convert.Result{}, fmt.Errorf("read %s: it has no annotations, not even an empty list", at)
	}
	stated, sizeErr := e.size()
	sizes := d.sizes(item, stated, listed)
	b := convert.NewBuilder(item.File, item.Image, sizes.Own(), d.Options.Convert, len(e.annotations))
	b.NoteOutside = true
	if sizeErr != nil {
		b.Report(convert.KindImageName, convert.Location{What: at}, sizeErr.Error(), "the size was looked for elsewhere")
	}
	members := make(map[string]int)
	for _, name := range e.others {
		members[scan.Shorten(name)]++
	}
	annotations := make([]annotation, len(e.annotations))
	for i, one := range e.annotations {
		annotations[i] = readAnnotation(one)
		annotations[i].notation = cmp.Or(annotations[i].notation, e.notation)
	}
	corners := allByCorner(annotations, b.Size)
	for i, one := range annotations {
		b.Count(take(b, i+1, one, corners, members))
		d.tellSimilar(item.File, string(scan.Unquote(one.label)))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		b.Result.Findings = append(b.Result.Findings, convert.Finding{Kind: convert.KindMember, Cause: name, Count: members[name], File: item.File, Image: item.Image,
			Reason: fmt.Sprintf("the member %q has no place in an annotation", name), Action: "left out"})
	}
	d.Reconcile(item, sizes, &b.Result)
	return b.Result, nil
}

// tellSimilar tells of classes that may be one.
func (d *dataset) tellSimilar(file, class string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	similar, there := d.classes[convert.Fold(class)]
	if !there {
		d.classes[convert.Fold(class)] = class
	} else if similar != class {
		d.Reporter.Report(convert.Finding{Kind: convert.KindSimilarClass, File: file, Reason: fmt.Sprintf("the names %q and %q differ in case or blanks alone", min(similar, class), max(similar, class)), Action: "both classes kept; a class map can merge them"})
	}
}

// annotation is one box, each member as it stands there.
type annotation struct {
	label, coordinates, confidence []byte
	sides                          [4][]byte // of the coordinates, as sideNames
	angle                          string    // the name of a member that may turn it
	others                         []string  // members that are not read
	notation                       string    // see entry
	err                            error
}

var sideNames = []string{"x", "y", "width", "height"}

func readAnnotation(raw []byte) (a annotation) {
	a.err = readMembers(raw, func(name string, value []byte) {
		switch name {
		case "label":
			a.label = value
		case "coordinates":
			a.coordinates = value
		case "confidence":
			a.confidence = value
		default:
			a.other(name, name, value)
		}
	})
	if a.err != nil || !scan.IsObject(a.coordinates) {
		return a
	}
	a.err = readMembers(a.coordinates, func(name string, value []byte) {
		if i := slices.Index(sideNames, name); i >= 0 {
			a.sides[i] = value
			return
		}
		a.other(name, "coordinates."+name, value)
	})
	return a
}

func (a *annotation) other(name, path string, value []byte) {
	switch {
	case scan.Absent(value):
	case !convert.NamesAngle(name):
		a.others = append(a.others, path)
		a.notation = cmp.Or(a.notation, otherNotation(name, value))
	case !scan.IsNumber(value) || scan.ParseNumber(value) != 0:
		a.angle = path
	}
}

// readMembers reads an object, strictly but for the words that Python writes for what is no
// number.
func readMembers(raw []byte, member func(name string, value []byte)) error {
	if repaired, found := scan.OverflowNonFinite(raw); found {
		raw = repaired
	}
	names := make(namesSeen)
	return scan.ReadMembers(jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true)), raw, func(name, value []byte) error {
		member(string(name), value)
		return names.see(string(name))
	})
}

// box is x, y, width and height; false where one of them is no number.
func (a *annotation) box() (sides [4]float64, ok bool) {
	for i, raw := range a.sides {
		if !scan.IsNumber(raw) {
			return sides, false
		}
		sides[i] = scan.ParseNumber(raw)
	}
	return sides, true
}

// allByCorner reports whether all boxes of an image lie inside it if x,y are their corners. Where
// one does not, its centre is meant.
func allByCorner(annotations []annotation, size convert.Size) bool {
	for i := range annotations {
		if sides, ok := annotations[i].box(); ok && !insideByCorner(sides, size) {
			return false
		}
	}
	return size.Known()
}

func insideByCorner(sides [4]float64, size convert.Size) bool {
	x, y, w, h := sides[0], sides[1], sides[2], sides[3]
	return x >= 0 && y >= 0 && x+w <= float64(size.Width)+1 && y+h <= float64(size.Height)+1
}

// farBeyond reports whether a box ends beyond its image by a fifth of itself if x,y are its centre.
func farBeyond(sides [4]float64, size convert.Size) bool {
	const share, pixels = 0.2, 2
	x, y, w, h := sides[0], sides[1], sides[2], sides[3]
	width, height := float64(size.Width), float64(size.Height)
	return max(w/2-x, x+w/2-width) > max(pixels, share*w) || max(h/2-y, y+h/2-height) > max(pixels, share*h)
}

// take takes one annotation; false says that it was left out, and a finding why. Corners says that
// all boxes of the image lie inside it if x,y are their corners.
func take(b *convert.Builder, number int, a annotation, corners bool, members map[string]int) bool {
	at := convert.Location{What: "annotation", Number: number}
	if a.err != nil {
		return b.Drop(convert.KindInvalidJSON, at, a.err.Error())
	}
	for _, name := range a.others {
		members[scan.Shorten(name)]++
	}
	o := convert.Object{At: at, Position: number}
	if scan.IsString(a.label) {
		o.Name = string(scan.TextOf(a.label))
	} else if !scan.Absent(a.label) {
		return b.Drop(convert.KindUnknownClass, at, fmt.Sprintf("the label is %s, not text", scan.Describe(a.label)))
	}
	if convert.Blank(o.Name) {
		return b.Drop(convert.KindUnknownClass, at, "it has no label")
	}
	var sides [4]float64
	for i, raw := range a.sides {
		switch {
		case scan.Absent(raw):
			return b.Drop(convert.KindNoGeometry, at, "its coordinates are not x, y, width and height")
		case !scan.IsNumber(raw):
			return b.Drop(convert.KindNumber, at, fmt.Sprintf("%s is %s", sideNames[i], scan.Describe(raw)))
		}
		sides[i] = scan.ParseNumber(raw)
	}
	switch {
	case a.notation != "":
		return b.Drop(convert.KindBoxNotation, at, a.notation)
	case corners && farBeyond(sides, b.Size):
		return b.Drop(convert.KindBoxNotation, at, fmt.Sprintf("its box lies inside the image if %v,%v is its corner, and far beyond if it is its centre, as Create ML has it: nothing tells which it is", sides[0], sides[1]))
	case isShares(sides):
		return b.Drop(convert.KindBoxNotation, at, "its coordinates lie between 0 and 1, as shares of the image's size do, and Create ML's are pixels")
	case a.angle != "":
		return b.Drop(convert.KindAngle, at, fmt.Sprintf("the member %q may turn the box, and nothing tells in what unit and direction", scan.Shorten(a.angle)))
	case scan.IsNumber(a.confidence):
		o.Confidence = b.Confidence(at, scan.ParseNumber(a.confidence))
	case !scan.Absent(a.confidence):
		b.Report(convert.KindConfidence, at, "the confidence is "+scan.Describe(a.confidence), convert.NoConfidence)
	}
	x, y, w, h := sides[0], sides[1], sides[2], sides[3]
	return b.AddBox(o, pictograph.Box{X: x - w/2, Y: y - h/2, W: w, H: h})
}

// isShares reports whether no coordinate of a box is above 1: these are most likely shares of
// its image's size.
func isShares(sides [4]float64) bool {
	const rounding = 0.01
	return slices.Max(sides[:]) <= 1+rounding
}

func (d *dataset) sizes(item convert.Item, stated, listed convert.Size) source.ImageSizes {
	s := source.ImageSizes{Stated: stated, Listed: listed}
	if size := d.Sizes.Of(item.Image); size.Known() {
		s.Stated = size
	}
	if file := d.ImageFile(item); file != "" {
		if size, err := source.ImageSize(file); err == nil {
			s.Local = size
		}
	}
	return s
}

// Size is what is known of the size of an item's image.
func (d *dataset) Size(item convert.Item) convert.Size {
	var stated convert.Size
	if raw, _, err := d.Record(item); err == nil {
		if e, err := entryOf(raw); err == nil {
			stated, _ = e.size() // Load says what is wrong with it
		}
	}
	return d.sizes(item, stated, convert.Size{}).Own()
}

// ImageFile is looked for in the folder of images, and then beside the file.
func (d *dataset) ImageFile(item convert.Item) string {
	if file := d.Records.ImageFile(item); file != "" {
		return file
	}
	return source.Existing(filepath.Join(d.root, filepath.FromSlash(item.Image)))
}
