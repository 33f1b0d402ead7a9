package sandbox

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/flate"

	"pictosync/pictograph"
)

// ExportFormat writes the labels of images as one data set. The images can be
// ranged over more than once, and are the same each time; what create returns is
// written to before it is called again.
type ExportFormat func(d pictograph.Dataset, images iter.Seq2[ExportImage, error], create func(name string) (io.Writer, error)) error

// ExportImage is an image for an [ExportFormat].
type ExportImage struct {
	Path          string // "dir/a.jpg"
	Width, Height int    // pixels, 0 = unknown
	Annotations   []pictograph.Annotation
}

// snapshot is what the database has at one moment.
type snapshot struct {
	tx    *sql.Tx
	close func() error
}

// snapshot takes one. It holds up nobody who writes, but for a sandbox in
// memory, which has one connection.
func (s *Server) snapshot(ctx context.Context) (*snapshot, error) {
	db, close := s.db, func() error { return nil }
	if s.path != ":memory:" {
		var err error
		if db, err = sql.Open("sqlite3", address(s.path, url.Values{"_query_only": {"on"}, "_busy_timeout": {"10000"}})); err != nil {
			return nil, err
		}
		close = db.Close
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, close())
	}
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master`).Scan(&n); err != nil { // the moment is that of the first reading
		return nil, errors.Join(err, tx.Rollback(), close())
	}
	return &snapshot{tx, func() error { return errors.Join(tx.Rollback(), close()) }}, nil
}

// exportPage is how many images are in memory at once while an export is built.
const exportPage = 50

// exported is an image on its way into an export.
type exported struct {
	seq             int64
	id              string
	directory, name string
	width, height   int
	split, sha      string
	count           int
	annotations     []byte
	previous        []byte // before the last save, where that is kept
}

func (i exported) path() string { return joinPath(i.directory, i.name) }

// folder is where an image of a split goes; one without a split is for training.
func folder(split string) string {
	switch split {
	case "val":
		return "valid/"
	case "test":
		return "test/"
	}
	return "train/"
}

// archive builds one export.
type archive struct {
	server *Server
	export exportRow
	now    *snapshot
	zip    *zip.Writer
	result buildResult
	names  int // entries whose names were spoilt
}

type buildResult struct{ size, images, annotations int64 }

// build writes the file of an export. It is there under its name when it is
// whole, and its memory does not grow with the dataset but for a line an entry.
func (s *Server) build(e exportRow, now *snapshot) (buildResult, error) {
	if s.strikes(exportFailed, e.seq, nil) {
		return buildResult{}, errors.New("the export could not be built: a worker was lost; ask for another export")
	}
	dir, err := s.files.exports()
	if err != nil {
		return buildResult{}, err
	}
	f, err := os.CreateTemp(dir, e.id+".*.partial")
	if err != nil {
		return buildResult{}, err
	}
	defer os.Remove(f.Name()) // nothing where it was renamed
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	a := &archive{server: s, export: e, now: now, zip: zip.NewWriter(out)}
	compressor, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		return buildResult{}, err
	}
	a.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		compressor.Reset(w) // one for all: an entry ends before the next begins
		return compressor, nil
	})
	if err := a.write(); err != nil {
		return buildResult{}, fmt.Errorf("the export could not be built: %w", err)
	}
	if err := errors.Join(a.zip.Close(), out.Flush()); err != nil {
		return buildResult{}, fmt.Errorf("the export could not be written: %w", err)
	}
	if a.result.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return buildResult{}, err
	}
	if err := a.spoil(f); err != nil {
		return buildResult{}, err
	}
	return a.result, errors.Join(f.Close(), os.Rename(f.Name(), filepath.Join(dir, e.id+".zip")))
}

func (a *archive) strikes(name string) bool { return a.server.strikes(name, a.export.seq, nil) }

// spoil does to the file what faults want.
func (a *archive) spoil(f *os.File) error {
	if a.strikes(exportCorrupt) {
		if _, err := f.WriteAt([]byte("this is not what was here"), a.result.size/2); err != nil {
			return err
		}
	}
	if a.strikes(exportTruncated) {
		return f.Truncate(a.result.size / 2)
	}
	return nil
}

func (a *archive) write() error {
	for i, err := range a.images("") {
		if err == nil {
			a.result.images++
			a.result.annotations += int64(i.count)
			err = a.writeImage(i)
		}
		if err != nil {
			return err
		}
	}
	if a.export.format != nativeFormat {
		if err := a.writeFormat(); err != nil {
			return err
		}
	}
	return a.writeExtras()
}

// images yields what is exported, of one folder of a split or of all.
func (a *archive) images(of string) iter.Seq2[exported, error] {
	return func(yield func(exported, error) bool) {
		for last := int64(0); ; {
			page, err := a.page(last)
			if err != nil {
				yield(exported{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			last = page[len(page)-1].seq
			for _, i := range page {
				if of != "" && folder(i.split) != of || a.hits(exportMissing, i) {
					continue // Stats do not tell: what is missing is for others to find
				}
				if err := a.prepare(&i); !yield(i, err) || err != nil {
					return
				}
			}
		}
	}
}

func (a *archive) page(after int64) ([]exported, error) {
	where, args := `dataset = ? AND seq > ? AND NOT archived`, []any{a.export.dataset, after}
	if a.export.statusFilter != nil {
		where, args = where+` AND status = ?`, append(args, *a.export.statusFilter)
	}
	rows, err := a.now.tx.QueryContext(a.server.life, `SELECT seq, id, directory, filename, coalesce(width, 0), coalesce(height, 0), coalesce(split, ''), sha256, annotation_count, annotations, coalesce(previous, x'5b5d')
		FROM images WHERE `+where+` ORDER BY seq LIMIT ?`, append(args, exportPage)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []exported
	for rows.Next() {
		var i exported
		if err := rows.Scan(&i.seq, &i.id, &i.directory, &i.name, &i.width, &i.height, &i.split, &i.sha, &i.count, &i.annotations, &i.previous); err != nil {
			return nil, err
		}
		page = append(page, i)
	}
	return page, rows.Err()
}

// hits tells whether a fault hits the image in this export.
func (a *archive) hits(name string, i exported) bool {
	return a.server.options.Faults.hits(name, a.export.seq<<32|i.seq)
}

// prepare makes of an image what the export has of it.
func (a *archive) prepare(i *exported) error {
	stale := a.hits(exportStale, *i)
	if stale {
		i.annotations = i.previous
	}
	if a.export.classFilter == nil && !stale {
		return nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(i.annotations, &all); err != nil {
		return fmt.Errorf("read the annotations of %s: %w", i.path(), err)
	}
	if a.export.classFilter != nil {
		wanted := make(map[string]bool)
		for _, name := range a.export.classFilter {
			wanted[name] = true
		}
		kept := []json.RawMessage{}
		for _, raw := range all {
			var class struct{ Name string }
			if err := json.Unmarshal(raw, &class); err != nil {
				return fmt.Errorf("read the annotations of %s: %w", i.path(), err)
			}
			if wanted[class.Name] {
				kept = append(kept, raw)
			}
		}
		all = kept
		i.annotations = []byte(mustJSON(kept))
	}
	i.count = len(all)
	return nil
}

// writeImage writes the image's own file where the format has one, and its
// bytes where they are asked for.
func (a *archive) writeImage(i exported) error {
	top := ""
	if a.export.bySplit {
		top = folder(i.split)
	}
	if a.export.format == nativeFormat {
		w, err := a.create(a.spoilt(top + "annotations/" + i.path() + ".json"))
		if err != nil {
			return err
		}
		if err := a.describe(w, i); err != nil {
			return err
		}
	}
	if !a.export.includeImages || i.sha == "" {
		return nil
	}
	content, err := a.server.files.open(i.sha)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted for good since
	}
	if err != nil {
		return err
	}
	defer content.Close()
	// Images are compressed already.
	w, err := a.zip.CreateHeader(&zip.FileHeader{Name: top + "images/" + i.path(), Method: zip.Store, Modified: a.export.created})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}

func (a *archive) create(name string) (io.Writer, error) {
	return a.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: a.export.created})
}

// describe writes the file of an image as the service documents it.
func (a *archive) describe(w io.Writer, i exported) error {
	type named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	count := i.count
	if a.hits(exportMiscount, i) {
		count++
	}
	before := mustJSON(struct {
		Image           string `json:"image"`
		ImageUUID       string `json:"image_uuid"`
		ImagePath       string `json:"image_path"`
		AnnotationCount int    `json:"annotation_count"`
	}{i.name, i.id, i.directory, count})
	behind := mustJSON(struct {
		ImageURL      string `json:"image_url"`
		AnnotationURL string `json:"annotation_url"`
		Dataset       named  `json:"dataset"`
		Org           named  `json:"org"`
	}{a.export.origin + prefix + "images/" + i.id, a.export.origin + prefix + "annotations/" + i.id, named{a.export.dataset, a.export.datasetName}, named{organization, "sandbox"}})
	_, err := fmt.Fprintf(w, "%s,\"annotations\":%s,%s\n", strings.TrimSuffix(before, "}"), i.annotations, strings.TrimPrefix(behind, "{"))
	return err
}

// writeFormat writes the labels in a format that is not the service's own, one
// data set a split where they are asked for apart.
func (a *archive) writeFormat() error {
	row, err := scanDataset(a.now.tx.QueryRowContext(a.server.life, `SELECT `+datasetColumns+` FROM datasets WHERE id = ?`, a.export.dataset))
	if err != nil {
		return err
	}
	d, err := row.dataset(a.server.life, a.now.tx)
	if err != nil {
		return err
	}
	tops := []string{""}
	if a.export.bySplit {
		tops = []string{"train/", "valid/", "test/"}
	}
	for _, top := range tops {
		create := func(name string) (io.Writer, error) { return a.create(top + name) }
		if err := a.server.options.Formats[a.export.format](d, a.decoded(top), create); err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) decoded(of string) iter.Seq2[ExportImage, error] {
	return func(yield func(ExportImage, error) bool) {
		for i, err := range a.images(of) {
			out := ExportImage{Path: i.path(), Width: i.width, Height: i.height}
			if err == nil {
				out.Annotations, err = pictograph.DecodeAnnotations(i.annotations)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// spoilt is a name that must not be followed, where the fault is on.
func (a *archive) spoilt(name string) string {
	if !a.server.options.Faults.hits(exportNames, a.export.seq) {
		return name
	}
	a.names++
	flat := strings.ReplaceAll(name, "/", "_")
	switch a.names % 8 {
	case 0:
		return "../../../../../../tmp/" + flat
	case 1:
		return "/tmp/" + flat
	case 2:
		return `C:\Windows\` + flat
	case 3:
		return `..\..\` + flat
	case 4:
		return "same.json" // for every eighth
	case 5:
		return "a\x00b\n\x1b[31m" + flat
	case 6:
		return strings.Repeat("long/", 2000) + flat
	}
	return "no utf-8 \xff\xfe" + flat
}

// bombSize is what the bomb unpacks to.
const bombSize = 1 << 30

// writeExtras writes entries that no export should have, where faults want them.
func (a *archive) writeExtras() error {
	if a.strikes(exportNames) {
		link := &zip.FileHeader{Name: "link.json", Method: zip.Store}
		link.SetMode(fs.ModeSymlink | 0o777)
		for _, extra := range []struct {
			header  *zip.FileHeader
			content string
		}{
			{link, "/etc/passwd"},
			{&zip.FileHeader{Name: "folder.json/"}, ""},
			{&zip.FileHeader{Name: "", Method: zip.Store}, "{}"},
			{&zip.FileHeader{Name: "README.txt", Method: zip.Deflate}, "Thank you for exporting.\n"},
			{&zip.FileHeader{Name: "__MACOSX/._a.json", Method: zip.Store}, "\x00\x05\x16\x07"},
			{&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate}, `{"images":[]}`},
		} {
			w, err := a.zip.CreateHeader(extra.header)
			if err == nil && extra.content != "" {
				_, err = io.WriteString(w, extra.content)
			}
			if err != nil {
				return err
			}
		}
	}
	if a.strikes(exportMany) {
		for range manyEntries {
			if _, err := a.zip.CreateHeader(&zip.FileHeader{Name: "more.json"}); err != nil {
				return err
			}
		}
	}
	if a.strikes(exportBomb) {
		return a.writeBomb()
	}
	return nil
}

// manyEntries are more than a ZIP of the old kind can number.
const manyEntries = 70_000

// writeBomb writes an entry of a GiB of spaces: one compressed block over and
// over, so that making it costs next to nothing.
func (a *archive) writeBomb() error {
	const times = 1024
	spaces := bytes.Repeat([]byte(" "), bombSize/times)
	var block bytes.Buffer
	w, err := flate.NewWriter(&block, flate.BestCompression)
	if err == nil {
		_, err = w.Write(spaces)
	}
	if err == nil {
		err = w.Flush() // ends at a byte, and is not the last block
	}
	if err != nil {
		return err
	}
	last := []byte{0x03, 0x00} // an empty block that is the last
	sum := uint32(0)
	for range times {
		sum = crc32.Update(sum, crc32.IEEETable, spaces)
	}
	out, err := a.zip.CreateRaw(&zip.FileHeader{Name: "annotations/bomb.json", Method: zip.Deflate, CRC32: sum,
		CompressedSize64: uint64(times*block.Len() + len(last)), UncompressedSize64: bombSize})
	for range times {
		if err == nil {
			_, err = out.Write(block.Bytes())
		}
	}
	if err == nil {
		_, err = out.Write(last)
	}
	return err
}
