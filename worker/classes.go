package worker

import (
	"context"
	"encoding/json"
	"fmt"

	"pictosync/pictograph"
)

// createClasses adds the classes that the plan needs and the dataset lacks, in
// one edit that is merged with whatever others added meanwhile.
func (a *applier) createClasses(ctx context.Context) error {
	planned, err := a.store.Classes(ctx, a.record.ID)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, c := range a.Classes {
		known[c.Name] = true
	}
	wanted := append([]pictograph.Class(nil), a.Classes...)
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
	if len(wanted) == len(a.Classes) {
		return nil
	}
	updated, err := a.Client.UpdateClasses(ctx, a.Ref.ID, wanted, a.Classes)
	if err != nil {
		return fmt.Errorf("add %d classes to dataset %q: %w", len(wanted)-len(a.Classes), a.Ref.Name, err)
	}
	a.Log.Info().Int("classes", len(wanted)-len(a.Classes)).Msg("classes added")
	a.Classes = updated.Classes
	return nil
}
