package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pictosync/pictograph"
	"pictosync/sandbox"
	"pictosync/store"
	"pictosync/worker"
)

// imagesOnDisk writes so many images, each with bytes of its own, and canonical labels of them
// below it.
func imagesOnDisk(t *testing.T, dir string, images int) (labels, folder string, sums map[string]string) {
	t.Helper()
	var picture, lines bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	folder, sums = filepath.Join(dir, "images"), make(map[string]string)
	for i := range images {
		name := fmt.Sprintf("d%02d/%05d.jpg", i%7, i)
		content := append(bytes.Clone(picture.Bytes()), fmt.Sprintf("image %d %s", i, strings.Repeat("x", i%5000))...)
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, content, 0o600)); err != nil {
			t.Fatal(err)
		}
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(content))
		fmt.Fprintf(&lines, `{"image":%q,"width":64,"height":48,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":%d,"y":1,"w":2,"h":3}}]}`+"\n", name, i%50)
	}
	labels = filepath.Join(dir, "labels.jsonl")
	if err := os.WriteFile(labels, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return labels, folder, sums
}

// uploadService is a sandbox and its storage, which kill the process that talks to them.
type uploadService struct {
	killer *killer
	url    string
	honest *sandbox.Server // the same data without faults
	made   atomic.Int64    // requests to make an export
}

func newUploadService(t *testing.T, dir, faults string) *uploadService {
	t.Helper()
	parsed, err := sandbox.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	u := &uploadService{killer: &killer{}}
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.killer.serve(u.killer.server.StorageHandler(), w, r)
	}))
	t.Cleanup(storage.Close)
	open := func(o sandbox.Options) *sandbox.Server {
		server, err := sandbox.Open(filepath.Join(dir, "sandbox.db"), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return server
	}
	u.killer.server = open(sandbox.Options{Faults: parsed, StorageURL: storage.URL})
	u.honest = open(sandbox.Options{StorageURL: storage.URL})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/exports/") {
			u.made.Add(1)
		}
		u.killer.ServeHTTP(w, r)
	}))
	t.Cleanup(service.Close)
	u.url = service.URL
	return u
}

// TestUploadKills brings a folder of images to a dataset that is not there, by a process that
// is killed at random requests, those to the storage among them, from a service with every
// fault of uploads: no image is there twice, none is missing, none was registered twice, all
// are labelled, and their bytes are equal by SHA-256.
//
// PICTOSYNC_UPLOAD_IMAGES and PICTOSYNC_UPLOAD_KILLS make it larger, as `make upload-kills` does;
// PICTOSYNC_CHAOS_SEED makes it another one.
func TestUploadKills(t *testing.T) {
	images, kills := fromEnv(t, "PICTOSYNC_UPLOAD_IMAGES", 150), fromEnv(t, "PICTOSYNC_UPLOAD_KILLS", 8)
	seed := uint64(fromEnv(t, "PICTOSYNC_CHAOS_SEED", 1))
	dir, random := t.TempDir(), rand.New(rand.NewPCG(seed, 3))
	labels, folder, sums := imagesOnDisk(t, dir, images)
	u := newUploadService(t, dir, fmt.Sprintf("seed=%d,5xx=0.01,html=0.01,reset-before=0.01,reset-after=0.01,truncate=0.01,lost-answer=0.01,storm=0.002,storm-length=2,put-expired=0.03,put-failed=0.03,put-lost=0.03,register-taken=0.02,register-failed=0.02", seed))
	began, killed, starts := time.Now(), 0, 0
	var summary worker.Summary
	var runs []string
	for {
		if starts++; starts > kills+100 {
			t.Fatalf("it does not come to an end: %d starts of which %d were killed", starts, killed)
		}
		u.killer.mu.Lock()
		if u.killer.left, u.killer.killed = 0, false; killed < kills {
			u.killer.left, u.killer.after = 1+random.IntN(2*images/kills+6), random.IntN(2) == 0
		}
		var out, log bytes.Buffer
		cmd := exec.Command(os.Args[0], "sync", labels, "--images", folder, "--dataset", "brought", "--create-dataset", "--upload", "missing", "--streams", "4",
			"--base-url", u.url, "--state", filepath.Join(dir, "state.db"), "--rate", "unlimited", "--json", "--timeout", "10s", "--max-retries", "6")
		cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		u.killer.process = cmd.Process
		u.killer.mu.Unlock()
		err := cmd.Wait()
		u.killer.mu.Lock()
		wasKilled := u.killer.killed
		u.killer.left = 0
		u.killer.mu.Unlock()
		if wasKilled {
			killed++
			continue
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == exitUnexpected {
			continue // a fault that outlasted the retries
		}
		if err != nil || json.Unmarshal(out.Bytes(), &summary) != nil {
			t.Fatalf("%v\n%s\n%s", err, out.String(), log.String())
		}
		runs = append(runs, summary.Run)
		if killed >= kills || summary.Images.Unchanged == images {
			break
		}
	}
	if i := summary.Images; i.Failed+i.Unmatched > 0 || i.Saved+i.Unchanged != images {
		t.Errorf("%+v", summary)
	}
	u.check(t, sums)
	st, err := store.Look(t.Context(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	kept := 0
	for _, run := range runs {
		for up, err := range st.Uploads(t.Context(), run, store.UploadDone, store.UploadThere) {
			if err != nil {
				t.Fatal(err)
			}
			if kept++; fmt.Sprintf("%x", up.SHA256) != sums[up.Path] {
				t.Errorf("the state has %x of %s", up.SHA256, up.Path)
			}
		}
	}
	if kept != images {
		t.Errorf("the state has %d of %d uploads on record", kept, images)
	}
	stats := u.killer.server.Stats()
	if stats.KeysLeaked > 0 {
		t.Errorf("the key was sent to the storage %d times", stats.KeysLeaked)
	}
	t.Logf("%d images, %d starts of which %d were killed, %d requests and %d at the storage, %d uploads on record, %s", images, starts, killed, stats.Requests, stats.Storage, kept, time.Since(began).Round(time.Second))
}

// check holds what the service has against the files.
func (u *uploadService) check(t *testing.T, sums map[string]string) {
	t.Helper()
	get := func(path string) []byte {
		request := httptest.NewRequest("GET", "/api/v1/developer/"+path, nil)
		request.Header.Set("X-API-Key", "key")
		answer := httptest.NewRecorder()
		u.honest.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			t.Fatalf("%s: %s", path, answer.Body)
		}
		return answer.Body.Bytes()
	}
	there := make(map[string]int)
	for offset := 0; ; offset += pictograph.PageSize {
		var page struct{ Data []pictograph.Image }
		if err := json.Unmarshal(get(fmt.Sprintf("images/?dataset=brought&limit=%d&offset=%d", pictograph.PageSize, offset)), &page); err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Data {
			there[i.Path()]++
			if got := fmt.Sprintf("%x", sha256.Sum256(get("images/brought/"+i.Path()))); got != sums[i.Path()] || i.AnnotationCount != 1 {
				t.Errorf("%s has the bytes %s and %d annotations; the file has %s", i.Path(), got, i.AnnotationCount, sums[i.Path()])
			}
		}
		if len(page.Data) < pictograph.PageSize {
			break
		}
	}
	for path := range sums {
		if there[path] != 1 {
			t.Errorf("%s is there %d times", path, there[path])
		}
	}
	if len(there) != len(sums) {
		t.Errorf("%d images there, %d files", len(there), len(sums))
	}
	registered := make(map[string]int)
	for e, err := range u.honest.Audit(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "image" {
			if registered[e.ImagePath]++; registered[e.ImagePath] > 1 {
				t.Errorf("%s was registered twice", e.ImagePath)
			}
		}
	}
}

// TestUploadRequests brings 5,000 images in twenty requests, and labels them in thirty-four.
func TestUploadRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("5,000 files")
	}
	const images = 5000
	dir := t.TempDir()
	labels, folder, sums := imagesOnDisk(t, dir, images)
	u := newUploadService(t, dir, "")
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], "sync", labels, "--images", folder, "--dataset", "brought", "--create-dataset", "--upload", "missing",
		"--base-url", u.url, "--state", filepath.Join(dir, "state.db"), "--rate", "unlimited", "--json")
	cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	var s worker.Summary
	if err := cmd.Run(); err != nil || json.Unmarshal(out.Bytes(), &s) != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if s.Images.Saved != images || s.Requests > 20+34 {
		t.Errorf("%d saved in %d requests", s.Images.Saved, s.Requests)
	}
	if stats := u.killer.server.Stats(); stats.Storage != images {
		t.Errorf("%d requests at the storage", stats.Storage)
	}
	u.check(t, sums)
	t.Logf("%d requests, %.1f s", s.Requests, s.Seconds)
}

// TestExportImagesKills backs up images by a process that is killed at random requests: what was
// downloaded is not downloaded again, but for what was on its way.
func TestExportImagesKills(t *testing.T) {
	const images, kills, atOnce = 80, 5, 4
	dir := t.TempDir()
	labels, folder, sums := imagesOnDisk(t, dir, images)
	u := newUploadService(t, dir, "download-cut=0.1")
	command := func(args ...string) error {
		cmd := exec.Command(os.Args[0], append(args, "--dataset", "brought", "--base-url", u.url, "--state", filepath.Join(dir, "state.db"), "--rate", "unlimited", "--quiet")...)
		cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
		cmd.Stderr = os.Stderr
		u.killer.mu.Lock()
		defer u.killer.mu.Unlock()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		u.killer.process = cmd.Process
		u.killer.mu.Unlock()
		err := cmd.Wait()
		u.killer.mu.Lock()
		return err
	}
	if err := command("sync", labels, "--images", folder, "--create-dataset", "--upload", "missing"); err != nil {
		t.Fatal(err)
	}
	export := []string{"export", "--out", filepath.Join(dir, "backups"), "--images", "--read", "image", "--concurrency", fmt.Sprint(atOnce)}
	// What was saved from here is read before any image is downloaded.
	if err := command("export", "--out", filepath.Join(dir, "before")); err != nil {
		t.Fatal(err)
	}
	before := u.killer.server.Stats().Requests
	for kill := range kills {
		u.killer.mu.Lock()
		u.killer.left, u.killer.after, u.killer.killed = 5+kill*3, kill%2 == 0, false
		u.killer.mu.Unlock()
		if err := command(export...); err == nil {
			t.Fatalf("kill %d did not come", kill)
		}
	}
	if err := command(export...); err != nil {
		t.Fatal(err)
	}
	listings := 2 * (kills + 1) // of the dataset and of its images
	if asked := u.killer.server.Stats().Requests - before - listings; asked > images+kills*(atOnce+1) {
		t.Errorf("%d images were asked for in %d kills with %d at once, of %d", asked, kills, atOnce, images)
	}
	checkImagesOf(t, filepath.Join(dir, "backups"), sums)
}

// checkImagesOf holds the images of the snapshots in a folder against their checksums.
func checkImagesOf(t *testing.T, backups string, sums map[string]string) {
	t.Helper()
	snapshots, err := filepath.Glob(filepath.Join(backups, "2*"))
	if err != nil || len(snapshots) == 0 {
		t.Fatal(snapshots, err)
	}
	for _, snapshot := range snapshots {
		for name, sum := range sums {
			data, err := os.ReadFile(filepath.Join(snapshot, "images", filepath.FromSlash(name)))
			if err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
				t.Errorf("%s is not in %s as it was: %v", name, filepath.Base(snapshot), err)
			}
		}
	}
}

// TestExportImagesByExport backs up images by an export of the service: in a handful of requests,
// also by a process that is killed at each of them, and with the bytes that the images have, however
// that export fails or lies.
func TestExportImagesByExport(t *testing.T) {
	const images = 80
	for _, c := range []struct {
		name, faults string
		kills        int
		most         int // requests; 0 is any number
	}{
		{"right", "", 0, 24},
		{"killed", "", 20, 0},
		{"some are not in it", "export-missing=0.3", 0, 0},
		{"damaged", "export-corrupt=1", 0, 0},
		{"with odd names", "export-names=1", 0, 0},
		{"none", "export-403=1", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			labels, folder, sums := imagesOnDisk(t, dir, images)
			u := newUploadService(t, dir, c.faults)
			run := func(args ...string) (string, error) {
				cmd := exec.Command(os.Args[0], append(args, "--dataset", "brought", "--base-url", u.url, "--state", filepath.Join(dir, "state.db"), "--rate", "unlimited", "--json")...)
				cmd.Env = append(os.Environ(), "PICTOSYNC_TEST_MAIN=1", "PICTOGRAPH_API_KEY=pk_live_test")
				u.killer.mu.Lock()
				var out bytes.Buffer
				cmd.Stdout = &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				u.killer.process = cmd.Process
				u.killer.mu.Unlock()
				err := cmd.Wait()
				return out.String(), err
			}
			if out, err := run("sync", labels, "--images", folder, "--create-dataset", "--upload", "missing"); err != nil {
				t.Fatal(err, out)
			}
			export := []string{"export", "--out", filepath.Join(dir, "backups"), "--images"}
			before, killed := u.killer.server.Stats().Requests, 0
			var out string
			for {
				u.killer.mu.Lock()
				if u.killer.left = 0; killed < c.kills {
					u.killer.left, u.killer.after = 1+killed, killed%2 == 0
				}
				u.killer.killed = false
				u.killer.mu.Unlock()
				var err error
				if out, err = run(export...); err == nil {
					break
				}
				if killed++; killed > c.kills {
					t.Fatal(err, out)
				}
			}
			if n := u.killer.server.Stats().Requests - before; c.most > 0 && n > c.most {
				t.Errorf("%d requests, want at most %d: %s", n, c.most, out)
			} else {
				t.Logf("%d requests, %d kills", n, killed)
			}
			if c.kills > 0 && killed < 5 {
				t.Errorf("it was killed %d times", killed)
			}
			if n := u.made.Load(); c.kills > 0 && n > 2 {
				t.Errorf("%d exports were asked for, want one of the annotations and one with the images", n)
			}
			checkImagesOf(t, filepath.Join(dir, "backups"), sums)
		})
	}
}
