package coco

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pictosync/convert"
	"pictosync/internal/atomicfile"
)

// sink writes one COCO file. The annotations wait in a file of their own while the images,
// which stand before them, are written.
type sink struct {
	convert.Unencoded // ids are given in order
	*atomicfile.File
	writer      *Writer
	annotations *os.File
	waiting     *bufio.Writer
	any         bool // annotations
	images      bool
	written     convert.Written
}

func (s *sink) Written() convert.Written { return s.written }

func create(o convert.Output) (convert.Sink, error) {
	f, err := atomicfile.Create(o.Path, o.Mode)
	if err != nil {
		return nil, err
	}
	dir := os.TempDir()
	if info, err := os.Stat(o.Path); o.Path != "-" && (err != nil || info.Mode().IsRegular()) {
		dir = filepath.Dir(o.Path)
	}
	waiting, err := os.CreateTemp(dir, ".pictosync-annotations.*")
	if err != nil {
		f.Abort()
		return nil, fmt.Errorf("write %s: %w", o.Path, err)
	}
	s := &sink{File: f, writer: NewWriter(o.Catalog), annotations: waiting, waiting: bufio.NewWriterSize(waiting, 1<<20)}
	if _, err := s.WriteString("{\"info\":{\"bbox_format\":\"xywh\"},\"images\":["); err != nil {
		s.Abort()
		return nil, err
	}
	return s, nil
}

func (s *sink) Write(c *convert.Converted) error {
	image, annotations, written, leftOut, findings, err := s.writer.Image(c.Item.Image, c.Result)
	if !c.Lose(leftOut, findings, err) {
		return nil
	}
	s.written.Add(written)
	if s.images {
		s.WriteByte(',')
	}
	s.images = true
	s.WriteByte('\n')
	if _, err := s.File.Write(image); err != nil {
		return err
	}
	for _, a := range annotations {
		if s.any {
			s.waiting.WriteByte(',')
		}
		s.any = true
		s.waiting.WriteByte('\n')
		if _, err := s.waiting.Write(a); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) Close() error {
	defer s.Abort()
	categories, err := s.writer.Categories()
	if err != nil {
		return err
	}
	if err := s.waiting.Flush(); err != nil {
		return err
	}
	if _, err := s.annotations.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s.WriteString("\n],\"annotations\":[")
	if _, err := io.Copy(s.File, s.annotations); err != nil {
		return err
	}
	s.WriteString("\n],\"categories\":")
	s.File.Write(categories)
	s.WriteString("}\n")
	return s.File.Close()
}

func (s *sink) Abort() {
	s.File.Abort()
	if s.annotations != nil {
		s.annotations.Close()
		os.Remove(s.annotations.Name())
		s.annotations = nil
	}
}
