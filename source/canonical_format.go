package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"pictosync/convert"
)

const canonicalName = "canonical"

func canonicalFormat() Format {
	return Format{
		Name:     canonicalName,
		About:    "canonical JSON Lines (.jsonl)",
		Detect:   detectCanonical,
		Open:     openCanonical,
		Explicit: true,
		Labels: func(_ []byte, in Input) (Labels, error) {
			s, err := prepare(in)
			return canonicalLabels{s}, err
		},
	}
}

func detectCanonical(_ context.Context, c *Candidate) (Match, error) {
	if !c.Dir {
		if c.Ext != ".jsonl" && c.Ext != ".ndjson" {
			return Match{}, nil
		}
		return Match{Likely, "its name ends in " + filepath.Ext(c.Path)}, nil
	}
	found, err := c.Survey()
	if err == nil && found.Lines != "" && len(found.JSON) == 0 {
		err = &Error{Op: "read", Path: c.Path, Err: errors.New("the folder holds canonical JSON Lines"),
			Advice: fmt.Sprintf("give the file itself: %s", display(filepath.Join(c.Path, filepath.FromSlash(found.Lines))))}
	}
	return Match{}, err
}

// canonicalLabels are lists of annotations without the line around them.
type canonicalLabels struct{ setting }

func (s canonicalLabels) Load(item Item, stated, listed convert.Size, label []byte) (convert.Result, error) {
	line, err := json.Marshal(struct {
		Image       string          `json:"image"`
		Annotations json.RawMessage `json:"annotations"`
	}{item.Image, label})
	var image convert.CanonicalImage
	if err == nil {
		image, err = convert.ParseCanonical(line)
	}
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	result := convert.CanonicalResult(image)
	s.reconcile(item, imageSizes{stated: stated, listed: listed}, &result)
	return result, nil
}

// List says that rows need nothing beside the lines.
func (c *canonical) List() (Listing, error) {
	if c.format != canonicalName {
		return Listing{}, fmt.Errorf("a %s source cannot be listed", c.format)
	}
	return Listing{Root: filepath.Dir(c.path)}, nil
}

// LabelFile is the file of lines.
func (c *canonical) LabelFile(Item) string { return c.path }
