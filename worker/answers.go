package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/store"
)

func (a *applier) recordAnswers(ctx context.Context, b store.Batch, answers []store.Answer) error {
	edited, err := a.edited(ctx, b, answers)
	if err != nil {
		return err
	}
	if err := a.store.EndBatch(ctx, a.Ref, b, answers, edited, a.Now()); err != nil {
		return err
	}
	failed := 0
	for i, answer := range answers {
		if answer.Error != "" {
			failed++
			a.Log.Warn().Str("image_id", b.Images[i].ImageID).Str("reason", answer.Error).Msg("image not saved")
		}
	}
	a.Tracker.Did(progress.Saving, float64(len(answers))/float64(a.BatchImages))
	a.Tracker.Add(len(answers), failed)
	return nil
}

// edited says of the images of a batch which somebody changed between their reading and their
// save: what they had is not what was known, or kept. A batch that was sent again after the
// service forgot its key tells nothing of that.
func (a *applier) edited(ctx context.Context, b store.Batch, answers []store.Answer) (found []store.Finding, err error) {
	if a.Now().Sub(b.FirstSentAt) >= store.KeyLifetime {
		return nil, nil
	}
	for n, answer := range answers {
		i := b.Images[n]
		if answer.Error != "" || answer.Previous == i.ListedCount {
			continue
		}
		images, err := a.store.ImagesByRef(ctx, []int64{i.ImageRef})
		if err != nil {
			return nil, err
		}
		path := i.ImageID
		if len(images) == 1 {
			path = images[0].Path
		}
		a.Log.Warn().Str("image", path).Int("known", i.ListedCount).Int("replaced", answer.Previous).Msg("somebody changed the image just before it was saved")
		found = append(found, a.report(i.Item, convert.Finding{Kind: convert.KindEdited, Image: path, Path: path,
			Reason: fmt.Sprintf("somebody changed the image between its reading and its save: %d annotations were known, and %d were replaced", i.ListedCount, answer.Previous),
			Action: "it was saved; undo leaves it alone unless forced"})...)
	}
	return found, nil
}

// answers puts the service's answer into the order of the batch. Where it does not account
// for every image it is asked for again, under the same key, which executes nothing; and
// where that does not tell either, what the image has is read.
func (a *applier) answers(ctx context.Context, b store.Batch, result pictograph.BulkResult) ([]store.Answer, error) {
	answers, missing := answersOf(b, result)
	if missing == 0 {
		return answers, nil
	}
	a.Log.Warn().Int("images", missing).Msg("the answer to a batch does not account for all of its images; asking again")
	again, err := a.untilAnswered(ctx, &b)
	if err == nil {
		answers, missing = answersOf(b, again)
	}
	if missing == 0 {
		return answers, nil
	}
	for n := range answers {
		if answers[n].Error != passedOver {
			continue
		}
		if answers[n], err = a.readBack(ctx, b.Images[n], "the service's answer passes over this image, and it does not have what was sent; run again"); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

const passedOver = "the service's answer passes over this image"

// answersOf puts an answer into the order of the batch, and counts the images that it
// passes over. One whose count is not what was sent is not taken for saved.
func answersOf(b store.Batch, result pictograph.BulkResult) (answers []store.Answer, missing int) {
	byID := make(map[string]store.Answer, len(b.Images))
	for _, s := range result.Saved {
		byID[strings.ToLower(s.ImageID)] = store.Answer{Previous: s.PreviousCount, New: s.NewCount}
	}
	for _, f := range result.Failed {
		byID[strings.ToLower(f.ImageID)] = store.Answer{Error: "the service did not save it: " + f.Error}
	}
	answers = make([]store.Answer, len(b.Images))
	for i, image := range b.Images {
		a, ok := byID[strings.ToLower(image.ImageID)]
		switch {
		case !ok:
			missing++
			a = store.Answer{Error: passedOver}
		case a.Error == "" && a.New != image.Count:
			a = store.Answer{Error: fmt.Sprintf("%d annotations were sent and the service counts %d; run again", image.Count, a.New)}
		}
		answers[i] = a
	}
	return answers, missing
}

// readBack reads what an image has, to tell whether it was saved. What it had before is
// what was known of it.
func (a *applier) readBack(ctx context.Context, i store.BatchImage, otherwise string) (store.Answer, error) {
	images, err := a.store.ImagesByRef(ctx, []int64{i.ImageRef})
	if err != nil {
		return store.Answer{}, err
	}
	if len(images) != 1 || images[0].ID != i.ImageID {
		return store.Answer{Error: "the image is not in the dataset any more"}, nil
	}
	content, err := a.Read(i.ImageID, images[0].Path, comparedWith(i.Hash, images[0])...)
	if unreadable, ok := errors.AsType[dataset.UnreadableError](err); ok {
		return store.Answer{Error: unreadable.Reason}, nil
	}
	if err != nil {
		return store.Answer{}, err
	}
	if content.Hash == i.Hash {
		return store.Answer{Previous: i.ListedCount, New: i.Count}, nil
	}
	return store.Answer{Error: otherwise}, nil
}
