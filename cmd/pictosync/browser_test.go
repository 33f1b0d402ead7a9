package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// These tests show the pages in a real browser. Without one they are skipped; `make look`
// has them write the pictures of docs/look.md.

// chromium is a browser of this machine; without one the test is skipped.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED: no chromium or google-chrome is on the PATH: the pages are not tested in a browser")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it may have ended
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// tab is a page of the browser with what it did wrong.
type tab struct {
	ctx context.Context
	t   *testing.T

	mu    sync.Mutex
	wrong []string
}

func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := &tab{ctx: browser, t: t}
	b.do(call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), call(runtime.Enable, cdp.Empty{}))
	if err := chromedp.Listen(browser, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

// hear keeps errors of the console and requests to elsewhere.
func (b *tab) hear(event any) {
	say := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			say("the console says %s", e.Args[0].Description)
		}
	case *runtime.EventExceptionThrown:
		say("the script failed: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			say("the browser says %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && u.Scheme != "file" && u.Hostname() != "127.0.0.1" {
			say("a request to elsewhere: %s", e.Request.URL)
		}
	}
}

// check fails the test for what was heard.
func (b *tab) check(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Errorf("%s: %s", where, w)
	}
	b.wrong = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("%v; before that: %q", err, b.wrong)
	}
}

// patience ends what a page that is wrong would wait for without end.
func (b *tab) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, 30*time.Second)
}

// turn presses a key that leads to another page.
func (b *tab) turn(key string) {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.KeyEvent(key))); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to a page and waits until its script has run.
func (b *tab) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
	b.do(chromedp.WaitReady(chromedp.CSS("html[data-ready]")))
}

func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.patience()
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

func (b *tab) wants(what string) {
	b.t.Helper()
	if !ask[bool](b, what) {
		b.t.Errorf("not so: %s", what)
	}
}

// look is a state of many nights and what is shown of it.
type look struct {
	t    *testing.T
	dir  string
	env  []string
	days int
}

func newLook(t *testing.T) *look {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	l := &look{t: t, dir: filepath.Join(t.TempDir(), "data", "labels")}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "PICTO") {
			l.env = append(l.env, entry)
		}
	}
	l.env = append(l.env, "PICTOSYNC_TEST_MAIN=1", "XDG_STATE_HOME="+l.dir+"/state", "XDG_CACHE_HOME="+l.dir+"/cache", "TZ=UTC")
	if err := os.CopyFS(filepath.Join(l.dir, "shapes"), os.DirFS(filepath.Join(root, "testdata", "shapes"))); err != nil {
		t.Fatal(err)
	}
	return l
}

// night is some evening; they follow each other.
func (l *look) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Dir = l.dir
	evening := time.Date(2026, 3, 2, 1, 30, 0, 0, time.UTC).AddDate(0, 0, l.days)
	c.Env = append(slices.Clone(l.env), fmt.Sprintf("PICTOSYNC_TEST_NOW=%d", evening.Unix()))
	return c
}

// run runs the command; some exit statuses are expected.
func (l *look) run(args ...string) string {
	l.t.Helper()
	c := l.command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState.ExitCode() != exitFailures && c.ProcessState.ExitCode() != exitGuard {
		l.t.Fatalf("%v: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// serve starts a command that serves pages, and returns where.
func (l *look) serve(args ...string) string {
	l.t.Helper()
	c := l.command(append(args, "--no-browser")...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt) // it may have ended
		_, _ = io.Copy(io.Discard, out)
		if err := c.Wait(); err != nil {
			l.t.Errorf("%v ended with %v: %s", args, err, errs.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		l.t.Fatalf("%v: %v: %s", args, err, errs.String())
	}
	return strings.TrimSpace(line)
}

// relabel changes the labels of testdata as people do from one night to the next, the same
// each time: some are moved, some are gone, some are of another class.
func (l *look) relabel(night int) {
	l.t.Helper()
	origin := filepath.Join("..", "..", "testdata", "shapes", "labels")
	files, err := filepath.Glob(filepath.Join(origin, "*", "*.txt"))
	if err != nil {
		l.t.Fatal(err)
	}
	for n, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			l.t.Fatal(err)
		}
		var kept []string
		for m, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			var class int
			var x, y, w, h float64
			if _, err := fmt.Sscan(line, &class, &x, &y, &w, &h); err != nil {
				continue // the label is empty
			}
			switch (3*n + 2*m + night) % 7 {
			case 0, 1:
				continue // it is gone
			case 2, 3:
				x += 0.03
			case 4:
				class = (class + 1) % 3
			}
			kept = append(kept, fmt.Sprintf("%d %.6f %.6f %.6f %.6f", class, x, y, w, h))
		}
		if (n+night)%5 == 0 {
			kept = append(kept, "1 0.500000 0.820000 0.180000 0.240000")
		}
		if n == 4 {
			kept = append(kept, "7 0.5 0.5 0.1 0.1") // of no class
		}
		below, err := filepath.Rel(origin, file)
		if err == nil {
			err = os.WriteFile(filepath.Join(l.dir, "shapes", "labels", below), []byte(strings.Join(kept, "\n")+"\n"), 0o644)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

const lookConfig = `
sandbox: true
report_dir: pages
jobs:
  - name: shapes
    sync: shapes
    dataset: shapes
    allow_clear: true
    max_removed: none
  - name: shapes-backup
    export: backups/shapes
    dataset: shapes
`

// nights makes a state of some nights, and the pages of a plan and of a run.
func (l *look) nights() {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, "nightly.yaml"), []byte(lookConfig), 0o644); err != nil {
		l.t.Fatal(err)
	}
	for night := range 9 {
		l.days = 2 * night
		l.run("run", "nightly.yaml", "--quiet")
		l.relabel(night)
	}
	l.days++
	l.run("verify", "shapes", "--dataset", "shapes", "--sandbox", "--quiet")
	l.run("plan", "shapes", "--dataset", "shapes", "--sandbox", "--allow-clear", "--max-removed", "3", "--html", "refused.html", "--quiet")
	l.run("plan", "shapes", "--dataset", "shapes", "--sandbox", "--allow-clear", "--max-removed", "none", "--html", "plan.html", "--quiet")
}

// pages are all pages, by name.
func (l *look) pages() map[string]string {
	l.t.Helper()
	source := l.serve("view", "shapes")
	coco, err := filepath.Abs("../../testdata/shapes.coco.json")
	if err != nil {
		l.t.Fatal(err)
	}
	frames := l.serve("view", coco)
	state := l.serve("ui")
	var runs struct {
		Runs []struct{ Run, Kind string }
	}
	if err := json.Unmarshal([]byte(l.run("runs", "--json", "--limit", "100")), &runs); err != nil {
		l.t.Fatal(err)
	}
	last := func(kind string) string {
		return runs.Runs[slices.IndexFunc(runs.Runs, func(r struct{ Run, Kind string }) bool { return r.Kind == kind })].Run
	}
	sync := last("sync")
	l.run("runs", sync, "--html", "run.html")
	var run struct {
		Records []struct{ Outcome, Path string }
	}
	if err := json.Unmarshal([]byte(l.run("runs", sync, "--json")), &run); err != nil {
		l.t.Fatal(err)
	}
	changed := fmt.Sprint(1 + slices.IndexFunc(run.Records, func(r struct{ Outcome, Path string }) bool { return r.Path == "train/shapes_07.png" }))
	night, err := filepath.Glob(filepath.Join(l.dir, "pages", "*-night.html"))
	if err != nil || len(night) != 9 {
		l.t.Fatalf("pages of nights: %v (%v)", night, err)
	}
	file := func(name string) string { return "file://" + filepath.Join(l.dir, name) }
	return map[string]string{
		"source": source, "source-images": source + "images", "source-image": source + "image/3", "source-class": source + "images?list=class&name=square",
		"source-unlabelled": source + "unlabelled", "source-failed": source + "images?list=failed", "frames": frames, "frames-image": frames + "image/3", "missing": source + "nothing",
		"state": state, "runs": state + "runs", "run": state + "run/" + sync, "run-images": state + "run/" + sync + "/images?list=changing", "run-image": state + "run/" + sync + "/image/" + changed, "plan": state + "run/" + runs.Runs[0].Run,
		"verification": state + "run/" + last("verify"), "verification-images": state + "run/" + last("verify") + "/images", "export": state + "run/" + last("export"),
		"plan-file": file("plan.html"), "refused-file": file("refused.html"), "run-file": file("run.html"), "night-file": "file://" + night[len(night)-1],
	}
}

// TestPages looks at every page, wide and narrow, light and dark: it loads without a word
// in the console and without a request to elsewhere, fits its window, and has nothing that
// keeps people from using it.
func TestPages(t *testing.T) {
	browser := chromium(t)
	l := newLook(t)
	l.nights()
	pages := l.pages()
	axe, axeErr := axeSource()
	if axeErr != nil {
		fmt.Printf("TestPages: SKIPPED for people who cannot see or use a mouse: %v\n", axeErr)
	}
	pictures := os.Getenv("PICTOSYNC_SCREENSHOTS") // a folder for all of them, to be looked at
	b := newTab(t, browser)
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		for _, width := range []int64{1280, 390} {
			for _, scheme := range []string{"light", "dark"} {
				where := fmt.Sprintf("%s-%d-%s", name, width, scheme)
				b.do(chromedp.EmulateViewport(width, 900), call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
				b.open(pages[name])
				b.do(chromedp.WaitNotPresent(chromedp.CSS("[data-watch]")))
				if name == "missing" {
					b.mu.Lock()
					b.wrong = slices.DeleteFunc(b.wrong, func(w string) bool { return strings.Contains(w, "404") })
					b.mu.Unlock()
				}
				b.check(where)
				if wide := ask[int64](b, "document.documentElement.scrollWidth"); wide > width {
					t.Errorf("%s: the page is %d pixels wide", where, wide)
				}
				if axeErr == nil {
					b.checkAxe(where, axe)
				}
				if pictures != "" {
					b.picture(filepath.Join(pictures, where+".png"))
				}
			}
		}
	}
}

// TestLook makes the pictures of docs/look.md and of the README.
func TestLook(t *testing.T) {
	folder := os.Getenv("PICTOSYNC_LOOK")
	if folder == "" {
		t.Skip("make look makes pictures of the pages")
	}
	browser := chromium(t)
	l := newLook(t)
	l.nights()
	pages := l.pages()
	b := newTab(t, browser)
	for _, p := range []struct {
		name, page, scheme string
		width, height      int64
		keys               string
	}{
		{"source", "source", "light", 1280, 1180, ""}, {"image", "source-image", "light", 1280, 800, "l"}, {"plan", "plan-file", "light", 1280, 1290, ""},
		{"change", "run-image", "light", 1280, 800, ""}, {"side", "run-image", "dark", 1280, 800, "4"}, {"nights", "state", "light", 1280, 900, ""}, {"narrow", "plan-file", "dark", 390, 844, ""},
	} {
		b.do(chromedp.EmulateViewport(p.width, p.height), call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.scheme}}}))
		b.open(pages[p.page])
		b.do(chromedp.WaitNotPresent(chromedp.CSS("[data-watch]")))
		if p.keys != "" {
			b.press(p.keys)
		}
		b.save(filepath.Join(folder, p.name+".png"), chromedp.CaptureScreenshot())
	}
	if err := os.RemoveAll(filepath.Join(l.dir, "labelled")); err != nil {
		t.Fatal(err)
	}
	l.run("draw", "shapes", "--out", "labelled", "--allow", "lost", "--quiet")
	data, err := os.ReadFile(filepath.Join(l.dir, "labelled", "contact-sheet.png"))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "contact-sheet.png"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *tab) picture(file string) {
	b.t.Helper()
	b.save(file, chromedp.FullScreenshot(100))
}

func (b *tab) save(file string, screenshot chromedp.Action[[]byte]) {
	b.t.Helper()
	data, err := chromedp.Run(b.ctx, screenshot)
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// axeSource is axe-core, which .ci/run installs.
func axeSource() (string, error) {
	file := filepath.Join("..", "..", ".ci", "node", "node_modules", "axe-core", "axe.min.js")
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("there is no axe-core (%w); npm install --no-save --prefix .ci/node axe-core@4 brings it", err)
	}
	return string(data), nil
}

// checkAxe fails the test for what axe-core holds to be serious.
func (b *tab) checkAxe(where, source string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](source + ";0"))
	type violation struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML string }
	}
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]violation](`axe.run({resultTypes: ["violations"]}).then(r => r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.slice(0, 2).map(n => ({HTML: n.html.slice(0, 200)}))})))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: run axe-core: %v", where, err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("%s: %s (%s, %s) at %v", where, v.Help, v.ID, v.Impact, v.Nodes)
		}
	}
}

// TestKeys uses a page without a mouse: what is shown is switched, filtered and moved.
func TestKeys(t *testing.T) {
	browser := chromium(t)
	l := newLook(t)
	l.run("sync", "shapes", "--dataset", "shapes", "--sandbox", "--quiet")
	l.relabel(1)
	l.run("sync", "shapes", "--dataset", "shapes", "--sandbox", "--quiet", "--allow-clear", "--max-removed", "none")
	l.run("runs", "last", "--html", "run.html")
	state := l.serve("ui")
	b := newTab(t, browser)
	b.open(state)
	b.do(chromedp.Click(chromedp.CSS("main .scroll tbody a")))
	b.do(chromedp.WaitReady(chromedp.CSS(".grid a")))
	b.do(chromedp.Click(chromedp.CSS(".grid a")), chromedp.WaitReady(chromedp.CSS("html[data-ready] .stage")))
	mode := func(want string) {
		t.Helper()
		b.wants(fmt.Sprintf(`document.querySelector(".stage").dataset.mode === %q`, want))
		b.wants(fmt.Sprintf(`document.querySelector("button[data-mode=%s]").getAttribute("aria-pressed") === "true"`, want))
	}
	mode("difference")
	b.press("1")
	mode("before")
	b.wants(`getComputedStyle(document.querySelector(".shape.after")).display === "none"`)
	b.press("2")
	mode("after")
	b.wants(`getComputedStyle(document.querySelector(".shape.before")).display === "none"`)
	b.press("4")
	mode("side")
	b.wants(`document.querySelectorAll(".stage > svg").length === 2`)
	b.press("b")
	b.wants(`document.querySelector("[data-do=blink]").getAttribute("aria-pressed") === "true"`)
	b.press("b")
	mode("difference")
	b.press("l")
	b.wants(`document.querySelector(".stage").classList.contains("named")`)
	b.press("+")
	b.wants(`document.querySelector(".stage svg").viewBox.baseVal.width < 160`)
	b.press("0")
	b.wants(`document.querySelector(".stage svg").viewBox.baseVal.width === 160`)
	b.press("j")
	b.wants(`document.querySelectorAll(".list li.chosen").length === 1 && document.querySelectorAll(".stage .shape.chosen").length >= 1`)
	b.do(chromedp.Evaluate[chromedp.Void](`(s => { s.value = "removed"; s.dispatchEvent(new Event("change")); })(document.querySelector("select[data-filter=change]"))`))
	b.wants(`Array.from(document.querySelectorAll(".list li")).every(li => li.classList.contains("off") === (li.dataset.change !== "removed"))`)
	b.wants(`document.querySelector(".shown").textContent !== "" || document.querySelectorAll(".list li.off").length === 0`)
	first := ask[string](b, "location.pathname")
	b.do(chromedp.WaitReady(chromedp.CSS("a[rel=next]")))
	b.turn("n")
	b.do(chromedp.WaitReady(chromedp.CSS("html[data-ready] a[rel=prev]")))
	b.wants(fmt.Sprintf("location.pathname !== %q", first))
	b.turn("p")
	b.do(chromedp.WaitReady(chromedp.CSS("html[data-ready] .stage")))
	b.wants(fmt.Sprintf("location.pathname === %q", first))
	b.check("by keys")

	// In one file the same keys are those of the image that was used last.
	b.open("file://" + filepath.Join(l.dir, "run.html"))
	b.press("1")
	b.wants(`document.querySelector(".stage").dataset.mode === "before"`)
	b.check("in a file")
}

// TestHostilePages has names of classes and files that are made to break pages.
func TestHostilePages(t *testing.T) {
	b := newTab(t, chromium(t))
	l := newLook(t)
	script := `<script>document.title = "taken"</script>`
	labels := []map[string]any{
		{"image": `a"'<img src=x onerror=document.title='taken'>.png`, "width": 40, "height": 30, "annotations": []any{annotationJSON("1", script, 1), annotationJSON("2", `"><svg onload=document.title='taken'>`, 5), annotationJSON("3", "\u202egnp", 9)}},
		{"image": "javascript:document.title='taken'.png", "width": 40, "height": 30, "annotations": []any{annotationJSON("4", script, 2)}},
	}
	var lines bytes.Buffer
	for _, line := range labels {
		if err := json.NewEncoder(&lines).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(l.dir, "labels.jsonl"), lines.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	l.run("sync", "labels.jsonl", "--dataset", script, "--sandbox", "--quiet")
	l.run("plan", "labels.jsonl", "--dataset", script, "--sandbox", "--html", "plan.html", "--quiet")
	l.run("runs", "last", "--html", "run.html")
	source, state := l.serve("view", "labels.jsonl"), l.serve("ui")
	runs := state + "run/" + strings.Fields(strings.Split(l.run("runs"), "\n")[2])[0]
	for _, address := range []string{source, source + "images", source + "image/0", source + "image/1", source + "images?list=class&name=" + url.QueryEscape(script), source + "images?list=" + url.QueryEscape(script),
		state, runs, runs + "/images?list=changing", runs + "/image/1", "file://" + filepath.Join(l.dir, "plan.html"), "file://" + filepath.Join(l.dir, "run.html")} {
		b.open(address)
		b.wants(`document.title !== "taken" && document.querySelector("main script, img[onerror], svg[onload]") === null`)
		b.mu.Lock()
		b.wrong = slices.DeleteFunc(b.wrong, func(w string) bool { return strings.Contains(w, "404") })
		b.mu.Unlock()
		b.check(address)
	}
	// Nor do pictures go elsewhere than where they are meant to.
	l.run("draw", "labels.jsonl", "--out", "drawn", "--quiet")
	drawn, err := filepath.Glob(filepath.Join(l.dir, "drawn", "*"))
	if err != nil || len(drawn) != 3 {
		t.Errorf("drawn: %q (%v)", drawn, err)
	}
}

func annotationJSON(id, name string, x float64) map[string]any {
	return map[string]any{"id": id, "name": name, "type": "bbox", "bounding_box": map[string]float64{"x": x, "y": 2, "w": 10, "h": 8}}
}
