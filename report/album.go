// Package report gathers what the pages of package view show: a source with its labels
// and pictures, the runs of a state, and what a run changed or would change.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/view"
)

// perPage is how many images a page of a grid shows.
const perPage = 60

// maxSamples bounds how many images of a class, or with findings of a kind, are kept.
const maxSamples = 20 * perPage

// maxOrphans bounds how many images without labels are named.
const maxOrphans = 10_000

// Album shows a source: what it holds in numbers, and its images with their labels. It
// keeps where each page of images begins and counts, not the images: its memory grows by a
// few bytes an image.
type Album struct {
	src      convert.Source
	accepted convert.Accepted
	photos   *view.Photos
	images   string // folder of --images; "" is none
	found    func() []convert.Finding
	at       time.Time

	mu       sync.Mutex
	findings []convert.Finding // of the source itself
	count    counts
	done     bool
	err      error // that ended the count
	pages    map[int][]convert.Item
	recent   []int // of pages, the latest last
}

// AlbumOptions say how a source is shown.
type AlbumOptions struct {
	Accepted convert.Accepted
	Photos   *view.Photos
	// Images is the folder of the image files where it was named.
	Images string
	// Findings takes what has been found wrong with the source itself since it was called
	// last. May be nil.
	Findings func() []convert.Finding
	// At is when the source was opened.
	At time.Time
}

// NewAlbum shows a source. [Album.Count] has to go through it, and pages show what it has
// come to meanwhile.
func NewAlbum(src convert.Source, o AlbumOptions) *Album {
	a := &Album{src: src, accepted: o.Accepted, photos: o.Photos, images: o.Images, found: o.Findings, at: o.At, pages: make(map[int][]convert.Item)}
	a.count.classes = make(map[string]*classCount)
	a.count.kinds = make(map[[2]string]*kindCount)
	a.count.sizes = make(map[convert.Size]int)
	return a
}

// counts are what a source holds.
type counts struct {
	images, labelled, empty, failed int
	annotations, leftOut            int
	refused                         int // annotations that are shown, of images that cannot be taken
	pictured                        int
	starts                          []string // cursors before the first, 61st, … image
	classes                         map[string]*classCount
	kinds                           map[[2]string]*kindCount
	sizes                           map[convert.Size]int
	unsized                         int
	perImage, boxes                 view.Histogram
	emptyAt, failedAt, unpicturedAt []int32
	lossAt                          []int32 // images with findings
	orphans                         []string
	moreOrphans                     int
}

type classCount struct {
	annotations, images int
	types               map[string]int
	last                int32   // image that has it
	at                  []int32 // the first images that have it
}

type kindCount struct {
	kind     convert.Kind
	cause    string
	count    int
	images   int
	last     int32
	examples []string
	at       []int32
}

// loaded is one image of a source with its labels.
type loaded struct {
	item   convert.Item
	result convert.Result
	err    error
	file   string
}

// Count goes through the source. progress is told how many images it has come to.
func (a *Album) Count(ctx context.Context, progress func(images int)) error {
	err := a.goThrough(ctx, progress)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done, a.err = true, err
	return err
}

func (a *Album) goThrough(ctx context.Context, progress func(int)) error {
	used := make(map[uint64]struct{})
	seed := maphash.MakeSeed()
	folders := make(map[string]bool)
	before := ""
	for l, err := range a.all(ctx) {
		if err != nil {
			return err
		}
		if l.file != "" {
			used[maphash.String(seed, filepath.Clean(l.file))] = struct{}{}
			folders[filepath.Dir(l.file)] = true
		}
		a.mu.Lock()
		if a.count.images%perPage == 0 {
			a.count.starts = append(a.count.starts, before)
		}
		a.add(l)
		n := a.count.images
		a.mu.Unlock()
		before = l.item.Cursor
		if progress != nil {
			progress(n)
		}
	}
	convert.Finish(a.src)
	orphans, more := a.orphans(ctx, folders, func(file string) bool {
		_, known := used[maphash.String(seed, filepath.Clean(file))]
		return known
	})
	a.mu.Lock()
	a.count.orphans, a.count.moreOrphans = orphans, more
	a.count.leftOut += convert.LeftOut(a.src).Annotations
	a.mu.Unlock()
	return ctx.Err()
}

// all loads every image of the source, several at once, in order.
func (a *Album) all(ctx context.Context) iter.Seq2[loaded, error] {
	const together = 32
	load := func(ctx context.Context, items []convert.Item) ([]loaded, error) {
		images := make([]loaded, len(items))
		for i, item := range items {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			images[i] = a.load(ctx, item)
		}
		return images, nil
	}
	return func(yield func(loaded, error) bool) {
		defer convert.Hold(a.src)()
		chunks := parallel.Chunks(a.src.Items(ctx, ""), together)
		for images, err := range parallel.Map(ctx, runtime.GOMAXPROCS(0), chunks, load) {
			for _, l := range images {
				if !yield(l, nil) {
					return
				}
			}
			if err != nil {
				yield(loaded{}, err)
				return
			}
		}
	}
}

// load reads the labels of an image. What panics is that image's failure.
func (a *Album) load(ctx context.Context, item convert.Item) (l loaded) {
	l = loaded{item: item, err: item.Err}
	defer func() {
		if p := recover(); p != nil {
			l.err = fmt.Errorf("read its labels: %v", p)
		}
	}()
	l.file = convert.ImageFile(a.src, item)
	if l.err != nil {
		return l
	}
	l.result, l.err = a.src.Load(ctx, item, convert.Size{})
	return l
}

// add counts an image. The caller holds the lock.
func (a *Album) add(l loaded) {
	c := &a.count
	n := int32(c.images)
	c.images++
	keep := func(list *[]int32) { *list = append(*list, n) }
	if l.file == "" {
		keep(&c.unpicturedAt)
	} else {
		c.pictured++
	}
	r := l.result
	read, leftOut := conversion.Read(l.item, r, l.err)
	refused := l.err
	if refused == nil {
		refused = a.accepted.Refusal(r)
	}
	if refused != nil {
		leftOut = read
	}
	c.leftOut += leftOut
	c.addFindings(conversion.WithFailure(r.Findings, l.item, refused), n)
	switch {
	case refused != nil:
		c.failed++
		keep(&c.failedAt)
	case len(r.Annotations) == 0:
		c.empty++
		keep(&c.emptyAt)
	default:
		c.labelled++
	}
	if l.err != nil {
		return
	}
	if r.Size.Known() {
		c.addSize(r.Size)
	} else {
		c.unsized++
	}
	if refused == nil {
		c.annotations += len(r.Annotations)
	} else {
		c.refused += len(r.Annotations)
	}
	c.perImage.Add(float64(len(r.Annotations)))
	c.addClasses(r.Annotations, n)
}

func (c *counts) addFindings(findings []convert.Finding, n int32) {
	if len(findings) > 0 {
		c.lossAt = append(c.lossAt, n)
	}
	for _, f := range findings {
		c.addFinding(f, n)
	}
}

// addFinding counts a finding; n is the image's number, -1 for the source as a whole.
func (c *counts) addFinding(f convert.Finding, n int32) {
	const maxKinds, examples = 500, 3
	key := [2]string{string(f.Kind), f.Cause}
	k := c.kinds[key]
	if k == nil && len(c.kinds) >= maxKinds {
		key[1] = "…"
		k = c.kinds[key]
	}
	if k == nil {
		k = &kindCount{kind: f.Kind, cause: key[1], last: -1}
		c.kinds[key] = k
	}
	k.count += f.Stands()
	if len(k.examples) < examples {
		k.examples = append(k.examples, exampleOf(f))
	}
	if n >= 0 && k.last != n {
		k.last = n
		k.images++
		if len(k.at) < maxSamples {
			k.at = append(k.at, n)
		}
	}
}

// exampleOf is a finding in one line, with its place.
func exampleOf(f convert.Finding) string {
	place := cmp.Or(f.Path, f.Image, f.File)
	if f.At != "" {
		place = strings.TrimSpace(place + " " + f.At)
	}
	line := f.Reason
	if f.Action != "" {
		line += "; " + f.Action
	}
	if place != "" {
		line = place + ": " + line
	}
	return line
}

func (c *counts) addSize(s convert.Size) {
	const maxSizes = 100_000
	if _, known := c.sizes[s]; known || len(c.sizes) < maxSizes {
		c.sizes[s]++
	}
}

func (c *counts) addClasses(annotations []pictograph.Annotation, n int32) {
	const maxClasses = 100_000
	for _, a := range annotations {
		kind, w, h := view.Extent(a)
		if kind != "keypoint" {
			c.boxes.Add(max(w, h))
		}
		class := c.classes[a.Name]
		if class == nil {
			if len(c.classes) >= maxClasses {
				continue
			}
			class = &classCount{types: make(map[string]int, 1), last: -1}
			c.classes[a.Name] = class
		}
		class.annotations++
		class.types[kind]++
		if class.last == n {
			continue
		}
		class.last = n
		class.images++
		if len(class.at) < maxSamples {
			class.at = append(class.at, n)
		}
	}
}

// orphans are images of the source's folders that no label names.
func (a *Album) orphans(ctx context.Context, folders map[string]bool, used func(string) bool) (names []string, more int) {
	take := func(file string) {
		if !source.IsImageName(file) || used(file) {
			return
		}
		if len(names) >= maxOrphans {
			more++
			return
		}
		names = append(names, file)
	}
	if a.images != "" {
		_ = filepath.WalkDir(a.images, func(path string, e fs.DirEntry, err error) error {
			if err == nil && ctx.Err() == nil && e.Type().IsRegular() {
				take(path)
			}
			return ctx.Err() // a folder that cannot be read has no images to speak of
		})
		return names, more
	}
	for folder := range folders {
		entries, _ := os.ReadDir(folder) // what it has read before it failed
		for _, e := range entries {
			if e.Type().IsRegular() {
				take(filepath.Join(folder, e.Name()))
			}
		}
	}
	slices.Sort(names)
	return names, more
}

// item is an image of the source by its number.
func (a *Album) item(ctx context.Context, n int) (convert.Item, error) {
	items, err := a.page(ctx, n/perPage)
	if err != nil {
		return convert.Item{}, err
	}
	if i := n % perPage; n >= 0 && i < len(items) {
		return items[i], nil
	}
	return convert.Item{}, errNoImage
}

var errNoImage = errors.New("the source has no such image, or has not been gone through so far")

// maxPages is how many pages of items are kept.
const maxPages = 48

// page are the items of a page of the whole source.
func (a *Album) page(ctx context.Context, number int) ([]convert.Item, error) {
	a.mu.Lock()
	items, known := a.pages[number]
	complete := a.done || (number+1)*perPage <= a.count.images
	if number < 0 || number >= len(a.count.starts) {
		a.mu.Unlock()
		return nil, errNoImage
	}
	start := a.count.starts[number]
	a.mu.Unlock()
	if known {
		return items, nil
	}
	items = nil
	for item, err := range a.src.Items(ctx, start) {
		if err != nil {
			return nil, err
		}
		if items = append(items, item); len(items) == perPage {
			break
		}
	}
	if complete {
		a.keep(number, items)
	}
	return items, nil
}

func (a *Album) keep(number int, items []convert.Item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.pages[number]; known {
		return
	}
	a.pages[number] = items
	if a.recent = append(a.recent, number); len(a.recent) > maxPages {
		delete(a.pages, a.recent[0])
		a.recent = a.recent[1:]
	}
}

// picture is an image of the source with its labels.
func (a *Album) picture(l loaded) view.Picture {
	r := l.result
	p := view.Picture{Path: l.item.Image, File: l.item.File, Width: r.Size.Width, Height: r.Size.Height, After: r.Annotations, AfterKnown: true, Skeletons: skeletonsOf(r.Classes), Findings: r.Findings}
	if l.err != nil {
		p.Err = "Its labels cannot be taken: " + l.err.Error()
		return p
	}
	if refused := a.accepted.Refusal(r); refused != nil {
		p.Outcome, p.Reason = "A sync leaves it alone", refused.Error()
	}
	return p
}

func skeletonsOf(classes []pictograph.Class) (skeletons []pictograph.Skeleton) {
	for _, c := range classes {
		if c.Skeleton != nil {
			skeletons = append(skeletons, *c.Skeleton)
		}
	}
	return skeletons
}
