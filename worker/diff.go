package worker

import (
	"context"
	"fmt"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// Change is one annotation that a save would bring, take or replace: the one
// before, the one after, or both.
type Change struct {
	Before *pictograph.Annotation `json:"before,omitempty"`
	After  *pictograph.Annotation `json:"after,omitempty"`
}

// Diff tells what a planned save would change on one image, named as the source
// or the dataset names it. same counts the annotations that stay what they are.
func Diff(ctx context.Context, client *pictograph.Client, st State, src convert.Source, run store.Run, image string) (changes []Change, same int, err error) {
	var planned *store.Item
	for i, err := range st.Items(ctx, run.ID) {
		if err != nil {
			return nil, 0, err
		}
		if i.Image == image || i.Path == image && i.Path != "" {
			planned = &i
			break
		}
	}
	switch {
	case planned == nil:
		return nil, 0, fmt.Errorf("compare %s: the source has no such image", image)
	case planned.ImageID == "":
		return nil, 0, fmt.Errorf("compare %s: %s", image, planned.Reason)
	}
	after, err := planLoad(ctx, st, src, run, *planned)
	if err != nil {
		return nil, 0, fmt.Errorf("compare %s: %w", image, err)
	}
	before, err := client.Annotations(ctx, pictograph.ImageRef{ID: planned.ImageID, Dataset: run.Dataset.ID, Path: planned.Path})
	if err != nil {
		return nil, 0, err
	}
	there := make(map[string]int, len(before))
	for n, a := range before {
		there[a.ID] = n
	}
	for _, a := range after {
		n, ok := there[a.ID]
		delete(there, a.ID)
		switch {
		case !ok:
			changes = append(changes, Change{After: &a})
		case difference([]pictograph.Annotation{a}, before[n:n+1]) == "":
			same++
		default:
			changes = append(changes, Change{Before: &before[n], After: &a})
		}
	}
	for n, a := range before {
		if _, gone := there[a.ID]; gone {
			changes = append(changes, Change{Before: &before[n]})
		}
	}
	return changes, same, nil
}

// planLoad converts the labels of a planned item again.
func planLoad(ctx context.Context, st State, src convert.Source, run store.Run, planned store.Item) ([]pictograph.Annotation, error) {
	if planned.Pruned {
		return nil, nil
	}
	images, err := st.ImagesByID(ctx, run.Dataset, []string{planned.ImageID})
	if err != nil {
		return nil, err
	}
	var listed convert.Size
	if len(images) == 1 {
		listed = convert.Size{Width: images[0].Width, Height: images[0].Height}
	}
	for item, err := range src.Items(ctx, planned.After) {
		if err != nil {
			return nil, err
		}
		if item.Image != planned.Image {
			continue
		}
		result, err := src.Load(ctx, item, listed)
		return result.Annotations, err
	}
	return nil, fmt.Errorf("its labels are not there any more")
}
