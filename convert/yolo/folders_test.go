package yolo

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pictosync/source"
)

// Whose labels a folder holds is the same asked from the images and from the labels.
func TestFoldersOfImagesAndLabels(t *testing.T) {
	for _, c := range []struct{ images, labels string }{
		{"images", "labels, images, labels, Labels, label, images/labels, images/Labels, images/label"},
		{"images/train", "labels/train, images/train, labels/train, Labels/train, label/train, images/train/labels, images/train/Labels, images/train/label"},
		{"train/images", "train/labels, train/images, train/labels, train/Labels, train/label, train/images/labels, train/images/Labels, train/images/label"},
		{"images/images", "images/labels, images/images, images/labels, images/Labels, images/label, images/images/labels, images/images/Labels, images/images/label"},
		{"VOC/JPEGImages", "VOC/JPEGImages, VOC/labels, VOC/Labels, VOC/label, VOC/JPEGImages/labels, VOC/JPEGImages/Labels, VOC/JPEGImages/label"},
		{"images/img", "labels/img, images/img, images/labels, images/Labels, images/label, images/img/labels, images/img/Labels, images/img/label"},
		{"train", "train, train/labels, train/Labels, train/label"},
	} {
		labels := labelFoldersOf(c.images).all(c.images)
		if got := strings.Join(labels, ", "); got != c.labels {
			t.Errorf("labels of %s: %s, want %s", c.images, got, c.labels)
		}
		for _, folder := range labels {
			if folder != c.images && !holds(imageFoldersOf(folder), c.images) {
				t.Errorf("%s holds labels of %s, whose images %+v does not name", folder, c.images, imageFoldersOf(folder))
			}
		}
	}
	for _, c := range []struct {
		labels string
		want   imageFolders
	}{
		{"labels", imageFolders{trained: "images", named: true}},
		{"labels/train", imageFolders{trained: "images/train", named: true, below: "train", above: "train"}},
		{"train/labels", imageFolders{trained: "train/images", named: true, beside: "train", above: "train"}},
		{"labels/labels/x", imageFolders{trained: "labels/images/x", named: true, beside: "labels", below: "x", above: "labels/x"}},
		{"a/Labels/x", imageFolders{named: true, beside: "a", below: "x", above: "a/x"}},
		{"train", imageFolders{}},
	} {
		f := imageFoldersOf(c.labels)
		if f != c.want {
			t.Errorf("images of %s: %+v, want %+v", c.labels, f, c.want)
		}
		images := []string{c.labels}
		if f.named {
			images = append(images, f.above, path.Join(f.beside, "JPEGImages", f.below))
		}
		if f.trained != "" {
			images = append(images, f.trained)
		}
		for _, folder := range images {
			if !slices.Contains(labelFoldersAnywhere(folder), c.labels) {
				t.Errorf("%s holds images of %s, which is not among %q", folder, c.labels, labelFoldersAnywhere(folder))
			}
		}
	}
}

// holds reports whether images are among those that a folder of labels names.
func holds(f imageFolders, images string) bool {
	parent, last := path.Split(strings.TrimSuffix(images, "/"+f.below))
	beside := f.named && source.IsImageFolder(last) && strings.TrimSuffix(parent, "/") == f.beside
	return images == f.trained || f.named && images == f.above || beside
}
