package convert

// Count counts images, as entries or label files of a source, and annotations.
type Count struct{ Images, Annotations int }

// Counter is a source that knows what it read and has in no item: entries and
// annotations that name no image, and what --include and --exclude leave out.
type Counter interface {
	// LeftOut is known when the items were walked.
	LeftOut() Count
}

// LeftOut is what a source read and has in no item, as far as it knows.
func LeftOut(src Source) Count {
	if c, ok := src.(Counter); ok {
		return c.LeftOut()
	}
	return Count{}
}
