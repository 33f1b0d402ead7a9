package worker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize/english"

	"pictosync/dataset"
	"pictosync/internal/parallel"
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
