package worker

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"testing"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/sandbox"
)

func pruning(o *Options) { o.Prune, o.Backup = true, BackupAuto }

// What left the source is cleared; what someone else made of such an image is
// not, whether the counts show it or only its contents.
func TestPrune(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("stays.jpg", "left.jpg", "counted.jpg", "edited.jpg", "foreign.jpg")
	b.done(b.labels("stays.jpg car", "left.jpg car car", "counted.jpg car", "edited.jpg car"))
	theirs := `{"annotations":[{"id":"x","name":"car","type":"bbox","bounding_box":{"x":7,"y":7,"w":7,"h":7}}]}`
	post(t, b, "/api/v1/developer/annotations/set/edited.jpg", theirs)
	post(t, b, "/api/v1/developer/annotations/set/foreign.jpg", theirs)
	post(t, b, "/api/v1/developer/annotations/set/counted.jpg", `{"annotations":[]}`)
	post(t, b, "/api/v1/developer/annotations/set/counted.jpg", strings.Replace(theirs, `[{`, `[{"id":"y","name":"car","type":"bbox","bounding_box":{"x":7,"y":7,"w":7,"h":7}},{`, 1))
	before := len(b.saves())

	s := b.done(b.labels("stays.jpg car"), pruning)
	expect(t, "pruned", b.saves()[before:], "left.jpg 2→0")
	if s.Images.Pruned != 1 || s.Images.Cleared != 1 || s.Images.Skipped != 2 {
		t.Errorf("the summary says %+v", s.Images)
	}
	if s := b.undo(s.Run); s.Images.Saved != 1 {
		t.Errorf("the undo says %+v", s.Images)
	}
	expect(t, "undone", b.saves()[before+1:], "left.jpg 0→2")
}

// A pruning run that is stopped is finished by the same call, and nothing is
// done twice.
func TestPruneResumes(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	var lines []string
	for i := range 30 {
		lines = append(lines, string(rune('a'+i%26))+strings.Repeat("x", i)+".jpg")
	}
	b.images(lines...)
	for i := range lines {
		lines[i] += " car"
	}
	b.done(b.labels(lines...))
	before := len(b.saves())
	stop := make(chan struct{})
	b.after = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/bulk") && stop != nil {
			close(stop)
			stop = nil
		}
	}
	small := func(o *Options) { o.BatchImages, o.Concurrency = 5, 1 }
	path := b.labels(lines[:20]...)
	if _, err := b.syncUntil(stop, path, pruning, small); err == nil {
		t.Fatal("the run was not stopped")
	}
	s := b.done(path, pruning, small)
	if n := len(b.saves()) - before; n != 10 || s.Images.Cleared != 10 {
		t.Errorf("%d images were cleared by the service, %+v says the summary", n, s.Images)
	}
}

// A manifest may name an image by the service's id under any name: the image of
// that name that left the source is another one.
func TestPruneTellsNamesFromImages(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	path := b.labels("a.jpg car", "b.jpg car car")
	first := b.done(path)
	src, err := formats.Open(context.Background(), b.labels("a.jpg car"), convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	renamed := relabelled{src, imageID(t, b, first.Run, "b.jpg")}
	before := len(b.saves())
	s, err := b.syncFrom(nil, Opened(renamed), path, pruning)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "done", b.saves()[before:], "b.jpg 2→1", "a.jpg 1→0")
	expect(t, "records", b.records(s.Run), "a.jpg overwrite saved 2→1", "a.jpg clear cleared 1→0")
}

// relabelled is a source whose only item is of an image with an id.
type relabelled struct {
	convert.Source
	id string
}

func (s relabelled) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		for item, err := range s.Source.Items(ctx, after) {
			item.ImageID = s.id
			if !yield(item, err) {
				return
			}
		}
	}
}
