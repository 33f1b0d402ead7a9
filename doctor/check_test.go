package doctor

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pictosync/pictograph"
)

func TestJudgeSpace(t *testing.T) {
	for _, c := range []struct {
		free uint64
		size int64
		ok   bool
	}{
		{100 << 20, 0, true},
		{100<<20 - 1, 0, false},
		{1 << 30, 1 << 30, true},
		{1<<30 - 1, 1 << 30, false},
	} {
		if got := judgeSpace(c.free, c.size, "somewhere"); got.OK != c.ok || got.OK == (got.Advice != "") {
			t.Errorf("%d free, a state of %d: %+v", c.free, c.size, got)
		}
	}
	if got := CheckSpace(t.Context(), filepath.Join(t.TempDir(), "not", "there", "state.db"), 0); got.Err != nil && got.Advice == "" {
		t.Errorf("below a folder that is not there: %+v", got)
	}
}

// Each way of not reaching a service has advice of its own, and an answer has none
// but the error's.
func TestUnreachable(t *testing.T) {
	network := func(err error) error { return &pictograph.NetworkError{Op: "list datasets", Err: err} }
	for want, err := range map[string]error{
		"DNS on this machine": network(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}),
		"nothing listens":     network(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}),
		"certificates":        network(&tls.CertificateVerificationError{Err: errors.New("expired")}),
		"HTTPS_PROXY":         network(errors.New("no answer within 10s")),
	} {
		if got := unreachable(err, "https://service.invalid"); !strings.Contains(got, want) {
			t.Errorf("%v: %q does not speak of %q", err, got, want)
		}
	}
	if got := unreachable(&pictograph.APIError{Status: 401}, "https://service.invalid"); got != "" {
		t.Errorf("an answer: %q", got)
	}
}

// What a save of nothing comes to tells whether the key may save.
func TestCheckRole(t *testing.T) {
	for what, c := range map[string]struct {
		status int
		body   string
		ok     bool
		err    error
	}{
		"may":      {200, `{"saved":[],"failed":[{"image_id":"x","error":"image not found"}]}`, true, nil},
		"may not":  {403, `{"error":{"code":"forbidden","message":"members only"}}`, false, pictograph.ErrForbidden},
		"strange":  {200, `{"saved":[{"image_id":"x","previous_count":0,"new_count":0,"status":"new"}],"failed":[]}`, false, nil},
		"refused":  {422, `{"error":{"code":"validation_error","message":"no"}}`, false, pictograph.ErrInvalid},
		"vanished": {404, `{"detail":"no such image"}`, false, pictograph.ErrNotFound},
	} {
		t.Run(what, func(t *testing.T) {
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				w.Write([]byte(c.body))
			}))
			defer service.Close()
			client, err := pictograph.New(pictograph.Config{BaseURL: service.URL, APIKey: "key"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			got := CheckRole(t.Context(), client, service.URL)
			if got.OK != c.ok || got.OK == (got.Err != nil) || c.err != nil && !errors.Is(got.Err, c.err) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A clock is judged by the middle of the request, and never by an answer that did
// not come.
func TestCheckClock(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	there := at.Format(http.TimeFormat)
	for what, c := range map[string]struct {
		answer time.Time
		took   time.Duration
		date   string
		ok     bool
		is     string
	}{
		"none":        {is: "skipped"},
		"no date":     {answer: at, is: "skipped"},
		"the same":    {answer: at, date: there, ok: true, is: "less than 1s"},
		"slow":        {answer: at.Add(100 * time.Second), took: 100 * time.Second, date: there, ok: true, is: "less than 51s"},
		"at a minute": {answer: at.Add(time.Minute), date: there, ok: true, is: "less than 1m1s"},
		"ahead":       {answer: at.Add(61 * time.Second), date: there, is: "1m1s ahead of the service's"},
		"behind":      {answer: at.Add(-time.Hour), date: there, is: "1h0m0s behind the service's"},
	} {
		if got := judgeClock(c.answer, c.took, c.date); got.OK != c.ok || !strings.Contains(got.Detail, c.is) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
