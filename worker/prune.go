package worker

import (
	"context"
	"fmt"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/store"
)

// departedCursor marks the items that stand for images that left the source: they
// are in no walk of it.
const departedCursor = "\x00left"

func hasDeparted(item convert.Item) bool { return item.Cursor == departedCursor }

// departedItem is an image that is to have no annotations any more.
func departedItem(id, path string) convert.Item {
	return convert.Item{Cursor: departedCursor, Image: path, ImageID: id, Explicit: true}
}

// planDeparted plans to clear the images that left the source: those that it, narrowed
// down by the same filters, named once and does not name now. Where anything of the
// source could not be read or matched it is not known which images that means: then
// none is cleared.
func (p *planner) planDeparted(ctx context.Context, next *place) error {
	unread, err := p.store.Unread(ctx, p.record.ID, convert.KindsOf(convert.Lost))
	if err != nil {
		return err
	}
	if unread > 0 {
		return p.store.AddPlan(ctx, p.record.ID, store.PlanChunk{Findings: p.tell.note(0, convert.Finding{
			Kind:   convert.KindPrune,
			Reason: fmt.Sprintf("%d labels could not be read or matched, and nothing tells whether they are those of images that seem to have left the source", unread),
			Action: "no image was cleared for having left it; mend the labels and run again",
		})})
	}
	last := next.cursor // the walk of the source itself is over
	for images, err := range parallel.Chunks(p.store.Departed(ctx, p.Ref, p.record.ID, p.sourceRef), chunkItems) {
		if err != nil {
			return err
		}
		items := make([]walked, len(images))
		for n, image := range images {
			items[n].Item = departedItem(image.ID, image.Path) // what is excluded planChunk leaves out
		}
		next.cursor = last
		chunk, err := p.planChunk(items, next)
		if err != nil {
			return err
		}
		for i := range chunk.Items {
			item := &chunk.Items[i]
			item.Pruned = true
			if item.Reason == "" {
				item.Reason = "the source does not name it any more"
			}
		}
		if err := p.store.AddPlan(ctx, p.record.ID, chunk); err != nil {
			return err
		}
	}
	return nil
}
