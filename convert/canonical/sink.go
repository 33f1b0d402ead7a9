package canonical

import (
	"fmt"
	"sync"

	"pictosync/convert"
	"pictosync/internal/atomicfile"
	"pictosync/pictograph"
	"pictosync/source"
)

// sink writes canonical JSON Lines.
type sink struct {
	*atomicfile.File
	mu      sync.Mutex // of what is counted: images are encoded by several workers
	written convert.Written
}

func (s *sink) Written() convert.Written {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

func create(o convert.Output) (convert.Sink, error) {
	f, err := atomicfile.Create(o.Path, o.Mode)
	if err != nil {
		return nil, err
	}
	return &sink{File: f}, nil
}

// Encode appends the line of an image. Its memory is free for others then.
func (s *sink) Encode(dst []byte, c *convert.Converted) []byte {
	image := Image{Image: c.Item.Image, Size: c.Result.Size, Annotations: c.Result.Annotations, Boxes: c.Result.Boxes, Slots: c.Result.Slots}
	line, err := image.Append(dst)
	if size := len(line) - len(dst); err == nil && size > source.MaxLabels {
		err = fmt.Errorf("its line would take %d bytes, and no more than %d are read again", size, source.MaxLabels)
	}
	if err == nil {
		s.count(image.Annotations)
	}
	c.Result.Release()
	if err != nil {
		c.Err = err
		return dst
	}
	return append(line, '\n')
}

// count counts annotations that are written, those of one form that follow each other at once.
func (s *sink) count(annotations []pictograph.Annotation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 0; n < len(annotations); {
		is, from := convert.FormOf(annotations[n]), n
		for n < len(annotations) && convert.FormOf(annotations[n]) == is {
			n++
		}
		s.written.Count(is, n-from)
	}
}

func (s *sink) WriteEncoded(lines []byte) error {
	_, err := s.File.Write(lines)
	return err
}

// Write has nothing left to write.
func (s *sink) Write(*convert.Converted) error { return nil }
