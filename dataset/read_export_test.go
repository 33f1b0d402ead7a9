package dataset

import (
	"testing"
	"time"

	"pictosync/pictograph"
	"pictosync/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// An export is asked for where more images are to be read than it takes requests.
func TestWhatAnExportIsWorth(t *testing.T) {
	for _, c := range []struct {
		policy       ReadPolicy
		images, cost int
	}{
		{ReadAuto, exportCost, exportCost}, {ReadAuto, 100_000, exportCost}, {ReadAuto, 3, 3}, {ReadImage, 100_000, 100_000},
		{ReadExport, 1, exportCost}, {ReadExport, 0, 0}, {"", 50, 50},
	} {
		if got := c.policy.Cost(c.images); got != c.cost {
			t.Errorf("%q: %d images cost %d requests, want %d", c.policy, c.images, got, c.cost)
		}
	}
}

// What is known is not older than the run or the session, nor than an hour.
func TestSince(t *testing.T) {
	a := &Access{Options: Options{Now: func() time.Time { return noon }}}
	for _, c := range []struct{ began, session, want time.Duration }{
		{-10 * time.Minute, 0, -10 * time.Minute}, {-48 * time.Hour, 0, -time.Hour},
		{-time.Minute, -20 * time.Minute, -20 * time.Minute}, {-30 * time.Minute, -20 * time.Minute, -30 * time.Minute},
		{-time.Minute, -3 * time.Hour, -time.Hour},
	} {
		a.Began, a.Session = noon.Add(c.began), nil
		if c.session != 0 {
			a.Session = &Session{Begun: noon.Add(c.session)}
		}
		if got := a.Since(); !got.Equal(noon.Add(c.want)) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// A listing serves what follows for a while, as long as the dataset has as many images.
func TestListingsOfASession(t *testing.T) {
	var none *Session
	d := store.Dataset{ID: "d"}
	none.putListed(d, 5, true, noon)
	if none.isListed(d, 5, false, noon) || none.lost("d") != "" || !none.first("x") || !none.begun().IsZero() {
		t.Error("without a session nothing is shared")
	}
	s := &Session{}
	s.putListed(d, 5, false, noon)
	for _, c := range []struct {
		images int
		meta   bool
		after  time.Duration
		want   bool
	}{{5, false, time.Minute, true}, {6, false, time.Minute, false}, {5, true, time.Minute, false}, {5, false, time.Hour, false}, {5, false, -time.Second, false}} {
		if got := s.isListed(d, c.images, c.meta, noon.Add(c.after)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	s.lose("d", "it has none")
	if s.lost("d") != "it has none" || s.lost("e") != "" || !s.first("x") || s.first("x") {
		t.Error("what a session keeps")
	}
}

// An export is believed when it was right a few times, and never when it was wrong once.
func TestTrust(t *testing.T) {
	var u trust
	for range checks {
		if !u.doubts() {
			t.Error("it is believed too early")
		}
		u.hold(true)
	}
	if u.doubts() || u.lied() {
		t.Error("it is not believed though it was right")
	}
	u.hold(false)
	if !u.doubts() || !u.lied() {
		t.Error("it is believed though it was wrong")
	}
}

// A hash is that of what was saved, whoever the service says made it.
func TestContentIsComparedWithoutItsMakers(t *testing.T) {
	box := pictograph.Annotation{ID: "1", Name: "car", Geometry: pictograph.BBox{Box: pictograph.Box{X: 1, Y: 2, W: 3, H: 4}}}
	ours, err := contentOf([]pictograph.Annotation{box}, nil)
	if err != nil {
		t.Fatal(err)
	}
	box.CreatedBy = "somebody"
	noted, err := contentOf([]pictograph.Annotation{box}, []store.Hash{ours.Hash})
	if err != nil || noted.Hash != ours.Hash || string(noted.Annotations) == string(ours.Annotations) {
		t.Errorf("%v, %s", err, noted.Annotations)
	}
}

// The service takes a hundred characters.
func TestNamesOfExports(t *testing.T) {
	if a, b := exportName(noon), exportName(noon); a == b || len(a) > 100 || a[:len("pictosync-20260301-120000-")] != "pictosync-20260301-120000-" {
		t.Errorf("%s, %s", a, b)
	}
}
