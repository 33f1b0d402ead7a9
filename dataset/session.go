package dataset

import (
	"context"
	"errors"
	"sync"
	"time"

	"pictosync/pictograph"
	"pictosync/store"
)

// Session is what the runs of one process share that follow one another, as the jobs of a
// night do. A nil one shares nothing.
type Session struct {
	// Begun is when the first of them began: what was read since is known to all.
	Begun time.Time
	// Meta is what of an image is kept of every listing; nil is nothing.
	Meta func(pictograph.Image) []byte

	mu      sync.Mutex
	listed  map[string]listed // by dataset
	noMore  map[string]string // why a dataset has no exports
	said    map[string]bool
	exports map[string]bool // that were asked for, by name
	checked map[string]bool // those that images were held against, by name
}

// listed is a listing that was whole.
type listed struct {
	at     time.Time
	images int  // that the dataset said it has
	meta   bool // what is kept of an image was kept
}

// listedFor is how long a listing serves what follows.
const listedFor = 10 * time.Minute

func (s *Session) begun() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.Begun
}

// isListed reports whether a dataset was listed moments ago, with as many images.
func (s *Session) isListed(d store.Dataset, images int, meta bool, now time.Time) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.listed[d.ID]
	return ok && l.images == images && (l.meta || !meta) && now.Sub(l.at) < listedFor && !now.Before(l.at)
}

func (s *Session) putListed(d store.Dataset, images int, meta bool, now time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed == nil {
		s.listed = make(map[string]listed)
	}
	s.listed[d.ID] = listed{now, images, meta}
}

// lose keeps why there are no exports of a dataset: what follows does not ask again.
func (s *Session) lose(dataset, reason string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noMore == nil {
		s.noMore = make(map[string]string)
	}
	s.noMore[dataset] = reason
}

func (s *Session) lost(dataset string) string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noMore[dataset]
}

// first reports whether something is said for the first time.
func (s *Session) first(what string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said[what] {
		return false
	}
	if s.said == nil {
		s.said = make(map[string]bool)
	}
	s.said[what] = true
	return true
}

// made notes an export that is to be given back at the end.
func (s *Session) made(name string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exports == nil {
		s.exports = make(map[string]bool)
	}
	s.exports[name] = true
}

// isChecked reports whether a whole export was held against the images that are drawn for that.
func (s *Session) isChecked(name string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked[name]
}

func (s *Session) putChecked(name string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checked == nil {
		s.checked = make(map[string]bool)
	}
	s.checked[name] = true
}

// Free takes the files of the session's exports away, when nothing follows. What the service
// may have of them still is deleted there when the dataset is worked on the next time.
func (s *Session) Free(ctx context.Context, st *store.Store) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, err := st.Exports(ctx, store.Dataset{})
	for _, e := range known {
		if !s.exports[e.Name] {
			continue
		}
		if !e.Remote {
			err = errors.Join(err, st.ForgetExport(ctx, e))
			continue
		}
		e.Stage = store.ExportFailed
		err = errors.Join(err, st.RemoveExportFile(e), st.SetExport(ctx, e))
	}
	return err
}
