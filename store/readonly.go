package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Look opens a state for reading alone, also one that another process works on:
// nothing is made, upgraded or set aside, and methods that write fail. A missing
// file, or an empty one, is an error that matches fs.ErrNotExist; one of another version is
// ErrNewer or ErrOlder.
func Look(ctx context.Context, path string) (*Store, error) {
	if err := thereIs(path); err != nil {
		return nil, err
	}
	if err := Check(path); err != nil {
		return nil, err
	}
	name := dsn(path, "ro")
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// A connection that may not write leaves the log behind that it has to make.
		name = dsn(path, "look")
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			f.Close()
		} else {
			name = dsn(path, "ro") + "&immutable=1"
		}
	}
	s, err := lookThrough(path, name)
	if err != nil {
		return nil, err
	}
	version, err := versionOf(ctx, s.reader)
	switch {
	case err == nil && version > schemaVersion:
		err = ErrNewer
	case err == nil && version < schemaVersion:
		err = ErrOlder
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("look at the state %s: %w", path, explain(err))
	}
	return s, nil
}

// thereIs reports a state that is not there yet.
func thereIs(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		err = fs.ErrNotExist // made by a process that was killed before it wrote anything
	}
	if err != nil {
		return fmt.Errorf("look at the state %s: %w", path, err)
	}
	return nil
}

func lookThrough(path, name string) (*Store, error) {
	db, err := sql.Open("sqlite3", name)
	if err != nil {
		return nil, fmt.Errorf("look at the state %s: %w", path, err)
	}
	s := newStore(path)
	s.reader, s.writer = db, db
	return s, nil
}

// glance opens a state without leaving a trace. still is what the file was where it was
// taken to stay as it is: nil where another process may be at work on it.
func glance(path string) (s *Store, still os.FileInfo, err error) {
	if err := thereIs(path); err != nil {
		return nil, nil, err
	}
	name := dsn(path, "ro")
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		if still, err = os.Stat(path); err != nil {
			return nil, nil, fmt.Errorf("look at the state %s: %w", path, err)
		}
		name += "&immutable=1"
	}
	s, err = lookThrough(path, name)
	return s, still, err
}

// Health is how a state is.
type Health struct {
	Bytes    int64 // of the file and its log
	Version  int   // of its schema
	Latest   int   // version that this program writes
	Runs     int
	OpenRuns int // not ended: under way, or to be resumed
	InFlight int // batches whose answer was never committed
	// Forgotten are the batches that were sent from the state and that it does not know, see
	// [Store.Forgotten]; they are counted also where there is none any more.
	Forgotten int64
}

// Examine looks at a state without changing it or what is beside it (only the
// index of a log that has lost its own is made anew). A damaged one is an
// ErrDamaged where OpenSound would set it aside.
func Examine(ctx context.Context, path string) (Health, error) {
	for {
		s, still, err := glance(path)
		if errors.Is(err, fs.ErrNotExist) {
			sent, _ := (&sentFile{path: path + ".sent"}).read()
			return Health{Forgotten: sent}, err
		}
		if err != nil {
			return Health{}, err
		}
		h, err := s.examine(ctx)
		if closeErr := s.Close(); err == nil && closeErr != nil {
			err = closeErr
		}
		if still != nil && !unchanged(path, still) {
			continue // what was read is a mixture
		}
		if err != nil {
			return h, examineError(path, err)
		}
		return h, nil
	}
}

// unchanged reports whether nobody has begun to write to a state that had no log.
func unchanged(path string, was os.FileInfo) bool {
	now, err := os.Stat(path)
	_, logErr := os.Stat(path + "-wal")
	return err == nil && now.Size() == was.Size() && now.ModTime().Equal(was.ModTime()) && errors.Is(logErr, fs.ErrNotExist)
}

func examineError(path string, err error) error {
	if damaged(err) && isState(path) {
		return fmt.Errorf("examine the state %s: %w: %w", path, ErrDamaged, err)
	}
	if damaged(err) {
		err = fmt.Errorf("%w: %w", ErrNoState, err)
	}
	return fmt.Errorf("examine the state %s: %w", path, err)
}

// Outdated tells whether a state is of an earlier version of its schema, which Open
// upgrades. Of a file that is no state it says no.
func Outdated(ctx context.Context, path string) bool {
	s, _, err := glance(path)
	if err != nil {
		return false
	}
	defer s.Close()
	version, err := versionOf(ctx, s.reader)
	return err == nil && version < schemaVersion
}

func (s *Store) examine(ctx context.Context) (h Health, err error) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			h.Bytes += info.Size()
		}
	}
	if err := quickCheck(ctx, s.reader); err != nil {
		return h, err
	}
	h.Latest = schemaVersion
	switch h.Version, err = versionOf(ctx, s.reader); {
	case errors.Is(err, ErrForeign):
		return h, ErrForeign
	case err != nil:
		return h, err
	case h.Version > schemaVersion:
		return h, ErrNewer
	case h.Version < upgradedFrom:
		return h, ErrOlder
	}
	err = s.reader.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM runs WHERE ended_at IS NULL), (SELECT count(*) FROM batches WHERE state = 'open')`).
		Scan(&h.Runs, &h.OpenRuns, &h.InFlight)
	if err != nil {
		return h, err
	}
	h.Forgotten, err = s.Forgotten(ctx, false)
	return h, err
}
