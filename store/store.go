// Package store is the memory of pictosync: one SQLite file that knows, for
// every dataset it ever worked on, which images there are, what was last saved
// on each of them, and what every run did and was about to do.
//
// A run's plan (Items) keeps hashes and counts, never payloads; only a batch
// in flight carries its bytes, from the moment before it is sent
// until its answer is committed. All SQL on the state lives in this package.
//
// [Open] is for who works on a state, [Look] for who only reads it. Several processes may
// have one open: each change is a transaction. Which of them may run beside each other is
// for the commands to say.
//
// The file is in WAL mode. Every commit survives a killed process, and what was
// committed before a batch is sent survives a power cut: the commit of a batch waits for
// the disk, and with it goes all that was committed before, in order. So does that of
// any other request where there is a quota to keep. The commits between do not wait: a
// power cut may take the answers to the last batches, which are asked for again under
// the same keys.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"syscall"

	"github.com/mattn/go-sqlite3"
)

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
	path    string
	writer  *sql.DB // one connection
	reader  *sql.DB
	process int64 // tells this one's requests from those of others
	sent    sentFile

	mu    sync.Mutex
	spans map[string]itemSpan // by run
}

// Open opens the state at path, and upgrades one of the version before: who may have to
// upgrade it holds its lock. A missing file is created with its folder, readable by the
// user alone.
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

// OpenExisting is Open where there is a state: a missing file is an
// error that matches fs.ErrNotExist.
func OpenExisting(ctx context.Context, path string) (*Store, error) {
	if err := thereIs(path); err != nil {
		return nil, err
	}
	return Open(ctx, path)
}

// ErrNotReady is returned by OpenBeside for a state that has to be made, upgraded or set
// aside first, which is for who holds its lock.
var ErrNotReady = errors.New("the state is not ready")

// OpenBeside opens a state that others may work on, for a command that changes only what is
// its own: its run, and the listing under that lock.
func OpenBeside(ctx context.Context, path string) (*Store, error) {
	if thereIs(path) != nil || Outdated(ctx, path) || damaged(inspectFile(ctx, path)) {
		return nil, ErrNotReady
	}
	return Open(ctx, path)
}

// Path is the state's file.
func (s *Store) Path() string { return s.path }

func newStore(path string) *Store {
	return &Store{path: path, process: rand.Int64(), sent: sentFile{path: path + ".sent"}, spans: make(map[string]itemSpan)}
}

// Close closes the state; everything committed before stays.
func (s *Store) Close() error {
	return errors.Join(s.reader.Close(), s.writer.Close(), s.sent.close())
}

// busyTimeout is how long another process is waited for, in milliseconds.
const busyTimeout = "120000"

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
	case "look":
		q.Set("mode", "rw")
		q.Set("_query_only", "true")
		q.Set("_txlock", "deferred")
	}
	// Only the characters that end a file: URI's path need escaping.
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + escaped + "?" + q.Encode()
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
	return describe(doing, transact(ctx, s.writer, f))
}

// updateOnDisk is update, and returns when this and everything that was
// committed before is on the disk.
func (s *Store) updateOnDisk(ctx context.Context, doing string, f func(context.Context, *sql.Tx) error) error {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return describe(doing, err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = FULL`); err != nil {
		return describe(doing, err)
	}
	err = transact(ctx, conn, f)
	_, resetErr := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = NORMAL`)
	return describe(doing, errors.Join(err, resetErr))
}

func describe(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, explain(err))
	}
	return nil
}

func transact(ctx context.Context, db interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}, f func(context.Context, *sql.Tx) error) error {
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
