package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Reading is what an image had when it was read.
type Reading struct {
	ImageRef    int64
	Count       int
	Annotations []byte // canonical JSON
}

// AddReadings keeps what images have, in place of what was read before.
func (s *Store) AddReadings(ctx context.Context, readings []Reading, now time.Time) error {
	if len(readings) == 0 {
		return nil
	}
	return s.update(ctx, "keep what the images have", func(ctx context.Context, tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, `INSERT INTO readings (image, count, hash, annotations, read_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (image) DO UPDATE SET count = excluded.count, hash = excluded.hash, annotations = excluded.annotations, read_at = excluded.read_at`)
		if err != nil {
			return err
		}
		defer put.Close()
		for _, r := range readings {
			hash, packed := pack(r.Annotations)
			if _, err := put.ExecContext(ctx, r.ImageRef, r.Count, hash, packed, now.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReadState is an image of the last listing and when it was read.
type ReadState struct {
	ImageRef int64
	ImageID  string
	Path     string
	Listed   int // annotations, as listed
	// ReadAt is the zero time for an image that was never read, or that a save
	// of ours or its listed count show to be another now.
	ReadAt time.Time
}

const readPage = 1000

// ReadStates yields the images that have annotations, in the order of their
// paths.
func (s *Store) ReadStates(ctx context.Context, d Dataset) iter.Seq2[ReadState, error] {
	return func(yield func(ReadState, error) bool) {
		for path, id := "", ""; ; {
			page, err := s.readStatePage(ctx, d, path, id)
			if err != nil {
				yield(ReadState{}, fmt.Errorf("look up what was read: %w", explain(err)))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				path, id = r.Path, r.ImageID
			}
			if len(page) < readPage {
				return
			}
		}
	}
}

func (s *Store) readStatePage(ctx context.Context, d Dataset, path, id string) ([]ReadState, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT images.ref, image_id, images.path, `+annotationsNow+`,
			CASE WHEN count = `+annotationsNow+` AND coalesce(saved_at, 0) < read_at THEN read_at END
		FROM image_paths CROSS JOIN images ON images.ref = image_paths.ref`+withSaves+`LEFT JOIN readings ON readings.image = images.ref
		WHERE image_paths.dataset = ?1 AND (image_paths.path, image_id) > (?2, ?3) AND `+annotationsNow+` > 0
		ORDER BY image_paths.path, image_id LIMIT ?4`, d.Ref, path, id, readPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []ReadState
	for rows.Next() {
		var r ReadState
		var at sql.NullInt64
		if err := rows.Scan(&r.ImageRef, &r.ImageID, &r.Path, &r.Listed, &at); err != nil {
			return nil, err
		}
		if at.Valid {
			r.ReadAt = time.UnixMilli(at.Int64)
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// Content is an image of the last listing with what was last read of it.
type Content struct {
	ImageRef      int64
	ImageID       string
	Path          string
	Width, Height int // pixels, 0 = unknown
	Listed        int // annotations, as listed
	Meta          json.RawMessage
	Count         int // annotations, as read

	hash, packed []byte // of the reading; nil without one
}

// Annotations are what was last read of the image, as canonical JSON. The error
// says why they are not known.
func (c Content) Annotations() ([]byte, error) {
	switch {
	case c.Listed == 0:
		return []byte("[]"), nil
	case c.packed == nil:
		return nil, fmt.Errorf("its %d annotations could not be read", c.Listed)
	}
	annotations, err := unpack(c.hash, c.packed)
	if err != nil {
		return nil, fmt.Errorf("what was read of it is damaged in the state: %w", err)
	}
	return annotations, nil
}

// Contents yields all images of the last listing in the order of their paths,
// behind the one with a cursor, "" for all.
func (s *Store) Contents(ctx context.Context, d Dataset, after string) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		for {
			page, err := s.contentPage(ctx, d, after)
			if err != nil {
				yield(Content{}, fmt.Errorf("read what was kept of the images: %w", explain(err)))
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
				after = c.Cursor()
			}
			if len(page) < contentPage {
				return
			}
		}
	}
}

// Cursor is the image's place among the contents of its dataset.
func (c Content) Cursor() string { return c.Path + "\x00" + c.ImageID }

// contentPage bounds the readings that are held at once.
const contentPage = 100

func (s *Store) contentPage(ctx context.Context, d Dataset, after string) ([]Content, error) {
	path, id, _ := strings.Cut(after, "\x00")
	rows, err := s.reader.QueryContext(ctx, `SELECT `+contentColumns+`
		FROM image_paths CROSS JOIN images ON images.ref = image_paths.ref`+withSaves+`LEFT JOIN readings ON readings.image = images.ref
		WHERE image_paths.dataset = ?1 AND (image_paths.path, image_id) > (?2, ?3) ORDER BY image_paths.path, image_id LIMIT ?4`, d.Ref, path, id, contentPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []Content
	for rows.Next() {
		c, err := scanContent(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, c)
	}
	return page, rows.Err()
}

const contentColumns = `images.ref, images.image_id, images.path, width, height, ` + annotationsNow + `, meta, count, hash, annotations`

func scanContent(row interface{ Scan(...any) error }) (c Content, err error) {
	var meta string
	var count sql.NullInt64
	if err := row.Scan(&c.ImageRef, &c.ImageID, &c.Path, &c.Width, &c.Height, &c.Listed, &meta, &count, &c.hash, &c.packed); err != nil {
		return c, err
	}
	c.Meta = json.RawMessage(meta)
	if c.Listed > 0 {
		c.Count = int(count.Int64)
	}
	return c, nil
}

// ContentOf is one image's content.
func (s *Store) ContentOf(ctx context.Context, d Dataset, imageID string) (Content, error) {
	c, err := scanContent(s.reader.QueryRowContext(ctx, `SELECT `+contentColumns+`
		FROM image_ids JOIN images ON images.ref = image_ids.ref`+withSaves+`LEFT JOIN readings ON readings.image = images.ref
		WHERE image_ids.dataset = ? AND image_ids.image_id = ?`, d.Ref, imageID))
	if err != nil {
		return c, fmt.Errorf("read what was kept of the image: %w", explain(err))
	}
	return c, nil
}

// ForgetReading drops what was read of an image, so that it is read again.
func (s *Store) ForgetReading(ctx context.Context, imageRef int64) error {
	return s.update(ctx, "forget what was read", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM readings WHERE image = ?`, imageRef)
		return err
	})
}
