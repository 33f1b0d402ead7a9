package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Plan is what a run means to do with an image.
type Plan string

// What a plan can say of an item of the source.
const (
	PlanNew       Plan = "new"       // the image has no annotations
	PlanOverwrite Plan = "overwrite" // the image has annotations that are not ours, or ours have changed
	PlanClear     Plan = "clear"     // the labels say the image is empty, and it is not
	PlanUnchanged Plan = "unchanged" // what we would save is there
	PlanDrifted   Plan = "drifted"   // someone else changed the image since our last save
	PlanUnmatched Plan = "unmatched" // the dataset has no such image
	PlanAmbiguous Plan = "ambiguous" // more than one image of the dataset, or more than one label, fits
	PlanFailed    Plan = "failed"    // the labels cannot be taken
	PlanUpload    Plan = "upload"    // the dataset has no such image, and its file is at hand
)

// ItemOutcome is what became of an item.
type ItemOutcome string

// What can become of an item.
const (
	ItemPending   ItemOutcome = "pending"
	ItemSaved     ItemOutcome = "saved"
	ItemCleared   ItemOutcome = "cleared"
	ItemUnchanged ItemOutcome = "unchanged"
	ItemUnmatched ItemOutcome = "unmatched"
	ItemFailed    ItemOutcome = "failed"
	ItemSkipped   ItemOutcome = "skipped" // left alone, as a policy says
)

// Item is one image of the source in a run's plan.
type Item struct {
	Seq         int64
	Image       string // as the source names it
	After       string // cursor of the item before it
	ImageID     string
	ImageRef    int64  // Image.Ref; 0 is looked up
	Path        string // as the dataset names it
	Plan        Plan
	Outcome     ItemOutcome
	Hash        Hash
	Count       int // annotations to save
	ListedCount int // annotations that the listing showed
	Bytes       int // of the encoded annotations
	Findings    int
	Reason      string
	Pruned      bool   // no item of the source: an image that left it
	File        string // the label file
	// Labels are the source's annotations, as they were read, and LeftOut those of
	// them that are in none of the annotations to save.
	Labels, LeftOut int
	// Closeness is how closely the name fits the image's: more is closer. Of two items
	// for one image the closer one is it.
	Closeness int
	// Kept is how many of the image's annotations stay as they are, -1 where that is not
	// known.
	Kept int
	// Reviewed says that the image is in review, or complete.
	Reviewed bool
}

// itemSpan is where the items of a run are: their numbers, with that of the run, are from
// first to last.
type itemSpan struct {
	run, first, last int64
}

// itemBits is how many bits of an item's number are its number in the run.
const itemBits = 32

// of is the whole number of an item of the run.
func (s itemSpan) of(seq int64) int64 { return s.first + seq }

// seq is an item's number in the run.
func (s itemSpan) seq(item int64) int64 { return item - s.first }

// itemsOf finds where the items of a run are. A run keeps its number.
func (s *Store) itemsOf(ctx context.Context, run string) (itemSpan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if span, ok := s.spans[run]; ok {
		return span, nil
	}
	var number int64
	err := s.reader.QueryRowContext(ctx, `SELECT ref FROM runs WHERE id = ?`, run).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoRun
	}
	if err != nil {
		return itemSpan{}, describe("look up run "+run, err)
	}
	span := itemSpan{run: number, first: number << itemBits, last: (number+1)<<itemBits - 1}
	s.spans[run] = span
	return span, nil
}

// PlanChunk is some of a plan, committed as one.
type PlanChunk struct {
	Items    []Item
	Uploads  []Upload // the files of those items that are planned to be uploaded
	Findings []Finding
	Classes  []Class // one that was planned before is replaced
	Owned    []int64 // images, by Image.Ref, that are the run's source's from now on
	Adopted  []Item  // whose images have at At what would have been saved on them, not from here
	At       time.Time
	LeftOut  Counted // of the source, in no item; added to what is known of
}

// AddPlan commits a chunk of a run's plan. Of items for one image the one whose name
// fits it more closely stays; of two that fit it equally neither does: an overwrite
// never guesses which label is meant.
func (s *Store) AddPlan(ctx context.Context, run string, chunk PlanChunk) error {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return err
	}
	return s.update(ctx, "record the plan", func(ctx context.Context, tx *sql.Tx) error {
		items := slices.Clone(chunk.Items)
		if err := findRefs(ctx, tx, run, items); err != nil {
			return err
		}
		if err := refuseSecondLabels(ctx, tx, span, items); err != nil {
			return err
		}
		if err := addUploads(ctx, tx, span, run, chunk.Uploads, items); err != nil {
			return err
		}
		if err := addItems(ctx, tx, span, items); err != nil {
			return err
		}
		if err := addFindings(ctx, tx, run, chunk.Findings); err != nil {
			return err
		}
		if err := addClasses(ctx, tx, run, chunk.Classes); err != nil {
			return err
		}
		for _, ref := range chunk.Owned {
			if _, err := tx.ExecContext(ctx, `UPDATE saves SET source = (SELECT claims FROM runs WHERE id = ?) WHERE image = ?`, run, ref); err != nil {
				return err
			}
		}
		for _, i := range chunk.Adopted {
			if err := adopt(ctx, tx, run, i, chunk.At); err != nil {
				return err
			}
		}
		if chunk.LeftOut == (Counted{}) {
			return nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE runs SET left_images = left_images + ?, left_annotations = left_annotations + ? WHERE id = ?`, chunk.LeftOut.Images, chunk.LeftOut.Annotations, run)
		return err
	})
}

// findRefs gives items the numbers of their images, where they have only the ids.
func findRefs(ctx context.Context, tx *sql.Tx, run string, items []Item) error {
	for n := range items {
		i := &items[n]
		if i.ImageID == "" || i.ImageRef != 0 {
			continue
		}
		err := tx.QueryRowContext(ctx, `SELECT ref FROM image_ids WHERE dataset = (SELECT dataset FROM runs WHERE id = ?) AND image_id = ?`, run, i.ImageID).Scan(&i.ImageRef)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

func addItems(ctx context.Context, tx *sql.Tx, span itemSpan, items []Item) error {
	insert := inserter{tx: tx, into: `INSERT INTO items (item, run, image, after, image_id, image_ref, path, plan, outcome, hash, count, listed_count, bytes, findings, reason, pruned, file, labels, left_out, closeness, kept, reviewed)`}
	for _, i := range items {
		if err := insert.add(ctx, span.of(i.Seq), span.run, i.Image, i.After, i.ImageID, i.ImageRef, i.Path, i.Plan, i.Outcome, i.Hash[:], i.Count, i.ListedCount, i.Bytes, i.Findings, i.Reason, i.Pruned, i.File, i.Labels, i.LeftOut, i.Closeness, i.Kept, i.Reviewed); err != nil {
			return err
		}
	}
	return insert.flush(ctx)
}

// addClasses adds classes that a run makes; one that was there is replaced.
func addClasses(ctx context.Context, tx *sql.Tx, run string, classes []Class) error {
	for _, c := range classes {
		if _, err := tx.ExecContext(ctx, `INSERT INTO run_classes (run, name, seq, class)
			VALUES (?1, ?2, (SELECT count(*) FROM run_classes WHERE run = ?1), ?3)
			ON CONFLICT (run, name) DO UPDATE SET class = excluded.class`, run, c.Name, string(c.JSON)); err != nil {
			return err
		}
	}
	return nil
}

// refuseSecondLabels sets the items of images that were planned before to ambiguous, and
// those that they were planned with.
func refuseSecondLabels(ctx context.Context, tx *sql.Tx, span itemSpan, items []Item) error {
	first, err := firstItems(ctx, tx, span, items)
	if err != nil {
		return err
	}
	for n := range items {
		i := &items[n]
		if i.ImageRef == 0 {
			continue
		}
		other := first[i.ImageRef]
		if other == nil {
			first[i.ImageRef] = i
			continue
		}
		closer, looser := other, i
		if i.Closeness > other.Closeness {
			closer, looser = i, other
			first[i.ImageRef] = i
		}
		looser.refuseBeside(closer)
		if closer.Closeness == looser.Closeness {
			closer.refuseBeside(looser)
		}
		if other.Seq >= items[0].Seq || other.Outcome != ItemFailed {
			continue
		}
		if _, err := tx.ExecContext(ctx, `UPDATE items SET plan = ?, outcome = ?, reason = ? WHERE item = ?`, other.Plan, other.Outcome, other.Reason, span.of(other.Seq)); err != nil {
			return err
		}
	}
	return nil
}

// refuseBeside fails an item for another of the same image that fits it as closely, or
// more so.
func (i *Item) refuseBeside(other *Item) {
	i.Plan, i.Outcome = PlanAmbiguous, ItemFailed
	if other.Closeness > i.Closeness {
		i.Reason = fmt.Sprintf("%s fits the same image of the dataset (%s) more closely", other.Image, other.Path)
		return
	}
	i.Reason = fmt.Sprintf("%s names the same image of the dataset (%s); leave one label for it", other.Image, other.Path)
}

// firstItems are the items, by image, that the images of others were first planned with:
// of each its number, name and closeness: the closest of several.
func firstItems(ctx context.Context, tx *sql.Tx, span itemSpan, items []Item) (map[int64]*Item, error) {
	first := make(map[int64]*Item, len(items))
	// Labels mostly come in the order in which images are listed: of those with higher
	// numbers than all before none was planned.
	var highest int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(image_ref), 0) FROM items INDEXED BY items_image WHERE run = ? AND image_ref > 0`, span.run).Scan(&highest); err != nil {
		return nil, err
	}
	var refs []int64
	for _, i := range items {
		if i.ImageRef > 0 && i.ImageRef <= highest {
			refs = append(refs, i.ImageRef)
		}
	}
	if len(refs) == 0 {
		return first, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT item, image, image_ref, items.path, closeness FROM json_each(?) AS wanted
		CROSS JOIN items INDEXED BY items_image ON run = ? AND image_ref = wanted.value AND image_ref > 0 ORDER BY closeness, item DESC`, jsonList(refs), span.run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var i Item
		var item, ref int64
		if err := rows.Scan(&item, &i.Image, &ref, &i.Path, &i.Closeness); err != nil {
			return nil, err
		}
		i.Seq = span.seq(item)
		first[ref] = &i // the closest comes last, of several the first
	}
	return first, rows.Err()
}

// SetItem replaces what the plan says of one item, as when its labels changed
// between plan and save.
func (s *Store) SetItem(ctx context.Context, run string, i Item) error {
	return s.SetItems(ctx, run, []Item{i})
}

// SetItems is SetItem for several items at once.
func (s *Store) SetItems(ctx context.Context, run string, items []Item) error {
	if len(items) == 0 {
		return nil
	}
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return err
	}
	return s.update(ctx, "correct the plan of "+items[0].Image, func(ctx context.Context, tx *sql.Tx) error {
		for _, i := range items {
			if _, err := tx.ExecContext(ctx, `UPDATE items SET plan = ?, outcome = ?, hash = ?, count = ?, bytes = ?, findings = ?, reason = ?, labels = ?, left_out = ?, kept = ? WHERE item = ?`,
				i.Plan, i.Outcome, i.Hash[:], i.Count, i.Bytes, i.Findings, i.Reason, i.Labels, i.LeftOut, i.Kept, span.of(i.Seq)); err != nil {
				return err
			}
		}
		return nil
	})
}

// lastSeq is the highest number that an item of a run has or had when it was sent, 0
// for none.
func (s *Store) lastSeq(ctx context.Context, run string) (int64, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return 0, err
	}
	last := span.first
	err = s.reader.QueryRowContext(ctx, `SELECT max(?1, (SELECT coalesce(max(item), 0) FROM items WHERE item BETWEEN ?1 AND ?2),
		(SELECT coalesce(max(item), 0) FROM batch_images WHERE item BETWEEN ?1 AND ?2))`, span.first, span.last).Scan(&last)
	return span.seq(last), describe("read the plan", err)
}

const itemColumns = `item, image, after, image_id, image_ref, path, plan, outcome, hash, count, listed_count, bytes, findings, reason, pruned, file, labels, left_out, kept, reviewed`

// Pending lists the next items to be dealt with after a number, at most limit. The
// plan is read from there until it has found as many.
func (s *Store) Pending(ctx context.Context, run string, after int64, limit int) ([]Item, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	return s.items(ctx, span, `outcome = 'pending' AND item > ? AND item <= ? ORDER BY item LIMIT ?`, span.of(after), span.last, limit)
}

// items are those of a run that a condition holds for.
func (s *Store) items(ctx context.Context, span itemSpan, condition string, args ...any) (items []Item, err error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT `+itemColumns+` FROM items WHERE `+condition, args...)
	if err != nil {
		return nil, describe("read the plan", err)
	}
	defer rows.Close()
	for rows.Next() {
		i, err := span.scanItem(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, describe("read the plan", rows.Err())
}

// Totals sums up a run.
type Totals struct {
	Plan     map[Plan]int
	Outcome  map[ItemOutcome]int
	Found    int // items of the source
	Matched  int // items that found their image
	Findings int
	Kinds    map[string]int // findings by kind
	Pruned   int            // images that left the source and were cleared
	// Read are the source's images and annotations as they were read, Taken those of
	// them that the dataset has or, as planned, will have; the others were left out.
	Read, Taken Counted
	// Edited are images that somebody changed between their reading and their save,
	// Unlabelled the images of the dataset that no item names.
	Edited, Unlabelled int
	// Previous and New count the annotations of the images that were saved or
	// cleared, before and after.
	Previous, New int
	// Uploads are the files that the run brings.
	Uploads UploadTotals
	// Notes are what no row tells.
	Notes Notes
}

// Notes are what a run puts down of itself beside its rows.
type Notes struct {
	// Command is that of the process that worked on the run last; of a plan it is what does
	// the plan.
	Command *Command `json:",omitempty"`
	// Quota is what its requests were held to, for people; "" is nothing.
	Quota string `json:",omitempty"`
	// Made says that the run made the dataset, Splits how many images it put into a split,
	// and Archived how many that another run uploaded an undo of it took away.
	Made     bool `json:",omitempty"`
	Splits   int  `json:",omitempty"`
	Archived int  `json:",omitempty"`
	// PrunedBefore is how many images that left the source the run cleared before its plan was
	// made anew.
	PrunedBefore int `json:",omitempty"`
	// Export is what an export wrote.
	Export *Exported `json:",omitempty"`
}

// Command is a command line of pictosync, with all options that its process had from wherever.
type Command struct {
	Dir  string   `json:",omitempty"` // that it has to be typed in; "" is any
	Args []string // without the name of the program
}

// Exported is what an export wrote.
type Exported struct {
	Snapshot    string // the folder, or its address
	Images      int
	Annotations int
	Bytes       int64 // of its files
	Files       int   // of images
	FileBytes   int64
	Read        int // images that were read for it, of which the others were known
}

// Counted are images and annotations of a source.
type Counted struct {
	Images      int `json:"images"`
	Annotations int `json:"annotations"`
}

// Totals sums up a run. Of one that has ended the sums are on record.
func (s *Store) Totals(ctx context.Context, run string) (Totals, error) {
	kept, summed, err := s.TotalsOnRecord(ctx, run)
	if err != nil || summed {
		return kept, err
	}
	t, err := s.sumUp(ctx, run)
	t.Notes = kept.Notes
	return t, err
}

// TotalsOnRecord is what is on record of a run without a look at its rows: its notes, and
// where it is summed up, all.
func (s *Store) TotalsOnRecord(ctx context.Context, run string) (t Totals, summed bool, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT totals FROM runs WHERE id = ?`, run).Scan(&t)
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	return t, t.Outcome != nil, describe("sum up the run", err)
}

// Scan reads totals as the state keeps them.
func (t *Totals) Scan(column any) error {
	text, is := column.(string)
	if !is {
		return fmt.Errorf("its totals in the state are no text but %T", column)
	}
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), t); err != nil {
		return fmt.Errorf("its totals in the state are damaged: %w", err)
	}
	return nil
}

// Note has a run put something down of itself.
func (s *Store) Note(ctx context.Context, run string, put func(*Notes)) error {
	return s.update(ctx, "note what the run did", func(ctx context.Context, tx *sql.Tx) error {
		var t Totals
		if err := tx.QueryRowContext(ctx, `SELECT totals FROM runs WHERE id = ?`, run).Scan(&t); err != nil {
			return err
		}
		put(&t.Notes)
		return keepTotals(ctx, tx, run, t)
	})
}

// sumUp goes through everything that a run has on record.
func (s *Store) sumUp(ctx context.Context, run string) (Totals, error) {
	span, err := s.itemsOf(ctx, run)
	if err != nil {
		return Totals{}, err
	}
	t := Totals{Plan: make(map[Plan]int), Outcome: make(map[ItemOutcome]int)}
	// An image that was saved again after a stop had what it had before the first time.
	const other = `NOT EXISTS (SELECT 1 FROM batch_images AS other INDEXED BY batch_images_image WHERE other.image_ref = one.image_ref AND other.new_count IS NOT NULL AND other.item `
	err = s.reader.QueryRowContext(ctx, `SELECT coalesce(sum(iif(`+other+`BETWEEN ?1 AND one.item - 1), previous_count, 0)), 0), coalesce(sum(iif(`+other+`BETWEEN one.item + 1 AND ?2), new_count, 0)), 0),
			coalesce(sum(first_hand AND previous_count <> listed_count), 0)
		FROM batch_images AS one WHERE item BETWEEN ?1 AND ?2 AND new_count IS NOT NULL`, span.first, span.last).Scan(&t.Previous, &t.New, &t.Edited)
	if err == nil {
		err = s.itemTotals(ctx, span, &t)
	}
	if err == nil {
		err = s.findingTotals(ctx, run, &t)
	}
	if err == nil {
		err = s.sourceTotals(ctx, span, run, &t)
	}
	if err == nil {
		t.Uploads, err = s.UploadTotals(ctx, run)
	}
	return t, describe("sum up the run", err)
}

func (s *Store) itemTotals(ctx context.Context, span itemSpan, t *Totals) error {
	rows, err := s.reader.QueryContext(ctx, `SELECT plan, outcome, count(*), count(nullif(image_id, '')), sum(pruned AND outcome = 'cleared'), sum(NOT pruned), sum(iif(pruned, 0, labels)), sum(iif(pruned, 0, labels - left_out)) FROM items WHERE item BETWEEN ? AND ? GROUP BY plan, outcome`, span.first, span.last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			p                                        Plan
			o                                        ItemOutcome
			n, matched, pruned, found, labels, taken int
		)
		if err := rows.Scan(&p, &o, &n, &matched, &pruned, &found, &labels, &taken); err != nil {
			return err
		}
		t.Plan[p] += n
		t.Outcome[o] += n
		t.Matched += matched
		t.Pruned += pruned
		t.Found += found
		t.Read.Images += found
		t.Read.Annotations += labels
		if o == ItemSaved || o == ItemCleared || o == ItemUnchanged || o == ItemPending {
			t.Taken.Images += found
			t.Taken.Annotations += taken
		}
	}
	return rows.Err()
}

// sourceTotals adds what of the source is in no item, and what of the dataset is in none.
func (s *Store) sourceTotals(ctx context.Context, span itemSpan, run string, t *Totals) error {
	var left Counted
	var images, named int
	err := s.reader.QueryRowContext(ctx, `SELECT left_images, left_annotations, (SELECT count(*) FROM image_ids WHERE image_ids.dataset = runs.dataset),
		(SELECT count(DISTINCT image_ref) FROM items INDEXED BY items_image WHERE run = ?2 AND image_ref > 0) FROM runs WHERE id = ?1`, run, span.run).
		Scan(&left.Images, &left.Annotations, &images, &named)
	t.Read.Images += left.Images
	t.Read.Annotations += left.Annotations
	t.Unlabelled = max(0, images-named)
	return err
}

// ImageRecord is what happened to one item of a run.
type ImageRecord struct {
	Image     string      `json:"image"`
	Label     string      `json:"label,omitempty"` // file
	Path      string      `json:"path,omitempty"`
	ImageID   string      `json:"image_id,omitempty"`
	Plan      Plan        `json:"plan"`
	Outcome   ItemOutcome `json:"outcome"`
	Previous  *int        `json:"previous,omitempty"`
	New       *int        `json:"new,omitempty"`
	FirstHand *bool       `json:"first_hand,omitempty"` // false: previous is the listing's count
	// Labels are the source's annotations of the image, LeftOut those of them that are
	// in none that were saved.
	Labels  int `json:"labels"`
	LeftOut int `json:"left_out"`
	// Edited says that somebody changed the image between its reading and its save.
	Edited   bool   `json:"edited_meanwhile,omitempty"`
	Findings int    `json:"findings"`
	Reason   string `json:"reason,omitempty"`
}

// editedReason says of a saved image that what it had was not what was known.
func editedReason(known, previous int) string {
	return fmt.Sprintf("saved, but somebody changed the image just before: it had %d annotations where %d were known, and an undo does not bring back all of them", previous, known)
}

// Records yields what happened to every item of a run, in the order of the
// source; outcome "" means all.
func (s *Store) Records(ctx context.Context, run string, outcome ItemOutcome) iter.Seq2[ImageRecord, error] {
	return func(yield func(ImageRecord, error) bool) {
		span, err := s.itemsOf(ctx, run)
		if err != nil {
			yield(ImageRecord{}, err)
			return
		}
		// An item that an earlier process of the run saved was sent under another number.
		rows, err := s.reader.QueryContext(ctx, `SELECT image, path, items.image_id, plan, outcome, previous_count, new_count, first_hand, findings, reason,
				file, labels, left_out, coalesce(answer.listed_count, 0)
			FROM items LEFT JOIN batch_images AS answer ON outcome IN ('saved', 'cleared') AND answer.item =
				(SELECT max(one.item) FROM batch_images AS one INDEXED BY batch_images_image
					WHERE one.image_ref = items.image_ref AND one.image_id = items.image_id AND one.item BETWEEN ?1 AND ?2 AND one.new_count IS NOT NULL)
			WHERE items.item BETWEEN ?1 AND ?2 AND (?3 = '' OR outcome = ?3) ORDER BY items.item`, span.first, span.last, outcome)
		if err != nil {
			yield(ImageRecord{}, fmt.Errorf("read the run's images: %w", explain(err)))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var r ImageRecord
			var known int
			if err := rows.Scan(&r.Image, &r.Path, &r.ImageID, &r.Plan, &r.Outcome, &r.Previous, &r.New, &r.FirstHand, &r.Findings, &r.Reason, &r.Label, &r.Labels, &r.LeftOut, &known); err != nil {
				yield(ImageRecord{}, fmt.Errorf("read the run's images: %w", err))
				return
			}
			if r.Previous != nil && *r.Previous != known && r.FirstHand != nil && *r.FirstHand {
				r.Edited = true
				r.Reason = editedReason(known, *r.Previous)
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(ImageRecord{}, fmt.Errorf("read the run's images: %w", err))
		}
	}
}
