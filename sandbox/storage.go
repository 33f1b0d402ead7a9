package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// storage is the other host that signed URLs lead to, as with the service: a
// listener of its own, opened for the first URL, that knows no keys, refuses
// those that are sent to it, and answers errors in XML.
type storage struct {
	mu     sync.Mutex
	origin string
	server *http.Server
	done   chan struct{}
	secret [32]byte // signs the URLs of downloads; a restart ends them
}

// urlLifetime is how long a signed URL is good for.
func (s *Server) urlLifetime() time.Duration {
	if d := s.options.Faults.URLLifetime; d > 0 {
		return d
	}
	return time.Hour
}

// storageOrigin is the scheme and host of the storage, which listens from now
// on at the latest.
func (s *Server) storageOrigin() (string, error) {
	s.storage.mu.Lock()
	defer s.storage.mu.Unlock()
	if s.options.StorageURL != "" {
		return strings.TrimSuffix(s.options.StorageURL, "/"), nil
	}
	if s.storage.origin != "" {
		return s.storage.origin, nil
	}
	l := s.options.Storage
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			if l, err = net.Listen("tcp", "[::1]:0"); err != nil {
				return "", fmt.Errorf("listen for the sandbox's storage: %w", err)
			}
		}
	}
	s.storage.origin = "http://" + l.Addr().String()
	s.storage.server = &http.Server{Handler: s.StorageHandler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	s.storage.done = make(chan struct{})
	go func() {
		defer close(s.storage.done)
		if err := s.storage.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Error().Err(err).Msg("the sandbox's storage")
		}
	}()
	return s.storage.origin, nil
}

func (s *Server) closeStorage() error {
	s.storage.mu.Lock()
	defer s.storage.mu.Unlock()
	if s.storage.server == nil {
		if s.options.Storage != nil {
			return s.options.Storage.Close()
		}
		return nil
	}
	err := s.storage.server.Close()
	<-s.storage.done
	return err
}

const (
	uploadPrefix   = "/upload/"
	downloadPrefix = "/exports/"
)

// signedDownload is the URL of an export's file.
func (s *Server) signedDownload(id string, now time.Time) (string, error) {
	origin, err := s.storageOrigin()
	if err != nil {
		return "", err
	}
	expires := strconv.FormatInt(now.Add(s.urlLifetime()).UnixMilli(), 10)
	return origin + downloadPrefix + id + ".zip?expires=" + expires + "&signature=" + s.signature(id, expires), nil
}

func (s *Server) signature(id, expires string) string {
	mac := hmac.New(sha256.New, s.storage.secret[:])
	mac.Write([]byte(id + "\x00" + expires))
	return hex.EncodeToString(mac.Sum(nil))
}

// storageError is a refusal in the storage's words.
type storageError struct {
	status        int
	code, message string
}

func (e *storageError) send(w http.ResponseWriter) {
	var text strings.Builder
	if xml.EscapeText(&text, []byte(e.message)) != nil {
		text.Reset()
	}
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(e.status)
	fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>%s</Message></Error>", e.code, text.String())
}

var (
	errExpired   = &storageError{http.StatusForbidden, "ExpiredToken", "the signed URL has expired; ask the service for another"}
	errSignature = &storageError{http.StatusForbidden, "SignatureDoesNotMatch", "the signed URL is not one of the service's, or was used up; ask it for another"}
	errUnwell    = &storageError{http.StatusServiceUnavailable, "ServiceUnavailable", "the storage is not well; try again"}
)

// StorageHandler answers at the storage's host, for those who have no network;
// see [Options].
func (s *Server) StorageHandler() http.Handler { return http.HandlerFunc(s.serveStorage) }

// serveStorage answers at the storage's host.
func (s *Server) serveStorage(w http.ResponseWriter, r *http.Request) {
	s.count(func(st *Stats) { st.Storage++ })
	if r.Header.Get("X-API-Key") != "" {
		s.count(func(st *Stats) { st.KeysLeaked++ })
		(&storageError{http.StatusBadRequest, "InvalidArgument", "an API key was sent to a signed URL, which is another host's; leave the key out"}).send(w)
		return
	}
	n := s.storageNumber.Add(1)
	switch {
	case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, uploadPrefix):
		s.servePut(w, r, n)
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.HasPrefix(r.URL.Path, downloadPrefix):
		s.serveDownload(w, r, n)
	default:
		(&storageError{http.StatusNotFound, "NoSuchKey", "there is nothing here; signed URLs are given by the service"}).send(w)
	}
}

// strikes tells whether a fault hits the n-th of what it is drawn for, and
// counts it.
func (s *Server) strikes(name string, n int64, r *http.Request) bool {
	hit := s.options.Faults.hits(name, n)
	if hit {
		s.fire(name, r)
	}
	return hit
}

// maxUpload bounds the bytes of an image.
const maxUpload = 256 << 20

// servePut takes the bytes of an image. As with object storage the last ones
// count, until the image is registered.
func (s *Server) servePut(w http.ResponseWriter, r *http.Request, n int64) {
	switch {
	case s.strikes(putExpired, n, r):
		errExpired.send(w)
		return
	case s.strikes(putFailed, n, r):
		errUnwell.send(w)
		return
	}
	err := s.put(r)
	var refused *storageError
	switch {
	case errors.As(err, &refused):
		refused.send(w)
	case err != nil:
		(&storageError{http.StatusInternalServerError, "InternalError", err.Error()}).send(w)
	case s.strikes(putLost, n, r):
		hangUp(w, true)
	}
}

func (e *storageError) Error() string { return e.message }

func (s *Server) put(r *http.Request) error {
	token := strings.TrimPrefix(r.URL.Path, uploadPrefix)
	var contentType, before string
	var expires int64
	err := s.db.QueryRowContext(r.Context(), `SELECT content_type, expires, sha256 FROM upload_urls WHERE token = ?`, token).Scan(&contentType, &expires, &before)
	if err != nil {
		return errSignature
	}
	if s.options.Now().UnixMilli() >= expires {
		return errExpired
	}
	if contentType != "" && r.Header.Get("Content-Type") != contentType {
		return &storageError{http.StatusForbidden, "SignatureDoesNotMatch", fmt.Sprintf("the URL was signed for the content type %q, not %q", contentType, r.Header.Get("Content-Type"))}
	}
	sha, err := s.keep(r, token)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &storageError{http.StatusRequestEntityTooLarge, "EntityTooLarge", fmt.Sprintf("an image may have %d bytes", maxUpload)}
	}
	if err == nil && before != "" && before != sha {
		s.removeUnused([]string{before})
	}
	return err
}

// keep stores the body for the upload of the token.
func (s *Server) keep(r *http.Request, token string) (sha string, err error) {
	temp, sha, size, err := s.files.receive(http.MaxBytesReader(nil, r.Body, maxUpload))
	if err != nil {
		return "", err
	}
	s.files.unused.RLock()
	defer s.files.unused.RUnlock()
	if err := s.files.adopt(temp, sha); err != nil {
		return "", err
	}
	result, err := s.db.ExecContext(context.WithoutCancel(r.Context()), `UPDATE upload_urls SET sha256 = ?, size = ? WHERE token = ?`, sha, size, token)
	if err != nil {
		return "", err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return "", errors.Join(errSignature, err) // registered meanwhile
	}
	return sha, nil
}

// serveDownload serves an export's file, in ranges too.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request, n int64) {
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, downloadPrefix), ".zip")
	expires := r.URL.Query().Get("expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case err != nil || !isUUID(id) || !hmac.Equal([]byte(s.signature(id, expires)), []byte(r.URL.Query().Get("signature"))):
		errSignature.send(w)
		return
	case s.options.Now().UnixMilli() >= until, s.strikes(downloadExpired, n, r):
		errExpired.send(w)
		return
	case s.strikes(downloadFailed, n, r):
		errUnwell.send(w)
		return
	}
	dir, err := s.files.exports()
	if err == nil {
		err = s.sendExport(w, r, filepath.Join(dir, id+".zip"), n)
	}
	if err != nil {
		(&storageError{http.StatusNotFound, "NoSuchKey", "the file of the export is gone; ask for another export"}).send(w)
	}
}

func (s *Server) sendExport(w http.ResponseWriter, r *http.Request, path string, n int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	if s.strikes(downloadCut, n, r) {
		w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		io.CopyN(w, f, info.Size()/2)
		http.NewResponseController(w).Flush()
		hangUp(w, false)
		return nil
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}
