package quota

import (
	"math"
	"time"
)

// seen is what the answers of the service tell of a quota whose window slides: how many
// requests are in it, ours and those of others with the same key.
//
// Ours are known one by one. Of the others an answer tells only how many they are: as many
// as are more than were known came since the answer before, and are taken to have come just
// now, so that none is believed to leave the window before it does; where they are fewer, the
// oldest have left. Answers come in any order, and requests that are under way may be counted
// in them or not: what that leaves open changes nothing.
//
// Some of the quota stays free (margin): what others have under way is in no answer yet.
type seen struct {
	ask   bool          // before much is sent an answer is waited for
	limit int           // requests; 0 while no answer told
	per   time.Duration // the length of the window

	own        []time.Time // when they were sent, those that may be in the window still
	others     []arrival
	unanswered []time.Time
	answered   time.Time // when the last answer came, whatever it told
	told       time.Time // and the last that told
	lastSent   time.Time
	rate       float64 // of others, in requests a second
}

// arrival are requests of others that came together, as far as we know.
type arrival struct {
	at time.Time
	n  int
}

const (
	// slackShare is the part of a window by which our requests may arrive later than they
	// were sent: ten seconds of an hour.
	slackShare = 360
	// staleShare is the part of a window after which what was told is old: half a minute of
	// an hour. Then one request at a time is sent until one is answered.
	staleShare = 120
	// smoothShare is the part of a window over which the rate of others is taken.
	smoothShare = 30
	// leastPace is the part of the quota that is used whatever others do.
	leastPace = 0.2
	// lostAfter is when a request that was not answered is taken to never be.
	lostAfter = 3 * time.Minute
)

// margin is how much of the quota stays free for what others have under way.
func (s *seen) margin() int {
	return min(max(s.limit/150, 2), 50, s.limit/4)
}

func (s *seen) slack() time.Duration { return s.per / slackShare }

// forget lets go of what has left the window.
func (s *seen) forget(now time.Time) {
	n := 0
	for n < len(s.own) && now.Sub(s.own[n]) >= s.per+s.slack() {
		n++
	}
	s.own = s.own[n:]
	n = 0
	for n < len(s.others) && now.Sub(s.others[n].at) >= s.per {
		n++
	}
	s.others = s.others[n:]
	n = 0
	for n < len(s.unanswered) && now.Sub(s.unanswered[n]) >= lostAfter {
		n++
	}
	s.unanswered = s.unanswered[n:]
}

func (s *seen) countOthers() (n int) {
	for _, a := range s.others {
		n += a.n
	}
	return n
}

// wait is how long the next request has to wait, 0 where it may be sent.
func (s *seen) wait(now time.Time) time.Duration {
	const soon = 50 * time.Millisecond
	s.forget(now)
	if s.ask && len(s.unanswered) > 0 && (s.answered.IsZero() || s.limit > 0 && now.Sub(s.answered) > s.per/staleShare) {
		return soon // an answer is awaited that tells
	}
	if s.limit == 0 {
		return 0
	}
	used := len(s.own) + s.countOthers()
	free := s.limit - used
	// Nobody is held up for ever by others who leave nothing: now and then some of the
	// margin is used, and at last all of it.
	idle := now.Sub(s.lastSent)
	some, all := s.per/60, s.per/6
	switch {
	case free > s.margin(),
		idle >= some && free > s.margin()/2,
		idle >= all && free > 0:
		return 0
	}
	wait := s.per
	if len(s.own) > 0 {
		wait = min(wait, s.own[0].Add(s.per+s.slack()).Sub(now))
	}
	if len(s.others) > 0 {
		wait = min(wait, s.others[0].at.Add(s.per).Sub(now))
	}
	for _, until := range []time.Duration{some, all} {
		if idle < until {
			wait = min(wait, until-idle)
		}
	}
	return max(wait, time.Millisecond)
}

// send notes a request of ours.
func (s *seen) send(now time.Time) {
	s.own = append(s.own, now)
	s.unanswered = append(s.unanswered, now)
	s.lastSent = now
}

// unsend takes one back that was not sent.
func (s *seen) unsend() {
	if n := len(s.own); n > 0 {
		s.own = s.own[:n-1]
	}
	if n := len(s.unanswered); n > 0 {
		s.unanswered = s.unanswered[:n-1]
	}
}

// answer notes that a request was answered, or will not be.
func (s *seen) answer(now time.Time) {
	if len(s.unanswered) > 0 {
		s.unanswered = s.unanswered[1:]
	}
	s.answered = now
}

// add notes requests of others.
func (s *seen) add(n int, now time.Time) {
	if n > 0 {
		s.others = append(s.others, arrival{now, n})
	}
}

// tell takes what an answer says; answer was called for it.
func (s *seen) tell(limit, remaining int, reset, now time.Time) {
	first := s.limit == 0
	s.limit = limit
	if s.per == 0 {
		s.per = time.Hour
	}
	used := limit - remaining
	if used <= 1+len(s.unanswered) && !reset.IsZero() {
		// Nothing but ours is in the window, which tells how long it is.
		switch left := reset.Sub(now); {
		case left <= 2*time.Second:
			s.per = time.Second
		case left <= 62*time.Second:
			s.per = time.Minute
		default:
			s.per = time.Hour
		}
	}
	s.forget(now)
	late := 0 // ours that may have left the window
	for late < len(s.own) && now.Sub(s.own[late]) >= s.per-s.slack() {
		late++
	}
	least := max(0, used-len(s.own))
	most := max(0, used-max(0, len(s.own)-late-len(s.unanswered)))
	known := s.countOthers()
	came := max(0, least-known)
	switch {
	case first && came > 0:
		s.spread(came, reset, now)
	case came > 0:
		s.add(came, now)
	case known > most:
		s.drop(known - most)
	}
	if !first {
		s.smooth(came, now)
	}
	s.told = now
}

// spread takes requests that were there before ours to have come evenly, the first of them as
// long ago as the next leaves the window.
func (s *seen) spread(n int, reset, now time.Time) {
	begun := now.Add(-s.per)
	if !reset.IsZero() && reset.After(now) && reset.Sub(now) < s.per {
		begun = reset.Add(-s.per)
	}
	const parts = 60
	step := now.Sub(begun) / parts
	for i := range parts {
		s.add((i+1)*n/parts-i*n/parts, begun.Add(time.Duration(i)*step+step/2))
	}
}

// drop takes the oldest of others for having left the window.
func (s *seen) drop(n int) {
	for n > 0 && len(s.others) > 0 {
		gone := min(n, s.others[0].n)
		if s.others[0].n -= gone; s.others[0].n == 0 {
			s.others = s.others[1:]
		}
		n -= gone
	}
}

// smooth follows the rate of others.
func (s *seen) smooth(came int, now time.Time) {
	past := now.Sub(s.told).Seconds()
	if past <= 0 {
		s.rate += float64(came) / (s.per / smoothShare).Seconds()
		return
	}
	weight := 1 - math.Exp(-past/(s.per/smoothShare).Seconds())
	s.rate += (float64(came)/past - s.rate) * weight
}

// flow is at which rate ours may be sent: the highest, in requests a second, at which they and
// those of others stay within the quota for as long as a window, as those that are in it now
// leave it. Where several go by this, each takes what the others leave, and all of it is used.
func (s *seen) flow(now time.Time) float64 {
	even := float64(s.limit) / s.per.Seconds()
	s.forget(now)
	// What is a little early waits; see wait.
	free := float64(s.limit - s.margin() - len(s.own) - s.countOthers() + 1 + s.limit/burstShare)
	most := math.Inf(1)
	own, others := 0, 0
	for own < len(s.own) || others < len(s.others) {
		next, leave := time.Duration(math.MaxInt64), 0
		if own < len(s.own) {
			next, leave = s.own[own].Add(s.per+s.slack()).Sub(now), 1
		}
		if others < len(s.others) {
			if other := s.others[others].at.Add(s.per).Sub(now); other < next {
				next, leave = other, s.others[others].n
				own--
				others++
			}
		}
		own++
		most = min(most, free/max(next.Seconds(), 1e-3))
		free += float64(leave)
	}
	most = min(most, free/s.per.Seconds())
	return min(max(most-s.rate, leastPace*even), even)
}

// alone reports whether nobody else sends.
func (s *seen) alone() bool { return s.limit == 0 || s.rate < float64(s.limit)/s.per.Seconds()/100 }
