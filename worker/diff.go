package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// ErrNoImage is returned for an image that the source does not name.
var ErrNoImage = errors.New("the source has no such image")

// Sides are what an image has and what a planned save would leave it with, and what was planned;
// it is named as the source or the dataset names it.
func Sides(ctx context.Context, client *pictograph.Client, st *store.Store, src convert.Source, run store.Run, image string) (before, after []pictograph.Annotation, planned *store.Item, err error) {
	var meant []string // what may have been meant: names that end so
	for i, err := range st.Items(ctx, run.ID) {
		if err != nil {
			return nil, nil, nil, err
		}
		if i.Image == image || i.Path == image && i.Path != "" {
			planned = &i
			break
		}
		if len(meant) < 2 && strings.HasSuffix(i.Image, "/"+strings.TrimPrefix(image, "/")) {
			meant = append(meant, i.Image)
		}
	}
	switch {
	case planned == nil:
		return nil, nil, nil, fmt.Errorf("compare %s: %w%s", image, ErrNoImage, meantText(meant))
	case planned.ImageID == "":
		return nil, nil, planned, fmt.Errorf("compare %s: %s", image, planned.Reason)
	}
	after, err = planLoad(ctx, st, src, run, *planned)
	if err != nil {
		return nil, nil, planned, fmt.Errorf("compare %s: %w", image, err)
	}
	before, err = client.Annotations(ctx, pictograph.ImageRef{ID: planned.ImageID, Dataset: run.Dataset.ID, Path: planned.Path})
	return before, after, planned, err
}

// meantText names the image that was most likely meant, with its folders.
func meantText(names []string) string {
	switch len(names) {
	case 0:
		return "; name it with its folders, as the plan lists it"
	case 1:
		return fmt.Sprintf("; did you mean %q?", names[0])
	}
	return fmt.Sprintf("; give its folders too: %q and others end so", names[0])
}

// planLoad converts the labels of a planned item again.
func planLoad(ctx context.Context, st *store.Store, src convert.Source, run store.Run, planned store.Item) ([]pictograph.Annotation, error) {
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
