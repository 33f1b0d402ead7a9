// Package visible shows text of others, as names of files and words of a service, as what it
// is: characters that move the cursor, turn the direction of a line or cannot be seen are
// written as escapes.
package visible

import (
	"fmt"
	"strings"
	"unicode"
)

// Text is s with every character that hides written as an escape.
func Text(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) && r != '\u00a0' }
