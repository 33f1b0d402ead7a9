package report

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/view"
)

// DrawOptions say how pictures with labels are written.
type DrawOptions struct {
	view.Paint
	JPEG    bool     // else PNG
	Limit   int      // of images; 0 is all
	Classes []string // draw these alone; none is all
	Force   bool     // replace what is there
	Sheet   bool     // write a contact sheet of the first images
}

// Drawn is what was drawn.
type Drawn struct {
	Images      int     `json:"images"`
	Annotations int     `json:"annotations"`
	Frames      int     `json:"empty_frames"` // of the images, those without an image file
	Failed      int     `json:"failed"`
	Sheet       string  `json:"contact_sheet,omitempty"`
	Seconds     float64 `json:"duration_s"`
	// Reasons are the first images that could not be drawn, and why.
	Reasons []string `json:"failures,omitempty"`

	// Unused are the chosen classes that no annotation has, of the images that were come to; All
	// says that these were all.
	Unused []string `json:"classes_without_annotations,omitempty"`
	All    bool     `json:"-"`
	// Absent is a chosen class that neither a label has nor the source defines, and Classes what
	// there is; where images failed or were left out, it is not known.
	Absent  string   `json:"-"`
	Classes []string `json:"-"`
}

// sheetImages bounds a contact sheet.
const sheetImages = 60

// Draw writes the images of the source with their labels below a folder.
func (a *Album) Draw(ctx context.Context, root *os.Root, o DrawOptions) (Drawn, error) {
	d := drawing{album: a, root: root, options: o, names: make(map[string]bool), seen: make(map[string]bool)}
	d.done.All = true
	for p, err := range parallel.Map(ctx, runtime.GOMAXPROCS(0), d.images(ctx), d.draw) {
		if err != nil {
			return d.done, err
		}
		d.add(p)
	}
	defined := a.src.Describe().Defined
	for _, class := range o.Classes {
		if d.seen[class] || slices.Contains(d.done.Unused, class) {
			continue
		}
		d.done.Unused = append(d.done.Unused, class)
		if d.done.All && d.done.Failed == 0 && d.done.Absent == "" && !slices.Contains(defined, class) {
			d.done.Absent = class
		}
	}
	for _, class := range defined {
		d.seen[class] = true
	}
	d.done.Classes = slices.Sorted(maps.Keys(d.seen))
	return d.done, d.writeSheet()
}

// named is an image that is to be drawn, and the file that it is drawn to; none where it cannot be
// taken.
type named struct {
	loaded
	name  string
	sheet bool // it has a place on the contact sheet
}

// images are those that are to be drawn.
func (d *drawing) images(ctx context.Context) iter.Seq2[named, error] {
	return func(yield func(named, error) bool) {
		n := 0
		for l, err := range d.album.all(ctx) {
			if err != nil {
				yield(named{}, err)
				return
			}
			name := ""
			if l.err == nil {
				for _, a := range l.result.Annotations {
					d.seen[a.Name] = true
				}
				l.result.Annotations = chosen(l.result.Annotations, d.options.Classes)
				if len(d.options.Classes) > 0 && len(l.result.Annotations) == 0 {
					continue
				}
				name = d.name(l.item.Image)
			}
			if d.options.Limit > 0 && n == d.options.Limit {
				d.done.All = false
				return
			}
			if !yield(named{l, name, d.options.Sheet && n < sheetImages}, nil) {
				return
			}
			n++
		}
	}
}

func chosen(annotations []pictograph.Annotation, classes []string) []pictograph.Annotation {
	if len(classes) == 0 {
		return annotations
	}
	return slices.DeleteFunc(annotations, func(a pictograph.Annotation) bool { return !slices.Contains(classes, a.Name) })
}

// drawing is one under way.
type drawing struct {
	album   *Album
	root    *os.Root
	options DrawOptions
	// The walk notes the files that are taken, and the classes that annotations have.
	names, seen map[string]bool

	done  Drawn
	small []picture // for the sheet
}

// picture is an image that was drawn, or why it was not.
type picture struct {
	image       string
	err         error
	annotations int
	frame       bool        // there was no image file
	small       image.Image // for the sheet; nil where it has no place there
}

// name is the file that an image is written to, another for each. What no file may be
// called is written with an underscore.
func (d *drawing) name(of string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, of)
	ext := ".png"
	if d.options.JPEG {
		ext = ".jpg"
	}
	name := strings.TrimSuffix(clean, path.Ext(clean)) + ext
	if d.names[name] {
		name = clean + ext // another format of the same name
	}
	for n := 2; d.names[name]; n++ {
		name = fmt.Sprintf("%s-%d%s", clean, n, ext)
	}
	d.names[name] = true
	return name
}

// draw writes one image. Its own failure is part of the picture; an error is one of the folder.
func (d *drawing) draw(_ context.Context, l named) (picture, error) {
	p := picture{image: l.item.Image, err: l.err, annotations: len(l.result.Annotations), frame: l.file == ""}
	var photo image.Image
	if p.err == nil && !p.frame {
		photo, p.err = d.album.photos.Open(l.file)
	}
	if p.err != nil {
		return p, nil
	}
	labelled := view.Labelled(d.album.picture(l.loaded), photo, d.options.Paint)
	if l.sheet {
		p.small = view.Shrink(labelled, 640)
	}
	return p, d.write(l.name, labelled)
}

// add counts an image.
func (d *drawing) add(p picture) {
	if p.err != nil {
		d.done.Failed++
		if len(d.done.Reasons) < 3 {
			d.done.Reasons = append(d.done.Reasons, p.image+": "+p.err.Error())
		}
		return
	}
	d.done.Images++
	d.done.Annotations += p.annotations
	if p.frame {
		d.done.Frames++
	}
	if p.small != nil {
		d.small = append(d.small, p)
	}
}

// thereAlready is an error that is fs.ErrExist.
type thereAlready struct{ error }

func (thereAlready) Is(target error) bool { return target == fs.ErrExist }

// write writes a picture below the folder, whatever its name.
func (d *drawing) write(name string, picture image.Image) error {
	if dir := path.Dir(name); dir != "." {
		if err := d.root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make a folder for the picture %s: %w", name, err)
		}
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !d.options.Force {
		flags |= os.O_EXCL
	}
	f, err := d.root.OpenFile(name, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return thereAlready{fmt.Errorf("write the picture %s: it is there already; name another folder, or give --force to replace it", name)}
	}
	if err != nil {
		return fmt.Errorf("write the picture %s: %w", name, err)
	}
	if err := errors.Join(d.encode(f, picture), f.Close()); err != nil {
		return fmt.Errorf("write the picture %s: %w", name, err)
	}
	return nil
}

func (d *drawing) encode(w io.Writer, picture image.Image) error {
	if d.options.JPEG {
		return jpeg.Encode(w, picture, &jpeg.Options{Quality: 90})
	}
	return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, picture)
}

// writeSheet writes the contact sheet of what was drawn.
func (d *drawing) writeSheet() error {
	var pictures []image.Image
	var titles []string
	for _, p := range d.small {
		pictures, titles = append(pictures, p.small), append(titles, p.image)
	}
	if !d.options.Sheet || len(pictures) == 0 {
		return nil
	}
	name := d.name("contact-sheet.png")
	if err := d.write(name, view.Sheet(pictures, titles, min(6, max(3, len(pictures)/4)))); err != nil {
		return err
	}
	d.done.Sheet = name
	return nil
}
