package dataset

import (
	"context"
	"fmt"

	"pictosync/convert"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/store"
)

// List brings the state's listing of the dataset's images up to date; meta says what of an
// image is kept with it for exports, nil for nothing. What a listing does not show is
// forgotten, so it is held against the number of images that the dataset says it has: one
// that is short is made again, and if it is short still it forgets nothing, and Short says
// why. One that was made moments ago in the same session serves, where the dataset has as many
// images still.
func (a *Access) List(meta func(pictograph.Image) []byte) error {
	if meta == nil && a.Session != nil {
		meta = a.Session.Meta
	}
	if a.Session.isListed(a.Ref, a.Shown.ImageCount, meta != nil, a.Now()) {
		a.Tracker.Expect(progress.Listing, 0)
		return nil
	}
	err := a.Persist(func(ctx context.Context) error { return a.list(ctx, meta) })
	if err == nil && a.Short == nil {
		a.Session.putListed(a.Ref, a.Shown.ImageCount, meta != nil, a.Now())
	}
	return err
}

// LockListing has this process alone work with listings until unlock is called: what is
// decided by a listing is decided by one whole listing.
func (a *Access) LockListing() (unlock func(), err error) {
	return a.store.LockListing(a.Stopping, func() {
		a.Log.Warn().Msg("another command is listing images, or decides by them; waiting for it")
	})
}

func (a *Access) list(ctx context.Context, meta func(pictograph.Image) []byte) error {
	shown, err := a.listOnce(ctx, meta)
	if err != nil || shown >= a.expectedImages() {
		return err
	}
	a.Log.Warn().Int("listed", shown).Int("expected", a.expectedImages()).Msg("the listing is short; making it again")
	d, err := a.Client.Dataset(ctx, a.Ref.ID)
	if err != nil {
		return err
	}
	a.Shown.ImageCount, a.Shown.ArchivedImageCount = d.ImageCount, d.ArchivedImageCount
	if shown, err = a.listOnce(ctx, meta); err != nil || shown >= a.expectedImages() {
		return err
	}
	a.Short = &convert.Finding{Kind: convert.KindShortListing, Reason: fmt.Sprintf("the service lists %d images, and says that the dataset has %d", shown, a.expectedImages()), Action: "the images that it did not list were not forgotten, and not looked for"}
	return nil
}

// expectedImages is how many images a listing shows at least.
func (a *Access) expectedImages() int { return a.Shown.ImageCount - a.Shown.ArchivedImageCount }

// listOnce makes a listing, and tells how many images it showed, each counted once: pages that
// overlap, as where the service sorts anew for each, lack as many as they show twice.
func (a *Access) listOnce(ctx context.Context, meta func(pictograph.Image) []byte) (shown int, err error) {
	listing, err := a.store.StartListing(ctx, a.Ref)
	if err != nil {
		return 0, err
	}
	defer listing.Close()
	if a.Missing {
		return listing.End(ctx, a.Now(), 0)
	}
	expected := a.expectedImages()
	a.Tracker.Begin("listing", expected)
	a.Tracker.Expect(progress.Listing, (expected+pictograph.PageSize-1)/pictograph.PageSize)
	entries := 0
	for page, err := range a.Client.ImagePagesAhead(ctx, a.Ref.ID, pictograph.ImageFilter{}, expected, a.Concurrency) {
		if err != nil {
			return 0, err
		}
		images := make([]store.Image, 0, len(page))
		for _, i := range page {
			image := store.Image{ID: i.ID, Path: i.Path(), Width: i.Width, Height: i.Height, AnnotationCount: i.AnnotationCount, Reviewed: i.Status == "review" || i.Status == "complete"}
			if meta != nil {
				image.Meta = meta(i)
			}
			images = append(images, image)
		}
		if err := listing.Add(ctx, images); err != nil {
			return 0, err
		}
		a.Tracker.Add(len(images), 0)
		a.Tracker.Did(progress.Listing, 1)
		if entries += len(images); entries > maxListed(a.Shown) {
			return 0, fmt.Errorf("list the images of dataset %q: the listing does not end: it has shown %d images, and the dataset has %d", a.Ref.Name, entries, a.Shown.ImageCount)
		}
	}
	return listing.End(ctx, a.Now(), expected)
}

// maxListed is how many images a listing may show before it is taken for one that never
// ends: some are uploaded meanwhile.
func maxListed(d pictograph.Dataset) int {
	return d.ImageCount + d.ArchivedImageCount + max(10*pictograph.PageSize, d.ImageCount/2)
}
