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

	"github.com/dustin/go-humanize"
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
	logOptions
}

// logOptions are the flags of logs.
type logOptions struct{ logLevel, logFormat string }

func (o *logOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.logLevel, "log-level", "warn", "what is logged to standard error: debug, info, warn, error or disabled")
	f.StringVar(&o.logFormat, "log-format", "text", "what a log entry is: a line of text for people, or json for programs")
}

func (o *outputOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, outputHeading)()
	f.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print nothing but errors")
	o.logOptions.addFlags(f)
}

func (o outputOptions) logger() (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(o.logLevel)
	if err != nil || o.logLevel == "" {
		return zerolog.Nop(), usagef("read --log-level: %q must be one of: debug, info, warn, error, disabled", o.logLevel)
	}
	if o.quiet {
		level = max(level, zerolog.ErrorLevel)
	}
	if err := oneOf("log-format", o.logFormat); err != nil {
		return zerolog.Nop(), err
	}
	log := zerolog.New(os.Stderr)
	switch {
	case o.logFormat == "json":
	case onTerminal(os.Stderr):
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly})
	default: // what is kept is read on other days
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.DateTime, NoColor: true})
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

// display shows the listing, the readings and the saves of a run as one piece of work, counted
// in requests, with how long the rest of it takes.
type display struct {
	mode progressMode

	mu    sync.Mutex
	phase string
	told  time.Time // when the last was said
	hold  progress.Hold
	bar   *progressbar.ProgressBar
	total int                             // of the bar, 0 for one that only turns
	said  string                          // beside the bar
	held  map[progress.HoldKind]time.Time // of the lines, when it was last said what is waited for
}

// show takes how far the work is; it may be called from several goroutines.
func (p *display) show(now progress.Progress) {
	if p.mode == silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == lines {
		p.line(now)
		return
	}
	const often = 100 * time.Millisecond // what is said is drawn at once
	same := p.bar != nil && p.total == now.AllRequests && p.phase == now.Phase && p.hold == now.Hold
	if same && time.Since(p.told) < often {
		return
	}
	p.phase, p.hold, p.told = now.Phase, now.Hold, time.Now()
	if p.bar == nil || p.total != now.AllRequests {
		p.begin(now)
	}
	if text := describe(now); text != p.said {
		p.said = text
		p.bar.Describe(text)
	}
	if p.total > 0 {
		p.bar.Set(min(now.Requests, p.total))
	} else {
		p.bar.Set(now.Done)
	}
}

// line writes a line where there is something new to say: what begins, once a minute how far
// it is, and once in a while what is waited for.
func (p *display) line(now progress.Progress) {
	const everyMinute, onceInAWhile = time.Minute, 10 * time.Minute
	if now.Phase != p.phase {
		p.phase, p.told = now.Phase, time.Now()
		if now.Total > 0 {
			fmt.Fprintf(os.Stderr, "%s %s\n", now.Phase, plural(now.Total, "image"))
		} else {
			fmt.Fprintln(os.Stderr, now.Phase)
		}
	}
	if h := now.Hold; h.Kind != "" && time.Since(p.held[h.Kind]) >= onceInAWhile {
		if p.held == nil {
			p.held = make(map[progress.HoldKind]time.Time)
		}
		p.held[h.Kind] = time.Now()
		if h.Kind == progress.Pace {
			fmt.Fprintln(os.Stderr, h.Why+leftText(now))
		} else {
			fmt.Fprintln(os.Stderr, heldText(h))
		}
	}
	if now.Done > 0 && time.Since(p.told) >= everyMinute {
		p.told = time.Now()
		fmt.Fprintln(os.Stderr, describe(now))
	}
}

// describe is how far the work is, in words.
func describe(now progress.Progress) string {
	text := now.Phase
	switch {
	case now.Total > 0 && now.Done <= now.Total:
		text += fmt.Sprintf(" %s of %s images", humanize.Comma(int64(now.Done)), humanize.Comma(int64(now.Total)))
	case now.Done > 0:
		text += fmt.Sprintf(" %s images", humanize.Comma(int64(now.Done)))
	}
	if now.Note != "" {
		text += ", " + now.Note
	}
	if now.Failed > 0 {
		text += fmt.Sprintf(" (%d failed)", now.Failed)
	}
	text += leftText(now)
	if now.Hold.Kind != "" && now.Hold.Kind != progress.Pace { // of the pace, the time that is left tells
		text += "; " + heldText(now.Hold)
	}
	return text
}

// leftText is how long the work still takes, as far as that is known.
func leftText(now progress.Progress) string {
	switch {
	case now.Left <= 0:
		return ""
	case now.AtLeast:
		return ", at least " + roughly(now.Left) + " left"
	}
	return ", " + roughly(now.Left) + " left"
}

// heldText says what is waited for, and until when.
func heldText(h progress.Hold) string {
	left := roughly(time.Until(h.Until))
	if h.Kind == progress.Outage {
		return h.Why + ", next try in " + left
	}
	return h.Why + ", " + left
}

// roughly is a time in its two largest units.
func roughly(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	hours, minutes, seconds := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case hours > 0:
		return fmt.Sprintf("%d h %d m", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d m %d s", minutes, seconds)
	}
	return fmt.Sprintf("%d s", seconds)
}

// begin begins a bar: one for the whole work where that is known, and until then one that
// turns.
func (p *display) begin(now progress.Progress) {
	p.finish()
	p.total, p.said = now.AllRequests, ""
	total := p.total
	if total == 0 {
		total = -1 // shown as a spinner
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetPredictTime(false), // it does not know the quota
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	}
	if p.total > 0 { // what is not known is no count
		options = append(options, progressbar.OptionShowCount())
	}
	p.bar = progressbar.NewOptions(total, options...)
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
// time, since who lines up all has to hold all. Their header stands before the first.
type rows struct {
	table  *tabwriter.Writer
	header string
	none   string // what is said where there are none
	n      int
}

const pageOfRows = 5000

func newRows(w io.Writer, header, none string) *rows {
	return &rows{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), header: header, none: none}
}

func (r *rows) printf(format string, args ...any) error {
	if r.n == 0 {
		fmt.Fprintln(r.table, r.header)
	}
	fmt.Fprintf(r.table, format, args...)
	if r.n++; r.n%pageOfRows == 0 {
		return r.table.Flush()
	}
	return nil
}

func (r *rows) end() error {
	if r.n == 0 {
		fmt.Fprintln(r.table, r.none)
	}
	return r.table.Flush()
}
