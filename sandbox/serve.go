package sandbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// answer is what a request gets.
type answer struct {
	status int
	header http.Header
	body   []byte
	// content is sent in the place of body where it is there, size bytes.
	content *os.File
	size    int64
}

// write sends what a client is to get of the answer, at most limit bytes.
func (a answer) write(w http.ResponseWriter, limit int64) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	if a.content == nil {
		w.Write(a.body[:min(limit, int64(len(a.body)))]) // a client that has gone needs no answer
		return
	}
	io.CopyN(w, a.content, min(limit, a.size))
}

// length is how many bytes a client is to get.
func (a answer) length() int64 {
	if a.content != nil {
		return a.size
	}
	return int64(len(a.body))
}

func answerJSON(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // what we answer always marshals
	}
	return answer{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

func answerData(v any) answer { return answerJSON(http.StatusOK, map[string]any{"data": v}) }

// fault is a refusal: an error that is an answer.
type fault struct {
	status  int
	code    string
	message string
	fields  pictograph.FieldErrors
	after   time.Duration // Retry-After
}

func (f *fault) Error() string { return f.message }

func refuse(status int, code, format string, args ...any) *fault {
	return &fault{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func invalid(fields pictograph.FieldErrors) *fault {
	return &fault{status: http.StatusUnprocessableEntity, code: "validation_error", message: "the request is not valid: " + fields.Error(), fields: fields}
}

func (f *fault) answer() answer {
	details := []map[string]any{}
	for _, e := range f.fields {
		details = append(details, map[string]any{"loc": location(e.Path), "msg": e.Reason, "type": "value_error"})
	}
	var legacy any = f.message
	if len(details) > 0 {
		legacy = details
	}
	a := answerJSON(f.status, map[string]any{
		"error":  map[string]any{"code": f.code, "message": f.message, "details": map[string]any{"errors": details}},
		"detail": legacy,
	})
	if f.status == http.StatusTooManyRequests {
		a.header.Set("Retry-After", fmt.Sprint(int(math.Ceil(f.after.Seconds()))))
	}
	return a
}

// location turns "annotations[3].name" into ["body","annotations",3,"name"].
func location(path string) []any {
	loc := []any{"body"}
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var n int
		if _, err := fmt.Sscanf(part, "%d", &n); err == nil && fmt.Sprint(n) == part {
			loc = append(loc, n)
			continue
		}
		loc = append(loc, part)
	}
	return loc
}

// request is what a handler sees of one.
type request struct {
	server   *Server
	raw      *http.Request
	number   int64 // of the request, which faults are drawn by
	ctx      context.Context
	tx       *sql.Tx
	now      time.Time
	method   string
	segments []string // of the path behind /api/v1/developer/, unescaped
	query    url.Values
	body     []byte
	account  string
	role     Role
	key      string // idempotency key
	api      string
	origin   string                     // scheme and host that the client used
	defined  map[string]map[string]bool // class names by dataset id, read once
	// afterwards is done when the request is executed and committed.
	afterwards []func()
}

func (q *request) route() string {
	return q.method + " /" + strings.Join(q.segments, "/")
}

const prefix = "/api/v1/developer/"

// ServeHTTP answers a request, or misbehaves.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.count(func(st *Stats) { st.Requests++ })
	switch {
	case strings.HasPrefix(r.URL.Path, "/_sandbox/"):
		s.serveAdmin(w, r)
		return
	case r.URL.Path == "/":
		s.serveIndex(w, r)
		return
	case !strings.HasPrefix(r.URL.Path, prefix):
		s.send(w, refuse(http.StatusNotFound, "not_found", "no such route").answer())
		return
	}
	n := s.number.Add(1)
	p := s.options.Faults.plan(n)
	if p.before != "" {
		s.fire(p.before, r)
		if !s.misbehaveBefore(w, r, p) {
			return
		}
	}
	a := s.serveAPI(r, n)
	if a.content != nil {
		defer a.content.Close()
	}
	if p.after != "" {
		s.fire(p.after, r)
		if !s.misbehaveAfter(w, r, p, a) {
			return
		}
	}
	s.send(w, a)
}

func (s *Server) fire(name string, r *http.Request) {
	s.count(func(st *Stats) { st.Faults[name]++ })
	event := s.options.Log.Info().Str("fault", name)
	if r != nil { // while an export is built there is none
		event = event.Str("method", r.Method).Str("path", r.URL.Path)
	}
	event.Msg("fault")
}

func (s *Server) send(w http.ResponseWriter, a answer) {
	s.count(func(st *Stats) { st.Statuses[a.status]++ })
	w.Header().Set("X-Request-Id", "req_"+uuid.NewString())
	a.write(w, a.length())
}

// misbehaveBefore tells whether the request is to be served all the same.
func (s *Server) misbehaveBefore(w http.ResponseWriter, r *http.Request, p plan) bool {
	switch p.before {
	case serverError:
		s.send(w, refuse(p.status, "internal_error", "something went wrong").answer())
	case html:
		s.send(w, answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/html"}}, body: []byte("<html><body>This proxy is very sorry.</body></html>")})
	case storm:
		s.send(w, (&fault{status: http.StatusTooManyRequests, code: "rate_limited", message: "too many requests", after: 0}).answer())
	case resetBefore:
		hangUp(w, true)
	case stallBefore:
		return s.stall(r, p.stall)
	}
	return false
}

func (s *Server) misbehaveAfter(w http.ResponseWriter, r *http.Request, p plan, a answer) bool {
	switch p.after {
	case resetAfter:
		hangUp(w, true)
	case lostAnswer:
		hangUp(w, false)
	case truncate:
		w.Header().Set("Content-Length", fmt.Sprint(a.length()))
		a.write(w, a.length()/2)
		http.NewResponseController(w).Flush()
		hangUp(w, false)
	case stallAfter:
		return s.stall(r, p.stall)
	}
	return false
}

// stall waits, and tells whether the client is still there.
func (s *Server) stall(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
	case <-r.Context().Done():
	}
	return false
}

// hangUp closes the connection under the client: with a reset, or as if all
// had been said.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// serveAPI checks what holds for every request, and executes it.
func (s *Server) serveAPI(r *http.Request, n int64) answer {
	limits := http.Header{}
	a, err := s.admit(r, n, limits)
	var f *fault
	switch {
	case errors.As(err, &f):
		a = f.answer()
	case err != nil:
		s.options.Log.Error().Err(err).Str("method", r.Method).Str("path", r.URL.Path).Msg("request failed")
		a = refuse(http.StatusInternalServerError, "internal_error", "the sandbox failed: %v", err).answer()
	}
	if len(limits) > 0 && !s.strikes(noLimitHeaders, n, r) {
		maps.Copy(a.header, limits)
	}
	return a
}

// admit executes a request whose key is known and has requests left; limits are
// the headers that say how many.
func (s *Server) admit(r *http.Request, n int64, limits http.Header) (answer, error) {
	key := r.Header.Get("X-API-Key")
	role, known := s.options.Keys[key]
	if len(s.options.Keys) == 0 && key != "" {
		role, known = Owner, true
	}
	if !known {
		return answer{}, refuse(http.StatusUnauthorized, "unauthorized", "the API key is missing or not valid")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, s.options.MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return answer{}, refuse(http.StatusRequestEntityTooLarge, "payload_too_large", "the request body is larger than %d bytes", s.options.MaxBody)
	}
	if err != nil {
		return answer{}, refuse(http.StatusBadRequest, "bad_request", "the request body could not be read: %v", err)
	}
	segments, err := pathSegments(r.URL)
	if err != nil {
		return answer{}, refuse(http.StatusBadRequest, "bad_request", "the path could not be read: %v", err)
	}
	q := &request{server: s, raw: r, number: n, ctx: r.Context(), now: s.options.Now(), method: r.Method, segments: segments, query: r.URL.Query(), body: body,
		account: fingerprint(key), role: role, key: r.Header.Get("Idempotency-Key"), api: s.options.API, origin: "http://" + r.Host}
	if err := s.spend(q, s.quotaOf(key), limits); err != nil {
		return answer{}, err
	}
	return s.execute(q)
}

func pathSegments(u *url.URL) ([]string, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), prefix), "/")
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		unescaped, err := url.PathUnescape(part)
		if err != nil {
			return nil, err
		}
		parts[i] = unescaped
	}
	return parts, nil
}

// keyLifetime is how long the service remembers an idempotency key.
const keyLifetime = 24 * time.Hour

// execute runs the request in one transaction, in which a write's answer is
// remembered under its idempotency key.
func (s *Server) execute(q *request) (a answer, err error) {
	handle, err := q.handler()
	if q.segments[0] == "exports" && q.strikes(exportNotFound, q.number) {
		err = refuse(http.StatusNotFound, "not_found", "no such route")
	}
	if err != nil {
		return answer{}, err
	}
	// A write goes on when its client has gone.
	if q.method != http.MethodGet {
		q.ctx = context.WithoutCancel(q.ctx)
	}
	if q.segments[0] == "exports" && q.method == http.MethodGet {
		if err := s.awaitExport(q); err != nil {
			return answer{}, err
		}
	}
	err = s.transact(q.ctx, func(tx *sql.Tx) error {
		q.tx = tx
		keyed := q.key != "" && q.method != http.MethodGet && q.method != http.MethodDelete
		if keyed {
			var replayed bool
			if a, replayed, err = q.replay(); err != nil || replayed {
				return err
			}
		}
		if a, err = handle(q); err != nil || !keyed {
			return err
		}
		_, err := tx.ExecContext(q.ctx, `INSERT INTO answers (account, key, request, status, body, at) VALUES (?, ?, ?, ?, ?, ?)`,
			q.account, q.key, q.digest(), a.status, a.body, q.now.UnixMilli())
		return err
	})
	if err == nil && a.header.Get("Idempotent-Replayed") != "" {
		s.count(func(st *Stats) { st.Replays++ })
	}
	if err == nil {
		for _, do := range q.afterwards {
			do()
		}
	}
	return a, err
}

// digest tells a repeat of a request from another under the same key.
func (q *request) digest() string {
	sum := sha256.Sum256([]byte(q.route() + "\x00" + string(q.body)))
	return hex.EncodeToString(sum[:])
}

func (q *request) replay() (answer, bool, error) {
	if _, err := q.tx.ExecContext(q.ctx, `DELETE FROM answers WHERE account = ? AND at <= ?`, q.account, q.now.Add(-keyLifetime).UnixMilli()); err != nil {
		return answer{}, false, err
	}
	var digest string
	a := answer{header: http.Header{"Content-Type": {"application/json"}, "Idempotent-Replayed": {"true"}}}
	err := q.tx.QueryRowContext(q.ctx, `SELECT request, status, body FROM answers WHERE account = ? AND key = ?`, q.account, q.key).Scan(&digest, &a.status, &a.body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return answer{}, false, nil
	case err != nil:
		return answer{}, false, err
	case digest != q.digest():
		return answer{}, false, refuse(http.StatusUnprocessableEntity, "idempotency_mismatch", "the idempotency key was used for another request")
	}
	return a, true, nil
}

// audit records a write that is executed.
func (q *request) audit(kind string, e AuditEntry) error {
	_, err := q.tx.ExecContext(q.ctx, `INSERT INTO audit (at, account, kind, route, key, dataset, image, path, previous, new, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		q.now.UnixMilli(), q.account, kind, q.route(), q.key, e.DatasetID, e.ImageID, e.ImagePath, e.PreviousCount, e.NewCount, e.SHA256)
	return err
}

// fields takes a JSON object apart and reports members that are not allowed.
func (q *request) fields(allowed ...string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(q.body, &members); err != nil || members == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "validation_error", "the request body is no JSON object")
	}
	var errs pictograph.FieldErrors
	for name := range members {
		known := false
		for _, a := range allowed {
			known = known || a == name
		}
		if !known {
			errs = append(errs, pictograph.FieldError{Path: name, Reason: "extra fields are not permitted"})
		}
	}
	if len(errs) > 0 {
		return nil, invalid(errs)
	}
	return members, nil
}

// text reads the first of several members that is there; required ones must
// not be blank.
func text(members map[string]json.RawMessage, required bool, names ...string) (string, error) {
	var value string
	for _, name := range names {
		raw, ok := members[name]
		if !ok || string(raw) == "null" {
			continue
		}
		if err := json.Unmarshal(raw, &value); err != nil {
			return "", invalid(pictograph.FieldErrors{{Path: name, Reason: "a string is expected"}})
		}
		break
	}
	if required && strings.TrimSpace(value) == "" {
		return "", invalid(pictograph.FieldErrors{{Path: names[0], Reason: "field required"}})
	}
	return value, nil
}

// serveAdmin shows what happened, without a key: the sandbox is for one
// machine.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/_sandbox/stats":
		s.send(w, answerJSON(http.StatusOK, s.Stats()))
	case "/_sandbox/audit":
		w.Header().Set("Content-Type", "application/x-ndjson")
		encoder := json.NewEncoder(w)
		for e, err := range s.Audit(r.Context()) {
			if err != nil || encoder.Encode(e) != nil {
				panic(http.ErrAbortHandler) // so that half a log is not taken for a whole
			}
		}
	default:
		s.send(w, refuse(http.StatusNotFound, "not_found", "there are /_sandbox/audit and /_sandbox/stats").answer())
	}
}

func (s *Server) serveIndex(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "A Pictograph-compatible sandbox. The API is at %s, what was executed at /_sandbox/audit, counts at /_sandbox/stats.\n\nDatasets:\n", prefix)
	rows, err := s.db.QueryContext(r.Context(), `SELECT name, (SELECT count(*) FROM images WHERE dataset = datasets.id) FROM datasets ORDER BY name`)
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var images int
		if rows.Scan(&name, &images) == nil {
			fmt.Fprintf(w, "  %q: %d images\n", name, images)
		}
	}
}
