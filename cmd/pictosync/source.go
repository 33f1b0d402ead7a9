package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/convert/formats"
	"pictosync/internal/progress"
	"pictosync/remote"
	"pictosync/source"
)

// sourceOptions are the flags that say how labels are read, of every command
// that reads a source.
type sourceOptions struct {
	include, exclude []string
	images           string
	sizes            string
	from             string
	own              formatFlags
	outside          string
	simplify         float64
	allGeometries    bool
	classMap         string
	keepMembers      []string
	onSizeMismatch   string
	renames          []string
	allow            []string
	strict           bool
}

func (o *sourceOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, sourceHeading)()
	f.StringArrayVar(&o.include, "include", nil, "take only images whose path, or label file, fits the `GLOB` (again for more)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out images whose path, or label file, fits the `GLOB` (again for more)")
	f.StringVar(&o.images, "images", "", "`DIR` of the image files, where they are not beside the labels: for sizes and names")
	f.StringVar(&o.sizes, "sizes", "", "`FILE` of image sizes: JSON {\"a.jpg\":[w,h]} or CSV image,width,height")
	f.StringVar(&o.from, "from", "", "`FORMAT` of the source, where it is not to be recognized: "+orList(formats.Names(false)))
	o.own = addFormatFlags(f, forReading)
	f.StringSliceVar(&o.keepMembers, "keep-members", nil, "keep these members of COCO annotations as attributes: `KEY,...`, or all")
	f.StringArrayVar(&o.renames, "rename", nil, "rename the source's images before they are matched, as `'REGEX=>REPLACEMENT'` (again for more)")
	f.StringVar(&o.outside, "outside", string(convert.OutsideKeep), "boxes that reach outside the image: keep, clip or report (leave out)")
	f.BoolVar(&o.allGeometries, "all-geometries", false, "take keypoints, segmentation and box where an annotation has several, not the first of these alone")
	o.addLossFlags(f)
	f.Float64Var(&o.simplify, "simplify", 0, "leave out points of mask outlines that this moves by at most `PX` pixels (0: exact)")
}

// addLossFlags say what images may lose and be taken all the same, of every command
// that takes them.
func (o *sourceOptions) addLossFlags(f *pflag.FlagSet) {
	defer under(f, sourceHeading)()
	f.StringVar(&o.onSizeMismatch, "on-size-mismatch", "fail", "what is done about images whose size differs between label, file and dataset: fail, scale the labels, or keep them")
	f.StringSliceVar(&o.allow, "allow", nil, "take images that lose this: `KIND,...` of findings, such as ring, or lost for everything")
	f.BoolVar(&o.strict, "strict", false, "fail images whose labels are changed too, not only those that lose something")
}

// addClassMap is for the commands that show or save what classes become.
func (o *sourceOptions) addClassMap(f *pflag.FlagSet) {
	defer under(f, sourceHeading)()
	f.StringVar(&o.classMap, "class-map", "", "`FILE` (YAML) that renames, merges, drops and numbers classes: car: vehicle, ignore: null")
}

func (o sourceOptions) open(ctx context.Context, path string, findings *collector) (convert.Source, error) {
	read, err := o.read(findings)
	if err != nil {
		return nil, err
	}
	return read.open(ctx, path)
}

// sourceSettings is how a source is opened, once the flags are known to be right.
type sourceSettings struct {
	from    string // "" is recognized
	own     formatFlags
	options convert.OpenOptions
	renames []*source.Rename
	classes *convert.ClassMap // nil is none
	text    []byte            // of the class map
	globs   *source.Globs
	copies  remote.Files // of what lies elsewhere, once it is open
	waiting func()       // is told that another process brings a copy up to date
}

func (o sourceOptions) read(findings *collector) (*sourceSettings, error) {
	classes, text, err := o.classes()
	if err != nil {
		return nil, err
	}
	if o.from != "" {
		if _, err := formats.Named(o.from); err != nil {
			return nil, usagef("read --from: %w", err)
		}
	}
	if err := o.own.check(); err != nil {
		return nil, err
	}
	if err := oneOf("outside", o.outside); err != nil {
		return nil, err
	}
	if err := oneOf("on-size-mismatch", o.onSizeMismatch); err != nil {
		return nil, err
	}
	if !(o.simplify >= 0) || math.IsInf(o.simplify, 0) {
		return nil, usagef("read --simplify: %v is no distance in pixels", o.simplify)
	}
	var renames []*source.Rename
	for _, rule := range o.renames {
		r, err := source.ParseRename(rule)
		if err != nil {
			return nil, usagef("read --rename: %w", err)
		}
		renames = append(renames, r)
	}
	globs := source.NewGlobs(o.include, o.exclude)
	findings.globs = globs
	return &sourceSettings{from: o.from, own: o.own, renames: renames, globs: globs, classes: classes, text: text, options: convert.OpenOptions{
		Now: now(), Include: o.include, Exclude: o.exclude, Fits: globs.Fits, Images: o.images, Sizes: o.sizes, Own: o.own.options,
		OnSizeMismatch: convert.SizePolicy(o.onSizeMismatch),
		Convert:        convert.Options{Outside: convert.Outside(o.outside), Simplify: o.simplify, AllGeometries: o.allGeometries, KeepMembers: convert.NewMembers(o.keepMembers...)}, Report: findings.add,
	}}, nil
}

func (s *sourceSettings) open(ctx context.Context, path string) (convert.Source, error) {
	path, err := s.here(ctx, path)
	if err != nil {
		return nil, err
	}
	if s.options.Images, err = s.here(ctx, s.options.Images); err != nil {
		return nil, err
	}
	src, err := s.openHere(ctx, path)
	if unread, ok := errors.AsType[*convert.Error](err); ok {
		for _, c := range s.copies {
			unread.Path = c.Names(unread.Path)
		}
	}
	return src, err
}

// here is what is read of a source on this machine: itself, or the copy of one that lies
// elsewhere.
func (s *sourceSettings) here(ctx context.Context, path string) (string, error) {
	c, err := copyOf(ctx, path, remote.Options{Cache: filepath.Join(xdg.CacheHome, "pictosync", "sources"), Waiting: s.waiting})
	if err != nil {
		return "", err
	}
	if c == nil {
		return path, nil
	}
	s.copies = append(s.copies, c)
	return c.Path, nil
}

// copyOf is the copy of what lies elsewhere or in an archive, nil for a path of this machine.
func copyOf(ctx context.Context, path string, o remote.Options) (c *remote.Copy, err error) {
	err = remote.Refuse(path)
	if remote.Is(path) {
		c, err = remote.Open(ctx, path, o)
	}
	if own, ok := errors.AsType[*remote.Error](err); ok {
		err = &convert.Error{Op: own.Op, Path: own.Address, Err: own.Bare(), Advice: own.Advice}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// close lets go of the copies of what lies elsewhere.
func (s *sourceSettings) close() {
	for _, c := range s.copies {
		c.Close()
	}
	s.copies = nil
}

func (s *sourceSettings) openHere(ctx context.Context, path string) (convert.Source, error) {
	src, err := formats.OpenAs(ctx, path, s.from, s.options)
	if err == nil {
		err = s.checkFlags(src.Describe().Format)
	}
	if err != nil {
		return nil, err
	}
	src = source.WithRenames(src, s.renames, s.options.Report)
	if s.classes == nil {
		return src, nil
	}
	return convert.WithClassMap(src, s.classes, s.text, s.options.Report), nil
}

// checkFlags refuses flags for sources of another format than the one that was opened.
func (s *sourceSettings) checkFlags(opened string) error {
	format, err := formats.Named(opened)
	if err != nil || format.Mixed {
		return nil
	}
	if f, of := s.own.ofAnother(opened); f != nil {
		return usagef("read --%s: it says how %s is read, and the source is %s; leave it out", f.Name, of.About, format.About)
	}
	return nil
}

// classes reads the class map, nil if there is none.
func (o sourceOptions) classes() (*convert.ClassMap, []byte, error) {
	if o.classMap == "" {
		return nil, nil, nil
	}
	text, err := source.ReadSmall(o.classMap)
	if err != nil {
		return nil, nil, usagef("read the class map %s: %w", o.classMap, err)
	}
	classes, err := convert.ParseClassMap(text)
	if err != nil {
		return nil, nil, usagef("read the class map %s: %w", o.classMap, err)
	}
	return classes, text, nil
}

// collector gathers what a source reports about itself.
type collector struct {
	mu       sync.Mutex
	findings []convert.Finding
	globs    *source.Globs // that the source was narrowed down with
}

// finish gathers what shows at the end alone.
func (c *collector) finish() {
	for _, f := range c.globs.Unused() {
		c.add(f)
	}
}

func (c *collector) add(f convert.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.findings = append(c.findings, f)
}

// take returns what was gathered and begins anew.
func (c *collector) take() []convert.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.findings
	c.findings = nil
	return taken
}

// teller tells what a source reports about itself while it is worked on, so that it does
// not pile up, and counts it. It is used by one goroutine.
type teller struct {
	from     *collector
	tell     func(convert.Finding)
	accepted convert.Accepted

	told  int
	lost  int // of these, those that are not accepted and in no image
	kinds map[string]int
}

// drain tells what was reported since it was last called.
func (t *teller) drain() {
	for _, f := range t.from.take() {
		t.tell(f)
		if t.kinds == nil {
			t.kinds = make(map[string]int)
		}
		t.told++
		t.kinds[string(f.Kind)]++
		if f.Image == "" && t.accepted.Refuses(f.Kind) {
			t.lost++
		}
	}
}

// with is a function that is told progress, and has the teller keep up with it.
func (t *teller) with(show func(progress.Progress)) func(progress.Progress) {
	return func(p progress.Progress) {
		t.drain()
		show(p)
	}
}

// oneOf refuses a value that is none of those that a flag takes.
func oneOf(flag, value string) error {
	values := choices()[flag]
	if slices.Contains(values, value) {
		return nil
	}
	return usagef("read --%s: %q must be one of: %s", flag, value, strings.Join(values, ", "))
}

// orList is a list of words with an or: a, b or c.
func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// accepted is what the images may lose and be taken all the same.
func (o sourceOptions) accepted() (convert.Accepted, error) {
	a, err := convert.ParseAccepted(o.allow)
	if err != nil {
		return a, usagef("read --allow: %w", err)
	}
	a.Strict = o.strict
	return a, nil
}

// What a command is given, and what to give where it is not.
const (
	aSource = "source: give a COCO file or a folder of them, a YOLO folder, a manifest, or canonical JSON Lines"
	aRun    = "run: give its id, the beginning or end of one, or last"
	aBackup = "backup: give the folder of an export"
)

// one takes one argument.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		thing, _, _ := strings.Cut(what, ":")
		switch len(args) {
		case 0:
			return usagef("no %s", what)
		case 1:
			return nil
		}
		return usagef("%s takes one %s, and %d arguments were given: %s", cmd.Name(), thing, len(args), strings.Join(args, ", "))
	}
}
