package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pictosync/convert"
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
	lies   *liar
	url    string // with faults
	honest string // the same data without
	kills  int
	starts int
	// setAside is how often a start said that the state is damaged, and behind how often that it
	// does not know all that was sent from it.
	setAside, behind int
	state            string
	ids              map[string]string            // of the images, by path
	said             map[string]map[string]string // what labels say, by their file and image
	// harm is done to the state after a kill; nil is none.
	harm func()
}

func newChaos(t *testing.T, images int, seed uint64) *chaos {
	t.Helper()
	c := &chaos{t: t, dir: t.TempDir(), images: images, random: rand.New(rand.NewPCG(seed, 1)), said: make(map[string]map[string]string)}
	c.state = filepath.Join(c.dir, "state.db")
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
	c.lies = &liar{t: t, next: c.killer, pages: images/pictograph.PageSize + 1, random: rand.New(rand.NewPCG(seed, 2)), sent: make(map[string]string), gone: make(map[string]bool)}
	for url, handler := range map[*string]http.Handler{&c.url: c.lies, &c.honest: honest} {
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
	client, err := pictograph.New(pictograph.Config{BaseURL: c.honest, APIKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	c.ids = make(map[string]string)
	for i, err := range client.Images(t.Context(), "set", pictograph.ImageFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		c.ids[i.Path()] = i.ID
	}
	return c
}

// liar leaves something out of some answers: images of a bulk save, and of a listing the
// end, which it shows when it is asked again. It fails every save of a poison image, with
// all that is sent beside it.
type liar struct {
	t    *testing.T
	next http.Handler

	mu             sync.Mutex
	sent           map[string]string // the body of a save by its idempotency key
	gone           map[string]bool   // keys that must not come again
	poison         string            // id of an image; "" is none
	poisoned       int
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
	if bulk && l.refuses(w, r) {
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

// poisonWords are what the service says of a poison image.
const poisonWords = "this image cannot be saved"

// refuses answers a save of a poison image. It holds every save against those before it: a
// key that comes again has the same body, and is of a batch that the state has in flight.
func (l *liar) refuses(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false // it breaks off for the next one too
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	l.mu.Lock()
	defer l.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if before, again := l.sent[key]; key == "" || again && (before != string(body) || l.gone[key]) {
		l.t.Errorf("key %q is used for\n%s\nand before for\n%s", key, body, before)
	}
	l.sent[key] = string(body)
	if l.poison == "" || !bytes.Contains(body, []byte(`"`+l.poison+`"`)) {
		return false
	}
	l.poisoned++
	// Neither is tried again at once, which would take long.
	status := []int{http.StatusConflict, http.StatusNotExtended}[l.random.IntN(2)]
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":"poison","message":%q}}`, poisonWords)
	return true
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
// box is one that no other version has, inside the image.
func box(version, image, n int) string {
	const height = 97
	return fmt.Sprintf(`{"id":"%d","name":"car","type":"bbox","bounding_box":{"x":%g,"y":%d,"w":%d,"h":3},"confidence":1}`, n, float64(image)/100, version%height, 2+version/height)
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
	said := make(map[string]string)
	for i := range c.images {
		if i%5 != version%5 {
			said[c.path(i)] = annotations(version, i)
			fmt.Fprintf(&out, `{"image":%q,"width":100,"height":100,"annotations":%s}`+"\n", c.path(i), annotations(version, i))
		}
	}
	file := filepath.Join(c.dir, fmt.Sprintf("labels-%d.jsonl", version))
	c.said[file] = said
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// run starts the command, kills it at a random request, and so on until it
// gets to its end, which is a summary. Some images may have failed.
func (c *chaos) run(args ...string) worker.Summary {
	c.t.Helper()
	reach := min(c.images, 300) + 20
	if slices.Contains(args, "image") {
		reach = 2*c.images + 20 // each image is a request
	}
	for try := 0; ; try++ {
		if try > 200 {
			c.t.Fatalf("%v does not come to an end", args)
		}
		c.killer.mu.Lock()
		c.killer.left, c.killer.after, c.killer.killed = 1+c.random.IntN(1+c.random.IntN(reach)), c.random.IntN(2) == 0, false
		var out, log bytes.Buffer
		cmd := exec.Command(os.Args[0], append(args, "--base-url", c.url, "--state", c.state, "--rate", "unlimited", "--json", "--concurrency", "4", "--timeout", "10s", "--max-retries", "6", "--max-outage", "1ms")...)
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
		c.setAside += strings.Count(log.String(), "is damaged: it was moved to")
		c.behind += strings.Count(log.String(), "knows nothing of the last")
		if killed {
			c.kills++
			if c.harm != nil {
				c.harm()
			}
			continue
		}
		status := cmd.ProcessState.ExitCode()
		if status == exitUnexpected {
			continue // a fault that outlasted the retries: the same command resumes
		}
		var s worker.Summary
		if json.Unmarshal(out.Bytes(), &s) != nil || status != exitDone && status != exitFailures {
			c.t.Fatalf("%v: %v\n%s\n%s", args, err, out.String(), log.String())
		}
		if failed := s.Images.Failed > 0; failed != (status == exitFailures) {
			c.t.Errorf("%v: exit %d, and %d images failed", args, status, s.Images.Failed)
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

// poison makes the service fail on an image's saves from now on; "" is none.
func (c *chaos) poison(path string) {
	c.lies.mu.Lock()
	defer c.lies.mu.Unlock()
	c.lies.poison = c.ids[path]
	if c.lies.poison == "" && path != "" {
		c.t.Fatalf("there is no image %s", path)
	}
}

// anyOf is one of the images that a test picks, by path.
func (c *chaos) anyOf(fits func(i int) bool) string {
	for n, from := 0, c.random.IntN(c.images); n < c.images; n++ {
		if i := (from + n) % c.images; fits(i) {
			return c.path(i)
		}
	}
	c.t.Fatal("no image fits")
	return ""
}

// records are what the state says that became of a run's images, by path.
func (c *chaos) records(run string) map[string]store.ImageRecord {
	c.t.Helper()
	records := make(map[string]store.ImageRecord)
	c.look(func(st *store.Store) {
		for r, err := range st.Records(context.Background(), run, "") {
			if err != nil {
				c.t.Fatal(err)
			}
			records[r.Path] = r
		}
	})
	return records
}

// look looks at the state, which it leaves as it is.
func (c *chaos) look(at func(*store.Store)) {
	c.t.Helper()
	st, err := store.Open(context.Background(), c.state)
	if err != nil {
		c.t.Fatal(err)
	}
	defer st.Close()
	at(st)
}

// checkPoisoned holds that one image alone failed, and by the service's words.
func (c *chaos) checkPoisoned(s worker.Summary, path string) {
	c.t.Helper()
	if r := c.records(s.Run)[path]; s.Images.Failed != 1 || r.Outcome != store.ItemFailed || !strings.Contains(r.Reason, poisonWords) {
		c.t.Errorf("the service fails on %s, and the run says of it %+v, and of all %+v", path, r, s.Images)
	}
}

// TestChaos imports one version of labels after the other into a service with
// every fault, is killed at random requests, and undoes it all again. At the
// end of each import the service holds what the labels say, but on the one image that it
// fails on; nothing was saved twice; the counts of the state are those of the audit log;
// everything that was overwritten is in a backup; and the undo brings back the first day.
//
// PICTOSYNC_CHAOS_IMAGES and PICTOSYNC_CHAOS_KILLS make it larger, as `make
// chaos` does; PICTOSYNC_CHAOS_SEED makes it another one.
func TestChaos(t *testing.T) {
	c, kills := chaosOf(t)
	began := time.Now()
	firstDay := c.content()
	want := maps.Clone(firstDay)
	var runs []worker.Summary
	before := firstDay
	for version := 1; c.kills < kills || version < 3; version++ {
		poison := c.anyOf(func(i int) bool { return i%5 != version%5 && before[c.path(i)] != annotations(version, i) })
		c.poison(poison)
		s := c.run("sync", c.labels(version), "--dataset", "set", "--max-removed", "none")
		runs = append(runs, s)
		for i := range c.images {
			if i%5 != version%5 && c.path(i) != poison {
				want[c.path(i)] = annotations(version, i)
			}
		}
		now := c.content()
		for path, got := range now {
			if got != want[path] {
				t.Fatalf("after version %d %s has %s, the labels say %s", version, path, got, want[path])
			}
		}
		c.checkPoisoned(s, poison)
		c.checkRun(s, before)
		before = now
	}
	for i := len(runs) - 1; i >= 0; i-- {
		saved := c.records(runs[i].Run)
		poison := c.anyOf(func(i int) bool {
			r := saved[c.path(i)]
			return r.Outcome == store.ItemSaved || r.Outcome == store.ItemCleared
		})
		c.poison(poison)
		c.checkPoisoned(c.run("undo", runs[i].Run), poison)
		c.poison("")
		if s := c.run("undo", runs[i].Run); s.Images.Skipped+s.Images.Failed > 0 {
			t.Errorf("the undo of version %d: %+v", i+1, s.Images)
		}
	}
	for path, got := range c.content() {
		if got != firstDay[path] {
			t.Errorf("%s came back as %s, was %s", path, got, firstDay[path])
		}
	}
	t.Logf("%d images, %d versions, %d starts of which %d were killed, %s", c.images, len(runs), c.starts, c.kills, time.Since(began).Round(time.Second))
	t.Logf("%d answers that lacked images, %d listings that were short, %d saves of a poison image", c.lies.lacking, c.lies.short, c.lies.poisoned)
}

// chaosOf is the service of a test, with annotations that were made by hand before it, and
// how many kills there are to be.
func chaosOf(t *testing.T) (c *chaos, kills int) {
	t.Helper()
	c = newChaos(t, fromEnv(t, "PICTOSYNC_CHAOS_IMAGES", 120), uint64(fromEnv(t, "PICTOSYNC_CHAOS_SEED", 1)))
	c.classes()
	for i := range c.images {
		if i%4 == 0 {
			c.save(i, byHand(1000, i))
		}
	}
	return c, fromEnv(t, "PICTOSYNC_CHAOS_KILLS", 6)
}

// byHand is what somebody else makes of an image.
func byHand(version, image int) string {
	return "[" + strings.ReplaceAll(box(version, image, 0), `"confidence"`, `"created_by":"someone","confidence"`) + "]"
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
	st, err := store.Open(ctx, c.state)
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

// stateFiles are the bytes of a state and of its log.
type stateFiles struct{ file, log []byte }

// harms are what happens to a state behind the command's back: its log is lost, cut or
// damaged, it is copied without its log, or not to the end; or an older copy is put back.
type harms struct {
	*chaos
	earlier []stateFiles
	done    map[string]int
	final   bool // what is known stays known
	// toBeSaid is how often something that was sent is not known any more, damaged how often
	// nothing is.
	toBeSaid, damaged int
}

// some does one of them, or none, and makes a copy now and then.
func (h *harms) some() {
	h.t.Helper()
	now := stateFiles{h.read(h.state), h.read(h.state + "-wal")}
	what := []string{"none", "none", "removed", "cut", "flipped", "moved alone", "put back", "broken off"}[h.random.IntN(8)]
	switch {
	case h.final && (what == "put back" || what == "broken off"): // the run that is undone stays known
		return
	case what == "none":
		h.keep(now)
		return
	case what == "put back":
		h.putBack()
		return
	case what == "broken off":
		h.write(stateFiles{file: now.file[:len(now.file)/2]})
		h.forget(nil)
		h.done[what]++
		h.damaged++
		return
	}
	left := now
	switch {
	case what == "moved alone":
		left.log = nil
	case len(now.log) == 0:
		return
	case what == "removed":
		left.log = nil
	case what == "cut":
		left.log = now.log[:h.random.IntN(len(now.log))]
	case what == "flipped":
		left.log = slices.Clone(now.log)
		left.log[h.random.IntN(len(left.log))] ^= 1 << h.random.IntN(8)
	}
	keys, err := h.inFlight(left)
	switch {
	case err != nil && (h.final || !h.isDamaged(left)): // what no check of the file finds is said when it is met, and ends the run
		return
	case what == "moved alone":
		h.write(left)
	case what == "removed":
		if err := os.Remove(h.state + "-wal"); err != nil {
			h.t.Fatal(err)
		}
	default:
		h.replace(h.state+"-wal", left.log)
	}
	h.forget(keys)
	h.done[what]++
	if err != nil { // the log was half in the file
		h.damaged++
		return
	}
	if sent, _ := strconv.Atoi(strings.TrimSpace(string(h.read(h.state + ".sent")))); sent > h.lastBatch(left) {
		h.toBeSaid++
	}
}

// isDamaged reports whether a start finds a state damaged, and begins a new one.
func (h *harms) isDamaged(s stateFiles) bool {
	path := h.placed(s)
	defer os.RemoveAll(filepath.Dir(path))
	_, err := store.Examine(context.Background(), path)
	return errors.Is(err, store.ErrDamaged)
}

// lastBatch is the number of the last batch that a state knows.
func (h *harms) lastBatch(s stateFiles) (number int) {
	file := h.placed(s)
	defer os.RemoveAll(filepath.Dir(file))
	db, err := sql.Open("sqlite3", file)
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'batches'`).Scan(&number); err != nil {
		h.t.Fatal(err)
	}
	return number
}

// putBack puts an older copy back.
func (h *harms) putBack() {
	if len(h.earlier) > 0 {
		h.write(h.earlier[h.random.IntN(len(h.earlier))])
		h.forget(nil)
		h.done["put back"]++
	}
}

// keep keeps a copy of the state for later, unless something is in flight: what was, would
// be sent again.
func (h *harms) keep(now stateFiles) {
	const most = 16 // in memory
	if keys, err := h.inFlight(now); err != nil || len(keys) > 0 {
		return
	}
	if h.earlier = append(h.earlier, now); len(h.earlier) > most {
		h.earlier = slices.Delete(h.earlier, 0, 1)
	}
}

// inFlight are the keys of the batches that a state has in flight; an error says that it is
// damaged. It looks at a copy, since to look brings the log into the file.
func (h *harms) inFlight(s stateFiles) (keys []string, err error) {
	path := h.placed(s)
	defer os.RemoveAll(filepath.Dir(path))
	st, err := store.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	runs, err := st.Runs(context.Background(), 1)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	open, err := st.OpenBatches(context.Background(), runs[0].Dataset)
	for _, b := range open {
		keys = append(keys, b.Key)
	}
	return keys, err
}

// forget tells the service which keys must not come again: all but those that the state has
// in flight.
func (h *harms) forget(keys []string) {
	h.lies.mu.Lock()
	defer h.lies.mu.Unlock()
	for key := range h.lies.sent {
		h.lies.gone[key] = !slices.Contains(keys, key)
	}
}

func (h *harms) read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	return data
}

func (h *harms) replace(path string, data []byte) {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// write puts a state into a folder of its own, as where a machine is set up anew, in place
// of the one that was there.
func (h *harms) write(s stateFiles) {
	before := filepath.Dir(h.state)
	if h.state = h.placed(s); before != h.dir {
		os.RemoveAll(before)
	}
}

// placed is the path of a state in a new folder.
func (h *harms) placed(s stateFiles) string {
	folder, err := os.MkdirTemp(h.dir, "state-")
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(folder, "state.db")
	h.replace(path, s.file)
	if len(s.log) > 0 {
		h.replace(path+"-wal", s.log)
	}
	return path
}

// touched are the images that a run has saved on by the state, or has a backup of, by path;
// it holds the backups against what there was before.
func (c *chaos) touched(run string, before map[string]string) map[string]bool {
	c.t.Helper()
	ctx := context.Background()
	touched := make(map[string]bool)
	c.look(func(st *store.Store) {
		for t, err := range st.Touched(ctx, run, "") {
			if err != nil {
				c.t.Fatal(err)
			}
			touched[t.Path] = true
			backup, err := st.Backup(ctx, run, t.ImageID)
			switch {
			case errors.Is(err, store.ErrNoBackup) && before[t.Path] == "[]":
			case err != nil || string(backup.Annotations) != before[t.Path]:
				c.t.Errorf("run %s: %s had %s, its backup is %s, %v", run, t.Path, before[t.Path], backup.Annotations, err)
			}
		}
	})
	return touched
}

// savedElsewhere is of how many images a run says that they had what the labels say already.
func (c *chaos) savedElsewhere(run string) (images int) {
	c.t.Helper()
	c.look(func(st *store.Store) {
		groups, err := st.FindingGroups(context.Background(), run)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, g := range groups {
			if g.Kind == string(convert.KindSavedElsewhere) {
				images += g.Count
			}
		}
	})
	return images
}

// checkExecuted holds that no save was executed twice under one key.
func (c *chaos) checkExecuted() {
	c.t.Helper()
	seen := make(map[[2]string]bool)
	for e, err := range c.killer.server.Audit(context.Background()) {
		if err != nil {
			c.t.Fatal(err)
		}
		if save := [2]string{e.IdempotencyKey, e.ImagePath}; e.IdempotencyKey != "" && e.ImagePath != "" {
			if seen[save] {
				c.t.Errorf("key %s saved %s twice", e.IdempotencyKey, e.ImagePath)
			}
			seen[save] = true
		}
	}
}

// leftAlone reports whether a run left an image alone and said why.
func leftAlone(r store.ImageRecord) bool {
	return (r.Outcome == store.ItemFailed || r.Outcome == store.ItemSkipped) && r.Reason != ""
}

// TestChaosOfStates is TestChaos with a state that is damaged after kills, and put back to
// an earlier day, while somebody else edits images between the imports. What is in what is
// gone is not known any more, so that less is promised; that is held exactly:
//
//   - an import leaves on each image what the labels say, or what it had, and says then why;
//     an image that it has no labels of is left alone;
//   - a backup is what the image had before its version was imported, never what that saved;
//   - what an import does not know to have replaced is counted in a finding, and there is
//     none such where its state was left alone;
//   - no key is used for another batch, and no save is executed twice;
//   - an undo changes what its run left, to what there was before it, and nothing else; of
//     each other image of its run it says why not.
func TestChaosOfStates(t *testing.T) {
	c, kills := chaosOf(t)
	h := &harms{chaos: c, done: make(map[string]int)}
	c.harm = h.some
	began := time.Now()
	firstDay := c.content()
	edited := make(map[string]bool)
	befores := make(map[string]map[string]string) // what there was before a version, by its labels
	changed := make(map[string]map[string]bool)
	left, unknown, elsewhere := 0, 0, 0
	for version := 1; c.kills < kills || version < 5 || len(h.done) < 6 || elsewhere == 0; version++ {
		for range 3 { // somebody else at work
			i := c.random.IntN(c.images)
			c.save(i, byHand(1000+version, i))
			edited[c.path(i)] = true
		}
		before, harmed := c.content(), maps.Clone(h.done)
		labels, onDrift, read := c.labels(version), []string{"fail", "overwrite"}[c.random.IntN(2)], []string{"auto", "image"}[c.random.IntN(2)]
		c.poison(c.path(c.random.IntN(c.images)))
		s := c.run("sync", labels, "--dataset", "set", "--max-removed", "none", "--on-drift", onDrift, "--read", read)
		befores[labels], changed[labels] = before, make(map[string]bool)
		now, records, touched := c.content(), c.records(s.Run), c.touched(s.Run, before)
		whole := maps.Equal(harmed, h.done)
		lost, lostCleared := 0, 0
		for i := range c.images {
			path, says := c.path(i), annotations(version, i)
			r, got := records[path], now[path]
			switch {
			case i%5 == version%5:
				if got != before[path] {
					t.Errorf("version %d has no labels of %s, which had %s and has %s", version, path, before[path], got)
				}
				continue
			case leftAlone(r) && (got == before[path] || got == says && !whole):
				left++
			case leftAlone(r) || got != says:
				t.Errorf("version %d: %s had %s and has %s, the labels say %s, and the run %+v", version, path, before[path], got, says, r)
			}
			if got == before[path] {
				continue
			}
			changed[labels][path] = true
			switch {
			case touched[path] || leftAlone(r):
			case says == "[]":
				lostCleared++
			default:
				lost++
			}
		}
		said := c.savedElsewhere(s.Run)
		if said < lost || whole && lost+lostCleared > 0 {
			t.Errorf("version %d: of %d images that were saved on and %d that were cleared the state does not know, after %v; said of %d", version, lost, lostCleared, h.done, said)
		}
		unknown, elsewhere = unknown+lost+lostCleared, elsewhere+said
		h.keep(stateFiles{h.read(h.state), h.read(h.state + "-wal")})
		if c.random.IntN(3) == 0 {
			h.putBack()
		}
	}
	c.checkExecuted()
	h.final = true
	named := make(map[string]bool)
	known := make(map[string]map[string]bool)
	var runs []store.Run
	c.look(func(st *store.Store) {
		all, err := st.Runs(context.Background(), 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.Kind == "sync" {
				runs = append(runs, r)
			}
		}
	})
	for _, run := range runs {
		before, now := befores[run.Source], c.content()
		touched := c.touched(run.ID, before)
		s := c.run("undo", run.ID)
		records := c.records(s.Run)
		for path, got := range c.content() {
			r := records[path]
			if touched[path] {
				if known[run.Source] == nil {
					known[run.Source] = make(map[string]bool)
				}
				known[run.Source][path] = true
			}
			switch {
			case got != now[path] && (!touched[path] || got != before[path] || now[path] != c.said[run.Source][path]):
				t.Errorf("the undo of %s made %s of %s, which had %s before it: %+v", run.Source, got, now[path], before[path], r)
			case leftAlone(r):
				named[path] = true
			case touched[path] && got != before[path]:
				t.Errorf("the undo of %s left %s on %s, which had %s before it, and says %+v", run.Source, got, path, before[path], r)
			}
		}
	}
	c.checkExecuted()
	forgotten := make(map[string]bool)
	for labels, paths := range changed {
		for path := range paths {
			if !known[labels][path] {
				forgotten[path] = true
			}
		}
	}
	if c.setAside < h.damaged {
		t.Errorf("%d states were damaged, and %d were said to be", h.damaged, c.setAside)
	}
	if c.behind < h.toBeSaid {
		t.Errorf("%d states lost what they knew to be sent, and %d were said to", h.toBeSaid, c.behind)
	}
	back := 0
	for path, got := range c.content() {
		switch {
		case got == firstDay[path]:
			back++
		case !edited[path] && !forgotten[path] && !named[path]:
			t.Errorf("%s came back as %s, was %s", path, got, firstDay[path])
		}
	}
	t.Logf("%d images, %d versions, %d starts of which %d were killed, harms %v, %d of them said at once, %s", c.images, len(befores), c.starts, c.kills, h.done, c.behind, time.Since(began).Round(time.Second))
	t.Logf("%d left alone by an import, %d changed without the state's knowing, %d said to be saved elsewhere; %d runs undone, %d images named as not undone, %d came back", left, unknown, elsewhere, len(runs), len(named), back)
}
