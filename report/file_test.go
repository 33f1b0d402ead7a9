package report

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/pictograph"
	"pictosync/store"
	"pictosync/view"
)

// manyImages is how large the run is that pages are made of.
const manyImages = 100_000

// labelsOf are those of an image: the first images have outlines of thousands of points.
func labelsOf(n int, after bool) (list []pictograph.Annotation) {
	shift := 0.0
	if after {
		shift = 3
	}
	if n < 400 {
		for i := range 4 {
			ring := make([]pictograph.Point, 0, 3000)
			for p := range 3000 {
				sin, cos := math.Sincos(float64(p) / 3000 * 2 * math.Pi)
				r := 100 + 8*math.Sin(float64(p)/3)
				ring = append(ring, pictograph.Point{X: math.Round((500+float64(i)*300+r*cos+shift)*100) / 100, Y: math.Round((400+r*sin)*100) / 100})
			}
			list = append(list, pictograph.Annotation{ID: fmt.Sprintf("p%d", i), Name: fmt.Sprintf("class %d", i), Geometry: pictograph.Polygon{Rings: [][]pictograph.Point{ring}}})
		}
	}
	boxes := 2
	if !after {
		boxes += n % 5
	}
	for i := range boxes {
		list = append(list, pictograph.Annotation{ID: fmt.Sprintf("b%d", i), Name: fmt.Sprintf("class %d", (n+i)%90), Geometry: pictograph.BBox{Box: pictograph.Box{X: float64(10*i) + shift, Y: 20, W: 30, H: 40}}})
	}
	return list
}

func encoded(t testing.TB, list []pictograph.Annotation) []byte {
	t.Helper()
	data, err := pictograph.AppendAnnotations(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// manyState is a state with a run that changed every image, and its source.
func manyState(t testing.TB) (path string, st *store.Store, run store.Run, src convert.Source) {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	path = filepath.Join(dir, "state.db")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(ctx, path)
	must(err)
	t.Cleanup(func() { st.Close() })
	d, err := st.PutDataset(ctx, "sandbox", "id", "many")
	must(err)
	listing, err := st.StartListing(ctx, d)
	must(err)
	name := func(n int) string { return fmt.Sprintf("folder %02d/image %06d.jpg", n%100, n) }
	var images []store.Image
	for n := range manyImages {
		images = append(images, store.Image{ID: fmt.Sprintf("id-%06d", n), Path: name(n), Width: 1920, Height: 1080, AnnotationCount: len(labelsOf(n, false))})
		if len(images) == 1000 {
			must(listing.Add(ctx, images))
			images = nil
		}
	}
	_, err = listing.End(ctx, time.Now(), 0)
	must(err)
	run, _, err = st.OpenRun(ctx, d, "sync", filepath.Join(dir, "labels.jsonl"), time.Now())
	must(err)
	file, err := os.Create(filepath.Join(dir, "labels.jsonl"))
	must(err)
	out := bufio.NewWriter(file)
	var part store.PlanChunk
	var backups []store.Backup
	for n := range manyImages {
		before, after := labelsOf(n, false), labelsOf(n, true)
		data := encoded(t, after)
		fmt.Fprintf(out, "{\"image\":%q,\"width\":1920,\"height\":1080,\"annotations\":%s}\n", name(n), data)
		part.Items = append(part.Items, store.Item{Seq: int64(n + 1), Image: name(n), Path: name(n), ImageID: fmt.Sprintf("id-%06d", n), Plan: store.PlanOverwrite, Outcome: store.ItemPending,
			Hash: sha256.Sum256(data), Count: len(after), ListedCount: len(before), Kept: 0, File: "labels.jsonl", Labels: len(after)})
		if n < 5000 {
			backups = append(backups, store.Backup{ImageID: fmt.Sprintf("id-%06d", n), Path: name(n), Count: len(before), Annotations: encoded(t, before)})
		}
		if len(part.Items) == 5000 {
			must(st.AddPlan(ctx, run.ID, part))
			must(st.AddBackups(ctx, run.ID, backups, time.Now()))
			part, backups = store.PlanChunk{}, nil
		}
	}
	must(out.Flush())
	must(file.Close())
	totals, err := st.Totals(ctx, run.ID)
	must(err)
	must(st.RecordOutcome(ctx, run.ID, totals, store.Stopped, "stopped by a test", 7, time.Minute, time.Now()))
	run, err = st.FindRun(ctx, run.ID)
	must(err)
	src, err = formats.Open(ctx, filepath.Join(dir, "labels.jsonl"), convert.OpenOptions{})
	must(err)
	return path, st, run, src
}

// The page of a run of 100,000 images, among them ones with outlines of thousands of points
// and photos that do not compress, stays small, and says how many are drawn.
func TestFileIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("a run of 100,000 images takes a while")
	}
	path, st, run, src := manyState(t)
	began := time.Now()
	r := &Run{Store: st, Run: run, Photos: view.NewPhotos(""), Source: src}
	data, made, err := r.File(t.Context(), FileOptions{PageOptions: PageOptions{Looked: 2000}, Drawn: 2000})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the file: %d bytes, %d of %d images drawn, in %s", len(data), made.Drawn, made.Change, time.Since(began).Round(time.Millisecond))
	if len(data) > maxFile {
		t.Errorf("the page has %d bytes", len(data))
	}
	if made.Drawn < 20 || made.Change != manyImages {
		t.Errorf("%+v", made)
	}
	if want := fmt.Sprintf("%d of 100,000 images that change are drawn on this page", made.Drawn); !bytes.Contains(data, []byte(want)) {
		t.Errorf("the page does not say %q", want)
	}
	if !bytes.Contains(data, []byte("before, and after")) && !bytes.Contains(data, []byte("Classes, before and after")) {
		t.Error("the page has no classes")
	}

	// The same of the server, whose pages are as small.
	state := NewState(path, StateOptions{Photos: view.NewPhotos(""), Serving: t.Context(), Cost: func(store.Run, Did) string { return "" },
		Commands: func(store.Run, Did) []view.Command { return nil },
		Open:     func(context.Context, *store.Store, store.Run) (convert.Source, string) { return src, "" }})
	defer state.Wait()
	for _, page := range []string{"/", "/runs", "/run/" + run.ID, "/run/" + run.ID, "/run/" + run.ID + "/images?list=changing&page=1000", "/run/" + run.ID + "/images", "/run/" + run.ID + "/image/99999?list=changing", "/run/" + run.ID + "/image/5"} {
		began := time.Now()
		w := httptest.NewRecorder()
		state.ServeHTTP(w, httptest.NewRequest(http.MethodGet, page, nil))
		t.Logf("%s: %d bytes in %s", page, w.Body.Len(), time.Since(began).Round(time.Millisecond))
		if w.Code != http.StatusOK || w.Body.Len() > 4_000_000 {
			t.Errorf("%s: %d, %d bytes: %.300s", page, w.Code, w.Body.Len(), w.Body.String())
		}
	}
}

// A source of which every image has something wrong is shown all the same.
func TestAlbum(t *testing.T) {
	dir := t.TempDir()
	lines := []string{
		`{"image":"a.png","width":40,"height":30,"annotations":[{"id":"1","name":"car","type":"bbox","bounding_box":{"x":1,"y":2,"w":3,"h":4}}]}`,
		`{"image":"broken.png","width":40,"height":30,"annotations":[]}`,
		`{"image":"no.png","width":40,"height":30,"annotations":[{"id":"1","name":"car","type":"bbox"}]}`,
	}
	if err := os.WriteFile(filepath.Join(dir, "l.jsonl"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"broken.png", "orphan.png"} {
		if err := os.WriteFile(filepath.Join(images, name), []byte("no picture"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, err := formats.Open(t.Context(), filepath.Join(dir, "l.jsonl"), convert.OpenOptions{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	a := NewAlbum(src, AlbumOptions{Photos: view.NewPhotos(""), Images: images})
	if err := a.Count(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/": "3 images with 1 annotation", "/images": "cannot be taken", "/images?list=failed": "no.png", "/images?list=class&name=car": "Images with car",
		"/images?list=unpictured": "a.png", "/unlabelled": "orphan.png", "/image/0": "car 1,2 3×4", "/image/1": "The image file cannot be shown", "/image/2": "cannot be taken", "/progress": `"done":true`,
		"/thumb/1": "<svg", "/photo/1": "<svg", "/unlabelled-thumb/0": "<svg",
	} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, without %q: %.600s", path, w.Code, want, w.Body.String())
		}
	}
	for _, path := range []string{"/image/3", "/image/-1", "/image/x", "/images?list=nothing", "/images?list=class&name=bus", "/thumb/9", "/nowhere"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// A source is counted on its page as inspect counts it, whatever of it cannot be taken.
func TestAlbumCountsAsInspectDoes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"labels/classes.txt": "car\nvan\n",
		"labels/a.txt":       "0 .5 .5 .2 .2\n7 .5 .5 .2 .2\n", // of a class that there is not
		"labels/b.txt":       "0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n",
		"labels/c.txt":       "0 .5 .5 .2 .2\n", // of unknown size
		"labels/d.txt":       "",
		"sizes.csv":          "image,width,height\na.jpg,100,50\nb.jpg,100,50\n",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	open := func() convert.Source {
		src, err := formats.Open(t.Context(), filepath.Join(dir, "labels"), convert.OpenOptions{Sizes: filepath.Join(dir, "sizes.csv")})
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	kinds := make(map[convert.Kind]int)
	want, err := conversion.Inspect(t.Context(), open(), conversion.Options{OnFinding: func(f convert.Finding) { kinds[f.Kind] += f.Stands() }})
	if err != nil {
		t.Fatal(err)
	}
	if want.Read.Annotations != 5 || want.Annotations != 2 || want.LeftOut.Annotations != 3 || want.Images.Failed != 2 || kinds[convert.KindUnknownSize] != 1 {
		t.Fatalf("%+v, %v", want, kinds)
	}
	a := NewAlbum(open(), AlbumOptions{Photos: view.NewPhotos("")})
	if err := a.Count(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c := &a.count
	if c.images != want.Images.Found || c.labelled != want.Images.Labelled || c.empty != want.Images.Empty || c.failed != want.Images.Failed || c.annotations != want.Annotations || c.leftOut != want.LeftOut.Annotations {
		t.Errorf("the page counts %+v, and inspect %+v", c, want)
	}
	got := make(map[convert.Kind]int)
	for _, k := range c.kinds {
		got[k.kind] += k.count
	}
	if !maps.Equal(got, kinds) {
		t.Errorf("findings on the page: %v, and of inspect: %v", got, kinds)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	for _, text := range []string{"4 images with 2 annotations", "<b>3</b><span>annotations left out", "count 1 annotation more, of images that cannot be taken"} {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("the page is without %q: %s", text, w.Body.String())
		}
	}
}
