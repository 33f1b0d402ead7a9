//go:build !nocloud

package remote

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"
)

// However the objects of a bucket lie in folders, each is listed once.
func TestBucketListing(t *testing.T) {
	many := func(n int, format string) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprintf(format, i, i%7))
		}
		return keys
	}
	for name, keys := range map[string][]string{
		"flat":           many(2500, "set/%05d.txt%.0d"),
		"a few folders":  many(300, "set/part%[2]d/images/%05[1]d.txt"),
		"many folders":   many(900, "set/part%05[1]d/images/%[2]d.txt"),
		"many below few": slices.Concat(many(200, "set/labels/%05d/%d.txt"), many(200, "set/images/%05d/%d.txt")),
		"folders late":   slices.Concat(many(1500, "set/%05d.txt%.0d"), many(300, "set/x%05d/%d.txt")),
		"deep":           {"set/a/b/c/d/e/f/g.txt", "set/a/b/c.txt", "set/a.txt", "set/a/b/"},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := memblob.OpenBucket(nil)
			defer bucket.Close()
			want := make(map[string]int)
			for _, key := range append(keys, "settings/not below it.txt") {
				if err := bucket.WriteAll(t.Context(), key, []byte("x"), nil); err != nil {
					t.Fatal(err)
				}
				if rel, below := strings.CutPrefix(key, "set/"); below && !strings.HasSuffix(rel, "/") {
					want[rel] = 1
				}
			}
			got := make(map[string]int)
			for o, err := range (&bucketTree{bucket, "set/"}).list(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got[o.Path]++
			}
			if !maps.Equal(got, want) {
				t.Errorf("%d objects are listed as %d", len(want), len(got))
			}
		})
	}
}

// shelves is a server of S3 listings of folders, none of which it answers before it was asked for
// all of them.
type shelves struct {
	mu    sync.Mutex
	left  map[string]bool
	asked chan struct{}
	pages int
}

func (s *shelves) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix := r.URL.Query().Get("prefix")
	s.mu.Lock()
	s.pages++
	var folders []string
	if prefix == "" {
		folders = slices.Sorted(maps.Keys(s.left))
	} else if delete(s.left, prefix); len(s.left) == 0 {
		close(s.asked)
	}
	s.mu.Unlock()
	type part struct {
		Prefix string `xml:"Prefix"`
	}
	answer := struct {
		XMLName xml.Name `xml:"ListBucketResult"`
		Folders []part   `xml:"CommonPrefixes"`
	}{}
	for _, f := range folders {
		answer.Folders = append(answer.Folders, part{f})
	}
	if prefix != "" {
		select {
		case <-s.asked:
		case <-r.Context().Done():
		}
	}
	xml.NewEncoder(w).Encode(answer)
}

func TestFoldersAreListedSideBySide(t *testing.T) {
	s := &shelves{left: map[string]bool{"a/": true, "b/": true, "c/": true, "d/": true}, asked: make(chan struct{})}
	server := httptest.NewServer(s)
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "y")
	u, err := url.Parse("s3://bucket?use_path_style=true&region=us-east-1&endpoint=" + url.QueryEscape(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := openBucket(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of a listing that waits for the one before
	defer cancel()
	for _, err := range (&bucketTree{bucket, ""}).list(ctx) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.pages != 5 {
		t.Errorf("%d requests for four folders", s.pages)
	}
}

// gate is a tree of which nothing is read before so many objects are opened.
type gate struct {
	*shelf
	left   atomic.Int32
	opened chan struct{}
}

func (g *gate) open(ctx context.Context, o object, limit int64) (io.ReadCloser, error) {
	if g.left.Add(-1) == 0 {
		close(g.opened)
	}
	select {
	case <-g.opened:
		return g.shelf.open(ctx, o, limit)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func TestObjectsAreReadSideBySide(t *testing.T) {
	g := &gate{shelf: &shelf{read: make(map[string]int64), files: make(map[string][]byte)}, opened: make(chan struct{})}
	for n := range 40 {
		g.files[fmt.Sprintf("labels/%d.txt", n)] = []byte("0 .5 .5 .1 .1")
	}
	g.left.Store(8)
	c := &Copy{known: make(map[string]entry), dir: t.TempDir()}
	c.root = filepath.Join(c.dir, "tree")
	if err := c.hold(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of one that reads one after the other
	defer cancel()
	if err := c.update(ctx, g); err != nil || c.Fetched != 40 {
		t.Errorf("%d fetched, %v", c.Fetched, err)
	}
}

// machine is one of several that bring backups to a bucket.
func machine(t *testing.T, address string) *Backups {
	t.Helper()
	b, err := BackupsIn(t.TempDir(), address)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Two machines bring their snapshots to one bucket in turn: none takes away what is the
// other's, and what the retention of one takes away goes there too.
func TestBackupsOfTwoMachines(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	one, other := machine(t, "s3://bucket"), machine(t, "s3://bucket")
	export := func(b *Backups, add string, prune ...string) {
		t.Helper()
		if err := b.pull(t.Context(), bucket, ""); err != nil {
			t.Fatal(err)
		}
		for _, name := range prune {
			if err := os.RemoveAll(filepath.Join(b.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{add + "/manifest.json": "{}", add + "/annotations/a.jsonl": add, ".images/ab/" + strings.Repeat("ab", 32): "pixels", "repository.json": "{}"} {
			file := filepath.Join(b.Dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, []byte(text)) {
				continue
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := b.push(t.Context(), bucket, ""); err != nil {
			t.Fatal(err)
		}
	}
	snapshots := func() (names []string) {
		objects, err := there(t.Context(), bucket, "")
		if err != nil {
			t.Fatal(err)
		}
		for path := range objects {
			if folder, rest, _ := strings.Cut(path, "/"); rest == manifest {
				names = append(names, folder)
			}
		}
		slices.Sort(names)
		return names
	}
	export(one, "2026-01-01T000000Z")
	export(other, "2026-01-02T000000Z")
	export(one, "2026-01-03T000000Z")
	if got := strings.Join(snapshots(), " "); got != "2026-01-01T000000Z 2026-01-02T000000Z 2026-01-03T000000Z" {
		t.Errorf("there are %s", got)
	}
	export(other, "2026-01-04T000000Z", "2026-01-01T000000Z")
	if got := strings.Join(snapshots(), " "); got != "2026-01-02T000000Z 2026-01-03T000000Z 2026-01-04T000000Z" {
		t.Errorf("after one was taken away there are %s", got)
	}
}
