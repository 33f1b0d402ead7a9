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
	own, beside := make(map[string][]string), make(map[string][]string) // by folder
	for name := range listed {
		if strings.EqualFold(path.Ext(name), ".json") {
			own[strings.TrimSuffix(name, path.Ext(name))] = nil
		}
	}
	if len(own) == 0 {
		return nil
	}
	for name := range listed {
		if !strings.EqualFold(path.Ext(name), ".png") {
			continue
		}
		beside[path.Dir(name)] = append(beside[path.Dir(name)], name)
		for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
			if _, named := own[folder]; named {
				own[folder] = append(own[folder], name)
			}
		}
	}
	var masks []object
	for name := range listed {
		ext := path.Ext(name)
		if !strings.EqualFold(ext, ".json") {
			continue
		}
		pictures := own[strings.TrimSuffix(name, ext)]
		if len(pictures) == 0 {
			pictures = beside[path.Dir(name)]
		}
		if len(pictures) == 0 || !isPanoptic(c.file(name)) {
			continue
		}
		for _, picture := range pictures {
			if e := c.known[picture]; e.Held < e.Size {
				masks = append(masks, object{e.Path, e.Size, e.Stamp})
			}
		}
	}
	for _, err := range parallel.Map(ctx, fetches, parallel.Each(masks), func(ctx context.Context, o object) (none struct{}, err error) {
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
