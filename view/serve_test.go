package view

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Pages are for who has the address, on this machine, and only to be read.
func TestLocal(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.168.1.1:0", "example.org:80", "nothing"} {
		if _, err := Listen(addr); err == nil {
			t.Errorf("%s is listened on", addr)
		}
	}
	l, err := Listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- l.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/panic" {
				panic("an image that nobody expects")
			}
			Show(w, r, Page{Title: "here " + r.URL.Path + " below " + Base(r)})
		}))
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	base := l.URL()
	root := strings.TrimSuffix(base, l.token+"/")
	for _, c := range []struct {
		method, url, host string
		status            int
		has               string
	}{
		{"GET", base, "", 200, "here / below /" + l.token + "/"},
		{"GET", base + "image/3", "", 200, "here /image/3"},
		{"HEAD", base, "", 200, ""},
		{"GET", base + "assets/view.js", "", 200, "use strict"},
		{"GET", base + "assets/pages.html", "", 404, ""},
		{"GET", base + "assets/../view.go", "", 404, ""},
		{"GET", base + "panic", "", 500, "an image that nobody expects"},
		{"GET", strings.TrimSuffix(base, "/"), "", 200, "here /"},
		{"POST", base, "", 405, ""},
		{"DELETE", base, "", 405, ""},
		{"GET", base, "rebound.example:80", 421, ""},
		{"GET", base, "127.0.0.1", 421, ""},
		{"GET", root, "", 403, "token"},
		{"GET", root + "AAAAAAAAAAAAAAAAAAAAAAAAAA/", "", 403, "token"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.host != "" {
			r.Host = c.host
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != c.status || !strings.Contains(string(body), c.has) {
			t.Errorf("%s %s: %s %v %.200s", c.method, c.url, answer.Status, err, body)
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s %s: the policy is %q", c.method, c.url, policy)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
