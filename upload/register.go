package upload

import (
	"context"
	"crypto/rand"
	"fmt"
	"path"
	"slices"

	"pictosync/pictograph"
	"pictosync/store"
)

// register makes images of what was put, and records what became of it. again are those
// that the service did not take and does not have; reasons says why.
func (u *Uploader) register(ctx context.Context, put []store.Upload, reasons map[int64]string) (again []store.Upload, err error) {
	if len(put) == 0 {
		return nil, nil
	}
	if u.Stopping.Err() != nil {
		return nil, context.Cause(u.Stopping)
	}
	if err := u.Store.RegisterUploads(ctx, put); err != nil {
		return nil, err
	}
	return u.registerAll(ctx, put, reasons)
}

func (u *Uploader) registerAll(ctx context.Context, put []store.Upload, reasons map[int64]string) (again []store.Upload, err error) {
	var got pictograph.Registered
	key := rand.Text() // of all its tries: what was executed is not taken for somebody else's
	err = u.Persist(func(context.Context) (err error) {
		got, err = u.Client.Register(ctx, u.Ref.ID, newImages(put), key)
		return err
	})
	switch {
	case err == nil:
		return u.answered(ctx, put, got, reasons)
	case !refusedAsAWhole(err):
		return nil, err
	case len(put) == 1:
		return nil, u.end(ctx, failures(put, func(store.Upload) string { return err.Error() }))
	}
	for _, half := range halves(put) {
		more, err := u.registerAll(ctx, half, reasons)
		if err != nil {
			return nil, err
		}
		again = append(again, more...)
	}
	return again, nil
}

// answered records what the service says of a batch. Of the images that it did not take, or
// says nothing of, the listing tells which it has.
func (u *Uploader) answered(ctx context.Context, put []store.Upload, got pictograph.Registered, reasons map[int64]string) (again []store.Upload, err error) {
	made, refused := assign(put, got)
	contradictions, err := u.contradictions(ctx, put, made)
	if err != nil {
		return nil, err
	}
	var ends []store.UploadEnd
	var open []store.Upload
	for n, up := range put {
		if wrong, ok := contradictions[n]; ok {
			ends = append(ends, failures([]store.Upload{up}, func(store.Upload) string { return wrong })...)
			continue
		}
		if i, ok := made[n]; ok {
			ends = append(ends, ended(up, i, store.UploadDone))
			continue
		}
		open = append(open, up)
		if reason, ok := refused[n]; ok {
			reasons[up.ID] = reason
		} else {
			reasons[up.ID] = "its answer passes over the image"
		}
	}
	if err := u.end(ctx, ends); err != nil || len(open) == 0 {
		return nil, err
	}
	there, err := u.lookUp(ctx, open)
	if err != nil {
		return nil, err
	}
	ends = nil
	for n, up := range open {
		i, known := there[n]
		switch {
		case !known:
			again = append(again, up)
		case i.IsArchived:
			ends = append(ends, failures([]store.Upload{up}, func(store.Upload) string {
				return Archived(i.Path())
			})...)
		case !same(up, i):
			ends = append(ends, failures([]store.Upload{up}, func(store.Upload) string {
				return fmt.Sprintf("the dataset has another image %s: %d bytes and %d×%d, and the file has %d and %d×%d; rename one of the two", i.Path(), i.FileSize, i.Width, i.Height, up.Size, up.Width, up.Height)
			})...)
		case i.AnnotationCount > 0:
			ends = append(ends, failures([]store.Upload{up}, func(store.Upload) string {
				return fmt.Sprintf("somebody else uploaded the image meanwhile, and it has %d annotations; run again", i.AnnotationCount)
			})...)
		default:
			ends = append(ends, ended(up, i, store.UploadThere))
		}
	}
	return again, u.end(ctx, ends)
}

// contradictions say of which uploads the image that the service says it made is another: labels
// would come onto other pixels, or replace somebody's.
func (u *Uploader) contradictions(ctx context.Context, put []store.Upload, made map[int]pictograph.Image) (map[int]string, error) {
	ids := make([]string, 0, len(made))
	for _, i := range made {
		ids = append(ids, i.ID)
	}
	known, err := u.Store.ImagesByID(ctx, u.Ref, ids)
	if err != nil {
		return nil, err
	}
	paths := make(map[string]string, len(known))
	for _, i := range known {
		paths[i.ID] = i.Path
	}
	found := make(map[int]string)
	for n, i := range made {
		up := put[n]
		switch path, listed := paths[i.ID]; {
		case listed && path != i.Path():
			found[n] = fmt.Sprintf("the service says that it made %s of the file, by the id that %s has; look at both there", i.Path(), path)
		case !same(up, i):
			found[n] = fmt.Sprintf("the service says that the image it made, %s, has %d bytes and %d×%d, and the file has %d and %d×%d; take it away there, and run again", i.Path(), i.FileSize, i.Width, i.Height, up.Size, up.Width, up.Height)
		}
	}
	return found, nil
}

// Archived says of an image that is archived, by its path, what keeps it from being brought.
func Archived(path string) string {
	return fmt.Sprintf("the image is archived in the dataset (%s); bring it back in the dataset's Archive tab, or with `pictosync undo RUN --uploaded` where the undo RUN archived it", path)
}

func ended(up store.Upload, i pictograph.Image, state store.UploadState) store.UploadEnd {
	up.State = state
	return store.UploadEnd{Upload: up, Image: store.Image{ID: i.ID, Path: i.Path(), Width: i.Width, Height: i.Height, AnnotationCount: i.AnnotationCount}}
}

// assign says which images were made of which uploads, by their places, and why others were
// not. An image whose path is none of those that are expected is told by its place among those
// that were taken.
func assign(put []store.Upload, got pictograph.Registered) (made map[int]pictograph.Image, refused map[int]string) {
	made, refused = make(map[int]pictograph.Image), make(map[int]string)
	byPath, byName := make(map[string]int), make(map[string][]int)
	for n, up := range put {
		byName[path.Base(up.Path)] = append(byName[path.Base(up.Path)], n)
	}
	for n := len(put) - 1; n >= 0; n-- {
		for _, p := range storedPaths(put[n])[1:] {
			byPath[p] = n
		}
	}
	for n, up := range put {
		byPath[up.Path] = n
	}
	for _, f := range got.Failed {
		n, ok := byPath[f.Path]
		if named := byName[f.Path]; !ok && len(named) == 1 {
			n, ok = named[0], true
		}
		if ok {
			refused[n] = f.Error
		}
	}
	var strange []pictograph.Image
	for _, i := range got.Succeeded {
		n, ok := byPath[i.Path()]
		_, twice := made[n]
		if _, failed := refused[n]; !ok || twice || failed {
			strange = append(strange, i)
			continue
		}
		made[n] = i
	}
	var left []int
	for n := range put {
		_, taken := made[n]
		if _, failed := refused[n]; !taken && !failed {
			left = append(left, n)
		}
	}
	if len(left) == len(strange) && len(got.Succeeded)+len(got.Failed) == len(put) {
		for at, i := range strange {
			if up := put[left[at]]; path.Dir("/"+up.Path) == path.Dir("/"+i.Path()) && same(up, i) {
				made[left[at]] = i
			}
		}
	}
	return made, refused
}

// lookUp finds the images that uploads would have become, by their places: each alone where
// they are few, and all in one listing where that takes fewer requests.
func (u *Uploader) lookUp(ctx context.Context, uploads []store.Upload) (map[int]pictograph.Image, error) {
	found := make(map[int]pictograph.Image)
	pages := (u.Shown.ImageCount+int(u.puts.Load()))/pictograph.PageSize + 1
	if len(uploads) > pages {
		wanted := make(map[string][]int)
		for n, up := range uploads {
			for _, p := range storedPaths(up) {
				wanted[p] = append(wanted[p], n)
			}
		}
		err := u.list(ctx, pictograph.ImageFilter{Archived: true}, func(i pictograph.Image) {
			for _, n := range wanted[i.Path()] {
				found[n] = i
			}
		})
		return found, err
	}
	for n, up := range uploads {
		for _, p := range storedPaths(up) {
			directory, filename := path.Split(p)
			filter := pictograph.ImageFilter{Directory: path.Clean("/" + directory), Filename: filename, Archived: true}
			err := u.list(ctx, filter, func(i pictograph.Image) {
				if slices.Contains(storedPaths(up), i.Path()) {
					found[n] = i
				}
			})
			if err != nil {
				return nil, err
			}
			if _, there := found[n]; there {
				break
			}
		}
	}
	return found, nil
}

func (u *Uploader) list(ctx context.Context, filter pictograph.ImageFilter, each func(pictograph.Image)) error {
	return u.Persist(func(context.Context) error {
		for i, err := range u.Client.Images(ctx, u.Ref.ID, filter) {
			if err != nil {
				return err
			}
			each(i)
		}
		return nil
	})
}
