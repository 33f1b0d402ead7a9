package store

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"
)

// Listing is one pass over a dataset's images. Images it did not show are
// forgotten when it ends. It is used by one goroutine.
//
// A service lists its images in the same order every time, but for a few that
// came or went. So a page is compared with the images that are next in the order
// of their numbers, which lie side by side, and where all are as they were
// nothing is written: an unchanged dataset is read through once. Behind the last
// image that was known there is nothing to compare with, and pages are recorded
// beside the listing: those that come meanwhile go into one transaction.
//
// What images are found by is in no order, so that to put each where it is found would
// write the whole of that again with every few pages: new images are put there at the
// end, sorted. Until then nothing finds them, and one that is shown twice is there
// twice.
type Listing struct {
	store   *Store
	dataset int64
	answers int64        // to batches, as many as there were when it began
	newest  int64        // number of the last image that was known before
	last    atomic.Int64 // and of the last of these that was shown

	beside *recorder // nil where nothing is recorded beside the listing; who runs it has seen
	seen   Refs
}

// recorder records pages beside the listing.
type recorder struct {
	pages chan []Image
	ended chan struct{} // closed when no more are recorded
	err   error         // why, once it is
}

// waitingPages is how many pages may wait to be recorded, some megabytes.
const waitingPages = 20

// StartListing begins a listing. The caller holds LockListing where other processes may be
// at work.
func (s *Store) StartListing(ctx context.Context, d Dataset) (*Listing, error) {
	l := &Listing{store: s, dataset: d.Ref}
	var first, foundTo int64
	err := s.reader.QueryRowContext(ctx, `SELECT coalesce((SELECT min(ref) FROM images WHERE dataset = ?1), 1), coalesce((SELECT max(ref) FROM images WHERE dataset = ?1), 0), found_to, answers
		FROM datasets WHERE id = ?1`, d.Ref).Scan(&first, &l.newest, &foundTo, &l.answers)
	if err != nil {
		return nil, describe("begin the listing", err)
	}
	l.last.Store(first - 1)
	if foundTo < l.newest {
		err = l.goOn(ctx)
	}
	return l, err
}

// goOn takes over the images of a listing that did not come to its end: an image that it
// shows twice is there once before it is compared with anything.
func (l *Listing) goOn(ctx context.Context) error {
	return l.store.update(ctx, "go on with the listing before", func(uninterrupted context.Context, tx *sql.Tx) error {
		if err := l.index(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(uninterrupted, `UPDATE datasets SET found_to = ? WHERE id = ?`, l.newest, l.dataset)
		return err
	})
}

// index makes new images be found. Of those that were shown twice the first goes: what
// was shown last is true. It can be interrupted, being long where millions are new.
func (l *Listing) index(ctx context.Context, tx *sql.Tx) error {
	if err := l.indexIDs(ctx, tx); err != nil {
		return err
	}
	for _, insert := range []string{`image_paths (dataset, path, ref) SELECT dataset, path, ref`, `image_stems (dataset, stem, ref) SELECT dataset, stem, ref`} {
		if _, err := tx.ExecContext(ctx, `INSERT INTO `+insert+fresh+` ORDER BY 2, 3`, l.dataset); err != nil {
			return err
		}
	}
	return nil
}

// fresh are the images of a dataset that are not found yet.
const fresh = ` FROM images WHERE dataset = ?1 AND ref > (SELECT found_to FROM datasets WHERE id = ?1)`

func (l *Listing) indexIDs(ctx context.Context, tx *sql.Tx) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO image_ids (dataset, image_id, ref) SELECT dataset, image_id, ref`+fresh+` ORDER BY 2, 3 DESC ON CONFLICT DO NOTHING`, l.dataset)
	if err != nil {
		return err
	}
	put, err := result.RowsAffected()
	if err != nil {
		return err
	}
	var shown int64
	if err := tx.QueryRowContext(ctx, `SELECT count(*)`+fresh, l.dataset).Scan(&shown); err != nil || shown == put {
		return err
	}
	twice, err := tx.QueryContext(ctx, `DELETE`+fresh+` AND ref <> (SELECT ref FROM image_ids AS known WHERE known.dataset = ?1 AND known.image_id = images.image_id) RETURNING ref`, l.dataset)
	if err != nil {
		return err
	}
	defer twice.Close()
	for twice.Next() {
		var ref int64
		if err := twice.Scan(&ref); err != nil {
			return err
		}
		l.seen.remove(ref)
	}
	return twice.Err()
}

// listedImage is an image as the listing before showed it.
type listedImage struct {
	ref   int64
	image Image
}

// shows reports whether a listing says nothing new of the image.
func (l listedImage) shows(i Image) bool {
	was := l.image
	return was.Path == i.Path && was.Width == i.Width && was.Height == i.Height && was.AnnotationCount == i.AnnotationCount && was.Reviewed == i.Reviewed &&
		(len(i.Meta) == 0 || string(was.Meta) == string(i.Meta))
}

const (
	listedColumns = `images.ref, image_id, path, width, height, ` + annotationsNow + `, meta, reviewed`
	knownListed   = `SELECT ` + listedColumns + ` FROM images` + withSaves + `WHERE images.ref = (SELECT ref FROM image_ids WHERE dataset = ? AND image_id = ?)`
	nextListed    = `SELECT ` + listedColumns + ` FROM images` + withSaves + `WHERE dataset = ? AND images.ref > ? AND images.ref <= ? ORDER BY images.ref LIMIT ?`
)

func scanListed(row interface{ Scan(...any) error }) (l listedImage, err error) {
	var meta string
	err = row.Scan(&l.ref, &l.image.ID, &l.image.Path, &l.image.Width, &l.image.Height, &l.image.AnnotationCount, &meta, &l.image.Reviewed)
	l.image.Meta = []byte(meta)
	return l, err
}

// expected are the images that a page most likely shows, by id.
func (l *Listing) expected(ctx context.Context, n int) (map[string]listedImage, error) {
	rows, err := l.store.reader.QueryContext(ctx, nextListed, l.dataset, l.last.Load(), l.newest, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	next := make(map[string]listedImage, n)
	for rows.Next() {
		i, err := scanListed(rows)
		if err != nil {
			return nil, err
		}
		next[i.image.ID] = i
	}
	return next, rows.Err()
}

// Add records a page of the listing, or begins to.
func (l *Listing) Add(ctx context.Context, images []Image) error {
	if l.last.Load() >= l.newest {
		return l.addBeside(ctx, images)
	}
	if err := l.catchUp(); err != nil {
		return err
	}
	expected, err := l.expected(ctx, len(images))
	if err != nil {
		return describe("compare a page of the listing", err)
	}
	var other []Image
	for _, i := range images {
		was, known := expected[i.ID]
		if !known || !was.shows(i) {
			other = append(other, i)
			continue
		}
		l.seen.Add(was.ref)
		l.last.Store(was.ref)
	}
	if len(other) == 0 {
		return nil
	}
	return l.record(ctx, other)
}

// addBeside records a page beside the listing.
func (l *Listing) addBeside(ctx context.Context, images []Image) error {
	if l.beside == nil {
		l.beside = &recorder{pages: make(chan []Image, waitingPages), ended: make(chan struct{})}
		go l.recordBeside(ctx, l.beside)
	}
	select {
	case l.beside.pages <- images:
		return nil
	case <-l.beside.ended:
		return l.beside.err
	}
}

// recordBeside records pages until there are no more: those together that have come
// meanwhile.
func (l *Listing) recordBeside(ctx context.Context, r *recorder) {
	defer close(r.ended)
	for images := range r.pages {
		for range len(r.pages) {
			images = append(images, <-r.pages...)
		}
		if r.err = l.record(ctx, images); r.err != nil {
			return
		}
	}
}

// catchUp returns when nothing waits to be recorded.
func (l *Listing) catchUp() error {
	r := l.beside
	if r == nil {
		return nil
	}
	l.beside = nil
	close(r.pages)
	<-r.ended
	return r.err
}

// record records images that are new, that have changed or that the listing shows
// elsewhere than before.
func (l *Listing) record(ctx context.Context, images []Image) error {
	return l.store.update(ctx, "record a page of the listing", func(ctx context.Context, tx *sql.Tx) error {
		highest, err := highestNumber(ctx, tx, "images")
		if err != nil {
			return err
		}
		insert := inserter{tx: tx, into: `INSERT INTO images (ref, dataset, image_id, path, stem, width, height, annotation_count, meta, reviewed)`}
		for _, i := range images {
			was, known, err := l.known(ctx, tx, i.ID)
			if err != nil {
				return err
			}
			if !known {
				highest++
				if err := insert.add(ctx, highest, l.dataset, i.ID, i.Path, Stem(i.Path), i.Width, i.Height, i.AnnotationCount, string(i.Meta), i.Reviewed); err != nil {
					return err
				}
				l.seen.Add(highest)
				continue
			}
			l.seen.Add(was.ref)
			l.last.Store(was.ref)
			if was.shows(i) {
				continue
			}
			if err := l.change(ctx, tx, was, i); err != nil {
				return err
			}
		}
		return insert.flush(ctx)
	})
}

// known is an image as the listing before showed it.
func (l *Listing) known(ctx context.Context, tx *sql.Tx, id string) (was listedImage, known bool, err error) {
	if l.newest == 0 {
		return was, false, nil
	}
	was, err = scanListed(tx.QueryRowContext(ctx, knownListed, l.dataset, id))
	if errors.Is(err, sql.ErrNoRows) {
		return was, false, nil
	}
	return was, err == nil, err
}

// change records a known image that the listing shows otherwise than the one before.
func (l *Listing) change(ctx context.Context, tx *sql.Tx, was listedImage, i Image) error {
	if was.image.Path != i.Path {
		if err := l.move(ctx, tx, was, i.Path); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE images SET path = ?, stem = ?, width = ?, height = ?, annotation_count = ?, meta = CASE ?6 WHEN '' THEN meta ELSE ?6 END, reviewed = ?8 WHERE ref = ?7`,
		i.Path, Stem(i.Path), i.Width, i.Height, i.AnnotationCount, string(i.Meta), was.ref, i.Reviewed); err != nil {
		return err
	}
	if was.image.AnnotationCount == i.AnnotationCount {
		return nil
	}
	// What another process saved since the listing began is newer than what it shows.
	_, err := tx.ExecContext(ctx, `UPDATE saves SET stands = 0 WHERE image = ? AND stands AND answer <= ?`, was.ref, l.answers)
	return err
}

// move makes a known image be found by another path.
func (l *Listing) move(ctx context.Context, tx *sql.Tx, was listedImage, path string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE image_paths SET path = ? WHERE dataset = ? AND path = ? AND ref = ?`, path, l.dataset, was.image.Path, was.ref); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE image_stems SET stem = ? WHERE dataset = ? AND stem = ? AND ref = ?`, Stem(path), l.dataset, Stem(was.image.Path), was.ref)
	return err
}

// Close returns when nothing is recorded any more. A listing that is closed before its
// end forgets nothing.
func (l *Listing) Close() { l.catchUp() }

// End returns how many images the listing showed, one that it showed twice counted once, and
// forgets the others, where these are as many as are expected at least.
func (l *Listing) End(ctx context.Context, now time.Time, expected int) (shown int, err error) {
	if err := l.catchUp(); err != nil {
		return 0, err
	}
	err = l.store.update(ctx, "end the listing", func(uninterrupted context.Context, tx *sql.Tx) error {
		if err := l.index(ctx, tx); err != nil {
			return err
		}
		ctx = uninterrupted
		whole := l.seen.Len() >= expected
		var there int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM image_ids WHERE dataset = ?`, l.dataset).Scan(&there); err != nil {
			return err
		}
		if there > l.seen.Len() && whole {
			if err := l.forget(ctx, tx); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE datasets SET listed_at = ?, found_to = max(iif(?4, 0, found_to), ?2) WHERE id = ?3`, now.UnixMilli(), l.seen.last(), l.dataset, whole)
		return err
	})
	return l.seen.Len(), err
}

const forgetPage = 10_000

func (l *Listing) forget(ctx context.Context, tx *sql.Tx) error {
	for last := int64(0); ; {
		refs, err := l.refsBehind(ctx, tx, last)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if l.seen.Has(ref) {
				continue
			}
			for _, forget := range []string{
				`DELETE FROM image_ids WHERE (dataset, image_id) = (SELECT dataset, image_id FROM images WHERE ref = ?)`,
				`DELETE FROM image_paths WHERE (dataset, path, ref) = (SELECT dataset, path, ref FROM images WHERE ref = ?)`,
				`DELETE FROM image_stems WHERE (dataset, stem, ref) = (SELECT dataset, stem, ref FROM images WHERE ref = ?)`,
				`DELETE FROM images WHERE ref = ?`,
			} {
				if _, err := tx.ExecContext(ctx, forget, ref); err != nil {
					return err
				}
			}
		}
		if len(refs) < forgetPage {
			return nil
		}
		last = refs[len(refs)-1]
	}
}

func (l *Listing) refsBehind(ctx context.Context, tx *sql.Tx, last int64) (refs []int64, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT ref FROM images WHERE dataset = ? AND ref > ? ORDER BY ref LIMIT ?`, l.dataset, last, forgetPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var ref int64
		if err := rows.Scan(&ref); err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, rows.Err()
}
