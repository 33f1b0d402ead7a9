package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"sync/atomic"
)

// WithClassMap is a source whose classes a class map renames and drops; text is
// what the map was read from. Keys that no class has are reported by Finish.
func WithClassMap(src Source, m *ClassMap, text []byte, report func(Finding)) Source {
	sum := sha256.Sum256(text)
	fits := make(map[string]*atomic.Bool)
	for _, key := range m.Keys() {
		fits[key] = new(atomic.Bool)
	}
	return mapped{src, m, hex.EncodeToString(sum[:8]), NewReporter(report), fits}
}

type mapped struct {
	Source
	classes  *ClassMap
	print    string
	reporter *Reporter
	fits     map[string]*atomic.Bool // keys of the map
}

func (m mapped) Finish() {
	Finish(m.Source)
	for _, class := range m.Source.Describe().Defined {
		m.note(class)
	}
	for _, key := range m.classes.Keys() {
		if !m.fits[key].Load() {
			m.reporter.Report(Finding{Kind: KindClassMap, Cause: key, Reason: fmt.Sprintf("the class map names %q, and no class of the source has that name", key), Action: "nothing was mapped by it"})
		}
	}
}

// note notes which keys of the map a class has use for.
func (m mapped) note(class string) {
	if key, fits := m.classes.Key(class); fits && !m.fits[key].Load() {
		m.fits[key].Store(true)
	}
}

func (m mapped) Describe() Description {
	d := m.Source.Describe()
	d.Fingerprint += " " + m.print
	d.Classes = nil // those that are needed come with the images, mapped
	return d
}

// Items are those of the source; what is empty may be so because of the map, and
// is no longer explicit.
func (m mapped) Items(ctx context.Context, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range m.Source.Items(ctx, after) {
			item.Explicit = false
			if !yield(item, err) {
				return
			}
		}
	}
}

func (m mapped) Hold() (release func()) { return Hold(m.Source) }

func (m mapped) LeftOut() Count { return LeftOut(m.Source) }

func (m mapped) Load(ctx context.Context, item Item, listed Size) (Result, error) {
	result, err := m.Source.Load(ctx, item, listed)
	for _, c := range result.Classes { // those of all its annotations
		m.note(c.Name)
		if c.Skeleton != nil {
			for _, keypoint := range c.Skeleton.Nodes {
				m.note(keypoint.Name)
			}
		}
	}
	for _, a := range result.Annotations {
		if class, told := a.Attributes[InstanceClass].(string); told {
			m.note(class)
		}
	}
	if err == nil {
		m.classes.Apply(&result, item.File, item.Image)
	}
	return result, err
}

func (m mapped) ImageFile(item Item) string { return ImageFile(m.Source, item) }

func (m mapped) ImageFolders() []ImageFolder { return ImageFolders(m.Source) }

func (m mapped) SplitsOf(item Item) []string { return SplitsOf(m.Source, item) }

func (m mapped) ImageSum(item Item) string { return ImageSum(m.Source, item) }

func (m mapped) Unchanged() bool {
	whole, ok := m.Source.(FileBacked)
	return ok && whole.Unchanged()
}
