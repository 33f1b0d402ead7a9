package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
)

// PlanSummary is what a plan would do.
type PlanSummary struct {
	Found  int // items of the source
	Listed int // annotations of the dataset, as listed
	// Added and Removed are the annotations that images gain and lose in number, Replaced
	// those that others take the place of, and Kept those that stay. Of images of which
	// the state does not know what they have, Unknown may be replaced, at most.
	Added, Removed, Replaced, Kept, Unknown int
	// Reviewed are images to save that are in review, or complete.
	Reviewed int
	Pruned   int // images to clear that left the source
	Saves    int // images to save
	Bytes    int // of their annotations
	Backups  int // images to save that have annotations
	// Uploads are the images to bring, UploadBytes what their files take.
	Uploads     int
	UploadBytes int64
}

// Lost are the annotations that are not there any more afterwards, at most.
func (s PlanSummary) Lost() int { return s.Removed + s.Replaced + s.Unknown }

// PlanSummary sums up what a plan would do.
func (s *Store) PlanSummary(ctx context.Context, d Dataset, run string) (t PlanSummary, err error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return t, err
	}
	err = s.reader.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE NOT pruned), count(*) FILTER (WHERE pending), coalesce(sum(bytes) FILTER (WHERE pending), 0),
			coalesce(sum(max(0, count - listed_count)) FILTER (WHERE pending), 0), coalesce(sum(max(0, listed_count - count)) FILTER (WHERE pending), 0),
			coalesce(sum(min(count, listed_count) - kept) FILTER (WHERE pending AND kept >= 0), 0), coalesce(sum(kept) FILTER (WHERE pending AND kept >= 0), 0),
			coalesce(sum(min(count, listed_count)) FILTER (WHERE pending AND kept < 0), 0),
			count(*) FILTER (WHERE pending AND listed_count > 0), count(*) FILTER (WHERE pending AND reviewed), count(*) FILTER (WHERE pending AND pruned)
		FROM (SELECT pruned, outcome = 'pending' AND NOT (plan = 'upload' AND count = 0) AS pending, bytes, count, listed_count, kept, reviewed FROM items WHERE item BETWEEN ? AND ?)`, span.first, span.last).
		Scan(&t.Found, &t.Saves, &t.Bytes, &t.Added, &t.Removed, &t.Replaced, &t.Kept, &t.Unknown, &t.Backups, &t.Reviewed, &t.Pruned)
	if err == nil {
		t.Listed, err = s.listed(ctx, d)
	}
	if err == nil {
		var uploads UploadTotals
		uploads, err = s.UploadTotals(ctx, run)
		t.Uploads, t.UploadBytes = uploads.Planned, uploads.PlannedBytes
	}
	return t, describe("sum up the plan", err)
}

// DatasetTotals are the images of a dataset and their annotations, as listed.
func (s *Store) DatasetTotals(ctx context.Context, d Dataset) (t Counted, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT count(*) FROM image_ids WHERE dataset = ?`, d.Ref).Scan(&t.Images)
	if err == nil {
		t.Annotations, err = s.listed(ctx, d)
	}
	return t, describe("sum up the dataset", err)
}

// listed are the annotations of a dataset, as listed.
func (s *Store) listed(ctx context.Context, d Dataset) (n int, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT coalesce(sum(`+annotationsNow+`), 0) FROM images`+withSaves+`WHERE dataset = ?`, d.Ref).Scan(&n)
	return n, err
}

// PlanDigest is the same for two plans that would do the same to the same images.
func (s *Store) PlanDigest(ctx context.Context, d Dataset, run string) (string, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return "", err
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT image, image_id, plan, outcome, hash, listed_count FROM items WHERE item BETWEEN ? AND ? ORDER BY item`, span.first, span.last)
	if err != nil {
		return "", describe("sum up the plan", err)
	}
	defer rows.Close()
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n", d.Service, d.ID)
	for rows.Next() {
		var i Item
		var hash []byte
		if err := rows.Scan(&i.Image, &i.ImageID, &i.Plan, &i.Outcome, &hash, &i.ListedCount); err != nil {
			return "", describe("sum up the plan", err)
		}
		fmt.Fprintf(digest, "%q %s %s %s %x %d\n", i.Image, i.ImageID, i.Plan, i.Outcome, hash, i.ListedCount)
	}
	if err := rows.Err(); err != nil {
		return "", describe("sum up the plan", err)
	}
	classes, err := s.Classes(ctx, run)
	if err != nil {
		return "", err
	}
	for _, c := range classes {
		fmt.Fprintf(digest, "class %q\n", c.Name)
	}
	for u, err := range s.Uploads(ctx, run, UploadPlanned, UploadPut) {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(digest, "upload %q %d %s\n", u.Path, u.Size, u.Stamp)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// LastFound is how many items the last run before this one found that came to
// its end, from the same source into the same dataset; 0 where there is none. One that narrowed
// the source in the same way comes before all others.
func (s *Store) LastFound(ctx context.Context, d Dataset, run Run) (int, error) {
	var before string
	err := s.reader.QueryRowContext(ctx, `SELECT id FROM runs
		WHERE dataset = ?1 AND kind = 'sync' AND source = ?2 AND id <> ?3 AND outcome IN ('done', 'failures')
		ORDER BY claims = (SELECT claims FROM runs WHERE id = ?3) DESC, turn DESC, started_at DESC, id DESC LIMIT 1`, d.Ref, run.Source, run.ID).Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, describe("look up the run before", err)
	}
	totals, err := s.Totals(ctx, before)
	return totals.Found, err
}

// Items yields a run's plan in the order of the source.
func (s *Store) Items(ctx context.Context, run string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		span, err := s.itemsOf(ctx, run)
		if err != nil {
			yield(Item{}, err)
			return
		}
		rows, err := s.reader.QueryContext(ctx, `SELECT `+itemColumns+` FROM items WHERE item BETWEEN ? AND ? ORDER BY item`, span.first, span.last)
		if err != nil {
			yield(Item{}, fmt.Errorf("read the plan: %w", explain(err)))
			return
		}
		defer rows.Close()
		for rows.Next() {
			i, err := span.scanItem(rows)
			if !yield(i, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Item{}, fmt.Errorf("read the plan: %w", err))
		}
	}
}

func (s itemSpan) scanItem(rows *sql.Rows) (i Item, err error) {
	var item int64
	var hash []byte
	if err := rows.Scan(&item, &i.Image, &i.After, &i.ImageID, &i.ImageRef, &i.Path, &i.Plan, &i.Outcome, &hash, &i.Count, &i.ListedCount, &i.Bytes, &i.Findings, &i.Reason, &i.Pruned, &i.File, &i.Labels, &i.LeftOut, &i.Kept, &i.Reviewed); err != nil {
		return i, fmt.Errorf("read the plan: %w", err)
	}
	i.Seq = s.seq(item)
	copy(i.Hash[:], hash)
	return i, nil
}
