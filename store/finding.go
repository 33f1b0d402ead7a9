package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
)

// Finding is a finding of the converters, kept with the run. Seq is the
// item's, 0 for the source as a whole.
type Finding struct {
	Seq                                                int64
	Kind, Cause, File, Image, Path, At, Reason, Action string
	Count                                              int // of what it stands for, from 1
}

// FindingGroup counts the findings of a run that are of one kind and cause.
type FindingGroup struct {
	Kind, Cause string
	Count       int // of what they stand for
	Findings    int
	Unplaced    int // of these, those that belong to no image
}

const (
	// maxExamples is how many findings of a kind are kept.
	maxExamples = 100
	// maxCauses is how many causes of a kind are told apart.
	maxCauses = 1000
	// otherCauses are all that are more.
	otherCauses = "…"
)

// addFindings counts findings in their groups and keeps the first of each kind.
func addFindings(ctx context.Context, tx *sql.Tx, run string, findings []Finding) error {
	if len(findings) == 0 {
		return nil
	}
	kinds := make(map[string]*kindCount)
	for _, f := range findings {
		k := kinds[f.Kind]
		if k == nil {
			var err error
			if k, err = countKind(ctx, tx, run, f.Kind); err != nil {
				return err
			}
			kinds[f.Kind] = k
		}
		if !k.add(f) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO findings (run, seq, kind, file, image, at, reason, action, cause, count, path) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			run, f.Seq, f.Kind, f.File, f.Image, f.At, f.Reason, f.Action, f.Cause, max(f.Count, 1), f.Path); err != nil {
			return err
		}
	}
	for kind, k := range kinds {
		for cause, g := range k.groups {
			if _, err := tx.ExecContext(ctx, `INSERT INTO finding_groups (run, kind, cause, count, findings, unplaced, examples) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (run, kind, cause) DO UPDATE SET count = count + excluded.count, findings = findings + excluded.findings,
					unplaced = unplaced + excluded.unplaced, examples = examples + excluded.examples`,
				run, kind, cause, g.Count, g.Findings, g.Unplaced, g.examples); err != nil {
				return err
			}
		}
	}
	return nil
}

// kindCount gathers what is added to the groups of a kind.
type kindCount struct {
	examples int             // that are kept of the kind
	causes   map[string]bool // that are told apart
	groups   map[string]*addedGroup
}

type addedGroup struct {
	FindingGroup
	examples int
}

func countKind(ctx context.Context, tx *sql.Tx, run, kind string) (*kindCount, error) {
	k := &kindCount{causes: make(map[string]bool), groups: make(map[string]*addedGroup)}
	rows, err := tx.QueryContext(ctx, `SELECT cause, examples FROM finding_groups WHERE run = ? AND kind = ?`, run, kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var cause string
		var examples int
		if err := rows.Scan(&cause, &examples); err != nil {
			return nil, err
		}
		k.causes[cause] = true
		k.examples += examples
	}
	return k, rows.Err()
}

// add counts a finding, and tells whether it is kept.
func (k *kindCount) add(f Finding) (kept bool) {
	cause := f.Cause
	if !k.causes[cause] && len(k.causes) >= maxCauses {
		cause = otherCauses
	}
	k.causes[cause] = true
	g := k.groups[cause]
	if g == nil {
		g = &addedGroup{}
		k.groups[cause] = g
	}
	g.Count += max(f.Count, 1)
	g.Findings++
	if f.Image == "" {
		g.Unplaced++
	}
	if k.examples >= maxExamples {
		return false
	}
	k.examples++
	g.examples++
	return true
}

// FindingGroups lists the groups of a run's findings.
func (s *Store) FindingGroups(ctx context.Context, run string) (groups []FindingGroup, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT kind, cause, count, findings, unplaced FROM finding_groups WHERE run = ? ORDER BY kind, cause`, run)
	if err != nil {
		return nil, fmt.Errorf("read the run's findings: %w", explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var g FindingGroup
		if err := rows.Scan(&g.Kind, &g.Cause, &g.Count, &g.Findings, &g.Unplaced); err != nil {
			return nil, fmt.Errorf("read the run's findings: %w", err)
		}
		groups = append(groups, g)
	}
	return groups, rows.Err()
}

func (s *Store) findingTotals(ctx context.Context, run string, t *Totals) error {
	groups, err := s.FindingGroups(ctx, run)
	t.Kinds = make(map[string]int)
	for _, g := range groups {
		t.Kinds[g.Kind] += g.Findings
		t.Findings += g.Findings
	}
	return err
}

// Findings yields the findings of a run that are kept, in the order of the source.
func (s *Store) Findings(ctx context.Context, run string) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		rows, err := s.reader.QueryContext(ctx, `SELECT seq, kind, cause, file, image, path, at, reason, action, count FROM findings WHERE run = ? ORDER BY seq, rowid`, run)
		if err != nil {
			yield(Finding{}, fmt.Errorf("read the run's findings: %w", explain(err)))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var f Finding
			if err := rows.Scan(&f.Seq, &f.Kind, &f.Cause, &f.File, &f.Image, &f.Path, &f.At, &f.Reason, &f.Action, &f.Count); err != nil {
				yield(Finding{}, fmt.Errorf("read the run's findings: %w", err))
				return
			}
			if !yield(f, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Finding{}, fmt.Errorf("read the run's findings: %w", err))
		}
	}
}
