// Package store is the memory of pictosync: one SQLite file that knows, for
// every dataset it ever worked on, which images there are, what was last saved
// on each of them, and what every run did and was about to do.
//
// A run's plan (Items) keeps hashes and counts, never payloads; only a batch
// that is on its way carries its bytes, from the moment before it is sent
// until its answer is committed. All SQL on the state lives in this package.
//
// The file is in WAL mode. Every commit survives a killed process, and what was
// committed before a batch is sent survives a power cut: its own record waits for
// the disk, and with it goes all that was committed before, in order. So does that of
// any other request where there is a quota to keep. The commits between do not wait: a
// power cut may take the answers to the last batches, which are asked for again under
// the same keys.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// writerDriver is SQLite with a log of 16 MB instead of 4: what a run changes
// several times is brought into the file once. A longer one would have to be brought
// there at the end of a run, when nothing else is left to do. What follows a large
// transaction gives the room back.
const writerDriver = "sqlite3 of a state"

func init() {
	sql.Register(writerDriver, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		_, err := c.Exec(`PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 16777216`, nil)
		return err
	}})
}

// Store is an open state file. Its methods may be called from several
// goroutines; writes queue up behind one connection.
type Store struct {
	path   string
	writer *sql.DB
	reader *sql.DB

	mu    sync.Mutex
	spans map[string]itemSpan // by run

	log flusher // of the commits
}

// ErrNewer is returned by Open for a state that a later version wrote.
var ErrNewer = errors.New("the state was written by a newer version of pictosync")

// Open opens the state at path and brings its schema up to date. A missing
// file is created with its folder, readable by the user alone.
func Open(ctx context.Context, path string) (*Store, error) {
	made, err := create(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("create the state %s: %w", path, explain(err))
	}
	s := newStore(path)
	if s.writer, err = sql.Open(writerDriver, dsn(path, "rwc")); err != nil {
		return nil, fmt.Errorf("open the state %s: %w", path, err)
	}
	s.writer.SetMaxOpenConns(1)
	if !made {
		err = migrate(ctx, s.writer)
	}
	if err != nil {
		s.writer.Close()
		return nil, fmt.Errorf("open the state %s: %w", path, explain(err))
	}
	if s.reader, err = sql.Open("sqlite3", dsn(path, "ro")); err != nil {
		s.writer.Close()
		return nil, fmt.Errorf("open the state %s: %w", path, err)
	}
	return s, nil
}

// OpenExisting is Open for commands that only look: a missing file is an
// error that matches fs.ErrNotExist.
func OpenExisting(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the state %s: %w", path, err)
	}
	return Open(ctx, path)
}

// Path is the state's file.
func (s *Store) Path() string { return s.path }

func newStore(path string) *Store {
	return &Store{path: path, spans: make(map[string]itemSpan)}
}

// Settle does some of what Close would have to do: it brings the log into the state's
// file. Its room is given back too, unless somebody reads: that is not waited for. It is
// for a time in which nothing else is waited for than answers, or what is read; what it
// cannot do then is left for Close.
func (s *Store) Settle() {
	ctx := context.Background()
	c, err := s.writer.Conn(ctx)
	if err != nil {
		return
	}
	defer c.Close()
	defer c.ExecContext(ctx, `PRAGMA busy_timeout = `+busyTimeout)
	if _, err := c.ExecContext(ctx, `PRAGMA busy_timeout = 0`); err == nil {
		c.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
}

// Close closes the state; everything committed before stays.
func (s *Store) Close() error {
	return errors.Join(s.reader.Close(), s.writer.Close())
}

// busyTimeout is how long another process is waited for, in milliseconds.
const busyTimeout = "10000"

func dsn(path, mode string) string {
	q := url.Values{
		"mode":          {mode},
		"_busy_timeout": {busyTimeout},
		"_foreign_keys": {"on"},
		"_txlock":       {"immediate"},
		// Statements that a connection keeps made, those that are not prepared by hand: to
		// make that of fifty rows is a tenth of what they take.
		"_stmt_cache_size": {"50"},
	}
	switch mode {
	case "new": // nobody reads it, and it is made anew where that is interrupted
		q.Set("mode", "rw")
		q.Set("_journal_mode", "OFF")
		q.Set("_synchronous", "OFF")
	case "rwc":
		q.Set("_journal_mode", "WAL")
		q.Set("_synchronous", "NORMAL")
	case "ro":
		q.Set("_txlock", "deferred")
	}
	// Only the characters that end a file: URI's path need escaping.
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + escaped + "?" + q.Encode()
}

// migrate brings a state of before to the present schema.
func migrate(ctx context.Context, db *sql.DB) error {
	provider, err := migrator(db)
	if err != nil {
		return err
	}
	if err := refuseForeign(ctx, db); err != nil {
		return err
	}
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if current > latestOf(provider) {
		return ErrNewer
	}
	_, err = provider.Up(ctx)
	return err
}

// ErrForeign is returned by Open for a database that is another program's.
var ErrForeign = errors.New("it is a database of another program, and no state of pictosync")

// refuseForeign refuses a database that has tables and none that says which schema it has.
func refuseForeign(ctx context.Context, db *sql.DB) error {
	var tables, ours int
	err := db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE name = '`+goose.DefaultTablename+`') FROM sqlite_schema WHERE type = 'table'`).Scan(&tables, &ours)
	if err == nil && tables > 0 && ours == 0 {
		err = ErrForeign
	}
	return err
}

func migrator(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, dir)
}

// latestOf is the version of the schema that this program writes.
func latestOf(p *goose.Provider) int64 {
	known := p.ListSources()
	return known[len(known)-1].Version
}

// explain adds what to do to the errors that a user can do something about.
func explain(err error) error {
	var sqliteErr sqlite3.Error
	if errors.Is(err, syscall.ENOSPC) {
		sqliteErr.Code = sqlite3.ErrFull
	} else if !errors.As(err, &sqliteErr) {
		return err
	}
	switch sqliteErr.Code {
	case sqlite3.ErrNotADB, sqlite3.ErrCorrupt:
		return fmt.Errorf("%w: the file is damaged or no state of pictosync; move it away to start afresh, or name another with --state", err)
	case sqlite3.ErrReadonly, sqlite3.ErrCantOpen:
		return fmt.Errorf("%w: the file or its folder cannot be written; name another with --state", err)
	case sqlite3.ErrFull:
		return fmt.Errorf("%w: free some space; the run resumes where it stopped", err)
	}
	return err
}

// update runs f in one write transaction. What f does in it is not interrupted:
// the driver would give every statement that can be a goroutine of its own, which
// takes longer than most statements do.
func (s *Store) update(ctx context.Context, doing string, f func(context.Context, *sql.Tx) error) error {
	err := transact(ctx, s.writer, f)
	s.log.wrote()
	return describe(doing, err)
}

// updateOnDisk is update, and returns when this and everything that was
// committed before is on the disk. The log is brought there beside SQLite, which
// would hold the others back meanwhile: what has left the log by then, a
// checkpoint has brought to the disk.
func (s *Store) updateOnDisk(ctx context.Context, doing string, f func(context.Context, *sql.Tx) error) error {
	if err := s.update(ctx, doing, f); err != nil {
		return err
	}
	return describe(doing, s.log.flush(s.syncLog))
}

// Flush returns when everything that was committed before is on the disk.
func (s *Store) Flush() error { return describe("write the state to the disk", s.log.flush(s.syncLog)) }

func (s *Store) syncLog() error { return syncFile(s.path + "-wal") }

// flusher brings a file to the disk. Those who wait for it at the same time share
// the wait.
type flusher struct {
	writes atomic.Int64 // that were made
	onDisk atomic.Int64 // of them

	mu sync.Mutex
	// failed is how bringing them there failed: the system tells of it once, and may
	// have given up what it could not write.
	failed error
}

// wrote is told of each write, and numbers it.
func (f *flusher) wrote() int64 { return f.writes.Add(1) }

// flush returns when what was written before is on the disk.
func (f *flusher) flush(sync func() error) error {
	written := f.writes.Load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil || f.onDisk.Load() >= written { // it went with another's
		return f.failed
	}
	written = f.writes.Load()
	if f.failed = sync(); f.failed == nil {
		f.onDisk.Store(written)
	}
	return f.failed
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // some systems bring no file to the disk that is open for reading
	if err != nil {
		return err
	}
	return errors.Join(syncData(f), f.Close())
}

func describe(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, explain(err))
	}
	return nil
}

func transact(ctx context.Context, db *sql.DB, f func(context.Context, *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(context.WithoutCancel(ctx), tx); err != nil {
		return err
	}
	return tx.Commit()
}
