package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"pictosync/store"
)

// Quota is how many requests the service allows in a stretch of time, as
// "20000/h". The zero value is no limit.
type Quota struct {
	Requests int
	Per      time.Duration
}

// ParseQuota reads "20000/h", "300/m", "5/s" or "unlimited".
func ParseQuota(s string) (Quota, error) {
	if s == "unlimited" {
		return Quota{}, nil
	}
	number, unit, found := strings.Cut(s, "/")
	per := map[string]time.Duration{"h": time.Hour, "m": time.Minute, "s": time.Second}[unit]
	n, err := strconv.Atoi(number)
	if !found || per == 0 || err != nil || n < 1 {
		return Quota{}, fmt.Errorf("%q is no rate; give requests per hour, minute or second, as 20000/h, 300/m or 5/s, or unlimited", s)
	}
	return Quota{Requests: n, Per: per}, nil
}

// String is the form that ParseQuota reads.
func (q Quota) String() string {
	if q == (Quota{}) {
		return "unlimited"
	}
	unit := map[time.Duration]string{time.Hour: "h", time.Minute: "m", time.Second: "s"}[q.Per]
	return fmt.Sprintf("%d/%s", q.Requests, unit)
}

// burstShare is the part of a quota that may be sent at once. It is taken out
// of the steady rate, so that any stretch of Quota.Per holds at most
// Quota.Requests, the burst included.
const burstShare = 50 // one fiftieth

func (q Quota) burst() int { return max(1, q.Requests/burstShare) }

func (q Quota) steady() rate.Limit {
	if q == (Quota{}) {
		return rate.Inf
	}
	// A quota of one still has to move.
	return rate.Limit(math.Max(float64(q.Requests-q.burst()), 0.5) / q.Per.Seconds())
}

// RequestLog remembers requests across processes; *store.Store is one.
type RequestLog interface {
	AddRequest(ctx context.Context, account string, now time.Time) error
	Requests(ctx context.Context, account string, now time.Time) ([]store.Sent, error)
}

// ErrStopping is what a request gets that was still waiting for its turn when
// the run was asked to stop.
var ErrStopping = errors.New("the run is stopping")

// Pacer is the one gate that every request of every kind passes. It keeps the
// quota over restarts (a limiter in memory starts full each time), holds
// everybody back while the service wants to be left alone, and lowers the
// rate after a refusal, to raise it again while answers come.
//
// It implements pictograph.Pacer.
type Pacer struct {
	quota   Quota
	account string
	log     RequestLog
	now     func() time.Time
	limiter *rate.Limiter
	stop    chan struct{}

	mu           sync.Mutex
	sent         int
	throttled    int
	share        float64 // of the steady rate that is in use, 0..1
	blockedUntil time.Time
	raisedAt     time.Time
	stopped      bool
}

// NewPacer makes the gate for an account, a fingerprint of its key. It begins
// where the requests of the last hour, from whatever process, left the quota.
func NewPacer(ctx context.Context, q Quota, account string, log RequestLog, now func() time.Time) (*Pacer, error) {
	p := &Pacer{quota: q, account: account, log: log, now: now, share: 1, stop: make(chan struct{})}
	p.limiter = rate.NewLimiter(q.steady(), q.burst())
	if q == (Quota{}) {
		return p, nil
	}
	sent, err := log.Requests(ctx, account, now())
	if err != nil {
		return nil, err
	}
	for _, s := range sent {
		// The log counts by the second; its end is the cautious reading. A
		// clock that was set back must not charge the future.
		at := s.At.Add(time.Second)
		if at.After(now()) {
			at = now()
		}
		for range min(s.N, q.Requests) {
			p.limiter.ReserveN(at, 1)
		}
	}
	return p, nil
}

// Stop makes everybody who still waits for a turn go home.
func (p *Pacer) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.stopped = true
		close(p.stop)
	}
}

// Sent is the number of requests that passed the gate.
func (p *Pacer) Sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Throttled429 is the number of times the service refused a request for its
// rate.
func (p *Pacer) Throttled429() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.throttled
}

// Wait returns when the next request may be sent, and has it on record then.
func (p *Pacer) Wait(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.stop:
			cancel(ErrStopping)
		case <-ctx.Done():
		}
	}()
	for {
		if err := p.limiter.Wait(ctx); err != nil {
			return waitError(ctx, err)
		}
		p.mu.Lock()
		blocked := p.blockedUntil.Sub(p.now())
		p.mu.Unlock()
		if blocked <= 0 {
			break
		}
		// A turn that was given before the block is void: those who held one
		// would all go at once when it ends.
		timer := time.NewTimer(blocked)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	return p.log.AddRequest(ctx, p.account, p.now())
}

// ErrNoTurn is what a request gets whose turn comes after its deadline.
var ErrNoTurn = errors.New("no request is free under the rate limit in time")

func waitError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrNoTurn, err)
}

// lowestShare keeps a storm of refusals from stopping a run altogether.
const lowestShare = 1.0 / 16

// Throttled takes a refusal (429): everybody waits for retryAfter, and the
// rate is halved. Refusals of requests that were under way together count as
// one.
func (p *Pacer) Throttled(retryAfter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.throttled++
	first := !now.Before(p.blockedUntil)
	if until := now.Add(retryAfter); until.After(p.blockedUntil) {
		p.blockedUntil = until
	}
	if !first {
		return
	}
	p.setShare(math.Max(p.share/2, lowestShare))
	p.raisedAt = p.blockedUntil
}

// Succeeded takes an answer that was no refusal: a lowered rate rises by an
// eighth of the quota for each two seconds of answers, which is back to
// the whole within a minute.
func (p *Pacer) Succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.share >= 1 || now.Sub(p.raisedAt) < 2*time.Second {
		return
	}
	p.raisedAt = now
	p.setShare(math.Min(p.share+1.0/8, 1))
}

// setShare is called with mu held. A lowered rate has no burst: what was saved
// up for one would be spent on the refusing service at once.
func (p *Pacer) setShare(share float64) {
	p.share = share
	if p.quota == (Quota{}) {
		return
	}
	burst := 1
	if share == 1 {
		burst = p.quota.burst()
	}
	p.limiter.SetLimit(p.quota.steady() * rate.Limit(share))
	p.limiter.SetBurst(burst)
}
