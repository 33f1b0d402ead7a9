package conversion

import (
	"context"

	"pictosync/convert"
)

// Catalog goes through a source once, so that its classes are known before the
// first image is written.
func Catalog(ctx context.Context, src convert.Source, o Options, m *convert.ClassMap) (*convert.Catalog, error) {
	c := convert.NewCatalog(m)
	o.Doing = "listing classes"
	o.OnFinding = nil // they are told when the images are written
	_, err := Run(ctx, src, o, func(image *Image) error {
		if image.Err == nil {
			c.Add(image.Result)
			c.AddName(image.Item.Image, convert.SplitsOf(src, image.Item))
		}
		return nil
	})
	return c, err
}
