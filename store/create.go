package store

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed schema.sql
var schema string

// create makes a state where there is no file, readable by the user alone, and its
// folder; made says that there was none. It is made under another name and waits for
// the disk once: what stands at path is a whole state, or nothing.
func create(ctx context.Context, path string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, errors.Join(err, touch(path))
	}
	unfinished := path + "-new"
	// Left by a process that was killed here, and by a state that was taken away: SQLite
	// would take its log for this one's.
	for _, left := range []string{unfinished, path + "-wal", path + "-shm"} {
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	if err := touch(unfinished); err != nil {
		return false, err
	}
	if err := cmp.Or(fill(ctx, unfinished), syncFile(unfinished)); err != nil {
		return false, errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return false, err
	}
	return true, syncFolder(filepath.Dir(path))
}

// touch makes an empty file where there is none, as where a link leads to. SQLite
// gives the files that it keeps beside it the same permissions.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// fill makes an empty file what all migrations would have made of it.
func fill(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", dsn(path, "new"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	provider, err := migrator(db)
	if err != nil {
		return err
	}
	versions, err := database.NewStore(database.DialectSQLite3, goose.DefaultTablename)
	if err != nil {
		return err
	}
	err = transact(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		if err := versions.CreateVersionTable(ctx, tx); err != nil {
			return err
		}
		for version := range latestOf(provider) + 1 {
			if err := versions.Insert(ctx, tx, database.InsertRequest{Version: version}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA journal_mode = WAL`)
	return errors.Join(err, db.Close())
}
