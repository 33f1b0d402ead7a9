package worker

import (
	"context"
	"fmt"
	"iter"
	"runtime"

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
	Annotations int            `json:"annotations"`
	Findings    int            `json:"findings"`
	Kinds       map[string]int `json:"findings_by_kind"`
	Seconds     float64        `json:"duration_s"`
}

// Converted is one image of a conversion: its result, or why there is none.
type Converted struct {
	Item   source.Item
	Result convert.Result
	Err    error

	count int // of the annotations, which Output.Encode may release
	// encoded is what Output.Encode made for Output.Write.
	encoded    []byte
	encodedErr error
}

// ConvertOptions say how a conversion is done.
type ConvertOptions struct {
	// Strict turns every finding into a failure of its image.
	Strict bool
	// Workers is how many images are converted at the same time. 0 means the
	// default.
	Workers int
	// Encode is called for every image that was converted, by several workers at
	// once and in no order, before write is. May be nil.
	Encode func(*Converted)
	// Finding is told every finding, in the order of the source. May be nil.
	Finding func(convert.Finding)
	// Progress is told how far the conversion is. May be nil.
	Progress func(Progress)
}

// Convert converts every item of src and hands the results to write, in the
// source's order. A failed image is told to write too, with its error, and the
// others go on; write may fail an image itself by setting Err, and add findings.
// Its own error ends the conversion.
func Convert(ctx context.Context, src source.Source, o ConvertOptions, write func(*Converted) error) (ConvertSummary, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Encode == nil {
		o.Encode = func(*Converted) {}
	}
	if o.Finding == nil {
		o.Finding = func(convert.Finding) {}
	}
	progress := tracker{report: o.Progress}
	if o.Progress == nil {
		progress.report = func(Progress) {}
	}
	summary := ConvertSummary{Kinds: make(map[string]int)}
	progress.begin("converting", 0)
	for c, err := range convertItems(ctx, src, o) {
		if err != nil {
			return summary, err
		}
		summary.Images.Found++
		if err := write(c); err != nil {
			return summary, err
		}
		for _, f := range c.Result.Findings {
			summary.Findings++
			summary.Kinds[string(f.Kind)]++
			o.Finding(f)
		}
		if c.Err != nil {
			summary.Images.Failed++
			progress.add(1, 1)
			continue
		}
		summary.Images.Converted++
		summary.Annotations += c.count
		progress.add(1, 0)
	}
	return summary, nil
}

// A task of the pool is a handful of images: single ones are done sooner than a
// task is handed over. Results are taken in order, so that a slow image holds back
// at most the tasks ahead of it, and memory holds no more.
const (
	imagesATask  = 16
	tasksAWorker = 4
)

func convertItems(ctx context.Context, src source.Source, o ConvertOptions) iter.Seq2[*Converted, error] {
	return func(yield func(*Converted, error) bool) {
		pool := pond.NewResultPool[[]Converted](o.Workers)
		defer pool.StopAndWait()
		var ahead []pond.ResultTask[[]Converted]
		take := func() bool {
			images, err := ahead[0].Wait()
			ahead = ahead[1:]
			if err != nil {
				return yield(nil, err)
			}
			for i := range images {
				if !yield(&images[i], nil) {
					return false
				}
			}
			return true
		}
		gathered := make([]Converted, 0, imagesATask)
		submit := func() {
			images := gathered
			gathered = make([]Converted, 0, imagesATask)
			ahead = append(ahead, pool.Submit(func() []Converted {
				for i := range images {
					convertItem(ctx, src, &images[i], o)
				}
				return images
			}))
		}
		for item, err := range src.Items(ctx, "") {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if gathered = append(gathered, Converted{Item: item}); len(gathered) < imagesATask {
				continue
			}
			submit()
			if len(ahead) >= tasksAWorker*o.Workers && !take() {
				return
			}
		}
		if len(gathered) > 0 {
			submit()
		}
		for len(ahead) > 0 {
			if !take() {
				return
			}
		}
	}
}

func convertItem(ctx context.Context, src source.Source, c *Converted, o ConvertOptions) {
	defer func() {
		if p := recover(); p != nil {
			*c = Converted{Item: c.Item, Err: fmt.Errorf("convert %s: internal error: %v; please report it", c.Item.File, p)}
		}
	}()
	if c.Err = c.Item.Err; c.Err != nil {
		return
	}
	if c.Result, c.Err = src.Load(ctx, c.Item, convert.Size{}); c.Err != nil {
		return
	}
	c.count = len(c.Result.Annotations)
	if c.Err = refuse(c.Result, o.Strict); c.Err == nil {
		o.Encode(c)
	}
}

// refuse says why a result must not be taken as it is: an image whose every
// label was dropped is not an empty one.
func refuse(r convert.Result, strict bool) error {
	switch {
	case strict && len(r.Findings) > 0:
		return fmt.Errorf("%s (and --strict is set)", firstReason(r.Findings))
	case len(r.Annotations) == 0 && r.Dropped > 0:
		return fmt.Errorf("none of its %d labels could be taken: %s", r.Dropped, firstReason(r.Findings))
	}
	return nil
}
