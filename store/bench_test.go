package store

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pictosync/bench/instant"
)

// BenchmarkRun is what a state in a new file takes for each image of a run that saves
// all of 10,000, and of a listing after it in which nothing has changed, step by step.
// The state waits for the disk as ever.
func BenchmarkRun(b *testing.B) {
	const images, page, chunkItems, batch, count = 10_000, 1_000, 500, 200, 9
	var all []Image
	for n := range images {
		all = append(all, Image{ID: instant.ID(n), Path: instant.Name(n), Width: 640, Height: 480})
	}
	body := make([]byte, batch*5<<10) // as large as COCO's polygons make it
	ctx := b.Context()
	taken := make(map[string]time.Duration)
	step := func(name string, do func()) {
		begun := time.Now()
		do()
		taken[name] += time.Since(begun)
	}
	for b.Loop() {
		s, err := Open(ctx, filepath.Join(b.TempDir(), "state.db"))
		check(b, err)
		d, err := s.PutDataset(ctx, "http://127.0.0.1", instant.ID(images), "bench")
		check(b, err)
		list := func(pages, end string, annotations int) {
			shown := slices.Clone(all)
			for n := range shown {
				shown[n].AnnotationCount = annotations
			}
			var l *Listing
			step(pages, func() {
				l, err = s.StartListing(ctx, d)
				check(b, err)
				for n := 0; n < images; n += page {
					check(b, l.Add(ctx, shown[n:n+page]))
				}
				check(b, l.catchUp())
			})
			step(end, func() { endListing(b, l) })
		}
		list("list", "index", 0)
		r, _, err := s.OpenRun(ctx, d, "sync", "/labels.json", noon)
		check(b, err)
		for n := 0; n < images; n += chunkItems {
			var paths []string
			for _, i := range all[n : n+chunkItems] {
				paths = append(paths, i.Path)
			}
			var found []Image
			step("match", func() {
				found, err = s.ImagesByPath(ctx, d, paths)
				check(b, err)
			})
			var chunk PlanChunk
			for k, i := range found {
				chunk.Items = append(chunk.Items, Item{Seq: int64(n + k + 1), Image: i.Path, After: i.Path, ImageID: i.ID, ImageRef: i.Ref, Path: i.Path,
					Plan: PlanNew, Outcome: ItemPending, Hash: hashOf(i.Path), Count: count, Bytes: 5 << 10})
			}
			step("plan", func() { check(b, s.AddPlan(ctx, r.ID, chunk)) })
		}
		step("sum-up", func() {
			_, err := s.PlanSummary(ctx, d, r.ID)
			check(b, err)
		})
		for after := int64(0); after < images; after += batch {
			var items []Item
			step("pending", func() {
				items, err = s.Pending(ctx, r.ID, after, batch)
				check(b, err)
			})
			var sent []BatchImage
			var answers []Answer
			for _, i := range items {
				sent = append(sent, BatchImage{Item: i.Seq, ImageID: i.ImageID, ImageRef: i.ImageRef, Hash: i.Hash, Count: i.Count})
				answers = append(answers, Answer{New: i.Count})
			}
			var put Batch
			step("commit", func() {
				put, err = s.CommitBatch(ctx, r.ID, "account", body, sent, noon)
				check(b, err)
			})
			step("answer", func() { check(b, s.EndBatch(ctx, d, put, answers, nil, noon)) })
		}
		step("total", func() {
			totals, err := s.Totals(ctx, r.ID)
			check(b, err)
			if totals.Outcome[ItemSaved] != images {
				b.Fatalf("%+v", totals)
			}
		})
		list("list-again", "index-again", count)
		step("close", func() { check(b, s.Close()) })
	}
	for name, d := range taken {
		b.ReportMetric(float64(d.Nanoseconds())/float64(b.N)/images, name+"-ns/image")
	}
}
