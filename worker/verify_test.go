package worker

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"pictosync/sandbox"
)

// verify compares with a source as a process of its own would.
func (b *bench) verify(stop <-chan struct{}, path string, change ...func(*VerifyOptions)) (Summary, error) {
	b.t.Helper()
	c := b.connection()
	defer c.Client.CloseIdleConnections()
	o := VerifyOptions{Common: b.options(path, nil).Common}
	for _, change := range change {
		change(&o)
	}
	return Verify(context.Background(), stop, c, b.opened(path), o)
}

// verified verifies and wants no error.
func (b *bench) verified(path string, change ...func(*VerifyOptions)) Summary {
	b.t.Helper()
	s, err := b.verify(nil, path, change...)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// Every annotation is compared, not the counts alone.
func TestVerify(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("same.jpg", "changed.jpg", "less.jpg", "more.jpg", "other.jpg", "empty.jpg")
	labels := b.labels("same.jpg car truck", "changed.jpg car", "less.jpg car car", "more.jpg car", "other.jpg car", "empty.jpg", "nowhere.jpg car")
	b.done(labels)
	saves := len(b.saves())
	if s := b.verified(labels); s.Images.Unchanged != 6 || s.Images.Unmatched != 1 || s.Images.Failed != 0 {
		t.Errorf("right after the save: %+v\n%q", s.Images, b.records(s.Run))
	}
	if len(b.saves()) != saves {
		t.Error("a verification saved something")
	}
	const box = `{"id":"%d","name":"car","type":"bbox","bounding_box":{"x":%v,"y":1,"w":2,"h":3}}`
	post(t, b, "/api/v1/developer/annotations/set/changed.jpg", `{"annotations":[`+fmt.Sprintf(box, 0, 0.001)+`]}`)
	post(t, b, "/api/v1/developer/annotations/set/less.jpg", `{"annotations":[`+fmt.Sprintf(box, 1, 1)+`]}`)
	post(t, b, "/api/v1/developer/annotations/set/more.jpg", `{"annotations":[`+fmt.Sprintf(box, 7, 0)+`,`+fmt.Sprintf(box, 0, 0)+`]}`)
	post(t, b, "/api/v1/developer/annotations/set/other.jpg", `{"annotations":[`+fmt.Sprintf(box, 8, 0)+`]}`)
	s := b.verified(labels)
	expect(t, "differences", b.records(s.Run)[1:5],
		"changed.jpg drifted failed the dataset differs from the labels: to say the same, 0 annotations would be added, 0 removed, 1 changed (the first: ~ car 0,1 2×3 (by less than half a pixel))",
		"less.jpg drifted failed the dataset differs from the labels: to say the same, 1 annotation would be added, 0 removed, 0 changed (the first: + car 0,1 2×3)",
		"more.jpg drifted failed the dataset differs from the labels: to say the same, 0 annotations would be added, 1 removed, 0 changed (the first: - car 0,1 2×3)",
		"other.jpg drifted failed the dataset differs from the labels: its annotations say the same and have other ids")
	if s.Outcome != "failures" || s.Images.Failed != 4 || s.Images.Unchanged != 2 {
		t.Errorf("%+v", s)
	}
}

// A sample is the same images every time, about as many as asked for, and a
// verification that was stopped goes on where it was.
func TestVerifySampleAndResume(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	var images, lines []string
	for i := range 1000 {
		images = append(images, fmt.Sprintf("dir/%04d.jpg", i))
		lines = append(lines, images[i]+" car")
	}
	b.images(images...)
	labels := b.labels(lines...)
	b.done(labels)
	sample := func(o *VerifyOptions) { o.Sample = 0.1 }
	first := b.verified(labels, sample)
	if n := first.Images.Unchanged; n < 50 || n > 150 || first.Images.Skipped != 1000-n {
		t.Errorf("a tenth of 1000: %+v", first.Images)
	}
	if again := b.verified(labels, sample); fmt.Sprint(b.records(again.Run)) != fmt.Sprint(b.records(first.Run)) {
		t.Error("another sample")
	}

	var reads atomic.Int64
	stop := make(chan struct{})
	count := func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/annotations/") {
			if reads.Add(1) == 600 {
				close(stop)
			}
		}
	}
	b.after = count
	one := func(o *VerifyOptions) { o.Concurrency = 1 }
	s, err := b.verify(stop, labels, one)
	if err == nil || s.Outcome != "interrupted" {
		t.Fatalf("not stopped: %+v %v", s, err)
	}
	b.edit("dir/0000.jpg", 3) // was compared already
	s = b.verified(labels, one)
	if s.Images.Unchanged != 999 || s.Images.Failed != 1 || reads.Load() > 1000+chunkItems {
		t.Errorf("resumed: %+v after %d reads", s.Images, reads.Load())
	}

	// One of other images of the dataset does not go on where it was.
	reads.Store(0)
	stop = make(chan struct{})
	exact := func(o *VerifyOptions) { o.Concurrency, o.Match = 1, MatchExact }
	if s, err = b.verify(stop, labels, exact); err == nil || s.Outcome != "interrupted" {
		t.Fatalf("not stopped: %+v %v", s, err)
	}
	s = b.verified(labels, exact, func(o *VerifyOptions) { o.Into = "elsewhere" })
	if s.Images.Unmatched != 1000 {
		t.Errorf("another folder: %+v", s.Images)
	}
}
