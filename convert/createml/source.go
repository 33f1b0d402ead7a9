package createml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/pictograph"
	"pictosync/source"
)

// dataset is one file or several.
type dataset struct {
	*source.Records
	root string // the folder that images are relative to
}

func newDataset(in convert.Input) (*dataset, error) {
	r, err := source.NewRecords(in, "entry", "entries", countAnnotations)
	root := in.Path
	if !source.IsFolder(root) {
		root = filepath.Dir(root)
	}
	return &dataset{r, root}, err
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
				} else if record.Image, record.Err = imageOf(s); record.Err == nil {
					record.Image = source.Join(folder, record.Image)
					if clean, err := source.CleanImage(record.Image); err == nil {
						record.Image = clean
					} else {
						record.Err = err
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
	err = errors.New(`"image" is missing`)
	for key := range s.Members() {
		if named := string(key); (named == "image" || named == "imagefilename") && s.Peek() == '"' {
			image, err = string(scan.Unquote(s.Value())), nil
			continue
		}
		s.Skip()
	}
	if err == nil && image == "" {
		err = errors.New(`"image" is empty`)
	}
	return image, err
}

// Describe says what was found.
func (d *dataset) Describe() convert.Description {
	return convert.Description{Path: d.Path, Format: Name, Reason: "a JSON list of images with their annotations", Fingerprint: d.Fingerprint(d.Infos()...)}
}

// entry is an image's labels.
type entry struct {
	Annotations []json.RawMessage `json:"annotations"`
	Older       []json.RawMessage `json:"annotation"` // of earlier versions
}

func (e entry) all() []json.RawMessage {
	if e.Annotations != nil {
		return e.Annotations
	}
	return e.Older
}

func countAnnotations(raw []byte) int {
	var e entry
	if json.Unmarshal(raw, &e) != nil {
		return 0
	}
	return len(e.all())
}

// annotation is one box. What has no place here is told by its name.
type annotation struct {
	Label       string `json:"label"`
	Coordinates *struct {
		X      *float64 `json:"x"`
		Y      *float64 `json:"y"`
		Width  *float64 `json:"width"`
		Height *float64 `json:"height"`
	} `json:"coordinates"`
	Confidence *float64 `json:"confidence"`
}

// Load converts the boxes of an image.
func (d *dataset) Load(_ context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	raw, at, err := d.Record(item)
	if err != nil {
		return d.Failed(item), err
	}
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return d.Failed(item), fmt.Errorf("read %s: %w", at, err)
	}
	if e.Annotations == nil && e.Older == nil {
		return convert.Result{}, fmt.Errorf("read %s: it has no annotations, not even an empty list", at)
	}
	sizes := d.sizes(item, listed)
	b := convert.NewBuilder(item.File, item.Image, sizes.Own(), d.Options.Convert, len(e.all()))
	b.NoteOutside = true
	members := make(map[string]int)
	shares := allShares(e.all())
	for i, one := range e.all() {
		b.Count(take(b, i+1, one, shares, members))
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		b.Result.Findings = append(b.Result.Findings, convert.Finding{Kind: convert.KindMember, Cause: name, Count: members[name], File: item.File, Image: item.Image,
			Reason: fmt.Sprintf("the member %q has no place in an annotation", name), Action: "left out"})
	}
	d.Reconcile(item, sizes, &b.Result)
	return b.Result, nil
}

// take takes one annotation; false says that it was left out, and a finding why.
func take(b *convert.Builder, number int, raw []byte, shares bool, members map[string]int) bool {
	at := convert.Location{What: "annotation", Number: number}
	var a annotation
	if err := json.Unmarshal(raw, &a); err != nil {
		return b.Drop(convert.KindInvalidJSON, at, "it cannot be read: "+err.Error())
	}
	countMembers(raw, members)
	c := a.Coordinates
	switch {
	case convert.Blank(a.Label):
		return b.Drop(convert.KindUnknownClass, at, "it has no label")
	case c == nil || c.X == nil || c.Y == nil || c.Width == nil || c.Height == nil:
		return b.Drop(convert.KindNoGeometry, at, "its coordinates are not x, y, width and height")
	case shares:
		return b.Drop(convert.KindBoxNotation, at, "all coordinates of the image lie between 0 and 1, as shares of its size do, and Create ML's are pixels")
	}
	o := convert.Object{At: at, Position: number, Name: a.Label}
	if a.Confidence != nil {
		o.Confidence = b.Confidence(at, *a.Confidence)
	}
	return b.AddBox(o, pictograph.Box{X: *c.X - *c.Width/2, Y: *c.Y - *c.Height/2, W: *c.Width, H: *c.Height})
}

// allShares reports whether no coordinate of an image is above 1: these are most likely
// shares of its size.
func allShares(annotations []json.RawMessage) bool {
	for _, raw := range annotations {
		var a annotation
		if json.Unmarshal(raw, &a) != nil {
			continue
		}
		c := a.Coordinates
		if c == nil || c.X == nil || c.Y == nil || c.Width == nil || c.Height == nil {
			continue
		}
		if max(*c.X, *c.Y, *c.Width, *c.Height) > 1 {
			return false
		}
	}
	return len(annotations) > 0
}

// countMembers counts the members of an annotation that have no place in ours.
func countMembers(raw []byte, members map[string]int) {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return
	}
	for name := range all {
		if name != "label" && name != "coordinates" && name != "confidence" {
			members[scan.Shorten(name)]++
		}
	}
}

func (d *dataset) sizes(item convert.Item, listed convert.Size) source.ImageSizes {
	s := source.ImageSizes{Stated: d.Sizes.Of(item.Image), Listed: listed}
	if file := d.ImageFile(item); file != "" {
		if size, err := source.ImageSize(file); err == nil {
			s.Local = size
		}
	}
	return s
}

// Size is what is known of the size of an item's image: the file itself says nothing of it.
func (d *dataset) Size(item convert.Item) convert.Size { return d.sizes(item, convert.Size{}).Own() }

// ImageFile is looked for in the folder of images, and then beside the file.
func (d *dataset) ImageFile(item convert.Item) string {
	if file := d.Records.ImageFile(item); file != "" {
		return file
	}
	return source.Existing(filepath.Join(d.root, filepath.FromSlash(item.Image)))
}
