package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/spf13/pflag"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/atomicfile"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/report"
	"pictosync/store"
	"pictosync/view"
	"pictosync/worker"
)

// printDiff prints what becomes of an image's annotations, a line for each that does not
// stay, and what that comes to: n counts them by kind.
func printDiff(w io.Writer, image string, changes []compare.Change, n map[compare.Kind]int) error {
	for _, c := range changes {
		if _, err := fmt.Fprintln(w, printable(c.Line())); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %d added, %d removed, %d changed, %d unchanged\n", printable(image), n[compare.Added], n[compare.Removed], n[compare.Changed], n[compare.Unchanged])
	return err
}

// printRows prints every image that a plan changes, or cannot.
func printRows(ctx context.Context, w io.Writer, st *store.Store, run string) error {
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	table := newRows(w, "IMAGE\tPLAN\tBEFORE\tAFTER\tLABEL\tREASON", "no image changes")
	for i, err := range st.Items(ctx, run) {
		if err != nil {
			return err
		}
		if i.Plan == store.PlanUnchanged {
			continue
		}
		after := fmt.Sprint(i.Count)
		if i.Outcome != store.ItemPending {
			after = "-"
		}
		word := string(i.Plan)
		if i.Outcome == store.ItemSkipped || i.Outcome == store.ItemFailed && i.Plan != store.PlanFailed && i.Plan != store.PlanAmbiguous {
			word += ", " + string(i.Outcome)
		}
		if err := table.printf("%s\t%s\t%d\t%s\t%s\t%s\n", printable(cmp.Or(i.Path, i.Image)), word, i.ListedCount, after, printable(cmp.Or(i.File, "-")), printable(i.Reason)); err != nil {
			return err
		}
	}
	return table.end()
}

// pageOptions are the flags of the commands that write the page of a run.
type pageOptions struct {
	html   string
	read   int
	fetch  int
	folder string
}

func (o *pageOptions) addFileFlag(f *pflag.FlagSet, what string) {
	defer under(f, outputHeading)()
	f.StringVar(&o.html, "html", "", "write "+what+" as a page to `FILE`: all in one, to send or to keep")
	forThisCommand(f, "html")
}

func (o *pageOptions) addFolderFlag(f *pflag.FlagSet) {
	defer under(f, outputHeading)()
	f.StringVar(&o.folder, "report-dir", "", "write the page of each run, all in one file, into `DIR`")
}

// check refuses a page that could not be written, before there is one.
func (o *pageOptions) check() error {
	if err := checkFile("html", o.html); err != nil || o.folder == "" {
		return err
	}
	return checkFileBelow("report-dir", filepath.Join(o.folder, "page"))
}

// checkFileBelow is checkFile for a file whose folder is made.
func checkFileBelow(flag, path string) error {
	dir, name := filepath.Split(path)
	for dir = filepath.Clean(dir); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
	}
	return checkFile(flag, filepath.Join(dir, name))
}

// checkFile refuses a file that a flag names and that could not be written; "" is none.
func checkFile(flag, path string) error {
	if path == "" {
		return nil
	}
	switch err := atomicfile.Check(path); {
	case errors.Is(err, syscall.EISDIR):
		return usagef("--%s: %w; name a file", flag, err)
	case err != nil:
		return usagef("--%s: %w", flag, err)
	}
	return nil
}

// Sizes of the pages that are files.
const (
	drawnImages  = 40
	lookedImages = 2000
)

// pageOf is what a page is of.
type pageOf struct {
	plan   bool // a plan, else what was done
	backup worker.BackupPolicy
	reads  dataset.ReadPolicy
}

// write writes the pages of a run that are asked for.
func (o *pageOptions) write(s *session, src convert.Source, summary worker.Summary, of pageOf) error {
	folder := cmp.Or(o.folder, s.reports)
	if o.html == "" && folder == "" {
		return nil
	}
	ctx := context.WithoutCancel(s.ctx) // the run is done
	run, err := s.store.FindRun(ctx, summary.Run)
	if err != nil {
		return err
	}
	r := &report.Run{Store: s.store, Run: run, Photos: view.NewPhotos(""), Source: src}
	if of.plan && o.read > 0 {
		if err := readBefore(s, r, o.read); err != nil {
			return err
		}
	}
	if of.plan && o.fetch > 0 {
		folder, err := fetchFiles(s, r, o.fetch)
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
	}
	page := report.FileOptions{Drawn: drawnImages}
	page.Looked = lookedImages
	cost, err := of.cost(ctx, s, summary)
	if err != nil {
		return err
	}
	page.Cost = func(report.Did) string { return cost }
	page.Commands = func(d report.Did) []view.Command {
		next := nextCommands(run, d, s.options.state)
		if o.html != "" && of.plan && d.Unknown+d.Unread > 0 && d.Notes.Command != nil && d.Notes.Command.Args[0] == "sync" {
			again := store.Command{Args: append([]string{"plan"}, d.Notes.Command.Args[1:]...)}
			next = append(next, view.Command{Text: "See on the images what goes, with a request for each whose annotations are not known:", Command: shown(again, s.options.state, "--html", o.html, "--read-images", "20")})
		}
		return append(next, view.Command{Text: "Look at every image, in the browser:", Command: shown(store.Command{Args: []string{"ui"}}, s.options.state)})
	}
	var files []string
	if o.html != "" {
		files = append(files, o.html)
	}
	if folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("make the folder for pages: %w", err)
		}
		file := pageName(run)
		files = append(files, filepath.Join(folder, file))
		s.written = append(s.written, writtenPage{run.ID, file})
	}
	return writePage(ctx, s.options.output, r, page, files...)
}

// writtenPage is the page of a run in the folder for them.
type writtenPage struct{ run, file string }

// pageName is the file of a run's page: the newest sorts last.
func pageName(run store.Run) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, run.Dataset.Name)
	if runes := []rune(name); len(runes) > 60 {
		name = string(runes[:60])
	}
	return fmt.Sprintf("%s-%s-%s-%s.html", run.StartedAt.Format("2006-01-02-150405"), run.Kind, name, run.ID[max(0, len(run.ID)-8):])
}

// writePage makes the page of a run and writes it to files.
func writePage(ctx context.Context, out outputOptions, r *report.Run, o report.FileOptions, files ...string) error {
	data, made, err := r.File(ctx, o)
	if err != nil {
		return fmt.Errorf("make the page of run %s: %w", r.Run.ID, err)
	}
	for _, file := range files {
		if err := writeWhole(file, data); err != nil {
			return err
		}
		if out.quiet || out.json {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: a page of %s, %d of %s drawn%s\n", printable(file), humanize.Bytes(uint64(made.Bytes)), made.Drawn, plural(made.Change, "image"), unreadText(made, r.Reads))
	}
	return nil
}

// unreadText says what brings onto the page of a plan what goes, where that is not known.
func unreadText(made report.Filed, reads int) string {
	n := made.Unread
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; what goes is not known on %d of these: --read-images %d reads it, a request an image", n, n+reads)
}

func writeWhole(path string, data []byte) error {
	return atomicfile.Write(path, data, atomicfile.Shared)
}

// readBefore asks the service what the images have that change most, a request each.
func readBefore(s *session, r *report.Run, most int) error {
	wanted, err := r.Unread(s.ctx, most)
	if err != nil {
		return err
	}
	c, err := s.connect() // the run's own is closed with it
	if err != nil {
		return err
	}
	defer c.close()
	r.Read = make(map[string][]pictograph.Annotation, len(wanted))
	for _, i := range wanted {
		annotations, err := c.client.Annotations(s.ctx, pictograph.ImageRef{ID: i.ImageID, Dataset: r.Run.Dataset.ID, Path: i.Path})
		if err != nil {
			return fmt.Errorf("read what %s has: %w", i.Path, err)
		}
		r.Read[i.ImageID] = annotations
		r.Reads++
	}
	return nil
}

// fetchFiles asks the service for the files of the images that change most, a request each. It
// puts them into a folder that the caller removes.
func fetchFiles(s *session, r *report.Run, most int) (folder string, err error) {
	const largest = 256 << 20
	wanted, err := r.Unpictured(s.ctx, most)
	if err != nil || len(wanted) == 0 {
		return "", err
	}
	c, err := s.connect()
	if err != nil {
		return "", err
	}
	defer c.close()
	if folder, err = os.MkdirTemp("", "pictosync-page-"); err != nil {
		return "", fmt.Errorf("make a folder for image files: %w", err)
	}
	r.Fetched = make(map[string]string, len(wanted))
	for n, i := range wanted {
		file := filepath.Join(folder, strconv.Itoa(n))
		err := c.client.ImageContent(s.ctx, pictograph.ImageRef{ID: i.ImageID, Dataset: r.Run.Dataset.ID, Path: i.Path}, func(content io.Reader, _ int64) error {
			data, err := io.ReadAll(io.LimitReader(content, largest))
			if err != nil {
				return err
			}
			return os.WriteFile(file, data, 0o600)
		})
		if err != nil {
			os.RemoveAll(folder)
			return "", fmt.Errorf("fetch the file of %s: %w", i.Path, err)
		}
		r.Fetched[i.ImageID] = file
	}
	return folder, nil
}

// cost says what a run took or would take, and what the quota makes of it.
func (o pageOf) cost(ctx context.Context, s *session, summary worker.Summary) (string, error) {
	took := fmt.Sprintf("It took %s and %s so far", plural(summary.Requests, "request"), seconds(summary.Seconds))
	rate, allowed := "without a limit", s.pacer.Quota()
	switch {
	case allowed == (quota.Quota{}):
	case s.options.rate == "auto":
		rate = fmt.Sprintf("at the %s that the service allows", allowed.Said())
	default:
		rate = "at " + allowed.Said()
	}
	if !o.plan {
		return took + ", " + rate + ".", nil
	}
	run, err := s.store.FindRun(ctx, summary.Run)
	if err != nil {
		return "", err
	}
	sums, err := s.store.PlanSummary(ctx, run.Dataset, summary.Run)
	if err != nil {
		return "", err
	}
	created, err := s.store.Classes(ctx, summary.Run)
	if err != nil {
		return "", err
	}
	requests, needs := worker.Cost(sums, len(created), summary.Requests, o.backup, o.reads, allowed)
	return fmt.Sprintf("To do it takes at least %s and, %s, %s.", plural(requests, "request"), rate, time.Duration(needs*float64(time.Second)).Round(time.Second)), nil
}

// runPage writes the page of a run of the state.
func (o *runsOptions) runPage(ctx context.Context, st *store.Store, run store.Run) error {
	r := &report.Run{Store: st, Run: run, Photos: view.NewPhotos("")}
	r.Source, r.SourceNote = o.source.again(ctx, st, run)
	page := report.FileOptions{Drawn: drawnImages}
	page.Looked = lookedImages
	page.Cost = func(d report.Did) string { return runCost(run, d) }
	page.Commands = func(d report.Did) []view.Command { return nextCommands(run, d, o.state) }
	return writePage(ctx, o.output, r, page, o.page.html)
}

func runCost(run store.Run, did report.Did) string {
	took := fmt.Sprintf("It took %s and %s, in %s", plural(run.Requests, "request"), run.Worked.Round(time.Millisecond), english.Plural(run.Starts, "process", "")) // of work, not of waiting between them
	if did.Notes.Quota != "" {
		return took + "; it might send " + did.Notes.Quota + "."
	}
	return took + "."
}

// nextCommands are what to type after a run of the state: to do it, to resume it or to undo
// it.
func nextCommands(run store.Run, did report.Did, state string) (next []view.Command) {
	add := func(text, command string) { next = append(next, view.Command{Text: text, Command: command}) }
	pictosync := func(args ...string) string { return shown(store.Command{Args: args}, state) }
	command, known := did.Notes.Command, did.Notes.Command != nil
	switch ended := !run.EndedAt.IsZero(); {
	case known && !ended && run.Kind != store.RunPlan:
		add("Go on where it stopped, with the options that it had:", shown(*command, state))
	case known && ended && run.Kind == store.RunPlan && run.Outcome == store.Planned:
		add("Do it, with the options that it had:", shown(*command, state))
	case known && run.Kind == store.RunVerify:
		add("Compare again, with the options that it had:", shown(*command, state))
	case did.Saved:
		add("Bring back what the images had:", pictosync("undo", run.ID))
	case did.Notes.Export != nil:
		add("See what it would take to bring this backup back:", pictosync(append([]string{"restore", did.Notes.Export.Snapshot, "--dataset", run.Dataset.Name, "--dry-run"}, serviceWords(run)...)...))
	}
	what := "What happened to each image, and why:"
	if run.Kind == store.RunPlan {
		what = "What would happen to each image, and why:"
	}
	add(what, pictosync("runs", run.ID))
	return next
}

// serviceWords are the flags that reach the service of a run.
func serviceWords(run store.Run) []string {
	switch run.Dataset.Service {
	case "sandbox":
		return []string{"--sandbox"}
	case pictograph.DefaultBaseURL:
		return nil
	}
	return []string{"--base-url", run.Dataset.Service}
}

// again opens the source of a run of the state; where it cannot, the note says why. That the
// labels are those of the run is known by their hash, image by image.
func (o sourceOptions) again(ctx context.Context, st *store.Store, run store.Run) (convert.Source, string) {
	if undone, is := run.Undoes(); is {
		if of, err := st.FindRun(ctx, undone); err == nil {
			return worker.Replaced(st, of), ""
		}
		return nil, "the run that it undid is not on record any more"
	}
	if run.Kind == store.RunExport {
		return nil, ""
	}
	var found collector
	src, err := o.open(ctx, run.Source, &found)
	if err != nil {
		return nil, fmt.Sprintf("its source is not at hand (%v)", err)
	}
	return src, ""
}

// writeNight writes the page of a night: its jobs, each with the page of its run.
func writeNight(folder string, n *night, written []writtenPage) error {
	t := view.Table{Title: "Jobs", Heads: []string{"Name", "Outcome", "Result", "Took", "Kind", "Dataset"}, Numbers: []int{3}}
	bad := 0
	for _, j := range n.Jobs {
		kind := map[int]string{exitDone: "done", exitFailures: "failures"}[j.ExitCode]
		if kind != "done" {
			bad++
			kind = cmp.Or(kind, "bad")
		}
		name := view.Link{Text: view.Text(j.Name)}
		var summary struct{ Run string }
		if json.Unmarshal(j.Summary, &summary) == nil {
			if i := slices.IndexFunc(written, func(w writtenPage) bool { return w.run == summary.Run }); i >= 0 {
				name.Href = url.PathEscape(written[i].file)
			}
		}
		outcome := view.Link{Text: j.Outcome, Kind: kind}
		if kind == "failures" {
			outcome.Text = "with failures"
		}
		t.Rows = append(t.Rows, []view.Link{name, outcome, {Text: view.Text(j.cameTo())}, {Text: seconds(j.Seconds).String()}, {Text: j.Kind}, {Text: view.Text(j.Dataset)}})
	}
	at := n.StartedAt.Local()
	lead := fmt.Sprintf("All %s ended well, with %s.", plural(len(n.Jobs), "job"), plural(n.Requests, "request"))
	if bad > 0 {
		lead = fmt.Sprintf("%d of %s did not end well.", bad, plural(len(n.Jobs), "job"))
	}
	var page bytes.Buffer
	err := view.Page{Title: "Night of " + at.Format("2 January 2006"), Inline: true, Footer: "Made by pictosync from " + view.Text(n.Config) + ", begun " + at.Format(time.DateTime) + ".",
		State: &view.StatePage{Lead: lead, Tables: []view.Table{t}}}.Write(&page)
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(folder, at.Format("2006-01-02-150405")+"-night.html"), page.Bytes())
}
