package sandbox

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

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

// imageContent streams the bytes of an image.
func imageContent(q *request) (answer, error) {
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	var sha string
	if err := q.tx.QueryRowContext(q.ctx, `SELECT sha256 FROM images WHERE id = ?`, i.ID).Scan(&sha); err != nil {
		return answer{}, err
	}
	if sha == "" {
		return answer{}, refuse(http.StatusNotFound, "not_found", "%s was added without its bytes; upload it to have them", i.path())
	}
	content, err := q.server.files.open(sha)
	if err != nil {
		return answer{}, fmt.Errorf("open the bytes of %s: %w", i.path(), err)
	}
	info, err := content.Stat()
	if err != nil {
		return answer{}, errors.Join(err, content.Close())
	}
	contentType := "application/octet-stream"
	if i.ContentType != nil {
		contentType = *i.ContentType
	}
	header := http.Header{"Content-Type": {contentType}, "Content-Length": {strconv.FormatInt(info.Size(), 10)}}
	return answer{status: http.StatusOK, header: header, content: content, size: info.Size()}, nil
}

// splits are those an image may be in.
var splits = []string{"train", "val", "test"}

// setSplit sets the split of an image, or takes it out of its split.
func setSplit(q *request) (answer, error) {
	members, err := q.fields("split")
	if err != nil {
		return answer{}, err
	}
	var split *string
	if raw, ok := members["split"]; !ok || json.Unmarshal(raw, &split) != nil || split != nil && !slices.Contains(splits, *split) {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "split", Reason: "train, val, test or null is expected"}})
	}
	of := *q // the path itself goes into what the idempotency key stands for
	of.segments = q.segments[:len(q.segments)-1]
	i, err := of.image()
	if err != nil {
		return answer{}, err
	}
	if _, err := q.tx.ExecContext(q.ctx, `UPDATE images SET split = ? WHERE id = ?`, split, i.ID); err != nil {
		return answer{}, err
	}
	if err := q.audit("image", AuditEntry{DatasetID: i.DatasetID, ImageID: i.ID, ImagePath: i.path()}); err != nil {
		return answer{}, err
	}
	return answerData(map[string]any{"id": i.ID, "split": split}), nil
}

// deleteImage archives an image, or deletes it where ?permanent=true says so, which an
// admin may.
func deleteImage(q *request) (answer, error) {
	permanent := q.query.Get("permanent") == "true"
	if permanent && !q.role.atLeast(Admin) {
		return answer{}, q.forbidden()
	}
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	if permanent {
		err = q.orphan(`DELETE FROM images WHERE id = ? RETURNING sha256`, i.ID)
	} else {
		_, err = q.tx.ExecContext(q.ctx, `UPDATE images SET archived = 1 WHERE id = ?`, i.ID)
	}
	if err != nil {
		return answer{}, err
	}
	if err := q.audit("image", AuditEntry{DatasetID: i.DatasetID, ImageID: i.ID, ImagePath: i.path()}); err != nil {
		return answer{}, err
	}
	return answerData(map[string]any{"id": i.ID, "archived": !permanent, "deleted": permanent}), nil
}

// updateImages archives images, or brings them back: of what the service can change of many at
// once it is all that is served.
func updateImages(q *request) (answer, error) {
	const most = 10_000
	members, err := q.fields("dataset_name", "image_ids", "updates")
	if err != nil {
		return answer{}, err
	}
	name, err := text(members, true, "dataset_name")
	if err != nil {
		return answer{}, err
	}
	d, err := q.dataset(name)
	if err != nil {
		return answer{}, err
	}
	var ids []string
	if json.Unmarshal(members["image_ids"], &ids) != nil || len(ids) == 0 || len(ids) > most {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "image_ids", Reason: fmt.Sprintf("1 to %d ids are expected", most)}})
	}
	var updates map[string]bool
	archived, known := false, false
	if json.Unmarshal(members["updates"], &updates) == nil {
		archived, known = updates["is_archived"]
	}
	if !known || len(updates) != 1 {
		return answer{}, invalid(pictograph.FieldErrors{{Path: "updates", Reason: "is_archived is expected, true or false"}})
	}
	type failure struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
	}
	processed, failed := 0, []failure{}
	for _, id := range ids {
		i, err := q.scanImage(q.tx.QueryRowContext(q.ctx, `UPDATE images SET archived = ? WHERE id = lower(?) AND dataset = ? RETURNING `+imageColumns, archived, id, d.id))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			failed = append(failed, failure{id, "Image not found"})
			continue
		case err != nil:
			return answer{}, err
		}
		if err := q.audit("image", AuditEntry{DatasetID: d.id, ImageID: i.ID, ImagePath: i.path()}); err != nil {
			return answer{}, err
		}
		processed++
	}
	if processed == 0 {
		return answer{}, refuse(http.StatusNotFound, "not_found", "no image of the dataset has one of these ids")
	}
	return answerJSON(http.StatusOK, map[string]any{"success": true, "processed": processed, "failed": failed, "affected_directories": []string{}}), nil
}
