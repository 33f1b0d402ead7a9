package worker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pictosync/sandbox"
	"pictosync/store"
)

// undo takes back a run as a process of its own would.
func (b *bench) undo(run string, change ...func(*Options)) Summary {
	b.t.Helper()
	record, err := b.store.FindRun(context.Background(), run)
	if err != nil {
		b.t.Fatal(err)
	}
	var forced Options
	for _, c := range change {
		c(&forced)
	}
	c := b.connection()
	defer c.Client.CloseIdleConnections()
	s, err := Undo(context.Background(), nil, c, record, UndoOptions{Options: b.options("", change).Options, Force: forced.OnDrift == Overwrite, Backup: BackupAuto})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// content is what the service holds of an image, as it sends it.
func (b *bench) content(image string) string {
	b.t.Helper()
	request, err := http.NewRequest("GET", b.http.URL+"/api/v1/developer/annotations/set/"+image, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "another")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		b.t.Fatal(answer.Status, err)
	}
	var body struct{ Annotations json.RawMessage }
	if err := json.Unmarshal(data, &body); err != nil {
		b.t.Fatal(err)
	}
	return string(body.Annotations)
}

func backUp(o *Options) { o.Backup = BackupAuto }

const theirs = `[{"id":"77","name":"car","type":"polygon","polygon":{"paths":[[{"x":1,"y":1},{"x":9,"y":1},{"x":9,"y":9.5}],[{"x":4,"y":2},{"x":6,"y":2},{"x":6,"y":3}]]},"bounding_box":{"x":1,"y":1,"w":8,"h":8.5},"confidence":0.5,"created_by":"me@example.com","attributes":{"color":"red"}}]`

// What was overwritten comes back byte for byte, what was empty is emptied, and
// an undo can be undone.
func TestUndo(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("theirs.jpg", "empty.jpg", "same.jpg", "untouched.jpg")
	b.done(b.labels("same.jpg car", "untouched.jpg car"), backUp)
	post(t, b, "/api/v1/developer/annotations/set/theirs.jpg", `{"annotations":`+theirs+`}`)
	images := []string{"theirs.jpg", "empty.jpg", "same.jpg", "untouched.jpg"}
	before := make(map[string]string)
	for _, i := range images {
		before[i] = b.content(i)
	}
	first := b.done(b.labels("theirs.jpg truck", "empty.jpg car car", "same.jpg truck"), backUp)
	after := make(map[string]string)
	for _, i := range images {
		after[i] = b.content(i)
	}
	undone := b.undo(first.Run)
	for _, i := range images {
		if got := b.content(i); got != before[i] {
			t.Errorf("%s came back as %s, was %s", i, got, before[i])
		}
	}
	if undone.Images.Saved != 2 || undone.Images.Cleared != 1 || undone.Outcome != "done" {
		t.Errorf("%+v", undone)
	}
	b.undo(undone.Run)
	for _, i := range images {
		if got := b.content(i); got != after[i] {
			t.Errorf("after undoing the undo %s is %s, want %s", i, got, after[i])
		}
	}
	// Two runs are undone one after the other.
	second := b.done(b.labels("theirs.jpg", "empty.jpg truck", "same.jpg car car"), backUp)
	b.undo(second.Run)
	b.undo(first.Run)
	for _, i := range images {
		if got := b.content(i); got != before[i] {
			t.Errorf("after two undos %s is %s, was %s", i, got, before[i])
		}
	}
}

// What was changed since is left alone, also where the count is the same.
func TestUndoSkipsWhatChanged(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("count.jpg", "content.jpg", "again.jpg", "plain.jpg")
	for _, i := range []string{"count.jpg", "content.jpg", "again.jpg", "plain.jpg"} {
		post(t, b, "/api/v1/developer/annotations/set/"+i, `{"annotations":[]}`)
	}
	b.done(b.labels("count.jpg car", "content.jpg car", "again.jpg car", "plain.jpg car"), backUp)
	first := b.done(b.labels("count.jpg truck", "content.jpg truck", "again.jpg truck", "plain.jpg truck"), backUp)
	b.done(b.labels("again.jpg car truck"), backUp)
	post(t, b, "/api/v1/developer/annotations/set/count.jpg", `{"annotations":[]}`)
	post(t, b, "/api/v1/developer/annotations/set/content.jpg", `{"annotations":`+theirs+`}`)
	others := b.content("content.jpg")
	s := b.undo(first.Run)
	if s.Images.Saved != 1 || s.Images.Skipped != 3 {
		t.Errorf("%+v\n%q", s.Images, b.records(s.Run))
	}
	if got := b.content("content.jpg"); got != others || !strings.Contains(got, "me@example.com") {
		t.Errorf("someone else's work is gone: %s", got)
	}
	s = b.undo(first.Run, func(o *Options) { o.OnDrift = Overwrite })
	if s.Images.Saved != 3 {
		t.Errorf("forced: %+v\n%q", s.Images, b.records(s.Run))
	}
}

// Every overwritten annotation is in a backup before it is gone, also where the
// run is stopped in between.
func TestBackupComesFirst(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg", "gone.jpg")
	b.done(b.labels("a.jpg car", "b.jpg car car"))
	before := b.content("b.jpg")
	s := b.done(b.labels("a.jpg truck", "b.jpg truck"), backUp)
	backup, err := b.store.Backup(t.Context(), s.Run, imageID(t, b, s.Run, "b.jpg"))
	if err != nil || string(backup.Annotations) != before || backup.Count != 2 {
		t.Errorf("backup %+v %v, want %s", backup, err, before)
	}
	if s.Requests != 2+1+2+1 { // dataset and page, class, two backups, one save
		t.Errorf("%d requests", s.Requests)
	}
	never := b.done(b.labels("a.jpg car"), func(o *Options) { o.Backup = BackupNever })
	u := b.undo(never.Run)
	expect(t, "undo without a backup", b.records(u.Run), "a.jpg failed failed the run kept no backup of what it had (1 annotation)")
}

func imageID(t *testing.T, b *bench, run, image string) string {
	t.Helper()
	for r, err := range b.store.Records(context.Background(), run, "") {
		if err != nil {
			t.Fatal(err)
		}
		if r.Image == image {
			return r.ImageID
		}
	}
	t.Fatalf("run %s has no %s", run, image)
	return ""
}

// What the service sends and nobody can read is not overwritten: it could not
// be put back.
func TestBackupOfWhatCannotBeRead(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	b.done(b.labels("a.jpg car", "b.jpg car"))
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "GET" || !strings.HasSuffix(r.URL.Path, "/a.jpg") {
			return false
		}
		io.WriteString(w, `{"annotations":[{"id":"1","name":"car","type":"cuboid","cuboid":{}}]}`)
		return true
	}
	s := b.done(b.labels("a.jpg truck", "b.jpg truck"), backUp)
	if s.Images.Saved != 1 || s.Images.Failed != 1 {
		t.Errorf("%+v\n%q", s.Images, b.records(s.Run))
	}
	b.before = nil
	if got := b.content("a.jpg"); !strings.Contains(got, `"car"`) {
		t.Errorf("a.jpg was overwritten: %s", got)
	}
}

// Old runs go with their backups, but for the last of each source.
func TestCollect(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	b.done(b.labels("a.jpg car"), backUp)
	second := b.done(b.labels("a.jpg truck"), backUp)
	third := b.done(b.labels("a.jpg car"), backUp)
	if c, err := b.store.Collect(t.Context(), time.Now(), time.Hour, false); err != nil || c != (store.Collected{}) {
		t.Errorf("young runs: %+v %v", c, err)
	}
	if c, err := b.store.Collect(t.Context(), time.Now().Add(time.Hour), 0, false); err != nil || c != (store.Collected{Runs: 2, Backups: 1}) {
		t.Errorf("%+v %v, want two runs and the one backup of the second", c, err)
	}
	if _, err := b.store.FindRun(t.Context(), second.Run); err == nil {
		t.Error("the second run is still there")
	}
	if _, err := b.store.FindRun(t.Context(), third.Run); err != nil {
		t.Errorf("the last run is gone: %v", err)
	}
	if again := b.done(b.labels("a.jpg car"), backUp); again.Images.Unchanged != 1 {
		t.Errorf("what was saved is forgotten: %+v", again)
	}
}

// brokenState cannot tell what a run left on an image.
type brokenState struct{}

var errBroken = errors.New("the disk does not answer")

func (brokenState) ContentAfter(context.Context, string, store.Image) (h store.Hash, saved, ok bool, err error) {
	return h, false, false, errBroken
}

func (brokenState) LeftBeforeAbsence(context.Context, string) (map[string]store.Hash, error) {
	return nil, errBroken
}

// What the state cannot say is no reason to leave an image alone: it ends the undo.
func TestAStateThatCannotBeReadEndsAnUndo(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	b.done(b.labels("a.jpg car"), backUp)
	s := b.done(b.labels("a.jpg truck"), backUp)
	run, err := b.store.FindRun(t.Context(), s.Run)
	if err != nil {
		t.Fatal(err)
	}
	c := b.connection()
	defer c.Client.CloseIdleConnections()
	o := UndoOptions{Options: b.options("", nil).Options, Backup: BackupAuto}
	p, err := newUndo(t.Context(), c, run, o)
	if err != nil {
		t.Fatal(err)
	}
	p.undone.state = brokenState{}
	undone, err := p.takeBack(t.Context(), nil, o)
	if !errors.Is(err, errBroken) || undone.Images.Skipped != 0 || undone.Outcome != "stopped" {
		t.Errorf("%+v, %v", undone, err)
	}
	if again := b.undo(s.Run); again.Images.Saved != 1 {
		t.Errorf("with a state that answers: %+v", again)
	}
}
