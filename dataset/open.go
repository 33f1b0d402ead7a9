package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"pictosync/internal/nearest"
	"pictosync/internal/visible"
	"pictosync/pictograph"
	"pictosync/store"
)

// ErrNotFound is returned where the service knows no such dataset.
var ErrNotFound = errors.New("the service has no such dataset")

// HowMade says how a dataset comes to be that the service does not have.
const HowMade = "a sync with --create-dataset --upload missing makes one of a folder with images"

// Open asks for the dataset. Where one is to be made if it is missing, and the state knows none of
// that name, the names of all are looked at first: they tell that it is missing, and near what.
func (a *Access) Open(ctx context.Context) (err error) {
	if a.Create && !a.ForceCreate && uuid.Validate(a.Dataset) != nil {
		known, err := a.store.KnowsDataset(ctx, a.Service, a.Dataset)
		if err != nil {
			return err
		}
		if !known {
			there, err := a.lookAtNames(ctx)
			if err != nil {
				return err
			}
			if !there {
				return a.openUnmade(ctx)
			}
		}
	}
	var d pictograph.Dataset
	err = a.first(ctx, func(ctx context.Context) (err error) {
		d, err = a.Client.Dataset(ctx, a.Dataset)
		return err
	})
	if errors.Is(err, pictograph.ErrNotFound) && a.Create {
		return a.openMissing(ctx)
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

// first asks what is asked before anything is known of the service: an outage is waited out
// where nobody watches.
func (a *Access) first(ctx context.Context, ask func(context.Context) error) error {
	if a.Unattended {
		return a.Persist(ask)
	}
	return ask(ctx)
}

// similar names the dataset that a misspelt name most likely means.
func (a *Access) similar(ctx context.Context) string {
	var names []string
	for d, err := range a.Client.Datasets(ctx) {
		if errors.Is(err, pictograph.ErrNotFound) {
			return "; nor has it a list of datasets: check the base URL"
		}
		if err != nil || len(names) == pictograph.PageSize {
			break // it is only for the message
		}
		names = append(names, d.Name)
	}
	if near := nearest.Name(a.Dataset, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; " + cmp.Or(a.HowMade, HowMade)
}

// ErrNear is returned for a dataset that is to be made and whose name is near another's.
var ErrNear = errors.New("another dataset has almost that name")

// openMissing opens a dataset that the service does not know, and that is to be made.
func (a *Access) openMissing(ctx context.Context) error {
	if uuid.Validate(a.Dataset) == nil {
		return fmt.Errorf("create dataset %q: %w: it is an id, and ids are the service's to give; name it", a.Dataset, ErrNotFound)
	}
	if a.Dataset != visible.Text(a.Dataset) || a.Dataset != strings.TrimSpace(a.Dataset) {
		return fmt.Errorf("create dataset %q: %w: its name begins or ends with a space, or has characters that cannot be seen; give one without", a.Dataset, ErrNotFound)
	}
	if !a.ForceCreate {
		if _, err := a.lookAtNames(ctx); err != nil {
			return err
		}
	}
	return a.openUnmade(ctx)
}

// lookAtNames reports whether there is a dataset of the name; one that is almost of it is
// ErrNear.
func (a *Access) lookAtNames(ctx context.Context) (there bool, err error) {
	var names []string
	if err := a.first(ctx, func(ctx context.Context) error {
		names = nil
		for d, err := range a.Client.Datasets(ctx) {
			if err != nil {
				return err
			}
			names = append(names, d.Name)
		}
		return nil
	}); err != nil {
		return false, err
	}
	if slices.Contains(names, a.Dataset) {
		return true, nil
	}
	if near := nearest.Almost(a.Dataset, names); near != "" {
		return false, fmt.Errorf("create dataset %q: %w: %q; name that one, or make this one all the same with --force-create", a.Dataset, ErrNear, near)
	}
	return false, nil
}

// openUnmade opens a dataset that is to be made.
func (a *Access) openUnmade(ctx context.Context) (err error) {
	a.Missing, a.Classes, a.Shown = true, nil, pictograph.Dataset{Name: a.Dataset}
	a.Ref, err = a.store.PutDataset(ctx, a.Service, store.Unmade(a.Dataset), a.Dataset)
	return err
}

// Make makes a dataset that is missing, with its classes. One of that name that is there by
// now is taken where it is what was to be made, as after an answer that was lost.
func (a *Access) Make(ctx context.Context, classes []pictograph.Class) error {
	var d pictograph.Dataset
	err := a.Persist(func(context.Context) (err error) {
		d, err = a.Client.CreateDataset(ctx, pictograph.NewDataset{Name: a.Dataset, Classes: classes, AnnotationTypes: typesOf(classes)})
		return err
	})
	if errors.Is(err, pictograph.ErrConflict) {
		conflict := err
		if err = a.Persist(func(context.Context) (err error) {
			d, err = a.Client.Dataset(ctx, a.Dataset)
			return err
		}); err == nil && (d.ImageCount > 0 || !sameNames(d.Classes, classes)) {
			err = fmt.Errorf("somebody made it while the run was going on; run again: %w", conflict)
		}
	}
	if err != nil {
		return err
	}
	a.Missing, a.Classes, a.Shown = false, d.Classes, d
	a.Ref, err = a.store.PutDataset(ctx, a.Service, d.ID, d.Name)
	return err
}

// typesOf are the types of classes, each once.
func typesOf(classes []pictograph.Class) (types []string) {
	for _, c := range classes {
		if c.Type != "" && !slices.Contains(types, string(c.Type)) {
			types = append(types, string(c.Type))
		}
	}
	return types
}

func sameNames(a, b []pictograph.Class) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c pictograph.Class) bool {
		return !slices.ContainsFunc(b, func(o pictograph.Class) bool { return o.Name == c.Name })
	})
}
