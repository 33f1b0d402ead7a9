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

	"pictosync/internal/atomicfile"
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
	if _, err := (&sentFile{path: path + ".sent"}).read(); err != nil {
		return false, err
	}
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
	if err := cmp.Or(fill(ctx, unfinished), atomicfile.SyncFile(unfinished)); err != nil {
		return false, errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return false, err
	}
	return true, atomicfile.SyncFolder(filepath.Dir(path))
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

// fill makes a state of an empty file.
func fill(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", dsn(path, "new"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA journal_mode = WAL`)
	return errors.Join(err, db.Close())
}
