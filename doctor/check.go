// Package doctor checks what a run needs, one thing at a time, and says what to do about
// what is missing. Nothing is changed by a check, and none is tried twice.
package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/google/uuid"
	"github.com/shirou/gopsutil/v4/disk"

	"pictosync/convert"
	"pictosync/convert/snapshot"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/store"
)

// Check is one thing that a run needs, and whether it is as it should be.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`           // what was found
	Advice string `json:"advice,omitempty"` // what to do, where it is not OK
	Status Status `json:"status"`
	// Err is what is wrong; nil where nothing is, or where the check could not be
	// made.
	Err error `json:"-"`
}

// Status is what a check came to.
type Status string

// What a check can come to.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it could not be made, or a run does not get far with it
	Wrong   Status = "failed"
)

func passed(name, format string, args ...any) Check {
	return Check{Name: name, OK: true, Status: OK, Detail: fmt.Sprintf(format, args...)}
}

// Failed is a check that found something wrong. Without advice it is that of the
// error.
func Failed(name string, err error, advice string) Check {
	var hinted interface{ Hint() string }
	if advice == "" && errors.As(err, &hinted) {
		advice = hinted.Hint()
	}
	return Check{Name: name, Status: Wrong, Detail: strings.Join(strings.Fields(err.Error()), " "), Advice: advice, Err: err}
}

// Skipped is a check that could not be made.
func Skipped(name, why string) Check {
	return Check{Name: name, Status: Warning, Detail: "skipped: " + why}
}

// CheckState looks at a state without changing it; holder is who works on it, "" for
// nobody. The process that calls it must not have the state open itself: closing a
// file that is looked into lets go of SQLite's locks on it.
func CheckState(ctx context.Context, path, holder string) (Check, store.Health) {
	const name = "state"
	if err := writable(path); err != nil {
		return Failed(name, fmt.Errorf("write the state %s: %w", path, err), "let this user write the file and its folder, or name another with --state"), store.Health{}
	}
	h, err := store.Examine(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && h.Forgotten > 0:
		c := passed(name, "none at %s: the one that was there had sent %s, and was taken away", path, batches(h.Forgotten))
		c.Status, c.Advice = Warning, "put the state back, or go on: what is in the dataset counts as somebody else's then, and undo cannot bring back what was there before"
		return c, h
	case errors.Is(err, fs.ErrNotExist):
		return passed(name, "none yet at %s; the first run makes it", path), h
	case errors.Is(err, store.ErrDamaged):
		return Failed(name, err, "the next run moves it aside and begins a new one, which saves all images anew; to keep its runs and backups, put a copy of the file back first"), h
	case errors.Is(err, store.ErrNewer):
		return Failed(name, err, "use the version of pictosync that wrote it, or a later one; or name another state with --state"), h
	case err != nil:
		return Failed(name, err, "name another state with --state"), h
	}
	detail := fmt.Sprintf("%s: sound, %s, %s", path, humanize.IBytes(uint64(h.Bytes)), english.Plural(h.Runs, "run", ""))
	if h.Version < h.Latest {
		detail += fmt.Sprintf(", of an earlier version (%d; the next run makes it %d)", h.Version, h.Latest)
	}
	if h.OpenRuns > 0 {
		detail += fmt.Sprintf("; %d not ended, %s in flight", h.OpenRuns, batches(int64(h.InFlight)))
	}
	switch {
	case holder != "":
		detail += "; in use by " + holder
	case h.OpenRuns > 0:
		detail += ": the same command resumes, see `pictosync runs`"
	}
	c := passed(name, "%s", detail)
	if h.Forgotten > 0 {
		c.Detail += fmt.Sprintf("; it does not know of the last %s that it sent: its log (state.db-wal) was lost or damaged, or an older copy of it was put back", batches(h.Forgotten))
		c.Status, c.Advice = Warning, "put the newest copy back, or go on: what they saved counts as changed by somebody else then, and undo cannot bring back what was there before"
	}
	return c, h
}

func batches(n int64) string { return english.Plural(int(n), "batch", "batches") }

// writable reports why a file, or a new one in its folder, cannot be written.
func writable(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	probe, err := os.CreateTemp(folderAbove(path), ".pictosync-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// folderAbove is the nearest folder above path that is there.
func folderAbove(path string) string {
	dir := filepath.Dir(path)
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// leastSpace is what a run may need for batches in flight, logs and backups, in
// bytes. A large state may need as much again as it has.
const leastSpace = 100 << 20

// CheckSpace compares what is free where the state lies with its size in bytes.
func CheckSpace(ctx context.Context, path string, size int64) Check {
	const name = "disk space"
	dir := folderAbove(path)
	usage, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		return Failed(name, fmt.Errorf("find the space that is free at %s: %w", dir, err), "")
	}
	return judgeSpace(usage.Free, size, dir)
}

func judgeSpace(free uint64, size int64, dir string) Check {
	const name = "disk space"
	if need := uint64(max(leastSpace, size)); free < need {
		return Failed(name, fmt.Errorf("%s free at %s; a run may need %s", humanize.IBytes(free), dir, humanize.IBytes(need)),
			"free some space, or name a state elsewhere with --state; `pictosync gc` forgets old runs and their backups")
	}
	return passed(name, "%s free at %s", humanize.IBytes(free), dir)
}

// CheckSource opens a source and goes through its images without reading their
// labels. found tells what the source reported about itself.
func CheckSource(ctx context.Context, path string, open func() (convert.Source, error), found func() []convert.Finding) Check {
	const name = "source"
	src, err := open()
	if err != nil {
		return Failed(name, err, "")
	}
	images, broken := 0, 0
	for item, err := range src.Items(ctx, "") {
		if err != nil {
			return Failed(name, err, "")
		}
		if images++; item.Err != nil {
			broken++
		}
	}
	if images == 0 {
		return Failed(name, &convert.Error{Op: "read", Path: path, Err: errors.New("it speaks of no images"), Advice: "check the path, --include and --exclude"}, "")
	}
	d := src.Describe()
	detail := fmt.Sprintf("%s: %s (%s), %s", path, d.Format, d.Reason, english.Plural(images, "image", ""))
	if broken > 0 {
		detail += fmt.Sprintf(", %d of which cannot be taken", broken)
	}
	findings := found()
	if len(findings) > 0 {
		detail += fmt.Sprintf(", %s: see `pictosync inspect`", english.Plural(len(findings), "finding", ""))
	}
	c := passed(name, "%s", detail)
	if broken > 0 || slices.ContainsFunc(findings, func(f convert.Finding) bool { return f.Kind.Severity() != convert.Noted }) {
		c.Status = Warning
	}
	return c
}

// Witness is a transport that notes how long the last answer took and what time it
// was for the service.
type Witness struct {
	http.RoundTripper
	Now func() time.Time

	mu     sync.Mutex
	took   time.Duration
	date   string
	answer time.Time // here, when it came; zero without any
}

// RoundTrip passes a request on.
func (w *Witness) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := w.Now()
	answer, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = w.Now()
	w.took, w.date = w.answer.Sub(sent), answer.Header.Get("Date")
	return answer, nil
}

// CheckKey asks the service for its datasets, whose names it returns, as far as one
// request shows them.
func CheckKey(ctx context.Context, client *pictograph.Client, w *Witness, url string) (Check, []string) {
	const name = "key"
	var datasets []string
	for d, err := range client.Datasets(ctx) {
		if err != nil {
			return Failed(name, err, unreachable(err, url)), nil
		}
		if datasets = append(datasets, d.Name); len(datasets) == pictograph.PageSize {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return passed(name, "%s accepts it; there and back in %d ms", url, w.took.Milliseconds()), datasets
}

// unreachable says what to do about a service that does not answer; "" where it
// did.
func unreachable(err error, url string) string {
	if !errors.Is(err, pictograph.ErrNetwork) {
		return ""
	}
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	advice := "check --base-url, the network and firewalls; where requests must go through a proxy, set HTTPS_PROXY"
	switch {
	case errors.As(err, &name):
		advice = "the name of the host is not known here: check --base-url, and DNS on this machine"
	case errors.As(err, &certificate):
		advice = "somebody else answers, or the certificate is not known here: check --base-url and proxies, and this machine's certificates and clock"
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "nothing listens there: check --base-url and its port, and whether the service is up"
	}
	if request, err := http.NewRequest(http.MethodGet, url, nil); err == nil {
		if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
			advice += "; requests go through the proxy " + proxy.Host
		}
	}
	return advice
}

// maxSkew is how far two clocks may be apart.
const maxSkew = time.Minute

// CheckClock compares the clock with the service's at its last answer.
func CheckClock(w *Witness) Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	return judgeClock(w.answer, w.took, w.date)
}

func judgeClock(answer time.Time, took time.Duration, date string) Check {
	const name = "clock"
	if answer.IsZero() {
		return Skipped(name, "the service did not answer")
	}
	there, err := http.ParseTime(date)
	if err != nil {
		return Skipped(name, "the service did not say what time it is")
	}
	// It was that time for the service somewhere between sending and the answer.
	ahead := answer.Add(-took / 2).Sub(there)
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	if ahead.Abs() > maxSkew {
		return Failed(name, fmt.Errorf("this machine's clock is %s %s the service's", ahead.Abs().Round(time.Second), side),
			"set it by NTP: the requests of an hour are counted by it, snapshots are named after it, and the age of what is kept is told by it")
	}
	return passed(name, "less than %s from the service's", ahead.Abs().Truncate(time.Second)+time.Second)
}

// CheckDataset asks for a dataset by its name or id.
func CheckDataset(ctx context.Context, client *pictograph.Client, nameOrID, url string) Check {
	const name = "dataset"
	d, err := client.Dataset(ctx, nameOrID)
	switch {
	case errors.Is(err, pictograph.ErrNotFound):
		return Failed(name, fmt.Errorf("open dataset %q: %w", nameOrID, dataset.ErrNotFound), "names are case-sensitive")
	case err != nil:
		return Failed(name, err, unreachable(err, url))
	}
	return passed(name, "%q, id %s: %s, %s", d.Name, d.ID, english.Plural(d.ImageCount, "image", ""), english.Plural(len(d.Classes), "class", "classes"))
}

// CheckRole finds out whether the key may save, with a save that saves nothing: of
// an image that cannot be there, under an id made up for it.
func CheckRole(ctx context.Context, client *pictograph.Client, url string) Check {
	const name = "role"
	id := uuid.NewString()
	result, err := client.BulkSave(ctx, []pictograph.ImageSave{{ImageID: id}}, pictograph.SaveOptions{})
	switch {
	case errors.Is(err, pictograph.ErrForbidden):
		return Failed(name, fmt.Errorf("the key may not save: %w", err), "use a key with a member's role or a higher one; plan, verify and export work with this one")
	case err != nil:
		return Failed(name, err, unreachable(err, url))
	case len(result.Saved) > 0 || len(result.Failed) != 1:
		return Failed(name, fmt.Errorf("find out whether the key may save: of an image that is not there the service says it saved %d and failed on %d", len(result.Saved), len(result.Failed)), "ask the service's support")
	}
	return passed(name, "the key may save")
}

// CheckBackups looks at the folder that an export writes to, without making it.
func CheckBackups(dir string, now time.Time) Check {
	const name = "backups"
	const another = "name another folder"
	if err := writable(filepath.Join(dir, snapshot.RepositoryName)); err != nil {
		return Failed(name, fmt.Errorf("write to %s: %w", dir, err), "let this user write there, or "+another)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0:
		return passed(name, "none yet at %s; the first export makes them", dir)
	case err != nil:
		return Failed(name, fmt.Errorf("read %s: %w", dir, err), another)
	}
	mark, err := snapshot.ReadRepository(dir)
	if err != nil {
		return Failed(name, fmt.Errorf("read the backups at %s: %w", dir, err), another+": this one holds other things")
	}
	all, err := snapshot.List(dir, now)
	if err != nil || len(all) == 0 {
		return passed(name, "of dataset %q at %s, none complete yet", mark.Dataset, dir)
	}
	return passed(name, "of dataset %q at %s: %s, the newest %s", mark.Dataset, dir, english.Plural(len(all), "snapshot", ""), humanize.RelTime(all[0].Taken, now, "old", "in the future"))
}
