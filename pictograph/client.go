package pictograph

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
)

// DefaultBaseURL is the service.
const DefaultBaseURL = "https://api.pictograph.io"

// Dialect is the form of the service's per-image calls. Everything else is the
// same in both.
type Dialect string

// The dialects. DialectAuto finds out with one request when it first matters.
const (
	DialectAuto    Dialect = "auto"
	DialectPath    Dialect = "path"     // /annotations/{dataset}/{directory/}{filename}, the service today
	DialectImageID Dialect = "image-id" // /annotations/{image id}, older services
)

// Config says how a [Client] works. Only APIKey must be set.
type Config struct {
	BaseURL string // default DefaultBaseURL
	APIKey  string
	API     Dialect // default DialectAuto

	// Timeout bounds one attempt of a request, the reading of its answer
	// included; it begins when the Pacer has let the request pass. Default 30 s.
	Timeout time.Duration
	// MaxRetries is how many attempts may follow the first. Default 3; [NoRetries]
	// means none.
	MaxRetries int
	// The wait before attempt n+1 is BackoffBase·2ⁿ, at most BackoffCap, give or
	// take a quarter. Defaults 1 s and 30 s.
	BackoffBase, BackoffCap time.Duration
	// MaxRetryAfter is the longest Retry-After that is waited for; a longer one
	// is returned as the error it came with. Default 120 s.
	MaxRetryAfter time.Duration

	Transport http.RoundTripper // default http.DefaultTransport's settings
	Pacer     Pacer             // default none
	UserAgent string
	OnRetry   func(Retry) // told before each wait
}

// NoRetries is the MaxRetries of a client that tries every request once.
const NoRetries = -1

// Format keeps the key out of whatever prints a Config.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "pictograph.Config{%s}", c.BaseURL) }

// Pacer is asked before every attempt of every request that carries the key.
// It decides when the request may be sent, and is told how the service took
// it. Its methods are called from several goroutines.
type Pacer interface {
	// Wait returns when a request may be sent.
	Wait(ctx context.Context) error
	// Throttled is told of each 429, with the wait the service asks for (0 if
	// it did not say).
	Throttled(retryAfter time.Duration)
	// Succeeded is told of every other answer.
	Succeeded()
}

// Informed is a [Pacer] that is also told what the service says of the quota, in headers of
// its answers.
type Informed interface {
	Pacer
	// Allowed is told of each answer that says so how many requests the key may send in a
	// time, how many are left of these, whoever sent the others, and when the next will be,
	// the zero time where that is not said. It is told before Throttled and Succeeded.
	Allowed(limit, remaining int, reset time.Time)
	// Silent is told of each request that ends without a word on it; answered is true for
	// an answer that is a success.
	Silent(answered bool)
}

// Retry is a request about to be tried again.
type Retry struct {
	Op      string
	Attempt int // the one that failed, from 1
	Wait    time.Duration
	Err     error
}

// Client talks to the service. It may be used by several goroutines.
type Client struct {
	config Config
	base   *url.URL
	http   *http.Client // with the key; stays on base's host
	plain  *http.Client // without the key, for signed URLs

	dialectMu sync.Mutex // never held across a request
	dialect   Dialect
	finding   chan struct{} // closed when who finds out the dialect is done; nil while nobody does
}

// New makes a client. It sends nothing.
func New(c Config) (*Client, error) {
	if c.BaseURL == "" {
		c.BaseURL = DefaultBaseURL
	}
	base, err := url.Parse(strings.TrimRight(c.BaseURL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("base URL %q: it must be as https://host or https://host/prefix", c.BaseURL)
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("base URL %q: plain http would send the API key in the open; use https (http is for this machine alone)", c.BaseURL)
	}
	switch c.API {
	case "":
		c.API = DialectAuto
	case DialectAuto, DialectPath, DialectImageID:
	default:
		return nil, fmt.Errorf("the dialect is %q and must be one of: auto, path, image-id", c.API)
	}
	c.APIKey = strings.TrimSpace(c.APIKey)
	if c.APIKey == "" || strings.ContainsFunc(c.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("the API key is empty or holds characters that no key has")
	}
	c = c.withDefaults()
	client := &Client{config: c, base: base, dialect: c.API, plain: &http.Client{Transport: c.Transport}}
	client.http = &http.Client{Transport: c.Transport, CheckRedirect: client.checkRedirect}
	return client, nil
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = 3
	}
	if c.BackoffBase <= 0 {
		c.BackoffBase = time.Second
	}
	if c.BackoffCap <= 0 {
		c.BackoffCap = 30 * time.Second
	}
	if c.MaxRetryAfter <= 0 {
		c.MaxRetryAfter = 120 * time.Second
	}
	if c.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = transport.MaxIdleConns // all are to the one host
		c.Transport = transport
	}
	if c.Pacer == nil {
		c.Pacer = noPacer{}
	}
	if c.UserAgent == "" {
		c.UserAgent = "pictosync-go"
	}
	if c.OnRetry == nil {
		c.OnRetry = func(Retry) {}
	}
	return c
}

// Format keeps the key out of whatever prints a Client.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "pictograph.Client{%s}", c.base) }

// CloseIdleConnections lets go of connections that are kept for later.
func (c *Client) CloseIdleConnections() {
	c.http.CloseIdleConnections()
	c.plain.CloseIdleConnections()
}

type noPacer struct{}

func (noPacer) Wait(ctx context.Context) error { return ctx.Err() }
func (noPacer) Throttled(time.Duration)        {}
func (noPacer) Succeeded()                     {}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkRedirect keeps the key on the configured host: net/http strips
// Authorization from a redirect to another host, but no header of one's own.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	if next.URL.Scheme != c.base.Scheme || next.URL.Host != c.base.Host {
		return fmt.Errorf("refused to follow a redirect to %s: the API key is for %s alone", next.URL.Host, c.base.Host)
	}
	if len(via) >= 5 {
		return errors.New("stopped after 5 redirects")
	}
	return nil
}

// call is one request, however often it is sent.
type call struct {
	op     string
	method string
	path   string // escaped, from the base URL on
	query  url.Values
	body   []byte // JSON, nil for none
	key    string // idempotency key
}

// do sends a call under the retry rules and decodes the answer into out
// (nil to pass over it).
func (c *Client) do(ctx context.Context, k call, out any) error {
	if k.key == "" && (k.method == http.MethodPost || k.method == http.MethodPut || k.method == http.MethodPatch) {
		k.key = rand.Text()
	}
	for attempt := 1; ; attempt++ {
		err := c.attempt(ctx, k, out)
		if err == nil {
			return nil
		}
		if api, answered := errors.AsType[*APIError](err); answered {
			api.Attempts = attempt
		}
		wait, again := c.retry(err, attempt)
		if !again || ctx.Err() != nil {
			return err
		}
		c.config.OnRetry(Retry{Op: k.op, Attempt: attempt, Wait: wait, Err: err})
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w (last: %v)", k.op, context.Cause(ctx), err)
		}
	}
}

// retry is the SDK's rule: 408, 429, 500, 502, 503, 504 and failures of the
// network are tried again. All of our requests are safe to repeat: reads and
// deletes by nature, writes by their idempotency key.
func (c *Client) retry(err error, attempt int) (wait time.Duration, again bool) {
	if attempt > c.config.MaxRetries {
		return 0, false
	}
	var api *APIError
	switch {
	case errors.Is(err, ErrNetwork):
	case errors.As(err, &api):
		switch api.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			if api.Status >= 300 { // a success that is no JSON is the service's fault, and tried again
				return 0, false
			}
		}
	default:
		return 0, false
	}
	wait = c.backoff(attempt)
	if api != nil && api.Status == http.StatusTooManyRequests {
		if api.RetryAfter > c.config.MaxRetryAfter {
			return 0, false
		}
		wait = max(wait, api.RetryAfter)
	}
	return wait, true
}

func (c *Client) backoff(attempt int) time.Duration {
	wait := c.config.BackoffCap
	if shift := attempt - 1; shift < 30 {
		wait = min(wait, c.config.BackoffBase<<shift)
	}
	return time.Duration(float64(wait) * (0.75 + mathrand.Float64()/2))
}

// Limits on what is read into memory of an answer.
const (
	maxAnswer      = 256 << 20
	maxErrorAnswer = 1 << 20
)

func (c *Client) attempt(caller context.Context, k call, out any) error {
	if err := c.config.Pacer.Wait(caller); err != nil {
		return fmt.Errorf("%s: %w", k.op, err)
	}
	ctx, end := c.pacedAgain(caller)
	defer end(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Timeout, errNoAnswer)
	defer cancel()
	request, err := c.request(ctx, k)
	if err != nil {
		return fmt.Errorf("%s: %w", k.op, err)
	}
	answer, err := c.http.Do(request)
	c.tellAllowed(answer)
	if err != nil {
		return c.networkError(ctx, k.op, err)
	}
	defer answer.Body.Close()
	limit := int64(maxAnswer)
	if answer.StatusCode >= 300 {
		limit = maxErrorAnswer
	}
	answered, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil && answer.StatusCode < 300 {
		return c.networkError(ctx, k.op, fmt.Errorf("the answer was cut short: %w", err))
	}
	if answer.StatusCode >= 300 { // its words end up in error texts
		answered = []byte(c.withoutKey(string(answered)))
		answer.Header.Set("X-Request-Id", c.withoutKey(answer.Header.Get("X-Request-Id")))
	}
	return c.read(k.op, answer, answered, out)
}

// tellAllowed tells the Pacer what an answer says of the quota; it is nil where none came.
func (c *Client) tellAllowed(answer *http.Response) {
	pacer, ok := c.config.Pacer.(Informed)
	if !ok {
		return
	}
	if answer == nil {
		pacer.Silent(false)
		return
	}
	limit, err := strconv.Atoi(answer.Header.Get("X-RateLimit-Limit"))
	remaining, otherErr := strconv.Atoi(answer.Header.Get("X-RateLimit-Remaining"))
	if err != nil || otherErr != nil || limit < 1 || remaining < 0 || remaining > limit {
		pacer.Silent(answer.StatusCode < 300)
		return
	}
	var reset time.Time
	if seconds, err := strconv.ParseInt(answer.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil && seconds > 0 {
		reset = time.Unix(seconds, 0)
	}
	pacer.Allowed(limit, remaining, reset)
}

// pacedAgain has the Pacer asked for what net/http does without being told: where a
// connection was closed under a request, it sends that once more over another one, and
// the service may count both. Where the Pacer will not have it, the context ends.
func (c *Client) pacedAgain(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	under, end := context.WithCancelCause(ctx)
	connections := 0
	return httptrace.WithClientTrace(under, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if connections++; connections == 1 {
			return
		}
		if err := c.config.Pacer.Wait(ctx); err != nil {
			end(err)
		}
	}}), end
}

// withoutKey takes the key out of words of the service, which may repeat what
// it was sent.
func (c *Client) withoutKey(s string) string {
	return strings.ReplaceAll(s, c.config.APIKey, "[the API key]")
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	target := *c.base
	target.RawQuery = k.query.Encode()
	request, err := http.NewRequestWithContext(ctx, k.method, "", bytes.NewReader(k.body))
	if err != nil {
		return nil, err
	}
	unescaped, err := url.PathUnescape(k.path)
	if err != nil {
		return nil, err
	}
	target.RawPath = c.base.EscapedPath() + k.path
	target.Path = c.base.Path + unescaped
	request.URL, request.Host = &target, target.Host
	if k.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("X-API-Key", c.config.APIKey)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.config.UserAgent)
	if k.key != "" {
		request.Header.Set("Idempotency-Key", k.key)
	}
	return request, nil
}

// errNoAnswer ends an attempt that takes longer than it may.
var errNoAnswer = errors.New("no answer in time")

// networkError tells a request that failed, for one because it took longer than an attempt
// may, from one that its caller ended or whose time the caller set.
func (c *Client) networkError(ctx context.Context, op string, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errNoAnswer):
		err = fmt.Errorf("no answer within %s", c.config.Timeout)
	case cause != nil:
		return fmt.Errorf("%s: %w", op, cause)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its text would repeat the URL
	}
	return &NetworkError{Op: op, Err: err}
}

func (c *Client) read(op string, answer *http.Response, body []byte, out any) error {
	if answer.StatusCode == http.StatusTooManyRequests {
		e := apiError(op, answer, body, time.Now())
		c.config.Pacer.Throttled(e.RetryAfter)
		return e
	}
	c.config.Pacer.Succeeded()
	if answer.StatusCode >= 300 {
		return apiError(op, answer, body, time.Now())
	}
	if len(body) > maxAnswer {
		return &ContentError{Op: op, Err: fmt.Errorf("the answer is larger than %d bytes", maxAnswer)}
	}
	if out == nil {
		return nil
	}
	// What encoding/json makes of it, in half its time.
	if err := jsonv1.Unmarshal(body, out); err != nil {
		e := apiError(op, answer, nil, time.Now())
		e.Message = "the answer is not what the service sends: " + err.Error()
		return e
	}
	return nil
}

// segment escapes one segment of a path, slashes included.
func segment(s string) string {
	switch s {
	case ".", "..":
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// segments escapes a path, keeping its slashes.
func segments(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		parts[i] = segment(part)
	}
	return strings.Join(parts, "/")
}

func marshal(op string, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return data, nil
}
