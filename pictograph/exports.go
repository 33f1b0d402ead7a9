package pictograph

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

const exportsPath = "/api/v1/developer/exports/"

// Stages of an export.
const (
	ExportPending    = "pending"
	ExportProcessing = "processing"
	ExportCompleted  = "completed"
	ExportFailed     = "failed"
)

// Export is a whole dataset that the service packs into one ZIP.
type Export struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	Status          string    `json:"status"` // one of the stages
	ErrorMessage    string    `json:"error_message"`
	FileSize        int64     `json:"file_size"` // bytes, 0 = unknown
	ImageCount      int       `json:"image_count"`
	AnnotationCount int       `json:"annotation_count"`
	CreatedAt       time.Time `json:"created_at"`
	ExpiresAt       time.Time `json:"expires_at"`
}

// NewExport is an export to be made, of all images and in the service's own format.
type NewExport struct {
	Dataset string // its name
	Name    string // unique in the dataset, at most 100 characters
	// Images has the images' files packed too.
	Images bool
}

// CreateExport has the service begin an export. A name that is taken is an [ErrConflict].
func (c *Client) CreateExport(ctx context.Context, e NewExport) (Export, error) {
	op := fmt.Sprintf("export dataset %q", e.Dataset)
	body, err := marshal(op, map[string]any{"dataset_name": e.Dataset, "name": e.Name, "format": "pictograph", "include_images": e.Images})
	if err != nil {
		return Export{}, err
	}
	var out one[Export]
	err = c.do(ctx, call{op: op, method: http.MethodPost, path: exportsPath, body: body}, &out)
	return out.Data, err
}

// Export is how far an export is.
func (c *Client) Export(ctx context.Context, dataset, name string) (Export, error) {
	var out one[Export]
	err := c.do(ctx, call{op: fmt.Sprintf("look at export %q of dataset %q", name, dataset), method: http.MethodGet, path: exportsPath + segment(name), query: url.Values{"dataset": {dataset}}}, &out)
	return out.Data, err
}

// DeleteExport deletes an export and its file. It takes an admin's key.
func (c *Client) DeleteExport(ctx context.Context, dataset, name string) error {
	return c.do(ctx, call{op: fmt.Sprintf("delete export %q of dataset %q", name, dataset), method: http.MethodDelete, path: exportsPath + segment(name), query: url.Values{"dataset": {dataset}}}, nil)
}

// DownloadExport writes the ZIP of a completed export to a writer, at most limit bytes of
// it. The key is not sent to the storage that the service names; a download that breaks
// off is an [ErrNetwork], and what was written of it is of no use.
func (c *Client) DownloadExport(ctx context.Context, dataset, name string, to io.Writer, limit int64) (n int64, err error) {
	op := fmt.Sprintf("download export %q of dataset %q", name, dataset)
	var out one[struct {
		DownloadURL string `json:"download_url"`
	}]
	err = c.do(ctx, call{op: op, method: http.MethodGet, path: exportsPath + segment(name) + "/download", query: url.Values{"dataset": {dataset}}}, &out)
	if err != nil {
		return 0, err
	}
	ctx, alive, end := c.whileAlive(ctx)
	defer end()
	answer, err := c.fetch(ctx, op, http.MethodGet, out.Data.DownloadURL, nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	written := &writer{to: to, written: alive}
	n, err = io.Copy(written, io.LimitReader(answer.Body, limit+1))
	switch {
	case written.err != nil: // the disk's, not the network's
		return n, fmt.Errorf("%s: %w", op, written.err)
	case errors.Is(context.Cause(ctx), errNoAnswer):
		return n, c.networkError(ctx, op, err)
	case err != nil && ctx.Err() == nil:
		return n, &NetworkError{Op: op, Err: fmt.Errorf("the file was cut short: %w", err)}
	case err != nil:
		return n, fmt.Errorf("%s: %w", op, err)
	case n > limit:
		return n, fmt.Errorf("%s: the file is larger than %d bytes", op, limit)
	}
	return n, nil
}

// whileAlive is a context that ends where nothing is heard for as long as an attempt of a
// request may take: a file may take longer than that, but not stand still.
func (c *Client) whileAlive(ctx context.Context) (under context.Context, alive, end func()) {
	under, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.config.Timeout, func() { cancel(errNoAnswer) })
	return under, func() { timer.Reset(c.config.Timeout) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// writer tells when something was written, and keeps why it could not be.
type writer struct {
	to      io.Writer
	written func()
	err     error
}

func (w *writer) Write(p []byte) (n int, err error) {
	w.written()
	n, w.err = w.to.Write(p)
	return n, w.err
}

// StorageError is an answer of the storage, at a signed URL, that is no success.
type StorageError struct {
	Op     string
	Status int // HTTP status
}

func (e *StorageError) Error() string {
	return fmt.Sprintf("%s: the storage answered %d %s", e.Op, e.Status, http.StatusText(e.Status))
}

// fetch sends a request to a signed URL. The URL is the service's to choose, so the key
// stays at home. It has no time limit of its own: who calls it sets one.
func (c *Client) fetch(ctx context.Context, op, method, signed string, prepare func(*http.Request)) (*http.Response, error) {
	target, err := c.base.Parse(signed)
	if err != nil || signed == "" || target.Scheme != "https" && (target.Scheme != "http" || !loopback(target.Hostname())) {
		return nil, fmt.Errorf("%s: the service named a URL that is not https", op)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	request.Header.Set("User-Agent", c.config.UserAgent)
	if prepare != nil {
		prepare(request)
	}
	answer, err := c.plain.Do(request)
	if err != nil {
		return nil, c.networkError(ctx, op, err)
	}
	if answer.StatusCode >= 300 {
		answer.Body.Close()
		return nil, &StorageError{Op: op, Status: answer.StatusCode}
	}
	return answer, nil
}

// ExportedImage is what an export holds of one image.
type ExportedImage struct {
	ID   string // the service's
	Path string // directory and file name, as "val/a.jpg"
	// Count is how many annotations the export says that the image has, -1 where it does
	// not say.
	Count       int
	Annotations []Annotation
}

// EntryError says that a file of an export could not be read. The files behind it may be
// sound.
type EntryError struct {
	Entry string // its name in the ZIP
	Err   error
}

func (e *EntryError) Error() string { return fmt.Sprintf("read %q of the export: %v", e.Entry, e.Err) }

// Unwrap returns what went wrong.
func (e *EntryError) Unwrap() error { return e.Err }

const (
	// maxExportEntry is how large the JSON of one image may be.
	maxExportEntry = 64 << 20
	// maxExportNames is how long the directory of an export's ZIP may be for each file that it
	// may hold, in bytes: names, and what packers add to them.
	maxExportNames = 1024
	// maxExportRatio is how much larger than the ZIP what it holds may be: JSON of
	// annotations packs to a twentieth.
	maxExportRatio = 200
)

// ReadExport yields the images of an export's ZIP, told by what its files hold, since their
// names are not documented; other files are passed over. An [*EntryError] is about one file;
// any other error ends it. Memory follows the number of files, not their size: a ZIP of more
// than most is refused before they are all read.
func ReadExport(ctx context.Context, file io.ReaderAt, size int64, most int) iter.Seq2[ExportedImage, error] {
	return func(yield func(ExportedImage, error) bool) {
		archive, err := openExport(file, size, most)
		if err != nil {
			yield(ExportedImage{}, err)
			return
		}
		left := max(size, 1<<20) * maxExportRatio
		for _, entry := range archive.File {
			if err := ctx.Err(); err != nil {
				yield(ExportedImage{}, context.Cause(ctx))
				return
			}
			if entry.FileInfo().IsDir() || !isJSON(entry) {
				continue
			}
			image, read, found, err := readEntry(entry, min(left, maxExportEntry))
			if left -= read; left <= 0 {
				yield(ExportedImage{}, fmt.Errorf("read the export: it holds more than %d times its own size", maxExportRatio))
				return
			}
			if err != nil {
				err = &EntryError{Entry: entry.Name, Err: err}
			}
			if (found || err != nil) && !yield(image, err) {
				return
			}
		}
	}
}

// ExportedFile is a file of an export that is no JSON: an image's, where the export was made
// with them.
type ExportedFile struct {
	Name string // in the ZIP; how the service makes it is not documented
	Size int64  // bytes
	zip  *zip.File
}

// Open reads the file. Its end is an error where it is not as the ZIP's checksum says, or
// larger than Size.
func (f ExportedFile) Open() (io.ReadCloser, error) {
	content, err := f.zip.Open()
	if err != nil {
		return nil, err
	}
	return &bounded{content, f.Size}, nil
}

// bounded fails behind so many bytes.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("the file is larger than the ZIP says")
	}
	return n, err
}

// ExportFiles lists the files of an export's ZIP that are no JSON. One that is no ZIP, or has
// more than most files, is an error.
func ExportFiles(file io.ReaderAt, size int64, most int) (files []ExportedFile, err error) {
	archive, err := openExport(file, size, most)
	if err != nil {
		return nil, err
	}
	for _, entry := range archive.File {
		if !entry.FileInfo().IsDir() && !isJSON(entry) && entry.UncompressedSize64 <= math.MaxInt64 {
			files = append(files, ExportedFile{entry.Name, int64(entry.UncompressedSize64), entry})
		}
	}
	return files, nil
}

func openExport(file io.ReaderAt, size int64, most int) (*zip.Reader, error) {
	bounded := &directory{ReaderAt: file, most: most}
	archive, err := zip.NewReader(bounded, size)
	bounded.read = true
	if err == nil && len(archive.File) > most {
		err = bounded.tooMany()
	}
	if err != nil {
		return nil, fmt.Errorf("read the export: %w", err)
	}
	return archive, nil
}

// directory is a ZIP whose directory is being read, which takes memory for each file. How many
// there are is known by reading them alone: what the ZIP says of their number need not be true.
type directory struct {
	io.ReaderAt
	most          int
	entries, size int64 // so far
	read          bool  // what is read from now on are the files
}

var entrySignature = []byte("PK\x01\x02")

func (d *directory) ReadAt(p []byte, at int64) (n int, err error) {
	n, err = d.ReaderAt.ReadAt(p, at)
	if d.read {
		return n, err
	}
	const searched = 128 << 10 // bytes at the end of the ZIP in which its directory is looked for
	d.size += int64(n)
	d.entries += int64(bytes.Count(p[:n], entrySignature))
	if d.entries > int64(d.most)+searched/minEntry || d.size > int64(d.most)*maxExportNames+searched {
		return n, d.tooMany()
	}
	return n, err
}

// minEntry is what a file takes at least in the directory of a ZIP, in bytes.
const minEntry = 46

func (d *directory) tooMany() error {
	return fmt.Errorf("it holds more than %d files, or their names are too long", d.most)
}

func isJSON(entry *zip.File) bool { return strings.EqualFold(path.Ext(entry.Name), ".json") }

// readEntry reads one file of an export; found says that it is of an image.
func readEntry(entry *zip.File, limit int64) (image ExportedImage, read int64, found bool, err error) {
	content, err := entry.Open()
	if err != nil {
		return image, 0, false, err
	}
	defer content.Close()
	data, err := io.ReadAll(io.LimitReader(content, limit+1))
	read = int64(len(data))
	if err != nil {
		return image, read, false, err
	}
	if read > limit {
		return image, read, false, fmt.Errorf("it is larger than %d bytes", limit)
	}
	var raw struct {
		Image       string          `json:"image"`
		ID          string          `json:"image_uuid"`
		Directory   string          `json:"image_path"`
		Count       *int            `json:"annotation_count"`
		Annotations json.RawMessage `json:"annotations"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return image, read, false, err
	}
	if raw.ID == "" || raw.Image == "" {
		if raw.Annotations == nil {
			return image, read, false, nil // a description of the dataset, say
		}
		return image, read, false, errors.New("it has annotations and does not say of which image")
	}
	image = ExportedImage{ID: raw.ID, Path: Image{DirectoryPath: raw.Directory, Filename: raw.Image}.Path(), Count: -1}
	if raw.Count != nil {
		image.Count = *raw.Count
	}
	if raw.Annotations == nil {
		return image, read, false, errors.New("it has no annotations, not even an empty list")
	}
	image.Annotations, err = DecodeAnnotations(raw.Annotations)
	return image, read, true, err
}
