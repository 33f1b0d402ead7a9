package worker

import (
	"pictosync/conversion"
	"pictosync/convert"
	"pictosync/store"
)

// Summary is what a run came to, over all processes that worked on it;
// Requests and Seconds are this process's. It is what --json prints.
type Summary struct {
	Run         string           `json:"run"`
	Dataset     string           `json:"dataset"`
	Source      string           `json:"source"`
	Outcome     string           `json:"outcome"`
	Images      ImageCounts      `json:"images"`
	Annotations AnnotationCounts `json:"annotations"`
	// Uploads are the files that the run brought, or has to bring yet.
	Uploads *store.UploadTotals `json:"uploads,omitempty"`
	conversion.Accounts
	Requests int            `json:"requests"`
	Findings int            `json:"findings"`
	Kinds    map[string]int `json:"findings_by_kind,omitempty"`
	Seconds  float64        `json:"duration_s"`
	// Notes are sentences about how images were read.
	Notes []string `json:"notes,omitempty"`
	// Failures are the first images that could not be saved, and why, for people.
	Failures []string `json:"-"`
	// Classes are those that the dataset lacked and that the run adds, StillThere those
	// that an undone run had added.
	Classes    []string `json:"new_classes,omitempty"`
	StillThere []string `json:"classes_left,omitempty"`
	// Archived are images that an undone run had uploaded and that an undo archived, or would;
	// UploadsLeft are those that stay.
	Archived    int `json:"archived,omitempty"`
	UploadsLeft int `json:"uploads_left,omitempty"`
	// Restored are images that an undone undo had archived and that are back, or would be.
	Restored int `json:"restored,omitempty"`
	// Undoes is the run that an undo takes back.
	Undoes string `json:"-"`
	// Archives and RemovesClasses say that the undo was to take these away too.
	Archives       bool `json:"-"`
	RemovesClasses bool `json:"-"`
}

// ImageCounts count images, with --prune also those that left the source. Found = Matched + Unmatched + those failures that
// found no image; Matched = Saved + Cleared + Unchanged + the other failures,
// and those that a stopped run has yet to save.
type ImageCounts struct {
	Found     int `json:"found"`
	Matched   int `json:"matched"`
	Saved     int `json:"saved"`
	Unchanged int `json:"unchanged"`
	Unmatched int `json:"unmatched"`
	Failed    int `json:"failed"`
	Cleared   int `json:"cleared"`
	Skipped   int `json:"skipped,omitempty"`
	Pruned    int `json:"pruned,omitempty"` // of those cleared, the ones that left the source
	// Edited are those saved that somebody changed just before, Unlabelled the images
	// of the dataset that the source says nothing of.
	Edited     int `json:"edited_meanwhile,omitempty"`
	Unlabelled int `json:"unlabelled,omitempty"`
}

// AnnotationCounts count the annotations of the saved and cleared images,
// before and after.
type AnnotationCounts struct {
	Previous int `json:"previous"`
	New      int `json:"new"`
}

// Summarize sums up a run of the state.
func Summarize(r store.Run, t store.Totals) Summary {
	s := Summary{Run: r.ID, Dataset: r.Dataset.Name, Source: r.Source, Outcome: string(r.Outcome), Requests: r.Requests, Seconds: r.Worked.Seconds(), Findings: t.Findings, Kinds: t.Kinds}
	for _, n := range t.Outcome {
		s.Images.Found += n
	}
	s.Images.Matched = t.Matched
	s.Images.Saved = t.Outcome[store.ItemSaved]
	s.Images.Cleared = t.Outcome[store.ItemCleared]
	s.Images.Unchanged = t.Outcome[store.ItemUnchanged]
	s.Images.Unmatched = t.Outcome[store.ItemUnmatched]
	s.Images.Skipped = t.Outcome[store.ItemSkipped]
	s.Images.Failed = t.Outcome[store.ItemFailed]
	s.Images.Pruned = t.Pruned
	s.Images.Edited = t.Edited
	if r.Kind != store.RunUndo { // which is of a few images by right
		s.Images.Unlabelled = t.Unlabelled
	}
	if r.Kind != store.RunVerify { // which takes nothing
		s.Accounts = conversion.Account(convert.Count(t.Read), convert.Count(t.Taken))
	}
	if t.Uploads != (store.UploadTotals{}) {
		s.Uploads = &t.Uploads
	}
	s.Annotations = AnnotationCounts{Previous: t.Previous, New: t.New}
	return s
}
