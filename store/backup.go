package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Backup is what an image had before a run saved on it.
type Backup struct {
	ImageID     string
	Path        string
	Count       int
	Annotations []byte // canonical JSON
}

// Both are safe for concurrent use with these methods alone.
var (
	compressor, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	decompressor, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(256<<20))
)

// pack compresses annotations; the hash is of what they are unpacked.
func pack(annotations []byte) (hash, packed []byte) {
	sum := sha256.Sum256(annotations)
	return sum[:], compressor.EncodeAll(annotations, nil)
}

func unpack(hash, packed []byte) ([]byte, error) {
	annotations, err := decompressor.DecodeAll(packed, nil)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(annotations); string(sum[:]) != string(hash) {
		return nil, errors.New("its checksum differs")
	}
	return annotations, nil
}

// AddBackups keeps backups of a run's images. One that is there is replaced: it
// is from a process that was stopped before the image was saved.
func (s *Store) AddBackups(ctx context.Context, run string, backups []Backup, now time.Time) error {
	if len(backups) == 0 {
		return nil
	}
	return s.update(ctx, "keep what the images had", func(ctx context.Context, tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO backups (run, image_id, path, count, hash, annotations, taken_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (run, image_id) DO UPDATE SET count = excluded.count, hash = excluded.hash, annotations = excluded.annotations, taken_at = excluded.taken_at`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, b := range backups {
			hash, packed := pack(b.Annotations)
			if _, err := insert.ExecContext(ctx, run, b.ImageID, b.Path, b.Count, hash, packed, now.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// BackedUp tells of which images a run has a backup, and of how many annotations.
func (s *Store) BackedUp(ctx context.Context, run string, ids []string) (map[string]int, error) {
	query, err := s.reader.PrepareContext(ctx, `SELECT count FROM backups WHERE run = ? AND image_id = ?`)
	if err != nil {
		return nil, fmt.Errorf("look up backups: %w", explain(err))
	}
	defer query.Close()
	there := make(map[string]int)
	for _, id := range ids {
		var count int
		switch err := query.QueryRowContext(ctx, run, id).Scan(&count); {
		case err == nil:
			there[id] = count
		case !errors.Is(err, sql.ErrNoRows):
			return nil, fmt.Errorf("look up backups: %w", explain(err))
		}
	}
	return there, nil
}

// ErrNoBackup is returned for an image of which a run kept none.
var ErrNoBackup = errors.New("no backup")

// Backup reads what an image had before a run.
func (s *Store) Backup(ctx context.Context, run, imageID string) (Backup, error) {
	b := Backup{ImageID: imageID}
	var hash, packed []byte
	err := s.reader.QueryRowContext(ctx, `SELECT path, count, hash, annotations FROM backups WHERE run = ? AND image_id = ?`, run, imageID).Scan(&b.Path, &b.Count, &hash, &packed)
	if errors.Is(err, sql.ErrNoRows) {
		return b, ErrNoBackup
	}
	if err != nil {
		return b, fmt.Errorf("read the backup: %w", explain(err))
	}
	if b.Annotations, err = unpack(hash, packed); err != nil {
		return b, fmt.Errorf("read the backup: it is damaged: %w", err)
	}
	return b, nil
}

// Touched is an image that a run saved on.
type Touched struct {
	ImageRef int64
	ImageID  string
	Path     string
	Previous int // annotations before the run's first save on it
}

// Touched yields the images that a run saved on and that are still there, in the
// order of their numbers, after one.
func (s *Store) Touched(ctx context.Context, run string, after int64) iter.Seq2[Touched, error] {
	return func(yield func(Touched, error) bool) {
		for {
			page, err := s.touchedPage(ctx, run, after)
			if err != nil {
				yield(Touched{}, fmt.Errorf("read what the run saved: %w", explain(err)))
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
				after = t.ImageRef
			}
			if len(page) < touchedPage {
				return
			}
		}
	}
}

const touchedPage = 1000

func (s *Store) touchedPage(ctx context.Context, run string, after int64) ([]Touched, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	// In the order of the index, so that a page is found without the others: of the
	// saves on an image the run's first.
	rows, err := s.reader.QueryContext(ctx, `
		SELECT images.ref, saved.image_id, images.path, saved.previous_count
		FROM batch_images AS saved INDEXED BY batch_images_image
		CROSS JOIN batches ON batches.id = saved.batch
		CROSS JOIN images ON images.ref = saved.image_ref AND images.image_id = saved.image_id
		WHERE saved.image_ref > ?3 AND saved.item BETWEEN ?1 AND ?2 AND batches.state = 'done' AND saved.new_count IS NOT NULL AND saved.error = ''
		AND NOT EXISTS (SELECT 1 FROM batch_images AS before INDEXED BY batch_images_image JOIN batches ON batches.id = before.batch
			WHERE before.image_ref = saved.image_ref AND before.image_id = saved.image_id AND before.item < saved.item AND before.item >= ?1 AND batches.state = 'done' AND before.new_count IS NOT NULL AND before.error = '')
		ORDER BY saved.image_ref LIMIT ?4`, span.first, span.last, after, touchedPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []Touched
	for rows.Next() {
		var t Touched
		if err := rows.Scan(&t.ImageRef, &t.ImageID, &t.Path, &t.Previous); err != nil {
			return nil, err
		}
		page = append(page, t)
	}
	return page, rows.Err()
}

// Collected is what a collection of garbage took away.
type Collected struct {
	Runs    int `json:"runs"`
	Backups int `json:"backups"`
}

// Collect forgets the runs that ended before a time, with their plans, findings
// and backups, but for the last of each source: the next run is compared with
// it.
func (s *Store) Collect(ctx context.Context, before time.Time) (c Collected, err error) {
	old, err := s.collectable(ctx, before)
	if err != nil {
		return c, describe("look up old runs", err)
	}
	for _, run := range old {
		if err := s.dropItems(ctx, run, ""); err != nil {
			return c, err
		}
		if err := s.dropSent(ctx, run); err != nil {
			return c, err
		}
		err := s.update(ctx, "forget run "+run, func(ctx context.Context, tx *sql.Tx) error {
			var backups int
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM backups WHERE run = ?`, run).Scan(&backups); err != nil {
				return err
			}
			c.Backups += backups
			c.Runs++
			_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = ?`, run)
			return err
		})
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

func (s *Store) collectable(ctx context.Context, before time.Time) ([]string, error) {
	return s.runIDs(ctx, `SELECT id FROM runs WHERE ended_at IS NOT NULL AND ended_at < ?1 AND id NOT IN (
		SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY dataset, kind, source ORDER BY started_at DESC, id DESC) AS turn FROM runs) WHERE turn = 1)
		AND id NOT IN (SELECT run FROM batches WHERE state = 'open') ORDER BY id`, before.UnixMilli())
}

// LeftBy is the hash of what a run left on an image; ok is false where the run
// did not save on it.
func (s *Store) LeftBy(ctx context.Context, run string, image Image) (h Hash, ok bool, err error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return h, false, err
	}
	var hash []byte
	err = s.reader.QueryRowContext(ctx, `SELECT batch_images.hash FROM batch_images INDEXED BY batch_images_image JOIN batches ON batches.id = batch
		WHERE image_ref = ? AND image_id = ? AND item BETWEEN ? AND ? AND state = 'done' AND new_count IS NOT NULL AND batch_images.error = '' ORDER BY item DESC LIMIT 1`, image.Ref, image.ID, span.first, span.last).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, nil
	}
	if err != nil {
		return h, false, fmt.Errorf("look up what the run left: %w", explain(err))
	}
	copy(h[:], hash)
	return h, true, nil
}
