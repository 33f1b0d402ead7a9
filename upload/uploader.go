package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/store"
)

const (
	// DefaultStreams is how many files are sent at the same time.
	DefaultStreams = 16
	// batchesAtOnce is how many batches are on their way: while one is registered the files of
	// the next are sent.
	batchesAtOnce = 2
	// kept is how long bytes are taken to stay at the storage that were not registered.
	kept = 30 * time.Minute
	// maxTries is how often an image is uploaded that the service does not take.
	maxTries = 5
	// putsAtOnce is how many files are recorded together.
	putsAtOnce = 25
)

// Uploader uploads the files that a run has on record.
type Uploader struct {
	*dataset.Access
	Store   *store.Store
	Files   Files
	Run     string
	Streams int // files sent at the same time; 0 means the default

	streams chan struct{}
	puts    atomic.Int64 // files that the storage took
	ending  sync.Mutex   // held with the lock on listings, which other processes wait for
	naming  sync.Mutex
	named   map[string]int64 // the upload that a path was given to
}

// Settle holds what was on its way when a process ended against the listing, which has been
// made since.
func Settle(ctx context.Context, a *dataset.Access, st *store.Store) error {
	return st.SettleUploads(ctx, a.Ref, a.Now(), kept)
}

// Upload uploads all files that the run has on record. What is wrong with one is its failure
// alone; an error is the service's or the state's, and what was not uploaded stays on record.
// Work that is asked to stop finishes what is under way.
func (u *Uploader) Upload(ctx context.Context) error {
	if u.Streams <= 0 {
		u.Streams = DefaultStreams
	}
	u.streams = make(chan struct{}, u.Streams)
	batches := func(yield func([]store.Upload, error) bool) {
		for after := int64(0); u.Stopping.Err() == nil; {
			batch, err := u.Store.NextUploads(ctx, u.Run, after, pictograph.MaxUploads)
			if err == nil && len(batch) == 0 || !yield(batch, err) || err != nil {
				return
			}
			after = batch[len(batch)-1].ID
		}
	}
	for _, err := range parallel.Map(ctx, batchesAtOnce, batches, func(ctx context.Context, batch []store.Upload) (none struct{}, err error) {
		return none, u.uploadBatch(ctx, batch)
	}) {
		if err != nil {
			return err
		}
	}
	return context.Cause(u.Stopping)
}

// uploadBatch uploads one batch. What the service does not take is uploaded again a few times:
// registered again first, and sent again after that.
func (u *Uploader) uploadBatch(ctx context.Context, batch []store.Upload) error {
	reasons := make(map[int64]string)
	for try := 1; len(batch) > 0; try++ {
		put, err := u.send(ctx, batch)
		if err != nil {
			return err
		}
		if batch, err = u.register(ctx, put, reasons); err != nil {
			return err
		}
		for n := range batch {
			if try > 1 {
				batch[n].State = store.UploadPlanned
			}
		}
		if try == maxTries {
			return u.end(ctx, failures(batch, func(up store.Upload) string {
				return "the service did not take the image: " + reasons[up.ID]
			}))
		}
	}
	return nil
}

func failures(uploads []store.Upload, reason func(store.Upload) string) (ends []store.UploadEnd) {
	for _, up := range uploads {
		up.State, up.Error = store.UploadFailed, reason(up)
		ends = append(ends, store.UploadEnd{Upload: up})
	}
	return ends
}

// end records what became of uploads.
func (u *Uploader) end(ctx context.Context, ends []store.UploadEnd) error {
	if len(ends) == 0 {
		return nil
	}
	u.ending.Lock()
	defer u.ending.Unlock()
	unlock, err := u.LockListing()
	if err != nil {
		return err
	}
	defer unlock()
	ends, err = u.Store.EndUploads(context.WithoutCancel(ctx), u.Ref, u.Run, ends)
	if err != nil {
		return err
	}
	failed := 0
	for _, e := range ends {
		switch {
		case e.State == store.UploadFailed:
			failed++
			u.Log.Warn().Str("image", e.Path).Str("reason", e.Error).Msg("image not uploaded")
		case e.Image.Path != e.Path:
			u.Log.Warn().Str("image", e.Path).Str("stored", e.Image.Path).Msg("the service gave an image another name")
		}
	}
	u.Tracker.Add(len(ends), failed)
	return nil
}

func newImage(up store.Upload) pictograph.NewImage {
	return pictograph.NewImage{Path: up.Path, ContentType: up.ContentType, Size: up.Size, Width: up.Width, Height: up.Height}
}

func newImages(uploads []store.Upload) []pictograph.NewImage {
	images := make([]pictograph.NewImage, len(uploads))
	for n, up := range uploads {
		images[n] = newImage(up)
	}
	return images
}

// send has the bytes of a batch put, and returns those that the storage has. The failures
// of files are recorded.
func (u *Uploader) send(ctx context.Context, batch []store.Upload) (put []store.Upload, err error) {
	var waiting []store.Upload
	for _, up := range batch {
		if up.State == store.UploadPut {
			put = append(put, up)
		} else {
			waiting = append(waiting, up)
		}
	}
	if len(waiting) == 0 {
		return put, nil
	}
	if err := u.Store.OpenUploads(ctx, waiting); err != nil {
		return nil, err
	}
	for try := 1; len(waiting) > 0; try++ {
		urls, failed, err := u.ask(ctx, waiting)
		if err == nil {
			err = u.end(ctx, failed)
		}
		if err != nil {
			return nil, err
		}
		sent, again, refused, err := u.putAll(ctx, urls)
		put = append(put, sent...)
		if err != nil {
			return nil, err
		}
		if try == maxTries {
			if len(put) == 0 && len(again) > 0 && u.puts.Load() == 0 {
				return nil, fmt.Errorf("no file can be sent; see whether the network lets the storage's host be reached, and run again: %w", refused)
			}
			return put, u.end(ctx, failures(again, func(up store.Upload) string { return fmt.Sprintf("the file could not be sent: %v", refused) }))
		}
		waiting = again
	}
	return put, nil
}

// signed is an upload with where its bytes go.
type signed struct {
	store.Upload
	url pictograph.UploadURL
}

// ask asks where to put files. Where the service refuses a list as a whole it is split
// until the bad entry stands alone.
func (u *Uploader) ask(ctx context.Context, uploads []store.Upload) (urls []signed, failed []store.UploadEnd, err error) {
	var got []pictograph.UploadURL
	err = u.Persist(func(context.Context) (err error) {
		got, err = u.Client.UploadURLs(ctx, u.Ref.ID, newImages(uploads))
		return err
	})
	switch {
	case err == nil:
		for n, up := range uploads {
			urls = append(urls, signed{up, got[n]})
		}
		return u.apart(ctx, urls)
	case !refusedAsAWhole(err):
		return nil, nil, err
	case len(uploads) == 1:
		return nil, failures(uploads, func(store.Upload) string { return err.Error() }), nil
	}
	for _, half := range halves(uploads) {
		more, bad, err := u.ask(ctx, half)
		if err != nil {
			return nil, nil, err
		}
		urls, failed = append(urls, more...), append(failed, bad...)
	}
	return urls, failed, nil
}

// apart fails the files whose names the service cleans into one that is another's: what would be
// put there last would be the image of both.
func (u *Uploader) apart(ctx context.Context, urls []signed) (own []signed, failed []store.UploadEnd, err error) {
	var renamed []string
	for _, s := range urls {
		if s.url.Path != s.Path {
			renamed = append(renamed, s.url.Path)
		}
	}
	if len(renamed) > 0 {
		if renamed, err = u.Store.TakenPaths(ctx, u.Ref, renamed); err != nil {
			return nil, nil, err
		}
	}
	u.naming.Lock()
	defer u.naming.Unlock()
	if u.named == nil {
		u.named = make(map[string]int64)
	}
	for _, changed := range []bool{false, true} { // those that keep their names first
		for _, s := range urls {
			if (s.url.Path != s.Path) != changed {
				continue
			}
			refused := ""
			if other, given := u.named[s.url.Path]; given && other != s.ID {
				refused = "that is what it calls another file of the run too; rename one of the two"
			} else if changed && slices.Contains(renamed, s.url.Path) {
				refused = "the dataset has an image of that name; where that is this one, brought before, give it that name with --rename, else rename the file"
			}
			if refused != "" {
				failed = append(failed, failures([]store.Upload{s.Upload}, func(store.Upload) string {
					return fmt.Sprintf("the service would call it %s, and %s", s.url.Path, refused)
				})...)
				continue
			}
			u.named[s.url.Path] = s.ID
			own = append(own, s)
		}
	}
	return own, failed, nil
}

func refusedAsAWhole(err error) bool {
	return errors.Is(err, pictograph.ErrInvalid) || errors.Is(err, pictograph.ErrTooLarge)
}

func halves(uploads []store.Upload) [2][]store.Upload {
	half := len(uploads) / 2
	return [2][]store.Upload{uploads[:half], uploads[half:]}
}

// outcome is what came of sending one file.
type outcome struct {
	up      store.Upload
	refused error // what may pass; another URL may do
	failed  error // the file's own
}

// putAll sends files, and records those that arrived. again are those that need another
// URL, refused says why the last of them does.
func (u *Uploader) putAll(ctx context.Context, urls []signed) (put, again []store.Upload, refused, err error) {
	var mu sync.Mutex
	var waiting []store.Upload
	record := func(all bool) error {
		if len(waiting) == 0 || !all && len(waiting) < putsAtOnce {
			return nil
		}
		err := u.Store.PutUploads(context.WithoutCancel(ctx), waiting, u.Now())
		put, waiting = append(put, waiting...), nil
		return err
	}
	var bad []store.UploadEnd
	for o, mapErr := range parallel.Map(ctx, u.Streams, parallel.Each(urls), func(ctx context.Context, s signed) (outcome, error) {
		o, err := u.put(ctx, s)
		if err == nil && o.refused == nil && o.failed == nil {
			mu.Lock()
			defer mu.Unlock()
			waiting = append(waiting, o.up)
			err = record(false)
		}
		return o, err
	}) {
		switch {
		case mapErr != nil:
			err = errors.Join(err, mapErr)
		case o.failed != nil:
			bad = append(bad, failures([]store.Upload{o.up}, func(store.Upload) string { return o.failed.Error() })...)
		case o.refused != nil:
			again, refused = append(again, o.up), o.refused
		}
		if err != nil {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if recordErr := record(true); err == nil {
		err = recordErr
	}
	if endErr := u.end(ctx, bad); err == nil {
		err = endErr
	}
	return put, again, refused, err
}

// put sends one file. An error is not the file's.
func (u *Uploader) put(ctx context.Context, s signed) (o outcome, err error) {
	o.up = s.Upload
	select {
	case u.streams <- struct{}{}:
		defer func() { <-u.streams }()
	case <-u.Stopping.Done():
		return o, context.Cause(u.Stopping)
	}
	if u.Stopping.Err() != nil {
		return o, context.Cause(u.Stopping)
	}
	var last *content
	var fileErr error
	open := func() (io.ReadCloser, error) {
		if last, fileErr = u.open(ctx, s.Upload); fileErr != nil {
			return nil, fileErr
		}
		return last, nil
	}
	tries, before := 0, u.puts.Load()
	err = u.Persist(func(context.Context) error {
		err := u.Client.PutImage(ctx, s.url, newImage(s.Upload), open)
		if last != nil && last.err != nil {
			fileErr = last.err
		}
		var answer *pictograph.StorageError
		tries++
		passing := errors.Is(err, pictograph.ErrNetwork) || errors.As(err, &answer) && answer.Passes()
		if fileErr == nil && passing && tries > 1 && u.puts.Load() > before {
			return refusedFile{err} // others arrive
		}
		if fileErr == nil && passing && answer != nil {
			return storageDown{err}
		}
		return err
	})
	var answer *pictograph.StorageError
	var refused refusedFile
	var elsewhere *PassingError
	switch {
	case errors.As(fileErr, &elsewhere):
		o.refused = fmt.Errorf("read %s: %w", convert.Display(u.Files.Name(s.File)), fileErr)
		return o, nil
	case fileErr != nil:
		o.failed = fmt.Errorf("%s: %w", convert.Display(u.Files.Name(s.File)), fileErr)
		return o, nil
	case errors.As(err, &answer) && !answer.Passes():
		o.refused = err
		return o, nil
	case errors.As(err, &refused):
		o.refused = refused.err
		return o, nil
	case err != nil:
		return o, err
	}
	sum, err := last.sum()
	if err != nil {
		o.failed = fmt.Errorf("%s: %w", convert.Display(u.Files.Name(s.File)), err)
		return o, nil
	}
	if s.SHA256 != (store.Hash{}) && s.SHA256 != sum {
		o.failed = fmt.Errorf("%s: it is damaged: its SHA-256 is not the one that the backup has of it (pictosync snapshots --check)", convert.Display(u.Files.Name(s.File)))
		return o, nil
	}
	u.puts.Add(1)
	o.up.State, o.up.SHA256, o.up.Stored = store.UploadPut, sum, s.url.Path
	return o, nil
}

// refusedFile is a file that the storage fails on while it takes others.
type refusedFile struct{ err error }

func (e refusedFile) Error() string { return e.err.Error() } // there is no Unwrap: what it is does not pass

// storageDown is a failure of the storage's that passes, as those of the service do.
type storageDown struct{ err error }

func (e storageDown) Error() string { return e.err.Error() }
func (e storageDown) Unwrap() []error {
	return []error{e.err, pictograph.ErrServer}
}

// same reports whether an image of the dataset is what a file would become, as far as its
// entry tells: HEIC becomes another file at the service.
func same(up store.Upload, i pictograph.Image) bool {
	if up.ContentType != typeHEIC && i.FileSize > 0 && i.FileSize != up.Size {
		return false
	}
	return up.Width == 0 || i.Width == 0 || up.Width == i.Width && up.Height == i.Height
}

// storedPaths are the paths that the image of an upload may have.
func storedPaths(up store.Upload) []string {
	paths := []string{up.Path}
	if up.Stored != "" && up.Stored != up.Path {
		paths = append(paths, up.Stored)
	}
	if up.ContentType == typeHEIC {
		if end := strings.LastIndexByte(up.Path, '.'); end > strings.LastIndexByte(up.Path, '/') {
			paths = append(paths, up.Path[:end]+".png")
		}
	}
	return paths
}
