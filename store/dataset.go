package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"strings"
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
	// exports set it. Look-ups leave it out.
	Meta []byte
	// Saved is nil for an image that was never saved from this state, or whose
	// record did not pass its check.
	Saved *Saved
	// Source is the source of what was saved, as Claim numbers it; 0 is none.
	Source int64
}

// Saved is the last save on an image.
type Saved struct {
	Hash  Hash
	Count int
	Run   string
}

// Hash is the SHA-256 of an image's canonical annotations.
type Hash [sha256.Size]byte

// PutDataset finds or adds a dataset. A dataset that was renamed keeps its
// record.
func (s *Store) PutDataset(ctx context.Context, service, id, name string) (Dataset, error) {
	d := Dataset{Service: service, ID: id, Name: name}
	err := s.update(ctx, "record the dataset "+name, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO datasets (service, dataset_id, name) VALUES (?, ?, ?)
			ON CONFLICT (service, dataset_id) DO UPDATE SET name = excluded.name RETURNING id`,
			service, id, name).Scan(&d.Ref)
	})
	return d, err
}

// Stem is a path's file name without its extension.
func Stem(p string) string {
	name := path.Base(p)
	return strings.TrimSuffix(name, path.Ext(name))
}

const (
	imageColumns = `images.ref, images.image_id, images.path, width, height, ` + annotationsNow + `, saved_hash, saved_count, saved_run, saved_sum, source`
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

// ImagesByName finds images by file name, in any directory.
func (s *Store) ImagesByName(ctx context.Context, d Dataset, name string) ([]Image, error) {
	return s.images(ctx, `SELECT `+imageColumns+` FROM image_stems CROSS JOIN images ON images.ref = image_stems.ref`+withSaves+`
		WHERE image_stems.dataset = ? AND image_stems.stem = ? AND (path = ? OR substr(path, -length(?) - 1) = '/' || ?) LIMIT 3`, d.Ref, Stem(name), name, name, name)
}

// ImagesByStem finds images by file name without extension, in any directory.
func (s *Store) ImagesByStem(ctx context.Context, d Dataset, stem string) ([]Image, error) {
	return s.images(ctx, `SELECT `+imageColumns+` FROM image_stems CROSS JOIN images ON images.ref = image_stems.ref`+withSaves+`
		WHERE image_stems.dataset = ? AND image_stems.stem = ? LIMIT 3`, d.Ref, stem)
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
		count     sql.NullInt64
		run       sql.NullString
		source    sql.NullInt64
	)
	for rows.Next() {
		i.Saved = nil
		if err := rows.Scan(&i.Ref, &i.ID, &i.Path, &i.Width, &i.Height, &i.AnnotationCount, &hash, &count, &run, &sum, &source); err != nil {
			return nil, fmt.Errorf("look up images: %w", err)
		}
		i.Source = source.Int64
		if len(hash) == len(Hash{}) {
			saved := Saved{Hash: Hash(hash), Count: int(count.Int64), Run: run.String}
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
