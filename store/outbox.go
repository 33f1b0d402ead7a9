package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// outbox holds the bytes of the batches that are on their way, in a file beside
// the state. They are most of what a run writes, and are let go within moments: in
// the state's own file they would be written to the log page by page, found again
// one by one to be let go, and brought from the log into the file all the same.
// Here they are written in one piece, to where others were before.
//
// The file is there while a process works on the state, as SQLite's log is. What
// is in it at the end goes into the state; what a killed process left in it, the
// next one finds there. Only who may send batches touches it.
type outbox struct {
	path string
	log  *flusher // of the state

	mu     sync.Mutex
	file   *os.File // nil where it is not needed
	stays  bool     // the file is there all the same, and nothing in it is needed
	places []place  // in the order of the file
	bytes  flusher  // that were put
}

// place is where a batch's bytes are.
type place struct {
	at, size int64
	// letGo is the commit that let the bytes go, 0 while they are needed. They are
	// not written over before it is on the disk: a power cut that takes it brings
	// the batch back.
	letGo int64
}

// free reports whether the bytes are not needed any more, of the commits so many
// being on the disk.
func (p place) free(onDisk int64) bool { return p.letGo > 0 && p.letGo <= onDisk }

// end is where the next place may begin: none shares a page with another.
func (p place) end() int64 {
	const page = 4096
	return (p.at + p.size + page - 1) / page * page
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func outboxOf(path string) string { return path + "-outbox" }

// openOutbox makes the outbox ready.
func (s *Store) openOutbox(ctx context.Context) error {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	return s.makeReady(ctx)
}

// makeReady is openOutbox for who holds mu.
func (s *Store) makeReady(ctx context.Context) error {
	o := &s.outbox
	if o.file != nil {
		return nil
	}
	wasThere := o.isThere()
	if wasThere {
		// Of what a killed process committed last, batches that have ended too, the
		// log may hold more than the disk does.
		if err := syncFile(s.path + "-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	places, err := s.places(ctx)
	if err != nil {
		return err
	}
	o.places = places
	if o.file, err = os.OpenFile(o.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil || wasThere {
		return err
	}
	return syncFolder(filepath.Dir(o.path))
}

// places are where the bytes of batches are that nobody has ended.
func (s *Store) places(ctx context.Context) (places []place, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT body_at, body_size FROM batches WHERE state = 'open' AND body_at IS NOT NULL ORDER BY body_at`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.at, &p.size); err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, rows.Err()
}

func (o *outbox) isThere() bool {
	_, err := os.Stat(o.path)
	return err == nil
}

// take makes the outbox ready and takes a place for a batch's bytes.
func (s *Store) take(ctx context.Context, size int) (at int64, err error) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	if err := s.makeReady(ctx); err != nil {
		return 0, err
	}
	return s.outbox.take(int64(size)), nil
}

// put writes a batch's bytes to their place; they begin to go to the disk.
func (o *outbox) put(body []byte, at int64) error {
	if _, err := o.file.WriteAt(body, at); err != nil {
		return err
	}
	o.bytes.wrote()
	beginSync(o.file, at, int64(len(body)))
	return nil
}

// flush returns when what was put is on the disk.
func (o *outbox) flush() error { return o.bytes.flush(func() error { return syncData(o.file) }) }

// take takes the first gap that bytes fit into, where none are that are needed.
func (o *outbox) take(size int64) (at int64) {
	onDisk := o.log.onDisk.Load()
	o.places = slices.DeleteFunc(o.places, func(p place) bool { return p.free(onDisk) })
	n, size := 0, max(size, 1)
	for ; n < len(o.places) && o.places[n].at < at+size; n++ {
		at = o.places[n].end()
	}
	o.places = slices.Insert(o.places, n, place{at: at, size: size})
	return at
}

// letGo is told of the commit that has ended the batch whose bytes are at a place.
func (o *outbox) letGo(at, commit int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n, found := slices.BinarySearchFunc(o.places, at, func(p place, at int64) int { return cmp.Compare(p.at, at) }); found {
		o.places[n].letGo = commit
	}
}

// get reads what was put; nil is not there as it was.
func (o *outbox) get(at, size int64, sum uint32) ([]byte, error) {
	if o.file == nil {
		return nil, nil
	}
	body := make([]byte, size)
	_, err := o.file.ReadAt(body, at)
	switch {
	case errors.Is(err, io.EOF), err == nil && crc32.Checksum(body, castagnoli) != sum:
		return nil, nil
	}
	return body, err
}

// closeOutbox brings what is in the outbox into the state. The file can be taken
// away then: who copies the state copies one file.
func (s *Store) closeOutbox() (remove func() error, err error) {
	o := &s.outbox
	if o.file != nil {
		err = errors.Join(s.keepOpenBatches(context.Background()), o.file.Close())
	}
	if err != nil || o.file == nil && !o.stays {
		return func() error { return nil }, err
	}
	return func() error { return os.Remove(o.path) }, nil
}

// settleOutbox takes the outbox away where nothing in it is needed any more. Where
// that fails it is done when the state is closed.
func (s *Store) settleOutbox() {
	if s.Flush() != nil {
		return
	}
	o := &s.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	onDisk := o.log.onDisk.Load()
	if o.file == nil || slices.ContainsFunc(o.places, func(p place) bool { return !p.free(onDisk) }) {
		return
	}
	o.file.Close()
	o.file, o.places = nil, nil
	o.stays = os.Remove(o.path) != nil
}

func (s *Store) keepOpenBatches(ctx context.Context) error {
	if !slices.ContainsFunc(s.outbox.places, func(p place) bool { return p.letGo == 0 }) {
		return nil
	}
	return s.updateOnDisk(ctx, "keep the batches in flight", func(ctx context.Context, tx *sql.Tx) error {
		left, err := s.outbox.left(ctx, tx)
		if err != nil {
			return err
		}
		for id, body := range left {
			if _, err := tx.ExecContext(ctx, `UPDATE batches SET body = ?, body_at = NULL WHERE id = ?`, body, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// left are the bytes of the batches that nobody has ended, by batch.
func (o *outbox) left(ctx context.Context, tx *sql.Tx) (map[int64][]byte, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, body_at, body_size, body_sum FROM batches WHERE state = 'open' AND body_at IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	left := make(map[int64][]byte)
	for rows.Next() {
		var id, at, size int64
		var sum uint32
		if err := rows.Scan(&id, &at, &size, &sum); err != nil {
			return nil, err
		}
		body, err := o.get(at, size, sum)
		if err != nil {
			return nil, err
		}
		if body != nil {
			left[id] = body
		}
	}
	return left, rows.Err()
}
