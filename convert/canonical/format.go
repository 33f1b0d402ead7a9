// Package canonical reads and writes canonical JSON Lines, the exchange format of convert, export
// and restore: a line an image, with annotations as the service has them.
package canonical

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"pictosync/convert"
	"pictosync/internal/scan"
	"pictosync/source"
)

// Name is the format's.
const Name = "canonical"

// Format is canonical JSON Lines, the exchange format of convert, export and restore.
func Format() convert.Format {
	return convert.Format{
		Name:     Name,
		About:    "canonical JSON Lines (.jsonl)",
		Detect:   detect,
		Open:     open,
		Explicit: true,
		Write:    &convert.Writing{About: "what sync would save, as JSON Lines, one image a line", Create: create},
		Labels: func(_ []byte, in convert.Input) (convert.Labels, error) {
			s, err := source.Prepare(in)
			return rowLabels{s}, err
		},
	}
}

func detect(_ context.Context, c *convert.Candidate) (convert.Match, error) {
	if !c.Dir {
		if c.Ext != ".jsonl" && c.Ext != ".ndjson" {
			return convert.Match{}, nil
		}
		return convert.Match{Score: convert.Likely, Reason: "its name ends in " + filepath.Ext(c.Path)}, nil
	}
	found, err := c.Survey()
	if err == nil && found.Lines != "" && len(found.JSON) == 0 {
		err = &convert.Error{Op: "read", Path: c.Path, Err: errors.New("the folder holds canonical JSON Lines"),
			Advice: fmt.Sprintf("give the file itself: %s", convert.Display(filepath.Join(c.Path, filepath.FromSlash(found.Lines))))}
	}
	return convert.Match{}, err
}

// rowLabels are lists of annotations without the line around them.
type rowLabels struct{ source.Files }

func (s rowLabels) Load(item convert.Item, stated, listed convert.Size, label []byte) (convert.Result, error) {
	// What is no JSON value of its own would be more members of the line.
	err := scan.Bytes(bytes.TrimSpace(label), func(s *scan.Scanner) { s.Value(); s.End() })
	var line []byte
	if err == nil {
		line, err = json.Marshal(struct {
			Image       string          `json:"image"`
			Annotations json.RawMessage `json:"annotations"`
		}{item.Image, label})
	}
	var image Image
	if err == nil {
		image, err = Parse(line)
	}
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	sizes := source.ImageSizes{Stated: stated, Listed: listed}
	result := heldResult(s.Files, item, image, sizes)
	s.Reconcile(item, sizes, &result)
	return result, nil
}

// List says that rows need nothing beside the lines.
func (c *Dataset) List() (convert.Listing, error) {
	if c.format != Name {
		return convert.Listing{}, fmt.Errorf("a %s source cannot be listed", c.format)
	}
	return convert.Listing{Root: filepath.Dir(c.Path)}, nil
}

// LabelFile is the file of lines.
func (c *Dataset) LabelFile(convert.Item) string { return c.Path }
