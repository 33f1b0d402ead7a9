package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"
)

// Dataset is a dataset the state knows.
type Dataset struct {
	Ref     int64  // the state's own number
	Service string // base URL, or "sandbox"
	ID      string // the service's id
	Name    string
}

// Image is an image of a dataset: what the last listing showed, and what was
// last saved from here.
type Image struct {
	Ref             int64 // the state's own number
	ID              string
	Path            string // "dir/a.jpg"
	Width, Height   int    // pixels, 0 = unknown
	AnnotationCount int
	// Meta is the listing's entry as an export keeps it, JSON; only listings for
	// exports and uploads set it. Look-ups leave it out, but for the size of the file.
	Meta     []byte
	FileSize int64 // bytes, 0 = unknown
	// Saved is nil for an image that was never saved from this state, or whose
	// record did not pass its check.
	Saved *Saved
	// Source is the source of what was saved, as SetSource numbers it; 0 is none.
	Source int64
	// Reviewed says that its stage is review or complete.
	Reviewed bool
}

// Saved is the last save on an image.
type Saved struct {
	Hash  Hash
	Count int
	Run   string
	At    time.Time
	// Prints are checksums of the annotations; nil where an earlier version saved them.
	Prints []byte
}

// Hash is the SHA-256 of an image's canonical annotations.
type Hash [sha256.Size]byte

// PutDataset finds or adds a dataset. A dataset that was renamed keeps its
// record.
func (s *Store) PutDataset(ctx context.Context, service, id, name string) (Dataset, error) {
	d := Dataset{Service: service, ID: id, Name: name}
	err := s.update(ctx, "record the dataset "+name, func(ctx context.Context, tx *sql.Tx) error {
		// One that was to be made is this one, unless this one is known.
		if _, err := tx.ExecContext(ctx, `UPDATE OR IGNORE datasets SET dataset_id = ? WHERE service = ? AND dataset_id = ?`, id, service, Unmade(name)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO datasets (service, dataset_id, name) VALUES (?, ?, ?)
			ON CONFLICT (service, dataset_id) DO UPDATE SET name = excluded.name RETURNING id`,
			service, id, name).Scan(&d.Ref)
	})
	return d, err
}

// KnowsDataset reports whether a dataset of a name was worked with, and is not yet to be made.
func (s *Store) KnowsDataset(ctx context.Context, service, name string) (known bool, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM datasets WHERE service = ? AND name = ? AND dataset_id <> ?)`, service, name, Unmade(name)).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look up the dataset %s: %w", name, explain(err))
	}
	return known, nil
}

// Unmade stands for the id of a dataset that is to be made.
func Unmade(name string) string { return "unmade:" + name }

// Stem is a path's file name without its extension.
func Stem(p string) string {
	name := path.Base(p)
	return strings.TrimSuffix(name, path.Ext(name))
}

const (
	imageColumns = `images.ref, images.image_id, images.path, width, height, ` + annotationsNow + `, saved_hash, saved_count, saved_run, saved_sum, source, prints, reviewed, saved_at, iif(meta = '', 0, coalesce(json_extract(meta, '$.file_size'), 0))`
	withSaves    = ` LEFT JOIN saves ON saves.image = images.ref `
	// annotationsNow is how many annotations an image with its save has.
	annotationsNow = `iif(stands, saved_count, annotation_count)`
)

// CROSS JOIN keeps what is wanted before where it is found, and that before the
// images: without statistics SQLite's planner may scan the dataset.

// ImagesByID finds images of the dataset by the service's ids.
func (s *Store) ImagesByID(ctx context.Context, d Dataset, ids []string) ([]Image, error) {
	return s.images(ctx, `SELECT `+imageColumns+` FROM json_each(?2) AS wanted CROSS JOIN image_ids ON image_ids.dataset = ?1 AND image_ids.image_id = wanted.value
		CROSS JOIN images ON images.ref = image_ids.ref`+withSaves, d.Ref, jsonList(ids))
}

// ImagesByRef finds images by the state's own numbers, which are theirs until the
// dataset is listed again.
func (s *Store) ImagesByRef(ctx context.Context, refs []int64) ([]Image, error) {
	return s.images(ctx, `SELECT `+imageColumns+` FROM json_each(?) AS wanted CROSS JOIN images ON images.ref = wanted.value`+withSaves, jsonList(refs))
}

// ImagesByPath finds images by directory and file name.
func (s *Store) ImagesByPath(ctx context.Context, d Dataset, paths []string) ([]Image, error) {
	return s.images(ctx, `SELECT `+imageColumns+` FROM json_each(?2) AS wanted CROSS JOIN image_paths ON image_paths.dataset = ?1 AND image_paths.path = wanted.value
		CROSS JOIN images ON images.ref = image_paths.ref`+withSaves, d.Ref, jsonList(paths))
}

// ImagesByPathStem finds images by directory and file name without extension.
func (s *Store) ImagesByPathStem(ctx context.Context, d Dataset, p string) ([]Image, error) {
	// '/' is the character after '.', so the range holds exactly the paths
	// that continue p with a dot.
	return s.images(ctx, `SELECT `+imageColumns+` FROM image_paths CROSS JOIN images ON images.ref = image_paths.ref`+withSaves+`
		WHERE image_paths.dataset = ? AND image_paths.path > ? || '.' AND image_paths.path < ? || '/' AND stem = ? LIMIT 3`,
		d.Ref, p, p, path.Base(p))
}

// Name is an image of a dataset as it is found by name.
type Name struct {
	Ref  int64
	Path string
}

// Names yields the images of a dataset: where stems are given, those whose file names
// without extension are one of them.
func (s *Store) Names(ctx context.Context, d Dataset, stems ...string) iter.Seq2[Name, error] {
	if len(stems) == 0 {
		return s.names(ctx, `SELECT ref, path FROM image_paths WHERE dataset = ?`, d.Ref)
	}
	return s.names(ctx, `SELECT images.ref, images.path FROM json_each(?2) AS wanted CROSS JOIN image_stems ON image_stems.dataset = ?1 AND image_stems.stem = wanted.value
		CROSS JOIN images ON images.ref = image_stems.ref`, d.Ref, jsonList(stems))
}

// NamesWithout yields the images of a dataset that no item of a run names, in the order
// of their paths.
func (s *Store) NamesWithout(ctx context.Context, d Dataset, run string) iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		span, err := s.itemsOf(ctx, run)
		if err != nil {
			yield(Name{}, err)
			return
		}
		s.names(ctx, `SELECT ref, path FROM image_paths WHERE dataset = ?1
			AND NOT EXISTS (SELECT 1 FROM items INDEXED BY items_image WHERE run = ?2 AND image_ref = image_paths.ref AND image_ref > 0) ORDER BY path, ref`, d.Ref, span.run)(yield)
	}
}

func (s *Store) names(ctx context.Context, query string, args ...any) iter.Seq2[Name, error] {
	return func(yield func(Name, error) bool) {
		fail := func(err error) { yield(Name{}, fmt.Errorf("look up images: %w", explain(err))) }
		rows, err := s.reader.QueryContext(ctx, query, args...)
		if err != nil {
			fail(err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var n Name
			if err := rows.Scan(&n.Ref, &n.Path); err != nil {
				fail(err)
				return
			}
			if !yield(n, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			fail(err)
		}
	}
}

func (s *Store) images(ctx context.Context, query string, args ...any) ([]Image, error) {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("look up images: %w", explain(err))
	}
	defer rows.Close()
	var (
		images    []Image
		i         Image
		hash, sum []byte
		prints    []byte
		count     sql.NullInt64
		run       sql.NullString
		source    sql.NullInt64
		at        sql.NullInt64
	)
	for rows.Next() {
		i.Saved, prints = nil, nil
		if err := rows.Scan(&i.Ref, &i.ID, &i.Path, &i.Width, &i.Height, &i.AnnotationCount, &hash, &count, &run, &sum, &source, &prints, &i.Reviewed, &at, &i.FileSize); err != nil {
			return nil, fmt.Errorf("look up images: %w", err)
		}
		i.Source = source.Int64
		if len(hash) == len(Hash{}) {
			saved := Saved{Hash: Hash(hash), Count: int(count.Int64), Run: run.String, At: time.UnixMilli(at.Int64), Prints: prints}
			if string(savedSum(i.ID, saved)) == string(sum) {
				i.Saved = &saved
			}
		}
		images = append(images, i)
	}
	return images, rows.Err()
}

// jsonList is a list as json_each reads it. Invalid UTF-8 cannot be in a
// path of the service, so that its replacement finds nothing is right.
func jsonList[T string | int64](list []T) string {
	if list == nil {
		return "[]" // "null" is a list of one NULL to SQLite
	}
	data, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return string(data)
}

// savedSum guards a record of a save against a flipped bit: a record that
// fails it counts as never saved, which costs a save and loses nothing.
func savedSum(imageID string, s Saved) []byte {
	h := sha256.New()
	h.Write([]byte(imageID))
	h.Write(s.Hash[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(s.Count)))
	h.Write([]byte(s.Run))
	return h.Sum(nil)[:savedSumSize]
}

const savedSumSize = 8 // bytes
