package worker

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pictosync/dataset"
	"pictosync/sandbox"
	"pictosync/store"
)

// byExport reads by exports, looking at them early.
func byExport(o *Options) {
	keeping(o)
	o.ReadBy, o.PollPause = dataset.ReadAuto, time.Microsecond
}

// mostChecks is how many images are read beside an export at most, to see whether it tells
// the truth: three, and three drawn by lot, of which it is one in ten thousand to be more than
// these.
const mostChecks = 15

// requests are those that the service was sent, as "METHOD PATH", without what each run asks
// for first.
type requests struct {
	mu  sync.Mutex
	all []string
}

func (r *requests) see(_ http.ResponseWriter, q *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, q.Method+" "+strings.TrimPrefix(q.URL.Path, "/api/v1/developer/"))
	return false
}

// count is how many began with a prefix.
func (r *requests) count(prefix string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.all {
		if strings.HasPrefix(q, prefix) {
			n++
		}
	}
	return n
}

func (r *requests) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = nil
}

// theirs gives images annotations as somebody else, of which one in three have two; a second
// time over with another place for each.
func (b *bench) theirs(n, version int) (lines []string) {
	b.t.Helper()
	if version == 0 {
		lines = b.cars(n, "d/%03d.jpg")
		b.done(b.labels("d/000.jpg car")) // makes the class
	}
	for i := range n {
		boxes := []string{fmt.Sprintf(`{"id":"their-%d","name":"car","type":"bbox","bounding_box":{"x":%d,"y":%d,"w":2,"h":3}}`, i, i%50, version)}
		if i%3 == 0 {
			boxes = append(boxes, fmt.Sprintf(`{"id":"second","name":"car","type":"bbox","bounding_box":{"x":1,"y":%d,"w":2,"h":3}}`, 1+version))
		}
		post(b.t, b, fmt.Sprintf("/api/v1/developer/annotations/set/d/%03d.jpg", i), `{"annotations":[`+strings.Join(boxes, ",")+`]}`)
	}
	return lines
}

func (b *bench) contents(n int) (all []string) {
	b.t.Helper()
	for i := range n {
		all = append(all, b.content(fmt.Sprintf("d/%03d.jpg", i)))
	}
	return all
}

// nothingLeft checks that no export and no reading is left, here or in the service.
func (b *bench) nothingLeft() {
	b.t.Helper()
	known, err := b.store.Exports(b.t.Context(), store.Dataset{})
	if err != nil || len(known) > 0 {
		b.t.Errorf("exports on record: %+v, %v", known, err)
	}
	if files, _ := filepath.Glob(filepath.Join(b.dir, "state.db.export-*")); len(files) > 0 {
		b.t.Errorf("left beside the state: %q", files)
	}
	if leaked := b.server.Stats().KeysLeaked; leaked > 0 {
		b.t.Errorf("the storage was shown the key %d times", leaked)
	}
}

// What images have is backed up by one export, whatever their number, and an undo brings
// it back; a few are read beside it to see whether it tells the truth.
func TestBackupByExport(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.theirs(60, 0)
	before := b.contents(60)
	for i := range lines {
		lines[i] += " car"
	}
	var r requests
	b.before = r.see
	s := b.done(b.labels(lines...), byExport, func(o *Options) { o.OnDrift = Overwrite })
	if s.Images.Saved != 60 || s.Images.Failed != 0 || len(s.Notes) > 0 {
		t.Errorf("%+v", s)
	}
	if exports, reads := r.count("POST exports/"), r.count("GET annotations/"); exports != 1 || reads > mostChecks || s.Requests > mostChecks+8 {
		t.Errorf("%d exports, %d reads, %d requests:\n%s", exports, reads, s.Requests, strings.Join(r.all, "\n"))
	}
	if r.count("DELETE exports/") != 1 {
		t.Error("the export was not deleted")
	}
	b.nothingLeft()
	r.forget()
	undone := b.undo(s.Run, byExport)
	if undone.Images.Saved != 60 || undone.Requests > mostChecks+8 || r.count("POST exports/") != 1 {
		t.Errorf("the undo: %d requests, %+v", undone.Requests, undone)
	}
	b.before = nil
	expect(t, "after the undo", b.contents(60), before...)
	b.nothingLeft()
}

// However exports fail or lie, images are backed up as they are, and the run says why it
// read them one by one.
func TestExportsThatFailOrLie(t *testing.T) {
	for fault, why := range map[string]string{
		"":                        "",
		"export-404=1":            "the service has none (404)",
		"export-402=1":            "the plan or its credit allows none (402)",
		"export-403=1":            "the API key's role may make none (403)",
		"export-failed=1":         "the service could not make it",
		"export-truncated=1":      "not a valid zip file",
		"export-corrupt=1":        "",
		"export-bomb=1":           "1 of its files could not be read",
		"export-many=1":           "it holds more than 10160 files",
		"export-names=1":          "",
		"export-missing=0.3":      "",
		"export-count=0.3":        "",
		"export-stale=1":          "it is not what the images have",
		"build-delay=1h":          "it was not ready after",
		"download-expired=1":      "the storage answered 403",
		"download-failed=1":       "the storage answered 503",
		"download-cut=1":          "cut short",
		"download-cut=0.5,seed=3": "",
		"no-limit-headers=1,lost-answer=0.1,truncate=0.1,5xx=0.1": "",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			faults, err := sandbox.ParseFaults(fault)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, sandbox.Options{})
			lines := b.theirs(40, 0)
			if err := b.server.Close(); err != nil {
				t.Fatal(err)
			}
			reopen := func(f sandbox.Faults) {
				t.Helper()
				if b.server, err = sandbox.Open(filepath.Join(b.dir, "sandbox.db"), sandbox.Options{Faults: f}); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(fault, "stale") { // it remembers what is saved while it is on
				reopen(faults)
				b.theirs(40, 1)
				b.theirs(40, 2)
			} else {
				reopen(sandbox.Faults{})
			}
			before := b.contents(40)
			if !strings.Contains(fault, "stale") {
				b.server.Close()
				reopen(faults)
			}
			for i := range lines {
				lines[i] += " car"
			}
			s := b.done(b.labels(lines...), byExport, func(o *Options) { o.MaxOutage, o.OnDrift = 300*time.Millisecond, Overwrite })
			if s.Images.Saved != 40 || s.Images.Failed != 0 {
				t.Errorf("%+v\n%s", s, strings.Join(b.records(s.Run), "\n"))
			}
			notes := strings.Join(s.Notes, "\n")
			if why != "" && !strings.Contains(notes, why) || why == "" && fault != "export-corrupt=1" && fault != "export-names=1" && !strings.Contains(fault, "5xx") && notes != "" {
				t.Errorf("the notes are %q, want %q", notes, why)
			}
			b.nothingLeft()
			b.server.Close()
			reopen(sandbox.Faults{})
			b.undo(s.Run, keeping)
			expect(t, "after the undo", b.contents(40), before...)
		})
	}
}

// An edit by others that keeps the count is found by what the images have, also where it is
// another state that saved; what is as the labels say is no drift.
func TestEditsThatKeepTheCount(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(40, "%02d.jpg")
	labels := b.labels(lines...)
	b.done(labels)
	var r requests
	b.before = r.see
	s := b.done(labels, byExport)
	if s.Images.Unchanged != 40 || r.count("GET annotations/") > mostChecks || s.Requests > mostChecks+8 {
		t.Errorf("a night without changes: %d requests, %+v", s.Requests, s.Images)
	}
	post(t, b, "/api/v1/developer/annotations/set/07.jpg", `{"annotations":[{"id":"0","name":"car","type":"bbox","bounding_box":{"x":9,"y":1,"w":2,"h":3}}]}`)
	if s = b.done(labels, keeping); s.Images.Unchanged != 40 {
		t.Errorf("by the counts: %+v", s.Images)
	}
	s = b.done(labels, byExport, func(o *Options) { o.OnDrift = Fail })
	if s.Images.Unchanged != 39 || s.Images.Failed != 1 || !slices.Contains(b.records(s.Run), "07.jpg drifted failed someone else changed the image since our last save (1 annotations then, 1 now), and --on-drift is fail") {
		t.Errorf("by an export: %+v\n%s", s.Images, strings.Join(b.records(s.Run), "\n"))
	}
	s = b.done(labels, byExport, func(o *Options) { o.OnDrift = Overwrite })
	if s.Images.Unchanged != 39 || s.Images.Saved != 1 {
		t.Errorf("overwritten: %+v", s.Images)
	}
	if s = b.done(labels, byExport); s.Images.Unchanged != 40 {
		t.Errorf("after that: %+v", s.Images)
	}

	// Another state saves other labels of as many annotations, and then the same.
	mine := b.store
	other, err := store.Open(t.Context(), filepath.Join(b.dir, "other.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i, line := range lines {
		lines[i] = strings.Replace(line, " car", " truck", 1)
	}
	b.store = other
	b.done(b.labels(lines...))
	b.store = mine
	for i, line := range lines {
		lines[i] = strings.Replace(line, " truck", " car", 1)
	}
	s = b.done(b.labels(lines...), byExport, func(o *Options) { o.OnDrift = Skip })
	if s.Images.Skipped != 40 || s.Requests > mostChecks+8 {
		t.Errorf("after another state saved: %d requests, %+v", s.Requests, s.Images)
	}
	for i, line := range lines {
		lines[i] = strings.Replace(line, " car", " truck", 1)
	}
	s = b.done(b.labels(lines...), byExport, func(o *Options) { o.OnDrift = Fail })
	if s.Images.Unchanged != 40 {
		t.Errorf("what another state saved is what the labels say: %+v", s.Images)
	}
	b.nothingLeft()
}

// A verification by an export finds what one image by image finds, and an export that lies
// makes no difference.
func TestVerifyByExport(t *testing.T) {
	for _, fault := range []string{"", "export-stale=1", "export-missing=0.2", "export-count=0.2", "export-404=1"} {
		faults, err := sandbox.ParseFaults(fault)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, sandbox.Options{Faults: faults})
		lines := b.cars(40, "%02d.jpg")
		labels := b.labels(lines...)
		b.done(labels)
		for _, image := range []string{"07.jpg", "11.jpg"} {
			post(t, b, "/api/v1/developer/annotations/set/"+image, `{"annotations":[{"id":"0","name":"car","type":"bbox","bounding_box":{"x":9,"y":1,"w":2,"h":3}}]}`)
		}
		post(t, b, "/api/v1/developer/annotations/set/07.jpg", `{"annotations":[{"id":"0","name":"car","type":"bbox","bounding_box":{"x":0,"y":1,"w":2,"h":3}}]}`)
		var r requests
		b.before = r.see
		s := b.verified(labels, func(o *VerifyOptions) { o.ReadBy, o.PollPause, o.Holder = dataset.ReadAuto, time.Microsecond, "verify" })
		if s.Images.Unchanged != 39 || s.Images.Failed != 1 {
			t.Errorf("%s: %+v\n%s", fault, s.Images, strings.Join(b.records(s.Run), "\n"))
		}
		if reads := r.count("GET annotations/"); fault == "" && (reads > mostChecks || s.Requests > mostChecks+8) {
			t.Errorf("%d reads, %d requests", reads, s.Requests)
		}
		b.nothingLeft()
	}
}

// Somebody who saves between the export and the save is noticed by the count that the save
// replaced.
func TestEditsAfterTheExport(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.theirs(30, 0)
	for i := range lines {
		lines[i] += " car"
	}
	var once sync.Once
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk") {
			once.Do(func() {
				post(t, b, "/api/v1/developer/annotations/set/d/007.jpg", `{"annotations":[]}`)
			})
		}
		return false
	}
	s := b.done(b.labels(lines...), byExport, func(o *Options) { o.OnDrift = Overwrite })
	if s.Images.Edited != 1 || s.Images.Saved != 30 {
		t.Errorf("%+v", s)
	}
}

// A key that may not delete exports leaves them to expire, and reads by them all the same.
func TestExportsByAMember(t *testing.T) {
	b := newBench(t, sandbox.Options{Keys: map[string]sandbox.Role{"key": sandbox.Member, "another": sandbox.Owner}})
	b.images("a.jpg")
	lines := b.cars(30, "%02d.jpg")
	post(t, b, "/api/v1/developer/annotations/set/a.jpg", `{"annotations":[]}`)
	labels := b.labels(lines...)
	b.done(labels)
	if s := b.done(labels, byExport); s.Images.Unchanged != 30 || s.Requests > mostChecks+8 || len(s.Notes) > 0 {
		t.Errorf("%+v", s)
	}
	b.nothingLeft()
}

// Classes that an undone run added are looked for by an export.
func TestUnusedClassesByExport(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(30, "%02d.jpg")
	b.done(b.labels(lines...))
	for i := range lines {
		lines[i] += " bus"
	}
	s := b.done(b.labels(lines...), byExport, func(o *Options) { o.OnDrift = Overwrite })
	record, err := b.store.FindRun(t.Context(), s.Run)
	if err != nil {
		t.Fatal(err)
	}
	c := b.connection()
	defer c.Client.CloseIdleConnections()
	o := UndoOptions{Options: b.options("", []func(*Options){byExport}).Options, Backup: BackupAuto, RemoveClasses: true}
	undone, err := Undo(t.Context(), nil, c, record, o)
	if err != nil || undone.Images.Saved != 30 || len(undone.StillThere) > 0 || undone.Requests > 2*mostChecks+16 {
		t.Errorf("%v, %+v", err, undone)
	}
	b.nothingLeft()
}
