package worker

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"pictosync/sandbox"
)

// Labels go to the image that they name, or to none.
func TestMatching(t *testing.T) {
	for _, c := range []struct {
		name   string
		match  Matching
		images []string
		labels []string // images of the source
		want   []string // records
	}{
		{"another folder", "", []string{"batch1/a.png"}, []string{"batch2/a.png"},
			[]string{"batch2/a.png unmatched unmatched the dataset has no image of this name; the dataset has batch1/a.png: only the folder differs"}},
		{"one of two videos", "", []string{"v1/0.png", "v1/1.png"}, []string{"v1/0.png", "v1/1.png", "v2/0.png"},
			[]string{"v1/0.png new saved 0→1", "v1/1.png new saved 0→1", "v2/0.png unmatched unmatched the dataset has no image of this name; the dataset has v1/0.png: only the folder differs"}},
		{"folders of the layout", "", []string{"cam1/0.PNG", "cam2/0.PNG"}, []string{"obj_train_data/cam1/0.PNG", "data/obj_train_data/cam2/0.PNG"},
			[]string{"obj_train_data/cam1/0.PNG new saved 0→1", "data/obj_train_data/cam2/0.PNG new saved 0→1"}},
		{"the longest agreement", "", []string{"x/a.jpg", "x/b/a.jpg"}, []string{"root/x/b/a.jpg"}, []string{"root/x/b/a.jpg new saved 0→1"}},
		{"an exact one is not blocked", "", []string{"x/a.jpg"}, []string{"a.jpg", "x/a.jpg"},
			[]string{"a.jpg ambiguous failed x/a.jpg fits the same image of the dataset (x/a.jpg) more closely", "x/a.jpg new saved 0→1"}},
		{"nor by one that comes after it", "", []string{"x/a.jpg"}, []string{"x/a.jpg", "a.jpg"},
			[]string{"x/a.jpg new saved 0→1", "a.jpg ambiguous failed x/a.jpg fits the same image of the dataset (x/a.jpg) more closely"}},
		{"splits that differ", "", []string{"train/a.jpg"}, []string{"val/a.jpg"},
			[]string{"val/a.jpg unmatched unmatched the dataset has no image of this name; the dataset has train/a.jpg: only the folder differs"}},
		{"decomposed names", "", []string{"café/ü.png"}, []string{norm.NFD.String("café/ü.png")}, []string{norm.NFD.String("café/ü.png") + " new saved 0→1"}},
		{"decomposed in the dataset", "", []string{norm.NFD.String("café/ü.png")}, []string{"ü.png"}, []string{"ü.png new saved 0→1"}},
		{"the case", "", []string{"Café.jpg"}, []string{"café.jpg"},
			[]string{"café.jpg unmatched unmatched the dataset has no image of this name; the dataset has Café.jpg: only the case differs"}},
		{"the extension", "", []string{"a.jpg"}, []string{"a.png"},
			[]string{"a.png unmatched unmatched the dataset has no image of this name; the dataset has a.jpg: only the extension differs"}},
		{"exactly", MatchExact, []string{"x/a.jpg", "b.jpg"}, []string{"a.jpg", "b.jpg"},
			[]string{"a.jpg unmatched unmatched the dataset has no image of this name; the dataset has x/a.jpg: --match path takes it", "b.jpg new saved 0→1"}},
		{"by name", MatchName, []string{"x/a.jpg", "y/b.jpg"}, []string{"z/a.jpg", "z/b.png"}, []string{"z/a.jpg new saved 0→1", "z/b.png new saved 0→1"}},
		{"by a name that two have", MatchName, []string{"x/a.jpg", "y/a.jpg"}, []string{"z/a.jpg"},
			[]string{"z/a.jpg ambiguous failed more than one image of the dataset fits z/a.jpg: x/a.jpg, y/a.jpg; name the label after one of them, or use --rename"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, sandbox.Options{})
			b.images(c.images...)
			var lines []string
			for _, l := range c.labels {
				lines = append(lines, l+" car")
			}
			s := b.done(b.labels(lines...), func(o *Options) { o.Match = c.match })
			expect(t, "records", b.records(s.Run), c.want...)
		})
	}
}

// An image that is archived is said to be.
func TestArchivedImage(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	request, err := http.NewRequest("DELETE", b.http.URL+"/api/v1/developer/images/set/a.jpg", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "pk_live_test")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	s := b.done(b.labels("a.jpg car", "b.jpg car"))
	expect(t, "records", b.records(s.Run), "a.jpg unmatched unmatched the image is archived in the dataset (a.jpg); bring it back in the dataset's Archive tab, or with `pictosync undo RUN --uploaded` where the undo RUN archived it", "b.jpg new saved 0→1")
}

// Who changes an image between its reading and its save loses what the backup does not
// have: it is said, and an undo leaves the image alone.
func TestEditedMeanwhile(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	keeping := func(o *Options) { o.Backup = BackupAuto }
	b.done(b.labels("a.jpg car", "b.jpg car"), keeping)
	edit := func() {
		body := `{"annotations":[{"id":"x","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1}},{"id":"y","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1}},{"id":"z","name":"car","type":"bbox","bounding_box":{"x":1,"y":1,"w":1,"h":1}}]}`
		request, err := http.NewRequest("POST", b.http.URL+"/api/v1/developer/annotations/set/a.jpg", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("X-API-Key", "pk_live_test")
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("the edit was answered %s", answer.Status)
		}
	}
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk") {
			b.before = nil
			edit()
		}
		return false
	}
	s := b.done(b.labels("a.jpg car car", "b.jpg car car"), keeping)
	if s.Images.Saved != 2 || s.Images.Edited != 1 || s.Outcome != "failures" || s.Kinds["edited-meanwhile"] != 1 {
		t.Errorf("%+v", s)
	}
	expect(t, "records", b.records(s.Run),
		"a.jpg overwrite saved 3→2 saved, but somebody changed the image just before: it had 3 annotations where 1 were known, and an undo does not bring back all of them",
		"b.jpg overwrite saved 1→2")
	undone := b.undo(s.Run)
	if undone.Images.Saved != 1 || undone.Images.Failed != 1 {
		t.Errorf("undone: %+v", undone)
	}
	forced := b.undo(s.Run, func(o *Options) { o.OnDrift = Overwrite })
	if forced.Images.Saved != 1 || forced.Images.Failed != 0 {
		t.Errorf("undone by force: %+v", forced)
	}
}
