package dataset

import (
	"context"
	"errors"
	"fmt"

	"pictosync/internal/nearest"
	"pictosync/pictograph"
)

// ErrNotFound is returned where the service knows no such dataset.
var ErrNotFound = errors.New("the service has no such dataset")

// Open asks for the dataset.
func (a *Access) Open(ctx context.Context) (err error) {
	var d pictograph.Dataset
	ask := func(ctx context.Context) (err error) {
		d, err = a.Client.Dataset(ctx, a.Dataset)
		return err
	}
	if a.Unattended {
		err = a.Persist(ask)
	} else {
		err = ask(ctx)
	}
	if errors.Is(err, pictograph.ErrNotFound) {
		return fmt.Errorf("open dataset %q: %w; names are case-sensitive%s", a.Dataset, ErrNotFound, a.similar(ctx))
	}
	if err != nil {
		return err
	}
	a.Classes, a.Shown = d.Classes, d
	a.Ref, err = a.store.PutDataset(ctx, a.Service, d.ID, d.Name)
	return err
}

// similar names the dataset that a misspelt name most likely means.
func (a *Access) similar(ctx context.Context) string {
	var names []string
	for d, err := range a.Client.Datasets(ctx) {
		if err != nil || len(names) == pictograph.PageSize {
			break // it is only for the message
		}
		names = append(names, d.Name)
	}
	if near := nearest.Name(a.Dataset, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
