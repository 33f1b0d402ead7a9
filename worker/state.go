package worker

import (
	"context"
	"iter"
	"time"

	"pictosync/dataset"
	"pictosync/store"
)

// State is what a run needs of the state; *store.Store is one. Its parts are what the steps
// need.
type State interface {
	dataset.Store
	runState
	imageState
	planState
	batchState
	backupState
	uploadState
}

// runState keeps what a run is and came to.
type runState interface {
	OpenRun(ctx context.Context, d store.Dataset, kind, source string, now time.Time) (run store.Run, resumed bool, err error)
	FindRun(ctx context.Context, id string) (store.Run, error)
	SetSource(ctx context.Context, run, source string) (ref int64, err error)
	SetPhase(ctx context.Context, run string, p store.Phase) error
	Note(ctx context.Context, run string, put func(*store.Notes)) error
	Totals(ctx context.Context, run string) (store.Totals, error)
	RecordOutcome(ctx context.Context, run string, t store.Totals, o store.Outcome, reason string, requests int, worked time.Duration, now time.Time) error
	PruneUnchanged(ctx context.Context, run string) error
	DropReadings(ctx context.Context) error
	LastFound(ctx context.Context, d store.Dataset, run store.Run) (int, error)
}

// imageState finds images of a dataset as they are listed.
type imageState interface {
	ImagesByRef(ctx context.Context, refs []int64) ([]store.Image, error)
	ImagesByPath(ctx context.Context, d store.Dataset, paths []string) ([]store.Image, error)
	ImagesByPathStem(ctx context.Context, d store.Dataset, path string) ([]store.Image, error)
	Names(ctx context.Context, d store.Dataset, stems ...string) iter.Seq2[store.Name, error]
	DatasetTotals(ctx context.Context, d store.Dataset) (store.Counted, error)
}

// planState keeps plans, and sums them up.
type planState interface {
	RestartPlan(ctx context.Context, run, format, fingerprint string) (last int64, err error)
	AddPlan(ctx context.Context, run string, chunk store.PlanChunk) error
	SetItem(ctx context.Context, run string, i store.Item) error
	SetItems(ctx context.Context, run string, items []store.Item) error
	CompareAgain(ctx context.Context, run string) error
	Items(ctx context.Context, run string) iter.Seq2[store.Item, error]
	Pending(ctx context.Context, run string, after int64, limit int) ([]store.Item, error)
	PlanSummary(ctx context.Context, d store.Dataset, run string) (store.PlanSummary, error)
	PlanDigest(ctx context.Context, d store.Dataset, run string) (string, error)
	Classes(ctx context.Context, run string) ([]store.Class, error)
	FindingGroups(ctx context.Context, run string) ([]store.FindingGroup, error)
	Findings(ctx context.Context, run string) iter.Seq2[store.Finding, error]
	Unread(ctx context.Context, run string, kinds []string) (int, error)
	Departed(ctx context.Context, d store.Dataset, run string, source int64) iter.Seq2[store.Image, error]
	ClearedSince(ctx context.Context, d store.Dataset, since time.Time) (int, error)
}

// batchState keeps batches from before they are sent until they are answered.
type batchState interface {
	CommitBatch(ctx context.Context, run, account string, body []byte, images []store.BatchImage, now time.Time) (store.Batch, error)
	WithdrawBatch(ctx context.Context, b store.Batch) error
	SplitBatch(ctx context.Context, b store.Batch, parts []store.Batch, now time.Time) ([]store.Batch, error)
	EndBatch(ctx context.Context, d store.Dataset, b store.Batch, answers []store.Answer, found []store.Finding, now time.Time) error
	OpenBatches(ctx context.Context, d store.Dataset) ([]store.Batch, error)
}

// backupState keeps what images had before a run saved on them.
type backupState interface {
	AddBackups(ctx context.Context, run string, backups []store.Backup, now time.Time) error
	BackedUp(ctx context.Context, run string, ids []string) (map[string]store.BackedUp, error)
	Backup(ctx context.Context, run, imageID string) (store.Backup, error)
	Touched(ctx context.Context, run, after string) iter.Seq2[store.Touched, error]
	ContentAfter(ctx context.Context, run string, image store.Image) (h store.Hash, saved, ok bool, err error)
}
