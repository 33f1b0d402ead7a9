package source

import "os"

// Whole is a Source whose labels lie in files that were read when it was opened,
// and nowhere else.
type Whole interface {
	Source
	// Unchanged reports whether the files are still what they were: then every
	// Load comes to the same as before. The listed size matters to it only where
	// the result's would not be known without.
	Unchanged() bool
}

// Unchanged is false for panoptic segments: their pictures are read one by one.
func (c *coco) Unchanged() bool {
	for _, f := range c.files {
		if f.panoptic || !stands(f.path, f.info) {
			return false
		}
	}
	return true
}

func (c *canonical) Unchanged() bool {
	for _, f := range c.files {
		if !stands(f.path, f.info) {
			return false
		}
	}
	return true
}

func (m mapped) Unchanged() bool {
	whole, ok := m.Source.(Whole)
	return ok && whole.Unchanged()
}

// stands reports whether a file is still what it was.
func stands(path string, was os.FileInfo) bool {
	f, err := openSame(path, was)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
