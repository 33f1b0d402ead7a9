package main

import (
	"strings"
	"testing"

	"pictosync/store"
)

// What a page says to type next does what the run was about: an undo has no source to sync.
func TestCommandsOfARun(t *testing.T) {
	for source, want := range map[string]string{"undo:r-1": "pictosync undo r-1", "my labels": "pictosync sync 'my labels' --dataset set"} {
		run := store.Run{ID: "r-2", Kind: "plan", Source: source, Dataset: store.Dataset{Name: "set"}}
		if next := runCommands(run, false, ""); !strings.HasPrefix(next[0].Command, want) {
			t.Errorf("%s: %q, want %q", source, next[0].Command, want)
		}
	}
}
