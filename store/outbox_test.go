package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// leftBehind is what a process leaves behind that is killed now: the state, its
// log and its outbox.
func leftBehind(t *testing.T, s *Store) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state.db")
	for _, suffix := range []string{"", "-wal", "-outbox"} {
		copyFile(t, s.path+suffix, path+suffix)
	}
	return path
}

func (s *Store) putAndCommit(ctx context.Context, run, account string, body []byte, images []BatchImage, now time.Time) (Batch, error) {
	for n, i := range images { // as the plan has them
		err := s.reader.QueryRowContext(ctx, `SELECT ref FROM images WHERE image_id = ?`, i.ImageID).Scan(&images[n].ImageRef)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return Batch{}, err
		}
	}
	b, err := s.PutBatch(ctx, run, account, body, images)
	if err == nil {
		err = s.CommitBatch(ctx, &b, now)
	}
	return b, err
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
	first, err := s.putAndCommit(ctx, run.ID, "account", []byte("first"), batchOf("a.jpg"), noon)
	check(t, err)
	_, err = s.putAndCommit(ctx, run.ID, "account", bytes.Repeat([]byte("second"), 5000), batchOf("b.jpg"), noon)
	check(t, err)
	check(t, s.EndBatch(ctx, d, first, []Answer{{New: 2}}, noon))

	path := leftBehind(t, s)
	bodies, next := inFlight(t, path, d)
	if len(bodies) != 1 || bodies[0] != string(bytes.Repeat([]byte("second"), 5000)) {
		t.Fatalf("after a kill %d batches are in flight, want the second with its bytes", len(bodies))
	}
	// What the next process sends leaves the bytes alone that are still needed.
	_, err = next.putAndCommit(ctx, run.ID, "account", bytes.Repeat([]byte("third"), 5000), batchOf("c.jpg"), noon)
	check(t, err)
	if bodies, _ = inFlight(t, leftBehind(t, next), d); len(bodies) != 2 || bodies[0][:6] != "second" || bodies[1][:5] != "third" {
		t.Errorf("after a second kill %d batches are in flight, want the second and the third with their bytes", len(bodies))
	}
}

func TestTheStateIsOneFileWhenNobodyWorksOnIt(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg")
	for _, image := range []string{"a.jpg", "b.jpg"} {
		_, err := s.putAndCommit(ctx, run.ID, "account", []byte("of "+image), batchOf(image), noon)
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

func TestABatchWithoutItsBytesIsForgotten(t *testing.T) {
	ctx := context.Background()
	for what, damage := range map[string]func(outbox string) error{
		"gone":    os.Remove,
		"cut":     func(outbox string) error { return os.Truncate(outbox, 3) },
		"zeroed":  func(outbox string) error { return os.WriteFile(outbox, make([]byte, 9000), 0o600) },
		"another": func(outbox string) error { return os.WriteFile(outbox, []byte("other"), 0o600) },
	} {
		s, d, run := openPlanned(t, "a.jpg")
		_, err := s.putAndCommit(ctx, run.ID, "account", []byte("bytes"), batchOf("a.jpg"), noon)
		check(t, err)
		path := leftBehind(t, s)
		check(t, damage(path+"-outbox"))
		bodies, next := inFlight(t, path, d)
		if len(bodies) != 0 {
			t.Errorf("bytes that are %s: in flight %q", what, bodies)
		}
		check(t, next.Close())
		if bodies, _ = inFlight(t, path, d); len(bodies) != 0 {
			t.Errorf("bytes that were %s: in flight again %q", what, bodies)
		}
	}
}

// What was put and not committed is no batch, and its room is used again.
func TestDiscardedBatchesLeaveNothing(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg")
	for range 20 {
		b, err := s.PutBatch(ctx, run.ID, "account", []byte("never"), batchOf("a.jpg"))
		check(t, err)
		if bodies, next := inFlight(t, leftBehind(t, s), d); len(bodies) != 0 {
			t.Errorf("in flight after a kill: %q", bodies)
		} else {
			check(t, next.Close())
		}
		s.DiscardBatch(b)
		check(t, s.AddRequest(ctx, "account", noon, true))
	}
	info, err := os.Stat(s.path + "-outbox")
	check(t, err)
	if info.Size() > 3*4096 {
		t.Errorf("the outbox has grown to %d bytes", info.Size())
	}
	sent, err := s.Requests(ctx, "account", noon)
	check(t, err)
	if len(sent) != 1 || sent[0].N != 20 {
		t.Errorf("requests %v, of which 20 were sent", sent)
	}
}

// A power cut may take the answer to a batch, which then is sent again: its bytes
// stay until the answer is on the disk. Their room is used again then.
func TestBytesStayUntilTheAnswerIsOnTheDisk(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg")
	b, err := s.putAndCommit(ctx, run.ID, "account", []byte("needed"), batchOf("a.jpg"), noon)
	check(t, err)
	check(t, s.AddRequest(ctx, "account", noon, true))
	cut := leftBehind(t, s) // what is on the disk
	check(t, s.EndBatch(ctx, d, b, []Answer{{New: 2}}, noon))
	b, err = s.putAndCommit(ctx, run.ID, "account", []byte("other!"), batchOf("b.jpg"), noon)
	check(t, err)
	copyFile(t, s.path+"-outbox", cut+"-outbox")
	if bodies, _ := inFlight(t, cut, d); fmt.Sprint(bodies) != "[needed]" {
		t.Errorf("in flight after the cut: %q", bodies)
	}

	for range 20 {
		check(t, s.AddRequest(ctx, "account", noon, true))
		check(t, s.EndBatch(ctx, d, b, []Answer{{New: 2}}, noon))
		b, err = s.putAndCommit(ctx, run.ID, "account", []byte("again!"), batchOf("b.jpg"), noon)
		check(t, err)
	}
	info, err := os.Stat(s.path + "-outbox")
	check(t, err)
	if info.Size() > 3*4096 {
		t.Errorf("after 20 batches, one at a time, the outbox has grown to %d bytes", info.Size())
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

func TestAnOutboxThatCannotBeOpenedIsLeftThere(t *testing.T) {
	s := open(t)
	d := listed(t, s, "a.jpg")
	check(t, os.Mkdir(s.path+"-outbox", 0o700))
	if _, err := s.OpenBatches(context.Background(), d); err == nil {
		t.Fatal("a folder was taken for the outbox")
	}
	check(t, s.Close())
	if !s.outbox.isThere() {
		t.Error("closing the state took away what it could not open")
	}
}

func TestSettlingLeavesWhatIsOnItsWay(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg", "b.jpg", "c.jpg")
	first, err := s.putAndCommit(ctx, run.ID, "account", []byte("first"), batchOf("a.jpg"), noon)
	check(t, err)
	second, err := s.PutBatch(ctx, run.ID, "account", []byte("second"), batchOf("b.jpg"))
	check(t, err)
	s.Settle()
	if log, err := os.Stat(s.path + "-wal"); err != nil || log.Size() != 0 {
		t.Errorf("a settled state has a log of %d bytes (%v)", log.Size(), err)
	}
	check(t, s.CommitBatch(ctx, &second, noon))
	if bodies, _ := inFlight(t, leftBehind(t, s), d); fmt.Sprint(bodies) != "[first second]" {
		t.Errorf("after a kill there are in flight %q", bodies)
	}
	for _, b := range []Batch{first, second} {
		check(t, s.EndBatch(ctx, d, b, []Answer{{New: 2}}, noon))
	}
	s.Settle()
	if s.outbox.isThere() {
		t.Error("the outbox is there, and nothing in it is needed")
	}
	elsewhere := filepath.Join(t.TempDir(), "state.db")
	copyFile(t, s.path, elsewhere)
	if bodies, _ := inFlight(t, elsewhere, d); len(bodies) != 0 {
		t.Errorf("a copy of the file alone has in flight %q, and all were answered", bodies)
	}
	_, err = s.putAndCommit(ctx, run.ID, "account", []byte("third"), batchOf("c.jpg"), noon)
	check(t, err)
	if bodies, _ := inFlight(t, leftBehind(t, s), d); fmt.Sprint(bodies) != "[third]" {
		t.Errorf("after the next batch there are in flight %q", bodies)
	}
}

// Whenever the state is settled, the bytes of batches that are on their way are there.
func TestSettlingBesideBatches(t *testing.T) {
	ctx := context.Background()
	s, d, run := openPlanned(t, "a.jpg")
	done := make(chan struct{})
	var settling, sending sync.WaitGroup
	settling.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				s.Settle()
			}
		}
	})
	for sender := range 3 {
		sending.Go(func() {
			for n := range 20 {
				body := bytes.Repeat([]byte{byte('a' + sender)}, 1000*(n%7))
				b, err := s.putAndCommit(ctx, run.ID, "account", body, batchOf("a.jpg"), noon)
				if err != nil {
					t.Error(err)
					return
				}
				if there, err := s.outbox.get(b.place.Int64, int64(len(body)), crc32.Checksum(body, castagnoli)); err != nil || !bytes.Equal(there, body) {
					t.Errorf("batch %d is on its way, and its bytes are not there (%v)", b.ID, err)
				}
				if err := s.EndBatch(ctx, d, b, []Answer{{New: 2}}, noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	close(done)
	settling.Wait()
}
