package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// UploadState is how far a file is on its way to the service.
type UploadState string

// The states of an upload, in their order; the last three end it.
const (
	UploadPlanned     UploadState = "planned"
	UploadOpen        UploadState = "open"        // where to put it is asked for
	UploadPut         UploadState = "put"         // its bytes are at the storage
	UploadRegistering UploadState = "registering" // it may be an image of the dataset
	UploadDone        UploadState = "done"
	UploadThere       UploadState = "there" // the dataset had the image when it was to be registered
	UploadFailed      UploadState = "failed"
)

// Upload is an image file that a run brings to the service.
type Upload struct {
	ID            int64
	Item          int64  // the item's number in the run; 0 where no label names the image
	Path          string // directory and name that are asked for, as "val/a.jpg"
	File          string // where it lies
	Stamp         string // another where its content may be another
	Size          int64  // bytes
	ContentType   string
	Width, Height int   // pixels, 0 = unknown
	Near          int64 // Image.Ref of an image that it may be; 0 is none

	State   UploadState
	SHA256  Hash   // of the bytes that were put; before that, what it is to be where the source says it
	Stored  string // the path that the service gave it, "" where it is not known
	ImageID string // of one that is planned: of the image that it is, unless that is another's
	Error   string
}

const uploadColumns = `id, item, path, file, stamp, size, content_type, width, height, near, state, sha256, stored, image_id, error`

func scanUpload(row interface{ Scan(...any) error }) (u Upload, err error) {
	var sha []byte
	err = row.Scan(&u.ID, &u.Item, &u.Path, &u.File, &u.Stamp, &u.Size, &u.ContentType, &u.Width, &u.Height, &u.Near, &u.State, &sha, &u.Stored, &u.ImageID, &u.Error)
	copy(u.SHA256[:], sha)
	return u, err
}

// addUploads records the files that items of a chunk are to be uploaded from. Of two that
// would have one path neither is, nor of two items that one file was found for: nothing tells
// which is meant.
func addUploads(ctx context.Context, tx *sql.Tx, span itemSpan, run string, uploads []Upload, items []Item) error {
	for _, u := range uploads {
		var other Upload
		// A file with another name than the image is not found by that: it is a content that has
		// its checksum for a name, say, which several images may share.
		named := u.File
		if filepath.Base(u.File) != path.Base(u.Path) {
			named = ""
		}
		err := tx.QueryRowContext(ctx, `SELECT id, item, file, path FROM uploads WHERE run = ?1 AND path = ?2 UNION ALL SELECT id, item, file, path FROM uploads WHERE run = ?1 AND file = ?3 LIMIT 1`, run, u.Path, named).Scan(&other.ID, &other.Item, &other.File, &other.Path)
		switch {
		case err == nil:
			if err := refuseSecondFile(ctx, tx, span, u, other, items); err != nil {
				return err
			}
			continue
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		// What a process put that was killed before it registered it need not be put again.
		done, err := tx.ExecContext(ctx, `UPDATE uploads SET run = ?1, item = ?2, file = ?3, near = ?4 WHERE state = 'put' AND dataset = (SELECT dataset FROM runs WHERE id = ?1 AND kind = 'sync') AND path = ?5 AND file = ?3 AND stamp = ?6 AND size = ?7`,
			run, u.Item, u.File, u.Near, u.Path, u.Stamp, u.Size)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n > 0 {
			if err != nil {
				return err
			}
			continue
		}
		sum := []byte{}
		if u.SHA256 != (Hash{}) {
			sum = u.SHA256[:]
		}
		state := UploadPlanned
		if u.Error != "" {
			state = UploadFailed
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO uploads (dataset, run, item, path, file, stamp, size, content_type, width, height, near, state, sha256, image_id, error) VALUES ((SELECT dataset FROM runs WHERE id = ?1), ?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, x''), ?, ?)`,
			run, u.Item, u.Path, u.File, u.Stamp, u.Size, u.ContentType, u.Width, u.Height, u.Near, state, sum, u.ImageID, u.Error); err != nil {
			return err
		}
	}
	return nil
}

// refuseSecondFile fails the items of two files for one path.
func refuseSecondFile(ctx context.Context, tx *sql.Tx, span itemSpan, u, other Upload, items []Item) error {
	if u.File == other.File && u.Item == 0 {
		return nil // a label names it already
	}
	reason := fmt.Sprintf("two images of the source would be uploaded as %s; rename one, or leave one out with --exclude", u.Path)
	if u.Path != other.Path {
		reason = fmt.Sprintf("one file, %s, is all there is for %s and %s; put each image's own where its label says", u.File, u.Path, other.Path)
	}
	for _, seq := range []int64{u.Item, other.Item} {
		i := slices.IndexFunc(items, func(i Item) bool { return seq > 0 && i.Seq == seq })
		if i >= 0 {
			items[i].Plan, items[i].Outcome, items[i].Reason = PlanAmbiguous, ItemFailed, reason
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE items SET plan = ?, outcome = ?, reason = ? WHERE item = ?`, PlanAmbiguous, ItemFailed, reason, span.of(seq)); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE uploads SET state = 'failed', error = ? WHERE id = ?`, reason, other.ID)
	return err
}

// SettleUploads says of what was on its way when a process ended what the listing, which
// was made since, tells of it: an image that was being registered and is listed is done;
// what was put is put, unless that is longer ago than keep; what was not is forgotten.
func (s *Store) SettleUploads(ctx context.Context, d Dataset, now time.Time, keep time.Duration) error {
	return s.update(ctx, "settle the uploads in flight", func(ctx context.Context, tx *sql.Tx) error {
		// An image at the path of one that was being registered is that, unless it is of another
		// size: then somebody else took the path.
		const at = `SELECT image_id FROM image_paths AS known JOIN images USING (ref) WHERE known.dataset = ?1 AND known.path = `
		const same = ` AND (images.width = 0 OR uploads.width = 0 OR images.width = uploads.width AND images.height = uploads.height)
			AND (content_type = 'image/heic' OR meta = '' OR coalesce(json_extract(meta, '$.file_size'), 0) IN (0, uploads.size))`
		for _, step := range []struct {
			statement string
			args      []any
		}{
			{`UPDATE uploads SET state = 'done', stored = path, image_id = (` + at + `uploads.path` + same + `) WHERE dataset = ?1 AND state = 'registering' AND EXISTS (` + at + `uploads.path` + same + `)`, []any{d.Ref}},
			{`UPDATE uploads SET state = 'done', image_id = (` + at + `uploads.stored` + same + `) WHERE dataset = ?1 AND state = 'registering' AND EXISTS (` + at + `uploads.stored` + same + `)`, []any{d.Ref}},
			{`DELETE FROM uploads WHERE dataset = ?1 AND (state = 'open' OR state IN ('put', 'registering') AND (put_at IS NULL OR put_at < ?2 OR put_at > ?3))`, []any{d.Ref, now.Add(-keep).UnixMilli(), now.UnixMilli()}},
			{`UPDATE uploads SET state = 'put', run = '', item = 0 WHERE dataset = ?1 AND state IN ('put', 'registering')`, []any{d.Ref}},
		} {
			if _, err := tx.ExecContext(ctx, step.statement, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// UploadedAs says, of paths that files were uploaded under, which images the service made of
// them, and how many bytes each file had.
func (s *Store) UploadedAs(ctx context.Context, d Dataset, paths []string) (map[string]Upload, error) {
	uploads, err := s.uploads(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE id IN (SELECT uploads.id FROM json_each(?2) AS wanted CROSS JOIN uploads ON uploads.dataset = ?1 AND uploads.path = wanted.value) AND state IN ('done', 'there') ORDER BY id`, d.Ref, jsonList(paths))
	as := make(map[string]Upload, len(uploads))
	for _, u := range uploads {
		as[u.Path] = u
	}
	return as, err
}

// TakenPaths are those of some paths that images of the dataset have.
func (s *Store) TakenPaths(ctx context.Context, d Dataset, paths []string) (taken []string, err error) {
	images, err := s.ImagesByPath(ctx, d, paths)
	for _, i := range images {
		taken = append(taken, i.Path)
	}
	return taken, err
}

// HoldUploads fails to upload, of what a run plans, the files that may be images that the
// dataset has and that neither an item of the run names nor a file is at its very path, which
// are claimed: nothing says that they are others. Those that are these images are there already.
func (s *Store) HoldUploads(ctx context.Context, run string, claimed []int64) error {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return err
	}
	return s.update(ctx, "hold the uploads against the dataset", func(ctx context.Context, tx *sql.Tx) error {
		const (
			held = ` WHERE uploads.run = ?1 AND near > 0 AND state IN ('planned', 'put') AND near NOT IN (SELECT value FROM json_each(?4))
				AND NOT EXISTS (SELECT 1 FROM items INDEXED BY items_image WHERE items.run = ?2 AND image_ref = near AND image_ref > 0)`
			why = `'it was not uploaded, since the dataset has ' || (SELECT images.path FROM images WHERE ref = near) || ', which may be it; give it that name, take it for it with --match name or --rename, or tell them apart with --match exact'`
		)
		args := []any{run, span.run, span.first, jsonList(claimed)}
		if _, err := tx.ExecContext(ctx, `UPDATE items SET plan = 'unmatched', outcome = 'unmatched', path = '',
			reason = (SELECT `+why+` FROM uploads WHERE uploads.run = ?1 AND uploads.item = items.item - ?3)
			WHERE item IN (SELECT ?3 + uploads.item FROM uploads`+held+` AND uploads.item > 0)`, args...); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM uploads` + held + ` AND (uploads.item > 0 OR image_id <> '')`,
			`UPDATE uploads SET state = 'failed', error = ` + why + held,
			`UPDATE uploads SET image_id = '' WHERE run = ?1 AND state IN ('planned', 'put')`,
		} {
			if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// ClaimImages says which images are those of files without labels that lie at their very paths:
// no item whose path fits less closely is for one of them.
func (s *Store) ClaimImages(ctx context.Context, run string, claimed []int64, closeness int) error {
	span, err := s.itemsOf(ctx, run)
	if err != nil || len(claimed) == 0 {
		return err
	}
	return s.update(ctx, "hold the plan against the files of the source", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE items SET plan = 'ambiguous', outcome = 'failed', reason = 'the source has a file of its own, without a label, for ' || path || ' of the dataset, and no image of the dataset fits this one'
			WHERE item BETWEEN ?1 AND ?2 AND outcome = 'pending' AND pruned = 0 AND closeness < ?3 AND image_ref IN (SELECT value FROM json_each(?4))`, span.first, span.last, closeness, jsonList(claimed))
		return err
	})
}

// Displaced are the items of a run whose image is closer to another one, or claimed, in the order
// of the plan: each may be an image of its own.
func (s *Store) Displaced(ctx context.Context, run string, claimed []int64) ([]Item, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	return s.items(ctx, span, `item BETWEEN ?1 AND ?2 AND plan = 'ambiguous' AND image_ref > 0
		AND (image_ref IN (SELECT value FROM json_each(?3))
			OR EXISTS (SELECT 1 FROM items AS closer INDEXED BY items_image WHERE closer.run = items.run AND closer.image_ref = items.image_ref AND closer.image_ref > 0 AND closer.closeness > items.closeness)) ORDER BY item`, span.first, span.last, jsonList(claimed))
}

// UploadDisplaced plans the upload of an item's own image, which it shares with no other.
func (s *Store) UploadDisplaced(ctx context.Context, run string, i Item, u Upload) error {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return err
	}
	return s.update(ctx, "plan an upload", func(ctx context.Context, tx *sql.Tx) error {
		items := []Item{i}
		if err := addUploads(ctx, tx, span, run, []Upload{u}, items); err != nil {
			return err
		}
		i = items[0]
		_, err := tx.ExecContext(ctx, `UPDATE items SET plan = ?, outcome = ?, reason = ?, path = ?, image_ref = 0, image_id = '', hash = ?, count = ?, listed_count = 0, bytes = ?, kept = 0, labels = ?, left_out = ? WHERE item = ?`,
			i.Plan, i.Outcome, i.Reason, i.Path, i.Hash[:], i.Count, i.Bytes, i.Labels, i.LeftOut, span.of(i.Seq))
		return err
	})
}

// AddUploads plans the upload of files that no label names.
func (s *Store) AddUploads(ctx context.Context, run string, uploads []Upload) error {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return err
	}
	return s.update(ctx, "plan uploads", func(ctx context.Context, tx *sql.Tx) error {
		return addUploads(ctx, tx, span, run, uploads, nil)
	})
}

// NextUploads lists what a run has yet to bring, in the order of the plan, after a number.
func (s *Store) NextUploads(ctx context.Context, run string, after int64, limit int) ([]Upload, error) {
	return s.uploads(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE run = ? AND state IN ('planned', 'put') AND id > ? ORDER BY id LIMIT ?`, run, after, limit)
}

func (s *Store) uploads(ctx context.Context, query string, args ...any) ([]Upload, error) {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, describe("list uploads", err)
	}
	defer rows.Close()
	var uploads []Upload
	for rows.Next() {
		u, err := scanUpload(rows)
		if err != nil {
			return nil, describe("list uploads", err)
		}
		uploads = append(uploads, u)
	}
	return uploads, describe("list uploads", rows.Err())
}

// OpenUploads commits a batch before it is asked where to put it. It is on the disk then.
func (s *Store) OpenUploads(ctx context.Context, uploads []Upload) error {
	return s.updateOnDisk(ctx, "commit a batch of uploads", func(ctx context.Context, tx *sql.Tx) error {
		for _, u := range uploads {
			if u.State == UploadPut {
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE uploads SET state = 'open' WHERE id = ?`, u.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutUploads records that the bytes of files are at the storage, with their checksums.
func (s *Store) PutUploads(ctx context.Context, uploads []Upload, now time.Time) error {
	return s.update(ctx, "record uploads", func(ctx context.Context, tx *sql.Tx) error {
		for _, u := range uploads {
			if _, err := tx.ExecContext(ctx, `UPDATE uploads SET state = 'put', sha256 = ?, stored = ?, put_at = ? WHERE id = ?`, u.SHA256[:], u.Stored, now.UnixMilli(), u.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// RegisterUploads commits that a batch is about to be registered. It is on the disk then.
func (s *Store) RegisterUploads(ctx context.Context, uploads []Upload) error {
	return s.updateOnDisk(ctx, "commit a registration", func(ctx context.Context, tx *sql.Tx) error {
		for _, u := range uploads {
			if _, err := tx.ExecContext(ctx, `UPDATE uploads SET state = 'registering' WHERE id = ?`, u.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// UploadEnd is what became of an upload: an image, with the state UploadDone or UploadThere,
// or a failure.
type UploadEnd struct {
	Upload
	Image Image
}

// EndUploads commits what became of uploads, and with it the images and what it means for
// the items of the run. The caller holds LockListing. An image that another file was made into
// is not taken for a second one.
func (s *Store) EndUploads(ctx context.Context, d Dataset, run string, ends []UploadEnd) ([]UploadEnd, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	ends = slices.Clone(ends)
	err = s.update(ctx, "record uploaded images", func(ctx context.Context, tx *sql.Tx) error {
		if err := refuseTaken(ctx, tx, d, ends); err != nil {
			return err
		}
		if err := listUploaded(ctx, tx, d, ends); err != nil {
			return err
		}
		for _, e := range ends {
			if _, err := tx.ExecContext(ctx, `UPDATE uploads SET state = ?, stored = ?, image_id = ?, error = ? WHERE id = ?`, e.State, e.Image.Path, e.Image.ID, e.Error, e.ID); err != nil {
				return err
			}
			if e.Item == 0 {
				continue
			}
			var err error
			if e.State == UploadFailed {
				_, err = tx.ExecContext(ctx, `UPDATE items SET outcome = ?, reason = ? WHERE item = ?`, ItemFailed, e.Error, span.of(e.Item))
			} else {
				_, err = tx.ExecContext(ctx, `UPDATE items SET image_id = ?1, path = ?2, image_ref = (SELECT ref FROM image_ids WHERE dataset = ?3 AND image_id = ?1),
					plan = iif(count = 0, 'unchanged', 'new'), outcome = iif(count = 0, 'unchanged', 'pending'), reason = '', listed_count = 0 WHERE item = ?4`, e.Image.ID, e.Image.Path, d.Ref, span.of(e.Item))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return ends, err
}

// refuseTaken fails the uploads whose image is that of another file.
func refuseTaken(ctx context.Context, tx *sql.Tx, d Dataset, ends []UploadEnd) error {
	taken := make(map[string]string)
	for n := range ends {
		e := &ends[n]
		if e.State == UploadFailed {
			continue
		}
		other, there := taken[e.Image.ID]
		if !there {
			err := tx.QueryRowContext(ctx, `SELECT path FROM uploads WHERE dataset = ? AND image_id = ? AND path <> ? AND state IN ('done', 'there')`, d.Ref, e.Image.ID, e.Path).Scan(&other)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		if other != "" {
			e.State, e.Error, e.Image = UploadFailed, fmt.Sprintf("the service calls it %s, and has that of %s already; rename one of the two", e.Image.Path, other), Image{}
			continue
		}
		taken[e.Image.ID] = e.Path
	}
	return nil
}

// listUploaded adds images to those that were listed, and makes them be found.
func listUploaded(ctx context.Context, tx *sql.Tx, d Dataset, ends []UploadEnd) error {
	highest, err := highestNumber(ctx, tx, "images")
	if err != nil {
		return err
	}
	before := highest
	insert := inserter{tx: tx, into: `INSERT INTO images (ref, dataset, image_id, path, stem, width, height, annotation_count)`}
	for _, e := range ends {
		if e.State == UploadFailed {
			continue
		}
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM image_ids WHERE dataset = ? AND image_id = ?`, d.Ref, e.Image.ID).Scan(&known); err != nil {
			return err
		}
		if known > 0 {
			continue
		}
		highest++
		if err := insert.add(ctx, highest, d.Ref, e.Image.ID, e.Image.Path, Stem(e.Image.Path), e.Image.Width, e.Image.Height, e.Image.AnnotationCount); err != nil {
			return err
		}
	}
	if err := insert.flush(ctx); err != nil || highest == before {
		return err
	}
	l := Listing{dataset: d.Ref}
	if err := l.index(ctx, tx); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE datasets SET found_to = ? WHERE id = ?`, highest, d.Ref)
	return err
}

// UploadTotals are the files that a run brings, by how far they are.
type UploadTotals struct {
	Planned      int   `json:"planned,omitempty"` // to be brought yet
	PlannedBytes int64 `json:"planned_bytes,omitempty"`
	Put          int   `json:"put,omitempty"` // of these, those whose bytes are at the storage
	Done         int   `json:"done,omitempty"`
	DoneBytes    int64 `json:"done_bytes,omitempty"`
	There        int   `json:"there,omitempty"` // the dataset had them when they were to be registered
	Failed       int   `json:"failed,omitempty"`
	Renamed      int   `json:"renamed,omitempty"` // of those done, the ones that the service gave another path
	Unlabelled   int   `json:"unlabelled,omitempty"`
}

// UploadTotals sums up the files that a run brings.
func (s *Store) UploadTotals(ctx context.Context, run string) (t UploadTotals, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE waits), coalesce(sum(size) FILTER (WHERE waits), 0), count(*) FILTER (WHERE state IN ('put', 'registering')),
			count(*) FILTER (WHERE state = 'done'), coalesce(sum(size) FILTER (WHERE state = 'done'), 0), count(*) FILTER (WHERE state = 'there'), count(*) FILTER (WHERE state = 'failed'),
			count(*) FILTER (WHERE state = 'done' AND stored <> path), count(*) FILTER (WHERE item = 0 AND state <> 'failed')
		FROM (SELECT *, state IN ('planned', 'open', 'put', 'registering') AS waits FROM uploads WHERE run = ?)`, run).
		Scan(&t.Planned, &t.PlannedBytes, &t.Put, &t.Done, &t.DoneBytes, &t.There, &t.Failed, &t.Renamed, &t.Unlabelled)
	return t, describe("sum up the uploads", err)
}

// UploadedItems are the items of a run, by number, whose images it uploaded.
func (s *Store) UploadedItems(ctx context.Context, run string) (map[int64]bool, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT item FROM uploads WHERE run = ? AND item > 0 AND state = 'done'`, run)
	if err != nil {
		return nil, describe("list uploads", err)
	}
	defer rows.Close()
	items := make(map[int64]bool)
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, describe("list uploads", err)
		}
		items[seq] = true
	}
	return items, describe("list uploads", rows.Err())
}

// Uploads yields what a run brought or meant to bring; states narrow it down.
func (s *Store) Uploads(ctx context.Context, run string, states ...UploadState) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		const page = 1000
		names := make([]string, len(states))
		for n, state := range states {
			names[n] = string(state)
		}
		for after := int64(0); ; {
			uploads, err := s.uploads(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE run = ?1 AND id > ?2 AND (?3 = '' OR instr(' ' || ?3 || ' ', ' ' || state || ' ') > 0) ORDER BY id LIMIT ?4`, run, after, strings.Join(names, " "), page)
			if err != nil {
				yield(Upload{}, err)
				return
			}
			for _, u := range uploads {
				if !yield(u, nil) {
					return
				}
				after = u.ID
			}
			if len(uploads) < page {
				return
			}
		}
	}
}
