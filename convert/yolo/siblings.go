package yolo

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/source"
)

// siblings are other folders with labels of the same images as those of one folder, as that
// of the images themselves is. Of an image that has labels in several of them nothing tells
// which is right, unless all say the same.
type siblings struct {
	own    int // the folder's own place among them, better ones before it
	others []sibling
}

type sibling struct {
	rank   int
	path   string // on disk
	prefix string // before a label's name, in messages
	names  *source.Entries
}

// siblingsOf finds them for a folder on disk. rel is its slash-separated path below the data
// set's folder, as far as it lies there, and images are folders that have the images.
func (y *dataset) siblingsOf(folder, rel string, images []string) (s siblings) {
	base := y.root
	if folder != filepath.Join(base, filepath.FromSlash(rel)) {
		var below bool
		if base, below = strings.CutSuffix(folder, string(filepath.Separator)+filepath.FromSlash(rel)); !below {
			return s
		}
	}
	bare, _ := imageDirs(rel)
	paths := append(withLabels(bare), labelFoldersOf(rel).beside...)
	for _, image := range images {
		if within, err := filepath.Rel(base, image); err == nil && filepath.IsLocal(within) && y.Images == "" {
			paths = append(paths, filepath.ToSlash(within))
		}
	}
	s.own = max(0, slices.Index(paths, rel))
	for rank, other := range paths {
		path := filepath.Join(base, filepath.FromSlash(other))
		known := func(o sibling) bool { return sameFile(o.path, path) }
		if other == rel || !source.IsFolder(path) || sameFile(path, folder) || slices.ContainsFunc(s.others, known) {
			continue
		}
		names, err := y.listings.Read(path)
		if err != nil || !slices.ContainsFunc(names.List, func(e source.Entry) bool {
			name := names.Bytes(e)
			return len(name) > 4 && bytes.EqualFold(name[len(name)-4:], []byte(".txt"))
		}) {
			continue
		}
		s.others = append(s.others, sibling{rank: rank, path: path, prefix: source.AsPrefix(source.Join(y.prefix, other)), names: names})
	}
	return s
}

// rival looks among the siblings for another label of an image, given one on disk and the
// image's name, or the name that it has without extension. The error names one that says
// something else. Where all say the same, better reports one that is read in its stead.
func (y *dataset) rival(s siblings, item convert.Item, label, image string) (better bool, err error) {
	var own []byte
	for _, other := range s.others {
		for _, name := range labelNames(image) {
			if !other.names.Has(name) || !y.Filter.Takes(item.Image, other.prefix+name) {
				continue
			}
			file := filepath.Join(other.path, name)
			data, err := source.ReadInto(nil, file, source.MaxLabels)
			if err != nil || sameFile(file, label) || !areLabelLines(data) {
				continue
			}
			if own == nil {
				if own, err = source.ReadInto([]byte{}, label, source.MaxLabels); err != nil {
					return false, nil // it fails when it is loaded
				}
			}
			if !bytes.Equal(plainLines(own), plainLines(data)) {
				return false, fmt.Errorf("%s and %s are both labels of the image and differ; leave one", convert.Display(item.File), convert.Display(other.prefix+name))
			}
			better = better || other.rank < s.own && y.walks(file)
		}
	}
	return better, nil
}

// walks reports whether a label file is among those of the folders that are read.
func (y *dataset) walks(file string) bool {
	return slices.ContainsFunc(y.parts, func(p labelPart) bool {
		return !p.list && (p.path == "." || source.Within(filepath.Clean(p.path), file))
	})
}

// plainLines is a label without what does not matter to its lines.
func plainLines(label []byte) []byte {
	return bytes.TrimSpace(bytes.ReplaceAll(withoutMark(label), []byte("\r\n"), []byte("\n")))
}
