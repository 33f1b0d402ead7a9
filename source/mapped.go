package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

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
	return d
}

func (m mapped) Load(ctx context.Context, item Item, listed convert.Size) (convert.Result, error) {
	result, err := m.Source.Load(ctx, item, listed)
	if err == nil {
		m.classes.Apply(&result, item.File, item.Image)
	}
	return result, err
}
