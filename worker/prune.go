package worker

import (
	"context"
	"fmt"
	"strings"

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
func (p *planner) planDeparted(ctx context.Context, next *planCursor) error {
	unread, err := p.store.Unread(ctx, p.record.ID, append(convert.KindsOf(convert.Lost), mayHaveNamed...))
	if err != nil {
		return err
	}
	if unread > 0 {
		return p.store.AddPlan(ctx, p.record.ID, store.PlanChunk{Findings: p.report(0, convert.Finding{
			Kind:   convert.KindPrune,
			Reason: fmt.Sprintf("%d labels, files or splits could not be read or matched, or were passed over (%s), and nothing tells whether they are those of images that seem to have left the source", unread, strings.Join(mayHaveNamed, ", ")),
			Action: "no image was cleared for having left it; mend the labels, or take away what is not to be read, and run again",
		})})
	}
	stays, err := p.staying(ctx)
	if err != nil {
		return err
	}
	last := next.cursor // the walk of the source itself is over
	for images, err := range parallel.Chunks(p.store.Departed(ctx, p.Ref, p.record.ID, p.sourceRef), chunkItems) {
		if err != nil {
			return err
		}
		var items []walked
		for _, image := range images {
			if !stays[image.Ref] {
				items = append(items, walked{Item: departedItem(image.ID, image.Path)}) // what is excluded planChunk leaves out
			}
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

// mayHaveNamed are the kinds of what a source may have named images in, and was not read.
var mayHaveNamed = []string{string(convert.KindSkippedFile), string(convert.KindMissingTest), string(convert.KindUnnamedSplit)}

// staying are the images of the dataset, by Image.Ref, that are in the source still, without a
// label. There is nothing to look for where no image seems to have left it.
func (p *planner) staying(ctx context.Context) (map[int64]bool, error) {
	stays := make(map[int64]bool)
	for _, err := range p.store.Departed(ctx, p.Ref, p.record.ID, p.sourceRef) {
		if err != nil {
			return nil, err
		}
		return stays, p.eachUnlabelled(ctx, new(fileSet), func(_ []walked, matches []match) error {
			for _, m := range matches {
				if m.plan == "" {
					stays[m.image.Ref] = true
				}
			}
			return nil
		})
	}
	return stays, nil
}
