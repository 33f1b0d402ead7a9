package main

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/sandbox"
)

// sandboxFormats are the formats of exports that the sandbox has from this
// project's own writers. As with the service, what a format has no place for is
// not in it.
func sandboxFormats() map[string]sandbox.ExportFormat {
	return map[string]sandbox.ExportFormat{
		"coco":      exportCOCO,
		"yolo":      exportYOLO(""),
		"yolo_obb":  exportYOLO(convert.YOLOOBB),
		"yolo_pose": exportYOLO(convert.YOLOPose),
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
	}
	return c, nil
}

func exportCOCO(d pictograph.Dataset, images exportImages, create func(string) (io.Writer, error)) error {
	catalog, err := catalogOf(d, images)
	if err != nil {
		return err
	}
	// The annotations, which stand behind the images, wait in a file.
	waiting, err := os.CreateTemp("", "pictosync-annotations-")
	if err != nil {
		return err
	}
	defer os.Remove(waiting.Name())
	defer waiting.Close()
	later := bufio.NewWriter(waiting)
	w, err := create("annotations.json")
	if err != nil {
		return err
	}
	writer := convert.NewCOCOWriter(catalog)
	entries, objects := &jsonList{w: w}, &jsonList{w: later}
	fmt.Fprint(w, `{"images":`)
	for i, err := range images {
		if err != nil {
			return err
		}
		entry, annotations, _, _, err := writer.Image(i.Path, resultOf(d, i))
		if err != nil {
			continue // nothing of it has a place
		}
		entries.add(entry)
		for _, a := range annotations {
			objects.add(a)
		}
	}
	entries.end()
	objects.end()
	categories, err := writer.Categories()
	if err != nil {
		return err
	}
	if err := later.Flush(); err != nil {
		return err
	}
	if _, err := waiting.Seek(0, io.SeekStart); err != nil {
		return err
	}
	fmt.Fprint(w, `,"annotations":`)
	if _, err := io.Copy(w, waiting); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, ",\"categories\":%s}\n", categories)
	return err
}

// jsonList writes entries as a JSON list, a line each. Its writer keeps the
// first error, for whoever ends it.
type jsonList struct {
	w   io.Writer
	any bool
}

func (l *jsonList) add(entry []byte) {
	if l.any {
		fmt.Fprintf(l.w, ",\n%s", entry)
		return
	}
	l.any = true
	fmt.Fprintf(l.w, "[\n%s", entry)
}

func (l *jsonList) end() {
	if !l.any {
		fmt.Fprint(l.w, "[")
	}
	fmt.Fprint(l.w, "]")
}

func exportYOLO(task convert.YOLOTask) sandbox.ExportFormat {
	return func(d pictograph.Dataset, images exportImages, create func(string) (io.Writer, error)) error {
		catalog, err := catalogOf(d, images)
		if err != nil {
			return err
		}
		writer, err := convert.NewYOLOWriter(catalog, task)
		if err != nil {
			return err
		}
		var folders []string
		for i, err := range images {
			if err != nil {
				return err
			}
			top, _, nested := strings.Cut(i.Path, "/")
			if !nested {
				top = ""
			}
			if !slices.Contains(folders, top) {
				folders = append(folders, top)
			}
			label, _, _, err := writer.Image(i.Path, resultOf(d, i))
			if err != nil {
				continue // nothing of it has a place, or its size is not known
			}
			w, err := create(writer.LabelPath(i.Path))
			if err != nil {
				return err
			}
			if _, err := w.Write(label); err != nil {
				return err
			}
		}
		w, err := create("data.yaml")
		if err != nil {
			return err
		}
		_, err = w.Write(writer.Description(folders))
		return err
	}
}
