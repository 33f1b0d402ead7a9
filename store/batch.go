package store

import (
	"context"
	"crypto/rand"
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

	// Account is whose requests send it. One of them is on record since the batch was
	// committed, at FirstSentAt; Unsent says that it was not sent yet. SentAt is when it
	// was in fact; the zero value is not known.
	Account string
	Unsent  bool
	SentAt  time.Time
	// Doubtful says that the images may have been saved by a batch before this one: what
	// the service says they had may be what that one saved.
	Doubtful bool

	span    itemSpan // of the run
	process int64    // that sends it
}

// items are the first and the last item of the batch's images.
func (b Batch) items() (first, last int64) {
	return b.span.of(b.Images[0].Item), b.span.of(b.Images[len(b.Images)-1].Item)
}

// BatchImage is one image of a batch.
type BatchImage struct {
	Item        int64 // its number in the run's plan
	ImageID     string
	ImageRef    int64 // Image.Ref
	Hash        Hash
	Count       int
	ListedCount int
	Prints      []byte // of the annotations, see Saved; nil where they are not known
}

// CommitBatch commits a batch of images in the order of the plan, with its bytes, before
// it is sent, and the request that its account sends it with. All of it is on the disk
// then, with everything that was committed before.
func (s *Store) CommitBatch(ctx context.Context, run, account string, body []byte, images []BatchImage, now time.Time) (Batch, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Run: run, Account: account, Unsent: true, Body: body, FirstSentAt: now, Images: images, span: span, process: s.process}
	if err := s.updateOnDisk(ctx, "commit a batch", func(ctx context.Context, tx *sql.Tx) error { return addBatch(ctx, tx, &b) }); err != nil {
		return b, err
	}
	if err := s.sent.write(b.ID); err != nil { // it will not be sent
		return b, errors.Join(describe("commit a batch", err), s.WithdrawBatch(context.WithoutCancel(ctx), b))
	}
	return b, nil
}

// addBatch commits a batch. Its key is new whatever the state was before: one that was put
// back to an earlier day numbers its batches again, and the service would take the second
// for the first.
func addBatch(ctx context.Context, tx *sql.Tx, b *Batch) error {
	highest, err := highestNumber(ctx, tx, "batches")
	if err != nil {
		return err
	}
	b.ID = highest + 1
	b.Key = fmt.Sprintf("%s-%d-%s", b.Run, b.ID, rand.Text()[:8])
	first, last := b.items()
	if _, err := tx.ExecContext(ctx, `INSERT INTO batches (id, run, key, body, state, first_sent_at, first_item, last_item) VALUES (?, ?, ?, ?, 'open', ?, ?, ?)`,
		b.ID, b.Run, b.Key, b.Body, b.FirstSentAt.UnixMilli(), first, last); err != nil {
		return err
	}
	// An item is in one batch at a time.
	insert := inserter{tx: tx, into: `INSERT OR REPLACE INTO batch_images (item, batch, image_ref, image_id, hash, count, listed_count)`}
	for _, i := range b.Images {
		if err := insert.add(ctx, b.span.of(i.Item), b.ID, i.ImageRef, i.ImageID, i.Hash[:], i.Count, i.ListedCount); err != nil {
			return err
		}
	}
	if err := insert.flush(ctx); err != nil {
		return err
	}
	return addRequest(ctx, tx, b.Account, b.process, b.FirstSentAt)
}

// WithdrawBatch forgets a batch that was never sent.
func (s *Store) WithdrawBatch(ctx context.Context, b Batch) error {
	return s.update(ctx, fmt.Sprintf("withdraw batch %d", b.ID), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM batch_images WHERE batch = ?1 AND item BETWEEN (SELECT first_item FROM batches WHERE id = ?1) AND (SELECT last_item FROM batches WHERE id = ?1)`, b.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM batches WHERE id = ?`, b.ID); err != nil || !b.Unsent {
			return err
		}
		return takeRequest(ctx, tx, b.Account, b.process, b.FirstSentAt)
	})
}

// dateRequest puts the request that sent a batch down for when it was sent, which may
// be later than it was committed; for now, where a killed process did not say.
func dateRequest(ctx context.Context, tx *sql.Tx, b Batch, now time.Time) error {
	sent := b.SentAt
	if sent.IsZero() {
		sent = now
	}
	if sent.Unix() == b.FirstSentAt.Unix() {
		return nil
	}
	if err := takeRequest(ctx, tx, b.Account, b.process, b.FirstSentAt); err != nil {
		return err
	}
	return addRequest(ctx, tx, b.Account, b.process, sent)
}

// OpenBatches lists the batches of a dataset, of whatever run, whose answers were never
// committed. Body is nil where the bytes are not there any more: nothing tells then
// whether the batch was executed.
func (s *Store) OpenBatches(ctx context.Context, d Dataset) ([]Batch, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT batches.id, run, key, body, first_sent_at
		FROM batches JOIN runs ON runs.id = run WHERE runs.dataset = ? AND state = 'open' ORDER BY batches.id`, d.Ref)
	if err != nil {
		return nil, describe("list the batches in flight", err)
	}
	defer rows.Close()
	var open []Batch
	for rows.Next() {
		b := Batch{process: s.process}
		var sent int64
		if err := rows.Scan(&b.ID, &b.Run, &b.Key, &b.Body, &sent); err != nil {
			return nil, describe("list the batches in flight", err)
		}
		b.FirstSentAt = time.UnixMilli(sent)
		open = append(open, b)
	}
	if err := rows.Err(); err != nil {
		return nil, describe("list the batches in flight", err)
	}
	for n := range open {
		b := &open[n]
		if b.span, err = s.itemsOf(ctx, b.Run); err != nil {
			return nil, err
		}
		if b.Images, err = s.batchImages(ctx, *b); err != nil {
			return nil, err
		}
	}
	return open, nil
}

func (s *Store) batchImages(ctx context.Context, b Batch) ([]BatchImage, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT image_id, image_ref, hash, batch_images.count, listed_count, item
		FROM batches JOIN batch_images ON item BETWEEN first_item AND last_item AND batch = id WHERE id = ? ORDER BY item`, b.ID)
	if err != nil {
		return nil, fmt.Errorf("list the images of a batch: %w", explain(err))
	}
	defer rows.Close()
	var images []BatchImage
	for rows.Next() {
		var i BatchImage
		var hash []byte
		if err := rows.Scan(&i.ImageID, &i.ImageRef, &hash, &i.Count, &i.ListedCount, &i.Item); err != nil {
			return nil, fmt.Errorf("list the images of a batch: %w", err)
		}
		i.Item = b.span.seq(i.Item)
		copy(i.Hash[:], hash)
		images = append(images, i)
	}
	return images, rows.Err()
}

// Answer is what the service said of one image of a batch. A non-empty Error
// means it was not saved.
type Answer struct {
	Previous, New int
	Error         string
}

// EndBatch commits the answers to a batch, one for each of its images in order, and with them
// what was found out about the images, and what is now known of them and of the run's items. The
// batch's bytes are dropped.
func (s *Store) EndBatch(ctx context.Context, d Dataset, b Batch, answers []Answer, found []Finding, now time.Time) error {
	if len(answers) != len(b.Images) {
		return fmt.Errorf("commit the answer to batch %d: %d answers for %d images", b.ID, len(answers), len(b.Images))
	}
	// What can be computed is, before others are kept waiting: the next request most
	// of all, which has its turn since this answer came.
	sums := savedSums(b, answers)
	return s.update(ctx, fmt.Sprintf("commit the answer to batch %d", b.ID), func(ctx context.Context, tx *sql.Tx) error {
		if err := closeBatch(ctx, tx, b, "done", now); err != nil {
			return err
		}
		if err := answerImages(ctx, tx, b, answers, now); err != nil {
			return err
		}
		if err := addFindings(ctx, tx, b.Run, found); err != nil {
			return err
		}
		return saveImages(ctx, tx, d, b, sums, now)
	})
}

// answerImages records what the service said of the images of a batch, in them and in the
// plan's items: of most it is what was expected.
func answerImages(ctx context.Context, tx *sql.Tx, b Batch, answers []Answer, now time.Time) error {
	firstHand := now.Sub(b.FirstSentAt) < KeyLifetime && !b.Doubtful
	first, last := b.items()
	if _, err := tx.ExecContext(ctx, `UPDATE batch_images SET previous_count = listed_count, new_count = count, first_hand = ?4 WHERE item BETWEEN ?1 AND ?2 AND batch = ?3`, first, last, b.ID, firstHand); err != nil {
		return err
	}
	const correct = `UPDATE batch_images SET previous_count = ?, new_count = ?, error = ? WHERE item = ?`
	for n, a := range answers {
		i := b.Images[n]
		if !firstHand {
			a.Previous = i.ListedCount
		}
		var err error
		switch {
		case a.Error != "":
			if _, err = tx.ExecContext(ctx, correct, nil, nil, a.Error, b.span.of(i.Item)); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `UPDATE items SET outcome = ?, reason = ? WHERE item = ? AND outcome = 'pending'`, ItemFailed, a.Error, b.span.of(i.Item))
		case a.Previous != i.ListedCount || a.New != i.Count:
			_, err = tx.ExecContext(ctx, correct, a.Previous, a.New, "", b.span.of(i.Item))
		}
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE items SET outcome = iif(sent.count > 0, ?4, ?5), reason = '' FROM batch_images AS sent
		WHERE items.item BETWEEN ?1 AND ?2 AND items.outcome = 'pending' AND sent.item = items.item AND sent.batch = ?3 AND sent.error = ''`, first, last, b.ID, ItemSaved, ItemCleared)
	return err
}

// savedSums are the checksums of what is now known of the images of a batch, one
// behind the other.
func savedSums(b Batch, answers []Answer) (sums []byte) {
	for n, i := range b.Images {
		sums = append(sums, savedSum(i.ImageID, Saved{Hash: i.Hash, Count: answers[n].New, Run: b.Run})...)
	}
	return sums
}

// saveImages records what is now known of the images of an answered batch: those of
// items that follow one another at a time, so that an item's place tells its checksum.
// To number the rows takes SQLite twice as long as all the rest.
func saveImages(ctx context.Context, tx *sql.Tx, d Dataset, b Batch, sums []byte, now time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE datasets SET answers = answers + 1 WHERE id = ?`, d.Ref); err != nil {
		return err
	}
	for images := b.Images; len(images) > 0; {
		n := 1
		for n < len(images) && images[n].Item == images[0].Item+int64(n) {
			n++
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO saves (image, saved_hash, saved_count, saved_at, saved_run, saved_sum, source, stands, answer)
			SELECT ref, hash, new_count, ?1, ?2, substr(?3, 1 + (item - ?4) * ?5, ?5), (SELECT claims FROM runs WHERE id = ?2), 1, (SELECT answers FROM datasets WHERE id = ?6)
			FROM batch_images AS sent CROSS JOIN images ON ref = image_ref AND images.image_id = sent.image_id AND dataset = ?6
			WHERE item BETWEEN ?4 AND ?7 AND batch = ?8 AND error = '' ORDER BY item`,
			now.UnixMilli(), b.Run, sums[:n*savedSumSize], b.span.of(images[0].Item), savedSumSize, d.Ref, b.span.of(images[n-1].Item), b.ID); err != nil {
			return err
		}
		images, sums = images[n:], sums[n*savedSumSize:]
	}
	for _, i := range b.Images {
		if i.Prints == nil {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE saves SET prints = ? WHERE image = ? AND saved_hash = ?`, i.Prints, i.ImageRef, i.Hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// SplitBatch replaces a batch that the service refused as a whole by smaller
// ones, under keys of their own.
func (s *Store) SplitBatch(ctx context.Context, b Batch, parts []Batch, now time.Time) ([]Batch, error) {
	out := make([]Batch, len(parts))
	for i, p := range parts {
		out[i] = Batch{Run: b.Run, Account: b.Account, Unsent: true, Doubtful: b.Doubtful, Body: p.Body, FirstSentAt: now, Images: p.Images, span: b.span, process: s.process}
	}
	err := s.updateOnDisk(ctx, fmt.Sprintf("split batch %d", b.ID), func(ctx context.Context, tx *sql.Tx) error {
		if err := closeBatch(ctx, tx, b, "split", now); err != nil {
			return err
		}
		for i := range out {
			if err := addBatch(ctx, tx, &out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(out) > 0 {
		err = describe("split a batch", s.sent.write(out[len(out)-1].ID)) // the whole is in flight already
	}
	return out, err
}

func closeBatch(ctx context.Context, tx *sql.Tx, b Batch, state string, now time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE batches SET state = ?, body = NULL, ended_at = ? WHERE id = ?`, state, now.UnixMilli(), b.ID); err != nil {
		return err
	}
	return dateRequest(ctx, tx, b, now)
}
