package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
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

// AddBackups keeps backups of a run's images. One that is there stays: what the image had
// before the run is in the first, and a later one may be what the run itself saved.
func (s *Store) AddBackups(ctx context.Context, run string, backups []Backup, now time.Time) error {
	if len(backups) == 0 {
		return nil
	}
	return s.update(ctx, "keep what the images had", func(ctx context.Context, tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO backups (run, image_id, path, count, hash, annotations, taken_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (run, image_id) DO NOTHING`)
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

// BackedUp is a backup without its annotations.
type BackedUp struct {
	Count int
	Hash  Hash // of the canonical JSON
}

// BackedUp tells of which images a run has a backup.
func (s *Store) BackedUp(ctx context.Context, run string, ids []string) (map[string]BackedUp, error) {
	query, err := s.reader.PrepareContext(ctx, `SELECT count, hash FROM backups WHERE run = ? AND image_id = ?`)
	if err != nil {
		return nil, fmt.Errorf("look up backups: %w", explain(err))
	}
	defer query.Close()
	there := make(map[string]BackedUp)
	for _, id := range ids {
		var b BackedUp
		var hash []byte
		switch err := query.QueryRowContext(ctx, run, id).Scan(&b.Count, &hash); {
		case err == nil:
			copy(b.Hash[:], hash)
			there[id] = b
		case !errors.Is(err, sql.ErrNoRows):
			return nil, fmt.Errorf("look up backups: %w", explain(err))
		}
	}
	return there, nil
}

// ErrNoBackup is returned for an image of which a run kept none.
var ErrNoBackup = errors.New("no backup")

// CheckBackups reads all backups of a run, and says which of them are damaged.
func (s *Store) CheckBackups(ctx context.Context, run string) (whole int, damaged []string, err error) {
	for id := ""; ; {
		var path string
		err := s.reader.QueryRowContext(ctx, `SELECT image_id, path FROM backups WHERE run = ? AND image_id > ? ORDER BY image_id LIMIT 1`, run, id).Scan(&id, &path)
		if errors.Is(err, sql.ErrNoRows) {
			return whole, damaged, nil
		}
		if err != nil {
			return whole, damaged, describe("go through the backups", err)
		}
		if _, err := s.Backup(ctx, run, id); err != nil {
			damaged = append(damaged, path+": "+err.Error())
		} else {
			whole++
		}
	}
}

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

// Touched is an image that a run saved on, or may have: one that it has a backup of, or that has
// as many annotations as were to be saved where the service said that it did not save them.
type Touched struct {
	ImageRef int64 // 0 where it is no longer in the dataset
	ImageID  string
	Path     string
	Previous int // annotations before the run's first save on it
	// Saved says that the service answered a save, and that the image has been listed ever
	// since.
	Saved bool
	// Doubted says that nothing but the count speaks for a save.
	Doubted bool
}

// Touched yields the images that a run saved on or may have, after one with a cursor: those that
// it saved on first, then those of which only the backup or the count is known, and those that
// are not in the dataset any more, or were not in a listing since.
func (s *Store) Touched(ctx context.Context, run, after string) iter.Seq2[Touched, error] {
	return func(yield func(Touched, error) bool) {
		fail := func(err error) { yield(Touched{}, fmt.Errorf("read what the run saved: %w", explain(err))) }
		saved := true
		var ref int64
		if rest, ok := strings.CutPrefix(after, "backup:"); ok {
			saved, after = false, rest
		} else if after != "" {
			var err error
			if ref, err = strconv.ParseInt(after, 10, 64); err != nil {
				fail(fmt.Errorf("%q is no place among them", after))
				return
			}
			after = ""
		}
		for {
			page, err := s.touchedPage(ctx, run, saved, ref, after)
			if err != nil {
				fail(err)
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
				ref, after = t.ImageRef, t.ImageID
			}
			switch {
			case len(page) == touchedPage:
			case !saved:
				return
			default:
				saved, after = false, ""
			}
		}
	}
}

// Cursor is the image's place among those that its run touched.
func (t Touched) Cursor() string {
	if t.Saved {
		return strconv.FormatInt(t.ImageRef, 10)
	}
	return "backup:" + t.ImageID
}

const touchedPage = 1000

// savedBy are the saves of a run on an image, whose items are from ?1 to ?2, that the
// service answered. They are in the order of the index, so that a page is found without
// the others.
const savedBy = `FROM batch_images AS saved INDEXED BY batch_images_image `

// beforeAbsence are the saves of a run, whose items are from ?1 to ?2, on images that have been
// missing in a listing since: those that are back have another number.
const beforeAbsence = ` FROM batch_images AS sent WHERE item BETWEEN ?1 AND ?2 AND new_count IS NOT NULL
	AND NOT EXISTS (SELECT 1 FROM images WHERE ref = sent.image_ref AND images.image_id = sent.image_id)`

const isSaved = ` saved.item BETWEEN ?1 AND ?2 AND saved.new_count IS NOT NULL `

func (s *Store) touchedPage(ctx context.Context, run string, saved bool, ref int64, after string) ([]Touched, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	query, args := `
		SELECT images.ref, saved.image_id, images.path, saved.previous_count, 0 `+savedBy+`
		CROSS JOIN images ON images.ref = saved.image_ref AND images.image_id = saved.image_id
		WHERE saved.image_ref > ?3 AND `+isSaved+`
		AND NOT EXISTS (SELECT 1 FROM batch_images AS before INDEXED BY batch_images_image
			WHERE before.image_ref = saved.image_ref AND before.image_id = saved.image_id AND before.item < saved.item AND before.item >= ?1 AND before.new_count IS NOT NULL)
		ORDER BY saved.image_ref LIMIT ?4`, []any{span.first, span.last, ref, touchedPage}
	if !saved {
		query, args = `
			WITH touched AS (
				SELECT image_id, max(previous) AS previous, max(item) AS item, max(doubted) AS doubted FROM (
					SELECT image_id, NULL AS previous, NULL AS item, 0 AS doubted FROM backups WHERE run = ?5 AND image_id > ?3
					UNION ALL SELECT image_id, previous_count, min(item), 0`+beforeAbsence+` GROUP BY image_id
					UNION ALL SELECT sent.image_id, sent.listed_count, sent.item, 1 FROM batch_images AS sent
						CROSS JOIN images ON images.ref = sent.image_ref AND images.image_id = sent.image_id LEFT JOIN saves ON saves.image = images.ref
						WHERE sent.item BETWEEN ?1 AND ?2 AND sent.error <> '' AND sent.listed_count = 0 AND sent.count > 0 AND sent.count = `+annotationsNow+`
				) WHERE image_id > ?3 GROUP BY image_id)
			SELECT coalesce(image_ids.ref, 0), touched.image_id, coalesce(images.path, backups.path, items.path, touched.image_id), coalesce(previous, backups.count), doubted AND backups.run IS NULL
			FROM touched
			LEFT JOIN backups ON backups.run = ?5 AND backups.image_id = touched.image_id
			LEFT JOIN items ON items.item = touched.item
			LEFT JOIN image_ids ON image_ids.dataset = (SELECT dataset FROM runs WHERE id = ?5) AND image_ids.image_id = touched.image_id
			LEFT JOIN images ON images.ref = image_ids.ref
			WHERE NOT EXISTS (SELECT 1 `+savedBy+` WHERE saved.image_ref = image_ids.ref AND saved.image_id = touched.image_id AND `+isSaved+`)
			ORDER BY touched.image_id LIMIT ?4`, []any{span.first, span.last, after, touchedPage, run}
	}
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []Touched
	for rows.Next() {
		t := Touched{Saved: saved}
		if err := rows.Scan(&t.ImageRef, &t.ImageID, &t.Path, &t.Previous, &t.Doubted); err != nil {
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

// Collect forgets the runs that ended longer ago than keep, with their plans, findings
// and backups, but for the last of each source: the next run is compared with
// it. Those that cleared images within [PruneSpan] stay too, and those whose undo has not come to
// its end.
//
// With dryRun nothing is forgotten, and what would be is counted. Where the clock is far
// ahead of the last run, what is old is not told by it: that is ErrClock.
func (s *Store) Collect(ctx context.Context, now time.Time, keep time.Duration, dryRun bool) (c Collected, err error) {
	if keep > 0 {
		if err := s.checkClock(ctx, now); err != nil {
			return c, err
		}
	}
	old, err := s.collectable(ctx, now.Add(-keep), now.Add(-PruneSpan))
	if err != nil {
		return c, describe("look up old runs", err)
	}
	for _, run := range old {
		if dryRun {
			var backups int
			if err := s.reader.QueryRowContext(ctx, `SELECT count(*) FROM backups WHERE run = ?`, run).Scan(&backups); err != nil {
				return c, describe("count backups", err)
			}
			c.Runs++
			c.Backups += backups
			continue
		}
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
			if _, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE run = ? AND state NOT IN ('done', 'there')`, run); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = ?`, run)
			return err
		})
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// ErrClock is returned where the clock most likely is wrong.
var ErrClock = errors.New("the clock is most likely wrong")

// checkClock refuses to take what is old by a clock that is far ahead of the last run, or that
// was when a run began that is younger than a wrong clock may stay unnoticed.
func (s *Store) checkClock(ctx context.Context, now time.Time) error {
	const far, unnoticed = 366 * 24 * time.Hour, 30 * 24 * time.Hour
	var last sql.NullInt64
	err := s.reader.QueryRowContext(ctx, `SELECT max(before) FROM (
			SELECT started_at, lag(started_at) OVER (ORDER BY started_at) AS before FROM (
				SELECT started_at FROM runs WHERE started_at <= ?1 UNION ALL SELECT ?1))
		WHERE started_at - before > ?2 AND started_at > ?1 - ?3`, now.UnixMilli(), far.Milliseconds(), unnoticed.Milliseconds()).Scan(&last)
	if err != nil {
		return describe("look up the last run", err)
	}
	if last.Valid {
		return fmt.Errorf("forget old runs: it is %s by the clock, and the last run before was on %s: %w, and nothing was forgotten; set it, or give `pictosync gc --keep 0d` to forget all but the last run of each source",
			now.Format(time.DateOnly), time.UnixMilli(last.Int64).Format(time.DateOnly), ErrClock)
	}
	return nil
}

func (s *Store) collectable(ctx context.Context, before, pruned time.Time) ([]string, error) {
	return s.runIDs(ctx, `SELECT id FROM runs WHERE ended_at IS NOT NULL AND ended_at < ?1 AND id NOT IN (
		SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY dataset, kind, source ORDER BY turn DESC, started_at DESC, id DESC) AS place FROM runs) WHERE place = 1)
		AND id NOT IN (SELECT run FROM batches WHERE state = 'open')
		AND '`+UndoOf+`' || id NOT IN (SELECT source FROM runs WHERE kind = 'undo' AND ended_at IS NULL) AND NOT (ended_at > ?2 AND `+prunedOf+` > 0) ORDER BY id`, before.UnixMilli(), pruned.UnixMilli())
}

// ContentAfter is the hash of what a run left on an image: of its last save that the service
// answered; or, where saved is false, of what it was about to save when it had backed the
// image up, or sent without being told that it was saved. ok is false where the run did not
// touch it, or not under the number that it has.
func (s *Store) ContentAfter(ctx context.Context, run string, image Image) (h Hash, saved, ok bool, err error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return h, false, false, err
	}
	var hash []byte
	err = s.reader.QueryRowContext(ctx, `SELECT hash, saved FROM (
			SELECT saved.hash, 1 AS saved, saved.item `+savedBy+` WHERE saved.image_ref = ?3 AND saved.image_id = ?4 AND `+isSaved+`
			UNION ALL SELECT items.hash, 0, item FROM items INDEXED BY items_image WHERE items.run = ?5 AND image_ref = ?3 AND image_ref > 0
				AND EXISTS (SELECT 1 FROM backups WHERE run = ?6 AND image_id = ?4)
			UNION ALL SELECT saved.hash, 0, saved.item `+savedBy+` WHERE saved.image_ref = ?3 AND saved.image_id = ?4 AND saved.item BETWEEN ?1 AND ?2 AND saved.error <> ''
		) ORDER BY saved DESC, item DESC LIMIT 1`, span.first, span.last, image.Ref, image.ID, span.run, run).Scan(&hash, &saved)
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, false, nil
	}
	if err != nil {
		return h, false, false, fmt.Errorf("look up what the run left: %w", explain(err))
	}
	copy(h[:], hash)
	return h, saved, true, nil
}

// LeftBeforeAbsence are the hashes of what a run left on the images, by id, that have been missing
// in a listing since.
func (s *Store) LeftBeforeAbsence(ctx context.Context, run string) (map[string]Hash, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT image_id, hash`+beforeAbsence+` ORDER BY item`, span.first, span.last)
	if err != nil {
		return nil, fmt.Errorf("look up what the run left: %w", explain(err))
	}
	defer rows.Close()
	left := make(map[string]Hash)
	for rows.Next() {
		var id string
		var hash []byte
		if err := rows.Scan(&id, &hash); err != nil {
			return nil, err
		}
		left[id] = Hash(hash)
	}
	return left, rows.Err()
}

// adopt records that an image has what an item of a run would have saved on it: nothing is
// sent.
func adopt(ctx context.Context, tx *sql.Tx, run string, i Item, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO saves (image, saved_hash, saved_count, saved_at, saved_run, saved_sum, source, stands)
		SELECT images.ref, ?1, ?2, ?3, '', ?4, runs.claims, 0 FROM images JOIN runs ON runs.dataset = images.dataset WHERE runs.id = ?5 AND images.ref = ?6 AND image_id = ?7`,
		i.Hash[:], i.Count, now.UnixMilli(), savedSum(i.ImageID, Saved{Hash: i.Hash, Count: i.Count}), run, i.ImageRef, i.ImageID)
	return err
}
