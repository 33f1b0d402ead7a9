package remote

import (
	"bytes"
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"pictosync/internal/parallel"
)

// fetchMasks brings whole what the pictures of panoptic COCO files are: their pixels are the
// labels. They lie in a folder that is named as their file, or beside it.
func (c *Copy) fetchMasks(ctx context.Context, listed map[string]bool) error {
	for _, err := range parallel.Map(ctx, fetches, parallel.Each(c.masks(listed)), func(ctx context.Context, o object) (none struct{}, err error) {
		held, err := c.fetchPart(ctx, o, 0)
		if err == nil {
			err = c.put(entry{Path: o.Path, Size: o.Size, Stamp: o.Stamp, Held: held})
		}
		return none, err
	}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// masks are the pictures of panoptic files that are not here as a whole.
func (c *Copy) masks(listed map[string]bool) (masks []object) {
	own, beside := picturesOf(listed)
	for file, pictures := range own {
		if len(pictures) == 0 {
			pictures = beside[path.Dir(file)]
		}
		if len(pictures) == 0 || !isPanoptic(c.file(file)) {
			continue
		}
		for _, picture := range pictures {
			if e := c.known[picture]; e.Held < e.Size {
				masks = append(masks, object{e.Path, e.Size, e.Stamp})
			}
		}
	}
	return masks
}

// picturesOf are the PNGs in the folders that are named as JSON files, by these files, and all
// PNGs by the folder that they are in.
func picturesOf(listed map[string]bool) (own, beside map[string][]string) {
	own, beside = make(map[string][]string), make(map[string][]string)
	files := make(map[string][]string) // by the folders that are named as they are
	for name := range listed {
		if ext := path.Ext(name); strings.EqualFold(ext, ".json") {
			own[name] = nil
			folder := strings.TrimSuffix(name, ext)
			files[folder] = append(files[folder], name)
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	for name := range listed {
		if !strings.EqualFold(path.Ext(name), ".png") {
			continue
		}
		beside[path.Dir(name)] = append(beside[path.Dir(name)], name)
		for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
			for _, file := range files[folder] {
				own[file] = append(own[file], name)
			}
		}
	}
	return own, beside
}

// isPanoptic tells a panoptic file by what only such have, at one of its ends: the segments of
// images, or categories of things and stuff.
func isPanoptic(file string) bool {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	const end = 64 << 10
	for _, from := range []int64{0, max(info.Size()-end, 0)} {
		part, err := io.ReadAll(io.NewSectionReader(f, from, end))
		if err != nil {
			return false
		}
		if bytes.Contains(part, []byte(`"segments_info"`)) || bytes.Contains(part, []byte(`"isthing"`)) {
			return true
		}
	}
	return false
}
