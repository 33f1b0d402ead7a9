package pictograph_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pictosync/pictograph"
	"pictosync/sandbox"
)

// exporting is a client of a sandbox that has a dataset of three images, two of them with
// annotations.
func exporting(t *testing.T, faults string) (*pictograph.Client, *sandbox.Server) {
	t.Helper()
	parsed, err := sandbox.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	server, err := sandbox.Open(filepath.Join(t.TempDir(), "sandbox.db"), sandbox.Options{Faults: parsed, Log: zerolog.Nop(),
		Quota: sandbox.Quota{Requests: 1000, Per: time.Hour}, Keys: map[string]sandbox.Role{"owner": sandbox.Owner, "member": sandbox.Member}})
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(server)
	t.Cleanup(func() {
		service.Close()
		server.Close()
	})
	if _, _, err := server.EnsureDataset(t.Context(), "set"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.AddImages(t.Context(), "set", []sandbox.NewImage{{Path: "a.jpg"}, {Path: "dir/b.jpg"}, {Path: "empty.jpg"}}); err != nil {
		t.Fatal(err)
	}
	c := clientAt(t, service.URL, "owner", nil)
	d, err := c.Dataset(t.Context(), "set")
	if err == nil {
		_, err = c.UpdateClasses(t.Context(), "set", []pictograph.Class{{Name: "car", Type: "bbox"}}, d.Classes)
	}
	for _, path := range []string{"a.jpg", "dir/b.jpg"} {
		if err == nil {
			_, err = c.Save(t.Context(), pictograph.ImageRef{Dataset: "set", Path: path}, []pictograph.Annotation{{ID: path, Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 2, W: 3, H: 4}}}}, pictograph.SaveOptions{})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, server
}

func clientAt(t *testing.T, url, key string, pacer pictograph.Pacer) *pictograph.Client {
	t.Helper()
	c, err := pictograph.New(pictograph.Config{BaseURL: url, APIKey: key, API: pictograph.DialectPath, Pacer: pacer, Transport: &http.Transport{}, MaxRetries: pictograph.NoRetries, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// made has an export made and waits for it.
func made(t *testing.T, c *pictograph.Client) {
	t.Helper()
	e, err := c.CreateExport(t.Context(), pictograph.NewExport{Dataset: "set", Name: "night"})
	for err == nil && e.Status != pictograph.ExportCompleted {
		if e, err = c.Export(t.Context(), "set", "night"); e.Status == pictograph.ExportFailed {
			t.Fatal(e.ErrorMessage)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readAll reads the ZIP of an export: images as "id count path", and what went wrong.
func readAll(t *testing.T, data []byte) (images map[string]pictograph.ExportedImage, failed []error) {
	t.Helper()
	images = make(map[string]pictograph.ExportedImage)
	for i, err := range pictograph.ReadExport(t.Context(), bytes.NewReader(data), int64(len(data)), 1000) {
		if err != nil {
			failed = append(failed, err)
			continue
		}
		images[i.Path] = i
	}
	return images, failed
}

// An export is asked for, looked at, downloaded without the key, read and deleted.
func TestExport(t *testing.T) {
	c, server := exporting(t, "")
	made(t, c)
	if _, err := c.CreateExport(t.Context(), pictograph.NewExport{Dataset: "set", Name: "night"}); !errors.Is(err, pictograph.ErrConflict) {
		t.Errorf("a second of the name: %v", err)
	}
	var file bytes.Buffer
	n, err := c.DownloadExport(t.Context(), "set", "night", &file, 1<<20)
	if err != nil || n != int64(file.Len()) {
		t.Fatalf("%d bytes: %v", n, err)
	}
	images, failed := readAll(t, file.Bytes())
	if len(failed) > 0 || len(images) != 3 || images["dir/b.jpg"].Count != 1 || len(images["dir/b.jpg"].Annotations) != 1 || images["empty.jpg"].Count != 0 || images["a.jpg"].ID == "" {
		t.Errorf("%+v, %v", images, failed)
	}
	if server.Stats().KeysLeaked > 0 {
		t.Error("the storage was shown the key")
	}
	if _, err := c.DownloadExport(t.Context(), "set", "night", io.Discard, 10); err == nil || !strings.Contains(err.Error(), "larger than 10 bytes") {
		t.Errorf("a file that is too large: %v", err)
	}
	if err := c.DeleteExport(t.Context(), "set", "night"); err != nil {
		t.Error(err)
	}
	if _, err := c.Export(t.Context(), "set", "night"); !errors.Is(err, pictograph.ErrNotFound) {
		t.Errorf("a deleted export: %v", err)
	}
}

// What goes wrong with a download is told apart: the storage's answers, a file that is cut
// short, and the disk.
func TestDownloadsThatFail(t *testing.T) {
	for fault, is := range map[string]func(error) bool{
		"download-expired=1": func(err error) bool {
			e, ok := errors.AsType[*pictograph.StorageError](err)
			return ok && e.Status == http.StatusForbidden
		},
		"download-failed=1": func(err error) bool {
			e, ok := errors.AsType[*pictograph.StorageError](err)
			return ok && e.Status == http.StatusServiceUnavailable
		},
		"download-cut=1": func(err error) bool { return errors.Is(err, pictograph.ErrNetwork) },
	} {
		c, _ := exporting(t, fault)
		made(t, c)
		if _, err := c.DownloadExport(t.Context(), "set", "night", io.Discard, 1<<20); err == nil || !is(err) {
			t.Errorf("%s: %v", fault, err)
		}
	}
	c, _ := exporting(t, "")
	made(t, c)
	full := errors.New("the disk is full")
	if _, err := c.DownloadExport(t.Context(), "set", "night", fullDisk{full}, 1<<20); !errors.Is(err, full) || errors.Is(err, pictograph.ErrNetwork) {
		t.Errorf("a full disk: %v", err)
	}
}

type fullDisk struct{ err error }

func (d fullDisk) Write([]byte) (int, error) { return 0, d.err }

// countingReader counts what is read of a file, in bytes.
type countingReader struct {
	*bytes.Reader
	read int
}

func (r *countingReader) ReadAt(p []byte, at int64) (n int, err error) {
	n, err = r.Reader.ReadAt(p, at)
	r.read += n
	return n, err
}

// An export of too many files is refused before all of its directory is read, which takes
// memory, however it is asked for.
func TestExportOfTooManyFiles(t *testing.T) {
	c, _ := exporting(t, "export-many=1")
	made(t, c)
	var file bytes.Buffer
	if _, err := c.DownloadExport(t.Context(), "set", "night", &file, 1<<30); err != nil {
		t.Fatal(err)
	}
	r := &countingReader{Reader: bytes.NewReader(file.Bytes())}
	for _, err := range pictograph.ReadExport(t.Context(), r, int64(file.Len()), 1000) {
		if err == nil || !strings.Contains(err.Error(), "it holds more than 1000 files") {
			t.Errorf("read: %v", err)
		}
	}
	if r.read == 0 || r.read > 600<<10 {
		t.Errorf("%d bytes of %d were read", r.read, file.Len())
	}
	if _, err := pictograph.ExportFiles(r, int64(file.Len()), 1000); err == nil {
		t.Error("its files were listed")
	}
	if _, err := pictograph.ExportFiles(r, int64(file.Len()), 100_000); err != nil {
		t.Errorf("as many as it may hold: %v", err)
	}
}

// Whatever an export holds beside images, or in their place, is one error or passed over.
func TestExportsThatLie(t *testing.T) {
	for fault, want := range map[string]struct{ images, failed int }{
		"export-missing=1":   {0, 0},
		"export-count=1":     {3, 0},
		"export-truncated=1": {0, 1},
		"export-bomb=1":      {3, 1},
		"export-many=1":      {0, 1},
	} {
		c, _ := exporting(t, fault)
		made(t, c)
		var file bytes.Buffer
		if _, err := c.DownloadExport(t.Context(), "set", "night", &file, 1<<30); err != nil {
			t.Fatal(err)
		}
		images, failed := readAll(t, file.Bytes())
		if len(images) != want.images || len(failed) != want.failed {
			t.Errorf("%s: %d images, %v", fault, len(images), failed)
		}
		if fault == "export-count=1" && images["a.jpg"].Count != 2 {
			t.Errorf("the count is %d", images["a.jpg"].Count)
		}
	}
	c, _ := exporting(t, "export-names=1")
	made(t, c)
	var file bytes.Buffer
	if _, err := c.DownloadExport(t.Context(), "set", "night", &file, 1<<30); err != nil {
		t.Fatal(err)
	}
	if images, failed := readAll(t, file.Bytes()); len(images) != 3 {
		t.Errorf("names that lead elsewhere: %d images, %v", len(images), failed)
	}
}

// zipped packs files by their names.
func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, content := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Files are told by what they hold.
func TestExportIsReadByContent(t *testing.T) {
	images, failed := readAll(t, zipped(t, map[string]string{
		"whatever.JSON":  `{"image":"a.jpg","image_uuid":"1","image_path":"/x","annotation_count":0,"annotations":[]}`,
		"silent.json":    `{"image":"b.jpg","image_uuid":"2","image_path":"/","annotations":[]}`,
		"dataset.json":   `{"name":"set","classes":[]}`,
		"readme.txt":     "hello",
		"nameless.json":  `{"annotations":[]}`,
		"without.json":   `{"image":"c.jpg","image_uuid":"3","image_path":"/"}`,
		"broken.json":    `{"image":`,
		"odd.json":       `{"image":"d.jpg","image_uuid":"4","image_path":"/","annotations":[{"id":"1","name":"car","type":"blob"}]}`,
		"list.json":      `[1,2]`,
		"a.jpg":          "\xff\xd8",
		"folder/in.json": `{"image":"e.jpg","image_uuid":"5","image_path":"/","annotation_count":7,"annotations":[]}`,
	}))
	if len(images) != 3 || images["x/a.jpg"].Count != 0 || images["b.jpg"].Count != -1 || images["e.jpg"].Count != 7 {
		t.Errorf("%+v", images)
	}
	if len(failed) != 5 {
		t.Errorf("%d failed: %v", len(failed), failed)
	}
	for _, err := range failed {
		if _, ok := errors.AsType[*pictograph.EntryError](err); !ok {
			t.Errorf("%v is of no file", err)
		}
	}
	if _, failed := readAll(t, []byte("no ZIP")); len(failed) != 1 {
		t.Errorf("what is no ZIP: %v", failed)
	}
}

// told notes what the service says of the quota.
type told struct {
	mu   sync.Mutex
	said []string
}

func (p *told) Wait(context.Context) error { return nil }
func (p *told) Throttled(time.Duration)    {}
func (p *told) Succeeded()                 {}
func (p *told) Silent(bool)                { p.note("silent") }
func (p *told) Allowed(limit, remaining int, reset time.Time) {
	p.note(fmt.Sprint(limit, " ", remaining, " ", reset.IsZero()))
}

func (p *told) note(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, s)
}

// The pacer is told what answers say of the quota, refusals too.
func TestHeadersOfTheQuota(t *testing.T) {
	headers := []http.Header{
		{"X-Ratelimit-Limit": {"20"}, "X-Ratelimit-Remaining": {"19"}, "X-Ratelimit-Reset": {"1800000000"}},
		{"X-Ratelimit-Limit": {"20"}, "X-Ratelimit-Remaining": {"0"}},
		{},
		{"X-Ratelimit-Limit": {"many"}, "X-Ratelimit-Remaining": {"0"}},
		{"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"6"}},
	}
	n := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range headers[n] {
			w.Header()[name] = values
		}
		if n++; n == 2 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		io.WriteString(w, `{"data":{"name":"set"}}`)
	}))
	pacer := &told{}
	c := clientAt(t, service.URL, "key", pacer)
	for range headers {
		c.Dataset(t.Context(), "set")
	}
	service.Close()
	c.Dataset(t.Context(), "set")
	want := "20 19 false, 20 0 true, silent, silent, silent, silent"
	if got := strings.Join(pacer.said, ", "); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

// A download that stands still is given up; one that is slow is not.
func TestADownloadThatStandsStill(t *testing.T) {
	release := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/file") {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "PK")
			http.NewResponseController(w).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		fmt.Fprintf(w, `{"data":{"download_url":"http://%s/file"}}`, r.Host)
	}))
	defer service.Close()
	defer close(release)
	c, err := pictograph.New(pictograph.Config{BaseURL: service.URL, APIKey: "key", Transport: &http.Transport{}, MaxRetries: pictograph.NoRetries, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if _, err := c.DownloadExport(t.Context(), "set", "night", io.Discard, 1<<20); !errors.Is(err, pictograph.ErrNetwork) || !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("%v", err)
	}
}
