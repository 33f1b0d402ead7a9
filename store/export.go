package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ExportStage is how far an export of the service's is.
type ExportStage string

// Stages of an export.
const (
	// ExportAsked is one that the service was asked for, or is about to be.
	ExportAsked ExportStage = "asked"
	// ExportKept is one whose file is beside the state, whole.
	ExportKept ExportStage = "kept"
	// ExportFailed is one that is of no use.
	ExportFailed ExportStage = "failed"
)

// Export is a whole dataset as the service packed it.
type Export struct {
	Name    string // as the service knows it
	Dataset Dataset
	Run     string // that asked for it
	// Holder is the kind of command that may go on with it and take it away: of each kind
	// one at a time is at work.
	Holder  string
	Images  bool // with the files of the images
	Stage   ExportStage
	Remote  bool // the service may have it still
	AskedAt time.Time
}

// AddExport puts an export on record that the service is about to be asked for. It is on the
// disk then.
func (s *Store) AddExport(ctx context.Context, e Export) error {
	return s.updateOnDisk(ctx, "record an export", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO exports (name, dataset, run, holder, images, stage, remote, asked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			e.Name, e.Dataset.Ref, e.Run, e.Holder, e.Images, e.Stage, e.Remote, e.AskedAt.UnixMilli())
		return err
	})
}

// SetExport records how far an export is.
func (s *Store) SetExport(ctx context.Context, e Export) error {
	return s.update(ctx, "record how far an export is", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE exports SET stage = ?, remote = ? WHERE name = ?`, e.Stage, e.Remote, e.Name)
		return err
	})
}

// ForgetExport takes an export off the record, and its file from the disk.
func (s *Store) ForgetExport(ctx context.Context, e Export) error {
	if err := s.RemoveExportFile(e); err != nil {
		return err
	}
	return s.update(ctx, "forget an export", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM exports WHERE name = ?`, e.Name)
		return err
	})
}

// Exports lists the exports on record of a dataset, the newest first; of all datasets where
// that is the zero value.
func (s *Store) Exports(ctx context.Context, d Dataset) ([]Export, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT exports.name, run, holder, images, stage, remote, asked_at, id, service, dataset_id, datasets.name
		FROM exports JOIN datasets ON datasets.id = dataset WHERE ?1 IN (0, dataset) ORDER BY asked_at DESC, exports.name`, d.Ref)
	if err != nil {
		return nil, describe("list the exports", err)
	}
	defer rows.Close()
	var found []Export
	for rows.Next() {
		var e Export
		var asked int64
		if err := rows.Scan(&e.Name, &e.Run, &e.Holder, &e.Images, &e.Stage, &e.Remote, &asked, &e.Dataset.Ref, &e.Dataset.Service, &e.Dataset.ID, &e.Dataset.Name); err != nil {
			return nil, describe("list the exports", err)
		}
		e.AskedAt = time.UnixMilli(asked)
		found = append(found, e)
	}
	return found, describe("list the exports", rows.Err())
}

// ExportFile is where the file of an export is kept, beside the state: its name tells it from
// those of others.
func (s *Store) ExportFile(e Export) string { return s.path + exportInfix + e.Name + ".zip" }

const exportInfix = ".export-"

// RemoveExportFile takes the file of an export from the disk, also where it is half there.
func (s *Store) RemoveExportFile(e Export) error {
	for _, file := range []string{s.ExportFile(e), s.ExportFile(e) + ".part"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// RemoveOldExports takes away the files of exports that are of no use: those that were asked
// for before a time, and those that are on no record, as a state that was set aside leaves
// them. What is on record stays there: the service may have the export still.
func (s *Store) RemoveOldExports(ctx context.Context, before time.Time) error {
	found, err := filepath.Glob(escapeGlob(s.path) + exportInfix + "*")
	if err != nil || len(found) == 0 {
		return err
	}
	known, err := s.Exports(ctx, Dataset{})
	if err != nil {
		return err
	}
	keep := make(map[string]bool)
	for _, e := range known {
		if e.Stage == ExportAsked || !e.AskedAt.Before(before) {
			keep[s.ExportFile(e)], keep[s.ExportFile(e)+".part"] = true, true
		}
	}
	for _, file := range found {
		if !keep[file] {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}

// escapeGlob has a path stand for itself in a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// SaidQuota is what the service said of the quota of an account.
type SaidQuota struct {
	Requests int
	Per      time.Duration
	At       time.Time
}

// Quota is what was last said of an account's quota; ok is false where nothing was.
func (s *Store) Quota(ctx context.Context, account string) (q SaidQuota, ok bool, err error) {
	var per, at int64
	err = s.reader.QueryRowContext(ctx, `SELECT requests, per_ms, said_at FROM quotas WHERE account = ?`, account).Scan(&q.Requests, &per, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return q, false, nil
	}
	q.Per, q.At = time.Duration(per)*time.Millisecond, time.UnixMilli(at)
	return q, err == nil, describe("look up the quota", err)
}

// PutQuota keeps what the service said of an account's quota.
func (s *Store) PutQuota(ctx context.Context, account string, q SaidQuota) error {
	return s.update(ctx, "keep the quota", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO quotas (account, requests, per_ms, said_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET requests = excluded.requests, per_ms = excluded.per_ms, said_at = excluded.said_at`,
			account, q.Requests, q.Per.Milliseconds(), q.At.UnixMilli())
		return err
	})
}
