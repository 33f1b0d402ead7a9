package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"time"
)

// SetSource says which source a run's labels come from: the images that it saves, or
// finds unchanged, are that source's from then on. The number is what
// Image.Source holds.
func (s *Store) SetSource(ctx context.Context, run, source string) (ref int64, err error) {
	err = s.update(ctx, "record the source of the run", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO sources (name) VALUES (?) ON CONFLICT DO NOTHING`, source); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `UPDATE runs SET claims = (SELECT id FROM sources WHERE name = ?) WHERE id = ? RETURNING claims`, source, run).Scan(&ref)
	})
	return ref, err
}

// Departed yields the images that are a source's and that no item of a run's plan
// names, in the order of their numbers: those on which what was saved
// from here stands, or what others made of it, and those that an earlier process
// of the run has cleared.
func (s *Store) Departed(ctx context.Context, d Dataset, run string, source int64) iter.Seq2[Image, error] {
	return func(yield func(Image, error) bool) {
		span, err := s.itemsOf(ctx, run)
		if err != nil {
			yield(Image{}, err)
			return
		}
		for after := int64(0); ; {
			page, err := s.images(ctx, `SELECT `+imageColumns+` FROM saves CROSS JOIN images ON images.ref = saves.image
				WHERE dataset = ?1 AND saves.image > ?4 AND source = ?3 AND (saved_count > 0 AND `+annotationsNow+` > 0 OR saved_run = ?2)
				AND NOT EXISTS (SELECT 1 FROM items INDEXED BY items_image WHERE run = ?6 AND image_ref = images.ref AND image_ref > 0)
				ORDER BY saves.image LIMIT ?5`, d.Ref, run, source, after, departedPage, span.run)
			if err != nil {
				yield(Image{}, fmt.Errorf("look up the images that left the source: %w", err))
				return
			}
			for _, i := range page {
				if !yield(i, nil) {
					return
				}
				after = i.Ref
			}
			if len(page) < departedPage {
				return
			}
		}
	}
}

const departedPage = 1000

// PruneSpan is the time over which images that were cleared for having left their source are
// counted together: two nights of a little each are as much as one of twice that.
const PruneSpan = 7 * 24 * time.Hour

// prunedOf is how many images that left their source a run of the table runs has cleared so far:
// by its sums where it has ended, else by its plan, and by those that it made before.
const prunedOf = `(coalesce(json_extract(iif(totals = '', '{}', totals), '$.Notes.PrunedBefore'), 0)
	+ iif(ended_at IS NULL, (SELECT count(*) FROM items WHERE item BETWEEN runs.ref << 32 AND ((runs.ref + 1) << 32) - 1 AND pruned AND items.outcome = 'cleared'),
		coalesce(json_extract(iif(totals = '', '{}', totals), '$.Pruned'), 0)))`

// ClearedSince counts the images of a dataset that runs cleared since a time for having
// left their source.
func (s *Store) ClearedSince(ctx context.Context, d Dataset, since time.Time) (n int, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT coalesce(sum(`+prunedOf+`), 0) FROM runs
		WHERE dataset = ? AND kind = 'sync' AND coalesce(ended_at, started_at) > ?`, d.Ref, since.UnixMilli()).Scan(&n)
	return n, describe("count the images that were cleared", err)
}

// Unread counts what keeps a run from telling which images have left its source:
// items that could not be read or matched, and findings of the kinds given that belong
// to no image.
func (s *Store) Unread(ctx context.Context, run string, kinds []string) (n int, err error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return 0, err
	}
	err = s.reader.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM items WHERE item BETWEEN ? AND ? AND plan IN ('failed', 'ambiguous', 'unmatched'))
		+ (SELECT coalesce(sum(unplaced), 0) FROM finding_groups WHERE run = ? AND kind IN (SELECT value FROM json_each(?)))`, span.first, span.last, run, jsonList(kinds)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the labels that could not be read: %w", explain(err))
	}
	return n, nil
}
