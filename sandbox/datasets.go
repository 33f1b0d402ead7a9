package sandbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// organization is the one there is.
const organization = "00000000-0000-4000-8000-00000000a0a0"

// datasetRow is a dataset as it is stored.
type datasetRow struct {
	id, name, description string
	types                 []string
	classes               []pictograph.Class
	created, updated      string
}

const datasetColumns = `id, name, description, annotation_types, classes, created_at, updated_at`

func scanDataset(row interface{ Scan(...any) error }) (datasetRow, error) {
	var d datasetRow
	var types, classes string
	if err := row.Scan(&d.id, &d.name, &d.description, &types, &classes, &d.created, &d.updated); err != nil {
		return d, err
	}
	return d, errors.Join(json.Unmarshal([]byte(types), &d.types), json.Unmarshal([]byte(classes), &d.classes))
}

// findDataset finds a dataset by its name or id.
func findDataset(ctx context.Context, tx *sql.Tx, nameOrID string) (datasetRow, error) {
	return scanDataset(tx.QueryRowContext(ctx, `SELECT `+datasetColumns+` FROM datasets WHERE name = ?1 OR id = lower(?1) ORDER BY name = ?1 DESC LIMIT 1`, nameOrID))
}

func (q *request) dataset(nameOrID string) (datasetRow, error) {
	d, err := findDataset(q.ctx, q.tx, nameOrID)
	if errors.Is(err, sql.ErrNoRows) {
		return d, refuse(http.StatusNotFound, "not_found", "there is no dataset %q", nameOrID)
	}
	return d, err
}

func insertDataset(ctx context.Context, tx *sql.Tx, n pictograph.NewDataset, now time.Time) (datasetRow, error) {
	d := datasetRow{id: uuid.NewString(), name: n.Name, description: n.Description, types: n.AnnotationTypes, classes: colored(n.Classes), created: stamp(now), updated: stamp(now)}
	if d.types == nil {
		d.types = []string{"bbox"}
	}
	types, classes := mustJSON(d.types), mustJSON(d.classes)
	_, err := tx.ExecContext(ctx, `INSERT INTO datasets (`+datasetColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`, d.id, d.name, d.description, types, classes, d.created, d.updated)
	return d, err
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is stored always marshals
	}
	return string(data)
}

// palette colors classes that come without one.
var palette = []string{"#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6", "#bfef45"}

func colored(classes []pictograph.Class) []pictograph.Class {
	out := append([]pictograph.Class{}, classes...)
	for i := range out {
		if out[i].Color == "" {
			out[i].Color = palette[i%len(palette)]
		}
		if s := out[i].Skeleton; s != nil {
			out[i].Skeleton = placed(*s)
		}
	}
	return out
}

// placed gives the joints of a template the position that the service shows
// for those without.
func placed(s pictograph.Skeleton) *pictograph.Skeleton {
	nodes := append([]pictograph.SkeletonNode{}, s.Nodes...)
	middle := 0.5
	for i := range nodes {
		if nodes[i].X == nil {
			nodes[i].X = &middle
		}
		if nodes[i].Y == nil {
			nodes[i].Y = &middle
		}
	}
	return &pictograph.Skeleton{Nodes: nodes, Edges: append([][2]int{}, s.Edges...)}
}

// dataset is the row as the service shows it.
func (d datasetRow) dataset(ctx context.Context, tx *sql.Tx) (pictograph.Dataset, error) {
	created, err := time.Parse(time.RFC3339, d.created)
	if err != nil {
		return pictograph.Dataset{}, err
	}
	updated, err := time.Parse(time.RFC3339, d.updated)
	if err != nil {
		return pictograph.Dataset{}, err
	}
	out := pictograph.Dataset{ID: d.id, OrganizationID: organization, Name: d.name, Description: d.description, AnnotationTypes: d.types,
		Classes: d.classes, CreatedAt: created, UpdatedAt: &updated}
	err = tx.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE NOT archived), count(*) FILTER (WHERE NOT archived AND status = 'complete'),
		count(*) FILTER (WHERE archived), coalesce(sum(file_size) FILTER (WHERE NOT archived), 0) FROM images WHERE dataset = ?`, d.id).
		Scan(&out.ImageCount, &out.CompletedImageCount, &out.ArchivedImageCount, &out.TotalSize)
	return out, err
}

func (q *request) answerDataset(status int, d datasetRow) (answer, error) {
	shown, err := d.dataset(q.ctx, q.tx)
	if err != nil {
		return answer{}, err
	}
	return answerJSON(status, map[string]any{"data": shown}), nil
}

// window reads limit and offset of a listing.
func (q *request) window(standard int) (limit, offset int, err error) {
	limit = standard
	for name, into := range map[string]*int{"limit": &limit, "offset": &offset} {
		raw := q.query.Get(name)
		if raw == "" {
			continue
		}
		n, err := strconv.Atoi(raw)
		if err != nil || n < 0 {
			return 0, 0, invalid(pictograph.FieldErrors{{Path: name, Reason: "a number from 0 on is expected"}})
		}
		*into = n
	}
	return min(max(limit, 1), 1000), offset, nil
}

func answerPage[T any](entries []T, limit, offset int) answer {
	more := len(entries) > limit
	if more {
		entries = entries[:limit]
	}
	if entries == nil {
		entries = []T{}
	}
	return answerJSON(http.StatusOK, map[string]any{"data": entries, "pagination": map[string]any{"limit": limit, "offset": offset, "has_more": more}})
}

func listDatasets(q *request) (answer, error) {
	limit, offset, err := q.window(100)
	if err != nil {
		return answer{}, err
	}
	rows, err := q.tx.QueryContext(q.ctx, `SELECT `+datasetColumns+` FROM datasets ORDER BY created_at, id LIMIT ? OFFSET ?`, limit+1, offset)
	if err != nil {
		return answer{}, err
	}
	var found []datasetRow
	for rows.Next() {
		d, err := scanDataset(rows)
		if err != nil {
			return answer{}, errors.Join(err, rows.Close())
		}
		found = append(found, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return answer{}, err
	}
	var shown []pictograph.Dataset
	for _, d := range found {
		s, err := d.dataset(q.ctx, q.tx)
		if err != nil {
			return answer{}, err
		}
		shown = append(shown, s)
	}
	return answerPage(shown, limit, offset), nil
}

func createDataset(q *request) (answer, error) {
	members, err := q.fields("name", "readme", "description", "annotation_types", "classes")
	if err != nil {
		return answer{}, err
	}
	n := pictograph.NewDataset{}
	if n.Name, err = text(members, true, "name"); err != nil {
		return answer{}, err
	}
	if n.Description, err = text(members, false, "readme", "description"); err != nil {
		return answer{}, err
	}
	if n.AnnotationTypes, err = annotationTypes(members); err != nil {
		return answer{}, err
	}
	if n.Classes, err = classList(members, "classes"); err != nil {
		return answer{}, err
	}
	if err := q.nameIsFree(n.Name, ""); err != nil {
		return answer{}, err
	}
	d, err := insertDataset(q.ctx, q.tx, n, q.now)
	if err != nil {
		return answer{}, err
	}
	if err := q.audit("dataset", AuditEntry{DatasetID: d.id}); err != nil {
		return answer{}, err
	}
	return q.answerDataset(http.StatusCreated, d)
}

func (q *request) nameIsFree(name, but string) error {
	var taken int
	if err := q.tx.QueryRowContext(q.ctx, `SELECT count(*) FROM datasets WHERE name = ? AND id <> ?`, name, but).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return refuse(http.StatusConflict, "conflict", "there is a dataset %q already", name)
	}
	return nil
}

func annotationTypes(members map[string]json.RawMessage) ([]string, error) {
	raw, ok := members["annotation_types"]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	var types []string
	if err := json.Unmarshal(raw, &types); err != nil {
		return nil, invalid(pictograph.FieldErrors{{Path: "annotation_types", Reason: "a list of strings is expected"}})
	}
	for i, t := range types {
		if !slices.Contains([]string{"bbox", "box", "polygon", "polyline", "keypoint"}, t) {
			return nil, invalid(pictograph.FieldErrors{{Path: fmt.Sprintf("annotation_types[%d]", i), Reason: fmt.Sprintf("%q is no annotation type", t)}})
		}
	}
	return types, nil
}

// classList reads a list of classes, nil where there is none.
func classList(members map[string]json.RawMessage, name string) ([]pictograph.Class, error) {
	raw, ok := members[name]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	classes := []pictograph.Class{}
	if err := json.Unmarshal(raw, &classes); err != nil {
		return nil, invalid(pictograph.FieldErrors{{Path: name, Reason: "a list of classes is expected: " + err.Error()}})
	}
	var errs pictograph.FieldErrors
	seen := make(map[string]bool)
	for i, c := range classes {
		at := fmt.Sprintf("%s[%d]", name, i)
		switch {
		case strings.TrimSpace(c.Name) == "" || len(c.Name) > 120:
			errs = append(errs, pictograph.FieldError{Path: at + ".name", Reason: "1 to 120 characters are expected"})
		case seen[c.Name]:
			errs = append(errs, pictograph.FieldError{Path: at + ".name", Reason: fmt.Sprintf("%q is in the list twice", c.Name)})
		case !slices.Contains([]pictograph.Type{"", "box", pictograph.TypeBBox, pictograph.TypePolygon, pictograph.TypePolyline, pictograph.TypeKeypoint}, c.Type):
			errs = append(errs, pictograph.FieldError{Path: at + ".type", Reason: fmt.Sprintf("%q is no annotation type", c.Type)})
		}
		seen[c.Name] = true
		errs = append(errs, skeletonErrors(c, at+".skeleton")...)
	}
	if len(errs) > 0 {
		return nil, invalid(errs)
	}
	return classes, nil
}

func skeletonErrors(c pictograph.Class, at string) (errs pictograph.FieldErrors) {
	if c.Skeleton == nil {
		return nil
	}
	if c.Type != pictograph.TypeKeypoint {
		errs = append(errs, pictograph.FieldError{Path: at, Reason: "only a keypoint class has a skeleton"})
	}
	if len(c.Skeleton.Nodes) == 0 {
		errs = append(errs, pictograph.FieldError{Path: at + ".nodes", Reason: "a skeleton needs a joint"})
	}
	for i, e := range c.Skeleton.Edges {
		if e[0] < 0 || e[1] < 0 || e[0] >= len(c.Skeleton.Nodes) || e[1] >= len(c.Skeleton.Nodes) {
			errs = append(errs, pictograph.FieldError{Path: fmt.Sprintf("%s.edges[%d]", at, i), Reason: "it names a joint that is not there"})
		}
	}
	return errs
}

func getDataset(q *request) (answer, error) {
	d, err := q.dataset(q.segments[1])
	if err != nil {
		return answer{}, err
	}
	return q.answerDataset(http.StatusOK, d)
}

func patchDataset(q *request) (answer, error) {
	d, err := q.dataset(q.segments[1])
	if err != nil {
		return answer{}, err
	}
	members, err := q.fields("new_name", "readme", "description", "annotation_types", "classes", "classes_base")
	if err != nil {
		return answer{}, err
	}
	if len(members) == 0 {
		return answer{}, refuse(http.StatusUnprocessableEntity, "validation_error", "nothing to update")
	}
	if _, ok := members["new_name"]; ok {
		if d.name, err = text(members, true, "new_name"); err != nil {
			return answer{}, err
		}
		if err := q.nameIsFree(d.name, d.id); err != nil {
			return answer{}, err
		}
	}
	if description, err := text(members, false, "readme", "description"); err != nil {
		return answer{}, err
	} else if description != "" {
		d.description = description
	}
	if types, err := annotationTypes(members); err != nil {
		return answer{}, err
	} else if types != nil {
		d.types = types
	}
	classes, err := classList(members, "classes")
	if err != nil {
		return answer{}, err
	}
	base, err := classList(members, "classes_base")
	if err != nil {
		return answer{}, err
	}
	switch {
	case base != nil && classes == nil:
		return answer{}, invalid(pictograph.FieldErrors{{Path: "classes_base", Reason: "it is the list that classes edits; send classes too"}})
	case base != nil:
		d.classes = colored(merge(d.classes, base, classes))
	case classes != nil:
		d.classes = colored(classes)
	}
	d.updated = stamp(q.now)
	if _, err := q.tx.ExecContext(q.ctx, `UPDATE datasets SET name = ?, description = ?, annotation_types = ?, classes = ?, updated_at = ? WHERE id = ?`,
		d.name, d.description, mustJSON(d.types), mustJSON(d.classes), d.updated, d.id); err != nil {
		return answer{}, err
	}
	kind := "dataset"
	if classes != nil {
		kind = "classes"
	}
	if err := q.audit(kind, AuditEntry{DatasetID: d.id}); err != nil {
		return answer{}, err
	}
	return q.answerDataset(http.StatusOK, d)
}

// merge applies what changed from base to edited onto the list as it is stored
// now.
func merge(stored, base, edited []pictograph.Class) []pictograph.Class {
	find := func(list []pictograph.Class, name string) int {
		return slices.IndexFunc(list, func(c pictograph.Class) bool { return c.Name == name })
	}
	merged := slices.DeleteFunc(slices.Clone(stored), func(c pictograph.Class) bool {
		return find(base, c.Name) >= 0 && find(edited, c.Name) < 0
	})
	for _, c := range edited {
		was, is := find(base, c.Name), find(merged, c.Name)
		switch {
		case is < 0 && was < 0:
			merged = append(merged, c)
		case is >= 0 && (was < 0 || mustJSON(base[was]) != mustJSON(c)):
			merged[is] = c
		}
	}
	return merged
}

func deleteDataset(q *request) (answer, error) {
	d, err := q.dataset(q.segments[1])
	if err != nil {
		return answer{}, err
	}
	var images int
	if err := q.tx.QueryRowContext(q.ctx, `SELECT count(*) FROM images WHERE dataset = ?`, d.id).Scan(&images); err != nil {
		return answer{}, err
	}
	for _, statement := range []string{`DELETE FROM images WHERE dataset = ? RETURNING sha256`, `DELETE FROM upload_urls WHERE dataset = ? RETURNING sha256`} {
		if err := q.orphan(statement, d.id); err != nil {
			return answer{}, err
		}
	}
	if err := q.deleteExports(`dataset = ?`, d.id); err != nil {
		return answer{}, err
	}
	if _, err := q.tx.ExecContext(q.ctx, `DELETE FROM datasets WHERE id = ?`, d.id); err != nil {
		return answer{}, err
	}
	if err := q.audit("dataset", AuditEntry{DatasetID: d.id, PreviousCount: images}); err != nil {
		return answer{}, err
	}
	return answerData(map[string]any{"id": d.id, "name": d.name, "deleted": true, "images_deleted": images}), nil
}
