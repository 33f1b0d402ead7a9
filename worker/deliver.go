package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alitto/pond/v2"

	"pictosync/convert"
	"pictosync/pictograph"
	"pictosync/store"
)

// settleInFlight sends again, under their old keys, the batches of the dataset
// that a killed process left without an answer: whatever run they are of, what
// was on its way arrives before anything new is planned. Of a batch whose bytes are lost
// with a part of the state, what its images have is read.
func (r *run) settleInFlight(ctx context.Context) error {
	open, err := r.store.OpenBatches(ctx, r.dataset)
	if err != nil || len(open) == 0 {
		return err
	}
	r.Log.Info().Int("batches", len(open)).Msg("finishing what was in flight")
	for _, b := range open {
		b.Account = r.pacer.account
		if b.Body == nil {
			r.Log.Warn().Int64("batch", b.ID).Msg("the bytes of a batch in flight are missing in the state: what its images have is read instead")
			_, err = r.giveUp(ctx, b, "the state lost what was sent, and the image does not have it; run again")
		} else {
			err = r.sendAgain(ctx, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// longAgo is how long a batch may have been in flight and be sent again as it is: about as
// long as a run may take between reading an image and saving it.
const longAgo = 10 * time.Minute

// sendAgain sends a batch that was in flight when a process ended. It may never have
// arrived, and what its images have may be somebody's later work: where that is a while
// ago they are read first, and those that have neither what was sent nor what they had
// before are left alone.
func (r *run) sendAgain(ctx context.Context, b store.Batch) error {
	if r.Now().Sub(b.FirstSentAt) < longAgo {
		return r.send(ctx, b, func() {})
	}
	edited, err := r.editedSince(ctx, b)
	if err != nil {
		return err
	}
	if len(edited) == 0 {
		return r.send(ctx, b, func() {})
	}
	var theirs, ours []int
	var answers []store.Answer
	for n := range b.Images {
		if reason := edited[n]; reason != "" {
			theirs, answers = append(theirs, n), append(answers, store.Answer{Error: reason})
		} else {
			ours = append(ours, n)
		}
	}
	b.Doubtful = true // it may have been executed
	parts, err := r.split(ctx, b, theirs, ours)
	if err != nil {
		return err
	}
	if err := r.settle(ctx, parts[0], answers); err != nil || len(parts) == 1 {
		return err
	}
	return r.send(ctx, parts[1], func() {})
}

// editedSince says of the images of a batch, by their places in it, which somebody changed
// since they were backed up.
func (r *run) editedSince(ctx context.Context, b store.Batch) (map[int]string, error) {
	ids, refs := make([]string, len(b.Images)), make([]int64, len(b.Images))
	for n, i := range b.Images {
		ids[n], refs[n] = i.ImageID, i.ImageRef
	}
	backups, err := r.store.BackedUp(ctx, b.Run, ids)
	if err != nil || len(backups) == 0 {
		return nil, err
	}
	known, err := r.store.ImagesByRef(ctx, refs)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.Image, len(known))
	for _, image := range known {
		byID[image.ID] = image
	}
	pool := pond.NewResultPool[kept](r.Save)
	defer pool.StopAndWait()
	tasks := make(map[int]pond.ResultTask[kept])
	for n, i := range b.Images {
		image, ok := byID[i.ImageID]
		if _, there := backups[i.ImageID]; ok && there {
			tasks[n] = pool.Submit(func() kept {
				return r.read(ready{row: store.Item{ImageID: i.ImageID, Path: image.Path, Hash: i.Hash}, image: image})
			})
		}
	}
	edited := make(map[int]string)
	for n, task := range tasks {
		k, err := task.Wait()
		if err = cmp.Or(err, k.fatal); err != nil {
			return nil, err
		}
		backup := backups[b.Images[n].ImageID]
		if k.reason == "" && k.hash != b.Images[n].Hash && sha256.Sum256(k.backup.Annotations) != backup.Hash {
			edited[n] = fmt.Sprintf("somebody changed the image after it was backed up (%d annotations then, %d now), and before what was in flight was sent again; run again", backup.Count, k.backup.Count)
		}
	}
	return edited, nil
}

// deliver commits a batch and sends it. Work that has not been committed when
// the run stops is left to the next start.
func (r *run) deliver(ctx context.Context, body []byte, images []store.BatchImage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("save a batch: internal error: %v; please report it", p)
		}
	}()
	if r.awaitClasses() != nil {
		return nil // why, the run knows
	}
	b, err := r.store.CommitBatch(ctx, r.record.ID, r.pacer.account, body, images, r.Now())
	if err != nil {
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
	result, err := r.untilAnswered(ctx, &b)
	switch refusal := r.refusalOf(err); {
	case err == nil:
		answered()
		got, err := r.answers(ctx, b, result)
		if err != nil {
			return err
		}
		r.outage.refused.Store(0)
		return r.settle(ctx, b, got)
	case refusal == "":
		return err
	case len(b.Images) == 1:
		if _, poison := errors.AsType[poisonError](err); poison && r.outage.failedAlone() {
			return fmt.Errorf("the service fails on one image after the other, though it answers other requests; the same command resumes the run, `pictosync runs %s --abandon` gives up what is in flight: %w", b.Run, err)
		}
		r.outage.refused.Add(1)
		return r.settle(ctx, b, []store.Answer{{Error: refusal}})
	case r.outage.refused.Load() >= maxRefused:
		answers := make([]store.Answer, len(b.Images))
		for n := range answers {
			answers[n].Error = fmt.Sprintf("not sent alone, since the service refused %d images in a row: %s", maxRefused, refusal)
		}
		return r.settle(ctx, b, answers)
	default:
		r.Log.Warn().Err(err).Int("images", len(b.Images)).Msg("a batch was refused as a whole; splitting it")
		// Unlike a batch that is wrong, one that the service failed on may have been saved.
		b.Doubtful = b.Doubtful || !errors.Is(err, pictograph.ErrInvalid) && !errors.Is(err, pictograph.ErrTooLarge)
		return r.sendHalves(ctx, b)
	}
}

// untilAnswered sends a batch until the service answers it.
func (r *run) untilAnswered(ctx context.Context, b *store.Batch) (result pictograph.BulkResult, err error) {
	var first recorded
	sending := ctx // a request under way is finished when the run stops: only ctx ends it
	if b.Unsent {
		sending = first.under(ctx)
	}
	tries, savesBefore := 0, 0
	err = r.persist(func(context.Context) (err error) {
		if result, err = r.client.BulkSaveBody(sending, b.Body, b.Key); err == nil {
			r.outage.saved()
			return nil
		}
		if tries++; tries == 1 {
			_, savesBefore = r.outage.failed(r.Now())
		}
		return r.poison(err, tries, savesBefore)
	})
	b.SentAt = first.sentAt()
	return result, err
}

// refusalOf says why a batch was refused as a whole, "" where that is not what an error
// says.
func (r *run) refusalOf(err error) string {
	if poison, ok := errors.AsType[poisonError](err); ok {
		return "the service cannot save it, and answers other requests: " + poison.error.Error()
	}
	if errors.Is(err, pictograph.ErrInvalid) || errors.Is(err, pictograph.ErrTooLarge) {
		return err.Error()
	}
	return ""
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

// answers puts the service's answer into the order of the batch. Where it does not account
// for every image it is asked for again, under the same key, which executes nothing; and
// where that does not tell either, what the image has is read.
func (r *run) answers(ctx context.Context, b store.Batch, result pictograph.BulkResult) ([]store.Answer, error) {
	answers, missing := answersOf(b, result)
	if missing == 0 {
		return answers, nil
	}
	r.Log.Warn().Int("images", missing).Msg("the answer to a batch does not account for all of its images; asking again")
	again, err := r.untilAnswered(ctx, &b)
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
		if answers[n], err = r.readBack(ctx, b.Images[n], "the service's answer passes over this image, and it does not have what was sent; run again"); err != nil {
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
func (r *run) readBack(ctx context.Context, i store.BatchImage, otherwise string) (store.Answer, error) {
	images, err := r.store.ImagesByRef(ctx, []int64{i.ImageRef})
	if err != nil {
		return store.Answer{}, err
	}
	if len(images) != 1 || images[0].ID != i.ImageID {
		return store.Answer{Error: "the image is not in the dataset any more"}, nil
	}
	k := r.read(ready{row: store.Item{ImageID: i.ImageID, Path: images[0].Path, Hash: i.Hash}, image: images[0]})
	switch {
	case k.fatal != nil:
		return store.Answer{}, k.fatal
	case k.reason != "":
		return store.Answer{Error: k.reason}, nil
	case k.hash == i.Hash:
		return store.Answer{Previous: i.ListedCount, New: i.Count}, nil
	}
	return store.Answer{Error: otherwise}, nil
}

// giveUp ends a batch whose answer will not come, and counts the images that have what it
// would have saved: what they have is read.
func (r *run) giveUp(ctx context.Context, b store.Batch, otherwise string) (saved int, err error) {
	answers := make([]store.Answer, len(b.Images))
	for n, i := range b.Images {
		if answers[n], err = r.readBack(ctx, i, otherwise); err != nil {
			return saved, err
		}
		if answers[n].Error == "" {
			saved++
		}
	}
	return saved, r.settle(ctx, b, answers)
}

func (r *run) sendHalves(ctx context.Context, b store.Batch) error {
	var halves [2][]int
	for n := range b.Images {
		halves[n*2/len(b.Images)] = append(halves[n*2/len(b.Images)], n)
	}
	parts, err := r.split(ctx, b, halves[:]...)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := r.send(ctx, part, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// split replaces a batch by others that have some of its images each, by their places in
// it; none is made of none.
func (r *run) split(ctx context.Context, b store.Batch, groups ...[]int) ([]store.Batch, error) {
	var body struct {
		Saves []struct {
			ImageID     string          `json:"image_id"`
			Annotations json.RawMessage `json:"annotations"`
		} `json:"saves"`
	}
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
	return r.store.SplitBatch(ctx, b, parts, r.Now())
}
