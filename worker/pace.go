package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// maxQuota is far more than any plan allows; each request of it is remembered.
const maxQuota = 1_000_000

// ParseQuota reads "20000/h", "300/m", "5/s" or "unlimited".
func ParseQuota(s string) (Quota, error) {
	if s == "unlimited" {
		return Quota{}, nil
	}
	number, unit, found := strings.Cut(s, "/")
	per := map[string]time.Duration{"h": time.Hour, "m": time.Minute, "s": time.Second}[unit]
	n, err := strconv.Atoi(number)
	if !found || per == 0 || err != nil || n < 1 || n > maxQuota {
		return Quota{}, fmt.Errorf("%q must be a number of requests per hour, minute or second, at most %d, such as 20000/h, 300/m or 5/s, or unlimited", s, maxQuota)
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

// Jitter is by how much requests may take longer to arrive than others before
// the service, which counts arrivals, could see more than Quota.Requests in some
// stretch of Quota.Per: a hundredth of Per, 36 seconds for a quota by the hour. A
// hundredth of the quota is what it costs.
func (q Quota) Jitter() time.Duration { return q.Per / jitterShare }

const (
	jitterShare = 100
	// burstShare is the part of a quota that may be sent at once.
	burstShare = 50
)

func (q Quota) burst() int { return max(1, q.Requests/burstShare) }

func (q Quota) steady() rate.Limit {
	if q == (Quota{}) {
		return rate.Inf
	}
	return rate.Limit(float64(q.Requests) / q.Per.Seconds())
}

// RequestLog remembers requests across processes; *store.Store is one. With onDisk a
// request outlives a power cut too. A batch is committed together with the request
// that sends it: see [recorded].
type RequestLog interface {
	AddRequest(ctx context.Context, account string, now time.Time, onDisk bool) error
	Requests(ctx context.Context, account string, now time.Time) ([]store.Sent, error)
}

// ErrStopping is what a request gets that was still waiting for its turn when
// the run was asked to stop.
var ErrStopping = errors.New("the run is stopping")

// Pacer is the one gate that every request of every kind passes. It keeps the
// quota over restarts (a limiter in memory starts full each time), holds
// everybody back while the service wants to be left alone, and lowers the
// rate after a refusal, to raise it again within half a minute.
//
// A limiter shapes the flow: a burst, then even. It alone would let the burst
// through on top of the quota; that no stretch of time holds more than the quota
// is the window's business.
//
// It implements pictograph.Pacer.
type Pacer struct {
	quota   Quota
	account string
	log     RequestLog
	now     func() time.Time
	stop    chan struct{}

	// MaxBlock is how long the service may want to be left alone before requests fail
	// with ErrLeftAlone; 0 is for ever. It is set before the first request.
	MaxBlock time.Duration

	mu           sync.Mutex
	limiter      *rate.Limiter
	window       window
	sent         int
	throttled    int
	share        float64 // of the steady rate that is in use, 0..1
	lowered      float64 // what share was when blockedUntil was set
	blockedUntil time.Time
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
	p.window = newWindow(q.Requests, q.Per+q.Jitter(), now())
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
			p.window.add(at)
			p.limiter.AllowN(at, 1) // what it would not have allowed is no debt
		}
	}
	return p, nil
}

// window knows when the last requests were sent, as many as a quota has. It does
// nothing where it holds none.
type window struct {
	sent  []time.Duration // since start, a ring whose oldest is at next
	next  int
	span  time.Duration
	start time.Time
}

func newWindow(requests int, span time.Duration, now time.Time) window {
	w := window{sent: make([]time.Duration, requests), span: span, start: now}
	for i := range w.sent {
		w.sent[i] = -span
	}
	return w
}

// wait is how long it takes until one more request is no more than the quota in
// any stretch of time as long as span.
func (w *window) wait(now time.Time) time.Duration {
	if len(w.sent) == 0 {
		return 0
	}
	return w.sent[w.next] + w.span - now.Sub(w.start)
}

func (w *window) add(at time.Time) {
	if len(w.sent) == 0 {
		return
	}
	w.sent[w.next] = at.Sub(w.start)
	w.next = (w.next + 1) % len(w.sent)
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

// ErrNoTurn is what a request gets whose turn comes after its deadline.
var ErrNoTurn = errors.New("no request is free under the rate limit in time")

// recorded is a request that is on record before it has its turn: the first of those
// that are sent under a context. So nobody has to wait for the disk between one
// answer and the next batch.
type recorded struct{ sent atomic.Pointer[time.Time] }

type recordedKey struct{}

// under has the first request under a context pass without being put on record.
func (r *recorded) under(ctx context.Context) context.Context {
	return context.WithValue(ctx, recordedKey{}, r)
}

// sentAt is when the request had its turn, the zero time before.
func (r *recorded) sentAt() time.Time {
	if at := r.sent.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Wait returns when the next request may be sent, and has it on record then: where
// there is a quota to keep, also over a power cut.
func (p *Pacer) Wait(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.stop:
			return ErrStopping
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		at, wait := p.take()
		if until := p.leftAloneUntil(); !until.IsZero() {
			return fmt.Errorf("%w until %s, longer than it may be out of reach (--max-outage %s): the same command resumes the run then", ErrLeftAlone, until.Local().Format(time.DateTime), p.MaxBlock)
		}
		if wait <= 0 {
			if r, ok := ctx.Value(recordedKey{}).(*recorded); ok && r.sent.CompareAndSwap(nil, &at) {
				return nil
			}
			return p.log.AddRequest(ctx, p.account, at, p.quota != (Quota{}))
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return ErrNoTurn
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.stop:
		case <-ctx.Done():
		}
	}
}

// ErrLeftAlone is what a request gets where the service wants no requests for longer than
// it may be waited for.
var ErrLeftAlone = errors.New("the service wants to be left alone")

// leftAloneUntil is when the service wants requests again, the zero time where that can
// be waited for.
func (p *Pacer) leftAloneUntil() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.MaxBlock > 0 && p.blockedUntil.Sub(p.now()) > p.MaxBlock {
		return p.blockedUntil
	}
	return time.Time{}
}

// take takes the turn at a time, or tells how long to wait before it is asked
// again. Nobody holds a turn for later: those who did would all go at once when
// a block ends.
func (p *Pacer) take() (at time.Time, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if blocked := p.blockedUntil.Sub(now); blocked > 0 {
		return now, blocked
	}
	p.raise(now)
	if wait = p.window.wait(now); wait <= 0 {
		turn := p.limiter.ReserveN(now, 1)
		if wait = turn.DelayFrom(now); wait <= 0 {
			p.window.add(now)
			p.sent++
			return now, 0
		}
		turn.CancelAt(now)
	}
	if p.share < 1 {
		wait = min(wait, time.Second) // the rate rises meanwhile
	}
	return now, wait
}

const (
	// lowestShare keeps a storm of refusals from stopping a run altogether.
	lowestShare = 1.0 / 16
	// recovery is how long a rate takes to rise from nothing to the quota.
	recovery = 30 * time.Second
)

// Throttled takes a refusal (429): everybody waits for retryAfter, and the
// rate is halved. Refusals of requests that were under way together count as
// one.
func (p *Pacer) Throttled(retryAfter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.throttled++
	first := !now.Before(p.blockedUntil)
	if first {
		p.raise(now)
	}
	if until := now.Add(retryAfter); first || until.After(p.blockedUntil) {
		p.blockedUntil = until
	}
	if first {
		p.lowered = math.Max(p.share/2, lowestShare)
		p.setShare(now, p.lowered)
	}
}

// Succeeded is told of answers that were no refusals. A lowered rate rises with
// the time alone: at a small quota the next answer may be minutes away.
func (p *Pacer) Succeeded() {}

// raise brings a lowered rate up with the time since the block; p.mu is held.
func (p *Pacer) raise(now time.Time) {
	if p.share < 1 {
		p.setShare(now, math.Min(p.lowered+now.Sub(p.blockedUntil).Seconds()/recovery.Seconds(), 1))
	}
}

// setShare is called with mu held. A lowered rate has no burst: what was saved
// up for one would be spent on the refusing service at once.
func (p *Pacer) setShare(now time.Time, share float64) {
	p.share = share
	if p.quota == (Quota{}) {
		return
	}
	burst := 1
	if share == 1 {
		burst = p.quota.burst()
	}
	p.limiter.SetLimitAt(now, p.quota.steady()*rate.Limit(share))
	p.limiter.SetBurstAt(now, burst)
}
