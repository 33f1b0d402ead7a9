package sandbox

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"pictosync/pictograph"
)

// maxUploads is how many images a bulk upload may name.
const maxUploads = 500

// contentTypes are the types of image that are taken, by the end of the name.
var contentTypes = map[string]string{".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp",
	".tif": "image/tiff", ".tiff": "image/tiff", ".gif": "image/gif", ".heic": "image/heic"}

// upload is an image that is to be, as a call names it.
type upload struct {
	asked       string // the file name in the call
	directory   string
	filename    string // as the image will have it
	signedType  string // what the bytes are sent as; "" is anything
	contentType string // as the image will have it
	size        int64
	width       *int
	height      *int
}

func (u upload) path() string { return joinPath(u.directory, u.filename) }

// storedName is what the service makes of a file's name: characters that some
// file system cannot have (:*?"<>| and control characters) become _, and no
// space stays at its ends. HEIC becomes PNG by name; its bytes stay what they
// are, since nothing here decodes images.
func storedName(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`:*?"<>|`, r) {
			return '_'
		}
		return r
	}, name))
	if end := path.Ext(name); strings.EqualFold(end, ".heic") {
		name = strings.TrimSuffix(name, end) + ".png"
	}
	return name
}

// readUpload reads one image of a call; at is where it stands in it.
func readUpload(members map[string]json.RawMessage, at string) (u upload, err error) {
	if u.asked, err = text(members, true, "filename"); err != nil {
		return u, under(err, at)
	}
	if u.directory, err = text(members, false, "directory_path", "folder_path"); err != nil {
		return u, under(err, at)
	}
	if u.signedType, err = text(members, false, "content_type"); err != nil {
		return u, under(err, at)
	}
	u.directory = directory(u.directory)
	if strings.ContainsAny(u.asked, "/\\\x00") || path.Clean(u.directory) != u.directory {
		return u, invalid(pictograph.FieldErrors{{Path: at + "filename", Reason: "no path may be in the file name, and the directory must be clean"}})
	}
	known := false
	if u.contentType, known = contentTypes[strings.ToLower(path.Ext(u.asked))]; !known {
		return u, invalid(pictograph.FieldErrors{{Path: at + "filename", Reason: fmt.Sprintf("%q ends like no image that is taken; there are jpg, jpeg, png, webp, bmp, tif, tiff, gif and heic", u.asked)}})
	}
	u.filename = storedName(u.asked)
	switch {
	case u.contentType == "image/heic":
		u.contentType = "image/png"
	case u.signedType != "":
		u.contentType = u.signedType
	}
	for name, into := range map[string]any{"file_size": &u.size, "width": &u.width, "height": &u.height} {
		if raw, ok := members[name]; ok && json.Unmarshal(raw, into) != nil {
			return u, invalid(pictograph.FieldErrors{{Path: at + name, Reason: "a whole number is expected"}})
		}
	}
	for name, side := range map[string]*int{"width": u.width, "height": u.height} {
		if side != nil && *side < 1 {
			return u, invalid(pictograph.FieldErrors{{Path: at + name, Reason: "a number of pixels is expected"}})
		}
	}
	return u, nil
}

var (
	urlFields      = []string{"filename", "directory_path", "folder_path", "content_type"}
	registerFields = append([]string{"file_size", "width", "height"}, urlFields...)
	datasetFields  = []string{"dataset", "dataset_id"}
)

// oneUpload reads a call about one image.
func (q *request) oneUpload(fields []string) (datasetRow, upload, error) {
	members, err := q.fields(slices.Concat(fields, datasetFields)...)
	if err != nil {
		return datasetRow{}, upload{}, err
	}
	name, err := text(members, true, datasetFields...)
	if err != nil {
		return datasetRow{}, upload{}, err
	}
	u, err := readUpload(members, "")
	if err != nil {
		return datasetRow{}, upload{}, err
	}
	d, err := q.dataset(name)
	return d, u, err
}

// manyUploads reads a call about several images. One that is malformed refuses
// the call.
func (q *request) manyUploads(fields []string) (datasetRow, []upload, error) {
	members, err := q.fields(append([]string{"images"}, datasetFields...)...)
	if err != nil {
		return datasetRow{}, nil, err
	}
	name, err := text(members, true, datasetFields...)
	if err != nil {
		return datasetRow{}, nil, err
	}
	var raw []json.RawMessage
	if json.Unmarshal(members["images"], &raw) != nil {
		return datasetRow{}, nil, invalid(pictograph.FieldErrors{{Path: "images", Reason: "a list is expected"}})
	}
	if len(raw) == 0 || len(raw) > maxUploads {
		return datasetRow{}, nil, invalid(pictograph.FieldErrors{{Path: "images", Reason: fmt.Sprintf("%d images; 1 to %d are expected", len(raw), maxUploads)}})
	}
	uploads := make([]upload, len(raw))
	for n, r := range raw {
		at := fmt.Sprintf("images[%d].", n)
		entry, err := (&request{body: r}).fields(fields...)
		if err != nil {
			return datasetRow{}, nil, under(err, at)
		}
		if uploads[n], err = readUpload(entry, at); err != nil {
			return datasetRow{}, nil, err
		}
	}
	d, err := q.dataset(name)
	return d, uploads, err
}

// signedUpload is an upload URL as it is answered.
type signedUpload struct {
	UploadURL     string `json:"upload_url"`
	Filename      string `json:"filename"`
	DirectoryPath string `json:"directory_path"`
	ExpiresIn     int    `json:"expires_in"` // seconds
}

func (q *request) sign(d datasetRow, u upload) (signedUpload, error) {
	origin, err := q.server.storageOrigin()
	if err != nil {
		return signedUpload{}, err
	}
	token, lifetime := uuid.NewString(), q.server.urlLifetime()
	_, err = q.tx.ExecContext(q.ctx, `INSERT INTO upload_urls (token, dataset, directory, filename, content_type, expires) VALUES (?, ?, ?, ?, ?, ?)`,
		token, d.id, u.directory, u.filename, u.signedType, q.now.Add(lifetime).UnixMilli())
	return signedUpload{origin + uploadPrefix + token, u.filename, u.directory, int(lifetime.Seconds())}, err
}

// forgetUploads forgets uploads whose URLs expired a day ago and that nobody
// registered.
func (q *request) forgetUploads() error {
	return q.orphan(`DELETE FROM upload_urls WHERE expires <= ? RETURNING sha256`, q.now.Add(-keyLifetime).UnixMilli())
}

// orphan executes a statement that deletes rows and returns the contents they
// referred to.
func (q *request) orphan(statement string, args ...any) error {
	rows, err := q.tx.QueryContext(q.ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var contents []string
	for rows.Next() {
		var sha string
		if err := rows.Scan(&sha); err != nil {
			return err
		}
		if sha != "" {
			contents = append(contents, sha)
		}
	}
	if len(contents) > 0 {
		q.afterwards = append(q.afterwards, func() { q.server.removeUnused(contents) })
	}
	return rows.Err()
}

func uploadURL(q *request) (answer, error) {
	d, u, err := q.oneUpload(urlFields)
	if err != nil {
		return answer{}, err
	}
	if err := q.forgetUploads(); err != nil {
		return answer{}, err
	}
	signed, err := q.sign(d, u)
	return answerData(signed), err
}

// bulkUploadURL signs a URL for each image, in the order asked. Names that are
// taken get theirs too: it is the registration that finds them taken.
func bulkUploadURL(q *request) (answer, error) {
	d, uploads, err := q.manyUploads(urlFields)
	if err != nil {
		return answer{}, err
	}
	if err := q.forgetUploads(); err != nil {
		return answer{}, err
	}
	urls := make([]signedUpload, len(uploads))
	for n, u := range uploads {
		if urls[n], err = q.sign(d, u); err != nil {
			return answer{}, err
		}
	}
	return answerData(map[string]any{"upload_urls": urls}), nil
}

func registerImage(q *request) (answer, error) {
	d, u, err := q.oneUpload(registerFields)
	if err != nil {
		return answer{}, err
	}
	i, err := q.register(d, u)
	if err != nil {
		return answer{}, err
	}
	return answerJSON(http.StatusCreated, map[string]any{"data": i}), nil
}

// bulkRegister registers several images, each for itself: what is wrong with
// one is its failure alone.
func bulkRegister(q *request) (answer, error) {
	d, uploads, err := q.manyUploads(registerFields)
	if err != nil {
		return answer{}, err
	}
	type failure struct {
		Filename      string `json:"filename"`
		DirectoryPath string `json:"directory_path"`
		Error         string `json:"error"`
	}
	succeeded, failed := []imageRow{}, []failure{}
	for _, u := range uploads {
		i, err := q.register(d, u)
		var f *fault
		switch {
		case errors.As(err, &f):
			failed = append(failed, failure{u.asked, u.directory, f.message})
		case err != nil:
			return answer{}, err
		default:
			succeeded = append(succeeded, i)
		}
	}
	return answerData(map[string]any{"succeeded": succeeded, "failed": failed}), nil
}

// register makes an image of bytes that were uploaded.
func (q *request) register(d datasetRow, u upload) (imageRow, error) {
	taken := refuse(http.StatusConflict, "conflict", "an image %s already exists in the dataset; choose another name or directory", u.path())
	n := q.server.registrations.Add(1)
	switch {
	case q.strikes(registerTaken, n):
		return imageRow{}, taken
	case q.strikes(registerFailed, n):
		return imageRow{}, refuse(http.StatusServiceUnavailable, "unavailable", "%s could not be registered now; try again", u.path())
	}
	var there bool
	if err := q.tx.QueryRowContext(q.ctx, `SELECT EXISTS (SELECT 1 FROM images WHERE dataset = ? AND directory = ? AND filename = ?)`, d.id, u.directory, u.filename).Scan(&there); err != nil {
		return imageRow{}, err
	}
	if there {
		return imageRow{}, taken
	}
	var sha string
	var size int64
	err := q.tx.QueryRowContext(q.ctx, `SELECT sha256, size FROM upload_urls WHERE dataset = ? AND directory = ? AND filename = ? AND sha256 <> '' ORDER BY rowid DESC LIMIT 1`, d.id, u.directory, u.filename).Scan(&sha, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return imageRow{}, refuse(http.StatusBadRequest, "bad_request", "no bytes were uploaded for %s; ask for an upload URL and put them there", u.path())
	}
	if err != nil {
		return imageRow{}, err
	}
	if size != u.size {
		return imageRow{}, invalid(pictograph.FieldErrors{{Path: "file_size", Reason: fmt.Sprintf("%d bytes were uploaded for %s", size, u.path())}})
	}
	id := uuid.NewString()
	if _, err := q.tx.ExecContext(q.ctx, `INSERT INTO images (id, dataset, directory, filename, width, height, file_size, content_type, sha256, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, d.id, u.directory, u.filename, u.width, u.height, size, u.contentType, sha, stamp(q.now)); err != nil {
		return imageRow{}, err
	}
	if err := q.orphan(`DELETE FROM upload_urls WHERE dataset = ? AND directory = ? AND filename = ? RETURNING sha256`, d.id, u.directory, u.filename); err != nil {
		return imageRow{}, err
	}
	i, err := q.scanImage(q.tx.QueryRowContext(q.ctx, `SELECT `+imageColumns+` FROM images WHERE id = ?`, id))
	if err != nil {
		return imageRow{}, err
	}
	return i, q.audit("image", AuditEntry{DatasetID: d.id, ImageID: id, ImagePath: i.path(), SHA256: sha})
}

// strikes tells whether a fault hits the n-th of what it is drawn for.
func (q *request) strikes(name string, n int64) bool { return q.server.strikes(name, n, q.raw) }
