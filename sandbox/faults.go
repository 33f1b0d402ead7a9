package sandbox

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Faults are misbehaviour on demand. Each rate, 0 to 1, is the share of
// requests that it hits; which ones follows from Seed and a request's number
// alone, so that a failure repeats.
type Faults struct {
	Seed  int64
	Rates map[string]float64 // by fault name
	Stall time.Duration      // how long a stall lasts; default 30 s
	Storm int                // how many requests in a row a storm refuses; default 5
}

// The faults there are. "before" is before the service has done the write,
// "after" when it has.
const (
	serverError = "5xx"          // 500, 502 or 503, before
	html        = "html"         // a proxy's page instead of an answer, before
	resetBefore = "reset-before" // the connection is reset
	resetAfter  = "reset-after"
	stallBefore = "stall-before" // nothing happens for a while, and then all does
	stallAfter  = "stall-after"
	truncate    = "truncate"    // the answer is cut in the middle, after
	lostAnswer  = "lost-answer" // the connection is closed without an answer, after
	storm       = "storm"       // several requests in a row are refused with 429, before
)

var faultNames = []string{serverError, html, resetBefore, resetAfter, stallBefore, stallAfter, truncate, lostAnswer, storm}

// ParseFaults reads "seed=7,5xx=0.1,reset-after=0.05,stall=200ms"; "" is none.
func ParseFaults(s string) (Faults, error) {
	f := Faults{Rates: make(map[string]float64), Stall: 30 * time.Second, Storm: 5}
	if s == "" {
		return f, nil
	}
	for _, pair := range strings.Split(s, ",") {
		name, value, _ := strings.Cut(pair, "=")
		var err error
		switch name {
		case "seed":
			f.Seed, err = strconv.ParseInt(value, 10, 64)
		case "stall":
			f.Stall, err = time.ParseDuration(value)
		case "storm-length":
			f.Storm, err = strconv.Atoi(value)
		default:
			err = f.setRate(name, value)
		}
		if err != nil {
			return Faults{}, fmt.Errorf("fault %q: %w", pair, err)
		}
	}
	return f, nil
}

func (f *Faults) setRate(name, value string) error {
	known := false
	for _, n := range faultNames {
		known = known || n == name
	}
	if !known {
		return fmt.Errorf("there is no such fault; there are seed, stall, storm-length and the rates %s", strings.Join(faultNames, ", "))
	}
	rate, err := strconv.ParseFloat(value, 64)
	if err != nil || rate < 0 || rate > 1 {
		return fmt.Errorf("%q is no rate from 0 to 1", value)
	}
	f.Rates[name] = rate
	return nil
}

// String is the form that ParseFaults reads.
func (f Faults) String() string {
	if len(f.Rates) == 0 {
		return ""
	}
	parts := []string{fmt.Sprintf("seed=%d", f.Seed), fmt.Sprintf("stall=%s", f.Stall), fmt.Sprintf("storm-length=%d", f.Storm)}
	for name, rate := range f.Rates {
		parts = append(parts, fmt.Sprintf("%s=%v", name, rate))
	}
	sort.Strings(parts[3:])
	return strings.Join(parts, ",")
}

// hits tells whether a fault hits the n-th request.
func (f Faults) hits(name string, n int64) bool {
	return f.Rates[name] > 0 && f.draw(name, n) < f.Rates[name]
}

func (f Faults) draw(name string, n int64) float64 {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(f.Seed)))
	h.Write([]byte(name))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	x := h.Sum64()
	// FNV's high bits are weak for short input; a finalizer spreads them.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// storming tells whether the n-th request falls into a storm.
func (f Faults) storming(n int64) bool {
	for k := range int64(f.Storm) {
		if n-k > 0 && f.hits(storm, n-k) {
			return true
		}
	}
	return false
}

// plan is what faults do to one request.
type plan struct {
	before string // "" = nothing
	after  string
	stall  time.Duration
	status int // of a server error
}

func (f Faults) plan(n int64) plan {
	p := plan{stall: f.Stall}
	if f.storming(n) {
		p.before = storm
		return p
	}
	for _, name := range []string{serverError, html, resetBefore, stallBefore} {
		if p.before == "" && f.hits(name, n) {
			p.before = name
		}
	}
	for _, name := range []string{resetAfter, lostAnswer, truncate, stallAfter} {
		if p.after == "" && f.hits(name, n) {
			p.after = name
		}
	}
	p.status = []int{500, 502, 503}[int(f.draw("status", n)*3)]
	return p
}
