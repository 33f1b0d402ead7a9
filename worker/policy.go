package worker

import (
	"fmt"

	"pictosync/store"
)

// Policy says what is done about something that may or may not be wanted.
type Policy string

// Policies. The zero value is Overwrite, and for classes Create.
const (
	Overwrite Policy = "overwrite"
	Create    Policy = "create"
	Skip      Policy = "skip" // leave the image alone; no failure
	Fail      Policy = "fail" // leave the image alone; a failure of it
	// ignoreUnknown is for classes where nothing is saved.
	ignoreUnknown Policy = "ignore"
)

// applyPolicies says what is done with an item that the plan would save.
func (p *planner) applyPolicies(i *store.Item, image store.Image, explicit bool) error {
	drift := p.onDrift(*i)
	leave := func(policy Policy, reason string) {
		i.Reason, i.Outcome = reason, outcomeOfPolicy(policy)
	}
	switch {
	case i.Outcome != store.ItemPending:
	case i.Plan == store.PlanDrifted && drift != Overwrite:
		leave(drift, fmt.Sprintf("someone else changed the image since our last save (%d annotations then, %d now), and %s", image.Saved.Count, image.AnnotationCount, p.becauseOfDrift(*i)))
	case image.Reviewed && image.AnnotationCount > 0 && p.OnReviewed != "" && p.OnReviewed != Overwrite:
		leave(p.OnReviewed, fmt.Sprintf("the image is in review, or complete, and --on-reviewed is %s", p.OnReviewed))
	case image.Saved == nil && image.AnnotationCount > 0 && p.OnExisting != "" && p.OnExisting != Overwrite:
		leave(p.OnExisting, fmt.Sprintf("the image has %s that are not ours, and --on-existing is %s", annotationsText(image.AnnotationCount), p.OnExisting))
	case i.Count == 0 && image.AnnotationCount > 0 && p.RefuseClear && !explicit:
		leave(Fail, fmt.Sprintf("its labels are empty and the image has %s; --allow-clear lets it be cleared", annotationsText(image.AnnotationCount)))
	}
	return nil
}

// onDrift is what is done about an item's image where someone else changed it
// since our last save. What is to be cleared for having left the source is not,
// whatever the policy for images that are in it.
func (p *planner) onDrift(i store.Item) Policy {
	switch {
	case i.Pruned && p.OnDrift != Fail:
		return Skip
	case p.OnDrift == "":
		return Overwrite
	}
	return p.OnDrift
}

func (p *planner) becauseOfDrift(i store.Item) string {
	if i.Pruned {
		return "it is not cleared for having left the source"
	}
	return fmt.Sprintf("--on-drift is %s", p.OnDrift)
}

func outcomeOfPolicy(p Policy) store.ItemOutcome {
	if p == Skip {
		return store.ItemSkipped
	}
	return store.ItemFailed
}
