package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"pictosync/sandbox"
)

// troubled is a service with images a to e, which a test gets in between of.
type troubled struct {
	dir, url string
	server   *sandbox.Server
	before   atomic.Pointer[func(http.ResponseWriter, *http.Request) bool] // true where it answered
}

func newTroubled(t *testing.T) *troubled {
	t.Helper()
	s := &troubled{dir: t.TempDir()}
	var images []sandbox.NewImage
	for _, name := range strings.Split("abcde", "") {
		images = append(images, sandbox.NewImage{Path: name + ".jpg", Width: 10, Height: 10})
	}
	s.server = sandboxWith(t, s.dir, images...)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := s.before.Load(); before == nil || !(*before)(w, r) {
			s.server.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(service.Close)
	s.url = service.URL
	return s
}

func (s *troubled) when(before func(http.ResponseWriter, *http.Request) bool) {
	s.before.Store(&before)
}

// labels writes labels of so many boxes an image.
func (s *troubled) labels(t *testing.T, boxes int) string {
	t.Helper()
	var lines strings.Builder
	for _, name := range strings.Split("abcde", "") {
		var all []string
		for n := range boxes {
			all = append(all, fmt.Sprintf(`{"id":"%d","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":%d,"h":3}}`, n, 1+boxes))
		}
		fmt.Fprintf(&lines, "{\"image\":\"%s.jpg\",\"width\":10,\"height\":10,\"annotations\":[%s]}\n", name, strings.Join(all, ","))
	}
	path := filepath.Join(s.dir, "labels.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *troubled) run(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	return exitOf(t, command(append(args, "--base-url", s.url, "--state", filepath.Join(s.dir, "state.db"), "--rate", "unlimited", "--max-retries", "1", "--json")...))
}

// must is run of what has to end well for the test to go on.
func (s *troubled) must(t *testing.T, args ...string) {
	t.Helper()
	if code, out := s.run(t, args...); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
}

// A service that wants to be left alone for longer than an outage may last ends a run that
// goes on with the same command, and is the failure of no image.
func TestAServiceThatWantsToBeLeftAlone(t *testing.T) {
	s := newTroubled(t)
	s.must(t, "sync", s.labels(t, 1), "--dataset", "set")
	labels := s.labels(t, 2)
	for _, args := range [][]string{
		{"sync", labels, "--dataset", "set"},
		{"verify", labels, "--dataset", "set", "--read", "image"},
		{"export", "--dataset", "set", "--out", filepath.Join(s.dir, "backups"), "--read", "image"},
	} {
		var asked atomic.Int32
		s.when(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/annotations/") || asked.Add(1) < 3 {
				return false
			}
			w.Header().Set("Retry-After", "86400")
			http.Error(w, `{"error":{"code":"rate_limited","message":"later"}}`, http.StatusTooManyRequests)
			return true
		})
		code, out := s.run(t, args...)
		if code != exitUnexpected || !strings.Contains(out, `"code":"rate-limited"`) || !strings.Contains(out, "the service wants to be left alone until ") || strings.Contains(out, "not overwritten") {
			t.Errorf("%s: exit %d: %s", args[0], code, out)
		}
		s.when(func(http.ResponseWriter, *http.Request) bool { return false })
		if code, out := s.run(t, args...); code != 0 {
			t.Errorf("%s, later: exit %d: %s", args[0], code, out)
		}
	}
}

// What a run has in flight can be given up, where the service fails on it for ever: what was
// saved is found by reading it back.
func TestABatchIsGivenUp(t *testing.T) {
	s := newTroubled(t)
	labels := s.labels(t, 1)
	var saved atomic.Bool
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/bulk") {
			return saved.Load() // nothing is answered any more
		}
		if !saved.Swap(true) {
			s.server.ServeHTTP(httptest.NewRecorder(), r) // it is saved, and the answer lost
		}
		panic(http.ErrAbortHandler)
	})
	if code, out := s.run(t, "sync", labels, "--dataset", "set", "--max-outage", "1ms"); code != exitUnexpected || !strings.Contains(out, "could not be reached") {
		t.Fatalf("exit %d: %s", code, out)
	}
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		if bulk := strings.HasSuffix(r.URL.Path, "/bulk"); !bulk {
			return false
		}
		panic(http.ErrAbortHandler)
	})
	elsewhere := newTroubled(t) // which has none of the images, and says so
	if code, out := exitOf(t, command("runs", "last", "--abandon", "--base-url", elsewhere.url, "--state", filepath.Join(s.dir, "state.db"))); code != exitUsage || !strings.Contains(out, "it was a run on "+s.url) {
		t.Errorf("elsewhere: exit %d: %s", code, out)
	}
	if code, out := s.run(t, "runs", "last", "--abandon"); code != 0 || !strings.Contains(out, `"batches":1,"saved":5,"failed":0`) {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out := s.run(t, "sync", labels, "--dataset", "set"); code != 0 || !strings.Contains(out, `"failed":0`) {
		t.Errorf("afterwards: exit %d: %s", code, out)
	}
	if code, out := s.run(t, "runs", "last", "--abandon"); code != 0 || !strings.Contains(out, `"batches":0`) {
		t.Errorf("when nothing is in flight: exit %d: %s", code, out)
	}
}

// Images in review, or complete, are counted, and overwritten, left or failed as is said.
func TestReviewedImages(t *testing.T) {
	s := newTroubled(t)
	s.must(t, "sync", s.labels(t, 1), "--dataset", "set")
	db, err := sql.Open("sqlite3", filepath.Join(s.dir, "sandbox.db"))
	if err == nil {
		_, err = db.Exec(`UPDATE images SET status = CASE filename WHEN 'a.jpg' THEN 'review' ELSE 'complete' END WHERE filename IN ('a.jpg', 'b.jpg')`)
		db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	labels := s.labels(t, 2)
	if code, out := s.run(t, "plan", labels, "--dataset", "set"); code != 0 || !strings.Contains(out, `"reviewed":2`) {
		t.Errorf("plan: exit %d: %s", code, out)
	}
	for policy, want := range map[string]struct {
		code int
		said string
	}{"fail": {exitFailures, `"failed":2`}, "skip": {0, `"skipped":2`}, "never": {exitUsage, "must be one of: overwrite, skip, fail"}} {
		code, out := s.run(t, "sync", labels, "--dataset", "set", "--on-reviewed", policy)
		if code != want.code || !strings.Contains(out, want.said) {
			t.Errorf("%s: exit %d: %s", policy, code, out)
		}
	}
	if code, out := s.run(t, "sync", labels, "--dataset", "set"); code != 0 || !strings.Contains(out, `"saved":2,"unchanged":3`) {
		t.Errorf("overwrite: exit %d: %s", code, out)
	}
}

// A listing that ends too soon makes no backup that takes another's place, and clears nothing.
func TestShortListingsOfABackup(t *testing.T) {
	s := newTroubled(t)
	s.must(t, "sync", s.labels(t, 1), "--dataset", "set")
	out := filepath.Join(s.dir, "backups")
	if code, said := s.run(t, "export", "--dataset", "set", "--out", out); code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	var listed func([]any) []any
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/developer/images/" {
			return false
		}
		answer := httptest.NewRecorder()
		s.server.ServeHTTP(answer, r)
		var page map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
			t.Error(err)
		}
		page["data"] = listed(page["data"].([]any))
		json.NewEncoder(w).Encode(page)
		return true
	})
	for says, list := range map[string]func([]any) []any{
		"the service lists 2 images, and says that the dataset has 5": func(images []any) []any { return images[:2] },
		// Pages overlap where the service sorts anew for each: what is shown twice stands for what is not.
		"the service lists 3 images, and says that the dataset has 5": func(images []any) []any { return append(images[:3:3], images[:2]...) },
	} {
		listed = list
		for _, args := range [][]string{
			{"export", "--dataset", "set", "--out", out, "--snapshots", "1"},
			{"export", "--dataset", "set", "--out", filepath.Join(s.dir, "others")},
			{"sync", s.labels(t, 2), "--dataset", "set", "--prune"},
			{"verify", s.labels(t, 1), "--dataset", "set"},
			{"undo", "last"},
		} {
			code, said := s.run(t, args...)
			if code != exitGuard && code != exitUnexpected || !strings.Contains(said, says) {
				t.Errorf("%s: exit %d: %s", args[0], code, said)
			}
		}
	}
	kept, err := filepath.Glob(filepath.Join(out, "2*"))
	if err != nil || len(kept) < 1 {
		t.Fatalf("%q, %v", kept, err)
	}
	s.when(func(http.ResponseWriter, *http.Request) bool { return false })
	if code, said := s.run(t, "verify", kept[0], "--dataset", "set"); code != 0 || !strings.Contains(said, `"unchanged":5`) {
		t.Errorf("the backup before: exit %d: %s", code, said)
	}
	if code, said := s.run(t, "undo", "last"); code != 0 || !strings.Contains(said, `"cleared":5`) {
		t.Errorf("undo: exit %d: %s", code, said)
	}
}

// sandboxSQL changes what the service has as somebody else would.
func (s *troubled) sandboxSQL(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(s.dir, "sandbox.db"))
	if err == nil {
		_, err = db.Exec(statement)
		db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// label gives an image a box of somebody else's, and n times that.
func (s *troubled) label(t *testing.T, image string, n int) {
	t.Helper()
	var boxes []string
	for i := range n {
		boxes = append(boxes, fmt.Sprintf(`{"id":"theirs-%d","name":"car","type":"bbox","bounding_box":{"x":5,"y":5,"w":2,"h":2},"confidence":1}`, i))
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/developer/annotations/set/"+image, strings.NewReader(`{"annotations":[`+strings.Join(boxes, ",")+`]}`))
	r.Header.Set("X-API-Key", "another")
	w := httptest.NewRecorder()
	if s.server.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("label %s: %d %s", image, w.Code, w.Body)
	}
}

// An undo brings back what images had that were archived for a while since, and says so of those
// that are away still, also where there was nothing to keep of them.
func TestUndoFindsImagesThatWereAway(t *testing.T) {
	s := newTroubled(t)
	labels := s.labels(t, 1)
	s.must(t, "sync", labels, "--dataset", "set")
	away := func(archived int) {
		s.sandboxSQL(t, fmt.Sprintf(`UPDATE images SET archived = %d WHERE filename IN ('a.jpg', 'b.jpg')`, archived))
	}
	away(1)
	if code, out := s.run(t, "undo", "last", "--dry-run"); code != exitFailures || !strings.Contains(out, `"failed":2`) {
		t.Errorf("away: exit %d: %s", code, out)
	}
	away(0)
	s.label(t, "b.jpg", 1) // instead of the run's one box
	if code, out := s.run(t, "undo", "last"); code != 0 || !strings.Contains(out, `"cleared":4`) || !strings.Contains(out, `"skipped":1`) {
		t.Errorf("back: exit %d: %s", code, out)
	}
	s.must(t, "sync", labels, "--dataset", "set", "--on-drift", "overwrite")
	s.must(t, "sync", s.labels(t, 2), "--dataset", "set")
	away(1)
	s.must(t, "plan", labels, "--dataset", "set", "--unmatched", "ignore")
	away(0)
	if code, out := s.run(t, "undo", "last"); code != 0 || !strings.Contains(out, `"saved":5`) {
		t.Errorf("with annotations before: exit %d: %s", code, out)
	}
	if code, out := s.run(t, "verify", s.labels(t, 1), "--dataset", "set"); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
}

// What the service saved and denied is taken back, unless somebody else put as much there since.
func TestUndoTakesBackWhatWasDenied(t *testing.T) {
	s := newTroubled(t)
	deny := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/bulk") {
			return false
		}
		answer := httptest.NewRecorder()
		s.server.ServeHTTP(answer, r)
		var result struct {
			Saved  []map[string]any `json:"saved"`
			Failed []map[string]any `json:"failed"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &result); err != nil {
			t.Error(err)
		}
		for _, denied := range result.Saved[3:] {
			result.Failed = append(result.Failed, map[string]any{"image_id": denied["image_id"], "error": "no"})
		}
		result.Saved = result.Saved[:3]
		json.NewEncoder(w).Encode(result)
		return true
	}
	s.when(deny)
	if code, out := s.run(t, "sync", s.labels(t, 1), "--dataset", "set"); code != exitFailures || !strings.Contains(out, `"failed":2`) {
		t.Fatalf("exit %d: %s", code, out)
	}
	s.when(func(http.ResponseWriter, *http.Request) bool { return false })
	s.label(t, "e.jpg", 1)
	if code, out := s.run(t, "undo", "last"); code != 0 || !strings.Contains(out, `"cleared":4`) || !strings.Contains(out, `"skipped":1`) {
		t.Errorf("exit %d: %s", code, out)
	}
	// The same where they had been saved from here before.
	s.must(t, "sync", s.labels(t, 1), "--dataset", "set", "--on-drift", "overwrite")
	s.when(deny)
	if code, out := s.run(t, "sync", s.labels(t, 2), "--dataset", "set"); code != exitFailures || !strings.Contains(out, `"failed":2`) {
		t.Fatalf("exit %d: %s", code, out)
	}
	s.when(func(http.ResponseWriter, *http.Request) bool { return false })
	if code, out := s.run(t, "undo", "last"); code != 0 || !strings.Contains(out, `"saved":5`) {
		t.Errorf("saved before: exit %d: %s", code, out)
	}
}

// An undo and --prune leave alone what somebody changed, also where the count is the same and
// nothing is to be kept of what is overwritten.
func TestWithoutBackupsEditsAreLeftAlone(t *testing.T) {
	s := newTroubled(t)
	labels := s.labels(t, 1)
	s.must(t, "sync", labels, "--dataset", "set")
	s.label(t, "a.jpg", 1)
	lines, err := os.ReadFile(labels)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(labels, lines[strings.Index(string(lines), "\n")+1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run(t, "sync", labels, "--dataset", "set", "--prune", "--backup", "never"); code != exitFailures || !strings.Contains(out, `"cleared":0`) {
		t.Errorf("prune: exit %d: %s", code, out)
	}
	if code, out := s.run(t, "undo", "last", "--backup", "never"); code != 0 || !strings.Contains(out, `"cleared":4`) || !strings.Contains(out, `"skipped":1`) {
		t.Errorf("undo: exit %d: %s", code, out)
	}
}

// No labels are saved on an image that the service says it made of a file, where it has the id
// of another or is not as large as the file.
func TestImagesThatAreNotTheFile(t *testing.T) {
	s := newTroubled(t)
	s.must(t, "sync", s.labels(t, 2), "--dataset", "set")
	theirs := s.content(t, "a.jpg")
	var id string
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		register := strings.HasSuffix(r.URL.Path, "/bulk-register")
		if !register && !strings.HasSuffix(r.URL.Path, "/images/") {
			return false
		}
		answer := httptest.NewRecorder()
		s.server.ServeHTTP(answer, r)
		var page map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
			t.Error(err)
		}
		if register {
			made := page["data"].(map[string]any)["succeeded"].([]any)
			made[0].(map[string]any)["id"] = id
			made[1].(map[string]any)["file_size"] = 7
		} else {
			id = page["data"].([]any)[0].(map[string]any)["id"].(string)
		}
		json.NewEncoder(w).Encode(page)
		return true
	})
	code, out := s.run(t, "sync", filepath.Join("..", "..", "testdata", "shapes"), "--dataset", "set", "--upload", "missing")
	if code != exitFailures || !strings.Contains(out, `"failed":2`) || !strings.Contains(out, "by the id that a.jpg has") || !strings.Contains(out, "has 7 bytes") {
		t.Errorf("exit %d: %s", code, out)
	}
	if now := s.content(t, "a.jpg"); now != theirs {
		t.Errorf("somebody's image has %s, had %s", now, theirs)
	}
}

// content is what an image has, as the service sends it.
func (s *troubled) content(t *testing.T, image string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/developer/annotations/set/"+image, nil)
	r.Header.Set("X-API-Key", "another")
	w := httptest.NewRecorder()
	if s.server.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("read %s: %d %s", image, w.Code, w.Body)
	}
	return w.Body.String()
}

// Where the service shows one path twice, the labels of that path are saved on neither image.
func TestOnePathOfTwoImages(t *testing.T) {
	s := newTroubled(t)
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/images/") {
			return false
		}
		answer := httptest.NewRecorder()
		s.server.ServeHTTP(answer, r)
		var page map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
			t.Error(err)
		}
		page["data"].([]any)[1].(map[string]any)["filename"] = "a.jpg"
		json.NewEncoder(w).Encode(page)
		return true
	})
	if code, out := s.run(t, "sync", s.labels(t, 1), "--dataset", "set"); code != exitFailures || !strings.Contains(out, `"saved":3`) {
		t.Errorf("exit %d: %s", code, out)
	}
}

// What an undo that was stopped brings back is not forgotten before it has gone on.
func TestWhatIsBeingUndoneIsKept(t *testing.T) {
	s := newTroubled(t)
	labels := s.labels(t, 1)
	var first string
	for range 3 {
		code, out := s.run(t, "sync", labels, "--dataset", "set")
		var result struct {
			Run string `json:"run"`
		}
		if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &result); code != 0 || err != nil {
			t.Fatalf("exit %d: %s, %v", code, out, err)
		}
		if first == "" {
			first = result.Run
		}
	}
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/images/") {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	if code, out := s.run(t, "undo", first, "--max-outage", "1ms"); code != exitUnexpected {
		t.Fatalf("exit %d: %s", code, out)
	}
	if code, out := exitOf(t, command("gc", "--keep", "0d", "--state", filepath.Join(s.dir, "state.db"))); code != 0 || !strings.Contains(out, "forgot 1 run ") {
		t.Errorf("gc: exit %d: %s", code, out)
	}
	s.when(func(http.ResponseWriter, *http.Request) bool { return false })
	if code, out := s.run(t, "undo", first); code != 0 || !strings.Contains(out, `"cleared":5`) {
		t.Errorf("exit %d: %s", code, out)
	}
}

// Where the service shows fewer annotations of an image than it says there are, these are neither
// all that is to be kept of it, nor a backup, nor what is compared.
func TestAReadingThatLacksAnnotations(t *testing.T) {
	s := newTroubled(t)
	labels := s.labels(t, 1)
	s.must(t, "sync", labels, "--dataset", "set")
	s.label(t, "a.jpg", 3)
	theirs := s.content(t, "a.jpg")
	s.when(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/annotations/") || !strings.HasSuffix(r.URL.Path, "/a.jpg") {
			return false
		}
		answer := httptest.NewRecorder()
		s.server.ServeHTTP(answer, r)
		var has struct {
			Annotations []json.RawMessage `json:"annotations"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &has); err != nil || len(has.Annotations) != 3 {
			t.Errorf("%s: %v", answer.Body, err)
			return false
		}
		has.Annotations = has.Annotations[:1]
		json.NewEncoder(w).Encode(has)
		return true
	})
	for _, args := range [][]string{
		{"sync", labels, "--dataset", "set", "--on-drift", "overwrite"},
		{"export", "--dataset", "set", "--out", filepath.Join(s.dir, "backups"), "--read", "image"},
		{"verify", labels, "--dataset", "set"},
	} {
		code, out := s.run(t, args...)
		if code != exitFailures || !strings.Contains(out, `"failed":1`) {
			t.Errorf("%s: exit %d: %s", args[0], code, out)
		}
	}
	if now := s.content(t, "a.jpg"); now != theirs {
		t.Errorf("the image has %s, had %s", now, theirs)
	}
	s.when(func(http.ResponseWriter, *http.Request) bool { return false })
	if code, out := s.run(t, "sync", labels, "--dataset", "set", "--on-drift", "overwrite"); code != 0 || !strings.Contains(out, `"saved":1`) {
		t.Errorf("later: exit %d: %s", code, out)
	}
	if code, out := s.run(t, "undo", "last"); code != 0 || s.content(t, "a.jpg") != theirs {
		t.Errorf("undo: exit %d: %s", code, out)
	}
}

// An image that the service refuses to show, or whose file it refuses to give, fails alone; where it
// refuses all of them it is not the images' fault.
func TestAnImageThatIsRefused(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity} {
		s := newTroubled(t)
		labels := s.labels(t, 1)
		if code, out := s.run(t, "sync", labels, "--dataset", "set"); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
		refused := "/a.jpg"
		s.when(func(w http.ResponseWriter, r *http.Request) bool {
			switch file := strings.Contains(r.URL.Path, "/images/") && strings.HasSuffix(r.URL.Path, ".jpg"); {
			case r.Method != http.MethodGet || !file && !strings.Contains(r.URL.Path, "/annotations/"):
				return false
			case strings.HasSuffix(r.URL.Path, refused):
				http.Error(w, `{"error":{"code":"no","message":"it cannot be shown"}}`, status)
				return true
			case file:
				fmt.Fprint(w, "the file of ", r.URL.Path)
				return true
			}
			return false
		})
		export := func(folder string, more ...string) (int, string) {
			return s.run(t, append([]string{"export", "--dataset", "set", "--out", filepath.Join(s.dir, folder), "--read", "image"}, more...)...)
		}
		if code, out := export("backups", "--images"); code != exitFailures || !strings.Contains(out, `"failed":1`) || !strings.Contains(out, `"files":{"downloaded":4,"kept":0,"failed":1,`) || strings.Contains(out, `"snapshot":""`) {
			t.Errorf("%d: export: exit %d: %s", status, code, out)
		}
		if code, out := s.run(t, "verify", labels, "--dataset", "set"); code != exitFailures || !strings.Contains(out, `"failed":1`) {
			t.Errorf("%d: verify: exit %d: %s", status, code, out)
		}
		if code, out := s.run(t, "sync", s.labels(t, 2), "--dataset", "set"); code != exitFailures || !strings.Contains(out, `"saved":4`) {
			t.Errorf("%d: sync: exit %d: %s", status, code, out)
		}
		refused = ".jpg"
		if code, out := export("others", "--full", "--concurrency", "1"); code != exitUnexpected || strings.Contains(out, `"snapshot"`) {
			t.Errorf("%d: export of what is refused: exit %d: %s", status, code, out)
		}
	}
}
