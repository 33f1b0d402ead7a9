package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/sandbox"
	"pictosync/source"
	"pictosync/store"
	"pictosync/worker"
)

// serviceOptions are the flags of every command that speaks to the service.
type serviceOptions struct {
	config string
	output outputOptions

	state       string
	sandbox     bool
	baseURL     string
	api         string
	timeout     time.Duration
	maxRetries  int
	rate        string
	concurrency int
	maxOutage   time.Duration
	maxDuration time.Duration

	command store.Command // that does the same again
}

func (o *serviceOptions) addConfigFlag(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "configuration `FILE` (YAML; see config.example.yaml)")
}

func (o *serviceOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, serviceHeading)()
	f.StringVar(&o.state, "state", "", "state `FILE` (default: pictosync/state.db in the user's state directory)")
	f.BoolVar(&o.sandbox, "sandbox", false, "run against a service in this process, its data beside the state: no account needed")
	f.StringVar(&o.baseURL, "base-url", pictograph.DefaultBaseURL, "`URL` of the service, or \"sandbox\"")
	f.StringVar(&o.api, "api", "auto", "form of the service's per-image calls: auto, path or image-id")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long one request may take")
	f.IntVar(&o.maxRetries, "max-retries", 3, "how often a request that failed for a passing reason is tried again at once")
	f.StringVar(&o.rate, "rate", "auto", "requests the key may send: auto (what the service says is left, others with the same key included), a ceiling such as 20000/h, 300/m or 5/s, or unlimited")
	f.IntVar(&o.concurrency, "concurrency", 4, "how many saves are under way at once")
	f.DurationVar(&o.maxOutage, "max-outage", 10*time.Minute, "how long the service may be out of reach before the run stops, resumable")
	f.DurationVar(&o.maxDuration, "max-duration", 0, "stop after this `TIME`, such as 2h; the same command resumes the run (default: no limit)")
	o.output.addFlags(f)
}

// session is what a process works with: the state, which nobody else may hold
// meanwhile, and the service.
type session struct {
	options *serviceOptions
	ctx     context.Context // ends when the process is to stop at once
	stop    *stopper
	log     zerolog.Logger
	quota   quota.Quota  // what requests are held to; those to a sandbox to none
	pacer   *quota.Pacer // of the last connection
	path    string       // of the state
	assumed atomic.Bool  // it was said what quota is assumed

	store   *store.Store
	url     string
	key     string
	name    string          // of the service, in the state
	sandbox *sandbox.Server // nil where it is none of this process

	// Of the jobs of a configuration:
	unattended bool // nobody waits for an answer
	shared     *dataset.Session
	requests   int    // so far
	halted     string // why no further job is begun
	command    store.Command
	reports    string // folder of the pages of the runs; "" is none
	written    []writtenPage

	closers []func() // in the order of opening
}

// begin checks the flags and takes over the signals.
func (o *serviceOptions) begin(parent context.Context) (*session, error) {
	if o.baseURL == "sandbox" {
		o.sandbox = true
	}
	allowed, err := quota.ParseRate(o.rate)
	switch {
	case err != nil:
		return nil, usagef("read --rate: %w", err)
	case o.maxDuration < 0:
		return nil, usagef("read --max-duration: %s is no time to work for; give one such as 2h", o.maxDuration)
	case o.concurrency < 1:
		return nil, usagef("read --concurrency: %d saves at once save nothing; give 1 or more", o.concurrency)
	}
	s := &session{options: o, quota: allowed, command: o.command}
	if o.sandbox {
		s.quota = quota.Quota{}
	}
	if s.log, err = o.output.logger(); err != nil {
		return nil, err
	}
	if s.path, err = statePath(o.state); err != nil {
		return nil, err
	}
	var release func()
	s.ctx, s.stop, release = interruptible(parent, os.Stderr, o.maxDuration)
	s.closers = append(s.closers, release)
	return s, nil
}

// goBackTo has requests go to where a run went, unless the command line says elsewhere.
func (o *serviceOptions) goBackTo(run store.Run, elsewhere bool) {
	o.sandbox = run.Dataset.Service == "sandbox"
	if !o.sandbox && !elsewhere && o.baseURL == pictograph.DefaultBaseURL {
		o.baseURL = run.Dataset.Service
	}
}

// open opens state and service. doing is what others are told who want the state
// too.
func (s *session) open(doing string) error {
	if err := s.openState(doing); err != nil {
		return err
	}
	return s.reach()
}

// openBeside is open for a run of a kind that saves nothing: it goes beside all but those of
// its own kind.
func (s *session) openBeside(kind, doing string) error {
	unlock, err := lockKind(s.path, kind, doing)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, unlock)
	st, err := store.OpenBeside(s.ctx, s.path)
	if errors.Is(err, store.ErrNotReady) {
		st, err = s.makeReady(doing)
	}
	if err != nil {
		return err
	}
	s.keep(st)
	if err := s.tellForgotten(st, false); err != nil {
		return err
	}
	return s.reach()
}

// makeReady makes, upgrades or sets aside a state under its lock, and opens it.
func (s *session) makeReady(doing string) (*store.Store, error) {
	unlock, err := lockState(s.path, doing)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.openSound()
}

func (s *session) openState(doing string) error {
	unlock, err := lockState(s.path, doing)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, unlock)
	st, err := s.openSound()
	if err != nil {
		return err
	}
	s.keep(st)
	return st.RemoveOldExports(s.ctx, now().Add(-dataset.FreshFor))
}

func (s *session) keep(st *store.Store) {
	s.closers = append(s.closers, func() { st.Close() })
	s.store = st
}

// openSound opens a state whose lock is held.
func (s *session) openSound() (*store.Store, error) {
	tellOfUpdate(s.ctx, s.path)
	st, aside, err := store.OpenSound(s.ctx, s.path, now())
	if err == nil && aside != "" {
		fmt.Fprintf(os.Stderr, "pictosync: the state %s is damaged: it was moved to %s, and a new one begun from what the service says. Images are saved anew; older runs and their backups are in the old file.\n", s.path, aside)
	}
	if err != nil {
		return nil, err
	}
	if aside != "" {
		_, err = st.Forgotten(s.ctx, true) // said already
	} else {
		err = s.tellForgotten(st, true)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// tellForgotten says that a state does not know all that was sent from it, once where it settles
// that.
func (s *session) tellForgotten(st *store.Store, settle bool) error {
	forgotten, err := st.Forgotten(s.ctx, settle)
	if forgotten > 0 {
		fmt.Fprintf(os.Stderr, "pictosync: the state %s knows nothing of the last %s sent from it: it was taken away, its log (state.db-wal) was lost or damaged, or an older copy of it was put back. What they saved counts as changed by somebody else, and undo cannot bring back what was there before.\n",
			s.path, lastBatches(forgotten))
	}
	return err
}

func lastBatches(n int64) string {
	if n == 1 {
		return "batch"
	}
	return humanize.Comma(n) + " batches"
}

// lookAt opens a state for a command that only reads it, beside whoever works on it. One of
// an earlier version is upgraded first, under its lock.
func lookAt(ctx context.Context, path string) (*store.Store, error) {
	if store.Outdated(ctx, path) {
		if err := upgrade(ctx, path); err != nil {
			return nil, err
		}
	}
	st, err := store.Look(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("open the state %s: %w; name another with --state", path, fs.ErrNotExist)
	}
	return st, err
}

func upgrade(ctx context.Context, path string) error {
	unlock, err := lockState(path, "upgrade the state")
	if err != nil {
		return err
	}
	defer unlock()
	st, err := openLocked(ctx, path)
	if err != nil {
		return err
	}
	return st.Close()
}

// openLocked opens a state whose lock is held.
func openLocked(ctx context.Context, path string) (*store.Store, error) {
	tellOfUpdate(ctx, path)
	st, err := store.OpenExisting(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("open the state %s: %w; name another with --state", path, fs.ErrNotExist)
	}
	return st, err
}

// tellOfUpdate says why a large older state takes its time to be opened.
func tellOfUpdate(ctx context.Context, path string) {
	const soon = 50 << 20 // bytes that take a second or two
	info, err := os.Stat(path)
	if err == nil && info.Size() > soon && store.Outdated(ctx, path) {
		fmt.Fprintf(os.Stderr, "pictosync: the state %s was written by an earlier version; upgrading its %s, once, takes about half a minute for each GiB, and meanwhile twice that room\n",
			path, humanize.IBytes(uint64(info.Size())))
	}
}

// reach says where the requests go: to the configured service, or to a sandbox
// in this process. It sends nothing.
func (s *session) reach() (err error) {
	if !s.options.sandbox {
		s.url = strings.TrimRight(s.options.baseURL, "/")
		if u, err := url.Parse(s.url); err == nil && u.User != nil {
			return usagef("read --base-url: it must not hold a user or password, which would be written down with it; the key is read from PICTOGRAPH_API_KEY")
		}
		s.name = s.url
		s.key, err = apiKey()
		return err
	}
	return s.serveSandbox(s.sandboxPath())
}

// refuseElsewhere refuses to go back to a run at another service than it was on.
func (s *session) refuseElsewhere(doing string, run store.Run) error {
	if s.name == run.Dataset.Service {
		return nil
	}
	return usagef("%s %s: it was a run on %s, and --base-url says %s; leave it out", doing, run.ID, run.Dataset.Service, s.name)
}

// sandboxPath is where the data of a sandbox in this process is.
func (s *session) sandboxPath() string { return filepath.Join(filepath.Dir(s.path), "sandbox.db") }

func (s *session) serveSandbox(file string) (err error) {
	s.sandbox, err = sandbox.Open(file, sandbox.Options{Log: s.log})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() { s.sandbox.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the sandbox: %w", err)
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.sandbox.Serve(serving, listener); err != nil {
			s.log.Error().Err(err).Msg("sandbox")
		}
	}()
	s.closers = append(s.closers, func() {
		cancel()
		<-done
	})
	s.url, s.key, s.name = "http://"+listener.Addr().String(), "sandbox", "sandbox"
	return nil
}

// close closes what was opened, the last first.
func (s *session) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

// account is a fingerprint of the key, to count its requests by: the key
// itself is never written anywhere.
func (s *session) account() string {
	// However this machine is called, it is one service.
	name := strings.Replace(s.name, "://localhost", "://127.0.0.1", 1)
	sum := sha256.Sum256([]byte("pictosync account\x00" + name + "\x00" + s.key))
	return hex.EncodeToString(sum[:8])
}

// connection speaks to the service for one run, whose end closes its gate.
type connection struct {
	client *pictograph.Client
	pacer  *quota.Pacer
}

func (s *session) connect() (*connection, error) {
	pacer, err := quota.NewPacer(s.ctx, s.quota, s.account(), s.store, now)
	if err != nil {
		return nil, err
	}
	pacer.MaxBlock = s.options.maxOutage
	pacer.OnAssumed = s.sayAssumed
	s.pacer = pacer
	client, err := pictograph.New(s.config(pacer))
	if err != nil {
		return nil, usageError{err}
	}
	return &connection{client, pacer}, nil
}

// sayAssumed says what quota is assumed of a service that says nothing of it.
func (s *session) sayAssumed(q quota.Quota) {
	if s.assumed.CompareAndSwap(false, true) {
		s.log.Warn().Msgf("the service says nothing of its quota: %s is assumed; --rate N/h says otherwise", q.Said())
	}
}

func (s *session) config(pacer pictograph.Pacer) pictograph.Config {
	o := s.options
	retries := o.maxRetries
	if retries == 0 {
		retries = pictograph.NoRetries
	}
	return pictograph.Config{BaseURL: s.url, APIKey: s.key, API: pictograph.Dialect(o.api), Timeout: o.timeout, MaxRetries: retries,
		Pacer: pacer, UserAgent: "pictosync/" + version(), OnRetry: logRetries(s.log)}
}

// to is the connection as runs take it.
func (c *connection) to(st *store.Store) worker.Connection {
	return worker.Connection{Client: c.client, Store: st, Pacer: c.pacer}
}

// close lets go of idle connections: a sandbox of this process waits for those
// that were never used.
func (c *connection) close() { c.client.CloseIdleConnections() }

// access is what work on a dataset is told of this session.
func (s *session) access(name string, d *display) dataset.Options {
	made := ""
	if s.sandbox != nil {
		made = fmt.Sprintf("`pictosync sync SOURCE --dataset %s --sandbox` makes it, with the images of the source; to plan that it is made by an upload, give --create-dataset --upload missing", shellWord(name))
	}
	return dataset.Options{HowMade: made, Dataset: name, Service: s.name, Concurrency: s.options.concurrency, MaxOutage: s.options.maxOutage,
		Progress: d.show, Log: s.log, Now: now, Unattended: s.unattended, Session: s.shared, Command: s.command}
}

// now is the clock; tests of many nights set it.
var now = time.Now

func logRetries(log zerolog.Logger) func(pictograph.Retry) {
	return func(r pictograph.Retry) {
		log.Info().Str("op", r.Op).Int("attempt", r.Attempt).Dur("wait", r.Wait).Err(r.Err).Msg("request is tried again")
	}
}

// makeForSync makes the dataset of a sync in a sandbox of this process, where there is none:
// with the images of the source, where the sync does not upload them. To a dataset that is
// there nothing is added: whether the names fit its images can be tried so. On another service
// it does nothing.
func (s *session) makeForSync(dataset string, src *opening, settings worker.Options) error {
	if s.sandbox == nil || settings.Create {
		return nil
	}
	if settings.Upload == worker.UploadMissing || settings.Upload == worker.UploadAll {
		_, _, err := s.sandbox.EnsureDataset(s.ctx, dataset)
		return err
	}
	opened, err := src.Open()
	if err != nil {
		return err
	}
	return s.seed(dataset, opened)
}

func (s *session) seed(dataset string, src convert.Source) error {
	_, err := s.sandbox.CreateDataset(s.ctx, dataset, func(yield func(sandbox.NewImage, error) bool) {
		for item, err := range src.Items(s.ctx, "") {
			if err == nil && item.Err != nil {
				continue
			}
			image := sandbox.NewImage{Path: item.Image}
			if err == nil {
				size := src.Size(item)
				image.Width, image.Height = size.Width, size.Height
			}
			if item.Stem && !source.IsImageName(item.Image) {
				image.Path += ".jpg" // the labels do not say; a sync matches by the stem
			}
			if !yield(image, err) || err != nil {
				return
			}
		}
	})
	return err
}
