package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
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
	check(t, s.EndBatch(ctx, d, first, []Answer{{New: 2}}, noon))

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

	// The room of a batch that was answered is used again, and bytes that changed are not sent.
	var before, after int
	check(t, next.reader.QueryRow(`SELECT count(*) FROM pieces`).Scan(&before))
	open, err := next.OpenBatches(ctx, d)
	check(t, err)
	check(t, next.EndBatch(ctx, d, open[0], []Answer{{New: 2}}, noon))
	_, err = next.commit(ctx, run.ID, "account", bytes.Repeat([]byte("fourth"), 50_000), batchOf("a.jpg"), noon)
	check(t, err)
	check(t, next.reader.QueryRow(`SELECT count(*) FROM pieces`).Scan(&after))
	if after != before {
		t.Errorf("a batch as large as one that was answered takes %d pieces more", after-before)
	}
	if bodies, _ = inFlight(t, leftBehind(t, next), d); len(bodies) != 2 || bodies[0][:5] != "third" || bodies[1][:6] != "fourth" {
		t.Errorf("%d batches are in flight, want the third and the fourth with their bytes", len(bodies))
	}
	_, err = next.writer.Exec(`UPDATE pieces SET bytes = CAST(replace(bytes, 'fourth', 'Fourth') AS BLOB)`)
	check(t, err)
	if bodies, _ = inFlight(t, leftBehind(t, next), d); len(bodies) != 2 || bodies[0] == "" || bodies[1] != "" {
		t.Error("bytes that changed in the state are taken for what was sent")
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
	if len(files) != 1 {
		t.Errorf("beside the state there is more: %v", files)
	}
	elsewhere := filepath.Join(t.TempDir(), "state.db")
	copyFile(t, s.path, elsewhere)
	if bodies, _ := inFlight(t, elsewhere, d); fmt.Sprint(bodies) != "[of a.jpg of b.jpg]" {
		t.Errorf("a copy of the state has in flight %q", bodies)
	}
}

// What an earlier version left in a file beside the state is taken over, as far as it is
// what it was.
func TestOutboxOfAnEarlierVersion(t *testing.T) {
	ctx := context.Background()
	for what, c := range map[string]struct {
		change func(path string) error
		want   string
	}{
		"whole":   {func(string) error { return nil }, "[bytes]"},
		"gone":    {os.Remove, "[]"},
		"cut":     {func(path string) error { return os.Truncate(path, 3) }, "[]"},
		"another": {func(path string) error { return os.WriteFile(path, []byte("other"), 0o600) }, "[]"},
	} {
		s, d, run := openPlanned(t, "a.jpg")
		_, err := s.commit(ctx, run.ID, "account", []byte("bytes"), batchOf("a.jpg"), noon)
		check(t, err)
		_, err = s.writer.Exec(`UPDATE batches SET pieces = NULL, body_at = 0, body_size = 5, body_sum = ?`, crc32.Checksum([]byte("bytes"), crc32.MakeTable(crc32.Castagnoli)))
		check(t, err)
		path := leftBehind(t, s)
		check(t, os.WriteFile(path+"-outbox", []byte("bytes"), 0o600))
		check(t, c.change(path+"-outbox"))
		bodies, next := inFlight(t, path, d)
		if fmt.Sprint(bodies) != c.want && (c.want != "[]" || len(bodies) != 1 || bodies[0] != "") {
			t.Errorf("%s: in flight %q, want %s", what, bodies, c.want)
		}
		if _, err := os.Stat(path + "-outbox"); err == nil {
			t.Errorf("%s: the file is still there", what)
		}
		check(t, next.Close())
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

func TestWhoWaitsForTheDiskTogetherWaitsOnce(t *testing.T) {
	var f flusher
	syncs := 0
	flush := func(meanwhile func()) {
		check(t, f.flush(func() error {
			syncs++
			meanwhile()
			return nil
		}))
	}
	f.wrote()
	f.wrote()
	flush(func() { f.wrote() })
	flush(func() {}) // what was written while the first was brought there
	flush(func() {})
	if syncs != 2 {
		t.Errorf("the disk was waited for %d times, want 2", syncs)
	}
}

// The system tells of a write that failed once, and then of success.
func TestADiskThatFailedIsNotTrustedAgain(t *testing.T) {
	var f flusher
	f.wrote()
	broken := errors.New("broken")
	for _, result := range []error{broken, nil} {
		f.wrote()
		if err := f.flush(func() error { return result }); !errors.Is(err, broken) {
			t.Errorf("got %v, want the failure", err)
		}
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
