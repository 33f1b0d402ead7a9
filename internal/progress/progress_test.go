package progress

import (
	"testing"
	"time"
)

// The whole work is known once all of its parts are, and what is left of it takes as long as
// the requests of it do.
func TestTheWholeWork(t *testing.T) {
	var last Progress
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tracker := Tracker{Report: func(p Progress) { last = p }, Now: func() time.Time { return clock },
		Takes: func(n int) time.Duration { return time.Duration(n) * 2 * time.Second }}
	tracker.Expect(Listing, 60)
	for range 30 {
		tracker.Did(Listing, 1)
	}
	if last.AllRequests != 0 || last.Requests != 30 || last.Left != time.Minute || !last.AtLeast {
		t.Errorf("while parts are not known, the rest of the listing is the least: %+v", last)
	}
	for range 30 {
		tracker.Did(Listing, 1)
	}
	if last.AllRequests != 0 || last.Requests != 60 || last.Left != 0 {
		t.Errorf("when nothing is known to be left: %+v", last)
	}
	clock = clock.Add(time.Second)
	tracker.Expect(Reading, 10)
	tracker.Expect(Saving, 300)
	if last.AllRequests != 370 || last.Left != 620*time.Second || last.AtLeast {
		t.Errorf("when all are known: %+v", last)
	}
	tracker.Begin("saving", 60_000)
	clock = clock.Add(time.Hour)
	tracker.Did(Reading, 10)
	for range 30_000 {
		tracker.Did(Saving, 1.0/200)
		tracker.Add(1, 0)
	}
	if last.Requests < 219 || last.Requests > 220 || last.Done != 30_000 || last.Left < 40*time.Minute || last.Left > 42*time.Minute {
		t.Errorf("at the rate at which it went, which is lower than the quota's: %+v", last)
	}
	tracker.Expect(Reading, 0)
	for range 200 {
		tracker.Did(Saving, 1)
	}
	if last.AllRequests < last.Requests || last.Left > 2*time.Second {
		t.Errorf("more than was expected: %+v", last)
	}
	tracker.Holds(Hold{Kind: Quota, Why: "x"})
	tracker.Begin("writing", 0)
	if last.Hold.Why != "x" {
		t.Error("a phase that begins forgets what is waited for")
	}
}

func TestATrackerThatReportsToNobody(t *testing.T) {
	var tracker Tracker
	tracker.Expect(Saving, 1)
	tracker.Did(Saving, 1)
	tracker.Begin("saving", 1)
	tracker.Add(1, 0)
	tracker.Note("x")
	tracker.Holds(Hold{})
}
