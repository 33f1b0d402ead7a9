package quota

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pictosync/store"
)

// memoryLog is a request log without a file.
type memoryLog struct {
	mu     sync.Mutex
	sent   []time.Time
	onDisk int // of them
}

func (l *memoryLog) AddRequest(_ context.Context, _ string, now time.Time, onDisk bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, now)
	if onDisk {
		l.onDisk++
	}
	return nil
}

func (l *memoryLog) Requests(_ context.Context, _ string, now time.Time) ([]store.Sent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []store.Sent
	for _, at := range l.sent {
		if now.Sub(at) <= time.Hour {
			out = append(out, store.Sent{At: at.Truncate(time.Second), N: 1})
		}
	}
	return out, nil
}

func (l *memoryLog) TakeRequest(_ context.Context, _ string, at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := slices.Index(l.sent, at)
	l.sent = slices.Delete(l.sent, n, n+1)
	return nil
}

func (l *memoryLog) OtherRequests(context.Context, string, time.Time) ([]store.Sent, error) {
	return nil, nil
}

// most is the largest number of requests in any time of the given length.
func (l *memoryLog) most(per time.Duration) int {
	most, from := 0, 0
	for i, at := range l.sent {
		for at.Sub(l.sent[from]) >= per {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// A quota is kept over a power cut; without one nobody waits for the disk.
func TestRequestsAreOnTheDiskWhereThereIsAQuota(t *testing.T) {
	for quota, want := range map[Quota]int{{}: 0, {Requests: 20000, Per: time.Hour}: 3} {
		log := &memoryLog{}
		pacer, err := NewPacer(t.Context(), quota, "account", log, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := pacer.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(log.sent) != 3 || log.onDisk != want {
			t.Errorf("at %s, of %d requests on record %d waited for the disk, want %d", quota, len(log.sent), log.onDisk, want)
		}
	}
}

func TestParseQuota(t *testing.T) {
	for text, want := range map[string]Quota{
		"20000/h": {Requests: 20000, Per: time.Hour}, "300/m": {Requests: 300, Per: time.Minute}, "5/s": {Requests: 5, Per: time.Second}, "unlimited": {},
	} {
		got, err := Parse(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("Parse(%q) = %v (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "5", "0/h", "-1/h", "5/d", "x/h", "1e3/h", "5/h/h"} {
		if q, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, q)
		}
	}
}

// The quota holds for every hour, whether the process lives on
// or is started anew every few minutes, and nearly all of it is used.
func TestQuotaHoldsOverRestarts(t *testing.T) {
	for _, restartEvery := range []time.Duration{24 * time.Hour, 7 * time.Minute, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			quota := Quota{Requests: 2000, Per: time.Hour}
			log := &memoryLog{}
			start := time.Now()
			for time.Since(start) < 4*time.Hour {
				p, err := NewPacer(t.Context(), quota, "key", log, time.Now)
				if err != nil {
					t.Fatal(err)
				}
				for born := time.Now(); time.Since(born) < restartEvery && time.Since(start) < 4*time.Hour; {
					if err := p.Wait(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if most := log.most(time.Hour); most > quota.Requests {
				t.Errorf("restarted every %s: %d requests in an hour, the quota is %d", restartEvery, most, quota.Requests)
			}
			if total := len(log.sent); total < 4*quota.Requests*97/100 {
				t.Errorf("restarted every %s: %d requests in four hours, the quota allows %d", restartEvery, total, 4*quota.Requests)
			}
		})
	}
}

func TestARefusalHoldsEverybodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{}
		p, err := NewPacer(t.Context(), Quota{Requests: 36000, Per: time.Hour}, "key", log, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				for p.Wait(ctx) == nil {
					p.Succeeded()
				}
			})
		}
		time.Sleep(time.Minute)
		refused := time.Now()
		p.Throttled(30 * time.Second)
		p.Throttled(20 * time.Second) // of a request that was under way too
		synctest.Wait()
		time.Sleep(3 * time.Minute)
		cancel()
		workers.Wait()

		var during, after, later int
		for _, at := range log.sent {
			switch since := at.Sub(refused); {
			case since <= 0:
			case since < 30*time.Second:
				during++
			case since < 31*time.Second:
				after++
			case since >= 90*time.Second && since < 150*time.Second:
				later++
			}
		}
		if during != 0 {
			t.Errorf("%d requests were sent while the service wanted to be left alone", during)
		}
		if after > 8 {
			t.Errorf("%d requests in the first second after the pause: more than at half the rate", after)
		}
		if full := 60 * 36000 / 3600 * 98 / 100; later < full*99/100 {
			t.Errorf("a minute after the pause %d requests a minute are sent, at the full rate it were %d", later, full)
		}
	})
}

func TestStopSendsTheWaitingHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPacer(t.Context(), Quota{Requests: 1, Per: time.Hour}, "key", &memoryLog{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error)
		go func() { waiting <- p.Wait(t.Context()) }()
		synctest.Wait()
		p.Stop()
		p.Stop()
		if err := <-waiting; !errors.Is(err, ErrStopping) {
			t.Errorf("a request that waited when the run stopped got %v", err)
		}
	})
}

// A clock that was set back leaves requests of the future in the record: they
// count as sent just now, and hold nobody back for longer than the quota's
// time.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{}
		for range 2000 {
			log.sent = append(log.sent, time.Now().Add(5*time.Hour))
		}
		p, err := NewPacer(t.Context(), Quota{Requests: 2000, Per: time.Hour}, "key", log, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > time.Hour+time.Minute {
			t.Errorf("held back for %s", waited)
		}
	})
}
