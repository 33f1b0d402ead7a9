// Package sandbox is a Pictograph-compatible service on a SQLite file of its
// own: to try things on without an account, and for tests to be wrong against.
//
// It serves what this project's client calls (datasets, images, annotations,
// bulk saves, uploads one by one and 500 at once, splits, the archive, exports) in both
// dialects of the service, and is as strict as the service: unknown fields,
// classes that the dataset lacks and malformed geometry are refused with field
// errors, roles are held, idempotency keys are remembered for 24 hours, and
// where a quota of requests is set it is enforced, and every answer says what is
// left of it. On demand it misbehaves, repeatably: see [Faults].
//
// Every write that it executes is in its audit log, in the order of execution;
// a repeated idempotency key is answered with the first answer and leaves no
// entry, so the log tells what really happened from what was asked for.
//
// # Bytes
//
// The bytes of images, each content once, and the ZIPs of exports lie in a
// folder beside the database, FILE.files. Signed URLs lead to a host of their
// own, the storage: another port, where nobody has a key. A request that brings
// one is refused there and counted in [Stats]. The storage's errors are XML, as
// object storage has them.
//
// An upload is stored under the name that is made of the file's: :*?"<>| and
// control characters become _, no space stays at its ends, and photo.heic becomes
// photo.png, with the bytes it had. Bytes may be put again until the image is
// registered; the last ones count.
//
// # Exports
//
// An export has what the dataset has when it is created. Of format pictograph it
// has a file an image, images without annotations too, archived ones not:
// annotations/DIR/NAME.json, and images/DIR/NAME where the bytes are asked for,
// below train/, valid/ or test/ where splits are. A class filter leaves out
// annotations, a status filter images. Other formats are handed in with
// [Options]. Its file can be downloaded for seven days.
//
// It does not do what the service does with images and people: no thumbnails,
// no review, no organizations beyond the one; and it decodes no image.
package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/mattn/go-sqlite3" // the database
	"github.com/rs/zerolog"

	"pictosync/pictograph"
)

// Role is what a key may do.
type Role string

// Roles, the mightiest first. Deleting takes an admin, writing a member.
const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Member Role = "member"
	Viewer Role = "viewer"
)

// Options say how a sandbox behaves.
type Options struct {
	Keys    map[string]Role // none: every key is an owner's
	Quota   Quota
	Caps    map[string]Quota // a key's own quota in the place of Quota; its Window is not looked at
	MaxBody int64            // bytes of a request; default 10 MiB
	API     string           // "both" (the default), "path" or "image-id"
	Faults  Faults
	// Storage is where signed URLs lead to; without it a free port of this machine is
	// listened on when the first is needed. The server closes it.
	Storage net.Listener
	// StorageURL is set by who serves [Server.StorageHandler] by other means, as
	// http://storage.test: signed URLs begin with it, and nothing is listened on.
	StorageURL string
	// Formats are written as exports beside the service's own, by their names.
	Formats map[string]ExportFormat
	Now     func() time.Time
	Log     zerolog.Logger
}

// Server is a sandbox; it is an [http.Handler].
type Server struct {
	options Options
	db      *sql.DB
	path    string
	files   *files
	storage storage

	number        atomic.Int64 // of requests that faults may hit
	storageNumber atomic.Int64 // of those at the storage
	registrations atomic.Int64 // of images

	life     context.Context // of the server
	die      func()
	buildsMu sync.Mutex
	builds   map[string]chan struct{} // by export id; closed when it is over
	building sync.WaitGroup

	statsMu sync.Mutex
	stats   Stats

	closing chan struct{} // ends stalls
	once    sync.Once
}

// Stats count what a sandbox did since it was opened.
type Stats struct {
	Requests int         `json:"requests"`
	Statuses map[int]int `json:"statuses"`
	Replays  int         `json:"replays"` // answers to repeated idempotency keys
	Storage  int         `json:"storage_requests"`
	// KeysLeaked counts requests at the storage that carried a key.
	KeysLeaked int            `json:"keys_leaked"`
	Faults     map[string]int `json:"faults"` // by name, those that fired
}

const schema = `
CREATE TABLE IF NOT EXISTS datasets (
	id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, annotation_types TEXT NOT NULL, classes TEXT NOT NULL,
	created_at TEXT NOT NULL, updated_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS images (
	seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, dataset TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
	directory TEXT NOT NULL, filename TEXT NOT NULL, width INTEGER, height INTEGER, status TEXT NOT NULL DEFAULT 'new', split TEXT,
	file_size INTEGER NOT NULL DEFAULT 0, content_type TEXT NOT NULL DEFAULT '', archived INTEGER NOT NULL DEFAULT 0,
	annotation_count INTEGER NOT NULL DEFAULT 0, annotations BLOB NOT NULL DEFAULT x'5b5d', created_at TEXT NOT NULL,
	UNIQUE (dataset, directory, filename)
) STRICT;
CREATE INDEX IF NOT EXISTS images_dataset ON images (dataset, seq);
CREATE TABLE IF NOT EXISTS upload_urls (
	token TEXT PRIMARY KEY, dataset TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE, directory TEXT NOT NULL, filename TEXT NOT NULL,
	content_type TEXT NOT NULL, expires INTEGER NOT NULL, sha256 TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS upload_urls_place ON upload_urls (dataset, directory, filename);
CREATE INDEX IF NOT EXISTS upload_urls_expires ON upload_urls (expires);
CREATE INDEX IF NOT EXISTS upload_urls_sha256 ON upload_urls (sha256) WHERE sha256 <> '';
CREATE TABLE IF NOT EXISTS exports (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, dataset TEXT NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
	name TEXT NOT NULL, format TEXT NOT NULL, include_images INTEGER NOT NULL, class_filter TEXT, status_filter TEXT, by_split INTEGER NOT NULL,
	status TEXT NOT NULL, error TEXT, file_size INTEGER, image_count INTEGER, annotation_count INTEGER,
	created INTEGER NOT NULL, ready INTEGER NOT NULL, origin TEXT NOT NULL, UNIQUE (dataset, name)
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
	account TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (account, key)
) STRICT;
CREATE TABLE IF NOT EXISTS requests (account TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS requests_account ON requests (account, at);
CREATE TABLE IF NOT EXISTS spent (account TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS audit (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL, route TEXT NOT NULL, key TEXT NOT NULL,
	dataset TEXT NOT NULL, image TEXT NOT NULL, path TEXT NOT NULL, previous INTEGER NOT NULL, new INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT;
`

// ErrNoSandbox is returned for a file, or a folder, that is no database at all.
var ErrNoSandbox = errors.New("it is no sandbox's database")

// Open opens the sandbox whose data is in the file at path, made where it is
// missing; ":memory:" keeps nothing.
func Open(path string, o Options) (*Server, error) {
	if o.MaxBody <= 0 {
		o.MaxBody = 10 << 20
	}
	if o.API == "" {
		o.API = "both"
	}
	if o.Quota.Window == "" {
		o.Quota.Window = "sliding"
	}
	if o.API != "both" && o.API != "path" && o.API != "image-id" {
		return nil, fmt.Errorf("open the sandbox: %q must be one of: both, path, image-id", o.API)
	}
	if o.Quota.Window != "sliding" && o.Quota.Window != "fixed" {
		return nil, fmt.Errorf("open the sandbox: %q is neither a sliding nor a fixed window", o.Quota.Window)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{options: o, path: path, files: newFiles(path), closing: make(chan struct{}), builds: make(map[string]chan struct{}),
		stats: Stats{Statuses: make(map[int]int), Faults: make(map[string]int)}}
	s.life, s.die = context.WithCancel(context.Background())
	rand.Read(s.storage.secret[:])
	var err error
	if s.db, err = openDatabase(path, s.files); err != nil {
		s.die()
		var e sqlite3.Error
		if errors.Is(err, syscall.EISDIR) || errors.As(err, &e) && e.Code == sqlite3.ErrNotADB {
			return nil, fmt.Errorf("open the sandbox %s: %w (%w); name another file", path, ErrNoSandbox, err)
		}
		return nil, fmt.Errorf("open the sandbox %s: %w; name another file, or remove this one to start afresh", path, err)
	}
	if o.Storage != nil { // URLs from before a restart lead to it
		if _, err := s.storageOrigin(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// address is how SQLite is told of the file at path.
func address(path string, query url.Values) string {
	if path == ":memory:" {
		return "file::memory:?" + query.Encode()
	}
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?" + query.Encode()
}

func openDatabase(path string, f *files) (*sql.DB, error) {
	query := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"}, "_foreign_keys": {"on"}, "_busy_timeout": {"10000"}, "_txlock": {"immediate"}}
	if path != ":memory:" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		made, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		made.Close()
	}
	db, err := sql.Open("sqlite3", address(path, query))
	if err != nil {
		return nil, err
	}
	// One connection: requests are executed one after another, so that two
	// with the same idempotency key cannot run at once.
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := migrate(db, f); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close ends stalled requests, exports that are being built and the storage,
// and closes the database.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.closing) })
	s.die()
	err := s.closeStorage()
	s.building.Wait()
	return errors.Join(err, s.db.Close(), s.files.close())
}

// Serve answers requests on l until ctx ends, and then finishes those that are
// under way.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the sandbox: %w", err)
	case <-ctx.Done():
	}
	s.once.Do(func() { close(s.closing) })
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(finish)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	return err
}

// Stats tells what the sandbox did since it was opened.
func (s *Server) Stats() Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	out := s.stats
	out.Statuses, out.Faults = make(map[int]int), make(map[string]int)
	for k, v := range s.stats.Statuses {
		out.Statuses[k] = v
	}
	for k, v := range s.stats.Faults {
		out.Faults[k] = v
	}
	return out
}

func (s *Server) count(change func(*Stats)) {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	change(&s.stats)
}

// AuditEntry is one write that was executed: of an image's annotations (kinds
// save, bulk and clear), or of something else (kinds dataset, classes, image).
type AuditEntry struct {
	Seq            int64     `json:"seq"`
	At             time.Time `json:"at"`
	Account        string    `json:"account"` // a fingerprint of the key
	Kind           string    `json:"kind"`
	Route          string    `json:"route"` // method and path
	IdempotencyKey string    `json:"idempotency_key,omitempty"`
	DatasetID      string    `json:"dataset_id,omitempty"`
	ImageID        string    `json:"image_id,omitempty"`
	ImagePath      string    `json:"image_path,omitempty"`
	PreviousCount  int       `json:"previous_count"`
	NewCount       int       `json:"new_count"`
	SHA256         string    `json:"sha256,omitempty"` // of the annotations as they are stored
}

// Audit yields the writes that were executed, the first first.
func (s *Server) Audit(ctx context.Context) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for last := int64(0); ; {
			entries, err := s.auditPage(ctx, last)
			if err != nil {
				yield(AuditEntry{}, fmt.Errorf("read the audit log: %w", err))
				return
			}
			if len(entries) == 0 {
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			last = entries[len(entries)-1].Seq
		}
	}
}

// auditPage reads a page, so that a slow reader does not hold the database.
func (s *Server) auditPage(ctx context.Context, after int64) ([]AuditEntry, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT seq, at, account, kind, route, key, dataset, image, path, previous, new, sha256 FROM audit WHERE seq > ? ORDER BY seq LIMIT 5000`, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []AuditEntry
	for rows.Next() {
		var e AuditEntry
		var at int64
		if err := rows.Scan(&e.Seq, &at, &e.Account, &e.Kind, &e.Route, &e.IdempotencyKey, &e.DatasetID, &e.ImageID, &e.ImagePath, &e.PreviousCount, &e.NewCount, &e.SHA256); err != nil {
			return nil, err
		}
		e.At = time.UnixMilli(at).UTC()
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// fingerprint stands for a key wherever something is written down.
func fingerprint(key string) string {
	sum := sha256.Sum256([]byte("sandbox account\x00" + key))
	return hex.EncodeToString(sum[:6])
}

// EnsureDataset makes a dataset of that name where there is none.
func (s *Server) EnsureDataset(ctx context.Context, name string) (d pictograph.Dataset, created bool, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		row, err := findDataset(ctx, tx, name)
		if errors.Is(err, sql.ErrNoRows) {
			created = true
			row, err = insertDataset(ctx, tx, pictograph.NewDataset{Name: name}, s.options.Now())
		}
		if err != nil {
			return err
		}
		d, err = row.dataset(ctx, tx)
		return err
	})
	if err != nil {
		return d, false, fmt.Errorf("make dataset %q in the sandbox: %w", name, err)
	}
	return d, created, nil
}

// CreateDataset makes a dataset with its images, all of it or nothing. Where there is one
// of that name it does nothing: its images are what they are.
func (s *Server) CreateDataset(ctx context.Context, name string, images iter.Seq2[NewImage, error]) (created bool, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		_, err := findDataset(ctx, tx, name)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		row, err := insertDataset(ctx, tx, pictograph.NewDataset{Name: name}, s.options.Now())
		if err != nil {
			return err
		}
		created = true
		_, err = s.insertImages(ctx, tx, row.id, images)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("make dataset %q in the sandbox: %w", name, err)
	}
	return created, nil
}

// insertImages inserts the images that a dataset lacks.
func (s *Server) insertImages(ctx context.Context, tx *sql.Tx, dataset string, images iter.Seq2[NewImage, error]) (added int, err error) {
	insert, err := tx.PrepareContext(ctx, `INSERT INTO images (id, dataset, directory, filename, width, height, created_at) VALUES (?, ?, ?, ?, nullif(?, 0), nullif(?, 0), ?) ON CONFLICT DO NOTHING`)
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	for i, err := range images {
		if err != nil {
			return added, err
		}
		directory, filename := splitPath(i.Path)
		result, err := insert.ExecContext(ctx, uuid.NewString(), dataset, directory, filename, i.Width, i.Height, stamp(s.options.Now()))
		if err != nil {
			return added, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return added, err
		}
		added += int(n)
	}
	return added, nil
}

// NewImage is an image to be added without an upload.
type NewImage struct {
	Path          string // "dir/a.jpg"
	Width, Height int    // pixels, 0 = unknown
}

// AddImages adds images to a dataset by name; those it has already are passed
// over.
func (s *Server) AddImages(ctx context.Context, dataset string, images []NewImage) (added int, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		row, err := findDataset(ctx, tx, dataset)
		if err != nil {
			return err
		}
		added, err = s.insertImages(ctx, tx, row.id, func(yield func(NewImage, error) bool) {
			for _, i := range images {
				if !yield(i, nil) {
					return
				}
			}
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("add images to dataset %q of the sandbox: %w", dataset, err)
	}
	return added, nil
}

func (s *Server) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// splitPath splits "a/b/c.jpg" into "/a/b" and "c.jpg".
func splitPath(p string) (directory, filename string) {
	p = strings.Trim(p, "/")
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "/", p
	}
	return "/" + p[:i], p[i+1:]
}

func joinPath(directory, filename string) string {
	return strings.TrimPrefix(strings.Trim(directory, "/")+"/"+filename, "/")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
