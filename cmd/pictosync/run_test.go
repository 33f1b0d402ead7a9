package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pictosync/sandbox"
)

// jobsFile writes a configuration that runs against a service.
func jobsFile(t *testing.T, dir, service, text string) string {
	t.Helper()
	path := filepath.Join(dir, "nightly.yaml")
	text = fmt.Sprintf("base_url: %s\nstate: %s\n%s", service, filepath.Join(dir, "state.db"), text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runJobs runs a configuration and returns what --json printed.
func runJobs(t *testing.T, path string, args ...string) (status int, n night, messages string) {
	t.Helper()
	cmd := command(append([]string{"run", path, "--json"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if len(out) > 0 {
		if err := json.Unmarshal(out, &n); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
	}
	return cmd.ProcessState.ExitCode(), n, stderr.String()
}

func names(n night) (done []string) {
	for _, j := range n.Jobs {
		done = append(done, j.Name+" "+j.Outcome)
	}
	return done
}

// A night that the time limit stops ends with status 7, and the next begins with
// the job that was stopped. Nobody is alarmed.
func TestNightsGoOn(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "a.jpg", Width: 100, Height: 100})
	// The service does not answer the second job's first request until the client goes
	// away: only the limit can end the first night.
	var mu sync.Mutex
	asked := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/datasets/set") {
			mu.Lock()
			asked++
			stall := asked == 2
			mu.Unlock()
			if stall {
				<-r.Context().Done()
				return
			}
		}
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	labels := filepath.Join(dir, "labels.jsonl")
	if err := os.WriteFile(labels, []byte(`{"image":"a.jpg","width":100,"height":100,"annotations":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	told := filepath.Join(dir, "told")
	config := jobsFile(t, dir, service.URL, fmt.Sprintf(`dataset: set
notify_command: touch %s
jobs:
  - {name: one, sync: %[2]s}
  - {name: two, verify: %[2]s}
  - {name: three, export: %[3]s}
`, told, labels, filepath.Join(dir, "backups")))
	status, n, _ := runJobs(t, config, "--max-duration", "1s")
	if want := []string{"one done", "two stopped", "three not reached"}; status != exitTimeLimit || !slices.Equal(names(n), want) {
		t.Fatalf("the first night: status %d, %v, want %v", status, names(n), want)
	}
	if _, err := os.Stat(told); err == nil {
		t.Error("somebody was told of a time limit")
	}
	status, n, _ = runJobs(t, config, "--max-duration", "1h")
	if want := []string{"two done", "three done", "one done"}; status != exitDone || !slices.Equal(names(n), want) {
		t.Fatalf("the second night: status %d, %v, want %v", status, names(n), want)
	}
	status, n, _ = runJobs(t, config)
	if want := []string{"one done", "two done", "three done"}; status != exitDone || !slices.Equal(names(n), want) {
		t.Fatalf("the third night: status %d, %v, want %v", status, names(n), want)
	}
}

// Two nights never overlap: the second says who is there, with status 8, and that
// is told.
func TestNightsDoNotOverlap(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockState(filepath.Join(dir, "state.db"), "run before.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	var bodies []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
	}))
	defer hook.Close()
	config := jobsFile(t, dir, "http://127.0.0.1:1", "jobs: [{name: one, sync: nothing, dataset: set}]\nwebhook: "+hook.URL)
	status, n, messages := runJobs(t, config)
	if status != exitLocked || !strings.Contains(messages, `"run before.yaml"`) || n.ExitCode != exitLocked {
		t.Errorf("status %d, %+v: %s", status, n, messages)
	}
	if len(bodies) != 1 || !strings.Contains(bodies[0], "another run holds the state") {
		t.Errorf("told: %q", bodies)
	}
}

// A webhook that is out of order for a moment is tried again. One that stays so is
// an error that does not give its address away.
func TestWebhook(t *testing.T) {
	dir := t.TempDir()
	alertBackoff = time.Millisecond
	defer func() { alertBackoff = time.Second }()
	calls := 0
	var last alert
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		if calls == 1 || strings.HasSuffix(r.URL.Path, "/broken") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if r.Header.Get("X-API-Key") != "" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers: %v", r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&last); err != nil {
			t.Error(err)
		}
	}))
	defer hook.Close()
	n := &night{Config: filepath.Join(dir, "nightly.yaml"), ending: ending{ExitCode: exitSource}, Jobs: []jobResult{{Name: "cars", Error: "no such file", ExitCode: exitSource}}}
	o := alertOptions{webhook: hook.URL + "/secret", on: "failure"}
	if err := o.tell(t.Context(), n, false); err != nil {
		t.Fatal(err)
	}
	if calls != 2 || last.Alert != alertFailed || !strings.Contains(last.Text, "cars: no such file") || len(last.Jobs) != 1 {
		t.Errorf("%d calls, told %+v", calls, last)
	}
	for _, where := range []string{hook.URL + "/secret/broken", "http://127.0.0.1:1/secret"} {
		o.webhook = where
		if err := o.tell(t.Context(), n, false); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("a webhook that does not work: %v", err)
		}
	}
}

// A night that is killed is finished by the next one, which begins where it was.
func TestKilledNight(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "a.jpg", Width: 100, Height: 100})
	var mu sync.Mutex
	var process *os.Process
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if process != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/annotations/") { // the check reads
			process.Kill()
			process = nil
		}
		mu.Unlock()
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	labels := filepath.Join(dir, "labels.jsonl")
	if err := os.WriteFile(labels, []byte(`{"image":"a.jpg","width":100,"height":100,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	config := jobsFile(t, dir, service.URL, fmt.Sprintf("dataset: set\njobs:\n  - {name: one, sync: %[1]s}\n  - {name: two, verify: %[1]s}\n", labels))
	cmd := command("run", config)
	mu.Lock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	process = cmd.Process
	mu.Unlock()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the night was not killed: %v", err)
	}
	status, n, _ := runJobs(t, config)
	if want := []string{"two done", "one done"}; status != exitDone || !slices.Equal(names(n), want) {
		t.Fatalf("after the kill: status %d, %v, want %v", status, names(n), want)
	}
}
