package convert

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Format is one label format: how it is recognised, read and written. A format is
// a folder of its own that makes one of these; the list of all is in package formats,
// and whatever ranges over formats (detection, flags, help, the rows of a manifest)
// ranges over that list.
type Format struct {
	// Name is what --from, --to and messages call it.
	Name string
	// About says in a few words what a source of this format is, for help and errors:
	// "a COCO file or a folder of them".
	About string
	// Detect says how surely a candidate is of this format, and why. Its error means
	// that the candidate is of this format and cannot be opened.
	Detect func(context.Context, *Candidate) (Match, error)
	// Open opens a source, whether it was detected or --from says so. Its error is an
	// [*Error] where the source is what fails.
	Open func(context.Context, Input) (Source, error)
	// Flags makes the options that only this format has, nil where it has none.
	Flags func() Flags
	// Labels reads labels of one image each, as a row of a manifest may hold them; nil
	// where the format has no such labels. classes is the row's set of classes, nil
	// where it names none: [ErrNoClasses] then says that the format needs them.
	Labels func(classes []byte, in Input) (Labels, error)
	// Write is how it is written, nil where it cannot be.
	Write *Writing
	// Explicit says that a source of this format says outright which images are to have
	// no annotations: an empty label is then no accident.
	Explicit bool
	// OneImage says that a label file of this format is of one image.
	OneImage bool
	// Mixed says that a source of this format may hold labels of others.
	Mixed bool
}

// Flags are the options of one format. The zero value of each is its default.
type Flags interface {
	// Add adds them to the flags of a command that reads sources.
	Add(*pflag.FlagSet)
	// Check reads what was given. Its error names the flag, what is wrong with its
	// value, and what it must be.
	Check() error
}

// Labels reads labels that stand by themselves.
type Labels interface {
	// Load converts the label of an item. stated is the size that the source gives the
	// image, listed the one of the dataset's listing; either may be unknown.
	Load(item Item, stated, listed Size, label []byte) (Result, error)
}

// Examined are Labels of which all those of a source tell together what they mean: it is found
// out before the first is loaded.
type Examined interface {
	// Examine goes through the labels, perhaps more than once; its error refuses the source.
	Examine(ctx context.Context, all SeveralLabels) error
}

// SeveralLabels are those of a source, in the order of the walk.
type SeveralLabels struct {
	Taken   func(context.Context) iter.Seq2[OneLabel, error]
	LeftOut func(context.Context) iter.Seq2[OneLabel, error] // by --include and --exclude
}

// OneLabel is the label of one image as it is looked at before any is loaded.
type OneLabel struct {
	File string
	Data []byte // valid until the next; nil where it cannot be read
}

// ErrNoClasses says that labels need names of classes, and that there are none.
var ErrNoClasses = errors.New("there are no names of classes")

// Match is how surely a candidate is of a format, and why.
type Match struct {
	Score  int
	Reason string
}

// Scores of a match. The first format of the list that is at least Likely is taken,
// else the one with the highest score.
const (
	No       = 0
	Possible = 1 // what it holds may be of this format: JSON, say
	Likely   = 2 // its name or the files that describe it say so
	Certain  = 3 // it says so itself
)

// Input is what a format opens.
type Input struct {
	Path string // as the user named it
	// Name is the path below the source that names this file, slash-separated, for
	// messages and for what images are relative to; "" where it is the source itself.
	Name string
	OpenOptions
	// Formats are all that can be read: a manifest has rows of several, and an error names them.
	Formats []Format
}

// KnownSources says what a source is, for errors.
func (in Input) KnownSources() string {
	var known []string
	for _, f := range slices.Backward(in.Formats) { // what most people have stands last
		known = append(known, f.About)
	}
	last := len(known) - 1
	if last < 1 {
		return "a source is " + strings.Join(known, "")
	}
	return "a source is " + strings.Join(known[:last], ", ") + ", or " + known[last]
}

// Format is the format with a name.
func (in Input) Format(name string) (Format, bool) {
	i := slices.IndexFunc(in.Formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return Format{}, false
	}
	return in.Formats[i], true
}

// Candidate is a source whose format is not known yet.
type Candidate struct {
	Input
	// Dir says that it is a folder, Entries are its entries without what systems leave
	// behind. Of a file, Head is how it begins and Ext its extension in lower case.
	Dir     bool
	Entries []fs.DirEntry
	Head    []byte
	Ext     string
	// Survey goes through the whole folder, once. What can be told without is better told
	// without: a folder may hold millions of files.
	Survey func() (Survey, error)
}

// Content is how a file begins, without blanks.
func (c *Candidate) Content() string {
	return strings.TrimLeft(strings.TrimPrefix(string(c.Head), "\ufeff"), " \t\r\n")
}

// JSON reports whether a file may be JSON.
func (c *Candidate) JSON() bool {
	content := c.Content()
	return c.Ext == ".json" || strings.HasPrefix(content, "{") || strings.HasPrefix(content, "[")
}

// Survey is what a folder holds anywhere in it, as slash-separated paths.
type Survey struct {
	JSON  []string // all that the filters leave
	Label string   // the first text file that may be a label; "" is none
	Lines string   // a file of JSON Lines; "" is none
	Odd   []string // names that are those of JSON but for their end, as a.json.gz and a.coco
	Other string   // the first file that looks like labels of another kind; "" is none
}
