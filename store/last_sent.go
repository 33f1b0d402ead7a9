package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
)

// sentFile says beside a state which was the last batch that was sent from it: the state can be
// taken away, its log get lost or be cut, and an older copy of it be put back, and SQLite opens
// what is left.
type sentFile struct {
	path string

	mu   sync.Mutex
	file *os.File // nil until it is written
	last int64
}

// sentLength is what the file holds: a number and the end of its line.
const sentLength = 20

// write puts a batch down that is on the disk and will be sent now.
func (s *sentFile) write(batch int64) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if batch < s.last {
		return nil // one that was committed after it was faster
	}
	if s.file == nil {
		if s.file, err = os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
			return fmt.Errorf("%w; take the file away, or name another state with --state", err)
		}
	}
	if _, err = s.file.WriteAt(fmt.Appendf(nil, "%*d\n", sentLength-1, batch), 0); err == nil {
		s.last = batch
	}
	return err
}

// read is the last batch that was put down, 0 if there is none.
func (s *sentFile) read() (int64, error) {
	foreign := fmt.Errorf("%s is beside the state and not of pictosync, which writes a file of that name; take it away, or name another state with --state", s.path)
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular() || info.Size() > sentLength:
		return 0, foreign
	}
	f, err := os.Open(s.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, sentLength))
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" { // made, and not written yet
		return 0, err
	}
	batch, err := strconv.ParseInt(text, 10, 64)
	if err != nil || batch < 0 {
		return 0, foreign
	}
	return batch, nil
}

func (s *sentFile) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// Forgotten counts the batches that were sent from the state and that it does not know: it was
// taken away, its log was lost, or it was put back to an earlier day. To tell once, settle has
// the state go on behind their numbers; nobody else may hold it then.
func (s *Store) Forgotten(ctx context.Context, settle bool) (batches int64, err error) {
	const doing = "look for what the state does not know"
	sent, err := s.sent.read()
	if err != nil || sent == 0 {
		return 0, describe(doing, err)
	}
	known, err := highestNumber(ctx, s.writer, "batches")
	if err != nil {
		return 0, describe(doing, err)
	}
	if sent > known && settle {
		err = s.update(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = 'batches'`); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES ('batches', ?)`, sent)
			return err
		})
	}
	if err != nil {
		return 0, err
	}
	return max(0, sent-known), nil
}
