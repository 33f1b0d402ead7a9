package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/source"
)

// ConvertSummary is what a conversion came to.
type ConvertSummary struct {
	Images struct {
		Found     int `json:"found"`
		Converted int `json:"converted"`
		Failed    int `json:"failed"`
	} `json:"images"`
	Annotations int `json:"annotations"`
	Accounts
	Findings int            `json:"findings"`
	Kinds    map[string]int `json:"findings_by_kind"`
	Seconds  float64        `json:"duration_s"`
}

// Converted is one image of a conversion: its result, or why there is none.
type Converted struct {
	Item   source.Item
	Result convert.Result
	Err    error

	count int // of the annotations, which an Encoder may release
	// read and leftOut are the source's annotations.
	read, leftOut int
	// encodedErr is why there is nothing of the image in what was encoded.
	encodedErr error
}

// Encoder does of an output what needs no other image.
type Encoder interface {
	// Encode appends what a converted image is in the output. It is called by
	// several workers at once and in no order.
	Encode(dst []byte, c *Converted) []byte
	// WriteEncoded writes what Encode appended for images that follow each other.
	// It is called in the order of the source, and before the images themselves are
	// handed on. Its error ends the conversion.
	WriteEncoded(encoded []byte) error
}

// ConvertOptions say how a conversion is done.
type ConvertOptions struct {
	// Accepted says what an image may lose and be converted all the same.
	Accepted convert.Accepted
	// Workers is how many images are converted at the same time. 0 means the
	// default.
	Workers int
	// Encoder is told every image that was converted. May be nil.
	Encoder Encoder
	// Finding is told every finding, in the order of the source. May be nil.
	Finding func(convert.Finding)
	// Progress is told how far the conversion is. May be nil.
	Progress func(Progress)
}

// Convert converts every item of src and hands the results to write, in the
// source's order and one at a time. A failed image is told to write too, with its
// error, and the others go on; write may fail an image itself by setting Err, and
// add findings. Its own error ends the conversion.
func Convert(ctx context.Context, src source.Source, o ConvertOptions, write func(*Converted) error) (ConvertSummary, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Finding == nil {
		o.Finding = func(convert.Finding) {}
	}
	c := conversion{src: src, options: o, write: write, progress: tracker{report: o.Progress}}
	if o.Progress == nil {
		c.progress.report = func(Progress) {}
	}
	c.summary.Kinds = make(map[string]int)
	c.progress.begin("converting", 0)
	err := c.run(ctx)
	if err == nil {
		source.Finish(src)
	}
	left := source.LeftOut(src)
	c.summary.Read.Images += left.Images
	c.summary.Read.Annotations += left.Annotations
	c.summary.Accounts = accountsOf(c.summary.Read, c.summary.Taken)
	return c.summary, err
}

// A task of the pool is a handful of images: single ones are done sooner than a
// task is handed over. Results are taken in order, so that a slow image holds back
// at most the tasks ahead of it, and memory holds no more.
const (
	imagesATask  = 16
	tasksAWorker = 4
)

// conversion is one under way. Workers convert and encode tasks in any order. They
// are handed on in that of the source, by whoever is done with the first one that
// is due: what a task made is written by the processor that has it near.
type conversion struct {
	src      source.Source
	options  ConvertOptions
	write    func(*Converted) error
	progress tracker
	fail     context.CancelCauseFunc
	room     chan struct{} // for tasks on their way

	mu      sync.Mutex
	tasks   []*task // on their way, in order
	handing bool    // a worker hands on what is due; summary is its
	summary ConvertSummary
}

// task is some images that follow each other.
type task struct {
	images  []Converted
	encoded []byte
	buffer  *[]byte // that encoded lies in
	done    bool
}

// release lets other tasks have the buffer.
func (t *task) release() {
	const most = 4 << 20 // bytes; longer ones are rare
	if cap(t.encoded) <= most {
		*t.buffer = t.encoded
		encodeBuffers.Put(t.buffer)
	}
}

func (c *conversion) run(ctx context.Context) error {
	ctx, c.fail = context.WithCancelCause(ctx)
	defer c.fail(nil)
	defer source.Hold(c.src)() // the walk ends before the last are converted
	c.room = make(chan struct{}, tasksAWorker*c.options.Workers)
	pool := pond.NewPool(c.options.Workers, pond.WithoutPanicRecovery())
	err := c.submit(ctx, pool)
	pool.StopAndWait()
	if ctx.Err() != nil { // not all was handed on
		return context.Cause(ctx)
	}
	return err
}

// submit cuts the items of the source into tasks.
func (c *conversion) submit(ctx context.Context, pool pond.Pool) error {
	t := new(task)
	send := func() error {
		select {
		case c.room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		sent := t
		c.mu.Lock()
		c.tasks = append(c.tasks, sent)
		c.mu.Unlock()
		t = new(task)
		return pool.Go(func() { c.convert(ctx, sent) })
	}
	for item, err := range c.src.Items(ctx, "") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if t.images == nil {
			t.images = make([]Converted, 0, imagesATask)
		}
		if t.images = append(t.images, Converted{Item: item}); len(t.images) < imagesATask {
			continue
		}
		if err := send(); err != nil {
			return err
		}
	}
	if len(t.images) > 0 {
		return send()
	}
	return nil
}

func (c *conversion) convert(ctx context.Context, t *task) {
	t.buffer = encodeBuffers.Get().(*[]byte)
	t.encoded = (*t.buffer)[:0]
	for i := range t.images {
		if ctx.Err() == nil {
			t.encoded = convertItem(ctx, c.src, &t.images[i], t.encoded, c.options)
		}
	}
	for due := c.due(t); due != nil; due = c.due(nil) {
		if ctx.Err() == nil {
			if err := c.hand(due); err != nil {
				c.fail(err)
			}
		}
		due.release()
		<-c.room
	}
}

// due takes a task that is done, or nil from who has handed on one, and returns what
// the caller is to hand on: nil where that is another's to do, or not done yet.
func (c *conversion) due(done *task) *task {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done != nil {
		done.done = true
		if c.handing {
			return nil
		}
	}
	c.handing = len(c.tasks) > 0 && c.tasks[0].done
	if !c.handing {
		return nil
	}
	first := c.tasks[0]
	c.tasks = c.tasks[1:]
	return first
}

// hand hands on a task.
func (c *conversion) hand(t *task) error {
	if len(t.encoded) > 0 {
		if err := c.options.Encoder.WriteEncoded(t.encoded); err != nil {
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
		c.summary.Read.Annotations += image.read
		for _, f := range withFailure(image.Result.Findings, image.Item, image.Err) {
			c.summary.Findings++
			c.summary.Kinds[string(f.Kind)]++
			c.options.Finding(f)
		}
		if image.Err != nil {
			c.summary.Images.Failed++
			c.progress.add(1, 1)
			continue
		}
		c.summary.Images.Converted++
		c.summary.Annotations += image.count
		c.summary.Taken.Images++
		c.summary.Taken.Annotations += image.read - image.leftOut
		c.progress.add(1, 0)
	}
	return nil
}

// readOf is how many annotations were read of an item and how many of them were left out.
// Where it could not be converted, that is all of them, as far as they are known.
func readOf(item source.Item, result convert.Result, err error) (read, leftOut int) {
	if err != nil && result.Read == 0 {
		return item.Annotations, item.Annotations
	}
	return result.Read, result.LeftOut
}

// withFailure adds to findings that an image could not be taken, unless one of what was
// lost of it says so already.
func withFailure(findings []convert.Finding, item source.Item, err error) []convert.Finding {
	lost := func(f convert.Finding) bool { return f.Kind.Severity() == convert.Lost }
	var refused convert.RefusedError
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &refused) || slices.ContainsFunc(findings, lost) {
		return findings
	}
	return append(findings, convert.Finding{Kind: convert.KindNotTaken, File: item.File, Image: item.Image, Reason: err.Error(), Action: "the image is left alone"})
}

// convertItem converts an image, and appends what the encoder makes of it.
func convertItem(ctx context.Context, src source.Source, c *Converted, dst []byte, o ConvertOptions) (encoded []byte) {
	defer func() {
		if p := recover(); p != nil {
			*c = Converted{Item: c.Item, Err: fmt.Errorf("convert %s: internal error: %v; please report it", c.Item.File, p)}
			encoded = dst
		}
	}()
	c.read, c.leftOut = c.Item.Annotations, c.Item.Annotations // as far as nothing better is known
	if c.Err = c.Item.Err; c.Err != nil {
		return dst
	}
	c.Result, c.Err = src.Load(ctx, c.Item, convert.Size{})
	if c.read, c.leftOut = readOf(c.Item, c.Result, c.Err); c.Err != nil {
		return dst
	}
	c.count = len(c.Result.Annotations)
	if c.Err = o.Accepted.Refusal(c.Result); c.Err == nil && o.Encoder != nil {
		return o.Encoder.Encode(dst, c)
	}
	return dst
}
