package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
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
	// Differs says that it is not what was last saved on the image from here.
	Differs bool
}

// AddReadings keeps what images have, in place of what was read before. What is kept already
// is not written again.
func (s *Store) AddReadings(ctx context.Context, readings []Reading, now time.Time) error {
	if len(readings) == 0 {
		return nil
	}
	type packed struct{ hash, annotations []byte }
	all := make([]packed, len(readings)) // before others are kept waiting
	known, err := s.readHashes(ctx, readings)
	if err != nil {
		return err
	}
	for n, r := range readings {
		if sum := sha256.Sum256(r.Annotations); string(sum[:]) == known[r.ImageRef] {
			all[n].hash = sum[:]
			continue
		}
		all[n].hash, all[n].annotations = pack(r.Annotations)
	}
	return s.update(ctx, "keep what the images have", func(ctx context.Context, tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, `INSERT INTO readings (image, count, hash, annotations, read_at, differs) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (image) DO UPDATE SET count = excluded.count, hash = excluded.hash, annotations = excluded.annotations, read_at = excluded.read_at, differs = excluded.differs`)
		if err != nil {
			return err
		}
		defer put.Close()
		again, err := tx.PrepareContext(ctx, `UPDATE readings SET read_at = ?, differs = ? WHERE image = ? AND hash = ?`)
		if err != nil {
			return err
		}
		defer again.Close()
		for n, r := range readings {
			hash, annotations := all[n].hash, all[n].annotations
			if annotations == nil {
				result, err := again.ExecContext(ctx, now.UnixMilli(), r.Differs, r.ImageRef, hash)
				if err != nil {
					return err
				}
				kept, err := result.RowsAffected()
				if err != nil {
					return err
				}
				if kept > 0 {
					continue
				}
				hash, annotations = pack(r.Annotations) // it went meanwhile
			}
			if _, err := put.ExecContext(ctx, r.ImageRef, r.Count, hash, annotations, now.UnixMilli(), r.Differs); err != nil {
				return err
			}
		}
		return nil
	})
}

// readHashes are the hashes of what was read of images before.
func (s *Store) readHashes(ctx context.Context, readings []Reading) (map[int64]string, error) {
	refs := make([]int64, len(readings))
	for n, r := range readings {
		refs[n] = r.ImageRef
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT image, hash FROM json_each(?) AS wanted CROSS JOIN readings ON image = wanted.value`, jsonList(refs))
	if err != nil {
		return nil, describe("look up what was read", err)
	}
	defer rows.Close()
	hashes := make(map[int64]string)
	for rows.Next() {
		var ref int64
		var hash string
		if err := rows.Scan(&ref, &hash); err != nil {
			return nil, describe("look up what was read", err)
		}
		hashes[ref] = hash
	}
	return hashes, describe("look up what was read", rows.Err())
}

// stillTrue holds for a reading that neither a save of ours nor the listed count show to be
// another than what the image has.
const stillTrue = ` count = ` + annotationsNow + ` AND coalesce(saved_at, 0) < read_at `

// ReadingOf is what was read of an image, where that was not before a time and is true still
// as far as can be told.
func (s *Store) ReadingOf(ctx context.Context, imageRef int64, since time.Time) (r Reading, ok bool, err error) {
	var hash, packed []byte
	err = s.reader.QueryRowContext(ctx, `SELECT count, readings.hash, readings.annotations, differs FROM readings JOIN images ON images.ref = readings.image`+withSaves+`
		WHERE readings.image = ? AND read_at >= ? AND`+stillTrue, imageRef, since.UnixMilli()).Scan(&r.Count, &hash, &packed, &r.Differs)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, describe("look up what was read", err)
	}
	r.ImageRef = imageRef
	if r.Annotations, err = unpack(hash, packed); err != nil {
		return r, false, nil // it is damaged, and read again
	}
	return r, true, nil
}

// Difference is what an image was read to have instead of what was last saved on it from here.
type Difference struct {
	Hash   Hash
	ReadAt time.Time
}

// Differing are the images of a dataset that were read and have not what was last saved on
// them from here.
func (s *Store) Differing(ctx context.Context, d Dataset) (map[int64]Difference, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT readings.image, readings.hash, read_at FROM readings JOIN images ON images.ref = readings.image`+withSaves+`
		WHERE differs AND images.dataset = ? AND`+stillTrue, d.Ref)
	if err != nil {
		return nil, describe("look up what differs", err)
	}
	defer rows.Close()
	differing := make(map[int64]Difference)
	for rows.Next() {
		var ref, at int64
		var hash []byte
		if err := rows.Scan(&ref, &hash, &at); err != nil {
			return nil, describe("look up what differs", err)
		}
		if len(hash) == len(Hash{}) {
			differing[ref] = Difference{Hash(hash), time.UnixMilli(at)}
		}
	}
	return differing, describe("look up what differs", rows.Err())
}

// Annotated counts the images of a dataset that have annotations, and of these the ones that
// have, by the listing, what was last saved on them from here.
func (s *Store) Annotated(ctx context.Context, d Dataset) (all, ours int, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE saved_count = `+annotationsNow+`) FROM images`+withSaves+`
		WHERE dataset = ? AND `+annotationsNow+` > 0`, d.Ref).Scan(&all, &ours)
	return all, ours, describe("count the images with annotations", err)
}

// DropReadings forgets what was read of the images of datasets where nothing needs it: that
// are not backed up, which is what readings are kept for, and where no other run is under way.
// Those that say that an image differs from what was saved stay: plans go by them.
func (s *Store) DropReadings(ctx context.Context) error {
	const unneeded = `SELECT id FROM datasets WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.dataset = datasets.id AND (kind = 'export' OR ended_at IS NULL))`
	var any bool
	err := s.reader.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM readings WHERE NOT differs)`).Scan(&any)
	if err != nil || !any {
		return describe("forget what was read", err)
	}
	return s.update(ctx, "forget what was read", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM readings WHERE NOT differs AND image IN (SELECT ref FROM images WHERE dataset IN (`+unneeded+`))`)
		return err
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
			CASE WHEN`+stillTrue+`THEN read_at END
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

// ForgetReadings drops what was read of a dataset's images at a time.
func (s *Store) ForgetReadings(ctx context.Context, d Dataset, at time.Time) error {
	return s.update(ctx, "forget what was read", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM readings WHERE read_at = ? AND image IN (SELECT ref FROM images WHERE dataset = ?)`, at.UnixMilli(), d.Ref)
		return err
	})
}
