package snapshot

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"pictosync/convert"
	"pictosync/convert/canonical"
	"pictosync/internal/parallel"
	"pictosync/source"
)

const (
	// ImagesFolder holds the image files of a snapshot, by their paths in the dataset.
	ImagesFolder = "images"
	// ImageFilesName says which they are, one a line: ImageFile.
	ImageFilesName = "image-files.jsonl"
)

// ImageFile is an image file of a snapshot.
type ImageFile struct {
	ID     string `json:"id"`    // the service's
	Path   string `json:"image"` // in the dataset, and below the images' folder
	Bytes  int64  `json:"bytes"`
	Listed int64  `json:"listed_bytes,omitempty"` // what the listing said, where that differs
	SHA256 string `json:"sha256"`
}

// ReadImageFiles yields the image files that a snapshot's list names; an error that matches
// fs.ErrNotExist is a snapshot without images.
func ReadImageFiles(dir string, each func(ImageFile) error) error {
	file := filepath.Join(dir, ImageFilesName)
	f, err := source.OpenRegular(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, source.ReasonOf(err))
	}
	defer f.Close()
	for lines := json.NewDecoder(bufio.NewReader(f)); ; {
		var i ImageFile
		switch err := lines.Decode(&i); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", file, err)
		case !fs.ValidPath(i.Path):
			return fmt.Errorf("read %s: %q is no path below the snapshot", file, i.Path)
		}
		if err := each(i); err != nil {
			return err
		}
	}
}

// checksAtOnce is how many image files are read at the same time.
const checksAtOnce = 8

// checkImages holds the image files of a snapshot against its list.
func (c *Checker) checkImages(ctx context.Context, dir string) (bad []string, err error) {
	files := func(yield func(ImageFile, error) bool) {
		err := ReadImageFiles(dir, func(i ImageFile) error {
			if !yield(i, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(ImageFile{}, err)
		}
	}
	for damage, err := range parallel.Map(ctx, checksAtOnce, files, func(ctx context.Context, i ImageFile) (damage error, err error) {
		f := FileHash{Path: ImagesFolder + "/" + i.Path, Bytes: i.Bytes, SHA256: i.SHA256}
		is, _, err := hashFile(ctx, c.open, filepath.Join(dir, filepath.FromSlash(f.Path)))
		if errors.Is(err, fs.ErrNotExist) {
			is, err = c.content(ctx, dir, i.SHA256, err)
		}
		return f.compare(is, err), ctx.Err()
	}) {
		if err != nil {
			return bad, err
		}
		if damage != nil {
			bad = append(bad, damage.Error())
		}
	}
	return bad, nil
}

// errEnough ends the reading of a list whose rest is not wanted.
var errEnough = errors.New("enough")

// content is a content of images that has no name in the snapshot, as in a bucket. missing is
// returned where it is not there either.
func (c *Checker) content(ctx context.Context, dir, sum string, missing error) (FileHash, error) {
	file := contentFile(dir, sum)
	c.mu.Lock()
	is, known := c.contents[file]
	c.mu.Unlock()
	if known {
		return is, nil
	}
	if file == "" {
		return is, missing
	}
	is, _, err := hashFile(ctx, c.open, file)
	if errors.Is(err, fs.ErrNotExist) {
		return is, missing
	}
	if err == nil {
		c.mu.Lock()
		c.contents[file] = is
		c.mu.Unlock()
	}
	return is, err
}

// contentFile is the file of a content of images in the folder of backups; "" for what is no
// SHA-256.
func contentFile(dir, sum string) string {
	if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return ""
	}
	return filepath.Join(dir, "..", ".images", sum[:2], sum)
}

// backed is a snapshot as a source, which knows where its images lie.
type backed struct {
	*canonical.Dataset
	dir    string
	splits map[string]string // by path
	// sums are the SHA-256 of the images' files, by path.
	sums func() map[string]string
}

// sumsOf are the SHA-256 of the files of a snapshot's images, by the images' paths.
func sumsOf(dir string) map[string]string {
	sums := make(map[string]string)
	err := ReadImageFiles(dir, func(i ImageFile) error {
		if contentFile(dir, i.SHA256) != "" {
			sums[i.Path] = i.SHA256
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return sums
}

// ImageFile is the image's own file, by its whole path: another of the same name is another
// image.
func (b backed) ImageFile(item convert.Item) string {
	if file := b.Dataset.ImageFile(item); b.Images != "" { // the user names another folder
		return file
	}
	if !fs.ValidPath(item.Image) {
		return ""
	}
	if file := source.Existing(filepath.Join(b.dir, ImagesFolder, filepath.FromSlash(item.Image))); file != "" {
		return file
	}
	// In a bucket each content is there once, and snapshots have no files of their own.
	if sum := b.sums()[item.Image]; sum != "" {
		return source.Existing(contentFile(b.dir, sum))
	}
	return ""
}

// ImageSum is that of the image's own file.
func (b backed) ImageSum(item convert.Item) string {
	if b.Images != "" {
		return ""
	}
	return b.sums()[item.Image]
}

// SplitsOf is the split that the image was in. A backup has no other word on it than its own.
func (b backed) SplitsOf(item convert.Item) []string {
	return []string{cmp.Or(b.splits[item.Image], convert.NoSplit)}
}
