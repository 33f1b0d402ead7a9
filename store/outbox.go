package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

// importOutbox takes over the bytes of batches in flight that an earlier version, which
// was killed, left in a file of their own beside the state.
func (s *Store) importOutbox(ctx context.Context) error {
	path := s.path + "-outbox"
	outbox, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the batches in flight: %w", err)
	}
	defer outbox.Close()
	err = s.updateOnDisk(ctx, "take over the batches in flight", func(ctx context.Context, tx *sql.Tx) error {
		left, err := outboxBodies(ctx, tx, outbox)
		if err != nil {
			return err
		}
		for id, body := range left {
			if err := putBody(ctx, tx, id, body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// outboxBodies are the bytes of open batches that are in an outbox as they were, by batch.
func outboxBodies(ctx context.Context, tx *sql.Tx, outbox *os.File) (map[int64][]byte, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, body_at, body_size, body_sum FROM batches WHERE state = 'open' AND body IS NULL AND body_at IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	left := make(map[int64][]byte)
	for rows.Next() {
		var id, at, size int64
		var sum uint32
		if err := rows.Scan(&id, &at, &size, &sum); err != nil {
			return nil, err
		}
		body := make([]byte, size)
		if _, err := outbox.ReadAt(body, at); err == nil && crc32.Checksum(body, bodyTable) == sum {
			left[id] = body
		}
	}
	return left, rows.Err()
}
