package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Report is what a run or a plan did, or would do. Its order is that of a reviewer who has
// thirty seconds: what happened, what is wrong, what loses most.
type Report struct {
	Lead      string // in one sentence
	Alerts    []string
	Notes     []string
	Numbers   []Number
	Lists     []Link // to the images by outcome
	Sides     Sides
	MostTitle string
	MostNote  string
	Most      []Most // the images that change most
	Grid      *Grid
	HeldTitle string
	Held      []Held
	BarsTitle string
	Bars      *Bars
	Findings  []FindingRow
	Cost      string
	Commands  []Command
	// Pictures are images on the page itself.
	Pictures     []*ImagePart
	PicturesNote string
}

// Most is an image that changes much.
type Most struct {
	Name, Href              string
	Before, After           string
	Added, Removed, Changed string
	Why                     string
}

// Held are images that were not saved, for one reason.
type Held struct {
	Outcome, Why, Count string
	Examples            []Link
}

// Command is what a person may type next.
type Command struct{ Text, Command string }

// FindingRow are the findings of one kind.
type FindingRow struct {
	Kind, Severity, Count string
	Href                  string // of the images that have it
	Examples              []string
}

// Bars compares numbers of classes.
type Bars struct {
	Both  bool // before and after; else annotations and images
	Sides Sides
	Rows  []Bar
	More  string
}

// Bar is one class.
type Bar struct {
	Name, Href    string
	Colour        string
	First, Second string
	Was, Is       string // widths, of 100
}

// ClassCount is a class with two numbers: before and after, or annotations and images.
type ClassCount struct {
	Name          string
	Href          string
	First, Second int
}

// maxBars is how many classes are shown; a page with thousands helps nobody.
const maxBars = 200

// NewBars makes the table of classes, the largest first.
func NewBars(classes []ClassCount, both bool) *Bars {
	if len(classes) == 0 {
		return nil
	}
	size := func(c ClassCount) int {
		if both {
			return max(c.First, c.Second)
		}
		return c.First
	}
	classes = slices.Clone(classes)
	slices.SortFunc(classes, func(a, b ClassCount) int { return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a.Name, b.Name)) })
	b := &Bars{Both: both, Sides: Changed}
	if n := len(classes) - maxBars; n > 0 {
		b.More = fmt.Sprintf("and %s with fewer annotations", Plural(n, "more class"))
		classes = classes[:maxBars]
	}
	largest := float64(max(1, size(classes[0])))
	for _, c := range classes {
		bar := Bar{Name: text(c.Name), Href: c.Href, Colour: colour(c.Name), First: Thousands(c.First), Second: Thousands(c.Second), Was: number(float64(c.First) / largest * 100), Is: number(float64(c.Second) / largest * 100)}
		if !both {
			bar.Is = bar.Was
		}
		b.Rows = append(b.Rows, bar)
	}
	return b
}

// Plot is a small histogram.
type Plot struct {
	Title, Alt string
	Most       string // the highest column
	Columns    []Column
	Marks      []Mark
}

// Column is one of its columns.
type Column struct{ X, Y, W, H, Title string }

// Mark is a word below it.
type Mark struct{ X, Anchor, Text string }

// Bin is one column's value and what it counts.
type Bin struct {
	Name  string
	Count int
	Mark  string // what stands below it, where that is not its name
}

// NewPlot draws bins beside one another.
func NewPlot(title string, bins []Bin) Plot {
	p := Plot{Title: title}
	largest, total := 1, 0
	for _, b := range bins {
		largest, total = max(largest, b.Count), total+b.Count
	}
	p.Alt = fmt.Sprintf("%s: %s in %s", title, Thousands(total), Plural(len(bins), "column"))
	width := 320 / float64(max(1, len(bins)))
	for i, b := range bins {
		height := 104 * float64(b.Count) / float64(largest)
		if b.Count > 0 {
			height = max(height, 1.5)
		}
		p.Columns = append(p.Columns, Column{number(float64(i)*width + 0.5), number(108 - height), number(max(width-1, 0.5)), number(height), fmt.Sprintf("%s: %s", b.Name, Thousands(b.Count))})
	}
	p.Most = Thousands(largest)
	if len(bins) == 0 {
		return p
	}
	mark := func(i int) string { return cmp.Or(bins[i].Mark, bins[i].Name) }
	first, middle, last := mark(0), mark(len(bins)/2), mark(len(bins)-1)
	p.Marks = []Mark{{"0", "start", first}}
	if len(bins) > 1 {
		p.Marks = append(p.Marks, Mark{"320", "end", last})
	}
	const room = 44 // letters below a plot
	if len(bins) > 8 && len(first)+len(middle)+len(last) < room && middle != first && middle != last {
		p.Marks = append(p.Marks, Mark{"160", "middle", middle})
	}
	return p
}

// Histogram counts values in bins that double in size: 0, 1, 2-3, 4-7, …
type Histogram struct{ counts []int }

// Add counts a value.
func (h *Histogram) Add(value float64) {
	bin := 0
	if value >= 1 {
		bin = 1 + int(math.Log2(min(value, 1<<40)))
	}
	for len(h.counts) <= bin {
		h.counts = append(h.counts, 0)
	}
	h.counts[bin]++
}

// Bins are the columns from the first that is not empty on.
func (h *Histogram) Bins() (bins []Bin) {
	for i, n := range h.counts {
		if n == 0 && len(bins) == 0 {
			continue
		}
		name := "0"
		switch low := 1 << max(i-1, 0); {
		case i == 1:
			name = "1"
		case i > 1:
			name = fmt.Sprintf("%s–%s", Thousands(low), Thousands(2*low-1))
		}
		bins = append(bins, Bin{Name: name, Count: n})
	}
	return bins
}

// SourcePage is what a source holds.
type SourcePage struct {
	Lead     string
	Numbers  []Number
	Alerts   []string
	Notes    []string
	Lists    []Link
	Grid     *Grid
	Bars     *Bars
	Plots    []Plot
	Findings []FindingRow
	// Counted says when the numbers were made; it leads to making them anew.
	Counted string
}

// StatePage is what a state holds.
type StatePage struct {
	Lead     string
	Numbers  []Number
	Calendar *Calendar
	Plots    []Plot
	Tables   []Table
	Pager    *Grid
}

// Calendar are the days of some weeks, from Monday on.
type Calendar struct{ Weeks [][]Night }

// Night is a day in the calendar.
type Night struct{ Day, Date, What, Kind, Href string }

// Table is a table of links.
type Table struct {
	Title   string
	Heads   []string
	Rows    [][]Link
	Numbers []int // columns of numbers
	More    *Link
}

// Number reports whether a column is one of numbers.
func (t Table) Number(column int) bool { return slices.Contains(t.Numbers, column) }
