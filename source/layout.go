package source

import (
	"slices"
	"strings"
)

// Folders that tools lay images and labels out in. Their names say nothing of which image or
// label it is.

// imageFolders are folders of images, lower case, beside which labels have a folder of their
// own; trainers know the first alone.
var imageFolders = []string{"images", "jpegimages", "image", "imgs", "img"}

// LabelFolders are folders of labels; trainers know the first alone.
var LabelFolders = []string{"labels", "Labels", "label"}

// IsImageFolder reports whether a folder is called as one of images.
func IsImageFolder(name string) bool { return slices.Contains(imageFolders, strings.ToLower(name)) }

// IsLabelFolder reports whether a folder is called as one of labels.
func IsLabelFolder(name string) bool { return slices.Contains(LabelFolders, name) }
