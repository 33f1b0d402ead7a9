// Package nearest finds the name that a misspelt one most likely means.
package nearest

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// Name is the candidate that a name most likely means, letter case aside; "" if none is
// near.
func Name(name string, candidates []string) string {
	best, found := max(2, len(name)/3)+1, ""
	for _, candidate := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(candidate)); d < best {
			best, found = d, candidate
		}
	}
	return found
}

// Almost is the candidate that a slip of the hand makes of a name: another letter case, other
// blanks, hyphens, underscores or dots, one letter more, less or another, or two that changed
// places; "" if there is none. What names are told apart by on purpose is no slip: a number, or
// a letter that stands by itself, as in set-a and set-b.
func Almost(name string, candidates []string) string {
	for _, candidate := range candidates {
		if a, b := parts(name), parts(candidate); strings.Join(a, "") == strings.Join(b, "") || slip(a, b) {
			return candidate
		}
	}
	return ""
}

// parts are the words of a name in lower case, without what stands between them.
func parts(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("-_.", r) })
}

// slip reports whether one word alone differs, by one letter or by two that changed places.
func slip(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	at := -1
	for n := range a {
		if a[n] != b[n] {
			if at >= 0 {
				return false
			}
			at = n
		}
	}
	one, other := a[at], b[at]
	if utf8.RuneCountInString(one) == 1 && utf8.RuneCountInString(other) == 1 || withoutDigits(one) == withoutDigits(other) {
		return false
	}
	return levenshtein.ComputeDistance(one, other) <= 1 || swapped([]rune(one), []rune(other))
}

// swapped reports whether two letters side by side changed places.
func swapped(a, b []rune) bool {
	if len(a) != len(b) {
		return false
	}
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n+1 < len(a) && a[n] == b[n+1] && a[n+1] == b[n] && slices.Equal(a[n+2:], b[n+2:])
}

func withoutDigits(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, name)
}
