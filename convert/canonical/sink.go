package canonical

import (
	"fmt"

	"pictosync/convert"
	"pictosync/internal/atomicfile"
	"pictosync/source"
)

// sink writes canonical JSON Lines.
type sink struct {
	*atomicfile.File
}

func create(o convert.Output) (convert.Sink, error) {
	f, err := atomicfile.Create(o.Path, o.Mode)
	if err != nil {
		return nil, err
	}
	return &sink{f}, nil
}

// Encode appends the line of an image. Its memory is free for others then.
func (s *sink) Encode(dst []byte, c *convert.Converted) []byte {
	image := Image{Image: c.Item.Image, Size: c.Result.Size, Annotations: c.Result.Annotations, Boxes: c.Result.Boxes, Slots: c.Result.Slots}
	line, err := image.Append(dst)
	c.Result.Release()
	if size := len(line) - len(dst); err == nil && size > source.MaxLabels {
		err = fmt.Errorf("its line would take %d bytes, and no more than %d are read again", size, source.MaxLabels)
	}
	if err != nil {
		c.Err = err
		return dst
	}
	return append(line, '\n')
}

func (s *sink) WriteEncoded(lines []byte) error {
	_, err := s.File.Write(lines)
	return err
}

// Write has nothing left to write.
func (s *sink) Write(*convert.Converted) error { return nil }
