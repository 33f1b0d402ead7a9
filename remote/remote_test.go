package remote

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	downloadPause = time.Millisecond
	goleak.VerifyTestMain(m)
}

// picture is a JPEG with so many bytes behind it.
func picture(t *testing.T, more int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, 40, 30)), nil); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), bytes.Repeat([]byte{7}, more)...)
}

// shelf is a tree in memory.
type shelf struct {
	mu     sync.Mutex
	files  map[string][]byte
	read   map[string]int64 // bytes
	failAt int              // the reading that fails; 0 is none
	opened int
}

func (s *shelf) list(context.Context) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		s.mu.Lock()
		var all []object
		for name, content := range s.files {
			all = append(all, object{name, int64(len(content)), fmt.Sprintf("%x", sha256.Sum256(content))})
		}
		s.mu.Unlock()
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (s *shelf) open(_ context.Context, o object, limit int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened++; s.opened == s.failAt {
		return nil, errors.New("the line is cut")
	}
	content := s.files[o.Path]
	if limit > 0 && limit < int64(len(content)) {
		content = content[:limit]
	}
	s.read[o.Path] += int64(len(content))
	return io.NopCloser(bytes.NewReader(content)), nil
}

func (s *shelf) close() error { return nil }

// bring opens a copy of a shelf as a process of its own would.
func bring(t *testing.T, cache string, s *shelf) (*Copy, error) {
	t.Helper()
	c := &Copy{Address: "s3://bucket/set", known: make(map[string]entry), dir: filepath.Join(cache, "x"), root: filepath.Join(cache, "x", "tree")}
	if err := c.hold(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	err := c.update(t.Context(), s)
	if err != nil {
		c.Close()
	}
	return c, err
}

// Labels come whole and images as far as it takes; what is as it was is not fetched again,
// also after a walk that failed, and what is gone goes.
func TestCopy(t *testing.T) {
	cache := t.TempDir()
	s := &shelf{read: make(map[string]int64), files: map[string][]byte{"labels/a.txt": []byte("0 1 1 1 1"), "images/a.jpg": picture(t, 1<<20), "images/b.jpg": picture(t, 5),
		"notes.pdf": []byte("not read"), "__MACOSX/._a.txt": []byte("x"), "images/broken.jpg": bytes.Repeat([]byte("no image"), 50_000)}}
	s.failAt = 2
	if _, err := bring(t, cache, s); err == nil || !strings.Contains(err.Error(), "the line is cut") {
		t.Fatal(err)
	}
	c, err := bring(t, cache, s)
	if err != nil {
		t.Fatal(err)
	}
	if s.read["notes.pdf"]+s.read["__MACOSX/._a.txt"] > 0 || s.read["images/a.jpg"] != heads[0] || s.read["labels/a.txt"] != 9 {
		t.Errorf("read %v", s.read)
	}
	var here []string
	filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			here = append(here, strings.TrimPrefix(path, c.root+"/"))
		}
		return err
	})
	if slices.Sort(here); strings.Join(here, " ") != "images/a.jpg images/b.jpg images/broken.jpg labels/a.txt" {
		t.Errorf("here are %q", here)
	}
	if got := c.Names("read " + c.file("labels/a.txt") + ": odd"); got != "read s3://bucket/set/labels/a.txt: odd" {
		t.Error(got)
	}
	from, stat, err := c.Open(t.Context(), c.file("images/a.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(from)
	if err != nil || !bytes.Equal(data, s.files["images/a.jpg"]) || stat.Size != int64(len(data)) {
		t.Errorf("%d bytes, %+v, %v", len(data), stat, err)
	}
	if _, head, err := c.Header(t.Context(), c.file("images/a.jpg")); err != nil || head != stat {
		t.Errorf("its header says %+v, %v", head, err)
	}
	c.Close()
	clear(s.read)
	s.files["labels/a.txt"] = []byte("0 2 2 2 2") // of the same size
	delete(s.files, "images/b.jpg")
	if c, err = bring(t, cache, s); err != nil {
		t.Fatal(err)
	}
	if len(s.read) != 1 || s.read["labels/a.txt"] != 9 || c.Kept != 2 || c.Fetched != 1 {
		t.Errorf("read again: %v, %d kept", s.read, c.Kept)
	}
	if _, err := os.Stat(c.file("images/b.jpg")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what is gone there is here still")
	}
}

// The pictures of a panoptic file are labels: they come whole, and only they do.
func TestPanopticMasks(t *testing.T) {
	large := append(mask(t), make([]byte, 100_000)...)
	for name, files := range map[string]map[string][]byte{
		"a folder": {"a/panoptic_val.json": []byte(`{"annotations":[{"segments_info":[]}]}`), "a/panoptic_val/x/1.png": large, "a/val/1.png": large},
		"beside":   {"a/some.json": []byte(strings.Repeat(" ", 200_000) + `,"categories":[{"isthing":1}]}`), "a/1.png": large, "val/1.png": large},
	} {
		cache := t.TempDir()
		s := &shelf{read: make(map[string]int64), files: files}
		for range 2 {
			c, err := bring(t, cache, s)
			if err != nil {
				t.Fatal(err)
			}
			for path := range files {
				held, err := os.ReadFile(c.file(path))
				isMask := strings.HasPrefix(path, "a/panoptic_val/") || path == "a/1.png"
				if err != nil || strings.HasSuffix(path, ".png") && (len(held) == len(large)) != isMask {
					t.Errorf("%s: %d bytes of %s are here, %v", name, len(held), path, err)
				}
			}
			c.Close()
		}
		if got := s.read["val/1.png"] + s.read["a/val/1.png"]; got != heads[0] {
			t.Errorf("%s: %d bytes of an image were read", name, got)
		}
	}
}

func mask(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A process that was killed between the first and the second reading of an image leaves
// nothing that the next one takes for enough.
func TestCopyIsEnough(t *testing.T) {
	cache := t.TempDir()
	far := slices.Concat([]byte{0xff, 0xd8}, bytes.Repeat(slices.Concat([]byte{0xff, 0xe2, 0xff, 0xff}, make([]byte, 0xfffd)), 2), picture(t, 400_000)[2:]) // its size stands behind two segments
	s := &shelf{read: make(map[string]int64), files: map[string][]byte{"far.jpg": far}, failAt: 2}
	if _, err := bring(t, cache, s); err == nil {
		t.Fatal("it was not cut off")
	}
	c, err := bring(t, cache, s)
	if err != nil || !enough(c.file("far.jpg")) {
		t.Errorf("what is here is not enough: %v", err)
	}
}

func TestHostileNames(t *testing.T) {
	for _, name := range []string{"../up.txt", "/root.txt", "a/../../up.txt", `a\..\..\up.txt`, "a//b.txt", "", ".", "a/./b.txt", "nul\x00.txt"} {
		if safe(name) == nil {
			t.Errorf("%q is taken", name)
		}
		s := &shelf{read: make(map[string]int64), files: map[string][]byte{name: []byte("x"), "ok.txt": []byte("x")}}
		if _, err := bring(t, t.TempDir(), s); err == nil {
			t.Errorf("a source with %q is taken", name)
		}
	}
}

func zipped(t *testing.T, files map[string][]byte, change func(*zip.FileHeader)) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "set.zip")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Unix(1e9, 0)}
		if change != nil {
			change(h)
		}
		to, err := w.CreateHeader(h)
		if err == nil {
			_, err = to.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

func tarred(t *testing.T, files map[string][]byte, change func(*tar.Header)) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "set.tar.gz")
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for name, content := range files {
		h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if change != nil {
			change(h)
		}
		err := w.WriteHeader(h)
		if err == nil && h.Size > 0 {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close(), os.WriteFile(file, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

func open(t *testing.T, address, cache string) (*Copy, error) {
	t.Helper()
	c, err := Open(t.Context(), address, Options{Cache: cache})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestArchives(t *testing.T) {
	files := map[string][]byte{"set/data.yaml": []byte("names: [car]"), "set/images/a.jpg": picture(t, 300_000), "set/labels/a.txt": []byte("0 .5 .5 .1 .1")}
	for _, file := range []string{zipped(t, files, nil), tarred(t, files, nil)} {
		if !Is(file) {
			t.Errorf("%s is taken for no archive", file)
		}
		cache := t.TempDir()
		for range 2 {
			c, err := open(t, file, cache)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(c.Path) != "set" {
				t.Errorf("it begins at %s", c.Path)
			}
			from, stat, err := c.Open(t.Context(), filepath.Join(c.Path, "images", "a.jpg"))
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(from)
			if from.Close(); err != nil || !bytes.Equal(data, files["set/images/a.jpg"]) || stat.Size != int64(len(data)) {
				t.Errorf("%s: %d bytes, %v", file, len(data), err)
			}
			c.Close()
		}
	}
}

func TestHostileArchives(t *testing.T) {
	ok := map[string][]byte{"a.txt": []byte("x")}
	bomb := map[string][]byte{"a.txt": bytes.Repeat([]byte{0}, 80<<20)}
	for name, file := range map[string]string{
		"zip, name":      zipped(t, map[string][]byte{"../a.txt": nil}, nil),
		"zip, link":      zipped(t, ok, func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }),
		"zip, bomb":      zipped(t, bomb, nil),
		"tar, name":      tarred(t, map[string][]byte{"a/../../b.txt": nil}, nil),
		"tar, root":      tarred(t, map[string][]byte{"/etc/b.txt": nil}, nil),
		"tar, link":      tarred(t, map[string][]byte{"b.txt": nil}, func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd" }),
		"tar, hard":      tarred(t, map[string][]byte{"b.txt": nil}, func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeLink, "/etc/passwd" }),
		"tar, bomb":      tarred(t, bomb, nil),
		"tar, empty":     tarred(t, nil, nil),
		"zip, encrypted": zipped(t, ok, func(h *zip.FileHeader) { h.Flags |= 0x1 }),
	} {
		cache := t.TempDir()
		_, err := open(t, file, cache)
		if err == nil {
			t.Errorf("%s is taken", name)
		}
		left, _ := filepath.Glob(filepath.Join(cache, "*", "tree", "*"))
		if len(left) > 0 {
			t.Errorf("%s left %q", name, left)
		}
	}
}

// A download that was cut off goes on where it was, and a file that is as it was is not
// downloaded again.
func TestWeb(t *testing.T) {
	content, err := os.ReadFile(zipped(t, map[string][]byte{"set/labels/a.txt": []byte("0 .5 .5 .1 .1"), "set/images/a.jpg": picture(t, 100_000)}, nil))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	cuts, tag := 3, `"one"`
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") != tag {
			ranges = append(ranges, r.Header.Get("Range"))
			if cuts > 0 {
				cuts--
				w = &cut{ResponseWriter: w, left: 100}
			}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	cache := t.TempDir()
	address := server.URL + "/sets/set.zip?signature=secret"
	c, err := open(t, address, cache)
	if err != nil {
		t.Fatal(err)
	}
	if len(ranges) != 4 || ranges[3] != "bytes=300-" {
		t.Errorf("asked for %q", ranges)
	}
	if strings.Contains(c.Address, "secret") || filepath.Base(c.Path) != "set" {
		t.Errorf("%s at %s", c.Address, c.Path)
	}
	c.Close()
	for _, want := range []int{4, 5} {
		if c, err = open(t, address, cache); err != nil || len(ranges) != want {
			t.Errorf("after %d: %v, %v", want, ranges, err)
		}
		c.Close()
		mu.Lock()
		tag = `"two"`
		mu.Unlock()
	}
	for _, address := range []string{server.URL + "/folder/", "http://example.com/a.zip", "https://user:pw@example.com/a.zip", "s3://bucket/x?access_key_id=secret"} {
		if _, err := open(t, address, cache); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pw@") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The rest of a file is taken from no other version of it, and from nowhere else in it; nobody
// is asked for more than the file, as addresses that are signed for reading alone want it.
func TestWebRefusesAnotherRest(t *testing.T) {
	labels := bytes.Repeat([]byte("{}\n"), 1000)
	for name, rest := range map[string]func(http.Header){
		"another version": func(h http.Header) { h.Set("ETag", `"two"`); h.Set("Content-Range", "bytes 100-2999/3000") },
		"another place":   func(h http.Header) { h.Set("ETag", `"one"`); h.Set("Content-Range", "bytes 0-2899/3000") },
		"no place":        func(h http.Header) { h.Set("ETag", `"one"`) },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method != http.MethodGet:
				w.WriteHeader(http.StatusForbidden)
			case r.Header.Get("Range") == "":
				w.Header().Set("ETag", `"one"`)
				w.Header().Set("Content-Length", "3000")
				(&cut{ResponseWriter: w, left: 100}).Write(labels)
			default:
				rest(w.Header())
				w.WriteHeader(http.StatusPartialContent)
				w.Write(labels[100:])
			}
		}))
		if _, err := open(t, server.URL+"/labels.jsonl", t.TempDir()); err == nil || !strings.Contains(err.Error(), "changed while it was downloaded") && !strings.Contains(err.Error(), "and sends others") {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

// cut closes an answer after some bytes.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	c.ResponseWriter.Write(b[:c.left])
	http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func TestSecretsAreHidden(t *testing.T) {
	const text = `GET https://x.blob.core.windows.net/c?sv=1&sig=abc%3D&X-Amz-Signature=def: 403, AccountKey=ghi`
	if got := withoutSecrets(text); strings.Contains(got, "abc") || strings.Contains(got, "def") || strings.Contains(got, "ghi") {
		t.Error(got)
	}
}

// A tar file that ends between two files, before its end, may lack some.
func TestCutOff(t *testing.T) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range []string{"a.txt", "b.txt"} {
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Size: 512, Mode: 0o600}), second(w.Write(make([]byte, 512)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for n, cut := range map[int]bool{500: true, 1024: true, 1500: true, 2048: true, out.Len(): false} {
		file := filepath.Join(t.TempDir(), "set.tar")
		if err := os.WriteFile(file, out.Bytes()[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, file, t.TempDir()); errors.Is(err, errCutOff) != cut || !cut && err != nil {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}

// Names of Windows are those of folders too.
func TestZIPOfWindows(t *testing.T) {
	file := zipped(t, map[string][]byte{`set\data.yaml`: []byte("names: [car]"), `set\labels\a.txt`: []byte("0 .5 .5 .1 .1")}, nil)
	c, err := open(t, file, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := os.Stat(filepath.Join(c.Path, "labels", "a.txt")); err != nil {
		t.Error(err)
	}
}

// A file whose bits were turned, or that is cut off in what closes it, is refused whatever its
// files' own headers say, and so is what follows the end of an archive.
func TestDamagedArchives(t *testing.T) {
	file := tarred(t, map[string][]byte{"set/data.yaml": []byte("names: [car]"), "set/images/a.jpg": picture(t, 50_000)}, nil)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		damaged := filepath.Join(t.TempDir(), filepath.Base(file))
		if err := os.WriteFile(damaged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, damaged, t.TempDir()); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
	for at := 10; at < len(whole); at += len(whole) / 20 { // behind gzip's own header
		data := bytes.Clone(whole)
		data[at] ^= 0x10
		refused(fmt.Sprintf("a bit of byte %d of %d", at, len(whole)), data)
	}
	for _, cut := range []int{1, 4, 6, 8, 9} {
		refused(fmt.Sprintf("%d bytes cut off", cut), whole[:len(whole)-cut])
	}
	refused("two archives in one", append(bytes.Clone(whole), whole...))
}

func second(_ int, err error) error { return err }

// A download that breaks off each time is given up after a few tries, and says how far it came.
func TestDownloadBreaksOff(t *testing.T) {
	for tag, want := range map[string]string{"": "give a copy on this machine", `"one"`: "it goes on from there"} {
		var gets atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100000")
			if tag != "" {
				w.Header().Set("ETag", tag)
			}
			if r.Method == http.MethodGet {
				gets.Add(1)
				w.Write(make([]byte, 3000))
				panic(http.ErrAbortHandler)
			}
		}))
		_, err := open(t, server.URL+"/cut.zip", t.TempDir())
		server.Close()
		if err == nil || !strings.Contains(err.Error(), "broke off after 3000 of 100000 bytes") || !strings.Contains(err.Error(), want) || gets.Load() != downloadTries {
			t.Errorf("%d requests: %v", gets.Load(), err)
		}
	}
}

// Addresses whose queries lead elsewhere are other sources; what only reaches or signs does not.
func TestQueryNames(t *testing.T) {
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"https://host/get.zip?f=a", "https://host/get.zip?f=b", false},
		{"https://host/get.zip?f=a", "https://host/get.zip", false},
		{"https://host/a.zip?X-Amz-Signature=1&X-Amz-Date=2", "https://host/a.zip?X-Amz-Signature=3&X-Amz-Date=4", true},
		{"s3://bucket/set?region=a", "s3://bucket/set?region=b&profile=x", true},
		{"s3://bucket/set?endpoint=https://one&region=a", "s3://bucket/set?endpoint=https://two", false},
		{"s3://bucket/set?prefix=a/", "s3://bucket/set?prefix=b/", false},
	} {
		if (Shown(c.one) == Shown(c.other)) != c.same {
			t.Errorf("%s and %s are %s and %s", c.one, c.other, Shown(c.one), Shown(c.other))
		}
		if _, shown, err := parse(c.one); err != nil || shown != Shown(c.one) {
			t.Errorf("%s is %s and %s, %v", c.one, Shown(c.one), shown, err)
		}
	}
	if got := Shown("https://host/get.zip?token=secret"); !regexp.MustCompile(`^https://host/get\.zip\?#[0-9a-f]{8}$`).MatchString(got) {
		t.Error(got)
	}
}
