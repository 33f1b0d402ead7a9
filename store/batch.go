package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// KeyLifetime is how long the service remembers an idempotency key.
const KeyLifetime = 24 * time.Hour

// Batch is a bulk save that was committed to the state and whose answer is
// not: it may or may not have been executed.
type Batch struct {
	ID          int64
	Run         string
	Key         string // idempotency key: the run's id and the batch's number
	Body        []byte
	FirstSentAt time.Time
	Images      []BatchImage
}

// BatchImage is one image of a batch.
type BatchImage struct {
	Item        int64 // its number in the run's plan; 0 is not on record
	ImageID     string
	Hash        Hash
	Count       int
	ListedCount int
}

// AddBatch commits a batch before it is sent; [Store.AddRequest] brings it to the
// disk.
func (s *Store) AddBatch(ctx context.Context, run string, body []byte, images []BatchImage, now time.Time) (Batch, error) {
	var b Batch
	err := s.update(ctx, "commit a batch", func(ctx context.Context, tx *sql.Tx) (err error) {
		b, err = addBatch(ctx, tx, run, body, images, now)
		return err
	})
	return b, err
}

func addBatch(ctx context.Context, tx *sql.Tx, run string, body []byte, images []BatchImage, now time.Time) (Batch, error) {
	b := Batch{Run: run, Body: body, FirstSentAt: now, Images: images}
	// The key needs the number, and a row with a body is written once: to put
	// the key into it afterwards would write the body again.
	if err := tx.QueryRowContext(ctx, `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'batches'), 0) + 1`).Scan(&b.ID); err != nil {
		return Batch{}, err
	}
	b.Key = fmt.Sprintf("%s-%d", run, b.ID)
	if _, err := tx.ExecContext(ctx, `INSERT INTO batches (id, run, key, body, state, first_sent_at) VALUES (?, ?, ?, ?, 'open', ?)`,
		b.ID, run, b.Key, body, now.UnixMilli()); err != nil {
		return Batch{}, err
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO batch_images (batch, position, image_id, hash, count, listed_count, item) VALUES (?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return Batch{}, err
	}
	defer insert.Close()
	for position, i := range images {
		if _, err := insert.ExecContext(ctx, b.ID, position, i.ImageID, i.Hash[:], i.Count, i.ListedCount, i.Item); err != nil {
			return Batch{}, err
		}
	}
	return b, nil
}

// WithdrawBatch forgets a batch that was never sent.
func (s *Store) WithdrawBatch(ctx context.Context, b Batch) error {
	return s.update(ctx, fmt.Sprintf("withdraw batch %d", b.ID), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM batches WHERE id = ?`, b.ID)
		return err
	})
}

// OpenBatches lists the batches of a dataset, of whatever run, whose answers
// were never committed.
func (s *Store) OpenBatches(ctx context.Context, d Dataset) ([]Batch, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT batches.id, run, key, body, first_sent_at FROM batches JOIN runs ON runs.id = run
		WHERE runs.dataset = ? AND state = 'open' ORDER BY batches.id`, d.Ref)
	if err != nil {
		return nil, fmt.Errorf("list the batches in flight: %w", explain(err))
	}
	defer rows.Close()
	var open []Batch
	for rows.Next() {
		var b Batch
		var sent int64
		if err := rows.Scan(&b.ID, &b.Run, &b.Key, &b.Body, &sent); err != nil {
			return nil, fmt.Errorf("list the batches in flight: %w", err)
		}
		b.FirstSentAt = time.UnixMilli(sent)
		open = append(open, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the batches in flight: %w", err)
	}
	for i := range open {
		if open[i].Images, err = s.batchImages(ctx, open[i].ID); err != nil {
			return nil, err
		}
	}
	return open, nil
}

func (s *Store) batchImages(ctx context.Context, batch int64) ([]BatchImage, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT image_id, hash, count, listed_count, item FROM batch_images WHERE batch = ? ORDER BY position`, batch)
	if err != nil {
		return nil, fmt.Errorf("list the images of a batch: %w", explain(err))
	}
	defer rows.Close()
	var images []BatchImage
	for rows.Next() {
		var i BatchImage
		var hash []byte
		if err := rows.Scan(&i.ImageID, &hash, &i.Count, &i.ListedCount, &i.Item); err != nil {
			return nil, fmt.Errorf("list the images of a batch: %w", err)
		}
		copy(i.Hash[:], hash)
		images = append(images, i)
	}
	return images, rows.Err()
}

// Answer is what the service said of one image of a batch. A non-empty Error
// means it was not saved.
type Answer struct {
	Previous, New int
	Status        string
	Error         string
}

// EndBatch commits the answers to a batch, one for each of its images in
// order, and with them what is now known of the images and of the run's
// items. The batch's bytes are let go.
func (s *Store) EndBatch(ctx context.Context, d Dataset, b Batch, answers []Answer, now time.Time) error {
	if len(answers) != len(b.Images) {
		return fmt.Errorf("commit the answer to batch %d: %d answers for %d images", b.ID, len(answers), len(b.Images))
	}
	firstHand := now.Sub(b.FirstSentAt) < KeyLifetime
	return s.update(ctx, fmt.Sprintf("commit the answer to batch %d", b.ID), func(ctx context.Context, tx *sql.Tx) error {
		if err := closeBatch(ctx, tx, b.ID, "done", now); err != nil {
			return err
		}
		answered, err := tx.PrepareContext(ctx, `UPDATE batch_images SET previous_count = ?, new_count = ?, status = ?, first_hand = ?, error = ?, ended_at = ? WHERE batch = ? AND position = ?`)
		if err != nil {
			return err
		}
		defer answered.Close()
		var claims sql.NullInt64 // the source that the images are of
		if err := tx.QueryRowContext(ctx, `SELECT claims FROM runs WHERE id = ?`, b.Run).Scan(&claims); err != nil {
			return err
		}
		saved, err := tx.PrepareContext(ctx, `UPDATE images SET annotation_count = ?, saved_hash = ?, saved_count = ?, saved_at = ?, saved_run = ?, saved_sum = ?,
			source = ? WHERE dataset = ? AND image_id = ?`)
		if err != nil {
			return err
		}
		defer saved.Close()
		item, err := tx.PrepareContext(ctx, `UPDATE items SET outcome = ?, reason = ? WHERE run = ? AND seq = ? AND image_id = ? AND outcome = 'pending' AND hash = ?`)
		if err != nil {
			return err
		}
		defer item.Close()
		for position, a := range answers {
			i := b.Images[position]
			if i.Item == 0 {
				if i.Item, err = pendingItem(ctx, tx, b.Run, i); err != nil {
					return err
				}
			}
			if a.Error != "" {
				if _, err := answered.ExecContext(ctx, nil, nil, a.Status, true, a.Error, now.UnixMilli(), b.ID, position); err != nil {
					return err
				}
				if _, err := item.ExecContext(ctx, ItemFailed, a.Error, b.Run, i.Item, i.ImageID, i.Hash[:]); err != nil {
					return err
				}
				continue
			}
			previous := a.Previous
			if !firstHand {
				previous = i.ListedCount
			}
			if _, err := answered.ExecContext(ctx, previous, a.New, a.Status, firstHand, "", now.UnixMilli(), b.ID, position); err != nil {
				return err
			}
			record := Saved{Hash: i.Hash, Count: a.New, Run: b.Run}
			if _, err := saved.ExecContext(ctx, a.New, i.Hash[:], a.New, now.UnixMilli(), b.Run, savedSum(i.ImageID, record), claims, d.Ref, i.ImageID); err != nil {
				return err
			}
			outcome := ItemSaved
			if i.Count == 0 {
				outcome = ItemCleared
			}
			if _, err := item.ExecContext(ctx, outcome, "", b.Run, i.Item, i.ImageID, i.Hash[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// pendingItem finds the item of an image of a batch that does not say, 0 where
// the plan has none any more.
func pendingItem(ctx context.Context, tx *sql.Tx, run string, i BatchImage) (seq int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT seq FROM items INDEXED BY items_pending WHERE run = ? AND outcome = 'pending' AND image_id = ? AND hash = ?`, run, i.ImageID, i.Hash[:]).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return seq, err
}

// SplitBatch replaces a batch that the service refused as a whole by smaller
// ones, under keys of their own.
func (s *Store) SplitBatch(ctx context.Context, b Batch, parts []Batch, now time.Time) ([]Batch, error) {
	var out []Batch
	err := s.update(ctx, fmt.Sprintf("split batch %d", b.ID), func(ctx context.Context, tx *sql.Tx) error {
		if err := closeBatch(ctx, tx, b.ID, "split", now); err != nil {
			return err
		}
		for _, p := range parts {
			part, err := addBatch(ctx, tx, b.Run, p.Body, p.Images, now)
			if err != nil {
				return err
			}
			out = append(out, part)
		}
		return nil
	})
	return out, err
}

func closeBatch(ctx context.Context, tx *sql.Tx, id int64, state string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE batches SET state = ?, body = NULL, ended_at = ? WHERE id = ?`, state, now.UnixMilli(), id)
	return err
}
