package pictograph

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What can be wrong, for errors.Is. An [APIError] matches one of the first
// nine, a [NetworkError] the last.
var (
	ErrInvalid      = errors.New("the service refused the request as invalid")   // 400, 422
	ErrUnauthorized = errors.New("the service refused the API key")              // 401
	ErrPayment      = errors.New("the plan or the credit does not allow it")     // 402
	ErrForbidden    = errors.New("the API key's role does not allow it")         // 403
	ErrNotFound     = errors.New("the service knows no such thing")              // 404
	ErrConflict     = errors.New("it conflicts with what is there")              // 409
	ErrTooLarge     = errors.New("the request is larger than the service takes") // 413
	ErrRateLimited  = errors.New("the key's requests of the hour are used up")   // 429
	ErrServer       = errors.New("the service failed")                           // 5xx, 408, and answers that are no JSON
	ErrNetwork      = errors.New("the service could not be reached")
)

// APIError is an answer of the service that is no success.
type APIError struct {
	Op        string // what was being done, as "save annotations of a.jpg"
	Status    int    // HTTP status
	Code      string // the service's machine-readable code, if it sent one
	Message   string
	RequestID string // identifies the request to the service's support
	Fields    FieldErrors
	// RetryAfter is how long the service wants to be left alone, 0 if it did
	// not say.
	RetryAfter time.Duration
	// Attempts is how often the request was sent until it was answered so.
	Attempts int
}

func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (HTTP %d", e.Op, e.Message, e.Status)
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", e.Code)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, ", request %s", e.RequestID)
	}
	b.WriteByte(')')
	if len(e.Fields) > 0 {
		fmt.Fprintf(&b, ": %v", e.Fields)
	}
	return b.String()
}

// Is matches the error of the answer's status.
func (e *APIError) Is(target error) bool { return target == e.kind() }

func (e *APIError) kind() error {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusPaymentRequired:
		return ErrPayment
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusTooManyRequests:
		return ErrRateLimited
	}
	if e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.Status < 300 {
		return ErrServer
	}
	return nil
}

// Hint says what to do next, "" where there is nothing to say.
func (e *APIError) Hint() string {
	switch e.kind() {
	case ErrUnauthorized:
		return "check PICTOGRAPH_API_KEY: keys begin with pk_live_ and are made in the service under Settings, API Keys"
	case ErrForbidden:
		return "use a key with a higher role: saving takes a member's, clearing and deleting an admin's"
	case ErrPayment:
		return "see the organization's billing settings"
	case ErrNotFound:
		if e.Op == listDatasets { // which every service has
			return "check the base URL: what answers there is no Pictograph service"
		}
		return "check the name: names are case-sensitive"
	case ErrTooLarge:
		return "send fewer images, or fewer annotations, at once"
	case ErrRateLimited:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("try again in %s, or lower the rate", e.RetryAfter)
		}
		return "try again later, or lower the rate"
	case ErrServer:
		return "try again; if it stays, ask the service's support, naming the request"
	}
	return ""
}

// NetworkError is a request that got no answer, or half of one.
type NetworkError struct {
	Op  string
	Err error
}

func (e *NetworkError) Error() string { return fmt.Sprintf("%s: %v: %v", e.Op, ErrNetwork, e.Err) }

// Is matches [ErrNetwork].
func (e *NetworkError) Is(target error) bool { return target == ErrNetwork }

// Unwrap is the transport's own error.
func (e *NetworkError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *NetworkError) Hint() string {
	return "check the base URL, the network and whether the service is up"
}

// errorBody is every form of the service's errors: the envelope, and the
// older forms of detail (a string, an object, a list of field errors).
type errorBody struct {
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

type envelope struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details struct {
		Errors []fieldDetail `json:"errors"`
	} `json:"details"`
}

type fieldDetail struct {
	Loc []any  `json:"loc"`
	Msg string `json:"msg"`
}

func apiError(op string, answer *http.Response, body []byte, now time.Time) *APIError {
	e := &APIError{Op: op, Status: answer.StatusCode, RequestID: answer.Header.Get("X-Request-Id"), RetryAfter: retryAfter(answer.Header, now)}
	var parsed errorBody
	if json.Unmarshal(body, &parsed) == nil {
		e.read(parsed)
	}
	if e.Message == "" {
		e.Message = http.StatusText(answer.StatusCode)
	}
	return e
}

func (e *APIError) read(body errorBody) {
	var env envelope
	if json.Unmarshal(body.Error, &env) == nil {
		e.Code, e.Message = env.Code, env.Message
		e.Fields = fieldErrors(env.Details.Errors)
	}
	var (
		fields []fieldDetail
		object struct {
			Message string `json:"message"`
			Detail  string `json:"detail"`
		}
		text string
	)
	switch {
	case json.Unmarshal(body.Detail, &text) == nil:
	case json.Unmarshal(body.Detail, &object) == nil:
		if text = object.Message; text == "" {
			text = object.Detail
		}
	case json.Unmarshal(body.Detail, &fields) == nil && len(e.Fields) == 0:
		e.Fields = fieldErrors(fields)
	}
	for _, candidate := range []string{text, body.Message} {
		if e.Message == "" {
			e.Message = candidate
		}
	}
	if e.Message == "" && json.Unmarshal(body.Error, &text) == nil {
		e.Message = text
	}
}

func fieldErrors(details []fieldDetail) FieldErrors {
	var errs FieldErrors
	for _, d := range details {
		var path strings.Builder
		for i, part := range d.Loc {
			switch p := part.(type) {
			case float64:
				fmt.Fprintf(&path, "[%d]", int(p))
			case string:
				if path.Len() > 0 {
					path.WriteByte('.')
				}
				if i > 0 || p != "body" {
					path.WriteString(p)
				}
			}
		}
		errs.add(strings.TrimPrefix(path.String(), "."), "%s", d.Msg)
	}
	return errs
}

// retryAfter reads the header in both forms, seconds and HTTP date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	raw := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(raw, 64); err == nil && seconds >= 0 && seconds < 1e8 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(raw); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// ContentError is an answer whose annotations are not as the service documents them. The next
// image's may be.
type ContentError struct {
	Op  string
	Err error
}

func (e *ContentError) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }

// Unwrap returns what is wrong with them.
func (e *ContentError) Unwrap() error { return e.Err }
