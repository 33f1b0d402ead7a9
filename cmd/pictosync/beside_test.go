package main

import (
	"bytes"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pictosync/sandbox"
)

// A plan is made while a verification is under way, and while a sync holds the state; a
// second verification waits for nothing and is told who is at it.
func TestAPlanGoesBesideAVerification(t *testing.T) {
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "a.jpg", Width: 10, Height: 10}, sandbox.NewImage{Path: "b.jpg", Width: 10, Height: 10})
	reading, goOn := make(chan struct{}), make(chan struct{})
	begun, let := sync.OnceFunc(func() { close(reading) }), sync.OnceFunc(func() { close(goOn) })
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/annotations/") {
			begun()
			<-goOn
		}
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	defer let()
	labels := filepath.Join(dir, "labels.jsonl")
	line := `{"image":"%","width":10,"height":10,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":2,"h":3}}]}` + "\n"
	if err := os.WriteFile(labels, []byte(strings.ReplaceAll(line, "%", "a.jpg")+strings.ReplaceAll(line, "%", "b.jpg")), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(name string) *exec.Cmd {
		return command(name, labels, "--dataset", "set", "--base-url", service.URL, "--state", filepath.Join(dir, "state.db"), "--rate", "1000/h", "--json")
	}
	if code, out := exitOf(t, with("sync")); code != 0 {
		t.Fatalf("sync: exit %d: %s", code, out)
	}
	verify := with("verify")
	var said strings.Builder
	verify.Stdout, verify.Stderr = &said, &said
	if err := verify.Start(); err != nil {
		t.Fatal(err)
	}
	<-reading
	if code, out := exitOf(t, with("plan")); code != 0 || !strings.Contains(out, `"unchanged":2`) {
		t.Errorf("plan beside verify: exit %d: %s", code, out)
	}
	if code, out := exitOf(t, with("verify")); code != exitLocked || !strings.Contains(out, "verify "+labels) {
		t.Errorf("verify beside verify: exit %d: %s", code, out)
	}
	if code, out := exitOf(t, command("runs", "--state", filepath.Join(dir, "state.db"))); code != 0 || strings.Count(out, "sync") != 1 || strings.Count(out, "open") != 1 {
		t.Errorf("runs beside verify: exit %d: %s", code, out)
	}
	release, err := lockState(filepath.Join(dir, "state.db"), "sync somewhere")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if code, out := exitOf(t, with("plan")); code != 0 {
		t.Errorf("plan beside a sync: exit %d: %s", code, out)
	}
	let()
	if err := verify.Wait(); err != nil || !strings.Contains(said.String(), `"unchanged":2`) {
		t.Errorf("verify: %v: %s", err, said.String())
	}
}

// A command that only looks needs no lock of a state.
func TestLookingNeedsNoLock(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.db")
	if code, out := exitOf(t, command("sync", shapes, "--dataset", "set", "--sandbox", "--state", state)); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	release, err := lockState(state, "sync somewhere")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, args := range [][]string{{"runs"}, {"runs", "last"}, {"gc", "--dry-run"}} {
		if code, out := exitOf(t, command(append(args, "--state", state)...)); code != 0 {
			t.Errorf("%q: exit %d: %s", args, code, out)
		}
	}
	if code, _ := exitOf(t, command("gc", "--state", state)); code != exitLocked {
		t.Errorf("gc: exit %d", code)
	}
}

// A state of an earlier version is upgraded under its lock alone, also by who only looks.
func TestAnUpgradeNeedsTheLock(t *testing.T) {
	schema, err := os.ReadFile("../../store/testdata/schema12.sql")
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite3", state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(schema)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	release, err := lockState(state, "sync somewhere")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"runs"}, {"undo", "last"}, {"gc", "--dry-run"}, {"plan", shapes, "--dataset", "set", "--sandbox"}} {
		if code, out := exitOf(t, command(append(args, "--state", state)...)); code != exitLocked {
			t.Errorf("%q: exit %d: %s", args, code, out)
		}
	}
	if after, err := os.ReadFile(state); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the state was changed: %v", err)
	}
	release()
	if code, out := exitOf(t, command("runs", "--state", state)); code != 0 || !strings.Contains(out, "no runs yet") {
		t.Errorf("exit %d: %s", code, out)
	}
}
