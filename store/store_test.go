package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// listed is a state with one dataset that holds the given images.
func listed(t *testing.T, s *Store, paths ...string) Dataset {
	t.Helper()
	ctx := context.Background()
	d, err := s.PutDataset(ctx, "sandbox", "d-1", "shapes")
	check(t, err)
	l, err := s.StartListing(ctx, d)
	check(t, err)
	var images []Image
	for _, p := range paths {
		images = append(images, Image{ID: "id-" + p, Path: p, Width: 10, Height: 20, AnnotationCount: 3})
	}
	check(t, l.Add(ctx, images))
	endListing(t, l)
	return d
}

func endListing(t testing.TB, l *Listing) {
	t.Helper()
	_, err := l.End(context.Background(), noon, 0)
	check(t, err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pathsOf(images []Image) string {
	var out []string
	for _, i := range images {
		out = append(out, i.Path)
	}
	return strings.Join(out, " ")
}

func TestStateIsPrivateWhateverItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new folder", "state 100%#?&.db")
	s, err := Open(context.Background(), path)
	check(t, err)
	listed(t, s, "a.jpg")
	for _, file := range []string{path, path + "-wal"} {
		info, err := os.Stat(file)
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", file, info.Mode().Perm())
		}
	}
	check(t, s.Close())
	if s, err = Open(context.Background(), path); err != nil {
		t.Fatalf("open a second time: %v", err)
	}
	s.Close()
}

func TestOpenRefusesWhatIsNoState(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	check(t, os.WriteFile(text, []byte(strings.Repeat("this is no database. ", 400)), 0o600))
	newer := filepath.Join(dir, "newer.db")
	s, err := Open(context.Background(), newer)
	check(t, err)
	_, err = s.writer.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
	check(t, err)
	s.Close()

	if _, err := Open(context.Background(), text); err == nil || !strings.Contains(err.Error(), "--state") {
		t.Errorf("a text file: got %v, want an error that names --state", err)
	}
	if _, err := Open(context.Background(), newer); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer schema: got %v, want ErrNewer", err)
	}
}

func TestLookUps(t *testing.T) {
	s := open(t)
	d := listed(t, s, "a.jpg", "train/a.jpg", "train/a.png", "train/a.b.jpg", "train/a/c.jpg", "val/x'y%.jpg", "só.jpg")
	ctx := context.Background()
	byPath := func(p ...string) ([]Image, error) { return s.ImagesByPath(ctx, d, p) }
	for _, test := range []struct {
		name string
		look func() ([]Image, error)
		want string
	}{
		{"path", func() ([]Image, error) { return byPath("train/a.jpg", "nowhere.jpg") }, "train/a.jpg"},
		{"path with quotes", func() ([]Image, error) { return byPath("val/x'y%.jpg") }, "val/x'y%.jpg"},
		{"path stem stops at the dot", func() ([]Image, error) { return s.ImagesByPathStem(ctx, d, "train/a") }, "train/a.jpg train/a.png"},
		{"path stem with a dot", func() ([]Image, error) { return s.ImagesByPathStem(ctx, d, "train/a.b") }, "train/a.b.jpg"},
		{"stem in any folder", func() ([]Image, error) { return named(ctx, s, d, "a") }, "a.jpg train/a.jpg train/a.png"},
		{"stem beyond ASCII", func() ([]Image, error) { return named(ctx, s, d, "só") }, "só.jpg"},
		{"stem is no suffix", func() ([]Image, error) { return named(ctx, s, d, "y%") }, ""},
		{"stem in a folder", func() ([]Image, error) { return named(ctx, s, d, "c") }, "train/a/c.jpg"},
		{"id", func() ([]Image, error) { return s.ImagesByID(ctx, d, []string{"id-a.jpg"}) }, "a.jpg"},
	} {
		got, err := test.look()
		check(t, err)
		if pathsOf(got) != test.want {
			t.Errorf("%s: got %q, want %q", test.name, pathsOf(got), test.want)
		}
	}
}

func TestListingForgetsWhatItDoesNotShow(t *testing.T) {
	s := open(t)
	listed(t, s, "a.jpg", "b.jpg")
	d := listed(t, s, "b.jpg")
	got, err := s.ImagesByPath(context.Background(), d, []string{"a.jpg", "b.jpg"})
	check(t, err)
	if pathsOf(got) != "b.jpg" {
		t.Errorf("after a listing that shows b.jpg alone the state has %q", pathsOf(got))
	}
}

// planned opens a run with the images planned as pending, in order.
func planned(t *testing.T, s *Store, d Dataset, images ...string) Run {
	t.Helper()
	ctx := context.Background()
	run, _, err := s.OpenRun(ctx, d, "sync", "/labels", noon)
	check(t, err)
	_, err = s.RestartPlan(ctx, run.ID, "coco", "")
	check(t, err)
	var chunk PlanChunk
	for n, i := range images {
		chunk.Items = append(chunk.Items, Item{Seq: int64(n + 1), Image: i, ImageID: "id-" + i, Path: i, Plan: PlanOverwrite, Outcome: ItemPending, Hash: hashOf(i), Count: 2, ListedCount: 3})
	}
	check(t, s.AddPlan(ctx, run.ID, chunk))
	return run
}

// openPlanned is a new state with the images of a dataset, all of them planned.
func openPlanned(t *testing.T, images ...string) (*Store, Dataset, Run) {
	t.Helper()
	s := open(t)
	d := listed(t, s, images...)
	return s, d, planned(t, s, d, images...)
}

func hashOf(s string) Hash { return sha256.Sum256([]byte(s)) }

// Images that a run cleared for having left the source count for a week, also where its plan was
// made anew since, and their run is not forgotten meanwhile.
func TestClearedImagesCountForAWeek(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg")
	gone := Item{Seq: 2, Image: "b.jpg", ImageID: "id-b.jpg", Path: "b.jpg", Plan: PlanClear, Outcome: ItemCleared, Pruned: true}
	cleared := func(want int) {
		t.Helper()
		if n, err := s.ClearedSince(ctx, d, noon.Add(-time.Hour)); err != nil || n != want {
			t.Errorf("%d were cleared, %v; want %d", n, err, want)
		}
	}
	check(t, s.AddPlan(ctx, run.ID, PlanChunk{Items: []Item{gone}}))
	cleared(1)
	for range 2 {
		_, err := s.RestartPlan(ctx, run.ID, "coco", "")
		check(t, err)
		cleared(1)
	}
	check(t, s.leave(ctx, run.ID, Done, 0, 0, noon))
	cleared(1)
	planned(t, s, d, "a.jpg")
	if c, err := s.Collect(ctx, noon.Add(time.Hour), 0, false); err != nil || c.Runs != 0 {
		t.Errorf("%d runs were forgotten, %v", c.Runs, err)
	}
	if c, err := s.Collect(ctx, noon.Add(PruneSpan+time.Hour), 0, false); err != nil || c.Runs != 1 {
		t.Errorf("%d runs were forgotten after a week, %v", c.Runs, err)
	}
}

func TestTwoLabelsForOneImageAreBothLeftAlone(t *testing.T) {
	s, _, run := openPlanned(t, "a.jpg", "b.jpg")
	second := Item{Seq: 3, Image: "other/a.jpg", ImageID: "id-a.jpg", Path: "a.jpg", Plan: PlanOverwrite, Outcome: ItemPending}
	check(t, s.AddPlan(context.Background(), run.ID, PlanChunk{Items: []Item{second}}))
	pending, err := s.Pending(context.Background(), run.ID, 0, 10)
	check(t, err)
	if len(pending) != 1 || pending[0].Image != "b.jpg" {
		t.Fatalf("pending: %+v, want b.jpg alone", pending)
	}
	for r, err := range s.Records(context.Background(), run.ID, ItemFailed) {
		check(t, err)
		if r.Plan != PlanAmbiguous || !strings.Contains(r.Reason, "a.jpg") {
			t.Errorf("%s: plan %s, reason %q", r.Image, r.Plan, r.Reason)
		}
	}
}

// leave sums a run up and leaves it.
func (s *Store) leave(ctx context.Context, run string, o Outcome, requests int, worked time.Duration, now time.Time) error {
	totals, err := s.Totals(ctx, run)
	if err != nil {
		return err
	}
	return s.RecordOutcome(ctx, run, totals, o, "", requests, worked, now)
}

// batchOf are images as planned puts them into a plan: a.jpg is the first, b.jpg the second.
func batchOf(images ...string) (out []BatchImage) {
	for _, i := range images {
		out = append(out, BatchImage{Item: int64(i[0]-'a') + 1, ImageID: "id-" + i, Hash: hashOf(i), Count: 2, ListedCount: 3})
	}
	return out
}

func TestBatchOutlivesItsProcess(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(ctx, path)
	check(t, err)
	d := listed(t, s, "a.jpg", "b.jpg")
	run := planned(t, s, d, "a.jpg", "b.jpg")
	sent, err := s.commit(ctx, run.ID, "account", []byte(`{"saves":[]}`), batchOf("a.jpg", "b.jpg"), noon)
	check(t, err)
	s.Close()

	if s, err = Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	resumed, again, err := s.OpenRun(ctx, d, "sync", "/labels", noon)
	check(t, err)
	if !again || resumed.ID != run.ID || resumed.Starts != 2 {
		t.Errorf("resumed %v run %s start %d, want the second start of %s", again, resumed.ID, resumed.Starts, run.ID)
	}
	found, err := s.OpenBatches(ctx, d)
	check(t, err)
	if len(found) != 1 || found[0].Key != sent.Key || string(found[0].Body) != string(sent.Body) || len(found[0].Images) != 2 || !reflect.DeepEqual(found[0].Images[1], sent.Images[1]) {
		t.Fatalf("in flight: %+v, want %+v", found, sent)
	}
	check(t, s.EndBatch(ctx, d, found[0], []Answer{{Previous: 7, New: 2}, {Error: "no such image"}}, nil, noon.Add(time.Minute)))
	if found, err = s.OpenBatches(ctx, d); err != nil || len(found) != 0 {
		t.Errorf("after the answer %d batches are in flight, error %v", len(found), err)
	}
	totals, err := s.Totals(ctx, run.ID)
	check(t, err)
	if totals.Outcome[ItemSaved] != 1 || totals.Outcome[ItemFailed] != 1 || totals.Previous != 7 || totals.New != 2 {
		t.Errorf("totals %+v", totals)
	}
}

func TestCountsSayWhetherTheyAreFirstHand(t *testing.T) {
	for _, test := range []struct {
		after     time.Duration
		firstHand bool
		previous  int
	}{
		{KeyLifetime - time.Second, true, 2},
		// The service has forgotten the key: it executed the save again, and its
		// previous count is what the first execution left behind.
		{KeyLifetime, false, 3},
	} {
		s := open(t)
		ctx := context.Background()
		d := listed(t, s, "a.jpg")
		run := planned(t, s, d, "a.jpg")
		b, err := s.commit(ctx, run.ID, "account", nil, batchOf("a.jpg"), noon)
		check(t, err)
		check(t, s.EndBatch(ctx, d, b, []Answer{{Previous: 2, New: 2}}, nil, noon.Add(test.after)))
		for r, err := range s.Records(ctx, run.ID, "") {
			check(t, err)
			if r.Previous == nil || *r.Previous != test.previous || *r.FirstHand != test.firstHand {
				t.Errorf("after %s: %+v", test.after, r)
			}
		}
	}
}

// How many annotations an image has is what was saved on it until a listing shows
// another number, and then what that shows, also where it is the old one.
func TestAListingOverrulesASave(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg")
	list := func(count int) {
		t.Helper()
		l, err := s.StartListing(ctx, d)
		check(t, err)
		check(t, l.Add(ctx, []Image{{ID: "id-a.jpg", Path: "a.jpg", Width: 10, Height: 20, AnnotationCount: count}}))
		endListing(t, l)
	}
	want := func(count int) {
		t.Helper()
		images, err := s.ImagesByPath(ctx, d, []string{"a.jpg"})
		check(t, err)
		if images[0].AnnotationCount != count || images[0].Saved == nil || images[0].Saved.Count != 2 {
			t.Errorf("%+v, of which 2 were saved: want %d annotations", images[0], count)
		}
	}
	b, err := s.commit(ctx, run.ID, "account", nil, batchOf("a.jpg"), noon)
	check(t, err)
	check(t, s.EndBatch(ctx, d, b, []Answer{{Previous: 3, New: 2}}, nil, noon))
	want(2)
	list(2)
	want(2)
	list(3) // as it was before the save
	want(3)
	list(2)
	want(2)
}

// What another process saves while a listing is made is newer than what that shows.
func TestASaveDuringAListingStands(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg")
	l, err := s.StartListing(ctx, d)
	check(t, err)
	b, err := s.commit(ctx, run.ID, "account", nil, batchOf("a.jpg"), noon)
	check(t, err)
	check(t, s.EndBatch(ctx, d, b, []Answer{{Previous: 3, New: 2}}, nil, noon))
	check(t, l.Add(ctx, []Image{{ID: "id-a.jpg", Path: "a.jpg", Width: 10, Height: 20, AnnotationCount: 3}}))
	endListing(t, l)
	images, err := s.ImagesByPath(ctx, d, []string{"a.jpg"})
	check(t, err)
	if images[0].AnnotationCount != 2 {
		t.Errorf("the image counts as one of %d annotations", images[0].AnnotationCount)
	}
}

func TestADamagedRecordCountsAsNeverSaved(t *testing.T) {
	ctx := context.Background()
	for _, damage := range []string{
		`saved_hash = zeroblob(32)`, `saved_count = saved_count + 1`, `saved_sum = x''`, `saved_run = 'x'`,
	} {
		s, d, run := openPlanned(t, "a.jpg")
		b, err := s.commit(ctx, run.ID, "account", nil, batchOf("a.jpg"), noon)
		check(t, err)
		check(t, s.EndBatch(ctx, d, b, []Answer{{Previous: 3, New: 2}}, nil, noon))
		images, err := s.ImagesByPath(ctx, d, []string{"a.jpg"})
		check(t, err)
		if images[0].Saved == nil || images[0].Saved.Hash != hashOf("a.jpg") || images[0].AnnotationCount != 2 {
			t.Fatalf("after the save: %+v", images[0])
		}
		_, err = s.writer.Exec(`UPDATE saves SET ` + damage)
		check(t, err)
		images, err = s.ImagesByPath(ctx, d, []string{"a.jpg"})
		check(t, err)
		if images[0].Saved != nil {
			t.Errorf("with %s the image still counts as saved", damage)
		}
	}
}

func TestSplitBatchesHaveKeysOfTheirOwn(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	d := listed(t, s, "a.jpg", "b.jpg")
	run := planned(t, s, d, "a.jpg", "b.jpg")
	whole, err := s.commit(ctx, run.ID, "account", []byte("whole"), batchOf("a.jpg", "b.jpg"), noon)
	check(t, err)
	parts, err := s.SplitBatch(ctx, whole, []Batch{{Body: []byte("left"), Images: batchOf("a.jpg")}, {Body: []byte("right"), Images: batchOf("b.jpg")}}, noon)
	check(t, err)
	if len(parts) != 2 || parts[0].Key == parts[1].Key || parts[0].Key == whole.Key {
		t.Fatalf("parts %+v of %+v", parts, whole)
	}
	found, err := s.OpenBatches(ctx, d)
	check(t, err)
	if len(found) != 2 || string(found[0].Body) != "left" || string(found[1].Body) != "right" {
		t.Errorf("in flight after the split: %+v", found)
	}
}

func TestRunsEndOrStayOpen(t *testing.T) {
	for outcome, ends := range map[Outcome]bool{Done: true, WithFailures: true, Refused: true, Interrupted: false, Stopped: false} {
		s := open(t)
		ctx := context.Background()
		d := listed(t, s, "a.jpg")
		run, _, err := s.OpenRun(ctx, d, "sync", "/labels", noon)
		check(t, err)
		check(t, s.leave(ctx, run.ID, outcome, 5, time.Second, noon))
		_, resumed, err := s.OpenRun(ctx, d, "sync", "/labels", noon)
		check(t, err)
		if resumed == ends {
			t.Errorf("a run left as %q: resumed %v", outcome, resumed)
		}
	}
}

func TestFindRunByPartOfItsID(t *testing.T) {
	s := open(t)
	d := listed(t, s, "a.jpg")
	run := planned(t, s, d)
	other, _, err := s.OpenRun(context.Background(), d, "sync", "/other", noon)
	check(t, err)
	for _, id := range []string{run.ID, run.ID[len(run.ID)-6:]} {
		if found, err := s.FindRun(context.Background(), id); err != nil || found.ID != run.ID {
			t.Errorf("FindRun(%s) = %s, %v", id, found.ID, err)
		}
	}
	if _, err := s.FindRun(context.Background(), "nothing"); !errors.Is(err, ErrNoRun) {
		t.Errorf("an unknown id: %v", err)
	}
	if run.ID[:3] == other.ID[:3] {
		if _, err := s.FindRun(context.Background(), run.ID[:3]); err == nil || errors.Is(err, ErrNoRun) {
			t.Errorf("an ambiguous id: %v", err)
		}
	}
}

func TestRequestsOfTheLastHour(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	for _, at := range []time.Duration{-2 * time.Hour, -30 * time.Minute, -30 * time.Minute, 0} {
		check(t, s.AddRequest(ctx, "mine", noon.Add(at), true))
	}
	check(t, s.AddRequest(ctx, "another's", noon, true))
	sent, err := s.Requests(ctx, "mine", noon)
	check(t, err)
	if len(sent) != 2 || sent[0].N != 2 || !sent[0].At.Equal(noon.Add(-30*time.Minute)) || sent[1].N != 1 {
		t.Errorf("requests of the last hour: %+v", sent)
	}
}

// A batch is committed with the request that sends it. What a killed process left in
// flight counts as sent at the latest time that can be.
func TestRequestsOfBatches(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg")
	want := func(what string, now time.Time, want ...Sent) {
		t.Helper()
		sent, err := s.Requests(ctx, "account", now)
		check(t, err)
		sent = slices.DeleteFunc(sent, func(s Sent) bool { return s.N == 0 })
		if !slices.EqualFunc(sent, want, func(a, b Sent) bool { return a.At.Equal(b.At) && a.N == b.N }) {
			t.Errorf("%s: %v, want %v", what, sent, want)
		}
	}
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	add := func(image string) Batch {
		t.Helper()
		b, err := s.commit(ctx, run.ID, "account", []byte("body"), batchOf(image), noon)
		check(t, err)
		return b
	}
	answer := []Answer{{New: 2}}

	b := add("a.jpg")
	want("in flight", at(50), Sent{noon, 1}, Sent{at(50), 1})
	b.SentAt = noon.Add(300 * time.Millisecond)
	check(t, s.EndBatch(ctx, d, b, answer, nil, at(50)))
	want("sent at once", at(51), Sent{noon, 1})

	b = add("b.jpg")
	b.SentAt = at(40)
	check(t, s.EndBatch(ctx, d, b, answer, nil, at(60)))
	want("sent later", at(61), Sent{noon, 1}, Sent{at(40), 1})

	check(t, s.WithdrawBatch(ctx, add("a.jpg")))
	want("withdrawn", at(62), Sent{noon, 1}, Sent{at(40), 1})

	add("a.jpg")
	found, err := s.OpenBatches(ctx, d)
	check(t, err)
	found[0].Account = "account"
	check(t, s.EndBatch(ctx, d, found[0], answer, nil, at(70)))
	want("sent by a process that did not say when", at(71), Sent{noon, 1}, Sent{at(40), 1}, Sent{at(70), 1})

	whole, err := s.commit(ctx, run.ID, "account", []byte("whole"), batchOf("a.jpg", "b.jpg"), at(70))
	check(t, err)
	whole.SentAt = at(70)
	parts, err := s.SplitBatch(ctx, whole, []Batch{{Body: []byte("left"), Images: batchOf("a.jpg")}, {Body: []byte("right"), Images: batchOf("b.jpg")}}, at(80))
	check(t, err)
	for _, part := range parts {
		part.SentAt = at(80)
		check(t, s.EndBatch(ctx, d, part, answer, nil, at(80)))
	}
	want("refused and split", at(81), Sent{noon, 1}, Sent{at(40), 1}, Sent{at(70), 2}, Sent{at(80), 2})
}

// The label that comes second is found wherever the first is, in the same part or in one
// before, and in whatever order labels come; one that comes third is told of the first.
func TestSecondLabelsAreFoundWhereverTheyAre(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	var paths []string
	for i := range 120 {
		paths = append(paths, fmt.Sprintf("%03d.jpg", i))
	}
	d := listed(t, s, paths...)
	run := planned(t, s, d)
	backwards := slices.Clone(paths)
	slices.Reverse(backwards)
	seq := 0
	for _, images := range [][]string{append(backwards[:100:100], "119.jpg", "020.jpg"), append(backwards[100:], "000.jpg", "119.jpg", "060.jpg")} {
		var chunk PlanChunk
		for _, p := range images {
			seq++
			chunk.Items = append(chunk.Items, Item{Seq: int64(seq), Image: fmt.Sprintf("label %d", seq), ImageID: "id-" + p, Path: p, Plan: PlanNew, Outcome: ItemPending, Hash: hashOf(p)})
		}
		check(t, s.AddPlan(ctx, run.ID, chunk))
	}
	reasons := map[string]string{
		"label 1": "label 124", "label 101": "label 1", "label 124": "label 1", // 119.jpg
		"label 100": "label 102", "label 102": "label 100", // 020.jpg
		"label 122": "label 123", "label 123": "label 122", // 000.jpg
		"label 60": "label 125", "label 125": "label 60", // 060.jpg
	}
	n := 0
	for i, err := range s.Items(ctx, run.ID) {
		check(t, err)
		n++
		other, second := reasons[i.Image]
		if (i.Plan == PlanAmbiguous) != second || second && (i.Outcome != ItemFailed || !strings.HasPrefix(i.Reason, other+" names the same image of the dataset ("+i.Path+")")) {
			t.Errorf("%s of %s is planned as %s, %s: %s", i.Image, i.Path, i.Plan, i.Outcome, i.Reason)
		}
	}
	if n != 125 {
		t.Errorf("%d items are on record, want 125", n)
	}
}

// A state that was just made is written as safely as one that was there.
func TestANewStateIsAsSafeAsAnOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for _, what := range []string{"new", "old"} {
		s, err := Open(context.Background(), path)
		check(t, err)
		var mode string
		var synchronous int
		check(t, s.writer.QueryRow("PRAGMA journal_mode").Scan(&mode))
		check(t, s.writer.QueryRow("PRAGMA synchronous").Scan(&synchronous))
		if normal := 1; mode != "wal" || synchronous != normal {
			t.Errorf("a state that is %s has a journal of mode %s and synchronous = %d", what, mode, synchronous)
		}
		check(t, s.Close())
	}
}
