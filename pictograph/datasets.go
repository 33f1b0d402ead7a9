package pictograph

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

const (
	datasetsPath = "/api/v1/developer/datasets/"
	imagesPath   = "/api/v1/developer/images/"
)

// PageSize is how many entries a listing asks for at once, the service's cap.
const PageSize = 1000

type page[T any] struct {
	Data       []T `json:"data"`
	Pagination struct {
		HasMore bool `json:"has_more"`
	} `json:"pagination"`
}

type one[T any] struct {
	Data T `json:"data"`
}

// pages asks for one page after another while the service has more. A page may
// be short and not the last.
func pages[T any](ctx context.Context, c *Client, op, path string, query url.Values) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		for offset := 0; ; {
			p, err := pageAt[T](ctx, c, op, path, query, offset)
			if err != nil {
				yield(nil, err)
				return
			}
			offset += len(p.Data)
			if len(p.Data) > 0 && !yield(p.Data, nil) || !p.Pagination.HasMore {
				return
			}
		}
	}
}

func pageAt[T any](ctx context.Context, c *Client, op, path string, query url.Values, offset int) (p page[T], err error) {
	query.Set("limit", strconv.Itoa(PageSize))
	query.Set("offset", strconv.Itoa(offset))
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query}, &p); err != nil {
		return p, err
	}
	if p.Pagination.HasMore && len(p.Data) == 0 {
		return p, fmt.Errorf("%s: the service sent an empty page at %d and says there is more", op, offset)
	}
	return p, nil
}

// Dataset gets a dataset by its name or id.
func (c *Client) Dataset(ctx context.Context, nameOrID string) (Dataset, error) {
	var out one[Dataset]
	err := c.do(ctx, call{op: fmt.Sprintf("open dataset %q", nameOrID), method: http.MethodGet, path: datasetsPath + segment(nameOrID)}, &out)
	return out.Data, err
}

const listDatasets = "list datasets"

// Datasets yields all datasets of the key's organization.
func (c *Client) Datasets(ctx context.Context) iter.Seq2[Dataset, error] {
	return flat(pages[Dataset](ctx, c, listDatasets, datasetsPath, url.Values{}))
}

func flat[T any](pages iter.Seq2[[]T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
		}
	}
}

// NewDataset is a dataset to be made.
type NewDataset struct {
	Name            string   `json:"name"`
	Description     string   `json:"description,omitempty"`
	AnnotationTypes []string `json:"annotation_types,omitempty"`
	Classes         []Class  `json:"classes,omitempty"`
}

// CreateDataset makes a dataset; a name that is taken is an [ErrConflict].
func (c *Client) CreateDataset(ctx context.Context, d NewDataset) (Dataset, error) {
	op := fmt.Sprintf("create dataset %q", d.Name)
	body, err := marshal(op, d)
	if err != nil {
		return Dataset{}, err
	}
	var out one[Dataset]
	err = c.do(ctx, call{op: op, method: http.MethodPost, path: datasetsPath, body: body}, &out)
	return out.Data, err
}

// UpdateClasses edits a dataset's class list. base is the list as it was read;
// the service applies the difference between the two to the list as it is now,
// so that what others added meanwhile survives.
func (c *Client) UpdateClasses(ctx context.Context, dataset string, classes, base []Class) (Dataset, error) {
	op := fmt.Sprintf("edit the classes of dataset %q", dataset)
	if base == nil {
		base = []Class{} // nil would replace the list
	}
	body, err := marshal(op, map[string][]Class{"classes": classes, "classes_base": base})
	if err != nil {
		return Dataset{}, err
	}
	var out one[Dataset]
	err = c.do(ctx, call{op: op, method: http.MethodPatch, path: datasetsPath + segment(dataset), body: body}, &out)
	return out.Data, err
}

// DeleteDataset deletes a dataset with its images. It takes an admin's key.
func (c *Client) DeleteDataset(ctx context.Context, nameOrID string) error {
	return c.do(ctx, call{op: fmt.Sprintf("delete dataset %q", nameOrID), method: http.MethodDelete, path: datasetsPath + segment(nameOrID)}, nil)
}

// Path is the image's directory and file name, as "val/a.jpg".
func (i Image) Path() string {
	return strings.TrimPrefix(strings.Trim(i.DirectoryPath, "/")+"/"+i.Filename, "/")
}

// ImageFilter narrows a listing; the zero value is all images that are not
// archived.
type ImageFilter struct {
	Directory string // "/" or "/a/b"
	Filename  string
	Status    string
	Split     string
	Archived  bool // list archived images too
}

// ImagePages yields the images of a dataset, a page of at most [PageSize] for
// each request.
func (c *Client) ImagePages(ctx context.Context, dataset string, f ImageFilter) iter.Seq2[[]Image, error] {
	return pages[Image](ctx, c, listImages(dataset), imagesPath, f.query(dataset))
}

func listImages(dataset string) string { return fmt.Sprintf("list the images of dataset %q", dataset) }

// ImagePagesAhead is [Client.ImagePages] for a dataset that is expected to have a
// number of images: of the pages that they fill, as many as ahead are asked for before
// they are wanted, also while one is dealt with. They come in order all the same. A
// page that is short before the end is followed by one at a time, since those behind
// it begin elsewhere.
func (c *Client) ImagePagesAhead(ctx context.Context, dataset string, f ImageFilter, expected, ahead int) iter.Seq2[[]Image, error] {
	return func(yield func([]Image, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		p := pagesAhead{client: c, ctx: ctx, dataset: dataset, filter: f, expected: expected, ahead: max(ahead, 1)}
		defer p.asking.Wait()
		defer cancel()
		for offset := 0; ; {
			a := p.next()
			if a.err != nil {
				yield(nil, a.err)
				return
			}
			images, more := a.page.Data, a.page.Pagination.HasMore
			offset += len(images)
			if len(images) != PageSize {
				p.startAgain(offset)
			}
			if more {
				p.ask()
			}
			if len(images) > 0 && !yield(images, nil) || !more {
				return
			}
		}
	}
}

// pagesAhead asks for pages of a listing before they are wanted.
type pagesAhead struct {
	client          *Client
	ctx             context.Context
	dataset         string
	filter          ImageFilter
	expected, ahead int

	asked  []chan pageAnswer // in the order of the pages
	offset int               // of the page behind them
	asking sync.WaitGroup
}

type pageAnswer struct {
	page page[Image]
	err  error
}

// next is the page that is first in order.
func (p *pagesAhead) next() pageAnswer {
	p.ask()
	a := <-p.asked[0]
	p.asked = p.asked[1:]
	return a
}

// ask asks for as many pages as may be ahead, and for one in any case.
func (p *pagesAhead) ask() {
	for len(p.asked) == 0 || p.offset < p.expected && len(p.asked) < p.ahead {
		answer := make(chan pageAnswer, 1)
		offset := p.offset
		p.asking.Go(func() {
			page, err := pageAt[Image](p.ctx, p.client, listImages(p.dataset), imagesPath, p.filter.query(p.dataset), offset)
			answer <- pageAnswer{page, err}
		})
		p.asked = append(p.asked, answer)
		p.offset += PageSize
	}
}

// startAgain forgets what was asked for, to ask for one page at a time from an
// offset on.
func (p *pagesAhead) startAgain(offset int) {
	p.asked, p.offset, p.expected = nil, offset, 0
}

func (f ImageFilter) query(dataset string) url.Values {
	query := url.Values{"dataset": {dataset}}
	for name, value := range map[string]string{"directory_path": f.Directory, "filename": f.Filename, "status": f.Status, "split": f.Split} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Archived {
		query.Set("include_archived", "true")
	}
	return query
}

// Images yields the images of a dataset.
func (c *Client) Images(ctx context.Context, dataset string, f ImageFilter) iter.Seq2[Image, error] {
	return flat(c.ImagePages(ctx, dataset, f))
}

// Image gets an image of the organization by its id.
func (c *Client) Image(ctx context.Context, id string) (Image, error) {
	var out one[Image]
	err := c.do(ctx, call{op: "get image " + id, method: http.MethodGet, path: imagesPath + segment(id) + "/metadata"}, &out)
	return out.Data, err
}

// MaxArchive is how many images are archived, or brought back, in one call at most.
const MaxArchive = 10_000

// SetArchived archives images of a dataset, or brings them back from the archive: at most
// [MaxArchive], by their ids. failed says by id why some are not.
func (c *Client) SetArchived(ctx context.Context, datasetName string, ids []string, archived bool) (failed map[string]string, err error) {
	op := fmt.Sprintf("archive %d images of dataset %q", len(ids), datasetName)
	if !archived {
		op = fmt.Sprintf("bring %d images of dataset %q back from the archive", len(ids), datasetName)
	}
	body, err := marshal(op, map[string]any{"dataset_name": datasetName, "image_ids": ids, "updates": map[string]bool{"is_archived": archived}})
	if err != nil {
		return nil, err
	}
	var out struct {
		Failed []struct {
			ID     string `json:"id"`
			Reason string `json:"reason"`
		} `json:"failed"`
	}
	if err := c.do(ctx, call{op: op, method: http.MethodPatch, path: "/api/v1/developer/batch/images/update", body: body}, &out); err != nil {
		return nil, err
	}
	failed = make(map[string]string)
	for _, f := range out.Failed {
		failed[f.ID] = c.withoutKey(f.Reason)
	}
	return failed, nil
}
