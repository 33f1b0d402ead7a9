package store

import (
	"context"
	"fmt"
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
			if l.Close(); killed == 0 {
				continue
			}
			if _, err := l.End(ctx, noon, 0); err != nil {
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
	for name, err := range s.Names(ctx, d, stem) {
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
		_, err = s.RestartPlan(ctx, run.ID, "coco", "")
		check(t, err)
		check(t, s.AddPlan(ctx, run.ID, PlanChunk{Items: []Item{
			{Seq: 1, Image: "a.jpg", ImageID: "id-a.jpg", Path: "a.jpg", Plan: PlanUnchanged, Outcome: ItemUnchanged},
			{Seq: 2, Image: "b.jpg", ImageID: "id-b.jpg", Path: "b.jpg", Plan: PlanNew, Outcome: ItemSaved},
			{Seq: 3, Image: "c.jpg", Plan: PlanFailed, Outcome: ItemFailed},
		}, Findings: []Finding{{Seq: 3, Kind: "odd"}}}))
		check(t, s.leave(ctx, run.ID, WithFailures, 1, time.Second, noon))
		check(t, s.PruneUnchanged(ctx, run.ID))
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
