package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/dustin/go-humanize/english"

	"pictosync/convert"
	"pictosync/store"
)

// ErrGuard is returned by a run that a guard stopped before the first write.
var ErrGuard = errors.New("stopped before anything was written")

// guardError says which guard stopped a run, and which flag lifts it.
type guardError struct {
	reason, flag string
	late         bool // something was written by then
}

func (e guardError) Error() string {
	if e.late {
		return "stopped by a guard: " + e.reason
	}
	return fmt.Sprintf("%v: %s", ErrGuard, e.reason)
}
func (e guardError) Unwrap() error { return ErrGuard }
func (e guardError) Hint() string  { return e.flag }

// Limit is a number, or a part of a whole; the zero value is none.
type Limit struct {
	set     bool
	number  int
	percent float64 // used where part is set
	part    bool    // of a whole, instead of number
	floor   int     // no more than this many are never too many
	halves  bool    // unless they are more than half of the whole
}

// autoLimit is half, but not of a handful.
var autoLimit = Limit{set: true, percent: 50, part: true, floor: 100}

// ParsePruneLimit reads a limit on images to clear: a few are never too many, unless they are
// most of what there is.
func ParsePruneLimit(s string) (Limit, error) {
	l, err := ParseLimit(s)
	if l.part {
		l.floor, l.halves = 10, true
	}
	return l, err
}

// ParseLimit reads a limit: 500, 25%, none or auto.
func ParseLimit(s string) (Limit, error) {
	if s == "auto" {
		return autoLimit, nil
	}
	if s == "" || s == "none" {
		return Limit{}, nil
	}
	if text, part := strings.CutSuffix(s, "%"); part {
		percent, err := strconv.ParseFloat(text, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return Limit{}, fmt.Errorf("%q is no per cent from 0%% to 100%%", s)
		}
		return Limit{set: true, percent: percent, part: true}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return Limit{}, fmt.Errorf("%q is neither a number nor a part: give 500, 25%%, none or auto", s)
	}
	return Limit{set: true, number: n}, nil
}

// String is the limit as the flag takes it.
func (l Limit) String() string {
	switch {
	case !l.set:
		return "none"
	case l == autoLimit:
		return "half of them"
	case l.part:
		return strconv.FormatFloat(l.percent, 'g', -1, 64) + "%"
	}
	return strconv.Itoa(l.number)
}

// exceeds reports whether n of a whole is more than the limit.
func (l Limit) exceeds(n, whole int) bool {
	switch {
	case !l.set || n <= l.floor && !(l.halves && 2*n > whole+1):
		return false
	case l.part:
		return float64(n) > l.percent/100*float64(whole)
	}
	return n > l.number
}

// guard holds the plan's totals against the limits. It comes before anything is
// written to the service.
func (p *planner) guard(ctx context.Context) (store.PlanSummary, error) {
	if err := p.refuseIncomplete(ctx); err != nil {
		return store.PlanSummary{}, err
	}
	plan, err := p.store.PlanSummary(ctx, p.Ref, p.record.ID)
	if err != nil {
		return plan, err
	}
	if p.Expect != "" {
		digest, err := p.store.PlanDigest(ctx, p.Ref, p.record.ID)
		if err != nil {
			return plan, err
		}
		if p.Expect != digest {
			return plan, guardError{reason: "the plan is not the one that was made: labels, images or annotations have changed since", flag: "make a new plan with `pictosync plan`"}
		}
	}
	if !p.AllowShrink {
		before, err := p.store.LastFound(ctx, p.Ref, p.record)
		if err != nil {
			return plan, err
		}
		if before-plan.Found >= minGone && plan.Found*2 < before {
			return plan, guardError{reason: fmt.Sprintf("the source has %s, and had %d at its last run: is a disk not mounted, is this the wrong folder, or do --include and --exclude take less?", english.Plural(plan.Found, "image", ""), before), flag: "--allow-shrink lets it go on"}
		}
	}
	if plan, err = p.lookAtUnknown(plan); err != nil {
		return plan, err
	}
	if lost := plan.Lost(); p.MaxRemoved.exceeds(lost, plan.Listed) {
		return plan, guardError{reason: fmt.Sprintf("the run would remove %s of the dataset's %d annotations%s, and the limit is %s", upTo(lost, plan.Unknown), plan.Listed, lostText(plan, p.exportTold), p.MaxRemoved),
			flag: p.adviceOnUnknown(plan) + fmt.Sprintf("--max-removed %d allows it, --max-removed none lifts the limit; `pictosync plan` shows which images", lost)}
	}
	return plan, p.guardPruned(ctx, plan.Pruned)
}

// tipsOver reports whether a plan is beyond the limit on what is removed for images alone of
// which it is not known what they have.
func (p *planner) tipsOver(plan store.PlanSummary) bool {
	lost := plan.Lost()
	return p.MaxRemoved.exceeds(lost, plan.Listed) && !p.MaxRemoved.exceeds(lost-plan.Unknown, plan.Listed)
}

// adviceOnUnknown says how what is not known can be.
func (p *planner) adviceOnUnknown(plan store.PlanSummary) string {
	switch {
	case !p.tipsOver(plan) || p.askedExport:
		return ""
	case p.applies:
		return "--read export reads what these images have first, and counts what stays; "
	}
	return "a sync with --read export reads what these images have first, and counts what stays; "
}

// upTo is a number of which a part may turn out not to be.
func upTo(n, unknown int) string {
	if unknown > 0 {
		return fmt.Sprintf("up to %d", n)
	}
	return strconv.Itoa(n)
}

// lostText says of what is lost how much others replace, and of how much that is not known; ""
// where none does. told says that an export told of what was not known.
func lostText(s store.PlanSummary, told bool) string {
	var said []string
	if s.Replaced > 0 {
		said = append(said, fmt.Sprintf("%d are replaced by new ones", s.Replaced))
	}
	switch {
	case s.Unknown > 0 && told:
		said = append(said, fmt.Sprintf("%d are on images that have, as far as an export of the dataset says, something else than the labels", s.Unknown))
	case s.Unknown > 0:
		said = append(said, fmt.Sprintf("%d are on images of which it is not known what they have, and stay if they are what the labels say", s.Unknown))
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, "; ") + ")"
}

// guardPruned holds the images that are to be cleared for having left the source, those
// of the last week included, against their own limit.
func (p *planner) guardPruned(ctx context.Context, pruned int) error {
	if pruned == 0 {
		return nil
	}
	before, err := p.store.ClearedSince(ctx, p.Ref, p.Now().Add(-store.PruneSpan))
	if err != nil {
		return err
	}
	dataset, err := p.store.DatasetTotals(ctx, p.Ref)
	if err != nil {
		return err
	}
	if p.MaxPruned.exceeds(pruned+before, dataset.Images) {
		return guardError{reason: fmt.Sprintf("the run would clear %d images that left the source (%d were cleared in the last 7 days), and the limit is %s of the dataset's %d", pruned, before, p.MaxPruned, dataset.Images),
			flag: "--max-pruned allows it; `pictosync plan --prune` shows which images"}
	}
	return nil
}

// removals are the annotations that a run removes, as planned at first, and as the labels
// say when they are saved.
type removals struct {
	mu sync.Mutex
	n  int
}

// guardChanged holds a planned item whose labels changed against the limit on what is
// removed.
func (a *applier) guardChanged(planned, now store.Item) error {
	a.removed.mu.Lock()
	defer a.removed.mu.Unlock()
	more := lostOf(now) - lostOf(planned)
	a.removed.n += more
	if more <= 0 {
		return nil
	}
	dataset, err := a.store.DatasetTotals(a.Stopping, a.Ref)
	if err != nil {
		return err
	}
	if a.MaxRemoved.exceeds(a.removed.n, dataset.Annotations) {
		return guardError{late: true, reason: fmt.Sprintf("labels changed while the run was going on: it would remove %d of the dataset's %d annotations now, and the limit is %s", a.removed.n, dataset.Annotations, a.MaxRemoved),
			flag: "look at the labels, and run again; `pictosync undo` takes back what was saved"}
	}
	return nil
}

// lostOf are the annotations of an item's image that are not there any more after its
// save, at most.
func lostOf(i store.Item) int { return i.ListedCount - max(i.Kept, 0) }

// refuseIncomplete stops the run where something of the source is lost that belongs to no
// image, unless that is accepted: nothing tells which images lack it.
func (p *planner) refuseIncomplete(ctx context.Context) error {
	groups, err := p.store.FindingGroups(ctx, p.record.ID)
	if err != nil {
		return err
	}
	lost := make(map[convert.Kind]int)
	for _, g := range groups {
		if kind := convert.Kind(g.Kind); g.Unplaced > 0 && kind.Severity() == convert.Lost && p.Accepted.Refuses(kind) {
			lost[kind] += g.Count
		}
	}
	for f, err := range p.store.Findings(ctx, p.record.ID) {
		if err != nil {
			return err
		}
		if n := lost[convert.Kind(f.Kind)]; n > 0 && f.Image == "" {
			where := f.File
			if where != "" {
				where += ": "
			}
			if f.Kind == string(convert.KindShortListing) {
				return guardError{reason: "the dataset's listing is not whole: " + f.Reason, flag: "run again; --allow short-listing takes it as it is"}
			}
			return guardError{reason: fmt.Sprintf("something of the source is lost that belongs to no image: %s%s (%s, %d in all)", where, f.Reason, f.Kind, n),
				flag: fmt.Sprintf("mend the source, or take it without with --allow %s; `pictosync runs %s --findings` lists what was found", f.Kind, p.record.ID)}
		}
	}
	return nil
}

// minGone is how many images a source must lack for the guard against one that has become
// much smaller: of fewer somebody may well take most away on purpose.
const minGone = 5
