package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pictosync/sandbox"
)

// A run that the time limit stops says so with its status, and the same command
// finishes it.
func TestTimeLimit(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "a.jpg", Width: 100, Height: 100})
	// The service does not list images until the client goes away: only the limit
	// can end the first run.
	var first sync.Once
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/developer/images/" {
			first.Do(func() { <-r.Context().Done() })
		}
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	labels := filepath.Join(dir, "labels.jsonl")
	line := `{"image":"a.jpg","width":100,"height":100,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":2,"h":3}}]}`
	if err := os.WriteFile(labels, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(limit string) (status int, outcome string) {
		t.Helper()
		cmd := command("sync", labels, "--dataset", "set", "--base-url", service.URL, "--state", filepath.Join(dir, "state.db"), "--json", "--max-duration", limit)
		out, err := cmd.Output()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		var s struct {
			Outcome  string
			ExitCode int `json:"exit_code"`
		}
		if err := json.Unmarshal(out, &s); err != nil || s.ExitCode != cmd.ProcessState.ExitCode() {
			t.Fatalf("%s: %v, status %d", out, err, cmd.ProcessState.ExitCode())
		}
		return s.ExitCode, s.Outcome
	}
	if status, _ := run("200ms"); status != 7 {
		t.Errorf("at the limit: status %d", status)
	}
	if status, outcome := run("1h"); status != 0 || outcome != "done" {
		t.Errorf("after it: status %d, outcome %q", status, outcome)
	}
}

// A service on this machine is one, and has one quota, however the machine is called.
func TestOneServiceHasOneQuota(t *testing.T) {
	of := func(name, key string) string { return (&session{name: name, key: key}).account() }
	if of("http://localhost:8080", "k") != of("http://127.0.0.1:8080", "k") || of("http://localhost:8080", "k") == of("http://localhost:8081", "k") || of("https://a.example", "k") == of("https://a.example", "l") {
		t.Error("what one service and one key are is mistaken")
	}
}
