// Package instant is a service that answers at once: what a sync spends against
// it, it spends itself. It knows one dataset and checks nothing; the sandbox is
// the one to be wrong against.
package instant

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Options say what the service has and how long it takes.
type Options struct {
	// Names are the file names of the dataset's images; nil stands for Images
	// names as [Name] makes them.
	Names  []string
	Images int
	// Sizes are the images' widths and heights; nil is 640×480 for all.
	Sizes [][2]int
	// Listed is how many annotations an image has in the beginning; nil is none.
	Listed func(image int) int
	// Latency is how long every answer takes from when its request arrives.
	Latency time.Duration
}

// Stats count what was asked for since the beginning or the last reset.
type Stats struct {
	Requests int64 `json:"requests"`
	Saved    int64 `json:"saved"` // images
}

// Server is the service; it is an [http.Handler].
type Server struct {
	options Options
	images  int
	counts  []atomic.Int32 // of annotations, by image

	requests, saved atomic.Int64

	mu       sync.Mutex
	classes  json.RawMessage
	record   bool
	recorded []*Request
}

// Request is one that was recorded.
type Request struct {
	Method string `json:"method"`
	URI    string `json:"uri"`
	Body   []byte `json:"body"`
}

// New makes a service.
func New(o Options) *Server {
	s := &Server{options: o, images: o.Images}
	if o.Names != nil {
		s.images = len(o.Names)
	}
	s.counts = make([]atomic.Int32, s.images)
	s.Reset()
	return s
}

// Reset makes the service what it was in the beginning.
func (s *Server) Reset() {
	for i := range s.counts {
		n := 0
		if s.options.Listed != nil {
			n = s.options.Listed(i)
		}
		s.counts[i].Store(int32(n))
	}
	s.requests.Store(0)
	s.saved.Store(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.classes = json.RawMessage("[]")
}

// Stats tells what was asked for.
func (s *Server) Stats() Stats {
	return Stats{Requests: s.requests.Load(), Saved: s.saved.Load()}
}

// Name is the file name of an image that was given none. Names are listed in no order.
func Name(image int) string { return nameOf(ID(image)) }

func nameOf(id string) string { return id[19:] + ".jpg" }

// ids makes ids of the numbers of images, and numbers of ids: they are in no order, as
// those of a service are, so that what is kept by id costs what it does there.
var ids = func() cipher.Block {
	block, err := aes.NewCipher([]byte("bench/instant/id"))
	if err != nil {
		panic(err)
	}
	return block
}()

// ID is the id of an image.
func ID(image int) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(image))
	ids.Encrypt(id[:], id[:])
	return id.String()
}

// number is the number of the image that has an id.
func (s *Server) number(id string) (int, error) {
	number, err := uuid.Parse(id)
	if err != nil {
		return 0, fmt.Errorf("%q is no id of an image: %w", id, err)
	}
	ids.Decrypt(number[:], number[:])
	image := binary.BigEndian.Uint64(number[8:])
	if binary.BigEndian.Uint64(number[:8]) != 0 || image >= uint64(s.images) {
		return 0, fmt.Errorf("there is no image %q", id)
	}
	return int(image), nil
}

// API is what the paths of requests begin with.
const API = "/api/v1/developer/"

const (
	datasetID = "00000000-0000-4000-8000-00000000da7a"
	since     = "2026-01-01T00:00:00.000000Z"
)

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, under := strings.CutPrefix(r.URL.Path, API)
	if !under {
		s.serveAdmin(w, r)
		return
	}
	s.requests.Add(1)
	arrived := time.Now()
	if err := s.keep(r); err != nil {
		return // the client has gone
	}
	var answer []byte
	var err error
	switch {
	case strings.HasPrefix(path, "datasets/") && r.Method == http.MethodPatch:
		answer, err = s.patch(r)
	case strings.HasPrefix(path, "datasets/"):
		answer = s.dataset()
	case path == "images/":
		answer, err = s.list(r)
	case path == "annotations/bulk":
		answer, err = s.save(r)
	case strings.HasPrefix(path, "annotations/") && r.Method == http.MethodGet:
		answer = []byte(`{"annotations":[]}`)
	default:
		err = fmt.Errorf("%s %s is not served here", r.Method, r.URL.Path)
	}
	if s.options.Latency > 0 {
		timer := time.NewTimer(s.options.Latency - time.Since(arrived))
		select {
		case <-timer.C:
		case <-r.Context().Done():
			timer.Stop()
			return
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer) // a client that has gone needs no answer
}

// serveAdmin resets, and records from then on where that is asked for, and tells
// the statistics or what was recorded.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.Reset()
		s.mu.Lock()
		s.record, s.recorded = r.URL.Path == "/record", nil
		s.mu.Unlock()
	}
	if r.Method == http.MethodGet && r.URL.Path == "/recorded" {
		s.mu.Lock()
		defer s.mu.Unlock()
		json.NewEncoder(w).Encode(s.recorded)
		return
	}
	json.NewEncoder(w).Encode(s.Stats())
}

// keep records a request, in the order of arrival, where that was asked for.
func (s *Server) keep(r *http.Request) (err error) {
	s.mu.Lock()
	if !s.record {
		s.mu.Unlock()
		return nil
	}
	kept := &Request{Method: r.Method, URI: r.URL.RequestURI()}
	s.recorded = append(s.recorded, kept)
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	kept.Body = body
	s.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

func (s *Server) dataset() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Appendf(nil, `{"data":{"id":%q,"organization_id":%q,"name":"bench","description":"","annotation_types":[],"classes":%s,"image_count":%d,"completed_image_count":0,"archived_image_count":0,"total_size":0,"created_at":%q,"updated_at":%q}}`,
		datasetID, datasetID, s.classes, s.images, since, since)
}

func (s *Server) patch(r *http.Request) ([]byte, error) {
	var edit struct {
		Classes json.RawMessage `json:"classes"`
	}
	if err := json.NewDecoder(r.Body).Decode(&edit); err != nil {
		return nil, err
	}
	if edit.Classes != nil {
		s.mu.Lock()
		s.classes = edit.Classes
		s.mu.Unlock()
	}
	return s.dataset(), nil
}

func (s *Server) list(r *http.Request) ([]byte, error) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		return nil, err
	}
	offset, err := strconv.Atoi(r.URL.Query().Get("offset"))
	if err != nil {
		return nil, err
	}
	end := min(offset+limit, s.images)
	page := append(make([]byte, 0, 64+max(end-offset, 0)*400), `{"data":[`...)
	for i := offset; i < end; i++ {
		if i > offset {
			page = append(page, ',')
		}
		page = s.appendImage(page, i)
	}
	return fmt.Appendf(page, `],"pagination":{"limit":%d,"offset":%d,"has_more":%t}}`, limit, offset, end < s.images), nil
}

// appendImage appends the entry of an image: what the service computes, it takes from
// the sync beside it.
func (s *Server) appendImage(page []byte, image int) []byte {
	id := ID(image)
	name := nameOf(id)
	if s.options.Names != nil {
		name = s.options.Names[image]
	}
	directory := ""
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		directory, name = name[:at], name[at+1:]
	}
	page = append(append(page, `{"id":"`...), id...)
	page = strconv.AppendQuote(append(page, `","dataset_id":"`+datasetID+`","filename":`...), name)
	page = strconv.AppendQuote(append(page, `,"directory_path":`...), "/"+directory)
	size := [2]int{640, 480}
	if s.options.Sizes != nil {
		size = s.options.Sizes[image]
	}
	page = strconv.AppendInt(append(page, `,"width":`...), int64(size[0]), 10)
	page = strconv.AppendInt(append(page, `,"height":`...), int64(size[1]), 10)
	page = strconv.AppendInt(append(page, `,"status":"new","split":null,"annotation_count":`...), int64(s.counts[image].Load()), 10)
	return append(page, `,"file_size":0,"content_type":"image/jpeg","tags":[],"is_archived":false,"created_at":"`+since+`"}`...)
}

func (s *Server) save(r *http.Request) ([]byte, error) {
	body := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, err
	}
	answer := []byte(`{"saved":[`)
	err := saves(body, func(id []byte, n int) error {
		text := string(id)
		image, err := s.number(text)
		if err != nil {
			return err
		}
		previous := s.counts[image].Swap(int32(n))
		if s.saved.Add(1); answer[len(answer)-1] != '[' {
			answer = append(answer, ',')
		}
		answer = append(append(answer, `{"image_id":"`...), text...)
		answer = strconv.AppendInt(append(answer, `","previous_count":`...), int64(previous), 10)
		answer = strconv.AppendInt(append(answer, `,"new_count":`...), int64(n), 10)
		answer = append(answer, `,"status":"annotate"}`...)
		return nil
	})
	return append(answer, `],"failed":[]}`...), err
}

// saves tells of each entry of a bulk save its image and how many annotations it
// has. It takes the JSON for well-formed: to parse it all would take longer than
// a sync may.
func saves(body []byte, tell func(id []byte, annotations int) error) error {
	const (
		inEntry       = 3 // { saves [ {
		inAnnotations = 4 // … annotations [
	)
	depth, annotations := 0, 0
	var id []byte
	expectID := false
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			from := i + 1
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
			if i >= len(body) {
				return io.ErrUnexpectedEOF
			}
			if depth == inEntry {
				if text := body[from:i]; expectID {
					id, expectID = text, false
				} else {
					expectID = string(text) == "image_id"
				}
			}
		case '{', '[':
			if depth == inAnnotations && body[i] == '{' {
				annotations++
			}
			depth++
		case '}', ']':
			if depth == inEntry {
				if err := tell(id, annotations); err != nil {
					return err
				}
				id, annotations = nil, 0
			}
			depth--
		}
	}
	if depth != 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}
