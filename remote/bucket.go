//go:build !nocloud

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
	"gocloud.dev/gcerrors"

	"pictosync/internal/parallel"
)

// credentials say where a cloud's own tools find them.
var credentials = map[string]string{
	"s3":     "credentials are found as the aws command finds them: AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws, or the machine's role; the region too (AWS_REGION)",
	"gs":     "credentials are found as Google's libraries find them: `gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
	"azblob": "the account is AZURE_STORAGE_ACCOUNT; credentials are AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, or `az login`",
}

// bucketTree is a folder of a bucket.
type bucketTree struct {
	bucket *blob.Bucket
	prefix string // ends with a slash, or is ""
}

func openBucket(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	root := *u
	root.Path, root.RawPath = "", ""
	return blob.OpenBucket(ctx, root.String())
}

// fromBucket reads a folder of a bucket, or a single object.
func (c *Copy) fromBucket(ctx context.Context, u *url.URL) error {
	b, err := openBucket(ctx, u)
	if err == nil {
		err = c.fromOpenBucket(ctx, b, strings.TrimPrefix(u.Path, "/"))
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if own := (*Error)(nil); errors.As(err, &own) {
		return err
	}
	advice := ""
	switch gcerrors.Code(err) {
	case gcerrors.PermissionDenied, gcerrors.Unknown, gcerrors.InvalidArgument, gcerrors.FailedPrecondition:
		advice = credentials[u.Scheme]
	}
	return &Error{Op: "read", Address: c.Address, Err: err, Advice: advice}
}

func (c *Copy) fromOpenBucket(ctx context.Context, b *blob.Bucket, key string) error {
	if key != "" && !strings.HasSuffix(key, "/") {
		attributes, err := b.Attributes(ctx, key)
		if err == nil {
			defer b.Close()
			return c.fromObject(ctx, b, key, attributes)
		}
		if gcerrors.Code(err) != gcerrors.NotFound {
			return errors.Join(err, b.Close())
		}
		key += "/"
	}
	if err := c.update(ctx, &bucketTree{b, key}); err != nil {
		return err
	}
	c.Path = enter(c.root)
	return nil
}

// fromObject reads a single object: labels, or an archive.
func (c *Copy) fromObject(ctx context.Context, b *blob.Bucket, key string, a *blob.Attributes) error {
	name := baseName(key)
	if !isArchive(name) && partOf(name) != whole {
		return &Error{Op: "read", Address: c.Address, Err: errors.New("it is an object that ends like no archive and no label file"), Advice: "give a folder, a .zip, .tar.gz, .json or .jsonl"}
	}
	v := version{Size: a.Size, Stamp: strings.Join(strings.Fields(a.ETag+" "+stampOf(a.ModTime.Unix(), a.MD5)), " ")}
	file, there, err := c.downloaded(name, v)
	if err != nil {
		return err
	}
	if there {
		c.Kept++
	} else if err := c.download(ctx, file, v, func(offset int64) (io.ReadCloser, error) {
		r, err := b.NewRangeReader(ctx, key, offset, -1, nil)
		if err != nil {
			return nil, err
		}
		if r.ModTime().Unix() != a.ModTime.Unix() || r.Size() != a.Size {
			r.Close()
			return nil, errors.New("the object changed while it was downloaded; run again")
		}
		return r, nil
	}); err != nil {
		return err
	}
	return c.single(ctx, file)
}

func stampOf(modified int64, md5 []byte) string { return fmt.Sprintf("%d %x", modified, md5) }

const (
	// listings is how many folders are listed at the same time.
	listings = 16
	// mostFolders is how many folders are listed each by itself. Where there are more, those
	// that are left are listed together with what lies below them, which takes fewer requests.
	mostFolders = 256
)

// listing is how far a folder is listed.
type listing struct {
	prefix string // ends with a slash, or is ""
	token  []byte // of the page that is next
	below  bool   // with all that lies below it
}

// listed is a page of a listing.
type listed struct {
	objects []object
	folders []string // their prefixes
	next    []byte   // the token of the page behind it; empty where there is none
}

// list lists folders side by side, a page of each at a time.
func (t *bucketTree) list(ctx context.Context) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		folders := 1
		for open := []listing{{prefix: t.prefix, token: blob.FirstPageToken}}; len(open) > 0; {
			var next []listing
			n := -1
			for page, err := range parallel.Map(ctx, listings, parallel.Each(open), t.page) {
				if err != nil {
					yield(object{}, err)
					return
				}
				n++
				l := open[n]
				if folders+len(page.folders) > mostFolders && bytes.Equal(l.token, blob.FirstPageToken) && !l.below {
					l.below = true
					next = append(next, l)
					continue
				}
				for _, o := range page.objects {
					if !yield(o, nil) {
						return
					}
				}
				for _, prefix := range page.folders {
					folders++
					next = append(next, listing{prefix: prefix, token: blob.FirstPageToken, below: folders > mostFolders})
				}
				if l.token = page.next; len(page.next) > 0 {
					next = append(next, l)
				}
			}
			open = next
		}
	}
}

// page asks for one page of a listing.
func (t *bucketTree) page(ctx context.Context, l listing) (p listed, err error) {
	options := &blob.ListOptions{Prefix: l.prefix, Delimiter: "/"}
	if l.below {
		options.Delimiter = ""
	}
	found, next, err := t.bucket.ListPage(ctx, l.token, 1000, options)
	if err != nil {
		return p, err
	}
	for _, o := range found {
		name := strings.TrimPrefix(o.Key, t.prefix)
		switch {
		case o.IsDir:
			p.folders = append(p.folders, o.Key)
		case name == "" || strings.HasSuffix(name, "/"): // what stands for a folder
		default:
			p.objects = append(p.objects, object{name, o.Size, stampOf(o.ModTime.Unix(), o.MD5)})
		}
	}
	p.next = next
	return p, nil
}

func (t *bucketTree) open(ctx context.Context, o object, limit int64) (io.ReadCloser, error) {
	if limit <= 0 {
		limit = -1
	}
	r, err := t.bucket.NewRangeReader(ctx, t.prefix+o.Path, 0, limit, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, errOther
	}
	if err != nil {
		return nil, err
	}
	if modified, _, _ := strings.Cut(o.Stamp, " "); r.Size() != o.Size || fmt.Sprint(r.ModTime().Unix()) != modified {
		r.Close()
		return nil, errOther
	}
	return r, nil
}

func (t *bucketTree) close() error { return t.bucket.Close() }
