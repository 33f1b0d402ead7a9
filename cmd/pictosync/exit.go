package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/backup"
	"pictosync/convert"
	"pictosync/dataset"
	"pictosync/internal/nearest"
	"pictosync/pictograph"
	"pictosync/quota"
	"pictosync/sandbox"
	"pictosync/store"
	"pictosync/worker"
)

// Exit statuses. Other programs decide by them: they never change.
const (
	exitDone        = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitSource      = 3
	exitFailures    = 4
	exitRefused     = 5
	exitGuard       = 6
	exitTimeLimit   = 7
	exitLocked      = 8
	exitInterrupted = 130
)

// exitHint ends the help of commands: the table is in that of the program, and in README.md.
const exitHint = `

Exit status: 0 when all is done; ` + "`pictosync --help` lists the others."

const exitHelp = `

Exit status:
    0  all done
    1  an unexpected error; the same command resumes the run
    2  the command line or the configuration is wrong
    3  the source cannot be read
    4  finished, but some images failed or did not match
    5  the service refused the API key or its role
    6  a guard stopped the run before anything was written
    7  stopped at the time limit; the same command resumes the run
    8  another run holds the state
  130  interrupted; the same command resumes the run`

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errFailures ends a command that finished with images that failed or did not
// match; the summary has said so already.
var errFailures = errors.New("some images failed")

// saidError ends a command whose output has said already what is wrong.
type saidError struct{ error }

func (e saidError) Unwrap() error { return e.error }

// exitCode is the one place where errors become exit statuses.
func exitCode(err error) int {
	var (
		unread    *convert.Error
		forbidden = errors.Is(err, pictograph.ErrUnauthorized) || errors.Is(err, pictograph.ErrForbidden)
	)
	switch {
	case errors.Is(err, dataset.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case isUsage(err), errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrNoState), errors.Is(err, sandbox.ErrNoSandbox), errors.Is(err, dataset.ErrNotFound), errors.Is(err, dataset.ErrNear), errors.Is(err, backup.ErrOtherDataset), errors.Is(err, backup.ErrNoBackups), errors.Is(err, store.ErrNoRun), errors.Is(err, store.ErrManyRuns):
		return exitUsage
	case errors.As(err, &unread):
		return exitSource
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EADDRINUSE): // what was named is taken
		return exitUsage
	case errors.Is(err, errFailures):
		return exitFailures
	case errors.Is(err, worker.ErrGuard), errors.Is(err, store.ErrClock):
		return exitGuard
	case forbidden:
		return exitRefused
	case errors.Is(err, errTimeLimit):
		return exitTimeLimit
	case errors.Is(err, errLocked):
		return exitLocked
	}
	return exitUnexpected
}

// errorCode names an error for programs: it never changes.
func errorCode(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, dataset.ErrNotFound):
		return "no-dataset"
	case errors.Is(err, dataset.ErrNear):
		return "near-dataset"
	case errors.Is(err, backup.ErrOtherDataset):
		return "other-dataset"
	case errors.Is(err, store.ErrNoRun):
		return "no-run"
	case errors.Is(err, store.ErrNewer):
		return "newer-state"
	case errors.Is(err, pictograph.ErrUnauthorized):
		return "key-refused"
	case errors.Is(err, pictograph.ErrForbidden):
		return "role-refused"
	}
	switch exitCode(err) {
	case exitUsage:
		return "usage"
	case exitSource:
		return "source-unreadable"
	case exitFailures:
		return "images-failed"
	case exitGuard:
		return "guard"
	case exitTimeLimit:
		return "time-limit"
	case exitLocked:
		return "locked"
	case exitInterrupted:
		return "interrupted"
	}
	switch {
	case errors.Is(err, pictograph.ErrNetwork):
		return "unreachable"
	case errors.Is(err, pictograph.ErrRateLimited), errors.Is(err, quota.ErrLeftAlone):
		return "rate-limited"
	case errors.Is(err, pictograph.ErrServer):
		return "service-failed"
	}
	return "unexpected"
}

// ending is how a command ended, in every JSON object.
type ending struct {
	Error    string `json:"error,omitempty"`
	Code     string `json:"code,omitempty"`
	ExitCode int    `json:"exit_code"`
}

func endingOf(err error) ending {
	if err == nil {
		return ending{}
	}
	return ending{errorLine(err), errorCode(err), exitCode(err)}
}

// isUsage reports a mistake in the command line or configuration itself. Some
// are errors of cobra's, which have no type.
func isUsage(err error) bool {
	if _, ok := errors.AsType[usageError](err); ok {
		return true
	}
	m := err.Error()
	return strings.HasPrefix(m, "unknown command ") || strings.HasPrefix(m, "required flag(s) ") ||
		strings.HasPrefix(m, "accepts ") || strings.HasPrefix(m, "requires at least ")
}

// errorLine is an error as one line for people, its hint at the end; "" where
// the output has said it already.
func errorLine(err error) string {
	if all, ok := err.(interface{ Unwrap() []error }); ok && err.Error() == errors.Join(all.Unwrap()...).Error() {
		var lines []string
		for _, err := range all.Unwrap() {
			if line := errorLine(err); line != "" {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "; ")
	}
	if _, said := errors.AsType[saidError](err); said || err == errFailures {
		return ""
	}
	line := strings.Join(strings.Fields(err.Error()), " ")
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		line += " (" + hinted.Hint() + ")"
	}
	return line
}

// flagError names the nearest flag to one that is not there, and what a value has to be.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := nearest.Name(unknown.GetSpecifiedName(), names); near != "" {
			return usagef("%w; did you mean --%s?", err, near)
		}
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("read --%s: %w", invalid.GetFlag().Name, plainly(err))
	}
	return usageError{err}
}

// plainly says what a value of a flag must be where it is something else.
func plainly(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	if wants := valuesOf[invalid.GetFlag().Value.Type()]; wants != "" {
		return fmt.Errorf("%q must be %s", invalid.GetValue(), wants)
	}
	return invalid.Unwrap()
}

// valuesOf says what the values of flags may be, by their types.
var valuesOf = map[string]string{
	"bool":     "true or false",
	"int":      "a whole number",
	"float64":  "a number",
	"duration": "a time such as 90s, 15m or 2h",
}
