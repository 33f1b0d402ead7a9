// Package nearest finds the name that a misspelt one most likely means.
package nearest

import (
	"strings"

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

// Almost is the candidate that differs from a name in letter case, blanks and the like, or
// one letter alone, and so may well be meant; "" if none does. A number that differs does not:
// names are counted so.
func Almost(name string, candidates []string) string {
	for _, candidate := range candidates {
		a, b := bare(name), bare(candidate)
		if a == b || withoutDigits(a) != withoutDigits(b) && levenshtein.ComputeDistance(a, b) <= 1 {
			return candidate
		}
	}
	return ""
}

// bare is a name without letter case, blanks, and what stands for them.
func bare(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(strings.Join(strings.Fields(name), "")))
}

func withoutDigits(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, name)
}
