package convert

import (
	"fmt"
	"strings"

	"pictosync/internal/nearest"
)

// Accepted says what an image may lose or have changed and be taken all the same.
// The zero value takes no image that has lost anything.
type Accepted struct {
	// Lost accepts every kind that is lost, Kinds those named.
	Lost  bool
	Kinds map[Kind]bool
	// Strict refuses what is changed too.
	Strict bool
}

// ParseAccepted reads the names of kinds, and "lost" for all that are.
func ParseAccepted(names []string) (a Accepted, err error) {
	a.Kinds = make(map[Kind]bool)
	for _, name := range names {
		name = strings.TrimSpace(name)
		switch _, known := severities[Kind(name)]; {
		case name == string(Lost):
			a.Lost = true
		case known:
			a.Kinds[Kind(name)] = true
		default:
			return a, fmt.Errorf("%q is no kind of finding%s (docs/formats.md lists them; lost is all that are)", name, similarKind(name))
		}
	}
	return a, nil
}

func similarKind(name string) string {
	var kinds []string
	for _, severity := range []Severity{Lost, Changed, Noted} {
		kinds = append(kinds, KindsOf(severity)...)
	}
	near := nearest.Name(name, kinds)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", near)
}

// Refuses reports whether an image with findings of a kind is not taken.
func (a Accepted) Refuses(k Kind) bool {
	switch k.Severity() {
	case Lost:
		return !a.Lost && !a.Kinds[k]
	case Changed:
		return a.Strict && !a.Kinds[k]
	}
	return false
}

// Refusal says why a result must not be taken as it is, nil where it may be. An image
// whose every annotation was left out is not an empty one, whatever is accepted, unless a
// class map drops their classes.
func (a Accepted) Refusal(r Result) error {
	for _, f := range r.Findings {
		if !a.Refuses(f.Kind) {
			continue
		}
		if f.Kind.Severity() == Changed {
			return fmt.Errorf("%s (%s, and --strict is set)", f.where(), f.Kind)
		}
		return RefusedError{f}
	}
	if len(r.Annotations) == 0 && r.LeftOut > r.Unwanted {
		return fmt.Errorf("none of its %d labels was taken: %s", r.LeftOut, firstOf(r.Findings))
	}
	return nil
}

// RefusedError says that an image would lose something that is not accepted.
type RefusedError struct{ Finding Finding }

func (e RefusedError) Error() string {
	if e.Finding.Kind == KindSizeMismatch { // which has a flag of its own
		return fmt.Sprintf("%s (%s)", e.Finding.where(), e.Finding.Action)
	}
	return fmt.Sprintf("%s (%s; --allow %s takes the image without)", e.Finding.where(), e.Finding.Action, e.Finding.Kind)
}

// firstOf is what most likely left out labels.
func firstOf(findings []Finding) string {
	for _, f := range findings {
		switch {
		case f.Kind.Severity() == Lost:
			return f.where()
		case f.Kind == KindOutsideLeftOut:
			return f.where() + " (--outside report leaves it out; keep or clip takes it)"
		}
	}
	return "no reason is on record"
}

// where is a finding's place and reason.
func (f Finding) where() string {
	if f.At == "" {
		return f.Reason
	}
	return f.At + ": " + f.Reason
}
