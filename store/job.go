package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Job is a job of a configuration, as it was last worked on.
type Job struct {
	Name, Kind, Dataset string
	// Unfinished says that it was stopped, or not reached: it comes first when
	// the jobs are run again.
	Unfinished  bool
	Status      int // exit status
	Error       string
	Summary     json.RawMessage // as --json prints it; nil where there is none
	StartedAt   time.Time       // zero where it was never begun
	EndedAt     time.Time
	SucceededAt time.Time
}

// Jobs are all jobs that the state knows, by name.
func (s *Store) Jobs(ctx context.Context) (map[string]Job, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT name, kind, dataset, unfinished, status, error, summary, started_at, ended_at, succeeded_at FROM jobs`)
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", explain(err))
	}
	defer rows.Close()
	jobs := make(map[string]Job)
	for rows.Next() {
		var j Job
		var summary string
		var started, ended, succeeded sql.NullInt64
		if err := rows.Scan(&j.Name, &j.Kind, &j.Dataset, &j.Unfinished, &j.Status, &j.Error, &summary, &started, &ended, &succeeded); err != nil {
			return nil, fmt.Errorf("list the jobs: %w", err)
		}
		if summary != "" {
			j.Summary = json.RawMessage(summary)
		}
		j.StartedAt, j.EndedAt, j.SucceededAt = timeOf(started), timeOf(ended), timeOf(succeeded)
		jobs[j.Name] = j
	}
	return jobs, rows.Err()
}

func timeOf(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64)
}

func msOf(t time.Time) sql.NullInt64 { return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()} }

// PutJobs records jobs in place of what is known of them.
func (s *Store) PutJobs(ctx context.Context, jobs ...Job) error {
	return s.update(ctx, "record the jobs", func(ctx context.Context, tx *sql.Tx) error {
		for _, j := range jobs {
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO jobs (name, kind, dataset, unfinished, status, error, summary, started_at, ended_at, succeeded_at)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, j.Name, j.Kind, j.Dataset, j.Unfinished, j.Status, j.Error, string(j.Summary), msOf(j.StartedAt), msOf(j.EndedAt), msOf(j.SucceededAt)); err != nil {
				return err
			}
		}
		return nil
	})
}
