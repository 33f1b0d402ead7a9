package sandbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// nativeFormat is the export format that the sandbox writes itself.
const nativeFormat = "pictograph"

// exportFormats are all that the service has.
var exportFormats = []string{nativeFormat, "darwin", "coco", "yolo", "yolo_obb", "yolo_pose", "dota", "pascal_voc", "cvat", "datumaro", "labelme", "csv"}

const (
	maxExportName = 100 // characters
	maxExportPage = 100 // exports a listing may ask for
	// exportLifetime is how long the file of an export can be downloaded.
	exportLifetime = 7 * 24 * time.Hour
	// buildPatience is how long, by any real clock, a poll waits for an export that is
	// due: so that with a clock of a test's own nothing depends on how fast the disk is.
	buildPatience = 10 * time.Second
)

// States of an export as they are stored; a building one is shown as pending or
// processing.
const (
	building  = "building"
	completed = "completed"
	failed    = "failed"
)

// exportRow is an export as it is stored.
type exportRow struct {
	seq                    int64
	id, dataset            string
	datasetName            string
	name, format           string
	includeImages, bySplit bool
	classFilter            []string // nil is all
	statusFilter           *string
	status                 string
	err                    *string
	size, images           *int64
	annotations            *int64
	created, ready         time.Time // ready is when its building is over at the earliest
	origin                 string    // of the API, for the URLs in the files
}

const exportColumns = `exports.seq, exports.id, exports.dataset, datasets.name, exports.name, format, include_images, by_split, class_filter, status_filter,
	status, error, file_size, image_count, annotation_count, created, ready, origin FROM exports JOIN datasets ON datasets.id = exports.dataset`

func scanExport(row interface{ Scan(...any) error }) (exportRow, error) {
	var e exportRow
	var classes *string
	var created, ready int64
	err := row.Scan(&e.seq, &e.id, &e.dataset, &e.datasetName, &e.name, &e.format, &e.includeImages, &e.bySplit, &classes, &e.statusFilter,
		&e.status, &e.err, &e.size, &e.images, &e.annotations, &created, &ready, &e.origin)
	if err == nil && classes != nil {
		err = json.Unmarshal([]byte(*classes), &e.classFilter)
	}
	e.created, e.ready = time.UnixMilli(created).UTC(), time.UnixMilli(ready).UTC()
	return e, err
}

func (e exportRow) expires() time.Time { return e.created.Add(exportLifetime) }

// shown is the state that clients see: an export takes until it is due however
// fast it was built, half of that in the queue.
func (e exportRow) shown(now time.Time) string {
	switch {
	case now.Before(e.created.Add(e.ready.Sub(e.created) / 2)):
		return "pending"
	case now.Before(e.ready) || e.status == building:
		return "processing"
	}
	return e.status
}

// exportShown is an export as it is answered.
type exportShown struct {
	ID              string   `json:"id"`
	OrganizationID  string   `json:"organization_id"`
	DatasetID       string   `json:"dataset_id"`
	DatasetName     string   `json:"dataset_name"`
	Name            string   `json:"name"`
	Format          string   `json:"format"`
	IncludeImages   bool     `json:"include_images"`
	ClassFilter     []string `json:"class_filter"`
	StatusFilter    *string  `json:"status_filter"`
	OrganizeBySplit bool     `json:"organize_by_split"`
	Status          string   `json:"status"`
	ErrorMessage    *string  `json:"error_message"`
	FileSize        *int64   `json:"file_size"`
	ImageCount      *int64   `json:"image_count"`
	AnnotationCount *int64   `json:"annotation_count"`
	CreatedAt       string   `json:"created_at"`
	ExpiresAt       *string  `json:"expires_at"`
	DownloadURL     *string  `json:"download_url"`
}

func (q *request) showExport(e exportRow) (exportShown, error) {
	out := exportShown{ID: e.id, OrganizationID: organization, DatasetID: e.dataset, DatasetName: e.datasetName, Name: e.name, Format: e.format,
		IncludeImages: e.includeImages, ClassFilter: e.classFilter, StatusFilter: e.statusFilter, OrganizeBySplit: e.bySplit, Status: e.shown(q.now), CreatedAt: stamp(e.created)}
	switch out.Status {
	case failed:
		out.ErrorMessage = e.err
	case completed:
		expires := stamp(e.expires())
		out.FileSize, out.ImageCount, out.AnnotationCount, out.ExpiresAt = e.size, e.images, e.annotations, &expires
		if q.now.Before(e.expires()) {
			signed, err := q.server.signedDownload(e.id, q.now)
			if err != nil {
				return out, err
			}
			out.DownloadURL = &signed
		}
	}
	return out, nil
}

// findExport finds an export by the name in the path and the dataset in the
// query, or by its id.
func (q *request) findExport(ctx context.Context, row func(ctx context.Context, query string, args ...any) *sql.Row) (exportRow, error) {
	nameOrID, dataset := q.segments[1], q.query.Get("dataset")
	if dataset == "" {
		dataset = q.query.Get("dataset_name")
	}
	var e exportRow
	var err error
	switch {
	case dataset != "":
		e, err = scanExport(row(ctx, `SELECT `+exportColumns+` WHERE exports.name = ? AND (datasets.name = ?2 OR datasets.id = lower(?2)) ORDER BY datasets.name = ?2 DESC LIMIT 1`, nameOrID, dataset))
	case isUUID(nameOrID):
		e, err = scanExport(row(ctx, `SELECT `+exportColumns+` WHERE exports.id = lower(?)`, nameOrID))
	default:
		return e, invalid(pictograph.FieldErrors{{Path: "dataset", Reason: "field required beside an export's name"}})
	}
	if errors.Is(err, sql.ErrNoRows) {
		return e, refuse(http.StatusNotFound, "not_found", "there is no export %q", nameOrID)
	}
	return e, err
}

func (q *request) export() (exportRow, error) { return q.findExport(q.ctx, q.tx.QueryRowContext) }

func listExports(q *request) (answer, error) {
	limit, offset, err := q.window(maxExportPage)
	if err != nil {
		return answer{}, err
	}
	if limit > maxExportPage {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "limit", Reason: fmt.Sprintf("at most %d exports are a page", maxExportPage)}})
	}
	where, args := `TRUE`, []any{}
	if name := q.query.Get("dataset_name"); name != "" {
		d, err := q.dataset(name)
		if err != nil {
			return answer{}, err
		}
		where, args = `dataset = ?`, []any{d.id}
	}
	found, err := q.exportsWhere(where, args...)
	if err != nil {
		return answer{}, err
	}
	status := q.query.Get("status")
	page, before := []exportShown{}, 0
	for _, e := range found {
		if status != "" && e.shown(q.now) != status {
			continue
		}
		if before++; before <= offset {
			continue
		}
		shown, err := q.showExport(e)
		if err != nil {
			return answer{}, err
		}
		if page = append(page, shown); len(page) > limit {
			break
		}
	}
	return answerPage(page, limit, offset), nil
}

// exportsWhere finds exports, the newest first.
func (q *request) exportsWhere(where string, args ...any) ([]exportRow, error) {
	rows, err := q.tx.QueryContext(q.ctx, `SELECT `+exportColumns+` WHERE `+where+` ORDER BY exports.seq DESC`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []exportRow
	for rows.Next() {
		e, err := scanExport(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, rows.Err()
}

func getExport(q *request) (answer, error) {
	e, err := q.export()
	if err != nil {
		return answer{}, err
	}
	shown, err := q.showExport(e)
	return answerData(shown), err
}

func downloadExport(q *request) (answer, error) {
	e, err := q.export()
	if err != nil {
		return answer{}, err
	}
	shown, err := q.showExport(e)
	switch {
	case err != nil:
		return answer{}, err
	case shown.Status != completed:
		return answer{}, refuse(http.StatusConflict, "conflict", "the export %q is %s and cannot be downloaded; wait until it is completed, or ask for another where it failed", e.name, shown.Status)
	case shown.DownloadURL == nil:
		return answer{}, refuse(http.StatusNotFound, "not_found", "the file of the export %q expired; ask for another export", e.name)
	}
	return answerData(map[string]any{"download_url": *shown.DownloadURL}), nil
}

// newExport is the body of a call that creates an export.
type newExport struct {
	name, format string
	exportFilter
}

type exportFilter struct {
	IncludeImages   bool     `json:"include_images"`
	ClassFilter     []string `json:"class_filter"`
	StatusFilter    *string  `json:"status_filter"`
	OrganizeBySplit bool     `json:"organize_by_split"`
}

func (q *request) newExport() (datasetRow, newExport, error) {
	var n newExport
	members, err := q.fields("dataset_name", "name", "format", "include_images", "class_filter", "status_filter", "organize_by_split")
	if err != nil {
		return datasetRow{}, n, err
	}
	dataset, err := text(members, true, "dataset_name")
	if err != nil {
		return datasetRow{}, n, err
	}
	if n.name, err = text(members, true, "name"); err != nil {
		return datasetRow{}, n, err
	}
	if utf8.RuneCountInString(n.name) > maxExportName {
		return datasetRow{}, n, invalid(pictograph.FieldErrors{{Path: "name", Reason: fmt.Sprintf("at most %d characters are expected", maxExportName)}})
	}
	if n.format, err = text(members, false, "format"); err != nil {
		return datasetRow{}, n, err
	}
	if n.format == "" {
		n.format = nativeFormat
	}
	if !slices.Contains(exportFormats, n.format) {
		return datasetRow{}, n, invalid(pictograph.FieldErrors{{Path: "format", Reason: fmt.Sprintf("%q is none of %s", n.format, strings.Join(exportFormats, ", "))}})
	}
	if n.format != nativeFormat && q.server.options.Formats[n.format] == nil {
		return datasetRow{}, n, invalid(pictograph.FieldErrors{{Path: "format", Reason: fmt.Sprintf("the service writes %q, this sandbox does not; take %s", n.format, nativeFormat)}})
	}
	if err := json.Unmarshal(q.body, &n.exportFilter); err != nil {
		return datasetRow{}, n, refuse(http.StatusUnprocessableEntity, "validation_error", "the request is not valid: %v", err)
	}
	d, err := q.dataset(dataset)
	return d, n, err
}

// createExport takes on an export. What will be in it is what the dataset has
// now.
func createExport(q *request) (answer, error) {
	switch {
	case q.strikes(exportNoCredit, q.number):
		return answer{}, refuse(http.StatusPaymentRequired, "payment_required", "the organization has no credit left for an export; buy some, or read the images one by one")
	case q.strikes(exportForbidden, q.number):
		return answer{}, refuse(http.StatusForbidden, "forbidden", "this key may not create exports; ask an owner, or read the images one by one")
	}
	d, n, err := q.newExport()
	if err != nil {
		return answer{}, err
	}
	var taken bool
	if err := q.tx.QueryRowContext(q.ctx, `SELECT EXISTS (SELECT 1 FROM exports WHERE dataset = ? AND name = ?)`, d.id, n.name).Scan(&taken); err != nil {
		return answer{}, err
	}
	if taken {
		return answer{}, refuse(http.StatusConflict, "conflict", "the dataset has an export %q already; choose another name, or delete it", n.name)
	}
	var classes *string
	if n.ClassFilter != nil {
		list := mustJSON(n.ClassFilter)
		classes = &list
	}
	id := uuid.NewString()
	ready := q.now.Add(q.server.options.Faults.BuildDelay)
	if _, err := q.tx.ExecContext(q.ctx, `INSERT INTO exports (id, dataset, name, format, include_images, class_filter, status_filter, by_split, status, created, ready, origin) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, d.id, n.name, n.format, n.IncludeImages, classes, n.StatusFilter, n.OrganizeBySplit, building, q.now.UnixMilli(), ready.UnixMilli(), q.origin); err != nil {
		return answer{}, err
	}
	if err := q.audit("export", AuditEntry{DatasetID: d.id}); err != nil {
		return answer{}, err
	}
	e, err := scanExport(q.tx.QueryRowContext(q.ctx, `SELECT `+exportColumns+` WHERE exports.id = ?`, id))
	if err != nil {
		return answer{}, err
	}
	q.afterwards = append(q.afterwards, func() { q.server.startBuild(e) })
	shown, err := q.showExport(e)
	shown.Status = "pending" // whatever the clock says
	return answerJSON(http.StatusCreated, map[string]any{"data": shown}), err
}

func deleteExport(q *request) (answer, error) {
	e, err := q.export()
	if err != nil {
		return answer{}, err
	}
	return answerData(map[string]any{"id": e.id, "name": e.name, "deleted": true}), q.deleteExports(`exports.id = ?`, e.id)
}

// deleteExports deletes exports with their files.
func (q *request) deleteExports(where string, args ...any) error {
	found, err := q.exportsWhere(where, args...)
	if err != nil {
		return err
	}
	for _, e := range found {
		if _, err := q.tx.ExecContext(q.ctx, `DELETE FROM exports WHERE id = ?`, e.id); err != nil {
			return err
		}
		if err := q.audit("export", AuditEntry{DatasetID: e.dataset}); err != nil {
			return err
		}
		q.afterwards = append(q.afterwards, func() {
			if err := q.server.files.removeExport(e.id); err != nil {
				q.server.options.Log.Warn().Err(err).Str("export", e.name).Msg("the file of a deleted export stays")
			}
		})
	}
	return nil
}

func deleteManyExports(q *request) (answer, error) {
	members, err := q.fields("export_ids")
	if err != nil {
		return answer{}, err
	}
	var ids []string
	if err := json.Unmarshal(members["export_ids"], &ids); err != nil || len(ids) == 0 {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "export_ids", Reason: "a list of ids is expected, with one at least"}})
	}
	slices.Sort(ids)
	succeeded, notFound := []string{}, []string{}
	for _, id := range slices.Compact(ids) {
		found, err := q.exportsWhere(`exports.id = lower(?)`, id)
		if err != nil {
			return answer{}, err
		}
		if len(found) == 0 {
			notFound = append(notFound, id)
			continue
		}
		succeeded = append(succeeded, id)
		if err := q.deleteExports(`exports.id = lower(?)`, id); err != nil {
			return answer{}, err
		}
	}
	return answerData(map[string]any{"succeeded": succeeded, "not_found": notFound, "count": len(succeeded)}), nil
}

// awaitExport waits for an export that is due and still being built, and has it
// built where a restart came between.
func (s *Server) awaitExport(q *request) error {
	if len(q.segments) < 2 {
		return nil
	}
	e, err := q.findExport(q.ctx, s.db.QueryRowContext)
	if err != nil {
		return err
	}
	if e.status != building || q.now.Before(e.ready) {
		return nil
	}
	built := s.startBuild(e)
	patience := time.NewTimer(buildPatience)
	defer patience.Stop()
	select {
	case <-built:
	case <-patience.C:
	case <-q.ctx.Done():
	case <-s.closing:
	}
	return nil
}

// startBuild begins to build an export, unless that is under way, from what the
// dataset has at this moment. What it returns is closed at the end.
func (s *Server) startBuild(e exportRow) <-chan struct{} {
	s.buildsMu.Lock()
	defer s.buildsMu.Unlock()
	if built := s.builds[e.id]; built != nil {
		return built
	}
	built := make(chan struct{})
	var status string
	if err := s.db.QueryRow(`SELECT status FROM exports WHERE id = ?`, e.id).Scan(&status); err == nil && status != building {
		close(built) // just now
		return built
	}
	s.builds[e.id] = built
	done := func(r buildResult, err error) {
		s.finishBuild(e, r, err)
		s.buildsMu.Lock()
		defer s.buildsMu.Unlock()
		delete(s.builds, e.id)
		close(built)
	}
	now, err := s.snapshot(s.life)
	s.building.Go(func() {
		if err != nil {
			done(buildResult{}, err)
			return
		}
		result, err := s.build(e, now)
		done(result, errors.Join(err, now.close()))
	})
	return built
}

// finishBuild writes down what became of an export. One that was interrupted is
// built anew when it is asked for.
func (s *Server) finishBuild(e exportRow, r buildResult, err error) {
	if s.life.Err() != nil {
		return
	}
	status, reason := completed, (*string)(nil)
	if err != nil {
		s.options.Log.Warn().Err(err).Str("export", e.name).Msg("export failed")
		text := err.Error()
		status, reason = failed, &text
	}
	result, err := s.db.ExecContext(s.life, `UPDATE exports SET status = ?, error = ?, file_size = ?, image_count = ?, annotation_count = ? WHERE id = ?`,
		status, reason, r.size, r.images, r.annotations, e.id)
	if err == nil {
		var n int64
		if n, err = result.RowsAffected(); err == nil && n == 0 { // deleted meanwhile
			err = s.files.removeExport(e.id)
		}
	}
	if err != nil {
		s.options.Log.Warn().Err(err).Str("export", e.name).Msg("export not written down")
	}
}
