package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/alitto/pond/v2"

	"pictosync/dataset"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

// batcher gathers images into bulk saves and hands each to the savers. It is
// used by one goroutine.
type batcher struct {
	*applier
	savers pond.Pool

	entries []pictograph.BulkEntry
	images  []store.BatchImage
	bytes   int
}

// entryOverhead is what an entry takes in a bulk save's body beside its
// annotations: keys, quotes, braces and a UUID.
const entryOverhead = 96

func (b *batcher) add(ctx context.Context, row store.Item, labels encoded) error {
	size := len(labels.payload) + entryOverhead
	if len(b.images) > 0 && b.bytes+size > b.BatchBytes {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.entries = append(b.entries, pictograph.BulkEntry{ImageID: row.ImageID, Annotations: labels.payload})
	b.images = append(b.images, store.BatchImage{Item: row.Seq, ImageID: row.ImageID, ImageRef: row.ImageRef, Hash: row.Hash, Count: row.Count, ListedCount: row.ListedCount, Prints: labels.prints})
	b.bytes += size
	if len(b.images) < b.BatchImages {
		return nil
	}
	return b.flush(ctx)
}

// flush hands the gathered images to the savers; it blocks while they are all
// busy.
func (b *batcher) flush(ctx context.Context) error {
	if len(b.images) == 0 {
		return nil
	}
	body, images := pictograph.AppendBulkSave(make([]byte, 0, b.bytes), b.entries), b.images
	b.entries, b.images, b.bytes = b.entries[:0], make([]store.BatchImage, 0, len(images)), 0
	err := b.savers.Go(func() {
		if err := b.deliver(ctx, body, images); err != nil {
			b.Halt(err)
		}
	})
	if err != nil {
		return fmt.Errorf("hand a batch to the savers: %w", err)
	}
	return context.Cause(b.Stopping)
}

// bulkSave is a batch's body, taken apart.
type bulkSave struct {
	Saves []struct {
		ImageID     string          `json:"image_id"`
		Annotations json.RawMessage `json:"annotations"`
	} `json:"saves"`
}

// deliver commits a batch and sends it. Work that has not been committed when
// the run stops is left to the next start.
func (a *applier) deliver(ctx context.Context, body []byte, images []store.BatchImage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("save a batch: internal error: %v; please report it", p)
		}
	}()
	if a.awaitClasses() != nil {
		return nil // why, the run knows
	}
	b, err := a.store.CommitBatch(ctx, a.record.ID, a.Pacer.Account(), body, images, a.Now())
	if err != nil {
		return err
	}
	select {
	case a.sending <- struct{}{}:
	case <-a.Stopping.Done():
		return a.store.WithdrawBatch(ctx, b) // it was never sent
	}
	answered := sync.OnceFunc(func() { <-a.sending })
	defer answered()
	return a.send(ctx, b, answered)
}

// maxRefused is how many images in a row the service refuses, one by one, before the rest
// of what it refused with them is not sent again: two requests an image would be spent on
// being told the same.
const maxRefused = 8

// send brings a committed batch to its end, and tells when no request of it is on
// its way any more. A batch that is refused as a whole is split until the bad
// image stands alone and the rest are saved.
func (a *applier) send(ctx context.Context, b store.Batch, answered func()) error {
	result, err := a.untilAnswered(ctx, &b)
	switch refusal := refusalOf(err); {
	case err == nil:
		answered()
		got, err := a.answers(ctx, b, result)
		if err != nil {
			return err
		}
		a.refused.Store(0)
		return a.recordAnswers(ctx, b, got)
	case refusal == "":
		if _, undone := errors.AsType[dataset.NotDoneError](err); undone && b.Unsent && !b.Doubtful {
			sent := b
			sent.Unsent = false // it counts against the quota
			return errors.Join(err, a.store.WithdrawBatch(context.WithoutCancel(ctx), sent))
		}
		return err
	case len(b.Images) == 1:
		if _, poison := errors.AsType[dataset.PoisonError](err); poison && a.FailedAlone() {
			return fmt.Errorf("the service fails on one image after the other, though it answers other requests; the same command resumes the run, `pictosync runs %s --abandon` gives up what is in flight: %w", b.Run, err)
		}
		a.refused.Add(1)
		return a.recordAnswers(ctx, b, []store.Answer{{Error: refusal}})
	case a.refused.Load() >= maxRefused:
		answers := make([]store.Answer, len(b.Images))
		for n := range answers {
			answers[n].Error = fmt.Sprintf("not sent alone, since the service refused %d images in a row: %s", maxRefused, refusal)
		}
		return a.recordAnswers(ctx, b, answers)
	default:
		a.Log.Warn().Err(err).Int("images", len(b.Images)).Msg("a batch was refused as a whole; splitting it")
		// Unlike a batch that is wrong, one that the service failed on may have been saved.
		b.Doubtful = b.Doubtful || !errors.Is(err, pictograph.ErrInvalid) && !errors.Is(err, pictograph.ErrTooLarge)
		return a.sendHalves(ctx, b)
	}
}

// untilAnswered sends a batch until the service answers it.
func (a *applier) untilAnswered(ctx context.Context, b *store.Batch) (pictograph.BulkResult, error) {
	var first quota.Recorded
	sending := ctx
	if b.Unsent {
		sending = first.Under(ctx)
	}
	result, err := a.SendBatch(sending, b.Body, b.Key)
	b.SentAt = first.SentAt()
	return result, err
}

// refusalOf says why a batch was refused as a whole, "" where that is not what an error
// says.
func refusalOf(err error) string {
	if poison, ok := errors.AsType[dataset.PoisonError](err); ok {
		return "the service cannot save it, and answers other requests: " + poison.Err.Error()
	}
	if errors.Is(err, pictograph.ErrInvalid) || errors.Is(err, pictograph.ErrTooLarge) {
		return err.Error()
	}
	return ""
}

func (a *applier) sendHalves(ctx context.Context, b store.Batch) error {
	var halves [2][]int
	for n := range b.Images {
		halves[n*2/len(b.Images)] = append(halves[n*2/len(b.Images)], n)
	}
	parts, err := a.split(ctx, b, halves[:]...)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := a.send(ctx, part, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// split replaces a batch by others that have some of its images each, by their places in
// it; none is made of none.
func (a *applier) split(ctx context.Context, b store.Batch, groups ...[]int) ([]store.Batch, error) {
	var body bulkSave
	if err := json.Unmarshal(b.Body, &body); err != nil || len(body.Saves) != len(b.Images) {
		return nil, fmt.Errorf("split batch %d: its bytes in the state are damaged (%d saves for %d images): %w", b.ID, len(body.Saves), len(b.Images), err)
	}
	var parts []store.Batch
	for _, group := range groups {
		var part store.Batch
		var entries []pictograph.BulkEntry
		for _, n := range group {
			part.Images = append(part.Images, b.Images[n])
			entries = append(entries, pictograph.BulkEntry{ImageID: body.Saves[n].ImageID, Annotations: body.Saves[n].Annotations})
		}
		if len(group) > 0 {
			part.Body = pictograph.AppendBulkSave(nil, entries)
			parts = append(parts, part)
		}
	}
	return a.store.SplitBatch(ctx, b, parts, a.Now())
}
