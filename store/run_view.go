package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Brief is what an item of a run comes to in numbers.
type Brief struct {
	Seq     int64
	Plan    Plan
	Outcome ItemOutcome
	// Before and After are the image's annotations: as the service counted them where it
	// answered, else as they were listed and as they are to be. Kept is how many stay as
	// they are, -1 where that is not known.
	Before, After, Kept int
	Findings            int
}

// Briefs yields the items of a run in the order of the source.
func (s *Store) Briefs(ctx context.Context, run string) iter.Seq2[Brief, error] {
	return func(yield func(Brief, error) bool) {
		span, err := s.itemsOf(ctx, run)
		if err != nil {
			yield(Brief{}, err)
			return
		}
		rows, err := s.reader.QueryContext(ctx, `SELECT items.item, plan,
				CASE WHEN sent.item IS NULL OR outcome <> 'pending' THEN outcome WHEN sent.count > 0 THEN 'saved' ELSE 'cleared' END,
				coalesce(sent.previous_count, items.listed_count), coalesce(sent.new_count, items.count), kept, findings
			FROM items LEFT JOIN batch_images AS sent ON sent.item = items.item AND sent.error = ''
				AND (SELECT state FROM batches WHERE batches.id = sent.batch) = 'done'
			WHERE items.item BETWEEN ? AND ? ORDER BY items.item`, span.first, span.last)
		if err != nil {
			yield(Brief{}, describe("read the run's images", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var b Brief
			var item int64
			if err := rows.Scan(&item, &b.Plan, &b.Outcome, &b.Before, &b.After, &b.Kept, &b.Findings); err != nil {
				yield(Brief{}, describe("read the run's images", err))
				return
			}
			b.Seq = span.seq(item)
			if !yield(b, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Brief{}, describe("read the run's images", err))
		}
	}
}

// ErrNoItem is returned for an item that a run does not have.
var ErrNoItem = errors.New("the run has no such image")

// ItemOf is an item of a run by its number.
func (s *Store) ItemOf(ctx context.Context, run string, seq int64) (Item, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return Item{}, err
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT `+itemColumns+` FROM items WHERE item = ?`, span.of(seq))
	if err != nil {
		return Item{}, describe("read the run's image", err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return Item{}, describe("read the run's image", err)
		}
		return Item{}, ErrNoItem
	}
	return span.scanItem(rows)
}

// FindingsOf are the findings of one item of a run that are kept.
func (s *Store) FindingsOf(ctx context.Context, run string, seq int64) (findings []Finding, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT seq, kind, cause, file, image, path, at, reason, action, count FROM findings WHERE run = ? AND seq = ? ORDER BY rowid`, run, seq)
	if err != nil {
		return nil, describe("read the image's findings", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f Finding
		if err := rows.Scan(&f.Seq, &f.Kind, &f.Cause, &f.File, &f.Image, &f.Path, &f.At, &f.Reason, &f.Action, &f.Count); err != nil {
			return nil, describe("read the image's findings", err)
		}
		findings = append(findings, f)
	}
	return findings, describe("read the image's findings", rows.Err())
}

// Known is what the state knows that an image had.
type Known struct {
	Annotations []byte // canonical JSON
	From        string // the run whose backup it is; "" is a reading of an export
	At          time.Time
}

// NowKnown is what an image has now, as far as an export read it and nothing shows that it
// has changed since. found is false where the state does not know.
func (s *Store) NowKnown(ctx context.Context, d Dataset, imageID string) (k Known, found bool, err error) {
	var hash, packed []byte
	var at sql.NullInt64
	var now int
	err = s.reader.QueryRowContext(ctx, `SELECT `+annotationsNow+`, hash, annotations,
			CASE WHEN count = `+annotationsNow+` AND coalesce(saved_at, 0) < read_at THEN read_at END
		FROM image_ids JOIN images ON images.ref = image_ids.ref`+withSaves+`LEFT JOIN readings ON readings.image = images.ref
		WHERE image_ids.dataset = ? AND image_ids.image_id = ?`, d.Ref, imageID).Scan(&now, &hash, &packed, &at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return k, false, nil
	case err != nil:
		return k, false, describe("look up what the image has", err)
	case now == 0:
		return Known{Annotations: []byte("[]")}, true, nil
	case !at.Valid || packed == nil:
		return k, false, nil
	}
	if k.Annotations, err = unpack(hash, packed); err != nil {
		return k, false, fmt.Errorf("what was read of the image is damaged in the state: %w", err)
	}
	k.At = time.UnixMilli(at.Int64)
	return k, true, nil
}

// SavedKnown finds what a run saved on an image: what its hash is of is in a backup that a
// later run took, or in a reading. found is false where the state does not know.
func (s *Store) SavedKnown(ctx context.Context, run Run, imageID string, hash Hash) (k Known, found bool, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT later.run, later.hash, later.annotations, later.taken_at
		FROM (SELECT id FROM runs WHERE dataset = ?1 AND id > ?2 ORDER BY id LIMIT 50) AS after
		CROSS JOIN backups AS later ON later.run = after.id AND later.image_id = ?3 WHERE later.hash = ?4
		UNION ALL SELECT '', readings.hash, readings.annotations, read_at FROM image_ids JOIN readings ON readings.image = image_ids.ref
		WHERE image_ids.dataset = ?1 AND image_ids.image_id = ?3 AND readings.hash = ?4 LIMIT 1`, run.Dataset.Ref, run.ID, imageID, hash[:])
	if err != nil {
		return k, false, describe("look up what the run saved", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return k, false, describe("look up what the run saved", rows.Err())
	}
	var sum, packed []byte
	var at int64
	if err := rows.Scan(&k.From, &sum, &packed, &at); err != nil {
		return k, false, describe("look up what the run saved", err)
	}
	if k.Annotations, err = unpack(sum, packed); err != nil {
		return k, false, fmt.Errorf("what the run saved is damaged in the state: %w", err)
	}
	k.At = time.UnixMilli(at)
	return k, true, nil
}

// DatasetCount is a dataset that the state knows, in numbers.
type DatasetCount struct {
	Dataset
	Images, Annotations, Runs int
	ListedAt                  time.Time // zero where it never was
}

// Datasets lists the datasets that the state knows, by name.
func (s *Store) Datasets(ctx context.Context) (list []DatasetCount, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT datasets.id, service, dataset_id, name, listed_at,
			(SELECT count(*) FROM image_ids WHERE image_ids.dataset = datasets.id),
			(SELECT coalesce(sum(`+annotationsNow+`), 0) FROM images`+withSaves+`WHERE images.dataset = datasets.id),
			(SELECT count(*) FROM runs WHERE runs.dataset = datasets.id)
		FROM datasets ORDER BY name, service`)
	if err != nil {
		return nil, describe("list the datasets", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d DatasetCount
		var at sql.NullInt64
		if err := rows.Scan(&d.Ref, &d.Service, &d.ID, &d.Name, &at, &d.Images, &d.Annotations, &d.Runs); err != nil {
			return nil, describe("list the datasets", err)
		}
		d.ListedAt = timeOf(at)
		list = append(list, d)
	}
	return list, describe("list the datasets", rows.Err())
}

// RunsBetween lists the runs that began from one time on and before another, of a dataset
// by its number or, 0, of all, the newest first.
func (s *Store) RunsBetween(ctx context.Context, from, to time.Time, dataset int64, limit, offset int) (runs []Run, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+runColumns+fromRuns+`WHERE started_at >= ?1 AND started_at < ?2 AND (?3 = 0 OR runs.dataset = ?3)
		ORDER BY turn DESC LIMIT ?4 OFFSET ?5`, from.UnixMilli(), to.UnixMilli(), dataset, limit, offset)
	if err != nil {
		return nil, describe("list runs", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, describe("list runs", err)
		}
		runs = append(runs, r)
	}
	return runs, describe("list runs", rows.Err())
}

// CountRuns is how many runs began from one time on and before another, of a dataset by
// its number or, 0, of all.
func (s *Store) CountRuns(ctx context.Context, from, to time.Time, dataset int64) (n int, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT count(*) FROM runs WHERE started_at >= ?1 AND started_at < ?2 AND (?3 = 0 OR dataset = ?3)`,
		from.UnixMilli(), to.UnixMilli(), dataset).Scan(&n)
	return n, describe("count the runs", err)
}

// Sources lists what runs of syncs read labels from, the one of the newest run first.
func (s *Store) Sources(ctx context.Context) (names []string, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT source FROM runs WHERE kind IN ('sync', 'plan', 'verify') AND source <> '' GROUP BY source ORDER BY max(turn) DESC`)
	if err != nil {
		return nil, describe("list the sources", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, describe("list the sources", err)
		}
		names = append(names, name)
	}
	return names, describe("list the sources", rows.Err())
}

// TimeOfAll is after all runs.
var TimeOfAll = time.UnixMilli(1 << 52)
