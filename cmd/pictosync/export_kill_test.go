package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	"testing"
	"time"

	"pictosync/sandbox"
	"pictosync/store"
)

// readCounter counts how often each image's annotations are asked for, and all
// requests.
type readCounter struct {
	http.Handler

	mu    sync.Mutex
	all   int
	reads map[string]int
}

const annotationsRoute = "/api/v1/developer/annotations/"

func (c *readCounter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.all++
	if image, found := strings.CutPrefix(r.URL.Path, annotationsRoute); found && r.Method == http.MethodGet {
		_, path, _ := strings.Cut(image, "/") // behind the dataset's name or id
		c.reads[path]++
	}
	c.mu.Unlock()
	c.Handler.ServeHTTP(w, r)
}

func (c *readCounter) now() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.reads)
}

// exportKills is an export that is killed again and again.
type exportKills struct {
	t      *testing.T
	dir    string
	images int
	server *sandbox.Server
	killer *killer
	reads  *readCounter
	url    string

	kept   map[string]int // images whose reading was committed at some kill, and how often they had been asked for then
	kills  int
	starts int
}

// TestExportKills kills an export ten times with kill -9: in its listing, while it
// reads, and while it writes the snapshot. No image is asked for again whose reading
// was in the state at a kill, no more than one chunk is lost by each, and in the
// end there is one snapshot, whole, that holds what the service has.
//
// PICTOSYNC_EXPORT_KILLS_IMAGES makes it larger, as `make export-kills` does.
func TestExportKills(t *testing.T) {
	const kills, whileWriting = 10, 2
	images := fromEnv(t, "PICTOSYNC_EXPORT_KILLS_IMAGES", 2000)
	x := newExportKills(t, images)
	want := x.content()
	annotated := 0
	for _, annotations := range want {
		if annotations != "[]" {
			annotated++
		}
	}
	began := time.Now()
	pages := (images + 999) / 1000
	random := rand.New(rand.NewPCG(1, 1))
	for x.kills < kills-whileWriting {
		at := 1 + random.IntN(1+pages) // asking for the dataset, or in the listing
		if x.kills%4 != 1 {            // within what is left to read, so that every kill finds some
			at = 1 + pages + 1 + random.IntN(2*(annotated-len(x.kept))/(kills-x.kills))
		}
		x.killAt(at, x.kills%2 == 0)
	}
	if len(x.kept) == 0 || len(x.kept) == annotated {
		t.Fatalf("%d of %d images were read before the last kills: they show nothing", len(x.kept), annotated)
	}
	for x.kills < kills {
		x.killWhileWriting()
	}
	x.finish()
	x.checkReads("at the end")
	took := time.Since(began)

	total := 0
	for _, n := range x.reads.now() {
		total += n
	}
	// A chunk of 50 is committed at once: a kill may lose one.
	if total < annotated || total > annotated+50*kills {
		t.Errorf("%d requests for %d images with annotations and %d kills", total, annotated, kills)
	}
	x.checkSnapshot(want)
	t.Logf("%d images, %d of them with annotations, %d kills in %d starts: %d read requests, %d of them again, %d requests in all, %s",
		images, annotated, x.kills, x.starts, total, total-annotated, x.reads.all, took.Round(time.Second))
}

func newExportKills(t *testing.T, images int) *exportKills {
	t.Helper()
	x := &exportKills{t: t, dir: t.TempDir(), images: images, kept: make(map[string]int)}
	list := make([]sandbox.NewImage, images)
	for i := range list {
		list[i] = sandbox.NewImage{Path: exportedPath(i), Width: 100, Height: 100}
	}
	x.server = sandboxWith(t, x.dir, list...)
	x.fill(list)
	x.killer = &killer{server: x.server}
	x.reads = &readCounter{Handler: x.killer, reads: make(map[string]int)}
	service := httptest.NewServer(x.reads)
	t.Cleanup(service.Close)
	x.url = service.URL
	return x
}

func exportedPath(i int) string { return fmt.Sprintf("d%d/%06d.jpg", i%7, i) }

// ask is a request to the sandbox that passes neither the network nor the counts.
func (x *exportKills) ask(method, path, body string) []byte {
	x.t.Helper()
	request := httptest.NewRequest(method, "http://sandbox"+path, strings.NewReader(body))
	request.Header.Set("X-API-Key", "somebody-else")
	answer := httptest.NewRecorder()
	x.server.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		x.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	return answer.Body.Bytes()
}

// fill gives four of five images annotations.
func (x *exportKills) fill(images []sandbox.NewImage) {
	x.t.Helper()
	x.ask("PATCH", "/api/v1/developer/datasets/set", `{"classes":[{"name":"car","type":"bbox"}],"classes_base":[]}`)
	for offset := 0; offset < len(images); offset += 1000 {
		var page struct {
			Data []struct {
				ID string
			}
		}
		query := url.Values{"dataset": {"set"}, "limit": {"1000"}, "offset": {fmt.Sprint(offset)}}
		if err := json.Unmarshal(x.ask("GET", "/api/v1/developer/images/?"+query.Encode(), ""), &page); err != nil {
			x.t.Fatal(err)
		}
		for chunk := range slices.Chunk(page.Data, 200) {
			var saves []string
			for n, image := range chunk {
				if n%5 == 4 {
					continue
				}
				boxes := make([]string, 1+n%3)
				for b := range boxes {
					boxes[b] = box(offset+n, n, b)
				}
				saves = append(saves, fmt.Sprintf(`{"image_id":%q,"annotations":[%s]}`, image.ID, strings.Join(boxes, ",")))
			}
			x.ask("POST", "/api/v1/developer/annotations/bulk", `{"saves":[`+strings.Join(saves, ",")+`]}`)
		}
	}
}

// content is what the service has, by image.
func (x *exportKills) content() map[string]string {
	x.t.Helper()
	out := make(map[string]string)
	for i := range x.images {
		var body struct{ Annotations json.RawMessage }
		if err := json.Unmarshal(x.ask("GET", annotationsRoute+"set/"+exportedPath(i), ""), &body); err != nil {
			x.t.Fatal(err)
		}
		out[exportedPath(i)] = string(body.Annotations)
	}
	return out
}

func (x *exportKills) state() string { return filepath.Join(x.dir, "state.db") }
func (x *exportKills) out() string   { return filepath.Join(x.dir, "backups") }

func (x *exportKills) export() *exec.Cmd {
	return command("export", "--dataset", "set", "--out", x.out(), "--snapshots", "1", "--base-url", x.url, "--state", x.state(), "--rate", "unlimited", "--read", "image")
}

// killAt starts the export and has it killed at its n-th request, before or after
// that was served.
func (x *exportKills) killAt(n int, after bool) {
	x.t.Helper()
	k := x.killer
	cmd := x.export()
	k.mu.Lock()
	k.left, k.after, k.killed = n, after, false
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	k.process = cmd.Process
	k.mu.Unlock()
	err := cmd.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil || !k.killed {
		x.t.Fatalf("an export that should have been killed at request %d ended by itself: %v", n, err)
	}
	x.kills++
	x.starts++
	x.checkReads(fmt.Sprintf("after kill %d, at request %d", x.kills, n))
}

// killWhileWriting starts the export and kills it while the folder of an unfinished
// snapshot is there. That is a moment: a start that got past it is followed by
// another.
func (x *exportKills) killWhileWriting() {
	x.t.Helper()
	for range 50 {
		cmd := x.export()
		if err := cmd.Start(); err != nil {
			x.t.Fatal(err)
		}
		x.starts++
		before := x.partials()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			cmd.Wait()
		}()
		writing := func() bool {
			for {
				select {
				case <-ended:
					return false
				default:
				}
				if now := x.partials(); len(now) > 0 && !slices.Equal(now, before) {
					cmd.Process.Kill()
					<-ended
					return true
				}
			}
		}()
		if writing && len(x.partials()) > 0 {
			x.kills++
			x.checkReads(fmt.Sprintf("after kill %d, while writing", x.kills))
			return
		}
	}
	x.t.Fatal("no start could be killed while it wrote the snapshot")
}

// finish lets the export come to its end. A snapshot that was completed within the
// same second has the name already.
func (x *exportKills) finish() {
	x.t.Helper()
	for try := 1; ; try++ {
		code, out := exitOf(x.t, x.export())
		x.starts++
		if code == 0 {
			return
		}
		if try > 100 || !strings.Contains(out, "two cannot be of one second, run again") {
			x.t.Fatalf("the export after the kills: exit %d: %s", code, out)
		}
	}
}

// partials are the folders of unfinished snapshots.
func (x *exportKills) partials() []string {
	x.t.Helper()
	found, err := filepath.Glob(filepath.Join(x.out(), ".partial-*"))
	if err != nil {
		x.t.Fatal(err)
	}
	return found
}

// checkReads holds the requests for each image against what the state had at the
// kills before, and notes what it has at this one.
func (x *exportKills) checkReads(when string) {
	x.t.Helper()
	asked := x.reads.now()
	again := 0
	for path, n := range x.kept {
		if asked[path] != n {
			again++
		}
	}
	if again > 0 {
		x.t.Errorf("%s: %d images were asked for again whose readings had been committed", when, again)
	}
	st, err := store.Look(x.t.Context(), x.state())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		x.t.Fatal(err)
	}
	defer st.Close()
	runs, err := st.Runs(x.t.Context(), 1)
	if err != nil {
		x.t.Fatal(err)
	}
	if len(runs) == 0 {
		return // killed before it began
	}
	for r, err := range st.ReadStates(x.t.Context(), runs[0].Dataset) {
		if err != nil {
			x.t.Fatal(err)
		}
		if !r.ReadAt.IsZero() {
			x.kept[r.Path] = asked[r.Path]
		} else if _, lost := x.kept[r.Path]; lost {
			x.t.Errorf("%s: the reading of %s is lost", when, r.Path)
		}
	}
}

// checkSnapshot holds the only snapshot against what the service has.
func (x *exportKills) checkSnapshot(want map[string]string) {
	x.t.Helper()
	entries, err := os.ReadDir(x.out())
	if err != nil {
		x.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) != 1 || strings.HasPrefix(names[0], ".") {
		x.t.Fatalf("the folder of backups holds %q; want one snapshot", names)
	}
	files, err := filepath.Glob(filepath.Join(x.out(), names[0], "annotations", "*.jsonl"))
	if err != nil {
		x.t.Fatal(err)
	}
	got := make(map[string]string)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			x.t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var image struct {
				Image       string
				Annotations json.RawMessage
			}
			if err := json.Unmarshal(line, &image); err != nil {
				x.t.Fatalf("%s: %v", file, err)
			}
			if _, twice := got[image.Image]; twice {
				x.t.Errorf("%s is in the snapshot twice", image.Image)
			}
			got[image.Image] = string(image.Annotations)
		}
	}
	differ := 0
	for path, annotations := range want {
		if got[path] != annotations {
			if differ++; differ == 1 {
				x.t.Errorf("%s: the service has %s, the snapshot %s", path, annotations, got[path])
			}
		}
	}
	if differ > 0 || len(got) != len(want) {
		x.t.Errorf("the snapshot has %d images, the service %d; %d differ", len(got), len(want), differ)
	}
}
