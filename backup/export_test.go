package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/convert/snapshot"
	"pictosync/dataset"
	"pictosync/pictograph"
)

// reads counts the reads of images that reach the service, and closes what stops
// an export at every n-th.
type reads struct {
	mu    sync.Mutex
	count map[string]int
	every int
	total int
	stop  chan struct{}
}

func (c *reads) see(_ http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/annotations/") {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[r.URL.Path]++
	if c.total++; c.every > 0 && c.total%c.every == 0 && c.stop != nil {
		close(c.stop)
		c.stop = nil
	}
	return false
}

// An export that is stopped again and again reads nothing again that it kept, and leaves
// nothing that looks like a backup until it is complete.
func TestExportGoesOn(t *testing.T) {
	b := newBench(t)
	var images, labels []string
	for i := range 600 {
		images = append(images, fmt.Sprintf("%03d.jpg", i))
		if i%3 > 0 {
			labels = append(labels, images[i]+" car truck")
		}
	}
	b.images(images...)
	b.sync(b.labels(labels...))
	c := &reads{count: make(map[string]int), every: 37}
	b.before = c.see
	stops := 0
	for {
		stop := make(chan struct{})
		c.mu.Lock()
		c.stop = stop
		c.mu.Unlock()
		s, err := b.export(stop, Options{MaxAge: time.Hour})
		snapshots, listErr := snapshot.List(filepath.Join(b.dir, "backups"), time.Now())
		if listErr != nil {
			t.Fatal(listErr)
		}
		if err == nil {
			if len(snapshots) != 1 || s.Images.Found != 600 || s.Annotations != 800 || s.Images.Empty != 200 || s.Outcome != "done" {
				t.Errorf("%d snapshots, %+v", len(snapshots), s)
			}
			break
		}
		if !errors.Is(err, dataset.ErrInterrupted) || len(snapshots) != 0 {
			t.Fatalf("stop %d: %v, %d snapshots", stops, err, len(snapshots))
		}
		stops++
	}
	if stops < 8 {
		t.Errorf("%d stops fired", stops)
	}
	if len(c.count) != 400 {
		t.Errorf("%d images were read, want 400", len(c.count))
	}
	// What was under way at a stop was not kept.
	if again := c.total - len(c.count); again > stops*dataset.DefaultConcurrency {
		t.Errorf("%d reads of images that were read before, in %d stops with %d reads at once", again, stops, dataset.DefaultConcurrency)
	}
}

// What was saved from here, what has another count, and what is too old are read
// again; the rest is shared with the snapshot before.
func TestExportReadsWhatChanged(t *testing.T) {
	b := newBench(t)
	var images, labels []string
	for i := range 1000 {
		images = append(images, fmt.Sprintf("%04d.jpg", i))
		labels = append(labels, images[i]+" car")
	}
	b.images(images...)
	b.sync(b.labels(labels...))
	now := time.Now()
	at := func(o *dataset.Options) { o.Now = func() time.Time { return now } }
	keep := Options{MaxAge: 30 * 24 * time.Hour}
	export := func() Summary {
		t.Helper()
		now = now.Add(24 * time.Hour)
		s, err := b.export(nil, keep, at)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := export(); s.Images.Read != 1000 || s.Shared != 0 {
		t.Errorf("the first: %+v", s)
	}
	if s := export(); s.Images.Read != 0 || s.Requests != 2 || s.Shared != s.Bytes {
		t.Errorf("with nothing changed: %+v", s)
	}
	labels[500] = "0500.jpg truck" // the same count, saved from here
	if s := b.sync(b.labels(labels...), at); s.Images.Saved != 1 {
		t.Fatal(s)
	}
	b.post("0001.jpg", "[]")
	b.post("0002.jpg", theirs)
	s := export()
	if s.Images.Read != 1 || s.Images.Empty != 1 || s.Annotations != 999 {
		t.Errorf("after two changes that show: %+v", s)
	}
	if s.Shared == 0 || s.Shared == s.Bytes {
		t.Errorf("%d of %d bytes are shared", s.Shared, s.Bytes)
	}
	// Each has its turn once between 15 and 30 days after it was read.
	read := 0
	for range 30 {
		s := export()
		if read += s.Images.Read; s.Images.Read > 150 {
			t.Errorf("%d images fell due in one night", s.Images.Read)
		}
	}
	if read < 999 {
		t.Errorf("%d images were read again within 30 days", read)
	}
	// The newest three and no others are left.
	keep.Keep = Retention{Last: 3}
	if s := export(); len(s.Pruned) == 0 {
		t.Errorf("%+v", s)
	}
	all, err := snapshot.List(filepath.Join(b.dir, "backups"), time.Now())
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for _, one := range all {
		if bad, err := snapshot.NewChecker(snapshot.OnDisk).Check(context.Background(), one.Dir); err != nil || len(bad) > 0 {
			t.Error(one.Name, bad, err)
		}
	}
	left, err := os.ReadDir(filepath.Join(b.dir, "backups"))
	if err != nil || len(left) != 4 {
		t.Errorf("%d entries are left, want 3 snapshots and the mark", len(left))
	}
}

// A dataset that was emptied must not push its last good backup out.
func TestExportOfAnEmptiedDatasetTakesNothingAway(t *testing.T) {
	b := newBench(t)
	b.images("a.jpg", "b.jpg")
	b.sync(b.labels("a.jpg car car", "b.jpg car"))
	now := time.Now()
	at := func(o *dataset.Options) { o.Now = func() time.Time { now = now.Add(time.Second); return now } }
	keep := Options{Keep: Retention{Last: 1}}
	if _, err := b.export(nil, keep, at); err != nil {
		t.Fatal(err)
	}
	b.post("a.jpg", "[]")
	s, err := b.export(nil, keep, at)
	if err != nil || s.Annotations != 1 || len(s.Pruned) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A file of an image that the service fails on for ever is missing in the backup, and does not keep
// the others from it.
func TestAFileThatTheServiceFailsOn(t *testing.T) {
	b := newBench(t)
	b.images("a.jpg", "b.jpg", "c.jpg")
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/images/") || !strings.HasSuffix(r.URL.Path, ".jpg") {
			return false
		}
		if strings.HasSuffix(r.URL.Path, "/b.jpg") {
			http.Error(w, "it is broken", http.StatusInternalServerError)
			return true
		}
		fmt.Fprint(w, "the file of ", r.URL.Path)
		return true
	}
	s, err := b.export(nil, Options{Images: true})
	if err != nil || s.Files == nil || s.Files.Downloaded != 2 || s.Files.Failed != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	m, err := snapshot.ReadContents(s.Snapshot)
	if err != nil || len(m.MissingFiles) != 1 || m.MissingFiles[0].Image != "b.jpg" || !strings.Contains(m.MissingFiles[0].Reason, "answers other requests") {
		t.Errorf("%+v, %v", m.MissingFiles, err)
	}
}

// Snapshots without the files of images do not take away the last that has them.
func TestImageFilesOutlivePruning(t *testing.T) {
	for files, want := range map[string]string{ // image files of snapshots, the newest first; what stays of them
		"0030": "0 3",
		"0300": "0 3",
		"0032": "0 3",
		"3020": "3",
		"0000": "0",
	} {
		dir := t.TempDir()
		var all []snapshot.Snapshot
		for n, r := range files {
			taken := time.Date(2026, 3, 9-n, 0, 0, 0, 0, time.UTC)
			s := snapshot.Snapshot{Name: taken.Format(snapshot.SnapshotTime), Taken: taken}
			s.Dir = filepath.Join(dir, s.Name)
			m := snapshot.NewContents(pictograph.Dataset{}, taken)
			m.ImageFiles = int(r - '0')
			if err := errors.Join(os.Mkdir(s.Dir, 0o700), writeJSON(filepath.Join(s.Dir, snapshot.ContentsName), m)); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		pruned, forFiles, err := PruneSnapshots(all, Retention{Last: 1}, false)
		if err != nil {
			t.Fatal(err)
		}
		var stay []string
		for n, s := range all {
			if isThere(s.Dir) {
				stay = append(stay, files[n:n+1])
			}
		}
		if got := strings.Join(stay, " "); got != want || (forFiles != "") != (len(stay) == 2) || len(pruned) != 4-len(stay) {
			t.Errorf("of %s stay %q, pruned %q, kept %q", files, got, pruned, forFiles)
		}
	}
}

func TestRetention(t *testing.T) {
	day := func(s string) time.Time {
		at, err := time.Parse("2006-01-02T15", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	times := []time.Time{day("2026-03-03T12"), day("2026-03-03T02"), day("2026-03-02T02"), day("2026-03-01T02"), day("2026-02-28T02"), day("2026-02-20T02"), day("2026-01-05T02"), day("2025-12-31T02")}
	for rules, want := range map[string]string{
		"all":             "11111111",
		"1":               "10000000",
		"3":               "11100000",
		"daily=2":         "10100000",
		"weekly=2":        "10010000", // Monday 2 March begins a week
		"monthly=3":       "10001010",
		"yearly=5":        "10000001",
		"daily=1,last=2":  "11000000",
		"daily=99,last=1": "10111111",
	} {
		r, err := ParseRetention(rules)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, kept := range r.Keeps(times) {
			got += map[bool]string{true: "1", false: "0"}[kept]
		}
		if got != want {
			t.Errorf("%s keeps %s, want %s", rules, got, want)
		}
	}
	for _, bad := range []string{"", "0", "-1", "daily", "daily=0", "hourly=3", "3,4"} {
		if _, err := ParseRetention(bad); err == nil {
			t.Errorf("%q is taken for rules", bad)
		}
	}
}

// Names that lead elsewhere, or that no file can have, cost no backup and make no file
// outside of it; the backup brings their images back.
func TestExportOfHostileNames(t *testing.T) {
	b := newBench(t)
	long := strings.Repeat("x", 300) + ".jpg"
	names := []string{"../../../evil.jpg", "a/../../b.jpg", long, "same.jpg", "same.png", "plain.jpg"}
	b.images(names...)
	var labels []string
	for n := range names {
		if names[n][0] != '.' && !strings.Contains(names[n], "..") {
			labels = append(labels, names[n]+" car")
		}
	}
	b.sync(b.labels(labels...))
	client, _ := b.client()
	defer client.CloseIdleConnections()
	for page, err := range client.ImagePages(t.Context(), "set", pictograph.ImageFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page {
			if strings.Contains(i.Path(), "..") {
				box := pictograph.Annotation{ID: "1", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 1, W: 2, H: 2}}}
				if _, err := client.BulkSave(t.Context(), []pictograph.ImageSave{{ImageID: i.ID, Annotations: []pictograph.Annotation{box}}}, pictograph.SaveOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s, err := b.export(nil, Options{Formats: []string{"coco", "yolo"}})
	if err != nil || s.Snapshot == "" || s.Kinds["not-taken"] == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	err = filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), "evil") {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	src, err := formats.Open(t.Context(), filepath.Join(b.dir, "backups"), convert.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for item, err := range src.Items(t.Context(), "") {
		if err != nil || item.Err != nil || item.ImageID == "" {
			t.Errorf("%q: %v, %v", item.Image, item.Err, err)
		}
		found++
	}
	if found != len(names) {
		t.Errorf("%d images in the backup, want %d", found, len(names))
	}
}

// A snapshot whose removal was cut short neither counts nor stands in the way.
func TestAHalfRemovedSnapshot(t *testing.T) {
	b := newBench(t)
	b.images("a.jpg")
	b.sync(b.labels("a.jpg car"))
	now := time.Now()
	at := func(o *dataset.Options) { o.Now = func() time.Time { return now } }
	first, err := b.export(nil, Options{}, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(first.Snapshot, snapshot.ContentsName)); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(b.dir, "backups", partialPrefix+"2020-01-01T000000Z")
	if err := os.MkdirAll(filepath.Join(left, "annotations"), 0o700); err != nil {
		t.Fatal(err)
	}
	second, err := b.export(nil, Options{}, at) // of the same second
	if err != nil || second.Snapshot == first.Snapshot || second.Annotations != 1 {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left of one is still there: %v", err)
	}
}

// Files of a backup are private each by itself.
func TestBackupsArePrivate(t *testing.T) {
	b := newBench(t)
	b.images("a.jpg")
	b.sync(b.labels("a.jpg car"))
	s, err := b.export(nil, Options{Formats: []string{"coco", "yolo"}})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(s.Snapshot, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
