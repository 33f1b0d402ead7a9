package store

import (
	"bytes"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/mattn/go-sqlite3"
)

//go:embed upgrade12.sql
var upgrade12SQL string

//go:embed upgrade13.sql
var upgrade13SQL string

//go:embed upgrade14.sql
var upgrade14SQL string

// Versions of the schema: the one that is written, and the oldest that is upgraded.
const (
	schemaVersion = 14
	upgradedFrom  = 11
)

var (
	// ErrNewer is returned for a state that a later version of pictosync wrote.
	ErrNewer = errors.New("the state was written by a newer version of pictosync")
	// ErrOlder is returned for a state that is too old to be upgraded.
	ErrOlder = errors.New("the state was written by a version of pictosync that is too old; open it with the version before this one first, or name another with --state")
	// ErrForeign is returned for a database that is another program's.
	ErrForeign = errors.New("it is a database of another program, and no state of pictosync")
)

// versionOf is the version of a state's schema, 0 for an empty file.
func versionOf(ctx context.Context, db *sql.DB) (version int, err error) {
	var tables, ours int
	err = db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE name = 'goose_db_version') FROM sqlite_schema WHERE type = 'table'`).Scan(&tables, &ours)
	switch {
	case err != nil || tables == 0:
		return 0, err
	case ours == 0:
		return 0, ErrForeign
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrError { // it has no such columns
		err = ErrForeign
	}
	return version, err
}

// migrate upgrades an older state. The caller holds its lock.
func migrate(ctx context.Context, db *sql.DB) error {
	version, err := versionOf(ctx, db)
	switch {
	case err != nil:
		return err
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return ErrNewer
	case version == 0:
		return transact(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, schema)
			return err
		})
	case version < upgradedFrom:
		return ErrOlder
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA foreign_keys = OFF`); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA foreign_keys = ON`)
	return transact(ctx, conn, func(ctx context.Context, tx *sql.Tx) error {
		if version < 12 {
			if _, err := tx.ExecContext(ctx, upgrade12SQL); err != nil {
				return err
			}
		}
		if version < 13 {
			if err := upgradeTo13(ctx, tx); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, upgrade14SQL)
		return err
	})
}

func upgradeTo13(ctx context.Context, tx *sql.Tx) error {
	if err := joinBodies(ctx, tx); err != nil {
		return fmt.Errorf("take over the batches in flight: %w", err)
	}
	_, err := tx.ExecContext(ctx, upgrade13SQL)
	return err
}

// joinBodies puts the bytes of batches in flight together, which version 12 kept in pieces.
// Where they are not there as they were, nothing tells whether the batch was executed, and
// what its images have is read.
func joinBodies(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT batches.id, body_size, body_sum, bytes FROM batches, json_each(batches.pieces) AS its JOIN pieces ON pieces.piece = its.value
		WHERE state = 'open' AND body IS NULL ORDER BY batches.id, its.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	type body struct {
		size, sum int64
		bytes     bytes.Buffer
	}
	bodies := make(map[int64]*body)
	for rows.Next() {
		var id, size, sum int64
		var piece sql.RawBytes
		if err := rows.Scan(&id, &size, &sum, &piece); err != nil {
			return err
		}
		if bodies[id] == nil {
			bodies[id] = &body{size: size, sum: sum}
		}
		bodies[id].bytes.Write(piece)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, b := range bodies {
		if int64(b.bytes.Len()) < b.size {
			continue
		}
		whole := b.bytes.Bytes()[:b.size]
		if int64(crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli))) != b.sum {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE batches SET body = ? WHERE id = ?`, whole, id); err != nil {
			return err
		}
	}
	return nil
}
