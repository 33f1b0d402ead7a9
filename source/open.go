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
package source

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
)

// All are the formats that are read, in the order in which a source is held against them.
func All() []Format {
	return []Format{manifestFormat(), backupFormat(), yoloFormat(), canonicalFormat(), cocoFormat()}
}

// Named is the format with a name.
func Named(name string) (Format, error) {
	var names []string
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("%q must be one of: %s", name, strings.Join(names, ", "))
}

// Open recognizes what path is and opens it. The error is an [*Error] where the
// source is what fails.
func Open(ctx context.Context, path string, o Options) (Source, error) {
	return OpenAs(ctx, path, "", o)
}

// OpenAs opens a source of the format with a name, "" to recognize it.
func OpenAs(ctx context.Context, path, format string, o Options) (Source, error) {
	in := Input{Path: path, Options: o, Formats: All()}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, openError(path, err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, &Error{Op: "open", Path: path, Err: errors.New("is neither a file nor a folder")}
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
func candidate(ctx context.Context, in Input, dir bool) (c *Candidate, err error) {
	s := setting{path: in.Path, reporter: newReporter(nil)} // who opens it tells what is wrong with it
	if s.filter, err = newFilter(in.Include, in.Exclude); err != nil {
		return nil, err
	}
	c = &Candidate{Input: in, Dir: dir}
	if !dir {
		c.Ext = strings.ToLower(filepath.Ext(s.path))
		if c.Head, err = readHead(s.path, 4096); err != nil {
			return nil, openError(s.path, err)
		}
		return c, nil
	}
	if c.Entries, err = os.ReadDir(s.path); err != nil {
		return nil, openError(s.path, err)
	}
	c.Entries = slices.DeleteFunc(c.Entries, func(e fs.DirEntry) bool { return isClutter(e.Name()) })
	c.Survey = sync.OnceValues(func() (Survey, error) { return s.survey(ctx) })
	return c, nil
}

// detect finds the format of a candidate.
func detect(ctx context.Context, c *Candidate) (Format, error) {
	if !c.Dir && c.Content() == "" && len(c.Head) < 512 {
		return Format{}, &Error{Op: "read", Path: c.Path, Err: errors.New("the file is empty"), Advice: c.KnownSources()}
	}
	var best Format
	score := No
	for _, f := range c.Formats {
		m, err := f.Detect(ctx, c)
		if err != nil {
			return Format{}, err
		}
		if m.Score > score {
			best, score = f, m.Score
		}
		if score >= Likely {
			break
		}
	}
	if score == No {
		return Format{}, unknown(c)
	}
	return best, nil
}

// unknown says what a candidate is that no format fits.
func unknown(c *Candidate) error {
	if !c.Dir {
		if what := unreadName(c.Path, c.Head); what != "" {
			return notRead(c.Input, "is "+what)
		}
		return &Error{Op: "read", Path: c.Path, Err: errors.New("is not a known label format"), Advice: c.KnownSources()}
	}
	found, err := c.Survey()
	if err != nil {
		return err
	}
	if found.Other != "" {
		if what := unreadFile(filepath.Join(c.Path, filepath.FromSlash(found.Other))); what != "" {
			return notRead(c.Input, fmt.Sprintf("holds %s (%s)", what, display(found.Other)))
		}
	}
	return &Error{Op: "read", Path: c.Path, Err: errors.New("the folder holds no labels"), Advice: c.KnownSources()}
}
