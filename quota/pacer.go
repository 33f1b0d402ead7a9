package quota

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"pictosync/store"
)

// RequestLog remembers requests across processes; *store.Store is one. With onDisk a
// request outlives a power cut too. A batch is committed together with the request
// that sends it: see [Recorded].
type RequestLog interface {
	AddRequest(ctx context.Context, account string, now time.Time, onDisk bool) error
	// TakeRequest takes back a request that was not sent.
	TakeRequest(ctx context.Context, account string, at time.Time) error
	Requests(ctx context.Context, account string, now time.Time) ([]store.Sent, error)
	// OtherRequests are those of the other processes since a time, by the second.
	OtherRequests(ctx context.Context, account string, since time.Time) ([]store.Sent, error)
}

// Memory remembers what the service said of a quota, for the next start; *store.Store is one.
// A [RequestLog] may be one too.
type Memory interface {
	Quota(ctx context.Context, account string) (q store.SaidQuota, ok bool, err error)
	PutQuota(ctx context.Context, account string, q store.SaidQuota) error
}

// Waiting says that requests have to wait for longer than a moment.
type Waiting struct {
	Until time.Time
	Quota Quota // that is waited for
	// Refused says that the service asked to be left alone.
	Refused bool
	// Paced says that no single request waits for long, and each of them does for a while.
	Paced bool
}

// longWait is how long a request waits before that is said.
const longWait = 10 * time.Second

// ErrStopping is what a request gets that was still waiting for its turn when
// the run was asked to stop.
var ErrStopping = errors.New("the run is stopping")

// Pacer is the one gate that every request of every kind passes. It keeps the
// quota over restarts (a limiter in memory starts full each time), holds
// everybody back while the service wants to be left alone, and lowers the
// rate after a refusal, to raise it again within half a minute.
//
// A limiter shapes the flow: a burst, then even. It alone would let the burst
// through on top of the quota; that no time as long holds more than the quota
// is the window's business.
//
// It implements pictograph.Informed.
type Pacer struct {
	quota   Quota
	account string
	log     RequestLog
	now     func() time.Time
	stop    chan struct{}

	// MaxBlock is how long the service may want to be left alone before requests fail
	// with ErrLeftAlone; 0 is for ever. It is set before the first request.
	MaxBlock time.Duration
	// OnWait is told when requests begin to wait for longer than a moment, and, with the zero
	// value, when they do not any more. It is set before the first request. May be nil.
	OnWait func(Waiting)
	// OnAssumed is told, once, that the service says nothing of a quota, and what is assumed.
	// It is set before the first request. May be nil.
	OnAssumed func(Quota)

	mu           sync.Mutex
	assumed      bool // OnAssumed was told
	seen         seen
	kept         store.SaidQuota // in the memory
	waiting      Waiting
	pacedSince   time.Time // since when every request has had to wait
	pacedTold    bool      // it was said so
	limiter      *rate.Limiter
	window       window
	sent         int
	share        float64 // of the steady rate that is in use, 0..1
	lowered      float64 // what share was when blockedUntil was set
	blockedUntil time.Time
	stopped      bool

	othersMu sync.Mutex
	others   map[int64]int // requests of other processes that are counted, by the second
	looked   time.Time     // when they were last counted
}

// NewPacer makes the gate for an account, a fingerprint of its key. It begins
// where the requests of the last hour, from whatever process, left the quota.
func NewPacer(ctx context.Context, q Quota, account string, log RequestLog, now func() time.Time) (*Pacer, error) {
	p := &Pacer{quota: q, account: account, log: log, now: now, share: 1, stop: make(chan struct{})}
	p.seen.per, p.seen.ask = time.Hour, q.Auto
	if err := p.remember(ctx); err != nil {
		return nil, err
	}
	q = p.quota
	p.limiter = rate.NewLimiter(q.steady(), q.burst())
	if q == (Quota{}) {
		return p, nil
	}
	p.window = newWindow(q.Requests, q.Per+q.Jitter(), now())
	p.others, p.looked = make(map[int64]int), now()
	others, err := log.OtherRequests(ctx, account, now().Add(-othersLate))
	if err != nil {
		return nil, err
	}
	for _, s := range others {
		p.others[s.At.Unix()] = s.N
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
		for range s.N {
			p.seen.own = append(p.seen.own, at)
		}
		for range min(s.N, q.Requests) {
			p.window.add(at)
			p.limiter.AllowN(at, 1) // what it would not have allowed is no debt
		}
	}
	return p, nil
}

// remembered is how long what the service said of a quota is good for a start.
const remembered = 30 * 24 * time.Hour

// remember begins with what the service said last of the quota.
func (p *Pacer) remember(ctx context.Context) error {
	memory, ok := p.log.(Memory)
	if !ok || !p.quota.Auto {
		return nil
	}
	said, ok, err := memory.Quota(ctx, p.account)
	if err != nil || !ok || said.Requests < 1 || said.Requests > maxQuota || said.Per <= 0 || p.now().Sub(said.At) > remembered {
		return err
	}
	p.kept = said
	p.quota.Requests, p.quota.Per = said.Requests, said.Per
	p.seen.per = said.Per
	return nil
}

// Allowed is told what an answer says of the quota.
func (p *Pacer) Allowed(limit, remaining int, reset time.Time) {
	if p.Quota() == (Quota{}) || limit > maxQuota {
		p.Silent(true)
		return
	}
	p.mu.Lock()
	now := p.now()
	p.seen.answer(now)
	p.seen.tell(limit, remaining, reset, now)
	keep := store.SaidQuota{Requests: limit, Per: p.seen.per, At: now}
	if p.quota.Auto {
		p.window = window{} // what was seen is more exact
		p.quota.Requests, p.quota.Per = limit, p.seen.per
	}
	p.setShare(now, p.share)
	changed := keep.Requests != p.kept.Requests || keep.Per != p.kept.Per || now.Sub(p.kept.At) > remembered/30
	if changed {
		p.kept = keep
	}
	p.mu.Unlock()
	if memory, ok := p.log.(Memory); ok && changed {
		memory.PutQuota(context.Background(), p.account, keep) // a start without it begins carefully
	}
}

// Silent is told of a request that ends without a word on the quota: answered where it
// succeeded, so that there was a place for one.
func (p *Pacer) Silent(answered bool) {
	p.mu.Lock()
	p.seen.answer(p.now())
	tell := answered && p.quota.Auto && !p.told() && !p.assumed && p.OnAssumed != nil
	p.assumed = p.assumed || tell
	assumed := p.quota
	p.mu.Unlock()
	if tell {
		p.OnAssumed(assumed)
	}
}

// Quota is what requests are held to now: as given, or as the service says.
func (p *Pacer) Quota() Quota {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.quota
}

// Takes is how long so many requests take at least, from now on: 0 where nothing limits them.
func (p *Pacer) Takes(requests int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quota == (Quota{}) || requests <= 0 {
		return 0
	}
	now := p.now()
	burst := 0.0
	if p.share == 1 {
		burst = max(0, p.limiter.TokensAt(now))
	}
	limit := float64(p.limiter.Limit())
	takes := time.Duration(max(0, float64(requests)-burst) / limit * float64(time.Second))
	return max(takes, p.blockedUntil.Sub(now), p.seen.wait(now), p.window.wait(now), 0)
}

// Account is whose requests pass, as the log names it.
func (p *Pacer) Account() string { return p.account }

// Stop makes everybody who still waits for a turn give up.
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

// errNoTurn is what a request gets whose turn comes after its deadline.
var errNoTurn = errors.New("no request is free under the rate limit in time")

// noTurn is an errNoTurn, and knows what to do about it.
type noTurn struct {
	quota Quota
	said  bool // by the service
}

func (noTurn) Error() string { return errNoTurn.Error() }
func (noTurn) Unwrap() error { return errNoTurn }

// Hint says what to do.
func (e noTurn) Hint() string {
	switch {
	case e.quota.Auto && e.said:
		return fmt.Sprintf("the service allows the key %s, and that is used up: wait, others may use the key too", e.quota.Said())
	case e.quota.Auto:
		return fmt.Sprintf("the service has said nothing of its quota, so %s is assumed, and that is used up: wait, or say with --rate N/h what the plan allows", e.quota.Said())
	}
	return fmt.Sprintf("the requests that --rate allows (%s), of all runs, are used up: wait, or raise it if the plan allows more", e.quota.Said())
}

// Recorded is a request that is in the log before it has its turn, as that of a batch is,
// which is committed with it: the first of those that are sent under a context.
type Recorded struct{ sent atomic.Pointer[time.Time] }

type recordedKey struct{}

// Under has the first request under a context pass without being put on record.
func (r *Recorded) Under(ctx context.Context) context.Context {
	return context.WithValue(ctx, recordedKey{}, r)
}

// SentAt is when the request had its turn, the zero time before.
func (r *Recorded) SentAt() time.Time {
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
	for first := true; ; first = false {
		select {
		case <-p.stop:
			return ErrStopping
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		at, wait := p.take()
		p.tellWait(at, wait, first)
		if until := p.leftAloneUntil(); !until.IsZero() {
			return fmt.Errorf("%w until %s, longer than it may be out of reach (--max-outage %s): the same command resumes the run then", ErrLeftAlone, until.Local().Format(time.DateTime), p.MaxBlock)
		}
		if wait <= 0 {
			sent, err := p.pass(ctx, at)
			if sent || err != nil {
				return err
			}
			continue
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return p.noTurn()
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.stop:
		case <-ctx.Done():
		}
	}
}

func (p *Pacer) noTurn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return noTurn{p.quota, p.told()}
}

// told reports whether the service said what the quota is; p.mu is held.
func (p *Pacer) told() bool { return p.seen.limit > 0 || p.kept != (store.SaidQuota{}) }

// tellWait says that requests wait, once, and that they do not any more. first says that it is
// the first time that a request asks for its turn: one that has it then waits for nothing.
func (p *Pacer) tellWait(now time.Time, wait time.Duration, first bool) {
	p.mu.Lock()
	was := p.waiting
	switch {
	case first && wait <= 0:
		p.pacedSince, p.pacedTold = time.Time{}, false
	case p.pacedSince.IsZero():
		p.pacedSince = now
	}
	paced := !p.pacedTold && !p.pacedSince.IsZero() && now.Sub(p.pacedSince) >= longWait
	switch {
	case wait <= 0:
		p.waiting = Waiting{}
	case !was.Until.IsZero():
	case wait >= longWait:
		p.waiting = Waiting{Until: now.Add(wait), Quota: p.quota, Refused: p.blockedUntil.After(now)}
	case paced:
		p.waiting = Waiting{Until: now.Add(wait), Quota: p.quota, Paced: true}
		p.pacedTold = true
	}
	is, tell := p.waiting, p.OnWait
	p.mu.Unlock()
	if tell != nil && is != was {
		tell(is)
	}
}

// pass puts a request on record that has its turn, and tells whether it may be sent: not
// where another process sent one meanwhile that leaves no room for it. Each has its own on
// record before it asks for the others', so that of two that come together one knows.
func (p *Pacer) pass(ctx context.Context, at time.Time) (sent bool, err error) {
	r, isRecorded := ctx.Value(recordedKey{}).(*Recorded)
	isRecorded = isRecorded && r.sent.Load() == nil
	if !isRecorded {
		if err := p.log.AddRequest(ctx, p.account, at, p.Quota() != (Quota{})); err != nil {
			return false, err
		}
	}
	fits, err := p.heedOthers(ctx)
	if err != nil {
		return false, err
	}
	if !fits {
		p.mu.Lock()
		p.sent--
		p.seen.unsend()
		p.mu.Unlock()
		if isRecorded {
			return false, nil
		}
		return false, p.log.TakeRequest(ctx, p.account, at)
	}
	if isRecorded {
		r.sent.Store(&at)
	}
	return true, nil
}

// othersLate is how much later than it was sent a request of another process may be on
// record: a batch is dated when it is answered.
const othersLate = 10 * time.Minute

// heedOthers counts what other processes have sent since it was last called, as if it were
// sent now, and tells whether the quota has room for all of it.
func (p *Pacer) heedOthers(ctx context.Context) (fits bool, err error) {
	if p.Quota() == (Quota{}) {
		return true, nil
	}
	p.othersMu.Lock()
	defer p.othersMu.Unlock()
	now := p.now()
	since := p.looked.Add(-othersLate)
	others, err := p.log.OtherRequests(ctx, p.account, since)
	if err != nil {
		return false, err
	}
	p.looked = now
	more := 0 // one that is dated anew is none more
	counted := make(map[int64]int, len(others))
	for _, s := range others {
		counted[s.At.Unix()] = s.N
		more += s.N
	}
	for second, n := range p.others {
		if second >= since.Unix() {
			more -= n
		}
	}
	p.others = counted
	p.mu.Lock()
	defer p.mu.Unlock()
	fits = true
	p.seen.add(max(0, more), now)
	if free := p.seen.limit - len(p.seen.own) - p.seen.countOthers(); p.seen.limit > 0 && more > 0 && free < 0 {
		fits = false // one of ours is in it already
	}
	for range max(0, more) {
		fits = fits && p.window.wait(now) <= 0
		p.window.add(now)
		p.limiter.ReserveN(now, 1) // together they keep to the rate
	}
	return fits, nil
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
	if wait = p.window.wait(now); wait <= 0 && p.quota != (Quota{}) {
		wait = p.seen.wait(now)
	}
	if wait <= 0 {
		turn := p.limiter.ReserveN(now, 1)
		if wait = turn.DelayFrom(now); wait <= 0 {
			p.window.add(now)
			if p.quota != (Quota{}) {
				p.seen.send(now)
			}
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
	if share == 1 && p.seen.alone() {
		burst = p.quota.burst()
	}
	limit := p.quota.steady()
	if p.seen.limit > 0 { // a number that was given is a ceiling
		limit = min(limit, rate.Limit(p.seen.flow(now)))
	}
	if limit *= rate.Limit(share); limit != p.limiter.Limit() {
		p.limiter.SetLimitAt(now, limit)
	}
	if burst != p.limiter.Burst() {
		p.limiter.SetBurstAt(now, burst)
	}
}
