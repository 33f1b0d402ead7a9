// Package source finds labels: COCO files, YOLO folders, canonical JSON Lines
// and SQLite manifests. It knows where labels, images and sizes lie, and yields
// one [Item] for each image that the labels speak of; what the labels say is
// read by package convert when an item is loaded.
//
// # What is promised
//
//   - Items come in an order that depends on nothing but the source, so that a
//     walk can go on behind any of them.
//   - Memory follows the number of images, never the size of the labels; a YOLO
//     folder is walked without holding more than one of its folders.
//   - What is wrong with one image or label is that item's error or a finding.
//     Only a source that cannot be understood at all is an [Error].
//   - Nothing is written, and no file beyond the source, the folder of images
//     and the sizes file is read.
package formats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/convert/coco"
	"pictosync/convert/manifest"
	"pictosync/convert/snapshot"
	"pictosync/convert/yolo"
	"pictosync/source"
)

// All are the formats that are read, in the order in which a source is held against them.
func All() []convert.Format {
	return []convert.Format{manifest.Format(), snapshot.Format(), yolo.Format(), canonical.Format(), coco.Format()}
}

// Named is the format with a name.
func Named(name string) (convert.Format, error) {
	var names []string
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return convert.Format{}, fmt.Errorf("%q must be one of: %s", name, strings.Join(names, ", "))
}

// Open recognizes what path is and opens it. The error is an [*Error] where the
// source is what fails.
func Open(ctx context.Context, path string, o convert.OpenOptions) (convert.Source, error) {
	return OpenAs(ctx, path, "", o)
}

// OpenAs opens a source of the format with a name, "" to recognize it.
func OpenAs(ctx context.Context, path, format string, o convert.OpenOptions) (convert.Source, error) {
	in := convert.Input{Path: path, OpenOptions: o, Formats: All()}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, source.OpenError(path, err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, &convert.Error{Op: "open", Path: path, Err: errors.New("is neither a file nor a folder")}
	case format != "":
		f, err := Named(format)
		if err != nil {
			return nil, err
		}
		return f.Open(ctx, in)
	}
	c, err := candidate(ctx, in, info.IsDir())
	if err != nil {
		return nil, err
	}
	f, err := detect(ctx, c)
	if err != nil {
		return nil, err
	}
	return f.Open(ctx, in)
}

// candidate looks at what lies at a path.
func candidate(ctx context.Context, in convert.Input, dir bool) (c *convert.Candidate, err error) {
	s := source.Files{Path: in.Path, Reporter: convert.NewReporter(nil)} // who opens it tells what is wrong with it
	if s.Filter, err = source.NewFilter(in.Include, in.Exclude); err != nil {
		return nil, err
	}
	c = &convert.Candidate{Input: in, Dir: dir}
	if !dir {
		c.Ext = strings.ToLower(filepath.Ext(s.Path))
		if c.Head, err = source.ReadHead(s.Path, 4096); err != nil {
			return nil, source.OpenError(s.Path, err)
		}
		return c, nil
	}
	if c.Entries, err = os.ReadDir(s.Path); err != nil {
		return nil, source.OpenError(s.Path, err)
	}
	c.Entries = slices.DeleteFunc(c.Entries, func(e fs.DirEntry) bool { return source.IsClutter(e.Name()) })
	c.Survey = sync.OnceValues(func() (convert.Survey, error) { return s.Survey(ctx) })
	return c, nil
}

// detect finds the format of a candidate.
func detect(ctx context.Context, c *convert.Candidate) (convert.Format, error) {
	if !c.Dir && c.Content() == "" && len(c.Head) < 512 {
		return convert.Format{}, &convert.Error{Op: "read", Path: c.Path, Err: errors.New("the file is empty"), Advice: c.KnownSources()}
	}
	var best convert.Format
	score := convert.No
	for _, f := range c.Formats {
		m, err := f.Detect(ctx, c)
		if err != nil {
			return convert.Format{}, err
		}
		if m.Score > score {
			best, score = f, m.Score
		}
		if score >= convert.Likely {
			break
		}
	}
	if score == convert.No {
		return convert.Format{}, unknown(c)
	}
	return best, nil
}

// unknown says what a candidate is that no format fits.
func unknown(c *convert.Candidate) error {
	if !c.Dir {
		if what := source.UnreadName(c.Path, c.Head); what != "" {
			return source.NotRead(c.Input, "is "+what)
		}
		return &convert.Error{Op: "read", Path: c.Path, Err: errors.New("is not a known label format"), Advice: c.KnownSources()}
	}
	found, err := c.Survey()
	if err != nil {
		return err
	}
	if found.Other != "" {
		if what := source.UnreadFile(filepath.Join(c.Path, filepath.FromSlash(found.Other))); what != "" {
			return source.NotRead(c.Input, fmt.Sprintf("holds %s (%s)", what, convert.Display(found.Other)))
		}
	}
	return &convert.Error{Op: "read", Path: c.Path, Err: errors.New("the folder holds no labels"), Advice: c.KnownSources()}
}
