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
