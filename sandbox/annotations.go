package sandbox

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"pictosync/pictograph"
)

// maxBulk is how many images a bulk save may hold.
const maxBulk = 200

func readAnnotations(q *request) (answer, error) {
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	var stored []byte
	if err := q.tx.QueryRowContext(q.ctx, `SELECT annotations FROM images WHERE id = ?`, i.ID).Scan(&stored); err != nil {
		return answer{}, err
	}
	return answerJSON(http.StatusOK, map[string]any{"annotations": json.RawMessage(stored)}), nil
}

// saveAnnotations replaces an image's annotations. In the path dialect the
// body has nothing but them; in the other it names the image again.
func saveAnnotations(q *request) (answer, error) {
	byID := len(q.segments) == 2
	allowed := []string{"annotations"}
	if byID {
		allowed = append(allowed, "image_id")
	}
	members, err := q.fields(allowed...)
	if err != nil {
		return answer{}, err
	}
	if byID {
		id, err := text(members, true, "image_id")
		if err != nil {
			return answer{}, err
		}
		if !strings.EqualFold(id, q.segments[1]) {
			return answer{}, invalid(pictograph.FieldErrors{{Path: "image_id", Reason: "it is not the image of the path"}})
		}
	}
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	annotations, errs := decode(members, "")
	if len(errs) == 0 {
		if errs, err = q.unknownClasses(i.DatasetID, annotations, ""); err != nil {
			return answer{}, err
		}
	}
	if len(errs) > 0 {
		return answer{}, invalid(errs)
	}
	result, err := q.store("save", i, annotations)
	if err != nil {
		return answer{}, err
	}
	return answerJSON(http.StatusOK, result), nil
}

// decode reads the annotations of a body, or of an entry of a bulk save whose
// path is at.
func decode(members map[string]json.RawMessage, at string) ([]pictograph.Annotation, pictograph.FieldErrors) {
	raw, ok := members["annotations"]
	if !ok {
		return nil, pictograph.FieldErrors{{Path: at + "annotations", Reason: "field required"}}
	}
	annotations, err := pictograph.DecodeAnnotations(raw)
	var errs pictograph.FieldErrors
	switch {
	case errors.As(err, &errs):
		for i := range errs {
			errs[i].Path = at + errs[i].Path
		}
	case err != nil:
		errs = pictograph.FieldErrors{{Path: at + "annotations", Reason: err.Error()}}
	}
	return annotations, errs
}

// unknownClasses reports annotations whose class the dataset does not define.
func (q *request) unknownClasses(dataset string, annotations []pictograph.Annotation, at string) (errs pictograph.FieldErrors, err error) {
	defined, known := q.defined[dataset]
	if !known {
		d, err := q.dataset(dataset)
		if err != nil {
			return nil, err
		}
		defined = make(map[string]bool)
		for _, c := range d.classes {
			defined[c.Name] = true
		}
		q.defined = map[string]map[string]bool{dataset: defined}
	}
	for n, a := range annotations {
		if !defined[a.Name] {
			errs = append(errs, pictograph.FieldError{Path: fmt.Sprintf("%sannotations[%d].name", at, n), Reason: fmt.Sprintf("the dataset defines no class %q", a.Name)})
		}
	}
	return errs, nil
}

// store replaces the annotations of an image and says what was there before.
func (q *request) store(kind string, i imageRow, annotations []pictograph.Annotation) (pictograph.SaveResult, error) {
	encoded, err := pictograph.AppendAnnotations(nil, annotations)
	if err != nil {
		return pictograph.SaveResult{}, err
	}
	statement := `UPDATE images SET annotations = ?, annotation_count = ? WHERE id = ?`
	if q.server.options.Faults.Rates[exportStale] > 0 {
		statement = `UPDATE images SET previous = annotations, annotations = ?, annotation_count = ? WHERE id = ?`
	}
	if _, err := q.tx.ExecContext(q.ctx, statement, encoded, len(annotations), i.ID); err != nil {
		return pictograph.SaveResult{}, err
	}
	sum := sha256.Sum256(encoded)
	err = q.audit(kind, AuditEntry{DatasetID: i.DatasetID, ImageID: i.ID, ImagePath: i.path(), PreviousCount: i.AnnotationCount, NewCount: len(annotations), SHA256: hex.EncodeToString(sum[:])})
	return pictograph.SaveResult{ImageID: i.ID, PreviousCount: i.AnnotationCount, NewCount: len(annotations), Status: i.Status}, err
}

func clearAnnotations(q *request) (answer, error) {
	i, err := q.image()
	if err != nil {
		return answer{}, err
	}
	if _, err := q.store("clear", i, nil); err != nil {
		return answer{}, err
	}
	return answerJSON(http.StatusOK, pictograph.DeleteResult{ImageID: i.ID, DeletedCount: i.AnnotationCount}), nil
}

// bulkEntry is one image of a bulk save.
type bulkEntry struct {
	id          string
	annotations []pictograph.Annotation
	at          string // "saves[3]."
}

// bulkSave replaces the annotations of several images. A payload that is
// malformed anywhere saves nothing; an image that is not there fails alone.
func bulkSave(q *request) (answer, error) {
	entries, err := q.bulkEntries()
	if err != nil {
		return answer{}, err
	}
	images := make([]*imageRow, len(entries))
	failed := []pictograph.BulkFailure{}
	var errs pictograph.FieldErrors
	for n, e := range entries {
		i, err := q.scanImage(q.tx.QueryRowContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE id = lower(?) AND NOT archived`, e.id))
		if errors.Is(err, sql.ErrNoRows) {
			failed = append(failed, pictograph.BulkFailure{ImageID: e.id, Error: "image not found"})
			continue
		}
		if err != nil {
			return answer{}, err
		}
		unknown, err := q.unknownClasses(i.DatasetID, e.annotations, e.at)
		if err != nil {
			return answer{}, err
		}
		errs = append(errs, unknown...)
		images[n] = &i
	}
	if len(errs) > 0 {
		return answer{}, invalid(errs)
	}
	saved := []pictograph.SaveResult{}
	for n, e := range entries {
		if images[n] == nil {
			continue
		}
		result, err := q.store("bulk", *images[n], e.annotations)
		if err != nil {
			return answer{}, err
		}
		saved = append(saved, result)
	}
	return answerJSON(http.StatusOK, pictograph.BulkResult{Saved: saved, Failed: failed}), nil
}

func (q *request) bulkEntries() ([]bulkEntry, error) {
	members, err := q.fields("saves")
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(members["saves"], &raw); err != nil {
		return nil, invalid(pictograph.FieldErrors{{Path: "saves", Reason: "a list is expected"}})
	}
	if len(raw) == 0 || len(raw) > maxBulk {
		return nil, invalid(pictograph.FieldErrors{{Path: "saves", Reason: fmt.Sprintf("%d entries; 1 to %d are expected", len(raw), maxBulk)}})
	}
	var entries []bulkEntry
	var errs pictograph.FieldErrors
	seen := make(map[string]bool)
	for n, r := range raw {
		at := fmt.Sprintf("saves[%d].", n)
		entry := &request{body: r}
		fields, err := entry.fields("image_id", "annotations")
		if err != nil {
			return nil, under(err, at)
		}
		id, err := text(fields, true, "image_id")
		if err != nil {
			return nil, under(err, at)
		}
		if seen[id] {
			errs = append(errs, pictograph.FieldError{Path: at + "image_id", Reason: "the image is in the call twice"})
		}
		seen[id] = true
		annotations, wrong := decode(fields, at)
		errs = append(errs, wrong...)
		entries = append(entries, bulkEntry{id: id, annotations: annotations, at: at})
	}
	if len(errs) > 0 {
		return nil, invalid(errs)
	}
	return entries, nil
}

// under puts a path before those of a refusal.
func under(err error, at string) error {
	var f *fault
	if !errors.As(err, &f) {
		return err
	}
	for i := range f.fields {
		f.fields[i].Path = at + f.fields[i].Path
	}
	return f
}
