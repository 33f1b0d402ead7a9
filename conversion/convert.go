// Package conversion converts whole sources without a service: image by image in the order
// of the source, by several workers ([Run]), into a sink of
// any format, or into a count of what they hold ([Inspect]).
package conversion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/internal/progress"
)

// Accounts are the images and annotations of a source as they were read, those that
// were taken and those that were left out: read is taken and left out.
type Accounts struct {
	Read    convert.Count `json:"read"`
	Taken   convert.Count `json:"taken"`
	LeftOut convert.Count `json:"left_out"`
}

// Account is what was read and what was taken of it, with what that leaves out.
func Account(read, taken convert.Count) Accounts {
	return Accounts{read, taken, convert.Count{Images: read.Images - taken.Images, Annotations: read.Annotations - taken.Annotations}}
}

// Summary is what a conversion came to.
type Summary struct {
	Images struct {
		Found     int `json:"found"`
		Converted int `json:"converted"`
		Failed    int `json:"failed"`
	} `json:"images"`
	// Annotations are those of the images that were taken, as the service counts them: each
	// keypoint is one. Written are those of the output.
	Annotations int             `json:"annotations"`
	Written     convert.Written `json:"written"`
	Accounts
	Findings int            `json:"findings"`
	Kinds    map[string]int `json:"findings_by_kind"`
	Seconds  float64        `json:"duration_s"`
}

// Image is one image of a conversion: its result, or why there is none.
type Image struct {
	convert.Converted

	count int // of the annotations, which a sink may release
	// read and leftOut are the source's annotations.
	read, leftOut int
}

// Options say how a conversion is done.
type Options struct {
	// Accepted says what an image may lose and be converted all the same.
	Accepted convert.Accepted
	// Workers is how many images are converted at the same time. 0 means the
	// default.
	Workers int
	// Sink is what the images that are taken are written to. May be nil.
	Sink convert.Sink
	// Finding is told every finding, in the order of the source. May be nil.
	OnFinding func(convert.Finding)
	// Doing is what progress calls it; "" is converting.
	Doing string
	// Progress is told how far the conversion is. May be nil.
	Progress func(progress.Progress)
}

// Run converts every item of src, writes what is taken to the sink, and tells each of every
// image, in the source's order and one at a time. A failed image is told too, with its error,
// and the others go on. An error of each ends the conversion.
func Run(ctx context.Context, src convert.Source, o Options, each func(*Image) error) (Summary, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.OnFinding == nil {
		o.OnFinding = func(convert.Finding) {}
	}
	c := conversion{src: src, options: o, each: each, progress: progress.Tracker{Report: o.Progress}}
	c.summary.Kinds = make(map[string]int)
	c.progress.Begin(cmp.Or(o.Doing, "converting"), 0)
	err := c.run(ctx)
	if err == nil {
		convert.Finish(src)
	}
	left := convert.LeftOut(src)
	c.summary.Read.Images += left.Images
	c.summary.Read.Annotations += left.Annotations
	c.summary.Accounts = Account(c.summary.Read, c.summary.Taken)
	c.summary.Written = convert.Written{Forms: map[convert.Form]int{}, Without: map[convert.Missing]int{}}
	if o.Sink != nil {
		c.summary.Written.Add(o.Sink.Written())
	}
	return c.summary, err
}

// imagesATask is how many images a worker takes at a time: single ones are done sooner
// than they are handed over.
const imagesATask = 16

// conversion is one under way.
type conversion struct {
	src      convert.Source
	options  Options
	each     func(*Image) error
	progress progress.Tracker
	summary  Summary
}

// task is some images that follow each other.
type task struct {
	images  []Image
	encoded *[]byte
}

// encodeBuffers are where tasks encode.
var encodeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// release lets other tasks have the buffer.
func (t task) release() {
	const most = 4 << 20 // bytes; longer ones are rare
	if cap(*t.encoded) <= most {
		encodeBuffers.Put(t.encoded)
	}
}

func (c *conversion) run(ctx context.Context) error {
	defer convert.Hold(c.src)() // the walk ends before the last are converted
	for t, err := range parallel.Map(ctx, c.options.Workers, parallel.Chunks(c.src.Items(ctx, ""), imagesATask), c.convert) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := c.hand(t); err != nil {
			return err
		}
		t.release()
	}
	return context.Cause(ctx)
}

func (c *conversion) convert(ctx context.Context, items []convert.Item) (task, error) {
	t := task{images: make([]Image, len(items)), encoded: encodeBuffers.Get().(*[]byte)}
	encoded := (*t.encoded)[:0]
	for i, item := range items {
		if err := ctx.Err(); err != nil {
			return t, context.Cause(ctx)
		}
		t.images[i].Item = item
		encoded = convertItem(ctx, c.src, &t.images[i], encoded, c.options)
	}
	*t.encoded = encoded
	return t, nil
}

// hand hands on a task.
func (c *conversion) hand(t task) error {
	if len(*t.encoded) > 0 {
		if err := c.options.Sink.WriteEncoded(*t.encoded); err != nil {
			return err
		}
	}
	for i := range t.images {
		image := &t.images[i]
		c.summary.Images.Found++
		c.summary.Read.Images++
		if err := c.write(image); err != nil {
			return err
		}
		if err := c.each(image); err != nil {
			return err
		}
		c.summary.Read.Annotations += image.read
		for _, f := range WithFailure(image.Result.Findings, image.Item, image.Err) {
			c.summary.Findings++
			c.summary.Kinds[string(f.Kind)]++
			c.options.OnFinding(f)
		}
		if image.Err != nil {
			c.summary.Images.Failed++
			c.progress.Add(1, 1)
			continue
		}
		c.summary.Images.Converted++
		c.summary.Annotations += image.count
		c.summary.Taken.Images++
		c.summary.Taken.Annotations += image.read - image.leftOut
		c.progress.Add(1, 0)
	}
	return nil
}

// write writes an image that was taken to the sink, and counts what the format cannot hold.
func (c *conversion) write(image *Image) error {
	if c.options.Sink == nil || image.Err != nil {
		return nil
	}
	before := image.Result.LeftOut
	err := c.options.Sink.Write(&image.Converted)
	image.leftOut += image.Result.LeftOut - before
	return err
}

// Read is how many annotations were read of an item and how many of them were left out.
// Where it could not be converted, that is all of them, as far as they are known.
func Read(item convert.Item, result convert.Result, err error) (read, leftOut int) {
	if err != nil && result.Read == 0 {
		return item.Annotations, item.Annotations
	}
	return result.Read, result.LeftOut
}

// WithFailure adds to findings that an image could not be taken, unless one of what was
// lost of it says so already.
func WithFailure(findings []convert.Finding, item convert.Item, err error) []convert.Finding {
	lost := func(f convert.Finding) bool { return f.Kind.Severity() == convert.Lost }
	var refused convert.RefusedError
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &refused) || slices.ContainsFunc(findings, lost) {
		return findings
	}
	return append(findings, convert.Finding{Kind: convert.KindNotTaken, File: item.File, Image: item.Image, Reason: err.Error(), Action: "the image is left alone"})
}

// convertItem converts an image, and appends what the encoder makes of it.
func convertItem(ctx context.Context, src convert.Source, c *Image, dst []byte, o Options) (encoded []byte) {
	defer func() {
		if p := recover(); p != nil {
			c.Result, c.Err = convert.Result{}, fmt.Errorf("convert %s: internal error: %v; please report it", c.Item.File, p)
			encoded = dst
		}
	}()
	c.read, c.leftOut = c.Item.Annotations, c.Item.Annotations // as far as nothing better is known
	if c.Err = c.Item.Err; c.Err != nil {
		return dst
	}
	c.Result, c.Err = src.Load(ctx, c.Item, convert.Size{})
	if c.read, c.leftOut = Read(c.Item, c.Result, c.Err); c.Err != nil {
		return dst
	}
	c.count = len(c.Result.Annotations)
	c.Source, c.Accepted = src, o.Accepted
	if c.Err = o.Accepted.Refusal(c.Result); c.Err == nil && o.Sink != nil {
		return o.Sink.Encode(dst, &c.Converted)
	}
	return dst
}
