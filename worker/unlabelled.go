package worker

import (
	"context"
	"errors"
	"hash/maphash"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
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
		w := source.Walker{Root: folder.Path, Take: source.IsImageName, Reporter: convert.NewReporter(nil), Whatever: true}
		rels := w.Files(ctx, "")
		if folder.Files != nil {
			rels = folder.Files(ctx)
		}
		files := func(yield func(walked, error) bool) {
			for rel, err := range rels {
				file := filepath.Join(folder.Path, filepath.FromSlash(rel))
				if err != nil {
					yield(walked{}, err)
					return
				}
				_, met := passed[fileHash(file)]
				if met || named.has(file) {
					continue
				}
				passed[fileHash(file)] = struct{}{}
				if image := folder.Name(rel); p.Globs.Takes(image, rel) && !yield(walked{Item: convert.Item{Image: image, File: file}, picture: file, splits: folder.Splits}, nil) {
					return
				}
			}
		}
		for items, err := range parallel.Chunks(files, chunkItems) {
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
		if err := p.store.AddPlan(ctx, p.record.ID, store.PlanChunk{Findings: p.tell.note(0, found...)}); err != nil {
			return err
		}
	}
	var uploads []store.Upload
	for u, err := range parallel.Map(ctx, p.Convert, matched(items, matches), func(ctx context.Context, i matchedItem) (*store.Upload, error) {
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
	}) {
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

// packed reports whether image files of this kind that have as many bytes are most certainly
// the same: those that are not compressed are as long as their pixels are many.
func packed(file string) bool {
	switch strings.ToLower(path.Ext(file)) {
	case ".bmp", ".tif", ".tiff":
		return false
	}
	return true
}

// setSplits puts the images of the run that are in no split into those that the source has
// them in. One that is in a split stays there, whatever the source says.
func (a *applier) setSplits(ctx context.Context) (err error) {
	wanted, several, err := a.wantedSplits(ctx)
	if err == nil && several > 0 {
		err = a.store.AddPlan(ctx, a.record.ID, store.PlanChunk{Findings: a.tell.note(0, convert.Finding{Kind: convert.KindSplitNotSet, Count: several, Reason: "the source has the image in more than one split, and the service has it in one", Action: "its split was left as it is"})})
	}
	if err != nil || len(wanted) == 0 {
		return err
	}
	type put struct {
		id, path, split string
	}
	var puts []put
	err = a.Persist(func(context.Context) error {
		puts = nil
		for page, err := range a.Client.ImagePages(ctx, a.Ref.ID, pictograph.ImageFilter{}) {
			if err != nil {
				return err
			}
			for _, i := range page {
				if split := wanted[i.ID]; split != "" && i.Split == "" {
					puts = append(puts, put{i.ID, i.Path(), split})
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.Tracker.Begin("setting splits", len(puts))
	done := 0
	defer func() {
		noted := a.store.Note(context.WithoutCancel(ctx), a.record.ID, func(n *store.Notes) { n.Splits += done })
		err = errors.Join(err, noted)
	}()
	for set, setErr := range parallel.Map(ctx, a.Concurrency, parallel.Each(puts), func(ctx context.Context, p put) (set bool, err error) {
		if a.Stopping.Err() != nil {
			return false, context.Cause(a.Stopping)
		}
		err = a.Persist(func(context.Context) error {
			return a.Client.SetSplit(ctx, pictograph.ImageRef{ID: p.id, Dataset: a.Ref.ID, Path: p.path}, p.split)
		})
		set = err == nil
		switch {
		case errors.Is(err, pictograph.ErrNotFound):
			err = nil // it is gone since
		case errors.Is(err, pictograph.ErrInvalid), errors.Is(err, pictograph.ErrConflict):
			a.Log.Warn().Str("image", p.path).Err(err).Msg("the split of an image was not set")
			err = a.store.AddPlan(ctx, a.record.ID, store.PlanChunk{Findings: a.tell.note(0, convert.Finding{Kind: convert.KindSplitNotSet, Image: p.path, Path: p.path, Reason: err.Error(), Action: "its split was left as it is"})})
		}
		a.Tracker.Add(1, 0)
		return set, err
	}) {
		if setErr != nil {
			return setErr
		}
		if set {
			done++
		}
	}
	return nil
}

// wantedSplits are the splits that the source has images in, by their ids; several counts those
// that it has in more than one.
func (a *applier) wantedSplits(ctx context.Context) (wanted map[string]string, several int, err error) {
	of := func(item convert.Item, says []string) string {
		if len(says) > 1 {
			several++
		}
		return splitOf(item, says)
	}
	bySource := make(map[string]string)
	var named fileSet
	for item, err := range a.src.Items(ctx, "") {
		if err != nil {
			return nil, 0, err
		}
		if split := of(item, convert.SplitsOf(a.src, item)); split != "" {
			bySource[item.Image] = split
		}
		if file := convert.ImageFile(a.src, item); file != "" && a.Upload == UploadAll {
			named.add(file)
		}
	}
	wanted = make(map[string]string)
	for i, err := range a.store.Items(ctx, a.record.ID) {
		if err != nil {
			return nil, 0, err
		}
		if split := bySource[i.Image]; split != "" && i.ImageID != "" && i.Outcome != store.ItemFailed {
			wanted[i.ImageID] = split
		}
	}
	if a.Upload != UploadAll {
		return wanted, several, nil
	}
	byFile := make(map[string]string) // of what no label names
	err = a.eachUnlabelled(ctx, &named, func(items []walked, matches []match) error {
		for n, m := range matches {
			says := items[n].splits
			if len(says) == 0 {
				says = convert.SplitsOf(a.src, items[n].Item)
			}
			split := of(items[n].Item, says)
			if split == "" {
				continue
			}
			if byFile[items[n].File] = split; m.plan == "" && m.closeness >= closeByPath && wanted[m.image.ID] == "" {
				wanted[m.image.ID] = split
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	for u, err := range a.store.Uploads(ctx, a.record.ID, store.UploadDone, store.UploadThere) {
		if err != nil {
			return nil, 0, err
		}
		if split := byFile[u.File]; u.Item == 0 && split != "" {
			wanted[u.ImageID] = split
		}
	}
	return wanted, several, nil
}

// splitOf is the one split that an image is in: as its source says, or, where it does not say, by
// a folder of its path.
func splitOf(item convert.Item, says []string) (split string) {
	if len(says) > 1 || slices.Contains(says, convert.NoSplit) {
		return ""
	}
	for _, name := range says {
		split = source.SplitOf(name).Common()
	}
	for _, one := range pathsOf(item) {
		if split == "" {
			split = splitOfPath(one)
		}
	}
	return split
}

// splitOfPath is the split that a folder of a path is for, the innermost.
func splitOfPath(p string) string {
	_, split := bare(strings.Split(p, "/"))
	return split.Common()
}
