package pictograph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// MaxUploads is how many images one call of [Client.UploadURLs] or [Client.Register] takes.
const MaxUploads = 500

// NewImage is an image to be uploaded.
type NewImage struct {
	Dataset       string // name or id
	Path          string // directory and file name, as "val/a.jpg"
	ContentType   string // as "image/jpeg"
	Size          int64  // bytes
	Width, Height int    // pixels; 0 where it is not known
}

// place is the image's directory and file name as the service takes them.
func (i NewImage) place() (directory, filename string) {
	directory, filename = "/", i.Path
	if at := strings.LastIndexByte(i.Path, '/'); at >= 0 {
		directory, filename = "/"+strings.Trim(i.Path[:at], "/"), i.Path[at+1:]
	}
	return directory, filename
}

// uploadEntry is an image in the body of a call.
type uploadEntry struct {
	Dataset     string `json:"dataset,omitempty"`
	Directory   string `json:"directory_path"`
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	FileSize    int64  `json:"file_size,omitempty"`
	Width       int    `json:"width,omitempty"`
	Height      int    `json:"height,omitempty"`
}

// entry is the image as calls name it; with its size where it is registered.
func (i NewImage) entry(registered bool) uploadEntry {
	e := uploadEntry{ContentType: i.ContentType}
	e.Directory, e.Filename = i.place()
	if registered {
		e.FileSize, e.Width, e.Height = i.Size, i.Width, i.Height
	}
	return e
}

func uploadBody(op, dataset string, images []NewImage, registered bool) ([]byte, error) {
	entries := make([]uploadEntry, len(images))
	for n, i := range images {
		entries[n] = i.entry(registered)
	}
	return marshal(op, map[string]any{"dataset": dataset, "images": entries})
}

// UploadURL is where the bytes of an image are put. It is a secret for as long as it is
// good for, and must not be written down.
type UploadURL struct {
	URL string
	// Path is the directory and file name that the service says the image will have, which
	// may be others than were asked for; "" where it does not say.
	Path string
}

// Format keeps the URL out of whatever prints it.
func (u UploadURL) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "pictograph.UploadURL{%s}", u.Path)
}

type signedUpload struct {
	UploadURL string  `json:"upload_url"`
	Filename  string  `json:"filename"`
	Directory *string `json:"directory_path"`
}

func (s signedUpload) url(asked NewImage) UploadURL {
	if s.Filename == "" || strings.ContainsAny(s.Filename, "/\\") {
		return UploadURL{URL: s.UploadURL}
	}
	directory, _ := asked.place()
	if s.Directory != nil {
		directory = *s.Directory
	}
	return UploadURL{s.UploadURL, Image{DirectoryPath: directory, Filename: s.Filename}.Path()}
}

// UploadURLs asks for where to put the bytes of images, [MaxUploads] at most, and returns
// a URL for each in their order. An image's Dataset is passed over.
func (c *Client) UploadURLs(ctx context.Context, dataset string, images []NewImage) ([]UploadURL, error) {
	op := fmt.Sprintf("ask where to upload %d images", len(images))
	body, err := uploadBody(op, dataset, images, false)
	if err != nil {
		return nil, err
	}
	var out one[struct {
		URLs []signedUpload `json:"upload_urls"`
	}]
	if err := c.do(ctx, call{op: op, method: http.MethodPost, path: imagesPath + "bulk-upload-url", body: body}, &out); err != nil {
		return nil, err
	}
	if len(out.Data.URLs) != len(images) {
		return nil, &APIError{Op: op, Status: http.StatusOK, Message: fmt.Sprintf("the service answered with %d URLs", len(out.Data.URLs))}
	}
	urls := make([]UploadURL, len(images))
	for n, u := range out.Data.URLs {
		urls[n] = u.url(images[n])
	}
	return urls, nil
}

// RegisterFailure is an image that was not registered.
type RegisterFailure struct {
	Path  string // as it was asked for, as far as the service says it
	Error string
}

// Registered is what became of images whose bytes were put.
type Registered struct {
	Succeeded []Image
	Failed    []RegisterFailure
}

// Register makes images of bytes that were put, [MaxUploads] at most. What is wrong with
// one is its failure alone, a name that is taken in its directory for one. key is the
// idempotency key: under the same one the same images get the first answer again.
func (c *Client) Register(ctx context.Context, dataset string, images []NewImage, key string) (Registered, error) {
	op := fmt.Sprintf("register %d images", len(images))
	body, err := uploadBody(op, dataset, images, true)
	if err != nil {
		return Registered{}, err
	}
	var out one[struct {
		Succeeded []Image `json:"succeeded"`
		Failed    []struct {
			Filename  string  `json:"filename"`
			Directory *string `json:"directory_path"`
			Error     string  `json:"error"`
		} `json:"failed"`
	}]
	if err := c.do(ctx, call{op: op, method: http.MethodPost, path: imagesPath + "bulk-register", body: body, key: key}, &out); err != nil {
		return Registered{}, err
	}
	r := Registered{Succeeded: out.Data.Succeeded}
	for _, f := range out.Data.Failed {
		failure := RegisterFailure{Path: f.Filename, Error: c.withoutKey(f.Error)}
		if f.Directory != nil {
			failure.Path = Image{DirectoryPath: *f.Directory, Filename: f.Filename}.Path()
		}
		r.Failed = append(r.Failed, failure)
	}
	return r, nil
}

// Upload stores an image: it asks for a signed URL, puts the bytes there
// (without the key, and without retries, since content is read once) and
// registers the image. For many images [Client.UploadURLs], [Client.PutImage] and
// [Client.Register] take fewer requests.
func (c *Client) Upload(ctx context.Context, image NewImage, content io.Reader) (Image, error) {
	op := "upload " + image.Path
	entry := image.entry(false)
	entry.Dataset = image.Dataset
	data, err := marshal(op, entry)
	if err != nil {
		return Image{}, err
	}
	var signed one[signedUpload]
	if err := c.do(ctx, call{op: op, method: http.MethodPost, path: imagesPath + "upload-url", body: data}, &signed); err != nil {
		return Image{}, err
	}
	if err := c.put(ctx, signed.Data.UploadURL, image, content); err != nil {
		return Image{}, err
	}
	entry = image.entry(true)
	entry.Dataset = image.Dataset
	if data, err = marshal(op, entry); err != nil {
		return Image{}, err
	}
	var out one[Image]
	err = c.do(ctx, call{op: op, method: http.MethodPost, path: imagesPath + "register", body: data}, &out)
	return out.Data, err
}

// PutImage sends the bytes of an image to its URL. It does not count against the quota, and
// carries no key: the URL is the service's to choose. open is called for each attempt: those
// that fail for reasons that pass are tried again as requests are. An attempt may take as long
// as it needs, but no longer than a request may without a byte being taken. A refusal is a
// [*StorageError], a failure of the network a [*NetworkError].
func (c *Client) PutImage(ctx context.Context, to UploadURL, image NewImage, open func() (io.ReadCloser, error)) error {
	for attempt := 1; ; attempt++ {
		err := c.putFrom(ctx, to, image, open)
		wait, again := c.retryPut(err, attempt)
		if !again || ctx.Err() != nil {
			return err
		}
		c.config.OnRetry(Retry{Op: "upload " + image.Path, Attempt: attempt, Wait: wait, Err: err})
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (c *Client) retryPut(err error, attempt int) (wait time.Duration, again bool) {
	var refused *StorageError
	passes := errors.Is(err, ErrNetwork) || errors.As(err, &refused) && refused.Passes()
	if !passes || attempt > c.config.MaxRetries {
		return 0, false
	}
	return c.backoff(attempt), true
}

// Passes reports whether the storage may take the same request later.
func (e *StorageError) Passes() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

func (c *Client) putFrom(ctx context.Context, to UploadURL, image NewImage, open func() (io.ReadCloser, error)) error {
	content, err := open()
	if err != nil {
		return err
	}
	defer content.Close()
	return c.put(ctx, to.URL, image, content)
}

// put makes one attempt to send the bytes of an image.
func (c *Client) put(ctx context.Context, signed string, image NewImage, content io.Reader) error {
	op := "upload " + image.Path
	target, err := c.base.Parse(signed)
	if err != nil || signed == "" || target.Scheme != "https" && (target.Scheme != "http" || !loopback(target.Hostname())) {
		return fmt.Errorf("%s: the service named an upload URL that is not https", op)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(c.config.Timeout, func() { cancel(errNoAnswer) })
	defer stalled.Stop()
	body := &moving{from: content, moved: func() { stalled.Reset(c.config.Timeout) }}
	defer body.end()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, target.String(), body)
	if err != nil {
		return fmt.Errorf("%s: the service named an upload URL that is none", op) // its own text has the URL
	}
	if request.ContentLength = image.Size; image.Size == 0 {
		request.Body = http.NoBody
	}
	request.Header.Set("Content-Type", image.ContentType)
	request.Header.Set("User-Agent", c.config.UserAgent)
	answer, err := c.plain.Do(request)
	if readErr := body.failed(); readErr != nil && (err != nil || answer.StatusCode >= 300) {
		if answer != nil {
			answer.Body.Close()
		}
		return fmt.Errorf("%s: %w", op, readErr)
	}
	if err != nil {
		return c.networkError(ctx, op, err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxErrorAnswer)); err != nil && answer.StatusCode < 300 {
		return c.networkError(ctx, op, err)
	}
	if answer.StatusCode >= 300 {
		return &StorageError{Op: op, Status: answer.StatusCode}
	}
	return nil
}

// moving is content on its way, which keeps what went wrong in reading it. Nothing of it is
// read once it has ended: net/http may go on for a while behind an answer.
type moving struct {
	from  io.Reader
	moved func()

	mu    sync.Mutex
	err   error
	ended bool
}

func (m *moving) Read(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return 0, io.ErrClosedPipe
	}
	n, err := m.from.Read(b)
	if n > 0 {
		m.moved()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

func (m *moving) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *moving) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
}

// SetSplit puts an image into a split, train, val or test, or with "" into none.
func (c *Client) SetSplit(ctx context.Context, image ImageRef, split string) error {
	op := "set the split of " + image.String()
	var value any
	if split != "" {
		value = split
	}
	body, err := marshal(op, map[string]any{"split": value})
	if err != nil {
		return err
	}
	return c.do(ctx, call{op: op, method: http.MethodPost, path: imagesPath + segment(image.Dataset) + "/" + segments(image.Path) + "/split", body: body}, nil)
}
