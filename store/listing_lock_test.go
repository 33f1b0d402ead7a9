package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// One process at a time works with listings; who waits says so, and can be stopped.
func TestLockListing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), path)
		check(t, err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	one, other := open(), open()
	unlock, err := one.LockListing(t.Context(), func() { t.Error("nobody is at it") })
	check(t, err)

	stop, cancel := context.WithCancel(t.Context())
	if _, err := other.LockListing(stop, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while it waited: %v", err)
	}
	said := false
	again, err := other.LockListing(t.Context(), func() {
		said = true
		unlock()
	})
	check(t, err)
	if !said {
		t.Error("it did not wait")
	}
	again()
}

// Two processes change one state at a time, each whole.
func TestTwoProcessesWriteOneState(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "state.db")
	one, err := Open(ctx, path)
	check(t, err)
	defer one.Close()
	d := listed(t, one, "a.jpg", "b.jpg")
	run := planned(t, one, d, "a.jpg")
	other, err := OpenBeside(ctx, path)
	check(t, err)
	defer other.Close()
	second, resumed, err := other.OpenRun(ctx, d, "plan", "/labels", noon)
	check(t, err)
	if resumed || second.ID == run.ID {
		t.Errorf("the other process goes on with %s", second.ID)
	}
	check(t, other.AddPlan(ctx, second.ID, PlanChunk{Items: []Item{{Seq: 1, Image: "b.jpg", ImageID: "id-b.jpg", Path: "b.jpg", Plan: PlanNew, Outcome: ItemPending}}}))
	check(t, one.AddRequest(ctx, "account", noon, true))
	check(t, other.AddRequest(ctx, "account", noon, true))
	for _, s := range []*Store{one, other} {
		if sent, err := s.OtherRequests(ctx, "account", noon); err != nil || len(sent) != 1 || sent[0].N != 1 {
			t.Errorf("the other's requests: %+v, %v", sent, err)
		}
		for id, want := range map[string]string{run.ID: "a.jpg", second.ID: "b.jpg"} {
			pending, err := s.Pending(ctx, id, 0, 10)
			if check(t, err); len(pending) != 1 || pending[0].Image != want {
				t.Errorf("run %s has %+v", id, pending)
			}
		}
	}
	for what, path := range map[string]string{"none": filepath.Join(t.TempDir(), "none.db"), "older": func() string { file, db := olderState(t); db.Close(); return file }()} {
		if _, err := OpenBeside(ctx, path); !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
