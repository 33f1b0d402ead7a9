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

// Stakes are what a plan puts at stake.
type Stakes struct {
	Found   int // items of the source
	Listed  int // annotations of the dataset, as listed
	Added   int // annotations that images gain
	Removed int // annotations that images lose
	Saves   int // images to save
	Bytes   int // of their annotations
	Backups int // images to save that have annotations
	// Digest is the same for two plans that would do the same to the same
	// images.
	Digest string
}

// Stakes sums up what a plan would do.
func (s *Store) Stakes(ctx context.Context, d Dataset, run string) (Stakes, error) {
	var t Stakes
	fail := func(err error) (Stakes, error) { return t, fmt.Errorf("sum up the plan: %w", explain(err)) }
	err := s.reader.QueryRowContext(ctx, `SELECT coalesce(sum(annotation_count), 0) FROM images WHERE dataset = ?1
		AND listing = (SELECT listing FROM datasets WHERE id = ?1)`, d.Ref).Scan(&t.Listed)
	if err != nil {
		return fail(err)
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT image, image_id, plan, outcome, hash, count, listed_count, bytes, pruned FROM items WHERE run = ? ORDER BY seq`, run)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n", d.Service, d.ID)
	for rows.Next() {
		var i Item
		var hash []byte
		if err := rows.Scan(&i.Image, &i.ImageID, &i.Plan, &i.Outcome, &hash, &i.Count, &i.ListedCount, &i.Bytes, &i.Pruned); err != nil {
			return fail(err)
		}
		if !i.Pruned {
			t.Found++
		}
		fmt.Fprintf(digest, "%q %s %s %s %x %d\n", i.Image, i.ImageID, i.Plan, i.Outcome, hash, i.ListedCount)
		if i.Outcome != ItemPending {
			continue
		}
		t.Saves++
		t.Bytes += i.Bytes
		t.Added += max(0, i.Count-i.ListedCount)
		t.Removed += max(0, i.ListedCount-i.Count)
		if i.ListedCount > 0 {
			t.Backups++
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	t.Digest = hex.EncodeToString(digest.Sum(nil))
	return t, nil
}

// LastFound is how many items the last run before this one found that came to
// its end, from the same source into the same dataset; 0 where there is none.
func (s *Store) LastFound(ctx context.Context, d Dataset, run Run) (int, error) {
	var found int
	err := s.reader.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM items WHERE items.run = runs.id AND NOT pruned) FROM runs
		WHERE dataset = ? AND kind = 'sync' AND source = ? AND id <> ? AND outcome IN ('done', 'failures') ORDER BY started_at DESC, id DESC LIMIT 1`, d.Ref, run.Source, run.ID).Scan(&found)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("look up the run before: %w", explain(err))
	}
	return found, nil
}

// Items yields a run's plan in the order of the source.
func (s *Store) Items(ctx context.Context, run string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		rows, err := s.reader.QueryContext(ctx, `SELECT `+itemColumns+` FROM items WHERE run = ? ORDER BY seq`, run)
		if err != nil {
			yield(Item{}, fmt.Errorf("read the plan: %w", explain(err)))
			return
		}
		defer rows.Close()
		for rows.Next() {
			i, err := scanItem(rows)
			if !yield(i, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Item{}, fmt.Errorf("read the plan: %w", err))
		}
	}
}

func scanItem(rows *sql.Rows) (i Item, err error) {
	var hash []byte
	if err := rows.Scan(&i.Seq, &i.Image, &i.After, &i.ImageID, &i.Path, &i.Plan, &i.Outcome, &hash, &i.Count, &i.ListedCount, &i.Bytes, &i.Findings, &i.Reason, &i.Pruned); err != nil {
		return i, fmt.Errorf("read the plan: %w", err)
	}
	copy(i.Hash[:], hash)
	return i, nil
}
