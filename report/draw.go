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
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

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
	d := drawing{album: a, root: root, options: o, names: make(map[string]bool)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var working sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	sent, all := 0, true
	seen := make(map[string]bool)
	for l, err := range a.all(ctx) {
		if err != nil {
			cancel(err)
			break
		}
		if l.err == nil {
			for _, a := range l.result.Annotations {
				seen[a.Name] = true
			}
			l.result.Annotations = chosen(l.result.Annotations, o.Classes)
			if len(o.Classes) > 0 && len(l.result.Annotations) == 0 {
				continue
			}
		}
		if o.Limit > 0 && sent == o.Limit {
			all = false
			break
		}
		n := sent
		sent++
		name := ""
		if l.err == nil {
			name = d.name(l.item.Image)
		}
		room <- struct{}{}
		working.Go(func() {
			defer func() { <-room }()
			if err := d.draw(l, name, n); err != nil {
				cancel(err)
			}
		})
		if ctx.Err() != nil {
			break
		}
	}
	working.Wait()
	if err := context.Cause(ctx); err != nil {
		return d.done, err
	}
	slices.Sort(d.done.Reasons)
	d.done.All = all
	for _, class := range o.Classes {
		if !seen[class] && !slices.Contains(d.done.Unused, class) {
			d.done.Unused = append(d.done.Unused, class)
		}
	}
	for _, class := range a.src.Describe().Defined {
		seen[class] = true
	}
	d.done.Classes = slices.Sorted(maps.Keys(seen))
	for _, class := range o.Classes {
		if all && d.done.Failed == 0 && !seen[class] && d.done.Absent == "" {
			d.done.Absent = class
		}
	}
	return d.done, d.writeSheet()
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
	names   map[string]bool // taken; only the walk uses it

	mu     sync.Mutex
	done   Drawn
	small  [sheetImages]image.Image
	titles [sheetImages]string
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

// draw writes one image. Its own failure is counted; an error is one of the folder.
func (d *drawing) draw(l loaded, name string, n int) error {
	if l.err != nil {
		d.fail(l.item.Image, l.err)
		return nil
	}
	var photo image.Image
	if l.file != "" {
		var err error
		if photo, err = d.album.photos.Open(l.file); err != nil {
			d.fail(l.item.Image, err)
			return nil
		}
	}
	picture := view.Labelled(d.album.picture(l), photo, d.options.Paint)
	if err := d.write(name, picture); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done.Images++
	d.done.Annotations += len(l.result.Annotations)
	if photo == nil {
		d.done.Frames++
	}
	if n < sheetImages && d.options.Sheet {
		d.small[n], d.titles[n] = view.Shrink(picture, 640), l.item.Image
	}
	return nil
}

func (d *drawing) fail(name string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done.Failed++
	if len(d.done.Reasons) < 3 {
		d.done.Reasons = append(d.done.Reasons, name+": "+err.Error())
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
	for i, p := range d.small {
		if p != nil {
			pictures, titles = append(pictures, p), append(titles, d.titles[i])
		}
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
