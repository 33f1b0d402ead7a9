// Package quota keeps requests within what the service allows a key. A [Pacer] is the one
// gate that every request passes, of whatever kind and also when it is tried again. It
// promises that no time as long holds more requests than the quota, over restarts and
// with the other processes of the same state, which are known by its log of requests.
//
// What the service says of the quota in its answers goes before what was assumed: how large
// it is, where that was not given, and how much of it is left, whoever used the rest. So
// those who share a key without knowing of each other stay within it together.
package quota

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Quota is how many requests the service allows in a time, as
// "20000/h". The zero value is no limit.
type Quota struct {
	Requests int
	Per      time.Duration
	// Auto is what is assumed until the service says what it allows.
	Auto bool
}

// Auto is the quota of which the service says what it is, the smallest of any plan until then.
var Auto = Quota{Requests: 1000, Per: time.Hour, Auto: true}

// ParseRate reads what Parse reads, and "auto".
func ParseRate(s string) (Quota, error) {
	if s == "auto" {
		return Auto, nil
	}
	q, err := Parse(s)
	if err != nil {
		err = fmt.Errorf("%w, or auto", err)
	}
	return q, err
}

// maxQuota is far more than any plan allows; each request of it is remembered.
const maxQuota = 1_000_000

// Parse reads "20000/h", "300/m", "5/s" or "unlimited".
func Parse(s string) (Quota, error) {
	if s == "unlimited" {
		return Quota{}, nil
	}
	number, unit, found := strings.Cut(s, "/")
	per := map[string]time.Duration{"h": time.Hour, "m": time.Minute, "s": time.Second}[unit]
	n, err := strconv.Atoi(number)
	if !found || per == 0 || err != nil || n < 1 || n > maxQuota {
		return Quota{}, fmt.Errorf("%q must be a number of requests per hour, minute or second, at most %d, such as 20000/h, 300/m or 5/s, or unlimited", s, maxQuota)
	}
	return Quota{Requests: n, Per: per}, nil
}

// String is the form that Parse reads.
func (q Quota) String() string {
	if q == (Quota{}) {
		return "unlimited"
	}
	unit := map[time.Duration]string{time.Hour: "h", time.Minute: "m", time.Second: "s"}[q.Per]
	return fmt.Sprintf("%d/%s", q.Requests, unit)
}

// Said is String with its thousands apart, for people.
func (q Quota) Said() string {
	number, unit, limited := strings.Cut(q.String(), "/")
	if !limited {
		return number
	}
	for n := len(number) - 3; n > 0; n -= 3 {
		number = number[:n] + "," + number[n:]
	}
	return number + "/" + unit
}

// Jitter is by how much requests may take longer to arrive than others before
// the service, which counts arrivals, could see more than Quota.Requests in some
// time as long as Quota.Per: a hundredth of Per, 36 seconds for a quota by the hour. A
// hundredth of the quota is what it costs.
func (q Quota) Jitter() time.Duration { return q.Per / jitterShare }

const (
	jitterShare = 100
	// burstShare is the part of a quota that may be sent at once.
	burstShare = 50
)

func (q Quota) burst() int { return max(1, q.Requests/burstShare) }

func (q Quota) steady() rate.Limit {
	if q == (Quota{}) {
		return rate.Inf
	}
	return rate.Limit(float64(q.Requests) / q.Per.Seconds())
}
