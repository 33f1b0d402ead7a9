package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
)

// sentFile says beside a state which was the last batch that was sent from it: the state's log
// can get lost or be cut, and an older copy of it put back, and SQLite opens what is left.
type sentFile struct {
	path string

	mu   sync.Mutex
	file *os.File // nil until it is written
	last int64
}

// write puts a batch down that is on the disk and will be sent now.
func (s *sentFile) write(batch int64) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if batch < s.last {
		return nil // one that was committed after it was faster
	}
	s.last = batch
	if s.file == nil {
		if s.file, err = os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
			return err
		}
	}
	_, err = s.file.WriteAt(fmt.Appendf(nil, "%19d\n", batch), 0)
	return err
}

// read is the last batch that was put down, 0 if there is none. What is no number says nothing.
func (s *sentFile) read() (int64, error) {
	data, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	batch, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return batch, nil
}

func (s *sentFile) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// Forgotten counts the batches that were sent from the state and that it does not know: its log
// was lost, or it was put back to an earlier day. To tell once, it counts from here on then;
// nobody else may hold the state.
func (s *Store) Forgotten(ctx context.Context) (batches int64, err error) {
	sent, err := s.sent.read()
	var known int64
	if err == nil && sent > 0 {
		err = s.writer.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'batches'`).Scan(&known)
	}
	if err == nil && sent > known {
		err = s.sent.write(known)
	}
	if err != nil {
		return 0, describe("look for what the state does not know", err)
	}
	return max(0, sent-known), nil
}
