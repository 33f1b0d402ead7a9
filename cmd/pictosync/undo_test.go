package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"pictosync/store"
)

// An undo that was stopped is what undo last goes on with, not what it takes back.
func TestUndoLastGoesOnWithAnUndo(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "state.db")
	st, err := store.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := st.PutDataset(ctx, "service", "id", "name")
	if err != nil {
		t.Fatal(err)
	}
	open := func(kind store.RunKind, source string) store.Run {
		t.Helper()
		run, _, err := st.OpenRun(ctx, d, kind, source, time.Now())
		if err == nil {
			err = st.AddBackups(ctx, run.ID, []store.Backup{{ImageID: "i", Path: "a.jpg", Annotations: []byte("[]")}}, time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	sync := open("sync", "labels")
	if err := st.RecordOutcome(ctx, sync.ID, store.Totals{}, store.Done, "", 0, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	undo := open("undo", "undo:"+sync.ID)
	var o undoOptions
	o.state = path
	if run, err := o.findUndoable(ctx, "last"); err != nil || run.ID != sync.ID {
		t.Errorf("undo last takes back %s, %v; want the run that the open undo takes back, %s", run.ID, err, sync.ID)
	}
	if err := st.RecordOutcome(ctx, undo.ID, store.Totals{}, store.Done, "", 0, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	if run, err := o.findUndoable(ctx, "last"); err != nil || run.ID != undo.ID {
		t.Errorf("undo last takes back %s, %v; want the undo, %s", run.ID, err, undo.ID)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}
