package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"pictosync/internal/progress"
	"pictosync/internal/visible"
)

// outputOptions are the flags of every command that works for a while.
type outputOptions struct {
	json, quiet bool
	logLevel    string
}

func (o *outputOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print nothing but errors")
	f.StringVar(&o.logLevel, "log-level", "warn", "what is logged to standard error: debug, info, warn, error or disabled")
}

func (o outputOptions) logger() (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(o.logLevel)
	if err != nil || o.logLevel == "" {
		return zerolog.Nop(), usagef("read --log-level: %q must be one of: debug, info, warn, error, disabled", o.logLevel)
	}
	if o.quiet {
		level = max(level, zerolog.ErrorLevel)
	}
	log := zerolog.New(os.Stderr)
	if onTerminal(os.Stderr) {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly})
	}
	return log.Level(level).With().Timestamp().Logger(), nil
}

func onTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// progress is what people see while a command works: a bar on a terminal, a
// line for each phase elsewhere, nothing beside --json and --quiet.
func (o outputOptions) progress() *display {
	switch {
	case o.json || o.quiet:
		return &display{mode: silent}
	case onTerminal(os.Stderr):
		return &display{mode: bar}
	}
	return &display{mode: lines}
}

type progressMode int

const (
	silent progressMode = iota
	lines
	bar
)

type display struct {
	mode progressMode

	mu    sync.Mutex
	phase string
	bar   *progressbar.ProgressBar
	told  time.Time // of the lines, when the last was written
	said  string    // beside the bar
}

// show takes how far the work is; it may be called from several goroutines.
func (p *display) show(now progress.Progress) {
	if p.mode == silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Phase != p.phase {
		p.begin(now)
	}
	if p.mode == lines {
		if now.Done > 0 && time.Since(p.told) >= time.Minute {
			p.told = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %d of %s\n", describe(now), now.Done, plural(now.Total, "image"))
		}
		return
	}
	if text := describe(now); text != p.said {
		p.said = text
		p.bar.Describe(text)
	}
	p.bar.Set(now.Done)
}

func describe(now progress.Progress) string {
	text := now.Phase
	if now.Note != "" {
		text += ", " + now.Note
	}
	if now.Failed > 0 {
		text += fmt.Sprintf(" (%d failed)", now.Failed)
	}
	return text
}

func (p *display) begin(now progress.Progress) {
	p.finish()
	p.phase, p.said, p.told = now.Phase, now.Phase, time.Now()
	if p.mode == lines {
		if now.Total > 0 {
			fmt.Fprintf(os.Stderr, "%s %s\n", now.Phase, plural(now.Total, "image"))
		} else {
			fmt.Fprintln(os.Stderr, now.Phase)
		}
		return
	}
	total := now.Total
	if total == 0 {
		total = -1 // shown as a spinner
	}
	p.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetDescription(now.Phase),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("images"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)
}

func (p *display) finish() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}

// end takes the bar away.
func (p *display) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

// printable makes visible what file names and the service's words may hold that a
// terminal, or a reader, would be misled by: control characters, and those that turn the
// direction of a text around or show nothing.
func printable(s string) string { return visible.Text(s) }

// jsonPrinted says that the result was printed as JSON: where it was not, and --json asks
// for it, the error is.
var jsonPrinted bool

// printJSON prints the result as one JSON object.
func printJSON(w io.Writer, v any) error {
	jsonPrinted = true
	return json.NewEncoder(w).Encode(v)
}

// version is the module's version as the build recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// rows are lines of columns that may be millions: a page of them is lined up at a
// time, since who lines up all has to hold all.
type rows struct {
	table *tabwriter.Writer
	n     int
}

const pageOfRows = 5000

func newRows(w io.Writer, header string) *rows {
	r := &rows{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(r.table, header)
	return r
}

func (r *rows) printf(format string, args ...any) error {
	fmt.Fprintf(r.table, format, args...)
	if r.n++; r.n%pageOfRows == 0 {
		return r.table.Flush()
	}
	return nil
}

func (r *rows) end() error { return r.table.Flush() }
