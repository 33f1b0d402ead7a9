package worker

import (
	"context"
	"errors"
	"slices"
	"strings"

	"pictosync/convert"
	"pictosync/internal/parallel"
	"pictosync/pictograph"
	"pictosync/source"
	"pictosync/store"
)

// setSplits puts the images of the run that are in no split into those that the source has
// them in. One that is in a split stays there, whatever the source says.
func (a *applier) setSplits(ctx context.Context) (err error) {
	wanted, err := a.wantedSplits(ctx)
	if err == nil && wanted.several > 0 {
		err = a.reportSplitNotSet(ctx, convert.Finding{Count: wanted.several, Reason: "the source has the image in more than one split, and the service has it in one"})
	}
	if err != nil || len(wanted.byID) == 0 {
		return err
	}
	var unset []imageSplit
	err = a.eachListed(pictograph.ImageFilter{}, func(i pictograph.Image) {
		if split := wanted.byID[i.ID]; split != "" && i.Split == "" {
			unset = append(unset, imageSplit{i.ID, i.Path(), split})
		}
	}, func() { unset = nil })
	if err != nil {
		return err
	}
	a.Tracker.Begin("setting splits", len(unset))
	done := 0
	defer func() {
		noted := a.store.Note(context.WithoutCancel(ctx), a.record.ID, func(n *store.Notes) { n.Splits += done })
		err = errors.Join(err, noted)
	}()
	for set, err := range parallel.Map(ctx, a.Concurrency, parallel.Each(unset), a.setSplit) {
		if err != nil {
			return err
		}
		if set {
			done++
		}
	}
	return nil
}

// imageSplit is an image of the dataset, and the split that it is to be put into.
type imageSplit struct {
	id, path, split string
}

// setSplit puts one image into its split. What the service does not take is a finding.
func (a *applier) setSplit(ctx context.Context, i imageSplit) (set bool, err error) {
	if a.Stopping.Err() != nil {
		return false, context.Cause(a.Stopping)
	}
	err = a.Persist(func(context.Context) error {
		return a.Client.SetSplit(ctx, pictograph.ImageRef{ID: i.id, Dataset: a.Ref.ID, Path: i.path}, i.split)
	})
	set = err == nil
	switch {
	case errors.Is(err, pictograph.ErrNotFound):
		err = nil // it is gone since
	case errors.Is(err, pictograph.ErrInvalid), errors.Is(err, pictograph.ErrConflict):
		a.Log.Warn().Str("image", i.path).Err(err).Msg("the split of an image was not set")
		err = a.reportSplitNotSet(ctx, convert.Finding{Image: i.path, Path: i.path, Reason: err.Error()})
	}
	a.Tracker.Add(1, 0)
	return set, err
}

func (a *applier) reportSplitNotSet(ctx context.Context, f convert.Finding) error {
	f.Kind, f.Action = convert.KindSplitNotSet, "its split was left as it is"
	return a.store.AddPlan(ctx, a.record.ID, store.PlanChunk{Findings: a.report(0, f)})
}

// wantedSplits are the splits that the source has images in.
type wantedSplits struct {
	byID    map[string]string // the service's ids
	several int               // images that the source has in more than one
	named   fileSet           // the image files that labels name
}

func (a *applier) wantedSplits(ctx context.Context) (*wantedSplits, error) {
	w := &wantedSplits{byID: make(map[string]string)}
	err := a.addLabelledSplits(ctx, w)
	if err == nil && a.Upload == UploadAll {
		err = a.addUnlabelledSplits(ctx, w)
	}
	return w, err
}

// of is the split that an item's image is in, as its source says; one in several is in none.
func (w *wantedSplits) of(item convert.Item, says []string) string {
	if len(says) > 1 {
		w.several++
	}
	return splitOf(item, says)
}

// addLabelledSplits adds the splits of the images that labels name.
func (a *applier) addLabelledSplits(ctx context.Context, w *wantedSplits) error {
	byImage := make(map[string]string)
	for item, err := range a.src.Items(ctx, "") {
		if err != nil {
			return err
		}
		if split := w.of(item, convert.SplitsOf(a.src, item)); split != "" {
			byImage[item.Image] = split
		}
		if file := convert.ImageFile(a.src, item); file != "" && a.Upload == UploadAll {
			w.named.add(file)
		}
	}
	for i, err := range a.store.Items(ctx, a.record.ID) {
		if err != nil {
			return err
		}
		if split := byImage[i.Image]; split != "" && i.ImageID != "" && i.Outcome != store.ItemFailed {
			w.byID[i.ImageID] = split
		}
	}
	return nil
}

// addUnlabelledSplits adds the splits of the source's images that no label names.
func (a *applier) addUnlabelledSplits(ctx context.Context, w *wantedSplits) error {
	byFile := make(map[string]string)
	err := a.eachUnlabelled(ctx, &w.named, func(items []walked, matches []match) error {
		for n, m := range matches {
			says := items[n].splits
			if len(says) == 0 {
				says = convert.SplitsOf(a.src, items[n].Item)
			}
			split := w.of(items[n].Item, says)
			if split == "" {
				continue
			}
			byFile[items[n].File] = split
			if m.plan == "" && m.closeness >= closeByPath && w.byID[m.image.ID] == "" {
				w.byID[m.image.ID] = split
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for u, err := range a.store.Uploads(ctx, a.record.ID, store.UploadDone, store.UploadThere) {
		if err != nil {
			return err
		}
		if split := byFile[u.File]; u.Item == 0 && split != "" {
			w.byID[u.ImageID] = split
		}
	}
	return nil
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
