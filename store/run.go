package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// RunKind is what a run is: the name of the command that makes one.
type RunKind string

// Kinds of runs. A restore is a sync, from a backup; see Shown.
const (
	RunSync   RunKind = "sync"
	RunPlan   RunKind = "plan" // of a sync, or of an undo
	RunUndo   RunKind = "undo"
	RunVerify RunKind = "verify"
	RunExport RunKind = "export"
)

// Phase is how far a run has come.
type Phase string

// The phases of a run, in order.
const (
	Planning Phase = "planning"
	Saving   Phase = "saving"
	Ended    Phase = "ended"
)

// Outcome is how a run ended, or how its last process left it.
type Outcome string

// Outcomes of a run. Only Done, WithFailures and Refused end it; the others
// leave it open, and the same command resumes it.
const (
	Done         Outcome = "done"
	WithFailures Outcome = "failures"    // finished, but some images failed or did not match
	Planned      Outcome = "planned"     // a plan that was asked for alone
	Refused      Outcome = "refused"     // the plan was refused: a guard, or classes that may not be created
	Interrupted  Outcome = "interrupted" // stopped by the user
	Stopped      Outcome = "stopped"     // stopped by an error
)

// Run is one run of a command over a dataset, across all processes that
// worked on it.
type Run struct {
	ID          string
	Dataset     Dataset
	Kind        RunKind
	Source      string
	Format      string
	Phase       Phase
	Fingerprint string
	Starts      int
	Outcome     Outcome
	Error       string
	Requests    int
	Worked      time.Duration // summed over its processes
	StartedAt   time.Time
	EndedAt     time.Time // zero while open
}

// Shown is the kind of the run as people know it: a sync from a backup is a restore.
func (r Run) Shown() string {
	if r.Kind == RunSync && r.Format == "backup" {
		return "restore"
	}
	return string(r.Kind)
}

// UndoOf and the id of a run are the source of its undo: the run's backups.
const UndoOf = "undo:"

// Undoes is the run that an undo, or the plan of one, takes back.
func (r Run) Undoes() (undone string, undo bool) { return strings.CutPrefix(r.Source, UndoOf) }

// ErrManyRuns is returned where an id's beginning or end is that of several runs.
var ErrManyRuns = errors.New("more than one run fits")

// ErrNoRun is returned for a run the state does not know.
var ErrNoRun = errors.New("no such run")

const runColumns = `runs.id, datasets.id, datasets.service, datasets.dataset_id, datasets.name, kind, source, format, phase,
	fingerprint, starts, outcome, error, requests, worked_ms, started_at, ended_at`

const fromRuns = ` FROM runs JOIN datasets ON datasets.id = runs.dataset `

func scanRun(row interface{ Scan(...any) error }) (Run, error) {
	var (
		r               Run
		worked, started int64
		ended           sql.NullInt64
	)
	err := row.Scan(&r.ID, &r.Dataset.Ref, &r.Dataset.Service, &r.Dataset.ID, &r.Dataset.Name, &r.Kind, &r.Source, &r.Format, &r.Phase,
		&r.Fingerprint, &r.Starts, &r.Outcome, &r.Error, &r.Requests, &worked, &started, &ended)
	r.Worked = time.Duration(worked) * time.Millisecond
	r.StartedAt = time.UnixMilli(started)
	if ended.Valid {
		r.EndedAt = time.UnixMilli(ended.Int64)
	}
	return r, err
}

// OpenRun resumes the open run of the same kind from the same source into the
// dataset, or begins one. resumed tells which.
func (s *Store) OpenRun(ctx context.Context, d Dataset, kind RunKind, source string, now time.Time) (run Run, resumed bool, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Run{}, false, fmt.Errorf("make a run id: %w", err)
	}
	err = s.update(ctx, "open a run", func(ctx context.Context, tx *sql.Tx) error {
		open := id.String()
		row := tx.QueryRowContext(ctx, `SELECT id FROM runs WHERE dataset = ? AND kind = ? AND source = ? AND ended_at IS NULL ORDER BY started_at DESC LIMIT 1`, d.Ref, kind, source)
		switch err := row.Scan(&open); {
		case err == nil:
			resumed = true
		case !errors.Is(err, sql.ErrNoRows):
			return err
		default:
			if _, err := tx.ExecContext(ctx, `INSERT INTO runs (id, dataset, kind, source, phase, started_at, ref) VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(ref), 0) + 1 FROM runs))`,
				open, d.Ref, kind, source, Planning, now.UnixMilli()); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE runs SET starts = starts + 1, turn = (SELECT max(turn) + 1 FROM runs), outcome = '', error = '' WHERE id = ?`, open); err != nil {
			return err
		}
		var err error
		run, err = scanRun(tx.QueryRowContext(ctx, `SELECT `+runColumns+fromRuns+`WHERE runs.id = ?`, open))
		return err
	})
	return run, resumed, err
}

// RestartPlan forgets a run's plan, so that it can be made anew. What the run
// has saved stays on record: last is the highest number that an item of it has, or had when
// it was sent, and the new items have higher ones.
func (s *Store) RestartPlan(ctx context.Context, run, format, fingerprint string) (last int64, err error) {
	err = s.update(ctx, "begin the plan", func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range []string{"findings", "finding_groups"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE run = ?`, run); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE run = ? AND state IN ('planned', 'failed')`, run); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE runs SET totals = json_set(json_insert(iif(totals = '', '{}', totals), '$.Notes', json('{}')), '$.Notes.PrunedBefore', `+prunedOf+`) WHERE id = ? AND `+prunedOf+` > 0`, run); err != nil {
			return err
		}
		// Classes that it came to adding stay on record as its own.
		if _, err := tx.ExecContext(ctx, `DELETE FROM run_classes WHERE run = ?1 AND (SELECT phase FROM runs WHERE id = ?1) = ?2`, run, Planning); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE runs SET left_images = 0, left_annotations = 0, phase = ?, format = ?, fingerprint = ? WHERE id = ?`, Planning, format, fingerprint, run)
		return err
	})
	if err == nil {
		err = s.dropItems(ctx, run, "")
	}
	if err != nil {
		return 0, err
	}
	return s.lastSeq(ctx, run)
}

// dropItems drops items of a run, those with an outcome or, "", all.
func (s *Store) dropItems(ctx context.Context, run string, outcome ItemOutcome) error {
	return s.drop(ctx, run, "drop a plan", `DELETE FROM items WHERE item BETWEEN ?1 AND ?2 AND (?3 = '' OR outcome = ?3)`, outcome)
}

// CompareAgain has a run that compares come back to the images whose counts in the listing
// are others than when it compared them.
func (s *Store) CompareAgain(ctx context.Context, run string) error {
	const now = `(SELECT ` + annotationsNow + ` FROM images` + withSaves + `WHERE images.ref = items.image_ref)`
	return s.drop(ctx, run, "look again at what changed", `UPDATE items SET outcome = 'pending', reason = '', listed_count = coalesce(`+now+`, 0)
		WHERE item BETWEEN ?1 AND ?2 AND outcome IN ('unchanged', 'failed') AND plan NOT IN ('unmatched', 'ambiguous', 'failed') AND listed_count <> coalesce(`+now+`, -1)`)
}

// dropSent drops what a run sent.
func (s *Store) dropSent(ctx context.Context, run string) error {
	return s.drop(ctx, run, "drop what a run sent", `DELETE FROM batch_images WHERE item BETWEEN ?1 AND ?2`)
}

// drop goes through what a run has by item, part by part: in one transaction the log
// would become as large as the plan. The first two arguments of the statement are the
// items of a part.
func (s *Store) drop(ctx context.Context, run, doing, statement string, args ...any) error {
	const part = 50_000
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return err
	}
	last, err := s.lastSeq(ctx, run)
	if err != nil {
		return err
	}
	for seq := int64(1); seq <= last; seq += part {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.update(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statement, slices.Concat([]any{span.of(seq), span.of(seq + part - 1)}, args)...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// PruneUnchanged drops the unchanged items of the runs that came before one, of the
// same kind from the same source: with a plan a night they would be most of the
// state. The runs' totals count them still. What a verification found unchanged
// it has read, and keeps.
func (s *Store) PruneUnchanged(ctx context.Context, run string) error {
	earlier, err := s.unpruned(ctx, run)
	if err != nil {
		return describe("look up the runs before", err)
	}
	for _, id := range earlier {
		totals, err := s.Totals(ctx, id)
		if err != nil {
			return err
		}
		err = s.update(ctx, "keep the totals of the run", func(ctx context.Context, tx *sql.Tx) error { return keepTotals(ctx, tx, id, totals) })
		if err != nil {
			return err
		}
		if err := s.dropItems(ctx, id, ItemUnchanged); err != nil {
			return err
		}
		err = s.update(ctx, "record that unchanged items were dropped", func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE runs SET thinned = 1 WHERE id = ?`, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unpruned are the runs before one that still have all their items.
func (s *Store) unpruned(ctx context.Context, run string) ([]string, error) {
	return s.runIDs(ctx, `SELECT before.id FROM runs AS this JOIN runs AS before
		ON before.dataset = this.dataset AND before.kind = this.kind AND before.source = this.source AND before.id < this.id
		WHERE this.id = ? AND this.kind IN ('sync', 'plan') AND before.ended_at IS NOT NULL AND NOT before.thinned ORDER BY before.id`, run)
}

func (s *Store) runIDs(ctx context.Context, query string, args ...any) (ids []string, err error) {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func keepTotals(ctx context.Context, tx *sql.Tx, run string, t Totals) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE runs SET totals = ? WHERE id = ?`, string(text), run)
	return err
}

// SetPhase moves a run on.
func (s *Store) SetPhase(ctx context.Context, run string, p Phase) error {
	return s.update(ctx, "record that the run is "+string(p), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE runs SET phase = ? WHERE id = ?`, p, run)
		return err
	})
}

// RecordOutcome records how a process left a run, which it has summed up: outcome and, where it
// failed, why. Outcomes that end a run close it, and what it came to is on record then.
func (s *Store) RecordOutcome(ctx context.Context, run string, t Totals, o Outcome, reason string, requests int, worked time.Duration, now time.Time) error {
	return s.updateOnDisk(ctx, "record how the run ended", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE runs SET outcome = ?, error = ?, requests = requests + ?, worked_ms = worked_ms + ? WHERE id = ?`,
			o, reason, requests, worked.Milliseconds(), run); err != nil {
			return err
		}
		if o == Interrupted || o == Stopped {
			return nil
		}
		if err := keepTotals(ctx, tx, run, t); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE runs SET phase = ?, ended_at = ? WHERE id = ?`, Ended, now.UnixMilli(), run)
		return err
	})
}

// Runs lists runs, the newest first.
func (s *Store) Runs(ctx context.Context, limit int) ([]Run, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+runColumns+fromRuns+`ORDER BY turn DESC LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", explain(err))
	}
	defer rows.Close()
	var runs []Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		runs = append(runs, r)
	}
	return runs, rows.Err()
}

// LastChange is the last run that changed images, or may have: in the order in which
// processes worked on runs, whatever the clock said. dataset is the name or id of the one that is
// meant; "" is any.
func (s *Store) LastChange(ctx context.Context, dataset string) (run Run, found bool, err error) {
	run, err = scanRun(s.reader.QueryRowContext(ctx, `SELECT `+runColumns+fromRuns+`WHERE kind IN ('sync', 'undo') AND ?1 IN ('', datasets.name, datasets.dataset_id)
		AND (EXISTS (SELECT 1 FROM batch_images WHERE item BETWEEN runs.ref << 32 AND ((runs.ref + 1) << 32) - 1 AND new_count IS NOT NULL AND error = '')
			OR EXISTS (SELECT 1 FROM backups WHERE run = runs.id)
			OR EXISTS (SELECT 1 FROM uploads WHERE run = runs.id AND state = 'done')
			OR totals <> '' AND json_extract(totals, '$.Notes.Archived') > 0)
		ORDER BY turn DESC LIMIT 1`, dataset))
	if errors.Is(err, sql.ErrNoRows) {
		return run, false, nil
	}
	return run, err == nil, describe("look up the last run that changed something", err)
}

// FindRun finds a run by its id or by an unambiguous beginning or end of it.
func (s *Store) FindRun(ctx context.Context, id string) (Run, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+runColumns+fromRuns+`WHERE runs.id = ?1 OR substr(runs.id, 1, length(?1)) = ?1 OR substr(runs.id, -length(?1)) = ?1 LIMIT 2`, id)
	if err != nil {
		return Run{}, fmt.Errorf("look up run %s: %w", id, explain(err))
	}
	defer rows.Close()
	var found []Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return Run{}, fmt.Errorf("look up run %s: %w", id, err)
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return Run{}, fmt.Errorf("look up run %s: %w", id, err)
	}
	switch {
	case id == "" || len(found) == 0:
		return Run{}, fmt.Errorf("look up run %q: %w; `pictosync runs` lists them", id, ErrNoRun)
	case len(found) > 1:
		return Run{}, fmt.Errorf("look up run %q: %w; give more of its id", id, ErrManyRuns)
	}
	return found[0], nil
}

// Class is a class the run's labels use. JSON is in the service's form.
type Class struct {
	Name string
	JSON json.RawMessage
}

// Classes lists the classes of a run's labels in the order of their first use.
func (s *Store) Classes(ctx context.Context, run string) ([]Class, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT name, class FROM run_classes WHERE run = ? ORDER BY seq`, run)
	if err != nil {
		return nil, fmt.Errorf("list the run's classes: %w", explain(err))
	}
	defer rows.Close()
	var classes []Class
	for rows.Next() {
		var c Class
		var text string
		if err := rows.Scan(&c.Name, &text); err != nil {
			return nil, fmt.Errorf("list the run's classes: %w", err)
		}
		c.JSON = json.RawMessage(text)
		classes = append(classes, c)
	}
	return classes, rows.Err()
}
