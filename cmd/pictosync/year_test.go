package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pictosync/convert/snapshot"
	"pictosync/sandbox"
)

// year is a model of what happens to a dataset over many nights: what the labels
// say, what others do on the service, and from both what each morning must show.
// It knows the rules of the documentation and nothing of the code.
type year struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	server *sandbox.Server
	now    atomic.Int64 // Unix seconds, of the service and of the process
	day    int

	labels  map[string]string // by image: annotations as the labels have them
	service map[string]string // by image of the dataset: as it must have them
	ours    map[string]bool   // what the service has is what was saved from the labels
	classes map[string]bool   // of the dataset
	read    map[string]int    // day on which an export last read the image
	changed map[string]bool   // since an export last read it
	serial  int
	whole   bool // images are read by exports of the service

	mu       sync.Mutex
	requests []string // of tonight
	cut      []string // of tonight, before the kill
	process  *os.Process
	kill     int // at this request; 0 = none
	killed   bool
}

const (
	// mostBesideSaves is what a night by exports takes at most beside two requests for
	// classes and saves: the dataset twice, a page, an export of eight, and images that are
	// read beside it to see whether it tells the truth, of which some are drawn by lot.
	mostBesideSaves = 34
	yearImages      = 120
	maxAgeDays      = 20
)

// nights is how many the test goes through: a year where PICTOSYNC_NIGHTS says so.
func nights(t *testing.T) int {
	text := os.Getenv("PICTOSYNC_NIGHTS")
	if text == "" {
		return 45
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PICTOSYNC_NIGHTS: %q is no number of nights", text)
	}
	return n
}

// TestNightlyYear runs sync and export every night while labels change, images
// come and go, others edit the dataset, and the process is killed once a week.
// Every morning the service has what the labels say, the newest snapshot has what
// the service has, and the counts are the service's own; no night sends more
// requests than the rules call for, and the state does not grow for ever.
func TestNightlyYear(t *testing.T) { nightlyYear(t, false) }

// TestNightlyYearByExports is the same where what the images have is read by exports of the
// service: then also what somebody edits in a way that keeps the count is noticed the same
// night, and no night takes more than a handful of requests more than its saves.
func TestNightlyYearByExports(t *testing.T) { nightlyYear(t, true) }

func nightlyYear(t *testing.T, whole bool) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PICTOSYNC_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (again with PICTOSYNC_SEED)", seed)
	y := &year{t: t, whole: whole, random: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), labels: map[string]string{}, service: map[string]string{},
		ours: map[string]bool{}, classes: map[string]bool{}, read: map[string]int{}, changed: map[string]bool{}}
	var err error
	if y.server, err = sandbox.Open(filepath.Join(y.dir, "sandbox.db"), sandbox.Options{Now: func() time.Time { return time.Unix(y.now.Load(), 0) }}); err != nil {
		t.Fatal(err)
	}
	defer y.server.Close()
	y.setClock(0)
	if _, _, err := y.server.EnsureDataset(t.Context(), "set"); err != nil {
		t.Fatal(err)
	}
	for range yearImages {
		y.newImage()
	}
	service := httptest.NewServer(y)
	defer service.Close()
	read := "image"
	if whole {
		read = "auto"
	}
	config := jobsFile(t, y.dir, service.URL, fmt.Sprintf(`dataset: set
rate: unlimited
read: %s
keep: 15d
jobs:
  - {name: sync, sync: %s, prune: true, on_drift: overwrite, max_pruned: none, max_removed: none}
  - {name: backup, export: %s, max_age: %dd, snapshots: "daily=7,weekly=4,monthly=12"}
`, read, filepath.Join(y.dir, "labels.jsonl"), filepath.Join(y.dir, "backups"), maxAgeDays))

	total, kills, sizes := 0, 0, []int64{}
	count := nights(t)
	for y.day = range count {
		y.setClock(y.day)
		if y.day > 0 {
			y.live()
		}
		y.writeLabels()
		least := y.tonight()
		crash := y.day%7 == 3
		if crash {
			most := least.requests
			if whole {
				most = 12 // the listing, all about the export, the saves
			}
			y.kill = 1 + y.random.IntN(most)
		}
		y.requests = nil
		before := y.audited()
		status, n := y.night(config)
		if crash {
			if !y.killed {
				t.Fatalf("night %d was to be killed at request %d and ended with %d", y.day, y.kill, status)
			}
			kills++
			y.now.Add(600)
			status, n = y.night(config) // as a service that is restarted
		}
		if status != exitDone {
			t.Fatalf("night %d: status %d: %+v", y.day, status, n)
		}
		y.checkService()
		y.checkSnapshot()
		if whole {
			clear(y.changed)
			if !crash && len(y.requests) > 2+mostBesideSaves {
				t.Errorf("night %d took %d requests: %q", y.day, len(y.requests), y.requests)
			}
		} else {
			y.checkReads(least, crash)
		}
		if !crash {
			y.checkCounts(n, before)
			total += len(y.requests)
		}
		sizes = append(sizes, y.stateSize())
	}
	third := len(sizes) / 3
	if most := slices.Max(sizes[:third]); sizes[len(sizes)-1] > most*5/4+1<<20 {
		t.Errorf("the state grew to %d bytes; it had at most %d in the first third", sizes[len(sizes)-1], most)
	}
	y.checkRetention(count)
	if code, out := exitOf(t, y.command("verify", filepath.Join(y.dir, "labels.jsonl"), "--dataset", "set", "--base-url", service.URL, "--rate", "unlimited", "--state", filepath.Join(y.dir, "state.db"))); code != exitDone {
		t.Errorf("verify at the end: status %d\n%s", code, out)
	}
	if code, out := exitOf(t, command("snapshots", filepath.Join(y.dir, "backups"), "--check")); code != exitDone {
		t.Errorf("the snapshots at the end: status %d\n%s", code, out)
	}
	t.Logf("%d nights, %d killed, %d requests in the others, state of %d kB after a third, %d kB at the end", count, kills, total, sizes[third]>>10, sizes[len(sizes)-1]>>10)
}

// setClock sets the clock to two in the morning of a day.
func (y *year) setClock(day int) {
	y.now.Store(time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, day).Unix())
}

func (y *year) newImage() string {
	path := fmt.Sprintf("%02d/%04d.jpg", y.serial%7, y.serial)
	y.serial++
	if _, err := y.server.AddImages(context.Background(), "set", []sandbox.NewImage{{Path: path, Width: 100, Height: 100}}); err != nil {
		y.t.Fatal(err)
	}
	y.service[path] = "[]"
	if y.random.IntN(5) > 0 {
		y.labels[path] = y.annotations(1 + y.random.IntN(4))
	}
	return path
}

// annotations makes annotations of all types, in the canonical form.
func (y *year) annotations(count int) string {
	var all []string
	for i := range count {
		class := fmt.Sprintf("class%d", y.random.IntN(3))
		if y.random.IntN(200) == 0 {
			class = fmt.Sprintf("rare%d", y.random.IntN(50))
		}
		a, b := y.random.IntN(50), 1+y.random.IntN(40)
		shape := map[int]string{
			0: `"type":"bbox","bounding_box":{"x":%[1]d,"y":%[2]d,"w":%[2]d,"h":9}`,
			1: `"type":"polygon","polygon":{"paths":[[{"x":%[1]d,"y":0},{"x":%[1]d,"y":%[2]d},{"x":99,"y":%[2]d}]]}`,
			2: `"type":"polyline","polyline":{"path":[{"x":%[1]d,"y":%[2]d},{"x":99,"y":99}]}`,
			3: `"type":"keypoint","keypoint":{"x":%[1]d,"y":%[2]d},"instance_id":1`,
		}[y.random.IntN(4)]
		all = append(all, fmt.Sprintf(`{"id":"%d","name":"%s",%s,"confidence":1}`, i, class, fmt.Sprintf(shape, a, b)))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func countOf(annotations string) int { return strings.Count(annotations, `"id":`) }

// pick takes a random key, the same for a seed.
func (y *year) pick(of map[string]string) string {
	keys := slices.Sorted(maps.Keys(of))
	return keys[y.random.IntN(len(keys))]
}

// live is what a day does to labels and dataset.
func (y *year) live() {
	for range 1 + y.random.IntN(4) {
		y.labels[y.pick(y.labels)] = y.annotations(1 + y.random.IntN(4))
	}
	if y.random.IntN(8) == 0 {
		y.newImage()
	}
	if y.random.IntN(8) == 0 {
		y.labels[y.pick(y.labels)] = "[]"
	}
	if y.random.IntN(10) == 0 {
		delete(y.labels, y.pick(y.labels))
	}
	if y.random.IntN(4) == 0 { // somebody edits an image: the listing shows it by the count
		image := y.pick(y.service)
		count := countOf(y.service[image]) + 1
		if y.whole && count > 1 && y.random.IntN(2) == 0 {
			count-- // the listing does not show it
		}
		annotations := y.annotations(count)
		for class := range classesOf(annotations) {
			y.classes[class] = true // the service takes no others
			y.ensureClass(class)
		}
		y.post(image, annotations)
		y.service[image], y.ours[image], y.changed[image] = annotations, false, true
	}
}

func classesOf(annotations string) map[string]bool {
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(annotations), &list); err != nil {
		panic(err)
	}
	names := make(map[string]bool)
	for _, a := range list {
		names[a.Name] = true
	}
	return names
}

// serve sends a request of somebody else to the service.
func (y *year) serve(method, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("X-API-Key", "another")
	answer := httptest.NewRecorder()
	y.server.ServeHTTP(answer, request)
	if answer.Code >= 300 {
		y.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	return answer
}

func (y *year) ensureClass(name string) {
	var got struct {
		Data struct{ Classes []json.RawMessage }
	}
	if err := json.Unmarshal(y.serve("GET", "/api/v1/developer/datasets/set", "").Body.Bytes(), &got); err != nil {
		y.t.Fatal(err)
	}
	for _, c := range got.Data.Classes {
		if strings.Contains(string(c), strconv.Quote(name)) {
			return
		}
	}
	all, err := json.Marshal(append(got.Data.Classes, json.RawMessage(fmt.Sprintf(`{"name":%q,"type":"bbox"}`, name))))
	if err != nil {
		y.t.Fatal(err)
	}
	y.serve("PATCH", "/api/v1/developer/datasets/set", fmt.Sprintf(`{"classes":%s}`, all))
}

func (y *year) post(image, annotations string) {
	y.serve("POST", "/api/v1/developer/annotations/set/"+image, fmt.Sprintf(`{"annotations":%s}`, annotations))
}

func (y *year) writeLabels() {
	var out strings.Builder
	for _, image := range slices.Sorted(maps.Keys(y.labels)) {
		fmt.Fprintf(&out, `{"image":%q,"width":100,"height":100,"annotations":%s}`+"\n", image, y.labels[image])
	}
	if err := os.WriteFile(filepath.Join(y.dir, "labels.jsonl"), []byte(out.String()), 0o600); err != nil {
		y.t.Fatal(err)
	}
}

// leastWork is what a night cannot do without.
type leastWork struct {
	requests int             // of the sync, and of the export without those of age
	sync     int             // of the sync alone
	reads    map[string]bool // images that the export has to read
}

// tonight works out what the night must come to, brings the model there, and says
// what that takes: each job asks for the dataset, and the first for a page of its images;
// classes that are new are added in one request; what has annotations is read before it is
// overwritten; 200 images are saved with one request; the export reads what was
// changed.
func (y *year) tonight() leastWork {
	saves, backups, newClass := 0, 0, false
	save := func(image, annotations string) {
		saves++
		if countOf(y.service[image]) > 0 {
			backups++
		}
		y.service[image], y.ours[image], y.changed[image] = annotations, true, true
	}
	for _, image := range slices.Sorted(maps.Keys(y.labels)) {
		want, has := y.labels[image], y.service[image]
		same := y.ours[image] && want == has || countOf(want) == 0 && countOf(has) == 0
		if same {
			continue
		}
		for class := range classesOf(want) {
			newClass = newClass || !y.classes[class]
			y.classes[class] = true
		}
		save(image, want)
	}
	for _, image := range slices.Sorted(maps.Keys(y.service)) {
		if _, labelled := y.labels[image]; !labelled && y.ours[image] && countOf(y.service[image]) > 0 {
			save(image, "[]")
		}
	}
	least := leastWork{sync: 2 + backups + (saves+199)/200, reads: map[string]bool{}}
	if newClass {
		least.sync++
	}
	for image, annotations := range y.service {
		if _, read := y.read[image]; countOf(annotations) > 0 && (y.changed[image] || !read) {
			least.reads[image] = true
		}
	}
	least.requests = least.sync + 1 + len(least.reads)
	return least
}

// ServeHTTP is the service as the nights see it.
func (y *year) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	y.mu.Lock()
	y.requests = append(y.requests, r.Method+" "+r.URL.Path)
	now := y.kill > 0 && len(y.requests) == y.kill
	if now && y.day%2 == 0 {
		y.stopProcess()
	}
	y.mu.Unlock()
	y.server.ServeHTTP(w, r)
	if now && y.day%2 == 1 {
		y.mu.Lock()
		y.stopProcess()
		y.mu.Unlock()
	}
}

func (y *year) stopProcess() {
	y.killed = true
	y.process.Kill()
}

func (y *year) command(args ...string) *exec.Cmd {
	cmd := command(args...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("PICTOSYNC_TEST_NOW=%d", y.now.Load()))
	return cmd
}

// night is one run of the jobs.
func (y *year) night(config string) (status int, n night) {
	cmd := y.command("run", config, "--json")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	y.mu.Lock()
	y.cut, y.requests, y.killed = y.requests, nil, false
	if err := cmd.Start(); err != nil {
		y.t.Fatal(err)
	}
	y.process = cmd.Process
	y.mu.Unlock()
	cmd.Wait()
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.killed {
		if err := json.Unmarshal([]byte(out.String()), &n); err != nil {
			y.t.Fatalf("night %d: %v in %q", y.day, err, out.String())
		}
	}
	y.kill = 0
	return cmd.ProcessState.ExitCode(), n
}

func (y *year) audited() (last int64) {
	for e, err := range y.server.Audit(context.Background()) {
		if err != nil {
			y.t.Fatal(err)
		}
		last = e.Seq
	}
	return last
}

// checkCounts holds the counts of the sync against what the service executed.
func (y *year) checkCounts(n night, before int64) {
	previous, new := 0, 0
	for e, err := range y.server.Audit(context.Background()) {
		if err != nil {
			y.t.Fatal(err)
		}
		if e.Seq > before && e.Kind == "bulk" {
			previous += e.PreviousCount
			new += e.NewCount
		}
	}
	var s struct{ Annotations struct{ Previous, New int } }
	if err := json.Unmarshal(n.Jobs[0].Summary, &s); err != nil {
		y.t.Fatal(err)
	}
	if s.Annotations.Previous != previous || s.Annotations.New != new {
		y.t.Errorf("night %d: the run counts %+v, the service %d before and %d after", y.day, s.Annotations, previous, new)
	}
	if n.Requests != len(y.requests) {
		y.t.Errorf("night %d: the run counts %d requests, the service %d", y.day, n.Requests, len(y.requests))
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var left, right any
	if err := json.Unmarshal([]byte(a), &left); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &right); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(left, right)
}

// checkService holds what the service has against the model.
func (y *year) checkService() {
	for image, want := range y.service {
		var got struct{ Annotations json.RawMessage }
		if err := json.Unmarshal(y.serve("GET", "/api/v1/developer/annotations/set/"+image, "").Body.Bytes(), &got); err != nil {
			y.t.Fatal(err)
		}
		if !sameJSON(y.t, string(got.Annotations), want) {
			y.t.Fatalf("morning %d: %s has %s, and must have %s", y.day, image, got.Annotations, want)
		}
	}
}

// checkSnapshot holds the newest snapshot against the model.
func (y *year) checkSnapshot() {
	all, err := snapshot.List(filepath.Join(y.dir, "backups"), time.Unix(y.now.Load(), 0))
	if err != nil || len(all) == 0 {
		y.t.Fatalf("morning %d: no snapshot: %v", y.day, err)
	}
	files, err := filepath.Glob(filepath.Join(all[0].Dir, "annotations", "*.jsonl"))
	if err != nil {
		y.t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			y.t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); found++ {
			var line struct {
				Image       string
				Annotations json.RawMessage
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				y.t.Fatal(err)
			}
			if want, known := y.service[line.Image]; !known || !sameJSON(y.t, string(line.Annotations), want) {
				y.t.Fatalf("morning %d: the snapshot %s has for %s %s, and must have %s", y.day, all[0].Name, line.Image, line.Annotations, want)
			}
		}
		f.Close()
	}
	if found != len(y.service) {
		y.t.Fatalf("morning %d: the snapshot has %d images, the dataset %d", y.day, found, len(y.service))
	}
}

// checkReads holds the requests of the night against the least, and brings up to
// date when each image was read. A killed night is not counted, but what it read
// is taken note of.
func (y *year) checkReads(least leastWork, crash bool) {
	// Each job begins with these two, side by side.
	const dataset, page = "GET /api/v1/developer/datasets/set", "GET /api/v1/developer/images/"
	opened, reads := map[string]int{}, map[string]bool{}
	sync := 0
	for _, r := range y.requests {
		if r == dataset || r == page {
			opened[r]++
		}
		if opened[dataset] < 2 && opened[page] < 2 {
			sync++
			continue
		}
		if image := imageRead(r); image != "" {
			reads[image] = true
		}
	}
	if crash {
		for _, r := range append(y.cut, y.requests...) { // the export may have come first
			reads[imageRead(r)] = true
		}
		for image := range y.service {
			if y.changed[image] || reads[image] {
				y.read[image] = y.day
			}
		}
		clear(y.changed)
		return
	}
	if sync != least.sync {
		y.t.Errorf("night %d: the sync sent %d requests, and %d are enough:\n%s", y.day, sync, least.sync, strings.Join(y.requests, "\n"))
	}
	for image := range least.reads {
		if !reads[image] {
			y.t.Errorf("night %d: the export did not read %s, which was changed", y.day, image)
		}
	}
	aged := 0
	for image := range reads {
		if least.reads[image] {
			continue
		}
		aged++
		if age := y.day - y.read[image]; age < maxAgeDays/2 {
			y.t.Errorf("night %d: the export read %s again after %d days, for nothing", y.day, image, age)
		}
	}
	for image, annotations := range y.service {
		if reads[image] {
			y.read[image] = y.day
		} else if countOf(annotations) > 0 && y.day-y.read[image] > maxAgeDays {
			y.t.Errorf("night %d: %s was last read %d days ago", y.day, image, y.day-y.read[image])
		}
	}
	clear(y.changed)
	if enough := least.requests + aged; len(y.requests)*100 > enough*101 {
		y.t.Errorf("night %d: %d requests, and %d are enough", y.day, len(y.requests), enough)
	}
}

// imageRead is the image that a request reads, "" for others.
func imageRead(request string) string {
	path, _ := strings.CutPrefix(request, "GET /api/v1/developer/annotations/")
	if path == request {
		return ""
	}
	_, image, _ := strings.Cut(path, "/")
	return image
}

func (y *year) stateSize() (bytes int64) {
	files, err := filepath.Glob(filepath.Join(y.dir, "state.db*"))
	if err != nil {
		y.t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// checkRetention wants the snapshots of the last week, and no more than the rules
// keep.
func (y *year) checkRetention(count int) {
	all, err := snapshot.List(filepath.Join(y.dir, "backups"), time.Unix(y.now.Load(), 0))
	if err != nil {
		y.t.Fatal(err)
	}
	if len(all) > 7+4+12 {
		y.t.Errorf("%d snapshots are kept", len(all))
	}
	kept := map[string]bool{}
	for _, s := range all {
		kept[s.Taken.UTC().Format(time.DateOnly)] = true
	}
	for back := range min(count, 7) {
		if day := time.Unix(y.now.Load(), 0).UTC().AddDate(0, 0, -back).Format(time.DateOnly); !kept[day] {
			y.t.Errorf("the snapshot of %s is not there", day)
		}
	}
}
