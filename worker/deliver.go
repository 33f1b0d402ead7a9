package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// settleInFlight sends again, under their old keys, the batches of the dataset
// that a killed process left without an answer: whatever run they are of, what
// was on its way arrives before anything new is planned.
func (r *run) settleInFlight(ctx context.Context) error {
	open, err := r.store.OpenBatches(ctx, r.dataset)
	if err != nil || len(open) == 0 {
		return err
	}
	r.Log.Info().Int("batches", len(open)).Msg("finishing what was in flight")
	for _, b := range open {
		b.Account = r.pacer.account
		if err := r.send(ctx, b, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// deliver commits a batch and sends it. Work that has not been committed when
// the run stops is left to the next start.
func (r *run) deliver(ctx context.Context, body []byte, images []store.BatchImage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("save a batch: internal error: %v; please report it", p)
		}
	}()
	if r.stopping.Err() != nil {
		return nil
	}
	b, err := r.store.PutBatch(ctx, r.record.ID, r.pacer.account, body, images)
	if err != nil {
		return err
	}
	if r.awaitClasses() != nil {
		r.store.DiscardBatch(b)
		return nil
	}
	if err := r.store.CommitBatch(ctx, &b, r.Now()); err != nil {
		return err
	}
	select {
	case r.sending <- struct{}{}:
	case <-r.stopping.Done():
		return r.store.WithdrawBatch(ctx, b) // it was never sent
	}
	answered := sync.OnceFunc(func() { <-r.sending })
	defer answered()
	return r.send(ctx, b, answered)
}

// send brings a committed batch to its end, and tells when no request of it is on
// its way any more. A batch that is refused as a whole is split until the bad
// image stands alone and the rest are saved.
func (r *run) send(ctx context.Context, b store.Batch, answered func()) error {
	var result pictograph.BulkResult
	var first recorded
	sending := ctx // a request under way is finished when the run stops: only ctx ends it
	if b.Unsent {
		sending = first.under(ctx)
	}
	err := r.persist(func(context.Context) (err error) {
		result, err = r.client.BulkSaveBody(sending, b.Body, b.Key)
		return err
	})
	b.SentAt = first.sentAt()
	refused := errors.Is(err, pictograph.ErrInvalid) || errors.Is(err, pictograph.ErrTooLarge)
	switch {
	case err == nil:
		answered()
		return r.settle(ctx, b, answers(b, result))
	case refused && len(b.Images) == 1:
		return r.settle(ctx, b, []store.Answer{{Error: err.Error()}})
	case refused:
		r.Log.Warn().Err(err).Int("images", len(b.Images)).Msg("a batch was refused as a whole; splitting it")
		return r.sendHalves(ctx, b)
	}
	return err
}

func (r *run) settle(ctx context.Context, b store.Batch, answers []store.Answer) error {
	if err := r.store.EndBatch(ctx, r.dataset, b, answers, r.Now()); err != nil {
		return err
	}
	if err := r.tellEdited(ctx, b, answers); err != nil {
		return err
	}
	failed := 0
	for i, a := range answers {
		if a.Error != "" {
			failed++
			r.Log.Warn().Str("image_id", b.Images[i].ImageID).Str("reason", a.Error).Msg("image not saved")
		}
	}
	r.progress.add(len(answers), failed)
	return nil
}

// tellEdited says of the images of a batch which somebody changed between their reading
// and their save: what they had is not what was known, or kept. A batch that was sent
// again after the service forgot its key tells nothing of that.
func (r *run) tellEdited(ctx context.Context, b store.Batch, answers []store.Answer) error {
	var part store.PlanPart
	for n, a := range answers {
		i := b.Images[n]
		if a.Error != "" || a.Previous == i.ListedCount || r.Now().Sub(b.FirstSentAt) >= store.KeyLifetime {
			continue
		}
		images, err := r.store.ImagesByRef(ctx, []int64{i.ImageRef})
		if err != nil {
			return err
		}
		path := i.ImageID
		if len(images) == 1 {
			path = images[0].Path
		}
		r.Log.Warn().Str("image", path).Int("known", i.ListedCount).Int("replaced", a.Previous).Msg("somebody changed the image just before it was saved")
		r.tell(&part, sourceFinding{i.Item, convert.Finding{Kind: convert.KindEdited, Image: path, Path: path,
			Reason: fmt.Sprintf("somebody changed the image between its reading and its save: %d annotations were known, and %d were replaced", i.ListedCount, a.Previous),
			Action: "it was saved; undo leaves it alone unless forced"}})
	}
	if len(part.Findings) == 0 {
		return nil
	}
	return r.store.AddFindings(ctx, b.Run, part.Findings)
}

// answers puts the service's answer into the order of the batch. An image that
// the answer passes over, or whose count is not what was sent, is not taken
// for saved.
func answers(b store.Batch, result pictograph.BulkResult) []store.Answer {
	byID := make(map[string]store.Answer, len(b.Images))
	for _, s := range result.Saved {
		byID[s.ImageID] = store.Answer{Previous: s.PreviousCount, New: s.NewCount}
	}
	for _, f := range result.Failed {
		byID[f.ImageID] = store.Answer{Error: "the service did not save it: " + f.Error}
	}
	out := make([]store.Answer, len(b.Images))
	for i, image := range b.Images {
		a, ok := byID[image.ImageID]
		switch {
		case !ok:
			a = store.Answer{Error: "the service's answer passes over this image; run again"}
		case a.Error == "" && a.New != image.Count:
			a = store.Answer{Error: fmt.Sprintf("%d annotations were sent and the service counts %d; run again", image.Count, a.New)}
		}
		out[i] = a
	}
	return out
}

func (r *run) sendHalves(ctx context.Context, b store.Batch) error {
	var body struct {
		Saves []struct {
			ImageID     string          `json:"image_id"`
			Annotations json.RawMessage `json:"annotations"`
		} `json:"saves"`
	}
	if err := json.Unmarshal(b.Body, &body); err != nil || len(body.Saves) != len(b.Images) {
		return fmt.Errorf("split batch %d: its bytes in the state are damaged (%d saves for %d images): %w", b.ID, len(body.Saves), len(b.Images), err)
	}
	part := func(from, to int) store.Batch {
		var entries []pictograph.BulkEntry
		for _, s := range body.Saves[from:to] {
			entries = append(entries, pictograph.BulkEntry{ImageID: s.ImageID, Annotations: s.Annotations})
		}
		return store.Batch{Body: pictograph.AppendBulkSave(nil, entries), Images: b.Images[from:to]}
	}
	middle := len(b.Images) / 2
	halves, err := r.store.SplitBatch(ctx, b, []store.Batch{part(0, middle), part(middle, len(b.Images))}, r.Now())
	if err != nil {
		return err
	}
	for _, half := range halves {
		if err := r.send(ctx, half, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// persist tries again what failed for reasons that pass, for as long as an
// outage may last. The client has done its own retries by then.
func (r *run) persist(try func(context.Context) error) error {
	var since time.Time
	for {
		err := try(r.stopping)
		if err == nil || !passes(err) {
			return err
		}
		if since.IsZero() {
			since = r.Now()
		}
		if r.Now().Sub(since) >= r.MaxOutage {
			return fmt.Errorf("the service could not be reached for %s; the same command resumes the run: %w", r.MaxOutage, err)
		}
		r.Log.Warn().Err(err).Dur("again_in", r.OutagePause).Msg("trying again")
		timer := time.NewTimer(r.OutagePause)
		select {
		case <-timer.C:
		case <-r.stopping.Done():
			timer.Stop()
			return context.Cause(r.stopping)
		}
	}
}

func passes(err error) bool {
	return errors.Is(err, pictograph.ErrNetwork) || errors.Is(err, pictograph.ErrServer) || errors.Is(err, pictograph.ErrRateLimited)
}
