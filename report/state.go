package report

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"pictosync/convert"
	"pictosync/convert/snapshot"
	"pictosync/internal/parallel"
	"pictosync/store"
	"pictosync/view"
)

// State shows a state: its runs, nights, datasets and sources. It only reads, and opens the
// state anew for every page, so that a run that works on it meanwhile is shown as it is.
type State struct {
	path   string
	photos *view.Photos
	o      StateOptions

	mu     sync.Mutex
	runs   map[string]*kept // rankings of runs that were looked at
	recent []string
	albums map[string]*Fresh // by source
}

// StateOptions say how a state is shown.
type StateOptions struct {
	// Open opens the source of a run again; the note says why it cannot.
	Open func(ctx context.Context, st *store.Store, run store.Run) (src convert.Source, note string)
	// Album opens a source to be looked at.
	Album func(ctx context.Context, path string) (*Album, error)
	// Cost and Commands put a run into words.
	Cost     func(store.Run, Did) string
	Commands func(run store.Run, did Did) []view.Command
	Photos   *view.Photos
	// Serving ends when no more pages are served.
	Serving context.Context
}

// kept is what is known of a run from the page before.
type kept struct {
	mark    string // another one is another state of the run
	ranking *ranking
	source  convert.Source
	note    string
}

// NewState shows the state at a path.
func NewState(path string, o StateOptions) *State {
	return &State{path: path, photos: o.Photos, o: o, runs: make(map[string]*kept), albums: make(map[string]*Fresh)}
}

// Wait waits for what the pages have begun, which ends when no more are served.
func (s *State) Wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.albums {
		f.Wait()
	}
}

// ServeHTTP shows the pages of the state.
func (s *State) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := s.show(w, r)
	if err != nil && !missing(err) && r.Context().Err() == nil {
		// A run that began to write meanwhile makes a mixture of what was read: pages write
		// nothing before they are whole.
		err = s.show(w, r)
	}
	switch {
	case err == nil || r.Context().Err() != nil:
	case errors.Is(err, fs.ErrNotExist):
		view.Fail(w, r, http.StatusServiceUnavailable, fmt.Errorf("there is no state at %s any more", s.path))
	case missing(err):
		view.Fail(w, r, http.StatusNotFound, err)
	default:
		view.Fail(w, r, http.StatusInternalServerError, err)
	}
}

// missing reports whether an address is one of nothing.
func missing(err error) bool {
	return errors.Is(err, errNoPage) || errors.Is(err, store.ErrNoRun) || errors.Is(err, store.ErrNoItem) || errors.Is(err, store.ErrManyRuns)
}

func (s *State) show(w http.ResponseWriter, r *http.Request) error {
	st, err := store.Look(r.Context(), s.path)
	if err != nil {
		return err
	}
	defer st.Close()
	head, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch head {
	case "":
		return s.showState(w, r, st)
	case "runs":
		return s.showRuns(w, r, st)
	case "run":
		return s.showRun(w, r, st, rest)
	case "source":
		return s.showSource(w, r, st, rest)
	}
	return errNoPage
}

var errNoPage = errors.New("this address leads nowhere")

func (s *State) frame(r *http.Request, title string, crumbs ...view.Link) view.Page {
	p := view.Page{Title: title, Footer: footer}
	if len(crumbs) > 0 {
		p.Crumbs = append([]view.Link{{Text: "state", Href: view.Base(r)}}, crumbs...)
	}
	return p
}

// How much of the past the first page shows.
const (
	plottedRuns = 60
	shownRuns   = 20
	weeks       = 8
)

// showState shows the first page.
func (s *State) showState(w http.ResponseWriter, r *http.Request, st *store.Store) error {
	ctx, base := r.Context(), view.Base(r)
	total, err := st.CountRuns(ctx, time.Time{}, store.TimeOfAll, 0)
	if err != nil {
		return err
	}
	recent, err := st.RunsBetween(ctx, time.Time{}, store.TimeOfAll, 0, plottedRuns, 0)
	if err != nil {
		return err
	}
	datasets, err := st.Datasets(ctx)
	if err != nil {
		return err
	}
	page := &view.StatePage{}
	size := sizeOf(s.path)
	page.Numbers = []view.Number{numberOf(total, "runs", ""), numberOf(len(datasets), "datasets", ""), {Value: humanize.IBytes(uint64(size)), What: "of state"}}
	page.Lead = "No run so far: `pictosync plan` and `pictosync sync` make them."
	if len(recent) > 0 {
		word, _ := Ending(recent[0])
		page.Lead = fmt.Sprintf("The last run was %s of dataset %s, %s: %s.", article(kindOf(recent[0])), view.Text(recent[0].Dataset.Name), recent[0].StartedAt.Format(time.DateTime), word)
	}
	if page.Calendar, err = s.calendar(ctx, st, base, recent); err != nil {
		return err
	}
	page.Plots = plotsOf(recent)
	runs, err := runsTable(ctx, st, "Runs", base, recent[:min(shownRuns, len(recent))])
	if err != nil {
		return err
	}
	page.Tables = append(page.Tables, runs)
	if total > shownRuns {
		page.Tables[0].More = &view.Link{Text: fmt.Sprintf("all %s", view.Plural(total, "run")), Href: base + "runs"}
	}
	jobs, err := st.Jobs(ctx)
	if err != nil {
		return err
	}
	page.Tables = append(page.Tables, jobsTable(base, jobs))
	set := view.Table{Title: "Datasets", Heads: []string{"Name", "Service", "Images", "Annotations", "Runs", "Listed"}, Numbers: []int{2, 3, 4}}
	for _, d := range datasets {
		listed := "never"
		if !d.ListedAt.IsZero() {
			listed = d.ListedAt.Format(time.DateTime)
		}
		set.Rows = append(set.Rows, []view.Link{{Text: view.Text(d.Name), Href: fmt.Sprintf("%sruns?dataset=%d", base, d.Ref)}, {Text: view.Text(d.Service)}, {Text: view.Thousands(d.Images)}, {Text: view.Thousands(d.Annotations)}, {Text: view.Thousands(d.Runs)}, {Text: listed}})
	}
	page.Tables = append(page.Tables, set)
	sources, err := st.Sources(ctx)
	if err != nil {
		return err
	}
	page.Tables = append(page.Tables, sourcesTable(base, sources), snapshotsTable(recent))
	page.Tables = slices.DeleteFunc(page.Tables, func(t view.Table) bool { return len(t.Rows) == 0 })
	p := s.frame(r, "Runs of "+view.Text(filepath.Base(s.path)))
	p.State = page
	view.Show(w, r, p)
	return nil
}

// sizeOf is how large a state is with what lies beside it.
func sizeOf(path string) (n int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// calendar shows the last weeks, a cell a day with its worst outcome.
func (s *State) calendar(ctx context.Context, st *store.Store, base string, recent []store.Run) (*view.Calendar, error) {
	if len(recent) == 0 {
		return nil, nil
	}
	newest := recent[0].StartedAt
	day := time.Date(newest.Year(), newest.Month(), newest.Day(), 0, 0, 0, 0, newest.Location())
	sunday := day.AddDate(0, 0, (7-int(day.Weekday()))%7)
	first := sunday.AddDate(0, 0, 1-7*weeks)
	const most = 20_000 // of a state with runs every few minutes
	runs, err := st.RunsBetween(ctx, first, sunday.AddDate(0, 0, 1), 0, most, 0)
	if err != nil {
		return nil, err
	}
	byDay := make(map[string][]store.Run)
	for _, r := range runs {
		key := r.StartedAt.Format(time.DateOnly)
		byDay[key] = append(byDay[key], r)
	}
	c := &view.Calendar{}
	for w := range weeks {
		var week []view.Night
		for d := range 7 {
			at := first.AddDate(0, 0, 7*w+d)
			n := view.Night{Day: at.Format("2 Jan"), Date: at.Format(time.DateOnly)}
			if on := byDay[n.Date]; len(on) > 0 {
				n.What, n.Kind = worst(on)
				n.Href = base + "runs?day=" + n.Date
				if len(on) == 1 {
					n.Href = base + "run/" + on[0].ID
				}
			}
			week = append(week, n)
		}
		if len(c.Weeks) > 0 || slices.ContainsFunc(week, func(n view.Night) bool { return n.Href != "" }) {
			c.Weeks = append(c.Weeks, week)
		}
	}
	return c, nil
}

// worst is what a day came to: how many runs, and the worst ending.
func worst(runs []store.Run) (what, kind string) {
	order := []string{"done", "", "failures", "bad"}
	at := 0
	what = view.Plural(len(runs), "run")
	for _, r := range runs {
		word, k := Ending(r)
		if i := slices.Index(order, k); i > at {
			at = i
			what = view.Plural(len(runs), "run") + ", " + word
		}
	}
	return what, order[at]
}

// plotsOf are duration and requests of the last runs, the oldest first.
func plotsOf(recent []store.Run) (plots []view.Plot) {
	var took, requests []view.Bin
	unit, in := time.Millisecond, "milliseconds"
	for _, r := range recent {
		switch {
		case r.Worked > 3*time.Hour:
			unit, in = time.Minute, "minutes"
		case r.Worked > 20*time.Second && unit < time.Second:
			unit, in = time.Second, "seconds"
		}
	}
	for _, r := range slices.Backward(recent) {
		if r.EndedAt.IsZero() {
			continue
		}
		name, mark := r.StartedAt.Format("2 Jan 15:04")+" "+string(r.Kind), r.StartedAt.Format("2 Jan")
		took = append(took, view.Bin{Name: name, Count: int(r.Worked / unit), Mark: mark})
		requests = append(requests, view.Bin{Name: name, Count: r.Requests, Mark: mark})
	}
	if len(took) < 2 {
		return nil
	}
	return []view.Plot{view.NewPlot("Duration of the last runs, "+in, took), view.NewPlot("Requests of the last runs", requests)}
}

func runsTable(ctx context.Context, st *store.Store, title, base string, runs []store.Run) (view.Table, error) {
	t := view.Table{Title: title, Heads: []string{"Started", "Outcome", "Kind", "Dataset", "Result", "Requests", "Took", "Source"}, Numbers: []int{5, 6}}
	for _, r := range runs {
		word, kind := Ending(r)
		totals, summed, err := st.TotalsOnRecord(ctx, r.ID)
		if err != nil {
			return t, err
		}
		came := ""
		if summed {
			came = result(r, totals)
		}
		source := view.Link{Text: view.Text(shortPath(r.Source))}
		if undone, is := r.Undoes(); is {
			source = view.Link{Text: "run …" + undone[max(0, len(undone)-8):], Href: base + "run/" + undone}
		}
		t.Rows = append(t.Rows, []view.Link{{Text: r.StartedAt.Format(time.DateTime), Href: base + "run/" + r.ID}, {Text: word, Kind: kind}, {Text: kindOf(r)}, {Text: view.Text(r.Dataset.Name)}, {Text: came},
			{Text: view.Thousands(r.Requests)}, {Text: r.Worked.Round(time.Millisecond).String()}, source})
	}
	return t, nil
}

// shortPath is the end of a path.
func shortPath(path string) string {
	const parts = 3
	all := strings.Split(filepath.ToSlash(path), "/")
	if len(all) <= parts+1 {
		return path
	}
	return "…/" + strings.Join(all[len(all)-parts:], "/")
}

func jobsTable(base string, jobs map[string]store.Job) view.Table {
	t := view.Table{Title: "Jobs", Heads: []string{"Name", "Outcome", "Last", "Last success", "Kind", "Dataset"}}
	var names []string
	for name := range jobs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		j := jobs[name]
		outcome := view.Link{Text: "done", Kind: "done"}
		switch {
		case j.StartedAt.IsZero():
			outcome = view.Link{Text: "not reached"}
		case j.Error != "":
			outcome = view.Link{Text: view.Text(begun(j.Error)), Kind: "bad"}
		case j.Status != 0:
			outcome = view.Link{Text: fmt.Sprintf("with failures (status %d)", j.Status), Kind: "failures"}
		}
		var summary struct{ Run string }
		last := view.Link{Text: stamp(j.StartedAt)}
		if json.Unmarshal(j.Summary, &summary) == nil && summary.Run != "" {
			last.Href = base + "run/" + summary.Run
		}
		t.Rows = append(t.Rows, []view.Link{{Text: view.Text(name)}, outcome, last, {Text: stamp(j.SucceededAt)}, {Text: j.Kind}, {Text: view.Text(j.Dataset)}})
	}
	return t
}

// begun is how a long text begins.
func begun(s string) string {
	const most = 120
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.DateTime)
}

func sourcesTable(base string, sources []string) view.Table {
	const most = 50
	t := view.Table{Title: "Sources", Heads: []string{"Path", "At hand"}}
	for _, name := range sources[:min(most, len(sources))] {
		row := []view.Link{{Text: view.Text(shortPath(name))}, {Text: "no"}}
		if _, err := os.Stat(name); err == nil {
			row[0].Href, row[1].Text = base+"source/"+keyOf(name)+"/", "yes"
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// keyOf is a source in an address.
func keyOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// snapshotsTable are the snapshots of the folders that the last exports wrote to.
func snapshotsTable(recent []store.Run) view.Table {
	const most = 40
	t := view.Table{Title: "Snapshots", Heads: []string{"Taken", "Dataset", "Size", "Folder"}, Numbers: []int{2}}
	seen := make(map[string]bool)
	for _, r := range recent {
		if r.Kind != store.RunExport || seen[r.Source] {
			continue
		}
		seen[r.Source] = true
		all, err := snapshot.List(r.Source, time.Now())
		if err != nil {
			continue // the folder is gone, or a disk that is not there
		}
		for _, s := range all[:min(len(all), most-len(t.Rows))] {
			t.Rows = append(t.Rows, []view.Link{{Text: s.Taken.Local().Format(time.DateTime)}, {Text: view.Text(r.Dataset.Name)}, {Text: folderSize(s.Dir)}, {Text: view.Text(shortPath(s.Dir))}})
		}
	}
	return t
}

// folderSize is how large the files of a folder are; of one with very many it says at
// least.
func folderSize(dir string) string {
	const most = 5000
	var total uint64
	n := 0
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // what cannot be read is not counted
		}
		if n++; n > most {
			return fs.SkipAll
		}
		if info, err := e.Info(); err == nil {
			total += uint64(info.Size())
		}
		return nil
	})
	if n > most {
		return "over " + humanize.IBytes(total)
	}
	return humanize.IBytes(total)
}

// showRuns lists runs: all, those of a day, or those of a dataset.
func (s *State) showRuns(w http.ResponseWriter, r *http.Request, st *store.Store) error {
	q := r.URL.Query()
	from, to := time.Time{}, store.TimeOfAll
	title := "Runs"
	keep := ""
	if day, err := time.ParseInLocation(time.DateOnly, q.Get("day"), time.Local); err == nil {
		from, to = day, day.AddDate(0, 0, 1)
		title = "Runs of " + day.Format("2 January 2006")
		keep += "day=" + day.Format(time.DateOnly) + "&"
	}
	dataset, err := strconv.ParseInt(q.Get("dataset"), 10, 64)
	if err != nil || dataset < 0 {
		dataset = 0
	}
	if dataset > 0 {
		title += " of the dataset"
		keep += fmt.Sprintf("dataset=%d&", dataset)
	}
	count, err := st.CountRuns(r.Context(), from, to, dataset)
	if err != nil {
		return err
	}
	page := pageOf(r, count)
	runs, err := st.RunsBetween(r.Context(), from, to, dataset, perPage, page*perPage)
	if err != nil {
		return err
	}
	if dataset > 0 && len(runs) > 0 {
		title = strings.Replace(title, "of the dataset", "of dataset "+view.Text(runs[0].Dataset.Name), 1)
	}
	p := s.frame(r, title, view.Link{Text: title})
	t, err := runsTable(r.Context(), st, "", view.Base(r), runs)
	if err != nil {
		return err
	}
	p.State = &view.StatePage{Tables: []view.Table{t}, Pager: pager(view.Base(r)+"runs?"+keep, list{kind: "all"}.query, page, count)}
	view.Show(w, r, p)
	return nil
}

// find is a run with what is known of it from the page before.
func (s *State) find(ctx context.Context, st *store.Store, id string) (*Run, error) {
	run, err := st.FindRun(ctx, id)
	if err != nil {
		return nil, err
	}
	r := &Run{Store: st, Run: run, Photos: s.photos}
	pending := 0
	if run.EndedAt.IsZero() { // it is worked on
		totals, err := st.Totals(ctx, run.ID)
		if err != nil {
			return nil, err
		}
		pending = totals.Outcome[store.ItemPending]
	}
	mark := fmt.Sprint(run.Phase, run.Outcome, run.Starts, pending, markOf(run.Source))
	s.mu.Lock()
	k := s.runs[run.ID]
	s.mu.Unlock()
	if k == nil || k.mark != mark {
		k = &kept{mark: mark}
		if k.ranking, err = rankOf(ctx, st, run); err != nil {
			return nil, err
		}
		if !ofState(run) {
			k.source, k.note = s.o.Open(s.o.Serving, st, run)
		}
		s.remember(run.ID, k)
	}
	r.ranked.Do(func() { r.ranking = k.ranking })
	r.Source, r.SourceNote = k.source, k.note
	if ofState(run) {
		r.Source, r.SourceNote = s.o.Open(ctx, st, run)
	}
	return r, nil
}

// ofState reports whether a run reads its labels from the state, which is opened anew for
// every page.
func ofState(run store.Run) bool { return run.Kind == store.RunUndo }

// remember keeps what was gathered of a few runs.
func (s *State) remember(id string, k *kept) {
	const few = 6
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[id] = k
	s.recent = append(slices.DeleteFunc(s.recent, func(other string) bool { return other == id }), id)
	if len(s.recent) > few {
		delete(s.runs, s.recent[0])
		s.recent = s.recent[1:]
	}
}

// lookedOnline is how many images the page of a run compares: it has to be there soon.
const lookedOnline = 30

// showRun shows a run, its images, or one of them.
func (s *State) showRun(w http.ResponseWriter, r *http.Request, st *store.Store, rest string) error {
	id, rest, _ := strings.Cut(rest, "/")
	run, err := s.find(r.Context(), st, id)
	if err != nil {
		return err
	}
	base := view.Base(r) + "run/" + run.Run.ID
	what, seq, _ := strings.Cut(rest, "/")
	switch what {
	case "":
		return s.showRunPage(w, r, run, base)
	case "images":
		return s.showRunImages(w, r, run, base)
	case "image":
		return s.showRunImage(w, r, run, base, seq)
	case "thumb", "photo":
		return s.sendRunPicture(w, r, run, what == "thumb", seq)
	}
	return errNoPage
}

func imageHref(base, query string) func(seq int64) string {
	return func(seq int64) string {
		s := base + "/image/" + strconv.FormatInt(seq, 10)
		if query != "" {
			s += "?" + query
		}
		return s
	}
}

func thumbHref(base string) func(seq int64) string {
	return func(seq int64) string { return base + "/thumb/" + strconv.FormatInt(seq, 10) }
}

func (s *State) showRunPage(w http.ResponseWriter, r *http.Request, run *Run, base string) error {
	page, _, err := run.Page(r.Context(), PageOptions{Cost: func(d Did) string { return s.o.Cost(run.Run, d) }, Commands: func(d Did) []view.Command { return s.o.Commands(run.Run, d) }, Looked: lookedOnline, Href: imageHref(base, ""), Thumb: thumbHref(base)})
	if err != nil {
		return err
	}
	k := run.ranking
	changing, held, still := run.lists()
	for _, l := range []struct {
		name, what string
		n          int
	}{{"changing", changing, len(k.changing)}, {"held", held, len(k.held)}, {"unchanged", still, len(k.still)}} {
		if l.n > 0 {
			page.Lists = append(page.Lists, view.Link{Text: fmt.Sprintf("%s (%s)", l.what, view.Thousands(l.n)), Href: base + "/images?list=" + l.name})
		}
	}
	p := s.frame(r, run.title(), view.Link{Text: "run " + run.Run.ID})
	p.Report = page
	view.Show(w, r, p)
	return nil
}

// briefs are the images of a list of a run.
func (r *Run) briefs(name string) (list []store.Brief, title string) {
	changing, held, still := r.lists()
	switch name {
	case "held":
		return r.ranking.held, capital(held)
	case "unchanged":
		return r.ranking.still, capital(still)
	}
	return r.ranking.changing, capital(changing)
}

func (s *State) showRunImages(w http.ResponseWriter, r *http.Request, run *Run, base string) error {
	name := r.URL.Query().Get("list")
	list, title := run.briefs(name)
	page := pageOf(r, len(list))
	query := func(page int) string { return fmt.Sprintf("list=%s&page=%d", name, page+1) }
	if name != "held" && name != "unchanged" {
		name = "changing"
	}
	g := pager(base+"/images?", query, page, len(list))
	shown := list[page*perPage : min(len(list), (page+1)*perPage)]
	tiles, err := parallel.All(r.Context(), 4, shown, func(ctx context.Context, b store.Brief) (view.Tile, error) {
		return run.tile(ctx, b, base, "list="+name)
	})
	if err != nil {
		return err
	}
	g.Tiles = tiles
	if name == "changing" && len(list) > 1 {
		g.Lead = "Those of which most is lost come first."
	}
	p := s.frame(r, title, view.Link{Text: "run " + run.Run.ID, Href: base}, view.Link{Text: title})
	p.Grid = g
	view.Show(w, r, p)
	return nil
}

func (r *Run) tile(ctx context.Context, b store.Brief, base, query string) (view.Tile, error) {
	picture, file, err := r.Picture(ctx, b.Seq)
	if err != nil {
		return view.Tile{}, err
	}
	thumb := ""
	if file != "" {
		thumb = thumbHref(base)(b.Seq)
	}
	about := aboutChange(seen{brief: b, picture: picture})
	if picture.Reason != "" && picture.Outcome != "" {
		about = picture.Outcome + ": " + picture.Reason
	}
	return view.NewTile(picture, imageHref(base, query)(b.Seq), thumb, view.Text(about)), nil
}

func (s *State) showRunImage(w http.ResponseWriter, r *http.Request, run *Run, base, number string) error {
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return errNoPage
	}
	picture, file, err := run.Picture(r.Context(), seq)
	if err != nil {
		return err
	}
	href, note := "", "No image file was found, so the labels are drawn on an empty frame."
	if file != "" {
		href, note = fmt.Sprintf("%s/photo/%d", base, seq), ""
		if err := s.photos.Check(file); err != nil {
			href, note = "", "The image file cannot be shown: "+err.Error()
		}
	}
	part := view.NewImage(picture, href, note)
	name := r.URL.Query().Get("list")
	list, title := run.briefs(name)
	if name == "" {
		name = "changing"
	}
	if at := slices.IndexFunc(list, func(b store.Brief) bool { return b.Seq == seq }); at >= 0 {
		to := imageHref(base, "list="+name)
		if at > 0 {
			part.Prev = to(list[at-1].Seq)
		}
		if at+1 < len(list) {
			part.Next = to(list[at+1].Seq)
		}
	}
	p := s.frame(r, view.Text(picture.Path), view.Link{Text: "run " + run.Run.ID, Href: base}, view.Link{Text: title, Href: base + "/images?list=" + name}, view.Link{Text: view.Text(picture.Path)})
	p.Image = part
	view.Show(w, r, p)
	return nil
}

func (s *State) sendRunPicture(w http.ResponseWriter, r *http.Request, run *Run, thumb bool, number string) error {
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return errNoPage
	}
	file := ""
	if run.Source != nil {
		item, err := run.Store.ItemOf(r.Context(), run.Run.ID, seq)
		if err != nil {
			return err
		}
		labels, there, err := sourceItem(r.Context(), run.Source, item)
		if err != nil {
			return err
		}
		if there {
			file = convert.ImageFile(run.Source, labels)
		}
	}
	sendFile(w, r, s.photos, thumb, file)
	return nil
}

// showSource shows a source of the state, which is opened when it is first looked at.
func (s *State) showSource(w http.ResponseWriter, r *http.Request, st *store.Store, rest string) error {
	key, _, _ := strings.Cut(rest, "/")
	sources, err := st.Sources(r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(sources, func(name string) bool { return keyOf(name) == key })
	if i < 0 {
		return errNoPage
	}
	name := sources[i]
	s.mu.Lock()
	one := s.albums[name]
	if one == nil {
		one = NewFresh(name, FreshOptions{Open: s.o.Album, Serving: s.o.Serving})
		s.albums[name] = one
	}
	s.mu.Unlock()
	view.Mount(w, r, "source/"+key+"/", one)
	return nil
}
