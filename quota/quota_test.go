package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pictosync/sandbox"
	"pictosync/store"
)

// A sliding window refuses a request when the time that ends with it
// holds the quota already.
func refusedBySlidingWindow(q Quota, arrivals []time.Time) (refused int) {
	var taken []time.Time
	for _, at := range arrivals {
		for len(taken) > 0 && at.Sub(taken[0]) >= q.Per {
			taken = taken[1:]
		}
		if len(taken) >= q.Requests {
			refused++
			continue
		}
		taken = append(taken, at)
	}
	return refused
}

// A fixed window begins to count anew at every whole Per since a phase.
func refusedByFixedWindow(q Quota, phase time.Duration, arrivals []time.Time) (refused int) {
	taken := make(map[int64]int)
	for _, at := range arrivals {
		window := at.Add(-phase).UnixNano() / int64(q.Per)
		if taken[window] >= q.Requests {
			refused++
			continue
		}
		taken[window]++
	}
	return refused
}

// longLog remembers requests for as long as the store does.
type longLog struct{ memoryLog }

func (l *longLog) Requests(_ context.Context, _ string, now time.Time) (sent []store.Sent, err error) {
	for _, at := range l.sent {
		if now.Sub(at) <= 70*time.Minute {
			sent = append(sent, store.Sent{At: at.Truncate(time.Second), N: 1})
		}
	}
	return sent, nil
}

// sendFor sends as fast as a pacer lets it, in processes that are killed and
// started anew, and returns when.
func sendFor(t *testing.T, q Quota, total time.Duration, restarts []time.Duration) []time.Time {
	t.Helper()
	log := &longLog{}
	start := time.Now()
	for _, end := range append(slices.Clone(restarts), total) {
		p, err := NewPacer(t.Context(), q, "key", log, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithDeadline(t.Context(), start.Add(end))
		for p.Wait(ctx) == nil {
		}
		cancel()
	}
	return log.sent
}

// All but two hundredths of a quota are used, and no server that counts
// arrivals refuses any of it, whichever way it counts, also where requests take
// until [Quota.Jitter] longer than others, and where processes are killed.
func TestQuotaIsUsedAndNeverExceeded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []struct {
		quota string
		total time.Duration
	}{
		{"60/h", 5 * time.Hour}, {"2000/h", 5 * time.Hour}, {"20000/h", 3 * time.Hour}, {"100000/h", 2 * time.Hour},
		// A restart costs up to a second: the log counts by it.
		{"300/m", 10 * time.Minute}, {"5/s", 5 * time.Minute}, {"1/s", 5 * time.Minute}, {"40/s", 5 * time.Minute},
	} {
		q, err := Parse(c.quota)
		if err != nil {
			t.Fatal(err)
		}
		if testing.Short() && q.Requests > 2000 {
			continue
		}
		restarts := map[string][]time.Duration{"one process": nil, "killed once": {c.total * 2 / 5}}
		if q.Per == time.Hour {
			for at := 11 * time.Minute; at < c.total; at += 11 * time.Minute {
				restarts["killed every 11 minutes"] = append(restarts["killed every 11 minutes"], at)
			}
		}
		for name, restarts := range restarts {
			t.Run(c.quota+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sent := sendFor(t, q, c.total, restarts)
					t.Logf("%.2f%% of the quota", 100*float64(len(sent))*float64(q.Per)/float64(c.total)/float64(q.Requests))
					want := 0.98 * float64(q.Requests) * float64(c.total) / float64(q.Per)
					if float64(len(sent)) < want {
						t.Errorf("%d requests in %s, at least %.0f are to be used", len(sent), c.total, want)
					}
					for _, jitter := range []time.Duration{0, q.Jitter() / 2, q.Jitter()} {
						arrivals := slices.Clone(sent)
						for i := range arrivals {
							arrivals[i] = arrivals[i].Add(time.Duration(random.Float64() * float64(jitter)))
						}
						slices.SortFunc(arrivals, time.Time.Compare)
						if n := refusedBySlidingWindow(q, arrivals); n > 0 {
							t.Errorf("a sliding window refuses %d of %d with a jitter of %s", n, len(sent), jitter)
						}
						for phase := range 8 {
							if n := refusedByFixedWindow(q, q.Per*time.Duration(phase)/8, arrivals); n > 0 {
								t.Errorf("a fixed window refuses %d of %d with a jitter of %s and a phase of %d/8", n, len(sent), jitter, phase)
							}
						}
					}
				})
			})
		}
	}
}

// The reference enforcers refuse what is too much.
func TestEnforcersRefuse(t *testing.T) {
	q := Quota{Requests: 2, Per: time.Minute}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	arrivals := []time.Time{start, start.Add(59 * time.Second), start.Add(59500 * time.Millisecond), start.Add(61 * time.Second), start.Add(62 * time.Second)}
	if n := refusedBySlidingWindow(q, arrivals); n != 2 {
		t.Errorf("a sliding window refuses %d, want 2", n)
	}
	if n := refusedByFixedWindow(q, 0, arrivals); n != 1 {
		t.Errorf("a fixed window refuses %d, want 1", n)
	}
}

// The sandbox enforces quotas as services do, and refuses nothing.
func TestSandboxNeverRefuses(t *testing.T) {
	for _, window := range []string{"sliding", "fixed"} {
		for _, q := range []Quota{{Requests: 600, Per: time.Hour}, {Requests: 5, Per: time.Second}} {
			t.Run(fmt.Sprint(window, " ", q), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server, err := sandbox.Open(":memory:", sandbox.Options{Quota: sandbox.Quota{Requests: q.Requests, Per: q.Per, Window: window}, Log: zerolog.Nop()})
					if err != nil {
						t.Fatal(err)
					}
					defer server.Close()
					request := httptest.NewRequest(http.MethodGet, "/api/v1/developer/datasets/", nil)
					request.Header.Set("X-API-Key", "key")
					log := &longLog{}
					for start := time.Now(); time.Since(start) < 4*q.Per; {
						p, err := NewPacer(t.Context(), q, "key", log, time.Now)
						if err != nil {
							t.Fatal(err)
						}
						for born := time.Now(); time.Since(born) < q.Per*3/2; {
							if err := p.Wait(t.Context()); err != nil {
								t.Fatal(err)
							}
							answer := httptest.NewRecorder()
							server.ServeHTTP(answer, request)
							if answer.Code != http.StatusOK {
								t.Fatalf("after %s and %d requests: %d %s", time.Since(start), len(log.sent), answer.Code, answer.Body)
							}
						}
					}
				})
			})
		}
	}
}

// A rate that a refusal lowered is whole again within a minute, at any quota.
func TestRateRecoversWithinAMinute(t *testing.T) {
	for _, q := range []Quota{{Requests: 60, Per: time.Hour}, {Requests: 2000, Per: time.Hour}, {Requests: 100000, Per: time.Hour}, {Requests: 5, Per: time.Second}} {
		for _, refusals := range []int{1, 6} {
			t.Run(fmt.Sprintf("%s %d", q, refusals), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, err := NewPacer(t.Context(), q, "key", &memoryLog{}, time.Now)
					if err != nil {
						t.Fatal(err)
					}
					for range refusals {
						p.Throttled(10 * time.Second)
						time.Sleep(11 * time.Second) // on the bubble's clock
					}
					p.take()
					if p.limiter.Limit() > q.steady()*3/4 {
						t.Errorf("right after a refusal the rate is %v of %v", p.limiter.Limit(), q.steady())
					}
					time.Sleep(49 * time.Second)
					p.take()
					if p.limiter.Limit() != q.steady() || p.limiter.Burst() != q.burst() {
						t.Errorf("a minute after the refusal the rate is %v of %v, the burst %d of %d", p.limiter.Limit(), q.steady(), p.limiter.Burst(), q.burst())
					}
				})
			})
		}
	}
}

// sharedLog is the log of one process, in a state that another has open too.
type sharedLog struct {
	*longLog
	process int
	by      *[]int // of each of the requests, which process
}

func (l sharedLog) AddRequest(ctx context.Context, account string, now time.Time, onDisk bool) error {
	*l.by = append(*l.by, l.process)
	return l.longLog.AddRequest(ctx, account, now, onDisk)
}

func (l sharedLog) TakeRequest(_ context.Context, _ string, at time.Time) error {
	for n := range l.sent {
		if l.sent[n].Equal(at) && (*l.by)[n] == l.process {
			l.sent, *l.by = slices.Delete(l.sent, n, n+1), slices.Delete(*l.by, n, n+1)
			return nil
		}
	}
	return fmt.Errorf("no request was sent at %s", at)
}

func (l sharedLog) OtherRequests(_ context.Context, _ string, since time.Time) (sent []store.Sent, _ error) {
	counts := make(map[int64]int)
	for n, at := range l.sent {
		if (*l.by)[n] != l.process && at.Unix() >= since.Unix() {
			counts[at.Unix()]++
		}
	}
	for second, n := range counts {
		sent = append(sent, store.Sent{At: time.Unix(second, 0), N: n})
	}
	return sent, nil
}

// Two processes together stay within the quota, and use most of it.
func TestTwoProcessesShareAQuota(t *testing.T) {
	for _, q := range []Quota{{Requests: 600, Per: time.Hour}, {Requests: 300, Per: time.Minute}, {Requests: 5, Per: time.Second}} {
		t.Run(q.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, by := &longLog{}, []int{}
				ctx, cancel := context.WithTimeout(t.Context(), 4*q.Per)
				defer cancel()
				var turn sync.Mutex // as transactions of a state
				var pacers [2]*Pacer
				for process := range pacers {
					var err error
					if pacers[process], err = NewPacer(ctx, q, "key", lockedLog{sharedLog{log, process, &by}, &turn}, time.Now); err != nil {
						t.Fatal(err)
					}
				}
				var processes sync.WaitGroup
				for _, p := range pacers {
					processes.Go(func() {
						for p.Wait(ctx) == nil {
						}
					})
				}
				processes.Wait()
				sent := slices.Clone(log.sent)
				slices.SortFunc(sent, time.Time.Compare)
				if n := refusedBySlidingWindow(q, sent); n > 0 {
					t.Errorf("of %d requests %d are too many", len(sent), n)
				}
				if want := 4 * q.Requests * 9 / 10; len(sent) < want {
					t.Errorf("%d requests were sent, at least %d are to be", len(sent), want)
				}
				shares := [2]int{}
				for _, process := range by {
					shares[process]++
				}
				if shares[0] == 0 || shares[1] == 0 { // in which proportion is not promised
					t.Errorf("the processes have sent %d and %d", shares[0], shares[1])
				}
			})
		})
	}
}

// lockedLog lets one process at a time at the log.
type lockedLog struct {
	sharedLog
	turn *sync.Mutex
}

func (l lockedLog) AddRequest(ctx context.Context, account string, now time.Time, onDisk bool) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.sharedLog.AddRequest(ctx, account, now, onDisk)
}

func (l lockedLog) TakeRequest(ctx context.Context, account string, at time.Time) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.sharedLog.TakeRequest(ctx, account, at)
}

func (l lockedLog) OtherRequests(ctx context.Context, account string, since time.Time) ([]store.Sent, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.sharedLog.OtherRequests(ctx, account, since)
}
