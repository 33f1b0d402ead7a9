package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"

	"pictosync/convert"
)

// WithClassMap is a source whose classes a class map renames and drops; text is
// what the map was read from.
func WithClassMap(src Source, m *convert.ClassMap, text []byte) Source {
	sum := sha256.Sum256(text)
	return mapped{src, m, hex.EncodeToString(sum[:8])}
}

type mapped struct {
	Source
	classes *convert.ClassMap
	print   string
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

// LeftOut is that of the source.
func (m mapped) LeftOut() Count { return LeftOut(m.Source) }

func (m mapped) hold() (release func()) { return Hold(m.Source) }

func (m mapped) Load(ctx context.Context, item Item, listed convert.Size) (convert.Result, error) {
	result, err := m.Source.Load(ctx, item, listed)
	if err == nil {
		m.classes.Apply(&result, item.File, item.Image)
	}
	return result, err
}
