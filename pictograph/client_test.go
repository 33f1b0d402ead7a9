package pictograph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "pk_live_secret"

// serve is a service of one handler, and a client for it that waits next to
// nothing between attempts.
func serve(t *testing.T, handle http.HandlerFunc, change ...func(*Config)) *Client {
	t.Helper()
	return clientOf(t, httptest.NewServer(handle), change...)
}

// clientOf is a client of a server that is closed with the test, if not before.
func clientOf(t *testing.T, server *httptest.Server, change ...func(*Config)) *Client {
	t.Helper()
	t.Cleanup(server.Close)
	c := Config{BaseURL: server.URL, APIKey: testKey, BackoffBase: time.Microsecond, BackoffCap: time.Microsecond}
	for _, f := range change {
		f(&c)
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// respond answers one request after another; the last answer repeats.
func respond(answers ...func(w http.ResponseWriter, r *http.Request)) (http.HandlerFunc, func() int) {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			answer := answers[min(n, len(answers)-1)]
			n++
			mu.Unlock()
			answer(w, r)
		}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return n
		}
}

func status(code int, body string, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func truncated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	io.WriteString(w, `{"saved":[`)
	http.NewResponseController(w).Flush()
	hangUp(w, nil)
}

const nothingSaved = `{"saved":[],"failed":[]}`

// The SDK's rules: which answers are tried again.
func TestRetries(t *testing.T) {
	ok := status(200, nothingSaved)
	for _, test := range []struct {
		name     string
		answers  []func(http.ResponseWriter, *http.Request)
		requests int
		err      error
	}{
		{"408", []func(http.ResponseWriter, *http.Request){status(408, ""), ok}, 2, nil},
		{"429", []func(http.ResponseWriter, *http.Request){status(429, "", "Retry-After", "0"), ok}, 2, nil},
		{"500", []func(http.ResponseWriter, *http.Request){status(500, ""), ok}, 2, nil},
		{"502 with a page", []func(http.ResponseWriter, *http.Request){status(502, "<html>"), ok}, 2, nil},
		{"503, 504", []func(http.ResponseWriter, *http.Request){status(503, ""), status(504, ""), ok}, 3, nil},
		{"a page with 200", []func(http.ResponseWriter, *http.Request){status(200, "<html>"), ok}, 2, nil},
		{"hang-up", []func(http.ResponseWriter, *http.Request){hangUp, ok}, 2, nil},
		{"cut answer", []func(http.ResponseWriter, *http.Request){truncated, ok}, 2, nil},
		{"always 500", []func(http.ResponseWriter, *http.Request){status(500, "")}, 4, ErrServer},
		{"always gone", []func(http.ResponseWriter, *http.Request){hangUp}, 4, ErrNetwork},
		{"501", []func(http.ResponseWriter, *http.Request){status(501, "")}, 1, ErrServer},
		{"400", []func(http.ResponseWriter, *http.Request){status(400, "")}, 1, ErrInvalid},
		{"401", []func(http.ResponseWriter, *http.Request){status(401, "")}, 1, ErrUnauthorized},
		{"402", []func(http.ResponseWriter, *http.Request){status(402, "")}, 1, ErrPayment},
		{"403", []func(http.ResponseWriter, *http.Request){status(403, "")}, 1, ErrForbidden},
		{"404", []func(http.ResponseWriter, *http.Request){status(404, "")}, 1, ErrNotFound},
		{"409", []func(http.ResponseWriter, *http.Request){status(409, "")}, 1, ErrConflict},
		{"413", []func(http.ResponseWriter, *http.Request){status(413, "")}, 1, ErrTooLarge},
		{"422", []func(http.ResponseWriter, *http.Request){status(422, "")}, 1, ErrInvalid},
		{"a long Retry-After is the caller's", []func(http.ResponseWriter, *http.Request){status(429, "", "Retry-After", "121")}, 1, ErrRateLimited},
	} {
		t.Run(test.name, func(t *testing.T) {
			handle, requests := respond(test.answers...)
			client := serve(t, handle)
			_, err := client.BulkSaveBody(context.Background(), []byte(`{"saves":[]}`), "key")
			if !errors.Is(err, test.err) || requests() != test.requests {
				t.Errorf("%d requests, %v; want %d, %v", requests(), err, test.requests, test.err)
			}
		})
	}
}

// Every attempt of a write carries the same idempotency key, the caller's or
// one of its own; a read carries none.
func TestIdempotencyKeys(t *testing.T) {
	var keys []string
	handle, _ := respond(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		status(500, "")(w, r)
	})
	client := serve(t, handle, func(c *Config) { c.MaxRetries = 1 })
	client.BulkSaveBody(context.Background(), nil, "mine")
	client.BulkSaveBody(context.Background(), nil, "")
	client.BulkSaveBody(context.Background(), nil, "")
	client.Dataset(context.Background(), "x")
	if len(keys) != 8 || keys[0] != "mine" || keys[1] != "mine" || keys[2] == "" || keys[2] != keys[3] || keys[4] == keys[2] || keys[6] != "" {
		t.Errorf("keys %q", keys)
	}
}

func TestErrorsSayWhatTheServiceSaid(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{`{"error":{"code":"validation_error","message":"no good","details":{"errors":[{"loc":["body","saves",3,"annotations",0,"name"],"msg":"unknown class"}]}},"detail":"old"}`,
			`save a batch of images: no good (HTTP 422 validation_error, request req_1): saves[3].annotations[0].name: unknown class`},
		{`{"detail":"old words"}`, `save a batch of images: old words (HTTP 422, request req_1)`},
		{`{"detail":{"message":"nested words"}}`, `save a batch of images: nested words (HTTP 422, request req_1)`},
		{`{"detail":[{"loc":["body","saves"],"msg":"field required"}]}`, `save a batch of images: Unprocessable Entity (HTTP 422, request req_1): saves: field required`},
		{`{"error":"a slug"}`, `save a batch of images: a slug (HTTP 422, request req_1)`},
		{`<html>`, `save a batch of images: Unprocessable Entity (HTTP 422, request req_1)`},
		{``, `save a batch of images: Unprocessable Entity (HTTP 422, request req_1)`},
	} {
		client := serve(t, status(422, test.body, "X-Request-Id", "req_1"))
		_, err := client.BulkSaveBody(context.Background(), nil, "")
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\n got %v\nwant %s", test.body, err, test.want)
		}
	}
}

func TestRetryAfterInBothForms(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0.5": 500 * time.Millisecond, "": 0, "-3": 0, "soon": 0, "NaN": 0, "1e300": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q is %s, want %s", value, got, want)
		}
	}
}

// recorder is a pacer that counts.
type recorder struct {
	mu                         sync.Mutex
	waits, throttled, succeeds int
	after                      time.Duration
	most                       int // that may pass; 0 is any
	refusal                    error
}

func (p *recorder) Wait(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most > 0 && p.waits == p.most {
		return p.refusal
	}
	p.waits++
	return nil
}

func (p *recorder) Throttled(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.throttled++
	p.after = after
}

func (p *recorder) Succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.succeeds++
}

func TestPacerSeesEveryAttempt(t *testing.T) {
	p := &recorder{}
	handle, _ := respond(status(429, "", "Retry-After", "130"), status(500, ""), status(200, nothingSaved))
	client := serve(t, handle, func(c *Config) { c.Pacer = p; c.MaxRetryAfter = time.Microsecond })
	client.BulkSaveBody(context.Background(), nil, "")
	if _, err := client.BulkSaveBody(context.Background(), nil, ""); err != nil {
		t.Fatal(err)
	}
	if p.waits != 3 || p.throttled != 1 || p.succeeds != 2 || p.after != 130*time.Second {
		t.Errorf("%+v, want 3 waits, 1 refusal with 130 s, 2 others", p)
	}
}

// net/http sends a request again by itself where a connection that it kept is closed
// under it, and follows redirects: the service counts those too.
func TestPacerSeesWhatIsSentAgainUnasked(t *testing.T) {
	ok := status(200, nothingSaved)
	moved := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
	}
	p := &recorder{}
	handle, heard := respond(ok, hangUp, ok, ok, moved, ok)
	client := serve(t, handle, func(c *Config) { c.Pacer = p })
	for range 4 {
		if _, err := client.BulkSaveBody(context.Background(), []byte(`{"saves":[]}`), "key"); err != nil {
			t.Fatal(err)
		}
	}
	if p.waits != heard() || heard() < 6 {
		t.Errorf("the pacer was asked for %d requests, the service heard %d", p.waits, heard())
	}
	// Where the pacer will not have it, it is not sent.
	handle, heard = respond(ok, hangUp, ok)
	stopped := errors.New("no more")
	p = &recorder{most: 2, refusal: stopped}
	client = serve(t, handle, func(c *Config) { c.Pacer = p })
	if _, err := client.BulkSaveBody(context.Background(), nil, "key"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.BulkSaveBody(context.Background(), nil, "key"); !errors.Is(err, stopped) || heard() != 2 {
		t.Errorf("%v, the service heard %d", err, heard())
	}
}

// net/http would send X-API-Key along to another host.
func TestTheKeyStaysOnItsHost(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Method+" "+r.Header.Get("X-API-Key"))
	}))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+r.URL.Path, code) })
		if _, err := client.Dataset(context.Background(), "x"); err == nil || !strings.Contains(err.Error(), "API key is for") {
			t.Errorf("redirect with %d to another host: %v", code, err)
		}
	}
	if len(elsewhere) != 0 {
		t.Errorf("requests reached another host: %q", elsewhere)
	}
	// On the same host a redirect is followed, with method and body.
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.HasPrefix(r.URL.Path, "/new") {
			http.Redirect(w, r, "/new"+r.URL.Path, http.StatusPermanentRedirect)
			return
		}
		if r.Method != "POST" || string(body) != "the body" || r.Header.Get("X-API-Key") != testKey {
			t.Errorf("after the redirect: %s %q key %q", r.Method, body, r.Header.Get("X-API-Key"))
		}
		io.WriteString(w, nothingSaved)
	})
	if _, err := client.BulkSaveBody(context.Background(), []byte("the body"), ""); err != nil {
		t.Error(err)
	}
}

func TestUploadKeepsTheKeyFromStorage(t *testing.T) {
	var put *http.Request
	var stored []byte
	storage := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		put = r
		stored, _ = io.ReadAll(r.Body)
	}))
	defer storage.Close()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/api/v1/developer/images/upload-url":
			if !bytes.Contains(body, []byte(`"directory_path":"/a/b","filename":"c.png"`)) {
				t.Errorf("upload-url: %s", body)
			}
			fmt.Fprintf(w, `{"data":{"upload_url":"%s/bucket/x?signature=y"}}`, storage.URL)
		case "/api/v1/developer/images/register":
			io.WriteString(w, `{"data":{"id":"1","filename":"c.png","directory_path":"/a/b","width":null,"height":null,"split":null}}`)
		}
	})
	image, err := client.Upload(context.Background(), NewImage{Dataset: "d", Path: "a/b/c.png", ContentType: "image/png", Size: 5}, strings.NewReader("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if image.Path() != "a/b/c.png" || string(stored) != "bytes" || put.Header.Get("X-API-Key") != "" || put.URL.Query().Get("signature") != "y" {
		t.Errorf("image %+v, stored %q with key %q", image, stored, put.Header.Get("X-API-Key"))
	}
	for _, bad := range []string{"http://example.com/x", "file:///etc/passwd", "ftp://example.com/x"} {
		client := serve(t, status(200, `{"data":{"upload_url":"`+bad+`"}}`))
		if _, err := client.Upload(context.Background(), NewImage{Dataset: "d", Path: "c.png"}, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "not https") {
			t.Errorf("upload to %s: %v", bad, err)
		}
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	client := serve(t, status(401, `{"detail":"bad key"}`))
	_, err := client.Dataset(context.Background(), "x")
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", client, client, client, client), fmt.Sprintf("%v %+v %#v", client.config, client.config, client.config), fmt.Sprint(err)} {
		if strings.Contains(text, "secret") {
			t.Errorf("the key is in %s", text)
		}
	}
	if _, err := New(Config{APIKey: "secret\nheader: x"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a key with a line break: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{
		{}, {APIKey: "k", BaseURL: "api.example.com"}, {APIKey: "k", BaseURL: "http://api.example.com"}, {APIKey: "k", BaseURL: "ftp://api.example.com"},
		{APIKey: "k", BaseURL: "https://user:pass@example.com"}, {APIKey: "k", BaseURL: "https://example.com?x=1"}, {APIKey: "k", API: "v3"},
	} {
		if client, err := New(c); err == nil {
			t.Errorf("New(%s %s) = %v", c.BaseURL, c.API, client)
		}
	}
}

// The dataset is escaped whole, the image's path keeps its slashes, a prefix of
// the base URL stays.
func TestPaths(t *testing.T) {
	var got string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		io.WriteString(w, `{"annotations":[]}`)
	}, func(c *Config) { c.API = DialectPath; c.BaseURL += "/prefix/" })
	if _, err := client.Annotations(context.Background(), ImageRef{Dataset: "a/b c%", Path: "d e/ü#?%.jpg"}); err != nil {
		t.Fatal(err)
	}
	if want := "/prefix/api/v1/developer/annotations/a%2Fb%20c%25/d%20e/%C3%BC%23%3F%25.jpg"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// dialectService speaks one dialect and knows one image, 42 at d/a.jpg.
func dialectService(d Dialect, log *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		path := strings.TrimPrefix(r.URL.Path, annotationsPath)
		*log = append(*log, strings.TrimSpace(r.Method+" "+path+" "+string(body)))
		if known := map[Dialect]string{DialectPath: "/d/a.jpg", DialectImageID: "/42"}[d]; path != known {
			status(404, `{"detail":"not found"}`)(w, r)
			return
		}
		if r.Method == http.MethodGet {
			io.WriteString(w, `{"annotations":[]}`)
			return
		}
		io.WriteString(w, `{"image_id":"42","previous_count":1,"new_count":0,"status":"annotate"}`)
	}
}

func TestDialectIsFoundOutOnce(t *testing.T) {
	image := ImageRef{ID: "42", Dataset: "d", Path: "a.jpg"}
	for d, want := range map[Dialect]string{
		DialectPath:    `GET /d/a.jpg; POST /d/a.jpg {"annotations":[]}; POST /d/a.jpg {"annotations":[]}; GET /d/a.jpg`,
		DialectImageID: `GET /d/a.jpg; GET /42; POST /42 {"annotations":[],"image_id":"42"}; POST /42 {"annotations":[],"image_id":"42"}; GET /42`,
	} {
		var log []string
		client := serve(t, dialectService(d, &log))
		for range 2 {
			if result, err := client.Save(context.Background(), image, nil, SaveOptions{}); err != nil || result.Status != "annotate" {
				t.Fatalf("%s: %+v, %v", d, result, err)
			}
		}
		if _, err := client.Annotations(context.Background(), image); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(log, "; "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", d, got, want)
		}
	}
}

func TestDialectStaysOpenForAnUnknownImage(t *testing.T) {
	var log []string
	client := serve(t, dialectService(DialectImageID, &log))
	if _, err := client.Annotations(context.Background(), ImageRef{ID: "7", Dataset: "d", Path: "b.jpg"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown image: %v", err)
	}
	if _, err := client.Annotations(context.Background(), ImageRef{ID: "42"}); err != nil {
		t.Errorf("known by id alone: %v", err)
	}
	if _, err := client.Annotations(context.Background(), ImageRef{Dataset: "d", Path: "a.jpg"}); err == nil || !strings.Contains(err.Error(), "takes the image's id") {
		t.Errorf("by path in the image-id dialect: %v", err)
	}
}

func TestPagesGoOnWhileThereIsMore(t *testing.T) {
	var offsets []string
	sizes := []int{1000, 3, 1}
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		offsets = append(offsets, r.URL.Query().Get("offset")+"/"+r.URL.Query().Get("limit"))
		n := len(offsets)
		fmt.Fprintf(w, `{"data":[%s],"pagination":{"has_more":%v}}`, strings.TrimSuffix(strings.Repeat(`{"id":"x","filename":"f"},`, sizes[n-1]), ","), n < 3)
	})
	total := 0
	for _, err := range client.Images(context.Background(), "d", ImageFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		total++
	}
	if total != 1004 || strings.Join(offsets, " ") != "0/1000 1000/1000 1003/1000" {
		t.Errorf("%d images, pages at %q", total, offsets)
	}
	client = serve(t, status(200, `{"data":[],"pagination":{"has_more":true}}`))
	for _, err := range client.Images(context.Background(), "d", ImageFilter{}) {
		if err == nil {
			t.Error("an empty page that promises more was taken for an answer")
		}
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	stalled := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	client := serve(t, stalled, func(c *Config) { c.Timeout = time.Millisecond; c.MaxRetries = NoRetries })
	if _, err := client.Dataset(context.Background(), "x"); !errors.Is(err, ErrNetwork) || !strings.Contains(err.Error(), "no answer within 1ms") {
		t.Errorf("timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	client = serve(t, func(w http.ResponseWriter, r *http.Request) { cancel(); stalled(w, r) })
	if _, err := client.Dataset(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancel: %v", err)
	}
}

// The deadline of a caller comes back as the caller's, and is no fault of the network.
func TestACallersDeadlineIsTheCallers(t *testing.T) {
	release := make(chan struct{})
	client := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := client.Dataset(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNetwork) || strings.Contains(err.Error(), "no answer within") {
		t.Errorf("a request: %v", err)
	}
	given := errors.New("the night is over")
	ctx, cancel = context.WithTimeoutCause(t.Context(), time.Millisecond, given)
	defer cancel()
	if _, err := client.Dataset(ctx, "x"); !errors.Is(err, given) {
		t.Errorf("a deadline that says why: %v", err)
	}
}

// Who waits for another to find out the dialect may give up on it.
func TestNoRequestHoldsUpACallerWhoGivesUp(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			close(asked)
			<-release
			io.WriteString(w, `{"annotations":[]}`)
			return
		}
		io.WriteString(w, `{"image_id":"42"}`)
	})
	image := ImageRef{ID: "42", Dataset: "d", Path: "a.jpg"}
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := client.Save(t.Context(), image, nil, SaveOptions{}); err != nil {
			t.Errorf("who found out: %v", err)
		}
	})
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Save(ctx, image, nil, SaveOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	first.Go(func() {
		if _, err := client.Save(t.Context(), image, nil, SaveOptions{}); err != nil {
			t.Errorf("who waited: %v", err)
		}
	})
	close(release)
	first.Wait()
}

// What the service says of an annotation and this package does not know is kept: to read
// annotations and to save them loses nothing.
func TestUnknownMembersAreWrittenBack(t *testing.T) {
	const annotation = `{"id":"1","name":"a","type":"keypoint","keypoint":{"x":1,"y":2},"confidence":1,"depth":{"mean": 1.50},"track":[7]}`
	var saved string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, "{\"annotations\":[\n"+annotation+"]}")
			return
		}
		body, _ := io.ReadAll(r.Body)
		saved = string(body)
		io.WriteString(w, `{"image_id":"42"}`)
	})
	image := ImageRef{Dataset: "d", Path: "a.jpg"}
	annotations, err := client.Annotations(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Save(t.Context(), image, annotations, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := `{"annotations":[` + strings.ReplaceAll(annotation, ": ", ":") + `]}`; saved != want {
		t.Errorf("saved %s\nwant  %s", saved, want)
	}
	annotations[0].Unknown["name"] = []byte(`"b"`)
	if _, err := client.Save(t.Context(), image, annotations, SaveOptions{}); err == nil {
		t.Error("a name was given twice")
	}
}

func TestNoRetries(t *testing.T) {
	handle, requests := respond(status(500, ""))
	client := serve(t, handle, func(c *Config) { c.MaxRetries = NoRetries })
	if _, err := client.Dataset(t.Context(), "x"); !errors.Is(err, ErrServer) || requests() != 1 {
		t.Errorf("%d requests, %v", requests(), err)
	}
}

// Requests that go side by side find the connections of those before them.
func TestConnectionsAreKept(t *testing.T) {
	const together = 8
	var connections atomic.Int32
	var there sync.WaitGroup
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there.Done()
		there.Wait() // until all are on their way
		fmt.Fprint(w, `{"data":{}}`)
	}))
	service.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	service.Start()
	defer service.Close()
	client, err := New(Config{BaseURL: service.URL, APIKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for range 3 {
		there.Add(together)
		var asking sync.WaitGroup
		for range together {
			asking.Go(func() {
				if _, err := client.Dataset(t.Context(), "set"); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
	}
	if n := connections.Load(); n != together {
		t.Errorf("%d connections were made for %d requests at a time", n, together)
	}
}

// A service that answers before it has read a request gets nothing else for the rest of
// it, whatever the caller does with the memory.
func TestABodyIsTheCallersWhenItWasAnswered(t *testing.T) {
	body := bytes.Repeat([]byte("a"), 32<<20) // more than the system's buffers take
	changed, rest := make(chan struct{}), make(chan []byte, 1)
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		w.Header().Set("Content-Length", strconv.Itoa(len(nothingSaved)))
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		io.WriteString(w, nothingSaved)
		if err := control.Flush(); err != nil {
			t.Error(err)
		}
		<-changed
		read, _ := io.ReadAll(r.Body) // it is cut short
		rest <- read
	})
	_, err := client.BulkSaveBody(context.Background(), body, "key")
	for i := range body {
		body[i] = 'b'
	}
	close(changed)
	if err != nil {
		t.Fatal(err)
	}
	if read := <-rest; len(read) == 32<<20 || bytes.IndexByte(read, 'b') >= 0 {
		t.Errorf("the service was sent %d bytes, of which the first that is not the request's is the one at %d", len(read), bytes.IndexByte(read, 'b'))
	}
}
