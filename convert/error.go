package convert

import (
	"strconv"
	"unicode"
)

// Error says why a source cannot be read at all. What is wrong with single
// images is in [Item.Err], in the error of Load, or in findings.
type Error struct {
	Op   string // what was being done: "open", "read", "write"
	Path string // to what
	Err  error  // what went wrong
	// Advice is what the user may do next; may be empty.
	Advice string
}

// Error is one line.
func (e *Error) Error() string { return e.Op + " " + Display(e.Path) + ": " + e.Err.Error() }

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.Err }

// Hint is what the user may do next; may be empty.
func (e *Error) Hint() string { return e.Advice }

// Display shows a file's name on one line, whatever it is made of.
func Display(name string) string {
	for _, r := range name {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}
