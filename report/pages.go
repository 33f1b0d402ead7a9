package report

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/view"
)

// ServeHTTP shows the pages of the source.
func (a *Album) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch head {
	case "":
		a.showSource(w, r)
	case "progress":
		a.showProgress(w)
	case "images":
		a.showImages(w, r)
	case "image":
		a.showImage(w, r, rest)
	case "thumb", "photo":
		a.sendPicture(w, r, head, rest)
	case "unlabelled":
		a.showOrphans(w, r)
	case "unlabelled-thumb":
		a.sendOrphan(w, r, rest)
	default:
		view.Fail(w, r, http.StatusNotFound, fmt.Errorf("%s leads nowhere", r.URL.Path))
	}
}

// showProgress says how far the count is, for a page that waits for it.
func (a *Album) showProgress(w http.ResponseWriter) {
	a.mu.Lock()
	state := map[string]any{"images": a.count.images, "done": a.done, "text": view.Plural(a.count.images, "image") + " so far; the numbers below grow"}
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(state) // who does not read on has left
}

// frame is what the pages of the source have in common.
func (a *Album) frame(r *http.Request, title string, crumbs ...view.Link) view.Page {
	p := view.Page{Title: title, Crumbs: append([]view.Link{{Text: filepath.Base(a.src.Describe().Path), Href: view.Base(r)}}, crumbs...), Footer: footer}
	if len(crumbs) == 0 {
		p.Crumbs = nil
	}
	return p
}

const footer = "Made by pictosync on this machine; nothing is sent anywhere."

func (a *Album) showSource(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	page, samples, done, err := a.sourcePage(view.Base(r)), a.samples(), a.done, a.err
	a.mu.Unlock()
	p := a.frame(r, view.Text(filepath.Base(a.src.Describe().Path)))
	if !done {
		p.Watch = view.Base(r) + "progress"
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		page.Alerts = append(page.Alerts, "The source was not gone through to its end: "+err.Error())
	}
	if len(samples) > 0 {
		tiles, err := a.tiles(r, list{kind: "all"}, samples)
		if err != nil {
			view.Fail(w, r, http.StatusInternalServerError, err)
			return
		}
		page.Grid = &view.Grid{Tiles: tiles}
	}
	p.Source = page
	view.Show(w, r, p)
}

// samples are images that show many classes: one of each of the most frequent. The caller
// holds the lock.
func (a *Album) samples() (numbers []int) {
	const most = 10
	for _, name := range a.classNames() {
		c := a.count.classes[name]
		n := int(c.at[len(c.at)/2])
		if len(numbers) < most && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	for n := 0; n < a.count.images && len(numbers) < min(most, 6); n++ {
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// classNames are the classes, the most frequent first. The caller holds the lock.
func (a *Album) classNames() []string {
	return slices.SortedFunc(maps.Keys(a.count.classes), func(x, y string) int {
		return cmp.Or(a.count.classes[y].annotations-a.count.classes[x].annotations, strings.Compare(x, y))
	})
}

// sourcePage puts the counts into words. The caller holds the lock.
func (a *Album) sourcePage(base string) *view.SourcePage {
	c, d := &a.count, a.src.Describe()
	s := &view.SourcePage{}
	format := d.Format
	if d.Task != "" {
		format += ", task " + d.Task
	}
	s.Lead = fmt.Sprintf("%s with %s: %s (%s).", view.Plural(c.images, "image"), view.Plural(c.annotations, "annotation"), format, view.Text(d.Reason))
	number := func(n int, what, kind string) {
		s.Numbers = append(s.Numbers, numberOf(n, what, kind))
	}
	number(c.images, "images", "")
	number(c.annotations, "annotations", "")
	number(len(c.classes), "classes", "")
	number(c.labelled, "images with annotations", "")
	if c.empty > 0 {
		number(c.empty, "labelled as empty", "")
	}
	if c.failed > 0 {
		number(c.failed, "cannot be taken", "removed")
	}
	if c.leftOut > 0 {
		number(c.leftOut, "annotations left out", "removed")
	}
	if c.pictured < c.images {
		number(c.images-c.pictured, "labels without an image file", "")
	}
	if n := len(c.orphans) + c.moreOrphans; n > 0 {
		number(n, "image files without labels", "")
	}
	link := func(n int, text string, l list) {
		if n > 0 {
			s.Lists = append(s.Lists, view.Link{Text: fmt.Sprintf("%s (%s)", text, view.Thousands(n)), Href: base + "images?" + l.query(0)})
		}
	}
	link(c.images, "all images", list{kind: "all"})
	link(c.empty, "without annotations", list{kind: "empty"})
	link(c.failed, "cannot be taken", list{kind: "failed"})
	link(len(c.lossAt), "with findings", list{kind: "findings"})
	link(c.images-c.pictured, "without an image file", list{kind: "unpictured"})
	if n := len(c.orphans) + c.moreOrphans; n > 0 {
		s.Lists = append(s.Lists, view.Link{Text: fmt.Sprintf("image files without labels (%s)", view.Thousands(n)), Href: base + "unlabelled"})
	}
	if n := c.refused; n > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("Classes, shapes and sizes count %s more, of images that cannot be taken: what of these can be read is shown too.", view.Plural(n, "annotation")))
	}
	if c.images > 0 && c.pictured == 0 {
		s.Notes = append(s.Notes, "No image files were found, so the labels are shown on empty frames: --images names the folder that they are in.")
	}
	var classes []view.ClassCount
	for name, class := range c.classes {
		classes = append(classes, view.ClassCount{Name: name, Href: base + "images?" + list{kind: "class", name: name}.query(0), First: class.annotations, Second: class.images})
	}
	s.Bars = view.NewBars(classes, false)
	s.Plots = c.plots()
	s.Findings = a.findingRows(base)
	if a.done {
		s.Counted = "Counted on " + a.at.Format("2 January 2006, 15:04:05") + "."
	}
	return s
}

// plots are the small plots of a source.
func (c *counts) plots() (plots []view.Plot) {
	if c.images > c.failed {
		plots = append(plots, view.NewPlot("Annotations an image", c.perImage.Bins()))
	}
	if bins := c.boxes.Bins(); len(bins) > 0 {
		plots = append(plots, view.NewPlot("Longer side of the boxes, pixels", bins))
	}
	types := make(map[string]int)
	for _, class := range c.classes {
		for kind, n := range class.types {
			types[kind] += n
		}
	}
	if len(types) > 1 {
		var bins []view.Bin
		for _, kind := range slices.Sorted(maps.Keys(types)) {
			bins = append(bins, view.Bin{Name: kind, Count: types[kind]})
		}
		plots = append(plots, view.NewPlot("Annotations by type", bins))
	}
	if len(c.sizes) > 0 {
		plots = append(plots, view.NewPlot("Sizes of the images, pixels", c.sizeBins()))
	}
	return plots
}

// sizeBins are the most frequent sizes of images, the smallest first.
func (c *counts) sizeBins() (bins []view.Bin) {
	const most = 10
	sizes := slices.SortedFunc(maps.Keys(c.sizes), func(a, b convert.Size) int {
		return cmp.Or(c.sizes[b]-c.sizes[a], a.Width-b.Width, a.Height-b.Height)
	})
	others := 0
	if len(sizes) > most {
		for _, s := range sizes[most:] {
			others += c.sizes[s]
		}
		sizes = sizes[:most]
	}
	slices.SortFunc(sizes, func(a, b convert.Size) int { return cmp.Or(a.Width*a.Height-b.Width*b.Height, a.Width-b.Width) })
	for _, s := range sizes {
		bins = append(bins, view.Bin{Name: fmt.Sprintf("%d×%d", s.Width, s.Height), Count: c.sizes[s]})
	}
	if others > 0 {
		bins = append(bins, view.Bin{Name: "others", Count: others})
	}
	return bins
}

// findingRows are the findings by cause, what was lost first. The caller holds the lock.
func (a *Album) findingRows(base string) (rows []view.FindingRow) {
	if a.found != nil {
		a.findings = append(a.findings, a.found()...)
	}
	whole := counts{kinds: make(map[[2]string]*kindCount)}
	for _, f := range a.findings {
		whole.addFinding(f, -1)
	}
	var kinds []*kindCount
	for _, m := range []map[[2]string]*kindCount{a.count.kinds, whole.kinds} {
		for _, k := range m {
			kinds = append(kinds, k)
		}
	}
	order := []convert.Severity{convert.Lost, convert.Changed, convert.Noted}
	slices.SortFunc(kinds, func(x, y *kindCount) int {
		return cmp.Or(slices.Index(order, x.kind.Severity())-slices.Index(order, y.kind.Severity()), y.count-x.count, strings.Compare(string(x.kind)+x.cause, string(y.kind)+y.cause))
	})
	for _, k := range kinds {
		row := view.FindingRow{Kind: strings.TrimSpace(string(k.kind) + " " + view.Text(k.cause)), Severity: string(k.kind.Severity()), Count: view.Thousands(k.count)}
		for _, e := range k.examples {
			row.Examples = append(row.Examples, view.Text(e))
		}
		if k.images > 0 {
			row.Href = base + "images?" + list{kind: "kind", name: string(k.kind), cause: k.cause}.query(0)
		}
		rows = append(rows, row)
	}
	return rows
}

// list is a choice of images: all, or those of which something holds.
type list struct{ kind, name, cause string }

func listOf(r *http.Request) list {
	q := r.URL.Query()
	return list{cmp.Or(q.Get("list"), "all"), q.Get("name"), q.Get("cause")}
}

// query are the parameters that choose a page of the list.
func (l list) query(page int) string {
	q := url.Values{}
	if l.kind != "all" {
		q.Set("list", l.kind)
	}
	if l.name != "" {
		q.Set("name", l.name)
	}
	if l.cause != "" {
		q.Set("cause", l.cause)
	}
	if page > 0 {
		q.Set("page", strconv.Itoa(page+1))
	}
	return q.Encode()
}

// numbers are the images of a list, nil and how many for all. title says what they are.
func (a *Album) numbers(l list) (numbers []int32, count int, title, note string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &a.count
	sampled := func(at []int32, of int) string {
		if of > len(at) {
			return fmt.Sprintf("the first %s of %s", view.Thousands(len(at)), view.Plural(of, "image"))
		}
		return ""
	}
	switch l.kind {
	case "all":
		return nil, c.images, "All images", "", nil
	case "empty":
		numbers, title = c.emptyAt, "Images that are labelled as empty"
	case "failed":
		numbers, title = c.failedAt, "Images that cannot be taken"
	case "findings":
		numbers, title = c.lossAt, "Images with findings"
	case "unpictured":
		numbers, title = c.unpicturedAt, "Labels without an image file"
	case "class":
		class := c.classes[l.name]
		if class == nil {
			return nil, 0, "", "", fmt.Errorf("no image so far has the class %q", l.name)
		}
		numbers, title, note = class.at, "Images with "+view.Text(l.name), sampled(class.at, class.images)
	case "kind":
		k := c.kinds[[2]string{l.name, l.cause}]
		if k == nil {
			return nil, 0, "", "", fmt.Errorf("no image so far has a finding %q", l.name)
		}
		numbers, title, note = k.at, "Images with findings: "+view.Text(strings.TrimSpace(l.name+" "+l.cause)), sampled(k.at, k.images)
	default:
		return nil, 0, "", "", fmt.Errorf("there is no list %q", l.kind)
	}
	return numbers, len(numbers), title, note, nil
}

func (a *Album) showImages(w http.ResponseWriter, r *http.Request) {
	l := listOf(r)
	all, count, title, note, err := a.numbers(l)
	if err != nil {
		view.Fail(w, r, http.StatusNotFound, err)
		return
	}
	page := pageOf(r, count)
	first, end := page*perPage, min(count, (page+1)*perPage)
	var numbers []int
	for n := first; n < end; n++ {
		if all != nil {
			numbers = append(numbers, int(all[n]))
		} else {
			numbers = append(numbers, n)
		}
	}
	g := pager(view.Base(r)+"images?", l.query, page, count)
	g.Lead = note
	if g.Tiles, err = a.tiles(r, l, numbers); err != nil {
		view.Fail(w, r, http.StatusInternalServerError, err)
		return
	}
	p := a.frame(r, title, view.Link{Text: title})
	p.Grid = g
	view.Show(w, r, p)
}

// pageOf is the page that is asked for, from 0.
func pageOf(r *http.Request, count int) int {
	n, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		return 0
	}
	return min(max(0, n-1), max(0, (count-1)/perPage))
}

// pager is a grid without its tiles: how many there are, and what is before and after.
func pager(address string, query func(page int) string, page, count int) *view.Grid {
	g := &view.Grid{Pages: max(1, (count+perPage-1)/perPage), Page: page + 1}
	if count > 0 {
		g.Where = fmt.Sprintf("%s to %s of %s", view.Thousands(page*perPage+1), view.Thousands(min(count, (page+1)*perPage)), view.Thousands(count))
	}
	if page > 0 {
		g.Prev, g.First = address+query(page-1), address+query(0)
	}
	if (page+1)*perPage < count {
		g.Next, g.Last = address+query(page+1), address+query(g.Pages-1)
	}
	return g
}

// tiles are those of images by their numbers, loaded several at once.
func (a *Album) tiles(r *http.Request, l list, numbers []int) ([]view.Tile, error) {
	return parallel.All(r.Context(), 8, numbers, func(_ context.Context, n int) (view.Tile, error) { return a.tile(r, l, n), nil })
}

func (a *Album) tile(r *http.Request, l list, n int) view.Tile {
	base := view.Base(r)
	to := base + "image/" + strconv.Itoa(n)
	if q := l.query(0); q != "" {
		to += "?" + q
	}
	item, err := a.item(r.Context(), n)
	if err != nil {
		return view.NewTile(view.Picture{Path: fmt.Sprintf("image %d", n+1)}, to, "", err.Error())
	}
	one := a.load(r.Context(), item)
	href := ""
	if one.file != "" {
		href = base + "thumb/" + strconv.Itoa(n)
	}
	about := view.Plural(len(one.result.Annotations), "annotation")
	if one.err != nil {
		about = "cannot be taken"
	} else if n := len(one.result.Findings); n > 0 {
		about += ", " + view.Plural(n, "finding")
	}
	return view.NewTile(a.picture(one), to, href, about)
}

func (a *Album) showImage(w http.ResponseWriter, r *http.Request, rest string) {
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		view.Fail(w, r, http.StatusNotFound, errNoImage)
		return
	}
	item, err := a.item(r.Context(), n)
	if err != nil {
		view.Fail(w, r, http.StatusNotFound, err)
		return
	}
	one := a.load(r.Context(), item)
	base := view.Base(r)
	href, note := "", "No image file was found, so the labels are drawn on an empty frame. --images names the folder that the image files are in."
	if one.file != "" {
		href, note = base+"photo/"+strconv.Itoa(n), ""
		if err := a.photos.Check(one.file); err != nil {
			href, note = "", "The image file cannot be shown: "+err.Error()
		}
	}
	part := view.NewImage(a.picture(one), href, note)
	l := listOf(r)
	at, title := 0, ""
	at, part.Prev, part.Next, title = a.neighbours(base, l, n)
	p := a.frame(r, view.Text(item.Image), view.Link{Text: title, Href: base + "images?" + l.query(at/perPage)}, view.Link{Text: view.Text(item.Image)})
	p.Image = part
	view.Show(w, r, p)
}

// neighbours are the images before and after one in a list, and its place there.
func (a *Album) neighbours(base string, l list, n int) (at int, prev, next, title string) {
	all, count, title, _, err := a.numbers(l)
	if err != nil {
		l = list{kind: "all"}
		all, count, title, _, _ = a.numbers(l)
	}
	at = n
	number := func(i int) int { return i }
	if all != nil {
		at = sort.Search(len(all), func(i int) bool { return int(all[i]) >= n })
		number = func(i int) int { return int(all[i]) }
	}
	address := func(i int) string {
		if i < 0 || i >= count {
			return ""
		}
		s := base + "image/" + strconv.Itoa(number(i))
		if q := l.query(0); q != "" {
			s += "?" + q
		}
		return s
	}
	return at, address(at - 1), address(at + 1), title
}

// sendPicture sends an image's file, or a thumbnail of it.
func (a *Album) sendPicture(w http.ResponseWriter, r *http.Request, what, rest string) {
	n, err := strconv.Atoi(rest)
	var item convert.Item
	if err == nil {
		item, err = a.item(r.Context(), n)
	}
	file := ""
	if err == nil {
		file = convert.ImageFile(a.src, item)
	}
	sendFile(w, r, a.photos, what == "thumb", file)
}

// sendFile sends a picture that lies on disk.
func sendFile(w http.ResponseWriter, r *http.Request, photos *view.Photos, thumb bool, file string) {
	if file == "" {
		http.Error(w, "there is no image file", http.StatusNotFound)
		return
	}
	var data []byte
	var err error
	mime := "image/jpeg"
	if thumb {
		data, err = photos.Thumbnail(file, view.ThumbnailSide)
	} else {
		data, mime, err = photos.Shown(file)
	}
	if err != nil {
		// A picture that cannot be shown leaves its frame empty; an error would be one in
		// the browser's console.
		data, mime = []byte(emptyPicture), "image/svg+xml"
	}
	w.Header().Set("Content-Type", mime)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Cache-Control", "private, max-age=600")
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // who does not read on has left
	}
}

const emptyPicture = `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`

func (a *Album) showOrphans(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	names, more := a.count.orphans, a.count.moreOrphans
	a.mu.Unlock()
	page := pageOf(r, len(names))
	base := view.Base(r)
	g := pager(base+"unlabelled?", list{kind: "all"}.query, page, len(names))
	if more > 0 {
		g.Lead = fmt.Sprintf("the first %s of %s", view.Thousands(len(names)), view.Plural(len(names)+more, "image"))
	}
	for i := page * perPage; i < min(len(names), (page+1)*perPage); i++ {
		name := names[i]
		if short, err := filepath.Rel(a.src.Describe().Path, name); err == nil && !strings.HasPrefix(short, "..") {
			name = short
		}
		at := strconv.Itoa(i)
		width, height := a.photos.Size(names[i])
		g.Tiles = append(g.Tiles, view.NewTile(view.Picture{Path: name, Width: width, Height: height, AfterKnown: true}, base+"unlabelled-thumb/"+at, base+"unlabelled-thumb/"+at, "no labels"))
	}
	p := a.frame(r, "Image files without labels", view.Link{Text: "Image files without labels"})
	p.Grid = g
	view.Show(w, r, p)
}

func (a *Album) sendOrphan(w http.ResponseWriter, r *http.Request, rest string) {
	n, err := strconv.Atoi(rest)
	a.mu.Lock()
	file := ""
	if err == nil && n >= 0 && n < len(a.count.orphans) {
		file = a.count.orphans[n]
	}
	a.mu.Unlock()
	sendFile(w, r, a.photos, true, file)
}
