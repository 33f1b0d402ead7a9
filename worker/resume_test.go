package worker

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pictosync/sandbox"
)

// edit replaces what an image has, as somebody does on the service.
func (b *bench) edit(image string, annotations int) {
	b.t.Helper()
	list := ""
	for i := range annotations {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprintf(`{"id":"mine-%d","name":"car","type":"bbox","bounding_box":{"x":50,"y":50,"w":9,"h":9}}`, i)
	}
	post(b.t, b, "/api/v1/developer/annotations/set/"+image, `{"annotations":[`+list+`]}`)
}

// A plan that was left half made is made anew, on what the images have now.
func TestAHalfMadePlanIsMadeAnew(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(2*chunkItems, "%05d.jpg")
	b.done(b.labels("00001.jpg car"), backUp)
	path := b.labels(lines...)
	broken := b.spy(path)
	broken.breaks = chunkItems + 10
	options := func(o *Options) { o.OnExisting, o.Backup = Fail, BackupAuto }
	if _, err := b.syncFrom(nil, Opened(broken), path, options); err == nil {
		t.Fatal("the source broke, and the run did not")
	}
	b.edit("00000.jpg", 5)
	theirs := b.content("00000.jpg")
	s, err := b.syncFrom(nil, Opened(b.spy(path)), path, options)
	if err != nil || s.Images.Saved != len(lines)-2 || s.Images.Failed != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if now := b.content("00000.jpg"); now != theirs {
		t.Errorf("the image has %s, and somebody gave it %s", now, theirs)
	}
}

// A run that was stopped and goes on leaves alone what somebody changed meanwhile on images
// that it saved or backed up: it keeps one backup of each.
func TestAResumedRunLeavesEditsAlone(t *testing.T) {
	for _, policy := range []Policy{Fail, Overwrite} {
		b := newBench(t, sandbox.Options{})
		b.cars(3, "%d.jpg")
		b.done(b.labels("0.jpg car", "1.jpg car", "2.jpg car"), backUp)
		options := func(o *Options) { o.Backup, o.OnDrift, o.BatchImages, o.Concurrency = BackupAuto, policy, 1, 1 }
		stop := make(chan struct{})
		first := sync.OnceFunc(func() { close(stop) })
		b.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				first()
			}
			return false
		}
		if _, err := b.syncUntil(stop, b.labels("0.jpg car car", "1.jpg car car", "2.jpg car car"), options); err == nil {
			t.Fatal("the run was not stopped")
		}
		b.before = nil
		b.edit("0.jpg", 2) // as many as the run saved
		theirs := b.content("0.jpg")
		s, err := b.sync(b.labels("0.jpg car car car", "1.jpg car car", "2.jpg car car"), options)
		if err != nil || s.Images.Failed != 1 || s.Images.Saved != 2 {
			t.Fatalf("%s: %+v, %v: %q", policy, s, err, b.records(s.Run))
		}
		if now := b.content("0.jpg"); now != theirs {
			t.Errorf("%s: the image has %s, and somebody gave it %s", policy, now, theirs)
		}
	}
}

// A batch that never arrived is not sent long after over what somebody did meanwhile.
func TestWhatWasInFlightLeavesEditsAlone(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.cars(3, "%d.jpg")
	b.done(b.labels("0.jpg car", "1.jpg car", "2.jpg car"), backUp)
	var gone atomic.Bool
	gone.Store(true)
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !gone.Load() {
			return false
		}
		panic(http.ErrAbortHandler) // the connection goes
	}
	labels := b.labels("0.jpg car car", "1.jpg car car", "2.jpg car car")
	if _, err := b.sync(labels, backUp, func(o *Options) { o.MaxOutage = time.Millisecond }); err == nil {
		t.Fatal("the service was gone, and the run ended well")
	}
	gone.Store(false)
	b.edit("1.jpg", 1) // as many as it had
	theirs := b.content("1.jpg")
	s, err := b.sync(labels, backUp, func(o *Options) {
		o.OnDrift = Fail
		o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	})
	if err != nil || s.Images.Failed != 1 || s.Images.Saved != 2 {
		t.Fatalf("%+v, %v: %q", s, err, b.records(s.Run))
	}
	if now := b.content("1.jpg"); now != theirs {
		t.Errorf("the image has %s, and somebody gave it %s", now, theirs)
	}
}
