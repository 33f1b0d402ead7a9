package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"
)

// ErrDamaged is returned for a state whose file is damaged.
var ErrDamaged = errors.New("the state is damaged")

// OpenSound is Open for commands that can do without what a state remembers: a
// damaged file is set aside, and a new state begun. setAside is where the old
// one is then; "" where it was sound. Nobody else may hold the state.
func OpenSound(ctx context.Context, path string, now time.Time) (s *Store, setAside string, err error) {
	if err = inspectFile(ctx, path); err == nil {
		s, err = Open(ctx, path)
		return s, "", err
	}
	if !damaged(err) || !isState(path) {
		return nil, "", err
	}
	if setAside, err = moveAside(path, now); err != nil {
		return nil, "", fmt.Errorf("set the damaged state %s aside: %w", path, err)
	}
	s, err = Open(ctx, path)
	return s, setAside, err
}

// inspectFile looks through the structure of a file that is there.
func inspectFile(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // there is nothing yet, or Open says what is wrong
	}
	db, err := sql.Open("sqlite3", dsn(path, "rwc"))
	if err != nil {
		return fmt.Errorf("check the state %s: %w", path, err)
	}
	defer db.Close()
	if err := quickCheck(ctx, db); err != nil {
		return fmt.Errorf("check the state %s: %w", path, explain(err))
	}
	return nil
}

func quickCheck(ctx context.Context, db *sql.DB) error {
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, result)
	}
	return nil
}

func damaged(err error) bool {
	var e sqlite3.Error
	return errors.Is(err, ErrDamaged) || errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}

// ErrNoState is returned for a file, or a folder, that is no state of pictosync, and most likely
// named by mistake.
var ErrNoState = errors.New("it is no state of pictosync")

// Check refuses what is there under the name of a state and is none, before anything is made
// beside it.
func Check(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil: // nothing, or who opens it says what is wrong
		return nil
	case info.IsDir():
		return fmt.Errorf("open the state %s: %w but a folder; name a file with --state", path, ErrNoState)
	case info.Size() > 0 && info.Mode().IsRegular() && !isState(path):
		return fmt.Errorf("open the state %s: %w; name another with --state", path, ErrNoState)
	}
	return nil
}

// isState reports whether a file that cannot be read as a state was most likely
// one, and not something else that was named by mistake.
func isState(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	return err == nil && string(head[:n]) == "SQLite format 3\x00" || filepath.Base(path) == "state.db"
}

// moveAside renames the file and what SQLite keeps beside it.
func moveAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405")
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.damaged-%s-%d", path, now.UTC().Format("20060102T150405"), n)
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && (suffix == "" || !errors.Is(err, os.ErrNotExist)) {
			return "", err
		}
	}
	return aside, nil
}
