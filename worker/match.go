package worker

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"path"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
	"pictosync/upload"
)

// Matching is how the images of a source are found in the dataset.
type Matching string

// Ways of matching. The zero value is MatchPath.
const (
	// MatchExact takes the service's id, where the source has it, or the same path.
	MatchExact Matching = "exact"
	// MatchPath takes also a path that is the ending of the other, the folders of the
	// layout left aside: see agreement.
	MatchPath Matching = "path"
	// MatchName takes also an image of the same file name, or the same name without
	// extension, in whatever folder.
	MatchName Matching = "name"
)

// match is the image of the dataset that an item means, or why there is none.
type match struct {
	image     store.Image
	closeness int        // of its name
	plan      store.Plan // PlanUnmatched or PlanAmbiguous where there is no image
	reason    string
	// Of one that is unmatched: an image that it may be all the same, by number, and whether
	// its path is that of an archived image.
	near     int64
	archived bool
	// other is why the file at hand is not the image of its path, "" where it may be; same says
	// that it has as many bytes, as no other file of its kind has by chance.
	other string
	same  bool
}

// How closely items fit their images: the others by the components that their paths
// share.
const (
	closeByID   = 1 << 20
	closeByPath = 1 << 19
)

// matcher finds the images of the dataset that the items of a source mean.
type matcher struct {
	*run
	how     Matching
	into    string // the folder of the dataset that the source's images are in, "" for the root
	uploads bool   // images that the dataset lacks are uploaded

	loose      looseNames // nil before it is wanted
	nearMisses int        // names gone through to find some
	asked      int        // archived images that were asked for
	// away are the paths of all archived images, by their names without extension; nil before
	// they are listed.
	away map[string][]string
}

// match finds the images of a chunk of items: by the service's id where the source gives it,
// else by path, else, as far as is allowed, by the closest image. Where two are equally close,
// none is taken.
func (f *matcher) match(ctx context.Context, items []walked) ([]match, error) {
	byID, byPath, err := f.lookUp(ctx, items)
	if err != nil {
		return nil, err
	}
	matches := make([]match, len(items))
	var unmatched []int
	for i, item := range items {
		if item.Err != nil {
			continue
		}
		if matches[i], err = f.matchItem(ctx, item.Item, byID, byPath); err != nil {
			return nil, err
		}
		if matches[i].plan == store.PlanUnmatched {
			unmatched = append(unmatched, i)
		}
	}
	if unmatched, err = f.matchUploaded(ctx, items, matches, unmatched); err != nil {
		return nil, err
	}
	return matches, f.nameNearMisses(ctx, items, matches, unmatched)
}

// lookUp fetches, in one query each, what most items are found by.
func (f *matcher) lookUp(ctx context.Context, items []walked) (byID map[string]store.Image, byPath map[string][]store.Image, err error) {
	var ids, paths []string
	for _, item := range items {
		if item.ImageID != "" {
			ids = append(ids, item.ImageID)
		}
		if !mayBeWhole(item.Item) {
			continue
		}
		for _, one := range f.placesOf(item.Item) {
			paths = append(paths, forms(one)...)
		}
	}
	byID, byPath = make(map[string]store.Image), make(map[string][]store.Image)
	images, err := f.store.ImagesByID(ctx, f.Ref, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range images {
		byID[i.ID] = i
	}
	if images, err = f.store.ImagesByPath(ctx, f.Ref, paths); err != nil {
		return nil, nil, err
	}
	for _, i := range images {
		name := composed(i.Path)
		if !slices.ContainsFunc(byPath[name], func(o store.Image) bool { return o.Ref == i.Ref }) {
			byPath[name] = append(byPath[name], i)
		}
	}
	return byID, byPath, nil
}

// mayBeWhole reports whether an item's image may have the very name that the item gives.
func mayBeWhole(item convert.Item) bool { return !item.Stem || source.IsImageName(item.Image) }

// pathsOf are the paths that an item's image may have.
func pathsOf(item convert.Item) []string { return append([]string{item.Image}, item.Aliases...) }

// placesOf are the paths that an item's image may have in the dataset.
func (f *matcher) placesOf(item convert.Item) []string {
	paths := pathsOf(item)
	for n := range paths {
		paths[n] = path.Join(f.into, paths[n])
	}
	return paths
}

// below is an image's path from the folder on that the source's images are in; ok is false
// for one that lies elsewhere.
func (f *matcher) below(place string) (rest string, ok bool) {
	if f.into == "" {
		return place, true
	}
	return strings.CutPrefix(composed(place), composed(f.into)+"/")
}

func (f *matcher) matchItem(ctx context.Context, item convert.Item, byID map[string]store.Image, byPath map[string][]store.Image) (match, error) {
	none := "the dataset has no image of this name"
	if item.ImageID != "" {
		if image, ok := byID[item.ImageID]; ok {
			return match{image: image, closeness: closeByID}, nil
		}
		none = fmt.Sprintf("the dataset has no image with the id %s, and none of this name", item.ImageID)
	}
	if item.Stated != "" {
		none += fmt.Sprintf(", and the labels say that it is %s", item.Stated)
	}
	exact, err := f.exactly(ctx, item, byPath)
	if m, ok := oneOf(exact, item.Image, closeByPath); err != nil || ok {
		if err != nil || !item.Stem { // else the extension may be another's
			return m, err
		}
		return f.unlessArchived(m, item, func(there string) bool {
			return slices.ContainsFunc(pathsOf(item), func(one string) bool { return composed(one) == withoutExtension(there) })
		})
	}
	if f.how != MatchExact {
		m, ok, err := f.closest(ctx, item)
		if err != nil || ok {
			return m, err
		}
	}
	if f.how == MatchName {
		m, ok, err := f.byName(ctx, item)
		if err != nil || ok {
			return m, err
		}
	}
	return match{plan: store.PlanUnmatched, reason: none}, nil
}

// exactly are the images at an item's path.
func (f *matcher) exactly(ctx context.Context, item convert.Item, byPath map[string][]store.Image) (images []store.Image, err error) {
	add := func(more []store.Image) {
		for _, i := range more {
			if place, _ := f.below(i.Path); item.Stated != "" && agreement(composed(item.Stated), composed(place)) == 0 {
				continue
			}
			if !slices.ContainsFunc(images, func(o store.Image) bool { return o.Ref == i.Ref }) {
				images = append(images, i)
			}
		}
	}
	for _, one := range f.placesOf(item) {
		if mayBeWhole(item) {
			there := byPath[composed(one)]
			// Of those that differ in Unicode's form alone it is the one of its own: two where the
			// service shows one path twice.
			if own := withPath(there, one); len(own) > 0 {
				there = own
			}
			add(there)
		}
		if !item.Stem {
			continue
		}
		for _, form := range forms(one) {
			found, err := f.store.ImagesByPathStem(ctx, f.Ref, form)
			if err != nil {
				return nil, err
			}
			add(found)
		}
	}
	return images, nil
}

func withPath(images []store.Image, path string) (with []store.Image) {
	for _, i := range images {
		if i.Path == path {
			with = append(with, i)
		}
	}
	return with
}

// closest is the image whose path agrees best with an item's; ok is false where none
// does.
func (f *matcher) closest(ctx context.Context, item convert.Item) (m match, ok bool, err error) {
	best := 0
	var closest []store.Name
	for name, err := range f.store.Names(ctx, f.Ref, stemForms(item)...) {
		if err != nil {
			return m, false, err
		}
		there, ok := f.below(composed(name.Path))
		if !ok {
			continue
		}
		shared := closenessOf(item, there)
		switch {
		case shared == 0 || shared < best:
		case shared > best:
			best, closest = shared, append(closest[:0], name)
		case len(closest) < 3 && !slices.Contains(closest, name):
			closest = append(closest, name)
		}
	}
	if m, ok, err = f.oneNamed(ctx, closest, item.Image, best); err == nil && ok {
		m, err = f.unlessArchived(m, item, func(there string) bool { return closenessOf(item, there) >= best })
	}
	return m, ok, err
}

// closenessOf is how many components an item's path shares with one of the dataset.
func closenessOf(item convert.Item, there string) (shared int) {
	for _, one := range pathsOf(item) {
		if mayBeWhole(item) {
			shared = max(shared, agreement(composed(one), there))
		}
		if item.Stem {
			shared = max(shared, agreement(composed(one), withoutExtension(there)))
		}
	}
	if item.Stated != "" {
		shared = min(shared, 1) * agreement(composed(item.Stated), there) // of several that the name fits, the folders tell
	}
	return shared
}

// byName is the only image of an item's file name, or else of its stem.
func (f *matcher) byName(ctx context.Context, item convert.Item) (m match, ok bool, err error) {
	var named, stemmed []store.Name
	for name, err := range f.store.Names(ctx, f.Ref, stemForms(item)...) {
		if err != nil {
			return m, false, err
		}
		if _, ok := f.below(name.Path); !ok {
			continue
		}
		if len(stemmed) < 3 {
			stemmed = append(stemmed, name)
		}
		if mayBeWhole(item) && len(named) < 3 && composed(path.Base(name.Path)) == composed(path.Base(item.Image)) {
			named = append(named, name)
		}
	}
	byStem := len(named) == 0
	if byStem {
		named = stemmed
	}
	if m, ok, err = f.oneNamed(ctx, named, item.Image, 0); err == nil && ok {
		m, err = f.unlessArchived(m, item, func(there string) bool { return byStem || path.Base(there) == composed(path.Base(item.Image)) })
	}
	return m, ok, err
}

// unlessArchived is a match by name, unless an archived image fits the item as well: it may be the
// one that is meant. Of the archived ones fits is asked whose names are those of the item but for
// the extension.
func (f *matcher) unlessArchived(m match, item convert.Item, fits func(there string) bool) (match, error) {
	if m.plan != "" || f.Shown.ArchivedImageCount == 0 {
		return m, nil
	}
	if err := f.listAway(); err != nil {
		return m, err
	}
	for _, image := range f.away[stemForms(item)[0]] {
		if there, ok := f.below(composed(image)); ok && fits(there) {
			return match{plan: store.PlanAmbiguous, reason: fmt.Sprintf("an archived image of the dataset fits %s as well as %s does: %s; name the label after one of them, or use --rename", item.Image, m.image.Path, image)}, nil
		}
	}
	return m, nil
}

// stemForms are the file names without extension that an item's image may have.
func stemForms(item convert.Item) (all []string) {
	name := path.Base(item.Image)
	if item.Stem {
		all = forms(name)
	}
	if mayBeWhole(item) {
		all = append(all, forms(withoutExtension(name))...)
	}
	return all
}

// oneNamed is oneOf for images that were found by name.
func (f *matcher) oneNamed(ctx context.Context, names []store.Name, name string, closeness int) (m match, ok bool, err error) {
	if len(names) == 0 {
		return m, false, nil
	}
	var refs []int64
	for _, n := range names {
		refs = append(refs, n.Ref)
	}
	images, err := f.store.ImagesByRef(ctx, refs)
	if err != nil {
		return m, false, err
	}
	m, ok = oneOf(images, name, closeness)
	return m, ok, nil
}

// oneOf takes the only image that fits; ok is false where none does.
func oneOf(images []store.Image, name string, closeness int) (m match, ok bool) {
	switch len(images) {
	case 0:
		return match{}, false
	case 1:
		return match{image: images[0], closeness: closeness}, true
	}
	var paths []string
	for _, i := range images {
		paths = append(paths, i.Path)
	}
	slices.Sort(paths)
	return match{plan: store.PlanAmbiguous, reason: fmt.Sprintf("more than one image of the dataset fits %s: %s; name the label after one of them, or use --rename", name, strings.Join(paths, ", "))}, true
}

// looseNames finds images of the dataset by what two names have in common that may mean one
// image, sixteen bytes an image.
type looseNames []looseName

type looseName struct {
	hash uint64
	ref  int64
}

var looseSeed = maphash.MakeSeed()

// namesLike are the images of the dataset that may be near misses. Where images are uploaded,
// which is held back by a near miss, all are found; else only as many are gone through as it
// takes to help a person.
func (f *matcher) namesLike(ctx context.Context, wanted map[string][]int) iter.Seq2[store.Name, error] {
	if !f.uploads {
		return func(yield func(store.Name, error) bool) {
			for name, err := range f.store.Names(ctx, f.Ref) {
				if f.nearMisses++; f.nearMisses > maxNearMisses || !yield(name, err) || err != nil {
					return
				}
			}
		}
	}
	return func(yield func(store.Name, error) bool) {
		refs, err := f.looseRefs(ctx, wanted)
		var images []store.Image
		if err == nil && len(refs) > 0 {
			images, err = f.store.ImagesByRef(ctx, refs)
		}
		if err != nil {
			yield(store.Name{}, err)
			return
		}
		for _, i := range images {
			if !yield(store.Name{Ref: i.Ref, Path: i.Path}, nil) {
				return
			}
		}
	}
}

// looseRefs are the numbers of the images whose names are like some that are wanted.
func (f *matcher) looseRefs(ctx context.Context, wanted map[string][]int) (refs []int64, err error) {
	if f.loose == nil {
		f.loose = looseNames{}
		for name, err := range f.store.Names(ctx, f.Ref) {
			if err != nil {
				f.loose = nil
				return nil, err
			}
			f.loose = append(f.loose, looseName{maphash.String(looseSeed, loose(path.Base(name.Path))), name.Ref})
		}
		slices.SortFunc(f.loose, func(a, b looseName) int { return cmp.Compare(a.hash, b.hash) })
	}
	for name := range wanted {
		hash := maphash.String(looseSeed, name)
		n, _ := slices.BinarySearchFunc(f.loose, hash, func(l looseName, hash uint64) int { return cmp.Compare(l.hash, hash) })
		for ; n < len(f.loose) && f.loose[n].hash == hash; n++ {
			refs = append(refs, f.loose[n].ref)
		}
	}
	return refs, nil
}

const (
	// maxNearMisses bounds the names that are gone through to find near misses: enough
	// for what a person reads.
	maxNearMisses = 2_000_000
	// maxArchivedAsked bounds the images that are asked for among the archived ones, a
	// request each.
	maxArchivedAsked = 20
)

// nameNearMisses adds to the reasons of unmatched items which image of the dataset may
// be meant, and what differs. A near miss is never taken.
func (f *matcher) nameNearMisses(ctx context.Context, items []walked, matches []match, unmatched []int) error {
	if len(unmatched) == 0 {
		return nil
	}
	wanted := make(map[string][]int, len(unmatched))
	for _, i := range unmatched {
		key := loose(nameOf(items[i].Image, !mayBeWhole(items[i].Item)))
		wanted[key] = append(wanted[key], i)
	}
	found, err := f.nearMissesOf(ctx, items, wanted)
	if err != nil {
		return err
	}
	for _, i := range unmatched {
		if n, there := found[i]; there {
			f.nameNearMiss(&matches[i], n)
			continue
		}
		archived, err := f.archived(ctx, items[i].Item)
		if err != nil {
			return err
		}
		if archived != "" {
			matches[i].archived = true
			matches[i].reason = upload.Archived(archived)
		}
	}
	return nil
}

// nearMiss is an image of the dataset that an item may mean.
type nearMiss struct {
	store.Name
	differs string
	ways    int // in which it differs
}

// nearMissesOf are the nearest images of items, by their places; wanted are those by what is
// left of their names.
func (f *matcher) nearMissesOf(ctx context.Context, items []walked, wanted map[string][]int) (map[int]nearMiss, error) {
	found := make(map[int]nearMiss)
	for name, err := range f.namesLike(ctx, wanted) {
		if err != nil {
			return nil, err
		}
		below, ok := f.below(name.Path)
		if !ok {
			continue
		}
		for _, i := range wanted[loose(path.Base(name.Path))] {
			differs, ways := nearness(cmp.Or(items[i].Stated, items[i].Image), below, !mayBeWhole(items[i].Item))
			if ways == 0 { // only its folders, which agree
				differs = "--match path takes it"
			}
			if old, there := found[i]; !there || ways < old.ways {
				found[i] = nearMiss{name, differs, ways}
			}
		}
	}
	return found, nil
}

// nameNearMiss adds a near miss to the reason of an unmatched item.
func (f *matcher) nameNearMiss(m *match, n nearMiss) {
	m.reason += fmt.Sprintf("; the dataset has %s: %s", n.Path, n.differs)
	if f.how != MatchExact && !strings.Contains(n.differs, "the folder") { // in others, names are often the same
		m.near = n.Ref
	}
	if strings.Contains(n.differs, "hash") {
		m.reason += " (--rename takes it off)"
	}
}

// archived is the path of an archived image that an item agrees with, "" for none.
func (f *matcher) archived(ctx context.Context, item convert.Item) (string, error) {
	if f.Shown.ArchivedImageCount == 0 || !mayBeWhole(item) {
		return "", nil
	}
	named, err := f.archivedNamed(ctx, path.Base(item.Image))
	if err != nil {
		return "", err
	}
	for _, image := range named {
		below, ok := f.below(image)
		if !ok {
			continue
		}
		for _, one := range pathsOf(item) {
			if agreement(composed(one), composed(below)) > 0 {
				return image, nil
			}
		}
	}
	return "", nil
}

// archivedNamed are the paths of the archived images of a name. Where images are uploaded all of
// them are listed, once: the file of an archived image is not to be sent over it. Else, unless they
// are listed, a few are asked for.
func (f *matcher) archivedNamed(ctx context.Context, name string) (paths []string, err error) {
	if !f.uploads && f.away == nil {
		if f.asked++; f.asked > maxArchivedAsked {
			return nil, nil
		}
		for image, err := range f.Client.Images(ctx, f.Ref.ID, pictograph.ImageFilter{Filename: name, Archived: true}) {
			if err != nil {
				return nil, err
			}
			if image.IsArchived {
				paths = append(paths, image.Path())
			}
		}
		return paths, nil
	}
	if err := f.listAway(); err != nil {
		return nil, err
	}
	for _, image := range f.away[composed(withoutExtension(name))] {
		if path.Base(image) == name {
			paths = append(paths, image)
		}
	}
	return paths, nil
}

// listAway lists the archived images, once.
func (f *matcher) listAway() error {
	if f.away != nil {
		return nil
	}
	away := make(map[string][]string)
	err := f.eachListed(pictograph.ImageFilter{Archived: true}, func(i pictograph.Image) {
		if i.IsArchived {
			name := composed(withoutExtension(i.Filename))
			away[name] = append(away[name], i.Path())
		}
	}, func() { clear(away) })
	if err == nil {
		f.away = away
	}
	return err
}

// matchUploaded finds the images that files were uploaded as: the service may have given
// them other names. What is left is unmatched.
func (f *matcher) matchUploaded(ctx context.Context, items []walked, matches []match, unmatched []int) (left []int, err error) {
	if len(unmatched) == 0 {
		return nil, nil
	}
	var paths []string
	for _, i := range unmatched {
		paths = append(paths, path.Join(f.into, items[i].Image))
	}
	as, err := f.store.UploadedAs(ctx, f.Ref, paths)
	if err != nil || len(as) == 0 {
		return unmatched, err
	}
	var ids []string
	for _, u := range as {
		ids = append(ids, u.ImageID)
	}
	images, err := f.store.ImagesByID(ctx, f.Ref, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.Image, len(images))
	for _, i := range images {
		byID[i.ID] = i
	}
	for n, i := range unmatched {
		if image, there := byID[as[paths[n]].ImageID]; there {
			// What the service made of the file may have another size.
			image.FileSize = as[paths[n]].Size
			matches[i] = match{image: image, closeness: closeByPath}
		} else {
			left = append(left, i)
		}
	}
	return left, nil
}
