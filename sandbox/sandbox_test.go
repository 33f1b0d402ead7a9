package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// T is a test or a property's try.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// start makes a sandbox with dataset "set" (class car), images a.jpg and
// dir/b.jpg.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "sandbox.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	fill(t, s)
	return s
}

func fill(t T, s *Server) {
	t.Helper()
	ctx := context.Background()
	if _, _, err := s.EnsureDataset(ctx, "set"); err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := s.AddImages(ctx, "set", []NewImage{{Path: "a.jpg", Width: 10, Height: 20}, {Path: "dir/b.jpg"}}); err != nil {
		t.Fatalf("%v", err)
	}
	err := s.transactClasses(ctx, "set", `[{"name":"car","type":"bbox","color":"#111111"}]`)
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func (s *Server) transactClasses(ctx context.Context, dataset, classes string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE datasets SET classes = ? WHERE name = ?`, classes, dataset)
	return err
}

// call sends a request; header is name, value, name, value.
func call(s *Server, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-API-Key", "owner-key")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func car(ids ...string) string {
	var out []string
	for _, id := range ids {
		out = append(out, fmt.Sprintf(`{"id":"%s","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}`, id))
	}
	return `[` + strings.Join(out, ",") + `]`
}

func idOf(t T, s *Server, path string) string {
	t.Helper()
	directory, filename := splitPath(path)
	var id string
	if err := s.db.QueryRow(`SELECT id FROM images WHERE directory = ? AND filename = ?`, directory, filename).Scan(&id); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return id
}

const api = "/api/v1/developer/"

// Requests and what they get, one after another on one sandbox.
func TestRules(t *testing.T) {
	s := start(t, Options{Keys: map[string]Role{"owner-key": Owner, "admin-key": Admin, "member-key": Member, "viewer-key": Viewer}})
	a := idOf(t, s, "a.jpg")
	as := func(role string) []string { return []string{"X-API-Key", role + "-key"} }
	for _, test := range []struct {
		what, method, path, body string
		header                   []string
		status                   int
		want                     string // in the answer
	}{
		{"no key", "GET", "datasets/set", "", as("unknown"), 401, `"code":"unauthorized"`},
		{"read by path", "GET", "annotations/set/a.jpg", "", nil, 200, `{"annotations":[]}`},
		{"read by path with a folder", "GET", "annotations/set/dir/b.jpg", "", nil, 200, `{"annotations":[]}`},
		{"read without the folder", "GET", "annotations/set/b.jpg", "", nil, 404, `"code":"not_found"`},
		{"read by id", "GET", "annotations/" + a, "", nil, 200, `{"annotations":[]}`},
		{"an id in the path's place", "GET", "annotations/set/" + a, "", nil, 404, ``},
		{"save by path", "POST", "annotations/set/a.jpg", `{"annotations":` + car("1") + `}`, as("member"), 200, `{"image_id":"` + a + `","previous_count":0,"new_count":1,"status":"new"}`},
		{"read back", "GET", "annotations/set/a.jpg", "", nil, 200, `"bounding_box":{"x":1,"y":2,"w":3,"h":4},"confidence":1`},
		{"count in the listing", "GET", "images/?dataset=set&filename=a.jpg", "", nil, 200, `"annotation_count":1`},
		{"an image_id in the path dialect", "POST", "annotations/set/a.jpg", `{"image_id":"` + a + `","annotations":[]}`, nil, 422, `"loc":["body","image_id"]`},
		{"save by id", "POST", "annotations/" + a, `{"image_id":"` + a + `","annotations":` + car("1", "2") + `}`, nil, 200, `"previous_count":1,"new_count":2`},
		{"save by id without the id", "POST", "annotations/" + a, `{"annotations":[]}`, nil, 422, `"loc":["body","image_id"]`},
		{"save by id with another", "POST", "annotations/" + a, `{"image_id":"x","annotations":[]}`, nil, 422, `not the image of the path`},
		{"save to an unknown image", "POST", "annotations/set/c.jpg", `{"annotations":[]}`, nil, 404, ``},
		{"unknown class", "POST", "annotations/set/a.jpg", strings.Replace(`{"annotations":`+car("1")+`}`, "car", "Car", 1), nil, 422, `"loc":["body","annotations",0,"name"]`},
		{"malformed", "POST", "annotations/set/a.jpg", `{"annotations":[{"id":"1","name":"car","type":"polygon","polygon":{"paths":[[{"x":1,"y":1}]]}}]}`, nil, 422, `"loc":["body","annotations",0,"polygon","paths",0],"msg":"1 point, a ring needs 3"`},
		{"no JSON", "POST", "annotations/set/a.jpg", `{"annotations":[`, nil, 422, ``},
		{"no annotations", "POST", "annotations/set/a.jpg", `{}`, nil, 422, `field required`},
		{"a viewer saves", "POST", "annotations/set/a.jpg", `{"annotations":[]}`, as("viewer"), 403, `"code":"forbidden"`},
		{"a viewer reads", "GET", "annotations/set/a.jpg", ``, as("viewer"), 200, ``},
		{"a member clears", "DELETE", "annotations/set/a.jpg", ``, as("member"), 403, ``},
		{"an admin clears", "DELETE", "annotations/set/a.jpg", ``, as("admin"), 200, `{"image_id":"` + a + `","deleted_count":2}`},
		{"clear by id", "DELETE", "annotations/" + a, ``, nil, 200, `"deleted_count":0`},
		{"bulk with an unknown image", "POST", "annotations/bulk", `{"saves":[{"image_id":"` + a + `","annotations":` + car("1") + `},{"image_id":"nobody","annotations":[]}]}`, nil, 200, `"failed":[{"image_id":"nobody","error":"image not found"}]`},
		{"bulk with one malformed", "POST", "annotations/bulk", `{"saves":[{"image_id":"` + a + `","annotations":[]},{"image_id":"nobody","annotations":[{}]}]}`, nil, 422, `"loc":["body","saves",1,"annotations",0,`},
		{"which saved nothing", "GET", "images/" + a + "/metadata", ``, nil, 200, `"annotation_count":1`},
		{"bulk with an unknown class", "POST", "annotations/bulk", strings.Replace(`{"saves":[{"image_id":"`+a+`","annotations":`+car("1")+`}]}`, "car", "bus", 1), nil, 422, `"loc":["body","saves",0,"annotations",0,"name"]`},
		{"bulk with an image twice", "POST", "annotations/bulk", `{"saves":[{"image_id":"` + a + `","annotations":[]},{"image_id":"` + a + `","annotations":[]}]}`, nil, 422, `twice`},
		{"bulk with an extra field", "POST", "annotations/bulk", `{"saves":[{"image_id":"` + a + `","annotations":[],"x":1}]}`, nil, 422, `"loc":["body","saves",0,"x"]`},
		{"bulk of none", "POST", "annotations/bulk", `{"saves":[]}`, nil, 422, ``},
		{"bulk of too many", "POST", "annotations/bulk", `{"saves":[` + strings.TrimSuffix(strings.Repeat(`{},`, 201), ",") + `]}`, nil, 422, `201 entries`},

		{"a second dataset of the name", "POST", "datasets/", `{"name":"set"}`, nil, 409, `"code":"conflict"`},
		{"a dataset without a name", "POST", "datasets/", `{"name":" "}`, nil, 422, ``},
		{"another dataset", "POST", "datasets/", `{"name":"sl/ash","classes":[{"name":"nose","type":"keypoint","skeleton":{"nodes":[{"name":"a"},{"name":"b"}],"edges":[[0,1]]}}]}`, nil, 201, `"skeleton":{"nodes":[{"name":"a","x":0.5,"y":0.5},{"name":"b","x":0.5,"y":0.5}],"edges":[[0,1]]}`},
		{"get it by its escaped name", "GET", "datasets/sl%2Fash", ``, nil, 200, `"name":"sl/ash"`},
		{"a skeleton with a wrong edge", "PATCH", "datasets/sl%2Fash", `{"classes":[{"name":"x","type":"keypoint","skeleton":{"nodes":[{"name":"a"}],"edges":[[0,1]]}}]}`, nil, 422, `edges`},
		{"a skeleton on a box", "PATCH", "datasets/sl%2Fash", `{"classes":[{"name":"x","type":"bbox","skeleton":{"nodes":[{"name":"a"}],"edges":[]}}]}`, nil, 422, `only a keypoint class`},
		{"rename onto another", "PATCH", "datasets/sl%2Fash", `{"new_name":"set"}`, nil, 409, ``},
		{"rename", "PATCH", "datasets/sl%2Fash", `{"new_name":"other"}`, nil, 200, `"name":"other"`},
		{"a member deletes a dataset", "DELETE", "datasets/other", ``, as("member"), 403, ``},
		{"delete a dataset", "DELETE", "datasets/other", ``, nil, 200, `"deleted":true`},
		{"an unknown dataset", "GET", "datasets/other", ``, nil, 404, ``},
		{"images of an unknown dataset", "GET", "images/?dataset=other", ``, nil, 404, ``},

		{"a page", "GET", "images/?dataset=set&limit=1", ``, nil, 200, `"has_more":true`},
		{"the last page", "GET", "images/?dataset=set&limit=1&offset=1", ``, nil, 200, `"has_more":false`},
		{"by directory", "GET", "images/?dataset=set&directory_path=/dir", ``, nil, 200, `"filename":"b.jpg","directory_path":"/dir","width":null`},
		{"a member deletes for good", "DELETE", "images/set/a.jpg?permanent=true", ``, as("member"), 403, ``},
		{"a member archives", "DELETE", "images/set/a.jpg", ``, as("member"), 200, `"archived":true`},
		{"an archived image", "GET", "annotations/set/a.jpg", ``, nil, 404, ``},
		{"in the listing", "GET", "images/?dataset=set&include_archived=true&filename=a.jpg", ``, nil, 200, `"is_archived":true`},
		{"no images to bring back", "PATCH", "batch/images/update", `{"dataset_name":"set","image_ids":[],"updates":{"is_archived":false}}`, nil, 422, `image_ids`},
		{"another update", "PATCH", "batch/images/update", `{"dataset_name":"set","image_ids":["x"],"updates":{"status":"new"}}`, nil, 422, `is_archived`},
		{"an image that is not there", "PATCH", "batch/images/update", `{"dataset_name":"set","image_ids":["x"],"updates":{"is_archived":false}}`, nil, 404, ``},
		{"a viewer brings back", "PATCH", "batch/images/update", `{"dataset_name":"set","image_ids":["x"],"updates":{"is_archived":false}}`, as("viewer"), 403, ``},
		{"no route", "GET", "models/", ``, nil, 404, ``},
		{"no method", "PUT", "datasets/set", ``, nil, 405, ``},
	} {
		w := call(s, test.method, api+test.path, test.body, test.header...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %s %s: %d %s\nwant %d %s", test.what, test.method, test.path, w.Code, w.Body, test.status, test.want)
		}
		if w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", test.what)
		}
	}
}

func TestDialectsCanBeServedAlone(t *testing.T) {
	for dialect, want := range map[string][2]int{"both": {200, 200}, "path": {200, 404}, "image-id": {404, 200}} {
		s := start(t, Options{API: dialect})
		a := idOf(t, s, "a.jpg")
		if got := [2]int{call(s, "GET", api+"annotations/set/a.jpg", "").Code, call(s, "GET", api+"annotations/"+a, "").Code}; got != want {
			t.Errorf("%s: by path and by id %v, want %v", dialect, got, want)
		}
	}
}

// The edit from base to classes is applied to the list as it is now.
func TestClassesMerge(t *testing.T) {
	const one, two, three = `{"name":"a","type":"bbox","color":"#111111"}`, `{"name":"b","type":"bbox","color":"#222222"}`, `{"name":"c","type":"bbox","color":"#333333"}`
	for _, test := range []struct{ stored, base, classes, want string }{
		{one, ``, one + `,` + two, "a b"},
		{one + `,` + two, one, one + `,` + three, "a b c"},           // b was added meanwhile
		{one + `,` + two + `,` + three, one + `,` + two, one, "a c"}, // b is removed, c was added meanwhile
		{two, one + `,` + two, one + `,` + two, "b"},                 // a was removed meanwhile
	} {
		s := start(t, Options{})
		if err := s.transactClasses(context.Background(), "set", `[`+test.stored+`]`); err != nil {
			t.Fatal(err)
		}
		w := call(s, "PATCH", api+"datasets/set", `{"classes":[`+test.classes+`],"classes_base":[`+test.base+`]}`)
		var out struct {
			Data struct{ Classes []struct{ Name string } }
		}
		json.Unmarshal(w.Body.Bytes(), &out)
		var names []string
		for _, c := range out.Data.Classes {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); w.Code != 200 || got != test.want {
			t.Errorf("%+v: %d %q", test, w.Code, got)
		}
	}
}

func TestIdempotency(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	s := start(t, Options{Now: func() time.Time { return now }})
	save := func(body, key string) *httptest.ResponseRecorder {
		return call(s, "POST", api+"annotations/set/a.jpg", body, "Idempotency-Key", key)
	}
	first := save(`{"annotations":`+car("1")+`}`, "k")
	save(`{"annotations":[]}`, "other")
	again := save(`{"annotations":`+car("1")+`}`, "k")
	if again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" || first.Header().Get("Idempotent-Replayed") != "" {
		t.Errorf("first %s, again %s %v", first.Body, again.Body, again.Header())
	}
	if w := call(s, "GET", api+"annotations/set/a.jpg", ""); w.Body.String() != `{"annotations":[]}` {
		t.Errorf("the repeat was executed: %s", w.Body)
	}
	if w := save(`{"annotations":[]}`, "k"); w.Code != 422 || !strings.Contains(w.Body.String(), "idempotency_mismatch") {
		t.Errorf("another body under the key: %d %s", w.Code, w.Body)
	}
	if w := call(s, "POST", api+"annotations/set/a.jpg", `{"annotations":`+car("1")+`}`, "Idempotency-Key", "k", "X-API-Key", "another"); w.Header().Get("Idempotent-Replayed") != "" {
		t.Error("another account's key was taken for this one's")
	}
	// A refusal is not remembered.
	save(`{"annotations":[{}]}`, "bad")
	if w := save(`{"annotations":[]}`, "bad"); w.Code != 200 {
		t.Errorf("after a refusal: %d %s", w.Code, w.Body)
	}
	now = now.Add(24 * time.Hour)
	if w := save(`{"annotations":`+car("1")+`}`, "k"); w.Header().Get("Idempotent-Replayed") != "" || w.Code != 200 {
		t.Errorf("a day later: %d %v", w.Code, w.Header())
	}
}

func TestConcurrentRepeatsExecuteOnce(t *testing.T) {
	s := start(t, Options{})
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			call(s, "POST", api+"annotations/set/a.jpg", `{"annotations":`+car("1")+`}`, "Idempotency-Key", "k")
		})
	}
	wait.Wait()
	executed := 0
	for range s.Audit(context.Background()) {
		executed++
	}
	if stats := s.Stats(); executed != 1 || stats.Replays != 15 {
		t.Errorf("%d executed, %d replayed, want 1 and 15", executed, stats.Replays)
	}
}

func TestQuota(t *testing.T) {
	for window, freeAt := range map[string]time.Duration{"sliding": 70 * time.Minute, "fixed": 60 * time.Minute} {
		path := filepath.Join(t.TempDir(), "sandbox.db")
		start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
		now := start.Add(10 * time.Minute)
		o := Options{Quota: Quota{Requests: 3, Per: time.Hour, Window: window}, Now: func() time.Time { return now }}
		s, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, s)
		get := func() *httptest.ResponseRecorder { return call(s, "GET", api+"datasets/set", "") }
		for range 3 {
			if w := get(); w.Code != 200 {
				t.Errorf("%s: within the quota: %d", window, w.Code)
			}
		}
		s.Close() // a restart does not forget
		if s, err = Open(path, o); err != nil {
			t.Fatal(err)
		}
		w := get()
		if want := fmt.Sprint(int((freeAt - 10*time.Minute).Seconds())); w.Code != 429 || w.Header().Get("Retry-After") != want {
			t.Errorf("%s: past the quota: %d, Retry-After %s, want %s", window, w.Code, w.Header().Get("Retry-After"), want)
		}
		now = start.Add(freeAt)
		if w := get(); w.Code != 200 {
			t.Errorf("%s: after the wait: %d", window, w.Code)
		}
		s.Close()
	}
}

func TestBodyLimit(t *testing.T) {
	s := start(t, Options{MaxBody: 100})
	if w := call(s, "POST", api+"annotations/set/a.jpg", `{"annotations":[`+strings.Repeat(" ", 100)+`]}`); w.Code != 413 {
		t.Errorf("a large body: %d", w.Code)
	}
}

// Each fault really fires, repeats by its seed, and is told from the others by
// what the client sees and whether the write was done.
func TestFaults(t *testing.T) {
	for name, want := range map[string]struct {
		status   int // 0 = no answer
		executed bool
	}{
		"5xx": {500, false}, "html": {200, false}, "reset-before": {0, false}, "storm": {429, false},
		"reset-after": {0, true}, "lost-answer": {0, true}, "truncate": {0, true}, "stall-before": {200, true}, "stall-after": {200, true},
	} {
		faults, err := ParseFaults("seed=3,stall=1ms," + name + "=1")
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, Options{Faults: faults})
		server := httptest.NewServer(s)
		transport := &http.Transport{}
		request, err := http.NewRequest("POST", server.URL+api+"annotations/set/a.jpg", bytes.NewBufferString(`{"annotations":`+car("1")+`}`))
		if err != nil {
			t.Fatal(err)
		}
		request.GetBody = nil // or net/http tries again by itself
		request.Header.Set("X-API-Key", "k")
		status := 0
		if answer, err := transport.RoundTrip(request); err == nil {
			status = answer.StatusCode
			if _, err := io.ReadAll(answer.Body); err != nil {
				status = 0
			}
			answer.Body.Close()
		}
		transport.CloseIdleConnections()
		server.Close()
		if status/100 != want.status/100 {
			t.Errorf("%s: status %d, want %d", name, status, want.status)
		}
		if fired := s.Stats().Faults[name]; fired != 1 {
			t.Errorf("%s: fired %d times", name, fired)
		}
		executed := false
		for range s.Audit(context.Background()) {
			executed = true
		}
		if executed != want.executed {
			t.Errorf("%s: executed %v, want %v", name, executed, want.executed)
		}
	}
}

func TestFaultsRepeatBySeed(t *testing.T) {
	f, err := ParseFaults("seed=7,5xx=0.2,lost-answer=0.1,storm=0.01")
	if err != nil {
		t.Fatal(err)
	}
	same, err := ParseFaults(f.String())
	if err != nil {
		t.Fatal(err)
	}
	other := f
	other.Seed = 8
	hits, differ := 0, 0
	for n := range int64(10000) {
		if f.plan(n) != same.plan(n) {
			t.Fatalf("request %d: %+v and %+v from one seed", n, f.plan(n), same.plan(n))
		}
		if f.hits("5xx", n) {
			hits++
		}
		if f.plan(n) != other.plan(n) {
			differ++
		}
	}
	if hits < 1800 || hits > 2200 || differ == 0 {
		t.Errorf("a rate of 0.2 hit %d of 10000, another seed differs in %d", hits, differ)
	}
	timed, err := ParseFaults("build-delay=5s,url-lifetime=2m")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseFaults(timed.String()); err != nil || again.BuildDelay != 5*time.Second || again.URLLifetime != 2*time.Minute {
		t.Errorf("%+v became %+v (%v)", timed, again, err)
	}
	for _, bad := range []string{"5xx", "build-delay=soon", "5xx=2", "6xx=0.1", "seed=x", "stall=soon"} {
		if _, err := ParseFaults(bad); err == nil {
			t.Errorf("ParseFaults(%q) was taken", bad)
		}
	}
}

// Whatever is written, each write's previous count is the new count of the
// write before it on that image, and the log ends with what is there.
func TestAuditIsAChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := Open(":memory:", Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		fill(t, s)
		a, b := idOf(t, s, "a.jpg"), idOf(t, s, "dir/b.jpg")
		ids := []string{"1", "2", "3"}
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			boxes := car(ids[:rapid.IntRange(0, 3).Draw(t, "boxes")]...)
			key := []string{"Idempotency-Key", rapid.StringMatching(`[a-c]`).Draw(t, "key") + boxes}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				call(s, "POST", api+"annotations/set/a.jpg", `{"annotations":`+boxes+`}`, key...)
			case 1:
				call(s, "POST", api+"annotations/"+b, `{"image_id":"`+b+`","annotations":`+boxes+`}`, key...)
			case 2:
				call(s, "POST", api+"annotations/bulk", `{"saves":[{"image_id":"`+a+`","annotations":`+boxes+`},{"image_id":"`+b+`","annotations":[]}]}`, key...)
			case 3:
				call(s, "DELETE", api+"annotations/set/dir/b.jpg", "")
			}
		}
		count := map[string]int{}
		for e, err := range s.Audit(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.PreviousCount != count[e.ImageID] {
				t.Fatalf("%+v, the write before left %d", e, count[e.ImageID])
			}
			count[e.ImageID] = e.NewCount
		}
		for id, want := range count {
			var is int
			if err := s.db.QueryRow(`SELECT annotation_count FROM images WHERE id = ?`, id).Scan(&is); err != nil || is != want {
				t.Fatalf("image %s has %d annotations, the log says %d (%v)", id, is, want, err)
			}
		}
	})
}

func BenchmarkBulk(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "sandbox.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fill(b, s)
	var images []NewImage
	for i := range 200 {
		images = append(images, NewImage{Path: fmt.Sprintf("bulk/%d.jpg", i)})
	}
	if _, err := s.AddImages(context.Background(), "set", images); err != nil {
		b.Fatal(err)
	}
	var saves []string
	for i := range 200 {
		saves = append(saves, fmt.Sprintf(`{"image_id":"%s","annotations":%s}`, idOf(b, s, fmt.Sprintf("bulk/%d.jpg", i)), car("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")))
	}
	body := `{"saves":[` + strings.Join(saves, ",") + `]}`
	for b.Loop() {
		if w := call(s, "POST", api+"annotations/bulk", body); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
