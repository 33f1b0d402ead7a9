// Package coco reads and writes COCO files, of any size: a file is indexed in one pass, which
// keeps where the annotations of each image stand, and an image is decoded from there. It reads
// prediction results, panoptic files, LVIS and SA-1B too.
package coco

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// Name is the format's.
const Name = "coco"

// Format is COCO, with its relatives: prediction results, panoptic, LVIS, SA-1B.
func Format() convert.Format {
	return convert.Format{
		Name:   Name,
		About:  "a COCO file or a folder of them",
		Detect: detect,
		Open:   open,
		Write:  &convert.Writing{About: "one COCO file, poses and masks included", File: "annotations.json", Catalog: true, Create: create},
		Flags:  func() convert.Flags { return new(Flags) },
		Labels: func(classes []byte, in convert.Input) (convert.Labels, error) {
			if classes == nil {
				return nil, convert.ErrNoClasses
			}
			s, err := source.Prepare(in)
			if err != nil {
				return nil, err
			}
			c, findings, err := NewConverter(classes, filepath.Base(in.Path), in.Convert)
			if err == nil {
				c.turnBoxes(flagsOf(in.OpenOptions).BoxAngle)
			}
			for _, f := range findings {
				s.Reporter.Report(f)
			}
			return rowLabels{s, c}, err
		},
	}
}

// Flags are the options of COCO files.
type Flags struct {
	// MergeFiles takes files that describe the same images as one, and their annotations
	// with one id as one object.
	MergeFiles bool
	// BoxAngle reads boxes of five numbers; "" leaves them out.
	BoxAngle Turn

	boxAngle string // as it was given
}

// Add adds them to the flags of a command.
func (o *Flags) Add(f *pflag.FlagSet) {
	f.BoolVar(&o.MergeFiles, "merge-files", false, "take COCO files that describe the same images as one, annotations with one id as one object")
	f.StringVar(&o.boxAngle, "box-angle", "", "read COCO boxes of five numbers as centre, size and an angle in degrees that turns `clockwise` or counterclockwise")
}

// Check reads the way that angles turn.
func (o *Flags) Check() error {
	o.BoxAngle = Turn(o.boxAngle)
	if o.BoxAngle != "" && o.BoxAngle != Clockwise && o.BoxAngle != Counterclockwise {
		return fmt.Errorf("read --box-angle: %q must be one of: clockwise, counterclockwise", o.boxAngle)
	}
	return nil
}

// Turn is which way the angles of boxes turn, as seen on the screen.
type Turn string

// The ways. Detectron2's rotated boxes turn counterclockwise.
const (
	Clockwise        Turn = "clockwise"
	Counterclockwise Turn = "counterclockwise"
)

func flagsOf(o convert.OpenOptions) Flags {
	if own, ok := o.Own[Name].(*Flags); ok {
		return *own
	}
	return Flags{}
}

func detect(_ context.Context, c *convert.Candidate) (convert.Match, error) {
	if !c.Dir {
		if !c.JSON() {
			return convert.Match{}, nil
		}
		return convert.Match{Score: convert.Possible, Reason: "a JSON file"}, nil
	}
	found, err := c.Survey()
	if err != nil || len(found.JSON) == 0 {
		return convert.Match{}, err
	}
	return convert.Match{Score: convert.Possible, Reason: fmt.Sprintf("a folder with %d JSON files", len(found.JSON))}, nil
}

func open(ctx context.Context, in convert.Input) (convert.Source, error) {
	s, err := source.Prepare(in)
	if err != nil {
		return nil, err
	}
	if !source.IsFolder(in.Path) {
		return openFile(ctx, s, cmp.Or(in.Name, filepath.Base(in.Path)))
	}
	found, err := s.Survey(ctx)
	if err != nil {
		return nil, err
	}
	if len(found.JSON) == 0 {
		return nil, &convert.Error{Op: "read", Path: in.Path, Err: errors.New("the folder holds no JSON files"), Advice: in.KnownSources()}
	}
	for _, file := range found.Odd {
		s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: file, Reason: "its name does not end in .json", Action: "the file was passed over; give the file itself to take it"})
	}
	tellOthers(s, found)
	return openFolder(ctx, s, found.JSON)
}

// tellOthers tells of labels of other formats in a folder that is read as COCO, by the first file
// of each.
func tellOthers(s source.Files, found convert.Survey) {
	at := func(file string) string { return filepath.Join(s.Path, filepath.FromSlash(file)) }
	tell := func(file, what string) {
		s.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: file, Reason: "it looks like " + what + ", and the folder is read as COCO", Action: "passed over, and others like it; --from or the file itself says that they are meant"})
	}
	if head, err := source.ReadHead(at(found.Label), 4096); found.Label != "" && err == nil {
		line, _, _ := strings.Cut(string(head), "\n")
		if fields := strings.Fields(line); len(fields) >= 5 && source.AreNumbers(fields) {
			tell(found.Label, "a YOLO label")
		}
	}
	if found.Lines != "" {
		tell(found.Lines, "canonical JSON Lines")
	}
	if found.Other != "" {
		if what := source.UnreadFile(at(found.Other)); what != "" {
			tell(found.Other, what)
		}
	}
}

// rowLabels are lists of annotations without the file around them.
type rowLabels struct {
	source.Files
	coco *Converter
}

func (s rowLabels) Load(item convert.Item, stated, listed convert.Size, label []byte) (convert.Result, error) {
	annotations, err := listOf(label)
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	if err := ofOneImage(item, annotations); err != nil {
		return convert.Result{Read: len(annotations), LeftOut: len(annotations)}, fmt.Errorf("read %s: %w", item.File, err)
	}
	sizes := source.ImageSizes{Stated: stated, Listed: listed}
	result := s.coco.Image(item.Image, sizes.Own(), annotations)
	s.Reconcile(item, sizes, &result)
	return result, nil
}

// ofOneImage holds what the annotations of a row say of their image against one another, and
// against the row where they name it.
func ofOneImage(item convert.Item, annotations [][]byte) error {
	var r reader
	var first ID
	for _, raw := range annotations {
		a, err := r.annotation(raw)
		if err != nil || scan.Absent(a.imageID) {
			continue // an annotation that cannot be read is told by who converts it
		}
		id, err := parseID(a.imageID)
		if err != nil {
			continue
		}
		text := string(id)
		named := func(image string) bool { return path.Base(strings.ReplaceAll(text, `\`, "/")) == path.Base(image) }
		switch {
		case first != "" && id != first:
			return fmt.Errorf("its annotations are of several images, %s and %s: nothing tells which of them it is for", convert.Display(string(first)), convert.Display(text))
		case source.IsImageName(text) && !named(item.Image) && !slices.ContainsFunc(item.Aliases, named):
			return fmt.Errorf("its annotations are of the image %s, and it is for %s", convert.Display(text), convert.Display(item.Image))
		case uuid.Validate(text) == nil && uuid.Validate(item.ImageID) == nil && !strings.EqualFold(text, item.ImageID):
			return fmt.Errorf("its annotations are of the image_id %s, and it is for %s", convert.Display(text), convert.Display(item.ImageID))
		}
		first = id
	}
	return nil
}

// listOf takes a JSON list apart.
func listOf(data []byte) (list [][]byte, err error) {
	err = scan.Bytes(bytes.TrimSpace(data), func(s *scan.Scanner) {
		if s.Token() != '[' {
			s.Fail("the label is no JSON list")
		}
		for range s.Elements() {
			list = append(list, bytes.Clone(s.Value()))
		}
		s.End()
	})
	return list, err
}

// List says that rows need nothing beside the files.
func (c *dataset) List() (convert.Listing, error) {
	if len(c.merged) > 0 {
		return convert.Listing{}, errors.New("files that are merged cannot be listed, since a row has one label; convert them to one COCO file first")
	}
	if c.together {
		return convert.Listing{}, errors.New("files with keypoints of several categories, one a file, cannot be listed, since a row is read without the other files; convert them to one COCO file first")
	}
	for _, f := range c.files {
		if f.ownerless != "" && source.IsFolder(c.Path) && resultsBeside(f.Path) == "" && f.annotations == 0 {
			return convert.Listing{}, fmt.Errorf("%s, which rows cannot say; leave the results out with --exclude, or give one of the files", f.ownerless)
		}
	}
	if source.IsFolder(c.Path) {
		return convert.Listing{Root: c.Path}, nil
	}
	return convert.Listing{Root: filepath.Dir(c.Path)}, nil
}

// LabelFile is the file of an item's image.
func (c *dataset) LabelFile(item convert.Item) string {
	if place, ok := item.Place.(place); ok {
		return place.file.Path
	}
	return c.Path
}

// ImageFile is looked for in the folder of images, and then beside the file.
func (c *dataset) ImageFile(item convert.Item) string {
	place, ok := item.Place.(place)
	if !ok {
		return ""
	}
	return c.imageFile(item, place)
}

// ImageFolders are the folder of images, where one was named, or those of the files.
func (c *dataset) ImageFolders() (folders []convert.ImageFolder) {
	if c.Images != "" {
		return c.Files.ImageFolders()
	}
	for _, f := range c.files {
		folders = append(folders, convert.ImageFolder{Path: f.folder, Name: func(rel string) string { return f.prefix + rel }})
	}
	return folders
}

// Unchanged is false for panoptic segments: their pictures are read one by one.
func (c *dataset) Unchanged() bool {
	for _, f := range c.files {
		if f.panoptic || !source.Stands(f.Path, f.Info) {
			return false
		}
	}
	return true
}
