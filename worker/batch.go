package worker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize/english"

	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/parallel"
	"pictosync/internal/progress"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/store"
)

// finishInFlight sends again, under their old keys, the batches of the dataset
// that a killed process left without an answer: whatever run they are of, what
// was on its way arrives before anything new is planned. Of a batch whose bytes are lost
// with a part of the state, what its images have is read.
func (a *applier) finishInFlight(ctx context.Context) error {
	open, err := a.store.OpenBatches(ctx, a.Ref)
	if err != nil || len(open) == 0 {
		return err
	}
	a.finished = make(map[string]int)
	images := 0
	for _, b := range open {
		a.finished[b.Run] += len(b.Images)
		images += len(b.Images)
	}
	a.Tracker.Begin("finishing what was in flight:", images)
	for _, b := range open {
		b.Account = a.Pacer.Account()
		if !isIntact(b) {
			a.Log.Warn().Int64("batch", b.ID).Msg("the bytes of a batch in flight are missing or damaged in the state: what its images have is read instead")
			_, err = a.giveUp(ctx, b, "the state lost what was sent, and the image does not have it; run again")
		} else {
			err = a.sendAgain(ctx, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tellFinished says of which other runs batches were finished: the summary is not about them.
func (a *applier) tellFinished() {
	for run, n := range a.finished {
		if run != a.record.ID {
			a.Note(fmt.Sprintf("first of all, what run %s had in flight was brought to its end, since it may have arrived: the labels of %s; `pictosync runs %s` shows what came of it", run, english.Plural(n, "image", ""), run))
		}
	}
}

// bulkSave is a batch's body, taken apart.
type bulkSave struct {
	Saves []struct {
		ImageID     string          `json:"image_id"`
		Annotations json.RawMessage `json:"annotations"`
	} `json:"saves"`
}

// isIntact reports whether the bytes of a batch are what was put together: SQLite's pages
// carry no checksum, and a digit that turned into another would be saved.
func isIntact(b store.Batch) bool {
	var body bulkSave
	if json.Unmarshal(b.Body, &body) != nil || len(body.Saves) != len(b.Images) {
		return false
	}
	for n, save := range body.Saves {
		if i := b.Images[n]; save.ImageID != i.ImageID || sha256.Sum256(save.Annotations) != i.Hash {
			return false
		}
	}
	return true
}

// longAgo is how long a batch may have been in flight and be sent again as it is: about as
// long as a run may take between reading an image and saving it.
const longAgo = 10 * time.Minute

// sendAgain sends a batch that was in flight when a process ended. It may never have
// arrived, and what its images have may be somebody's later work: where that is a while
// ago they are read first, and those that have neither what was sent nor what they had
// before are left alone.
func (a *applier) sendAgain(ctx context.Context, b store.Batch) error {
	if a.Now().Sub(b.FirstSentAt) < longAgo {
		return a.send(ctx, b, func() {})
	}
	edited, err := a.editedSince(ctx, b)
	if err != nil {
		return err
	}
	if len(edited) == 0 {
		return a.send(ctx, b, func() {})
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
	parts, err := a.split(ctx, b, theirs, ours)
	if err != nil {
		return err
	}
	if err := a.recordAnswers(ctx, parts[0], answers); err != nil || len(parts) == 1 {
		return err
	}
	return a.send(ctx, parts[1], func() {})
}

// editedSince says of the images of a batch, by their places in it, which somebody changed
// since they were backed up.
func (a *applier) editedSince(ctx context.Context, b store.Batch) (map[int]string, error) {
	ids, refs := make([]string, len(b.Images)), make([]int64, len(b.Images))
	for n, i := range b.Images {
		ids[n], refs[n] = i.ImageID, i.ImageRef
	}
	backups, err := a.store.BackedUp(ctx, b.Run, ids)
	if err != nil || len(backups) == 0 {
		return nil, err
	}
	known, err := a.store.ImagesByRef(ctx, refs)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.Image, len(known))
	for _, image := range known {
		byID[image.ID] = image
	}
	var saved []inFlight
	for n, i := range b.Images {
		image, ok := byID[i.ImageID]
		if backup, there := backups[i.ImageID]; ok && there {
			saved = append(saved, inFlight{n, i, image, backup})
		}
	}
	edited := make(map[int]string)
	for e, err := range parallel.Map(ctx, a.Concurrency, parallel.Each(saved), a.readEdit) {
		if err != nil {
			return nil, err
		}
		if e.reason != "" {
			edited[e.place] = e.reason
		}
	}
	return edited, nil
}

// inFlight is an image of a batch in flight, by its place in it, with what it had before.
type inFlight struct {
	place  int
	sent   store.BatchImage
	image  store.Image
	backup store.BackedUp
}

// edit says that somebody changed an image, and why that is known; "" is not.
type edit struct {
	place  int
	reason string
}

// readEdit reads whether an image has neither what is sent nor what it had before.
func (a *applier) readEdit(_ context.Context, i inFlight) (edit, error) {
	content, err := a.Read(i.sent.ImageID, i.image.Path, comparedWith(i.sent.Hash, i.image)...)
	if _, unreadable := errors.AsType[dataset.UnreadableError](err); unreadable {
		return edit{place: i.place}, nil
	}
	if err != nil || content.Hash == i.sent.Hash || sha256.Sum256(content.Annotations) == i.backup.Hash {
		return edit{place: i.place}, err
	}
	return edit{i.place, fmt.Sprintf("somebody changed the image after it was backed up (%d annotations then, %d now), and before what was in flight was sent again; run again", i.backup.Count, content.Count)}, nil
}

// comparedWith are the hashes that what an image has is held against.
func comparedWith(planned store.Hash, image store.Image) []store.Hash {
	hashes := []store.Hash{planned}
	if image.Saved != nil {
		hashes = append(hashes, image.Saved.Hash)
	}
	return hashes
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

// giveUp ends a batch whose answer will not come, and counts the images that have what it
// would have saved: what they have is read.
func (a *applier) giveUp(ctx context.Context, b store.Batch, otherwise string) (saved int, err error) {
	answers := make([]store.Answer, len(b.Images))
	for n, i := range b.Images {
		if answers[n], err = a.readBack(ctx, i, otherwise); err != nil {
			return saved, err
		}
		if answers[n].Error == "" {
			saved++
		}
	}
	return saved, a.recordAnswers(ctx, b, answers)
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
