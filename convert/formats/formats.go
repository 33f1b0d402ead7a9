// Package formats is the list of all label formats, and tells which of them a source is.
// A new format is a folder below convert that makes a [convert.Format], and one line in
// [All]: detection, flags, help, completion, what can be written and the rows of manifests
// range over that list.
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
	"pictosync/convert/createml"
	"pictosync/convert/manifest"
	"pictosync/convert/snapshot"
	"pictosync/convert/yolo"
	"pictosync/source"
)

// All are the formats that are read, in the order in which a source is held against them.
func All() []convert.Format {
	return []convert.Format{manifest.Format(), snapshot.Format(), yolo.Format(), canonical.Format(), createml.Format(), coco.Format()}
}

// Names are the names of the formats that are read, or that can be written.
func Names(written bool) (names []string) {
	for _, f := range slices.Backward(All()) {
		if !written || f.Write != nil {
			names = append(names, f.Name)
		}
	}
	return names
}

// Named is the format with a name.
func Named(name string) (convert.Format, error) {
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
	}
	return convert.Format{}, fmt.Errorf("%q must be one of: %s", name, strings.Join(Names(false), ", "))
}

// Open recognizes what path is and opens it. The error is an [*convert.Error] where the
// source is what fails.
func Open(ctx context.Context, path string, o convert.OpenOptions) (convert.Source, error) {
	return OpenAs(ctx, path, "", o)
}

// Writable is the format with a name, which can be written.
func Writable(name string) (convert.Format, error) {
	for _, f := range All() {
		if f.Name == name && f.Write != nil {
			return f, nil
		}
	}
	return convert.Format{}, fmt.Errorf("%q must be one of: %s", name, strings.Join(Names(true), ", "))
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
	if s.Filter, err = source.NewFilter(in.Include, in.Exclude, nil); err != nil {
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
