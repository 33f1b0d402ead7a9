package worker

import (
	"context"
	"database/sql"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pictosync/sandbox"
)

// Names that cannot be resolved for a while are an outage like others.
func TestDNSFailsForAWhile(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg")
	var failures atomic.Int64
	var opened atomic.Bool // the dataset: the outage is one of a run under way
	b.after = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/datasets/set") {
			opened.Store(true)
		}
	}
	b.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if opened.Load() && failures.Add(1) <= 30 {
			return nil, &net.DNSError{Err: "server misbehaving", Name: "api.example", IsTemporary: true}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	if s := b.done(b.labels("a.jpg car")); s.Images.Saved != 1 {
		t.Errorf("%+v", s)
	}
	if failures.Load() < 30 {
		t.Errorf("only %d dials failed", failures.Load())
	}
}

// A dataset that is deleted in the middle of a run fails its images or ends the
// run with a reason; it never hangs, and the state stays usable.
func TestDatasetDeletedMidRun(t *testing.T) {
	b := newBench(t, sandbox.Options{})
	b.images("a.jpg", "b.jpg")
	gone := false
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/bulk") && !gone {
			gone = true
			request, err := http.NewRequest("DELETE", b.http.URL+"/api/v1/developer/datasets/set", nil)
			if err != nil {
				t.Error(err)
				return false
			}
			request.Header.Set("X-API-Key", "another")
			answer, err := http.DefaultTransport.RoundTrip(request)
			if err != nil || answer.StatusCode >= 300 {
				t.Errorf("delete the dataset: %v %v", answer, err)
				return false
			}
			answer.Body.Close()
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		}
		return false
	}
	s, err := b.sync(b.labels("a.jpg car", "b.jpg car"))
	if err == nil && s.Images.Failed != 2 || s.Images.Saved != 0 {
		t.Errorf("%+v, %v; want two failures or an error", s.Images, err)
	}
	if _, err := b.sync(b.labels("a.jpg car")); err == nil || !strings.Contains(err.Error(), "no such dataset") {
		t.Errorf("the next run: %v", err)
	}
}

// A batch in flight whose bytes were lost or damaged in the state is not sent: what its
// images have is read, and the run goes on.
func TestDamagedBatch(t *testing.T) {
	for name, damage := range map[string]string{
		"a digit is another": `UPDATE batches SET body = CAST(replace(CAST(body AS TEXT), '"w":2', '"w":7') AS BLOB)`,
		"cut off":            `UPDATE batches SET body = substr(body, 1, length(body) - 9)`,
		"missing":            `UPDATE batches SET body = NULL`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sandbox.Options{})
			b.images("a.jpg")
			down, mended := false, false
			b.before = func(w http.ResponseWriter, r *http.Request) bool {
				if down = down || strings.HasSuffix(r.URL.Path, "/bulk") && !mended; down { // and everything after it
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return down
			}
			path := b.labels("a.jpg car")
			if _, err := b.sync(path, func(o *Options) { o.MaxOutage = time.Nanosecond }); err == nil {
				t.Fatal("the run went on though the service was down")
			}
			db, err := sql.Open("sqlite3", filepath.Join(b.dir, "state.db"))
			if err != nil {
				t.Fatal(err)
			}
			if done, err := db.Exec(damage); err != nil {
				t.Fatal(err)
			} else if n, _ := done.RowsAffected(); n != 1 {
				t.Fatalf("%d batches were in flight", n)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			down, mended = false, true
			if s := b.done(path); s.Images.Saved != 1 || s.Images.Failed != 0 {
				t.Errorf("%+v: %q", s.Images, b.records(s.Run))
			}
			if now := b.content("a.jpg"); !strings.Contains(now, `"w":2`) || strings.Contains(now, `"w":7`) {
				t.Errorf("the image has %s", now)
			}
		})
	}
}
