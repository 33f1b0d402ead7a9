package view

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"

	"pictosync/convert"
)

//go:embed assets
var assets embed.FS

func asset(name string) string {
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(data)
}

var pages = template.Must(template.New("pages").Parse(asset("pages.html")))

// Page is one page; one of its parts is set.
type Page struct {
	Title  string
	Crumbs []Link
	Base   string // what addresses of assets begin with
	// Inline has style and script within the page, which then is all in one file.
	Inline bool
	Footer string
	// Message is all there is on the page, as where there is no such page.
	Message string
	// Watch is where the page is told whether what it shows is all there is to come; ""
	// where it is.
	Watch string

	Report *Report
	Source *SourcePage
	Image  *ImagePart
	Grid   *Grid
	State  *StatePage
}

// Link leads somewhere; without an address it is words alone.
type Link struct {
	Text, Href string
	Kind       string // done, failures or bad, of what it says
}

// policy is what a page may load. A page in one file has its own style and script and
// nothing else; images of it are data in it.
func policy(inline bool) string {
	if !inline {
		return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	}
	return fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none'; form-action 'none'", digest(asset("view.css")), digest(asset("view.js")))
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	data := struct {
		Page
		Policy string
		Style  template.CSS
		Script template.JS
	}{Page: p}
	if p.Inline {
		data.Policy, data.Style, data.Script = policy(true), template.CSS(asset("view.css")), template.JS(asset("view.js"))
	}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "page", data); err != nil {
		return fmt.Errorf("make the page %q: %w", p.Title, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Weigh is how many bytes an image and its tile are on a page.
func Weigh(i *ImagePart, t Tile) (int, error) {
	var b bytes.Buffer
	err := errors.Join(pages.ExecuteTemplate(&b, "image", i), pages.ExecuteTemplate(&b, "tile", t))
	const frame = 500 // what stands around them
	return b.Len() + frame, err
}

// Number is one of the large numbers at the top of a page.
type Number struct{ Value, What, Kind string }

// ImagePart is an image with its tools.
type ImagePart struct {
	Anchor, Title string // where several are on one page
	Drawing       Drawing
	Href          template.URL // of the picture; "" where there is none
	Alt           string
	About         string
	Mode          string
	Both          bool // before and after are known
	Sides         Sides
	Names         bool // the names of classes are on the picture, and shown when asked for
	Radius        string
	FontSize      string
	Classes       []string
	Types         []string
	ListTitle     string
	Items         []Item
	Findings      []string
	PictureNote   string
	Outcome       string
	Reason        string
	Err           string
	Prev, Next    string
}

// Item is an annotation in the list beside its picture.
type Item struct {
	N                   int
	Class, Type, Change string
	Colour, Text        string
	Findings            []string
}

// NewImage makes the part of a page that shows a picture.
func NewImage(p Picture, href, note string) *ImagePart {
	changes := p.changes()
	d := drawingOf(p, changes, p.Grain)
	w, h := p.size()
	large := max(w, h)
	d.placeNames(w, h, large/45)
	i := &ImagePart{Drawing: d, Href: template.URL(href), Both: p.BeforeKnown && p.AfterKnown, Names: true,
		Radius: number(large / 160), FontSize: number(large / 45), PictureNote: note, Outcome: p.Outcome, Reason: text(p.Reason), Err: text(p.Err)}
	i.Sides = p.sides()
	i.Alt = "Labels on " + text(p.Path)
	i.Mode = p.mode()
	classes, types := make(map[string]bool), make(map[string]bool)
	at := findingsByID(p.Findings)
	for n, c := range changes {
		a := c.After
		if a == nil {
			a = c.Before
		}
		item := Item{N: n, Class: text(a.Name), Type: typeOf(*a), Change: string(c.Kind), Colour: colour(a.Name), Text: text(strings.TrimLeft(c.Line(), "=~+- "))}
		if !i.Both {
			item.Change = "shown"
		}
		base, _, _ := strings.Cut(a.ID, "-")
		for _, id := range slices.Compact([]string{a.ID, base}) {
			item.Findings = append(item.Findings, at[id]...)
			delete(at, id)
		}
		classes[item.Class], types[item.Type] = true, true
		i.Items = append(i.Items, item)
	}
	slices.SortStableFunc(i.Items, func(a, b Item) int { return order(a.Change) - order(b.Change) })
	i.Classes, i.Types = several(classes), several(types)
	for _, id := range slices.Sorted(maps.Keys(at)) {
		i.Findings = append(i.Findings, at[id]...)
	}
	i.ListTitle = Plural(len(i.Items), "annotation")
	if i.Both {
		i.ListTitle = fmt.Sprintf("%s: %s, %s: %s", i.Sides.Before, Thousands(len(p.Before)), strings.ToLower(i.Sides.After), Thousands(len(p.After)))
	}
	i.About = about(p)
	return i
}

// order puts changes before what stays.
func order(change string) int {
	return slices.Index([]string{"removed", "added", "changed", "unchanged", "shown"}, change)
}

// several are the choices of a filter; nil where there is nothing to choose.
func several(of map[string]bool) []string {
	if len(of) < 2 {
		return nil
	}
	return slices.Sorted(maps.Keys(of))
}

func about(p Picture) string {
	var parts []string
	if p.Width > 0 {
		parts = append(parts, fmt.Sprintf("%d×%d pixels", p.Width, p.Height))
	} else {
		parts = append(parts, "size unknown")
	}
	if p.File != "" {
		parts = append(parts, "labels in "+text(p.File))
	}
	if p.BeforeKnown && p.BeforeIs != "" {
		parts = append(parts, strings.ToLower(p.sides().Before)+": "+text(p.BeforeIs))
	}
	if p.AfterKnown && p.AfterIs != "" {
		parts = append(parts, strings.ToLower(p.sides().After)+": "+text(p.AfterIs))
	}
	return strings.Join(parts, " · ")
}

// findingsByID are the findings by the annotation that they are about, "" for others.
func findingsByID(findings []convert.Finding) map[string][]string {
	at := make(map[string][]string)
	for _, f := range findings {
		id := f.Annotation
		if of, is := strings.CutPrefix(f.At, "annotation "); is && id == "" {
			id = of
		}
		at[id] = append(at[id], findingText(f, id == ""))
	}
	return at
}

func findingText(f convert.Finding, place bool) string {
	s := fmt.Sprintf("%s (%s): %s", f.Kind, f.Kind.Severity(), text(f.Reason))
	if place && f.At != "" {
		s = text(f.At) + ": " + s
	}
	if f.Action != "" {
		s += "; " + text(f.Action)
	}
	return s
}

// Tile is an image in a grid.
type Tile struct {
	To      string
	Drawing Drawing
	Href    template.URL
	Alt     string
	Mode    string
	Radius  string
	Title   string
	About   string
}

// Grid is a page of tiles.
type Grid struct {
	Lead       string
	Tiles      []Tile
	Prev, Next string
	// First and Last are the first and the last page, Page and Pages their numbers.
	First, Last string
	Page, Pages int
	Where       string
}

// maxTileShapes bounds what is drawn on a tile: the largest shapes say most.
const maxTileShapes = 120

// tilePixels is about how wide a tile is drawn.
const tilePixels = 240

// NewTile makes the tile of a picture: to is where it leads, href its thumbnail.
func NewTile(p Picture, to, href, about string) Tile {
	w, h := p.size()
	d := drawingOf(p, p.changes(), max(w, h)/tilePixels)
	d.Shapes = d.Shapes[:min(len(d.Shapes), maxTileShapes)]
	d.Bones = nil
	return Tile{To: to, Drawing: d, Href: template.URL(href), Alt: "Labels on " + text(p.Path), Mode: p.mode(), Radius: number(max(w, h) / 110), Title: text(p.Path), About: about}
}

// mode is what is shown of a picture at first.
func (p Picture) mode() string {
	switch {
	case p.BeforeKnown && p.AfterKnown:
		return "difference"
	case p.BeforeKnown:
		return "before"
	}
	return "after"
}
