package pictograph

import (
	"context"
	"slices"
)

// FirstPage is the first page of a dataset's images, asked for together with the
// dataset itself: that spares the wait for one of the two.
type FirstPage struct {
	cancel   context.CancelFunc
	answered chan struct{} // closed when the answer is there
	answer   pageAnswer
}

// AskFirstPage asks for the first page of a listing, for [Client.ImagePagesAhead], and
// does not wait for it. Who asks for a page closes it, whether it was used or not.
func (c *Client) AskFirstPage(ctx context.Context, dataset string, f ImageFilter) *FirstPage {
	ctx, cancel := context.WithCancel(ctx)
	p := &FirstPage{cancel: cancel, answered: make(chan struct{})}
	go func() {
		defer close(p.answered)
		p.answer.page, p.answer.err = pageAt[Image](ctx, c, listImages(dataset), imagesPath, f.query(dataset), 0, nil)
	}()
	return p
}

// Close gives a page up where it has not come. A nil page can be closed too.
func (p *FirstPage) Close() {
	if p == nil {
		return
	}
	p.cancel()
	<-p.answered
}

// of waits for a page and tells whether it is one of a dataset, by id, that is expected
// to have a number of images. One that did not come is not, nor is what a name stood for
// that means another dataset since.
func (p *FirstPage) of(ctx context.Context, dataset string, expected int) (pageAnswer, bool) {
	if p == nil {
		return pageAnswer{}, false
	}
	select {
	case <-p.answered:
	case <-ctx.Done():
		return pageAnswer{err: context.Cause(ctx)}, true
	}
	images := p.answer.page.Data
	other := slices.ContainsFunc(images, func(i Image) bool { return i.DatasetID != dataset })
	return p.answer, p.answer.err == nil && !other && (len(images) > 0 || expected == 0)
}
