package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pictosync/pictograph"
	"pictosync/sandbox"
	"pictosync/store"
	"pictosync/worker"
)

// fromEnv is a whole number of the environment, for the large form of a test.
func fromEnv(t *testing.T, name string, small int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return small
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// chaos is a service that misbehaves in every way it can, and a command that is
// killed while it talks to it.
type chaos struct {
	t      *testing.T
	dir    string
	images int
	random *rand.Rand
	killer *killer
	url    string // with faults
	honest string // the same data without
	kills  int
	starts int
}

func newChaos(t *testing.T, images int, seed uint64) *chaos {
	t.Helper()
	c := &chaos{t: t, dir: t.TempDir(), images: images, random: rand.New(rand.NewPCG(seed, 1))}
	db := filepath.Join(c.dir, "sandbox.db")
	faults, err := sandbox.ParseFaults(fmt.Sprintf("seed=%d,5xx=0.004,html=0.004,reset-before=0.004,reset-after=0.004,stall-before=0.002,stall-after=0.002,truncate=0.004,lost-answer=0.004,storm=0.0005,storm-length=2,stall=50ms", seed))
	if err != nil {
		t.Fatal(err)
	}
	open := func(o sandbox.Options) *sandbox.Server {
		server, err := sandbox.Open(db, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return server
	}
	c.killer = &killer{server: open(sandbox.Options{Faults: faults})}
	honest := open(sandbox.Options{})
	lies := &liar{next: c.killer, pages: images/pictograph.PageSize + 1, random: rand.New(rand.NewPCG(seed, 2))}
	t.Cleanup(func() { t.Logf("%d answers that lacked images, %d listings that were short", lies.lacking, lies.short) })
	for url, handler := range map[*string]http.Handler{&c.url: lies, &c.honest: honest} {
		service := httptest.NewServer(handler)
		t.Cleanup(service.Close)
		*url = service.URL
	}
	if _, _, err := honest.EnsureDataset(t.Context(), "set"); err != nil {
		t.Fatal(err)
	}
	var list []sandbox.NewImage
	for i := range images {
		list = append(list, sandbox.NewImage{Path: c.path(i), Width: 100, Height: 100})
	}
	if _, err := honest.AddImages(t.Context(), "set", list); err != nil {
		t.Fatal(err)
	}
	return c
}

// liar leaves something out of some answers: images of a bulk save, and of a listing the
// end, which it shows when it is asked again.
type liar struct {
	next http.Handler

	mu             sync.Mutex
	random         *rand.Rand
	lacking, short int
	honest         int // so many pages more
	pages          int // of a listing
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bulk := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/bulk")
	listing := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/images/")
	if !bulk && !listing {
		l.next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	l.next.ServeHTTP(answer, r)
	body := answer.Body.Bytes()
	if answer.Code == http.StatusOK {
		body = l.lie(body, bulk)
	}
	for name, values := range answer.Header() {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(answer.Code)
	w.Write(body)
}

func (l *liar) lie(body []byte, bulk bool) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var answer struct {
		Saved      []json.RawMessage          `json:"saved"`
		Failed     json.RawMessage            `json:"failed"`
		Data       json.RawMessage            `json:"data"`
		Pagination map[string]json.RawMessage `json:"pagination"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return body
	}
	if bulk {
		if len(answer.Saved) == 0 || l.random.IntN(3) > 0 {
			return body
		}
		l.lacking++
		lied, _ := json.Marshal(map[string]any{"saved": answer.Saved[:l.random.IntN(len(answer.Saved))], "failed": answer.Failed})
		return lied
	}
	var images []json.RawMessage
	if json.Unmarshal(answer.Data, &images) != nil || len(images) == 0 {
		return body
	}
	if l.honest--; l.honest >= 0 || l.random.IntN(3) > 0 {
		return body
	}
	l.honest = 2 * l.pages
	l.short++
	answer.Pagination["has_more"] = json.RawMessage("false")
	lied, _ := json.Marshal(map[string]any{"data": images[:l.random.IntN(len(images))], "pagination": answer.Pagination})
	return lied
}

func (c *chaos) path(i int) string { return fmt.Sprintf("d%d/%05d.jpg", i%3, i) }

// box is the n-th annotation of an image in a version of the labels.
func box(version, image, n int) string {
	return fmt.Sprintf(`{"id":"%d","name":"car","type":"bbox","bounding_box":{"x":%g,"y":%d,"w":2,"h":3},"confidence":1}`, n, float64(image)/100, version)
}

func annotations(version, image int) string {
	boxes := make([]string, (image*7+version)%4)
	for n := range boxes {
		boxes[n] = box(version, image, n)
	}
	return "[" + strings.Join(boxes, ",") + "]"
}

// labels writes a version of the labels, of all images but every fifth.
func (c *chaos) labels(version int) string {
	var out bytes.Buffer
	for i := range c.images {
		if i%5 != version%5 {
			fmt.Fprintf(&out, `{"image":%q,"width":100,"height":100,"annotations":%s}`+"\n", c.path(i), annotations(version, i))
		}
	}
	file := filepath.Join(c.dir, fmt.Sprintf("labels-%d.jsonl", version))
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// run starts the command, kills it at a random request, and so on until it
// gets to its end, which is a summary.
func (c *chaos) run(args ...string) worker.Summary {
	c.t.Helper()
	for try := 0; ; try++ {
		if try > 200 {
			c.t.Fatalf("%v does not come to an end", args)
		}
		c.killer.mu.Lock()
		c.killer.left, c.killer.after, c.killer.killed = 1+c.random.IntN(min(c.images, 300)+20), c.random.IntN(2) == 0, false
		var out, log bytes.Buffer
		cmd := exec.Command(os.Args[0], append(args, "--base-url", c.url, "--state", filepath.Join(c.dir, "state.db"), "--rate", "unlimited", "--json", "--concurrency", "4", "--timeout", "10s", "--max-retries", "6")...)
		cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Start(); err != nil {
			c.t.Fatal(err)
		}
		c.killer.process = cmd.Process
		c.killer.mu.Unlock()
		c.starts++
		err := cmd.Wait()
		c.killer.mu.Lock()
		killed := c.killer.killed
		c.killer.left = 0
		c.killer.mu.Unlock()
		if killed {
			c.kills++
			continue
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == exitUnexpected {
			continue // a fault that outlasted the retries: the same command resumes
		}
		var s worker.Summary
		if err != nil || json.Unmarshal(out.Bytes(), &s) != nil {
			c.t.Fatalf("%v: %v\n%s\n%s", args, err, out.String(), log.String())
		}
		return s
	}
}

// content is what the service holds, by image, as it sends it.
func (c *chaos) content() map[string]string {
	c.t.Helper()
	out := make(map[string]string, c.images)
	for i := range c.images {
		request, err := http.NewRequest("GET", c.honest+"/api/v1/developer/annotations/set/"+c.path(i), nil)
		if err != nil {
			c.t.Fatal(err)
		}
		request.Header.Set("X-API-Key", "key")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			c.t.Fatal(err)
		}
		data, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		var body struct{ Annotations json.RawMessage }
		if err != nil || answer.StatusCode != 200 || json.Unmarshal(data, &body) != nil {
			c.t.Fatal(answer.Status, err)
		}
		out[c.path(i)] = string(body.Annotations)
	}
	return out
}

// save is somebody else at work.
func (c *chaos) save(i int, body string) {
	c.t.Helper()
	request, err := http.NewRequest("POST", c.honest+"/api/v1/developer/annotations/set/"+c.path(i), strings.NewReader(`{"annotations":`+body+`}`))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "key")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if answer.StatusCode != 200 {
		c.t.Fatal(answer.Status)
	}
}

// classes makes the class that the hand-made annotations have.
func (c *chaos) classes() {
	request, err := http.NewRequest("PATCH", c.honest+"/api/v1/developer/datasets/set", strings.NewReader(`{"classes":[{"name":"car","type":"bbox"}],"classes_base":[]}`))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "key")
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode != 200 {
		c.t.Fatal(answer, err)
	}
	answer.Body.Close()
}

// TestChaos imports one version of labels after the other into a service with
// every fault, is killed at random requests, and undoes it all again. At the
// end of each import the service holds what the labels say; nothing was saved
// twice; the counts of the state are those of the audit log; everything that
// was overwritten is in a backup; and the undo brings back the first day.
//
// PICTOSYNC_CHAOS_IMAGES and PICTOSYNC_CHAOS_KILLS make it larger, as `make
// chaos` does; PICTOSYNC_CHAOS_SEED makes it another one.
func TestChaos(t *testing.T) {
	images, kills := fromEnv(t, "PICTOSYNC_CHAOS_IMAGES", 120), fromEnv(t, "PICTOSYNC_CHAOS_KILLS", 6)
	seed := uint64(fromEnv(t, "PICTOSYNC_CHAOS_SEED", 1))
	c := newChaos(t, images, seed)
	c.classes()
	for i := range images {
		if i%4 == 0 { // made by hand before
			c.save(i, "["+strings.ReplaceAll(box(1000, i, 0), `"confidence"`, `"created_by":"someone","confidence"`)+"]")
		}
	}
	began := time.Now()
	firstDay := c.content()
	want := make(map[string]string)
	for path, had := range firstDay {
		want[path] = had
	}
	var runs []worker.Summary
	before := firstDay
	for version := 1; c.kills < kills || version < 3; version++ {
		s := c.run("sync", c.labels(version), "--dataset", "set", "--max-removed", "none")
		runs = append(runs, s)
		for i := range images {
			if i%5 != version%5 {
				want[c.path(i)] = annotations(version, i)
			}
		}
		now := c.content()
		for path, got := range now {
			if got != want[path] {
				t.Fatalf("after version %d %s has %s, the labels say %s", version, path, got, want[path])
			}
		}
		c.checkRun(s, before)
		before = now
	}
	for i := len(runs) - 1; i >= 0; i-- {
		s := c.run("undo", runs[i].Run)
		if s.Images.Skipped+s.Images.Failed > 0 {
			t.Errorf("the undo of version %d: %+v", i+1, s.Images)
		}
	}
	for path, got := range c.content() {
		if got != firstDay[path] {
			t.Errorf("%s came back as %s, was %s", path, got, firstDay[path])
		}
	}
	t.Logf("%d images, %d versions, %d starts of which %d were killed, %s", images, len(runs), c.starts, c.kills, time.Since(began).Round(time.Second))
}

// checkRun holds the state's record of a run against the service's audit log,
// and its backups against what was there before.
func (c *chaos) checkRun(s worker.Summary, before map[string]string) {
	c.t.Helper()
	ctx := context.Background()
	executed := make(map[string]string)
	for e, err := range c.killer.server.Audit(ctx) {
		if err != nil {
			c.t.Fatal(err)
		}
		if !strings.HasPrefix(e.IdempotencyKey, s.Run+"-") || e.ImagePath == "" {
			continue
		}
		if _, twice := executed[e.ImagePath]; twice {
			c.t.Errorf("run %s saved %s twice", s.Run, e.ImagePath)
		}
		executed[e.ImagePath] = fmt.Sprintf("%d→%d", e.PreviousCount, e.NewCount)
	}
	st, err := store.Open(ctx, filepath.Join(c.dir, "state.db"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer st.Close()
	saved := 0
	for r, err := range st.Records(ctx, s.Run, "") {
		if err != nil {
			c.t.Fatal(err)
		}
		if r.Outcome != store.ItemSaved && r.Outcome != store.ItemCleared {
			continue
		}
		saved++
		if r.Previous == nil || fmt.Sprintf("%d→%d", *r.Previous, *r.New) != executed[r.Path] {
			c.t.Errorf("%s: the state says %+v, the service executed %q", r.Path, r, executed[r.Path])
			continue
		}
		if had := before[r.Path]; had != "[]" {
			backup, err := st.Backup(ctx, s.Run, r.ImageID)
			if err != nil || string(backup.Annotations) != had {
				c.t.Errorf("%s had %s, its backup is %s, %v", r.Path, had, backup.Annotations, err)
			}
		}
	}
	if saved != len(executed) || saved != s.Images.Saved+s.Images.Cleared {
		c.t.Errorf("run %s: %d saved by the state, %d executed by the service, summary %+v", s.Run, saved, len(executed), s.Images)
	}
}
