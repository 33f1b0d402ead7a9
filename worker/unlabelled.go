package worker

import (
	"context"
	"hash/maphash"
	"iter"
	"path"
	"path/filepath"
	"slices"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/source"
	"pictosync/store"
)

// fileSet is a set of files, eight bytes each.
type fileSet struct {
	hashes []uint64
	sorted bool
}

var fileSeed = maphash.MakeSeed()

func (s *fileSet) add(file string) {
	s.hashes, s.sorted = append(s.hashes, fileHash(file)), false
}

func (s *fileSet) has(file string) bool {
	if !s.sorted {
		slices.Sort(s.hashes)
		s.sorted = true
	}
	_, found := slices.BinarySearch(s.hashes, fileHash(file))
	return found
}

func fileHash(file string) uint64 { return maphash.String(fileSeed, filepath.Clean(file)) }

// unlabelled is what is known of the image files of the source that no label names.
type unlabelled struct {
	named    fileSet        // the image files that labels name
	notTaken map[int64]bool // files that cannot be uploaded and were told of
	claimed  []int64        // the images that files are by their exact paths
}

// noteFiles notes the image files of items, where those that no item names are wanted.
func (p *planner) noteFiles(items []walked) {
	if p.Upload != UploadAll {
		return
	}
	for _, item := range items {
		if file := convert.ImageFile(p.src, item.Item); file != "" {
			p.named.add(file)
		}
	}
}

// eachUnlabelled does something for the images of the source that are not among those that
// labels name, as many at a time as are planned together.
func (p *planner) eachUnlabelled(ctx context.Context, named *fileSet, do func([]walked, []match) error) error {
	passed := make(map[uint64]struct{}) // folders may overlap
	for _, folder := range convert.ImageFolders(p.src) {
		for items, err := range parallel.Chunks(p.imagesIn(ctx, folder, named, passed), chunkItems) {
			if err != nil {
				return err
			}
			matches, err := p.matchItems(ctx, items)
			if err == nil {
				err = do(items, matches)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// imagesIn are the image files of a folder that are neither named nor passed already.
func (p *planner) imagesIn(ctx context.Context, folder convert.ImageFolder, named *fileSet, passed map[uint64]struct{}) iter.Seq2[walked, error] {
	rels := source.Walker{Root: folder.Path, Take: source.IsImageName, Reporter: convert.NewReporter(nil), Whatever: true}.Files(ctx, "")
	if folder.Files != nil {
		rels = folder.Files(ctx)
	}
	return func(yield func(walked, error) bool) {
		for rel, err := range rels {
			if err != nil {
				yield(walked{}, err)
				return
			}
			file := filepath.Join(folder.Path, filepath.FromSlash(rel))
			if _, met := passed[fileHash(file)]; met || named.has(file) {
				continue
			}
			passed[fileHash(file)] = struct{}{}
			if image := folder.Name(rel); p.Globs.Takes(image, rel) && !yield(walked{Item: convert.Item{Image: image, File: file}, picture: file, splits: folder.Splits}, nil) {
				return
			}
		}
	}
}

// planUnlabelled plans the upload of the source's images that no label names and that the
// dataset lacks.
func (p *planner) planUnlabelled(ctx context.Context) error {
	return p.eachUnlabelled(ctx, &p.named, func(items []walked, matches []match) error {
		return p.planUnlabelledChunk(ctx, items, matches)
	})
}

func (p *planner) planUnlabelledChunk(ctx context.Context, items []walked, matches []match) error {
	var found []convert.Finding
	for n, m := range matches {
		switch {
		case m.plan == "" && m.closeness >= closeByPath && m.other == "":
			p.claimed = append(p.claimed, m.image.Ref)
		case m.archived:
			found = append(found, convert.Finding{Kind: convert.KindArchived, File: p.files().Name(items[n].File), Image: items[n].Image, Path: path.Join(p.matcher.into, items[n].Image), Reason: m.reason, Action: "its file was left alone"})
		}
	}
	if len(found) > 0 {
		if err := p.store.AddPlan(ctx, p.record.ID, store.PlanChunk{Findings: p.report(0, found...)}); err != nil {
			return err
		}
	}
	var uploads []store.Upload
	for u, err := range parallel.Map(ctx, p.Convert, matched(items, matches), p.uploadOf) {
		if err != nil {
			return err
		}
		if u != nil {
			uploads = append(uploads, *u)
		}
	}
	if len(uploads) == 0 {
		return nil
	}
	return p.store.AddUploads(ctx, p.record.ID, uploads)
}

// uploadOf is the upload of an image that no label names, or why there can be none; nil where
// the dataset has it.
func (p *planner) uploadOf(ctx context.Context, i matchedItem) (*store.Upload, error) {
	as := path.Join(p.matcher.into, i.Image)
	near, reason, same := i.near, "", ""
	switch {
	case i.other != "":
		reason = i.other
	case i.plan == store.PlanAmbiguous:
		reason = i.reason
	case i.archived, i.plan == "" && i.closeness >= closeByPath: // it is there
		return nil, nil
	case i.plan == "": // unless that is another's
		near = i.image.Ref
		if i.same {
			same = i.image.ID
		}
	}
	if reason != "" {
		return &store.Upload{Path: as, File: i.File, Error: reason}, nil
	}
	u, err := p.fileOf(ctx, i.File, as)
	if err != nil {
		u = &store.Upload{Path: as, File: i.File, Error: "its file cannot be uploaded: " + err.Error()}
	}
	u.Near, u.ImageID = near, same
	return u, nil
}
