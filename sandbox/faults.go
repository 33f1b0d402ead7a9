package sandbox

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults are misbehaviour on demand. Each rate, 0 to 1, is the share that it
// hits of what it is drawn for: requests, requests at the storage, exports,
// images of an export, or images that are registered. Which ones follows from
// Seed and their numbers alone, so that a failure repeats.
type Faults struct {
	Seed  int64
	Rates map[string]float64 // by fault name
	Stall time.Duration      // how long a stall lasts; default 30 s
	Storm int                // how many requests in a row a storm refuses; default 5
	// BuildDelay is how long every export takes by [Options.Now], URLLifetime how
	// long a signed URL is good for; default an hour.
	BuildDelay, URLLifetime time.Duration
}

// The faults that hit requests. "before" is before the service has done the
// write, "after" when it has.
const (
	serverError    = "5xx"          // 500, 502 or 503, before
	html           = "html"         // a proxy's page instead of an answer, before
	resetBefore    = "reset-before" // the connection is reset
	resetAfter     = "reset-after"
	stallBefore    = "stall-before" // nothing happens for a while, and then all does
	stallAfter     = "stall-after"
	truncate       = "truncate"         // the answer is cut in the middle, after
	lostAnswer     = "lost-answer"      // the connection is closed without an answer, after
	storm          = "storm"            // several requests in a row are refused with 429, before
	noLimitHeaders = "no-limit-headers" // the answer does not say what is left of the quota

	exportNotFound  = "export-404" // as if there were no exports: any of their calls is a 404
	exportNoCredit  = "export-402" // creating one is refused
	exportForbidden = "export-403"
)

// The faults that hit exports, as one whole or, the first three, each image for
// itself.
const (
	exportMissing   = "export-missing"   // the image is not in the ZIP
	exportStale     = "export-stale"     // it has what was saved before last, while this sandbox ran with the fault
	exportMiscount  = "export-count"     // its annotation_count is one too many
	exportFailed    = "export-failed"    // its building fails
	exportTruncated = "export-truncated" // the second half of the ZIP is not there
	exportCorrupt   = "export-corrupt"   // bytes in the middle of the ZIP are others
	exportBomb      = "export-bomb"      // an entry more, of a GiB
	exportMany      = "export-many"      // empty entries more, of which there are too many
	exportNames     = "export-names"     // entries have names that lead elsewhere, are there twice, or are no files
)

// The faults at the storage, and of registrations.
const (
	putExpired      = "put-expired" // 403, as if the URL had expired
	putFailed       = "put-failed"  // 503, nothing is stored
	putLost         = "put-lost"    // stored, and the connection reset
	downloadExpired = "download-expired"
	downloadFailed  = "download-failed"
	downloadCut     = "download-cut"    // the connection is closed in the middle
	registerTaken   = "register-taken"  // the image's name is said to be taken: 409, or its failure in a bulk
	registerFailed  = "register-failed" // 503, or its failure in a bulk
)

var faultNames = []string{serverError, html, resetBefore, resetAfter, stallBefore, stallAfter, truncate, lostAnswer, storm, noLimitHeaders,
	exportNotFound, exportNoCredit, exportForbidden, exportMissing, exportStale, exportMiscount, exportFailed, exportTruncated, exportCorrupt, exportBomb, exportMany, exportNames,
	putExpired, putFailed, putLost, downloadExpired, downloadFailed, downloadCut, registerTaken, registerFailed}

// FaultNames are the faults that have a rate.
func FaultNames() []string { return slices.Clone(faultNames) }

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
		case "build-delay":
			f.BuildDelay, err = time.ParseDuration(value)
		case "url-lifetime":
			f.URLLifetime, err = time.ParseDuration(value)
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
	if !slices.Contains(faultNames, name) {
		return fmt.Errorf("there is no such fault; there are seed, stall, storm-length, build-delay, url-lifetime and the rates %s", strings.Join(faultNames, ", "))
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
	if len(f.Rates) == 0 && f.BuildDelay == 0 && f.URLLifetime == 0 {
		return ""
	}
	parts := []string{fmt.Sprintf("seed=%d", f.Seed), fmt.Sprintf("stall=%s", f.Stall), fmt.Sprintf("storm-length=%d", f.Storm),
		fmt.Sprintf("build-delay=%s", f.BuildDelay), fmt.Sprintf("url-lifetime=%s", f.URLLifetime)}
	for _, name := range slices.Sorted(maps.Keys(f.Rates)) {
		parts = append(parts, fmt.Sprintf("%s=%v", name, f.Rates[name]))
	}
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
