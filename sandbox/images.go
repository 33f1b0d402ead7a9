package sandbox

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// imageRow is an image as it is stored, and, by its tags, as it is shown.
type imageRow struct {
	ID              string   `json:"id"`
	DatasetID       string   `json:"dataset_id"`
	Filename        string   `json:"filename"`
	DirectoryPath   string   `json:"directory_path"`
	Width           *int     `json:"width"`
	Height          *int     `json:"height"`
	Status          string   `json:"status"`
	Split           *string  `json:"split"`
	AnnotationCount int      `json:"annotation_count"`
	FileSize        int64    `json:"file_size"`
	ContentType     *string  `json:"content_type"`
	Tags            []string `json:"tags"`
	IsArchived      bool     `json:"is_archived"`
	ImageURL        string   `json:"image_url"`
	AnnotationURL   string   `json:"annotation_url"`
	CreatedAt       string   `json:"created_at"`
}

const imageColumns = `id, dataset, filename, directory, width, height, status, split, annotation_count, file_size, nullif(content_type, ''), archived, created_at`

func (q *request) scanImage(row interface{ Scan(...any) error }) (imageRow, error) {
	i := imageRow{Tags: []string{}}
	err := row.Scan(&i.ID, &i.DatasetID, &i.Filename, &i.DirectoryPath, &i.Width, &i.Height, &i.Status, &i.Split, &i.AnnotationCount, &i.FileSize, &i.ContentType, &i.IsArchived, &i.CreatedAt)
	i.ImageURL = q.origin + prefix + "images/" + i.ID
	i.AnnotationURL = q.origin + prefix + "annotations/" + i.ID
	return i, err
}

func (i imageRow) path() string { return joinPath(i.DirectoryPath, i.Filename) }

// image finds the image that the segments behind the first name: by id in the
// image-id dialect, by dataset and path in the other. An archived image is not
// found.
func (q *request) image() (imageRow, error) {
	var row *sql.Row
	if len(q.segments) == 2 {
		row = q.tx.QueryRowContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE id = lower(?) AND NOT archived`, q.segments[1])
	} else {
		d, err := q.dataset(q.segments[1])
		if err != nil {
			return imageRow{}, err
		}
		directory, filename := splitPath(strings.Join(q.segments[2:], "/"))
		row = q.tx.QueryRowContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE dataset = ? AND directory = ? AND filename = ? AND NOT archived`, d.id, directory, filename)
	}
	i, err := q.scanImage(row)
	if errors.Is(err, sql.ErrNoRows) {
		return i, refuse(http.StatusNotFound, "not_found", "there is no image %q", strings.Join(q.segments[1:], "/"))
	}
	return i, err
}

func listImages(q *request) (answer, error) {
	name := q.query.Get("dataset")
	if name == "" {
		name = q.query.Get("dataset_id") // the older SDK's name for it
	}
	if name == "" {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "dataset", Reason: "field required"}})
	}
	d, err := q.dataset(name)
	if err != nil {
		return answer{}, err
	}
	limit, offset, err := q.window(100)
	if err != nil {
		return answer{}, err
	}
	where, args := `dataset = ?`, []any{d.id}
	for column, value := range map[string]string{"directory": q.directoryFilter(), "filename": q.query.Get("filename"), "status": q.query.Get("status"), "split": q.query.Get("split")} {
		if value != "" {
			where, args = where+` AND `+column+` = ?`, append(args, value)
		}
	}
	if q.query.Get("include_archived") != "true" {
		where += ` AND NOT archived`
	}
	rows, err := q.tx.QueryContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE `+where+` ORDER BY seq LIMIT ? OFFSET ?`, append(args, limit+1, offset)...)
	if err != nil {
		return answer{}, err
	}
	defer rows.Close()
	var images []imageRow
	for rows.Next() {
		i, err := q.scanImage(rows)
		if err != nil {
			return answer{}, err
		}
		images = append(images, i)
	}
	if err := rows.Err(); err != nil {
		return answer{}, err
	}
	return answerPage(images, limit, offset), nil
}

func (q *request) directoryFilter() string {
	for _, name := range []string{"directory_path", "folder_path"} {
		if value := q.query.Get(name); value != "" {
			return directory(value)
		}
	}
	return ""
}

// directory is a directory path in its one form: "/" or "/a/b".
func directory(p string) string { return "/" + strings.Trim(p, "/") }

func imageMetadata(q *request) (answer, error) {
	i, err := q.scanImage(q.tx.QueryRowContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE id = lower(?)`, q.segments[1]))
	if errors.Is(err, sql.ErrNoRows) {
		return answer{}, refuse(http.StatusNotFound, "not_found", "there is no image %q", q.segments[1])
	}
	if err != nil {
		return answer{}, err
	}
	return answerData(i), nil
}

const uploadPrefix = "/_upload/"

// place reads which image of which dataset a call is about.
func (q *request) place(members map[string]json.RawMessage) (d datasetRow, dir, filename string, err error) {
	name, err := text(members, true, "dataset", "dataset_id")
	if err != nil {
		return d, "", "", err
	}
	if filename, err = text(members, true, "filename"); err != nil {
		return d, "", "", err
	}
	if dir, err = text(members, false, "directory_path", "folder_path"); err != nil {
		return d, "", "", err
	}
	dir = directory(dir)
	if strings.ContainsAny(filename, "/\\\x00") || path.Clean(dir) != dir {
		return d, "", "", invalid(pictograph.FieldErrors{{Path: "filename", Reason: "no path may be in the file name, and the directory must be clean"}})
	}
	d, err = q.dataset(name)
	return d, dir, filename, err
}

func uploadURL(q *request) (answer, error) {
	members, err := q.fields("dataset", "dataset_id", "filename", "directory_path", "folder_path", "content_type")
	if err != nil {
		return answer{}, err
	}
	d, dir, filename, err := q.place(members)
	if err != nil {
		return answer{}, err
	}
	token := uuid.NewString()
	if _, err := q.tx.ExecContext(q.ctx, `INSERT INTO uploads (token, dataset, directory, filename) VALUES (?, ?, ?, ?)`, token, d.id, dir, filename); err != nil {
		return answer{}, err
	}
	return answerData(map[string]any{"upload_url": q.origin + uploadPrefix + token, "filename": filename, "directory_path": dir, "expires_in": 3600}), nil
}

// maxUpload bounds the bytes of an image.
const maxUpload = 256 << 20

// upload takes the bytes at a signed URL: the token is the permission, a key
// is not wanted there, and it works once.
func (s *Server) upload(r *http.Request) answer {
	if r.Method != http.MethodPut {
		return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "no %s here", r.Method).answer()
	}
	if r.Header.Get("X-API-Key") != "" {
		return refuse(http.StatusBadRequest, "bad_request", "an API key was sent to a signed URL, which is another host's business").answer()
	}
	content, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxUpload))
	if err != nil {
		return refuse(http.StatusRequestEntityTooLarge, "payload_too_large", "the image could not be read: %v", err).answer()
	}
	result, err := s.db.ExecContext(r.Context(), `UPDATE uploads SET bytes = ? WHERE token = ? AND bytes IS NULL`, content, strings.TrimPrefix(r.URL.Path, uploadPrefix))
	if err == nil {
		var n int64
		if n, err = result.RowsAffected(); err == nil && n == 0 {
			return refuse(http.StatusForbidden, "forbidden", "the upload URL is not valid, or was used").answer()
		}
	}
	if err != nil {
		return refuse(http.StatusInternalServerError, "internal_error", "the sandbox failed: %v", err).answer()
	}
	return answer{status: http.StatusOK}
}

func registerImage(q *request) (answer, error) {
	members, err := q.fields("dataset", "dataset_id", "filename", "directory_path", "folder_path", "content_type", "file_size", "width", "height")
	if err != nil {
		return answer{}, err
	}
	d, dir, filename, err := q.place(members)
	if err != nil {
		return answer{}, err
	}
	contentType, err := text(members, false, "content_type")
	if err != nil {
		return answer{}, err
	}
	var size struct {
		FileSize int64 `json:"file_size"`
		Width    *int  `json:"width"`
		Height   *int  `json:"height"`
	}
	if err := json.Unmarshal(q.body, &size); err != nil {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "file_size", Reason: "whole numbers are expected: " + err.Error()}})
	}
	var token string
	var content []byte
	err = q.tx.QueryRowContext(q.ctx, `SELECT token, bytes FROM uploads WHERE dataset = ? AND directory = ? AND filename = ? AND bytes IS NOT NULL LIMIT 1`, d.id, dir, filename).Scan(&token, &content)
	if errors.Is(err, sql.ErrNoRows) {
		return answer{}, refuse(http.StatusBadRequest, "bad_request", "no bytes were uploaded for %s", joinPath(dir, filename))
	}
	if err != nil {
		return answer{}, err
	}
	if int64(len(content)) != size.FileSize {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "file_size", Reason: fmt.Sprintf("%d bytes were uploaded", len(content))}})
	}
	var there int
	if err := q.tx.QueryRowContext(q.ctx, `SELECT count(*) FROM images WHERE dataset = ? AND directory = ? AND filename = ?`, d.id, dir, filename).Scan(&there); err != nil {
		return answer{}, err
	}
	if there > 0 {
		return answer{}, refuse(http.StatusConflict, "conflict", "the dataset has an image %s already", joinPath(dir, filename))
	}
	id := uuid.NewString()
	if _, err := q.tx.ExecContext(q.ctx, `INSERT INTO images (id, dataset, directory, filename, width, height, file_size, content_type, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, d.id, dir, filename, size.Width, size.Height, size.FileSize, contentType, stamp(q.now)); err != nil {
		return answer{}, err
	}
	if _, err := q.tx.ExecContext(q.ctx, `INSERT INTO contents (image, bytes) VALUES (?, ?)`, id, content); err != nil {
		return answer{}, err
	}
	if _, err := q.tx.ExecContext(q.ctx, `DELETE FROM uploads WHERE token = ?`, token); err != nil {
		return answer{}, err
	}
	i, err := q.scanImage(q.tx.QueryRowContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE id = ?`, id))
	if err != nil {
		return answer{}, err
	}
	return answerJSON(http.StatusCreated, map[string]any{"data": i}), q.audit("image", AuditEntry{DatasetID: d.id, ImageID: id, ImagePath: i.path()})
}

func imageContent(q *request) (answer, error) {
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	var content []byte
	err = q.tx.QueryRowContext(q.ctx, `SELECT bytes FROM contents WHERE image = ?`, i.ID).Scan(&content)
	if errors.Is(err, sql.ErrNoRows) {
		return answer{}, refuse(http.StatusNotFound, "not_found", "%s was added without its bytes", i.path())
	}
	contentType := "application/octet-stream"
	if i.ContentType != nil {
		contentType = *i.ContentType
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {contentType}}, body: content}, err
}

// deleteImage archives an image, or deletes it where ?permanent=true says so.
func deleteImage(q *request) (answer, error) {
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	permanent := q.query.Get("permanent") == "true"
	statement := `UPDATE images SET archived = 1 WHERE id = ?`
	if permanent {
		statement = `DELETE FROM images WHERE id = ?`
	}
	if _, err := q.tx.ExecContext(q.ctx, statement, i.ID); err != nil {
		return answer{}, err
	}
	if err := q.audit("image", AuditEntry{DatasetID: i.DatasetID, ImageID: i.ID, ImagePath: i.path()}); err != nil {
		return answer{}, err
	}
	return answerData(map[string]any{"id": i.ID, "archived": !permanent, "deleted": permanent}), nil
}
