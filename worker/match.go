package worker

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"pictosync/source"
	"pictosync/store"
)

// match is the image of the dataset that an item means, or why there is none.
type match struct {
	image  store.Image
	plan   store.Plan // PlanUnmatched or PlanAmbiguous where there is no image
	reason string
}

// matchItems finds the images of a stretch of items: by the service's id where
// the source gives it, else by directory and file name, else by the file name
// alone, else, for label files, by the stem. Where more than one image fits,
// none is taken.
func (r *run) matchItems(ctx context.Context, items []aheadItem) ([]match, error) {
	byID, byPath, err := r.lookUp(ctx, items)
	if err != nil {
		return nil, err
	}
	matches := make([]match, len(items))
	for i, item := range items {
		if item.Err != nil {
			continue
		}
		if matches[i], err = r.matchItem(ctx, item.Item, byID, byPath); err != nil {
			return nil, err
		}
	}
	return matches, nil
}

// lookUp fetches, in one query each, what most items are found by.
func (r *run) lookUp(ctx context.Context, items []aheadItem) (byID, byPath map[string]store.Image, err error) {
	var ids, paths []string
	for _, item := range items {
		if item.ImageID != "" {
			ids = append(ids, item.ImageID)
		} else if !item.Stem {
			paths = append(append(paths, item.Image), item.Aliases...)
		}
	}
	byID, byPath = make(map[string]store.Image), make(map[string]store.Image)
	images, err := r.store.ImagesByID(ctx, r.dataset, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range images {
		byID[i.ID] = i
	}
	if images, err = r.store.ImagesByPath(ctx, r.dataset, paths); err != nil {
		return nil, nil, err
	}
	for _, i := range images {
		byPath[i.Path] = i
	}
	return byID, byPath, nil
}

func (r *run) matchItem(ctx context.Context, item source.Item, byID, byPath map[string]store.Image) (match, error) {
	if item.ImageID != "" {
		if image, ok := byID[item.ImageID]; ok {
			return match{image: image}, nil
		}
		return match{plan: store.PlanUnmatched, reason: fmt.Sprintf("the dataset has no image with the id %s", item.ImageID)}, nil
	}
	for _, p := range append([]string{item.Image}, item.Aliases...) {
		if !item.Stem {
			if image, ok := byPath[p]; ok {
				return match{image: image}, nil
			}
			continue
		}
		images, err := r.store.ImagesByPathStem(ctx, r.dataset, p)
		if m, ok := oneOf(images, p); err != nil || ok {
			return m, err
		}
	}
	if !item.Stem {
		name := path.Base(item.Image)
		images, err := r.store.ImagesByName(ctx, r.dataset, name)
		if m, ok := oneOf(images, name); err != nil || ok {
			return m, err
		}
	}
	if item.Stem || item.ByStem {
		stem := path.Base(item.Image)
		if !item.Stem {
			stem = store.Stem(item.Image)
		}
		images, err := r.store.ImagesByStem(ctx, r.dataset, stem)
		if m, ok := oneOf(images, stem); err != nil || ok {
			return m, err
		}
	}
	return match{plan: store.PlanUnmatched, reason: "the dataset has no image of this name"}, nil
}

// oneOf takes the only image that fits; ok is false where none does.
func oneOf(images []store.Image, name string) (m match, ok bool) {
	switch len(images) {
	case 0:
		return match{}, false
	case 1:
		return match{image: images[0]}, true
	}
	var paths []string
	for _, i := range images {
		paths = append(paths, i.Path)
	}
	slices.Sort(paths)
	return match{plan: store.PlanAmbiguous, reason: fmt.Sprintf("more than one image of the dataset fits %s: %s; name the label after one of them", name, strings.Join(paths, ", "))}, true
}
