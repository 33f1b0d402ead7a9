package dataset

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

const (
	// MaxExport bounds the file of an export, in bytes.
	MaxExport = 64 << 30
	// maxPoll is the longest pause between two looks at an export that is being made.
	maxPoll = time.Minute
	// downloads is how often the file of an export is tried to be had.
	downloads = 4
)

// noExport is why there is no export of a dataset, as the end of a sentence.
type noExport struct{ reason string }

func (e noExport) Error() string { return e.reason }

// obtain is an export of the dataset, with or without the files of its images, whose file is
// beside the state: one that was made for this run, or a new one.
func (a *Access) obtain(run string, images bool) (store.Export, error) {
	found, err := a.findExport(images)
	if err != nil {
		return found, err
	}
	if found.Stage == store.ExportKept {
		return found, nil
	}
	if reason := a.Session.lost(a.exports(images)); reason != "" {
		return found, noExport{reason}
	}
	if found.Stage == store.ExportFailed {
		return found, noExport{"the service did not make it for this run"}
	}
	if found.Name == "" {
		found = store.Export{Name: exportName(a.Now()), Dataset: a.Ref, Run: run, Holder: a.holder(), Images: images, Stage: store.ExportAsked, Remote: true, AskedAt: a.Now()}
		if err := a.store.AddExport(a.Stopping, found); err != nil {
			return found, err
		}
		a.Session.made(found.Name)
		err = a.create(&found)
	}
	if err == nil {
		err = a.fetch(&found)
	}
	if _, none := errors.AsType[noExport](err); none {
		found.Stage = store.ExportFailed
		if setErr := a.store.SetExport(a.Stopping, found); setErr != nil {
			return found, setErr
		}
	}
	if err != nil {
		return found, err
	}
	found.Stage = store.ExportKept
	if err := a.store.SetExport(a.Stopping, found); err != nil {
		return found, err
	}
	a.deleteRemote(&found)
	return found, a.store.SetExport(a.Stopping, found)
}

// findExport is the export that was made, or is being made, for this run; one without a name
// where there is none. Those that are of no use any more are given back.
func (a *Access) findExport(images bool) (found store.Export, err error) {
	known, err := a.store.Exports(a.Stopping, a.Ref)
	if err != nil {
		return found, err
	}
	for n := range known {
		e := &known[n]
		_, missing := os.Stat(a.store.ExportFile(*e))
		switch fresh := !e.AskedAt.Before(a.Since()); {
		case e.Images != images:
		case fresh && found.Name == "" && e.Stage == store.ExportKept && missing == nil:
			found = *e
		case fresh && found.Name == "" && e.Stage != store.ExportKept && e.Holder == a.holder():
			found = *e
		case e.Holder == a.holder():
			if err := a.giveBack(*e); err != nil {
				return found, err
			}
		}
	}
	if found.Name != "" && found.Holder == a.holder() {
		a.Session.made(found.Name)
	}
	return found, nil
}

// fetch waits until the service has made an export, and downloads its file.
func (a *Access) fetch(e *store.Export) error {
	a.Log.Info().Str("export", e.Name).Msg("waiting for an export of the dataset")
	made, err := a.await(e)
	if err != nil {
		return err
	}
	return a.download(e, made.FileSize)
}

// exports is what a session calls the dataset's exports of a kind.
func (a *Access) exports(images bool) string {
	if images {
		return a.Ref.ID + " with images"
	}
	return a.Ref.ID
}

func (a *Access) holder() string {
	if a.Holder == "" {
		return "save"
	}
	return a.Holder
}

// exportName is the name of an export in the service, which nobody else gives.
func exportName(now time.Time) string {
	return "pictosync-" + now.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:10])
}

// ask sends a request about exports. What the service fails on while it answers others is
// given up.
func (a *Access) ask(try func(context.Context) error) error {
	tries := 0
	err := a.Persist(func(ctx context.Context) error {
		err := try(ctx)
		if tries++; err != nil && tries >= triesOfABatch && errors.Is(err, pictograph.ErrServer) && a.isUp() {
			return PoisonError{err}
		}
		return err
	})
	switch {
	case err == nil:
		return nil
	case a.Stopping.Err() != nil:
		return context.Cause(a.Stopping)
	case errors.Is(err, pictograph.ErrUnauthorized), errors.Is(err, quota.ErrLeftAlone):
		return err
	}
	return noExport{whyNoExport(err)}
}

// whyNoExport says of an error why there is no export.
func whyNoExport(err error) string {
	switch {
	case errors.Is(err, pictograph.ErrForbidden):
		return "the API key's role may make none (403)"
	case errors.Is(err, pictograph.ErrPayment):
		return "the plan or its credit allows none (402)"
	case errors.Is(err, pictograph.ErrNotFound):
		return "the service has none (404)"
	}
	return err.Error()
}

// create asks for an export. A name that is taken is of this export: a request arrived whose
// answer was lost.
func (a *Access) create(e *store.Export) error {
	a.Tracker.Note("asking for an export of the dataset")
	defer a.Tracker.Note("")
	return a.ask(func(ctx context.Context) error {
		_, err := a.Client.CreateExport(ctx, pictograph.NewExport{Dataset: a.Ref.Name, Name: e.Name, Images: e.Images})
		if errors.Is(err, pictograph.ErrConflict) {
			return nil
		}
		return err
	})
}

// await waits until an export is made, for as long as the service may be out of reach. One
// that a killed process put on record, and may not have asked for, is asked for then.
func (a *Access) await(e *store.Export) (made pictograph.Export, err error) {
	defer a.Tracker.Note("")
	pause, waited := a.firstPoll(), time.Duration(0)
	for asked := false; ; {
		if err := a.pause(pause); err != nil {
			return made, err
		}
		waited += pause
		err := a.ask(func(ctx context.Context) (err error) {
			if made, err = a.Client.Export(ctx, a.Ref.ID, e.Name); errors.Is(err, pictograph.ErrNotFound) && !asked {
				made = pictograph.Export{}
				return nil
			}
			return err
		})
		switch {
		case err != nil:
			return made, err
		case made.Name == "" && made.Status == "" && !asked:
			asked = true
			if err := a.create(e); err != nil {
				return made, err
			}
		case made.Status == pictograph.ExportCompleted:
			return made, nil
		case made.Status == pictograph.ExportFailed:
			return made, noExport{"the service could not make it: " + made.ErrorMessage}
		case waited >= a.MaxOutage:
			return made, noExport{fmt.Sprintf("it was not ready after %s (--max-outage)", waited.Round(time.Second))}
		}
		a.Tracker.Note("the service packs the dataset")
		pause = min(2*pause, maxPoll, max(a.MaxOutage-waited, time.Millisecond))
	}
}

// firstPoll is how long an export takes at least, most likely.
func (a *Access) firstPoll() time.Duration {
	if a.PollPause > 0 {
		return a.PollPause
	}
	return 200*time.Millisecond + time.Duration(a.Shown.ImageCount)*50*time.Microsecond
}

// download brings the file of an export beside the state, size bytes where that is known. One
// that breaks off is begun again.
func (a *Access) download(e *store.Export, size int64) error {
	defer a.Tracker.Note("")
	a.Tracker.Note("downloading the export")
	limit := int64(MaxExport)
	if size > 0 {
		limit = min(limit, size)
	}
	file := a.store.ExportFile(*e)
	for try := 1; ; try++ {
		var storageErr *pictograph.StorageError
		err := a.downloadTo(file+".part", e.Name, limit)
		if err == nil {
			if err = os.Rename(file+".part", file); err != nil {
				return fmt.Errorf("keep the export: %w", err)
			}
			return nil
		}
		if a.Stopping.Err() != nil {
			return context.Cause(a.Stopping)
		}
		again := errors.As(err, &storageErr) || passes(err) || errors.Is(err, zip.ErrFormat)
		if !again || try == downloads {
			if removeErr := a.store.RemoveExportFile(*e); removeErr != nil {
				return removeErr
			}
			return noExport{whyNoExport(err)}
		}
		a.Log.Info().Err(err).Msg("the download of an export is tried again")
		if err := a.pause(min(a.OutagePause, time.Duration(try)*time.Second)); err != nil {
			return err
		}
	}
}

func (a *Access) downloadTo(path, name string, limit int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := a.Client.DownloadExport(a.Stopping, a.Ref.ID, name, f, limit)
	if err != nil {
		return err
	}
	if _, err := pictograph.ExportFiles(f, n, a.mostPacked()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// mostPacked is how many files an export of the dataset may hold: some of each image, and of
// images that were uploaded meanwhile.
func (a *Access) mostPacked() int { return 4*a.Shown.ImageCount + 10_000 }

// openExport opens the file of an export.
func (a *Access) openExport(e store.Export) (*os.File, int64, error) {
	f, err := os.Open(a.store.ExportFile(e))
	if err != nil {
		return nil, 0, noExport{err.Error()}
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, noExport{err.Error()}
	}
	return f, info.Size(), nil
}

// deleteRemote has the service delete an export whose file is here. That takes an admin's
// key; where it is no such, the export goes by itself in time.
func (a *Access) deleteRemote(e *store.Export) {
	err := a.Client.DeleteExport(a.Stopping, a.Ref.ID, e.Name)
	switch {
	case err == nil, errors.Is(err, pictograph.ErrNotFound):
		e.Remote = false
	case errors.Is(err, pictograph.ErrForbidden):
		e.Remote = false
		if a.Session.first("delete " + a.Ref.ID) {
			a.Log.Info().Str("export", e.Name).Msg("the export stays in the service until it expires: the key's role may not delete it")
		}
	default:
		a.Log.Info().Err(err).Str("export", e.Name).Msg("the export could not be deleted in the service; the next run tries again")
	}
}

// giveBack takes an export away, here and in the service.
func (a *Access) giveBack(e store.Export) error {
	if e.Remote {
		a.deleteRemote(&e)
	}
	if a.Stopping.Err() != nil {
		return context.Cause(a.Stopping)
	}
	return a.store.ForgetExport(a.Stopping, e)
}

// FreeExport gives back the exports of a run that came to its end. Those of a session are
// given back at its end: what follows may have use for them.
func (a *Access) FreeExport() error {
	if a.Session != nil {
		return nil
	}
	known, err := a.store.Exports(a.Stopping, a.Ref)
	if err != nil {
		return err
	}
	for _, e := range known {
		if e.Holder != a.holder() {
			continue
		}
		if err := a.giveBack(e); err != nil {
			return err
		}
	}
	return nil
}
