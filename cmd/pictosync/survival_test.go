package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"pictosync/sandbox"
)

// command is the command as a process of its own.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
	return cmd
}

func exitOf(t *testing.T, cmd *exec.Cmd) (code int, out string) {
	t.Helper()
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), both.String()
}

// sandboxWith is a sandbox that holds a dataset "set" with images.
func sandboxWith(t *testing.T, dir string, images ...sandbox.NewImage) *sandbox.Server {
	t.Helper()
	server, err := sandbox.Open(filepath.Join(dir, "sandbox.db"), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if _, _, err := server.EnsureDataset(t.Context(), "set"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.AddImages(t.Context(), "set", images); err != nil {
		t.Fatal(err)
	}
	return server
}

const shapes = "../../testdata/shapes"

// noticing closes noticed when words were written to it.
type noticing struct {
	words   string
	noticed chan struct{}
	written string
}

func (n *noticing) Write(p []byte) (int, error) {
	if before := strings.Contains(n.written, n.words); !before {
		if n.written += string(p); strings.Contains(n.written, n.words) {
			close(n.noticed)
		}
	}
	return len(p), nil
}

// SIGTERM finishes what is in flight and ends with 130; the same command goes
// on.
func TestSIGTERM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows has no SIGTERM")
	}
	dir := t.TempDir()
	server := sandboxWith(t, dir, sandbox.NewImage{Path: "train/shapes_01.png"}, sandbox.NewImage{Path: "train/shapes_02.png"})
	var process *os.Process
	ready := make(chan struct{})
	noticed := &noticing{words: "stopping", noticed: make(chan struct{})}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/bulk") {
			<-ready
			if process != nil {
				process.Signal(syscall.SIGTERM)
				process = nil
				<-noticed.noticed // else the run may be over first
			}
		}
		server.ServeHTTP(w, r)
	}))
	defer service.Close()
	args := []string{"sync", shapes, "--dataset", "set", "--base-url", service.URL, "--state", filepath.Join(dir, "state.db"), "--rate", "unlimited", "--unmatched", "ignore", "--json"}
	cmd := command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, noticed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	process = cmd.Process
	close(ready)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(out.String(), `"saved":2`) {
		t.Errorf("exit %d, %s; want 130 with what was in flight saved", code, out.String())
	}
	if code, out := exitOf(t, command(args...)); code != 0 || !strings.Contains(out, `"saved":2`) {
		t.Errorf("the same command: exit %d, %s", code, out)
	}
}

// A second process on one state is told who holds it, and exits 8.
func TestTwoProcesses(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.db")
	release, err := lockState(state, "sync somewhere")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	code, out := exitOf(t, command("sync", shapes, "--dataset", "set", "--sandbox", "--state", state))
	if code != exitLocked || !strings.Contains(out, "sync somewhere") || !strings.Contains(out, "another run holds the state") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// A damaged state is set aside and said so, and the run goes on: what the images have
// already is not saved again.
func TestDamagedState(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.db")
	args := []string{"sync", shapes, "--dataset", "set", "--sandbox", "--state", state}
	if code, out := exitOf(t, command(args...)); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	data, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := exitOf(t, command(args...))
	if code != 0 || !strings.Contains(out, "is damaged: it was moved to "+state+".damaged-") || !strings.Contains(out, "11 unchanged") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// A full disk stops the run with a reason, and the same command goes on once
// there is room.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("skipped: a small file system can be mounted by root on Linux alone")
	}
	disk := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk).Run(); err != nil {
		t.Skipf("skipped: no file system can be mounted here: %v", err)
	}
	defer exec.Command("umount", "-l", disk).Run()
	service, images := serviceOf(t, 3000)
	args := []string{"sync", images, "--dataset", "set", "--base-url", service, "--state", filepath.Join(disk, "state.db"), "--rate", "unlimited", "--json"}
	code, out := exitOf(t, command(args...))
	if code != exitUnexpected || !strings.Contains(out, "free some space") {
		t.Fatalf("exit %d: %.2000s", code, out)
	}
	if err := exec.Command("mount", "-o", "remount,size=40m", disk).Run(); err != nil {
		t.Fatal(err)
	}
	if code, out := exitOf(t, command(args...)); code != 0 || !strings.Contains(out, `"outcome":"done"`) {
		t.Errorf("with room again: exit %d: %.2000s", code, out)
	}
}

// A state that may not be written is one line that says so.
func TestReadOnlyState(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		if runtime.GOOS != "linux" {
			t.Skip("skipped: there are no read-only folders here")
		}
		// Root may write everywhere but in a file system that is read-only.
		disk := t.TempDir()
		if err := exec.Command("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk).Run(); err != nil {
			t.Skipf("skipped: no file system can be mounted here: %v", err)
		}
		defer exec.Command("umount", "-l", disk).Run()
		refusesState(t, filepath.Join(disk, "state.db"))
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	refusesState(t, filepath.Join(dir, "state.db"))
}

func refusesState(t *testing.T, state string) {
	t.Helper()
	code, out := exitOf(t, command("sync", shapes, "--dataset", "set", "--sandbox", "--state", state))
	if code != exitUnexpected || strings.Count(out, "\n") != 1 || !strings.Contains(out, "--state") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// serviceOf is a service with images, and labels for them.
func serviceOf(t *testing.T, images int) (url, labels string) {
	t.Helper()
	c := newChaos(t, images, 1)
	return c.honest, c.labels(1)
}

// The key is in nothing that is written: output, logs, state, findings, plans,
// error texts, nor in what a crash leaves behind.
func TestKeyIsWrittenNowhere(t *testing.T) {
	const key = "pk_live_s3cr3tS3cr3tS3cr3t"
	url, labels := serviceOf(t, 50)
	dir := t.TempDir()
	var said bytes.Buffer
	run := func(args ...string) {
		t.Helper()
		cmd := command(append(args, "--state", filepath.Join(dir, "state.db"), "--log-level", "debug")...)
		cmd.Env = append(cmd.Env, "PICTOGRAPH_API_KEY="+key, "XDG_STATE_HOME="+dir, "HOME="+dir)
		cmd.Stdout, cmd.Stderr = &said, &said
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	service := []string{"--dataset", "set", "--base-url", url, "--rate", "unlimited"}
	run(append([]string{"plan", labels, "--out", filepath.Join(dir, "plan")}, service...)...)
	run(append([]string{"sync", labels, "--findings", filepath.Join(dir, "findings")}, service...)...)
	run(append([]string{"verify", labels, "--json"}, service...)...)
	run("undo", "last", "--rate", "unlimited")
	run(append([]string{"doctor", labels}, service...)...)
	run(append([]string{"sync", labels, "--dataset", "nowhere"}, service[2:]...)...)
	for what, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, `{"error":{"code":"unauthorized","message":"the key `+r.Header.Get("X-API-Key")+` is not valid"}}`, http.StatusUnauthorized)
		},
		"broken": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "<html>you sent "+r.Header.Get("X-API-Key")+"</html>", http.StatusBadRequest)
		},
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/"+what(r), http.StatusTemporaryRedirect)
		},
	} {
		t.Log(what)
		bad := httptest.NewServer(answer)
		run("sync", labels, "--dataset", "set", "--base-url", bad.URL, "--max-retries", "0", "--max-outage", "1ms")
		run("doctor", labels, "--dataset", "set", "--base-url", bad.URL, "--json")
		bad.Close()
	}
	if bytes.Contains(said.Bytes(), []byte(key)) || !bytes.Contains(said.Bytes(), []byte("the key [the API key] is not valid")) {
		t.Errorf("the key is in what was said: %s", said.String())
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(key)) {
			t.Errorf("the key is in %s", path)
		}
		if info, infoErr := e.Info(); infoErr == nil && strings.HasPrefix(e.Name(), "state.db") && runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v", path, info.Mode())
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files searched, %v", files, err)
	}
}

func what(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/") }
