package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
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
		for range rapid.IntRange(1, 4).Draw(t, "listings") {
			ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 0, 40, rapid.ID[int]).Draw(t, "ids")
			if rapid.Bool().Draw(t, "sorted") {
				slices.Sort(ids)
			}
			var images []Image
			for _, id := range ids {
				images = append(images, Image{ID: fmt.Sprint("i-", id), Path: fmt.Sprintf("dir/%d.jpg", id), Width: 1, Height: 2,
					AnnotationCount: rapid.IntRange(0, 1).Draw(t, "annotations"), Meta: []byte(rapid.SampledFrom([]string{"", "{}"}).Draw(t, "meta"))})
			}
			l, err := s.StartListing(ctx, d)
			if err != nil {
				t.Fatal(err)
			}
			again := rapid.Bool().Draw(t, "again") // as when images came meanwhile
			var last []Image
			for page := range slices.Chunk(images, rapid.IntRange(1, 15).Draw(t, "page")) {
				if err := l.Add(ctx, slices.Concat(last, page)); err != nil {
					t.Fatal(err)
				}
				if again {
					last = page[len(page)-1:]
				}
			}
			if err := l.End(ctx, noon); err != nil {
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
			}
			refs = now
		}
	})
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

// A state of before keeps its images, what was saved on them and what was read
// of them.
func TestStateOfBeforeIsTakenOver(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite3", dsn(path, "rwc"))
	check(t, err)
	dir, err := fs.Sub(migrations, "migrations")
	check(t, err)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	check(t, err)
	_, err = provider.UpTo(ctx, 6)
	check(t, err)
	hash := hashOf("a")
	saved := Saved{Hash: hash, Count: 2, Run: "r-1"}
	_, err = db.Exec(`INSERT INTO datasets (id, service, dataset_id, name, listing) VALUES (7, 'sandbox', 'd-1', 'shapes', 3);
		INSERT INTO images (dataset, image_id, path, stem, width, height, annotation_count, listing, saved_hash, saved_count, saved_at, saved_run, saved_sum, meta, source)
			VALUES (7, 'id-b.jpg', 'b.jpg', 'b', 10, 20, 3, 3, NULL, NULL, NULL, NULL, NULL, '{}', NULL), (7, 'id-a.jpg', 'a.jpg', 'a', 10, 20, 2, 3, ?, 2, 1, 'r-1', ?, '', 5);
		INSERT INTO readings VALUES (7, 'id-b.jpg', 3, x'00', x'01', 9);
		INSERT INTO runs (id, dataset, kind, source, phase, cursor, started_at) VALUES ('r-1', 7, 'sync', '/labels', 'planning', '0:1', 1);
		INSERT INTO items (run, seq, image, after, image_id, plan, outcome) VALUES ('r-1', 1, 'a.jpg', '', 'id-a.jpg', 'overwrite', 'pending');
		INSERT INTO batches (id, run, key, body, state, first_sent_at) VALUES (4, 'r-1', 'r-1-4', x'7b7d', 'open', 1);
		INSERT INTO batch_images (batch, position, image_id, hash, count, listed_count) VALUES (4, 0, 'id-a.jpg', ?, 2, 2)`, hash[:], savedSum("id-a.jpg", saved), hash[:])
	check(t, err)
	check(t, db.Close())

	s, err := Open(ctx, path)
	check(t, err)
	defer s.Close()
	d := Dataset{Ref: 7, Service: "sandbox", ID: "d-1", Name: "shapes"}
	images, err := s.ImagesByPath(ctx, d, []string{"a.jpg", "b.jpg"})
	check(t, err)
	if len(images) != 2 || images[0].Saved == nil || *images[0].Saved != saved || images[0].Source != 5 || images[1].Saved != nil {
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
