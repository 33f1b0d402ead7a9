package conversion_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/internal/progress"
)

// numbered is a source of images 0, 1, 2 and so on.
type numbered struct {
	convert.Source
	count  int
	loaded atomic.Int64 // of images, those that are being loaded included
	load   func(ctx context.Context, image string, n int64) error
}

func (s *numbered) Items(context.Context, string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		for i := range s.count {
			if !yield(convert.Item{Image: strconv.Itoa(i)}, nil) {
				return
			}
		}
	}
}

func (s *numbered) Load(ctx context.Context, item convert.Item, _ convert.Size) (convert.Result, error) {
	n := s.loaded.Add(1)
	if s.load == nil {
		return convert.Result{}, nil
	}
	return convert.Result{}, s.load(ctx, item.Image, n)
}

// lines is an output of the images' names. Its fields have no lock of their own:
// the race detector sees whether two calls are made at once.
type lines struct {
	text    strings.Builder
	written int
	fails   map[int]error // the n-th image
}

func (l *lines) Encode(dst []byte, c *convert.Converted) []byte {
	return append(append(dst, c.Item.Image...), '\n')
}

func (l *lines) WriteEncoded(encoded []byte) error {
	l.text.Write(encoded)
	return nil
}

func (l *lines) Write(*convert.Converted) error {
	l.written++
	return l.fails[l.written]
}

func (*lines) Written() convert.Written { return convert.Written{} }
func (*lines) Close() error             { return nil }
func (*lines) Abort()                   {}

// noted is told of images and has nothing to do.
func noted(*conversion.Image) error { return nil }

func TestConvertKeepsTheOrderOfTheSource(t *testing.T) {
	const images = 5000
	var want strings.Builder
	for i := range images {
		fmt.Fprintln(&want, i)
	}
	// The first image is loaded last of as many as may be on their way.
	src := &numbered{count: images}
	others := make(chan struct{})
	var once sync.Once
	src.load = func(_ context.Context, image string, n int64) error {
		if image == "0" {
			<-others
		} else if n >= 50 {
			once.Do(func() { close(others) })
		}
		return nil
	}
	out := &lines{}
	var done int
	summary, err := conversion.Run(context.Background(), src,
		conversion.Options{Workers: 4, Sink: out, Progress: func(p progress.Progress) { done = p.Done }}, noted)
	if err != nil || summary.Images.Converted != images || out.written != images || done != images {
		t.Fatalf("%+v, %v, %d written, %d told", summary.Images, err, out.written, done)
	}
	if out.text.String() != want.String() {
		t.Errorf("not in order: %.200s", out.text.String())
	}
}

func TestConvertGoesNoFartherThanWhatIsDue(t *testing.T) {
	const images, most = 100_000, 1000
	src := &numbered{count: images}
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stopped from outside")
	some := make(chan struct{})
	var once sync.Once
	src.load = func(ctx context.Context, image string, n int64) error {
		if image == "0" {
			<-ctx.Done() // a label on a disk that does not answer
		} else if n >= 200 {
			once.Do(func() { close(some) })
		}
		return nil
	}
	out := &lines{}
	go func() { // the walk stands still when as many as may be are on their way
		<-some
		for last := int64(0); last != src.loaded.Load() && last <= most; {
			last = src.loaded.Load()
			for range 100_000 {
				if runtime.Gosched(); src.loaded.Load() != last {
					break
				}
			}
		}
		cancel(stop)
	}()
	summary, err := conversion.Run(ctx, src, conversion.Options{Workers: 4, Sink: out}, noted)
	if !errors.Is(err, stop) {
		t.Errorf("%v; who stops it is told why", err)
	}
	if n := src.loaded.Load(); n > most {
		t.Errorf("%d images are held behind one that waits", n)
	}
	if summary.Images.Found != 0 || out.text.Len() > 0 || out.written > 0 {
		t.Errorf("%+v; an image was passed over", summary.Images)
	}
}

func TestConvertEndsWithTheErrorOfTheOutput(t *testing.T) {
	full := errors.New("no space left")
	src := &numbered{count: 10_000}
	out := &lines{fails: map[int]error{100: full}}
	summary, err := conversion.Run(context.Background(), src, conversion.Options{Workers: 4, Sink: out}, noted)
	if !errors.Is(err, full) || summary.Images.Converted != 99 || out.written != 100 {
		t.Errorf("%v, %+v, %d written", err, summary.Images, out.written)
	}
	if src.loaded.Load() == 10_000 {
		t.Error("all was converted though nothing could be written")
	}
}

func TestConvertFailsAnImageThatBreaksTheConverter(t *testing.T) {
	src := &numbered{count: 100, load: func(_ context.Context, image string, _ int64) error {
		if image == "30" {
			panic("a mistake")
		}
		return nil
	}}
	out := &lines{}
	var failed []string
	summary, err := conversion.Run(context.Background(), src, conversion.Options{Sink: out}, func(c *conversion.Image) error {
		if c.Err != nil {
			failed = append(failed, c.Err.Error())
		}
		return nil
	})
	if err != nil || summary.Images.Converted != 99 || len(failed) != 1 || !strings.Contains(failed[0], "a mistake") {
		t.Errorf("%+v, %v, %q", summary.Images, err, failed)
	}
	if strings.Contains(out.text.String(), "30\n") || strings.Count(out.text.String(), "\n") != 99 {
		t.Errorf("%q", out.text.String())
	}
}
