package main

import (
	"errors"
	"fmt"
	"testing"
)

type hinted struct{ error }

func (hinted) Hint() string { return "--max-removed allows it" }

// Several errors are sentences of their own, each with its hint; what the output has said is not
// said again, and hides no other.
func TestErrorLine(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.Join(fmt.Errorf("record the run: disk full"), fmt.Errorf("record how it\nended: disk full")), "record the run: disk full; record how it ended: disk full"},
		{errors.Join(hinted{errors.New("too much")}, errors.New("write p.html: disk full")), "too much (--max-removed allows it); write p.html: disk full"},
		{errors.Join(errFailures, errors.New("write p.html: disk full")), "write p.html: disk full"},
		{errFailures, ""},
	} {
		if got := errorLine(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
