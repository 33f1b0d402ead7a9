package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/sandbox"
	"pictosync/store"
	"pictosync/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a state and a sandbox with a dataset, in a folder.
type bench struct {
	t      *testing.T
	dir    string
	server *sandbox.Server
	http   *httptest.Server
	store  *store.Store
	// before sees every request; it may answer in the service's place by returning true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	var err error
	if b.server, err = sandbox.Open(filepath.Join(b.dir, "sandbox.db"), sandbox.Options{}); err != nil {
		t.Fatal(err)
	}
	b.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.before == nil || !b.before(w, r) {
			b.server.ServeHTTP(w, r)
		}
	}))
	if b.store, err = store.Open(context.Background(), filepath.Join(b.dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.http.Close()
		if err := errors.Join(b.store.Close(), b.server.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := b.server.EnsureDataset(context.Background(), "set"); err != nil {
		t.Fatal(err)
	}
	return b
}

// images adds images to the dataset.
func (b *bench) images(paths ...string) {
	b.t.Helper()
	var images []sandbox.NewImage
	for _, p := range paths {
		images = append(images, sandbox.NewImage{Path: p, Width: 100, Height: 100})
	}
	if _, err := b.server.AddImages(context.Background(), "set", images); err != nil {
		b.t.Fatal(err)
	}
}

// labels writes canonical lines, as "a.jpg car car truck".
func (b *bench) labels(lines ...string) string {
	b.t.Helper()
	var out bytes.Buffer
	for _, line := range lines {
		words := strings.Fields(line)
		annotations := []map[string]any{}
		for i, name := range words[1:] {
			annotations = append(annotations, map[string]any{"id": fmt.Sprint(i), "name": name, "type": "bbox", "bounding_box": map[string]any{"x": i, "y": 1, "w": 2, "h": 3}})
		}
		data, err := json.Marshal(map[string]any{"image": words[0], "width": 100, "height": 100, "annotations": annotations})
		if err != nil {
			b.t.Fatal(err)
		}
		out.Write(append(data, '\n'))
	}
	path := filepath.Join(b.dir, "labels.jsonl")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// client is that of a new process.
func (b *bench) client() (*pictograph.Client, *quota.Pacer) {
	b.t.Helper()
	pacer, err := quota.NewPacer(context.Background(), quota.Quota{}, "key", b.store, time.Now)
	if err != nil {
		b.t.Fatal(err)
	}
	client, err := pictograph.New(pictograph.Config{BaseURL: b.http.URL, APIKey: "key", Pacer: pacer, Transport: &http.Transport{}, BackoffBase: time.Millisecond, BackoffCap: time.Millisecond, MaxRetries: 3})
	if err != nil {
		b.t.Fatal(err)
	}
	return client, pacer
}

func (b *bench) access(change ...func(*dataset.Options)) dataset.Options {
	o := dataset.Options{Dataset: "set", Service: "test", Log: zerolog.Nop(), OutagePause: time.Millisecond, MaxOutage: time.Minute}
	for _, c := range change {
		c(&o)
	}
	return o
}

// sync saves labels as a process of its own would.
func (b *bench) sync(path string, change ...func(*dataset.Options)) worker.Summary {
	b.t.Helper()
	src, err := formats.Open(context.Background(), path, convert.OpenOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	client, pacer := b.client()
	defer client.CloseIdleConnections()
	s, err := worker.Sync(context.Background(), nil, worker.Connection{Client: client, Store: b.store, Pacer: pacer}, worker.Opened(src), worker.Options{Common: worker.Common{Options: b.access(change...), Source: path}})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// export backs up the dataset as a process of its own would.
func (b *bench) export(stop <-chan struct{}, o Options, change ...func(*dataset.Options)) (Summary, error) {
	b.t.Helper()
	client, pacer := b.client()
	defer client.CloseIdleConnections()
	o.Options, o.Out = b.access(change...), filepath.Join(b.dir, "backups")
	return Export(context.Background(), stop, client, b.store, pacer, o)
}

// post sets what an image has as somebody else.
func (b *bench) post(image, annotations string) {
	b.t.Helper()
	request, err := http.NewRequest("POST", b.http.URL+"/api/v1/developer/annotations/set/"+image, strings.NewReader(`{"annotations":`+annotations+`}`))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "another")
	answer := httptest.NewRecorder()
	b.server.ServeHTTP(answer, request)
	if answer.Code != 200 {
		b.t.Fatalf("POST %s: %d %s", image, answer.Code, answer.Body)
	}
}

const theirs = `[{"id":"77","name":"car","type":"polygon","polygon":{"paths":[[{"x":1,"y":1},{"x":9,"y":1},{"x":9,"y":9.5}],[{"x":4,"y":2},{"x":6,"y":2},{"x":6,"y":3}]]},"bounding_box":{"x":1,"y":1,"w":8,"h":8.5},"confidence":0.5,"created_by":"me@example.com","attributes":{"color":"red"}}]`
