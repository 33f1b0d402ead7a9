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

// A service on this machine is one, and has one quota, however the machine is called.
func TestOneServiceHasOneQuota(t *testing.T) {
	of := func(name, key string) string { return (&session{name: name, key: key}).account() }
	if of("http://localhost:8080", "k") != of("http://127.0.0.1:8080", "k") || of("http://localhost:8080", "k") == of("http://localhost:8081", "k") || of("https://a.example", "k") == of("https://a.example", "l") {
		t.Error("what one service and one key are is mistaken")
	}
}
