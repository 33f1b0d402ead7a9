package quota

import "time"

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
// any time as long as span.
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
