package manifest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mattn/go-sqlite3"

	"pictosync/convert"
	"pictosync/source"
)

// Schema is the layout of a manifest, version 1.
//
//   - images.image is the image's path in the dataset: slash-separated and
//     relative. For YOLO it may lack the extension where that is not known.
//   - images.aliases is a JSON list of other paths it may have; may be NULL.
//   - images.format is the name of a format, "yolo", "coco" or "canonical", say.
//   - images.label_path is the label file, relative to root and below it: a YOLO
//     label, or a COCO file or canonical JSON Lines that has the image. images.label is the
//     label itself instead: YOLO lines, or a JSON list of COCO or canonical
//     annotations. A row has one of them. Lines that are empty, and an empty
//     list, say that the image is empty.
//   - images.image_id is the service's id, which wins over the path; width and
//     height are in pixels; each may be NULL.
//   - images.class_set names the classes that YOLO labels and COCO annotations
//     within the row use; not needed otherwise.
//   - class_sets.classes is for YOLO {"names":{"0":"car"}}, with "task" and for
//     poses "kpt_shape" and "kpt_names" where they are known, "columns" where
//     those of the lines were given, and "trailer", of confidence and id, where
//     these stand behind the task's shape; for COCO the list of categories.
//   - meta has version and root, the folder that label paths are relative to,
//     itself relative to the manifest's.
const Schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE class_sets (id INTEGER PRIMARY KEY, classes TEXT NOT NULL) STRICT;
CREATE TABLE images (
	id         INTEGER PRIMARY KEY,
	image      TEXT NOT NULL,
	aliases    TEXT,
	format     TEXT NOT NULL,
	label_path TEXT,
	label      TEXT,
	image_id   TEXT,
	width      INTEGER,
	height     INTEGER,
	class_set  INTEGER REFERENCES class_sets (id),
	CHECK ((label IS NULL) <> (label_path IS NULL))
) STRICT;
`

const schemaVersion = "1"

// driver is SQLite's for manifests, which others wrote: no value is longer than a label may be,
// be it stored or what a column works out.
const driver = "sqlite3 manifest"

// cleanName is a function for queries: an image's path as it is used, or as it stands where it
// cannot be.
const cleanName = "clean_name"

func init() {
	sql.Register(driver, &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		c.SetLimit(sqlite3.SQLITE_LIMIT_LENGTH, source.MaxLabels+1<<16)
		return c.RegisterFunc(cleanName, func(name any) any {
			text, err := rowText("image", name)
			if err == nil {
				if clean, err := source.CleanImagePath(text); err == nil {
					return clean
				}
			}
			return name
		}, true)
	}})
}

// errTooLong says what SQLite's error for a value that is too long is.
var errTooLong = fmt.Errorf("a value in it is longer than %d bytes", source.MaxLabels)

func sayTooLong(err error) error {
	if e, own := errors.AsType[sqlite3.Error](err); own && e.Code == sqlite3.ErrTooBig {
		return errTooLong
	}
	return err
}

// pageRows is how many rows are read at a time, so that no transaction is
// held open while images are saved.
const pageRows = 1000

// pageBytes is how many bytes the texts of a page's rows have that no further row is read with.
const pageBytes = 16 << 20

// maxClasses is how many bytes a class set may have.
const maxClasses = 16 << 20

// manifest is a SQLite manifest.
type manifest struct {
	source.Files
	root      string
	print     string
	classSets map[int64][]byte
	repeated  map[string]bool

	mu       sync.Mutex
	sets     map[classesOf]convert.Labels
	opened   map[string]*labelFile
	openings []string // keys of opened, the oldest first
	holds    int
	readers  int
	db       *sql.DB // nil where it is not open
}

// place is a row's rest.
type place struct {
	row       int64
	format    convert.Format
	labelPath string // "" where the label is in the row
	classSet  int64
	size      convert.Size
}

// ofMany reports whether the label is a file with the labels of several images.
func (p place) ofMany() bool { return p.labelPath != "" && !p.format.OneImage }

// classesOf is a set of classes as one format takes it.
type classesOf struct {
	id     int64
	format string
}

// labelFile is a COCO or canonical file that rows refer to.
type labelFile struct {
	source  convert.Source
	items   map[string]convert.Item // by image
	err     error
	release func() // what the source holds
}

// maxOpened bounds how many label files' indexes are held.
const maxOpened = 16

func open(ctx context.Context, in convert.Input) (convert.Source, error) {
	s, err := source.Prepare(in)
	if err != nil {
		return nil, err
	}
	m := &manifest{Files: s, root: filepath.Dir(s.Path), classSets: make(map[int64][]byte), repeated: make(map[string]bool),
		sets: make(map[classesOf]convert.Labels), opened: make(map[string]*labelFile)}
	info, err := os.Stat(s.Path)
	if err != nil {
		return nil, source.OpenError(s.Path, err)
	}
	err = m.query(func(db *sql.DB) error { return m.readHead(ctx, db) })
	if err != nil {
		return nil, &convert.Error{Op: "read", Path: s.Path, Err: err, Advice: "a manifest is a SQLite file as pictosync manifest writes it"}
	}
	m.print = s.Fingerprint(info)
	return m, m.examine(ctx)
}

// examine shows formats whose labels tell together what they mean all of those that rows have.
func (m *manifest) examine(ctx context.Context) error {
	defer m.Hold()()
	var keys []classesOf
	if err := m.query(func(db *sql.DB) error {
		return eachRow(ctx, db, `SELECT DISTINCT CAST(format AS TEXT), class_set FROM images WHERE format IS NOT NULL AND typeof(class_set) IN ('integer', 'null')`, func(rows *sql.Rows) error {
			var format string
			var set sql.NullInt64
			err := rows.Scan(&format, &set)
			keys = append(keys, classesOf{set.Int64, format})
			return err
		})
	}); err != nil {
		return &convert.Error{Op: "read", Path: m.Path, Err: err}
	}
	for _, key := range keys {
		format, err := m.rowFormat(key.format)
		if err != nil || !format.OneImage {
			continue
		}
		labels, err := m.labels(key.id, format)
		if err != nil {
			continue // the rows fail with it
		}
		examined, ok := labels.(convert.Examined)
		if !ok {
			continue
		}
		if err := examined.Examine(ctx, m.labelsOf(key)); err != nil {
			return err
		}
	}
	return nil
}

// labelsOf are the labels of the rows of a format with a class set.
func (m *manifest) labelsOf(key classesOf) convert.SeveralLabels {
	return convert.SeveralLabels{
		Taken: func(ctx context.Context) iter.Seq2[convert.OneLabel, error] {
			return m.labelsIn(ctx, m.Items(ctx, ""), key)
		},
		LeftOut: func(ctx context.Context) iter.Seq2[convert.OneLabel, error] {
			return m.labelsIn(ctx, m.items(ctx, "", m.leavesOut), key)
		},
	}
}

// labelsIn are those of the items with a class set.
func (m *manifest) labelsIn(ctx context.Context, items iter.Seq2[convert.Item, error], key classesOf) iter.Seq2[convert.OneLabel, error] {
	return func(yield func(convert.OneLabel, error) bool) {
		var buffer []byte
		for item, err := range items {
			l := convert.OneLabel{File: item.File}
			if p, ok := item.Place.(place); err == nil {
				if !ok || item.Err != nil || (classesOf{p.classSet, p.format.Name}) != key {
					continue
				}
				var err error
				if p.labelPath == "" {
					l.Data, _ = m.label(ctx, item, p)
				} else if l.Data, err = m.small(buffer, p); err == nil {
					buffer = l.Data
				}
				// What cannot be read fails its row when that is loaded.
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// Hold keeps the manifest open, and the label files that rows refer to.
func (m *manifest) Hold() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holds++; m.holds == 1 {
		for _, f := range m.opened {
			f.release = convert.Hold(f.source)
		}
	}
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.holds--; m.holds > 0 {
			return
		}
		for _, f := range m.opened {
			f.release()
		}
		m.closeUnused()
	})
}

// query reads from the manifest.
func (m *manifest) query(read func(*sql.DB) error) error {
	db, err := m.take()
	if err != nil {
		return err
	}
	defer m.release()
	return sayTooLong(read(db))
}

// take opens the manifest for reading alone; release lets it go.
func (m *manifest) take() (*sql.DB, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db == nil {
		abs, err := filepath.Abs(m.Path)
		if err != nil {
			return nil, err
		}
		address := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: "mode=ro&_query_only=1&_busy_timeout=5000"}
		if m.db, err = sql.Open(driver, address.String()); err != nil {
			return nil, err
		}
		m.db.SetMaxIdleConns(runtime.GOMAXPROCS(0))
	}
	m.readers++
	return m.db, nil
}

func (m *manifest) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers--
	m.closeUnused()
}

// closeUnused closes the manifest when nobody reads from it or holds it.
func (m *manifest) closeUnused() {
	if m.db != nil && m.holds == 0 && m.readers == 0 {
		m.db.Close()
		m.db = nil
	}
}

func (m *manifest) readHead(ctx context.Context, db *sql.DB) error {
	if err := m.onlyTables(ctx, db); err != nil {
		return err
	}
	version, stated, err := metaValue(ctx, db, "version")
	switch {
	case err != nil:
		return err
	case !stated:
		return errors.New("it has no version in meta")
	case version != schemaVersion:
		return fmt.Errorf("it has version %s, this program reads version %s", convert.Display(version), schemaVersion)
	}
	root, _, err := metaValue(ctx, db, "root")
	if err != nil {
		return err
	}
	if root = filepath.FromSlash(root); filepath.IsAbs(root) {
		m.root = root
	} else {
		m.root = filepath.Join(filepath.Dir(m.Path), root)
	}
	if err := eachRow(ctx, db, `SELECT id, typeof(id) = 'integer', CAST(id AS TEXT), CAST(classes AS BLOB) FROM class_sets`, func(rows *sql.Rows) error {
		var value any
		var whole bool
		var text sql.NullString
		var classes []byte
		if err := rows.Scan(&value, &whole, &text, &classes); err != nil {
			return err
		}
		id, _ := value.(int64)
		if !whole { // the text 007 may be the number 7 or another id
			return fmt.Errorf("the id of a class set, %s, is no whole number; give it one, as class_set of the rows is", convert.Display(text.String))
		}
		if len(classes) > maxClasses {
			return fmt.Errorf("its class set %d is longer than %d bytes", id, maxClasses)
		}
		if before, twice := m.classSets[id]; twice && !bytes.Equal(before, classes) {
			return fmt.Errorf("its class set %d stands there twice, and the two differ; leave one", id)
		}
		m.classSets[id] = classes
		return nil
	}); err != nil {
		return err
	}
	if err := checkIDs(ctx, db); err != nil {
		return err
	}
	// Names that are written in several ways are few, and to clean them all takes time.
	var odd bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM images WHERE image GLOB './*' OR instr(image, '\') OR instr(image, '//') OR instr(image, '/./') OR instr(image, '/../'))`).Scan(&odd); err != nil {
		return err
	}
	name := "image"
	if odd {
		name = cleanName + "(image)"
	}
	return eachRow(ctx, db, `SELECT CAST(`+name+` AS TEXT) FROM images WHERE image IS NOT NULL GROUP BY `+name+` HAVING count(*) > 1`, func(rows *sql.Rows) error {
		var image string
		if err := rows.Scan(&image); err != nil {
			return err
		}
		m.repeated[image] = true
		return nil
	})
}

// onlyTables refuses what stands for a table and is none.
func (m *manifest) onlyTables(ctx context.Context, db *sql.DB) error {
	there := make(map[string]bool)
	if err := eachRow(ctx, db, `SELECT lower(name), type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' FROM sqlite_schema
			WHERE type IN ('table', 'view') AND lower(name) IN ('images', 'meta', 'class_sets')`, func(rows *sql.Rows) error {
		var name string
		var table bool
		if err := rows.Scan(&name, &table); err != nil {
			return err
		}
		if !table {
			return fmt.Errorf("its %s must be a table: a view may have no end", name)
		}
		there[name] = true
		return nil
	}); err != nil {
		return err
	}
	if !there["meta"] {
		return errors.New("is a SQLite file but no manifest: it has no table meta")
	}
	return nil
}

// checkIDs refuses rows that their ids do not tell apart, since they are read by these.
func checkIDs(ctx context.Context, db *sql.DB) error {
	var unique, odd bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pragma_table_info('images') WHERE lower(name) = 'id' AND pk = 1 AND upper(type) = 'INTEGER')
		AND (SELECT count(*) FROM pragma_table_info('images') WHERE pk > 0) = 1`).Scan(&unique)
	if err == nil && !unique {
		err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM images WHERE typeof(id) <> 'integer') OR EXISTS (SELECT 1 FROM images GROUP BY id HAVING count(*) > 1)`).Scan(&odd)
	}
	if err == nil && odd {
		return errors.New("the id of a row of its images is no whole number, or that of another row too; give every row an id of its own")
	}
	return err
}

// metaValue is what meta says of a key, once; stated is false where it says nothing.
func metaValue(ctx context.Context, db *sql.DB, key string) (value string, stated bool, err error) {
	err = eachRow(ctx, db, `SELECT CAST(value AS TEXT) FROM meta WHERE key = ?`, func(rows *sql.Rows) error {
		var one sql.NullString
		if err := rows.Scan(&one); err != nil {
			return err
		}
		if stated && one.String != value {
			return fmt.Errorf("it has two values of %s in meta, %s and %s; leave one", key, convert.Display(value), convert.Display(one.String))
		}
		value, stated = one.String, true
		return nil
	}, key)
	return value, stated, err
}

func eachRow(ctx context.Context, db *sql.DB, query string, read func(*sql.Rows) error, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (m *manifest) Describe() convert.Description {
	return convert.Description{Path: m.Path, Format: "manifest", Reason: "a SQLite file with the tables of a manifest", Fingerprint: m.print}
}

// Items goes through the rows by their id, which is the cursor.
func (m *manifest) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return m.items(ctx, after, func(item convert.Item) bool { return !m.leavesOut(item) })
}

// leavesOut reports whether --include and --exclude leave an item out.
func (m *manifest) leavesOut(item convert.Item) bool { return !m.Filter.Takes(item.Image, item.File) }

// items are those of the rows that are wanted.
func (m *manifest) items(ctx context.Context, after string, wanted func(convert.Item) bool) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		defer m.Hold()()
		last := int64(-1 << 63)
		if after != "" {
			var err error
			if last, err = strconv.ParseInt(after, 10, 64); err != nil {
				yield(convert.Item{}, fmt.Errorf("%q is no row of a manifest", after))
				return
			}
		}
		for {
			items, next, err := m.page(ctx, last)
			if err != nil {
				yield(convert.Item{}, &convert.Error{Op: "read", Path: m.Path, Err: err})
				return
			}
			for _, item := range items {
				if wanted(item) && !yield(item, nil) {
					return
				}
			}
			if next == last {
				return
			}
			last = next
		}
	}
}

var errPageFull = errors.New("the page is full")

// page reads rows behind the one with the id last; the id of the last row read
// is last itself at the end. A row with a value that is too long is its image's failure.
func (m *manifest) page(ctx context.Context, last int64) (items []convert.Item, end int64, err error) {
	items, err = m.rows(ctx, `id > ? ORDER BY id LIMIT ?`, last, pageRows)
	if len(items) > 0 || !errors.Is(err, errTooLong) {
		if end = last; len(items) > 0 {
			end, err = items[len(items)-1].Place.(place).row, nil
		}
		return items, end, err
	}
	err = m.query(func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT min(id) FROM images WHERE id > ?`, last).Scan(&end)
	})
	if err != nil {
		return nil, last, err
	}
	if items, err = m.rows(ctx, `id = ?`, end); errors.Is(err, errTooLong) {
		item := convert.Item{Cursor: strconv.FormatInt(end, 10), File: fmt.Sprintf("row %d", end), Image: m.nameOf(ctx, end)}
		item.Err = fmt.Errorf("read row %d of the manifest: %w", end, err)
		return []convert.Item{item}, end, nil
	}
	return items, end, err
}

// nameOf is the image of a row that cannot be read as a whole, or its number where that cannot
// be read either.
func (m *manifest) nameOf(ctx context.Context, id int64) (name string) {
	err := m.query(func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT CAST(image AS TEXT) FROM images WHERE id = ?`, id).Scan(&name)
	})
	if clean, cleanErr := source.CleanImagePath(name); err == nil && cleanErr == nil {
		return clean
	}
	return fmt.Sprintf("row %d", id)
}

// rows reads the rows that a condition fits; beside an error those before it.
func (m *manifest) rows(ctx context.Context, condition string, args ...any) (items []convert.Item, err error) {
	bytes := 0
	err = m.query(func(db *sql.DB) error {
		// Large labels are read when they are needed.
		return eachRow(ctx, db, `
			SELECT id, image, aliases, format, label_path, label IS NOT NULL, image_id, width, height, class_set
			FROM images WHERE `+condition, func(rows *sql.Rows) error {
			var id int64
			var image, aliases, format, labelPath, imageID, width, height, set any
			var inline bool
			if err := rows.Scan(&id, &image, &aliases, &format, &labelPath, &inline, &imageID, &width, &height, &set); err != nil {
				return err
			}
			items = append(items, m.item(row{id, image, aliases, format, labelPath, imageID, width, height, set, inline}))
			for _, v := range []any{image, aliases, format, labelPath, imageID} {
				switch v := v.(type) {
				case string:
					bytes += len(v)
				case []byte:
					bytes += len(v)
				}
			}
			if bytes > pageBytes {
				return errPageFull
			}
			return nil
		}, args...)
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return items, err
}

// row is a row of images as it stands there, of whatever types.
type row struct {
	id                                                                  int64
	image, aliases, format, labelPath, imageID, width, height, classSet any
	inline                                                              bool
}

func (m *manifest) item(r row) convert.Item {
	item := convert.Item{Cursor: strconv.FormatInt(r.id, 10), File: fmt.Sprintf("row %d", r.id)}
	place, err := m.readRow(r, &item)
	place.row = r.id
	if item.Place = place; err != nil {
		item.Err = fmt.Errorf("read row %d of the manifest: %w", r.id, err)
	}
	if item.Image == "" {
		item.Image = fmt.Sprintf("row %d", r.id)
	}
	return item
}

func (m *manifest) readRow(r row, item *convert.Item) (place place, err error) {
	name, err := rowText("image", r.image)
	if err != nil {
		return place, err
	}
	item.Image = name
	clean, err := source.CleanImagePath(name)
	if err != nil {
		return place, fmt.Errorf("the image's name %w", err)
	}
	item.Image = clean
	if m.repeated[name] || m.repeated[clean] {
		return place, errors.New("several rows are for this image; leave one")
	}
	format, err := rowText("format", r.format)
	if err != nil {
		return place, err
	}
	if place.format, err = m.rowFormat(format); err != nil {
		return place, err
	}
	item.Stem = place.format.OneImage && !source.IsImageName(item.Image)
	aliases, err := rowText("aliases", r.aliases)
	if err != nil {
		return place, err
	}
	if aliases != "" {
		if err := json.Unmarshal([]byte(aliases), &item.Aliases); err != nil {
			return place, errors.New("aliases are no JSON list of text")
		}
	}
	if item.ImageID, err = rowText("image_id", r.imageID); err != nil {
		return place, err
	}
	if place.labelPath, err = rowText("label_path", r.labelPath); err != nil {
		return place, err
	}
	if err := r.checkLabel(place); err != nil {
		return place, err
	}
	item.Explicit = r.inline || place.format.Explicit
	if place.labelPath != "" {
		item.File = place.labelPath
	}
	if place.size, err = r.size(); err != nil {
		return place, err
	}
	place.classSet, err = r.setOfClasses(place)
	return place, err
}

// checkLabel refuses a row that does not say in one way where its label is.
func (r row) checkLabel(p place) error {
	switch {
	case p.labelPath == "" && !r.inline:
		return errors.New("it has neither label nor label_path, so it says nothing of the image")
	case p.labelPath != "" && r.inline:
		return errors.New("it has both label and label_path; leave one")
	case p.labelPath != "" && !filepath.IsLocal(filepath.FromSlash(p.labelPath)):
		return fmt.Errorf("its label_path %s leads out of the manifest's root", convert.Display(p.labelPath))
	}
	return nil
}

// size is that of the row's image, where it says one.
func (r row) size() (convert.Size, error) {
	if r.width == nil && r.height == nil {
		return convert.Size{}, nil
	}
	width, widthOK := r.width.(int64)
	height, heightOK := r.height.(int64)
	if !widthOK || !heightOK {
		return convert.Size{}, errors.New("width and height are not both whole numbers")
	}
	return source.WholeSize(float64(width), float64(height))
}

// setOfClasses is the number of the row's set of classes, where it has one.
func (r row) setOfClasses(p place) (set int64, err error) {
	if r.classSet == nil {
		return 0, nil
	}
	set, ok := r.classSet.(int64)
	switch {
	case !ok:
		return 0, errors.New("class_set is no whole number")
	case p.ofMany():
		return set, fmt.Errorf("it has a class_set, and %s has classes of its own; leave class_set NULL", convert.Display(p.labelPath))
	}
	return set, nil
}

// rowFormat is the format of a row.
func (m *manifest) rowFormat(name string) (convert.Format, error) {
	var names []string
	for _, f := range m.Formats {
		if f.Labels == nil {
			continue
		}
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return convert.Format{}, fmt.Errorf("the format is %q and must be one of: %s", name, strings.Join(names, ", "))
}

// rowText is a column of text; NULL is "".
func rowText(column string, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	return "", fmt.Errorf("%s is no text", column)
}

// Size is the one of the sizes file or the row, else that of the image's file, or of the file
// of labels that has the image.
func (m *manifest) Size(item convert.Item) convert.Size {
	p, ok := item.Place.(place)
	if !ok {
		return convert.Size{}
	}
	if stated := m.stated(item, p); stated.Known() || !p.ofMany() {
		return source.ImageSizes{Stated: stated, Local: m.local(item)}.Own()
	}
	if f, inner, err := m.inFile(context.Background(), p, item.Image); err == nil {
		return f.Size(inner)
	}
	return convert.Size{}
}

// stated is the size that the sizes file or the row gives an image.
func (m *manifest) stated(item convert.Item, p place) convert.Size {
	if size := m.Sizes.Of(append([]string{item.Image}, item.Aliases...)...); size.Known() {
		return size
	}
	return p.size
}

// local is the size of an image's file, where that is at hand.
func (m *manifest) local(item convert.Item) convert.Size {
	file := m.ImageFile(item)
	if file == "" {
		return convert.Size{}
	}
	size, err := source.ImageSize(file)
	if err != nil {
		m.Reporter.Report(convert.Finding{Kind: convert.KindImageHeader, Image: item.Image, File: file, Reason: err.Error(), Action: "the size was looked for elsewhere"})
	}
	return size
}

func (m *manifest) Load(ctx context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	p, ok := item.Place.(place)
	if !ok {
		return convert.Result{}, item.Err
	}
	if p.ofMany() {
		return m.loadOfMany(ctx, item, p, listed)
	}
	label, err := m.label(ctx, item, p)
	if err != nil {
		return convert.Result{}, err
	}
	if !p.format.OneImage && len(bytes.TrimSpace(label)) == 0 { // a list has brackets
		return convert.Result{}, fmt.Errorf("read %s of the manifest: its label is empty, and a label of the format %s is a JSON list of annotations; write [] where the image has none", item.File, p.format.Name)
	}
	labels, err := m.labels(p.classSet, p.format)
	if err != nil {
		return convert.Result{}, err
	}
	sizes := source.ImageSizes{Stated: m.stated(item, p), Local: m.local(item), Listed: listed}
	if differs := sizes.Stated.Known() && sizes.Local.Known() && sizes.Stated != sizes.Local; !differs {
		return labels.Load(item, source.ImageSizes{Stated: sizes.Stated, Local: sizes.Local}.Own(), listed, label)
	}
	result, err := labels.Load(item, sizes.Stated, convert.Size{}, label)
	if err == nil {
		m.Reconcile(item, sizes, &result)
	}
	return result, err
}

// loadOfMany loads the labels of a row from a file that has those of several images.
func (m *manifest) loadOfMany(ctx context.Context, item convert.Item, p place, listed convert.Size) (convert.Result, error) {
	f, inner, err := m.inFile(ctx, p, item.Image)
	if err != nil {
		return convert.Result{}, err
	}
	if own := f.Size(inner); own.Known() {
		result, err := f.Load(ctx, inner, listed)
		if err == nil && p.size.Known() && p.size != own && result.Read > 0 {
			m.reportRowSize(item, p, own, &result)
		}
		return result, err
	}
	result, err := f.Load(ctx, inner, p.size)
	if err == nil && p.size.Known() {
		m.Reconcile(item, source.ImageSizes{Stated: p.size, Listed: listed}, &result)
	}
	return result, err
}

// reportRowSize tells of a row that has an image in another size than its label file.
func (m *manifest) reportRowSize(item convert.Item, p place, own convert.Size, result *convert.Result) {
	f := convert.Finding{Kind: convert.KindSizeMismatch, File: item.File, Image: item.Image,
		Reason: fmt.Sprintf("the image is %d×%d in its row of the manifest, and %d×%d by %s", p.size.Width, p.size.Height, own.Width, own.Height, p.labelPath),
		Action: "the image is left alone; --on-size-mismatch keep takes its labels as they stand"}
	if m.Options.OnSizeMismatch == convert.SizeKeep {
		f.Kind, f.Action = convert.KindResized, "the labels were kept as they stand, as --on-size-mismatch keep says"
	}
	result.Findings = append(result.Findings, f)
}

// small reads a row's label file, unless it is too large.
func (m *manifest) small(buffer []byte, p place) ([]byte, error) {
	file := m.file(p.labelPath)
	if info, err := os.Stat(file); err != nil || info.Size() > source.MaxLabels {
		return nil, errTooLong
	}
	return source.ReadInto(buffer, file, source.MaxLabels)
}

// label reads a row's label, from its file or the manifest.
func (m *manifest) label(ctx context.Context, item convert.Item, p place) ([]byte, error) {
	if p.labelPath != "" {
		data, err := source.ReadAtMost(m.file(p.labelPath), source.MaxLabels)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.labelPath, err)
		}
		return data, nil
	}
	var label []byte
	err := m.query(func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT CAST(label AS BLOB) FROM images WHERE id = ? AND label IS NOT NULL`, p.row).Scan(&label)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("the label is gone since the run began")
	}
	if err == nil && len(label) > source.MaxLabels {
		err = fmt.Errorf("the label is longer than %d bytes", source.MaxLabels)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of the manifest: %w", item.File, err)
	}
	return label, nil
}

func (m *manifest) file(labelPath string) string {
	return filepath.Join(m.root, filepath.FromSlash(labelPath))
}

// labels are what reads the labels of a format with a class set, made once.
func (m *manifest) labels(id int64, f convert.Format) (convert.Labels, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := classesOf{id, f.Name}
	if made, ok := m.sets[key]; ok {
		return made, nil
	}
	if key := repeatedKey(m.classSets[id]); key != "" {
		return nil, fmt.Errorf("read class set %d of the manifest: the key %s stands twice in it, and nothing tells which of the two is meant", id, convert.Display(key))
	}
	made, err := f.Labels(m.classSets[id], m.Input(m.Path, ""))
	if errors.Is(err, convert.ErrNoClasses) {
		return nil, fmt.Errorf("the manifest has no class set %d, so the classes are not known", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read class set %d of the manifest: %w", id, err)
	}
	m.sets[key] = made
	return made, nil
}

// repeatedKey is a key that an object of a JSON text has twice, in whatever letters or with
// however many zeros before a number; "" where there is none.
func repeatedKey(text []byte) string {
	decoder := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	seen := []map[string]bool{{}} // of the objects and lists around, the innermost last
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return "" // the end, or what is no JSON, which whoever reads it says
		}
		switch token.Kind() {
		case '{', '[':
			seen = append(seen, make(map[string]bool))
		case '}', ']':
			seen = seen[:len(seen)-1]
		case '"':
			if kind, length := decoder.StackIndex(decoder.StackDepth()); kind != '{' || length%2 == 0 {
				continue
			}
			key := strings.ToLower(token.String())
			if n, err := strconv.Atoi(key); err == nil {
				key = strconv.Itoa(n)
			}
			if seen[len(seen)-1][key] {
				return token.String()
			}
			seen[len(seen)-1][key] = true
		}
	}
}

// inFile finds a row's image in the COCO or canonical file it names, which is
// read once.
func (m *manifest) inFile(ctx context.Context, p place, image string) (convert.Source, convert.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := p.format.Name + " " + p.labelPath
	f := m.opened[key]
	if f == nil {
		f = m.openFile(ctx, p)
		if ctx.Err() != nil {
			return nil, convert.Item{}, ctx.Err()
		}
		if m.holds > 0 {
			f.release = convert.Hold(f.source)
		}
		if len(m.openings) == maxOpened {
			m.opened[m.openings[0]].release()
			delete(m.opened, m.openings[0])
			m.openings = m.openings[1:]
		}
		m.opened[key] = f
		m.openings = append(m.openings, key)
	}
	if f.err != nil {
		return nil, convert.Item{}, f.err
	}
	item, ok := f.items[image]
	switch {
	case !ok:
		return nil, convert.Item{}, fmt.Errorf("%s has no image %s", p.labelPath, convert.Display(image))
	case item.Err != nil:
		return nil, convert.Item{}, item.Err
	}
	return f.source, item, nil
}

func (m *manifest) openFile(ctx context.Context, p place) *labelFile {
	in := m.Input(m.file(p.labelPath), p.labelPath)
	in.Include, in.Exclude = nil, nil
	f := labelFile{release: func() {}}
	f.source, f.err = p.format.Open(ctx, in)
	if f.err != nil {
		return &f
	}
	f.items = make(map[string]convert.Item)
	for item, err := range f.source.Items(ctx, "") {
		if err != nil {
			f.err = err
			return &f
		}
		f.items[item.Image] = item
	}
	return &f
}
