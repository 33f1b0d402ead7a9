package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pictosync/sandbox"
)

// mortal is a service with images that dies with its n-th request: from then on no
// connection is answered.
type mortal struct {
	url    string
	lives  atomic.Int64 // requests that it answers still
	unsent atomic.Int64 // requests that it did not
}

func newMortal(t *testing.T, dir string, images int) *mortal {
	t.Helper()
	var all []sandbox.NewImage
	for i := range images {
		all = append(all, sandbox.NewImage{Path: fmt.Sprintf("%d.jpg", i), Width: 10, Height: 10})
	}
	server := sandboxWith(t, dir, all...)
	m := new(mortal)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.lives.Add(-1) < 0 {
			m.unsent.Add(1)
			panic(http.ErrAbortHandler)
		}
		server.ServeHTTP(w, r)
	}))
	service.Config.ErrorLog = nil
	service.Config.SetKeepAlivesEnabled(false) // a connection that stands idle would hold up the clock of the bubble
	service.Start()
	t.Cleanup(service.Close)
	m.url = service.URL
	return m
}

// A service that is gone ends a run within --max-outage of its own retries, however much there
// is left to ask, and not within that for each request. The time is that of a clock that stands
// where nobody waits for it.
func TestAnOutageIsOneForAllRequests(t *testing.T) {
	if os.Getenv("PICTOSYNC_TEST_BUBBLE") == "" { // what a process makes once would belong to the bubble for ever
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_BUBBLE=1")
		if code, out := exitOf(t, cmd); code != 0 || !strings.Contains(out, "--- PASS: "+t.Name()) {
			t.Errorf("exit %d:\n%s", code, out)
		}
		return
	}
	const images, outage = 40, 15 * time.Second
	t.Setenv("PICTOGRAPH_API_KEY", "pk_live_test")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt) // so that what listens for signals is of no bubble
	defer signal.Stop(signals)
	dir := t.TempDir()
	m := newMortal(t, dir, images)
	labels := func(width int) string {
		var lines strings.Builder
		for i := range images {
			fmt.Fprintf(&lines, "{\"image\":\"%d.jpg\",\"width\":10,\"height\":10,\"annotations\":[{\"id\":\"1\",\"name\":\"car\",\"type\":\"bbox\",\"bounding_box\":{\"x\":1,\"y\":1,\"w\":%d,\"h\":3}}]}\n", i, width)
		}
		path := filepath.Join(dir, fmt.Sprintf("labels%d.jsonl", width))
		if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) (took time.Duration, err error) {
		began := time.Now()
		root := newRoot()
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		root.SetArgs(append(args, "--base-url", m.url, "--state", filepath.Join(dir, "state.db"), "--rate", "8/s", "--max-outage", outage.String(), "--quiet", "--log-level", "disabled"))
		err = root.ExecuteContext(context.Background())
		return time.Since(began), err
	}
	m.lives.Store(1 << 40)
	if _, err := run("sync", labels(2), "--dataset", "set"); err != nil { // what all runs share is of no bubble
		t.Fatal(err)
	}
	commands := [][]string{
		{"sync", labels(4), "--dataset", "set", "--read", "image", "--max-removed", "none"},
		{"verify", labels(2), "--dataset", "set", "--read", "image"},
		{"export", "--dataset", "set", "--out", filepath.Join(dir, "backups"), "--read", "image"},
	}
	synctest.Test(t, func(t *testing.T) {
		for _, args := range commands {
			const lives = 12 // the listing, and some of the images
			m.lives.Store(lives)
			m.unsent.Store(0)
			took, err := run(args...)
			if err == nil || !strings.Contains(err.Error(), "the service could not be reached for 15s; the same command resumes the run") {
				t.Errorf("%s: %v", args[0], err)
			}
			// What was answered takes its part of the rate; then a request fails its own retries, 7
			// seconds and a quarter more at most, before it is an outage, and another at its end.
			if most := lives*time.Second/8 + outage + 2*9*time.Second; took > most {
				t.Errorf("%s: it ended after %s and %d requests that were not answered, not within %s", args[0], took, m.unsent.Load(), most)
			}
		}
	})
}

// A service that refuses whatever it is to save is not asked of each image, every night anew.
func TestAServiceThatRefusesEverySave(t *testing.T) {
	const images = 100
	dir := t.TempDir()
	var all []sandbox.NewImage
	var lines strings.Builder
	for i := range images {
		all = append(all, sandbox.NewImage{Path: fmt.Sprintf("%d.jpg", i), Width: 10, Height: 10})
		fmt.Fprintf(&lines, "{\"image\":\"%d.jpg\",\"width\":10,\"height\":10,\"annotations\":[{\"id\":\"1\",\"name\":\"car\",\"type\":\"bbox\",\"bounding_box\":{\"x\":1,\"y\":1,\"w\":2,\"h\":3}}]}\n", i)
	}
	labels := filepath.Join(dir, "labels.jsonl")
	if err := os.WriteFile(labels, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	server := sandboxWith(t, dir, all...)
	var saves atomic.Int64
	refuses := true
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/annotations/") {
			saves.Add(1)
			if refuses {
				http.Error(w, `{"detail":[{"loc":["body"],"msg":"not today","type":"value_error"}]}`, http.StatusUnprocessableEntity)
				return
			}
		}
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	night := func() (int, string, int64) {
		saves.Store(0)
		code, out := exitOf(t, command("sync", labels, "--dataset", "set", "--base-url", service.URL, "--state", filepath.Join(dir, "state.db"), "--rate", "unlimited", "--json"))
		return code, out, saves.Load()
	}
	for n := range 3 {
		code, out, asked := night()
		if code != exitFailures || !strings.Contains(out, fmt.Sprintf(`"failed":%d`, images)) {
			t.Errorf("night %d: status %d: %s", n+1, code, out)
		}
		if asked == 0 || asked > images/2 {
			t.Errorf("night %d took %d requests to save %d images of which none can be saved", n+1, asked, images)
		}
	}
	refuses = false
	if code, out, asked := night(); code != 0 || asked != 1 || !strings.Contains(out, fmt.Sprintf(`"saved":%d`, images)) {
		t.Errorf("when it takes them again: status %d, %d requests: %s", code, asked, out)
	}
}
