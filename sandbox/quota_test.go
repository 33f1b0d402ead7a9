package sandbox

import (
	"fmt"
	"math"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every answer says what is left, for all clients of a key together, and a
// refusal when there is more.
func TestQuotaHeaders(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 500e6, time.UTC)
	s := start(t, Options{Quota: Quota{Requests: 3, Per: time.Hour}, Caps: map[string]Quota{"small": {Requests: 1, Per: time.Hour}}, Now: func() time.Time { return now }})
	first := now
	get := func(key string) *httptest.ResponseRecorder {
		return call(s, "GET", api+"datasets/nobody", "", "X-API-Key", key)
	}
	limits := func(w *httptest.ResponseRecorder) string {
		h := w.Header()
		return fmt.Sprint(w.Code, h.Get("X-RateLimit-Limit"), "/", h.Get("X-RateLimit-Remaining"), "/", h.Get("X-RateLimit-Reset"), "/", h.Get("Retry-After"))
	}
	reset := fmt.Sprint(first.Add(time.Hour).Unix() + 1) // rounded up: at that second there is room
	for i, test := range []struct {
		later time.Duration
		key   string
		want  string
	}{
		{0, "key", "4043/2/" + reset + "/"},
		{time.Minute, "key", "4043/1/" + reset + "/"},
		{0, "small", "4041/0/" + fmt.Sprint(first.Add(61*time.Minute).Unix()+1) + "/"},
		{0, "key", "4043/0/" + reset + "/"},
		{0, "key", "4293/0/" + reset + "/3540"},
		{0, "small", "4291/0/" + fmt.Sprint(first.Add(61*time.Minute).Unix()+1) + "/3600"},
		{59 * time.Minute, "key", "4043/0/" + fmt.Sprint(first.Add(61*time.Minute).Unix()+1) + "/"}, // the first is forgotten, this one counts
	} {
		now = now.Add(test.later)
		if got := limits(get(test.key)); got != test.want {
			t.Errorf("request %d: %s, want %s", i, got, test.want)
		}
	}
	if w := call(start(t, Options{}), "GET", api+"datasets/set", ""); w.Header().Get("X-RateLimit-Limit") != "" {
		t.Errorf("headers of a limit that there is not: %v", w.Header())
	}
}

// The count that is kept is the number of requests that are, over any clock and
// restarts.
func TestQuotaOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sandbox.db")
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	o := Options{Quota: Quota{Requests: 100, Per: time.Hour}, Now: func() time.Time { return now }}
	for round := range 6 {
		s, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			now = now.Add(7 * time.Second)
			w := call(s, "GET", api+"datasets/", "")
			var rows, spent int
			if err := s.db.QueryRow(`SELECT count(*), (SELECT n FROM spent) FROM requests`).Scan(&rows, &spent); err != nil || rows != spent || spent > 100 {
				t.Fatalf("%d rows, %d counted (%v)", rows, spent, err)
			}
			if want := fmt.Sprint(100 - spent); w.Header().Get("X-RateLimit-Remaining") != want {
				t.Fatalf("%s remaining, want %s", w.Header().Get("X-RateLimit-Remaining"), want)
			}
		}
		if round == 3 {
			now = now.Add(-30 * time.Minute) // the clock is set back
		}
		s.Close()
	}
}

// Whenever requests come, a sliding window says and does what follows from the
// times of those that it let through.
func TestQuotaIsASlidingWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(1_777_000_000_000)
		n := rapid.IntRange(1, 5).Draw(t, "limit")
		s, err := Open(":memory:", Options{Quota: Quota{Requests: n, Per: time.Minute}, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		sent := map[string][]time.Time{}
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "later")) * time.Millisecond)
			key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
			sent[key] = slices.DeleteFunc(sent[key], func(at time.Time) bool { return !at.After(now.Add(-time.Minute)) })
			refused := len(sent[key]) >= n
			if !refused {
				sent[key] = append(sent[key], now)
			}
			free := sent[key][0].Add(time.Minute)
			w := call(s, "GET", api+"datasets/", "", "X-API-Key", key)
			h := w.Header()
			got := fmt.Sprint(w.Code == 429, h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset"), h.Get("Retry-After"))
			after := ""
			if refused {
				after = fmt.Sprint(int(math.Ceil(free.Sub(now).Seconds())))
			}
			if want := fmt.Sprint(refused, fmt.Sprint(n), fmt.Sprint(n-len(sent[key])), fmt.Sprint(int(math.Ceil(float64(free.UnixMilli())/1000))), after); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	})
}

func BenchmarkQuota(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "sandbox.db"), Options{Quota: Quota{Requests: 100_000, Per: time.Hour}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		call(s, "GET", api+"datasets/", "")
	}
}
