package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"pictosync/store"
)

var errLocked = errors.New("another run holds the state")

// holder is what the lock file says of who holds it.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// lockState makes sure that one process at a time works on a state. The
// operating system releases the lock when the process ends, however it ends.
func lockState(state, command string) (release func(), err error) {
	return takeLock(state, state+".lock", command)
}

// lockKind makes sure that one process at a time does a run of a kind that goes beside
// others: each has runs of its own.
func lockKind(state, kind, command string) (release func(), err error) {
	return takeLock(state, state+"."+kind+".lock", command)
}

func takeLock(state, path, command string) (release func(), err error) {
	if err := store.Check(state); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the state %s: %w; name another with --state", state, err)
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the state %s: %w; name another state with --state", state, err)
	}
	if !held {
		return nil, fmt.Errorf("lock the state %s: %w%s; wait for it, or name another state with --state", state, errLocked, heldBy(path))
	}
	data, err := json.Marshal(holder{PID: os.Getpid(), Command: command, Since: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		err = os.WriteFile(path, append(data, '\n'), 0o600)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock the state %s: %w", state, err)
	}
	return func() { lock.Close() }, nil
}

func heldBy(path string) string {
	data, err := os.ReadFile(path)
	var h holder
	if err != nil || json.Unmarshal(data, &h) != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d, %q, since %s)", h.PID, h.Command, h.Since.Local().Format(time.DateTime))
}

// stateHolder says who holds a state, "" for nobody, and makes nothing.
func stateHolder(state string) (string, error) {
	path := state + ".lock"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	// Shared, so that several may ask at once, and for a moment only.
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if err != nil {
		return "", fmt.Errorf("look at the lock of the state %s: %w", state, err)
	}
	if free {
		return "", lock.Close()
	}
	return "another run" + heldBy(path), nil
}
