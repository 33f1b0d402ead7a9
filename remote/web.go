package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-retry"

	"pictosync/internal/atomicfile"
)

// fromElsewhere reads what an address with a scheme leads to.
func (c *Copy) fromElsewhere(ctx context.Context, address string) error {
	u, shown, err := parse(address)
	if err != nil {
		return err
	}
	c.Address = shown
	if u.Scheme == "https" || u.Scheme == "http" {
		return c.fromWeb(ctx, u)
	}
	return c.fromBucket(ctx, u)
}

// version is what a download is of, and how large it is.
type version struct {
	Size  int64 // -1 where it is not known
	Stamp string
}

func (v version) String() string { return fmt.Sprintf("%d %s\n", v.Size, v.Stamp) }

// single takes a single file that was downloaded for the source: an archive, or labels.
func (c *Copy) single(ctx context.Context, file string) error {
	if isArchive(file) {
		return c.fromArchive(ctx, file)
	}
	c.Path = file
	return nil
}

func (c *Copy) downloadedAs(name string) string { return filepath.Join(c.dir, "file", name) }

// unless asks for a file unless it is what was downloaded before.
func (c *Copy) unless(name string) map[string]string {
	file := c.downloadedAs(name)
	info, err := os.Stat(file)
	mark, markErr := os.ReadFile(file + ".version")
	size, stamp, _ := strings.Cut(strings.TrimSuffix(string(mark), "\n"), " ")
	switch {
	case err != nil || markErr != nil || stamp == "" || size != "-1" && size != strconv.FormatInt(info.Size(), 10):
		return nil
	case strings.HasPrefix(stamp, `"`):
		return map[string]string{"If-None-Match": stamp}
	}
	return map[string]string{"If-Modified-Since": stamp}
}

// downloaded is where a single file is downloaded to; it is there where it is of a version.
func (c *Copy) downloaded(name string, v version) (file string, there bool, err error) {
	file = c.downloadedAs(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", false, err
	}
	mark, err := os.ReadFile(file + ".version")
	if err == nil && string(mark) == v.String() {
		info, err := os.Stat(file)
		there = err == nil && (v.Size < 0 || info.Size() == v.Size) && v.Stamp != ""
		return file, there, nil
	}
	// What there is, is of another version.
	return file, false, errors.Join(os.RemoveAll(file), os.RemoveAll(file+".part"), atomicfile.Write(file+".version", []byte(v.String()), atomicfile.Private))
}

// A download that breaks off is tried again, after pauses that grow, until so many tries in
// a row came no further.
const downloadTries = 5

// downloadPause is the first of the pauses.
var downloadPause = time.Second

// errBroken is returned where an answer breaks off before the new bytes of it begin.
var errBroken = errors.New("the answer broke off")

// download downloads a file, and goes on where a process before was killed.
func (c *Copy) download(ctx context.Context, file string, v version, open func(offset int64) (io.ReadCloser, error)) error {
	to, err := os.OpenFile(file+".part", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	var furthest int64
	pauses := newPauses()
	for {
		info, err := to.Stat()
		if err != nil {
			return err
		}
		offset := info.Size()
		if v.Stamp == "" || v.Size < 0 || offset > v.Size { // nothing tells what is behind it
			offset = 0
			if err := to.Truncate(0); err != nil {
				return err
			}
		}
		if offset == v.Size {
			break
		}
		n := int64(0)
		from, err := open(offset)
		switch {
		case err == nil:
			var rest io.Reader = from
			if v.Size >= 0 {
				rest = io.LimitReader(from, v.Size-offset)
			}
			n, err = io.Copy(to, rest)
			from.Close()
		case !errors.Is(err, errBroken):
			return err
		}
		if offset += n; err == nil && (v.Size < 0 || offset == v.Size) {
			break
		}
		if errors.As(err, new(*fs.PathError)) { // of the file here
			return err
		}
		if offset > furthest {
			furthest, pauses = offset, newPauses()
		}
		pause, stop := pauses.Next()
		if stop {
			return brokenOff(furthest, v)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	if err := errors.Join(to.Sync(), to.Close()); err != nil {
		return err
	}
	c.Fetched++
	return os.Rename(file+".part", file)
}

func newPauses() retry.Backoff {
	return retry.WithMaxRetries(downloadTries-1, retry.NewExponential(downloadPause))
}

func brokenOff(n int64, v version) error {
	of, next := "", "run again later, or give a copy on this machine"
	if v.Size >= 0 {
		of = fmt.Sprintf(" of %d", v.Size)
	}
	if v.Size >= 0 && v.Stamp != "" {
		next = "run again later: it goes on from there"
	}
	return fmt.Errorf("the download broke off after %d%s bytes; %d more tries came no further; %s", n, of, downloadTries-1, next)
}

// web is for files that URLs lead to: no key is ever sent there.
var web = &http.Client{Timeout: 0, Transport: func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = time.Minute
	return t
}()}

func (c *Copy) fromWeb(ctx context.Context, u *url.URL) error {
	defer web.CloseIdleConnections()
	name := baseName(u.Path)
	if !isArchive(name) && partOf(name) != whole {
		return &Error{Op: "read", Address: c.Address, Err: errors.New("a URL leads to one file, and this one ends like no archive and no label file"), Advice: "give a .zip, .tar.gz, .json or .jsonl; folders are read from buckets"}
	}
	// A HEAD would tell as much, and addresses that are signed for reading refuse it.
	first, err := ask(ctx, u, c.unless(name))
	if err != nil {
		return err
	}
	defer first.Body.Close()
	switch first.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		c.Kept++
		return c.single(ctx, c.downloadedAs(name))
	default:
		return fmt.Errorf("the server answered %s", first.Status)
	}
	w := webFile{url: u, first: first, version: versionOf(first), unread: true}
	file, there, err := c.downloaded(name, w.version)
	if err != nil {
		return err
	}
	if there {
		c.Kept++
		return c.single(ctx, file)
	}
	if err := c.download(ctx, file, w.version, func(offset int64) (io.ReadCloser, error) { return w.open(ctx, offset) }); err != nil {
		return err
	}
	return c.single(ctx, file)
}

// ask asks for what a URL leads to.
func ask(ctx context.Context, u *url.URL, headers map[string]string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := web.Do(request)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // its text would repeat the URL
	}
	return answer, err
}

// versionOf is which version of its file an answer has.
func versionOf(answer *http.Response) version {
	v := version{Size: answer.ContentLength, Stamp: answer.Header.Get("ETag")}
	if strings.HasPrefix(v.Stamp, "W/") {
		v.Stamp = ""
	}
	if v.Stamp == "" {
		v.Stamp = answer.Header.Get("Last-Modified")
	}
	return v
}

// webFile is a file that a URL leads to, in the version of the first answer.
type webFile struct {
	url     *url.URL
	first   *http.Response
	version version
	unread  bool // nothing of the first answer's body was read
}

// open reads the file from an offset on.
func (w *webFile) open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if offset == 0 && w.unread {
		w.unread = false
		return w.first.Body, nil
	}
	w.first.Body.Close()
	var headers map[string]string
	if offset > 0 {
		headers = map[string]string{"Range": fmt.Sprintf("bytes=%d-", offset), "If-Range": w.version.Stamp}
	}
	answer, err := ask(ctx, w.url, headers)
	if err != nil {
		return nil, err
	}
	same := answer.Header.Get("ETag") == w.first.Header.Get("ETag") && answer.Header.Get("Last-Modified") == w.first.Header.Get("Last-Modified")
	switch {
	case answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent:
		err = fmt.Errorf("the server answered %s", answer.Status)
	case !same:
		err = errors.New("the file changed while it was downloaded; run again")
	case answer.StatusCode == http.StatusPartialContent && !strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)):
		err = fmt.Errorf("the server was asked for the bytes from %d on, and sends others (Content-Range %q)", offset, answer.Header.Get("Content-Range"))
	case answer.StatusCode == http.StatusOK: // the server knows no ranges
		if _, copyErr := io.CopyN(io.Discard, answer.Body, offset); copyErr != nil {
			err = errBroken
		}
	}
	if err != nil {
		answer.Body.Close()
		return nil, err
	}
	return answer.Body, nil
}
