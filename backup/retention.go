package backup

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Retention says which snapshots are kept: the last ones, and the newest of each
// of the last days, weeks, months and years that have any. The zero value keeps
// all.
type Retention struct {
	Last, Daily, Weekly, Monthly, Yearly int
}

// ParseRetention reads a number of snapshots, rules as
// "last=3,daily=7,weekly=4,monthly=12,yearly=2", or "all".
func ParseRetention(s string) (Retention, error) {
	var r Retention
	if s == "all" {
		return r, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 1 {
		return Retention{Last: n}, nil
	}
	for rule := range strings.SplitSeq(s, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(rule), "=")
		field := map[string]*int{"last": &r.Last, "daily": &r.Daily, "weekly": &r.Weekly, "monthly": &r.Monthly, "yearly": &r.Yearly}[name]
		n, err := strconv.Atoi(number)
		if field == nil || err != nil || n < 1 {
			return Retention{}, fmt.Errorf("%q is no rule; give a number of snapshots, rules as daily=7,weekly=4,monthly=12 (also last and yearly), or all", rule)
		}
		*field = n
	}
	return r, nil
}

// Keeps tells of times, the newest first, which are kept. Days, weeks (from
// Monday), months and years are those of UTC.
func (r Retention) Keeps(times []time.Time) []bool {
	kept := make([]bool, len(times))
	if r == (Retention{}) {
		for i := range kept {
			kept[i] = true
		}
		return kept
	}
	for _, rule := range []struct {
		n      int
		period func(time.Time) string
	}{
		{r.Last, func(t time.Time) string { return t.Format(time.RFC3339Nano) }},
		{r.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{r.Weekly, func(t time.Time) string {
			year, week := t.ISOWeek()
			return fmt.Sprint(year, week)
		}},
		{r.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{r.Yearly, func(t time.Time) string { return t.Format("2006") }},
	} {
		left, before := rule.n, ""
		for i, t := range times {
			if period := rule.period(t.UTC()); left > 0 && period != before {
				kept[i], before = true, period
				left--
			}
		}
	}
	return kept
}
