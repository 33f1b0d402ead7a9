// Package createml reads and writes the object detection labels of Apple's Create ML: a JSON
// list with one entry an image, each with boxes that are given by their centre and size in
// pixels. A source is one such file, or a folder with the files that Roboflow calls
// _annotations.createml.json.
package createml

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// Name is the format's.
const Name = "createml"

// Format is Create ML's JSON.
func Format() convert.Format {
	return convert.Format{
		Name:   Name,
		About:  "a Create ML file",
		Detect: detect,
		Open:   open,
		Write:  &convert.Writing{About: "one file of Create ML, boxes alone", File: "annotations.createml.json", Create: create},
	}
}

// fileSuffix ends the names of files that say what they are.
const fileSuffix = ".createml.json"

func isNamed(file string) bool { return strings.HasSuffix(strings.ToLower(file), fileSuffix) }

func detect(_ context.Context, c *convert.Candidate) (convert.Match, error) {
	if c.Dir {
		found, err := c.Survey()
		if err != nil || !slices.ContainsFunc(found.JSON, isNamed) {
			return convert.Match{}, err
		}
		for _, file := range found.JSON {
			if !isNamed(file) && isCOCO(filepath.Join(c.Path, filepath.FromSlash(file))) {
				return convert.Match{}, &convert.Error{Op: "read", Path: c.Path, Err: fmt.Errorf("the folder holds labels of two formats, COCO (%s) and Create ML", convert.Display(file)),
					Advice: "--from createml reads the one, --exclude '**/*" + fileSuffix + "' the other"}
			}
		}
		return convert.Match{Score: convert.Likely, Reason: "it has files whose names end in " + fileSuffix}, nil
	}
	if !strings.HasPrefix(c.Content(), "[") || !isList(c.Head) {
		return convert.Match{}, nil
	}
	return convert.Match{Score: convert.Likely, Reason: "a JSON list of images with their annotations"}, nil
}

// isCOCO reports whether a file begins as one of COCO does.
func isCOCO(file string) (is bool) {
	head, err := source.ReadHead(file, 1<<16)
	if err != nil {
		return false // who opens it says why
	}
	// The error is that of a head that breaks off; what was seen before it counts.
	_ = scan.Bytes(head, func(s *scan.Scanner) {
		if s.Token() != '{' {
			return
		}
		for key := range s.Members() {
			name := string(key)
			is = is || s.Peek() == '[' && (name == "images" || name == "annotations")
			s.Skip()
		}
	})
	return is
}

// isList reports whether the first entry of a list has the members of an image of Create ML
// and none that labels of others have. head may break off anywhere.
func isList(head []byte) bool {
	images, coordinates, foreign := membersOf(head)
	return images && (coordinates || !foreign)
}

// membersOf says of a list whether its first entry has the members of an image of Create ML,
// whether annotations have those of boxes, and whether there are others first.
func membersOf(head []byte) (images, coordinates, foreign bool) {
	var image, annotations bool
	// The error is that of a head that breaks off; what was seen before it counts.
	_ = scan.Bytes(head, func(s *scan.Scanner) {
		for range s.Elements() {
			for key := range s.Members() {
				switch string(key) {
				case "image", "imagefilename":
					image = true
					s.Skip()
				case "annotations", "annotation":
					annotations = s.Peek() == '['
					for range s.Elements() {
						for key := range s.Members() {
							coordinates = coordinates || string(key) == "coordinates"
							s.Skip()
						}
					}
				case "width", "height":
					s.Skip()
				default:
					foreign = true
					s.Skip()
				}
			}
			if coordinates || foreign {
				return
			}
		}
	})
	return image && annotations, coordinates, foreign
}

// mayBeList reports whether a file begins as a list of images, which may have further members, or
// cannot be read, which who opens it says.
func mayBeList(file string) bool {
	head, err := source.ReadHead(file, 1<<16)
	images, _, _ := membersOf(head)
	return err != nil || images
}

// open opens a file, or the files of a folder that are named after the format; where none is,
// those that are lists of images.
func open(ctx context.Context, in convert.Input) (convert.Source, error) {
	d, err := newDataset(in)
	if err != nil {
		return nil, err
	}
	if !source.IsFolder(in.Path) {
		name := filepath.Base(in.Path)
		if in.Name != "" {
			name = in.Name
		}
		if err := d.add(in.Path, name, ""); err != nil {
			return nil, err
		}
		d.FailRepeated()
		return d, nil
	}
	found, err := d.Survey(ctx)
	if err != nil {
		return nil, err
	}
	named := slices.ContainsFunc(found.JSON, isNamed)
	for _, file := range found.JSON {
		odd := ""
		switch {
		case named && !isNamed(file):
			odd = "its name does not end in " + fileSuffix
		case !named && !mayBeList(filepath.Join(in.Path, filepath.FromSlash(file))):
			odd = "it is no list of images with their annotations"
		}
		if odd != "" {
			d.Reporter.Report(convert.Finding{Kind: convert.KindSkippedFile, File: file, Reason: odd, Action: "it was passed over; give the file itself to read it"})
			continue
		}
		folder := path.Dir(file) // where Roboflow puts the images too
		if folder == "." {
			folder = ""
		}
		if err := d.add(filepath.Join(in.Path, filepath.FromSlash(file)), file, folder); err != nil {
			return nil, err
		}
	}
	if d.Len() == 0 {
		return nil, &convert.Error{Op: "read", Path: in.Path, Err: errors.New("no file in it is a list of images with their annotations"), Advice: "give the file itself"}
	}
	d.FailRepeated()
	return d, nil
}
