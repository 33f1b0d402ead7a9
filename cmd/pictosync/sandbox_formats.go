package main

import (
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/convert/yolo"
	"pictosync/internal/atomicfile"
	"pictosync/pictograph"
	"pictosync/sandbox"
)

// sandboxFormats are the formats of exports that the sandbox has from this
// project's own writers. As with the service, what a format has no place for is
// not in it.
func sandboxFormats() map[string]sandbox.ExportFormat {
	return map[string]sandbox.ExportFormat{
		"coco":      exportAs("coco", nil),
		"yolo":      exportAs("yolo", nil),
		"yolo_obb":  exportAs("yolo", &yolo.WriteFlags{Task: yolo.OBB}),
		"yolo_pose": exportAs("yolo", &yolo.WriteFlags{Task: yolo.Pose}),
	}
}

type exportImages = iter.Seq2[sandbox.ExportImage, error]

// resultOf is an image as the writers take it.
func resultOf(d pictograph.Dataset, i sandbox.ExportImage) convert.Result {
	return convert.Result{Annotations: i.Annotations, Size: convert.Size{Width: i.Width, Height: i.Height}, Classes: d.Classes, Read: len(i.Annotations)}
}

// catalogOf goes through the images once, so that the classes are known.
func catalogOf(d pictograph.Dataset, images exportImages) (*convert.Catalog, error) {
	c := convert.NewCatalog(nil)
	for i, err := range images {
		if err != nil {
			return nil, err
		}
		c.Add(resultOf(d, i))
		c.AddName(i.Path, nil)
	}
	return c, nil
}

// exportAs writes an export in one of the project's formats: beside it first, and then into
// the export.
func exportAs(name string, own convert.Flags) sandbox.ExportFormat {
	return func(d pictograph.Dataset, images exportImages, create func(string) (io.Writer, error)) error {
		format, err := formats.Writable(name)
		if err != nil {
			return err
		}
		catalog, err := catalogOf(d, images)
		if err != nil {
			return err
		}
		temp, err := os.MkdirTemp("", "pictosync-export-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		made := filepath.Join(temp, "made")
		path := made
		if !format.Write.Folder {
			if err := os.Mkdir(made, 0o700); err != nil {
				return err
			}
			path = filepath.Join(made, format.Write.File)
		}
		sink, err := format.Write.Create(convert.Output{Path: path, Mode: atomicfile.Private, Catalog: catalog, Own: own})
		if err != nil {
			return err
		}
		defer sink.Abort()
		for i, err := range images {
			if err != nil {
				return err
			}
			image := convert.Converted{Item: convert.Item{Image: i.Path}, Result: resultOf(d, i), Accepted: convert.Accepted{Lost: true}}
			if err := sink.Write(&image); err != nil {
				return err
			}
		}
		if err := sink.Close(); err != nil {
			return err
		}
		return copyInto(made, create)
	}
}

// copyInto copies the files of a folder.
func copyInto(folder string, create func(string) (io.Writer, error)) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		from, err := os.Open(path)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := create(filepath.ToSlash(name))
		if err == nil {
			_, err = io.Copy(to, from)
		}
		return err
	})
}
