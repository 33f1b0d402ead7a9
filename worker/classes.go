package worker

import (
	"context"
	"encoding/json"
	"fmt"

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
