package sandbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// data is what an answer has under "data".
func data[V any](t *testing.T, w *httptest.ResponseRecorder) V {
	t.Helper()
	var out struct {
		Data V `json:"data"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return out.Data
}

// fetched is what the storage answers.
func fetched(t *testing.T, method, url, body string, header ...string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(content)
}

const pngType = "image/png"

func TestUpload(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	s := start(t, Options{Now: func() time.Time { return now }})
	place := `"dataset":"set","filename":"c.png","directory_path":"/new/dir","content_type":"image/png"`
	ask := func() string {
		return data[signedUpload](t, call(s, "POST", api+"images/upload-url", `{`+place+`}`)).UploadURL
	}
	register := func(size int) *httptest.ResponseRecorder {
		return call(s, "POST", api+"images/register", fmt.Sprintf(`{%s,"file_size":%d,"width":7,"height":8}`, place, size))
	}
	url := ask()
	if w := register(5); w.Code != 400 {
		t.Errorf("registered before the upload: %d", w.Code)
	}
	for _, test := range []struct {
		what   string
		url    string
		body   string
		header []string
		status int
		want   string
	}{
		{"with a key", url, "12345", []string{"Content-Type", pngType, "X-API-Key", "owner-key"}, 400, "an API key was sent"},
		{"as another type", url, "12345", []string{"Content-Type", "image/jpeg"}, 403, "SignatureDoesNotMatch"},
		{"to a made-up URL", url + "0", "12345", []string{"Content-Type", pngType}, 403, "SignatureDoesNotMatch"},
		{"at last", url, "1234", []string{"Content-Type", pngType}, 200, ""},
		{"again, and this one counts", url, "12345", []string{"Content-Type", pngType}, 200, ""},
	} {
		if status, text := fetched(t, "PUT", test.url, test.body, test.header...); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("put %s: %d %s", test.what, status, text)
		}
	}
	if n := s.Stats().KeysLeaked; n != 1 {
		t.Errorf("%d leaked keys were counted", n)
	}
	if w := register(4); w.Code != 422 {
		t.Errorf("registered with a wrong size: %d", w.Code)
	}
	if w := register(5); w.Code != 201 || !strings.Contains(w.Body.String(), `"width":7,"height":8`) {
		t.Errorf("register: %d %s", w.Code, w.Body)
	}
	if status, _ := fetched(t, "PUT", url, "12345", "Content-Type", pngType); status != 403 {
		t.Errorf("put once it is registered: %d", status)
	}
	if w := call(s, "GET", api+"images/set/new/dir/c.png", ""); w.Body.String() != "12345" || w.Header().Get("Content-Type") != pngType || w.Header().Get("Content-Length") != "5" {
		t.Errorf("download: %q %s", w.Body, w.Header())
	}
	if w := register(5); w.Code != 409 {
		t.Errorf("register a taken name: %d %s", w.Code, w.Body)
	}
	for _, bad := range []string{`"filename":"../x.png"`, `"filename":"x.txt"`, `"filename":"x.png","directory_path":"/a/../b"`} {
		if w := call(s, "POST", api+"images/upload-url", `{"dataset":"set",`+bad+`}`); w.Code != 422 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	url = ask()
	now = now.Add(time.Hour)
	if status, text := fetched(t, "PUT", url, "12345", "Content-Type", pngType); status != 403 || !strings.Contains(text, "ExpiredToken") {
		t.Errorf("put an hour later: %d %s", status, text)
	}
}

// bulkOf is the body of a bulk call for these images; sizes below 0 leave the
// size out, as for the URLs.
func bulkOf(size int, names ...string) string {
	var images []string
	for _, name := range names {
		entry := `{"filename":` + mustJSON(name) + `,"directory_path":"/up"`
		if size >= 0 {
			entry += fmt.Sprintf(`,"file_size":%d`, size)
		}
		images = append(images, entry+`}`)
	}
	return `{"dataset":"set","images":[` + strings.Join(images, ",") + `]}`
}

func TestBulkUpload(t *testing.T) {
	s := start(t, Options{})
	names := []string{"a.png", "late.png", "short.png", "é ok (1).JPG", " odd#name?.png", "photo.HEIC", "a.png"}
	signed := data[struct {
		URLs []signedUpload `json:"upload_urls"`
	}](t, call(s, "POST", api+"images/bulk-upload-url", bulkOf(-1, names...))).URLs
	var stored []string
	for i, u := range signed {
		stored = append(stored, u.Filename)
		content := "bytes of it"
		switch names[i] {
		case "late.png":
			continue
		case "short.png":
			content = "bytes"
		}
		if status, text := fetched(t, "PUT", u.UploadURL, content); status != 200 {
			t.Errorf("%s: %d %s", names[i], status, text)
		}
	}
	if want := []string{"a.png", "late.png", "short.png", "é ok (1).JPG", "odd#name_.png", "photo.png", "a.png"}; fmt.Sprint(stored) != fmt.Sprint(want) {
		t.Errorf("the names became %q, want %q", stored, want)
	}
	w := call(s, "POST", api+"images/bulk-register", bulkOf(11, names...), "Idempotency-Key", "k")
	type result struct {
		Succeeded []imageRow
		Failed    []struct{ Filename, Error string }
	}
	out := data[result](t, w)
	var succeeded, failures []string
	for _, i := range out.Succeeded {
		succeeded = append(succeeded, i.path()+" "+*i.ContentType)
	}
	for _, f := range out.Failed {
		failures = append(failures, f.Filename+": "+f.Error)
	}
	if got, want := strings.Join(succeeded, "; "), "up/a.png image/png; up/é ok (1).JPG image/jpeg; up/odd#name_.png image/png; up/photo.png image/png"; got != want {
		t.Errorf("succeeded: %s, want %s", got, want)
	}
	text := strings.Join(failures, "\n")
	if len(failures) != 3 || !strings.Contains(text, "late.png: no bytes were uploaded") || !strings.Contains(text, "5 bytes were uploaded") || !strings.Contains(text, "a.png: an image up/a.png already exists") {
		t.Errorf("failed: %s", text)
	}
	if again := call(s, "POST", api+"images/bulk-register", bulkOf(11, names...), "Idempotency-Key", "k"); again.Body.String() != w.Body.String() || again.Header().Get("Idempotent-Replayed") == "" {
		t.Errorf("the repeat: %s", again.Body)
	}
	if w := call(s, "GET", api+"images/set/up/photo.png", ""); w.Body.String() != "bytes of it" {
		t.Errorf("the HEIC file's bytes: %q", w.Body)
	}
	var contents int
	root, _ := s.files.root()
	filepath.WalkDir(filepath.Join(root, "images"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			contents++
		}
		return err
	})
	if contents != 2 { // equal bytes lie there once; those of short.png wait to be registered
		t.Errorf("%d contents on disk, want 2", contents)
	}
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprintf("%d.png", i)
	}
	for _, route := range []string{"bulk-upload-url", "bulk-register"} {
		if w := call(s, "POST", api+"images/"+route, bulkOf(-1, many...)); w.Code != 422 || !strings.Contains(w.Body.String(), "501 images") {
			t.Errorf("%s of 501: %d %s", route, w.Code, w.Body)
		}
		if w := call(s, "POST", api+"images/"+route, bulkOf(-1)); w.Code != 422 {
			t.Errorf("%s of none: %d", route, w.Code)
		}
		if w := call(s, "POST", api+"images/"+route, bulkOf(-1, "a.png", "b.txt")); w.Code != 422 || !strings.Contains(w.Body.String(), `"loc":["body","images",1,"filename"]`) {
			t.Errorf("%s of a text: %d %s", route, w.Code, w.Body)
		}
	}
	if w := call(s, "POST", api+"images/bulk-upload-url", bulkOf(-1, many[:500]...)); w.Code != 200 {
		t.Errorf("500: %d", w.Code)
	}
	if w := call(s, "DELETE", api+"datasets/set", ""); w.Code != 200 {
		t.Fatal(w.Body)
	}
	contents = 0
	filepath.WalkDir(filepath.Join(root, "images"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			contents++
		}
		return err
	})
	if contents != 0 {
		t.Errorf("%d contents outlived their dataset", contents)
	}
}

func TestUploadFaults(t *testing.T) {
	for name, want := range map[string]struct {
		put      int // status
		register int // status
		bulk     string
	}{
		"put-failed": {503, 400, "no bytes"}, "put-expired": {403, 400, "no bytes"}, "put-lost": {0, 201, ""},
		"register-taken": {200, 409, "already exists"}, "register-failed": {200, 503, "could not be registered now"},
	} {
		faults, err := ParseFaults("seed=3," + name + "=1")
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, Options{Faults: faults})
		for _, single := range []bool{true, false} {
			file := fmt.Sprintf("%v.png", single)
			signed := data[struct {
				URLs []signedUpload `json:"upload_urls"`
			}](t, call(s, "POST", api+"images/bulk-upload-url", bulkOf(-1, file))).URLs
			if status, text := fetched(t, "PUT", signed[0].UploadURL, "12345"); status != want.put {
				t.Errorf("%s: put %d %s", name, status, text)
			}
			if single {
				if w := call(s, "POST", api+"images/register", `{"dataset":"set","filename":"`+file+`","directory_path":"/up","file_size":5}`); w.Code != want.register {
					t.Errorf("%s: register %d %s", name, w.Code, w.Body)
				}
				continue
			}
			w := call(s, "POST", api+"images/bulk-register", bulkOf(5, file))
			out := data[struct {
				Failed []struct{ Error string }
			}](t, w)
			if w.Code != 200 || want.bulk == "" && len(out.Failed) > 0 || want.bulk != "" && (len(out.Failed) != 1 || !strings.Contains(out.Failed[0].Error, want.bulk)) {
				t.Errorf("%s: bulk-register %d %s", name, w.Code, w.Body)
			}
		}
		if s.Stats().Faults[name] == 0 {
			t.Errorf("%s was not counted", name)
		}
	}
}

func TestSplit(t *testing.T) {
	s := start(t, Options{Keys: map[string]Role{"owner-key": Owner, "viewer-key": Viewer}})
	for _, test := range []struct {
		path, body string
		status     int
		want       string
		header     []string
	}{
		{"a.jpg", `{"split":"val"}`, 200, `"split":"val"`, nil},
		{"dir/b.jpg", `{"split":"test"}`, 200, `"split":"test"`, nil},
		{"dir/b.jpg", `{"split":null}`, 200, `"split":null`, nil},
		{"a.jpg", `{"split":"valid"}`, 422, `"loc":["body","split"]`, nil},
		{"a.jpg", `{}`, 422, ``, nil},
		{"c.jpg", `{"split":"val"}`, 404, ``, nil},
		{"a.jpg", `{"split":"train"}`, 403, ``, []string{"X-API-Key", "viewer-key"}},
	} {
		if w := call(s, "POST", api+"images/set/"+test.path+"/split", test.body, test.header...); w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s: %d %s", test.path, test.body, w.Code, w.Body)
		}
	}
	if w := call(s, "GET", api+"images/?dataset=set&split=val", ""); !strings.Contains(w.Body.String(), `"filename":"a.jpg"`) || strings.Contains(w.Body.String(), `b.jpg`) {
		t.Errorf("by split: %s", w.Body)
	}
}

// A database that keeps the bytes itself, as an earlier version made it, is
// taken over.
func TestEarlierDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sandbox.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`
		CREATE TABLE datasets (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, annotation_types TEXT NOT NULL, classes TEXT NOT NULL,
			created_at TEXT NOT NULL, updated_at TEXT NOT NULL) STRICT;
		CREATE TABLE images (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, dataset TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
			directory TEXT NOT NULL, filename TEXT NOT NULL, width INTEGER, height INTEGER, status TEXT NOT NULL DEFAULT 'new', split TEXT,
			file_size INTEGER NOT NULL DEFAULT 0, content_type TEXT NOT NULL DEFAULT '', archived INTEGER NOT NULL DEFAULT 0,
			annotation_count INTEGER NOT NULL DEFAULT 0, annotations BLOB NOT NULL DEFAULT x'5b5d', created_at TEXT NOT NULL, UNIQUE (dataset, directory, filename)) STRICT;
		CREATE TABLE uploads (token TEXT PRIMARY KEY, dataset TEXT NOT NULL, directory TEXT NOT NULL, filename TEXT NOT NULL, bytes BLOB) STRICT;
		CREATE TABLE contents (image TEXT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE, bytes BLOB NOT NULL) STRICT;
		CREATE TABLE requests (account TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
		INSERT INTO requests VALUES ('somebody', 1), ('somebody', 2);
		INSERT INTO datasets VALUES ('00000000-0000-4000-8000-000000000001', 'old', '', '["bbox"]', '[]', '2026-05-01T00:00:00.000000Z', '2026-05-01T00:00:00.000000Z');
		INSERT INTO images (id, dataset, directory, filename, content_type, created_at) VALUES
			('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', '/', 'a.png', 'image/png', '2026-05-01T00:00:00.000000Z'),
			('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000001', '/', 'b.png', 'image/png', '2026-05-01T00:00:00.000000Z');
		INSERT INTO contents VALUES ('00000000-0000-4000-8000-000000000002', x'010203');`)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	for range 2 { // and once more, when it is taken over
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if w := call(s, "GET", api+"images/old/a.png", ""); w.Body.String() != "\x01\x02\x03" {
			t.Errorf("its bytes: %d %q", w.Code, w.Body)
		}
		var spent int
		if err := s.db.QueryRow(`SELECT n FROM spent WHERE account = 'somebody'`).Scan(&spent); err != nil || spent != 2 {
			t.Errorf("%d requests count (%v), want 2", spent, err)
		}
		if w := call(s, "GET", api+"images/old/b.png", ""); w.Code != 404 {
			t.Errorf("an image without bytes: %d", w.Code)
		}
		sum := sha256.Sum256([]byte{1, 2, 3})
		if f, err := s.files.open(hex.EncodeToString(sum[:])); err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
		if _, err := s.AddImages(context.Background(), "old", []NewImage{{Path: "c.png"}}); err != nil {
			t.Error(err)
		}
		s.Close()
	}
}

// Contents that several images share stay as long as one of them does, however
// they come and go.
func TestSharedContents(t *testing.T) {
	s := start(t, Options{})
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 12 {
				name := fmt.Sprintf("%d-%d.png", worker, i)
				signed := data[struct {
					URLs []signedUpload `json:"upload_urls"`
				}](t, call(s, "POST", api+"images/bulk-upload-url", bulkOf(-1, name))).URLs
				if status, text := fetched(t, "PUT", signed[0].UploadURL, fmt.Sprintf("content %d", i%3)); status != 200 {
					t.Errorf("%s: %d %s", name, status, text)
				}
				if w := call(s, "POST", api+"images/bulk-register", bulkOf(9, name)); !strings.Contains(w.Body.String(), `"failed":[]`) {
					t.Errorf("%s: %s", name, w.Body)
				}
				if i%2 == 0 {
					call(s, "DELETE", api+"images/set/up/"+name+"?permanent=true", "")
				}
			}
		})
	}
	wait.Wait()
	for worker := range 8 {
		for i := 1; i < 12; i += 2 {
			if w := call(s, "GET", fmt.Sprintf("%simages/set/up/%d-%d.png", api, worker, i), ""); w.Body.String() != fmt.Sprintf("content %d", i%3) {
				t.Errorf("%d-%d: %d %s", worker, i, w.Code, w.Body)
			}
		}
	}
}
