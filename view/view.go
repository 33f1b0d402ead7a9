// Package view shows labels on their images in a browser: those of a source, and what a
// run would change or did. It makes pages and serves them; where the images, annotations
// and findings come from is its callers' business.
//
// Three doors lead to the same templates and the same drawing: a local server over a
// source, one over the state, and a page in one file that can be sent and archived; what they
// show, package report gathers. No page asks for anything from elsewhere: style and script
// are embedded, and a Content-Security-Policy holds the browser to it. Every text is
// escaped by html/template, and characters that hide are made visible first.
package view

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"pictosync/compare"
	"pictosync/convert"
	"pictosync/internal/visible"
	"pictosync/pictograph"
)

// Picture is one image with its labels, before and after.
type Picture struct {
	Path   string // of the image
	File   string // the label file; may be ""
	Width  int    // pixels, 0 = unknown
	Height int
	// Before and After are what the image has and is to have; nil where that is not known.
	// A source alone has only After.
	Before, After []pictograph.Annotation
	BeforeKnown   bool
	AfterKnown    bool
	BeforeIs      string // what before is, as "backup of run 20260102-030405-abcd"
	AfterIs       string
	// Skeletons are the templates of keypoint classes.
	Skeletons []pictograph.Skeleton
	Findings  []convert.Finding
	Outcome   string // saved, failed, skipped, …; "" for none
	Reason    string // why it was not saved
	Err       string // why nothing can be shown
	Left      bool   // it left the source
	Sides     Sides  // the zero value is Changed
	// Grain is how near points are that are drawn as one, in pixels of the image; 0 draws
	// all.
	Grain float64
}

// Sides are the words for the two sides of an image and for what differs between them.
type Sides struct {
	Before, After                      string
	Removed, Added, Changes, Unchanged string // of an annotation
	Title                              string // over images with both
	Red, Green, Amber, Faint           string // what the colours say
}

// Changed is for images that a run changes, Compared for a dataset held against labels.
var (
	Changed = Sides{"Before", "After", "removed", "added", "changed", "unchanged",
		"What changes, on the images", "goes", "comes", "changes (dashed: as it was)", "stays"}
	Compared = Sides{"Dataset", "Labels", "only in the dataset", "only in the labels", "differs", "the same",
		"What differs, on the images", "is only in the dataset", "only in the labels", "differs (dashed: in the dataset)", "is the same"}
)

// Word is the word for a change.
func (s Sides) Word(change string) string {
	switch compare.Kind(change) {
	case compare.Removed:
		return s.Removed
	case compare.Added:
		return s.Added
	case compare.Changed:
		return s.Changes
	case compare.Unchanged:
		return s.Unchanged
	}
	return change
}

// Head is a word as a heading.
func (Sides) Head(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

func (p Picture) sides() Sides {
	if p.Sides == (Sides{}) {
		return Changed
	}
	return p.Sides
}

// changes pairs before and after; without one of them all is what the other has.
func (p Picture) changes() []compare.Change {
	switch {
	case p.BeforeKnown && p.AfterKnown:
		return compare.Annotations(p.Before, p.After)
	case p.BeforeKnown:
		return compare.Annotations(p.Before, p.Before)
	}
	return compare.Annotations(p.After, p.After)
}

// size is the image's size, or one that holds all that is on it.
func (p Picture) size() (w, h float64) {
	if p.Width > 0 && p.Height > 0 {
		return float64(p.Width), float64(p.Height)
	}
	w, h = 64, 64
	for _, list := range [][]pictograph.Annotation{p.Before, p.After} {
		for _, a := range list {
			b := compare.Bounds(a)
			w, h = max(w, b.X+b.W), max(h, b.Y+b.H)
		}
	}
	return math.Ceil(w), math.Ceil(h)
}

// colour is a class's, the same on every page and every day.
func colour(class string) string {
	h := fnv.New32a()
	h.Write([]byte(class))
	sum := h.Sum32()
	hue := float64(sum%360) / 60
	chroma := 0.85 + float64(sum>>9%3)*0.05
	x := chroma * (1 - math.Abs(math.Mod(hue, 2)-1))
	rgb := [6][3]float64{{chroma, x, 0}, {x, chroma, 0}, {0, chroma, x}, {0, x, chroma}, {x, 0, chroma}, {chroma, 0, x}}[int(hue)]
	// Blue and violet are dark: they are lightened until they are seen on dark pictures.
	shine := 0.2126*math.Pow(rgb[0], 2.2) + 0.7152*math.Pow(rgb[1], 2.2) + 0.0722*math.Pow(rgb[2], 2.2)
	more := max(0, 0.22-shine) * 2
	light := func(v float64) int {
		v += 1 - chroma
		return int(math.Round((v + (1-v)*more) * 255))
	}
	return fmt.Sprintf("#%02x%02x%02x", light(rgb[0]), light(rgb[1]), light(rgb[2]))
}

// text makes a name fit to be shown.
func text(s string) string { return visible.Text(s) }

// number is a coordinate, as short as it may be.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// Text makes a name of others fit to be shown.
func Text(s string) string { return text(s) }

// Plural counts things.
func Plural(n int, thing string) string {
	return Thousands(n) + " " + english.PluralWord(n, thing, "")
}

// Thousands writes a number with its thousands apart.
func Thousands(n int) string { return humanize.Comma(int64(n)) }
