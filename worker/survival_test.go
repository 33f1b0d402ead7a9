package worker

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

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
