package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/pictograph"
	"pictosync/sandbox"
	"pictosync/store"
	"pictosync/upload"
)

// pictures writes image files of 100×100 pixels below a folder, each with bytes of its own.
func pictures(t *testing.T, names ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for n, name := range names {
		writePicture(t, filepath.Join(folder, filepath.FromSlash(name)), n)
	}
	return folder
}

func writePicture(t *testing.T, file string, n int) {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 100, 100))
	for i := range 8 {
		picture.SetGray(i, n%100, color.Gray{Y: uint8(n >> (4 * i) & 0xf * 17)})
	}
	var out bytes.Buffer
	var err error
	if strings.HasSuffix(file, ".png") {
		err = png.Encode(&out, picture)
	} else {
		err = jpeg.Encode(&out, picture, nil)
		fmt.Fprintf(&out, "picture %d", n)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(file, out.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// from opens canonical labels whose images lie in a folder.
func (b *bench) from(path, images string) Opener {
	b.t.Helper()
	src, err := formats.Open(context.Background(), path, convert.OpenOptions{Images: images})
	if err != nil {
		b.t.Fatal(err)
	}
	return Opened(src)
}

func uploading(o *Options) { o.Upload = UploadMissing }

// bring syncs with uploads and wants no error.
func (b *bench) bring(labels, images string, change ...func(*Options)) Summary {
	b.t.Helper()
	s, err := b.syncFrom(nil, b.from(labels, images), labels, append([]func(*Options){uploading}, change...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// honestly serves the data of the service without its faults.
func (b *bench) honestly(ask func(*sandbox.Server)) {
	b.t.Helper()
	server, err := sandbox.Open(filepath.Join(b.dir, "sandbox.db"), sandbox.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer server.Close()
	ask(server)
}

// stored are the images of the dataset, as "path sha-256 annotations", in the order of their paths.
func (b *bench) stored(dataset string) (out []string) {
	b.t.Helper()
	b.honestly(func(server *sandbox.Server) {
		get := func(path string) []byte {
			request := httptest.NewRequest("GET", "/api/v1/developer/images/"+path, nil)
			request.Header.Set("X-API-Key", "key")
			answer := httptest.NewRecorder()
			server.ServeHTTP(answer, request)
			return answer.Body.Bytes()
		}
		var page struct{ Data []pictograph.Image }
		if err := json.Unmarshal(get("?limit=1000&dataset="+dataset), &page); err != nil {
			b.t.Fatal(err)
		}
		for _, i := range page.Data {
			path := (&url.URL{Path: i.Path()}).EscapedPath()
			out = append(out, fmt.Sprintf("%s %x %d", i.Path(), sha256.Sum256(get(dataset+"/"+path)), i.AnnotationCount))
		}
	})
	slices.Sort(out)
	return out
}

// wanted is how stored says that a file is an image of the dataset.
func wanted(t *testing.T, path, file string, annotations int) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %x %d", path, sha256.Sum256(data), annotations)
}

func TestUploadMissing(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("there.jpg")
	folder := pictures(t, "there.jpg", "a.jpg", "sub/b.png", "empty.jpg", "unlabelled.jpg")
	labels := b.labels("there.jpg car", "a.jpg car car", "sub/b.png truck", "empty.jpg", "nowhere.jpg car")
	plan, err := Plan(t.Context(), nil, b.connection(), b.from(labels, folder), b.options(labels, []func(*Options){uploading}))
	if err != nil || plan.Uploads == nil || plan.Uploads.Planned != 3 {
		t.Errorf("plan: %+v, %v", plan.Uploads, err)
	}
	if n := len(b.stored("set")); n != 1 {
		t.Errorf("a plan left %d images", n)
	}
	s := b.bring(labels, folder)
	if s.Uploads == nil || s.Uploads.Done != 3 || s.Images.Saved != 3 || s.Images.Unchanged != 1 || s.Images.Unmatched != 1 || s.Images.Failed != 0 {
		t.Errorf("%+v %+v", s, s.Uploads)
	}
	expect(t, "images", b.stored("set")[:3], wanted(t, "a.jpg", filepath.Join(folder, "a.jpg"), 2), wanted(t, "empty.jpg", filepath.Join(folder, "empty.jpg"), 0), wanted(t, "sub/b.png", filepath.Join(folder, "sub/b.png"), 1))
	for u, err := range b.store.Uploads(t.Context(), s.Run, store.UploadDone) {
		data, readErr := os.ReadFile(u.File)
		if err = errors.Join(err, readErr); err != nil || sha256.Sum256(data) != u.SHA256 {
			t.Errorf("%s is on record as %x: %v", u.File, u.SHA256, err)
		}
	}
	again := b.bring(labels, folder)
	if again.Uploads != nil || again.Images.Unchanged != 4 || again.Requests != 2 {
		t.Errorf("again: %+v %+v", again, again.Uploads)
	}
}

// Every image is brought once, with its bytes, under every fault of the storage and of
// registrations.
func TestUploadFaults(t *testing.T) {
	faults, err := sandbox.ParseFaults("seed=3,put-expired=0.1,put-failed=0.1,put-lost=0.1,register-taken=0.1,register-failed=0.1,5xx=0.05,lost-answer=0.05,reset-after=0.05,truncate=0.05")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, sandbox.Options{Faults: faults})
	var names, lines, want []string
	for n := range 120 {
		names = append(names, fmt.Sprintf("d%d/%03d.jpg", n%3, n))
		lines = append(lines, names[n]+" car")
	}
	folder := pictures(t, names...)
	for _, name := range names {
		want = append(want, wanted(t, name, filepath.Join(folder, name), 1))
	}
	slices.Sort(want)
	s := b.bring(b.labels(lines...), folder)
	if s.Uploads.Done+s.Uploads.There != 120 || s.Images.Saved != 120 {
		t.Errorf("%+v %+v: %q", s, s.Uploads, b.records(s.Run))
	}
	expect(t, "images", b.stored("set"), want...)
}

// The bytes of a URL that has expired go to another.
func TestUploadExpires(t *testing.T) {
	now := time.Now()
	b := newBench(t, sandbox.Options{Now: func() time.Time { now = now.Add(time.Minute); return now }, Faults: sandbox.Faults{URLLifetime: 3 * time.Minute}})
	folder := pictures(t, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
	s := b.bring(b.labels("a.jpg car", "b.jpg car", "c.jpg car", "d.jpg car", "e.jpg car"), folder, func(o *Options) { o.Streams = 1 })
	if s.Uploads.Done != 5 || s.Images.Saved != 5 {
		t.Errorf("%+v %+v: %q", s, s.Uploads, b.records(s.Run))
	}
}

// What the service makes of a name is taken over, in this run and the next.
func TestUploadRenamed(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a?.jpg", "plain.jpg", "photo.png")
	if err := os.WriteFile(filepath.Join(folder, "shot.heic"), heic(100, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	labels := b.labels("a?.jpg car", "plain.jpg car", "shot.heic car")
	s := b.bring(labels, folder)
	if s.Uploads.Done != 3 || s.Uploads.Renamed != 2 || s.Images.Saved != 3 {
		t.Errorf("%+v %+v: %q", s, s.Uploads, b.records(s.Run))
	}
	if again := b.bring(labels, folder); again.Images.Unchanged != 3 || again.Uploads != nil {
		t.Errorf("again: %+v: %q", again, b.records(again.Run))
	}
}

// heic is a HEIC file without a picture: what tells its type and size.
func heic(width, height uint32) []byte {
	box := func(kind string, body ...byte) []byte {
		n := len(body) + 8
		return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), kind[0], kind[1], kind[2], kind[3]}, body...)
	}
	be := func(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
	ispe := box("ispe", slices.Concat(be(0), be(width), be(height))...)
	properties := box("iprp", slices.Concat(box("ipco", ispe...), box("ipma", slices.Concat(be(0), be(1), []byte{0, 7, 1, 1})...))...)
	meta := box("meta", slices.Concat(be(0), box("pitm", 0, 0, 0, 0, 0, 7), properties)...)
	return slices.Concat(box("ftyp", []byte("heic\x00\x00\x00\x00mif1heic")...), meta, box("mdat", 1, 2, 3))
}

func TestExamine(t *testing.T) {
	folder := pictures(t, "a.jpg", "b.png")
	for name, content := range map[string][]byte{"c.heic": heic(640, 480), "text.jpg": []byte("no image"), "none.jpg": nil, "cut.jpg": {0xff, 0xd8, 0xff}} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ file, as, want string }{
		{"a.jpg", "a.jpg", "image/jpeg 100×100"},
		{"b.png", "b.jpg", "image/png 100×100"}, // by its header, not by its name
		{"c.heic", "c.heic", "image/heic 640×480"},
		{"a.jpg", "a.avif", `ends with ".avif"`},
		{"text.jpg", "text.jpg", "no image format"},
		{"none.jpg", "none.jpg", "is empty"},
		{"cut.jpg", "cut.jpg", "EOF"},
		{"nowhere.jpg", "nowhere.jpg", "no such file"},
		{".", "x.jpg", "is no regular file"},
	} {
		e, err := upload.Examine(t.Context(), upload.Disk{}, filepath.Join(folder, c.file), c.as)
		got := fmt.Sprintf("%s %d×%d", e.ContentType, e.Pixels.Width, e.Pixels.Height)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s as %s: %s, want %s", c.file, c.as, got, c.want)
		}
	}
}

// A file that changed since the plan, or is gone, fails its image alone.
func TestUploadChangedFiles(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a.jpg", "changed.jpg", "gone.jpg", "text.jpg")
	if err := os.WriteFile(filepath.Join(folder, "text.jpg"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk-upload-url") {
			if err := errors.Join(os.WriteFile(filepath.Join(folder, "changed.jpg"), []byte("other"), 0o600), os.Remove(filepath.Join(folder, "gone.jpg"))); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	s := b.bring(b.labels("a.jpg car", "changed.jpg car", "gone.jpg car", "text.jpg car"), folder)
	records := strings.Join(b.records(s.Run), "\n")
	for _, want := range []string{"a.jpg new saved", "the file changed since the plan was made", "no such file or directory", "cannot be uploaded"} {
		if !strings.Contains(records, want) {
			t.Errorf("%q is not in\n%s", want, records)
		}
	}
	if s.Images.Saved != 1 || s.Images.Failed != 3 || s.Uploads.Failed != 2 {
		t.Errorf("%+v %+v", s, s.Uploads)
	}
}

// A name that was taken meanwhile fails its image, or is matched where it is that image.
func TestUploadTaken(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a.jpg", "other.jpg", "same.jpg")
	labels := b.labels("a.jpg car", "other.jpg car", "same.jpg car")
	data, err := os.ReadFile(filepath.Join(folder, "same.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk-upload-url") {
			b.before = nil
			b.put("other.jpg", []byte("other"), 5, 5)
			b.put("same.jpg", data, 100, 100)
		}
		return false
	}
	s := b.bring(labels, folder)
	if records := strings.Join(b.records(s.Run), "\n"); s.Images.Saved != 2 || s.Uploads.There != 1 || s.Uploads.Done != 1 || !strings.Contains(records, "the dataset has another image other.jpg") {
		t.Errorf("%+v %+v\n%s", s, s.Uploads, records)
	}
}

// put uploads an image as somebody else would.
func (b *bench) put(path string, content []byte, width, height int) {
	b.t.Helper()
	ask := func(call, body string) []byte {
		request := httptest.NewRequest("POST", "/api/v1/developer/images/"+call, strings.NewReader(body))
		request.Header.Set("X-API-Key", "other")
		answer := httptest.NewRecorder()
		b.server.ServeHTTP(answer, request)
		if answer.Code >= 300 {
			b.t.Errorf("%s: %s", call, answer.Body)
		}
		return answer.Body.Bytes()
	}
	name := fmt.Sprintf(`"dataset":"set","filename":%q,"directory_path":"/","content_type":"image/jpeg"`, path)
	var signed struct {
		Data struct {
			URL string `json:"upload_url"`
		}
	}
	if err := json.Unmarshal(ask("upload-url", "{"+name+"}"), &signed); err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequest("PUT", signed.Data.URL, bytes.NewReader(content))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "image/jpeg")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	ask("register", fmt.Sprintf(`{%s,"file_size":%d,"width":%d,"height":%d}`, name, len(content), width, height))
}

// An image whose name is the ending of another's is an image of its own where its file is at
// hand; one that may be an image of the dataset that nobody names is not uploaded.
func TestUploadNearNames(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "IMG.jpg")
	folder := pictures(t, "a.jpg", "b/a.jpg", "img.jpg", "a.png")
	s := b.bring(b.labels("b/a.jpg car", "a.jpg truck", "img.jpg car", "a.png car"), folder)
	var paths []string
	for _, i := range b.stored("set") {
		paths = append(paths, strings.Fields(i)[0])
	}
	expect(t, "images", paths, "IMG.jpg", "a.jpg", "a.png", "b/a.jpg")
	if records := strings.Join(b.records(s.Run), "\n"); s.Images.Saved != 3 || !strings.Contains(records, "img.jpg unmatched unmatched it was not uploaded, since the dataset has IMG.jpg") {
		t.Errorf("%+v\n%s", s, records)
	}
}

// Two files for one path are not guessed between, and an image's labels that lose
// something leave the dataset as it is.
func TestUploadRefusals(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a.jpg", "b.jpg")
	path := filepath.Join(b.dir, "labels.jsonl")
	lines := `{"image":"a.jpg","width":100,"height":100,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":0,"h":3}}]}
{"image":"b.jpg","width":100,"height":100,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":2,"h":3}}]}
`
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s := b.bring(path, folder)
	if s.Images.Failed != 1 || s.Images.Saved != 1 || len(b.stored("set")) != 1 {
		t.Errorf("%+v: %q", s, b.records(s.Run))
	}
}

// One file that is found for two labels, by its name alone, is neither's.
func TestUploadOneFileForTwo(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a.jpg", "b.jpg")
	s := b.bring(b.labels("x/a.jpg car", "y/a.jpg car", "z/b.jpg car"), folder)
	if s.Images.Failed != 2 || s.Images.Saved != 1 || len(b.stored("set")) != 1 {
		t.Errorf("%+v: %q", s, b.records(s.Run))
	}
}

// The images of a source may be in a folder of the dataset: images elsewhere are others.
func TestUploadInto(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	folder := pictures(t, "a.jpg")
	into := func(o *Options) { o.Into = "day/2" }
	labels := b.labels("a.jpg car")
	if s := b.bring(labels, folder, into); s.Uploads.Done != 1 || s.Images.Saved != 1 {
		t.Errorf("%+v: %q", s, b.records(s.Run))
	}
	if s := b.bring(labels, folder, into); s.Images.Unchanged != 1 {
		t.Errorf("again: %+v: %q", s, b.records(s.Run))
	}
	expect(t, "images", b.stored("set")[1:], wanted(t, "day/2/a.jpg", filepath.Join(folder, "a.jpg"), 1))
}

// A dataset is made with the classes of the labels once the plan is known to be sound.
func TestCreateDataset(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a.jpg")
	labels := b.labels("a.jpg car truck")
	create := func(name string, force bool) func(*Options) {
		return func(o *Options) { o.Dataset, o.Create, o.ForceCreate, o.Upload = name, true, force, UploadMissing }
	}
	for _, near := range []string{"SET", "s et", "sett"} {
		if _, err := b.syncFrom(nil, b.from(labels, folder), labels, create(near, false)); err == nil || !strings.Contains(err.Error(), `"set"`) {
			t.Errorf("%s: %v", near, err)
		}
	}
	if _, err := b.syncFrom(nil, b.from(labels, t.TempDir()), labels, create("empty", false)); !errors.Is(err, ErrGuard) {
		t.Errorf("without files: %v", err)
	}
	if plan, err := Plan(t.Context(), nil, b.connection(), b.from(labels, folder), b.options(labels, []func(*Options){create("cars", false)})); err != nil || plan.Uploads.Planned != 1 {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	s, err := b.syncFrom(nil, b.from(labels, folder), labels, create("cars", false))
	if err != nil || s.Images.Saved != 1 || s.Requests != 5 {
		t.Errorf("%+v, %v", s, err)
	}
	client, _ := b.client()
	defer client.CloseIdleConnections()
	d, err := client.Dataset(t.Context(), "cars")
	if err != nil || len(d.Classes) != 2 || d.ImageCount != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if again, err := b.syncFrom(nil, b.from(labels, folder), labels, create("cars", false)); err != nil || again.Images.Unchanged != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if s, err := b.syncFrom(nil, b.from(labels, folder), labels, create("sett", true)); err != nil || s.Images.Saved != 1 {
		t.Errorf("forced: %+v, %v", s, err)
	}
}

// yoloFolder is a data set of two splits with an image without a label, and one that is none.
func yoloFolder(t *testing.T) string {
	t.Helper()
	folder := pictures(t, "images/train/a.jpg", "images/train/bare.jpg", "images/val/b.jpg", "images/test/bare.jpg")
	for name, content := range map[string]string{"data.yaml": "train: images/train\nval: images/val\nnames: [car]\n", "labels/train/a.txt": "0 0.5 0.5 0.1 0.1\n", "labels/val/b.txt": "0 0.5 0.5 0.1 0.1\n", "images/val/broken.jpg": "no image"} {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// Images without labels come too where all are wanted, and each gets the split that the
// source has it in, unless it is in one.
func TestUploadAllWithSplits(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := yoloFolder(t)
	s, err := b.sync(folder, func(o *Options) { o.Upload, o.SetSplits = UploadAll, true })
	if err != nil || s.Images.Saved != 2 || s.Uploads.Done != 3 || s.Uploads.Failed != 1 || s.Outcome != "failures" {
		t.Fatalf("%+v %+v, %v: %q", s, s.Uploads, err, b.records(s.Run))
	}
	client, _ := b.client()
	defer client.CloseIdleConnections()
	var got []string
	for page, err := range client.ImagePages(t.Context(), "set", pictograph.ImageFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			got = append(got, fmt.Sprintf("%s %s %d", i.Path(), i.Split, i.AnnotationCount))
		}
	}
	slices.Sort(got)
	expect(t, "images", got, "train/a.jpg train 1", "train/bare.jpg train 0", "val/b.jpg val 1")
	again, err := b.sync(folder, func(o *Options) { o.Upload, o.SetSplits = UploadAll, true })
	if err != nil || again.Images.Unchanged != 2 || again.Uploads.Done != 0 || again.Requests != 3 {
		t.Errorf("again: %+v %+v, %v", again, again.Uploads, err)
	}
}

// An undo takes the labels of uploaded images away and leaves the images; on request it
// archives those that nobody labelled since.
func TestUndoUploaded(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	folder := pictures(t, "a.jpg", "b.jpg", "empty.jpg", "theirs.jpg", "labelled.jpg")
	s := b.bring(b.labels("a.jpg car", "b.jpg car", "empty.jpg", "theirs.jpg car", "labelled.jpg"), folder)
	b.other("theirs.jpg", 3)
	b.other("labelled.jpg", 1)
	run, err := b.store.FindRun(t.Context(), s.Run)
	if err != nil {
		t.Fatal(err)
	}
	undo := func(do func(context.Context, <-chan struct{}, Connection, store.Run, UndoOptions) (Summary, error), uploaded bool) Summary {
		t.Helper()
		c := b.connection()
		defer c.Client.CloseIdleConnections()
		s, err := do(t.Context(), nil, c, run, UndoOptions{Options: b.options("", nil).Common.Options, Uploaded: uploaded, Backup: BackupAuto})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if plan := undo(PlanUndo, true); plan.Archived != 3 {
		t.Errorf("plan: %+v", plan)
	}
	if s := undo(Undo, false); s.Images.Cleared != 2 || s.UploadsLeft != 5 || s.Archived != 0 {
		t.Errorf("without: %+v", s)
	}
	if s := undo(Undo, true); s.Archived != 3 || s.UploadsLeft != 2 {
		t.Errorf("with: %+v", s)
	}
	var left []string
	for _, i := range b.stored("set") {
		left = append(left, strings.Fields(i)[0])
	}
	expect(t, "images", left, "labelled.jpg", "theirs.jpg")
}

// The undo of an undo that archived brings the images back, and their labels; until then they
// are not uploaded again, and that is said of each.
func TestUndoOfArchiving(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	var names, labels []string
	for n := range 30 { // more than are asked for one by one
		names = append(names, fmt.Sprintf("%02d.jpg", n))
		labels = append(labels, fmt.Sprintf("%02d.jpg car", n))
	}
	folder, source := pictures(t, append(names, "bare.jpg")...), b.labels(append(labels, "bare.jpg")...)
	s := b.bring(source, folder)
	was := b.stored("set")
	undo := func(do func(context.Context, <-chan struct{}, Connection, store.Run, UndoOptions) (Summary, error), id string) Summary {
		t.Helper()
		run, err := b.store.FindRun(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		c := b.connection()
		defer c.Client.CloseIdleConnections()
		s, err := do(t.Context(), nil, c, run, UndoOptions{Options: b.options("", nil).Common.Options, Uploaded: true, Backup: BackupAuto})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	archived := undo(Undo, s.Run)
	if archived.Archived != 31 || len(b.stored("set")) != 0 {
		t.Fatalf("%+v", archived)
	}
	put := b.server.Stats().Storage
	again, err := b.sync(source, func(o *Options) { o.Upload, o.Files = UploadMissing, nil })
	if err != nil || again.Images.Unmatched != 31 || b.server.Stats().Storage != put {
		t.Errorf("%+v, %v", again, err)
	}
	for _, r := range b.records(again.Run) {
		if !strings.Contains(r, "is archived in the dataset") {
			t.Error(r)
		}
	}
	if plan := undo(PlanUndo, archived.Run); plan.Restored != 31 || plan.Images.Failed > 0 || len(b.stored("set")) != 0 {
		t.Errorf("plan: %+v", plan)
	}
	back := undo(Undo, archived.Run)
	if back.Restored != 31 || back.Images.Saved != 30 || back.Images.Failed > 0 {
		t.Errorf("%+v", back)
	}
	expect(t, "images", b.stored("set"), was...)
	if once := undo(Undo, back.Run); once.Archived != 31 || len(b.stored("set")) != 0 {
		t.Errorf("once more: %+v", once)
	}
}

// other saves annotations on an image as somebody else would.
func (b *bench) other(path string, annotations int) {
	b.t.Helper()
	var list []string
	for n := range annotations {
		list = append(list, fmt.Sprintf(`{"id":"other%d","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":2,"h":3}}`, n))
	}
	request := httptest.NewRequest("POST", "/api/v1/developer/annotations/set/"+path, strings.NewReader(`{"annotations":[`+strings.Join(list, ",")+`]}`))
	request.Header.Set("X-API-Key", "other")
	answer := httptest.NewRecorder()
	b.server.ServeHTTP(answer, request)
	if answer.Code != 200 {
		b.t.Fatal(answer.Body)
	}
}
