package report

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"

	"pictosync/view"
)

// Fresh shows a source, and opens it anew when its file has been written to or replaced, or
// when a person asks for it: a folder does not tell.
type Fresh struct {
	path     string
	o        FreshOptions
	counting sync.WaitGroup

	mu    sync.Mutex
	mark  string // of the file, when it was opened
	album *Album
	stop  context.CancelFunc // ends the count of the album
}

// FreshOptions say how a source is opened.
type FreshOptions struct {
	Open func(ctx context.Context, path string) (*Album, error)
	// Progress is told how many images a count has come to, Failed why it ended before its
	// end. May be nil.
	Progress func(images int)
	Failed   func(error)
	// Serving ends when no more pages are served.
	Serving context.Context
}

// NewFresh shows the source at a path.
func NewFresh(path string, o FreshOptions) *Fresh { return &Fresh{path: path, o: o} }

// Open opens the source where it is not open as it is now, or in any case.
func (f *Fresh) Open(anyway bool) (*Album, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	mark := markOf(f.path)
	if f.album != nil && mark == f.mark && !anyway {
		return f.album, nil
	}
	album, err := f.o.Open(f.o.Serving, f.path)
	if err != nil {
		return nil, err
	}
	if f.stop != nil {
		f.stop()
	}
	var ctx context.Context
	ctx, f.stop = context.WithCancel(f.o.Serving)
	f.album, f.mark = album, mark
	f.counting.Go(func() {
		if err := album.Count(ctx, f.o.Progress); err != nil && ctx.Err() == nil && f.o.Failed != nil {
			f.o.Failed(err)
		}
	})
	return album, nil
}

// Wait waits for the counts, which end when no more pages are served.
func (f *Fresh) Wait() { f.counting.Wait() }

// ServeHTTP shows the pages of the source.
func (f *Fresh) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	again := r.URL.Path == "/" && r.URL.Query().Has("again")
	album, err := f.Open(again)
	switch {
	case err != nil:
		view.Fail(w, r, http.StatusInternalServerError, err)
	case again:
		http.Redirect(w, r, view.Base(r), http.StatusSeeOther)
	default:
		album.ServeHTTP(w, r)
	}
}

// markOf is another one where a file is another one or has been written to.
func markOf(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}
