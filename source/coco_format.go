package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/internal/scan"
)

const cocoName = "coco"

func cocoFormat() Format {
	return Format{
		Name:   cocoName,
		About:  "a COCO file or a folder of them",
		Detect: detectCOCO,
		Open:   openCOCO,
		Flags:  func() Flags { return new(COCOFlags) },
		Labels: func(classes []byte, in Input) (Labels, error) {
			if classes == nil {
				return nil, ErrNoClasses
			}
			s, err := prepare(in)
			if err != nil {
				return nil, err
			}
			c, findings, err := convert.NewCOCO(classes, filepath.Base(in.Path), in.Convert)
			for _, f := range findings {
				s.reporter.report(f)
			}
			return cocoLabels{s, c}, err
		},
	}
}

// COCOFlags are the options of COCO files.
type COCOFlags struct {
	// MergeFiles takes files that describe the same images as one, and their annotations
	// with one id as one object.
	MergeFiles bool
}

// Add adds them to the flags of a command.
func (o *COCOFlags) Add(f *pflag.FlagSet) {
	f.BoolVar(&o.MergeFiles, "merge-files", false, "take COCO files that describe the same images as one, annotations with one id as one object")
}

// Check has nothing to refuse.
func (o *COCOFlags) Check() error { return nil }

func cocoFlags(o Options) COCOFlags {
	if own, ok := o.Own[cocoName].(*COCOFlags); ok {
		return *own
	}
	return COCOFlags{}
}

func detectCOCO(_ context.Context, c *Candidate) (Match, error) {
	if !c.Dir {
		if !c.JSON() {
			return Match{}, nil
		}
		return Match{Possible, "a JSON file"}, nil
	}
	found, err := c.Survey()
	if err != nil || len(found.JSON) == 0 {
		return Match{}, err
	}
	return Match{Possible, fmt.Sprintf("a folder with %d JSON files", len(found.JSON))}, nil
}

func openCOCO(ctx context.Context, in Input) (Source, error) {
	s, err := prepare(in)
	if err != nil {
		return nil, err
	}
	if !isFolder(in.Path) {
		return openCOCOFile(ctx, s, cmp.Or(in.Name, filepath.Base(in.Path)))
	}
	found, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	if len(found.JSON) == 0 {
		return nil, &Error{Op: "read", Path: in.Path, Err: errors.New("the folder holds no JSON files"), Advice: in.KnownSources()}
	}
	return openCOCOFolder(ctx, s, found.JSON)
}

// cocoLabels are lists of annotations without the file around them.
type cocoLabels struct {
	setting
	coco *convert.COCO
}

func (s cocoLabels) Load(item Item, stated, listed convert.Size, label []byte) (convert.Result, error) {
	annotations, err := listOf(label)
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	sizes := imageSizes{stated: stated, listed: listed}
	result := s.coco.Image(item.Image, sizes.own(), annotations)
	s.reconcile(item, sizes, &result)
	return result, nil
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
func (c *coco) List() (Listing, error) {
	if len(c.merged) > 0 {
		return Listing{}, errors.New("files that are merged cannot be listed, since a row has one label; convert them to one COCO file first")
	}
	if isFolder(c.path) {
		return Listing{Root: c.path}, nil
	}
	return Listing{Root: filepath.Dir(c.path)}, nil
}

// LabelFile is the file of an item's image.
func (c *coco) LabelFile(item Item) string {
	if place, ok := item.place.(cocoPlace); ok {
		return place.file.path
	}
	return c.path
}

// ImageFile is looked for in the folder of images, and then beside the file.
func (c *coco) ImageFile(item Item) string {
	place, ok := item.place.(cocoPlace)
	if !ok {
		return ""
	}
	return c.imageFile(item, place)
}

// Unchanged is false for panoptic segments: their pictures are read one by one.
func (c *coco) Unchanged() bool {
	for _, f := range c.files {
		if f.panoptic || !stands(f.path, f.info) {
			return false
		}
	}
	return true
}
