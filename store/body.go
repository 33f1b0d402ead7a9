package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// pieceSize is what a piece of a batch's bytes takes. All are as large, so that SQLite
// writes those of a later batch over those of one that was answered: to free the room of
// some megabytes and to take it again takes it longer than the rest of a batch.
const pieceSize = 64 << 10

var bodyTable = crc32.MakeTable(crc32.Castagnoli)

// putBody keeps the bytes of a batch until it is answered, in pieces that no batch in
// flight has.
func putBody(ctx context.Context, tx *sql.Tx, batch int64, body []byte) error {
	taken, err := takenPieces(ctx, tx)
	if err != nil {
		return err
	}
	var pieces []int64
	last := make([]byte, pieceSize)
	for piece, rest := int64(1), body; len(rest) > 0; piece++ {
		if taken[piece] {
			continue
		}
		next := rest[:min(pieceSize, len(rest))]
		rest = rest[len(next):]
		if len(next) < pieceSize {
			copy(last, next)
			next = last
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO pieces (piece, bytes) VALUES (?, ?)`, piece, next); err != nil {
			return err
		}
		pieces = append(pieces, piece)
	}
	list, err := json.Marshal(pieces)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE batches SET body = NULL, body_at = NULL, pieces = ?, body_size = ?, body_sum = ? WHERE id = ?`, string(list), len(body), crc32.Checksum(body, bodyTable), batch)
	return err
}

// takenPieces are those of the batches in flight.
func takenPieces(ctx context.Context, tx *sql.Tx) (map[int64]bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT value FROM batches, json_each(pieces) WHERE state = 'open'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	taken := make(map[int64]bool)
	for rows.Next() {
		var piece int64
		if err := rows.Scan(&piece); err != nil {
			return nil, err
		}
		taken[piece] = true
	}
	return taken, rows.Err()
}

// body reads the bytes of a batch in flight; nil where they are not there as they were.
func (s *Store) body(ctx context.Context, batch int64) ([]byte, error) {
	failed := func(err error) ([]byte, error) {
		return nil, describe(fmt.Sprintf("read the bytes of batch %d", batch), err)
	}
	var whole []byte // where an earlier version kept them
	var size, sum sql.NullInt64
	if err := s.reader.QueryRowContext(ctx, `SELECT body, body_size, body_sum FROM batches WHERE id = ?`, batch).Scan(&whole, &size, &sum); err != nil {
		return failed(err)
	}
	if whole != nil {
		return whole, nil
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT bytes FROM batches, json_each(pieces) AS its CROSS JOIN pieces ON pieces.piece = its.value WHERE batches.id = ? ORDER BY its.id`, batch)
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	var body bytes.Buffer
	for rows.Next() {
		var piece sql.RawBytes
		if err := rows.Scan(&piece); err != nil {
			return failed(err)
		}
		body.Write(piece)
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	if size.Int64 <= 0 || int64(body.Len()) < size.Int64 {
		return nil, nil
	}
	body.Truncate(int(size.Int64))
	if int64(crc32.Checksum(body.Bytes(), bodyTable)) != sum.Int64 {
		return nil, nil
	}
	return body.Bytes(), nil
}
