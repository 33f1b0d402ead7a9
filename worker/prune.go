package worker

import (
	"context"
	"fmt"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/source"
	"pictosync/store"
)

// leftCursor marks the items that stand for images that left the source: they
// are in no walk of it.
const leftCursor = "\x00left"

func hasLeft(item source.Item) bool { return item.Cursor == leftCursor }

// leftItem is an image that is to have no annotations any more.
func leftItem(id, path string) source.Item {
	return source.Item{Cursor: leftCursor, Image: path, ImageID: id, Explicit: true}
}

// prune plans to clear the images that left the source: those that it, narrowed
// down by the same filters, named once and does not name now. Where anything of the
// source could not be read or matched it is not known which images that means: then
// none is cleared.
func (r *run) prune(ctx context.Context, pool pond.ResultPool[converted], seq int64, cursor string, known map[string]classState) error {
	unread, err := r.store.Unread(ctx, r.record.ID, convert.KindsOf(convert.Lost))
	if err != nil {
		return err
	}
	if unread > 0 {
		part := store.PlanPart{Cursor: cursor}
		r.tell(&part, sourceFinding{0, convert.Finding{
			Kind:   convert.KindPrune,
			Reason: fmt.Sprintf("%d labels could not be read or matched, and nothing tells whether they are those of images that seem to have left the source", unread),
			Action: "no image was cleared for having left it; mend the labels and run again",
		}})
		return r.store.AddPlan(ctx, r.record.ID, part)
	}
	plan := func(items []aheadItem) error {
		part, err := r.planStretch(ctx, pool, items, seq, cursor, known)
		if err != nil || len(items) == 0 {
			return err
		}
		part.Cursor = cursor // the walk of the source itself is over
		for i := range part.Items {
			item := &part.Items[i]
			item.Pruned = true
			if item.Reason == "" {
				item.Reason = "the source does not name it any more"
			}
		}
		seq += int64(len(items))
		return r.store.AddPlan(ctx, r.record.ID, part)
	}
	var items []aheadItem
	for image, err := range r.store.Left(ctx, r.dataset, r.record.ID, r.claim, 0) {
		if err != nil {
			return err
		}
		if items = append(items, aheadItem{Item: leftItem(image.ID, image.Path)}); len(items) == stretch {
			if err := plan(items); err != nil {
				return err
			}
			items = nil
		}
	}
	if len(items) == 0 {
		return nil
	}
	return plan(items)
}
