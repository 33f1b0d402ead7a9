package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pictosync/doctor"
	"pictosync/sandbox"
	"pictosync/store"
)

// startService is the script command `service VARIABLE DATASET KEY:ROLE…`: a service
// in the test's process that has a dataset and takes the keys; its URL is in VARIABLE.
func startService(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: service VARIABLE DATASET KEY:ROLE|faults=SPEC|image=PATH...")
	}
	keys := make(map[string]sandbox.Role)
	var options sandbox.Options
	var images []sandbox.NewImage
	for _, arg := range args[2:] {
		if faults, ok := strings.CutPrefix(arg, "faults="); ok {
			var err error
			options.Faults, err = sandbox.ParseFaults(faults)
			ts.Check(err)
			continue
		}
		if image, ok := strings.CutPrefix(arg, "image="); ok {
			images = append(images, sandbox.NewImage{Path: image, Width: 100, Height: 80})
			continue
		}
		key, role, _ := strings.Cut(arg, ":")
		keys[key] = sandbox.Role(role)
	}
	options.Keys = keys
	server, err := sandbox.Open(":memory:", options)
	ts.Check(err)
	ts.Defer(func() { server.Close() })
	_, _, err = server.EnsureDataset(context.Background(), args[1])
	ts.Check(err)
	_, err = server.AddImages(context.Background(), args[1], images)
	ts.Check(err)
	service := httptest.NewServer(server)
	ts.Defer(service.Close)
	ts.Setenv(args[0], service.URL)
}

// doctor runs the command against a service and holds its exit status against the
// one that it prints.
func checkUp(t *testing.T, state, url string, args ...string) (status int, checks map[string]doctor.Check) {
	t.Helper()
	cmd := command(append([]string{"doctor", "--state", state, "--base-url", url, "--json"}, args...)...)
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	var said struct {
		Checks   []doctor.Check
		ExitCode int `json:"exit_code"`
	}
	if err := json.Unmarshal(out, &said); err != nil || said.ExitCode != cmd.ProcessState.ExitCode() {
		t.Fatalf("%s: %v, status %d", out, err, cmd.ProcessState.ExitCode())
	}
	checks = make(map[string]doctor.Check)
	for _, c := range said.Checks {
		checks[c.Name] = c
	}
	return said.ExitCode, checks
}

// A doctor may be asked while a run is at work: it says who holds the state, and the
// run loses neither its lock nor the state.
func TestDoctorBesideARun(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "a.jpg"})
	service := httptest.NewServer(server)
	defer service.Close()
	state := filepath.Join(dir, "state.db")
	release, err := lockState(state, "sync somewhere")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	st, err := store.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	d, err := st.PutDataset(t.Context(), service.URL, "id", "set")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.OpenRun(t.Context(), d, "sync", "somewhere", time.Now()); err != nil {
		t.Fatal(err)
	}
	status, checks := checkUp(t, state, service.URL, "--dataset", "set")
	if c := checks["state"]; status != 0 || !c.OK || !strings.Contains(c.Detail, `1 not ended, 0 batches in flight; in use by another run (process `) || !strings.Contains(c.Detail, "sync somewhere") {
		t.Errorf("status %d, %+v", status, checks)
	}
	if _, err := lockState(state, "another"); err == nil {
		t.Error("the lock is lost")
	}
	if _, err := st.PutDataset(t.Context(), service.URL, "other", "other"); err != nil {
		t.Errorf("the run's state: %v", err)
	}
	for e, err := range server.Audit(t.Context()) {
		t.Errorf("something was written: %+v, %v", e, err)
	}
}

// A clock that is far from the service's is said, with what it affects; it keeps
// nothing else from being checked.
func TestDoctorClock(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir)
	for date, want := range map[string]struct {
		status int
		ok     bool
		detail string
	}{
		time.Now().Add(-10 * time.Minute).UTC().Format(http.TimeFormat): {1, false, "this machine's clock is 10m"},
		time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat):     {1, false, "behind the service's"},
		time.Now().UTC().Format(http.TimeFormat):                        {0, true, "less than"},
		"yesterday":                                                     {0, false, "skipped: the service did not say"},
	} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", date)
			server.ServeHTTP(w, r)
		}))
		status, checks := checkUp(t, filepath.Join(dir, "state.db"), service.URL, "--dataset", "set")
		service.Close()
		c := checks["clock"]
		if status != want.status || c.OK != want.ok || !strings.Contains(c.Detail, want.detail) || !checks["role"].OK {
			t.Errorf("%s: status %d, %+v", date, status, checks)
		}
		if status == 1 && !strings.Contains(c.Advice, "NTP") {
			t.Errorf("%s: advice %q", date, c.Advice)
		}
	}
}

// What is wrong first gives the status, and no request is sent twice.
func TestDoctorAsksOnce(t *testing.T) {
	dir := t.TempDir()
	asked := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Retry-After", "3600")
		http.Error(w, `{"error":{"code":"x","message":"no"}}`, http.StatusServiceUnavailable)
	}))
	defer service.Close()
	status, checks := checkUp(t, filepath.Join(dir, "state.db"), service.URL, filepath.Join(dir, "nowhere"), "--dataset", "set", "--max-retries", "9")
	if status != exitSource || asked != 1 || checks["key"].OK || checks["key"].Advice == "" || !checks["clock"].OK {
		t.Errorf("status %d, asked %d times, %+v", status, asked, checks)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err == nil {
		t.Error("a state was made")
	}
}

// Where the requests of the hour are used up, that is said instead of waiting.
func TestDoctorKeepsTheQuota(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir)
	service := httptest.NewServer(server)
	defer service.Close()
	state := filepath.Join(dir, "state.db")
	s := session{key: "pk_live_test", name: service.URL}
	st, err := store.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := st.AddRequest(t.Context(), s.account(), time.Now(), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	status, checks := checkUp(t, state, service.URL, "--rate", "10/h")
	if c := checks["key"]; status != 1 || c.OK || !strings.Contains(c.Advice, "--rate allows (10/h)") {
		t.Errorf("status %d, %+v", status, checks)
	}
	// So is it where the service said, or is taken to have, what the quota is.
	for said, advice := range map[int]string{10: "the service allows the key 10/h", 0: "has said nothing of its quota, so 1,000/h is assumed"} {
		st, err := store.Open(t.Context(), state)
		if err == nil && said > 0 {
			err = st.PutQuota(t.Context(), s.account(), store.SaidQuota{Requests: said, Per: time.Hour, At: time.Now()})
		} else if err == nil {
			err = st.PutQuota(t.Context(), s.account(), store.SaidQuota{})
			for range 1000 {
				err = cmp.Or(err, st.AddRequest(t.Context(), s.account(), time.Now(), false))
			}
		}
		if err = cmp.Or(err, st.Close()); err != nil {
			t.Fatal(err)
		}
		status, checks := checkUp(t, state, service.URL)
		if c := checks["key"]; status != 1 || c.OK || !strings.Contains(c.Advice, advice) || said > 0 && strings.Contains(c.Advice, "--rate") {
			t.Errorf("status %d, %+v; want %q", status, c, advice)
		}
	}
	if n := server.Stats().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}
