package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"pictosync/pictograph"
)

// createClasses adds the classes that the plan needs and the dataset lacks, in
// one edit that is merged with whatever others added meanwhile.
func (r *run) createClasses(ctx context.Context) error {
	planned, err := r.store.Classes(ctx, r.record.ID)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, c := range r.classes {
		known[c.Name] = true
	}
	wanted := append([]pictograph.Class(nil), r.classes...)
	for _, p := range planned {
		if known[p.Name] {
			continue
		}
		var c pictograph.Class
		if err := json.Unmarshal(p.JSON, &c); err != nil {
			return fmt.Errorf("read class %q from the state: %w", p.Name, err)
		}
		wanted = append(wanted, c)
	}
	if len(wanted) == len(r.classes) {
		return nil
	}
	updated, err := r.client.UpdateClasses(ctx, r.dataset.ID, wanted, r.classes)
	if err != nil {
		return fmt.Errorf("add %d classes to dataset %q: %w", len(wanted)-len(r.classes), r.dataset.Name, err)
	}
	r.Log.Info().Int("classes", len(wanted)-len(r.classes)).Msg("classes added")
	r.classes = updated.Classes
	return nil
}

// tellClasses says of a run which classes it adds, and of an undo which of them are still
// there.
func (r *run) tellClasses(ctx context.Context, s *Summary) error {
	of := r.record.ID
	if r.Undoes != "" {
		of = r.Undoes
	}
	classes, err := r.store.Classes(ctx, of)
	for _, c := range classes {
		switch {
		case r.Undoes == "":
			s.Classes = append(s.Classes, c.Name)
		case r.hasClass(c.Name):
			s.StillThere = append(s.StillThere, c.Name)
		}
	}
	return err
}

// removeClasses takes away the classes that the undone run added and that no annotation
// has. It reads what every image has, until all of them are found in use.
func (r *run) removeClasses(ctx context.Context) error {
	added, err := r.store.Classes(ctx, r.Undoes)
	if err != nil {
		return err
	}
	unused := make(map[string]bool)
	for _, c := range added {
		if r.hasClass(c.Name) {
			unused[c.Name] = true
		}
	}
	for page, err := range r.client.ImagePages(ctx, r.dataset.ID, pictograph.ImageFilter{Archived: true}) {
		if err != nil {
			return err
		}
		for _, i := range page {
			if i.AnnotationCount == 0 || len(unused) == 0 {
				continue
			}
			annotations, err := r.client.Annotations(ctx, pictograph.ImageRef{ID: i.ID, Dataset: r.dataset.ID, Path: i.Path()})
			if err != nil {
				return fmt.Errorf("look for annotations of the classes that the run added: %w", err)
			}
			for _, a := range annotations {
				delete(unused, a.Name)
			}
		}
	}
	if len(unused) == 0 {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(r.classes), func(c pictograph.Class) bool { return unused[c.Name] })
	updated, err := r.client.UpdateClasses(ctx, r.dataset.ID, left, r.classes)
	if err != nil {
		return fmt.Errorf("take %d classes away from dataset %q: %w", len(unused), r.dataset.Name, err)
	}
	r.classes = updated.Classes
	return nil
}
