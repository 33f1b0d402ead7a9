package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pictosync/sandbox"
	"pictosync/store"
	"pictosync/worker"
)

// killer is a service that kills the process that talks to it: at its n-th
// request, before or after having served it.
type killer struct {
	server *sandbox.Server

	mu      sync.Mutex
	process *os.Process
	left    int // requests until the kill; 0 = none
	after   bool
	killed  bool
}

func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) { k.serve(k.server, w, r) }

func (k *killer) serve(handler http.Handler, w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	now := false
	if k.left > 0 {
		k.left--
		now = k.left == 0
	}
	k.mu.Unlock()
	if now && !k.after {
		k.kill()
	}
	handler.ServeHTTP(w, r)
	if now && k.after {
		k.kill()
	}
}

func (k *killer) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.killed = true
	k.process.Kill()
}

// TestKill kills an import of 2,000 images ten times in a row, each time at
// another point, and then lets it finish: nothing is lost, nothing is saved
// twice, and the counts are the service's own.
func TestKill(t *testing.T) {
	const images = 2000
	dir := t.TempDir()
	var list []sandbox.NewImage
	var labels bytes.Buffer
	for i := range images {
		list = append(list, sandbox.NewImage{Path: fmt.Sprintf("%04d.jpg", i), Width: 100, Height: 100})
		boxes := make([]string, 1+i%3)
		for n := range boxes {
			boxes[n] = fmt.Sprintf(`{"id":"%d","name":"car","type":"bbox","bounding_box":{"x":%g,"y":1,"w":2,"h":3}}`, n, float64(i)/100)
		}
		fmt.Fprintf(&labels, `{"image":"%04d.jpg","width":100,"height":100,"annotations":[%s]}`+"\n", i, strings.Join(boxes, ","))
	}
	server := sandboxWith(t, dir, list...)
	source := filepath.Join(dir, "labels.jsonl")
	if err := os.WriteFile(source, labels.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &killer{server: server}
	service := httptest.NewServer(k)
	defer service.Close()

	state := filepath.Join(dir, "state.db")
	run := func() (worker.Summary, error) {
		var out bytes.Buffer
		cmd := exec.Command(os.Args[0], "sync", source, "--dataset", "set", "--base-url", service.URL, "--state", state, "--rate", "unlimited", "--json", "--concurrency", "2")
		cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		k.mu.Lock()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		k.process = cmd.Process
		k.mu.Unlock()
		err := cmd.Wait()
		var s worker.Summary
		if err == nil {
			err = json.Unmarshal(out.Bytes(), &s)
		}
		return s, err
	}
	// A start asks for the dataset, sends again what was in flight, asks for two
	// pages of images, the first with a plan also for the classes, and saves.
	points := []struct {
		request int
		after   bool
	}{
		{1, true},             // with the dataset known and nothing else
		{3, false}, {3, true}, // in the listing, and with the plan before it
		{4, false}, {4, true}, // before and after the classes are there
		{4, false},            // with a save on its way that the service never sees
		{2, true}, {2, false}, // with that save sent again, seen and not seen
		{5, true},  // with a save executed whose answer nobody hears
		{6, false}, // with another on its way
	}
	for _, p := range points {
		k.mu.Lock()
		k.left, k.after, k.killed = p.request, p.after, false
		k.mu.Unlock()
		if s, err := run(); err == nil || !k.killed {
			t.Fatalf("a process that should have been killed at request %d finished: %+v, %v", p.request, s, err)
		}
	}
	summary, err := run()
	if err != nil {
		t.Fatalf("the run after the kills: %v", err)
	}
	if summary.Images.Saved != images || summary.Images.Failed != 0 {
		t.Errorf("after ten kills: %+v", summary)
	}

	executed := make(map[string]string)
	for e, err := range server.Audit(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != "bulk" {
			continue
		}
		if _, twice := executed[e.ImagePath]; twice {
			t.Errorf("%s was saved twice", e.ImagePath)
		}
		executed[e.ImagePath] = fmt.Sprintf("%d→%d", e.PreviousCount, e.NewCount)
	}
	if len(executed) != images {
		t.Errorf("%d of %d images were saved", len(executed), images)
	}
	st, err := store.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for r, err := range st.Records(t.Context(), summary.Run, "") {
		if err != nil {
			t.Fatal(err)
		}
		if r.Previous == nil || fmt.Sprintf("%d→%d", *r.Previous, *r.New) != executed[r.Path] {
			t.Errorf("%s: the state says %+v, the service executed %s", r.Path, r, executed[r.Path])
		}
	}
	if again, err := run(); err != nil || again.Images.Unchanged != images || again.Images.Saved != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
}

// A run that was killed says at its end also of what it found before that to be saved
// elsewhere.
func TestSavedElsewhereIsSaidAfterAKill(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "a.jpg"}, sandbox.NewImage{Path: "b.jpg"}, sandbox.NewImage{Path: "c.jpg"})
	var kill func() // at the next save
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kill != nil && strings.HasSuffix(r.URL.Path, "/bulk") {
			kill()
		}
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	source := filepath.Join(dir, "labels.jsonl")
	saving := func(state, third string) *exec.Cmd {
		t.Helper()
		labels := ""
		for _, i := range []string{"a 1", "b 1", "c " + third} {
			labels += fmt.Sprintf(`{"image":"%c.jpg","width":100,"height":100,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":%s,"y":1,"w":2,"h":3}}]}`+"\n", i[0], i[2:])
		}
		if err := os.WriteFile(source, []byte(labels), 0o600); err != nil {
			t.Fatal(err)
		}
		return command("sync", source, "--dataset", "set", "--base-url", service.URL, "--state", filepath.Join(dir, state), "--rate", "unlimited", "--max-removed", "none")
	}
	if code, out := exitOf(t, saving("state.db", "1")); code != exitDone {
		t.Fatalf("exit %d: %s", code, out)
	}
	cmd := saving("another.db", "2")
	kill = func() { cmd.Process.Kill() }
	if code, out := exitOf(t, cmd); code != -1 {
		t.Fatalf("it was not killed: exit %d: %s", code, out)
	}
	kill = nil
	code, out := exitOf(t, saving("another.db", "2"))
	if code != exitDone || !strings.Contains(out, "saved-elsewhere") {
		t.Errorf("exit %d, and nothing of what was saved elsewhere: %s", code, out)
	}
	if _, out := exitOf(t, command("runs", "last", "--findings", "--state", filepath.Join(dir, "another.db"))); strings.Count(out, "has what the labels say already, and not from this state") != 2 {
		t.Errorf("the findings are %s", out)
	}
}

// An image that a run backed up, did not come to saving on, and that somebody cleared since, is
// left alone by an undo.
func TestUndoLeavesAloneWhatWasClearedMeanwhile(t *testing.T) {
	c := newChaos(t, 1, 1)
	c.classes()
	c.save(0, byHand(1, 0))
	var cmd *exec.Cmd // is killed at a save, which is not executed
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cmd != nil && strings.HasSuffix(r.URL.Path, "/bulk") {
			cmd.Process.Kill()
			return
		}
		c.killer.server.ServeHTTP(w, r)
	}))
	defer service.Close()
	on := func(args ...string) *exec.Cmd {
		return command(append(args, "--base-url", service.URL, "--state", c.state, "--rate", "unlimited")...)
	}
	cmd = on("sync", c.labels(2), "--dataset", "set", "--max-removed", "none")
	if code, out := exitOf(t, cmd); code != -1 {
		t.Fatalf("it was not killed: exit %d: %s", code, out)
	}
	cmd = nil
	c.save(0, "[]")
	if code, out := exitOf(t, on("runs", "last", "--abandon")); code != exitDone {
		t.Fatalf("exit %d: %s", code, out)
	}
	code, out := exitOf(t, on("undo", "last"))
	if has := c.content()[c.path(0)]; code != exitDone || has != "[]" || !strings.Contains(out, "1 skipped") {
		t.Errorf("exit %d, and the image that was cleared has %s: %s", code, has, out)
	}
}
