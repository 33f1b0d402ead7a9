package pictograph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// ImageRef names an image. Which of its fields are needed depends on the
// dialect: Dataset and Path for the path dialect, ID for the image-id one;
// with all three, either works.
type ImageRef struct {
	ID      string
	Dataset string // name or id
	Path    string // directory and file name, as "val/a.jpg"
}

// String is the image as messages name it.
func (r ImageRef) String() string {
	if r.Path != "" {
		return r.Path
	}
	return r.ID
}

// SaveResult is what the service says of an image whose annotations it
// replaced.
type SaveResult struct {
	ImageID       string `json:"image_id"`
	PreviousCount int    `json:"previous_count"`
	NewCount      int    `json:"new_count"`
	Status        string `json:"status"`
}

// DeleteResult is what the service says of an image that it cleared.
type DeleteResult struct {
	ImageID      string `json:"image_id"`
	DeletedCount int    `json:"deleted_count"`
}

// BulkResult is the answer to a bulk save: each of its images is in one of the
// two lists.
type BulkResult struct {
	Saved  []SaveResult  `json:"saved"`
	Failed []BulkFailure `json:"failed"`
}

// BulkFailure is an image of a bulk save that was not saved.
type BulkFailure struct {
	ImageID string `json:"image_id"`
	Error   string `json:"error"`
}

// SaveOptions are optional.
type SaveOptions struct {
	// IdempotencyKey makes a repeat of the call, also by another process, get
	// the first call's answer without being executed, for 24 hours. It must be
	// new for every call that is meant to be executed. Default: a random one.
	IdempotencyKey string
}

// MaxBulk is how many images one bulk save may hold.
const MaxBulk = 200

const annotationsPath = "/api/v1/developer/annotations"

// Annotations reads the annotations of an image; an image without any gives an
// empty list.
func (c *Client) Annotations(ctx context.Context, image ImageRef) ([]Annotation, error) {
	op := "read annotations of " + image.String()
	var annotations []Annotation
	err := c.perImage(ctx, op, image, func(path string, _ Dialect) error {
		var body struct {
			Annotations json.RawMessage `json:"annotations"`
		}
		if err := c.do(ctx, call{op: op, method: http.MethodGet, path: path}, &body); err != nil {
			return err
		}
		var err error
		if annotations, err = DecodeAnnotations(body.Annotations); err != nil {
			return &ContentError{Op: op, Err: err}
		}
		return nil
	}, true)
	return annotations, err
}

// Save replaces all annotations of an image.
func (c *Client) Save(ctx context.Context, image ImageRef, annotations []Annotation, o SaveOptions) (SaveResult, error) {
	op := "save annotations of " + image.String()
	encoded, err := AppendAnnotations(nil, annotations)
	if err != nil {
		return SaveResult{}, fmt.Errorf("%s: %w", op, err)
	}
	var result SaveResult
	err = c.perImage(ctx, op, image, func(path string, d Dialect) error {
		body := map[string]any{"annotations": json.RawMessage(encoded)}
		if d == DialectImageID { // the path dialect refuses the field
			body["image_id"] = image.ID
		}
		data, err := marshal(op, body)
		if err != nil {
			return err
		}
		return c.do(ctx, call{op: op, method: http.MethodPost, path: path, body: data, key: o.IdempotencyKey}, &result)
	}, false)
	return result, err
}

// Clear removes all annotations of an image. It takes an admin's or owner's
// key; a Save of no annotations does the same with a member's.
func (c *Client) Clear(ctx context.Context, image ImageRef) (DeleteResult, error) {
	op := "clear " + image.String()
	var result DeleteResult
	err := c.perImage(ctx, op, image, func(path string, _ Dialect) error {
		return c.do(ctx, call{op: op, method: http.MethodDelete, path: path}, &result)
	}, false)
	return result, err
}

// ImageSave is the new annotations of one image of a bulk save.
type ImageSave struct {
	ImageID     string
	Annotations []Annotation
}

// BulkSave replaces all annotations of up to [MaxBulk] images in one request.
// Images that could not be saved are in the result, not an error; a payload
// that is invalid anywhere is an error, and nothing is saved.
func (c *Client) BulkSave(ctx context.Context, saves []ImageSave, o SaveOptions) (BulkResult, error) {
	entries := make([]BulkEntry, len(saves))
	for i, s := range saves {
		encoded, err := AppendAnnotations(nil, s.Annotations)
		if err != nil {
			return BulkResult{}, fmt.Errorf("save annotations of image %s: %w", s.ImageID, err)
		}
		entries[i] = BulkEntry{ImageID: s.ImageID, Annotations: encoded}
	}
	return c.BulkSaveBody(ctx, AppendBulkSave(nil, entries), o.IdempotencyKey)
}

// BulkEntry is one image of a bulk save whose annotations are encoded, by
// [AppendAnnotations], already.
type BulkEntry struct {
	ImageID     string
	Annotations []byte
}

// AppendBulkSave appends the body of a bulk save, for [Client.BulkSaveBody].
func AppendBulkSave(dst []byte, entries []BulkEntry) []byte {
	size := 0
	for _, e := range entries {
		size += len(e.ImageID) + len(e.Annotations) + len(`{"image_id":"","annotations":},`)
	}
	dst = slices.Grow(dst, size+len(`{"saves":[]}`))
	dst = append(dst, `{"saves":[`...)
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"image_id":`...), e.ImageID)
		dst = append(append(append(dst, `,"annotations":`...), e.Annotations...), '}')
	}
	return append(dst, `]}`...)
}

// BulkSaveBody is [Client.BulkSave] with a body that was made before, so that
// a caller can keep it, and send the same bytes under the same key again. When it
// returns nothing reads the body any more: the caller may write over it.
func (c *Client) BulkSaveBody(ctx context.Context, body []byte, idempotencyKey string) (BulkResult, error) {
	var result BulkResult
	err := c.do(ctx, call{op: "save a batch of images", method: http.MethodPost, path: annotationsPath + "/bulk", body: bytes.Clone(body), key: idempotencyKey}, &result) // net/http may read on when the answer is there
	for i := range result.Failed {
		result.Failed[i].Error = c.withoutKey(result.Failed[i].Error)
	}
	return result, err
}

func pathRoute(image ImageRef) string {
	return annotationsPath + "/" + segment(image.Dataset) + "/" + segments(image.Path)
}

func idRoute(image ImageRef) string { return annotationsPath + "/" + segment(image.ID) }

// perImage calls use with the image's route in the service's dialect. Where
// the dialect is still unknown it is found out with one read of the image by
// path; a use that is a read of the image itself needs no other.
func (c *Client) perImage(ctx context.Context, op string, image ImageRef, use func(path string, d Dialect) error, isRead bool) error {
	for {
		known, finding, done := c.dialectOrDuty()
		if known != DialectAuto {
			return c.useDialect(op, image, known, use)
		}
		if done == nil { // somebody finds out already
			select {
			case <-finding:
				continue
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", op, context.Cause(ctx))
			}
		}
		found, err := c.findDialect(ctx, op, image, use, isRead)
		done(found)
		if err != nil || isRead {
			return err
		}
		return c.useDialect(op, image, found, use)
	}
}

// dialectOrDuty is the dialect where it is known. Where it is not, the caller either has to
// find it out and to call done, or gets a channel that is closed when another has.
func (c *Client) dialectOrDuty() (known Dialect, finding <-chan struct{}, done func(Dialect)) {
	c.dialectMu.Lock()
	defer c.dialectMu.Unlock()
	if c.dialect != DialectAuto || c.finding != nil {
		return c.dialect, c.finding, nil
	}
	c.finding = make(chan struct{})
	return DialectAuto, nil, func(found Dialect) {
		c.dialectMu.Lock()
		defer c.dialectMu.Unlock()
		close(c.finding)
		c.dialect, c.finding = found, nil
	}
}

// findDialect asks the service for an image in one dialect, then in the other. Where it
// knows the image in neither the question stays open: the dialect is DialectAuto still.
func (c *Client) findDialect(ctx context.Context, op string, image ImageRef, use func(path string, d Dialect) error, isRead bool) (Dialect, error) {
	probe := func(d Dialect) error {
		return c.useDialect(op, image, d, func(path string, d Dialect) error {
			if isRead {
				return use(path, d)
			}
			return c.do(ctx, call{op: op, method: http.MethodGet, path: path}, nil)
		})
	}
	found, err := DialectPath, probe(DialectPath)
	if errors.Is(err, ErrNotFound) || errors.Is(err, errNoRoute) {
		if second := probe(DialectImageID); second == nil || !errors.Is(second, errNoRoute) {
			found, err = DialectImageID, second
		}
	}
	if err != nil {
		return DialectAuto, err
	}
	return found, nil
}

var errNoRoute = errors.New("the image's name does not fit the dialect")

func (c *Client) useDialect(op string, image ImageRef, d Dialect, use func(path string, d Dialect) error) error {
	switch {
	case d == DialectPath && image.Dataset != "" && image.Path != "":
		return use(pathRoute(image), d)
	case d == DialectImageID && image.ID != "":
		return use(idRoute(image), d)
	case d == DialectPath:
		return fmt.Errorf("%s: %w: the service takes dataset and path, and one is missing", op, errNoRoute)
	}
	return fmt.Errorf("%s: %w: the service takes the image's id, and it is missing", op, errNoRoute)
}
