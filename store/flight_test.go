package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"database/sql"
)

// leftBehind is what a process leaves behind that is killed now: the state and its log.
func leftBehind(t *testing.T, s *Store) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(t, s.path+suffix, path+suffix)
	}
	return path
}

func (s *Store) commit(ctx context.Context, run, account string, body []byte, images []BatchImage, now time.Time) (Batch, error) {
	for n, i := range images { // as the plan has them
		err := s.reader.QueryRowContext(ctx, `SELECT ref FROM images WHERE image_id = ?`, i.ImageID).Scan(&images[n].ImageRef)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return Batch{}, err
		}
	}
	return s.CommitBatch(ctx, run, account, body, images, now)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, data, 0o600))
}

// inFlight are the bytes of the batches in flight, as the next process finds them.
func inFlight(t *testing.T, path string, d Dataset) (bodies []string, s *Store) {
	t.Helper()
	s, err := Open(context.Background(), path)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	open, err := s.OpenBatches(context.Background(), d)
	check(t, err)
	for _, b := range open {
		bodies = append(bodies, string(b.Body))
	}
	return bodies, s
}

func TestBatchesInFlightOutliveAKilledProcess(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg", "c.jpg")
	first, err := s.commit(ctx, run.ID, "account", []byte("first"), batchOf("a.jpg"), noon)
	check(t, err)
	_, err = s.commit(ctx, run.ID, "account", bytes.Repeat([]byte("second"), 50_000), batchOf("b.jpg"), noon)
	check(t, err)
	check(t, s.EndBatch(ctx, d, first, []Answer{{New: 2}}, nil, noon))

	path := leftBehind(t, s)
	bodies, next := inFlight(t, path, d)
	if len(bodies) != 1 || bodies[0] != string(bytes.Repeat([]byte("second"), 50_000)) {
		t.Fatalf("after a kill %d batches are in flight, want the second with its bytes", len(bodies))
	}
	// What the next process sends leaves the bytes alone that are still needed.
	_, err = next.commit(ctx, run.ID, "account", bytes.Repeat([]byte("third"), 50_000), batchOf("c.jpg"), noon)
	check(t, err)
	if bodies, _ = inFlight(t, leftBehind(t, next), d); len(bodies) != 2 || bodies[0][:6] != "second" || bodies[1][:5] != "third" {
		t.Errorf("after a second kill %d batches are in flight, want the second and the third with their bytes", len(bodies))
	}

}

func TestTheStateIsOneFileWhenNobodyWorksOnIt(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg")
	for _, image := range []string{"a.jpg", "b.jpg"} {
		_, err := s.commit(ctx, run.ID, "account", []byte("of "+image), batchOf(image), noon)
		check(t, err)
	}
	check(t, s.Close())
	files, err := os.ReadDir(filepath.Dir(s.path))
	check(t, err)
	for _, f := range files {
		if f.Name() != "state.db" && f.Name() != "state.db.sent" { // that only says that there was more
			t.Errorf("beside the state there is %s", f.Name())
		}
	}
	elsewhere := filepath.Join(t.TempDir(), "state.db")
	copyFile(t, s.path, elsewhere)
	if bodies, _ := inFlight(t, elsewhere, d); fmt.Sprint(bodies) != "[of a.jpg of b.jpg]" {
		t.Errorf("a copy of the state has in flight %q", bodies)
	}
}

// A key is never that of another batch, also where the state was put back to an earlier day.
func TestKeysAreNew(t *testing.T) {
	ctx := context.Background()
	s, _, run := openPlanned(t, "a.jpg")
	path := leftBehind(t, s)
	first, err := s.commit(ctx, run.ID, "account", []byte("bytes"), batchOf("a.jpg"), noon)
	check(t, err)
	earlier, err := Open(ctx, path)
	check(t, err)
	defer earlier.Close()
	second, err := earlier.commit(ctx, run.ID, "account", []byte("bytes"), batchOf("a.jpg"), noon)
	check(t, err)
	if first.ID != second.ID || first.Key == second.Key {
		t.Errorf("batches %d and %d have the keys %s and %s", first.ID, second.ID, first.Key, second.Key)
	}
}

func TestCheckBackups(t *testing.T) {
	ctx := context.Background()
	s, _, run := openPlanned(t, "a.jpg", "b.jpg")
	check(t, s.AddBackups(ctx, run.ID, []Backup{{ImageID: "id-a", Path: "a.jpg", Annotations: []byte(`[{"id":"1"}]`)}, {ImageID: "id-b", Path: "b.jpg", Annotations: []byte(`[{"id":"2"}]`)}}, noon))
	whole, damaged, err := s.CheckBackups(ctx, run.ID)
	if check(t, err); whole != 2 || len(damaged) != 0 {
		t.Errorf("%d whole, damaged %q", whole, damaged)
	}
	_, err = s.writer.Exec(`UPDATE backups SET hash = zeroblob(32) WHERE image_id = 'id-b'`)
	check(t, err)
	whole, damaged, err = s.CheckBackups(ctx, run.ID)
	if check(t, err); whole != 1 || len(damaged) != 1 {
		t.Errorf("%d whole, damaged %q", whole, damaged)
	}
}

// A batch that could not be noted beside the state is not sent, and so not in flight.
func TestABatchThatCannotBeNotedIsWithdrawn(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg")
	check(t, os.Mkdir(s.path+".sent", 0o700))
	if _, err := s.commit(ctx, run.ID, "account", []byte("of a"), batchOf("a.jpg"), noon); err == nil {
		t.Fatal("it was committed")
	}
	if open, err := s.OpenBatches(ctx, d); err != nil || len(open) > 0 {
		t.Errorf("%d batches are in flight, %v", len(open), err)
	}
	if _, err := s.Forgotten(ctx, true); err == nil {
		t.Error("what is no file of ours was taken for one")
	}
}
