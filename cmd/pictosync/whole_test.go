//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pictosync/sandbox"
)

// wholes is a service with a dataset whose images somebody annotated, which counts the
// exports that it makes, and kills the process that asks, or downloads, at a request.
type wholes struct {
	t      *testing.T
	dir    string
	images int
	each   int // annotations of an image
	server *sandbox.Server
	url    string

	mu      sync.Mutex
	process *os.Process
	left    int // requests until the kill, 0 = none
	after   bool
	made    map[string]bool // exports, by name
	seen    map[string]int  // requests, by what they are for
}

func newWholes(t *testing.T, images, each int) *wholes {
	t.Helper()
	w := &wholes{t: t, dir: t.TempDir(), images: images, each: each, made: make(map[string]bool), seen: make(map[string]int)}
	var storage *sandbox.Server
	stored := httptest.NewServer(w.killing(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { storage.StorageHandler().ServeHTTP(rw, r) })))
	var err error
	if w.server, err = sandbox.Open(filepath.Join(w.dir, "sandbox.db"), sandbox.Options{StorageURL: stored.URL, Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	storage = w.server
	service := httptest.NewServer(w.killing(w.server))
	w.url = service.URL
	t.Cleanup(func() {
		service.Close()
		stored.Close()
		w.server.Close()
	})
	if _, _, err := w.server.EnsureDataset(t.Context(), "set"); err != nil {
		t.Fatal(err)
	}
	list := make([]sandbox.NewImage, images)
	for i := range list {
		list[i] = sandbox.NewImage{Path: exportedPath(i), Width: 100, Height: 100}
	}
	for len(list) > 0 {
		n := min(len(list), 10_000)
		if _, err := w.server.AddImages(t.Context(), "set", list[:n]); err != nil {
			t.Fatal(err)
		}
		list = list[n:]
	}
	w.ask("PATCH", "/api/v1/developer/datasets/set", `{"classes":[{"name":"car","type":"bbox"}],"classes_base":[]}`)
	return w
}

// killing is a handler whose requests are counted, and kill.
func (w *wholes) killing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		now := false
		if w.left > 0 {
			w.left--
			now = w.left == 0
		}
		before := now && !w.after
		if before {
			w.process.Kill()
		}
		kind := strings.TrimPrefix(r.URL.Path, "/api/v1/developer/")
		kind, _, _ = strings.Cut(kind, "/")
		w.seen[r.Method+" "+kind]++
		w.mu.Unlock()
		answer := &noting{ResponseWriter: rw}
		body := ""
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/exports/") {
			data, err := io.ReadAll(r.Body)
			if err != nil {
				return // it was killed
			}
			body = string(data)
			r.Body = io.NopCloser(strings.NewReader(body))
		}
		next.ServeHTTP(answer, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		if body != "" && answer.status == http.StatusCreated {
			var asked struct{ Name string }
			if err := json.Unmarshal([]byte(body), &asked); err != nil {
				w.t.Error(err)
			}
			w.made[asked.Name] = true
		}
		if now && w.after {
			w.process.Kill()
		}
	})
}

// ask is a request that passes neither the network nor the counts.
func (w *wholes) ask(method, path, body string) []byte {
	w.t.Helper()
	request := httptest.NewRequest(method, "http://sandbox"+path, strings.NewReader(body))
	request.Header.Set("X-API-Key", "somebody-else")
	answer := httptest.NewRecorder()
	w.server.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	return answer.Body.Bytes()
}

// ids are the service's of all images, by path.
func (w *wholes) ids() map[string]string {
	w.t.Helper()
	ids := make(map[string]string, w.images)
	for offset := 0; offset < w.images; offset += 1000 {
		var page struct {
			Data []struct {
				ID, Filename string
				Directory    string `json:"directory_path"`
			}
		}
		query := url.Values{"dataset": {"set"}, "limit": {"1000"}, "offset": {fmt.Sprint(offset)}}
		if err := json.Unmarshal(w.ask("GET", "/api/v1/developer/images/?"+query.Encode(), ""), &page); err != nil {
			w.t.Fatal(err)
		}
		for _, i := range page.Data {
			ids[strings.TrimPrefix(i.Directory+"/"+i.Filename, "/")] = i.ID
		}
	}
	return ids
}

func (w *wholes) boxes(version, image int) string {
	boxes := make([]string, w.each)
	for b := range boxes {
		boxes[b] = fmt.Sprintf(`{"id":"%d","name":"car","type":"bbox","bounding_box":{"x":%d,"y":%d,"w":%d,"h":3},"confidence":1}`, b, image%97, version%97, 1+b)
	}
	return "[" + strings.Join(boxes, ",") + "]"
}

// annotate gives all images the annotations of a version, as somebody else.
func (w *wholes) annotate(ids map[string]string, version int) {
	w.t.Helper()
	var saves []string
	flush := func() {
		if len(saves) > 0 {
			w.ask("POST", "/api/v1/developer/annotations/bulk", `{"saves":[`+strings.Join(saves, ",")+`]}`)
		}
		saves = saves[:0]
	}
	for i := range w.images {
		saves = append(saves, fmt.Sprintf(`{"image_id":%q,"annotations":%s}`, ids[exportedPath(i)], w.boxes(version, i)))
		if len(saves) == 200 {
			flush()
		}
	}
	flush()
}

// labels writes labels of a version.
func (w *wholes) labels(version int) string {
	w.t.Helper()
	path := filepath.Join(w.dir, "labels.jsonl")
	f, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for i := range w.images {
		fmt.Fprintf(f, "{\"image\":%q,\"width\":100,\"height\":100,\"annotations\":%s}\n", exportedPath(i), w.boxes(version, i))
	}
	return path
}

// differing counts the images that do not have the annotations of a version.
func (w *wholes) differing(version int) (n int) {
	w.t.Helper()
	for i := range w.images {
		var body struct{ Annotations json.RawMessage }
		if err := json.Unmarshal(w.ask("GET", annotationsRoute+"set/"+exportedPath(i), ""), &body); err != nil {
			w.t.Fatal(err)
		}
		if string(body.Annotations) != w.boxes(version, i) {
			n++
		}
	}
	return n
}

func (w *wholes) command(args ...string) *exec.Cmd {
	return command(append(args, "--base-url", w.url, "--state", filepath.Join(w.dir, "state.db"), "--rate", "unlimited")...)
}

// killAt starts a command and kills it at its n-th request; killed is false where it came to
// its end before.
func (w *wholes) killAt(cmd *exec.Cmd, n int, after bool) (killed bool) {
	w.t.Helper()
	w.mu.Lock()
	w.left, w.after = n, after
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.process = cmd.Process
	w.mu.Unlock()
	cmd.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	killed = w.left == 0
	w.left = 0
	return killed
}

// oneExport checks that a run had one export made at most, however often it was begun.
func (w *wholes) oneExport(n int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.made) > 1 {
		w.t.Errorf("sync %d had %d exports made", n, len(w.made))
	}
	w.made = make(map[string]bool)
}

// noting notes the status of an answer.
type noting struct {
	http.ResponseWriter
	status int
}

func (n *noting) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// TestWholeKills kills syncs that back up by an export with kill -9, at every request of
// theirs and of the download, one to three times each. No sync has a second export made, no
// image is lost, and an undo brings back what was there; nothing is left beside the state.
//
// PICTOSYNC_WHOLE_KILLS makes it longer, as `make whole-kills` does.
func TestWholeKills(t *testing.T) {
	kills := fromEnv(t, "PICTOSYNC_WHOLE_KILLS", 14)
	w := newWholes(t, 60, 2)
	ids := w.ids()
	random := rand.New(rand.NewPCG(2, 2))
	killed, syncs, resumes, at := 0, 0, 0, 0
	for killed < kills {
		theirs, ours := 2*syncs, 2*syncs+1
		w.annotate(ids, theirs)
		labels := w.labels(ours)
		sync := func() *exec.Cmd {
			return w.command("sync", labels, "--dataset", "set", "--on-drift", "overwrite", "--max-removed", "none", "--json")
		}
		for range 1 + random.IntN(3) {
			at = at%16 + 1 // in turn: in the listing, about the export, in its download, in the saves
			resumes++
			if w.killAt(sync(), at, random.IntN(2) == 0) {
				killed++
				continue
			}
			w.oneExport(syncs) // it came to its end, and the next is another run
		}
		var summary struct{ Run string }
		code, out := exitOf(t, sync())
		if code != 0 {
			t.Fatalf("after the kills: exit %d: %s", code, out)
		}
		if err := json.NewDecoder(strings.NewReader(out[strings.Index(out, "{\"run\""):])).Decode(&summary); err != nil {
			t.Fatal(err)
		}
		if n := w.differing(ours); n > 0 {
			t.Errorf("sync %d: %d images have not what the labels say", syncs, n)
		}
		w.oneExport(syncs)
		if left, _ := filepath.Glob(filepath.Join(w.dir, "state.db.export-*")); len(left) > 0 {
			t.Errorf("left beside the state: %q", left)
		}
		if code, out := exitOf(t, w.command("undo", "last", "--read", "image")); code != 0 {
			t.Fatalf("undo: exit %d: %s", code, out)
		}
		if n := w.differing(theirs); n > 0 {
			t.Errorf("undo %d: %d images have not what they had", syncs, n)
		}
		syncs++
	}
	if leaked := w.server.Stats().KeysLeaked; leaked > 0 {
		t.Errorf("the storage was shown the key %d times", leaked)
	}
	t.Logf("%d syncs of 60 images, %d starts of which %d were killed", syncs, resumes, killed)
}

// memoryOf is how much memory a command that ended had at most, in MiB.
func memoryOf(cmd *exec.Cmd) int64 {
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss >> 10
	}
	return 0
}

// TestRequestsOfWholes counts the requests of what people do with whole datasets: a first
// overwrite with backups, a backup, and nights in which nothing changed but one image, by an
// edit that keeps its count.
//
// PICTOSYNC_WHOLE_IMAGES and PICTOSYNC_WHOLE_EACH make it larger, as `make wholes` does.
func TestRequestsOfWholes(t *testing.T) {
	images, each := fromEnv(t, "PICTOSYNC_WHOLE_IMAGES", 1500), fromEnv(t, "PICTOSYNC_WHOLE_EACH", 2)
	w := newWholes(t, images, each)
	ids := w.ids()
	w.annotate(ids, 0)
	labels := w.labels(1)
	pages, saves := (images+999)/1000, (images+199)/200
	run := func(what string, most, status int, args ...string) {
		t.Helper()
		began := time.Now()
		cmd := w.command(args...)
		code, out := exitOf(t, cmd)
		_, text, _ := strings.Cut(out, `"requests":`)
		if i := strings.LastIndex(out, `"requests":`); i >= 0 {
			text = out[i+len(`"requests":`):]
		}
		requests := 0
		fmt.Sscan(text, &requests)
		t.Logf("%s: %d requests, %d MiB, %s", what, requests, memoryOf(cmd), time.Since(began).Round(100*time.Millisecond))
		if code != status || requests == 0 || requests > most {
			t.Errorf("%s: exit %d, %d requests, at most %d are to be: %s", what, code, requests, most, out)
		}
	}
	sync := []string{"sync", labels, "--dataset", "set", "--max-removed", "none", "--json"}
	run("first overwrite with backups", pages+saves+20, 0, sync...)
	if n := w.differing(1); n > 0 {
		t.Errorf("%d images have not what the labels say", n)
	}
	run("night: sync by the counts", pages+2, 0, append(slices.Clone(sync), "--read", "image")...)
	run("first backup", pages+20, 0, "export", "--dataset", "set", "--out", filepath.Join(w.dir, "backups"), "--json")
	run("night: sync", pages+20, 0, sync...)
	run("night: export", pages+20, 0, "export", "--dataset", "set", "--out", filepath.Join(w.dir, "backups"), "--json")
	run("night: verify", pages+20, 0, "verify", labels, "--dataset", "set", "--json")
	config := jobsFile(t, w.dir, w.url, fmt.Sprintf("dataset: set\nrate: unlimited\njobs:\n  - {name: s, sync: %s}\n  - {name: e, export: %s}\n  - {name: v, verify: %s}\n", labels, filepath.Join(w.dir, "backups"), labels))
	run("night of the three as jobs", pages+22, 0, "run", config, "--json")
	w.ask("POST", annotationsRoute+"set/"+exportedPath(7), `{"annotations":`+w.boxes(5, 7)+`}`)
	run("night after an edit that keeps the count", pages+20, exitFailures, sync...)
}
