package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pictosync/sandbox"
	"pictosync/store"
)

// yoloFolder writes label files, as "a.txt": lines.
func (b *bench) yoloFolder(files map[string]string) string {
	b.t.Helper()
	folder := b.t.TempDir()
	files["classes.txt"] = "car\ntruck\n"
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	return folder
}

// A plan says what a run would do, and writes nothing to the service.
func TestPlanWritesNothing(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	labels := b.labels("a.jpg car", "b.jpg car truck")
	s := b.plan(labels)
	expect(t, "saves", b.saves())
	expect(t, "plan", b.records(s.Run), "a.jpg new pending", "b.jpg new pending")
	if s.Outcome != string(store.Planned) || s.Requests != 2 {
		t.Errorf("%+v, want a plan in 2 requests", s)
	}
	d, _, err := b.server.EnsureDataset(t.Context(), "set")
	if err != nil || len(d.Classes) > 0 {
		t.Errorf("the plan created classes: %v %v", d.Classes, err)
	}
	if after := b.done(labels); after.Images.Saved != 2 || after.Run == s.Run {
		t.Errorf("the sync after the plan: %+v", after)
	}
}

// A kept plan is done as it is, or not at all.
func TestPlanIsDoneOrRefused(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	digest := func(labels string) string {
		s := b.plan(labels)
		run, err := b.store.FindRun(t.Context(), s.Run)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := b.store.PlanDigest(t.Context(), run.Dataset, s.Run)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	plan := digest(b.labels("a.jpg car", "b.jpg car"))
	for what, change := range map[string]func(){
		"another label": func() { b.labels("a.jpg car", "b.jpg car car") },
		"one more":      func() { b.labels("a.jpg car", "b.jpg car", "c.jpg car") },
		"one less":      func() { b.labels("a.jpg car") },
		"another order": func() { b.labels("b.jpg car", "a.jpg car") },
	} {
		change()
		_, err := b.sync(filepath.Join(b.dir, "labels.jsonl"), func(o *Options) { o.Expect = plan })
		if !errors.Is(err, ErrGuard) {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
	expect(t, "saves", b.saves())
	s := b.done(b.labels("a.jpg car", "b.jpg car"), func(o *Options) { o.Expect = plan })
	if s.Images.Saved != 2 {
		t.Errorf("the plan itself: %+v", s)
	}
	plan = digest(b.labels("a.jpg car car", "b.jpg car"))
	post(t, b, "/api/v1/developer/annotations/set/a.jpg", `{"annotations":[]}`)
	if _, err := b.sync(filepath.Join(b.dir, "labels.jsonl"), func(o *Options) { o.Expect = plan }); !errors.Is(err, ErrGuard) {
		t.Errorf("after someone else's change: %v, want a refusal", err)
	}
}

func TestMaxRemoved(t *testing.T) {
	for _, c := range []struct {
		limit string
		stops bool
	}{{"none", false}, {"3", false}, {"2", true}, {"0", true}, {"50%", false}, {"49.9%", true}, {"0%", true}, {"100%", false}, {"auto", false}} {
		b := newBench(t, sandbox.Options{})
		b.images("a.jpg", "b.jpg", "c.jpg")
		b.done(b.labels("a.jpg car car car", "b.jpg car car", "c.jpg car"))
		before := len(b.saves())
		limit, err := ParseLimit(c.limit)
		if err != nil {
			t.Fatal(err)
		}
		// 2 + 1 of 6 go; that b gains one does not make up for it.
		s, err := b.sync(b.labels("a.jpg car", "b.jpg car car truck", "c.jpg"), func(o *Options) { o.MaxRemoved = limit })
		if stopped := errors.Is(err, ErrGuard); stopped != c.stops || err != nil && !stopped {
			t.Errorf("--max-removed %s: %v, want a stop: %t", c.limit, err, c.stops)
		}
		if c.stops && (len(b.saves()) != before || s.Outcome != string(store.Refused) || !strings.Contains(err.Error(), "remove 3 of the dataset's 6")) {
			t.Errorf("--max-removed %s: %+v, %v, saves %v", c.limit, s, err, b.saves()[before:])
		}
	}
	for _, bad := range []string{"x", "-1", "101%", "NaN%", "%", "1.5"} {
		if _, err := ParseLimit(bad); err == nil {
			t.Errorf("--max-removed %s is taken", bad)
		}
	}
}

// Half of many is too much where nothing else is said.
func TestMaxRemovedAuto(t *testing.T) {
	limit, err := ParseLimit("auto")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		removed, of int
		stops       bool
	}{{1, 1, false}, {100, 100, false}, {101, 150, true}, {101, 202, false}, {102, 203, true}, {5000, 10_001, false}} {
		if got := limit.exceeds(c.removed, c.of); got != c.stops {
			t.Errorf("%d of %d: a stop is %t", c.removed, c.of, got)
		}
	}
}

// A source with less than half of what it had is most likely not what is meant.
func TestShrunkSource(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	var lines, images []string
	for i := range 20 {
		images = append(images, fmt.Sprintf("%d.jpg", i))
		lines = append(lines, images[i]+" car")
	}
	b.images(images...)
	b.done(b.labels(lines...))
	if _, err := b.sync(b.labels(lines[:9]...)); !errors.Is(err, ErrGuard) || !strings.Contains(err.Error(), "has 9 images, and had 20") {
		t.Errorf("9 of 20: %v", err)
	}
	// A refused run is no measure for the next.
	if _, err := b.sync(b.labels(lines[:8]...)); !errors.Is(err, ErrGuard) {
		t.Errorf("8 of 20: %v", err)
	}
	b.done(b.labels(lines[:10]...))
	b.done(b.labels(lines[:8]...), func(o *Options) { o.AllowShrink = true })
	// Nor is a small source safe from a disk that is not mounted.
	if _, err := b.sync(b.labels(lines[:2]...)); !errors.Is(err, ErrGuard) || !strings.Contains(err.Error(), "has 2 images, and had 8") {
		t.Errorf("2 of 8: %v", err)
	}
	b.done(b.labels(lines[:4]...))
	b.done(b.labels(lines[:1]...))
}

// A few images may be cleared whatever part of the dataset they are, unless they are most of it.
func TestPruneLimit(t *testing.T) {
	limit, err := ParsePruneLimit("10%")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pruned, images int
		stops          bool
	}{{1, 1, false}, {1, 2, false}, {2, 2, true}, {2, 3, false}, {3, 3, true}, {4, 8, false}, {6, 8, true}, {10, 30, false}, {11, 30, true}, {50, 1000, false}, {101, 1000, true}} {
		if got := limit.exceeds(c.pruned, c.images); got != c.stops {
			t.Errorf("%d of %d: %v", c.pruned, c.images, got)
		}
	}
}

func TestPolicies(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("ours.jpg", "drifted.jpg", "theirs.jpg", "empty.jpg")
	b.done(b.labels("ours.jpg car", "drifted.jpg car"))
	for _, image := range []string{"drifted.jpg", "theirs.jpg"} {
		post(t, b, "/api/v1/developer/annotations/set/"+image, `{"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1}},{"id":"2","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1}}]}`)
	}
	before := len(b.saves())
	labels := b.labels("ours.jpg car car", "drifted.jpg car car car", "theirs.jpg car", "empty.jpg car")
	s := b.done(labels, func(o *Options) { o.OnExisting, o.OnDrift = Fail, Skip })
	expect(t, "records", b.records(s.Run),
		"ours.jpg overwrite saved 1→2",
		"drifted.jpg drifted skipped someone else changed the image since our last save (1 annotations then, 2 now), and --on-drift is skip",
		"theirs.jpg overwrite failed the image has 2 annotations that are not ours, and --on-existing is fail",
		"empty.jpg new saved 0→1")
	if s.Images.Skipped != 1 || s.Images.Failed != 1 {
		t.Errorf("%+v", s.Images)
	}
	expect(t, "saves", b.saves()[before:], "ours.jpg 1→2", "empty.jpg 0→1")

	s = b.done(b.labels("ours.jpg truck", "empty.jpg car car"), func(o *Options) { o.UnknownClasses = Skip })
	expect(t, "records", b.records(s.Run),
		`ours.jpg overwrite skipped the dataset has no class "truck", and --unknown-classes is skip`,
		"empty.jpg overwrite saved 1→2")
}

// An empty label file may be an accident; an empty list that is written down is
// none.
func TestClearing(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	b.done(b.labels("a.jpg car", "b.jpg car"))
	folder := b.yoloFolder(map[string]string{"a.txt": "", "b.txt": "0 .5 .5 .5 .5\n0 .5 .5 .2 .2\n"})
	refuse := func(o *Options) { o.RefuseClear = true }
	s := b.done(folder, refuse)
	expect(t, "records", b.records(s.Run),
		"a clear failed its labels are empty and the image has 1 annotation; --allow-clear lets it be cleared",
		"b overwrite saved 1→2")
	s = b.done(folder)
	expect(t, "allowed", b.records(s.Run), "a clear cleared 1→0", "b unchanged unchanged")
	b.done(b.labels("a.jpg car"))
	s = b.done(b.labels("a.jpg"), refuse)
	expect(t, "written down", b.records(s.Run), "a.jpg clear cleared 1→0")
}
