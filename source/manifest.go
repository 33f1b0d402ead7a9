package source

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
	"slices"
	"strconv"
	"strings"
	"sync"

	_ "github.com/mattn/go-sqlite3" // manifests

	"pictosync/convert"
	"pictosync/internal/scan"
)

// manifestSchema is the layout of a manifest, version 1.
//
//   - images.image is the image's path in the dataset: slash-separated and
//     relative. For YOLO it may lack the extension where that is not known.
//   - images.aliases is a JSON list of other paths it may have; may be NULL.
//   - images.format is "yolo", "coco" or "canonical".
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
const manifestSchema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE class_sets (id INTEGER PRIMARY KEY, classes TEXT NOT NULL) STRICT;
CREATE TABLE images (
	id         INTEGER PRIMARY KEY,
	image      TEXT NOT NULL,
	aliases    TEXT,
	format     TEXT NOT NULL CHECK (format IN ('yolo', 'coco', 'canonical')),
	label_path TEXT,
	label      TEXT,
	image_id   TEXT,
	width      INTEGER,
	height     INTEGER,
	class_set  INTEGER REFERENCES class_sets (id),
	CHECK ((label IS NULL) <> (label_path IS NULL))
) STRICT;
`

const manifestVersion = "1"

// manifestRows is how many rows are read at a time, so that no transaction is
// held open while images are saved.
const manifestRows = 1000

// manifest is a SQLite manifest.
type manifest struct {
	setting
	root      string
	print     string
	classSets map[int64][]byte
	repeated  map[string]bool

	mu       sync.Mutex
	sets     map[int64]classSet
	opened   map[string]*labelFile
	openings []string // keys of opened, the oldest first
	holds    int
	readers  int
	db       *sql.DB // nil where it is not open
}

// manifestPlace is a row's rest.
type manifestPlace struct {
	format    string
	labelPath string // "" where the label is in the row
	classSet  int64
	size      convert.Size
}

// classSet is a set of classes as the formats take it.
type classSet struct {
	yolo *convert.YOLO
	coco *convert.COCO
	err  error
}

// labelFile is a COCO or canonical file that rows refer to.
type labelFile struct {
	source  Source
	items   map[string]Item // by image
	err     error
	release func() // what the source holds
}

// maxOpened bounds how many label files' indexes are held.
const maxOpened = 16

func openManifest(ctx context.Context, s setting) (Source, error) {
	m := &manifest{setting: s, root: filepath.Dir(s.path), classSets: make(map[int64][]byte), repeated: make(map[string]bool),
		sets: make(map[int64]classSet), opened: make(map[string]*labelFile)}
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, openError(s.path, err)
	}
	err = m.query(ctx, func(db *sql.DB) error { return m.readHead(ctx, db) })
	if err != nil {
		return nil, &Error{Op: "read", Path: s.path, Err: err, Advice: "a manifest is a SQLite file as pictosync manifest writes it"}
	}
	m.print = s.fingerprint(info)
	return m, nil
}

// hold keeps the manifest open, and the label files that rows refer to.
func (m *manifest) hold() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holds++; m.holds == 1 {
		for _, f := range m.opened {
			f.release = Hold(f.source)
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
func (m *manifest) query(ctx context.Context, read func(*sql.DB) error) error {
	db, err := m.take()
	if err != nil {
		return err
	}
	defer m.release()
	return read(db)
}

// take opens the manifest for reading alone; release lets it go.
func (m *manifest) take() (*sql.DB, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db == nil {
		abs, err := filepath.Abs(m.path)
		if err != nil {
			return nil, err
		}
		address := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: "mode=ro&_query_only=1&_busy_timeout=5000"}
		if m.db, err = sql.Open("sqlite3", address.String()); err != nil {
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
	var version string
	err := db.QueryRowContext(ctx, `SELECT CAST(value AS TEXT) FROM meta WHERE key = 'version'`).Scan(&version)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errors.New("it has no version in meta")
	case err != nil && strings.Contains(err.Error(), "no such table"):
		return errors.New("is a SQLite file but no manifest: it has no table meta")
	case err != nil:
		return err
	case version != manifestVersion:
		return fmt.Errorf("it has version %s, this program reads version %s", display(version), manifestVersion)
	}
	var views int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name IN ('images', 'meta', 'class_sets')`).Scan(&views); err != nil {
		return err
	}
	if views > 0 {
		return errors.New("its images must be a table: a view may have no end")
	}
	var root string
	err = db.QueryRowContext(ctx, `SELECT CAST(value AS TEXT) FROM meta WHERE key = 'root'`).Scan(&root)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if root = filepath.FromSlash(root); filepath.IsAbs(root) {
		m.root = root
	} else {
		m.root = filepath.Join(filepath.Dir(m.path), root)
	}
	if err := eachRow(ctx, db, `SELECT id, CAST(classes AS BLOB) FROM class_sets`, func(rows *sql.Rows) error {
		var id int64
		var classes []byte
		if err := rows.Scan(&id, &classes); err != nil {
			return err
		}
		m.classSets[id] = classes
		return nil
	}); err != nil {
		return err
	}
	return eachRow(ctx, db, `SELECT CAST(image AS TEXT) FROM images WHERE image IS NOT NULL GROUP BY image HAVING count(*) > 1`, func(rows *sql.Rows) error {
		var image string
		if err := rows.Scan(&image); err != nil {
			return err
		}
		m.repeated[image] = true
		return nil
	})
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

func (m *manifest) Describe() Description {
	return Description{Path: m.path, Format: "manifest", Reason: "a SQLite file with the tables of a manifest", Fingerprint: m.print}
}

// Items goes through the rows by their id, which is the cursor.
func (m *manifest) Items(ctx context.Context, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		defer m.hold()()
		last := int64(-1 << 63)
		if after != "" {
			var err error
			if last, err = strconv.ParseInt(after, 10, 64); err != nil {
				yield(Item{}, fmt.Errorf("%q is no row of a manifest", after))
				return
			}
		}
		for {
			items, next, err := m.page(ctx, last)
			if err != nil {
				yield(Item{}, &Error{Op: "read", Path: m.path, Err: err})
				return
			}
			for _, item := range items {
				if !m.filter.takes(item.Image, item.File) {
					continue
				}
				if !yield(item, nil) {
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

// page reads rows behind the one with the id last; the id of the last row read
// is last itself at the end.
func (m *manifest) page(ctx context.Context, last int64) (items []Item, end int64, err error) {
	end = last
	err = m.query(ctx, func(db *sql.DB) error {
		// Large labels are read when they are needed.
		return eachRow(ctx, db, `
			SELECT id, image, aliases, format, label_path, label IS NOT NULL, image_id, width, height, class_set
			FROM images WHERE id > ? ORDER BY id LIMIT ?`, func(rows *sql.Rows) error {
			var id int64
			var image, aliases, format, labelPath, imageID, width, height, set any
			var inline bool
			if err := rows.Scan(&id, &image, &aliases, &format, &labelPath, &inline, &imageID, &width, &height, &set); err != nil {
				return err
			}
			end = id
			items = append(items, m.item(row{id, image, aliases, format, labelPath, imageID, width, height, set, inline}))
			return nil
		}, last, manifestRows)
	})
	return items, end, err
}

// row is a row of images as it stands there, of whatever types.
type row struct {
	id                                                                  int64
	image, aliases, format, labelPath, imageID, width, height, classSet any
	inline                                                              bool
}

func (m *manifest) item(r row) Item {
	item := Item{Cursor: strconv.FormatInt(r.id, 10), File: fmt.Sprintf("row %d", r.id)}
	place, err := m.readRow(r, &item)
	if item.place = place; err != nil {
		item.Err = fmt.Errorf("read row %d of the manifest: %w", r.id, err)
	}
	if item.Image == "" {
		item.Image = fmt.Sprintf("row %d", r.id)
	}
	return item
}

func (m *manifest) readRow(r row, item *Item) (place manifestPlace, err error) {
	name, err := rowText("image", r.image)
	if err != nil {
		return place, err
	}
	item.Image = name
	clean, err := cleanImagePath(name)
	if err != nil {
		return place, fmt.Errorf("the image's name %w", err)
	}
	item.Image = clean
	if m.repeated[name] {
		return place, errors.New("several rows are for this image; leave one")
	}
	if place.format, err = rowText("format", r.format); err != nil {
		return place, err
	}
	switch place.format {
	case "yolo":
		item.Stem = !isImageName(item.Image)
	case "coco", "canonical":
	default:
		return place, fmt.Errorf("the format is %q and must be one of: yolo, coco, canonical", place.format)
	}
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
	switch {
	case place.labelPath == "" && !r.inline:
		return place, errors.New("it has neither label nor label_path, so it says nothing of the image")
	case place.labelPath != "" && r.inline:
		return place, errors.New("it has both label and label_path; leave one")
	case place.labelPath != "" && !filepath.IsLocal(filepath.FromSlash(place.labelPath)):
		return place, fmt.Errorf("its label_path %s leads out of the manifest's root", display(place.labelPath))
	case place.labelPath != "":
		item.File = place.labelPath
		item.Explicit = place.format == "canonical"
	default:
		item.Explicit = true
	}
	if r.width != nil || r.height != nil {
		width, widthOK := r.width.(int64)
		height, heightOK := r.height.(int64)
		if !widthOK || !heightOK {
			return place, errors.New("width and height are not both whole numbers")
		}
		if place.size, err = wholeSize(float64(width), float64(height)); err != nil {
			return place, err
		}
	}
	switch set := r.classSet.(type) {
	case nil:
	case int64:
		place.classSet = set
	default:
		return place, errors.New("class_set is no whole number")
	}
	return place, nil
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

func (m *manifest) Size(item Item) convert.Size {
	if size := m.sizes.of(append([]string{item.Image}, item.Aliases...)...); size.Known() {
		return size
	}
	p, ok := item.place.(manifestPlace)
	if !ok {
		return convert.Size{}
	}
	if p.size.Known() || p.format == "yolo" || p.labelPath == "" {
		return p.size
	}
	if f, inner, err := m.inFile(context.Background(), p, item.Image); err == nil {
		return f.Size(inner)
	}
	return convert.Size{}
}

func (m *manifest) Load(ctx context.Context, item Item, listed convert.Size) (convert.Result, error) {
	p, ok := item.place.(manifestPlace)
	if !ok {
		return convert.Result{}, item.Err
	}
	if p.labelPath != "" && p.format != "yolo" {
		f, inner, err := m.inFile(ctx, p, item.Image)
		if err != nil {
			return convert.Result{}, err
		}
		if !p.size.Known() || f.Size(inner).Known() {
			return f.Load(ctx, inner, listed)
		}
		result, err := f.Load(ctx, inner, p.size)
		if err == nil {
			m.reconcile(item, imageSizes{stated: p.size, listed: listed}, &result)
		}
		return result, err
	}
	label, err := m.label(ctx, item, p)
	if err != nil {
		return convert.Result{}, err
	}
	size := m.Size(item)
	switch p.format {
	case "yolo":
		set := m.classes(p.classSet, p.format)
		if set.err != nil {
			return convert.Result{}, set.err
		}
		stated := m.sizes.of(append([]string{item.Image}, item.Aliases...)...)
		if !stated.Known() {
			stated = p.size
		}
		return m.loadYOLO(set.yolo, item, imageSizes{stated: stated, listed: listed}, label)
	case "coco":
		set := m.classes(p.classSet, p.format)
		if set.err != nil {
			return convert.Result{}, set.err
		}
		annotations, err := listOf(label)
		if err != nil {
			return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
		}
		sizes := imageSizes{stated: size, listed: listed}
		result := set.coco.Image(item.Image, sizes.own(), annotations)
		m.reconcile(item, sizes, &result)
		return result, nil
	}
	line, err := json.Marshal(struct {
		Image       string          `json:"image"`
		Annotations json.RawMessage `json:"annotations"`
	}{item.Image, label})
	var image convert.CanonicalImage
	if err == nil {
		image, err = convert.ParseCanonical(line)
	}
	if err != nil {
		return convert.Result{}, fmt.Errorf("read %s: %w", item.File, err)
	}
	result := convert.CanonicalResult(image)
	m.reconcile(item, imageSizes{stated: size, listed: listed}, &result)
	return result, nil
}

// label reads a row's label, from its file or the manifest.
func (m *manifest) label(ctx context.Context, item Item, p manifestPlace) ([]byte, error) {
	if p.labelPath != "" {
		data, err := readSmall(m.file(p.labelPath), maxLabels)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.labelPath, err)
		}
		return data, nil
	}
	var label []byte
	var long bool
	err := m.query(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT CAST(iif(length(label) > ?2, zeroblob(0), label) AS BLOB), length(label) > ?2 FROM images WHERE id = ?1 AND label IS NOT NULL`, item.Cursor, maxLabels).Scan(&label, &long)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = errors.New("the label is gone since the run began")
	}
	if err == nil && (long || len(label) > maxLabels) {
		err = fmt.Errorf("the label is longer than %d bytes", maxLabels)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of the manifest: %w", item.File, err)
	}
	return label, nil
}

func (m *manifest) file(labelPath string) string {
	return filepath.Join(m.root, filepath.FromSlash(labelPath))
}

// listOf takes a JSON list apart.
func listOf(data []byte) (list [][]byte, err error) {
	err = scan.Bytes(bytes.TrimSpace(data), func(s *scan.Scanner) {
		if s.Token() != '[' {
			s.Fail("the label is no JSON list")
		}
		for range s.Elements() {
			list = append(list, bytes.Clone(s.Value()))
		}
		s.End()
	})
	return list, err
}

// classes reads a class set once.
func (m *manifest) classes(id int64, format string) classSet {
	m.mu.Lock()
	defer m.mu.Unlock()
	if set, ok := m.sets[id]; ok && (format == "yolo") == (set.yolo != nil) {
		return set
	}
	raw, ok := m.classSets[id]
	if !ok {
		return classSet{err: fmt.Errorf("the manifest has no class set %d, so the classes are not known", id)}
	}
	var set classSet
	if format == "yolo" {
		set.yolo, set.err = yoloSet(raw, m.options)
	} else {
		var findings []finding
		set.coco, findings, set.err = convert.NewCOCO(raw, filepath.Base(m.path), m.options.Convert)
		for _, f := range findings {
			m.reporter.report(f)
		}
	}
	if set.err != nil {
		return classSet{err: fmt.Errorf("read class set %d of the manifest: %w", id, set.err)}
	}
	m.sets[id] = set
	return set
}

// yoloClasses is a class set of YOLO labels.
type yoloClasses struct {
	Names    map[int]string   `json:"names"`
	Task     convert.YOLOTask `json:"task,omitempty"`
	Shape    []int            `json:"kpt_shape,omitempty"`
	Keypoint []string         `json:"kpt_names,omitempty"`
	Columns  []string         `json:"columns,omitempty"`
	Trailer  []string         `json:"trailer,omitempty"` // behind the task's shape
}

func yoloSet(raw []byte, o Options) (*convert.YOLO, error) {
	var c yoloClasses
	if err := json.Unmarshal(raw, &c); err != nil || len(c.Names) == 0 {
		return nil, errors.New(`it is no {"names":{"0":"…"}}`)
	}
	y := &convert.YOLO{Classes: c.Names, Task: c.Task, KeypointNames: c.Keypoint, Options: o.Convert}
	if len(c.Shape) > 0 {
		if len(c.Shape) != 2 || c.Shape[0] < 1 || c.Shape[0] > maxJoints || c.Shape[1] != 2 && c.Shape[1] != 3 {
			return nil, errors.New("kpt_shape is not [number of joints, 2 or 3]")
		}
		y.KeypointCount, y.KeypointDims = c.Shape[0], c.Shape[1]
	}
	y.Trailer = convert.YOLOTrailer{Confidence: slices.Contains(c.Trailer, convert.ColumnConfidence), ID: slices.Contains(c.Trailer, convert.ColumnID)}
	if len(o.Columns) == 0 {
		o.Columns = c.Columns
	}
	if err := o.stateYOLO(y); err != nil {
		return nil, err
	}
	switch y.Task {
	case "":
		y.Task = convert.YOLODetect
		if y.KeypointCount > 0 {
			y.Task = convert.YOLOPose
		}
	case convert.YOLODetect, convert.YOLOSegment, convert.YOLOOBB:
	case convert.YOLOPose:
		if y.KeypointCount == 0 {
			return nil, errors.New("poses need kpt_shape")
		}
	default:
		return nil, fmt.Errorf("the task is %q and must be one of: detect, segment, pose, obb", y.Task)
	}
	return y, nil
}

// inFile finds a row's image in the COCO or canonical file it names, which is
// read once.
func (m *manifest) inFile(ctx context.Context, p manifestPlace, image string) (Source, Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := p.format + " " + p.labelPath
	f := m.opened[key]
	if f == nil {
		f = m.openFile(ctx, p)
		if ctx.Err() != nil {
			return nil, Item{}, ctx.Err()
		}
		if m.holds > 0 {
			f.release = Hold(f.source)
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
		return nil, Item{}, f.err
	}
	item, ok := f.items[image]
	switch {
	case !ok:
		return nil, Item{}, fmt.Errorf("%s has no image %s", p.labelPath, display(image))
	case item.Err != nil:
		return nil, Item{}, item.Err
	}
	return f.source, item, nil
}

func (m *manifest) openFile(ctx context.Context, p manifestPlace) *labelFile {
	s := setting{path: m.file(p.labelPath), options: m.options, sizes: m.sizes, images: m.images, reporter: m.reporter}
	s.options.Include, s.options.Exclude = nil, nil
	f := labelFile{release: func() {}}
	if p.format == "coco" {
		f.source, f.err = openCOCOFile(ctx, s, p.labelPath)
	} else {
		f.source, f.err = openCanonical(ctx, s)
	}
	if f.err != nil {
		return &f
	}
	f.items = make(map[string]Item)
	for item, err := range f.source.Items(ctx, "") {
		if err != nil {
			f.err = err
			return &f
		}
		f.items[item.Image] = item
	}
	return &f
}
