package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"pictosync/convert"
)

// Rename is a rule that renames the images of a source.
type Rename struct {
	rule        string
	pattern     *regexp.Regexp
	replacement string
	fits        atomic.Int64 // names so far
}

// ParseRename reads a rule, REGEX=>REPLACEMENT.
func ParseRename(rule string) (*Rename, error) {
	pattern, replacement, found := strings.Cut(rule, "=>")
	if !found {
		return nil, fmt.Errorf("%q must be REGEX=>REPLACEMENT, as '^[0-9a-f]{8}-=>'", rule)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", rule, err)
	}
	if name := missingGroup(compiled, replacement); name != "" {
		advice := fmt.Sprintf("its groups are counted from 1 to %d", compiled.NumSubexp())
		if compiled.NumSubexp() == 0 {
			advice = "it has no groups, which stand in parentheses"
		}
		if digits := strings.TrimRightFunc(name, func(r rune) bool { return r < '0' || r > '9' }); digits != name && digits != "" {
			advice = "a name behind $ ends with its last letter, digit or _, so a group is set apart from them as ${1}"
		}
		return nil, fmt.Errorf("%q: the replacement has the group %s, which the REGEX does not have; %s", rule, name, advice)
	}
	return &Rename{rule: rule, pattern: compiled, replacement: replacement}, nil
}

// groupReference is what stands for a group in a replacement.
var groupReference = regexp.MustCompile(`\$(?:\$|(\w+)|\{(\w+)\})`)

// missingGroup is a group that a replacement has and its pattern does not, which would be replaced
// by nothing; "" where there is none.
func missingGroup(pattern *regexp.Regexp, replacement string) string {
	for _, found := range groupReference.FindAllStringSubmatch(replacement, -1) {
		name := found[1] + found[2]
		if number, err := strconv.Atoi(name); name != "" && (err != nil || number > pattern.NumSubexp()) && pattern.SubexpIndex(name) < 0 {
			return name
		}
	}
	return ""
}

func (r *Rename) apply(name string) string {
	renamed := r.pattern.ReplaceAllString(name, r.replacement)
	if renamed != name {
		r.fits.Add(1)
	}
	return renamed
}

// WithRenames is a source whose images are renamed by rules, one after the other, before
// they are matched. A rule that fits no image of a whole walk is reported.
func WithRenames(src convert.Source, rules []*Rename, report func(convert.Finding)) convert.Source {
	if len(rules) == 0 {
		return src
	}
	h := sha256.New()
	for _, r := range rules {
		fmt.Fprintf(h, "%q", r.rule)
	}
	return &renamed{Source: src, rules: rules, reporter: convert.NewReporter(report), print: hex.EncodeToString(h.Sum(nil)[:8])}
}

type renamed struct {
	convert.Source
	rules    []*Rename
	reporter *convert.Reporter
	print    string

	mu sync.Mutex
	// shared are the hashes of the new names that several images have, in order; nil before
	// the source was gone through for them.
	shared []uint64
}

func (r *renamed) Describe() convert.Description {
	d := r.Source.Describe()
	d.Fingerprint += " " + r.print
	return d
}

// Items are those of the source, each with what it was there.
func (r *renamed) Items(ctx context.Context, after string) iter.Seq2[convert.Item, error] {
	return func(yield func(convert.Item, error) bool) {
		shared, err := r.sharedNames(ctx)
		if err != nil {
			yield(convert.Item{}, err)
			return
		}
		for item, err := range r.Source.Items(ctx, after) {
			was := item
			item = r.rename(item)
			if _, twice := slices.BinarySearch(shared, nameHash(item.Image)); twice && item.Err == nil && err == nil {
				item.Err = fmt.Errorf("rename %s: another image of the source becomes %s too; change the rule so that each has a name of its own", was.Image, item.Image)
			}
			if err == nil && was.Err == nil && item.Err != nil && item.Annotations == 0 {
				item.Annotations = r.annotations(ctx, was)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
		if after != "" {
			return
		}
		for _, rule := range r.rules {
			if rule.fits.Load() == 0 {
				r.reporter.Report(convert.Finding{Kind: convert.KindRename, Cause: rule.rule, Reason: fmt.Sprintf("the rule %q fits no image", rule.rule), Action: "nothing was renamed by it"})
			}
		}
	}
}

// annotations counts those of an image that is not taken for its name.
func (r *renamed) annotations(ctx context.Context, item convert.Item) int {
	result, _ := r.Source.Load(ctx, item, convert.Size{}) // what it would fail with does not matter
	defer result.Release()
	return result.Read
}

// sharedNames goes through the source for the new names that several of its images have.
func (r *renamed) sharedNames(ctx context.Context) ([]uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared != nil {
		return r.shared, nil
	}
	var names []uint64
	for item, err := range r.Source.Items(ctx, "") {
		if err != nil {
			return nil, err
		}
		names = append(names, nameHash(r.rename(item).Image))
	}
	slices.Sort(names)
	r.shared = make([]uint64, 0)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			r.shared = append(r.shared, names[i])
		}
	}
	return r.shared, nil
}

var nameSeed = maphash.MakeSeed()

func nameHash(name string) uint64 { return maphash.String(nameSeed, name) }

func (r *renamed) rename(item convert.Item) convert.Item {
	was := item
	if item.Image = r.apply(item.Image); item.Image != was.Image {
		item.Stated = "" // the user says what it is called
		item.Stem = item.Stem && (IsImageName(was.Image) || !IsImageName(item.Image))
	}
	item.Aliases = nil
	for _, alias := range was.Aliases {
		if name := r.apply(alias); name != item.Image {
			item.Aliases = append(item.Aliases, name)
		}
	}
	if item.Err == nil {
		clean, err := CleanImagePath(item.Image)
		if err != nil {
			item.Err = fmt.Errorf("rename %s: the new name %w", was.Image, err)
		} else {
			item.Image = clean
		}
	}
	item.Place = renamedPlace{was}
	return item
}

func (r *renamed) apply(name string) string {
	for _, rule := range r.rules {
		name = rule.apply(name)
	}
	return name
}

// renamedPlace is an item as the source itself names it.
type renamedPlace struct{ item convert.Item }

// UnrenamedItem is an item as the source that read it names it.
func UnrenamedItem(item convert.Item) convert.Item {
	if place, ok := item.Place.(renamedPlace); ok {
		return place.item
	}
	return item
}

func (r *renamed) Hold() (release func()) { return convert.Hold(r.Source) }

func (r *renamed) LeftOut() convert.Count { return convert.LeftOut(r.Source) }

func (r *renamed) Finish() { convert.Finish(r.Source) }

func (r *renamed) Load(ctx context.Context, item convert.Item, listed convert.Size) (convert.Result, error) {
	result, err := r.Source.Load(ctx, UnrenamedItem(item), listed)
	for i := range result.Findings {
		result.Findings[i].Image = item.Image
	}
	return result, err
}

func (r *renamed) Size(item convert.Item) convert.Size { return r.Source.Size(UnrenamedItem(item)) }

func (r *renamed) ImageFile(item convert.Item) string {
	return convert.ImageFile(r.Source, UnrenamedItem(item))
}

// ImageFolders are those of the source, whose images are renamed.
func (r *renamed) ImageFolders() []convert.ImageFolder {
	folders := convert.ImageFolders(r.Source)
	for n, f := range folders {
		folders[n].Name = func(rel string) string { return r.apply(f.Name(rel)) }
	}
	return folders
}

func (r *renamed) SplitsOf(item convert.Item) []string {
	return convert.SplitsOf(r.Source, UnrenamedItem(item))
}

func (r *renamed) ImageSum(item convert.Item) string {
	return convert.ImageSum(r.Source, UnrenamedItem(item))
}

func (r *renamed) Unchanged() bool {
	whole, ok := r.Source.(convert.FileBacked)
	return ok && whole.Unchanged()
}

// Unrenamed is a source without the rules that rename its images.
func Unrenamed(src convert.Source) convert.Source {
	if r, ok := src.(*renamed); ok {
		return r.Source
	}
	return src
}
