package quota

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pictosync/pictograph"
	"pictosync/sandbox"
	"pictosync/store"
)

var _ pictograph.Informed = (*Pacer)(nil)

// remembering is a log that remembers what was said of the quota.
type remembering struct {
	longLog
	said store.SaidQuota
}

func (l *remembering) Quota(context.Context, string) (store.SaidQuota, bool, error) {
	return l.said, l.said.Requests > 0, nil
}

func (l *remembering) PutQuota(_ context.Context, _ string, q store.SaidQuota) error {
	l.said = q
	return nil
}

// limited is a service with a quota, which counts what it refuses.
type limited struct {
	t       *testing.T
	handler http.Handler
	random  *rand.Rand
	latency time.Duration // at most, each way

	mu             sync.Mutex
	taken, refused int
	byKey          map[string]int
	withoutHeaders bool
}

func newLimited(t *testing.T, q Quota, latency time.Duration) *limited {
	t.Helper()
	server, err := sandbox.Open(":memory:", sandbox.Options{Quota: sandbox.Quota{Requests: q.Requests, Per: q.Per}, Log: zerolog.Nop(), StorageURL: "http://storage.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return &limited{t: t, handler: server, random: rand.New(rand.NewPCG(rand.Uint64(), 1)), latency: latency, byKey: make(map[string]int)}
}

func (l *limited) pause() {
	l.mu.Lock()
	d := time.Duration(l.random.Int64N(int64(l.latency) + 1))
	l.mu.Unlock()
	time.Sleep(d) // on the bubble's clock
}

// request sends one as a process's client does, and tells its pacer of the answer.
func (l *limited) request(who string, p *Pacer) {
	l.pause()
	request := httptest.NewRequest(http.MethodGet, "/api/v1/developer/datasets/", nil)
	request.Header.Set("X-API-Key", "key")
	answer := httptest.NewRecorder()
	l.handler.ServeHTTP(answer, request)
	l.mu.Lock()
	if answer.Code == http.StatusTooManyRequests {
		l.refused++
		l.byKey[who+" refused"]++
	} else {
		l.taken++
		l.byKey[who]++
	}
	l.mu.Unlock()
	l.pause()
	if p == nil {
		return
	}
	var limit, remaining int
	var reset int64
	header := answer.Header()
	if _, err := fmt.Sscan(header.Get("X-RateLimit-Limit"), &limit); err != nil || l.withoutHeaders {
		p.Silent(true)
	} else {
		fmt.Sscan(header.Get("X-RateLimit-Remaining"), &remaining)
		fmt.Sscan(header.Get("X-RateLimit-Reset"), &reset)
		p.Allowed(limit, remaining, time.Unix(reset, 0))
	}
	if answer.Code == http.StatusTooManyRequests {
		var after int
		fmt.Sscan(header.Get("Retry-After"), &after)
		p.Throttled(time.Duration(after) * time.Second)
	}
}

// work has a process of its own state send as fast as it may, some requests side by side.
func (l *limited) work(ctx context.Context, who string, log RequestLog, q Quota, sideBySide int) {
	p, err := NewPacer(ctx, q, "key", log, time.Now)
	if err != nil {
		l.t.Error(err)
		return
	}
	var workers sync.WaitGroup
	for range sideBySide {
		workers.Go(func() {
			for p.Wait(ctx) == nil {
				l.request(who, p)
			}
		})
	}
	workers.Wait()
}

// Two processes with two states on one key use nearly all of its quota together, over two
// hours, and none is refused, however long requests take and whichever begins later.
func TestTwoStatesShareAKey(t *testing.T) {
	for _, c := range []struct {
		quota      Quota
		latency    time.Duration
		sideBySide int
		later      time.Duration
	}{
		{Quota{Requests: 1000, Per: time.Hour}, 0, 1, 0},
		{Quota{Requests: 2000, Per: time.Hour}, 200 * time.Millisecond, 4, 0},
		{Quota{Requests: 2000, Per: time.Hour}, 2 * time.Second, 4, 17 * time.Minute},
		{Quota{Requests: 5000, Per: time.Hour}, time.Second, 4, 40 * time.Minute},
	} {
		if testing.Short() && c.quota.Requests > 2000 {
			continue
		}
		t.Run(fmt.Sprint(c.quota, " ", c.latency, " ", c.later), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const long = 2 * time.Hour
				l := newLimited(t, c.quota, c.latency)
				ctx, cancel := context.WithTimeout(t.Context(), long)
				defer cancel()
				var processes sync.WaitGroup
				for n := range 2 {
					processes.Go(func() {
						time.Sleep(time.Duration(n) * c.later)
						l.work(ctx, fmt.Sprint(n), &remembering{}, Auto, c.sideBySide)
					})
				}
				processes.Wait()
				share := float64(l.taken) / (float64(c.quota.Requests) * float64(long) / float64(c.quota.Per))
				t.Logf("%.2f%% of the quota: %v, %d refused", 100*share, l.byKey, l.refused)
				if l.refused > 0 {
					t.Errorf("%d of %d requests were refused", l.refused, l.taken+l.refused)
				}
				if share < 0.98 {
					t.Errorf("%.2f%% of the quota was used", 100*share)
				}
				for who, n := range l.byKey {
					if n < l.taken/10 {
						t.Errorf("process %s sent %d of %d only", who, n, l.taken)
					}
				}
			})
		})
	}
}

// A script of somebody's that takes no notice of the quota, nor of a refusal, leaves what it
// leaves: that is used, and nobody is held up for ever.
func TestAScriptWithTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimited(t, Quota{Requests: 2000, Per: time.Hour}, 100*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { l.work(ctx, "us", &remembering{}, Auto, 4) })
		all.Go(func() {
			for ctx.Err() == nil {
				l.request("script", nil)
				time.Sleep(6 * time.Second) // 600 an hour
			}
		})
		all.Wait()
		t.Logf("%v, %d refused", l.byKey, l.refused)
		if l.refused > 0 || l.taken < 3920 {
			t.Errorf("%d refused, %d of 4000 used", l.refused, l.taken)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLimited(t, Quota{Requests: 500, Per: time.Hour}, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { l.work(ctx, "us", &remembering{}, Auto, 1) })
		all.Go(func() {
			for ctx.Err() == nil {
				l.request("script", nil)
				time.Sleep(4 * time.Second) // 900 an hour
			}
		})
		all.Wait()
		t.Logf("%v, %d refused", l.byKey, l.refused)
		if l.byKey["us"] < 100 {
			t.Errorf("%d requests of ours in three hours", l.byKey["us"])
		}
	})
}

// What the service says is used from the first answer on and remembered; where it says
// nothing a thousand an hour are sent, and a number that was given stays a ceiling.
func TestTheServiceSaysTheQuota(t *testing.T) {
	for _, c := range []struct {
		name           string
		service, asked Quota
		silent         bool
		in             time.Duration
		least, most    int
	}{
		{"larger than assumed", Quota{Requests: 20000, Per: time.Hour}, Auto, false, time.Hour, 19600, 20000},
		{"smaller than assumed", Quota{Requests: 200, Per: time.Hour}, Auto, false, 2 * time.Hour, 380, 400},
		{"by the minute", Quota{Requests: 300, Per: time.Minute}, Auto, false, time.Hour, 17600, 18000},
		{"by the second", Quota{Requests: 5, Per: time.Second}, Auto, false, time.Minute, 150, 300},
		{"not said", Quota{Requests: 20000, Per: time.Hour}, Auto, true, 2 * time.Hour, 1960, 2000},
		{"a ceiling", Quota{Requests: 20000, Per: time.Hour}, Quota{Requests: 300, Per: time.Hour}, false, 2 * time.Hour, 588, 600},
		{"a ceiling above", Quota{Requests: 1000, Per: time.Hour}, Quota{Requests: 5000, Per: time.Hour}, false, 2 * time.Hour, 1960, 2000},
	} {
		if testing.Short() && c.most > 10_000 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimited(t, c.service, 20*time.Millisecond)
				l.withoutHeaders = c.silent
				log := &remembering{}
				ctx, cancel := context.WithTimeout(t.Context(), c.in)
				defer cancel()
				l.work(ctx, "us", log, c.asked, 2)
				if l.refused > 0 || l.taken < c.least || l.taken > c.most {
					t.Errorf("%d taken, want %d to %d; %d refused", l.taken, c.least, c.most, l.refused)
				}
				if said := log.said; !c.silent && (said.Requests != c.service.Requests || said.Per != c.service.Per) {
					t.Errorf("remembered: %+v", said)
				}
				if !c.asked.Auto || c.silent {
					return
				}
				p, err := NewPacer(t.Context(), Auto, "key", log, time.Now)
				if err != nil || p.Quota().Requests != c.service.Requests {
					t.Errorf("the next start begins with %v, %v", p.Quota(), err)
				}
			})
		})
	}
}

// A process that is killed and started anew every few minutes stays within the quota beside
// another, and uses it.
func TestRestartsBesideAnotherState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimited(t, Quota{Requests: 2000, Per: time.Hour}, 100*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { l.work(ctx, "steady", &remembering{}, Auto, 4) })
		all.Go(func() {
			log := &remembering{}
			for ctx.Err() == nil {
				life, end := context.WithTimeout(ctx, 7*time.Minute)
				l.work(life, "restarted", log, Auto, 4)
				<-life.Done() // a turn that comes after it is not waited for
				end()
			}
		})
		all.Wait()
		t.Logf("%v, %d refused", l.byKey, l.refused)
		if l.refused > 0 || l.taken < 3920 {
			t.Errorf("%d refused, %d of 4000 used", l.refused, l.taken)
		}
	})
}

// A long wait is said once, and its end.
func TestWaitsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPacer(t.Context(), Quota{Requests: 60, Per: time.Hour}, "key", &memoryLog{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var said []Waiting
		p.OnWait = func(w Waiting) { said = append(said, w) }
		for range 2 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(said) != 2 || said[0].Quota.Requests != 60 || said[0].Until.IsZero() || said[1] != (Waiting{}) {
			t.Errorf("%+v", said)
		}
		if takes := p.Takes(60); takes < 59*time.Minute || takes > 61*time.Minute {
			t.Errorf("60 requests take %s", takes)
		}
	})
}

// Where each request waits for a moment and none for long, that is said once, when it has been so
// for a while; a burst that has its turns is no wait.
func TestAPaceIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPacer(t.Context(), Quota{Requests: 20, Per: time.Minute}, "key", &memoryLog{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var said []Waiting
		p.OnWait = func(w Waiting) { said = append(said, w) }
		began := time.Now()
		for range 30 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if passed := time.Since(began); passed < 10*time.Second && len(said) > 0 {
				t.Errorf("after %s: %+v", passed, said)
			}
		}
		if len(said) != 2 || !said[0].Paced || said[0].Quota.Requests != 20 || said[0].Until.IsZero() || said[1] != (Waiting{}) {
			t.Errorf("%+v", said)
		}
	})
}
