package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/dataset"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/sandbox"
	"pictosync/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a state, a sandbox and the service that it is, in a folder.
type bench struct {
	t      *testing.T
	dir    string
	server *sandbox.Server
	http   *httptest.Server
	store  *store.Store

	// before and after see every request that reaches the service, around its
	// being served; before may answer in its place by returning true.
	before func(w http.ResponseWriter, r *http.Request) bool
	after  func(r *http.Request)
	// dial makes the connections of the client; nil is the ordinary way.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func newBench(t *testing.T, o sandbox.Options) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	var err error
	if b.server, err = sandbox.Open(filepath.Join(b.dir, "sandbox.db"), o); err != nil {
		t.Fatal(err)
	}
	b.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.before != nil && b.before(w, r) {
			return
		}
		b.server.ServeHTTP(w, r)
		if b.after != nil {
			b.after(r)
		}
	}))
	if b.store, err = store.Open(context.Background(), filepath.Join(b.dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.http.Close()
		if err := errors.Join(b.store.Close(), b.server.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := b.server.EnsureDataset(context.Background(), "set"); err != nil {
		t.Fatal(err)
	}
	return b
}

// images adds images to the dataset.
func (b *bench) images(paths ...string) {
	b.t.Helper()
	var images []sandbox.NewImage
	for _, p := range paths {
		images = append(images, sandbox.NewImage{Path: p, Width: 100, Height: 100})
	}
	if _, err := b.server.AddImages(context.Background(), "set", images); err != nil {
		b.t.Fatal(err)
	}
}

// cars adds images of a format of names to the dataset, and returns lines for labels of
// one car each.
func (b *bench) cars(n int, format string) (lines []string) {
	b.t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
		lines = append(lines, names[i]+" car")
	}
	b.images(names...)
	return lines
}

// labels writes canonical lines, as "a.jpg car car truck".
func (b *bench) labels(lines ...string) string {
	b.t.Helper()
	var out bytes.Buffer
	for _, line := range lines {
		words := strings.Fields(line)
		annotations := []map[string]any{}
		for i, name := range words[1:] {
			annotations = append(annotations, map[string]any{"id": fmt.Sprint(i), "name": name, "type": "bbox", "bounding_box": map[string]any{"x": i, "y": 1, "w": 2, "h": 3}})
		}
		data, err := json.Marshal(map[string]any{"image": words[0], "width": 100, "height": 100, "annotations": annotations})
		if err != nil {
			b.t.Fatal(err)
		}
		out.Write(append(data, '\n'))
	}
	path := filepath.Join(b.dir, "labels.jsonl")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// sync runs a sync of a source as a process of its own would.
func (b *bench) sync(path string, change ...func(*Options)) (Summary, error) {
	b.t.Helper()
	return b.syncUntil(nil, path, change...)
}

func (b *bench) syncUntil(stop <-chan struct{}, path string, change ...func(*Options)) (Summary, error) {
	b.t.Helper()
	return b.syncFrom(stop, b.opened(path), path, change...)
}

func (b *bench) syncFrom(stop <-chan struct{}, open Opener, path string, change ...func(*Options)) (Summary, error) {
	b.t.Helper()
	c := b.connection()
	defer c.Client.CloseIdleConnections()
	return Sync(context.Background(), stop, c, open, b.options(path, change))
}

func (b *bench) connection() Connection {
	client, pacer := b.client()
	return Connection{Client: client, Store: b.store, Pacer: pacer}
}

// opened is a source that is open.
func (b *bench) opened(path string) Opener {
	b.t.Helper()
	src, err := formats.Open(context.Background(), path, convert.OpenOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return Opened(src)
}

// plan plans a sync of a source as a process of its own would.
func (b *bench) plan(path string, change ...func(*Options)) Summary {
	b.t.Helper()
	c := b.connection()
	defer c.Client.CloseIdleConnections()
	s, err := Plan(context.Background(), nil, c, b.opened(path), b.options(path, change))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// client is that of a new process.
func (b *bench) client() (*pictograph.Client, *quota.Pacer) {
	b.t.Helper()
	pacer, err := quota.NewPacer(context.Background(), quota.Quota{}, "key", b.store, time.Now)
	if err != nil {
		b.t.Fatal(err)
	}
	client, err := pictograph.New(pictograph.Config{BaseURL: b.http.URL, APIKey: "key", Pacer: pacer,
		Transport:   &http.Transport{DialContext: b.dial, DisableKeepAlives: b.dial != nil},
		BackoffBase: time.Millisecond, BackoffCap: time.Millisecond, MaxRetries: 3})
	if err != nil {
		b.t.Fatal(err)
	}
	return client, pacer
}

func (b *bench) options(path string, change []func(*Options)) Options {
	o := Options{Common: Common{Source: path, Options: dataset.Options{Dataset: "set", Service: "test", Log: zerolog.Nop(), OutagePause: time.Millisecond, MaxOutage: time.Minute}}}
	for _, c := range change {
		c(&o)
	}
	return o
}

// done syncs and wants no error.
func (b *bench) done(path string, change ...func(*Options)) Summary {
	b.t.Helper()
	s, err := b.sync(path, change...)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// saves lists what the service executed, as "path previous→new".
func (b *bench) saves() (out []string) {
	b.t.Helper()
	for e, err := range b.server.Audit(context.Background()) {
		if err != nil {
			b.t.Fatal(err)
		}
		if e.Kind == "save" || e.Kind == "bulk" {
			out = append(out, fmt.Sprintf("%s %d→%d", e.ImagePath, e.PreviousCount, e.NewCount))
		}
	}
	return out
}

// records lists what the state says of a run, as "image plan outcome reason".
func (b *bench) records(run string) (out []string) {
	b.t.Helper()
	for r, err := range b.store.Records(context.Background(), run, "") {
		if err != nil {
			b.t.Fatal(err)
		}
		counts := ""
		if r.Previous != nil {
			counts = fmt.Sprintf(" %d→%d", *r.Previous, *r.New)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s%s %s", r.Image, r.Plan, r.Outcome, counts, r.Reason)))
	}
	return out
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestPlanAndSave(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("new.jpg", "empty.jpg", "theirs.jpg", "cleared.jpg", "untold.jpg")
	b.done(b.labels("theirs.jpg car", "cleared.jpg car car", "untold.jpg car"))
	b.store.Close() // a state that knows nothing of it
	var err error
	if b.store, err = store.Open(context.Background(), filepath.Join(b.dir, "other.db")); err != nil {
		t.Fatal(err)
	}

	s := b.done(b.labels("new.jpg car truck", "empty.jpg", "theirs.jpg car car", "cleared.jpg", "nowhere.jpg car"))
	want := ImageCounts{Found: 5, Matched: 4, Saved: 2, Unchanged: 1, Cleared: 1, Unmatched: 1, Unlabelled: 1}
	if s.Images != want || s.Annotations != (AnnotationCounts{Previous: 3, New: 4}) || s.Outcome != "failures" {
		t.Errorf("summary %+v, want images %+v", s, want)
	}
	expect(t, "records", b.records(s.Run),
		"new.jpg new saved 0→2",
		"empty.jpg unchanged unchanged",
		"theirs.jpg overwrite saved 1→2",
		"cleared.jpg clear cleared 2→0",
		"nowhere.jpg unmatched unmatched the dataset has no image of this name")
	expect(t, "saves", b.saves()[3:], "new.jpg 0→2", "theirs.jpg 1→2", "cleared.jpg 2→0")

	again := b.done(b.labels("new.jpg car truck", "empty.jpg", "theirs.jpg car car", "cleared.jpg"))
	if again.Images.Unchanged != 4 || again.Images.Saved != 0 || again.Requests != 2 {
		t.Errorf("second run: %+v, want everything unchanged in 2 requests", again)
	}
	if len(b.saves()) != 6 {
		t.Errorf("second run saved something: %q", b.saves()[6:])
	}
}

func TestDriftIsSeenAndOverwritten(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	labels := b.labels("a.jpg car")
	b.done(labels)
	post(t, b, "/api/v1/developer/annotations/set/a.jpg", `{"annotations":[]}`)
	s := b.done(labels)
	expect(t, "records", b.records(s.Run), "a.jpg drifted saved 0→1")
}

// post writes to the service as somebody else.
func post(t *testing.T, b *bench, path, body string) {
	t.Helper()
	request, err := http.NewRequest("POST", b.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "another")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if answer.StatusCode != 200 {
		t.Fatalf("POST %s: %s", path, answer.Status)
	}
}

func TestMatchingNeverGuesses(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("train/a.jpg", "val/a.jpg", "val/b.jpg", "c.jpg")
	s := b.done(b.labels("train/a.jpg car", "other/a.jpg car", "b.jpg car", "x/c.jpg car", "y/c.jpg car truck"))
	expect(t, "records", b.records(s.Run),
		"train/a.jpg new saved 0→1",
		"other/a.jpg ambiguous failed more than one image of the dataset fits other/a.jpg: train/a.jpg, val/a.jpg; name the label after one of them, or use --rename",
		"b.jpg new saved 0→1",
		"x/c.jpg ambiguous failed y/c.jpg names the same image of the dataset (c.jpg); leave one label for it",
		"y/c.jpg ambiguous failed x/c.jpg names the same image of the dataset (c.jpg); leave one label for it")
	expect(t, "saves", b.saves(), "train/a.jpg 0→1", "val/b.jpg 0→1")
}

func TestClassesAreCreatedOnlyWhenAllowed(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	labels := b.labels("a.jpg car", "b.jpg")
	s := b.done(labels, func(o *Options) { o.UnknownClasses = Fail })
	expect(t, "records", b.records(s.Run),
		`a.jpg failed failed the dataset has no class "car"; create it, or say --unknown-classes create`,
		"b.jpg unchanged unchanged")
	if len(b.saves()) != 0 {
		t.Errorf("saved %q", b.saves())
	}
	if s = b.done(labels); s.Images.Saved != 1 {
		t.Errorf("with classes created: %+v", s)
	}
}

// A bulk save that the service refuses as a whole is split until the bad image
// stands alone.
func TestARefusedBatchIsSplit(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(10, "%d.jpg")
	lines[6] = "6.jpg poison"
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/bulk") {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte("poison")) {
			return false
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		io.WriteString(w, `{"error":{"code":"validation_error","message":"poison is not wanted"}}`)
		return true
	}
	s := b.done(b.labels(lines...))
	if s.Images.Saved != 9 || s.Images.Failed != 1 {
		t.Errorf("summary %+v, want 9 saved and 1 failed", s)
	}
	for _, r := range b.records(s.Run) {
		if strings.HasPrefix(r, "6.jpg") != strings.Contains(r, "poison is not wanted") {
			t.Errorf("record %q", r)
		}
	}
	if len(b.saves()) != 9 {
		t.Errorf("saves %q", b.saves())
	}
}

// An image that is gone by the time it is saved fails alone.
func TestAnImageDeletedMeanwhileFailsAlone(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	var once sync.Once
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk") {
			once.Do(func() {
				request := httptest.NewRequest("DELETE", "/api/v1/developer/images/set/a.jpg?permanent=true", nil)
				request.Header.Set("X-API-Key", "another")
				w := httptest.NewRecorder()
				b.server.ServeHTTP(w, request)
				if w.Code >= 300 {
					t.Errorf("delete: %d %s", w.Code, w.Body)
				}
			})
		}
		return false
	}
	s := b.done(b.labels("a.jpg car", "b.jpg car"))
	if s.Images.Saved != 1 || s.Images.Failed != 1 {
		t.Errorf("summary %+v, want 1 saved and 1 failed", s)
	}
}

// Labels that change between plan and save are planned again: what is saved is
// what the file says then, and what the state remembers is what was saved.
func TestLabelsThatChangeDuringTheRun(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	dir := filepath.Join(b.dir, "yolo")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.images("a.jpg", "b.jpg", "c.jpg")
	write("classes.txt", "car\ntruck\n")
	for _, name := range []string{"a.txt", "b.txt", "c.txt"} {
		write(name, "0 0.5 0.5 0.1 0.1\n")
	}
	var once sync.Once
	s := b.done(dir, func(o *Options) {
		o.Progress = func(p progress.Progress) {
			if p.Phase == "saving" { // planned, and nothing saved
				once.Do(func() {
					write("a.txt", "0 0.5 0.5 0.1 0.1\n0 0.2 0.2 0.1 0.1\n")
					write("b.txt", "1 0.5 0.5 0.1 0.1\n")
					os.Remove(filepath.Join(dir, "c.txt"))
				})
			}
		}
	})
	records := b.records(s.Run)
	if len(records) != 3 || records[0] != "a new saved 0→2" || !strings.Contains(records[1], `now use class "truck"; run again`) || !strings.Contains(records[2], "not any more") {
		t.Errorf("records %q", records)
	}
	s = b.done(dir)
	expect(t, "next run", b.records(s.Run), "a unchanged unchanged", "b new saved 0→1")
}

// What an image would lose fails it, unless that kind is accepted; --strict accepts no
// change either.
func TestAccepted(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	dir := filepath.Join(b.dir, "yolo")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"classes.txt": "car\n", "a.txt": "0 0.5 0.5 0.1 0.1\n", "b.txt": "0 0.5 0.5 0.1 0.1\n9 0.5 0.5 0.1 0.1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := b.done(dir)
	if s.Images.Saved != 1 || s.Images.Failed != 1 || s.Findings != 1 {
		t.Errorf("nothing accepted: %+v", s)
	}
	if want := (conversion.Accounts{Read: convert.Count{Images: 2, Annotations: 3}, Taken: convert.Count{Images: 1, Annotations: 1}, LeftOut: convert.Count{Images: 1, Annotations: 2}}); s.Accounts != want {
		t.Errorf("accounts %+v, want %+v", s.Accounts, want)
	}
	s = b.done(dir, func(o *Options) { o.Accepted.Kinds = map[convert.Kind]bool{convert.KindRing: true} })
	if s.Images.Failed != 1 {
		t.Errorf("another kind accepted: %+v", s)
	}
	s = b.done(dir, func(o *Options) { o.Accepted.Kinds = map[convert.Kind]bool{convert.KindUnknownClass: true} })
	if s.Images.Saved != 1 || s.Images.Unchanged != 1 || s.Images.Failed != 0 || s.Findings != 1 {
		t.Errorf("the kind accepted: %+v", s)
	}
	if want := (convert.Count{Images: 2, Annotations: 2}); s.Accounts.Taken != want || s.Accounts.LeftOut.Annotations != 1 {
		t.Errorf("accounts %+v, want %+v taken", s.Accounts, want)
	}
}

// Asked to stop, a run finishes the request in flight, and the same command
// does the rest without saving anything twice.
func TestStopAndResume(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(30, "%02d.jpg")
	labels := b.labels(lines...)
	few := func(o *Options) { o.BatchImages, o.Concurrency = 5, 1 }
	stop := make(chan struct{})
	var once sync.Once
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk") {
			once.Do(func() { close(stop) })
		}
		return false
	}
	first, err := b.syncUntil(stop, labels, few)
	if !errors.Is(err, dataset.ErrInterrupted) || first.Outcome != "interrupted" {
		t.Fatalf("stopped run: %+v, %v", first, err)
	}
	if saved := len(b.saves()); saved == 0 || saved == 30 || saved != first.Images.Saved {
		t.Errorf("stopped run: %d saves executed, %d on record", saved, first.Images.Saved)
	}
	second := b.done(labels, few)
	if second.Run != first.Run || second.Images.Saved != 30 || second.Annotations.New != 30 {
		t.Errorf("resumed run: %+v, want run %s with 30 saved", second, first.Run)
	}
	if len(b.saves()) != 30 {
		t.Errorf("%d saves executed for 30 images", len(b.saves()))
	}
}

// A service that is out of reach is waited for, and a run that gave up is
// finished by the next.
func TestOutage(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	labels := b.labels("a.jpg car")
	down, began := 0, false
	var mu sync.Mutex
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		began = began || strings.HasSuffix(r.URL.Path, "/bulk")
		if !began || down == 0 {
			return false
		}
		down--
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html>no</html>")
		return true
	}
	down = 9 // more than one call's retries
	if s := b.done(labels); s.Images.Saved != 1 {
		t.Errorf("after a short outage: %+v", s)
	}
	mu.Lock()
	down, began = 1<<30, false
	mu.Unlock()
	labels = b.labels("a.jpg car car")
	s, err := b.sync(labels, func(o *Options) { o.MaxOutage = time.Nanosecond })
	if !errors.Is(err, pictograph.ErrServer) || s.Outcome != "stopped" {
		t.Errorf("in a long outage: %+v, %v", s, err)
	}
	mu.Lock()
	down = 0
	mu.Unlock()
	if again := b.done(labels); again.Run != s.Run || again.Images.Saved != 1 {
		t.Errorf("after it: %+v", again)
	}
	expect(t, "saves", b.saves(), "a.jpg 0→1", "a.jpg 1→2")
}

// Batches are built while the classes are added, and neither sent nor in flight before
// these are there.
func TestNothingIsSavedBeforeTheClassesAreThere(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	lines := b.cars(20, "%02d.jpg")
	labels := b.labels(lines...)
	var down, there atomic.Bool
	down.Store(true)
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/bulk") && !there.Load():
			t.Error("a save before the classes")
		case r.Method == http.MethodPatch && down.Load():
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}
	b.after = func(r *http.Request) {
		if r.Method == http.MethodPatch {
			there.Store(true)
		}
	}
	few := func(o *Options) { o.BatchImages, o.MaxOutage = 2, time.Nanosecond }
	s, err := b.sync(labels, few)
	if !errors.Is(err, pictograph.ErrServer) || s.Outcome != "stopped" || s.Images.Saved > 0 {
		t.Errorf("the classes cannot be added: %+v, %v", s, err)
	}
	sent, err := b.store.Requests(context.Background(), "key", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, s := range sent {
		total += s.N
	}
	if total != s.Requests {
		t.Errorf("%d requests were sent, and %d are on record or in flight", s.Requests, total)
	}
	down.Store(false)
	if again := b.done(labels, few); again.Run != s.Run || again.Images.Saved != 20 {
		t.Errorf("after it: %+v", again)
	}
}

func TestARefusedKeyStopsTheRun(t *testing.T) {
	b := newBench(t, sandbox.Options{Keys: map[string]sandbox.Role{"key": sandbox.Viewer}})
	b.images("a.jpg")
	_, err := b.sync(b.labels("a.jpg car"))
	if !errors.Is(err, pictograph.ErrForbidden) {
		t.Errorf("a viewer's sync: %v", err)
	}
	if _, err := b.sync(b.labels("a.jpg car"), func(o *Options) { o.Dataset = "no such set" }); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("an unknown dataset: %v", err)
	}
}

// 5,000 images take one listing request per 1,000 and one save per 200, and a
// service that enforces 2,000 requests an hour never has to refuse one.
func TestRequestsAreFew(t *testing.T) {
	b := newBench(t, sandbox.Options{Quota: sandbox.Quota{Requests: 2000, Per: time.Hour, Window: "sliding"}})
	lines := b.cars(5000, "%04d.jpg")
	s := b.done(b.labels(lines...))
	if s.Images.Saved != 5000 || s.Requests != 1+5+1+25 {
		t.Errorf("%d images saved in %d requests, want 5000 in 32 (dataset, 5 pages, classes, 25 saves)", s.Images.Saved, s.Requests)
	}
}

// However requests fail, each is on record before the service hears of it, also for
// the next process, and none is that was not sent.
func TestEveryRequestIsOnRecordBeforeItIsSent(t *testing.T) {
	faults, err := sandbox.ParseFaults("seed=7,5xx=0.2,reset-after=0.1,html=0.1")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, sandbox.Options{Faults: faults})
	lines := b.cars(100, "%03d.jpg")
	lines[5] = "005.jpg poison"
	onRecord := func() (n int) {
		sent, err := b.store.Requests(context.Background(), "key", time.Now())
		if err != nil {
			t.Error(err)
		}
		for _, s := range sent {
			if s.At.Nanosecond() == 0 { // the others are batches in flight
				n += s.N
			}
		}
		return n
	}
	var heard atomic.Int64
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if n, sent := int(heard.Add(1)), onRecord(); sent < n {
			t.Errorf("request %d, %s %s, is not on record: only %d are", n, r.Method, r.URL.Path, sent)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.HasSuffix(r.URL.Path, "/bulk") && bytes.Contains(body, []byte("poison")) && bytes.Count(body, []byte("image_id")) > 1 { // refused as a whole
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"error":{"code":"validation_error","message":"no"}}`)
			return true
		}
		return false
	}
	s := b.done(b.labels(lines...), func(o *Options) { o.BatchImages = 3 })
	if s.Images.Saved != 100 || s.Requests < 40 || int64(s.Requests) < heard.Load() {
		t.Errorf("%+v, %d requests, of which the service heard %d", s.Images, s.Requests, heard.Load())
	}
	if n := onRecord(); n != s.Requests {
		t.Errorf("%d requests are on record, of %d that were sent", n, s.Requests)
	}
}

// Under faults of every kind, before and after the service has done the
// write, everything arrives exactly once and the counts are the service's own.
func TestFaults(t *testing.T) {
	for seed := range int64(3) {
		faults, err := sandbox.ParseFaults(fmt.Sprintf("seed=%d,5xx=0.1,reset-before=0.05,reset-after=0.05,lost-answer=0.05,truncate=0.05,html=0.05,storm=0.03", seed+1))
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, sandbox.Options{Faults: faults})
		var names, lines []string
		for i := range 400 {
			names = append(names, fmt.Sprintf("%03d.jpg", i))
			lines = append(lines, names[i]+strings.Repeat(" car", i%4))
		}
		b.images(names...)
		// Unattended: also where the dataset cannot be opened at first.
		s := b.done(b.labels(lines...), func(o *Options) { o.BatchImages, o.Unattended = 3, true })
		if s.Images.Saved != 300 || s.Images.Unchanged != 100 || s.Images.Failed != 0 {
			t.Errorf("seed %d: %+v", seed+1, s.Images)
		}
		compareCounts(t, b, s.Run)
	}
}

// compareCounts holds the state's counts against the service's audit log.
func compareCounts(t *testing.T, b *bench, run string) {
	t.Helper()
	executed := make(map[string]string)
	for _, save := range b.saves() {
		path, counts, _ := strings.Cut(save, " ")
		if _, twice := executed[path]; twice {
			t.Errorf("%s was saved twice", path)
		}
		executed[path] = counts
	}
	for r, err := range b.store.Records(context.Background(), run, store.ItemSaved) {
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d→%d", *r.Previous, *r.New); got != executed[r.Path] {
			t.Errorf("%s: the state says %s, the service executed %s", r.Path, got, executed[r.Path])
		}
		delete(executed, r.Path)
	}
	if len(executed) != 0 {
		t.Errorf("executed and not on record: %v", executed)
	}
}

// The dataset is asked for while the source is still being opened.
func TestTheSourceIsOpenedMeanwhile(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	path := b.labels("a.jpg car")
	asked := make(chan struct{})
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/datasets/set") && r.Method == http.MethodGet {
			close(asked)
		}
		return false
	}
	s, err := b.syncFrom(nil, func() (convert.Source, error) {
		<-asked
		return formats.Open(t.Context(), path, convert.OpenOptions{})
	}, path)
	if err != nil || s.Images.Saved != 1 {
		t.Errorf("saved %d, %v", s.Images.Saved, err)
	}
}

// A source that cannot be read ends the asking, and is what is told of.
func TestASourceThatCannotBeReadIsToldOf(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	asked := make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		ask()
		<-r.Context().Done() // no answer
		return true
	}
	broken := errors.New("broken")
	_, err := b.syncFrom(nil, func() (convert.Source, error) {
		<-asked
		return nil, broken
	}, "labels")
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want what is wrong with the source", err)
	}
	if runs, err := b.store.Runs(t.Context(), 1); err != nil || len(runs) != 0 {
		t.Errorf("runs on record: %v, %v", runs, err)
	}
}

// spySource tells where its walks begin and that labels are loaded, and breaks after
// some items.
type spySource struct {
	convert.FileBacked
	breaks int // 0 is never
	loaded func()

	mu     sync.Mutex
	begins []string
}

func (s *spySource) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begins = append(s.begins, after)
	return func(yield func(convert.Item, error) bool) {
		n := 0
		for item, err := range s.FileBacked.Items(ctx, after) {
			if n++; n == s.breaks {
				err = errors.New("broken")
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func (s *spySource) Load(ctx context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	if s.loaded != nil {
		s.loaded()
	}
	return s.FileBacked.Load(ctx, item, listed)
}

func (b *bench) spy(path string) *spySource {
	b.t.Helper()
	src, err := formats.Open(b.t.Context(), path, convert.OpenOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return &spySource{FileBacked: src.(convert.FileBacked)}
}

// Labels are converted while the dataset is asked for.
func TestLabelsAreConvertedMeanwhile(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	path := b.labels("a.jpg car")
	src := b.spy(path)
	loaded := make(chan struct{})
	src.loaded = sync.OnceFunc(func() { close(loaded) })
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/datasets/set") && r.Method == http.MethodGet {
			select {
			case <-loaded:
			case <-time.After(time.Minute):
				t.Error("nothing is converted before the service answers")
			}
		}
		return false
	}
	if s, err := b.syncFrom(nil, Opened(src), path); err != nil || s.Images.Saved != 1 {
		t.Errorf("saved %d, %v", s.Images.Saved, err)
	}
}

// A chunk of what is saved ends at a gap in the plan, and where its annotations
// would take too much memory; one image is always in it.
func TestChunks(t *testing.T) {
	const large = chunkBytes/2 + 1
	for name, c := range map[string]struct {
		seqs  []int64
		bytes int
		want  int
	}{
		"all":             {[]int64{1, 2, 3, 1000}, 10, 4},
		"a gap":           {[]int64{1, 2, 3 + nearby, 4 + nearby}, 10, 2},
		"large":           {[]int64{1, 2, 3}, large, 1},
		"two fit":         {[]int64{1, 2, 3}, chunkBytes / 2, 2},
		"larger than may": {[]int64{7, 8}, 2 * chunkBytes, 1},
	} {
		var rows []store.Item
		for _, seq := range c.seqs {
			rows = append(rows, store.Item{Seq: seq, Bytes: c.bytes})
		}
		if got := len(untilGap(rows)); got != c.want {
			t.Errorf("%s: %d rows, want %d", name, got, c.want)
		}
	}
}
