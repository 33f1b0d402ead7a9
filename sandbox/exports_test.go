package sandbox

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pictosync/pictograph"
)

// described is the file of an image in an export.
type described struct {
	Image           string            `json:"image"`
	ImageUUID       string            `json:"image_uuid"`
	ImagePath       string            `json:"image_path"`
	AnnotationCount int               `json:"annotation_count"`
	Annotations     []json.RawMessage `json:"annotations"`
	ImageURL        string            `json:"image_url"`
	Dataset         struct{ ID, Name string }
	Org             struct{ ID, Name string }
}

// unpacked is what the file of a completed export has, by name.
func unpacked(t *testing.T, s *Server, name string) map[string]string {
	t.Helper()
	signed := data[struct {
		URL string `json:"download_url"`
	}](t, call(s, "GET", api+"exports/"+name+"/download?dataset=set", "")).URL
	status, text := fetched(t, "GET", signed, "")
	if status != 200 {
		t.Fatalf("download %s: %d %s", signed, status, text)
	}
	z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	return files
}

func create(t *testing.T, s *Server, body string) *httptest.ResponseRecorder {
	t.Helper()
	return call(s, "POST", api+"exports/", `{"dataset_name":"set",`+body+`}`)
}

func TestExports(t *testing.T) {
	s := start(t, Options{Keys: map[string]Role{"owner-key": Owner, "member-key": Member, "viewer-key": Viewer}})
	call(s, "POST", api+"annotations/set/a.jpg", `{"annotations":`+car("1", "2")+`}`)
	as := func(role string) []string { return []string{"X-API-Key", role + "-key"} }
	first := data[exportShown](t, create(t, s, `"name":"x"`))
	if first.Status != "pending" || first.DownloadURL != nil || first.Format != "pictograph" || first.DatasetName != "set" {
		t.Errorf("created as %+v", first)
	}
	for _, test := range []struct {
		what, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"get by name", "GET", "exports/x?dataset=set", "", nil, 200, `"status":"completed"`},
		{"with the dataset's id", "GET", "exports/x?dataset=" + first.DatasetID, "", nil, 200, `"image_count":2,"annotation_count":2`},
		{"get by id", "GET", "exports/" + first.ID, "", as("viewer"), 200, `"name":"x"`},
		{"get by name without a dataset", "GET", "exports/x", "", nil, 422, `"loc":["body","dataset"]`},
		{"an unknown one", "GET", "exports/y?dataset=set", "", nil, 404, ``},
		{"of another dataset", "GET", "exports/x?dataset=other", "", nil, 404, ``},
		{"by an unknown id", "GET", "exports/00000000-0000-4000-8000-00000000a0a0", "", nil, 404, ``},
		{"where to download", "GET", "exports/x/download?dataset=set", "", nil, 200, `"download_url":"http`},
		{"where to download by id", "GET", "exports/" + first.ID + "/download", "", nil, 200, `"download_url":"http`},
		{"a name that is taken", "POST", "exports/", `{"dataset_name":"set","name":"x"}`, nil, 409, `"code":"conflict"`},
		{"of no dataset", "POST", "exports/", `{"dataset_name":"nobody","name":"x"}`, nil, 404, ``},
		{"without a name", "POST", "exports/", `{"dataset_name":"set"}`, nil, 422, `"loc":["body","name"]`},
		{"a long name", "POST", "exports/", `{"dataset_name":"set","name":"` + strings.Repeat("ü", 101) + `"}`, nil, 422, `at most 100 characters`},
		{"an unknown format", "POST", "exports/", `{"dataset_name":"set","name":"y","format":"tfrecord"}`, nil, 422, `"loc":["body","format"]`},
		{"a format that is not written here", "POST", "exports/", `{"dataset_name":"set","name":"y","format":"cvat"}`, nil, 422, `this sandbox does not`},
		{"an extra field", "POST", "exports/", `{"dataset_name":"set","name":"y","dataset":"set"}`, nil, 422, `extra fields`},
		{"a filter of another kind", "POST", "exports/", `{"dataset_name":"set","name":"y","class_filter":"car"}`, nil, 422, `not valid`},
		{"a viewer creates", "POST", "exports/", `{"dataset_name":"set","name":"y"}`, as("viewer"), 403, ``},
		{"a member creates", "POST", "exports/", `{"dataset_name":"set","name":"` + strings.Repeat("ü", 100) + `"}`, as("member"), 201, `"status":"pending"`},
		{"a name with a slash", "POST", "exports/", `{"dataset_name":"set","name":"a/b?"}`, nil, 201, ``},
		{"by its escaped name", "GET", "exports/a%2Fb%3F?dataset=set", "", nil, 200, `"name":"a/b?"`},
		{"a listing, the newest first", "GET", "exports/?dataset_name=set&limit=1", "", nil, 200, `"has_more":true`},
		{"the rest of it", "GET", "exports/?dataset_name=set&limit=2&offset=1", "", nil, 200, `"has_more":false,"limit":2,"offset":1`},
		{"by status", "GET", "exports/?status=failed", "", nil, 200, `"data":[]`},
		{"a page too long", "GET", "exports/?limit=101", "", nil, 422, `"loc":["body","limit"]`},
		{"of an unknown dataset", "GET", "exports/?dataset_name=nobody", "", nil, 404, ``},
		{"a member deletes", "DELETE", "exports/x?dataset=set", "", as("member"), 403, ``},
		{"a member deletes many", "POST", "exports/bulk-delete", `{"export_ids":["x"]}`, as("member"), 403, ``},
		{"delete", "DELETE", "exports/x?dataset=set", "", nil, 200, `"deleted":true`},
		{"deleted", "GET", "exports/x?dataset=set", "", nil, 404, ``},
		{"delete again", "DELETE", "exports/x?dataset=set", "", nil, 404, ``},
		{"delete many", "POST", "exports/bulk-delete", `{"export_ids":["` + first.ID + `"]}`, nil, 200, `"count":0,"not_found":["` + first.ID + `"],"succeeded":[]`},
		{"delete none", "POST", "exports/bulk-delete", `{"export_ids":[]}`, nil, 422, ``},
		{"the name is free again", "POST", "exports/", `{"dataset_name":"set","name":"x"}`, nil, 201, ``},
	} {
		if w := call(s, test.method, api+test.path, test.body, test.header...); w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %s %s: %d %s\nwant %d %s", test.what, test.method, test.path, w.Code, w.Body, test.status, test.want)
		}
	}
	call(s, "GET", api+"exports/x?dataset=set", "")
	if w := call(s, "DELETE", api+"datasets/set", ""); w.Code != 200 {
		t.Fatal(w.Body)
	}
	s.building.Wait()
	dir, _ := s.files.exports()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v outlived the dataset", left)
	}
}

// The file has what the dataset had when the export was created, an entry an
// image.
func TestExportContents(t *testing.T) {
	var mu sync.Mutex // exports are made side by side
	var labels []string
	format := func(d pictograph.Dataset, images iter.Seq2[ExportImage, error], create func(string) (io.Writer, error)) error {
		w, err := create(d.Name + ".txt")
		if err != nil {
			return err
		}
		for range 2 {
			for i, err := range images {
				if err != nil {
					return err
				}
				mu.Lock()
				labels = append(labels, fmt.Sprint(i.Path, " ", i.Width, " ", len(i.Annotations)))
				mu.Unlock()
				fmt.Fprintln(w, i.Path)
			}
		}
		return nil
	}
	s := start(t, Options{Formats: map[string]ExportFormat{"coco": format}})
	if err := s.transactClasses(context.Background(), "set", `[{"name":"car","type":"bbox"},{"name":"bus","type":"bbox"}]`); err != nil {
		t.Fatal(err)
	}
	signed := data[struct {
		URLs []signedUpload `json:"upload_urls"`
	}](t, call(s, "POST", api+"images/bulk-upload-url", bulkOf(-1, "c.png"))).URLs
	fetched(t, "PUT", signed[0].UploadURL, "12345")
	call(s, "POST", api+"images/bulk-register", bulkOf(5, "c.png"))
	two := `{"annotations":` + strings.Replace(car("1", "2"), "car", "bus", 1) + `}`
	call(s, "POST", api+"annotations/set/dir/b.jpg", two)
	call(s, "POST", api+"images/set/dir/b.jpg/split", `{"split":"val"}`)
	for _, body := range []string{`"name":"all"`, `"name":"cars","class_filter":["car"],"include_images":true,"organize_by_split":true`, `"name":"none","status_filter":"all"`,
		`"name":"coco","format":"coco"`, `"name":"splits","format":"coco","organize_by_split":true`} {
		if w := create(t, s, body); w.Code != 201 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	call(s, "POST", api+"annotations/set/dir/b.jpg", `{"annotations":[]}`) // too late for them
	for name := range 5 {
		call(s, "GET", api+"exports/"+[]string{"all", "cars", "none", "coco", "splits"}[name]+"?dataset=set", "")
	}
	names := func(files map[string]string) string {
		var out []string
		for name := range files {
			out = append(out, name)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	all := unpacked(t, s, "all")
	if got := names(all); got != "annotations/a.jpg.json annotations/dir/b.jpg.json annotations/up/c.png.json" {
		t.Errorf("all: %s", got)
	}
	var b described
	if err := json.Unmarshal([]byte(all["annotations/dir/b.jpg.json"]), &b); err != nil {
		t.Fatal(err)
	}
	if b.Image != "b.jpg" || b.ImagePath != "/dir" || b.ImageUUID != idOf(t, s, "dir/b.jpg") || b.AnnotationCount != 2 || len(b.Annotations) != 2 || b.Dataset.Name != "set" || !strings.HasSuffix(b.ImageURL, b.ImageUUID) {
		t.Errorf("b.jpg: %+v", b)
	}
	var a described
	if err := json.Unmarshal([]byte(all["annotations/a.jpg.json"]), &a); err != nil || a.AnnotationCount != 0 || a.Annotations == nil {
		t.Errorf("a.jpg: %+v (%v)", a, err)
	}
	cars := unpacked(t, s, "cars")
	if got := names(cars); got != "train/annotations/a.jpg.json train/annotations/up/c.png.json train/images/up/c.png valid/annotations/dir/b.jpg.json" || cars["train/images/up/c.png"] != "12345" {
		t.Errorf("cars: %s", got)
	}
	if json.Unmarshal([]byte(cars["valid/annotations/dir/b.jpg.json"]), &b); b.AnnotationCount != 1 || len(b.Annotations) != 1 || !strings.Contains(string(b.Annotations[0]), `"car"`) {
		t.Errorf("the cars of b.jpg: %+v", b)
	}
	if got := names(unpacked(t, s, "none")); got != "" {
		t.Errorf("of a status that no image has: %s", got)
	}
	s.building.Wait()
	if got := unpacked(t, s, "coco"); got["set.txt"] != "a.jpg\ndir/b.jpg\nup/c.png\na.jpg\ndir/b.jpg\nup/c.png\n" || !slices.Contains(labels, "dir/b.jpg 0 2") || !slices.Contains(labels, "a.jpg 10 0") {
		t.Errorf("coco: %q, %q", got, labels)
	}
	if got := unpacked(t, s, "splits"); names(got) != "test/set.txt train/set.txt valid/set.txt" || got["valid/set.txt"] != "dir/b.jpg\ndir/b.jpg\n" {
		t.Errorf("coco by splits: %q", got)
	}
	if shown := data[exportShown](t, call(s, "GET", api+"exports/all?dataset=set", "")); *shown.ImageCount != 3 || *shown.AnnotationCount != 2 || *shown.FileSize == 0 {
		t.Errorf("counts: %+v", shown)
	}
}

// How far an export is follows from the clock, also over restarts; and signed
// URLs and files end by it.
func TestExportTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sandbox.db")
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	faults, err := ParseFaults("build-delay=10s,url-lifetime=1m")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Faults: faults, Now: func() time.Time { return now }}
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	state := func() exportShown { return data[exportShown](t, call(s, "GET", api+"exports/x?dataset=set", "")) }
	create(t, s, `"name":"x"`)
	var states []string
	for range 4 {
		states = append(states, state().Status)
		now = now.Add(4 * time.Second)
	}
	if got := strings.Join(states, " "); got != "pending pending processing completed" {
		t.Errorf("states: %s", got)
	}
	// One that was being built when the process ended.
	create(t, s, `"name":"y"`)
	s.building.Wait()
	if _, err := s.db.Exec(`UPDATE exports SET status = 'building' WHERE name = 'y'`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s, err = Open(path, o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if w := call(s, "GET", api+"exports/y/download?dataset=set", ""); w.Code != 409 || !strings.Contains(w.Body.String(), "pending") {
		t.Errorf("download of one that is not built: %d %s", w.Code, w.Body)
	}
	now = now.Add(10 * time.Second)
	if w := call(s, "GET", api+"exports/y?dataset=set", ""); !strings.Contains(w.Body.String(), `"status":"completed"`) {
		t.Errorf("after the restart: %s", w.Body)
	}
	signed := *state().DownloadURL
	if status, _ := fetched(t, "GET", signed, "", "X-API-Key", "owner-key"); status != 400 || s.Stats().KeysLeaked != 1 {
		t.Errorf("a download with a key: %d", status)
	}
	if status, text := fetched(t, "GET", signed, "", "Range", "bytes=0-1"); status != 206 || text != "PK" {
		t.Errorf("a range: %d %q", status, text)
	}
	if status, text := fetched(t, "GET", strings.Replace(signed, "expires=1", "expires=2", 1), ""); status != 403 || !strings.Contains(text, "SignatureDoesNotMatch") {
		t.Errorf("an altered URL: %d %s", status, text)
	}
	now = now.Add(time.Minute)
	if status, text := fetched(t, "GET", signed, ""); status != 403 || !strings.Contains(text, "ExpiredToken") {
		t.Errorf("a minute later: %d %s", status, text)
	}
	now = now.Add(exportLifetime)
	if w := call(s, "GET", api+"exports/x/download?dataset=set", ""); w.Code != 404 || !strings.Contains(w.Body.String(), "expired") {
		t.Errorf("a week later: %d %s", w.Code, w.Body)
	}
}

func TestExportCreationFaults(t *testing.T) {
	for name, want := range map[string]int{"export-402": 402, "export-403": 403, "export-404": 404} {
		faults, err := ParseFaults(name + "=1")
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, Options{Faults: faults})
		if w := create(t, s, `"name":"x"`); w.Code != want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := call(s, "GET", api+"exports/", ""); (w.Code == 404) != (want == 404) {
			t.Errorf("%s: the listing: %d", name, w.Code)
		}
	}
}

// What is wrong with each spoilt export, and that all else is right.
func TestExportFaults(t *testing.T) {
	const images = 40
	read := func(t *testing.T, s *Server, text string) (entries []*zip.File, counts, found map[string]int) {
		z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		counts, found = map[string]int{}, map[string]int{}
		for _, f := range z.File {
			if f.UncompressedSize64 == bombSize || f.Mode()&os.ModeType != 0 {
				continue
			}
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			var d described
			if json.NewDecoder(r).Decode(&d) == nil && d.ImageUUID != "" {
				counts[d.ImageUUID], found[d.ImageUUID] = d.AnnotationCount, len(d.Annotations)
			}
			r.Close()
		}
		return z.File, counts, found
	}
	for name, check := range map[string]func(t *testing.T, s *Server, status, file string, size int64){
		"export-failed=1": func(t *testing.T, s *Server, status, _ string, _ int64) {
			if status != "failed" {
				t.Errorf("status %s", status)
			}
			if w := call(s, "GET", api+"exports/x?dataset=set", ""); !strings.Contains(w.Body.String(), `"error_message":"the export could not be built`) {
				t.Error(w.Body)
			}
		},
		"export-missing=0.3": func(t *testing.T, s *Server, _, file string, _ int64) {
			if _, _, found := read(t, s, file); len(found) < images/2 || len(found) > images*9/10 {
				t.Errorf("%d of %d images", len(found), images)
			}
		},
		"export-stale=0.3": func(t *testing.T, s *Server, _, file string, _ int64) {
			_, _, found := read(t, s, file)
			older := 0
			for _, n := range found {
				if n == 1 {
					older++
				}
			}
			if len(found) != images || older < images/10 || older > images/2 {
				t.Errorf("%d of %d images are older", older, len(found))
			}
		},
		"export-count=0.3": func(t *testing.T, s *Server, _, file string, _ int64) {
			_, counts, found := read(t, s, file)
			differ := 0
			for id := range found {
				if counts[id] != found[id] {
					differ++
				}
			}
			if len(found) != images || differ < images/10 || differ > images/2 {
				t.Errorf("%d of %d images differ", differ, len(found))
			}
		},
		"export-truncated=1": func(t *testing.T, s *Server, _, file string, size int64) {
			if int64(len(file)) != size/2 {
				t.Errorf("%d bytes of %d", len(file), size)
			}
		},
		"export-corrupt=1": func(t *testing.T, s *Server, _, file string, size int64) {
			bad := 0
			z, err := zip.NewReader(strings.NewReader(file), int64(len(file)))
			if err != nil {
				return // or so
			}
			for _, f := range z.File {
				r, err := f.Open()
				if err == nil {
					_, err = io.Copy(io.Discard, r)
					r.Close()
				}
				if err != nil {
					bad++
				}
			}
			if bad == 0 || bad > 3 {
				t.Errorf("%d entries are corrupt", bad)
			}
		},
		"export-bomb=1": func(t *testing.T, s *Server, _, file string, size int64) {
			if size > 4<<20 {
				t.Errorf("the file has %d bytes", size)
			}
			entries, _, found := read(t, s, file)
			bomb := entries[len(entries)-1]
			if len(found) != images || bomb.UncompressedSize64 != bombSize {
				t.Fatalf("%d images, and %d bytes at the end", len(found), bomb.UncompressedSize64)
			}
			r, err := bomb.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if n, err := io.Copy(io.Discard, r); n != bombSize || err != nil {
				t.Errorf("%d bytes of it, %v", n, err)
			}
		},
		"export-names=1": func(t *testing.T, s *Server, _, file string, _ int64) {
			entries, _, found := read(t, s, file)
			if len(found) != images {
				t.Errorf("%d of %d images", len(found), images)
			}
			var names []string
			for _, f := range entries {
				names = append(names, f.Name)
			}
			for _, want := range []string{"../", "/tmp/", `C:\`, "\x00", "\xff", "link.json", "same.json"} {
				if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, want) }) {
					t.Errorf("no name has %q", want)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := ParseFaults("seed=5," + name)
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, Options{Faults: faults})
			if _, err := s.db.Exec(`DELETE FROM images`); err != nil {
				t.Fatal(err)
			}
			var added []NewImage
			for i := range images {
				added = append(added, NewImage{Path: fmt.Sprintf("%d.jpg", i)})
			}
			if _, err := s.AddImages(t.Context(), "set", added); err != nil {
				t.Fatal(err)
			}
			for _, i := range added {
				call(s, "POST", api+"annotations/set/"+i.Path, `{"annotations":`+car("1")+`}`)
				call(s, "POST", api+"annotations/set/"+i.Path, `{"annotations":`+car("1", "2")+`}`)
			}
			create(t, s, `"name":"x"`)
			shown := data[exportShown](t, call(s, "GET", api+"exports/x?dataset=set", ""))
			if shown.Status != "completed" {
				check(t, s, shown.Status, "", 0)
				return
			}
			status, text := fetched(t, "GET", *shown.DownloadURL, "")
			if status != 200 {
				t.Fatalf("download: %d %s", status, text)
			}
			check(t, s, shown.Status, text, *shown.FileSize)
		})
	}
}

func TestDownloadFaults(t *testing.T) {
	for name, want := range map[string]int{"download-expired": 403, "download-failed": 503, "download-cut": 0} {
		faults, err := ParseFaults(name + "=1")
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, Options{Faults: faults})
		create(t, s, `"name":"x"`)
		shown := data[exportShown](t, call(s, "GET", api+"exports/x?dataset=set", ""))
		if status, text := fetched(t, "GET", *shown.DownloadURL, ""); status != want || s.Stats().Faults[name] != 1 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

// The storage can be served without a network.
func TestStorageWithoutNetwork(t *testing.T) {
	s := start(t, Options{StorageURL: "http://storage.test"})
	create(t, s, `"name":"x"`)
	shown := data[exportShown](t, call(s, "GET", api+"exports/x?dataset=set", ""))
	if !strings.HasPrefix(*shown.DownloadURL, "http://storage.test/") || s.storage.server != nil {
		t.Fatal(*shown.DownloadURL)
	}
	w := httptest.NewRecorder()
	s.StorageHandler().ServeHTTP(w, httptest.NewRequest("GET", *shown.DownloadURL, nil))
	if int64(w.Body.Len()) != *shown.FileSize {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// An export that a sandbox in memory has, and one that nobody waits for.
func TestExportsAndClosing(t *testing.T) {
	s, err := Open(":memory:", Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	create(t, s, `"name":"x"`)
	if files := unpacked(t, s, "x"); len(files) != 2 {
		t.Errorf("%v", files)
	}
	create(t, s, `"name":"y"`)
	root, _ := s.files.root()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder stays: %v", err)
	}
}

// Memory does not grow with what is exported: 1,000,000 annotations, or fewer
// where tests are to be short.
func TestExportMemory(t *testing.T) {
	images := 10_000
	if testing.Short() {
		images = 500
	}
	s := start(t, Options{})
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	annotations := []byte(car(ids...))
	var added []NewImage
	for i := range images {
		added = append(added, NewImage{Path: fmt.Sprintf("%d.jpg", i)})
	}
	if _, err := s.AddImages(t.Context(), "set", added); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(`UPDATE images SET annotation_count = 100, annotations = ?`, annotations); err != nil {
		t.Fatal(err)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most := uint64(0)
	create(t, s, `"name":"x"`)
	built := make(chan struct{})
	go func() {
		defer close(built)
		s.building.Wait()
	}()
	for over := false; !over; {
		select {
		case <-built:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapInuse)
	}
	shown := data[exportShown](t, call(s, "GET", api+"exports/x?dataset=set", ""))
	if shown.Status != "completed" || *shown.AnnotationCount != int64(images+2)*100 {
		t.Fatalf("%+v", shown)
	}
	if more := int64(most) - int64(before.HeapInuse); more > 32<<20 {
		t.Errorf("%d MB more were in use", more>>20)
	} else {
		t.Logf("%d annotations, %d MB as a ZIP, at most %d MB more in use", *shown.AnnotationCount, *shown.FileSize>>20, more>>20)
	}
}
