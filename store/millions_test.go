package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A listing of any order brings the state to what it shows, and forgets the
// rest, whatever the listing before showed.
func TestListingsInAnyOrder(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	var n int
	rapid.Check(t, func(t *rapid.T) {
		n++
		d, err := s.PutDataset(ctx, "sandbox", fmt.Sprint("d-", n), "shapes")
		if err != nil {
			t.Fatal(err)
		}
		refs := make(map[string]int64) // of what stays
		for range rapid.IntRange(1, 5).Draw(t, "listings") {
			ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 0, 40, rapid.ID[int]).Draw(t, "ids")
			if rapid.Bool().Draw(t, "sorted") {
				slices.Sort(ids)
			}
			var images []Image
			for _, id := range ids {
				images = append(images, Image{ID: fmt.Sprint("i-", id), Path: fmt.Sprintf("%s/%d%s.jpg", rapid.SampledFrom([]string{"dir", "other"}).Draw(t, "dir"), id, rapid.SampledFrom([]string{"", "b"}).Draw(t, "name")), Width: 1, Height: 2,
					AnnotationCount: rapid.IntRange(0, 1).Draw(t, "annotations"), Meta: []byte(rapid.SampledFrom([]string{"", "{}"}).Draw(t, "meta"))})
			}
			l, err := s.StartListing(ctx, d)
			if err != nil {
				t.Fatal(err)
			}
			again := rapid.Bool().Draw(t, "again")         // as when images came meanwhile
			killed := rapid.IntRange(0, 3).Draw(t, "ends") // at which page; 0 comes to its end
			var last []Image
			for page := range slices.Chunk(images, rapid.IntRange(1, 15).Draw(t, "page")) {
				if err := l.Add(ctx, slices.Concat(last, page)); err != nil {
					t.Fatal(err)
				}
				if again {
					last = page[len(page)-1:]
				}
				if killed--; killed == 0 {
					break
				}
			}
			if l.Leave(); killed == 0 {
				continue
			}
			if err := l.End(ctx, noon, true); err != nil {
				t.Fatal(err)
			}
			var there int
			if err := s.reader.QueryRow(`SELECT count(*) FROM images WHERE dataset = ?`, d.Ref).Scan(&there); err != nil || there != len(images) {
				t.Fatalf("%d images are known after a listing of %d, %v", there, len(images), err)
			}
			now := make(map[string]int64)
			for _, want := range images {
				got, err := s.ImagesByID(ctx, d, []string{want.ID})
				if err != nil || len(got) != 1 || got[0].Path != want.Path || got[0].AnnotationCount != want.AnnotationCount {
					t.Fatalf("%+v is known as %+v, %v", want, got, err)
				}
				if ref, stayed := refs[want.ID]; stayed && ref != got[0].Ref {
					t.Fatalf("%s had the number %d and has %d", want.ID, ref, got[0].Ref)
				}
				now[want.ID] = got[0].Ref
				for by, look := range map[string]func() ([]Image, error){
					"path": func() ([]Image, error) { return s.ImagesByPath(ctx, d, []string{want.Path}) },
					"name": func() ([]Image, error) { return named(ctx, s, d, Stem(want.Path)) },
					"stem": func() ([]Image, error) { return s.ImagesByPathStem(ctx, d, strings.TrimSuffix(want.Path, ".jpg")) },
				} {
					if found, err := look(); err != nil || len(found) != 1 || found[0].ID != want.ID {
						t.Fatalf("%+v is found by its %s as %+v, %v", want, by, found, err)
					}
				}
			}
			var byID, byPath, byStem int
			if err := s.reader.QueryRow(`SELECT (SELECT count(*) FROM image_ids WHERE dataset = ?1), (SELECT count(*) FROM image_paths WHERE dataset = ?1), (SELECT count(*) FROM image_stems WHERE dataset = ?1)`, d.Ref).
				Scan(&byID, &byPath, &byStem); err != nil || byID != len(images) || byPath != byID || byStem != byID {
				t.Fatalf("%d images are found by %d ids, %d paths and %d stems, %v", len(images), byID, byPath, byStem, err)
			}
			refs = now
		}
	})
}

// named are the images of a file name without extension.
func named(ctx context.Context, s *Store, d Dataset, stem string) ([]Image, error) {
	var refs []int64
	for name, err := range s.NamesByStem(ctx, d, stem) {
		if err != nil {
			return nil, err
		}
		refs = append(refs, name.Ref)
	}
	return s.ImagesByRef(ctx, refs)
}

// An unchanged dataset is read and not written.
func TestUnchangedListingWritesNothing(t *testing.T) {
	s := open(t)
	listed(t, s, "a.jpg", "b.jpg", "c.jpg")
	var before, after int
	check(t, s.writer.QueryRow(`SELECT total_changes()`).Scan(&before))
	listed(t, s, "a.jpg", "b.jpg", "c.jpg")
	check(t, s.writer.QueryRow(`SELECT total_changes()`).Scan(&after))
	if written := after - before; written != 2 { // the dataset's name and when it was listed
		t.Errorf("%d rows were written for a listing that shows nothing new, want 2", written)
	}
}

// The unchanged items of a run are let go when the next one has ended, and count
// as before.
func TestUnchangedItemsAreLetGo(t *testing.T) {
	s := open(t)
	ctx := context.Background()
	d := listed(t, s, "a.jpg", "b.jpg", "c.jpg")
	night := func() Run {
		run, _, err := s.OpenRun(ctx, d, "sync", "/labels", noon)
		check(t, err)
		check(t, s.RestartPlan(ctx, run.ID, "coco", ""))
		check(t, s.AddPlan(ctx, run.ID, PlanPart{Items: []Item{
			{Seq: 1, Image: "a.jpg", ImageID: "id-a.jpg", Path: "a.jpg", Plan: PlanUnchanged, Outcome: ItemUnchanged},
			{Seq: 2, Image: "b.jpg", ImageID: "id-b.jpg", Path: "b.jpg", Plan: PlanNew, Outcome: ItemSaved},
			{Seq: 3, Image: "c.jpg", Plan: PlanFailed, Outcome: ItemFailed},
		}, Findings: []Finding{{Seq: 3, Kind: "odd"}}}))
		check(t, s.LeaveRun(ctx, run.ID, WithFailures, "", 1, time.Second, noon))
		check(t, s.Thin(ctx, run.ID))
		return run
	}
	first := night()
	whole, err := s.Totals(ctx, first.ID)
	check(t, err)
	second := night()
	for run, want := range map[string]int{first.ID: 2, second.ID: 3} {
		n := 0
		for _, err := range s.Items(ctx, run) {
			check(t, err)
			n++
		}
		if n != want {
			t.Errorf("%d items are on record, want %d", n, want)
		}
		if totals, err := s.Totals(ctx, run); err != nil || fmt.Sprint(totals) != fmt.Sprint(whole) || totals.Found != 3 || totals.Outcome[ItemUnchanged] != 1 || totals.Kinds["odd"] != 1 {
			t.Errorf("totals %+v, %v; were %+v", totals, err, whole)
		}
	}
	if found, err := s.LastFound(ctx, d, Run{ID: "another", Source: "/labels"}); err != nil || found != 3 {
		t.Errorf("the last run found %d, %v", found, err)
	}
}

// stateOfBefore is an empty state of a version of before, and where it is.
func stateOfBefore(t *testing.T, version int64) (file string, db *sql.DB) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite3", dsn(file, "rwc"))
	check(t, err)
	provider, err := migrator(db)
	check(t, err)
	_, err = provider.UpTo(context.Background(), version)
	check(t, err)
	return file, db
}

// A state of before knows what its runs did: also to images that are gone since, by
// plans that were made anew, and in batches that were refused or are on their way.
func TestRunsOfBeforeAreTakenOver(t *testing.T) {
	ctx := context.Background()
	file, db := stateOfBefore(t, 10)
	hash, other := hashOf("a"), hashOf("b")
	blob := func(b []byte) string { return fmt.Sprintf("x'%x'", b) }
	_, err := db.Exec(strings.NewReplacer("HASH", blob(hash[:]), "OTHER", blob(other[:]), "SUM", blob(savedSum("id-a", Saved{Hash: hash, Count: 2, Run: "r-1"}))).Replace(`INSERT INTO datasets (id, service, dataset_id, name) VALUES (3, 'sandbox', 'd-0', 'other'), (7, 'sandbox', 'd-1', 'shapes');
		INSERT INTO images (ref, dataset, image_id, path, stem, width, height, annotation_count, saved_hash, saved_count, saved_at, saved_run, saved_sum, source) VALUES
			(2, 7, 'id-b', 'b.jpg', 'b', 1, 1, 3, NULL, NULL, NULL, NULL, NULL, 5), (4, 3, 'id-a', 'a.jpg', 'a', 1, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL),
			(5, 7, 'id-a', 'a.jpg', 'a', 1, 1, 9, HASH, 2, 1, 'r-1', SUM, 5), (6, 7, 'id-c', 'c.jpg', 'c', 1, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL);
		INSERT INTO sources (id, name) VALUES (5, '/labels');
		INSERT INTO runs (id, dataset, kind, source, phase, started_at, ended_at, outcome, claims) VALUES
			('r-2', 3, 'sync', '/labels', 'ended', 9, 10, 'done', 5), ('r-1', 7, 'sync', '/labels', 'ended', 1, 5, 'failures', 5), ('r-3', 7, 'sync', '/labels', 'saving', 20, NULL, '', 5);
		INSERT INTO items (run, seq, image, after, image_id, path, plan, outcome, hash, count, listed_count, reason, image_ref) VALUES
			('r-1', 1, 'a.jpg', '', 'id-a', 'a.jpg', 'overwrite', 'saved', HASH, 2, 1, '', 5),
			('r-1', 2, 'gone.jpg', '', 'id-gone', 'gone.jpg', 'clear', 'cleared', HASH, 0, 4, '', 3),
			('r-1', 3, 'b.jpg', '', 'id-b', 'b.jpg', 'new', 'failed', HASH, 1, 0, 'the service did not save it', 2),
			('r-1', 4, 'no.jpg', '', '', '', 'unmatched', 'unmatched', NULL, 0, 0, 'no such image', 0),
			('r-3', 1, 'c.jpg', '', 'id-c', 'c.jpg', 'new', 'pending', OTHER, 1, 0, '', 6);
		INSERT INTO batches (id, run, key, body, state, first_sent_at) VALUES (2, 'r-1', 'r-1-2', NULL, 'done', 1), (3, 'r-1', 'r-1-3', NULL, 'split', 1),
			(4, 'r-1', 'r-1-4', NULL, 'done', 1), (5, 'r-1', 'r-1-5', NULL, 'done', 1), (8, 'r-3', 'r-3-8', x'7b7d', 'open', 21), (9, 'r-3', 'r-3-9', NULL, 'open', 21);
		INSERT INTO batch_images (batch, position, image_id, hash, count, listed_count, previous_count, new_count, first_hand, error, item) VALUES
			(2, 0, 'id-a', OTHER, 7, 1, 1, 7, 1, '', 1), -- the labels changed, and the plan was made anew
			(3, 0, 'id-a', HASH, 2, 7, 7, 2, 1, '', 1), (3, 1, 'id-gone', HASH, 0, 4, 4, 0, 1, '', 2), (3, 2, 'id-b', HASH, 1, 0, 0, 1, 1, '', 3),
			(4, 0, 'id-a', HASH, 2, 7, 6, 2, 0, '', 1), (5, 0, 'id-gone', HASH, 0, 4, 4, 0, 1, '', 0), (5, 1, 'id-b', HASH, 1, 0, NULL, NULL, 1, 'the service did not save it', 3),
			(8, 0, 'id-c', OTHER, 1, 0, 0, 1, 1, '', 1);
		DELETE FROM batches WHERE id = 9`))
	check(t, err)
	check(t, db.Close())

	if !Outdated(ctx, file) {
		t.Error("a state of before is not said to be one")
	}
	s, err := Open(ctx, file)
	check(t, err)
	defer s.Close()
	d := Dataset{Ref: 7, Service: "sandbox", ID: "d-1", Name: "shapes"}
	var records []string
	for r, err := range s.Records(ctx, "r-1", "") {
		check(t, err)
		line := fmt.Sprint(r.Image, " ", r.Outcome, " ", r.Reason)
		if r.New != nil {
			line += fmt.Sprint(*r.Previous, "→", *r.New, " ", *r.FirstHand)
		}
		records = append(records, line)
	}
	if want := []string{"a.jpg saved 6→2 false", "gone.jpg cleared 4→0 true", "b.jpg failed the service did not save it", "no.jpg unmatched no such image"}; !slices.Equal(records, want) {
		t.Errorf("records\n%q, want\n%q", records, want)
	}
	totals, err := s.Totals(ctx, "r-1")
	if check(t, err); totals.Previous != 1+6+4 || totals.New != 7+2 || totals.Outcome[ItemSaved] != 1 || totals.Outcome[ItemCleared] != 1 || totals.Outcome[ItemFailed] != 1 {
		t.Errorf("totals %+v", totals)
	}
	var touched []Touched
	for i, err := range s.Touched(ctx, "r-1", "") {
		check(t, err)
		touched = append(touched, i)
	}
	if want := []Touched{{ImageRef: 5, ImageID: "id-a", Path: "a.jpg", Previous: 1, Saved: true}}; !slices.Equal(touched, want) {
		t.Errorf("the run touched %+v, want %+v", touched, want)
	}
	images, err := s.ImagesByID(ctx, d, []string{"id-a", "id-b", "id-gone"})
	check(t, err)
	if len(images) != 2 || images[0].Ref != 5 || images[0].Saved == nil || images[0].AnnotationCount != 9 || images[0].Source != 5 || images[1].Saved != nil {
		t.Fatalf("images %+v", images)
	}
	if left, _, ok, err := s.LeftBy(ctx, "r-1", images[0]); err != nil || !ok || left != hash {
		t.Errorf("the run left %x, %v, %v", left, ok, err)
	}

	open, err := s.OpenBatches(ctx, d)
	check(t, err)
	if len(open) != 1 || open[0].Key != "r-3-8" || len(open[0].Images) != 1 || open[0].Images[0].ImageRef != 6 {
		t.Fatalf("in flight: %+v", open)
	}
	check(t, s.EndBatch(ctx, d, open[0], []Answer{{Previous: 0, New: 1}}, noon))
	if images, err = s.ImagesByPath(ctx, d, []string{"c.jpg"}); err != nil || images[0].Saved == nil || images[0].Saved.Run != "r-3" || images[0].AnnotationCount != 1 {
		t.Errorf("after the answer: %+v, %v", images, err)
	}
	b, err := s.commit(ctx, "r-3", "account", nil, []BatchImage{{Item: 1, ImageID: "id-c", Hash: other, Count: 1}}, noon)
	if check(t, err); !strings.HasPrefix(b.Key, "r-3-10-") {
		t.Errorf("the next batch is %s; a number that was used, also of a batch that is gone, is not used again", b.Key)
	}
	if check(t, s.Close()); Outdated(ctx, file) {
		t.Error("a state of today is said to be of before")
	}
}

// A state of before keeps its images, what was saved on them and what was read
// of them.
func TestStateOfBeforeIsTakenOver(t *testing.T) {
	ctx := context.Background()
	file, db := stateOfBefore(t, 6)
	hash := hashOf("a")
	saved := Saved{Hash: hash, Count: 2, Run: "r-1"}
	_, err := db.Exec(`INSERT INTO datasets (id, service, dataset_id, name, listing) VALUES (7, 'sandbox', 'd-1', 'shapes', 3);
		INSERT INTO images (dataset, image_id, path, stem, width, height, annotation_count, listing, saved_hash, saved_count, saved_at, saved_run, saved_sum, meta, source)
			VALUES (7, 'id-b.jpg', 'b.jpg', 'b', 10, 20, 3, 3, NULL, NULL, NULL, NULL, NULL, '{}', NULL), (7, 'id-a.jpg', 'a.jpg', 'a', 10, 20, 2, 3, ?, 2, 1, 'r-1', ?, '', 5);
		INSERT INTO readings VALUES (7, 'id-b.jpg', 3, x'00', x'01', 9);
		INSERT INTO runs (id, dataset, kind, source, phase, cursor, started_at) VALUES ('r-1', 7, 'sync', '/labels', 'planning', '0:1', 1);
		INSERT INTO items (run, seq, image, after, image_id, plan, outcome) VALUES ('r-1', 1, 'a.jpg', '', 'id-a.jpg', 'overwrite', 'pending');
		INSERT INTO batches (id, run, key, body, state, first_sent_at) VALUES (4, 'r-1', 'r-1-4', x'7b7d', 'open', 1);
		INSERT INTO batch_images (batch, position, image_id, hash, count, listed_count) VALUES (4, 0, 'id-a.jpg', ?, 2, 2)`, hash[:], savedSum("id-a.jpg", saved), hash[:])
	check(t, err)
	check(t, db.Close())

	s, err := Open(ctx, file)
	check(t, err)
	defer s.Close()
	d := Dataset{Ref: 7, Service: "sandbox", ID: "d-1", Name: "shapes"}
	images, err := s.ImagesByPath(ctx, d, []string{"a.jpg", "b.jpg"})
	check(t, err)
	if len(images) != 2 || images[0].Saved == nil || !reflect.DeepEqual(*images[0].Saved, saved) || images[0].Source != 5 || images[1].Saved != nil {
		t.Fatalf("images %+v", images)
	}
	content, err := s.ContentOf(ctx, d, "id-b.jpg")
	check(t, err)
	if content.Count != 3 || string(content.Meta) != "{}" {
		t.Errorf("what was read of an image: %+v", content)
	}
	run, resumed, err := s.OpenRun(ctx, d, "sync", "/labels", noon)
	check(t, err)
	if !resumed || run.Cursor != "" {
		t.Errorf("the plan of before goes on at %q (resumed %v), and has no numbers of images", run.Cursor, resumed)
	}
	open, err := s.OpenBatches(ctx, d)
	check(t, err)
	check(t, s.EndBatch(ctx, d, open[0], []Answer{{Previous: 2, New: 2}}, noon))
	listed(t, s, "a.jpg")
	var readings int
	check(t, s.reader.QueryRow(`SELECT count(*) FROM readings`).Scan(&readings))
	if readings != 0 {
		t.Error("what was read of an image that is gone is still there")
	}
}
