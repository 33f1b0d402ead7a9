package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"pictosync/convert"
)

// listItems goes through a list of image paths, one a line. A line whose label
// file is missing says nothing: its image is left alone.
func (y *yolo) listItems(ctx context.Context, number int, behind string) iter.Seq2[Item, error] {
	part := y.parts[number]
	return func(yield func(Item, error) bool) {
		var offset int64
		if behind != "" {
			var err error
			if offset, err = strconv.ParseInt(behind, 10, 64); err != nil {
				yield(Item{}, fmt.Errorf("%q is no place in a list", behind))
				return
			}
		}
		f, err := openRegular(part.path)
		if err != nil {
			yield(Item{}, openError(part.path, err))
			return
		}
		defer f.Close()
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			yield(Item{}, openError(part.path, err))
			return
		}
		in := bufio.NewReaderSize(f, 64<<10)
		for {
			if err := ctx.Err(); err != nil {
				yield(Item{}, err)
				return
			}
			line, err := in.ReadSlice('\n')
			start := offset
			offset += int64(len(line))
			for errors.Is(err, bufio.ErrBufferFull) { // no path is that long
				line = nil
				var rest []byte
				rest, err = in.ReadSlice('\n')
				offset += int64(len(rest))
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Item{}, openError(part.path, err))
				return
			}
			text := strings.TrimSpace(strings.TrimPrefix(string(line), "\ufeff"))
			if item, ok := y.listedItem(part, text, start); ok {
				item.Cursor = fmt.Sprintf("%d:%d", number, offset)
				if !yield(item, nil) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// listedItem is the item of a line at an offset of a list.
func (y *yolo) listedItem(part yoloPart, line string, offset int64) (Item, bool) {
	if line == "" || strings.HasPrefix(line, "#") {
		return Item{}, false
	}
	list := join(y.prefix, part.rel)
	image, label, ok := y.listedFiles(filepath.Dir(part.path), line)
	if !ok {
		y.reporter.report(finding{Kind: convert.KindUnlabelled, File: list, Reason: "images of the list have no label file", Action: "they were left alone"})
		return Item{}, false
	}
	rel := relative(y.root, label)
	item := Item{File: join(y.prefix, rel), place: yoloPlace{label: fileOnDisk{name: label}, image: fileOnDisk{name: image}}}
	bare, withImages := imagePaths(stem(rel))
	y.name(&item, bare, withImages, line)
	if _, err := cleanImagePath(item.Image); err != nil {
		item.Err = fmt.Errorf("read %s at byte %d: the image's name %w", list, offset, err)
	}
	return item, true
}

// listedFiles finds the label that belongs to a listed image. Lists are written
// relative to themselves, to the data set, or to wherever their trainer was
// started; so leading folders are left out until a label is found. image is ""
// where only the label is there.
func (y *yolo) listedFiles(listDir, line string) (image, label string, ok bool) {
	line = path.Clean(strings.ReplaceAll(line, `\`, "/"))
	if path.IsAbs(line) {
		if label, ok = labelOf(filepath.FromSlash(line)); ok {
			return existing(filepath.FromSlash(line)), label, true
		}
	}
	parts := strings.Split(strings.TrimLeft(line, "/"), "/")
	for len(parts) > 0 {
		for _, base := range []string{listDir, y.root} {
			candidate := filepath.Join(base, filepath.FromSlash(strings.Join(parts, "/")))
			if label, ok = labelOf(candidate); ok {
				return existing(candidate), label, true
			}
		}
		parts = parts[1:]
	}
	return "", "", false
}

// labelOf is the label file of an image file: with the last folder "images" of
// its path as "labels", or beside it.
func labelOf(image string) (string, bool) {
	dir, name := filepath.Split(image)
	if !isImageName(name) {
		return "", false
	}
	dir = filepath.Clean(dir)
	var folders []string
	if labels, found := replaceLast(filepath.ToSlash(dir), "images", "labels"); found {
		folders = append(folders, filepath.FromSlash(labels))
	}
	for _, folder := range append(folders, dir) {
		for _, ext := range []string{".txt", ".TXT"} {
			label := filepath.Join(folder, stem(name)+ext)
			if info, err := os.Stat(label); err == nil && !info.IsDir() {
				return label, true
			}
		}
	}
	return "", false
}

func existing(file string) string {
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		return ""
	}
	return file
}

// relative is the slash-separated path of file below root; of one that lies
// elsewhere, its file name with the folders from "images" or "labels" on.
func relative(root, file string) string {
	rel, err := filepath.Rel(root, file)
	if rel = filepath.ToSlash(rel); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		if rel == "." {
			return ""
		}
		return rel
	}
	parts := strings.Split(filepath.ToSlash(file), "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "labels" || parts[i] == "images" {
			return strings.Join(parts[i:], "/")
		}
	}
	return parts[len(parts)-1]
}
